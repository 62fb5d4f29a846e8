/* SPDX-License-Identifier: Apache-2.0
 * Functions of complex values, computed in f64: of c64 they are correct to about the last digit of
 * either part; where there is no f64 to some units of the last place of the larger part. Infinities
 * and NaNs come out as in C's Annex G. */
#include "kernel/emit/element.h"

#define INFINITE jm_k_float(b, t, __builtin_inf())

static jm_kval is_infinite(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  return jm_k_foeq(b, jm_k_fabs(b, x), INFINITE);
}

static jm_kval is_finite(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  return jm_k_folt(b, jm_k_fabs(b, x), INFINITE);
}

static jm_kval negated(jm_kbuilder *b, jm_kval condition) {
  return jm_k_xor(b, condition, jm_kbuild_int(b, JM_KT_i1, 1));
}

/* e^re (cos im + i sin im) as f64; wave: the imaginary part as the operand has it */
static jm_element exponential(jm_kbuilder *b, jm_kval re, jm_kval im, jm_kval wave) {
  const jm_ktype t = jm_kbuild_type(b, re);
  jm_kval parts[2];
  jm_math_sin_cos(b, wave, &parts[1], &parts[0]);
  jm_math_exp_times(b, re, parts, 2);
  jm_kval nowhere = negated(b, is_finite(b, im)); /* no angle */
  jm_kval low = jm_k_and(b, nowhere, jm_k_foeq(b, re, jm_k_float(b, t, -__builtin_inf())));
  jm_kval high = jm_k_and(b, nowhere, jm_k_foeq(b, re, INFINITE));
  parts[0] = jm_k_select(b, low, jm_k_float(b, t, 0), jm_k_select(b, high, re, parts[0]));
  parts[1] = jm_k_select(b, low, jm_k_fcopysign(b, jm_k_float(b, t, 0), im), parts[1]);
  return jm_element_pair(parts[0],
                         jm_k_select(b, jm_k_foeq(b, im, jm_k_float(b, t, 0)), im, parts[1]));
}

jm_element jm_complex_exp(jm_kbuilder *b, jm_element x) {
  const jm_kval re = jm_complex_widen(b, x.part[0]);
  const jm_kval im = jm_complex_widen(b, x.part[1]);
  jm_element e = exponential(b, re, im, x.part[1]);
  return jm_complex_narrow(b, x, e.part[0], e.part[1]);
}

/* log |z|, not near 1, from the square of |z|; it may leave the range of f32. */
static jm_kval log_size(jm_kbuilder *b, jm_kval re, jm_kval im, jm_kval square) {
  const jm_ktype t = jm_kbuild_type(b, re);
  if (t == JM_KT_f32) return jm_math_log(b, jm_math_hypot(b, re, im));
  return jm_k_fmul(b, jm_k_float(b, t, 0.5), jm_math_log(b, square));
}

/* log |z| = log(|z|^2) / 2: squares of c64's parts are exact in f64, and near 1 so is the distance
 * from 1. */
jm_element jm_complex_log(jm_kbuilder *b, jm_element x) {
  const jm_kval re = jm_complex_widen(b, x.part[0]);
  const jm_kval im = jm_complex_widen(b, x.part[1]);
  const jm_ktype t = jm_kbuild_type(b, re);
  jm_kval swap = jm_k_folt(b, jm_k_fabs(b, re), jm_k_fabs(b, im));
  jm_kval high = jm_k_select(b, swap, im, re), low = jm_k_select(b, swap, re, im);
  jm_kval high2 = jm_k_fmul(b, high, high), low2 = jm_k_fmul(b, low, low),
          size2 = jm_k_fadd(b, high2, low2);
  jm_kval near = jm_k_and(b, jm_k_folt(b, jm_k_float(b, t, 0.5), size2),
                          jm_k_folt(b, size2, jm_k_float(b, t, 2)));
  const jm_kval one = jm_k_float(b, t, 1);
  jm_kval distance = jm_k_fadd(b, jm_k_fsub(b, high2, one), low2);
  if (t == JM_KT_f32) /* the squares are not exact */
    distance = jm_k_fma(b, jm_k_fsub(b, high, one), jm_k_fadd(b, high, one), low2);
  jm_kval by_distance = jm_k_fmul(b, jm_k_float(b, t, 0.5), jm_math_log1p(b, distance));
  jm_kval size = jm_k_select(b, near, by_distance, log_size(b, re, im, size2));
  size = jm_k_select(b, jm_k_or(b, is_infinite(b, re), is_infinite(b, im)), INFINITE, size);
  return jm_complex_narrow(b, x, size, jm_math_atan2(b, im, re));
}

