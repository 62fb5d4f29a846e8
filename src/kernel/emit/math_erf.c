/* SPDX-License-Identifier: Apache-2.0
 * The error function and its complement, for f32 and f64, without branches. Measured over sweeps
 * (tests/unit/math_test.c), in ulp of the type: erf 1.5, erfc 4.5 (f64: 3.75). Polynomials are
 * minimax fits of our own. */
#include "kernel/emit/element.h"

/* erf x / x - 1 in x^2, |x| <= 1: to 2^-29 and 2^-62 */
static const double erf_f32[] = {0x1.06eba80p-3, -0x1.81273e0p-2,  0x1.ce2d200p-4, -0x1.b7fbb40p-6,
                                 0x1.5419f40p-8, -0x1.a485e40p-11, 0x1.4ae4b40p-14};
static const double erf_f64[] = {
    0x1.06eba8214db69p-3,  -0x1.812746b0379e6p-2,  0x1.ce2f21a042b34p-4,  -0x1.b82ce31284f39p-6,
    0x1.565bcd0dbd954p-8,  -0x1.c02db3db4a094p-11, 0x1.f9a321e4c8d89p-14, -0x1.f4d1e435f28e6p-17,
    0x1.b9df306bc0757p-20, -0x1.5f1f4175cba55p-23, 0x1.f7b9a26a92995p-27, -0x1.38ac31076fb8ep-30,
    0x1.06277eb745c57p-34};

/* log erfc x, 1 <= x <= 4: to 2^-35 of 1 */
static const double far_f32[] = {0x1.8a556a0p-13, -0x1.212c0c0p+0, -0x1.4435680p-1,
                                 -0x1.bc150e0p-4, 0x1.9d02f00p-6,  -0x1.138c9e0p-8,
                                 0x1.cec5a40p-12, -0x1.6bd76a0p-16};

/* (1 + 2 x) e^(x^2) erfc x in (x - k) / (x + k), x >= 0: nearly constant, so that the argument's
 * rounding does not matter where x is large. f32: k = 2.5, to 2^-28; f64: k = 4, to 2^-58 */
static const double scaled_f32[] = {0x1.43cc700p+0,  -0x1.f52c4c0p-4, -0x1.959a620p-4,
                                    0x1.42d2680p-3,  -0x1.a5c7c40p-4, 0x1.0c827e0p-5,
                                    0x1.00df0c0p-10, -0x1.21a97a0p-8, 0x1.6797920p-12,
                                    0x1.420bd40p-11, 0x1.4d78f80p-14};
static const double scaled_f64[] = {
    0x1.3ba5916e9fd7fp+0,   -0x1.1df1ad154a28fp-3,  0x1.f7f5df66fd7d3p-7,   0x1.16ecefcfa53fep-4,
    -0x1.9ddb23c3e91bbp-4,  0x1.7fee004e11416p-4,   -0x1.0fb06dfe47ae6p-4,  0x1.3079edf6acd22p-5,
    -0x1.096238856d96dp-6,  0x1.49c67277a3710p-8,   -0x1.8d4a9989cf635p-11, -0x1.a1df1904372c7p-13,
    0x1.3be035d89bce3p-13,  -0x1.995afedeb86e0p-16, -0x1.788335bd89fb1p-17, 0x1.7f3d40a2f848cp-18,
    0x1.393b1de744231p-22,  -0x1.bc5655f66d3f6p-21, 0x1.4a948475506a8p-24,  0x1.e5ef4a1c2abc2p-24,
    -0x1.47f50a2f85c5ap-26, -0x1.1bbbd0139f606p-26, 0x1.d44031a342a58p-30,  0x1.1d6fb19e020eap-29,
    0x1.3502d19d09de8p-32};

static jm_kval at_most(jm_kbuilder *b, jm_kval x, double limit) {
  const jm_ktype t = jm_kbuild_type(b, x);
  return jm_k_select(b, jm_k_folt(b, jm_k_float(b, t, limit), x), jm_k_float(b, t, limit), x);
}

/* erfc of a >= 0; beyond the limits it is 0 */
static jm_kval complement(jm_kbuilder *b, jm_kval a) {
  const jm_kval x = a;
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  a = at_most(b, a, wide ? 27.5 : 10.2);
  const double k = wide ? 4 : 2.5;
  jm_kval inverse = jm_k_fdiv(b, jm_k_float(b, t, 1), jm_k_fadd(b, a, jm_k_float(b, t, k))),
          w = jm_k_fmul(b, jm_k_fsub(b, a, jm_k_float(b, t, k)), inverse);
  /* what is left: a - k - w (a + k) */
  jm_kval rest =
      jm_k_fma(b, jm_k_fneg(b, w), a,
               jm_k_fma(b, jm_k_fadd(b, w, jm_k_float(b, t, 1)), jm_k_float(b, t, -k), a));
  w = jm_k_fma(b, rest, inverse, w);
  jm_kval scaled = wide ? JM_POLYNOMIAL(b, w, scaled_f64) : JM_POLYNOMIAL(b, w, scaled_f32);
  jm_kval minus = jm_k_fneg(b, jm_k_fmul(b, a, a)),
          lost = jm_k_fma(b, a, a, minus); /* of the square's digits */
  jm_kval e = jm_math_exp_sum(b, minus, jm_k_fneg(b, lost));
  return jm_k_fdiv(b, jm_k_fmul(b, e, scaled),
                   jm_k_fma(b, jm_k_float(b, t, 2), a, jm_k_float(b, t, 1)));
}

static jm_kval near_zero(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  jm_kval z = jm_k_fmul(b, x, x);
  return jm_k_fma(b, x, wide ? JM_POLYNOMIAL(b, z, erf_f64) : JM_POLYNOMIAL(b, z, erf_f32), x);
}

jm_kval jm_math_erf(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  jm_kval a = jm_k_fabs(b, x), far;
  if (wide)
    far = complement(b, a);
  else
    far = jm_math_exp_normal(b, JM_POLYNOMIAL(b, at_most(b, a, 4), far_f32));
  return jm_k_select(b, jm_k_fole(b, jm_k_float(b, t, 1), a),
                     jm_k_fcopysign(b, jm_k_fsub(b, jm_k_float(b, t, 1), far), x), near_zero(b, x));
}

jm_kval jm_math_erfc(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  jm_kval a = jm_k_fabs(b, x), c = complement(b, a);
  jm_kval far =
      jm_k_select(b, jm_k_folt(b, x, jm_k_float(b, t, 0)), jm_k_fsub(b, jm_k_float(b, t, 2), c), c);
  return jm_k_select(b, jm_k_folt(b, a, jm_k_float(b, t, 0.7)),
                     jm_k_fsub(b, jm_k_float(b, t, 1), near_zero(b, x)), far);
}
