/* SPDX-License-Identifier: Apache-2.0
 * Groups and schedules against the oracle: every group that grouping forms of a program,
 * for the host and for GPUs, is scheduled and run by the interpreter, in two parts, which finds
 * races between the threads of a GPU's groups. Those of the host also run, where there is an LLVM,
 * as compiled code, and in the memory of operands where the schedule allows that. */
#ifndef JM_TESTS_SCHEDULE_CHECK_H
#define JM_TESTS_SCHEDULE_CHECK_H

#include <math.h>
#include <stdlib.h>

#include "base/convert.h"
#include "engine/host/jit.h"
#include "engine/ref/ref.h"
#include "ir/parse.h"
#include "ir/verify.h"
#include "kernel/print/c.h"
#include "kernel/schedule/schedule.h"
#include "pass/pass.h"
#include "unit/check.h"
#include "unit/test_target.h"

enum { BUFFERS = 64, HOST = 0, N_TARGETS = 4 };
static jm_target targets[N_TARGETS];

static void find_targets(void) {
  targets[HOST] = test_target_with("x86-64-v2", 64 << 10);
  targets[1] = test_target("cuda");
  targets[2] = test_target("metal");
  targets[3] = test_target("cuda"); /* one that runs out of groups */
  targets[3].name = "cuda with few groups";
  targets[3].max_groups = 3;
  targets[3].chunk.enough = 8;
}

static double uniform(void) { return rand() / (RAND_MAX + 1.0) * 4 - 2; }

static void fill(const jm_tensor *t) {
  jm_dtype dtype = t->type->dtype, real = jm_dtype_real(dtype);
  size_t n = (size_t)t->type->count * (jm_dtype_is_complex(dtype) ? 2 : 1);
  for (size_t i = 0; i < n; i++) {
    double value = jm_dtype_is_float(real) ? uniform() : floor(uniform() * 3);
    if (jm_dtype_classof(real) == JM_CLASS_UINT) value = fabs(value);
    if (real == JM_DT_pred) value = value > 0;
    CHECK_OK(
        jm_convert_run(JM_DT_f64, real, &value, (char *)t->data + i * jm_dtype_bytes(real), 1));
  }
}

static double tolerance(jm_dtype dtype) {
  switch (dtype) {
    case JM_DT_f64:
      return 1e-12;
    case JM_DT_f32:
      return 2e-5;
    case JM_DT_f16:
      return 4e-3;
    case JM_DT_bf16:
      return 3e-2;
    default:
      return 0.3;
  }
}

/* Sums were added in another order: what is near 0 may have lost digits. */
static bool is_close(jm_dtype dtype, const void *x, const void *y) {
  double a, b;
  if (!memcmp(x, y, jm_dtype_bytes(dtype))) return true;
  if (!jm_dtype_is_float(dtype)) return false;
  CHECK_OK(jm_convert_run(dtype, JM_DT_f64, x, &a, 1));
  CHECK_OK(jm_convert_run(dtype, JM_DT_f64, y, &b, 1));
  if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
  return a == b || fabs(a - b) <= tolerance(dtype) * (fabs(a) + fabs(b) + 10);
}

static void compare(const char *what, const jm_module *m, const jm_op *op, uint32_t r,
                    const void *want, const void *have) {
  const jm_type *type = jm_op_result_type(m, op, r);
  jm_dtype real = jm_dtype_real(type->dtype);
  size_t bytes = jm_dtype_bytes(real), n = jm_type_bytes(type) / bytes, wrong = 0;
  for (size_t i = 0; i < n; i++) {
    bool close = is_close(real, (const char *)want + i * bytes, (const char *)have + i * bytes);
    if (!close && !wrong++) {
      jm_text text;
      jm_text_init(&text);
      jm_op_describe(m, op, &text);
      fprintf(stderr, "%s: result %u differs first at %zu: %s\n", what, r, i, jm_text_bytes(&text));
      jm_text_deinit(&text);
    }
  }
  CHECK(!wrong);
}

