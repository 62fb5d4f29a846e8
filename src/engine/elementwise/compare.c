/* SPDX-License-Identifier: Apache-2.0
 * Comparison. Types without a loop of their own are converted, a block at a time, to a type with
 * the same order. */
#include "base/number.h"
#include "engine/elementwise/elementwise.h"
#include "engine/elementwise/kernel.h"

#define ITSELF(v) (v)
#define TRUTH(v) ((v) != 0)
/* The bits of a float as an integer in the total order: negative ones count downwards. */
#define TOTAL32(v) ((int32_t)((v) ^ (int32_t)((uint32_t)((v) >> 31) >> 1)))
#define TOTAL64(v) ((int64_t)((v) ^ (int64_t)((uint64_t)((v) >> 63) >> 1)))

#define DIRECTIONS(d, T, Read)                \
  JM_BINARY(eq_##d, T, uint8_t, Read, x == y) \
  JM_BINARY(ne_##d, T, uint8_t, Read, x != y) \
  JM_BINARY(ge_##d, T, uint8_t, Read, x >= y) \
  JM_BINARY(gt_##d, T, uint8_t, Read, x > y)  \
  JM_BINARY(le_##d, T, uint8_t, Read, x <= y) \
  JM_BINARY(lt_##d, T, uint8_t, Read, x < y)

DIRECTIONS(pred, uint8_t, TRUTH)
DIRECTIONS(s8, int8_t, ITSELF)
DIRECTIONS(s16, int16_t, ITSELF)
DIRECTIONS(s32, int32_t, ITSELF)
DIRECTIONS(s64, int64_t, ITSELF)
DIRECTIONS(u8, uint8_t, ITSELF)
DIRECTIONS(u16, uint16_t, ITSELF)
DIRECTIONS(u32, uint32_t, ITSELF)
DIRECTIONS(u64, uint64_t, ITSELF)
DIRECTIONS(f32, float, ITSELF)
DIRECTIONS(f64, double, ITSELF)
DIRECTIONS(total_f32, int32_t, TOTAL32)
DIRECTIONS(total_f64, int64_t, TOTAL64)

/* Complex values are equal or not, and have no order. */
#define COMPLEX(d, R)                                                                           \
  static void eq_##d(const void *const *in, void *out, size_t n) {                              \
    const R *a = in[0], *b = in[1];                                                             \
    uint8_t *r = out;                                                                           \
    for (size_t i = 0; i < n; i++) r[i] = a[2 * i] == b[2 * i] && a[2 * i + 1] == b[2 * i + 1]; \
  }                                                                                             \
  static void ne_##d(const void *const *in, void *out, size_t n) {                              \
    const R *a = in[0], *b = in[1];                                                             \
    uint8_t *r = out;                                                                           \
    for (size_t i = 0; i < n; i++) r[i] = a[2 * i] != b[2 * i] || a[2 * i + 1] != b[2 * i + 1]; \
  }
COMPLEX(c64, float)
COMPLEX(c128, double)

#define ROW(d)                                                                      \
  {                                                                                 \
      [JM_COMPARE_EQ] = eq_##d, [JM_COMPARE_NE] = ne_##d, [JM_COMPARE_GE] = ge_##d, \
      [JM_COMPARE_GT] = gt_##d, [JM_COMPARE_LE] = le_##d, [JM_COMPARE_LT] = lt_##d, \
  }

typedef jm_elementwise_kernel *const by_direction[JM_COMPARE_LT + 1];

static by_direction usual[JM_N_DTYPES] = {
    [JM_DT_pred] = ROW(pred),
    [JM_DT_s8] = ROW(s8),
    [JM_DT_s16] = ROW(s16),
    [JM_DT_s32] = ROW(s32),
    [JM_DT_s64] = ROW(s64),
    [JM_DT_u8] = ROW(u8),
    [JM_DT_u16] = ROW(u16),
    [JM_DT_u32] = ROW(u32),
    [JM_DT_u64] = ROW(u64),
    [JM_DT_f32] = ROW(f32),
    [JM_DT_f64] = ROW(f64),
    [JM_DT_c64] = {[JM_COMPARE_EQ] = eq_c64, [JM_COMPARE_NE] = ne_c64},
    [JM_DT_c128] = {[JM_COMPARE_EQ] = eq_c128, [JM_COMPARE_NE] = ne_c128},
};
static by_direction total[JM_N_DTYPES] = {
    [JM_DT_f32] = ROW(total_f32),
    [JM_DT_f64] = ROW(total_f64),
};

/* The type that a type without a loop of its own is compared in. */
static jm_dtype compared_as(jm_dtype dtype) {
  if (jm_number_is_narrow(dtype)) return JM_DT_f32;
  if (jm_dtype_facts[dtype].bits < 8 && jm_dtype_is_integer(dtype))
    return jm_dtype_classof(dtype) == JM_CLASS_SINT ? JM_DT_s8 : JM_DT_u8;
  return dtype;
}

static jm_error *run_blocks(jm_elementwise_kernel *kernel, jm_dtype from, jm_dtype as,
                            const jm_call *call) {
  size_t n = (size_t)call->out[0].type->count, bytes = jm_dtype_bytes(from);
  float blocks[2][JM_ELEMENTWISE_BLOCK]; /* the widest type that needs this is f32 */
  const void *in[2] = {blocks[0], blocks[1]};
  for (size_t done = 0; done < n; done += JM_ELEMENTWISE_BLOCK) {
    size_t count = n - done < JM_ELEMENTWISE_BLOCK ? n - done : JM_ELEMENTWISE_BLOCK;
    for (int i = 0; i < 2; i++)
      JM_TRY(jm_convert_run(from, as, (const char *)call->in[i].data + done * bytes, blocks[i],
                            count));
    kernel(in, (char *)call->out[0].data + done, count);
  }
  return NULL;
}

jm_error *jm_elementwise_compare(const jm_call *call) {
  const jm_compare_attrs *attrs = call->op->attrs;
  jm_dtype dtype = call->in[0].type->dtype, as = compared_as(dtype);
  bool in_total_order = attrs->order == JM_ORDER_TOTAL && jm_dtype_is_float(dtype);
  jm_elementwise_kernel *kernel = (in_total_order ? total : usual)[as][attrs->direction];
  if (!kernel)
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED,
                       "no such comparison of element type %s", jm_dtype_name(dtype));
  if (as != dtype) return run_blocks(kernel, dtype, as, call);
  const void *in[2] = {call->in[0].data, call->in[1].data};
  kernel(in, call->out[0].data, (size_t)call->out[0].type->count);
  return NULL;
}