/* log |1 + z| = log1p(2 re + re^2 + im^2) / 2: the terms are exact, their sum is taken in twice the
 * digits. */
jm_element jm_complex_log1p(jm_kbuilder *b, jm_element x) {
  const jm_kval re = jm_complex_widen(b, x.part[0]);
  const jm_kval im = jm_complex_widen(b, x.part[1]);
  const jm_ktype t = jm_kbuild_type(b, re);
  jm_kval terms[3] = {jm_k_fadd(b, re, re), jm_k_fmul(b, re, re), jm_k_fmul(b, im, im)},
          high = terms[0], low = jm_k_float(b, t, 0);
  for (int i = 1; i < 3; i++) {
    jm_kval sum = jm_k_fadd(b, high, terms[i]), part = jm_k_fsub(b, sum, high);
    low = jm_k_fadd(
        b, low,
        jm_k_fadd(b, jm_k_fsub(b, high, jm_k_fsub(b, sum, part)), jm_k_fsub(b, terms[i], part)));
    high = sum;
  }
  if (t == JM_KT_f32) /* the rounding errors of the squares */
    low = jm_k_fadd(b, low,
                    jm_k_fadd(b, jm_k_fma(b, re, re, jm_k_fneg(b, terms[1])),
                              jm_k_fma(b, im, im, jm_k_fneg(b, terms[2]))));
  jm_kval distance = jm_k_fadd(b, high, low), moved = jm_k_fadd(b, jm_k_float(b, t, 1), re);
  jm_kval near = jm_k_and(b, jm_k_folt(b, jm_k_float(b, t, -0.5), distance),
                          jm_k_folt(b, distance, jm_k_float(b, t, 1)));
  jm_kval size2 = jm_k_fadd(b, jm_k_fmul(b, moved, moved), jm_k_fmul(b, im, im));
  jm_kval by_distance = jm_k_fmul(b, jm_k_float(b, t, 0.5), jm_math_log1p(b, distance));
  jm_kval size = jm_k_select(b, near, by_distance, log_size(b, moved, im, size2));
  size = jm_k_select(b, jm_k_or(b, is_infinite(b, re), is_infinite(b, im)), INFINITE, size);
  return jm_complex_narrow(b, x, size, jm_math_atan2(b, im, moved));
}

/* expm1(re) cos(im) + (cos(im) - 1). Without an angle both parts are NaN, as in NumPy. */
jm_element jm_complex_expm1(jm_kbuilder *b, jm_element x) {
  const jm_kval re = jm_complex_widen(b, x.part[0]);
  const jm_kval im = jm_complex_widen(b, x.part[1]);
  const jm_ktype t = jm_kbuild_type(b, re);
  const jm_ktype narrow = jm_kbuild_type(b, x.part[1]);
  jm_kval sine, cosine, half_sine, half_cosine;
  jm_element e = exponential(b, re, im, x.part[1]);
  jm_math_sin_cos(b, x.part[1], &sine, &cosine);
  jm_math_sin_cos(b, jm_k_fmul(b, x.part[1], jm_kbuild_float(b, narrow, 0.5)), &half_sine,
                  &half_cosine);
  jm_kval m = jm_k_fmul(b, jm_math_expm1(b, re), cosine);
  m = jm_k_fsub(b, m, jm_k_fmul(b, jm_k_float(b, t, 2), jm_k_fmul(b, half_sine, half_sine)));
  jm_kval plain = jm_k_fsub(b, e.part[0], jm_k_float(b, t, 1));
  m = jm_k_select(b, is_finite(b, re), m, plain);
  const jm_kval nan = jm_k_float(b, t, __builtin_nan("")), nowhere = negated(b, is_finite(b, im));
  return jm_complex_narrow(b, x, jm_k_select(b, nowhere, nan, m),
                           jm_k_select(b, nowhere, nan, e.part[1]));
}

