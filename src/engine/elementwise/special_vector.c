/* SPDX-License-Identifier: Apache-2.0
 * Special functions without loops or branches, so that loops over elements vectorise. Values
 * outside of a formula's range are selected at the end. */
#include <math.h>

#include "base/loop.h"
#include "engine/elementwise/special.h"
#include "engine/elementwise/special_polynomials.h"
#include "engine/elementwise/vector_math.h"

#define PI 0x1.921fb54442d18p+1

/* Polynomials by Estrin's scheme: pairs of terms, pairs of pairs. Horner's would be one chain of
 * dependent operations, so that a loop over elements waits for latencies. x2 = x^2, x4 = x^4. */
JM_INLINE double terms4(double c0, double c1, double c2, double c3, double x, double x2) {
  return (c0 + c1 * x) + (c2 + c3 * x) * x2;
}

/* The logarithm of a positive, finite, normal double; unlike jm_log_normal, to its last digits. */
JM_INLINE double log_full(double x) {
  jm_log_parts parts = jm_log_split(x);
  double f2 = parts.f * parts.f, f4 = f2 * f2, f8 = f4 * f4;
  double low = terms4(1 / 3.0, 1 / 5.0, 1 / 7.0, 1 / 9.0, f2, f4);
  double high = terms4(1 / 11.0, 1 / 13.0, 1 / 15.0, 1 / 17.0, f2, f4);
  double rest = 1 / 19.0 + 1 / 21.0 * f2;
  return jm_log_join(parts, low + (high + rest * f8) * f8);
}

/* x minus the nearest integer, which determines sin(pi x) and tan(pi x) up to the sign. */
JM_INLINE double fraction(double x) { return x - rint(x); }

/* Taylor series, |f| <= 1/2: the next term is below 3e-17 of the sum. */
JM_INLINE double sin_pi(double f) {
  double y = PI * f, y2 = y * y, y4 = y2 * y2, y8 = y4 * y4;
  double low = terms4(1 / 6.0, -1 / 120.0, 1 / 5040.0, -1 / 362880.0, y2, y4);
  double high = terms4(1 / 39916800.0, -1 / 6227020800.0, 1 / 1307674368000.0,
                       -1 / 355687428096000.0, y2, y4);
  double rest = 1 / 121645100408832000.0 - 1 / 51090942171709440000.0 * y2;
  double p = low + (high + rest * y8) * y8;
  return y - y * (y2 * p);
}

JM_INLINE double cos_pi(double f) {
  /* cos(pi f) = sin(pi (1/2 - |f|)) keeps the digits near the zero at 1/2 */
  return sin_pi(0.5 - fabs(f));
}

/* -- lgamma */

/* log gamma(z) - log sqrt(2 pi) for z >= 8: Stirling's series, 8e-17 off at most. */
JM_INLINE double stirling(double z) {
  double r = 1 / z, r2 = r * r, r4 = r2 * r2;
  double low = terms4(1 / 12.0, -1 / 360.0, 1 / 1260.0, -1 / 1680.0, r2, r4);
  double high = terms4(1 / 1188.0, -691 / 360360.0, 1 / 156.0, -3617 / 122400.0, r2, r4);
  double p = low + high * (r4 * r4);
  /* (z - 1/2) log z - z, in an order that overflows no sooner than the result */
  return (z - 0.5) * (log_full(z) - 1) - 0.5 + p * r;
}

/* From y = x, or 1 - x where x is not positive: gamma(y + 8) = gamma(y) y (y + 1) ... (y + 7) leads
 * small y to the series; gamma(x) gamma(1 - x) = pi / sin(pi x). near: by the polynomial between
 * the zeros 1 and 2 of the logarithm, where the difference of two logarithms would lose digits. */
JM_INLINE double lgamma_by(double x, bool with_near) {
  bool reflected = x <= 0;
  double y = reflected ? 1 - x : x;
  bool near = with_near && y < 3, small = !near && y < 8, low = near && y < 1;
  double z = small ? y + 8 : y, q = y * y + 7 * y;
  double base = stirling(z < 8 ? 8 : z) + 0.91893853320467274178;
  double product = q * (q + 6) * (q + 10) * (q + 12);
  if (with_near) {
    double v = low ? y - 1 : y - 2; /* the polynomial is at 2 + v; the difference is exact */
    v = near ? v : 1;
    double polynomial = (v + 1) * v * jm_lgamma_near_f64(v);
    base = near ? polynomial : base;
  }
  product = small ? product : 1;
  product = low ? y : product;
  double sine = fabs(sin_pi(fraction(x)));
  double scale = reflected ? PI / sine : 1;
  double log = log_full(product * scale);
  double result = reflected ? log - base : base - log;
  result = reflected && sine == 0 ? (double)INFINITY : result;
  result = x == 1 || x == 2 ? 0 : result;
  result = fabs(x) == (double)INFINITY ? (double)INFINITY : result; /* log_full takes none */
  return x != x ? x : result;
}

JM_INLINE double lgamma_f32(double x) { return lgamma_by(x, false); }
JM_INLINE double lgamma_f64(double x) { return lgamma_by(x, true); }

double jm_special_lgamma(double x) { return lgamma_f64(x); }

/* -- digamma: the same two steps, differentiated */

