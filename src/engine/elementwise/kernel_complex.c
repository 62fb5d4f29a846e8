/* SPDX-License-Identifier: Apache-2.0
 * Kernels of complex values. Sums and products are the plain formulas in the type's own precision
 * (without C's repair of infinities, as in XLA). Everything else is computed in double, so that it
 * is correct to about the last digit for c64; the functions are C's (Annex G) or, where C has none,
 * defined here. */
#include <complex.h>
#include <math.h>

#include "engine/elementwise/kernel.h"

typedef double complex z128;

static z128 make(double re, double im) {
  union {
    double parts[2];
    z128 z;
  } value = {{re, im}};
  return value.z;
}

/* -- functions that C lacks */

/* The sum, computed in twice the precision and rounded. */
static double sum_exactly(const double *terms, int n) {
  double high = 0, low = 0;
  for (int i = 0; i < n; i++) {
    double sum = high + terms[i], part = sum - high;
    low += (high - (sum - part)) + (terms[i] - part);
    high = sum;
  }
  return high + low;
}

/* log |1 + z| = log1p(s) / 2 where s = |1 + z|^2 - 1 = 2 re + re^2 + im^2, whose terms may cancel;
 * away from |1 + z| = 1 the plain formula loses nothing. */
static z128 log_plus_one(z128 z) {
  double re = creal(z), im = cimag(z), angle = atan2(im, 1 + re);
  double re2 = re * re, im2 = im * im;
  double terms[] = {2 * re, re2, im2, fma(re, re, -re2), fma(im, im, -im2)};
  double s = sum_exactly(terms, 5);
  return make(s > -0.5 && s < 1 ? 0.5 * log1p(s) : log(hypot(1 + re, im)), angle);
}

/* exp(re) cos(im) - 1 = expm1(re) cos(im) + (cos(im) - 1). Without an angle both parts are NaN, as
 * in NumPy. */
static z128 exp_minus_one(z128 z) {
  double re = creal(z), im = cimag(z);
  if (!isfinite(im)) return make(NAN, NAN);
  if (!isfinite(re)) return cexp(z) - 1;
  double s = sin(im / 2);
  return make(expm1(re) * cos(im) - 2 * s * s, cimag(cexp(z)));
}

/* Of exp(z) and exp(-z) the one that does not overflow. */
static z128 logistic(z128 z) {
  if (creal(z) >= 0) return 1 / (1 + cexp(-z));
  z128 e = cexp(z);
  return e / (1 + e);
}

static z128 sign(z128 z) {
  double magnitude = cabs(z);
  return magnitude == 0 ? z : make(creal(z) / magnitude, cimag(z) / magnitude);
}

/* The box of Annex G: +-1 for an infinite part, a signed 0 for a finite one. */
static double box(double x) { return copysign(isinf(x) ? 1 : 0, x); }

/* Smith's method; where it gives NaN alone, infinite / finite is infinite and finite / infinite 0.
 * Infinities and NaNs come out as in XLA; C's division differs in a few. */
static z128 divide(z128 x, z128 y) {
  double a = creal(x), b = cimag(x), c = creal(y), d = cimag(y), re, im;
  if (c == 0 && d == 0) return make(a / fabs(c), b / fabs(c));
  if (fabs(c) >= fabs(d)) {
    double ratio = d / c, scale = c + d * ratio;
    re = (a + b * ratio) / scale, im = (b - a * ratio) / scale;
  } else {
    double ratio = c / d, scale = d + c * ratio;
    re = (a * ratio + b) / scale, im = (b * ratio - a) / scale;
  }
  if (!isnan(re) || !isnan(im)) return make(re, im);
  if ((isinf(a) || isinf(b)) && isfinite(c) && isfinite(d)) {
    a = box(a), b = box(b);
    return make(INFINITY * (a * c + b * d), INFINITY * (b * c - a * d));
  }
  if ((isinf(c) || isinf(d)) && isfinite(a) && isfinite(b)) {
    c = box(c), d = box(d);
    return make(0 * (a * c + b * d), 0 * (b * c - a * d));
  }
  return make(re, im);
}

/* x = r e^(i t): x^(c + i d) = r^c e^(-d t) e^(i (c t + d log r)). A factor may overflow where the
 * product does not; a power of zero is no product of a logarithm; a power of one is one whatever
 * the exponent, as C's pow has it for real numbers. */
static z128 power(z128 x, z128 y) {
  double r = cabs(x), t = carg(x), c = creal(y), d = cimag(y);
  if ((c == 0 && d == 0) || x == 1) return 1;
  if (r == 0) return c > 0 ? 0 : make(NAN, NAN);
  double magnitude = pow(r, c), angle = c * t;
  if (d != 0) {
    magnitude *= exp(-d * t);
    if (!isfinite(magnitude) || magnitude == 0) magnitude = exp(c * log(r) - d * t);
    angle += d * log(r);
  }
  return make(magnitude * cos(angle), angle == 0 ? 0 : magnitude * sin(angle));
}

/* The angle whose sine and cosine are as x to y: -i log((y + i x) / sqrt(x^2 + y^2)). */
static z128 arc_tangent2(z128 x, z128 y) {
  z128 angle = clog((y + I * x) / csqrt(x * x + y * y));
  return make(cimag(angle), -creal(angle));
}

/* -- the ops: of a type d whose parts are of type R */

