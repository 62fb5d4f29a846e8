/* SPDX-License-Identifier: Apache-2.0
 * A call: the arguments of code that runs one op, and the rules that both sides keep. An engine
 * chooses the code (a library routine, the oracle's loop, a compiled kernel).
 *
 * Rules for a jm_call_fn:
 *  - shapes and element types are those of call->in / call->out, never the module's: callers may
 *    run a scalar op of a region on many lanes at once (all tensors then have that many elements);
 *  - attributes come from call->op->attrs, regions from call->op;
 *  - out[0].data may equal in[i].data of an operand with the same number of bytes, if the op is
 *    elementwise; otherwise outputs overlap no input;
 *  - everything was verified (ir/verify.h) and accepted by the engine's check before. */
#ifndef JM_ENGINE_CALL_H
#define JM_ENGINE_CALL_H

#include "engine/context.h"
#include "ir/tensor.h"

typedef struct jm_call {
  const jm_module *module;
  const jm_op *op;
  const jm_tensor *in;  /* op->n_operands, captures last */
  const jm_tensor *out; /* op->n_results */
  const jm_context *context;
} jm_call;

typedef jm_error *jm_call_fn(const jm_call *call);

/* Elements between neighbours along a dimension of a dense row-major tensor (not empty). */
static inline int64_t jm_type_stride(const jm_type *type, uint32_t dim) {
  int64_t stride = 1;
  for (uint32_t d = dim + 1; d < type->rank; d++) stride *= type->dims[d];
  return stride;
}

/* Element i of a tensor of any integer type; values past INT64_MAX become INT64_MAX. */
static inline int64_t jm_index_read(jm_dtype dtype, const void *data, int64_t i) {
  switch (dtype) {
    case JM_DT_s64:
      return ((const int64_t *)data)[i];
    case JM_DT_s32:
      return ((const int32_t *)data)[i];
    case JM_DT_u32:
      return ((const uint32_t *)data)[i];
    case JM_DT_u64: {
      uint64_t value = ((const uint64_t *)data)[i];
      return value > INT64_MAX ? INT64_MAX : (int64_t)value;
    }
    case JM_DT_s16:
      return ((const int16_t *)data)[i];
    case JM_DT_u16:
      return ((const uint16_t *)data)[i];
    default: /* one byte an element */
      return jm_dtype_classof(dtype) == JM_CLASS_SINT ? ((const int8_t *)data)[i]
                                                      : ((const uint8_t *)data)[i];
  }
}

static inline int64_t jm_index_clamp(int64_t index, int64_t low, int64_t high) {
  return index < low ? low : index > high ? high : index;
}

#endif
