/* SPDX-License-Identifier: Apache-2.0
 * Functions of f32 in f32 and integers, for machines without f64 or with a slow one; without
 * branches. A value that must be more precise than f32 is a pair: a number and its rounding error.
 * Measured over sweeps (tests/unit/math_test.c), in ulp: sin, cos, tan and cbrt 1, pow 1.5.
 * Polynomials are fits of our own. */
#include "kernel/emit/element.h"

/* A number, and one that is small against it. */
typedef struct pair {
  jm_kval high, low;
} pair;

/* x + y where |x| >= |y| or x is 0. */
static pair add_smaller(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_kval sum = jm_k_fadd(b, x, y);
  return (pair){sum, jm_k_fadd(b, jm_k_fsub(b, x, sum), y)};
}

static pair multiply(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_kval product = jm_k_fmul(b, x, y);
  return (pair){product, jm_k_fma(b, x, y, jm_k_fneg(b, product))};
}

/* The product of two pairs. */
static pair multiply_pairs(jm_kbuilder *b, pair x, pair y) {
  pair p = multiply(b, x.high, y.high);
  p.low = jm_k_fma(b, x.high, y.low, jm_k_fma(b, x.low, y.high, p.low));
  return p;
}

static jm_kval single(jm_kbuilder *b, double value) { return jm_k_float(b, JM_KT_f32, value); }
static jm_kval word(jm_kbuilder *b, int64_t value) { return jm_k_int(b, JM_KT_i32, value); }

/* -- sin, cos, tan */

/* |x| as a number of quarter turns, of which the last two bits count, and the rest, an angle of at
 * most pi/4. */
typedef struct turns {
  jm_kval quarters; /* i32 */
  pair angle;
} turns;

/* 2/pi in words of 32 bits, 32 zeros first. */
static const uint32_t two_over_pi[8] = {0,          0xa2f9836e, 0x4e441529, 0xfc2757d1,
                                        0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};

/* 96 bits of 2/pi * 2^(exponent - 23), from the one of weight 2 on, as three words: |x| is an
 * integer times 2^(exponent - 23), so that the bits above make whole turns. exponent >= -1. */
static void find_window(jm_kbuilder *b, jm_kval exponent, jm_kval window[3]) {
  const jm_kval offset = jm_k_iadd(b, exponent, word(b, 7));
  const jm_kval first = jm_k_lshr(b, offset, word(b, 5)), shift = jm_k_and(b, offset, word(b, 31));
  jm_kval words[4];
  for (int i = 0; i < 4; i++) {
    words[i] = word(b, two_over_pi[i + 4]);
    for (int j = 3; j >= 0; j--)
      words[i] =
          jm_k_select(b, jm_k_ieq(b, first, word(b, j)), word(b, two_over_pi[i + j]), words[i]);
  }
  const jm_kval back = jm_k_isub(b, word(b, 31), shift);
  for (int i = 0; i < 3; i++) {
    const jm_kval low = jm_k_lshr(b, jm_k_lshr(b, words[i + 1], word(b, 1)), back);
    window[i] = jm_k_or(b, jm_k_shl(b, words[i], shift), low);
  }
}

