/* SPDX-License-Identifier: Apache-2.0 */
#include "base/callback.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/blocking.h"

enum { TEXT_BYTES = 1 << 14, CLOSING_SECONDS = 10 };

typedef struct claim {
  int64_t id, count; /* count 0: released, and not yet reported */
} claim;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static jm_callback_fn *registered; /* NULL: closed */
static bool closed;
static uint32_t n_running;
static claim *claims; /* a few per program: searched from the end */
static size_t n_claims, capacity, n_dead;

/* -- calls */

void jm_callback_open(jm_callback_fn *function) {
  pthread_mutex_lock(&lock);
  registered = function;
  closed = false;
  pthread_mutex_unlock(&lock);
}

void jm_callback_close(void) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += CLOSING_SECONDS; /* a callback that never ends must not keep a process alive */
  pthread_mutex_lock(&lock);
  registered = NULL;
  closed = true;
  while (n_running && !pthread_cond_timedwait(&ended, &lock, &until)) continue;
  pthread_mutex_unlock(&lock);
}

typedef struct call {
  int64_t id, n_in, n_out;
  const jm_callback_array *in, *out;
  char *text;
  jm_error *error;
} call;

static jm_error *enter(jm_callback_fn **function) {
  pthread_mutex_lock(&lock);
  *function = registered;
  if (registered) n_running++;
  bool was_closed = closed;
  pthread_mutex_unlock(&lock);
  if (*function) return NULL;
  return was_closed
             ? jm_error_create(JM_CANCELLED, "the process that would run a callback is ending")
             : jm_error_create(JM_FAILED_PRECONDITION,
                               "the program calls back, and nobody registered for that");
}

static void leave(void) {
  pthread_mutex_lock(&lock);
  if (!--n_running) pthread_cond_broadcast(&ended);
  pthread_mutex_unlock(&lock);
}

static void run(void *argument) {
  call *c = argument;
  jm_callback_fn *function;
  c->error = enter(&function);
  if (c->error) return;
  int result = function(c->id, c->n_in, c->in, c->n_out, c->out, c->text, TEXT_BYTES);
  leave();
  if (result == JM_CALLBACK_DONE) return;
  c->text[TEXT_BYTES - 1] = 0;
  c->error = jm_error_create(JM_INTERNAL, "a callback failed: %s", c->text);
}

jm_error *jm_callback_call(int64_t id, int64_t n_in, const jm_callback_array *in, int64_t n_out,
                           const jm_callback_array *out) {
  call c = {id, n_in, n_out, in, out, jm_alloc(TEXT_BYTES, 1), NULL};
  if (!c.text) return jm_error_out_of_memory();
  jm_blocking_run(run, &c);
  jm_free(c.text);
  return c.error;
}

/* -- claims */

static claim *find(int64_t id) {
  for (size_t i = n_claims; i > 0; i--)
    if (claims[i - 1].id == id) return &claims[i - 1];
  return NULL;
}

static claim *add(int64_t id) {
  if (n_claims == capacity) {
    size_t wanted = capacity ? 2 * capacity : 16;
    claim *grown = jm_alloc(wanted, sizeof *grown);
    if (!grown) return NULL;
    if (n_claims) memcpy(grown, claims, n_claims * sizeof *grown);
    jm_free(claims);
    claims = grown;
    capacity = wanted;
  }
  claims[n_claims] = (claim){id, 0};
  return &claims[n_claims++];
}

jm_error *jm_callback_hold(int64_t id) {
  pthread_mutex_lock(&lock);
  claim *found = find(id);
  if (found && !found->count) n_dead--;
  if (!found) found = add(id);
  if (found) found->count++;
  pthread_mutex_unlock(&lock);
  return found ? NULL : jm_error_out_of_memory();
}

void jm_callback_release(int64_t id) {
  pthread_mutex_lock(&lock);
  claim *found = find(id);
  if (found && found->count && !--found->count) n_dead++;
  pthread_mutex_unlock(&lock);
}

int64_t jm_callback_take_dead(void) {
  int64_t id = -1;
  pthread_mutex_lock(&lock);
  for (size_t i = n_claims; n_dead && id < 0 && i > 0; i--) {
    if (claims[i - 1].count) continue;
    id = claims[i - 1].id;
    claims[i - 1] = claims[--n_claims];
    n_dead--;
  }
  pthread_mutex_unlock(&lock);
  return id;
}

/* -- waiting */

static _Thread_local bool awaits;

void jm_callback_await_next(void) { awaits = true; }

bool jm_callback_take_await(void) {
  bool wanted = awaits;
  awaits = false;
  return wanted;
}
