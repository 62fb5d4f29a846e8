/* SPDX-License-Identifier: Apache-2.0
 * Small symmetric eigenproblems: Householder reflections to a tridiagonal matrix, then implicit QL
 * steps with Wilkinson's shift. Signs of eigenvectors are free, but programs are compared with runs
 * on LAPACK: choices that decide about signs are those of its syevd. f32 is computed in f64, too:
 * its squares have the range there, and the results are rounded once. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/loop.h"
#include "base/number.h"
#include "engine/host/library/lapack_loops.h"

enum { FEW = JM_LOOPS_FEW, LANES = 4, STEPS_PER_ROW = 30 };

/* Columns have `rows` elements: n, and zeros up to a multiple of LANES. */
typedef struct problem {
  size_t n, rows;
  double a[FEW][FEW]; /* a column each: the matrix, then its eigenvectors */
  double d[FEW], e[FEW];
  double epsilon, floor; /* of the results' type: half a unit of 1, the least normal number */
  size_t steps;
} problem;

/* Both triangles from one, scaled by a power of two, 2^-*exponent, so that nothing overflows. */
JM_INLINE void load(problem *p, jm_dtype dtype, bool lower, const void *from, int *exponent) {
  size_t n = p->n;
  double largest = 0;
  memset(p->a, 0, sizeof p->a);
  for (size_t j = 0; j < n; j++)
    for (size_t i = j; i < n; i++) {
      size_t at = lower ? j * n + i : i * n + j;
      double x =
          dtype == JM_DT_f32 ? (double)((const float *)from)[at] : ((const double *)from)[at];
      p->a[j][i] = p->a[i][j] = x;
      largest = fabs(x) > largest ? fabs(x) : largest;
    }
  (void)frexp(largest, exponent);
  if (*exponent < -1000) *exponent = -1000; /* 2^-exponent has to be finite */
  double scale = ldexp(1, -*exponent);
  for (size_t j = 0; j < n; j++)
    for (size_t i = 0; i < p->rows; i++) p->a[j][i] *= scale;
}

/* Of the n elements x, the first stands for: (I - tau v v^T) x = (beta, 0, ...), v[0] = 1. */
JM_INLINE double reflection(size_t n, const double *x, double *v, double *beta) {
  double tail = 0;
  for (size_t i = 1; i < n; i++) tail += x[i] * x[i];
  *beta = x[0];
  if (tail == 0) return 0;
  *beta = -copysign(sqrt(x[0] * x[0] + tail), x[0]);
  double scale = 1 / (x[0] - *beta);
  v[0] = 1;
  for (size_t i = 1; i < n; i++) v[i] = x[i] * scale;
  return (*beta - x[0]) / *beta;
}

/* a becomes Q, whose columns are orthonormal, d and e the diagonals of Q^T A Q. */
JM_INLINE void tridiagonalize(problem *p) {
  double q[FEW][FEW] = {{0}};
  size_t n = p->n, rows = p->rows;
  for (size_t i = 0; i < n; i++) q[i][i] = 1;
  for (size_t j = 0; j + 1 < n; j++) {
    double v[FEW] = {0}, w[FEW] = {0}, u[FEW] = {0}, dot = 0;
    double tau = reflection(n - j - 1, p->a[j] + j + 1, v + j + 1, &p->e[j]);
    if (tau == 0) continue;
    for (size_t c = j + 1; c < n; c++)
      for (size_t i = 0; i < rows; i++) {
        w[i] += tau * v[c] * p->a[c][i];
        u[i] += tau * v[c] * q[c][i];
      }
    for (size_t i = j + 1; i < n; i++) dot += w[i] * v[i];
    for (size_t i = 0; i < rows; i++) w[i] -= 0.5 * tau * dot * v[i];
    for (size_t c = j + 1; c < n; c++)
      for (size_t i = 0; i < rows; i++) {
        p->a[c][i] -= v[c] * w[i] + w[c] * v[i];
        q[c][i] -= v[c] * u[i];
      }
  }
  for (size_t i = 0; i < n; i++) p->d[i] = p->a[i][i];
  memcpy(p->a, q, sizeof q);
}

/* Rows and columns in reverse order. */
JM_INLINE void reverse(problem *p) {
  problem from = *p;
  size_t n = p->n;
  for (size_t j = 0; j < n; j++) {
    p->d[j] = from.d[n - 1 - j];
    if (j + 1 < n) p->e[j] = from.e[n - 2 - j];
    for (size_t i = 0; i < n; i++) p->a[j][i] = from.a[n - 1 - j][n - 1 - i];
  }
}

static bool is_negligible(const problem *p, size_t i, double floor) {
  double e = p->e[i];
  return e * e <= p->epsilon * p->epsilon * fabs(p->d[i]) * fabs(p->d[i + 1]) + floor;
}

JM_INLINE void rotate(problem *p, double *restrict x, double *restrict y, double c, double s) {
  for (size_t k = 0; k < p->rows; k++) {
    double before = y[k];
    y[k] = s * x[k] + c * before;
    x[k] = c * x[k] - s * before;
  }
}

