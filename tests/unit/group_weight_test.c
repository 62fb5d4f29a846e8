/* SPDX-License-Identifier: Apache-2.0
 * How much code a group may become: compilers take more than linear time in the length of a block,
 * so that long programs of expensive functions must fall into kernels of a bounded size. */
#include "ir/parse.h"
#include "ir/verify.h"
#include "kernel/schedule/schedule.h"
#include "pass/pass.h"
#include "unit/check.h"
#include "unit/test_target.h"

static jm_target target;

typedef struct size {
  uint32_t groups, most, total; /* most: instructions of one kernel */
} size;

/* A chain of n ops, each also adding the program's argument. */
static size measure(const char *op, const char *dtype, int n) {
  size found = {0, 0, 0};
  jm_text text;
  jm_module *m = NULL;
  jm_text_init(&text);
  jm_text_printf(&text, "module \"m\" {\n (%%0: %s[5000]):\n", dtype);
  for (int i = 0; i < n; i++) {
    jm_text_printf(&text, " %%%d: %s[5000] = %s %%%d\n", 2 * i + 1, dtype, op, 2 * i);
    jm_text_printf(&text, " %%%d: %s[5000] = add %%%d, %%0\n", 2 * i + 2, dtype, 2 * i + 1);
  }
  jm_text_printf(&text, " return %%%d\n}", 2 * n);
  CHECK_OK(jm_module_parse(jm_text_bytes(&text), strlen(jm_text_bytes(&text)), &m));
  jm_text_deinit(&text);
  if (!m) return found;
  CHECK_OK(jm_module_verify(m));
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = &target}));
  const jm_region *entry = jm_module_region(m, m->entry);
  for (uint32_t i = 0; i < entry->n_ops; i++) {
    const jm_op *fusion = jm_module_op(m, entry->ops[i]);
    jm_schedule *schedule = NULL;
    CHECK(fusion->code == JM_OP_fusion);
    if (fusion->code != JM_OP_fusion) continue;
    CHECK_OK(jm_schedule_build(m, fusion, &target, &schedule));
    for (uint32_t k = 0; schedule && k < schedule->n_launches; k++) {
      uint32_t n_insts = schedule->launches[k].kernel->n_insts;
      if (n_insts > found.most) found.most = n_insts;
      found.total += n_insts;
    }
    found.groups++;
    jm_schedule_destroy(schedule);
  }
  jm_module_destroy(m);
  return found;
}

static void test_chains(void) {
  enum { MOST = 6000 };
  static const char *const ops[] = {"sine", "tan", "exponential", "tanh", "erf_inv"};
  static const char *const dtypes[] = {"f32", "f64"};
  for (int i = 0; i < 10; i++) {
    size few = measure(ops[i / 2], dtypes[i % 2], 150),
         many = measure(ops[i / 2], dtypes[i % 2], 300);
    CHECK(many.most <= MOST);
    CHECK(many.most <= few.most + few.most / 4); /* no kernel grows with the program */
    CHECK(many.total < 3 * few.total);
    if (many.most > MOST)
      fprintf(stderr, "  %s of %s: %u instructions\n", ops[i / 2], dtypes[i % 2], many.most);
  }
}

/* What is cheap still becomes one group. */
static void test_cheap(void) {
  CHECK(measure("negate", "f32", 60).groups == 1);
  CHECK(measure("exponential", "f32", 20).groups == 1);
  CHECK(measure("sine", "f32", 8).groups == 1);
}

static void begin(void) { target = test_target_with("x86-64-v4", 64 << 10); }

TEST_MAIN(begin, test_chains, test_cheap)
