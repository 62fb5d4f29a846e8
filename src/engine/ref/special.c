/* SPDX-License-Identifier: Apache-2.0
 * Runs special functions: several threads, narrow floats through f32. */
#include "engine/ref/special.h"

#include "base/number.h"
#include "base/parallel.h"
#include "engine/ref/functions.h"
#include "engine/ref/kernel.h"

typedef struct kernels {
  jm_ref_kernel *f32, *f64;
  size_t grain; /* elements that are worth a thread */
} kernels;

enum { VECTOR_GRAIN = 1 << 13, SCALAR_GRAIN = 1 << 9, OPERANDS = 3 };

static const kernels table[JM_N_OPS] = {
#define VECTOR(op) [JM_OP_##op] = {jm_special_##op##_f32, jm_special_##op##_f64, VECTOR_GRAIN},
#define SCALAR(op) [JM_OP_##op] = {jm_special_##op##_f32, jm_special_##op##_f64, SCALAR_GRAIN},
    JM_SPECIAL_VECTOR(VECTOR) JM_SPECIAL_SCALAR(SCALAR)};

typedef struct task {
  const jm_ref_call *call;
  jm_ref_kernel *kernel;
  jm_dtype dtype;
  size_t bytes;
} task;

static void run_wide(const task *t, size_t begin, size_t end) {
  const void *in[OPERANDS] = {NULL};
  for (uint32_t i = 0; i < t->call->op->n_operands; i++)
    in[i] = (const char *)t->call->in[i].data + begin * t->bytes;
  t->kernel(in, (char *)t->call->out[0].data + begin * t->bytes, end - begin);
}

static void run_narrow(const task *t, size_t begin, size_t end) {
  float wide[OPERANDS][JM_REF_BLOCK], result[JM_REF_BLOCK];
  const void *in[OPERANDS] = {wide[0], wide[1], wide[2]};
  for (size_t done = begin; done < end; done += JM_REF_BLOCK) {
    size_t n = end - done < JM_REF_BLOCK ? end - done : JM_REF_BLOCK, at = done * t->bytes;
    for (uint32_t i = 0; i < t->call->op->n_operands; i++)
      jm_number_widen(t->dtype, (const char *)t->call->in[i].data + at, wide[i], n);
    t->kernel(in, result, n);
    jm_number_narrow(t->dtype, result, (char *)t->call->out[0].data + at, n);
  }
}

static void run(void *context, size_t begin, size_t end) {
  const task *t = context;
  if (jm_context_is_cancelled(t->call->context)) return;
  if (t->dtype == JM_DT_f32 || t->dtype == JM_DT_f64)
    run_wide(t, begin, end);
  else
    run_narrow(t, begin, end);
}

jm_error *jm_ref_special(const jm_ref_call *call) {
  const jm_type *type = call->out[0].type;
  const kernels *k = &table[call->op->code];
  task t = {.call = call,
            .kernel = type->dtype == JM_DT_f64 ? k->f64 : k->f32,
            .dtype = type->dtype,
            .bytes = jm_dtype_bytes(type->dtype)};
  jm_parallel_for((size_t)type->count, k->grain, run, &t);
  if (jm_context_is_cancelled(call->context))
    return jm_error_create(JM_CANCELLED, "a special function was cancelled");
  return NULL;
}
