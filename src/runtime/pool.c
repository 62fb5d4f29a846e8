/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/blocking.h"
#include "base/spin.h"
#include "base/thread.h"

typedef struct worker {
  struct worker *next;
  pthread_t thread;
} worker;

struct jm_pool {
  atomic_int refs; /* the owner and each worker: a worker may outlive jm_pool_destroy by a moment */
  pthread_mutex_t lock;
  pthread_cond_t work;
  jm_job *first, *last;
  atomic_size_t news; /* changes when there may be work for an idle worker */
  uint32_t n_threads, n_started, n_idle, n_queued;
  uint32_t n_blocked; /* workers blocked in a job, replaced by additional ones */
  bool stopped;
  jm_pool_between *between; /* NULL: nothing */
  void *between_context;
  bool owner; /* its single thread owns an engine: blocking calls run on other threads */
  jm_blocker blocker;
  worker *workers;
};

static _Thread_local jm_pool *own; /* the pool whose worker this thread is */

static void release(jm_pool *pool) {
  if (atomic_fetch_sub(&pool->refs, 1) != 1) return;
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->lock);
  while (pool->workers) {
    worker *next = pool->workers->next;
    jm_free(pool->workers);
    pool->workers = next;
  }
  jm_free(pool);
}

static void block(jm_blocker *blocker, jm_blocking_fn *function, void *argument);

jm_error *jm_pool_create(uint32_t n_threads, jm_pool **out) {
  jm_pool *pool = jm_alloc(1, sizeof *pool);
  if (!pool) return jm_error_out_of_memory();
  atomic_init(&pool->refs, 1);
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->work, NULL);
  pool->n_threads = n_threads;
  pool->blocker.run = block;
  *out = pool;
  return NULL;
}

jm_error *jm_pool_create_owner(jm_pool **out) {
  JM_TRY(jm_pool_create(1, out));
  (*out)->owner = true;
  return NULL;
}

void jm_pool_set_between(jm_pool *pool, jm_pool_between *between, void *context) {
  pthread_mutex_lock(&pool->lock);
  pool->between = between;
  pool->between_context = context;
  pthread_mutex_unlock(&pool->lock);
}

bool jm_pool_is_here(const jm_pool *pool) { return own == pool; }

/* Under the lock: waits for a job, or the end; spins first. */
static void rest(jm_pool *pool) {
  const size_t seen = atomic_load_explicit(&pool->news, memory_order_relaxed);
  pool->n_idle++;
  pthread_mutex_unlock(&pool->lock);
  jm_spin_change(&pool->news, seen);
  pthread_mutex_lock(&pool->lock);
  if (atomic_load_explicit(&pool->news, memory_order_acquire) == seen)
    pthread_cond_wait(&pool->work, &pool->lock);
  pool->n_idle--;
}

/* Under the lock: notifies workers, both spinning and sleeping ones. */
static void tell(jm_pool *pool, bool all) {
  atomic_fetch_add_explicit(&pool->news, 1, memory_order_release);
  if (all)
    pthread_cond_broadcast(&pool->work);
  else
    pthread_cond_signal(&pool->work);
}

/* Called under the lock, which is released while the job runs. */
static bool run_between(jm_pool *pool, bool is_idle) {
  if (!pool->between) return false;
  pthread_mutex_unlock(&pool->lock);
  bool again = pool->between(pool->between_context, is_idle);
  pthread_mutex_lock(&pool->lock);
  return again;
}

/* Under the lock: runs jobs until *done; NULL: until the pool is stopped and there are no more. */
static void run_jobs(jm_pool *pool, const bool *done) {
  while (!done || !*done) {
    if (!pool->first) {
      if (run_between(pool, true)) continue;
      if (pool->first || (done && *done)) continue; /* came meanwhile */
      if (pool->stopped && !done) break;
      rest(pool);
      continue;
    }
    jm_job *job = pool->first;
    pool->first = job->next;
    if (!pool->first) pool->last = NULL;
    pool->n_queued--;
    pthread_mutex_unlock(&pool->lock);
    job->run(job);
    pthread_mutex_lock(&pool->lock);
    if (pool->first) run_between(pool, false);
  }
}

static void *work(void *argument) {
  jm_pool *pool = argument;
  own = pool;
  jm_blocker_set(&pool->blocker);
  pthread_mutex_lock(&pool->lock);
  run_jobs(pool, NULL);
  pthread_mutex_unlock(&pool->lock);
  release(pool);
  return NULL;
}

