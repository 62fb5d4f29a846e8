/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/inflight.h"

#include <sched.h>
#include <time.h>

#include "base/counters.h"
#include "profile/timeline.h"

enum {
  MOST_RUNS = 64,
  SHARE = 4, /* of the device's memory: the runs in flight may hold a quarter */
};

enum { SECOND = 1000000000 }; /* in ns */

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * SECOND + time.tv_nsec;
}

void jm_inflight_add(jm_inflight *inflight, jm_flight *flight) {
  flight->next = NULL;
  if (inflight->last)
    inflight->last->next = flight;
  else
    inflight->first = flight;
  inflight->last = flight;
  inflight->n++;
  inflight->bytes += flight->bytes;
}

/* Looks often at first: a run that waits for nobody is done soon. */
static bool is_done_in_time(jm_inflight *inflight, const jm_flight *flight) {
  struct timespec pause = {0, 20000};
  const int64_t start = now();
  while (!inflight->engine->fence_is_done(inflight->engine, flight->fence)) {
    const int64_t waited = (now() - start) / SECOND;
    if (inflight->stuck_seconds || waited > flight->seconds) return false;
    if (waited) pause.tv_nsec = 1000000;
    nanosleep(&pause, NULL);
  }
  return true;
}

/* The fence of a run that is not done in time is not freed: nothing tells when it could be. */
static jm_error *await_end(jm_inflight *inflight, const jm_flight *flight) {
  jm_engine *engine = inflight->engine;
  if ((flight->seconds || inflight->stuck_seconds) && !is_done_in_time(inflight, flight)) {
    if (!inflight->stuck_seconds) inflight->stuck_seconds = flight->seconds;
    return jm_error_create(
        JM_DEADLINE_EXCEEDED,
        "the device waited for other processes for more than %lld s (JAX_MPS_COLLECTIVE_TIMEOUT); "
        "this process can't use it any more",
        (long long)inflight->stuck_seconds);
  }
  const int64_t start = engine->fence_is_done(engine, flight->fence) ? 0 : jm_timeline_begin();
  jm_error *error = engine->fence_wait(engine, flight->fence);
  jm_timeline_end(JM_SPAN_wait_end, flight->device, 0, 0, start);
  return error;
}

/* Without a job: whether to look again instead of blocking until the oldest run ends. A job that
 * comes meanwhile is run. */
static bool polls(jm_inflight *inflight) {
  const int64_t most = inflight->engine->fact.poll_ns;
  if (!most) return false;
  if (!inflight->idle_since) inflight->idle_since = now();
  if (now() - inflight->idle_since > most) return false;
  sched_yield();
  return true;
}

static void land_first(jm_inflight *inflight) {
  inflight->idle_since = 0;
  jm_flight *flight = inflight->first;
  inflight->first = flight->next;
  if (!inflight->first) inflight->last = NULL;
  inflight->n--;
  inflight->bytes -= flight->bytes;
  jm_error *error = await_end(inflight, flight);
  flight->fence = NULL;
  if (error)
    jm_error_destroy(flight->fate);
  else
    error = flight->fate;
  flight->fate = NULL;
  flight->land(flight, error);
}

void jm_inflight_make_room(jm_inflight *inflight, size_t bytes) {
  const size_t most = (size_t)inflight->engine->fact.memory_bytes / SHARE;
  while (inflight->first && (inflight->n >= MOST_RUNS || inflight->bytes + bytes > most))
    land_first(inflight);
}

bool jm_inflight_between(void *context, bool is_idle) {
  jm_inflight *inflight = context;
  bool landed = false;
  while (inflight->first &&
         inflight->engine->fence_is_done(inflight->engine, inflight->first->fence)) {
    land_first(inflight);
    landed = true;
  }
  if (!is_idle || !inflight->first) inflight->idle_since = 0;
  if (landed || !is_idle || !inflight->first) return landed;
  if (polls(inflight)) return true;
  jm_counter_add(JM_COUNTER_device_drains, 1);
  land_first(inflight);
  return true;
}
