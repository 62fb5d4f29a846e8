/* SPDX-License-Identifier: Apache-2.0
 * How processes agree on the way of a run: they walk, record and replay together, whatever happens
 * in one of them alone, and one that can't record keeps all from it. */
#include "engine/mlx/way.h"

#include "engine/group.h"
#include "engine/mlx/distributed.h"
#include "unit/check.h"

enum { N = 3 };

/* A process's side of replay.c, without anything to record. */
typedef struct process {
  jm_way_history history;
  bool has_recording;
  bool moves;  /* in the next run: an argument lies where the recording does not read it */
  bool fails;  /* to record */
  bool is_out; /* walks the next run, whatever the others would do */
} process;

static jm_way choose(process *p) {
  if (p->moves) p->has_recording = false;
  p->moves = false;
  return p->is_out ? JM_WAY_WALK : jm_way_choose(&p->history, p->has_recording);
}

/* One run of all of them; the way that they go. */
static jm_way run(process *all, uint32_t n) {
  jm_way way = JM_WAY_REPLAY;
  bool by_all = true;
  for (uint32_t i = 0; i < n; i++) {
    const jm_way mine = choose(&all[i]);
    if (mine < way) way = mine;
  }
  for (uint32_t i = 0; i < n; i++) {
    if (jm_way_take(&all[i].history, way)) all[i].has_recording = false;
    all[i].is_out = false;
    by_all &= !all[i].fails;
  }
  for (uint32_t i = 0; way == JM_WAY_RECORD && i < n; i++) {
    jm_way_recorded(&all[i].history, by_all);
    all[i].has_recording = by_all;
  }
  for (uint32_t i = 0; way == JM_WAY_REPLAY && i < n; i++) CHECK(all[i].has_recording);
  return way;
}

static void begin(process *all, uint32_t n, uint32_t recorded_run) {
  for (uint32_t i = 0; i < n; i++) all[i] = (process){.history.recorded_run = recorded_run};
}

static void test_alone(void) {
  process p[1];
  begin(p, 1, 3);
  CHECK(run(p, 1) == JM_WAY_WALK);
  CHECK(run(p, 1) == JM_WAY_WALK);
  CHECK(run(p, 1) == JM_WAY_RECORD && p->has_recording);
  CHECK(run(p, 1) == JM_WAY_REPLAY);
  for (int i = 1; i < JM_WAY_MOST_RECORDINGS; i++) {
    p->moves = true;
    CHECK(run(p, 1) == JM_WAY_RECORD); /* at once */
    CHECK(run(p, 1) == JM_WAY_REPLAY);
  }
  p->moves = true;
  CHECK(run(p, 1) == JM_WAY_NEVER && !p->has_recording);
  CHECK(run(p, 1) == JM_WAY_NEVER);
}

static void test_together(void) {
  process p[N];
  begin(p, N, 2);
  p[1].history.recorded_run = 4; /* another setting there: the last one decides */
  for (int i = 0; i < 3; i++) CHECK(run(p, N) == JM_WAY_WALK);
  CHECK(run(p, N) == JM_WAY_RECORD);
  CHECK(run(p, N) == JM_WAY_REPLAY);
  p[2].moves = true; /* its recording is gone: the others make another one, too */
  CHECK(run(p, N) == JM_WAY_RECORD);
  CHECK(run(p, N) == JM_WAY_REPLAY);
  p[0].is_out = true; /* once, and nobody loses the recording */
  CHECK(run(p, N) == JM_WAY_WALK);
  CHECK(run(p, N) == JM_WAY_REPLAY);
  p[0].is_out = p[1].moves = true;
  CHECK(run(p, N) == JM_WAY_WALK);
  CHECK(run(p, N) == JM_WAY_RECORD);
  for (uint32_t i = 0; i < N; i++) CHECK(p[i].has_recording && p[i].history.n_recordings == 3);
  p[0].moves = p[1].moves = true;
  CHECK(run(p, N) == JM_WAY_RECORD);
  p[1].moves = true;
  CHECK(run(p, N) == JM_WAY_NEVER);
  for (uint32_t i = 0; i < N; i++) CHECK(!p[i].has_recording && p[i].history.is_refused);
}

static void test_failure(void) {
  process p[N];
  begin(p, N, 1);
  p[2].fails = true;
  CHECK(run(p, N) == JM_WAY_RECORD);
  for (uint32_t i = 0; i < N; i++) CHECK(!p[i].has_recording);
  CHECK(run(p, N) == JM_WAY_NEVER);

  begin(p, N, 1);
  p[1].history.is_refused = true; /* it has nothing to record at all */
  CHECK(run(p, N) == JM_WAY_NEVER);
  for (uint32_t i = 0; i < N; i++) CHECK(p[i].history.is_refused);
}

/* A program that was compiled anew in one process: its runs are counted from there on. */
static void test_renewed(void) {
  process p[N];
  begin(p, N, 3);
  for (int i = 0; i < 4; i++) run(p, N);
  p[1] = (process){.history.recorded_run = 3};
  CHECK(run(p, N) == JM_WAY_WALK && p[0].has_recording);
  CHECK(run(p, N) == JM_WAY_WALK && p[0].has_recording);
  CHECK(run(p, N) == JM_WAY_RECORD);
  CHECK(run(p, N) == JM_WAY_REPLAY);
}

/* -- meetings, with one other process that brings its number first, then its complement */

static uint32_t others[2];
static int n_met;

static jm_error *meet(jm_group *group, const jm_meeting *meeting, uint32_t *least) {
  (void)group;
  if (n_met == 2) return jm_error_create(JM_ABORTED, "gone");
  const uint32_t other = others[n_met++];
  *least = other < meeting->number ? other : meeting->number;
  return NULL;
}

static bool compare(uint32_t mine, uint32_t other) {
  jm_group group = {2, NULL, meet};
  const jm_context context = {.group = &group};
  const jm_mlx_link link = {.size = 2};
  bool same = mine != other;
  others[0] = other;
  others[1] = ~other;
  n_met = 0;
  CHECK_OK(jm_mlx_link_compare(&link, &context, "a test", mine, &same));
  CHECK(n_met == 2);
  CHECK_FAILS(jm_mlx_link_compare(&link, &context, "a test", mine, &same), JM_ABORTED, "gone");
  return same;
}

static void test_compare(void) {
  CHECK(compare(7, 7) && compare(0, 0) && compare(UINT32_MAX, UINT32_MAX));
  CHECK(!compare(7, 6) && !compare(6, 7) && !compare(0, UINT32_MAX) && !compare(UINT32_MAX, 0));
  bool same = false;
  CHECK_OK(jm_mlx_link_compare(NULL, NULL, "alone", 5, &same));
  CHECK(same);
}

TEST_MAIN(test_alone, test_together, test_failure, test_renewed, test_compare)
