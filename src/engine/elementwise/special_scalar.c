/* SPDX-License-Identifier: Apache-2.0
 * Special functions of several arguments: series and continued fractions, an element at a time,
 * each as long as it needs. At the edges of their domains they give what JAX gives on the CPU. */
#include <math.h>

#include "engine/elementwise/special.h"

/* The most terms that can matter; the fractions need about the square root of an argument. */
enum { MOST_TERMS = 20000 };

#define LOG_2PI 1.83787706640934548356

/* -- incomplete gamma functions */

/* m - log(1 + m), which cancels near 0. */
static double log_excess(double m) {
  if (fabs(m) > 0.01) return m - log1p(m);
  double p = 1 / 9.0;
  for (int k = 8; k >= 2; k--) p = 1.0 / k - m * p;
  return m * m * p;
}

/* The logarithm of gamma divided by Stirling's formula; a >= 10. */
static double stirling_rest(double a) {
  double r = 1 / a, r2 = r * r;
  return r * (1 / 12.0 - r2 * (1 / 360.0 - r2 * (1 / 1260.0 - r2 * (1 / 1680.0 - r2 / 1188))));
}

/* log(x^a e^-x / gamma(a + 1)), without the cancellation of its large terms. */
static double log_density(double a, double x) {
  if (a < 10) return a * log(x) - x - jm_special_lgamma(a + 1);
  return -a * log_excess((x - a) / a) - 0.5 * (LOG_2PI + log(a)) - stirling_rest(a);
}

/* Sum of x^n / ((a + 1) ... (a + n)) */
static double gamma_series(double a, double x, double eps) {
  double term = 1, sum = 1;
  for (int n = 1; n < MOST_TERMS; n++) {
    term *= x / (a + n);
    sum += term;
    if (term <= sum * eps) break;
  }
  return sum;
}

/* 1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - 2 (2 - a) / ...)), by Lentz's method. */
static double gamma_fraction(double a, double x, double eps) {
  const double tiny = 0x1p-1000;
  double b = x + 1 - a, c = 1 / tiny, d = 1 / (b == 0 ? tiny : b), h = d;
  for (int n = 1; n < MOST_TERMS; n++) {
    double numerator = -n * (n - a);
    b += 2;
    d = numerator * d + b;
    c = b + numerator / c;
    d = 1 / (fabs(d) < tiny ? tiny : d);
    c = fabs(c) < tiny ? tiny : c;
    h *= c * d;
    if (fabs(c * d - 1) <= eps) break;
  }
  return h;
}

/* Both functions where a is so large that they are a bell curve's, with two terms of Temme's
 * correction; it vanishes before the Taylor series of the terms is off. */
static void gamma_of_large(double a, double x, double *lower, double *upper) {
  double mu = (x - a) / a, excess = log_excess(mu);
  double eta = copysign(sqrt(2 * excess), mu), y = eta * sqrt(a / 2);
  double c0 = -1 / 3.0 + eta * (1 / 12.0 - eta * (2 / 135.0 - eta * (1 / 864.0)));
  double c1 = -1 / 540.0 - eta * (1 / 288.0 - eta * (1 / 378.0));
  double rest = y * y > 700 ? 0 : exp(-y * y) / sqrt(a) * exp(-0.5 * LOG_2PI) * (c0 + c1 / a);
  *lower = 0.5 * erfc(-y) - rest;
  *upper = 0.5 * erfc(y) + rest;
}

static void incomplete_gamma(double a, double x, double eps, double *lower, double *upper) {
  if (a > 1e6) {
    gamma_of_large(a, x, lower, upper);
    return;
  }
  double density = exp(log_density(a, x));
  if (x < 1 || x <= a) {
    *lower = density > 0 ? density * gamma_series(a, x, eps) : 0;
    *upper = 1 - *lower;
  } else {
    *upper = density > 0 ? density * a * gamma_fraction(a, x, eps) : 0;
    *lower = 1 - *upper;
  }
}

/* Of all arguments. */
static void both_gammas(double a, double x, double eps, double *lower, double *upper) {
  *lower = *upper = NAN;
  if (!(a >= 0) || !(x >= 0) || (a == 0 && x == 0) || (isinf(a) && isinf(x))) return;
  *lower = 0, *upper = 1;
  if (x == 0) return;
  *lower = 1, *upper = 0;
  if (isinf(x) || a == 0) return;
  if (isinf(a))
    *lower = 0, *upper = 1;
  else
    incomplete_gamma(a, x, eps, lower, upper);
}

