/* SPDX-License-Identifier: Apache-2.0
 * exp and what is made of it, for f32 and f64, without branches. Measured over sweeps
 * (tests/unit/math_test.c), in ulp of the type: exp 1, expm1 2, logistic 2.5, tanh 2.5,
 * sinh 2.5, cosh 1.5 (f32: 1). Polynomials are minimax fits of our own. */
#include <math.h>

#include "kernel/emit/element.h"

/* e^x = 2^k (1 + part), |part| < 0.42, and 1 + part rounded. The part keeps all its digits, so that
 * e^x - 1 does not cancel. */
typedef struct parts {
  jm_kval k, whole; /* k: an integer of the float's width, garbage for NaN; the same as a float */
  jm_kval part, sum;
} parts;

/* (e^r - 1 - r) / r^2 on |r| <= ln 2 / 2: to 2^-28 and 2^-62 of e^r */
static const double tail_f32[] = {0x1.0000000p-1, 0x1.5554a40p-3, 0x1.55568e0p-5, 0x1.122f2e0p-7,
                                  0x1.6b67aa0p-10};
static const double tail_f64[] = {
    0x1.0000000000000p-1,  0x1.5555555555557p-3,  0x1.5555555555558p-5,  0x1.11111111100dbp-7,
    0x1.6c16c16c151fcp-10, 0x1.a01a01abe84bap-13, 0x1.a01a01acfacc0p-16, 0x1.71de0230beb99p-19,
    0x1.27e4cccdeb2f7p-22, 0x1.af4deb0af45a9p-26, 0x1.1f8b4c6b3c913p-29};

/* Of x + y, where y is small against 1, or JM_KNONE. x is within some hundreds (f32: 105, f64: 750)
 * or NaN. Adding 1.5 * 2^23 (2^52) rounds to an
 * integer, which then stands in the last bits: no conversion that a NaN would leave undefined. */
static parts split(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  const double magic = wide ? 0x1.8p52 : 0x1.8p23;
  jm_kval shifted = jm_k_fma(b, x, jm_k_float(b, t, 0x1.71547652b82fep0), jm_k_float(b, t, magic)),
          k = jm_k_fsub(b, shifted, jm_k_float(b, t, magic));
  /* the upper part of ln 2 has so few digits that its product is exact */
  jm_kval r =
      jm_k_fma(b, k, jm_k_float(b, t, wide ? -0x1.62e42fee00000p-1 : -0x1.62e0000000000p-1), x);
  r = jm_k_fma(b, k, jm_k_float(b, t, wide ? -0x1.a39ef35793c76p-33 : -0x1.0bfbe8e7bcd5ep-15), r);
  if (y != JM_KNONE) r = jm_k_fadd(b, r, y);
  jm_kval tail = wide ? JM_POLYNOMIAL(b, r, tail_f64) : JM_POLYNOMIAL(b, r, tail_f32);
  const jm_kval one = jm_k_float(b, t, 1);
  return (parts){.k = jm_k_isub(b, jm_k_bits(b, shifted), jm_k_bits(b, jm_k_float(b, t, magic))),
                 .whole = k,
                 .part = jm_k_fma(b, jm_k_fmul(b, r, r), tail, r),
                 .sum = jm_k_fma(b, jm_k_fma(b, tail, r, one), r, one)};
}

static jm_kval limit(jm_kbuilder *b, jm_kval x, double low, double high) {
  const jm_ktype t = jm_kbuild_type(b, x);
  x = jm_k_select(b, jm_k_folt(b, x, jm_k_float(b, t, low)), jm_k_float(b, t, low), x);
  return jm_k_select(b, jm_k_folt(b, jm_k_float(b, t, high), x), jm_k_float(b, t, high), x);
}

/* 2^k where that is a normal number */
static jm_kval power_of_two(jm_kbuilder *b, jm_kval k) {
  const jm_ktype it = jm_kbuild_type(b, k);
  const bool wide = it == JM_KT_i64;
  return jm_k_from_bits(b, jm_k_shl(b, jm_k_iadd(b, k, jm_k_int(b, it, wide ? 1023 : 127)),
                                    jm_k_int(b, it, wide ? 52 : 23)));
}

/* Where no instruction does it, in two factors, the second of which rounds: to subnormals or
 * infinity if it must. */
static jm_kval join(jm_kbuilder *b, parts e) {
  if (jm_kbuilder_scales(b)) return jm_k_fscale(b, e.sum, e.whole);
  const jm_ktype it = jm_kbuild_type(b, e.k);
  jm_kval half = jm_k_ashr(b, e.k, jm_k_int(b, it, 1));
  jm_kval scaled = jm_k_fmul(b, e.sum, power_of_two(b, half));
  return jm_k_fmul(b, scaled, power_of_two(b, jm_k_isub(b, e.k, half)));
}

/* 2^(k + more) where that is a normal number */
static jm_kval scale_of(jm_kbuilder *b, parts e, int more) {
  const jm_ktype it = jm_kbuild_type(b, e.k), t = jm_kbuild_type(b, e.part);
  if (jm_kbuilder_scales(b)) return jm_k_fscale(b, jm_k_float(b, t, ldexp(1, more)), e.whole);
  return power_of_two(b, jm_k_iadd(b, e.k, jm_k_int(b, it, more)));
}

jm_kval jm_math_exp(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  return join(b, split(b, wide ? limit(b, x, -746, 710) : limit(b, x, -105, 89), JM_KNONE));
}

jm_kval jm_math_exp_sum(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  return join(b, split(b, wide ? limit(b, x, -746, 710) : limit(b, x, -105, 89), y));
}