JM_INLINE double digamma(double x) {
  bool reflected = x <= 0;
  double y = reflected ? 1 - x : x;
  bool small = y < 8;
  double z = small ? y + 8 : y, q = y * y + 7 * y;
  double steps = (2 * y + 7) * (1 / q + 1 / (q + 6) + 1 / (q + 10) + 1 / (q + 12));
  double r = 1 / z, r2 = r * r;
  double p = -3617 / 8160.0;
  p = p * r2 + 1 / 12.0;
  p = p * r2 - 691 / 32760.0;
  p = p * r2 + 1 / 132.0;
  p = p * r2 - 1 / 240.0;
  p = p * r2 + 1 / 252.0;
  p = p * r2 - 1 / 120.0;
  p = p * r2 + 1 / 12.0;
  double result = log_full(z) - 0.5 * r - p * r2 - (small ? steps : 0);
  double f = fraction(x);
  double cotangent = PI * cos_pi(f) / sin_pi(f);
  result = reflected ? result - cotangent : result;
  result = reflected && f == 0 ? (double)NAN : result;
  result = x == 0 ? -(double)INFINITY : result; /* of -0, too, as jax since 0.11 */
  result = x == (double)INFINITY ? x : result;  /* log_full takes none */
  result = x == -(double)INFINITY ? (double)NAN : result;
  return x != x ? x : result;
}
JM_INLINE double digamma_f32(double x) { return digamma(x); }
JM_INLINE double digamma_f64(double x) { return digamma(x); }

double jm_special_digamma(double x) { return digamma(x); }

/* -- erf_inv: x times a function of w = -log((1 - x) (1 + x)) near 0, of sqrt(w) near 1 and -1 */

/* The logarithm of a positive, finite, normal float, within 1e-7 of its size and of 1. */
JM_INLINE float log_single(float x) {
  const uint32_t low = 0x3f3504f3, one = 0x3f800000;
  uint32_t bits = jm_f32_bits(x) + (one - low);
  float k = (float)((int32_t)(bits >> 23) - 127);
  float m = jm_f32_from_bits((bits & 0x7fffff) + low);
  float f = (m - 1) / (m + 1), f2 = f * f;
  float tail = 1 / 9.0f;
  tail = tail * f2 + 1 / 7.0f;
  tail = tail * f2 + 1 / 5.0f;
  tail = tail * f2 + 1 / 3.0f;
  return k * (float)JM_LN2 + 2 * (f + f * (f2 * tail));
}

/* In f32 alone: w's error hardly moves the result. */
JM_INLINE float erf_inv_f32(float x) {
  float w = -log_single((1 - x) * (1 + x)), s = sqrtf(w);
  float center = jm_erf_inv_center_f32(w * 0.32f - 1);
  float middle = jm_erf_inv_middle_f32((s - 2.5f) * (1 / 0.75f) - 1);
  float result = x * (w < 6.25f ? center : middle);
  result = fabsf(x) == 1 ? copysignf((float)INFINITY, x) : result;
  return fabsf(x) <= 1 ? result : (float)NAN;
}

JM_INLINE double erf_inv_f64(double x) {
  double w = -log_full((1 - x) * (1 + x)), s = sqrt(w);
  double center = jm_erf_inv_center_f64(w / 3.125 - 1);
  double middle = jm_erf_inv_middle_f64((s - 2.5) / 0.75 - 1);
  double end = jm_erf_inv_end_f64((s - 4) / 1.125 - 1);
  double result = x * (w < 6.25 ? center : w < 16 ? middle : end);
  result = fabs(x) == 1 ? copysign((double)INFINITY, x) : result;
  return fabs(x) <= 1 ? result : (double)NAN;
}

/* -- modified Bessel functions, times e^-|x| */

#define BESSEL(d)                                                     \
  JM_INLINE double bessel_i0e_##d(double x) {                         \
    double a = fabs(x), near = jm_bessel_i0e_near_##d(a / 4 - 1);     \
    double far = jm_bessel_i0e_far_##d(16 / a - 1) / sqrt(a);         \
    return a <= 8 ? near : far;                                       \
  }                                                                   \
  JM_INLINE double bessel_i1e_##d(double x) {                         \
    double a = fabs(x), near = a * jm_bessel_i1e_near_##d(a / 4 - 1); \
    double far = jm_bessel_i1e_far_##d(16 / a - 1) / sqrt(a);         \
    return copysign(a <= 8 ? near : far, x);                          \
  }
BESSEL(f32)
BESSEL(f64)

#define KERNELS(op)                                                                  \
  JM_CLONES void jm_special_##op##_f32(const void *const *in, void *out, size_t n) { \
    const float *a = in[0];                                                          \
    float *r = out;                                                                  \
    JM_LOOP for (size_t i = 0; i < n; i++) r[i] = (float)op##_f32(a[i]);             \
  }                                                                                  \
  JM_CLONES void jm_special_##op##_f64(const void *const *in, void *out, size_t n) { \
    const double *a = in[0];                                                         \
    double *r = out;                                                                 \
    JM_LOOP for (size_t i = 0; i < n; i++) r[i] = op##_f64(a[i]);                    \
  }
JM_SPECIAL_VECTOR(KERNELS)
