/* SPDX-License-Identifier: Apache-2.0
 * log and the functions derived from it, for f32 and f64, without branches. Measured over sweeps
 * (tests/unit/math_test.c), in ulp of the type: log 1, log1p 1.5, asinh, acosh, atanh 2.5 (f32: 1).
 * Polynomials are minimax fits of our own. */
#include "kernel/emit/element.h"

#define LN2 0x1.62e42fefa39efp-1
/* its upper digits, few enough for exact products with exponents, and the rest */
#define LN2_HIGH (wide ? 0x1.62e42fee00000p-1 : 0x1.62e0000000000p-1)
#define LN2_LOW (wide ? 0x1.a39ef35793c76p-33 : 0x1.0bfbe8e7bcd5ep-15)

/* x = 2^k m, m in [sqrt(1/2), sqrt(2)): the exponent is taken after a shift to those bounds. */
typedef struct parts {
  jm_kval k, m, bits; /* k as a float and as an integer */
} parts;

/* x is positive, finite and normal. */
static parts split(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  const jm_ktype it = wide ? JM_KT_i64 : JM_KT_i32;
  const int digits = wide ? 52 : 23;
  const int64_t low = wide ? 0x3fe6a09e667f3bcd : 0x3f3504f3;
  jm_kval shifted = jm_k_isub(b, jm_k_bits(b, x), jm_k_int(b, it, low)),
          k = jm_k_ashr(b, shifted, jm_k_int(b, it, digits));
  jm_kval m = jm_k_from_bits(
      b, jm_k_iadd(b, jm_k_and(b, shifted, jm_k_int(b, it, (INT64_C(1) << digits) - 1)),
                   jm_k_int(b, it, low)));
  if (!wide) return (parts){jm_k_sitofp(b, JM_KT_f32, k), m, k};
  /* in the last digits of 1.5 * 2^52: few machines convert vectors of i64 */
  jm_kval magic = jm_k_float(b, t, 0x1.8p52);
  return (parts){jm_k_fsub(b, jm_k_from_bits(b, jm_k_iadd(b, k, jm_k_bits(b, magic))), magic), m,
                 k};
}

/* (log(1 + f) - f + f^2/2) / f^3 on m - 1: to 2^-30 of the logarithm */
static const double tail_f32[] = {0x1.5555460p-2,  -0x1.ffffee0p-3, 0x1.99a55a0p-3,
                                  -0x1.5562fc0p-3, 0x1.2331040p-3,  -0x1.fb3d840p-4,
                                  0x1.e666aa0p-4,  -0x1.e316120p-4, 0x1.1b44740p-4};
/* (2 artanh(s) / s - 2) / s^2 in s^2, where s = f / (2 + f): to 2^-65 */
static const double tail_f64[] = {0x1.5555555555555p-1, 0x1.9999999999e0ep-2, 0x1.249249242a0a9p-2,
                                  0x1.c71c725a6c5edp-3, 0x1.745cddc294c67p-3, 0x1.3b20bf4949e6fp-3,
                                  0x1.0f5b0a72806edp-3, 0x1.0f72ff434974dp-3};

/* k ln 2 + log(1 + f): the small terms first. */
static jm_kval sum(jm_kbuilder *b, jm_kval k, jm_kval f) {
  const jm_kval x = f;
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  jm_kval f2 = jm_k_fmul(b, f, f), low = jm_k_fmul(b, k, jm_k_float(b, t, LN2_LOW));
  if (!wide) {
    jm_kval tail = jm_k_fma(b, f, JM_POLYNOMIAL(b, f, tail_f32), jm_k_float(b, t, -0.5));
    tail = jm_k_fma(b, f2, tail, low);
    return jm_k_fma(b, k, jm_k_float(b, t, LN2_HIGH), jm_k_fadd(b, f, tail));
  }
  /* log(1 + f) = f - f^2/2 + s (f^2/2 + R), in which f is exact */
  jm_kval s = jm_k_fdiv(b, f, jm_k_fadd(b, jm_k_float(b, t, 2), f)), z = jm_k_fmul(b, s, s),
          half = jm_k_fmul(b, jm_k_float(b, t, 0.5), f2);
  jm_kval tail = jm_k_fmul(b, z, JM_POLYNOMIAL(b, z, tail_f64));
  jm_kval small = jm_k_fma(b, s, jm_k_fadd(b, half, tail), low);
  return jm_k_fma(b, k, jm_k_float(b, t, LN2_HIGH), jm_k_fsub(b, f, jm_k_fsub(b, half, small)));
}

/* Of a value that is not positive and finite; edge: where the logarithm is -infinity. */
static jm_kval with_edges(jm_kbuilder *b, jm_kval x, double edge, jm_kval result) {
  const jm_ktype t = jm_kbuild_type(b, x);
  result = jm_k_select(b, jm_k_folt(b, x, jm_k_float(b, t, edge)),
                       jm_k_float(b, t, __builtin_nan("")), result);
  result = jm_k_select(b, jm_k_foeq(b, x, jm_k_float(b, t, edge)),
                       jm_k_float(b, t, -__builtin_inf()), result);
  return jm_k_select(b, jm_k_folt(b, x, jm_k_float(b, t, __builtin_inf())), result,
                     x); /* infinity and NaN as they are */
}

