/* SPDX-License-Identifier: Apache-2.0
 * Explanations of plans: the text of a plan without compiled groups, which is the same everywhere;
 * that JSON is JSON; the record; no memory. (Groups and kernels: tests/python/test_explain.py.) */
#include "plan/explain.h"
#include "compile/record.h"
#include "engine/host/engine.h"
#include "engine/host/host.h"
#include "ir/parse.h"
#include "ir/verify.h"
#include "unit/check.h"

static const char source[] =
    "module \"a \\22name\\22\" {\n"
    "  (%0: f32[4], %1: s32[]):\n"
    "  %2: f32[] = constant value=0\n"
    "  %3: f32[4] = constant value=[1,2,3,4]\n"
    "  %4: f32[4] = multiply %0, %3\n"
    "  %15: f32[2,2] = reshape %4\n"
    "  %5: f32[] = reduce %15, %2 dims=[0,1] {\n"
    "    (%6: f32[], %7: f32[]):\n"
    "    %8: f32[] = add %6, %7\n"
    "    return %8\n"
    "  }\n"
    "  %9: s32[] = while %1 {\n"
    "    (%10: s32[]):\n"
    "    %11: s32[] = constant value=9\n"
    "    %12: pred[] = compare %10, %11 direction=LT order=SIGNED\n"
    "    return %12\n"
    "  }, {\n"
    "    (%13: s32[]):\n"
    "    %14: s32[] = add %13, %13\n"
    "    return %14\n"
    "  }\n"
    "  return %5, %9\n"
    "}\n";

static const char expected_head[] =
    "plan of a \"name\": steps 6, compiled groups 0, kernels 0\n"
    "  arena of 64 bytes; all steps, loops once, read 73 bytes and write 29 bytes\n"
    "  compiler: ";
static const char expected_steps[] =
    "  step 0: multiply\n"
    "    %4: f32[4] = multiply %0, [1,2,3,4]\n"
    "    reads parameter 0: f32[4], constant: f32[4]\n"
    "    writes arena+0: f32[4]\n"
    "  step 1: reduce\n"
    "    %6: f32[] = reduce reshape(%4), 0 dims=[0,1]\n"
    "    reads arena+0: f32[2,2], constant: f32[]\n"
    "    writes output 0: f32[]\n"
    "    with:\n"
    "      (%7: f32[], %8: f32[]):\n"
    "      %9: f32[] = add %7, %8\n"
    "      return %9\n"
    "  step 2: copy\n"
    "    reads parameter 1: s32[]\n"
    "    writes output 1: s32[]\n"
    "  step 3: while\n"
    "    %10: s32[] = while %1\n"
    "    reads arena+0: pred[]\n"
    "    condition (%11) returns %13:\n"
    "      step 4: compare\n"
    "        %13: pred[] = compare %11, 9 direction=LT order=SIGNED\n"
    "        reads output 1: s32[], constant: s32[]\n"
    "        writes arena+0: pred[]\n"
    "    body (%14) returns %15:\n"
    "      step 5: add\n"
    "        %15: s32[] = add %14, %14\n"
    "        reads output 1: s32[], output 1: s32[]\n"
    "        writes output 1: s32[]\n";

static jm_module *module;
static jm_host_program *host;
static jm_plan *plan;

static void make_plan(void) {
  CHECK_OK(jm_module_parse(source, strlen(source), &module));
  CHECK_OK(jm_module_verify(module));
  CHECK_OK(jm_host_compile(module, NULL, NULL, &host));
  CHECK_OK(jm_plan_build(module, jm_host_engine(), host, &plan));
}

static bool is_expected(const char *text) {
  jm_text wanted;
  jm_text_init(&wanted);
  jm_text_printf(&wanted, "%s%s\n%s", expected_head,
                 plan->engine->backend->describe_compiler(plan->engine), expected_steps);
  CHECK_OK(jm_text_error(&wanted));
  bool same = !strcmp(text, jm_text_bytes(&wanted));
  if (!same) fputs(text, stderr);
  jm_text_deinit(&wanted);
  return same;
}

static void test_text(void) {
  jm_text text;
  jm_text_init(&text);
  jm_plan_explain(plan, &text);
  CHECK_OK(jm_text_error(&text));
  CHECK(is_expected(jm_text_bytes(&text)));
  jm_text_deinit(&text);
}

/* Brackets match, and a quote in a name does not end it. */
static void test_json(void) {
  jm_text json;
  jm_text_init(&json);
  jm_plan_export(plan, &json);
  CHECK_OK(jm_text_error(&json));
  int depth = 0, deepest = 0;
  bool quoted = false;
  for (const char *c = jm_text_bytes(&json); *c; c++) {
    if (quoted && *c == '\\')
      c++;
    else if (*c == '"')
      quoted = !quoted;
    else if (!quoted && strchr("[{", *c))
      deepest = ++depth > deepest ? depth : deepest;
    else if (!quoted && strchr("]}", *c))
      depth--;
  }
  CHECK(!quoted && !depth && deepest > 6);
  CHECK(strstr(jm_text_bytes(&json), "\"name\": \"a \\\"name\\\"\""));
  CHECK(strstr(jm_text_bytes(&json), "\"compiler\": \""));
  CHECK(strstr(jm_text_bytes(&json), "{\"name\": \"body\", \"steps\": [{\"number\": "));
  jm_text_deinit(&json);
}

static void test_record(void) {
  jm_explanation taken;
  CHECK_OK(jm_record_add(plan)); /* it is off */
  CHECK(!jm_program_take_record(&taken));
  jm_program_record(true);
  CHECK_OK(jm_record_add(plan));
  CHECK_OK(jm_record_add(plan));
  jm_program_record(false);
  CHECK_OK(jm_record_add(plan));
  for (int i = 0; i < 2; i++) {
    CHECK(jm_program_take_record(&taken));
    CHECK(strstr(taken.text, "plan of a ") && *taken.json == '{');
    jm_explanation_deinit(&taken);
  }
  CHECK(!jm_program_take_record(&taken));
}

/* Every allocation fails once: an error or the whole text, never a part of it. */
static void test_no_memory(void) {
  for (int64_t n = 0; n < 10000; n++) {
    jm_explanation explanation;
    jm_alloc_fail_after(n);
    jm_error *error = jm_explanation_build(plan, &explanation);
    jm_alloc_fail_after(-1);
    if (!error) {
      CHECK(n > 1 && is_expected(explanation.text));
      jm_explanation_deinit(&explanation);
      return;
    }
    CHECK(jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
    jm_error_destroy(error);
  }
  CHECK(false);
}

static void free_plan(void) {
  jm_plan_destroy(plan);
  jm_host_program_destroy(host);
  jm_module_destroy(module);
}

TEST_MAIN(make_plan, test_text, test_json, test_record, test_no_memory, free_plan)