jm_element jm_complex_sqrt(jm_kbuilder *b, jm_element x) {
  const jm_kval re = jm_complex_widen(b, x.part[0]);
  const jm_kval im = jm_complex_widen(b, x.part[1]);
  const jm_ktype t = jm_kbuild_type(b, re);
  const jm_kval half = jm_k_float(b, t, 0.5), run = jm_k_fabs(b, re);
  jm_kval size = t == JM_KT_f32
                     ? jm_math_hypot(b, re, im) /* squares may leave the range, sums too */
                     : jm_k_fsqrt(b, jm_k_fadd(b, jm_k_fmul(b, re, re), jm_k_fmul(b, im, im)));
  size = jm_k_select(b, is_infinite(b, re), INFINITE, size);
  jm_kval sum = t == JM_KT_f32 ? jm_k_fma(b, half, run, jm_k_fmul(b, half, size))
                               : jm_k_fmul(b, half, jm_k_fadd(b, run, size));
  jm_kval root = jm_k_fsqrt(b, sum);
  jm_kval other = jm_k_fdiv(b, jm_k_fabs(b, im), jm_k_fadd(b, root, root));
  jm_kval left = jm_k_folt(b, re, jm_k_float(b, t, 0));
  jm_kval u = jm_k_select(b, left, other, root),
          v = jm_k_fcopysign(b, jm_k_select(b, left, root, other), im);
  jm_kval zero =
      jm_k_and(b, jm_k_foeq(b, re, jm_k_float(b, t, 0)), jm_k_foeq(b, im, jm_k_float(b, t, 0)));
  u = jm_k_select(b, zero, jm_k_float(b, t, 0), jm_k_select(b, is_infinite(b, im), INFINITE, u));
  v = jm_k_select(b, jm_k_or(b, zero, is_infinite(b, im)), im, v);
  return jm_complex_narrow(b, x, u, v);
}

jm_element jm_complex_rsqrt(jm_kbuilder *b, jm_element x) {
  const jm_kval re = jm_complex_widen(b, x.part[0]);
  const jm_kval im = jm_complex_widen(b, x.part[1]);
  const jm_ktype t = jm_kbuild_type(b, re);
  const jm_element wide = {{re, im}}, one = {{jm_k_float(b, t, 1), jm_k_float(b, t, 0)}};
  jm_element z = jm_complex_divide(b, one, jm_complex_sqrt(b, wide));
  return jm_complex_narrow(b, x, z.part[0], z.part[1]);
}

jm_element jm_complex_sin(jm_kbuilder *b, jm_element x) {
  const jm_kval re = jm_complex_widen(b, x.part[0]);
  const jm_kval im = jm_complex_widen(b, x.part[1]);
  const jm_ktype t = jm_kbuild_type(b, re);
  jm_kval sine, cosine;
  jm_math_sin_cos(b, x.part[0], &sine, &cosine);
  jm_kval u = jm_k_fmul(b, sine, jm_math_cosh(b, im));
  jm_kval v = jm_k_fmul(b, cosine, jm_math_sinh(b, im));
  u = jm_k_select(b, jm_k_foeq(b, re, jm_k_float(b, t, 0)), re, u);
  jm_kval nowhere = jm_k_and(b, negated(b, is_finite(b, re)), is_infinite(b, im));
  v = jm_k_select(b, nowhere, jm_k_fabs(b, im),
                  jm_k_select(b, jm_k_foeq(b, im, jm_k_float(b, t, 0)), im, v));
  return jm_complex_narrow(b, x, u, v);
}

jm_element jm_complex_cos(jm_kbuilder *b, jm_element x) {
  const jm_kval re = jm_complex_widen(b, x.part[0]);
  const jm_kval im = jm_complex_widen(b, x.part[1]);
  const jm_ktype t = jm_kbuild_type(b, re);
  const jm_ktype it = t == JM_KT_f64 ? JM_KT_i64 : JM_KT_i32;
  jm_kval sine, cosine;
  jm_math_sin_cos(b, x.part[0], &sine, &cosine);
  jm_kval u = jm_k_fmul(b, cosine, jm_math_cosh(b, im));
  jm_kval v = jm_k_fneg(b, jm_k_fmul(b, sine, jm_math_sinh(b, im)));
  jm_kval nowhere = jm_k_and(b, negated(b, is_finite(b, re)), is_infinite(b, im));
  u = jm_k_select(b, nowhere, INFINITE, u);
  /* 0 on the axes, with the sign of -(re im) */
  jm_kval minus = jm_k_xor(b, jm_k_xor(b, jm_k_bits(b, re), jm_k_bits(b, im)),
                           jm_k_int(b, it, t == JM_KT_f64 ? INT64_MIN : INT32_MIN));
  jm_kval axis =
      jm_k_or(b, jm_k_foeq(b, im, jm_k_float(b, t, 0)), jm_k_foeq(b, re, jm_k_float(b, t, 0)));
  v = jm_k_select(b, axis, jm_k_fcopysign(b, jm_k_float(b, t, 0), jm_k_from_bits(b, minus)), v);
  return jm_complex_narrow(b, x, u, v);
}

