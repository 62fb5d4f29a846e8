/* SPDX-License-Identifier: Apache-2.0
 * Workers are addressed one by one: a loop is put into the mailbox of each worker that is wanted.
 * One that waits reads nothing but its own mailbox, so that handing out a loop of microseconds to
 * many cores takes no lock and no turns. Sets of bits say which workers are idle; those with low
 * numbers are wanted first: the others sleep through small loops, and successive loops find the
 * same workers. The ranges of a loop are cut into consecutive parts, one for each worker, which
 * begins with its own: what a loop wrote is read again on the core that has it in its cache.
 *
 * A worker without work, and a caller that waits for ranges that others run, spin briefly before
 * sleeping: successive steps then need not wake the threads. */
#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "base/float_state.h"
#include "base/settings.h"
#include "base/spin.h"
#include "base/thread.h"

enum {
  MAX_THREADS = 256,
  MAX_PARTS = 64, /* of a loop: more threads share them */
  LINE = 64,      /* bytes of a cache's line: what different threads write is that far apart */
  WORD_BITS = 64,
  WAKES = 4, /* at a time: a wake-up takes the waker about two microseconds, and the sleeper tens */
};

typedef struct part {
  _Alignas(LINE) atomic_size_t next; /* the first range that is not taken yet */
  size_t end;
} part;

/* One running loop; lives on its caller's stack. Members, the caller aside, are the workers that
 * have it or will find it in their mailbox; once there are none, only the caller refers to it. */
typedef struct loop {
  jm_parallel_fn *fn;
  void *context;
  size_t n, grain, n_ranges, n_parts;
  _Alignas(LINE) atomic_size_t members;
  atomic_size_t sleepers; /* how many it would still wake */
  part parts[MAX_PARTS];
} loop;

typedef struct worker {
  _Alignas(LINE) _Atomic(loop *) given; /* the mailbox */
  pthread_mutex_t lock;                 /* of a worker that sleeps */
  pthread_cond_t woken;
} worker;

typedef struct set {
  _Alignas(LINE) atomic_uint_least64_t words[MAX_THREADS / WORD_BITS];
} set;

static worker workers[MAX_THREADS];
static set idle;                /* who takes a worker out gives it a loop */
static set awake;               /* a worker takes itself out before it sleeps */
static atomic_size_t n_started; /* workers */
static atomic_bool start_tried;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of starting and of callers' sleep */
static pthread_cond_t all_left = PTHREAD_COND_INITIALIZER;
static atomic_size_t n_waiting; /* callers that sleep until their workers have left */
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

static void set_clear(set *s) {
  for (size_t i = 0; i < MAX_THREADS / WORD_BITS; i++)
    atomic_store_explicit(&s->words[i], 0, memory_order_relaxed);
}