/* Payne's and Hanek's method: the product has 2 bits in front of the point and 62 behind it. */
static turns reduce(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = JM_KT_i64;
  const jm_kval a = jm_k_fabs(b, x), bits = jm_k_bits(b, a);
  jm_kval window[3], products[3];
  find_window(b, jm_k_isub(b, jm_k_lshr(b, bits, word(b, 23)), word(b, 127)), window);
  jm_kval mantissa = jm_k_and(b, bits, word(b, 0x7fffff));
  mantissa = jm_k_zext(b, t, jm_k_or(b, mantissa, word(b, 0x800000)));
  for (int i = 0; i < 3; i++) products[i] = jm_k_imul(b, mantissa, jm_k_zext(b, t, window[i]));
  const jm_kval half = jm_k_int(b, t, 32);
  jm_kval product = jm_k_iadd(b, products[1], jm_k_lshr(b, products[2], half));
  product = jm_k_iadd(b, product, jm_k_shl(b, products[0], half));
  const jm_kval rounded = jm_k_iadd(b, product, jm_k_int(b, t, INT64_C(1) << 61));
  const jm_kval quarters = jm_k_lshr(b, rounded, jm_k_int(b, t, 62));
  const jm_kval rest = jm_k_isub(b, product, jm_k_shl(b, quarters, jm_k_int(b, t, 62)));
  pair fraction = {jm_k_sitofp(b, JM_KT_f32, rest), 0};
  fraction.low = jm_k_sitofp(b, JM_KT_f32, jm_k_isub(b, rest, jm_k_fptosi(b, t, fraction.high)));
  const pair unit = {single(b, 0x1.921fb6p-62), single(b, -0x1.777a5cp-87)}; /* pi/2 2^-62 */
  const pair angle = multiply_pairs(b, fraction, unit);
  /* small angles need no reduction, infinities and NaN have none */
  const jm_kval small = jm_k_folt(b, a, single(b, 0x1.921fb5p-1));
  const jm_kval finite = jm_k_folt(b, a, single(b, __builtin_inf()));
  const jm_kval high = jm_k_select(b, finite, angle.high, single(b, __builtin_nan("")));
  return (turns){jm_k_select(b, small, word(b, 0), jm_k_itrunc(b, JM_KT_i32, quarters)),
                 {jm_k_select(b, small, a, high), jm_k_select(b, small, single(b, 0), angle.low)}};
}

/* (sin r / r - 1) / r^2 and (cos r - 1 + r^2/2) / r^4 in r^2: to 2^-27 and 2^-29 */
static const double sin_tail[] = {-0x1.555556p-3, 0x1.11110ep-7, -0x1.a013a8p-13, 0x1.6dbdf2p-19};
static const double cos_tail[] = {0x1.555556p-5, -0x1.6c16c0p-10, 0x1.a015c4p-16, -0x1.252440p-22};

static void sin_cos(jm_kbuilder *b, pair r, pair *sine, pair *cosine) {
  const pair z = multiply(b, r.high, r.high);
  const jm_kval half = jm_k_fmul(b, z.high, single(b, 0.5));
  const jm_kval cube = jm_k_fmul(b, r.high, z.high);
  *sine = add_smaller(b, r.high, jm_k_fmul(b, cube, JM_POLYNOMIAL(b, z.high, sin_tail)));
  /* r.low times the cosine */
  const jm_kval turned = jm_k_fma(b, jm_k_fneg(b, half), r.low, r.low);
  sine->low = jm_k_fadd(b, sine->low, turned);
  *cosine = add_smaller(b, single(b, 1), jm_k_fneg(b, half));
  jm_kval low =
      jm_k_fma(b, jm_k_fmul(b, z.high, z.high), JM_POLYNOMIAL(b, z.high, cos_tail), cosine->low);
  low = jm_k_fma(b, z.low, single(b, -0.5), low);
  low = jm_k_fma(b, jm_k_fneg(b, r.high), r.low, low);
  *cosine = add_smaller(b, cosine->high, low);
}

/* The sine `ahead` quarters further. */
static jm_kval wave(jm_kbuilder *b, const turns *n, int ahead, pair sine, pair cosine) {
  const jm_kval quarters = jm_k_iadd(b, n->quarters, word(b, ahead));
  const jm_kval odd = jm_k_ine(b, jm_k_and(b, quarters, word(b, 1)), word(b, 0));
  const jm_kval back = jm_k_ine(b, jm_k_and(b, quarters, word(b, 2)), word(b, 0));
  const jm_kval value =
      jm_k_select(b, odd, jm_k_fadd(b, cosine.high, cosine.low), jm_k_fadd(b, sine.high, sine.low));
  return jm_k_select(b, back, jm_k_fneg(b, value), value);
}

static jm_kval with_sign_of(jm_kbuilder *b, jm_kval value, jm_kval x) {
  const jm_kval sign = jm_k_and(b, jm_k_bits(b, x), word(b, 1u << 31));
  return jm_k_from_bits(b, jm_k_xor(b, jm_k_bits(b, value), sign));
}

