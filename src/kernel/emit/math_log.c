/* SPDX-License-Identifier: Apache-2.0
 * log and what is made of it, for f32 and f64, without branches. Measured over sweeps
 * (tests/unit/math_test.c), in ulp of the type: log 1, log1p 1.5, asinh, acosh, atanh 2.5 (f32: 1).
 * Polynomials are minimax fits of our own. */
#include "kernel/emit/element.h"

#define SCOPE                                       \
  const jm_ktype t = jm_kbuild_type(b, x);          \
  const bool wide = t == JM_KT_f64;                 \
  const jm_ktype it = wide ? JM_KT_i64 : JM_KT_i32; \
  (void)t, (void)wide, (void)it, (void)y

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
  const jm_kval y = JM_KNONE;
  SCOPE;
  const int digits = wide ? 52 : 23;
  const int64_t low = wide ? 0x3fe6a09e667f3bcd : 0x3f3504f3;
  jm_kval shifted = ISUB(BITS(x), I(low)), k = ASHR(shifted, I(digits));
  jm_kval m = FROM_BITS(IADD(AND(shifted, I((INT64_C(1) << digits) - 1)), I(low)));
  if (!wide) return (parts){CAST(sitofp, f32, k), m, k};
  /* in the last digits of 1.5 * 2^52: few machines convert vectors of i64 */
  jm_kval magic = F(0x1.8p52);
  return (parts){FSUB(FROM_BITS(IADD(k, BITS(magic))), magic), m, k};
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
  const jm_kval x = f, y = JM_KNONE;
  SCOPE;
  jm_kval f2 = FMUL(f, f), low = FMUL(k, F(LN2_LOW)), high = FMUL(k, F(LN2_HIGH));
  if (!wide) {
    jm_kval tail = FMA(FMUL(f2, f), POLYNOMIAL(f, tail_f32), FMA(f2, F(-0.5), low));
    return FADD(high, FADD(f, tail));
  }
  /* log(1 + f) = f - f^2/2 + s (f^2/2 + R), in which f is exact */
  jm_kval s = FDIV(f, FADD(F(2), f)), z = FMUL(s, s), half = FMUL(F(0.5), f2);
  jm_kval tail = FMUL(z, POLYNOMIAL(z, tail_f64));
  jm_kval small = FMA(s, FADD(half, tail), low);
  return FSUB(high, FSUB(FSUB(half, small), f));
}

/* Of what is not positive and finite; edge: where the logarithm is -infinity. */
static jm_kval with_edges(jm_kbuilder *b, jm_kval x, double edge, jm_kval result) {
  const jm_ktype t = jm_kbuild_type(b, x);
  result = SELECT(FOLT(x, F(edge)), F(__builtin_nan("")), result);
  result = SELECT(FOEQ(x, F(edge)), F(-__builtin_inf()), result);
  return SELECT(FOLT(x, F(__builtin_inf())), result, x); /* infinity and NaN as they are */
}

jm_kval jm_math_log(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  jm_kval tiny = FOLT(x, F(wide ? 0x1p-1022 : 0x1p-126)); /* subnormal */
  parts p = split(b, SELECT(tiny, FMUL(x, F(wide ? 0x1p52 : 0x1p23)), x));
  jm_kval k = FADD(p.k, SELECT(tiny, F(wide ? -52 : -23), F(0)));
  return with_edges(b, x, 0, sum(b, k, FSUB(p.m, F(1))));
}

/* log of u = 1 + x, with what that sum lost added to the mantissa. */
jm_kval jm_math_log1p(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  jm_kval u = FADD(F(1), x), back = FSUB(u, F(1));
  jm_kval lost = FADD(FSUB(F(1), FSUB(u, back)), FSUB(x, back));
  parts p = split(b, u);
  /* 2^-k; of the largest numbers nothing is left of what was lost */
  jm_kval down = ISUB(I(wide ? 1023 : 127), SMIN(p.bits, I(wide ? 1022 : 126)));
  jm_kval scale = FROM_BITS(SHL(down, I(wide ? 52 : 23)));
  jm_kval result = sum(b, p.k, FMA(lost, scale, FSUB(p.m, F(1))));
  result = SELECT(FOEQ(x, F(0)), x, result); /* -0 */
  return with_edges(b, x, -1, result);
}

/* -- functions whose f32 is the rounded f64 */

static jm_kval by_way_of_f64(jm_kbuilder *b, jm_float_fn *fn, jm_kval x, jm_kval y) {
  if (jm_kbuild_type(b, x) == JM_KT_f64) return fn(b, x, y);
  return CAST(fptrunc, f32, fn(b, CAST(fpext, f64, x), y));
}

/* log(a + sqrt(a^2 + 1)) = log1p(a + a^2 / (1 + sqrt(a^2 + 1))); log 2a where squares overflow */
static jm_kval asinh_f64(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  jm_kval a = FABS(x), a2 = FMUL(a, a), large = FOLT(F(0x1p28), a);
  jm_kval m = FADD(a, FDIV(a2, FADD(F(1), FSQRT(FADD(a2, F(1))))));
  jm_kval result = jm_math_log1p(b, SELECT(large, FSUB(a, F(1)), m), y);
  return COPYSIGN(FADD(result, SELECT(large, F(LN2), F(0))), x);
}

/* log(x + sqrt(x^2 - 1)), in terms of x - 1 */
static jm_kval acosh_f64(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  jm_kval m = FSUB(x, F(1)), large = FOLT(F(0x1p28), x);
  jm_kval arg = SELECT(large, m, FADD(m, FSQRT(FMUL(m, FADD(x, F(1))))));
  jm_kval result = FADD(jm_math_log1p(b, arg, y), SELECT(large, F(LN2), F(0)));
  return SELECT(FOLT(x, F(1)), F(__builtin_nan("")), result);
}

/* log((1 + a) / (1 - a)) / 2 */
static jm_kval atanh_f64(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  jm_kval a = FABS(x), twice = FADD(a, a);
  jm_kval arg = FADD(twice, FDIV(FMUL(twice, a), FSUB(F(1), a)));
  jm_kval result = COPYSIGN(FMUL(F(0.5), jm_math_log1p(b, arg, y)), x);
  return SELECT(FOLT(F(1), a), F(__builtin_nan("")), result);
}

jm_kval jm_math_asinh(jm_kbuilder *b, jm_kval x, jm_kval y) {
  return by_way_of_f64(b, asinh_f64, x, y);
}
jm_kval jm_math_acosh(jm_kbuilder *b, jm_kval x, jm_kval y) {
  return by_way_of_f64(b, acosh_f64, x, y);
}
jm_kval jm_math_atanh(jm_kbuilder *b, jm_kval x, jm_kval y) {
  return by_way_of_f64(b, atanh_f64, x, y);
}
