/* SPDX-License-Identifier: Apache-2.0
 * The bytes that schedules move, counted from their kernels, against what was counted by hand. */
#include "kernel/schedule/traffic.h"

#include "ir/parse.h"
#include "ir/verify.h"
#include "kernel/schedule/schedule.h"
#include "pass/pass.h"
#include "unit/check.h"
#include "unit/test_target.h"

/* Of the program's groups for a target, together. */
static jm_traffic count(const char *target, const char *text) {
  jm_traffic sum = {0, 0};
  const jm_target machine = test_target(target);
  jm_module *m = NULL;
  CHECK_OK(jm_module_parse(text, strlen(text), &m));
  if (!m) return sum;
  CHECK_OK(jm_module_verify(m));
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = &machine}));
  const jm_region *entry = jm_module_region(m, m->entry);
  for (uint32_t i = 0; i < entry->n_ops; i++) {
    const jm_op *op = jm_module_op(m, entry->ops[i]);
    jm_schedule *schedule = NULL;
    jm_traffic traffic = {0, 0};
    if (op->code != JM_OP_fusion) continue;
    CHECK_OK(jm_schedule_build(m, op, &machine, &schedule));
    if (schedule) CHECK_OK(jm_traffic_count(op, schedule, &traffic));
    sum.moved += traffic.moved;
    sum.least += traffic.least;
    jm_schedule_destroy(schedule);
  }
  jm_module_destroy(m);
  return sum;
}

static const char map[] =
    "module \"m\" {\n (%0: f32[1000,64], %1: f32[64]):\n"
    " %2: f32[1000,64] = broadcast_in_dim %1 dims=[1]\n"
    " %3: f32[1000,64] = multiply %0, %2\n"
    " %4: f32[1000,64] = add %3, %0\n return %4\n}";

/* The largest of each row is subtracted from it. */
#define ROWS(shape)                                                            \
  "module \"m\" {\n (%0: f32[" shape                                           \
  "]):\n %1: f32[] = constant value=-inf\n"                                    \
  " %2: f32[1000] = reduce %0, %1 dims=[1] {\n"                                \
  "  (%a: f32[], %b: f32[]):\n  %c: f32[] = maximum %a, %b\n  return %c\n }\n" \
  " %3: f32[" shape "] = broadcast_in_dim %2 dims=[0]\n %4: f32[" shape        \
  "] = subtract %0, %3\n return %4\n}"

/* Of the table only the gathered rows are moved. */
static const char gathered[] =
    "module \"m\" {\n (%0: f32[5000,64], %1: s32[10,1]):\n"
    " %2: f32[10,64] = gather %0, %1 offset_dims=[1] collapsed_slice_dims=[0] start_index_map=[0]"
    " index_vector_dim=1 slice_sizes=[1,64]\n return %2\n}";

static void test_map(void) {
  static const char *const targets[] = {"cuda", "metal", "x86-64-v3"};
  const uint64_t bytes = 2 * 1000 * 64 * 4 + 64 * 4;
  for (int i = 0; i < 3; i++) {
    const jm_traffic traffic = count(targets[i], map);
    CHECK(traffic.moved == bytes && traffic.least == bytes);
  }
}

/* A row is kept in shared memory if it fits. */
static void test_rows(void) {
  static const struct {
    const char *target, *text;
    uint64_t least, moved; /* elements */
  } cases[] = {
      {"cuda", ROWS("1000,512"), 1024, 1024},    {"metal", ROWS("1000,512"), 1024, 1024},
      {"cuda", ROWS("1000,20"), 40, 40},         {"metal", ROWS("1000,20"), 40, 40},
      {"cuda", ROWS("1000,8000"), 16000, 16000}, {"metal", ROWS("1000,8000"), 16000, 24000},
      {"cuda", ROWS("1000,9000"), 18000, 27000},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const jm_traffic traffic = count(cases[i].target, cases[i].text);
    CHECK(traffic.least == 4000 * cases[i].least);
    CHECK(traffic.moved == 4000 * cases[i].moved);
  }
}

static void test_gathered(void) {
  const jm_traffic traffic = count("metal", gathered);
  CHECK(traffic.moved == traffic.least);
  CHECK(traffic.moved < 4 * 10 * 64 * 4);
}

TEST_MAIN(test_map, test_rows, test_gathered)