void jm_single_sin_cos(jm_kbuilder *b, jm_kval x, jm_kval *sine, jm_kval *cosine) {
  const turns n = reduce(b, x);
  pair s, c;
  sin_cos(b, n.angle, &s, &c);
  *sine = with_sign_of(b, wave(b, &n, 0, s, c), x);
  *cosine = wave(b, &n, 1, s, c);
}

jm_kval jm_single_sin(jm_kbuilder *b, jm_kval x) {
  jm_kval sine, cosine;
  jm_single_sin_cos(b, x, &sine, &cosine);
  return sine;
}

jm_kval jm_single_cos(jm_kbuilder *b, jm_kval x) {
  jm_kval sine, cosine;
  jm_single_sin_cos(b, x, &sine, &cosine);
  return cosine;
}

/* The quotient of two pairs, corrected by its rounding error. */
jm_kval jm_single_tan(jm_kbuilder *b, jm_kval x) {
  const turns n = reduce(b, x);
  pair s, c;
  sin_cos(b, n.angle, &s, &c);
  const jm_kval odd = jm_k_ine(b, jm_k_and(b, n.quarters, word(b, 1)), word(b, 0));
  const pair above = {jm_k_select(b, odd, jm_k_fneg(b, c.high), s.high),
                      jm_k_select(b, odd, jm_k_fneg(b, c.low), s.low)};
  const pair below = {jm_k_select(b, odd, s.high, c.high), jm_k_select(b, odd, s.low, c.low)};
  const jm_kval ratio = jm_k_fdiv(b, above.high, below.high);
  const jm_kval minus = jm_k_fneg(b, ratio);
  jm_kval rest = jm_k_fma(b, minus, below.high, above.high);
  rest = jm_k_fadd(b, rest, jm_k_fma(b, minus, below.low, above.low));
  return with_sign_of(b, jm_k_fadd(b, ratio, jm_k_fdiv(b, rest, below.high)), x);
}

/* -- pow */

/* (2 artanh(s) / s - 2 - 2/3 s^2) / s^4 in s^2, s = f / (2 + f): to 2^-22 */
static const double log_tail[] = {0x1.9999a4p-2, 0x1.247a30p-2, 0x1.d80744p-3};

/* log a, a positive and finite, to 2^-36 of it: k ln 2 + 2 s + 2/3 s^3 + ... */
static pair log_pair(jm_kbuilder *b, jm_kval a) {
  const jm_kval tiny = jm_k_folt(b, a, single(b, 0x1p-126)), one = single(b, 1);
  a = jm_k_select(b, tiny, jm_k_fmul(b, a, single(b, 0x1p23)), a);
  const jm_kval shifted = jm_k_isub(b, jm_k_bits(b, a), word(b, 0x3f3504f3));
  jm_kval m = jm_k_and(b, shifted, word(b, 0x7fffff));
  m = jm_k_from_bits(b, jm_k_iadd(b, m, word(b, 0x3f3504f3)));
  jm_kval k = jm_k_sitofp(b, JM_KT_f32, jm_k_ashr(b, shifted, word(b, 23)));
  k = jm_k_fadd(b, k, jm_k_select(b, tiny, single(b, -23), single(b, 0)));
  const jm_kval f = jm_k_fsub(b, m, one);
  const pair below = add_smaller(b, single(b, 2), f);
  pair s = {jm_k_fdiv(b, f, below.high), 0};
  const jm_kval minus = jm_k_fneg(b, s.high);
  const jm_kval rest = jm_k_fma(b, minus, below.low, jm_k_fma(b, minus, below.high, f));
  s.low = jm_k_fdiv(b, rest, below.high);
  const pair z = multiply_pairs(b, s, s), cube = multiply_pairs(b, z, s);
  const pair third = multiply_pairs(
      b, cube, (pair){single(b, 0x1.555556p-1), single(b, -0x1.555556p-26)}); /* 2/3 */
  const jm_kval tail =
      jm_k_fmul(b, jm_k_fmul(b, cube.high, z.high), JM_POLYNOMIAL(b, z.high, log_tail));
  /* the upper part of ln 2 has so few digits that its product is exact */
  const jm_kval whole = jm_k_fmul(b, k, single(b, 0x1.62ep-1));
  const pair x = add_smaller(b, whole, jm_k_fadd(b, s.high, s.high));
  pair sum = add_smaller(b, x.high, third.high);
  jm_kval low = jm_k_fma(b, k, single(b, 0x1.0bfbe8p-15), jm_k_fadd(b, third.low, tail));
  low = jm_k_fadd(b, low, jm_k_fadd(b, s.low, s.low));
  sum.low = jm_k_fadd(b, jm_k_fadd(b, sum.low, x.low), low);
  return sum;
}

