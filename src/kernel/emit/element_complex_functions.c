/* SPDX-License-Identifier: Apache-2.0
 * Functions of complex values, computed in f64: of c64 they are correct to about the last digit of
 * either part. Infinities and NaNs come out as in C's Annex G. */
#include "kernel/emit/element.h"

#define SCOPE                                                                             \
  const jm_ktype t = JM_KT_f64, it = JM_KT_i64;                                           \
  const jm_kval re = jm_complex_widen(b, x.part[0]), im = jm_complex_widen(b, x.part[1]); \
  (void)t, (void)it, (void)re, (void)im, (void)y

#define INFINITE F(__builtin_inf())

static jm_kval is_infinite(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = JM_KT_f64;
  return FOEQ(FABS(x), INFINITE);
}

static jm_kval is_finite(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = JM_KT_f64;
  return FOLT(FABS(x), INFINITE);
}

static jm_kval negated(jm_kbuilder *b, jm_kval condition) {
  return XOR(condition, jm_kbuild_int(b, JM_KT_i1, 1));
}

/* e^re (cos im + i sin im) as f64; wave: the imaginary part as the operand has it */
static jm_element exponential(jm_kbuilder *b, jm_kval re, jm_kval im, jm_kval wave) {
  const jm_ktype t = JM_KT_f64;
  jm_kval parts[2];
  jm_math_sin_cos(b, wave, &parts[1], &parts[0]);
  jm_math_exp_times(b, re, parts, 2);
  jm_kval nowhere = negated(b, is_finite(b, im)); /* no angle */
  jm_kval low = AND(nowhere, FOEQ(re, F(-__builtin_inf())));
  jm_kval high = AND(nowhere, FOEQ(re, INFINITE));
  parts[0] = SELECT(low, F(0), SELECT(high, re, parts[0]));
  parts[1] = SELECT(low, COPYSIGN(F(0), im), parts[1]);
  return jm_element_pair(parts[0], SELECT(FOEQ(im, F(0)), im, parts[1]));
}

jm_element jm_complex_exp(jm_kbuilder *b, jm_element x, jm_element y) {
  SCOPE;
  jm_element e = exponential(b, re, im, x.part[1]);
  return jm_complex_narrow(b, x, e.part[0], e.part[1]);
}

/* log |z| = log(|z|^2) / 2: squares of c64's parts are exact in f64, and near 1 so is the distance
 * from 1. */
jm_element jm_complex_log(jm_kbuilder *b, jm_element x, jm_element y) {
  SCOPE;
  jm_kval swap = FOLT(FABS(re), FABS(im));
  jm_kval high = SELECT(swap, im, re), low = SELECT(swap, re, im);
  jm_kval high2 = FMUL(high, high), low2 = FMUL(low, low), size2 = FADD(high2, low2);
  jm_kval near = AND(FOLT(F(0.5), size2), FOLT(size2, F(2)));
  jm_kval by_distance = jm_math_log1p(b, FADD(FSUB(high2, F(1)), low2), JM_KNONE);
  jm_kval size = SELECT(near, by_distance, jm_math_log(b, size2, JM_KNONE));
  size = SELECT(OR(is_infinite(b, re), is_infinite(b, im)), INFINITE, FMUL(F(0.5), size));
  return jm_complex_narrow(b, x, size, jm_math_atan2(b, im, re));
}

/* log |1 + z| = log1p(2 re + re^2 + im^2) / 2: the terms are exact, their sum is taken in twice the
 * digits. */
jm_element jm_complex_log1p(jm_kbuilder *b, jm_element x, jm_element y) {
  SCOPE;
  jm_kval terms[3] = {FADD(re, re), FMUL(re, re), FMUL(im, im)}, high = terms[0], low = F(0);
  for (int i = 1; i < 3; i++) {
    jm_kval sum = FADD(high, terms[i]), part = FSUB(sum, high);
    low = FADD(low, FADD(FSUB(high, FSUB(sum, part)), FSUB(terms[i], part)));
    high = sum;
  }
  jm_kval distance = FADD(high, low), moved = FADD(F(1), re);
  jm_kval near = AND(FOLT(F(-0.5), distance), FOLT(distance, F(1)));
  jm_kval size2 = FADD(FMUL(moved, moved), FMUL(im, im));
  jm_kval size =
      SELECT(near, jm_math_log1p(b, distance, JM_KNONE), jm_math_log(b, size2, JM_KNONE));
  size = SELECT(OR(is_infinite(b, re), is_infinite(b, im)), INFINITE, FMUL(F(0.5), size));
  return jm_complex_narrow(b, x, size, jm_math_atan2(b, im, moved));
}

