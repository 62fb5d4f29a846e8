/* SPDX-License-Identifier: Apache-2.0
 * Ops of complex values: sums, products and order in the type's own precision, quotients in f64;
 * the formulas are those of engine/elementwise. Functions are in element_complex_functions.c.
 */
#include "kernel/emit/element.h"

static jm_element negate(jm_kbuilder *b, jm_element x) {
  return jm_element_pair(jm_k_fneg(b, x.part[0]), jm_k_fneg(b, x.part[1]));
}

static jm_element add(jm_kbuilder *b, jm_element x, jm_element y) {
  return jm_element_pair(jm_k_fadd(b, x.part[0], y.part[0]), jm_k_fadd(b, x.part[1], y.part[1]));
}

static jm_element subtract(jm_kbuilder *b, jm_element x, jm_element y) {
  return jm_element_pair(jm_k_fsub(b, x.part[0], y.part[0]), jm_k_fsub(b, x.part[1], y.part[1]));
}

static jm_element multiply(jm_kbuilder *b, jm_element x, jm_element y) {
  jm_kval re = jm_k_fsub(b, jm_k_fmul(b, x.part[0], y.part[0]), jm_k_fmul(b, x.part[1], y.part[1]));
  return jm_element_pair(
      re, jm_k_fadd(b, jm_k_fmul(b, x.part[0], y.part[1]), jm_k_fmul(b, x.part[1], y.part[0])));
}

/* Lexicographic; unordered or equal operands give the right one. */
static jm_element pick(jm_kbuilder *b, jm_element x, jm_element y, bool larger) {
  const jm_element low = larger ? y : x, high = larger ? x : y;
  jm_kval by_imag =
      jm_k_and(b, jm_k_foeq(b, x.part[0], y.part[0]), jm_k_folt(b, low.part[1], high.part[1]));
  jm_kval wins = jm_k_or(b, jm_k_folt(b, low.part[0], high.part[0]), by_imag);
  return jm_element_pair(jm_k_select(b, wins, x.part[0], y.part[0]),
                         jm_k_select(b, wins, x.part[1], y.part[1]));
}

static jm_element maximum(jm_kbuilder *b, jm_element x, jm_element y) {
  return pick(b, x, y, true);
}

static jm_element minimum(jm_kbuilder *b, jm_element x, jm_element y) {
  return pick(b, x, y, false);
}

static jm_element real(jm_kbuilder *b, jm_element x) {
  (void)b;
  return jm_element_of(x.part[0]);
}

static jm_element imag(jm_kbuilder *b, jm_element x) {
  (void)b;
  return jm_element_of(x.part[1]);
}

/* -- computed in f64, as engine/elementwise does, where there is one */

jm_kval jm_complex_widen(jm_kbuilder *b, jm_kval x) {
  const bool stays = jm_kbuild_type(b, x) == JM_KT_f64 || jm_math_is_single(b, x);
  return stays ? x : jm_k_fpext(b, JM_KT_f64, x);
}

/* A result in the type of x's parts. */
jm_element jm_complex_narrow(jm_kbuilder *b, jm_element x, jm_kval re, jm_kval im) {
  if (jm_kbuild_type(b, x.part[0]) == jm_kbuild_type(b, re)) return jm_element_pair(re, im);
  return jm_element_pair(jm_k_fptrunc(b, JM_KT_f32, re), jm_k_fptrunc(b, JM_KT_f32, im));
}

static jm_element magnitude(jm_kbuilder *b, jm_element x) {
  return jm_element_of(jm_math_hypot(b, x.part[0], x.part[1]));
}

static jm_element sign(jm_kbuilder *b, jm_element x) {
  jm_kval re = jm_complex_widen(b, x.part[0]), im = jm_complex_widen(b, x.part[1]),
          size = jm_math_hypot(b, re, im);
  const jm_ktype t = jm_kbuild_type(b, re);
  jm_kval zero = jm_k_foeq(b, size, jm_k_float(b, t, 0));
  return jm_complex_narrow(b, x, jm_k_select(b, zero, re, jm_k_fdiv(b, re, size)),
                           jm_k_select(b, zero, im, jm_k_fdiv(b, im, size)));
}

/* The box of Annex G: +-1 for an infinite part, a signed 0 for a finite one. */
static jm_kval box(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  return jm_k_fcopysign(
      b,
      jm_k_select(b, jm_k_foeq(b, jm_k_fabs(b, x), jm_k_float(b, t, __builtin_inf())),
                  jm_k_float(b, t, 1), jm_k_float(b, t, 0)),
      x);
}

static jm_kval are_finite(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const jm_kval infinite = jm_k_float(b, t, __builtin_inf());
  return jm_k_and(b, jm_k_folt(b, jm_k_fabs(b, x), infinite),
                  jm_k_folt(b, jm_k_fabs(b, y), infinite));
}

static jm_kval one_is_infinite(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const jm_kval infinite = jm_k_float(b, t, __builtin_inf());
  return jm_k_or(b, jm_k_foeq(b, jm_k_fabs(b, x), infinite),
                 jm_k_foeq(b, jm_k_fabs(b, y), infinite));
}