/* Kahan's: with t = tan im, s = sinh re, q = 1 + t^2: (q sqrt(1 + s^2) s + i t) / (1 + q s^2), and
 * for large re 1 + i 4 sin im cos im e^(-2 re). wave: the imaginary part as the operand had it. */
static void hyperbolic_tangent(jm_kbuilder *b, jm_kval re, jm_kval im, jm_kval wave, jm_kval *u,
                               jm_kval *v) {
  const jm_ktype t = jm_kbuild_type(b, re);
  jm_kval sine, cosine, a = jm_k_fabs(b, re);
  jm_math_sin_cos(b, wave, &sine, &cosine);
  jm_kval s = jm_math_sinh(
      b, jm_k_select(b, jm_k_folt(b, jm_k_float(b, t, 20), a), jm_k_float(b, t, 20), re));
  jm_kval c2 = jm_k_fmul(b, cosine, cosine), s2 = jm_k_fmul(b, s, s);
  /* both sides of the fraction times cos^2 im, so that no tangent is infinite */
  jm_kval below = jm_k_fadd(b, c2, s2);
  *u = jm_k_fdiv(b, jm_k_fmul(b, s, jm_k_fsqrt(b, jm_k_fadd(b, jm_k_float(b, t, 1), s2))), below);
  *v = jm_k_fdiv(b, jm_k_fmul(b, sine, cosine), below);
  jm_kval far[1] = {jm_k_fmul(b, sine, cosine)};
  jm_math_exp_times(b, jm_k_fmul(b, jm_k_float(b, t, -2), a), far, 1);
  jm_kval large = jm_k_folt(b, jm_k_float(b, t, 20), a);
  *u = jm_k_select(b, large, jm_k_fcopysign(b, jm_k_float(b, t, 1), re), *u);
  *v = jm_k_select(b, large, jm_k_fmul(b, jm_k_float(b, t, 4), far[0]), *v);
  *v = jm_k_select(b, jm_k_foeq(b, im, jm_k_float(b, t, 0)), im, *v);
  /* no angle: 1 + i 0 at infinity, else NaN except for zero parts */
  jm_kval nowhere = negated(b, is_finite(b, im)), outside = is_infinite(b, re);
  *v =
      jm_k_select(b, jm_k_and(b, outside, nowhere), jm_k_fcopysign(b, jm_k_float(b, t, 0), im), *v);
  *u = jm_k_select(b, jm_k_and(b, nowhere, negated(b, outside)),
                   jm_k_float(b, t, __builtin_nan("")), *u);
  *u = jm_k_select(b, jm_k_foeq(b, re, jm_k_float(b, t, 0)), re, *u);
}

jm_element jm_complex_tanh(jm_kbuilder *b, jm_element x) {
  const jm_kval re = jm_complex_widen(b, x.part[0]);
  const jm_kval im = jm_complex_widen(b, x.part[1]);
  jm_kval u, v;
  hyperbolic_tangent(b, re, im, x.part[1], &u, &v);
  return jm_complex_narrow(b, x, u, v);
}

/* tan z = -i tanh(i z) */
jm_element jm_complex_tan(jm_kbuilder *b, jm_element x) {
  const jm_kval re = jm_complex_widen(b, x.part[0]);
  const jm_kval im = jm_complex_widen(b, x.part[1]);
  jm_kval u, v;
  hyperbolic_tangent(b, jm_k_fneg(b, im), re, x.part[0], &u, &v);
  return jm_complex_narrow(b, x, v, jm_k_fneg(b, u));
}

/* Of e^z and e^-z the one that does not overflow. */
jm_element jm_complex_logistic(jm_kbuilder *b, jm_element x) {
  const jm_kval re = jm_complex_widen(b, x.part[0]);
  const jm_ktype t = jm_kbuild_type(b, re);
  jm_kval right = jm_k_fole(b, jm_k_float(b, t, 0), re);
  jm_element z = {{jm_k_select(b, right, jm_k_fneg(b, x.part[0]), x.part[0]),
                   jm_k_select(b, right, jm_k_fneg(b, x.part[1]), x.part[1])}};
  jm_element e =
      exponential(b, jm_complex_widen(b, z.part[0]), jm_complex_widen(b, z.part[1]), z.part[1]);
  jm_element above = {{jm_k_select(b, right, jm_k_float(b, t, 1), e.part[0]),
                       jm_k_select(b, right, jm_k_float(b, t, 0), e.part[1])}};
  jm_element below = {{jm_k_fadd(b, jm_k_float(b, t, 1), e.part[0]), e.part[1]}};
  jm_element q = jm_complex_divide(b, above, below);
  return jm_complex_narrow(b, x, q.part[0], q.part[1]);
}
