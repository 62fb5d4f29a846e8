/* SPDX-License-Identifier: Apache-2.0
 * Participants of a launch that meet in memory: in groups, many times at one op, as jobs of a pool
 * with fewer threads than there are participants; one that fails, one that does not come, and a
 * launch that is cancelled. The sanitizer for threads runs this, too (make tsan). */
#include "runtime/rendezvous.h"

#include <stdatomic.h>
#include <time.h>

#include "base/settings.h"
#include "runtime/pool.h"
#include "unit/check.h"

enum { N = 8, ROUNDS = 60, THREADS = 2, PARTS = 16 };

static const uint32_t everybody[N] = {0, 1, 2, 3, 4, 5, 6, 7};

typedef struct participant {
  jm_job job; /* first */
  uint32_t self;
  jm_rendezvous *rendezvous;
  void (*run)(struct participant *p);
  const atomic_bool *cancelled;
  int64_t in, sum, parts[PARTS]; /* what it brings and makes */
  jm_tensor input, output;
  uint32_t n_members;
  bool fails; /* to make its parts */
  jm_error *error;
  atomic_uint *n_running;
} participant;

static jm_error *take_sum(void *argument, const jm_tensor *const *inputs,
                          const jm_tensor *const *outputs) {
  participant *p = argument;
  CHECK(!outputs);
  p->sum = 0;
  for (uint32_t i = 0; i < p->n_members; i++) p->sum += *(const int64_t *)inputs[i]->data;
  return NULL;
}

/* The member makes every n-th of the parts, for all. */
static jm_error *take_parts(void *argument, const jm_tensor *const *inputs,
                            const jm_tensor *const *outputs) {
  participant *p = argument;
  (void)take_sum(p, inputs, NULL);
  for (uint32_t k = p->self; k < PARTS; k += N)
    for (uint32_t i = 0; i < p->n_members; i++) ((int64_t *)outputs[i]->data)[k] = p->sum + k;
  return p->fails ? jm_error_create(JM_RESOURCE_EXHAUSTED, "no memory") : NULL;
}

static jm_error *meet(participant *p, uint32_t op, const uint32_t *members, uint32_t n,
                      bool in_parts) {
  jm_group *group = jm_rendezvous_group(p->rendezvous);
  p->input.data = &p->in;
  p->output.data = p->parts;
  p->n_members = n;
  const jm_exchange exchange = {.op = op,
                                .name = "a sum",
                                .self = p->self,
                                .members = members,
                                .n_members = n,
                                .inputs = &p->input,
                                .n_inputs = 1,
                                .take = in_parts ? take_parts : take_sum,
                                .outputs = in_parts ? &p->output : NULL,
                                .argument = p,
                                .cancelled = p->cancelled};
  return group->exchange(group, &exchange);
}

/* -- launches */

static void run_job(jm_job *job) {
  participant *p = (participant *)job;
  atomic_uint *n_running = p->n_running;
  p->run(p);
  if (p->error) jm_rendezvous_fail(p->rendezvous, p->self, p->error);
  jm_rendezvous_release(p->rendezvous);
  atomic_fetch_sub(n_running, 1);
}

static void sleep_briefly(void) {
  const struct timespec moment = {0, 1000000};
  nanosleep(&moment, NULL);
}

/* The participants of several launches, all of them in the pool's queue at once. */
static void launch(participant (*p)[N], uint32_t n_launches, void (*run)(participant *p),
                   const atomic_bool *cancelled) {
  jm_pool *pool;
  atomic_uint n_running = n_launches * N;
  CHECK_OK(jm_pool_create(THREADS, &pool));
  for (uint32_t l = 0; l < n_launches; l++) {
    jm_rendezvous *rendezvous;
    CHECK_OK(jm_rendezvous_create(N, &rendezvous));
    for (uint32_t i = 0; i < N; i++) {
      p[l][i] = (participant){.job = {.run = run_job},
                              .self = i,
                              .rendezvous = rendezvous,
                              .run = run,
                              .cancelled = cancelled,
                              .n_running = &n_running};
      jm_pool_submit(pool, &p[l][i].job);
    }
  }
  while (atomic_load(&n_running)) sleep_briefly();
  jm_pool_shutdown(pool);
  jm_pool_destroy(pool);
}

