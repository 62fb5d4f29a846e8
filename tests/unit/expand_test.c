/* SPDX-License-Identifier: Apache-2.0
 * Expansions of special functions: they survive the passes, replace the ops of their types where an
 * engine asks for it, also inside of each other, and are gone after lowering. (That the programs of
 * JAX have them: tests/device.) */
#include "engine/ref/ref.h"
#include "ir/build.h"
#include "ir/parse.h"
#include "ir/verify.h"
#include "pass/pass.h"
#include "unit/check.h"

static const char source[] =
    "module \"special\" {\n"
    "  (%0: f32[3], %1: f64[3]):\n"
    "  %2: f32[3] = lgamma %0\n"
    "  %3: f32[3] = lgamma %2\n"
    "  %4: f64[3] = lgamma %1\n"
    "  return %3, %4\n"
    "}\n";

/* code(x) becomes x + of(x). */
static void add_expansion(jm_module *m, jm_opcode code, jm_opcode of) {
  const jm_type *type = jm_module_typeof(m, 0);
  jm_region_id region;
  jm_value x, y, sum;
  CHECK_OK(jm_build_region(m, &region));
  CHECK_OK(jm_build_arg(m, region, type, &x));
  CHECK_OK(jm_build_unary(m, region, of, x, type, JM_NONE, &y));
  CHECK_OK(jm_build_binary(m, region, JM_OP_add, x, y, type, JM_NONE, &sum));
  CHECK_OK(jm_build_results(m, region, &sum, 1));
  m->expansions = jm_arena_grow(&m->arena, m->expansions, m->n_expansions + 1,
                                &m->expansions_capacity, sizeof *m->expansions);
  m->expansions[m->n_expansions++] = (jm_expansion){code, region, NULL};
}

static jm_module *module_make(void) {
  jm_module *m = NULL;
  CHECK_OK(jm_module_parse(source, strlen(source), &m));
  add_expansion(m, JM_OP_digamma, JM_OP_negate); /* 0 */
  add_expansion(m, JM_OP_lgamma, JM_OP_digamma); /* x + 0 */
  CHECK_OK(jm_module_verify(m));
  CHECK_OK(jm_pass_optimize(m, &(jm_pass_options){.verify = true}));
  CHECK(m->n_expansions == 2);
  return m;
}

static uint32_t count(const jm_module *m, jm_opcode code) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < m->n_ops; i++) n += m->ops[i].code == code;
  return n;
}

static void test_expanded(void) {
  jm_module *m = module_make();
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.expands = true, .verify = true}));
  CHECK_OK(jm_module_verify(m));
  CHECK(!m->n_expansions && !count(m, JM_OP_digamma));
  CHECK(count(m, JM_OP_lgamma) == 1); /* of f64: the program has no expansion of it */
  float x[3] = {0.5f, 3, -7}, y[3];
  double wide[3] = {1, 2, 3}, log[3];
  const jm_region *entry = jm_module_region(m, m->entry);
  const jm_tensor in[] = {{jm_module_typeof(m, entry->first_arg), x},
                          {jm_module_typeof(m, entry->first_arg + 1), wide}};
  const jm_tensor out[] = {{jm_module_typeof(m, entry->results[0]), y},
                           {jm_module_typeof(m, entry->results[1]), log}};
  CHECK_OK(jm_ref_evaluate(m, m->entry, in, out, NULL));
  CHECK(!memcmp(x, y, sizeof x));
  CHECK(log[0] == 0 && log[1] == 0 && log[2] > 0.69 && log[2] < 0.7);
  jm_module_destroy(m);
}

static void test_kept(void) {
  jm_module *m = module_make();
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.verify = true}));
  CHECK(!m->n_expansions && count(m, JM_OP_lgamma) == 3 && m->n_ops == 3);
  jm_module_destroy(m);
}

static void test_verified(void) {
  jm_module *m = module_make();
  jm_region *region = jm_module_region(m, m->expansions[0].region);
  region->results[0] = m->n_values;
  CHECK_FAILS(jm_module_verify(m), JM_INVALID_ARGUMENT, "names no value");
  jm_module_destroy(m);
}

/* Two calls that differ in their configuration alone: each has its own expansion, and an engine may
 * run one of them. */
static const char calls[] =
    "module \"calls\" {\n"
    "  (%0: f32[3]):\n"
    "  %1: f32[3] = custom_call %0 target=\"mps.kernel\" config={\"name\": \"a\"}\n"
    "  %2: f32[3] = custom_call %1 target=\"mps.kernel\" config={\"name\": \"b\"}\n"
    "  return %2\n"
    "}\n";

static const char *name_of(const jm_op *op) {
  return ((const jm_custom_call_attrs *)op->attrs)->config.entries[0].str.bytes;
}

static bool runs_b(void *engine, const jm_module *m, const jm_op *call) {
  (void)engine, (void)m;
  return !strcmp(name_of(call), "b");
}

static void test_calls(void) {
  for (int runs = 0; runs < 2; runs++) {
    jm_module *m = NULL;
    CHECK_OK(jm_module_parse(calls, strlen(calls), &m));
    add_expansion(m, JM_OP_custom_call, JM_OP_negate);      /* 0 */
    add_expansion(m, JM_OP_custom_call, JM_OP_exponential); /* x + e^x */
    m->expansions[0].attrs = m->ops[0].attrs;
    m->expansions[1].attrs = m->ops[1].attrs;
    CHECK_OK(jm_pass_lower(
        m, &(jm_pass_options){.expands = !runs, .runs_kernel = runs ? runs_b : NULL}));
    CHECK(count(m, JM_OP_custom_call) == (uint32_t)runs);
    CHECK(count(m, JM_OP_negate) == 1 && count(m, JM_OP_exponential) == (uint32_t)!runs);
    jm_module_destroy(m);
  }
}

static void test_no_memory(void) {
  for (int64_t n = 0; n < 10000; n++) {
    jm_module *m = module_make();
    jm_alloc_fail_after(n);
    jm_error *error = jm_pass_lower(m, &(jm_pass_options){.expands = true});
    jm_alloc_fail_after(-1);
    jm_module_destroy(m);
    if (!error) return;
    CHECK(jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
    jm_error_destroy(error);
  }
  CHECK(false);
}

TEST_MAIN(test_expanded, test_kept, test_calls, test_verified, test_no_memory)
