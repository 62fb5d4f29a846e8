/* SPDX-License-Identifier: Apache-2.0
 * Runs in flight, with an engine whose fences end when the test says so: they land in order, as
 * soon as they are seen to have ended; bounds of number and bytes wait for the oldest; errors. */
#include "runtime/inflight.h"

#include "base/counters.h"
#include "unit/check.h"

enum { MOST = 70 };

typedef struct run {
  jm_flight flight; /* first */
  int number;
  int n_polls; /* after so many it has ended; 0: it ends when the test says so */
  bool ended, fails;
} run;

static run runs[MOST];
static int landed[MOST], n_landed, n_failed, n_blocked;

static bool fence_is_done(jm_engine *engine, jm_engine_fence *fence) {
  (void)engine;
  run *r = (run *)fence;
  if (r->n_polls && !--r->n_polls) r->ended = true;
  return r->ended;
}

static jm_error *fence_wait(jm_engine *engine, jm_engine_fence *fence) {
  (void)engine;
  run *r = (run *)fence;
  n_blocked += !r->ended;
  r->ended = true;
  return r->fails ? jm_error_internal("run %d", r->number) : NULL;
}

static void land(jm_flight *flight, jm_error *error) {
  landed[n_landed++] = ((run *)flight)->number;
  n_failed += error != NULL;
  jm_error_destroy(error);
}

static jm_engine engine = {
    .fact = {.memory_bytes = 4000}, .fence_is_done = fence_is_done, .fence_wait = fence_wait};

static run *add(jm_inflight *inflight, int i, size_t bytes) {
  run *r = &runs[i];
  *r = (run){.number = i};
  r->flight = (jm_flight){.fence = (jm_engine_fence *)r, .bytes = bytes, .land = land};
  jm_inflight_make_room(inflight, bytes);
  jm_inflight_add(inflight, &r->flight);
  return r;
}

static void begin(void) { n_landed = n_failed = n_blocked = 0; }

static void test_order(void) {
  jm_inflight inflight = {.engine = &engine};
  begin();
  run *a = add(&inflight, 0, 1), *b = add(&inflight, 1, 1);
  add(&inflight, 2, 1);
  b->ended = true; /* seen only after the older one */
  CHECK(!jm_inflight_between(&inflight, false) && n_landed == 0);
  a->ended = true;
  CHECK(jm_inflight_between(&inflight, false) && n_landed == 2 && n_blocked == 0);
  uint64_t drains = jm_counter_read(JM_COUNTER_device_drains);
  CHECK(!jm_inflight_between(&inflight, false) && n_landed == 2); /* there are jobs */
  CHECK(jm_inflight_between(&inflight, true) && n_landed == 3 && n_blocked == 1);
  CHECK(jm_counter_read(JM_COUNTER_device_drains) == drains + 1);
  CHECK(!jm_inflight_between(&inflight, true) && !inflight.n && !inflight.bytes);
  for (int i = 0; i < 3; i++) CHECK(landed[i] == i);
}

static void test_bounds(void) {
  jm_inflight inflight = {.engine = &engine};
  begin();
  for (int i = 0; i < MOST; i++) add(&inflight, i, 1); /* 64 at most */
  CHECK(inflight.n == 64 && n_landed == MOST - 64 && n_blocked == n_landed);
  while (jm_inflight_between(&inflight, true)) {
  }
  begin();
  add(&inflight, 0, 400);
  add(&inflight, 1, 600); /* a quarter of the memory */
  CHECK(n_landed == 0);
  add(&inflight, 2, 500);
  CHECK(n_landed == 2 && inflight.bytes == 500);
  add(&inflight, 3, 1 << 20); /* too large for company, but it runs */
  CHECK(n_landed == 3 && inflight.n == 1);
  while (jm_inflight_between(&inflight, true)) {
  }
  CHECK(n_landed == 4 && !inflight.bytes && !inflight.first && !inflight.last);
}

static void test_errors(void) {
  jm_inflight inflight = {.engine = &engine};
  begin();
  add(&inflight, 0, 1)->fails = true;
  add(&inflight, 1, 1)->flight.fate = jm_error_internal("its error came up elsewhere");
  add(&inflight, 2, 1);
  while (jm_inflight_between(&inflight, true)) {
  }
  CHECK(n_landed == 3 && n_failed == 2);
}

/* Both know of an error: the fence's counts, and none is lost. */
static void test_two_errors(void) {
  jm_inflight inflight = {.engine = &engine};
  begin();
  run *r = add(&inflight, 0, 1);
  r->fails = true;
  r->flight.fate = jm_error_internal("the other");
  CHECK(jm_inflight_between(&inflight, true) && n_failed == 1 && !r->flight.fate);
}

/* The engine's thread looks again, between jobs, for as long as the engine says; then it blocks. */
static void test_polling(void) {
  jm_engine polled = engine;
  polled.fact.poll_ns = INT64_C(3600) * 1000000000;
  jm_inflight inflight = {.engine = &polled};
  begin();
  const uint64_t drains = jm_counter_read(JM_COUNTER_device_drains);
  add(&inflight, 0, 1)->n_polls = 4;
  for (int i = 0; i < 3; i++) CHECK(jm_inflight_between(&inflight, true) && n_landed == 0);
  CHECK(jm_inflight_between(&inflight, true) && n_landed == 1 && n_blocked == 0);
  CHECK(jm_counter_read(JM_COUNTER_device_drains) == drains);
  polled.fact.poll_ns = 1;
  add(&inflight, 1, 1);
  while (n_landed == 1) CHECK(jm_inflight_between(&inflight, true));
  CHECK(n_blocked == 1 && jm_counter_read(JM_COUNTER_device_drains) == drains + 1);
}

TEST_MAIN(test_order, test_bounds, test_errors, test_two_errors, test_polling)