/* scale * (p + i q) / (r + i s), the parts being 0, 1 or -1 or so: of boxed operands */
static jm_element boxed_quotient(jm_kbuilder *b, double scale, jm_kval p, jm_kval q, jm_kval r,
                                 jm_kval s) {
  const jm_ktype t = jm_kbuild_type(b, p);
  jm_kval re = jm_k_fadd(b, jm_k_fmul(b, p, r), jm_k_fmul(b, q, s)),
          im = jm_k_fsub(b, jm_k_fmul(b, q, r), jm_k_fmul(b, p, s));
  return jm_element_pair(jm_k_fmul(b, jm_k_float(b, t, scale), re),
                         jm_k_fmul(b, jm_k_float(b, t, scale), im));
}

/* Smith's method; where it gives NaN alone, infinite / finite is infinite and finite / infinite 0.
 */
jm_element jm_complex_divide(jm_kbuilder *b, jm_element x, jm_element y) {
  jm_kval p = jm_complex_widen(b, x.part[0]), q = jm_complex_widen(b, x.part[1]);
  jm_kval r = jm_complex_widen(b, y.part[0]), s = jm_complex_widen(b, y.part[1]);
  const jm_ktype t = jm_kbuild_type(b, p);
  jm_kval by_real = jm_k_fole(b, jm_k_fabs(b, s), jm_k_fabs(b, r));
  jm_kval high = jm_k_select(b, by_real, r, s), low = jm_k_select(b, by_real, s, r);
  jm_kval u = jm_k_select(b, by_real, p, q), v = jm_k_select(b, by_real, q, p);
  jm_kval ratio = jm_k_fdiv(b, low, high), scale = jm_k_fadd(b, high, jm_k_fmul(b, low, ratio));
  jm_kval scaled = jm_k_fmul(b, u, ratio);
  jm_kval re = jm_k_fdiv(b, jm_k_fadd(b, u, jm_k_fmul(b, v, ratio)), scale);
  jm_kval im = jm_k_fdiv(
      b, jm_k_select(b, by_real, jm_k_fsub(b, v, scaled), jm_k_fsub(b, scaled, v)), scale);
  jm_kval nan = jm_k_and(b, jm_k_funo(b, re, re), jm_k_funo(b, im, im));
  jm_element large = boxed_quotient(b, __builtin_inf(), box(b, p), box(b, q), r, s);
  jm_element small = boxed_quotient(b, 0, p, q, box(b, r), box(b, s));
  jm_kval is_large = jm_k_and(b, one_is_infinite(b, p, q), are_finite(b, r, s));
  jm_kval is_small = jm_k_and(b, one_is_infinite(b, r, s), are_finite(b, p, q));
  jm_kval zero =
      jm_k_and(b, jm_k_foeq(b, r, jm_k_float(b, t, 0)), jm_k_foeq(b, s, jm_k_float(b, t, 0)));
  for (int i = 0; i < 2; i++) {
    jm_kval *part = i ? &im : &re;
    jm_kval other =
        jm_k_select(b, is_large, large.part[i], jm_k_select(b, is_small, small.part[i], *part));
    *part = jm_k_select(b, zero, jm_k_fdiv(b, i ? q : p, jm_k_fabs(b, r)),
                        jm_k_select(b, nan, other, *part));
  }
  return jm_complex_narrow(b, x, re, im);
}

const jm_complex_row jm_element_complex[JM_N_OPS] = {
    [JM_OP_negate] = {.unary = negate, .flops = 2},
    [JM_OP_add] = {.binary = add, .flops = 2},
    [JM_OP_subtract] = {.binary = subtract, .flops = 2},
    [JM_OP_multiply] = {.binary = multiply, .flops = 6},
    [JM_OP_real] = {.unary = real, .flops = 0},
    [JM_OP_imag] = {.unary = imag, .flops = 0},
    [JM_OP_maximum] = {.binary = maximum, .flops = 6},
    [JM_OP_minimum] = {.binary = minimum, .flops = 6},
    [JM_OP_abs] = {.unary = magnitude, .flops = 20},
    [JM_OP_sign] = {.unary = sign, .flops = 40},
    [JM_OP_divide] = {.binary = jm_complex_divide, .flops = 60},
    [JM_OP_exponential] = {.unary = jm_complex_exp, .flops = 150},
    [JM_OP_exponential_minus_one] = {.unary = jm_complex_expm1, .flops = 250, .narrow = true},
    [JM_OP_log] = {.unary = jm_complex_log, .flops = 180, .narrow = true},
    [JM_OP_log_plus_one] = {.unary = jm_complex_log1p, .flops = 200, .narrow = true},
    [JM_OP_logistic] = {.unary = jm_complex_logistic, .flops = 220, .narrow = true},
    [JM_OP_sqrt] = {.unary = jm_complex_sqrt, .flops = 40, .narrow = true},
    [JM_OP_rsqrt] = {.unary = jm_complex_rsqrt, .flops = 100, .narrow = true},
    [JM_OP_sine] = {.unary = jm_complex_sin, .flops = 180, .narrow = true},
    [JM_OP_cosine] = {.unary = jm_complex_cos, .flops = 180, .narrow = true},
    [JM_OP_tan] = {.unary = jm_complex_tan, .flops = 250, .narrow = true},
    [JM_OP_tanh] = {.unary = jm_complex_tanh, .flops = 250, .narrow = true},
};
