/* SPDX-License-Identifier: Apache-2.0
 * The IR: round trips of the text form, the verifier's refusals (at least one per rule), builder
 * and printer, allocation failures. The passes have golden files (tests/golden/pass). */
#include "unit/check.h"

#include <stdint.h>

#include "ir/build.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "pass/pass.h"
#include "unit/ir_refusals.h"

static jm_error *parse_and_verify(const char *text) {
  jm_module *m = NULL;
  JM_TRY(jm_module_parse(text, strlen(text), &m));
  jm_error *error = jm_module_verify(m);
  jm_module_destroy(m);
  return error;
}

/* An op in a module with arguments of many types. */
static void wrap(char *out, size_t size, const char *body) {
  snprintf(out, size,
           "module \"m\" {\n"
           "  (%%f: f32[4], %%g: f32[2,3], %%h: f32[3,5], %%s: f32[], %%n: s32[4], %%i: s32[], "
           "%%k: s64[], %%p: pred[4], %%q: pred[], %%c: c64[4], %%d: f64[4], %%t: token[], "
           "%%u: u64[2], %%im: f32[2,8,8,3], %%ke: f32[3,3,3,4], %%m: f32[2,4,4], %%ix: s32[5,1], "
           "%%e: f32[0]):\n"
           "  %s\n"
           "  return\n}\n",
           body);
}

static void test_refusals(void) {
  static char text[8192];
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    wrap(text, sizeof text, refusals[i].body);
    jm_error *error = parse_and_verify(text);
    bool right = jm_error_code(error) == JM_INVALID_ARGUMENT &&
                 strstr(jm_error_message(error), refusals[i].message);
    if (!right)
      fprintf(stderr, "%s\n  gave: %s\n  want: %s\n", refusals[i].body, jm_error_message(error),
              refusals[i].message);
    CHECK(right);
    jm_error_destroy(error);
  }
}

static void test_acceptances(void) {
  static char text[8192];
  for (size_t i = 0; i < sizeof acceptances / sizeof *acceptances; i++) {
    wrap(text, sizeof text, acceptances[i]);
    jm_error *error = parse_and_verify(text);
    if (error) fprintf(stderr, "%s\n  gave: %s\n", acceptances[i], jm_error_message(error));
    CHECK(!error);
    jm_error_destroy(error);
  }
}

/* Every op with a rule of its own is refused at least once: else its rule is untested. */
static void test_every_rule_refuses(void) {
  static const char *const free_ops[] = {"create_token"}; /* the table's columns say it all */
  static const char *const rule_of[JM_N_OPS] = {
#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary) \
  #verify,
#include "ir/ops.def"
  };
  for (int code = 0; code < JM_N_OPS; code++) {
    bool found = false;
    for (size_t i = 0; i < sizeof free_ops / sizeof *free_ops; i++)
      found = found || !strcmp(rule_of[code], free_ops[i]);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals && !found; i++)
      for (int other = 0; other < JM_N_OPS && !found; other++) {
        char pattern[64];
        snprintf(pattern, sizeof pattern, "= %s", jm_op_facts[other].name);
        const char *at = strstr(refusals[i].body, pattern);
        found = at && !strcmp(rule_of[other], rule_of[code]) &&
                strchr(" <\n", at[strlen(pattern)]) != NULL;
      }
    if (!found) fprintf(stderr, "no refusal tests the rule %s\n", rule_of[code]);
    CHECK(found);
  }
}

static const char sample[] =
    "module \"f\" {\n"
    "  (%0: f32[2] alias=0, %1: s32[]):\n"
    "  %2: f32[] = constant value=0\n"
    "  %3: f32[] = reduce %0, %2 dims=[0] {\n"
    "    (%4: f32[], %5: f32[]):\n"
    "    %6: f32[] = add %4, %5\n"
    "    return %6\n"
    "  }\n"
    "  %7: f32[2] = case<2> %1 | %0, %3 {\n"
    "    (%8: f32[2], %9: f32[]):\n"
    "    return %8\n"
    "  }, {\n"
    "    (%10: f32[2], %11: f32[]):\n"
    "    %12: f32[2] = broadcast_in_dim %11\n"
    "    return %12\n"
    "  }\n"
    "  return %7\n"
    "}\n";

static void test_round_trip(void) {
  jm_module *m = NULL;
  CHECK_OK(jm_module_parse(sample, strlen(sample), &m));
  if (!m) return;
  CHECK_OK(jm_module_verify(m));
  jm_text text;
  jm_text_init(&text);
  jm_module_print(m, &text);
  CHECK(!strcmp(jm_text_bytes(&text), sample));
  jm_text_deinit(&text);
  jm_module_destroy(m);
}