#define VALUE(p, i) make(p[2 * (i)], p[2 * (i) + 1])

/* re and im are expressions of the parts: x = a + i b, y = c + i d. */
#define PARTS_UNARY(op, d, R, re, im)                                \
  static void op##_##d(const void *const *in, void *out, size_t n) { \
    const R *x = in[0];                                              \
    R *r = out;                                                      \
    JM_LOOP for (size_t i = 0; i < n; i++) {                         \
      const R a = x[2 * i], b = x[2 * i + 1];                        \
      r[2 * i] = re;                                                 \
      r[2 * i + 1] = im;                                             \
    }                                                                \
  }
#define PARTS_BINARY(op, d, R, re, im)                               \
  static void op##_##d(const void *const *in, void *out, size_t n) { \
    const R *x = in[0], *y = in[1];                                  \
    R *r = out;                                                      \
    JM_LOOP for (size_t i = 0; i < n; i++) {                         \
      const R a = x[2 * i], b = x[2 * i + 1];                        \
      const R c = y[2 * i], d_ = y[2 * i + 1];                       \
      r[2 * i] = re;                                                 \
      r[2 * i + 1] = im;                                             \
    }                                                                \
  }
/* real, imag and abs: to the type of the parts */
#define REAL_UNARY(op, d, R, expression)                             \
  static void op##_##d(const void *const *in, void *out, size_t n) { \
    const R *x = in[0];                                              \
    R *r = out;                                                      \
    for (size_t i = 0; i < n; i++) {                                 \
      const R a = x[2 * i], b = x[2 * i + 1];                        \
      (void)a, (void)b;                                              \
      r[i] = (R)(expression);                                        \
    }                                                                \
  }
#define UNARY(op, d, R, expression)                                  \
  static void op##_##d(const void *const *in, void *out, size_t n) { \
    const R *a = in[0];                                              \
    R *r = out;                                                      \
    for (size_t i = 0; i < n; i++) {                                 \
      const z128 x = VALUE(a, i), z = expression;                    \
      r[2 * i] = (R)creal(z);                                        \
      r[2 * i + 1] = (R)cimag(z);                                    \
    }                                                                \
  }
#define BINARY(op, d, R, expression)                                 \
  static void op##_##d(const void *const *in, void *out, size_t n) { \
    const R *a = in[0], *b = in[1];                                  \
    R *r = out;                                                      \
    for (size_t i = 0; i < n; i++) {                                 \
      const z128 x = VALUE(a, i), y = VALUE(b, i), z = expression;   \
      r[2 * i] = (R)creal(z);                                        \
      r[2 * i + 1] = (R)cimag(z);                                    \
    }                                                                \
  }

/* maximum and minimum are lexicographic; unordered or equal operands give the right one, as in XLA.
 */
#define PICK(op, R, part) (a op c || (a == c && b op d_) ? (R)(part ? b : a) : (R)(part ? d_ : c))

#define OPS(PARTS_UNARY, PARTS_BINARY, REAL_UNARY, UNARY, BINARY, d, R) \
  PARTS_UNARY(negate, d, R, -a, -b)                                     \
  PARTS_BINARY(add, d, R, a + c, b + d_)                                \
  PARTS_BINARY(subtract, d, R, a - c, b - d_)                           \
  PARTS_BINARY(multiply, d, R, a *c - b * d_, a * d_ + b * c)           \
  PARTS_BINARY(maximum, d, R, PICK(>, R, 0), PICK(>, R, 1))             \
  PARTS_BINARY(minimum, d, R, PICK(<, R, 0), PICK(<, R, 1))             \
  REAL_UNARY(real, d, R, a)                                             \
  REAL_UNARY(imag, d, R, b)                                             \
  REAL_UNARY(abs, d, R, hypot(a, b))                                    \
  UNARY(cosine, d, R, ccos(x))                                          \
  UNARY(exponential, d, R, cexp(x))                                     \
  UNARY(exponential_minus_one, d, R, exp_minus_one(x))                  \
  UNARY(log, d, R, clog(x))                                             \
  UNARY(log_plus_one, d, R, log_plus_one(x))                            \
  UNARY(logistic, d, R, logistic(x))                                    \
  UNARY(rsqrt, d, R, 1 / csqrt(x))                                      \
  UNARY(sign, d, R, sign(x))                                            \
  UNARY(sine, d, R, csin(x))                                            \
  UNARY(sqrt, d, R, csqrt(x))                                           \
  UNARY(tan, d, R, ctan(x))                                             \
  UNARY(tanh, d, R, ctanh(x))                                           \
  BINARY(atan2, d, R, arc_tangent2(x, y))                               \
  BINARY(divide, d, R, divide(x, y))                                    \
  BINARY(power, d, R, power(x, y))

#define ROW_PARTS(op, d, R, re, im) [JM_OP_##op] = op##_##d,
#define ROW(op, d, R, expression) [JM_OP_##op] = op##_##d,

#define COMPLEX(d, R)                                                   \
  OPS(PARTS_UNARY, PARTS_BINARY, REAL_UNARY, UNARY, BINARY, d, R)       \
  jm_elementwise_kernel *const jm_elementwise_kernels_##d[JM_N_OPS] = { \
      OPS(ROW_PARTS, ROW_PARTS, ROW, ROW, ROW, d, R)};

COMPLEX(c64, float)
COMPLEX(c128, double)
