/* SPDX-License-Identifier: Apache-2.0
 * reduce_precision: a value is rounded to a float format of the given widths, of IEEE's shape, and
 * stays in its type. As in XLA, values that are too large become infinite and those that would be
 * subnormal in the format become 0. */
#include "base/number.h"
#include "engine/elementwise/elementwise.h"

/* On the bits U of a type with M mantissa bits and the exponent bias B. With no mantissa bits left,
 * halfway goes to the even exponent, as in XLA. */
#define ROUND(d, U, M, B)                                                                \
  static U round_##d(U bits, int exponent, int mantissa) {                               \
    U sign = (U)(bits & (U)1 << (sizeof(U) * 8 - 1)), x = bits ^ sign;                   \
    U infinity = (U)((U)(2 * B + 1) << M);                                               \
    if (x > infinity) return bits; /* NaN */                                             \
    if (mantissa < M) {                                                                  \
      U last = (U)((U)1 << (M - mantissa));                                              \
      x = (U)((x + (last >> 1) - 1 + ((x & last) != 0)) & ~(last - 1));                  \
    }                                                                                    \
    int bias = exponent < 20 ? (1 << (exponent - 1)) - 1 : B;                            \
    if (bias < B) {                                                                      \
      if (x >> M > (U)(B + bias)) x = infinity;                                          \
      if (x >> M <= (U)(B - bias)) x = 0;                                                \
    }                                                                                    \
    return sign | x;                                                                     \
  }                                                                                      \
  static void run_##d(const void *in, void *out, size_t n, int exponent, int mantissa) { \
    const U *a = in;                                                                     \
    U *r = out;                                                                          \
    for (size_t i = 0; i < n; i++) r[i] = round_##d(a[i], exponent, mantissa);           \
  }
ROUND(f16, uint16_t, 10, 15)
ROUND(bf16, uint16_t, 7, 127)
ROUND(f32, uint32_t, 23, 127)
ROUND(f64, uint64_t, 52, 1023)

/* Formats of at most 8 bits go through f32. Its exponents are limited only to fewer than theirs:
 * their own subnormals stay. */
#define NARROW(d, own_exponent, own_mantissa, bias, kind) EIGHT_BITS(d, own_exponent)
#define EIGHT_BITS(d, own_exponent)                                                      \
  static void run_##d(const void *in, void *out, size_t n, int exponent, int mantissa) { \
    const uint8_t *a = in;                                                               \
    uint8_t *r = out;                                                                    \
    for (size_t i = 0; i < n; i++) {                                                     \
      uint32_t bits = round_f32(jm_f32_bits(jm_##d##_to_f32(a[i])),                      \
                                exponent < own_exponent ? exponent : 8, mantissa);       \
      r[i] = jm_##d##_from_f32(jm_f32_from_bits(bits));                                  \
    }                                                                                    \
  }
#include "base/number.def"
EIGHT_BITS(f8e8m0fnu, 8)
#define NARROW(d, own_exponent, own_mantissa, bias, kind) [JM_DT_##d] = run_##d,

jm_error *jm_elementwise_reduce_precision(const jm_call *call) {
  static void (*const runs[JM_N_DTYPES])(const void *, void *, size_t, int, int) = {
      [JM_DT_f16] = run_f16, [JM_DT_bf16] = run_bf16,           [JM_DT_f32] = run_f32,
      [JM_DT_f64] = run_f64, [JM_DT_f8e8m0fnu] = run_f8e8m0fnu,
#include "base/number.def"
  };
  const jm_reduce_precision_attrs *attrs = call->op->attrs;
  jm_dtype dtype = call->in[0].type->dtype;
  int64_t exponent = attrs->exponent_bits, mantissa = attrs->mantissa_bits;
  if (exponent < 1 || mantissa < 0)
    return jm_op_error(call->module, call->op, JM_INVALID_ARGUMENT,
                       "a format of %lld exponent and %lld mantissa bits", (long long)exponent,
                       (long long)mantissa);
  if (!runs[dtype])
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "element type %s",
                       jm_dtype_name(dtype));
  /* Wider than every type is the same as not to round at all. */
  runs[dtype](call->in[0].data, call->out[0].data, (size_t)call->in[0].type->count,
              exponent > 16 ? 16 : (int)exponent, mantissa > 64 ? 64 : (int)mantissa);
  return NULL;
}
