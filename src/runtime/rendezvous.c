/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/rendezvous.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/blocking.h"
#include "base/text.h"
#include "profile/timeline.h"
#include "runtime/processes.h"

enum { POLL_NANOSECONDS = 50000000 };

/* The members of one group at one op. It is in the list until all have arrived; a member that comes
 * to the op afterwards, in a later iteration of a loop, opens another one. */
typedef struct meeting {
  struct meeting *next;
  uint32_t op, first_member, n_members;
  uint32_t n_arrived, n_left, n_refs;
  bool ready;
  const jm_tensor *inputs[JM_MAX_PARTICIPANTS]; /* by member; NULL: has not arrived */
  const jm_tensor *outputs[JM_MAX_PARTICIPANTS];
} meeting;

struct jm_rendezvous {
  jm_group group;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  uint32_t refs;
  int64_t seconds;
  meeting *open;
  jm_error *failed;
};

static jm_error *exchange(jm_group *group, const jm_exchange *e);

jm_error *jm_rendezvous_create(uint32_t n_participants, jm_rendezvous **out) {
  int64_t seconds;
  JM_TRY(jm_collective_seconds(&seconds));
  jm_rendezvous *r = jm_alloc(1, sizeof *r);
  if (!r) return jm_error_out_of_memory();
  r->group = (jm_group){n_participants, exchange, NULL};
  r->refs = n_participants;
  r->seconds = seconds;
  pthread_mutex_init(&r->lock, NULL);
  pthread_cond_init(&r->changed, NULL);
  *out = r;
  return NULL;
}

void jm_rendezvous_release(jm_rendezvous *r) {
  if (!r) return;
  pthread_mutex_lock(&r->lock);
  bool last = !--r->refs;
  pthread_mutex_unlock(&r->lock);
  if (!last) return;
  jm_error_destroy(r->failed);
  pthread_cond_destroy(&r->changed);
  pthread_mutex_destroy(&r->lock);
  jm_free(r);
}

jm_group *jm_rendezvous_group(jm_rendezvous *r) { return &r->group; }

/* Under the lock. Takes the error. */
static void fail(jm_rendezvous *r, jm_error *error) {
  if (r->failed)
    jm_error_destroy(error);
  else
    r->failed = error;
  pthread_cond_broadcast(&r->changed);
}

void jm_rendezvous_fail(jm_rendezvous *r, uint32_t participant, const jm_error *error) {
  jm_error *copy = jm_error_note(jm_error_clone(error), "in participant %u", participant);
  pthread_mutex_lock(&r->lock);
  fail(r, copy);
  pthread_mutex_unlock(&r->lock);
}

/* Under the lock: the meeting that waits for this group at this op, opened if there is none. */
static meeting *join(jm_rendezvous *r, const jm_exchange *e) {
  for (meeting *m = r->open; m; m = m->next)
    if (m->op == e->op && m->first_member == e->members[0]) return m;
  meeting *m = jm_alloc(1, sizeof *m);
  if (!m) return NULL;
  m->next = r->open;
  m->op = e->op;
  m->first_member = e->members[0];
  m->n_members = e->n_members;
  r->open = m;
  return m;
}

/* Under the lock. */
static void close_meeting(jm_rendezvous *r, const meeting *m) {
  for (meeting **at = &r->open; *at; at = &(*at)->next)
    if (*at == m) {
      *at = m->next;
      return;
    }
}

static jm_error *name_missing(const jm_rendezvous *r, const meeting *m, const jm_exchange *e) {
  jm_text text;
  jm_text_init(&text);
  for (uint32_t i = 0; i < m->n_members; i++)
    if (!m->inputs[i]) jm_text_printf(&text, "%s%u", text.size ? ", " : "", e->members[i]);
  jm_error *error = jm_text_error(&text);
  if (!error)
    error = jm_error_create(JM_DEADLINE_EXCEEDED,
                            "%s: after %lld s (JAX_MPS_COLLECTIVE_TIMEOUT) these of %u participants"
                            " are missing: %.400s",
                            e->name, (long long)r->seconds, m->n_members, jm_text_bytes(&text));
  jm_text_deinit(&text);
  return error;
}

/* Under the lock: until everybody has arrived. An error is the whole group's. */
static void await_arrivals(jm_rendezvous *r, const meeting *m, const jm_exchange *e) {
  struct timespec now, until;
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t deadline = (int64_t)now.tv_sec + r->seconds;
  while (!m->ready && !r->failed) {
    clock_gettime(CLOCK_REALTIME, &now);
    if (e->cancelled && atomic_load(e->cancelled))
      fail(r, jm_error_create(JM_CANCELLED, "the execution was cancelled in %s", e->name));
    else if (now.tv_sec >= deadline)
      fail(r, name_missing(r, m, e));
    if (r->failed) return;
    until = now;
    until.tv_nsec += POLL_NANOSECONDS;
    if (until.tv_nsec >= 1000000000) {
      until.tv_nsec -= 1000000000;
      until.tv_sec++;
    }
    pthread_cond_timedwait(&r->changed, &r->lock, &until);
  }
}

typedef struct visit {
  jm_rendezvous *r;
  const jm_exchange *e;
  jm_error *error;
} visit;

/* Under the lock, which is free meanwhile. Returns when all have taken: until then the others read
 * this member's operands and write its results. What one of them could not make, all of them lack.
 */
static jm_error *take(jm_rendezvous *r, meeting *m, const jm_exchange *e) {
  pthread_mutex_unlock(&r->lock);
  jm_error *error = e->take(e->argument, m->inputs, e->outputs ? m->outputs : NULL);
  pthread_mutex_lock(&r->lock);
  if (error) fail(r, jm_error_clone(error));
  if (++m->n_left == m->n_members) pthread_cond_broadcast(&r->changed);
  while (m->n_left < m->n_members) pthread_cond_wait(&r->changed, &r->lock);
  return error || !r->failed ? error : jm_error_clone(r->failed);
}

/* Under the lock: arrive, take, leave. Waiting for the last member to leave needs no time limit:
 * all members have arrived, and none of them waits for anything else. */
static jm_error *attend(jm_rendezvous *r, const jm_exchange *e) {
  if (r->failed) return jm_error_clone(r->failed);
  meeting *m = join(r, e);
  if (!m) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < m->n_members; i++)
    if (e->members[i] == e->self) {
      m->inputs[i] = e->inputs;
      m->outputs[i] = e->outputs;
    }
  m->n_refs++;
  if (++m->n_arrived == m->n_members) {
    m->ready = true;
    close_meeting(r, m);
    pthread_cond_broadcast(&r->changed);
  }
  const int64_t start = m->ready ? 0 : jm_timeline_begin();
  await_arrivals(r, m, e);
  jm_timeline_end(JM_SPAN_wait_peers, e->device, 0, 0, start);
  jm_error *error = m->ready ? take(r, m, e) : jm_error_clone(r->failed);
  if (!--m->n_refs) {
    if (!m->ready) close_meeting(r, m);
    jm_free(m);
  }
  return error;
}

static void run_visit(void *argument) {
  visit *v = argument;
  pthread_mutex_lock(&v->r->lock);
  v->error = attend(v->r, v->e);
  pthread_mutex_unlock(&v->r->lock);
}

/* A waiting participant occupies no worker. */
static jm_error *exchange(jm_group *group, const jm_exchange *e) {
  visit v = {(jm_rendezvous *)group, e, NULL};
  jm_blocking_run(run_visit, &v);
  return v.error;
}
