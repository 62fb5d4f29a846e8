/* SPDX-License-Identifier: Apache-2.0
 * select and clamp. */
#include <string.h>

#include "engine/elementwise/elementwise.h"
#include "engine/elementwise/kernel.h"

typedef struct pair {
  uint64_t parts[2];
} pair;

/* Both values are loaded before the choice, so that the loop vectorises. */
#define SELECT(bytes, T)                                                                     \
  static void select_##bytes(const uint8_t *pred, const void *on_true, const void *on_false, \
                             void *out, size_t n) {                                          \
    const T *a = on_true, *b = on_false;                                                     \
    T *r = out;                                                                              \
    JM_LOOP for (size_t i = 0; i < n; i++) {                                                 \
      const T x = a[i], y = b[i];                                                            \
      r[i] = pred[i] ? x : y;                                                                \
    }                                                                                        \
  }
SELECT(1, uint8_t)
SELECT(2, uint16_t)
SELECT(4, uint32_t)
SELECT(8, uint64_t)
SELECT(16, pair)

jm_error *jm_elementwise_select(const jm_call *call) {
  static void (*const kernels[])(const uint8_t *, const void *, const void *, void *, size_t) = {
      [1] = select_1, [2] = select_2, [4] = select_4, [8] = select_8, [16] = select_16,
  };
  const jm_tensor *pred = &call->in[0], *out = &call->out[0];
  size_t n = (size_t)out->type->count, bytes = jm_dtype_bytes(out->type->dtype);
  if (!n) return NULL;
  if (pred->type->count == out->type->count) {
    kernels[bytes](pred->data, call->in[1].data, call->in[2].data, out->data, n);
    return NULL;
  }
  const void *chosen = *(const uint8_t *)pred->data ? call->in[1].data : call->in[2].data;
  memmove(out->data, chosen, n * bytes);
  return NULL;
}

/* Element `from` of a bound on, or the same one again and again if the bound is a scalar. */
static const void *read_bound(const jm_tensor *bound, bool scalar, void *block, size_t from,
                              size_t n) {
  size_t bytes = jm_dtype_bytes(bound->type->dtype);
  if (!scalar) return (const char *)bound->data + from * bytes;
  if (from == 0)
    for (size_t i = 0; i < n; i++) memcpy((char *)block + i * bytes, bound->data, bytes);
  return block;
}

/* A block at a time through a buffer: the output may be any of the three operands. */
jm_error *jm_elementwise_clamp(const jm_call *call) {
  const jm_tensor *lo = &call->in[0], *operand = &call->in[1], *hi = &call->in[2];
  jm_dtype dtype = operand->type->dtype;
  jm_elementwise_kernel *maximum = jm_elementwise_find(JM_OP_maximum, dtype);
  jm_elementwise_kernel *minimum = jm_elementwise_find(JM_OP_minimum, dtype);
  if (!maximum || !minimum)
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "no order of element type %s",
                       jm_dtype_name(dtype));
  size_t n = (size_t)operand->type->count, bytes = jm_dtype_bytes(dtype);
  bool scalar_lo = lo->type->count != operand->type->count;
  bool scalar_hi = hi->type->count != operand->type->count;
  pair raised[JM_ELEMENTWISE_BLOCK], lo_block[JM_ELEMENTWISE_BLOCK], hi_block[JM_ELEMENTWISE_BLOCK];
  for (size_t done = 0; done < n; done += JM_ELEMENTWISE_BLOCK) {
    size_t count = n - done < JM_ELEMENTWISE_BLOCK ? n - done : JM_ELEMENTWISE_BLOCK;
    const void *to_raise[2] = {read_bound(lo, scalar_lo, lo_block, done, count),
                               (const char *)operand->data + done * bytes};
    maximum(to_raise, raised, count);
    const void *to_lower[2] = {raised, read_bound(hi, scalar_hi, hi_block, done, count)};
    minimum(to_lower, (char *)call->out[0].data + done * bytes, count);
  }
  return NULL;
}