/* -- rounds */

static void run_rounds(participant *p) {
  const uint32_t half = p->self / (N / 2) * (N / 2); /* the first of its half */
  for (int64_t round = 0; round < ROUNDS && !p->error; round++) {
    p->in = round * 100 + p->self;
    p->error = meet(p, 1, everybody, N, false);
    CHECK(p->error || p->sum == N * round * 100 + N * (N - 1) / 2);
    if (!p->error) p->error = meet(p, 2, everybody + half, N / 2, false);
    CHECK(p->error || p->sum == N / 2 * round * 100 + N / 2 * half + N / 2 * (N / 2 - 1) / 2);
    if (!p->error) p->error = meet(p, 3, everybody, N, true);
    for (uint32_t k = 0; !p->error && k < PARTS; k++) CHECK(p->parts[k] == p->sum + k);
  }
}

static void test_rounds(void) {
  static participant launches[2][N];
  launch(launches, 2, run_rounds, NULL);
  for (uint32_t l = 0; l < 2; l++)
    for (uint32_t i = 0; i < N; i++) CHECK_OK(launches[l][i].error);
}

/* -- faults */

enum { FAILS = 5 };

static void run_failing(participant *p) {
  p->error = p->self == FAILS ? jm_error_create(JM_RESOURCE_EXHAUSTED, "no memory")
                              : meet(p, 1, everybody, N, false);
}

static void test_failure(void) {
  static participant all[1][N];
  launch(all, 1, run_failing, NULL);
  for (uint32_t i = 0; i < N; i++)
    CHECK_FAILS(all[0][i].error, JM_RESOURCE_EXHAUSTED, i == FAILS ? "" : "in participant 5");
}

/* What one member could not make all of them lack. */
static void run_failing_parts(participant *p) {
  p->fails = p->self == FAILS;
  p->error = meet(p, 1, everybody, N, true);
}

static void test_failing_part(void) {
  static participant all[1][N];
  launch(all, 1, run_failing_parts, NULL);
  for (uint32_t i = 0; i < N; i++) CHECK_FAILS(all[0][i].error, JM_RESOURCE_EXHAUSTED, "no memory");
}

/* One of three members does not come; the other participants have no part in the op. */
static void run_apart(participant *p) {
  static const uint32_t few[3] = {1, 2, 3};
  if (p->self == 1 || p->self == 2) p->error = meet(p, 2, few, 3, false);
}

static void test_missing(void) {
  static participant all[1][N];
  CHECK_OK(jm_setting_override(JM_SETTING_COLLECTIVE_TIMEOUT, "1", 1));
  launch(all, 1, run_apart, NULL);
  CHECK_OK(jm_setting_override(JM_SETTING_COLLECTIVE_TIMEOUT, "60", 2));
  for (uint32_t i = 0; i < N; i++)
    if (i == 1 || i == 2)
      CHECK_FAILS(all[0][i].error, JM_DEADLINE_EXCEEDED, "these of 3 participants are missing: 3");
    else
      CHECK_OK(all[0][i].error);
}

static atomic_bool cancelled;

static void run_cancelled(participant *p) {
  if (p->self)
    p->error = meet(p, 1, everybody, N, false);
  else
    atomic_store(&cancelled, true);
}

static void test_cancellation(void) {
  static participant all[1][N];
  launch(all, 1, run_cancelled, &cancelled);
  CHECK_OK(all[0][0].error);
  for (uint32_t i = 1; i < N; i++) CHECK_FAILS(all[0][i].error, JM_CANCELLED, "a sum");
}

TEST_MAIN(test_rounds, test_failure, test_failing_part, test_missing, test_cancellation)
