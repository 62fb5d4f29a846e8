/* SPDX-License-Identifier: Apache-2.0
 * Runs special functions: f32 and f64 as they are, narrow floats through f32. */
#include "engine/elementwise/special.h"

#include "base/number.h"
#include "engine/elementwise/kernel.h"

typedef struct kernels {
  jm_elementwise_kernel *f32, *f64;
  size_t grain; /* elements that are worth a thread */
} kernels;

enum { VECTOR_GRAIN = 1 << 13, SCALAR_GRAIN = 1 << 9, OPERANDS = 3 };

static const kernels table[JM_N_OPS] = {
#define VECTOR(op) [JM_OP_##op] = {jm_special_##op##_f32, jm_special_##op##_f64, VECTOR_GRAIN},
#define SCALAR(op) [JM_OP_##op] = {jm_special_##op##_f32, jm_special_##op##_f64, SCALAR_GRAIN},
    JM_SPECIAL_VECTOR(VECTOR) JM_SPECIAL_SCALAR(SCALAR)};

static void run_narrow(const jm_call *call, jm_dtype dtype, size_t begin, size_t end) {
  float wide[OPERANDS][JM_ELEMENTWISE_BLOCK], result[JM_ELEMENTWISE_BLOCK];
  const void *in[OPERANDS] = {wide[0], wide[1], wide[2]};
  size_t bytes = jm_dtype_bytes(dtype);
  for (size_t done = begin, n; done < end; done += n) {
    n = end - done < JM_ELEMENTWISE_BLOCK ? end - done : JM_ELEMENTWISE_BLOCK;
    for (uint32_t i = 0; i < call->op->n_operands; i++)
      jm_number_widen(dtype, (const char *)call->in[i].data + done * bytes, wide[i], n);
    table[call->op->code].f32(in, result, n);
    jm_number_narrow(dtype, result, (char *)call->out[0].data + done * bytes, n);
  }
}

void jm_elementwise_special_range(const jm_call *call, size_t begin, size_t end) {
  jm_dtype dtype = call->out[0].type->dtype;
  const kernels *k = &table[call->op->code];
  size_t bytes = jm_dtype_bytes(dtype);
  const void *in[OPERANDS] = {NULL};
  if (jm_number_is_narrow(dtype)) {
    run_narrow(call, dtype, begin, end);
    return;
  }
  for (uint32_t i = 0; i < call->op->n_operands; i++)
    in[i] = (const char *)call->in[i].data + begin * bytes;
  (dtype == JM_DT_f64 ? k->f64 : k->f32)(in, (char *)call->out[0].data + begin * bytes,
                                         end - begin);
}

size_t jm_elementwise_special_grain(jm_opcode code) { return table[code].grain; }

jm_error *jm_elementwise_special(const jm_call *call) {
  jm_elementwise_special_range(call, 0, (size_t)call->out[0].type->count);
  return NULL;
}
