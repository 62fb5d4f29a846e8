/* SPDX-License-Identifier: Apache-2.0
 * Ops of complex values: sums, products and order in the type's own precision, quotients in f64;
 * the formulas are those of the reference engine. Functions are in element_complex_functions.c.
 */
#include "kernel/emit/element.h"

static jm_element negate(jm_kbuilder *b, jm_element x, jm_element y) {
  (void)y;
  return jm_element_pair(FNEG(x.part[0]), FNEG(x.part[1]));
}

static jm_element add(jm_kbuilder *b, jm_element x, jm_element y) {
  return jm_element_pair(FADD(x.part[0], y.part[0]), FADD(x.part[1], y.part[1]));
}

static jm_element subtract(jm_kbuilder *b, jm_element x, jm_element y) {
  return jm_element_pair(FSUB(x.part[0], y.part[0]), FSUB(x.part[1], y.part[1]));
}

static jm_element multiply(jm_kbuilder *b, jm_element x, jm_element y) {
  jm_kval re = FSUB(FMUL(x.part[0], y.part[0]), FMUL(x.part[1], y.part[1]));
  return jm_element_pair(re, FADD(FMUL(x.part[0], y.part[1]), FMUL(x.part[1], y.part[0])));
}

/* Lexicographic; what is unordered or equal gives the right operand. */
static jm_element pick(jm_kbuilder *b, jm_element x, jm_element y, bool larger) {
  const jm_element low = larger ? y : x, high = larger ? x : y;
  jm_kval by_imag = AND(FOEQ(x.part[0], y.part[0]), FOLT(low.part[1], high.part[1]));
  jm_kval wins = OR(FOLT(low.part[0], high.part[0]), by_imag);
  return jm_element_pair(SELECT(wins, x.part[0], y.part[0]), SELECT(wins, x.part[1], y.part[1]));
}

static jm_element maximum(jm_kbuilder *b, jm_element x, jm_element y) {
  return pick(b, x, y, true);
}

static jm_element minimum(jm_kbuilder *b, jm_element x, jm_element y) {
  return pick(b, x, y, false);
}

static jm_element real(jm_kbuilder *b, jm_element x, jm_element y) {
  (void)b, (void)y;
  return jm_element_of(x.part[0]);
}

static jm_element imag(jm_kbuilder *b, jm_element x, jm_element y) {
  (void)b, (void)y;
  return jm_element_of(x.part[1]);
}

/* -- computed in f64, as the reference engine does */

jm_kval jm_complex_widen(jm_kbuilder *b, jm_kval x) {
  return jm_kbuild_type(b, x) == JM_KT_f64 ? x : CAST(fpext, f64, x);
}

/* A result in the type of x's parts. */
jm_element jm_complex_narrow(jm_kbuilder *b, jm_element x, jm_kval re, jm_kval im) {
  if (jm_kbuild_type(b, x.part[0]) == JM_KT_f64) return jm_element_pair(re, im);
  return jm_element_pair(CAST(fptrunc, f32, re), CAST(fptrunc, f32, im));
}

static jm_element magnitude(jm_kbuilder *b, jm_element x, jm_element y) {
  (void)y;
  return jm_element_of(jm_math_hypot(b, x.part[0], x.part[1]));
}

static jm_element sign(jm_kbuilder *b, jm_element x, jm_element y) {
  const jm_ktype t = JM_KT_f64;
  (void)y;
  jm_kval re = jm_complex_widen(b, x.part[0]), im = jm_complex_widen(b, x.part[1]),
          size = jm_math_hypot(b, re, im);
  jm_kval zero = FOEQ(size, F(0));
  return jm_complex_narrow(b, x, SELECT(zero, re, FDIV(re, size)),
                           SELECT(zero, im, FDIV(im, size)));
}

/* What is left of an infinite part: a sign, and 0 for a finite one. */
static jm_kval box(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = JM_KT_f64;
  return COPYSIGN(SELECT(FOEQ(FABS(x), F(__builtin_inf())), F(1), F(0)), x);
}

static jm_kval are_finite(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_ktype t = JM_KT_f64;
  const jm_kval infinite = F(__builtin_inf());
  return AND(FOLT(FABS(x), infinite), FOLT(FABS(y), infinite));
}