jm_kval jm_math_exp_normal(jm_kbuilder *b, jm_kval x) {
  parts e = split(b, x, JM_KNONE);
  if (jm_kbuilder_scales(b)) return jm_k_fscale(b, e.sum, e.whole);
  return jm_k_fmul(b, e.sum, power_of_two(b, e.k));
}

/* The part of 2^k that may overflow is multiplied after the factor. Beyond the limit no factor
 * compensates for it. */
void jm_math_exp_times(jm_kbuilder *b, jm_kval x, jm_kval *factors, int n) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  const jm_ktype it = wide ? JM_KT_i64 : JM_KT_i32;
  const double most = wide ? 1400 : 170;
  const int64_t normal = wide ? 1000 : 120;
  parts e = split(b, limit(b, x, wide ? -746 : -105, most), JM_KNONE);
  jm_kval first =
      jm_k_smin(b, jm_k_smax(b, e.k, jm_k_int(b, it, -normal)), jm_k_int(b, it, normal));
  jm_kval rest = power_of_two(b, jm_k_isub(b, e.k, first));
  jm_kval base = jm_k_fmul(b, e.sum, power_of_two(b, first));
  rest = jm_k_select(b, jm_k_folt(b, jm_k_float(b, t, most), x), jm_k_float(b, t, __builtin_inf()),
                     rest);
  for (int i = 0; i < n; i++) factors[i] = jm_k_fmul(b, jm_k_fmul(b, base, factors[i]), rest);
}

/* 2^k part + (2^k - 1), with half of everything: 2^k may overflow where the result does not. */
jm_kval jm_math_expm1(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  parts e = split(b, wide ? limit(b, x, -40, 710) : limit(b, x, -20, 89), JM_KNONE);
  jm_kval half = scale_of(b, e, -1);
  jm_kval result = jm_k_fmul(b, jm_k_float(b, t, 2),
                             jm_k_fma(b, half, e.part, jm_k_fsub(b, half, jm_k_float(b, t, 0.5))));
  return jm_k_fcopysign(b, result, x); /* -0 */
}

/* Of e^x and e^-x the one that does not overflow. */
jm_kval jm_math_logistic(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  jm_kval e = jm_math_exp(b, jm_k_fneg(b, jm_k_fabs(b, x)));
  return jm_k_fdiv(b, jm_k_select(b, jm_k_folt(b, x, jm_k_float(b, t, 0)), e, jm_k_float(b, t, 1)),
                   jm_k_fadd(b, jm_k_float(b, t, 1), e));
}

/* m / (m + 2) with m = e^2a - 1, which does not cancel where a is small: 2^0 part is exact. From 10
 * (20) on it is 1. */
jm_kval jm_math_tanh(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const double most = t == JM_KT_f64 ? 40 : 20;
  jm_kval a = jm_k_fmul(b, jm_k_fabs(b, x), jm_k_float(b, t, 2));
  a = jm_k_select(b, jm_k_folt(b, jm_k_float(b, t, most), a), jm_k_float(b, t, most), a);
  parts e = split(b, a, JM_KNONE);
  jm_kval scale = scale_of(b, e, 0);
  jm_kval m = jm_k_fma(b, scale, e.part, jm_k_fsub(b, scale, jm_k_float(b, t, 1)));
  jm_kval y = jm_k_fdiv(b, m, jm_k_fadd(b, m, jm_k_float(b, t, 2)));
  return jm_k_fcopysign(b, y, x); /* -0 */
}

/* -- functions whose f32 is the rounded f64, where there is one */

jm_kval jm_math_through_f64(jm_kbuilder *b, jm_float_unary *fn, jm_kval x) {
  if (jm_kbuild_type(b, x) == JM_KT_f64 || jm_math_is_single(b, x)) return fn(b, x);
  return jm_k_fptrunc(b, JM_KT_f32, fn(b, jm_k_fpext(b, JM_KT_f64, x)));
}

static jm_kval sinh_of(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  /* with a quarter of e^a, which may be twice the largest number */
  jm_kval a = jm_k_fabs(b, x);
  parts e = split(b, limit(b, a, 0, wide ? 710.5 : 89.5), JM_KNONE);
  jm_kval quarter = scale_of(b, e, -2);
  jm_kval large = jm_k_fmul(b, jm_k_float(b, t, 2), jm_k_fma(b, quarter, e.part, quarter));
  jm_kval m = jm_k_fmul(
      b, jm_k_float(b, t, 4),
      jm_k_fma(b, quarter, e.part, jm_k_fsub(b, quarter, jm_k_float(b, t, 0.25)))); /* e^a - 1 */
  jm_kval small = jm_k_fmul(b, jm_k_float(b, t, 0.5),
                            jm_k_fadd(b, m, jm_k_fdiv(b, m, jm_k_fadd(b, m, jm_k_float(b, t, 1)))));
  return jm_k_fcopysign(
      b, jm_k_select(b, jm_k_folt(b, a, jm_k_float(b, t, wide ? 22 : 10)), small, large), x);
}

static jm_kval cosh_of(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  parts e = split(b, limit(b, jm_k_fabs(b, x), 0, wide ? 710.5 : 89.5), JM_KNONE);
  jm_kval quarter = scale_of(b, e, -2);
  jm_kval half =
      jm_k_fmul(b, jm_k_float(b, t, 2), jm_k_fma(b, quarter, e.part, quarter)); /* of e^|x| */
  return jm_k_fadd(b, half, jm_k_fdiv(b, jm_k_float(b, t, 0.25), half));
}

jm_kval jm_math_sinh(jm_kbuilder *b, jm_kval x) { return jm_math_through_f64(b, sinh_of, x); }
jm_kval jm_math_cosh(jm_kbuilder *b, jm_kval x) { return jm_math_through_f64(b, cosh_of, x); }