/* expm1(re) cos(im) + (cos(im) - 1) */
jm_element jm_complex_expm1(jm_kbuilder *b, jm_element x, jm_element y) {
  SCOPE;
  const jm_ktype narrow = jm_kbuild_type(b, x.part[1]);
  jm_kval sine, cosine, half_sine, half_cosine;
  jm_element e = exponential(b, re, im, x.part[1]);
  jm_math_sin_cos(b, x.part[1], &sine, &cosine);
  jm_math_sin_cos(b, FMUL(x.part[1], jm_kbuild_float(b, narrow, 0.5)), &half_sine, &half_cosine);
  jm_kval m = FMUL(jm_math_expm1(b, re, JM_KNONE), cosine);
  m = FSUB(m, FMUL(F(2), FMUL(half_sine, half_sine)));
  jm_kval plain = FSUB(e.part[0], F(1));
  m = SELECT(AND(is_finite(b, re), is_finite(b, im)), m, plain);
  return jm_complex_narrow(b, x, m, e.part[1]);
}

jm_element jm_complex_sqrt(jm_kbuilder *b, jm_element x, jm_element y) {
  SCOPE;
  jm_kval size = FSQRT(FADD(FMUL(re, re), FMUL(im, im)));
  size = SELECT(is_infinite(b, re), INFINITE, size);
  jm_kval root = FSQRT(FMUL(F(0.5), FADD(FABS(re), size)));
  jm_kval other = FDIV(FABS(im), FADD(root, root));
  jm_kval left = FOLT(re, F(0));
  jm_kval u = SELECT(left, other, root), v = COPYSIGN(SELECT(left, root, other), im);
  jm_kval zero = AND(FOEQ(re, F(0)), FOEQ(im, F(0)));
  u = SELECT(zero, F(0), SELECT(is_infinite(b, im), INFINITE, u));
  v = SELECT(OR(zero, is_infinite(b, im)), im, v);
  return jm_complex_narrow(b, x, u, v);
}

jm_element jm_complex_rsqrt(jm_kbuilder *b, jm_element x, jm_element y) {
  SCOPE;
  const jm_element wide = {{re, im}}, one = {{F(1), F(0)}};
  jm_element z = jm_complex_divide(b, one, jm_complex_sqrt(b, wide, y));
  return jm_complex_narrow(b, x, z.part[0], z.part[1]);
}

jm_element jm_complex_sin(jm_kbuilder *b, jm_element x, jm_element y) {
  SCOPE;
  jm_kval sine, cosine;
  jm_math_sin_cos(b, x.part[0], &sine, &cosine);
  jm_kval u = FMUL(sine, jm_math_cosh(b, im, JM_KNONE));
  jm_kval v = FMUL(cosine, jm_math_sinh(b, im, JM_KNONE));
  u = SELECT(FOEQ(re, F(0)), re, u);
  jm_kval nowhere = AND(negated(b, is_finite(b, re)), is_infinite(b, im));
  v = SELECT(nowhere, FABS(im), SELECT(FOEQ(im, F(0)), im, v));
  return jm_complex_narrow(b, x, u, v);
}

