/* SPDX-License-Identifier: Apache-2.0
 * A worker without work, and a caller that waits for ranges that others run, spin briefly before
 * sleeping: successive steps then need not wake the threads. */
#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/float_state.h"
#include "base/settings.h"
#include "base/spin.h"
#include "base/thread.h"

enum { MAX_THREADS = 256 };

/* One running loop; lives on its caller's stack. It is linked, and `workers` changes, under the
 * lock; once it is unlinked and has no workers, only the caller refers to it. */
typedef struct loop loop;
struct loop {
  jm_parallel_fn *fn;
  void *context;
  size_t n, grain, n_ranges;
  atomic_size_t next;    /* the first range that is not taken yet */
  atomic_size_t workers; /* pool threads that run ranges of it */
  loop *next_loop;
};

/* Held for a few instructions at a time: trying again is cheaper than sleeping. */
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
static pthread_mutex_t lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
#else
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
#endif
static pthread_cond_t work_arrived = PTHREAD_COND_INITIALIZER;
static pthread_cond_t worker_left = PTHREAD_COND_INITIALIZER;
static loop *loops; /* those that may have ranges left; newest first: nested loops end sooner */
static size_t n_started;        /* threads */
static atomic_size_t n_invited; /* workers that loops still want; grows under the lock. One that
                                   spins takes the lock only if it is invited: all of them at once
                                   would make a short loop's caller wait for the lock behind them */
static atomic_size_t n_looking; /* those that spin without work; changes under the lock */
static bool start_tried;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static size_t n_threads = 1;
static _Thread_local bool is_alone;

static size_t count_cores(void) {
#ifdef __linux__
  cpu_set_t set;
  if (!sched_getaffinity(0, sizeof set, &set)) return (size_t)CPU_COUNT(&set);
#endif
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  return cores > 0 ? (size_t)cores : 1;
}

static void before_fork(void) { pthread_mutex_lock(&lock); }
static void after_fork_parent(void) { pthread_mutex_unlock(&lock); }

/* A child process has the forking thread alone: its pool starts again at the next loop. */
static void after_fork_child(void) {
  loops = NULL;
  n_started = 0;
  atomic_store_explicit(&n_looking, 0, memory_order_relaxed);
  atomic_store_explicit(&n_invited, 0, memory_order_relaxed);
  start_tried = false;
  pthread_cond_init(&work_arrived, NULL);
  pthread_cond_init(&worker_left, NULL);
  pthread_mutex_unlock(&lock);
}

static void prepare(void) {
  int64_t number = 0;
  jm_error *error = jm_setting_read_number(JM_SETTING_NUM_THREADS, 1, MAX_THREADS, 0, &number);
  /* A malformed setting is reported where the client is created; here the default is used. */
  if (error) number = 0;
  jm_error_destroy(error);
  n_threads = number ? (size_t)number : count_cores();
  if (n_threads > MAX_THREADS) n_threads = MAX_THREADS;
  pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

size_t jm_parallel_threads(void) {
  pthread_once(&once, prepare);
  return n_threads;
}

static void run_ranges(loop *l) {
  for (;;) {
    size_t range = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);
    if (range >= l->n_ranges) return;
    size_t begin = range * l->grain, left = l->n - begin;
    l->fn(l->context, begin, begin + (left < l->grain ? left : l->grain));
  }
}

static loop *find_loop(void) {
  for (loop *l = loops; l; l = l->next_loop)
    if (atomic_load_explicit(&l->next, memory_order_relaxed) < l->n_ranges) return l;
  return NULL;
}

/* Takes one invitation, if there is any. */
static bool is_invited(const void *unused) {
  (void)unused;
  size_t n = atomic_load_explicit(&n_invited, memory_order_relaxed);
  while (n)
    if (atomic_compare_exchange_weak_explicit(&n_invited, &n, n - 1, memory_order_acquire,
                                              memory_order_relaxed))
      return true;
  return false;
}