jm_kval jm_math_log(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  jm_kval tiny = jm_k_folt(b, x, jm_k_float(b, t, wide ? 0x1p-1022 : 0x1p-126)); /* subnormal */
  parts p =
      split(b, jm_k_select(b, tiny, jm_k_fmul(b, x, jm_k_float(b, t, wide ? 0x1p52 : 0x1p23)), x));
  jm_kval k = jm_k_fadd(
      b, p.k, jm_k_select(b, tiny, jm_k_float(b, t, wide ? -52 : -23), jm_k_float(b, t, 0)));
  return with_edges(b, x, 0, sum(b, k, jm_k_fsub(b, p.m, jm_k_float(b, t, 1))));
}

/* log of u = 1 + x, with what that sum lost added to the mantissa. */
jm_kval jm_math_log1p(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  const jm_ktype it = wide ? JM_KT_i64 : JM_KT_i32;
  jm_kval u = jm_k_fadd(b, jm_k_float(b, t, 1), x), back = jm_k_fsub(b, u, jm_k_float(b, t, 1));
  jm_kval lost =
      jm_k_fadd(b, jm_k_fsub(b, jm_k_float(b, t, 1), jm_k_fsub(b, u, back)), jm_k_fsub(b, x, back));
  parts p = split(b, u);
  /* 2^-k; for the largest numbers the lost part vanishes */
  jm_kval down = jm_k_isub(b, jm_k_int(b, it, wide ? 1023 : 127),
                           jm_k_smin(b, p.bits, jm_k_int(b, it, wide ? 1022 : 126)));
  jm_kval scale = jm_k_from_bits(b, jm_k_shl(b, down, jm_k_int(b, it, wide ? 52 : 23)));
  jm_kval result = sum(b, p.k, jm_k_fma(b, lost, scale, jm_k_fsub(b, p.m, jm_k_float(b, t, 1))));
  result = jm_k_select(b, jm_k_foeq(b, x, jm_k_float(b, t, 0)), x, result); /* -0 */
  return with_edges(b, x, -1, result);
}

/* -- functions whose f32 is the rounded f64, where there is one */

/* log(a + sqrt(a^2 + 1)) = log1p(a + a^2 / (1 + sqrt(a^2 + 1))); log 2a where squares overflow */
static jm_kval asinh_of(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  jm_kval a = jm_k_fabs(b, x), a2 = jm_k_fmul(b, a, a),
          large = jm_k_folt(b, jm_k_float(b, t, wide ? 0x1p28 : 0x1p12), a);
  jm_kval m = jm_k_fadd(b, a,
                        jm_k_fdiv(b, a2,
                                  jm_k_fadd(b, jm_k_float(b, t, 1),
                                            jm_k_fsqrt(b, jm_k_fadd(b, a2, jm_k_float(b, t, 1))))));
  jm_kval result = jm_math_log1p(b, jm_k_select(b, large, jm_k_fsub(b, a, jm_k_float(b, t, 1)), m));
  return jm_k_fcopysign(
      b, jm_k_fadd(b, result, jm_k_select(b, large, jm_k_float(b, t, LN2), jm_k_float(b, t, 0))),
      x);
}

/* log(x + sqrt(x^2 - 1)), in terms of x - 1 */
static jm_kval acosh_of(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  jm_kval m = jm_k_fsub(b, x, jm_k_float(b, t, 1)),
          large = jm_k_folt(b, jm_k_float(b, t, wide ? 0x1p28 : 0x1p12), x);
  jm_kval arg = jm_k_select(
      b, large, m,
      jm_k_fadd(b, m, jm_k_fsqrt(b, jm_k_fmul(b, m, jm_k_fadd(b, x, jm_k_float(b, t, 1))))));
  jm_kval result = jm_k_fadd(b, jm_math_log1p(b, arg),
                             jm_k_select(b, large, jm_k_float(b, t, LN2), jm_k_float(b, t, 0)));
  return jm_k_select(b, jm_k_folt(b, x, jm_k_float(b, t, 1)), jm_k_float(b, t, __builtin_nan("")),
                     result);
}

/* log((1 + a) / (1 - a)) / 2 */
static jm_kval atanh_of(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  jm_kval a = jm_k_fabs(b, x), twice = jm_k_fadd(b, a, a);
  jm_kval arg = jm_k_fadd(
      b, twice, jm_k_fdiv(b, jm_k_fmul(b, twice, a), jm_k_fsub(b, jm_k_float(b, t, 1), a)));
  jm_kval result = jm_k_fcopysign(b, jm_k_fmul(b, jm_k_float(b, t, 0.5), jm_math_log1p(b, arg)), x);
  return jm_k_select(b, jm_k_folt(b, jm_k_float(b, t, 1), a), jm_k_float(b, t, __builtin_nan("")),
                     result);
}

jm_kval jm_math_asinh(jm_kbuilder *b, jm_kval x) { return jm_math_through_f64(b, asinh_of, x); }
jm_kval jm_math_acosh(jm_kbuilder *b, jm_kval x) { return jm_math_through_f64(b, acosh_of, x); }
jm_kval jm_math_atanh(jm_kbuilder *b, jm_kval x) { return jm_math_through_f64(b, atanh_of, x); }