typedef struct group {
  const jm_module *m;
  const jm_op *op;
  jm_schedule *schedule;
  jm_tensor in[BUFFERS], want[BUFFERS];
} group;

static void run_launch(const jm_launch *launch, jm_kernel_fn *fn, void *const *buffers,
                       void *scratch) {
  int64_t chunks = launch->kernel->chunks, half = chunks / 2;
  if (fn) {
    fn(buffers, scratch, half, chunks, NULL);
    if (half) fn(buffers, scratch, 0, half, NULL);
  } else {
    CHECK_OK(jm_kernel_interpret(launch->kernel, buffers, scratch, half, chunks, NULL));
    if (half) CHECK_OK(jm_kernel_interpret(launch->kernel, buffers, scratch, 0, half, NULL));
  }
}

/* in_place: results lie in the operands' memory that they may. */
static void run(const char *what, const group *g, jm_jit_code **codes, bool in_place) {
  const jm_schedule *s = g->schedule;
  void *in[BUFFERS], *out[BUFFERS], *temporaries[BUFFERS];
  for (uint32_t i = 0; i < g->op->n_operands; i++) {
    in[i] = jm_alloc_data(jm_type_bytes(g->in[i].type));
    memcpy(in[i], g->in[i].data, jm_type_bytes(g->in[i].type));
  }
  for (uint32_t i = 0; i < g->op->n_results; i++) {
    size_t bytes = jm_type_bytes(g->want[i].type);
    out[i] = jm_alloc_data(bytes);
    memset(out[i], 0xa5, bytes);
    for (uint32_t k = 0; in_place && k < g->op->n_operands; k++)
      if (s->reuse[k] == i) {
        jm_free(out[i]);
        out[i] = in[k];
      }
  }
  for (uint32_t i = 0; i < s->n_temporaries; i++) {
    temporaries[i] = jm_alloc_data(s->temporary_bytes[i]);
    memset(temporaries[i], 0x5a, s->temporary_bytes[i]);
  }
  for (uint32_t i = 0; i < s->n_launches; i++) {
    void *buffers[BUFFERS],
        *scratch = jm_alloc_data(jm_kernel_scratch_bytes(s->launches[i].kernel));
    uint32_t n = 0;
    for (uint32_t p = 0; p < s->launches[i].kernel->n_params; p++) {
      if (s->launches[i].kernel->params[p].space != JM_SPACE_GLOBAL) continue;
      const jm_launch_argument *a = &s->launches[i].arguments[n];
      buffers[n++] = a->memory == JM_LAUNCH_OPERAND  ? in[a->index]
                     : a->memory == JM_LAUNCH_RESULT ? out[a->index]
                                                     : temporaries[a->index];
    }
    run_launch(&s->launches[i], codes ? jm_jit_code_function(codes[i]) : NULL, buffers, scratch);
    jm_free(scratch);
  }
  for (uint32_t i = 0; i < g->op->n_results; i++)
    compare(what, g->m, g->op, i, g->want[i].data, out[i]);
  for (uint32_t i = 0; i < g->op->n_results; i++) {
    bool shared = false;
    for (uint32_t k = 0; k < g->op->n_operands; k++) shared |= out[i] == in[k];
    if (!shared) jm_free(out[i]);
  }
  for (uint32_t i = 0; i < g->op->n_operands; i++) jm_free(in[i]);
  for (uint32_t i = 0; i < s->n_temporaries; i++) jm_free(temporaries[i]);
}

static void run_compiled(const group *g) {
  const char *why;
  const jm_kernel *kernels[BUFFERS];
  jm_jit_code *codes[BUFFERS];
  if (!jm_jit_find_target(&why)) return;
  for (uint32_t i = 0; i < g->schedule->n_launches; i++)
    kernels[i] = g->schedule->launches[i].kernel;
  jm_error *error = jm_jit_compile(kernels, g->schedule->n_launches, NULL, codes);
  if (error) {
    CHECK_OK(error);
    return;
  }
  run("compiled", g, codes, false);
  run("compiled in place", g, codes, true);
  for (uint32_t i = 0; i < g->schedule->n_launches; i++) jm_jit_code_release(codes[i]);
}

