/* SPDX-License-Identifier: Apache-2.0 */
#include "base/callback.h"

#include <pthread.h>

#include "base/blocking.h"
#include "runtime/pool.h"
#include "unit/check.h"

static int add(int64_t id, int64_t n_in, const jm_callback_array *in, int64_t n_out,
               const jm_callback_array *out, char *error, size_t size) {
  if (id == 7) {
    snprintf(error, size, "seven is refused");
    return 0;
  }
  float sum = (float)id;
  for (int64_t i = 0; i < n_in; i++) sum += *(const float *)in[i].data;
  for (int64_t i = 0; i < n_out; i++) *(float *)out[i].data = sum;
  return JM_CALLBACK_DONE;
}

static void test_call(void) {
  float x = 1, y = 2, sum = 0;
  const jm_callback_array in[2] = {{&x, sizeof x}, {&y, sizeof y}}, out = {&sum, sizeof sum};
  CHECK_FAILS(jm_callback_call(5, 2, in, 1, &out), JM_FAILED_PRECONDITION, "nobody registered");
  jm_callback_open(add);
  CHECK_OK(jm_callback_call(5, 2, in, 1, &out));
  CHECK(sum == 8);
  CHECK_FAILS(jm_callback_call(7, 2, in, 1, &out), JM_INTERNAL, "seven is refused");
  jm_callback_close();
  CHECK_FAILS(jm_callback_call(5, 2, in, 1, &out), JM_CANCELLED, "is ending");
  jm_callback_open(add);
  CHECK_OK(jm_callback_call(5, 2, in, 1, &out));
}

static void test_claims(void) {
  for (int64_t id = 0; id < 100; id++) CHECK_OK(jm_callback_hold(id));
  CHECK_OK(jm_callback_hold(3));
  CHECK(jm_callback_take_dead() == -1);
  jm_callback_release(3);
  CHECK(jm_callback_take_dead() == -1);
  jm_callback_release(3);
  CHECK_OK(jm_callback_hold(3)); /* dead, not yet told, and held again */
  CHECK(jm_callback_take_dead() == -1);
  for (int64_t id = 0; id < 100; id++) jm_callback_release(id);
  jm_callback_release(3); /* one too many: harmless */
  bool told[100] = {false};
  for (int i = 0; i < 100; i++) {
    int64_t id = jm_callback_take_dead();
    CHECK(id >= 0 && id < 100 && !told[id]);
    if (id >= 0 && id < 100) told[id] = true;
  }
  CHECK(jm_callback_take_dead() == -1);
}

static void test_await(void) {
  CHECK(!jm_callback_take_await());
  jm_callback_await_next();
  CHECK(jm_callback_take_await());
  CHECK(!jm_callback_take_await());
}

/* Jobs of which each blocks until the next one has run: more than there are workers. */
enum { CHAIN = 20 };

typedef struct chain {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  jm_pool *pool;
  int n_done;
  bool same_thread; /* so far */
  pthread_t first;
} chain;

typedef struct link {
  jm_job job;
  chain *chain;
  int index;
} link;

static void wait_for_next(void *argument) {
  link *l = argument;
  chain *c = l->chain;
  jm_pool_submit(c->pool, &l[1].job);
  pthread_mutex_lock(&c->lock);
  while (c->n_done < CHAIN - l[1].index) pthread_cond_wait(&c->changed, &c->lock);
  pthread_mutex_unlock(&c->lock);
}

static void run_link(jm_job *job) {
  link *l = (link *)job;
  chain *c = l->chain;
  pthread_mutex_lock(&c->lock);
  if (!l->index) c->first = pthread_self();
  c->same_thread &= pthread_equal(c->first, pthread_self()) != 0;
  pthread_mutex_unlock(&c->lock);
  if (l->index + 1 < CHAIN) jm_blocking_run(wait_for_next, l);
  pthread_mutex_lock(&c->lock);
  c->n_done++;
  pthread_cond_broadcast(&c->changed);
  pthread_mutex_unlock(&c->lock);
}

static void run_chain(jm_pool *pool, bool same_thread) {
  chain c = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, pool, 0, true, pthread_self()};
  link links[CHAIN] = {0};
  for (int i = 0; i < CHAIN; i++) links[i] = (link){{NULL, run_link}, &c, i};
  jm_pool_submit(pool, &links[0].job);
  pthread_mutex_lock(&c.lock);
  while (c.n_done < CHAIN) pthread_cond_wait(&c.changed, &c.lock);
  CHECK(c.same_thread == same_thread);
  pthread_mutex_unlock(&c.lock);
  jm_pool_shutdown(pool);
  jm_pool_destroy(pool);
}

static void test_blocking(void) {
  jm_pool *pool = NULL;
  CHECK_OK(jm_pool_create(2, &pool));
  if (pool) run_chain(pool, false);
  CHECK_OK(jm_pool_create_owner(&pool));
  if (pool) run_chain(pool, true);
}

TEST_MAIN(test_call, test_claims, test_await, test_blocking)
