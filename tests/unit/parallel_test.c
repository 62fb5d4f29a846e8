/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit/check.h"

static void mark(void *context, size_t begin, size_t end) {
  unsigned char *seen = context;
  for (size_t i = begin; i < end; i++) seen[i]++;
}

typedef void parallel_fn(size_t n, size_t grain, jm_parallel_fn *fn, void *context);

static void check_cover(parallel_fn *run, size_t n, size_t grain) {
  unsigned char seen[5000] = {0};
  run(n, grain, mark, seen);
  bool right = true;
  for (size_t i = 0; i < sizeof seen; i++) right &= seen[i] == (i < n);
  CHECK(right);
}

static void test_cover(void) {
  for (size_t n = 0; n < 40; n++)
    for (size_t grain = 0; grain < 10; grain++) {
      check_cover(jm_parallel_for, n, grain);
      check_cover(jm_parallel_share, n, grain);
    }
  for (int i = 0; i < 200; i++) check_cover(i % 2 ? jm_parallel_share : jm_parallel_for, 4999, 7);
}

typedef struct nest {
  atomic_size_t sum;
} nest;

static void inner(void *context, size_t begin, size_t end) {
  nest *n = context;
  atomic_fetch_add(&n->sum, end - begin);
}

static void outer(void *context, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i++)
    (i % 2 ? jm_parallel_share : jm_parallel_for)(100, 3, inner, context);
}

static void *nested(void *context) {
  nest *n = context;
  for (int i = 0; i < 50; i++) jm_parallel_for(20, 1, outer, n);
  return NULL;
}

static void test_nested_and_concurrent(void) {
  enum { THREADS = 4 };
  nest nests[THREADS];
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) {
    atomic_init(&nests[i].sum, 0);
    CHECK(!pthread_create(&threads[i], NULL, nested, &nests[i]));
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    CHECK(atomic_load(&nests[i].sum) == 50 * 20 * 100);
  }
}

/* Both ranges at once, or not within seconds. */
static void meet(void *context, size_t begin, size_t end) {
  nest *n = context;
  atomic_fetch_add(&n->sum, end - begin);
  for (int i = 0; i < 50000 && atomic_load(&n->sum) < 2; i++) usleep(100);
}

/* Workers that have just been busy, that are about to sleep and that sleep: all come at once. */
static void test_wake(void) {
  if (jm_parallel_threads() < 2) return;
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  for (useconds_t i = 0; i < 60; i++) {
    nest n;
    atomic_init(&n.sum, 0);
    usleep(i == 59 ? 20000 : i % 20 * 10);
    jm_parallel_for(2, 1, meet, &n);
    CHECK(atomic_load(&n.sum) == 2);
  }
  clock_gettime(CLOCK_MONOTONIC, &after);
  CHECK(after.tv_sec - before.tv_sec < 4);
}

typedef struct crowd {
  atomic_size_t arrived;
  size_t n;
} crowd;

static void arrive(void *context, size_t begin, size_t end) {
  crowd *c = context;
  atomic_fetch_add(&c->arrived, end - begin);
  for (int i = 0; i < 50000 && atomic_load(&c->arrived) < c->n; i++) usleep(100);
}

/* Workers wake each other: all come, whether they spin or sleep. */
static void test_wake_all(void) {
  const size_t n = jm_parallel_threads() < 16 ? jm_parallel_threads() : 16;
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  for (useconds_t i = 0; i < 20; i++) {
    crowd c = {.n = n};
    usleep(i * 30);
    jm_parallel_for(n, 1, arrive, &c);
    CHECK(atomic_load(&c.arrived) == n);
  }
  clock_gettime(CLOCK_MONOTONIC, &after);
  CHECK(after.tv_sec - before.tv_sec < 4);
}

/* Short loops: many are over before a worker has seen them. */
static void test_short(void) {
  for (size_t i = 0; i < 2000; i++) {
    nest n;
    atomic_init(&n.sum, 0);
    (i % 3 ? jm_parallel_for : jm_parallel_share)(2 + i % 70, 1, inner, &n);
    CHECK(atomic_load(&n.sum) == 2 + i % 70);
    if (i % 50 == 0) usleep((useconds_t)(i % 13 * 20));
  }
}

static void test_fork(void) {
#ifdef __SANITIZE_THREAD__ /* it can't start threads in a child */
  return;
#endif
  if (getenv("JM_EMULATED")) return; /* qemu 7.2 cannot start threads in a child */
  pid_t child = fork();
  if (!child) {
    nest n;
    atomic_init(&n.sum, 0);
    nested(&n);
    _exit(atomic_load(&n.sum) == 50 * 20 * 100 ? 0 : 1);
  }
  int status = -1;
  CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

TEST_MAIN(test_cover, test_nested_and_concurrent, test_wake, test_wake_all, test_short, test_fork)