jm_element jm_complex_cos(jm_kbuilder *b, jm_element x, jm_element y) {
  SCOPE;
  jm_kval sine, cosine;
  jm_math_sin_cos(b, x.part[0], &sine, &cosine);
  jm_kval u = FMUL(cosine, jm_math_cosh(b, im, JM_KNONE));
  jm_kval v = FNEG(FMUL(sine, jm_math_sinh(b, im, JM_KNONE)));
  jm_kval nowhere = AND(negated(b, is_finite(b, re)), is_infinite(b, im));
  u = SELECT(nowhere, INFINITE, u);
  /* 0 on the axes, with the sign of -(re im) */
  jm_kval minus = XOR(XOR(BITS(re), BITS(im)), I(INT64_MIN));
  jm_kval axis = OR(FOEQ(im, F(0)), FOEQ(re, F(0)));
  v = SELECT(axis, COPYSIGN(F(0), FROM_BITS(minus)), v);
  return jm_complex_narrow(b, x, u, v);
}

/* Kahan's: with t = tan im, s = sinh re, q = 1 + t^2: (q sqrt(1 + s^2) s + i t) / (1 + q s^2), and
 * for large re 1 + i 4 sin im cos im e^(-2 re). wave: the imaginary part as the operand had it. */
static void hyperbolic_tangent(jm_kbuilder *b, jm_kval re, jm_kval im, jm_kval wave, jm_kval *u,
                               jm_kval *v) {
  const jm_ktype t = JM_KT_f64;
  jm_kval sine, cosine, a = FABS(re);
  jm_math_sin_cos(b, wave, &sine, &cosine);
  jm_kval s = jm_math_sinh(b, SELECT(FOLT(F(20), a), F(20), re), JM_KNONE);
  jm_kval c2 = FMUL(cosine, cosine), s2 = FMUL(s, s);
  /* both sides of the fraction times cos^2 im, so that no tangent is infinite */
  jm_kval below = FADD(c2, s2);
  *u = FDIV(FMUL(s, FSQRT(FADD(F(1), s2))), below);
  *v = FDIV(FMUL(sine, cosine), below);
  jm_kval far[1] = {FMUL(sine, cosine)};
  jm_math_exp_times(b, FMUL(F(-2), a), far, 1);
  jm_kval large = FOLT(F(20), a);
  *u = SELECT(large, COPYSIGN(F(1), re), *u);
  *v = SELECT(large, FMUL(F(4), far[0]), *v);
  *v = SELECT(FOEQ(im, F(0)), im, *v);
  /* no angle: 1 + i 0 at infinity, else NaN but for what is 0 */
  jm_kval nowhere = negated(b, is_finite(b, im)), outside = is_infinite(b, re);
  *v = SELECT(AND(outside, nowhere), COPYSIGN(F(0), im), *v);
  *u = SELECT(AND(nowhere, negated(b, outside)), F(__builtin_nan("")), *u);
  *u = SELECT(FOEQ(re, F(0)), re, *u);
}

jm_element jm_complex_tanh(jm_kbuilder *b, jm_element x, jm_element y) {
  SCOPE;
  jm_kval u, v;
  hyperbolic_tangent(b, re, im, x.part[1], &u, &v);
  return jm_complex_narrow(b, x, u, v);
}

/* tan z = -i tanh(i z) */
jm_element jm_complex_tan(jm_kbuilder *b, jm_element x, jm_element y) {
  SCOPE;
  jm_kval u, v;
  hyperbolic_tangent(b, FNEG(im), re, x.part[0], &u, &v);
  return jm_complex_narrow(b, x, v, FNEG(u));
}

/* Of e^z and e^-z the one that does not overflow. */
jm_element jm_complex_logistic(jm_kbuilder *b, jm_element x, jm_element y) {
  SCOPE;
  jm_kval right = FOLE(F(0), re);
  jm_element z = {
      {SELECT(right, FNEG(x.part[0]), x.part[0]), SELECT(right, FNEG(x.part[1]), x.part[1])}};
  jm_element e =
      exponential(b, jm_complex_widen(b, z.part[0]), jm_complex_widen(b, z.part[1]), z.part[1]);
  jm_element above = {{SELECT(right, F(1), e.part[0]), SELECT(right, F(0), e.part[1])}};
  jm_element below = {{FADD(F(1), e.part[0]), e.part[1]}};
  jm_element q = jm_complex_divide(b, above, below);
  return jm_complex_narrow(b, x, q.part[0], q.part[1]);
}
