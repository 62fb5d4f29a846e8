/* SPDX-License-Identifier: Apache-2.0
 * Powers and roots, without branches. pow of f32 is computed in f64; that of f64 is the C
 * library's. Measured over sweeps (tests/unit/math_test.c), in ulp of the type: pow of f32 1, cbrt
 * 1, hypot 1.5. */
#include "kernel/emit/element.h"

#define SCOPE                                   \
  const jm_ktype t = JM_KT_f64, it = JM_KT_i64; \
  (void)t, (void)it

/* |x|^y by logarithms, then C's rules: a negative base takes integers only, and y^0 = 1^x = 1. */
static jm_kval pow_f32(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  x = CAST(fpext, f64, x);
  y = CAST(fpext, f64, y);
  jm_kval a = FABS(x), infinite = F(__builtin_inf());
  jm_kval result = jm_math_exp(b, FMUL(y, jm_math_log(b, a, JM_KNONE)), JM_KNONE);
  jm_kval half = FMUL(y, F(0.5));
  jm_kval whole = FOEQ(jm_kbuild1(b, JM_K_ffloor, y), y);
  jm_kval even = FOEQ(jm_kbuild1(b, JM_K_ffloor, half), half);
  jm_kval minus = SLT(BITS(x), I(0));
  jm_kval odd = AND(minus, AND(whole, XOR(even, jm_kbuild_int(b, JM_KT_i1, 1))));
  result = SELECT(odd, FNEG(result), result);
  jm_kval fraction = AND(FOLT(x, F(0)), FUNE(jm_kbuild1(b, JM_K_ffloor, y), y));
  jm_kval undefined = AND(fraction, FOLT(a, infinite)); /* (-inf)^0.5 = inf */
  result = SELECT(undefined, F(__builtin_nan("")), result);
  jm_kval one = OR(FOEQ(y, F(0)), FOEQ(x, F(1)));
  one = OR(one, AND(FOEQ(a, F(1)), FOEQ(FABS(y), infinite)));
  return CAST(fptrunc, f32, SELECT(one, F(1), result));
}

jm_kval jm_math_pow(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_kval args[2] = {x, y};
  if (jm_kbuild_type(b, x) == JM_KT_f64) return jm_kbuild_call(b, JM_KCALL_pow, args);
  return pow_f32(b, x, y);
}

/* cbrt on [1, 8]: to 0.5 % */
static const double cbrt_start[] = {0x1.5d04d693efb07p-1, 0x1.7548880f2ebdbp-2,
                                    -0x1.62ce990249841p-5, 0x1.2f351cc464901p-9};

/* |x| = 2^(3 q) m, m in [1, 8); two of Halley's steps, each with thrice the digits. */
static jm_kval cbrt_f64(jm_kbuilder *b, jm_kval x) {
  SCOPE;
  jm_kval a = FABS(x), tiny = FOLT(a, F(0x1p-1022));
  jm_kval bits = BITS(SELECT(tiny, FMUL(a, F(0x1p54)), a));
  /* the exponent's third by a product: it has 11 bits; the bias is 3 * 341 */
  jm_kval q = LSHR(IMUL(LSHR(bits, I(52)), I(21846)), I(16));
  jm_kval m = FROM_BITS(ISUB(bits, SHL(IMUL(ISUB(q, I(341)), I(3)), I(52))));
  jm_kval r = POLYNOMIAL(m, cbrt_start);
  for (int i = 0; i < 2; i++) {
    /* r - r (r^3 - m) / (2 r^3 + m) */
    jm_kval cube = FMUL(FMUL(r, r), r);
    r = FSUB(r, FDIV(FMUL(r, FSUB(cube, m)), FADD(FADD(cube, cube), m)));
  }
  jm_kval scale = FROM_BITS(SHL(IADD(q, I(1023 - 341)), I(52)));
  r = FMUL(FMUL(r, scale), SELECT(tiny, F(0x1p-18), F(1)));
  r = SELECT(AND(FOLT(F(0), a), FOLT(a, F(__builtin_inf()))), COPYSIGN(r, x), x);
  return r;
}

jm_kval jm_math_cbrt(jm_kbuilder *b, jm_kval x, jm_kval y) {
  (void)y;
  if (jm_kbuild_type(b, x) == JM_KT_f64) return cbrt_f64(b, x);
  return CAST(fptrunc, f32, cbrt_f64(b, CAST(fpext, f64, x)));
}

/* sqrt(x^2 + y^2), scaled where squares would leave the range. */
static jm_kval hypot_f64(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  jm_kval ax = FABS(x), ay = FABS(y), steep = FOLT(ax, ay), infinite = F(__builtin_inf());
  jm_kval low = SELECT(steep, ax, ay), high = SELECT(steep, ay, ax);
  jm_kval large = FOLT(F(0x1p500), high), small = FOLT(high, F(0x1p-400));
  jm_kval down = SELECT(large, F(0x1p-600), SELECT(small, F(0x1p600), F(1)));
  jm_kval up = SELECT(large, F(0x1p600), SELECT(small, F(0x1p-600), F(1)));
  low = FMUL(low, down);
  high = FMUL(high, down);
  jm_kval square = FMUL(high, high), lost = FMA(high, high, FNEG(square));
  jm_kval root = FMUL(FSQRT(FADD(square, FMA(low, low, lost))), up);
  return SELECT(OR(FOEQ(ax, infinite), FOEQ(ay, infinite)), infinite, root);
}

jm_kval jm_math_hypot(jm_kbuilder *b, jm_kval x, jm_kval y) {
  if (jm_kbuild_type(b, x) == JM_KT_f64) return hypot_f64(b, x, y);
  return CAST(fptrunc, f32, hypot_f64(b, CAST(fpext, f64, x), CAST(fpext, f64, y)));
}
