/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/event.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/spin.h"

struct jm_event {
  atomic_int refs;
  atomic_bool ready; /* set after error, so that a reader of ready may read error unlocked */
  jm_error *error;
  pthread_mutex_t lock; /* of waiters and the change to ready */
  pthread_cond_t fired;
  jm_waiter *waiters; /* newest first */
};

static jm_event always = {.ready = true};

jm_event *jm_event_always(void) { return &always; }

jm_error *jm_event_create(jm_event **out) {
  jm_event *event = jm_alloc(1, sizeof *event);
  if (!event) return jm_error_out_of_memory();
  atomic_init(&event->refs, 1);
  pthread_mutex_init(&event->lock, NULL);
  pthread_cond_init(&event->fired, NULL);
  *out = event;
  return NULL;
}

jm_event *jm_event_retain(jm_event *event) {
  if (event != &always) atomic_fetch_add_explicit(&event->refs, 1, memory_order_relaxed);
  return event;
}

static void run_waiters(jm_waiter *newest, const jm_error *error) {
  jm_waiter *oldest = NULL;
  for (jm_waiter *next; newest; newest = next) { /* oldest first */
    next = newest->next;
    newest->next = oldest;
    oldest = newest;
  }
  for (jm_waiter *next; oldest; oldest = next) {
    next = oldest->next; /* run may free the waiter */
    oldest->run(oldest, error);
  }
}

void jm_event_release(jm_event *event) {
  if (!event || event == &always) return;
  if (atomic_fetch_sub_explicit(&event->refs, 1, memory_order_acq_rel) != 1) return;
  if (event->waiters) {
    jm_error *error = jm_error_create(JM_ABORTED, "the event was released before it fired");
    run_waiters(event->waiters, error);
    jm_error_destroy(error);
  }
  jm_error_destroy(event->error);
  pthread_cond_destroy(&event->fired);
  pthread_mutex_destroy(&event->lock);
  jm_free(event);
}

bool jm_event_fire(jm_event *event, jm_error *error) {
  if (event == &always) {
    jm_error_destroy(error);
    return false;
  }
  pthread_mutex_lock(&event->lock);
  bool first = !event->ready;
  jm_waiter *waiters = NULL;
  if (first) {
    event->error = error;
    waiters = event->waiters;
    event->waiters = NULL;
    atomic_store_explicit(&event->ready, true, memory_order_release);
    pthread_cond_broadcast(&event->fired);
  }
  pthread_mutex_unlock(&event->lock);
  if (!first) jm_error_destroy(error);
  run_waiters(waiters, error); /* the caller's reference keeps the error alive */
  return first;
}

bool jm_event_ready(const jm_event *event) {
  return atomic_load_explicit(&event->ready, memory_order_acquire);
}

const jm_error *jm_event_error(const jm_event *event) {
  return jm_event_ready(event) ? event->error : NULL;
}

static bool is_ready(const void *event) { return jm_event_ready(event); }

void jm_event_wait(jm_event *event) {
  if (jm_event_ready(event) || jm_spin_wait(is_ready, event)) return;
  pthread_mutex_lock(&event->lock);
  while (!event->ready) pthread_cond_wait(&event->fired, &event->lock);
  pthread_mutex_unlock(&event->lock);
}

void jm_event_subscribe(jm_event *event, jm_waiter *waiter) {
  if (!jm_event_ready(event)) {
    pthread_mutex_lock(&event->lock);
    bool waits = !event->ready;
    if (waits) {
      waiter->next = event->waiters;
      event->waiters = waiter;
    }
    pthread_mutex_unlock(&event->lock);
    if (waits) return;
  }
  waiter->run(waiter, event->error);
}
