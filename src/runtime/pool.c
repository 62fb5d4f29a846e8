/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum { STACK_BYTES = 8 << 20 };

struct jm_pool {
  atomic_int refs; /* the owner and each worker: a worker may outlive jm_pool_destroy by a moment */
  pthread_mutex_t lock;
  pthread_cond_t work;
  jm_job *first, *last;
  uint32_t n_threads, n_started, n_idle, n_queued;
  bool stopped;
  pthread_t threads[];
};

static void release(jm_pool *pool) {
  if (atomic_fetch_sub(&pool->refs, 1) != 1) return;
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->lock);
  jm_free(pool);
}

jm_error *jm_pool_create(uint32_t n_threads, jm_pool **out) {
  jm_pool *pool = jm_alloc(1, sizeof *pool + n_threads * sizeof *pool->threads);
  if (!pool) return jm_error_out_of_memory();
  atomic_init(&pool->refs, 1);
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->work, NULL);
  pool->n_threads = n_threads;
  *out = pool;
  return NULL;
}

static void *work(void *argument) {
  jm_pool *pool = argument;
  pthread_mutex_lock(&pool->lock);
  for (;;) {
    if (!pool->first) {
      if (pool->stopped) break;
      pool->n_idle++;
      pthread_cond_wait(&pool->work, &pool->lock);
      pool->n_idle--;
      continue;
    }
    jm_job *job = pool->first;
    pool->first = job->next;
    if (!pool->first) pool->last = NULL;
    pool->n_queued--;
    pthread_mutex_unlock(&pool->lock);
    job->run(job);
    pthread_mutex_lock(&pool->lock);
  }
  pthread_mutex_unlock(&pool->lock);
  release(pool);
  return NULL;
}

/* Under the lock. Signals are for the program's own threads; a fault of our own is still ours. */
static void start_worker(jm_pool *pool) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes)) return;
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  sigset_t all, before;
  sigfillset(&all);
  const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&all, faults[i]);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  atomic_fetch_add(&pool->refs, 1);
  if (!pthread_create(&pool->threads[pool->n_started], &attributes, work, pool))
    pool->n_started++;
  else
    atomic_fetch_sub(&pool->refs, 1);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
}

void jm_pool_submit(jm_pool *pool, jm_job *job) {
  job->next = NULL;
  pthread_mutex_lock(&pool->lock);
  if (!pool->stopped && pool->n_queued >= pool->n_idle && pool->n_started < pool->n_threads)
    start_worker(pool);
  bool accepted = !pool->stopped && pool->n_started;
  if (accepted) {
    if (pool->last)
      pool->last->next = job;
    else
      pool->first = job;
    pool->last = job;
    pool->n_queued++;
    pthread_cond_signal(&pool->work);
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

static bool is_worker(jm_pool *pool) {
  bool found = false;
  pthread_mutex_lock(&pool->lock);
  for (uint32_t i = 0; i < pool->n_started; i++)
    found |= pthread_equal(pool->threads[i], pthread_self()) != 0;
  pthread_mutex_unlock(&pool->lock);
  return found;
}

void jm_pool_call(jm_pool *pool, void (*run)(void *), void *argument) {
  if (is_worker(pool)) {
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
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
  if (before) return;
  for (uint32_t i = 0; i < pool->n_started; i++)
    if (pthread_equal(pool->threads[i], pthread_self()))
      pthread_detach(pool->threads[i]);
    else
      pthread_join(pool->threads[i], NULL);
}

void jm_pool_destroy(jm_pool *pool) {
  if (pool) release(pool);
}