static double igamma(double a, double x, double eps) {
  double lower, upper;
  both_gammas(a, x, eps, &lower, &upper);
  return lower;
}

static double igammac(double a, double x, double eps) {
  double lower, upper;
  both_gammas(a, x, eps, &lower, &upper);
  return upper;
}

/* -- the derivative of igamma to a */

/* The series of igamma and its derivative together. */
static double series_by_a(double a, double x, double eps) {
  double term = 1, sum = 1, term_by_a = 0, sum_by_a = 0;
  for (int n = 1; n < MOST_TERMS; n++) {
    double r = a + n;
    term_by_a = term_by_a * (x / r) - term * x / (r * r);
    sum_by_a += term_by_a;
    term *= x / r;
    sum += term;
    if (fabs(term_by_a) <= fabs(sum_by_a) * eps) break;
  }
  return sum * (log(x) - jm_special_digamma(a + 1)) + sum_by_a;
}

/* A convergent p / q of igammac's continued fraction, with the derivatives to a. */
typedef struct convergent {
  double p, q, p_by_a, q_by_a;
} convergent;

static convergent next_convergent(convergent older, convergent old, double z, double y, double c) {
  double yc = y * c;
  return (convergent){old.p * z - older.p * yc, old.q * z - older.q * yc,
                      old.p_by_a * z - old.p - older.p_by_a * yc + older.p * c,
                      old.q_by_a * z - old.q - older.q_by_a * yc + older.q * c};
}

static void scale_convergent(convergent *v, double by) {
  v->p *= by, v->q *= by, v->p_by_a *= by, v->q_by_a *= by;
}

static double fraction_by_a(double a, double x, double eps) {
  double close = eps < 0x1p-40 ? eps : 0x1p-40; /* the sum at the end cancels */
  double y = 1 - a, z = x + y + 1;
  convergent older = {1, x, 0, 0}, old = {x + 1, z * x, 0, -x};
  double value = old.p / old.q, slope = (old.p_by_a - value * old.q_by_a) / old.q;
  for (int c = 1; c < MOST_TERMS; c++) {
    y += 1;
    z += 2;
    convergent v = next_convergent(older, old, z, y, c);
    double before = slope;
    if (v.q != 0) {
      value = v.p / v.q;
      slope = (v.p_by_a - value * v.q_by_a) / v.q;
    }
    older = old;
    old = v;
    if (fabs(v.p) > 0x1p500) {
      scale_convergent(&older, 0x1p-500);
      scale_convergent(&old, 0x1p-500);
    }
    if (v.q != 0 && fabs(slope - before) <= close) break;
  }
  return value * (log(x) - jm_special_digamma(a)) + slope;
}

static double igamma_grad_a(double a, double x, double eps) {
  if (!(a > 0) || !(x >= 0)) return NAN;
  if (x == 0) return 0;
  if (isinf(a) || isinf(x)) return NAN;
  double density = exp(log_density(a, x));
  if (!(density > 0)) return -0.0;
  return x > 1 && x > a ? -density * a * fraction_by_a(a, x, eps)
                        : density * series_by_a(a, x, eps);
}

/* -- the incomplete beta function */

/* 1 + d1 / (1 + d2 / (1 + ...)) by Lentz's method, for x below the mean (a + 1) / (a + b + 2). */
static double beta_fraction(double a, double b, double x, double eps) {
  const double tiny = 0x1p-1000;
  double c = 1, d = 1 - (a + b) * x / (a + 1), h;
  d = 1 / (fabs(d) < tiny ? tiny : d);
  h = d;
  for (int m = 1; m < MOST_TERMS; m++) {
    double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 + even * d;
    c = 1 + even / c;
    d = 1 / (fabs(d) < tiny ? tiny : d);
    c = fabs(c) < tiny ? tiny : c;
    h *= c * d;
    d = 1 + odd * d;
    c = 1 + odd / c;
    d = 1 / (fabs(d) < tiny ? tiny : d);
    c = fabs(c) < tiny ? tiny : c;
    h *= c * d;
    if (fabs(c * d - 1) <= eps) break;
  }
  return h;
}

/* log(gamma(a + b) / (gamma(a + 1) gamma(b))) */
static double log_beta_factor(double a, double b) {
  return jm_special_lgamma(a + b) - jm_special_lgamma(a + 1) - jm_special_lgamma(b);
}