/* A GPU's kernels have text in its language and need no more memory than a group has. */
static void check_text(const jm_schedule *s, const jm_target *target) {
  const jm_c_dialect *dialect = strcmp(target->name, "metal") ? &jm_c_cuda : &jm_c_metal;
  for (uint32_t i = 0; i < s->n_launches; i++) {
    jm_text text;
    jm_text_init(&text);
    CHECK_OK(jm_c_print_function(s->launches[i].kernel, dialect, "k", &text));
    CHECK(jm_c_shared_bytes(s->launches[i].kernel) <= target->scratch_bytes);
    jm_text_deinit(&text);
  }
}

/* Runs one fusion op; it must have been scheduled as named. */
static void check_group(const jm_module *m, const jm_op *op, const jm_target *target,
                        const char *schedule) {
  group g = {.m = m, .op = op};
  for (uint32_t i = 0; i < op->n_operands; i++) {
    const jm_type *type = jm_op_operand_type(m, op, i);
    g.in[i] = (jm_tensor){type, jm_alloc_data(jm_type_bytes(type))};
    fill(&g.in[i]);
  }
  for (uint32_t i = 0; i < op->n_results; i++) {
    const jm_type *type = jm_op_result_type(m, op, i);
    g.want[i] = (jm_tensor){type, jm_alloc_data(jm_type_bytes(type))};
  }
  CHECK_OK(jm_ref_evaluate(m, op->first_region, g.in, g.want, NULL));
  jm_error *error = jm_schedule_build(m, op, target, &g.schedule);
  if (error) {
    CHECK_OK(error);
  } else {
    if (schedule && strcmp(schedule, g.schedule->name))
      fprintf(stderr, "scheduled for %s as %s, not %s\n", target->name, g.schedule->name, schedule);
    CHECK(!schedule || !strcmp(schedule, g.schedule->name));
    run(target->name, &g, NULL, false);
    if (target->may_alias) run("interpreted in place", &g, NULL, true);
    if (target == &targets[HOST])
      run_compiled(&g);
    else
      check_text(g.schedule, target);
    jm_schedule_destroy(g.schedule);
  }
  for (uint32_t i = 0; i < op->n_operands; i++) jm_free(g.in[i].data);
  for (uint32_t i = 0; i < op->n_results; i++) jm_free(g.want[i].data);
}

/* Does the target have the types of all values? */
static bool holds_all(const jm_target *target, const jm_module *m) {
  for (jm_value v = 0; v < m->n_values; v++)
    if (!jm_target_holds(target, jm_module_typeof(m, v)->dtype)) return false;
  return true;
}

static void check_for(const jm_target *target, const char *text, const char *const *schedules,
                      uint32_t n) {
  jm_module *m = NULL;
  CHECK_OK(jm_module_parse(text, strlen(text), &m));
  if (!m) return;
  CHECK_OK(jm_module_verify(m));
  if (!holds_all(target, m)) n = 0;
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = target}));
  CHECK_OK(jm_module_verify(m));
  uint32_t k = 0;
  const jm_region *entry = jm_module_region(m, m->entry);
  for (uint32_t i = 0; i < entry->n_ops; i++) {
    const jm_op *op = jm_module_op(m, entry->ops[i]);
    if (op->code != JM_OP_fusion) continue;
    check_group(m, op, target, k < n ? schedules[k] : NULL);
    k++;
  }
  CHECK(k == n || !n);
  jm_module_destroy(m);
}

/* Groups a program for every target and checks its groups; `schedules` names what each is scheduled
 * as, in order. */
static void check_program(const char *text, const char *const *schedules, uint32_t n) {
  int failures = check_failures;
  for (int i = 0; i < N_TARGETS; i++) check_for(&targets[i], text, schedules, n);
  if (check_failures > failures) fprintf(stderr, "in %s\n", text);
}

#endif