/* A child process has the forking thread alone: its pool starts again at the next loop. */
static void after_fork_child(void) {
  set_clear(&idle);
  set_clear(&awake);
  atomic_store(&n_started, 0);
  atomic_store(&n_waiting, 0);
  atomic_store(&start_tried, false);
  pthread_cond_init(&all_left, NULL);
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

/* -- sets of workers */

static void set_add(set *s, size_t id) {
  atomic_fetch_or(&s->words[id / WORD_BITS], UINT64_C(1) << id % WORD_BITS);
}

static void set_remove(set *s, size_t id) {
  atomic_fetch_and(&s->words[id / WORD_BITS], ~(UINT64_C(1) << id % WORD_BITS));
}

static uint64_t set_word(const set *s, size_t word) {
  return atomic_load_explicit(&s->words[word], memory_order_relaxed);
}

static bool is_any_spinning(void) {
  uint64_t all = 0;
  for (size_t i = 0; i < MAX_THREADS / WORD_BITS; i++)
    all |= set_word(&idle, i) & set_word(&awake, i);
  return all;
}

static size_t count_bits(uint64_t bits) { return (size_t)__builtin_popcountll(bits); }

static worker *first_worker(size_t word, uint64_t bits) {
  return &workers[word * WORD_BITS + (size_t)__builtin_ctzll(bits)];
}

static uint64_t first_bits(uint64_t bits, size_t most) {
  uint64_t first = 0;
  for (; bits && most; most--, bits &= bits - 1) first |= bits & -bits;
  return first;
}

/* -- giving loops to workers */

static void wake(worker *w) {
  pthread_mutex_lock(&w->lock);
  pthread_cond_signal(&w->woken);
  pthread_mutex_unlock(&w->lock);
}

/* To workers of one word that were taken out of the idle ones. One that is about to sleep changes
 * the same word of `awake` before it looks into its mailbox once more: it finds the loop, or is
 * seen asleep here. */
static void give(loop *l, size_t word, uint64_t taken) {
  for (uint64_t left = taken; left; left &= left - 1)
    atomic_store_explicit(&first_worker(word, left)->given, l, memory_order_release);
  uint64_t asleep = taken & ~atomic_fetch_or(&awake.words[word], 0);
  for (; asleep; asleep &= asleep - 1) wake(first_worker(word, asleep));
}

/* Gives the loop to at most so many idle workers, or only to such that spin; returns to how many.
 * By the loop's caller, or by a member. */
static size_t recruit(loop *l, bool spinning, size_t most) {
  size_t n = 0;
  for (size_t word = 0; word < MAX_THREADS / WORD_BITS && n < most; word++) {
    uint64_t wanted = set_word(&idle, word);
    if (spinning) wanted &= set_word(&awake, word);
    wanted = first_bits(wanted, most - n);
    if (!wanted) continue;
    const uint64_t taken = atomic_fetch_and(&idle.words[word], ~wanted) & wanted;
    const size_t count = count_bits(taken);
    atomic_fetch_add_explicit(&l->members, count, memory_order_relaxed);
    give(l, word, taken);
    n += count;
  }
  return n;
}

/* Wakes a few workers, and those wake others: a short loop is done before many are awake. */
static void wake_some(loop *l) {
  size_t wanted = atomic_load_explicit(&l->sleepers, memory_order_relaxed);
  if (!wanted) return;
  const size_t n = wanted < WAKES ? wanted : WAKES;
  if (atomic_compare_exchange_strong(&l->sleepers, &wanted, wanted - n)) recruit(l, false, n);
}

/* Takes the loop back from workers that have not seen it yet: they may be long in coming. */
static void retract(loop *l) {
  size_t n = 0;
  const size_t started = atomic_load_explicit(&n_started, memory_order_relaxed);
  for (size_t id = 0; id < started; id++) {
    worker *w = &workers[id];
    loop *given = l;
    if (atomic_load_explicit(&w->given, memory_order_relaxed) != l ||
        !atomic_compare_exchange_strong(&w->given, &given, NULL))
      continue;
    set_add(&idle, id);
    n++;
  }
  atomic_fetch_sub(&l->members, n);
}

/* -- running a loop */

static bool take_range(part *p, size_t *range) {
  if (atomic_load_explicit(&p->next, memory_order_relaxed) >= p->end) return false;
  *range = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
  return *range < p->end;
}

static void run_range(const loop *l, size_t range) {
  const size_t begin = range * l->grain, left = l->n - begin;
  l->fn(l->context, begin, begin + (left < l->grain ? left : l->grain));
}

static void run_part(loop *l, part *p) {
  for (size_t range; take_range(p, &range);) {
    wake_some(l);
    if (range + 1 < p->end && is_any_spinning()) recruit(l, true, p->end - range - 1);
    run_range(l, range);
  }
}

static void run_parts(loop *l, size_t first) {
  for (size_t i = 0; i < l->n_parts; i++) run_part(l, &l->parts[(first + i) % l->n_parts]);
}

/* -- workers */

static bool is_given(const void *context) {
  const worker *w = context;
  return atomic_load_explicit(&w->given, memory_order_relaxed);
}

static loop *take_given(worker *w) {
  return atomic_exchange_explicit(&w->given, NULL, memory_order_acquire);
}

/* It may also be woken for a loop that is over. */
static void sleep_until_given(worker *w, size_t id) {
  set_remove(&awake, id);
  pthread_mutex_lock(&w->lock);
  if (!is_given(w)) pthread_cond_wait(&w->woken, &w->lock);
  pthread_mutex_unlock(&w->lock);
  set_add(&awake, id);
}

static loop *wait_for_loop(worker *w, size_t id) {
  for (;;) {
    if (!jm_spin_wait(is_given, w)) sleep_until_given(w, id);
    loop *l = take_given(w);
    if (l) return l;
  }
}

static void leave(loop *l) {
  if (atomic_fetch_sub(&l->members, 1) != 1 || !atomic_load(&n_waiting)) return;
  pthread_mutex_lock(&lock);
  pthread_cond_broadcast(&all_left);
  pthread_mutex_unlock(&lock);
}

static void *work(void *argument) {
  worker *w = argument;
  const size_t id = (size_t)(w - workers);
  (void)jm_float_state_enter(); /* else the mode is that of the thread that started this one */
  for (;;) {
    loop *l = wait_for_loop(w, id);
    run_parts(l, id + 1);
    set_add(&idle, id); /* first: the caller's next loop finds all who worked on this one */
    leave(l);
  }
  return NULL;
}

static bool start_worker(size_t id) {
  worker *w = &workers[id];
  atomic_init(&w->given, NULL);
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->woken, NULL);
  set_add(&awake, id);
  pthread_t thread;
  if (!jm_thread_start(work, w, &thread)) return false;
  pthread_detach(thread);
  atomic_store(&n_started, id + 1);
  set_add(&idle, id);
  return true;
}