/* Under the lock: one more worker, if there are jobs that nobody waits for. */
static void start_worker(jm_pool *pool) {
  if (pool->stopped || pool->n_queued <= pool->n_idle ||
      pool->n_started - pool->n_blocked >= pool->n_threads)
    return;
  worker *fresh = jm_alloc(1, sizeof *fresh);
  if (!fresh) return;
  atomic_fetch_add(&pool->refs, 1);
  if (!jm_thread_start(work, pool, &fresh->thread)) {
    atomic_fetch_sub(&pool->refs, 1);
    jm_free(fresh);
    return;
  }
  fresh->next = pool->workers;
  pool->workers = fresh;
  pool->n_started++;
}

void jm_pool_submit(jm_pool *pool, jm_job *job) {
  job->next = NULL;
  pthread_mutex_lock(&pool->lock);
  pool->n_queued++; /* for now: the job may be the first */
  start_worker(pool);
  pool->n_queued--;
  bool accepted = !pool->stopped && pool->n_started;
  if (accepted) {
    if (pool->last)
      pool->last->next = job;
    else
      pool->first = job;
    pool->last = job;
    pool->n_queued++;
    tell(pool, false);
  }
  pthread_mutex_unlock(&pool->lock);
  if (!accepted) job->run(job);
}

typedef struct call {
  jm_job job;
  void (*run)(void *argument);
  void *argument;
  pthread_mutex_t lock;
  pthread_cond_t returned;
  bool done;
} call;

static void call_run(jm_job *job) {
  call *c = (call *)job;
  c->run(c->argument);
  pthread_mutex_lock(&c->lock);
  c->done = true;
  pthread_cond_signal(&c->returned); /* under the lock: the caller's stack frame holds both */
  pthread_mutex_unlock(&c->lock);
}

/* -- what blocks */

typedef struct blocked {
  jm_pool *pool;
  jm_blocking_fn *function;
  void *argument;
  bool done;
} blocked;

static void *run_blocked(void *argument) {
  blocked *b = argument;
  b->function(b->argument);
  pthread_mutex_lock(&b->pool->lock);
  b->done = true;
  tell(b->pool, true);
  pthread_mutex_unlock(&b->pool->lock);
  return NULL;
}

/* Called on a worker. In a pool of many, the worker blocks and another one may replace it. The only
 * thread of an engine can't be replaced: it continues with the queue, one job nested in the other,
 * while the call blocks on another thread. */
static void block(jm_blocker *blocker, jm_blocking_fn *function, void *argument) {
  jm_pool *pool = (jm_pool *)((char *)blocker - offsetof(jm_pool, blocker));
  blocked b = {pool, function, argument, false};
  pthread_t thread;
  bool elsewhere = pool->owner && jm_thread_start(run_blocked, &b, &thread);
  pthread_mutex_lock(&pool->lock);
  if (elsewhere) {
    run_jobs(pool, &b.done);
    pthread_mutex_unlock(&pool->lock);
    pthread_join(thread, NULL);
    return;
  }
  pool->n_blocked += !pool->owner;
  start_worker(pool);
  pthread_mutex_unlock(&pool->lock);
  function(argument);
  pthread_mutex_lock(&pool->lock);
  pool->n_blocked -= !pool->owner;
  pthread_mutex_unlock(&pool->lock);
}

void jm_pool_call(jm_pool *pool, void (*run)(void *), void *argument) {
  if (own == pool) {
    run(argument);
    return;
  }
  call c = {.job = {.run = call_run}, .run = run, .argument = argument};
  pthread_mutex_init(&c.lock, NULL);
  pthread_cond_init(&c.returned, NULL);
  jm_pool_submit(pool, &c.job);
  pthread_mutex_lock(&c.lock);
  while (!c.done) pthread_cond_wait(&c.returned, &c.lock);
  pthread_mutex_unlock(&c.lock);
  pthread_cond_destroy(&c.returned);
  pthread_mutex_destroy(&c.lock);
}

void jm_pool_shutdown(jm_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  bool before = pool->stopped;
  pool->stopped = true;
  tell(pool, true);
  pthread_mutex_unlock(&pool->lock);
  if (before) return;
  for (worker *w = pool->workers; w; w = w->next)
    if (pthread_equal(w->thread, pthread_self()))
      pthread_detach(w->thread);
    else
      pthread_join(w->thread, NULL);
}

void jm_pool_destroy(jm_pool *pool) {
  if (pool) release(pool);
}
