/* SPDX-License-Identifier: Apache-2.0
 * The number formats that C lacks: floats narrower than f32 and integers narrower than 8 bits, as
 * conversions from and to C's types. Every result is rounded once, to nearest even. Arithmetic is
 * not here: a narrow float is widened, computed with, and narrowed again.
 *
 * In a buffer an s2 or s4 is a sign-extended byte and a u2, u4, f4 or f6 a zero-extended one;
 * readers ignore the upper bits, because numpy's ml_dtypes leaves those of an int4 zero. */
#ifndef JM_BASE_NUMBER_H
#define JM_BASE_NUMBER_H

#include <string.h>

#include "base/dtype.h"

typedef enum jm_float_kind {
  JM_FLOAT_IEEE,
  JM_FLOAT_FN,
  JM_FLOAT_FNUZ,
  JM_FLOAT_FINITE,
} jm_float_kind;

#define JM_INLINE static inline __attribute__((always_inline))

JM_INLINE uint32_t jm_f32_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
JM_INLINE float jm_f32_from_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
JM_INLINE uint64_t jm_f64_bits(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
JM_INLINE double jm_f64_from_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* The value of a code of a format of number.def, or f16. Folds to a few instructions where the
 * format's numbers are constants. Written without branches, and without arithmetic
 * on f32 subnormals (a processor may flush them). */
JM_INLINE float jm_narrow_decode(uint32_t code, int exponent, int mantissa, int bias,
                                 jm_float_kind kind) {
  uint32_t magnitude = code & ((1u << (exponent + mantissa)) - 1);
  uint32_t sign = (code >> (exponent + mantissa) & 1) << 31;
  uint32_t all = (1u << (exponent + mantissa)) - 1, top = all >> mantissa << mantissa;
  float unit = jm_f32_from_bits((uint32_t)(128 - bias - mantissa) << 23); /* smallest number */
  uint32_t tiny = jm_f32_bits((float)(int32_t)magnitude * unit);
  uint32_t bits = (magnitude << (23 - mantissa)) + ((uint32_t)(127 - bias) << 23);
  if (kind == JM_FLOAT_IEEE)
    bits = magnitude >= top ? 0x7f800000u | (magnitude - top) << (23 - mantissa) : bits;
  bits = magnitude >> mantissa ? bits : tiny;
  if (kind == JM_FLOAT_FN) bits = magnitude == all ? 0x7fc00000u : bits;
  if (kind == JM_FLOAT_FNUZ) bits = !magnitude && sign ? 0x7fc00000u : bits;
  return jm_f32_from_bits(bits | sign);
}

/* The code nearest to a value. */
JM_INLINE uint32_t jm_narrow_encode(double value, int exponent, int mantissa, int bias,
                                    jm_float_kind kind) {
  uint64_t bits = jm_f64_bits(value), magnitude = bits & INT64_MAX;
  uint32_t sign = (uint32_t)(bits >> 63) << (exponent + mantissa);
  uint32_t all = (1u << (exponent + mantissa)) - 1, top = all >> mantissa << mantissa;
  uint32_t max = kind == JM_FLOAT_IEEE ? top - 1 : kind == JM_FLOAT_FN ? all - 1 : all;
  if (magnitude > 0x7ff0000000000000u) /* NaN; its payload is not kept */
    switch (kind) {
      case JM_FLOAT_IEEE:
        return sign | top | 1u << (mantissa - 1);
      case JM_FLOAT_FN:
        return sign | all;
      default:
        return 1u << (exponent + mantissa);
    }
  int power = (int)(magnitude >> 52) - 1023; /* subnormals of f64 are 0 in every narrow format */
  int excess = power - (1 - bias);           /* over the smallest normal number */
  int shift = 52 - mantissa + (excess < 0 ? -excess : 0);
  uint32_t code = 0;
  if (shift < 54) { /* else less than half of the smallest number */
    uint64_t digits = (magnitude & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    uint64_t half = UINT64_C(1) << (shift - 1);
    digits += half - 1 + (digits >> shift & 1);
    int64_t wide = ((int64_t)(excess < 0 ? 0 : excess) << mantissa) + (int64_t)(digits >> shift);
    code = wide > max ? max + 1 : (uint32_t)wide;
  }
  if (code > max) switch (kind) {
      case JM_FLOAT_IEEE:
        code = top;
        break;
      case JM_FLOAT_FN:
        code = all;
        break;
      case JM_FLOAT_FNUZ:
        return 1u << (exponent + mantissa);
      case JM_FLOAT_FINITE:
        code = max;
        break;
    }
  return kind == JM_FLOAT_FNUZ && !code ? 0 : sign | code;
}

#define NARROW(name, exponent, mantissa, bias, kind)                                \
  JM_INLINE float jm_##name##_to_f32(uint8_t code) {                                \
    return jm_narrow_decode(code, exponent, mantissa, bias, JM_FLOAT_##kind);       \
  }                                                                                 \
  JM_INLINE uint8_t jm_##name##_from_f64(double x) {                                \
    return (uint8_t)jm_narrow_encode(x, exponent, mantissa, bias, JM_FLOAT_##kind); \
  }                                                                                 \
  JM_INLINE uint8_t jm_##name##_from_f32(float x) { return jm_##name##_from_f64((double)x); }
#include "base/number.def"

/* -- f16 and bf16, which programs compute in: loops over these vectorise */

JM_INLINE float jm_bf16_to_f32(uint16_t code) { return jm_f32_from_bits((uint32_t)code << 16); }
JM_INLINE uint16_t jm_bf16_from_f32(float x) {
  uint32_t bits = jm_f32_bits(x);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  uint32_t nan = bits >> 16 | 0x40; /* quiet; rounding could carry a NaN into an infinity */
  return (uint16_t)((bits & INT32_MAX) > 0x7f800000u ? nan : rounded);
}
/* Through f32, so rounded twice: numpy's bfloat16 and XLA both do, and programs compare with them.
 */
JM_INLINE uint16_t jm_bf16_from_f64(double x) { return jm_bf16_from_f32((float)x); }

JM_INLINE float jm_f16_to_f32(uint16_t code) {
  return jm_narrow_decode(code, 5, 10, 15, JM_FLOAT_IEEE);
}
JM_INLINE uint16_t jm_f16_from_f32(float x) {
  uint32_t bits = jm_f32_bits(x), sign = bits >> 16 & 0x8000, magnitude = bits & INT32_MAX;
  /* Below the normal numbers: adding 1/2 rounds to a multiple of 2^-24, the smallest f16. */
  uint32_t tiny = jm_f32_bits(jm_f32_from_bits(magnitude) + 0.5f) - 0x3f000000u;
  uint32_t code = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  code = magnitude < 113u << 23 ? tiny : code;
  code = magnitude > 0x477fffffu ? 0x7c00 : code;
  code = magnitude > 0x7f800000u ? 0x7e00 | (magnitude >> 13 & 0x3ff) : code;
  return (uint16_t)(sign | code);
}
JM_INLINE uint16_t jm_f16_from_f64(double x) {
  return (uint16_t)jm_narrow_encode(x, 5, 10, 15, JM_FLOAT_IEEE);
}

/* -- f8e8m0fnu: 2^(code - 127), 255 is NaN; no sign and no zero */

JM_INLINE float jm_f8e8m0fnu_to_f32(uint8_t code) {
  uint32_t bits = code ? (uint32_t)code << 23 : 0x00400000u;
  return jm_f32_from_bits(code == 255 ? 0x7fc00000u : bits);
}
/* A value that is not positive and finite gives NaN; halfway between two powers rounds up. */
JM_INLINE uint8_t jm_f8e8m0fnu_from_f64(double x) {
  uint64_t bits = jm_f64_bits(x) + (UINT64_C(1) << 51);
  int64_t code = (int64_t)(bits >> 52) - 1023 + 127;
  if (!(x > 0) || code > 254) return 255;
  return (uint8_t)(code < 0 ? 0 : code);
}
JM_INLINE uint8_t jm_f8e8m0fnu_from_f32(float x) { return jm_f8e8m0fnu_from_f64(x); }

/* -- integers below 8 bits */

JM_INLINE int8_t jm_s2_wrap(int32_t x) { return (int8_t)((int32_t)((uint32_t)x << 30) >> 30); }
JM_INLINE int8_t jm_s4_wrap(int32_t x) { return (int8_t)((int32_t)((uint32_t)x << 28) >> 28); }
JM_INLINE uint8_t jm_u2_wrap(uint32_t x) { return (uint8_t)(x & 3); }
JM_INLINE uint8_t jm_u4_wrap(uint32_t x) { return (uint8_t)(x & 15); }

/* -- arrays of the formats above; other element types: false */

bool jm_number_is_narrow(jm_dtype dtype);
/* Whether the bits of an element are a NaN; of other types than floats: false. */
bool jm_number_is_nan(jm_dtype dtype, uint64_t bits);
bool jm_number_widen(jm_dtype dtype, const void *in, float *out, size_t n);
bool jm_number_narrow(jm_dtype dtype, const float *in, void *out, size_t n);
/* from f64 in one rounding (bf16: as jm_bf16_from_f64) */
bool jm_number_narrow_f64(jm_dtype dtype, const double *in, void *out, size_t n);

#endif