/* A thread that cannot be started is no error: fewer work. */
static void start_workers(void) {
  if (atomic_load(&start_tried)) return;
  pthread_mutex_lock(&lock);
  if (!atomic_load(&start_tried)) {
    for (size_t id = 0; id + 1 < n_threads && start_worker(id);) id++;
    atomic_store(&start_tried, true);
  }
  pthread_mutex_unlock(&lock);
}

/* -- callers */

static bool have_all_left(const void *context) {
  const loop *l = context;
  return !atomic_load(&l->members);
}

static void wait_until_all_left(loop *l) {
  while (!have_all_left(l)) {
    retract(l);
    if (jm_spin_wait(have_all_left, l)) break;
    pthread_mutex_lock(&lock);
    atomic_fetch_add(&n_waiting, 1);
    while (!have_all_left(l)) pthread_cond_wait(&all_left, &lock);
    atomic_fetch_sub(&n_waiting, 1);
    pthread_mutex_unlock(&lock);
  }
}

static void loop_init(loop *l, size_t n, size_t grain, jm_parallel_fn *fn, void *context) {
  l->fn = fn;
  l->context = context;
  l->n = n;
  l->grain = grain ? grain : 1;
  l->n_ranges = n / l->grain + (n % l->grain != 0);
}

static void run_alone(const loop *l) {
  for (size_t range = 0; range < l->n_ranges; range++) run_range(l, range);
}

static void run_shared(loop *l, bool wakes) {
  start_workers();
  const size_t most = n_threads < MAX_PARTS ? n_threads : MAX_PARTS;
  l->n_parts = l->n_ranges < most ? l->n_ranges : most;
  const size_t each = l->n_ranges / l->n_parts, more = l->n_ranges % l->n_parts;
  for (size_t i = 0, begin = 0; i < l->n_parts; i++) {
    atomic_init(&l->parts[i].next, begin);
    l->parts[i].end = begin += each + (i < more);
  }
  atomic_init(&l->members, 0);
  atomic_init(&l->sleepers, 0);
  const size_t wanted = l->n_ranges < n_threads ? l->n_ranges - 1 : n_threads - 1;
  const size_t n = recruit(l, true, wanted);
  if (wakes) atomic_store_explicit(&l->sleepers, wanted - n, memory_order_relaxed);
  run_parts(l, 0);
  wait_until_all_left(l);
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
  loop l;
  loop_init(&l, n, grain, fn, context);
  if (is_alone || jm_parallel_threads() == 1)
    run_alone(&l);
  else
    run_shared(&l, true);
}

void jm_parallel_share(size_t n, size_t grain, jm_parallel_fn *fn, void *context) {
  if (run_single(n, grain, fn, context)) return;
  loop l;
  loop_init(&l, n, grain, fn, context);
  if (is_alone || !is_any_spinning())
    run_alone(&l);
  else
    run_shared(&l, false);
}
