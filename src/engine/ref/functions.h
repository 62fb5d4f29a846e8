/* SPDX-License-Identifier: Apache-2.0
 * Prototypes of the jm_ref_<function> that ops.def names, and functions of all files of the oracle:
 * walking the indices of a tensor. */
#ifndef JM_ENGINE_REF_FUNCTIONS_H
#define JM_ENGINE_REF_FUNCTIONS_H

#include "engine/elementwise/elementwise.h"
#include "engine/ref/ref.h"

/* A scalar function of each element: shared with the library. */
#define jm_ref_elementwise jm_elementwise_run
#define jm_ref_convert jm_elementwise_convert
#define jm_ref_compare jm_elementwise_compare
#define jm_ref_select jm_elementwise_select
#define jm_ref_clamp jm_elementwise_clamp
#define jm_ref_reduce_precision jm_elementwise_reduce_precision
#define jm_ref_bitcast_convert jm_elementwise_bitcast_convert
#define jm_ref_special jm_elementwise_special

#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary) \
  jm_error *jm_ref_##ref(const jm_call *call);
#include "ir/ops.def"

/* One op, control included. */
jm_error *jm_ref_run(const jm_call *call) JM_MUST_USE;

/* The next index in row-major order; false after the last, which is the first again. */
static inline bool jm_ref_next(const int64_t *dims, uint32_t rank, int64_t *at) {
  for (uint32_t d = rank; d--;) {
    if (++at[d] < dims[d]) return true;
    at[d] = 0;
  }
  return false;
}

/* The address of the element at an index. */
static inline char *jm_ref_at(const jm_tensor *t, const int64_t *at) {
  int64_t i = 0;
  for (uint32_t d = 0; d < t->type->rank; d++) i = i * t->type->dims[d] + at[d];
  return (char *)t->data + i * (int64_t)jm_dtype_bytes(t->type->dtype);
}

#endif