/* Rows i and i + 1 alone: the eigenvalue of larger magnitude becomes d[i]. */
JM_INLINE void solve_two(problem *p, size_t i) {
  double a = p->d[i], b = p->e[i], c = p->d[i + 1], sum = a + c, difference = a - c;
  double root = sqrt(difference * difference + 4 * b * b);
  double large = 0.5 * (sum < 0 ? sum - root : sum + root), small = -large;
  if (sum != 0) {
    bool a_first = fabs(a) > fabs(c);
    small = ((a_first ? a : c) / large) * (a_first ? c : a) - b / large * b;
  }
  double along = difference >= 0 ? difference + root : difference - root, cosine = 1, sine = 0;
  if (fabs(along) > fabs(2 * b)) {
    double cotangent = -2 * b / along;
    sine = 1 / sqrt(1 + cotangent * cotangent);
    cosine = cotangent * sine;
  } else if (b != 0) {
    double tangent = -along / (2 * b);
    cosine = 1 / sqrt(1 + tangent * tangent);
    sine = tangent * cosine;
  }
  if ((sum < 0) == (difference < 0)) {
    double before = cosine;
    cosine = -sine;
    sine = before;
  }
  p->d[i] = large, p->d[i + 1] = small, p->e[i] = 0;
  rotate(p, p->a[i], p->a[i + 1], cosine, -sine);
}

/* One QL step over rows low to high, which moves an eigenvalue to low; of the matrix with its rows
 * in reverse order if `reversed`, to high. */
JM_INLINE void step(problem *p, size_t low, size_t high, bool reversed) {
  ptrdiff_t by = reversed ? -1 : 1, m = (ptrdiff_t)(high - low);
  double *d = p->d + (reversed ? high : low), *e = p->e + (reversed ? high - 1 : low);
  double(*a)[FEW] = p->a + (reversed ? high : low);
  double g = (d[by] - d[0]) / (2 * e[0]);
  g = d[m * by] - d[0] + e[0] / (g + copysign(sqrt(g * g + 1), g));
  double s = 1, c = 1, moved = 0;
  for (ptrdiff_t i = m - 1; i >= 0; i--) {
    double f = s * e[i * by], b = c * e[i * by], r = sqrt(f * f + g * g);
    if (g < 0) r = -r;
    s = r == 0 ? 0 : f / r;
    c = r == 0 ? 1 : g / r;
    if (i + 1 < m) e[(i + 1) * by] = r;
    g = d[(i + 1) * by] - moved;
    r = (d[i * by] - g) * s + 2 * c * b;
    moved = s * r;
    d[(i + 1) * by] = g + moved;
    g = c * r - b;
    rotate(p, a[i * by], a[(i + 1) * by], c, s);
  }
  d[0] -= moved;
  e[0] = g;
}

/* Rows first to last, which nothing divides at the start. Small eigenvalues are found first, from
 * the end that has small elements: then they keep their digits. False: some don't converge. */
JM_INLINE bool solve_block(problem *p, size_t first, size_t last) {
  bool reversed = fabs(p->d[last]) < fabs(p->d[first]);
  size_t end = last - first;
  for (size_t l = 0, m; l <= end;) { /* counted from that end */
    for (m = l; m < end; m++) {
      size_t here = reversed ? last - m - 1 : first + m;
      if (!is_negligible(p, here, p->floor)) continue;
      p->e[here] = 0;
      break;
    }
    size_t low = reversed ? last - m : first + l, high = reversed ? last - l : first + m;
    if (high - low > 1) {
      if (p->steps++ == STEPS_PER_ROW * p->n) return false;
      step(p, low, high, reversed);
      continue;
    }
    if (high > low) solve_two(p, low);
    l = m + 1;
  }
  return true;
}

JM_INLINE bool diagonalize(problem *p) {
  for (size_t first = 0, last; first < p->n; first = last + 1) {
    for (last = first; last + 1 < p->n && !is_negligible(p, last, 0); last++) continue;
    if (last + 1 < p->n) p->e[last] = 0;
    if (!solve_block(p, first, last)) return false;
  }
  return true;
}

/* In ascending order. */
JM_INLINE void sort(problem *p) {
  for (size_t i = 0; i + 1 < p->n; i++) {
    size_t least = i;
    for (size_t j = i + 1; j < p->n; j++)
      if (p->d[j] < p->d[least]) least = j;
    if (least == i) continue;
    double d = p->d[i], column[FEW];
    p->d[i] = p->d[least], p->d[least] = d;
    memcpy(column, p->a[i], sizeof column);
    memcpy(p->a[i], p->a[least], sizeof column);
    memcpy(p->a[least], column, sizeof column);
  }
}

JM_CLONES bool jm_loops_eigh(jm_dtype dtype, size_t n, bool lower, void *matrix, void *values) {
  problem p = {.n = n, .rows = (n + LANES - 1) / LANES * LANES};
  bool is_f32 = dtype == JM_DT_f32;
  int exponent;
  p.epsilon = (is_f32 ? FLT_EPSILON : DBL_EPSILON) / 2;
  p.floor = is_f32 ? FLT_MIN : DBL_MIN;
  load(&p, dtype, lower, matrix, &exponent);
  if (!lower) reverse(&p);
  tridiagonalize(&p);
  if (!lower) reverse(&p);
  if (!diagonalize(&p)) return false;
  sort(&p);
  for (size_t j = 0; j < n; j++) {
    double w = ldexp(p.d[j], exponent);
    if (is_f32)
      ((float *)values)[j] = (float)w;
    else
      ((double *)values)[j] = w;
    for (size_t i = 0; i < n; i++)
      if (is_f32)
        ((float *)matrix)[j * n + i] = (float)p.a[j][i];
      else
        ((double *)matrix)[j * n + i] = p.a[j][i];
  }
  return true;
}