static jm_kval one_is_infinite(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_ktype t = JM_KT_f64;
  const jm_kval infinite = F(__builtin_inf());
  return OR(FOEQ(FABS(x), infinite), FOEQ(FABS(y), infinite));
}

/* scale * (p + i q) / (r + i s), the parts being 0, 1 or -1 or so: of boxed operands */
static jm_element boxed_quotient(jm_kbuilder *b, double scale, jm_kval p, jm_kval q, jm_kval r,
                                 jm_kval s) {
  const jm_ktype t = JM_KT_f64;
  jm_kval re = FADD(FMUL(p, r), FMUL(q, s)), im = FSUB(FMUL(q, r), FMUL(p, s));
  return jm_element_pair(FMUL(F(scale), re), FMUL(F(scale), im));
}

/* Smith's method; where it gives NaN alone, infinite / finite is infinite and finite / infinite 0.
 */
jm_element jm_complex_divide(jm_kbuilder *b, jm_element x, jm_element y) {
  const jm_ktype t = JM_KT_f64;
  jm_kval p = jm_complex_widen(b, x.part[0]), q = jm_complex_widen(b, x.part[1]);
  jm_kval r = jm_complex_widen(b, y.part[0]), s = jm_complex_widen(b, y.part[1]);
  jm_kval by_real = FOLE(FABS(s), FABS(r));
  jm_kval high = SELECT(by_real, r, s), low = SELECT(by_real, s, r);
  jm_kval u = SELECT(by_real, p, q), v = SELECT(by_real, q, p);
  jm_kval ratio = FDIV(low, high), scale = FADD(high, FMUL(low, ratio));
  jm_kval scaled = FMUL(u, ratio);
  jm_kval re = FDIV(FADD(u, FMUL(v, ratio)), scale);
  jm_kval im = FDIV(SELECT(by_real, FSUB(v, scaled), FSUB(scaled, v)), scale);
  jm_kval nan = AND(FUNO(re, re), FUNO(im, im));
  jm_element large = boxed_quotient(b, __builtin_inf(), box(b, p), box(b, q), r, s);
  jm_element small = boxed_quotient(b, 0, p, q, box(b, r), box(b, s));
  jm_kval is_large = AND(one_is_infinite(b, p, q), are_finite(b, r, s));
  jm_kval is_small = AND(one_is_infinite(b, r, s), are_finite(b, p, q));
  jm_kval zero = AND(FOEQ(r, F(0)), FOEQ(s, F(0)));
  for (int i = 0; i < 2; i++) {
    jm_kval *part = i ? &im : &re;
    jm_kval other = SELECT(is_large, large.part[i], SELECT(is_small, small.part[i], *part));
    *part = SELECT(zero, FDIV(i ? q : p, FABS(r)), SELECT(nan, other, *part));
  }
  return jm_complex_narrow(b, x, re, im);
}

const jm_complex_row jm_element_complex[JM_N_OPS] = {
    [JM_OP_negate] = {negate, 2, false},
    [JM_OP_add] = {add, 2, false},
    [JM_OP_subtract] = {subtract, 2, false},
    [JM_OP_multiply] = {multiply, 6, false},
    [JM_OP_real] = {real, 0, false},
    [JM_OP_imag] = {imag, 0, false},
    [JM_OP_maximum] = {maximum, 6, false},
    [JM_OP_minimum] = {minimum, 6, false},
    [JM_OP_abs] = {magnitude, 20, false},
    [JM_OP_sign] = {sign, 40, false},
    [JM_OP_divide] = {jm_complex_divide, 60, false},
    [JM_OP_exponential] = {jm_complex_exp, 150, false},
    [JM_OP_exponential_minus_one] = {jm_complex_expm1, 250, true},
    [JM_OP_log] = {jm_complex_log, 180, true},
    [JM_OP_log_plus_one] = {jm_complex_log1p, 200, true},
    [JM_OP_logistic] = {jm_complex_logistic, 220, true},
    [JM_OP_sqrt] = {jm_complex_sqrt, 40, true},
    [JM_OP_rsqrt] = {jm_complex_rsqrt, 100, true},
    [JM_OP_sine] = {jm_complex_sin, 180, true},
    [JM_OP_cosine] = {jm_complex_cos, 180, true},
    [JM_OP_tan] = {jm_complex_tan, 250, true},
    [JM_OP_tanh] = {jm_complex_tanh, 250, true},
};