/* Under the lock: waits for a loop, spinning first. */
static void wait_for_loop(void) {
  atomic_fetch_add_explicit(&n_looking, 1, memory_order_relaxed);
  pthread_mutex_unlock(&lock);
  bool invited = jm_spin_wait(is_invited, NULL);
  pthread_mutex_lock(&lock);
  atomic_fetch_sub_explicit(&n_looking, 1, memory_order_relaxed);
  if (invited || find_loop()) return;
  pthread_cond_wait(&work_arrived, &lock);
  (void)is_invited(NULL);
}

static void *work(void *unused) {
  (void)unused;
  (void)jm_float_state_enter(); /* else the mode is that of the thread that started this one */
  pthread_mutex_lock(&lock);
  for (;;) {
    loop *l = find_loop();
    if (!l) {
      wait_for_loop();
      continue;
    }
    atomic_fetch_add_explicit(&l->workers, 1, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    run_ranges(l);
    pthread_mutex_lock(&lock);
    atomic_fetch_sub_explicit(&l->workers, 1, memory_order_release);
    pthread_cond_broadcast(&worker_left);
  }
  return NULL;
}

/* Under the lock. A thread that cannot be started is no error: fewer work. */
static void start_workers(void) {
  start_tried = true;
  for (pthread_t thread; n_started + 1 < n_threads; n_started++) {
    if (!jm_thread_start(work, NULL, &thread)) break;
    pthread_detach(thread);
  }
}

static loop loop_of(size_t n, size_t grain, jm_parallel_fn *fn, void *context) {
  if (!grain) grain = 1;
  loop l = {.fn = fn, .context = context, .n = n, .grain = grain};
  l.n_ranges = n / grain + (n % grain != 0);
  return l;
}

static size_t count_looking(void) { return atomic_load_explicit(&n_looking, memory_order_relaxed); }

/* Under the lock. */
static void invite(size_t wanted) {
  size_t n = atomic_load_explicit(&n_invited, memory_order_relaxed) + wanted;
  atomic_store_explicit(&n_invited, n < n_started ? n : n_started, memory_order_release);
}

static void run_shared(loop *l, bool wakes) {
  pthread_mutex_lock(&lock);
  if (!start_tried) start_workers();
  l->next_loop = loops;
  loops = l;
  size_t wanted = l->n_ranges - 1 < n_started ? l->n_ranges - 1 : n_started;
  invite(wanted);
  for (size_t i = count_looking(); wakes && i < wanted; i++) pthread_cond_signal(&work_arrived);
  pthread_mutex_unlock(&lock);
  run_ranges(l);
  pthread_mutex_lock(&lock);
  loop **link = &loops;
  while (*link != l) link = &(*link)->next_loop;
  *link = l->next_loop;
  if (!loops) atomic_store_explicit(&n_invited, 0, memory_order_relaxed);
  for (size_t left; (left = atomic_load_explicit(&l->workers, memory_order_acquire));) {
    pthread_mutex_unlock(&lock);
    bool fewer = jm_spin_change(&l->workers, left);
    pthread_mutex_lock(&lock);
    if (!fewer && atomic_load_explicit(&l->workers, memory_order_acquire) == left)
      pthread_cond_wait(&worker_left, &lock);
  }
  pthread_mutex_unlock(&lock);
}

/* Many calls are of a single range: it needs none of the bookkeeping. */
static bool run_single(size_t n, size_t grain, jm_parallel_fn *fn, void *context) {
  if (n > 1 && n > grain) return false;
  if (n) fn(context, 0, n);
  return true;
}

bool jm_parallel_alone(bool alone) {
  const bool before = is_alone;
  is_alone = alone;
  return before;
}

void jm_parallel_for(size_t n, size_t grain, jm_parallel_fn *fn, void *context) {
  if (run_single(n, grain, fn, context)) return;
  loop l = loop_of(n, grain, fn, context);
  if (is_alone || jm_parallel_threads() == 1)
    run_ranges(&l);
  else
    run_shared(&l, true);
}

void jm_parallel_share(size_t n, size_t grain, jm_parallel_fn *fn, void *context) {
  if (run_single(n, grain, fn, context)) return;
  loop l = loop_of(n, grain, fn, context);
  if (is_alone || !count_looking())
    run_ranges(&l);
  else
    run_shared(&l, false);
}