static double regularized_incomplete_beta(double a, double b, double x, double eps) {
  bool a_is_zero = a == 0 || isinf(b), b_is_zero = b == 0 || isinf(a);
  if (!(a >= 0) || !(b >= 0) || !(x >= 0) || !(x <= 1) || (a_is_zero && b_is_zero)) return NAN;
  if ((a_is_zero && x != 0) || (b_is_zero && x == 1)) return 1;
  if (a_is_zero || b_is_zero || x == 0) return 0;
  if (x == 1) return 1;
  bool turned = !(x < (a + 1) / (a + b + 2));
  if (turned) {
    double was_a = a;
    a = b, b = was_a, x = 1 - x;
  }
  double log_factor = a * log(x) + b * log1p(-x) + log_beta_factor(a, b);
  double result = exp(log_factor) * beta_fraction(a, b, x, eps);
  return turned ? 1 - result : result;
}

/* -- Hurwitz' zeta and the polygamma functions */

/* Bernoulli numbers B2j / (2j)!, for the Euler-Maclaurin formula. */
static const double bernoulli[] = {
    1 / 12.0,
    -1 / 720.0,
    1 / 30240.0,
    -1 / 1209600.0,
    1 / 47900160.0,
    -691 / 1307674368000.0,
    1 / 74724249600.0,
    -3617 / 10670622842880000.0,
    43867 / 5109094217170944000.0,
    -174611 / 802857662698291200000.0,
};

static double zeta(double x, double q, double eps) {
  if (!(x >= 1) || q != q) return NAN;
  if (x == 1) return INFINITY;
  if (q <= 0 && q == floor(q)) return isinf(q) || isinf(x) ? NAN : INFINITY;
  if (isinf(q) || isinf(x) || (q < 0 && x != floor(x))) return NAN;
  double sum = 0, y = q;
  for (int n = 0; n < MOST_TERMS && (n < 9 || y <= 9); n++, y += 1) {
    double term = pow(y, -x);
    sum += term;
    if (y > 0 && fabs(term) <= eps * fabs(sum)) return sum;
  }
  double power = pow(y, -x), factor = x;
  sum += power * y / (x - 1) + 0.5 * power;
  power /= y;
  for (size_t j = 0; j < sizeof bernoulli / sizeof *bernoulli; j++) {
    double term = bernoulli[j] * factor * power;
    sum += term;
    if (fabs(term) <= eps * fabs(sum)) break;
    factor *= (x + 2 * (double)j + 1) * (x + 2 * (double)j + 2);
    power /= y * y;
  }
  return sum;
}

static double polygamma(double m, double x, double eps) {
  if (m == 0) return jm_special_digamma(x);
  if (!(m > 0) || m != floor(m) || isinf(m)) return NAN;
  bool even = fmod(m, 2) == 0;
  if (even && x <= 0 && x == floor(x)) return NAN; /* a pole with two signs */
  double size = exp(jm_special_lgamma(m + 1)) * zeta(m + 1, x, eps);
  if (m < 30) size = tgamma(m + 1) * zeta(m + 1, x, eps);
  return even ? -size : size;
}

/* -- the kernels */

#define BINARY(op, d, Float, eps)                                                     \
  void jm_special_##op##_##d(const void *const *in, void *out, size_t n) {            \
    const Float *a = in[0], *b = in[1];                                               \
    Float *r = out;                                                                   \
    for (size_t i = 0; i < n; i++) r[i] = (Float)op((double)a[i], (double)b[i], eps); \
  }
#define TERNARY(op, d, Float, eps)                                         \
  void jm_special_##op##_##d(const void *const *in, void *out, size_t n) { \
    const Float *a = in[0], *b = in[1], *c = in[2];                        \
    Float *r = out;                                                        \
    for (size_t i = 0; i < n; i++)                                         \
      r[i] = (Float)op((double)a[i], (double)b[i], (double)c[i], eps);     \
  }
#define KERNELS(shape, op) shape(op, f32, float, 0x1p-28) shape(op, f64, double, 0x1p-53)

KERNELS(BINARY, igamma)
KERNELS(BINARY, igamma_grad_a)
KERNELS(BINARY, igammac)
KERNELS(BINARY, polygamma)
KERNELS(BINARY, zeta)
KERNELS(TERNARY, regularized_incomplete_beta)