static void test_build_and_clone(void) {
  jm_module *m = NULL;
  const jm_type *type = NULL;
  const int64_t dims[] = {2};
  jm_value x = 0, y = 0;
  CHECK_OK(jm_module_create(&m));
  CHECK_OK(jm_module_type(m, JM_DT_f32, 1, dims, &type));
  CHECK_OK(jm_build_region(m, &m->entry));
  CHECK_OK(jm_build_arg(m, m->entry, type, &x));
  CHECK_OK(jm_build_unary(m, m->entry, JM_OP_negate, x, type, JM_NONE, &y));
  CHECK_OK(jm_build_binary(m, m->entry, JM_OP_add, y, x, type, JM_NONE, &y));
  CHECK_OK(jm_build_results(m, m->entry, &y, 1));
  static jm_argument_fact arguments[] = {{.alias = -1}};
  static jm_result_fact results[1];
  CHECK_FAILS(jm_module_verify(m), JM_INVALID_ARGUMENT, "no facts of its arguments");
  m->arguments = arguments;
  m->results = results;
  CHECK_OK(jm_module_verify(m));
  m->regions[m->entry].ops[0] = 1; /* the use before the definition */
  CHECK_FAILS(jm_module_verify(m), JM_INVALID_ARGUMENT, "not defined before its use");
  m->regions[m->entry].ops[0] = 7;
  CHECK_FAILS(jm_module_verify(m), JM_INVALID_ARGUMENT, "lists no op 7");
  m->regions[m->entry].ops[0] = 0;
  m->regions[m->entry].ops[1] = 0;
  CHECK_FAILS(jm_module_verify(m), JM_INVALID_ARGUMENT, "the op is listed twice");
  m->regions[m->entry].ops[1] = 1;
  m->ops[1].operands[0] = 99;
  CHECK_FAILS(jm_module_verify(m), JM_INVALID_ARGUMENT, "names no value");
  jm_module_destroy(m);
}

/* Each allocation of reading, verifying, optimising and printing fails once: an error, no leak. */
static jm_error *everything(void) {
  jm_module *m = NULL;
  JM_TRY(jm_module_parse(sample, strlen(sample), &m));
  const jm_pass_options options = {.verify = true};
  jm_error *error = jm_module_verify(m);
  if (!error) error = jm_pass_optimize(m, &options);
  jm_text text;
  jm_text_init(&text);
  if (!error) jm_module_print(m, &text);
  if (!error) error = jm_text_error(&text);
  jm_text_deinit(&text);
  jm_module_destroy(m);
  return error;
}

static void test_allocation_failures(void) {
  enum { MOST = 10000 };
  int64_t n = 0;
  for (; n < MOST; n++) {
    jm_alloc_fail_after(n);
    jm_error *error = everything();
    jm_alloc_fail_after(-1);
    if (!error) break;
    CHECK(jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
    jm_error_destroy(error);
  }
  CHECK(n > 10 && n < MOST);
}

/* Random damage: an error or a module that verifies and prints, never a crash. */
static void test_garbage(void) {
  static char text[sizeof sample];
  uint32_t random = 12345;
  for (int round = 0; round < 20000; round++) {
    memcpy(text, sample, sizeof sample);
    for (int k = 0; k < 1 + round % 3; k++) {
      random = random * 1664525u + 1013904223u;
      text[random % (sizeof sample - 1)] = (char)(random >> 24 & 127);
    }
    jm_module *m = NULL;
    jm_error *error = jm_module_parse(text, sizeof sample - 1, &m);
    if (!error) error = jm_module_verify(m);
    CHECK(!error || jm_error_code(error) == JM_INVALID_ARGUMENT ||
          jm_error_code(error) == JM_UNIMPLEMENTED);
    jm_error_destroy(error);
    jm_module_destroy(m);
  }
}

/* Each level: a case whose first branch is the next one. */
static void print_nested(unsigned depth, jm_text *text) {
  jm_text_printf(text, "module \"m\" { (%%a0: s32[], %%i: s32[]):\n");
  for (unsigned d = 0; d < depth; d++)
    jm_text_printf(text,
                   "%%r%u: s32[] = case<2> %%i | %%a%u, %%i { (%%a%u: s32[], %%i: s32[]): ", d, d,
                   d + 1);
  jm_text_printf(text, "%%r%u: s32[] = negate %%a%u", depth, depth);
  for (unsigned d = depth; d > 0; d--)
    jm_text_printf(text,
                   " return %%r%u }, { (%%b%u: s32[], %%i: s32[]): %%s%u: s32[] = add %%b%u, %%i "
                   "return %%s%u }\n",
                   d, d, d, d, d);
  jm_text_printf(text, " return %%r0 }\n");
}

static jm_error *optimize_text(const jm_text *text) {
  static const jm_pass_options options = {.verify = true};
  jm_module *m = NULL;
  JM_TRY(jm_module_parse(jm_text_bytes(text), text->size, &m));
  jm_error *error = jm_module_verify(m);
  if (!error) error = jm_pass_optimize(m, &options);
  jm_module_destroy(m);
  return error;
}

static void test_depth(void) {
  jm_text text;
  for (unsigned more = 0; more < 2; more++) {
    jm_text_init(&text);
    print_nested(JM_DEPTH_MAX - 1 + more, &text);
    jm_error *error = optimize_text(&text);
    if (more)
      CHECK_FAILS(error, JM_INVALID_ARGUMENT, "regions nested more than 1000 deep");
    else
      CHECK_OK(error);
    jm_text_deinit(&text);
  }
}

TEST_MAIN(test_depth, test_refusals, test_acceptances, test_every_rule_refuses, test_round_trip,
          test_build_and_clone, test_allocation_failures, test_garbage)