/* a^y, a >= 0; the caller handles 0^0 and the like. */
jm_kval jm_single_pow(jm_kbuilder *b, jm_kval a, jm_kval y) {
  const jm_kval infinite = single(b, __builtin_inf());
  pair log = log_pair(b, a);
  log.high = jm_k_select(b, jm_k_foeq(b, a, single(b, 0)), jm_k_fneg(b, infinite), log.high);
  log.high = jm_k_select(b, jm_k_folt(b, a, infinite), log.high, a); /* infinity and NaN */
  pair product = multiply(b, y, log.high);
  product.low = jm_k_fma(b, y, log.low, product.low);
  /* the remainder does not matter where the result is infinite or 0 */
  const jm_kval inside = jm_k_folt(b, jm_k_fabs(b, product.high), single(b, 200));
  return jm_math_exp_sum(b, product.high, jm_k_select(b, inside, product.low, single(b, 0)));
}

/* -- cbrt */

/* cbrt on [1, 8]: to 0.5 % */
static const double cbrt_start[] = {0x1.5d04d6p-1, 0x1.75488p-2, -0x1.62ce9ap-5, 0x1.2f351cp-9};

/* |x| = 2^(3 q) m, m in [1, 8): a step of Halley's, with thrice the digits, and one of Newton's
 * from an exact cube. */
jm_kval jm_single_cbrt(jm_kbuilder *b, jm_kval x) {
  const jm_kval a = jm_k_fabs(b, x), tiny = jm_k_folt(b, a, single(b, 0x1p-126));
  const jm_kval bits = jm_k_bits(b, jm_k_select(b, tiny, jm_k_fmul(b, a, single(b, 0x1p24)), a));
  /* the exponent's third by a product: it has 8 bits; the bias and 2 are 3 * 43 */
  const jm_kval exponent = jm_k_iadd(b, jm_k_lshr(b, bits, word(b, 23)), word(b, 2));
  const jm_kval q = jm_k_lshr(b, jm_k_imul(b, exponent, word(b, 21846)), word(b, 16));
  const jm_kval whole = jm_k_imul(b, jm_k_isub(b, q, word(b, 43)), word(b, 3));
  const jm_kval m = jm_k_from_bits(b, jm_k_isub(b, bits, jm_k_shl(b, whole, word(b, 23))));
  jm_kval r = JM_POLYNOMIAL(b, m, cbrt_start);
  const jm_kval cube = jm_k_fmul(b, jm_k_fmul(b, r, r), r);
  const jm_kval twice = jm_k_fadd(b, jm_k_fadd(b, cube, cube), m);
  r = jm_k_fsub(b, r, jm_k_fdiv(b, jm_k_fmul(b, r, jm_k_fsub(b, cube, m)), twice));
  const pair square = multiply(b, r, r);
  const jm_kval error = jm_k_fma(b, square.low, r, jm_k_fma(b, square.high, r, jm_k_fneg(b, m)));
  r = jm_k_fsub(b, r, jm_k_fdiv(b, error, jm_k_fmul(b, square.high, single(b, 3))));
  const jm_kval scale = jm_k_shl(b, jm_k_iadd(b, q, word(b, 127 - 43)), word(b, 23));
  r = jm_k_fmul(b, jm_k_fmul(b, r, jm_k_from_bits(b, scale)),
                jm_k_select(b, tiny, single(b, 0x1p-8), single(b, 1)));
  const jm_kval normal =
      jm_k_and(b, jm_k_folt(b, single(b, 0), a), jm_k_folt(b, a, single(b, __builtin_inf())));
  return jm_k_select(b, normal, jm_k_fcopysign(b, r, x), x);
}
