/* SPDX-License-Identifier: Apache-2.0
 * Floats narrower than f32. In registers one is the f32 with its value; a NaN keeps its payload in
 * the upper bits, so that values that are only moved keep their bits. Rounding is integer
 * arithmetic on the bits of an f32, without branches and without arithmetic on subnormals of f32.
 * base/number.h says what each format is. */
#include "base/number.h"
#include "kernel/emit/element.h"

typedef struct format {
  int exponent, mantissa, bias;
  jm_float_kind kind;
} format;

static const format formats[JM_N_DTYPES] = {
#define NARROW(name, exponent, mantissa, bias, kind) \
  [JM_DT_##name] = {exponent, mantissa, bias, JM_FLOAT_##kind},
#include "base/number.def"
    [JM_DT_f16] = {5, 10, 15, JM_FLOAT_IEEE},
};

#define INFINITE 0x7f800000

/* The bits of the format's number 2^exponent. */
static int64_t power_bits(int exponent) { return (int64_t)(127 + exponent) << 23; }

/* -- bf16: the upper half of an f32 */

static jm_kval round_bf16(jm_kbuilder *b, jm_kval x) {
  const jm_ktype it = JM_KT_i32;
  jm_kval bits = jm_k_bits(b, x),
          odd = jm_k_and(b, jm_k_lshr(b, bits, jm_k_int(b, it, 16)), jm_k_int(b, it, 1));
  jm_kval rounded = jm_k_iadd(b, bits, jm_k_iadd(b, odd, jm_k_int(b, it, 0x7fff)));
  jm_kval quiet =
      jm_k_or(b, bits, jm_k_int(b, it, 0x400000)); /* rounding could carry a NaN into an infinity */
  return jm_k_from_bits(b, jm_k_and(b, jm_k_select(b, jm_k_funo(b, x, x), quiet, rounded),
                                    jm_k_int(b, it, 0xffff0000)));
}

/* -- formats of a table row, f16 among them */

/* |x| rounded to the format's digits, x's sign kept apart, range not yet looked at. Below the
 * normal numbers the sum with 2^k rounds to a multiple of the smallest number. */
static jm_kval round_magnitude(jm_kbuilder *b, const format *f, jm_kval magnitude) {
  const jm_ktype it = JM_KT_i32;
  int drop = 23 - f->mantissa;
  jm_kval odd = jm_k_and(b, jm_k_lshr(b, magnitude, jm_k_int(b, it, drop)), jm_k_int(b, it, 1));
  jm_kval normal =
      jm_k_iadd(b, magnitude, jm_k_iadd(b, odd, jm_k_int(b, it, (1 << (drop - 1)) - 1)));
  normal = jm_k_and(b, normal, jm_k_int(b, it, -(INT64_C(1) << drop)));
  jm_kval unit = jm_k_from_bits(b, jm_k_int(b, it, power_bits(24 - f->bias - f->mantissa)));
  jm_kval tiny = jm_k_bits(b, jm_k_fsub(b, jm_k_fadd(b, jm_k_from_bits(b, magnitude), unit), unit));
  return jm_k_select(b, jm_k_ult(b, magnitude, jm_k_int(b, it, power_bits(1 - f->bias))), tiny,
                     normal);
}

/* Handles values beyond the largest number, and NaN. */
static int64_t largest(const format *f) {
  uint32_t all = (1u << (f->exponent + f->mantissa)) - 1, top = all >> f->mantissa << f->mantissa;
  uint32_t code = f->kind == JM_FLOAT_IEEE ? top - 1 : f->kind == JM_FLOAT_FN ? all - 1 : all;
  return ((int64_t)code << (23 - f->mantissa)) + power_bits(-f->bias);
}

static jm_kval round_format(jm_kbuilder *b, const format *f, jm_kval x) {
  const jm_ktype it = JM_KT_i32;
  jm_kval bits = jm_k_bits(b, x), magnitude = jm_k_and(b, bits, jm_k_int(b, it, INT32_MAX)),
          sign = jm_k_xor(b, bits, magnitude);
  jm_kval nan = jm_k_ult(b, jm_k_int(b, it, INFINITE), magnitude),
          rounded = round_magnitude(b, f, magnitude);
  jm_kval high = jm_k_ult(b, jm_k_int(b, it, largest(f)), rounded);
  jm_kval quiet = jm_k_int(b, it, INFINITE | 1 << 22);
  switch (f->kind) {
    case JM_FLOAT_IEEE: /* f16 keeps what payload it can; the others have but one NaN */
      rounded = jm_k_select(b, high, jm_k_int(b, it, INFINITE), rounded);
      if (f->mantissa == 10)
        quiet = jm_k_and(b, jm_k_or(b, magnitude, jm_k_int(b, it, 1 << 22)),
                         jm_k_int(b, it, -(INT64_C(1) << 13)));
      break;
    case JM_FLOAT_FN:
      rounded = jm_k_select(b, high, quiet, rounded);
      break;
    case JM_FLOAT_FNUZ: /* no -0; its place is the NaN, which has no sign */
      rounded = jm_k_select(b, high, quiet, rounded);
      sign = jm_k_select(
          b, jm_k_or(b, nan, jm_k_or(b, high, jm_k_ieq(b, rounded, jm_k_int(b, it, 0)))),
          jm_k_int(b, it, 0), sign);
      break;
    case JM_FLOAT_FINITE: /* NaN gives -0 */
      rounded = jm_k_select(b, high, jm_k_int(b, it, largest(f)), rounded);
      quiet = jm_k_int(b, it, 0);
      sign = jm_k_select(b, nan, jm_k_int(b, it, 1u << 31), sign);
      break;
  }
  return jm_k_from_bits(b, jm_k_or(b, sign, jm_k_select(b, nan, quiet, rounded)));
}

/* Between the exponents of an infinity of the format, rebiased, and of f32, in its place. */
static int64_t lift(const format *f) {
  return (int64_t)(128 + f->bias - (1 << f->exponent) + 1) << 23;
}

static jm_kval pack_format(jm_kbuilder *b, const format *f, jm_kval x) {
  const jm_ktype it = JM_KT_i32;
  int drop = 23 - f->mantissa, width = f->exponent + f->mantissa;
  jm_kval bits = jm_k_bits(b, x), magnitude = jm_k_and(b, bits, jm_k_int(b, it, INT32_MAX));
  jm_kval sign = jm_k_shl(b, jm_k_lshr(b, bits, jm_k_int(b, it, 31)), jm_k_int(b, it, width));
  jm_kval special = jm_k_ule(b, jm_k_int(b, it, INFINITE), magnitude),
          base = jm_k_int(b, it, power_bits(-f->bias));
  if (f->kind == JM_FLOAT_IEEE)
    base = jm_k_select(b, special, jm_k_int(b, it, power_bits(-f->bias) + lift(f)), base);
  jm_kval normal = jm_k_lshr(b, jm_k_isub(b, magnitude, base), jm_k_int(b, it, drop));
  /* A subnormal is a small multiple of the smallest number: the sum with 2^k has it as its last
   * bits. */
  int64_t unit = power_bits(24 - f->bias - f->mantissa);
  jm_kval tiny = jm_k_isub(b,
                           jm_k_bits(b, jm_k_fadd(b, jm_k_from_bits(b, magnitude),
                                                  jm_k_from_bits(b, jm_k_int(b, it, unit)))),
                           jm_k_int(b, it, unit));
  jm_kval code = jm_k_select(b, jm_k_ult(b, magnitude, jm_k_int(b, it, power_bits(1 - f->bias))),
                             tiny, normal);
  switch (f->kind) {
    case JM_FLOAT_FN:
      return jm_k_or(b, sign, jm_k_select(b, special, jm_k_int(b, it, (1 << width) - 1), code));
    case JM_FLOAT_FNUZ:
      return jm_k_select(b, special, jm_k_int(b, it, 1 << width), jm_k_or(b, sign, code));
    default:
      return jm_k_or(b, sign, code);
  }
}

static jm_kval unpack_format(jm_kbuilder *b, const format *f, jm_kval code) {
  const jm_ktype it = JM_KT_i32;
  int drop = 23 - f->mantissa, width = f->exponent + f->mantissa;
  int64_t all = (1 << width) - 1, top = all >> f->mantissa << f->mantissa;
  jm_kval magnitude = jm_k_and(b, code, jm_k_int(b, it, all)),
          sign = jm_k_shl(
              b, jm_k_and(b, jm_k_lshr(b, code, jm_k_int(b, it, width)), jm_k_int(b, it, 1)),
              jm_k_int(b, it, 31));
  jm_kval smallest = jm_k_from_bits(b, jm_k_int(b, it, power_bits(1 - f->bias - f->mantissa)));
  jm_kval tiny = jm_k_bits(b, jm_k_fmul(b, jm_k_sitofp(b, JM_KT_f32, magnitude), smallest));
  jm_kval bits = jm_k_iadd(b, jm_k_shl(b, magnitude, jm_k_int(b, it, drop)),
                           jm_k_int(b, it, power_bits(-f->bias)));
  if (f->kind == JM_FLOAT_IEEE) /* infinity and NaN: up to the exponent that says so in f32 */
    bits = jm_k_iadd(b, bits,
                     jm_k_select(b, jm_k_ule(b, jm_k_int(b, it, top), magnitude),
                                 jm_k_int(b, it, lift(f)), jm_k_int(b, it, 0)));
  bits = jm_k_select(b, jm_k_ult(b, magnitude, jm_k_int(b, it, 1 << f->mantissa)), tiny, bits);
  jm_kval nan = jm_k_int(b, it, INFINITE | 1 << 22);
  if (f->kind == JM_FLOAT_FN)
    bits = jm_k_select(b, jm_k_ieq(b, magnitude, jm_k_int(b, it, all)), nan, bits);
  if (f->kind == JM_FLOAT_FNUZ)
    bits = jm_k_select(
        b,
        jm_k_ieq(b, jm_k_and(b, code, jm_k_int(b, it, 2 * all + 1)), jm_k_int(b, it, 1 << width)),
        nan, bits);
  return jm_k_from_bits(b, jm_k_or(b, bits, sign));
}

/* -- f8e8m0fnu: powers of two alone; a value that is not positive and finite is NaN; halves round
 * up */

static jm_kval pack_e8m0(jm_kbuilder *b, jm_kval x) {
  const jm_ktype it = JM_KT_i32;
  jm_kval bits = jm_k_bits(b, x),
          code = jm_k_lshr(b, jm_k_iadd(b, bits, jm_k_int(b, it, 1 << 22)), jm_k_int(b, it, 23));
  code = jm_k_select(b, jm_k_ult(b, bits, jm_k_int(b, it, 0x600000)), jm_k_int(b, it, 0),
                     code); /* subnormals have no leading one */
  jm_kval positive = jm_k_and(b, jm_k_slt(b, jm_k_int(b, it, 0), bits),
                              jm_k_ult(b, bits, jm_k_int(b, it, INFINITE)));
  return jm_k_select(b, jm_k_and(b, positive, jm_k_ult(b, code, jm_k_int(b, it, 255))), code,
                     jm_k_int(b, it, 255));
}

static jm_kval unpack_e8m0(jm_kbuilder *b, jm_kval code) {
  const jm_ktype it = JM_KT_i32;
  code = jm_k_and(b, code, jm_k_int(b, it, 255));
  jm_kval bits = jm_k_select(b, jm_k_ieq(b, code, jm_k_int(b, it, 0)), jm_k_int(b, it, 0x400000),
                             jm_k_shl(b, code, jm_k_int(b, it, 23)));
  return jm_k_from_bits(b, jm_k_select(b, jm_k_ieq(b, code, jm_k_int(b, it, 255)),
                                       jm_k_int(b, it, INFINITE | 1 << 22), bits));
}

/* -- all of them */

jm_kval jm_element_round(jm_kbuilder *b, jm_dtype dtype, jm_kval x) {
  if (!jm_number_is_narrow(dtype)) return x;
  if (dtype == JM_DT_bf16) return round_bf16(b, x);
  if (dtype == JM_DT_f8e8m0fnu) return unpack_e8m0(b, pack_e8m0(b, x));
  return round_format(b, &formats[dtype], x);
}

/* To f32 towards zero, with the last bit set if the result is inexact (round to odd): a later
 * rounding to fewer than 22 digits then gives the same as one from f64. */
jm_kval jm_element_round_f64(jm_kbuilder *b, jm_dtype dtype, jm_kval x) {
  jm_kval nearest = jm_k_fptrunc(b, JM_KT_f32, x);
  if (dtype == JM_DT_f64) return x;
  if (dtype == JM_DT_f32 || dtype == JM_DT_bf16) return jm_element_round(b, dtype, nearest);
  jm_kval back = jm_k_fpext(b, JM_KT_f64, nearest);
  jm_kval beyond =
      jm_k_sext(b, JM_KT_i32, jm_k_folt(b, jm_k_fabs(b, x), jm_k_fabs(b, back))); /* -1 if so */
  jm_kval lost = jm_k_zext(b, JM_KT_i32, jm_k_fune(b, back, x));
  jm_kval odd = jm_k_from_bits(b, jm_k_or(b, jm_k_iadd(b, jm_k_bits(b, nearest), beyond), lost));
  return jm_element_round(b, dtype, jm_k_select(b, jm_k_funo(b, x, x), nearest, odd));
}

jm_kval jm_element_pack_narrow(jm_kbuilder *b, jm_dtype dtype, jm_kval x) {
  const jm_ktype it = JM_KT_i32;
  if (dtype == JM_DT_bf16)
    return jm_k_itrunc(b, JM_KT_i16, jm_k_lshr(b, jm_k_bits(b, x), jm_k_int(b, it, 16)));
  jm_kval code = dtype == JM_DT_f8e8m0fnu ? pack_e8m0(b, x) : pack_format(b, &formats[dtype], x);
  return dtype == JM_DT_f16 ? jm_k_itrunc(b, JM_KT_i16, code) : jm_k_itrunc(b, JM_KT_i8, code);
}

jm_kval jm_element_unpack_narrow(jm_kbuilder *b, jm_dtype dtype, jm_kval bits) {
  const jm_ktype it = JM_KT_i32;
  jm_kval code = jm_k_zext(b, JM_KT_i32, bits);
  if (dtype == JM_DT_bf16) return jm_k_from_bits(b, jm_k_shl(b, code, jm_k_int(b, it, 16)));
  return dtype == JM_DT_f8e8m0fnu ? unpack_e8m0(b, code) : unpack_format(b, &formats[dtype], code);
}

/* -- reduce_precision: to a format of IEEE's shape, without its subnormals, in place */

static jm_kval reduce_bits(jm_kbuilder *b, jm_kval bits, int digits, int own_bias, int exponent,
                           int mantissa) {
  const jm_ktype it = jm_kbuild_type(b, bits);
  const uint64_t top = UINT64_C(1) << (jm_ktype_bits[it] - 1); /* the sign */
  const int64_t infinity = (int64_t)(2 * own_bias + 1) << digits;
  jm_kval sign = jm_k_and(b, bits, jm_k_int(b, it, top)), x = jm_k_xor(b, bits, sign);
  jm_kval nan = jm_k_ult(b, jm_k_int(b, it, infinity), x);
  if (mantissa < digits) {
    int64_t last = INT64_C(1) << (digits - mantissa);
    jm_kval odd =
        jm_k_select(b, jm_k_ine(b, jm_k_and(b, x, jm_k_int(b, it, last)), jm_k_int(b, it, 0)),
                    jm_k_int(b, it, last >> 1), jm_k_int(b, it, (last >> 1) - 1));
    x = jm_k_and(b, jm_k_iadd(b, x, odd), jm_k_int(b, it, -last));
  }
  int bias = exponent < 20 ? (1 << (exponent - 1)) - 1 : own_bias;
  if (bias < own_bias) {
    x = jm_k_select(b, jm_k_ult(b, x, jm_k_int(b, it, (int64_t)(own_bias + bias + 1) << digits)), x,
                    jm_k_int(b, it, infinity));
    x = jm_k_select(b, jm_k_ult(b, x, jm_k_int(b, it, (int64_t)(own_bias - bias + 1) << digits)),
                    jm_k_int(b, it, 0), x);
  }
  return jm_k_select(b, nan, bits, jm_k_or(b, sign, x));
}

/* The attributes' limits are those of engine/elementwise. */
jm_kval jm_element_reduce_precision(jm_kbuilder *b, jm_dtype dtype, jm_kval x, int64_t exponent,
                                    int64_t mantissa) {
  int e = exponent > 16 ? 16 : (int)exponent, m = mantissa > 64 ? 64 : (int)mantissa;
  switch (dtype) {
    case JM_DT_f64:
      return jm_k_from_bits(b, reduce_bits(b, jm_k_bits(b, x), 52, 1023, e, m));
    case JM_DT_f32:
      return jm_k_from_bits(b, reduce_bits(b, jm_k_bits(b, x), 23, 127, e, m));
    case JM_DT_bf16:
    case JM_DT_f16: {
      bool half = dtype == JM_DT_f16;
      jm_kval bits = jm_element_pack(b, dtype, x);
      return jm_element_unpack(b, dtype,
                               reduce_bits(b, bits, half ? 10 : 7, half ? 15 : 127, e, m));
    }
    default: { /* by way of f32, whose own subnormals stay */
      int own = dtype == JM_DT_f8e8m0fnu ? 8 : formats[dtype].exponent;
      jm_kval bits = reduce_bits(b, jm_k_bits(b, x), 23, 127, e < own ? e : 8, m);
      return jm_element_round(b, dtype, jm_k_from_bits(b, bits));
    }
  }
}
