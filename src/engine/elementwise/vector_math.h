/* SPDX-License-Identifier: Apache-2.0
 * Functions of f32 that loops over them can vectorise: no branches, no calls, and a double inside,
 * so that the rounding to f32 is almost the only error (0.51 ulp). Not for f64. */
#ifndef JM_ELEMENTWISE_VECTOR_MATH_H
#define JM_ELEMENTWISE_VECTOR_MATH_H

#include <math.h>

#include "base/number.h"

#define JM_LN2 0x1.62e42fefa39efp-1

/* e^x = scale (1 + part), |part| < 0.42; x in [-700, 700] or NaN. The part keeps all its digits, so
 * that e^x - 1 = scale part + (scale - 1) does not cancel. */
typedef struct jm_exp_parts {
  double scale, part;
} jm_exp_parts;

JM_INLINE jm_exp_parts jm_exp_split(double x) {
  /* The sum has its unit at the last digit, so it is rounded to an integer k, in the low bits. */
  double shifted = x * (1 / JM_LN2) + 0x1.8p52, k = shifted - 0x1.8p52;
  double r = x - k * JM_LN2;  /* |r| <= ln 2 / 2 */
  double tail = 1 / 362880.0; /* Taylor: r^10 / 10! is below 1e-11 r */
  tail = tail * r + 1 / 40320.0;
  tail = tail * r + 1 / 5040.0;
  tail = tail * r + 1 / 720.0;
  tail = tail * r + 1 / 120.0;
  tail = tail * r + 1 / 24.0;
  tail = tail * r + 1 / 6.0;
  tail = tail * r + 1 / 2.0;
  jm_exp_parts parts = {jm_f64_from_bits((jm_f64_bits(shifted) + 1023) << 52), r + r * (r * tail)};
  return parts;
}

/* Keeps a NaN. */
JM_INLINE double jm_limit(double x, double size) {
  x = x > size ? size : x;
  return x < -size ? -size : x;
}

JM_INLINE float jm_expf(float x) {
  jm_exp_parts e = jm_exp_split(jm_limit(x, 200)); /* beyond f32's range, within f64's */
  return (float)(e.scale + e.scale * e.part);
}

JM_INLINE float jm_expm1f(float x) {
  jm_exp_parts e = jm_exp_split(jm_limit(x, 200));
  return copysignf((float)(e.scale * e.part + (e.scale - 1)), x);
}

JM_INLINE float jm_logisticf(float x) {
  jm_exp_parts e = jm_exp_split(-jm_limit(x, 200));
  return (float)(1 / (1 + (e.scale + e.scale * e.part)));
}

/* (e^2x - 1) / (e^2x + 1) */
JM_INLINE float jm_tanhf(float x) {
  jm_exp_parts e = jm_exp_split(jm_limit(2 * (double)x, 60));
  double m = e.scale * e.part + (e.scale - 1);
  return copysignf((float)(m / (m + 2)), x);
}

/* x = 2^k m, positive, finite and normal, with m in [sqrt(1/2), sqrt(2)): f = (m - 1) / (m + 1), so
 * that log m = 2 artanh f, |f| < 0.1716. */
typedef struct jm_log_parts {
  double k, f;
} jm_log_parts;

JM_INLINE jm_log_parts jm_log_split(double x) {
  /* The exponent is taken after a shift to the bounds of m. */
  const uint64_t low = 0x3fe6a09e667f3bcd, one = 0x3ff0000000000000;
  uint64_t bits = jm_f64_bits(x) + (one - low);
  double k = jm_f64_from_bits(bits >> 52 | 0x4330000000000000) - (0x1p52 + 1023);
  double m = jm_f64_from_bits((bits & 0xfffffffffffff) + low);
  jm_log_parts parts = {k, (m - 1) / (m + 1)};
  return parts;
}

/* The logarithm, with tail = (artanh f / f - 1) / f^2 as exact as the result is to be. */
JM_INLINE double jm_log_join(jm_log_parts parts, double tail) {
  double f = parts.f;
  return parts.k * JM_LN2 + 2 * (f + f * (f * f * tail));
}

/* The logarithm of a positive, finite, normal double, to more than the digits of f32. */
JM_INLINE double jm_log_normal(double x) {
  jm_log_parts parts = jm_log_split(x);
  double f2 = parts.f * parts.f;
  double tail = 1 / 13.0;
  tail = tail * f2 + 1 / 11.0;
  tail = tail * f2 + 1 / 9.0;
  tail = tail * f2 + 1 / 7.0;
  tail = tail * f2 + 1 / 5.0;
  tail = tail * f2 + 1 / 3.0;
  return jm_log_join(parts, tail);
}

JM_INLINE float jm_logf(float x) {
  float log = (float)jm_log_normal(x);
  log = x < 0 ? (float)NAN : log;
  log = x == 0 ? -(float)INFINITY : log;
  return x < (float)INFINITY ? log : x; /* infinity and NaN as they are */
}

JM_INLINE float jm_log1pf(float x) {
  double y = 1 + (double)x;
  /* The rounding error of the sum, to first order: all of x, if x is small. */
  float log = (float)(jm_log_normal(y) + ((double)x - (y - 1)) / y);
  log = x < -1 ? (float)NAN : log;
  log = x == -1 ? -(float)INFINITY : log;
  log = x == 0 ? x : log; /* -0 */
  return x < (float)INFINITY ? log : x;
}

/* erf x = x p(u), u = x^2 / 8 - 1, for |x| <= 4, beyond which f32 has 1. The polynomial is p's
 * interpolation at the zeros of a Chebyshev polynomial: relative error 4e-10. */
JM_INLINE float jm_erff(float x) {
  double limited = jm_limit(x, 4), u = limited * limited / 8 - 1;
  double p = 0x1.8a6caab470c6fp-14;
  p = p * u - 0x1.026466e217773p-12;
  p = p * u + 0x1.6b49f96c0d06fp-13;
  p = p * u - 0x1.555506765c526p-12;
  p = p * u + 0x1.71a9bd2a54af3p-10;
  p = p * u - 0x1.7d61c3299c579p-9;
  p = p * u + 0x1.38ee4f02d9147p-8;
  p = p * u - 0x1.12ba7628ceb60p-7;
  p = p * u + 0x1.d73ce53e159ffp-7;
  p = p * u - 0x1.71aa3a7454ee2p-6;
  p = p * u + 0x1.0ec5c6e1688d8p-5;
  p = p * u - 0x1.76bcc6dec6fadp-5;
  p = p * u + 0x1.ea99e1ae9780fp-5;
  p = p * u - 0x1.3218984cd195ap-4;
  p = p * u + 0x1.717eee4e076f7p-4;
  p = p * u - 0x1.b92e6d963dfaap-4;
  p = p * u + 0x1.0dabaf245a337p-3;
  p = p * u - 0x1.69a0cd301b91ep-3;
  p = p * u + 0x1.6a040781a499cp-2;
  return (float)(limited * p);
}

#endif
