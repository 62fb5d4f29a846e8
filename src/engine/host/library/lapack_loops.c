/* SPDX-License-Identifier: Apache-2.0
 * The same text for real and complex types: CONJ, REAL and IMAG are trivial for real ones. */
#include "engine/host/library/lapack_loops.h"

#include <complex.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"

enum { FEW = JM_LOOPS_FEW };

#define SAME(x) (x)
#define NONE(x) 0

/* For an upper triangle, element (i, j) is stored at (j, i): the conjugate of the lower one's, for
 * which the same recurrence holds. */
#define DEFINE_CHOLESKY(name, T, R, CONJ, REAL)                                                    \
  static bool cholesky_##name(size_t n, bool lower, void *matrix, size_t lda) {                    \
    T *a = matrix;                                                                                 \
    size_t row = lower ? lda : 1, col = lower ? 1 : lda;                                           \
    for (size_t j = 0; j < n; j++) {                                                               \
      R d = REAL(a[j * lda + j]);                                                                  \
      for (size_t l = 0; l < j; l++) d -= REAL(a[j * row + l * col] * CONJ(a[j * row + l * col])); \
      if (!(d > 0)) return false; /* NaN too */                                                    \
      d = (R)sqrt((double)d);                                                                      \
      a[j * lda + j] = d;                                                                          \
      for (size_t i = j + 1; i < n; i++) {                                                         \
        T sum = a[i * row + j * col];                                                              \
        for (size_t l = 0; l < j; l++) {                                                           \
          T x = a[i * row + l * col], y = a[j * row + l * col];                                    \
          sum -= x * CONJ(y);                                                                      \
        }                                                                                          \
        a[i * row + j * col] = sum / d;                                                            \
      }                                                                                            \
    }                                                                                              \
    return true;                                                                                   \
  }

/* x op(a) = b is op(a)' x' = b': the right side is the left one with a and b transposed. `down`:
 * whether op(a), as it is then used, is lower triangular. The columns of b are innermost, for they
 * are apart from each other. */
#define DEFINE_SOLVE(name, T, CONJ)                                        \
  static void solve_##name(const jm_lapack_triangular *p) {                \
    const T *a = p->a;                                                     \
    T *b = p->b;                                                           \
    size_t n = p->left ? p->m : p->n, count = p->left ? p->n : p->m;       \
    size_t row = p->left ? p->ldb : 1, col = p->left ? 1 : p->ldb;         \
    bool swap = (p->transpose != JM_LAPACK_N) != !p->left,                 \
         conjugate = p->transpose == JM_LAPACK_C;                          \
    size_t a_row = swap ? 1 : p->lda, a_col = swap ? p->lda : 1;           \
    bool down = p->lower != swap;                                          \
    for (size_t step = 0; step < n; step++) {                              \
      size_t i = down ? step : n - 1 - step;                               \
      T d = a[i * p->lda + i], *x = &b[i * row];                           \
      if (conjugate) d = CONJ(d);                                          \
      for (size_t l = down ? 0 : i + 1; l < (down ? i : n); l++) {         \
        T y = a[i * a_row + l * a_col], *z = &b[l * row];                  \
        if (conjugate) y = CONJ(y);                                        \
        if (col == 1)                                                      \
          for (size_t c = 0; c < count; c++) x[c] -= y * z[c];             \
        else                                                               \
          for (size_t c = 0; c < count; c++) x[c * col] -= y * z[c * col]; \
      }                                                                    \
      if (p->unit_diagonal) continue;                                      \
      if (col == 1)                                                        \
        for (size_t c = 0; c < count; c++) x[c] /= d;                      \
      else                                                                 \
        for (size_t c = 0; c < count; c++) x[c * col] /= d;                \
    }                                                                      \
  }

/* a[i0.., j0..] -= scale * v (v^H a), with v the column at v_column below and 1 at row i0. */
#define DEFINE_QR(name, T, R, CONJ, REAL, IMAG)                                                \
  static void reflect_##name(T *a, size_t m, size_t n, size_t i0, size_t j0, size_t v_column,  \
                             T scale, T *restrict sums) {                                      \
    for (size_t j = j0; j < n; j++) sums[j] = a[i0 * n + j];                                   \
    for (size_t i = i0 + 1; i < m; i++) {                                                      \
      T v = CONJ(a[i * n + v_column]), *restrict row = a + i * n;                              \
      for (size_t j = j0; j < n; j++) sums[j] += v * row[j];                                   \
    }                                                                                          \
    for (size_t j = j0; j < n; j++) a[i0 * n + j] -= scale * sums[j];                          \
    for (size_t i = i0 + 1; i < m; i++) {                                                      \
      T v = scale * a[i * n + v_column], *restrict row = a + i * n;                            \
      for (size_t j = j0; j < n; j++) row[j] -= v * sums[j];                                   \
    }                                                                                          \
  }                                                                                            \
  /* The length of column j from row i on, without overflow. */                                \
  static R length_##name(const T *a, size_t m, size_t n, size_t i, size_t j) {                 \
    R largest = 0, sum = 0;                                                                    \
    for (size_t r = i; r < m; r++) {                                                           \
      R re = (R)fabs((double)REAL(a[r * n + j])), im = (R)fabs((double)IMAG(a[r * n + j]));    \
      if (re > largest || re != re) largest = re; /* NaN stays */                              \
      if (im > largest || im != im) largest = im;                                              \
    }                                                                                          \
    if (!(largest > 0)) return largest;                                                        \
    for (size_t r = i; r < m; r++) {                                                           \
      R re = REAL(a[r * n + j]) / largest, im = IMAG(a[r * n + j]) / largest;                  \
      sum += re * re + im * im;                                                                \
    }                                                                                          \
    return largest * (R)sqrt((double)sum);                                                     \
  }                                                                                            \
  static jm_error *qr_##name(size_t m, size_t n, void *matrix, void *scales) {                 \
    T *a = matrix, *tau = scales, few[FEW], *sums = n > FEW ? jm_alloc(n, sizeof *sums) : few; \
    if (!sums) return jm_error_out_of_memory();                                                \
    for (size_t j = 0; j < m && j < n; j++) {                                                  \
      T alpha = a[j * n + j];                                                                  \
      tau[j] = 0;                                                                              \
      if (length_##name(a, m, n, j + 1, j) == 0 && IMAG(alpha) == 0) continue;                 \
      R beta = length_##name(a, m, n, j, j);                                                   \
      if (REAL(alpha) >= 0) beta = -beta;                                                      \
      tau[j] = (beta - alpha) / beta;                                                          \
      for (size_t i = j + 1; i < m; i++) a[i * n + j] /= alpha - beta;                         \
      a[j * n + j] = beta;                                                                     \
      reflect_##name(a, m, n, j, j + 1, j, CONJ(tau[j]), sums);                                \
    }                                                                                          \
    if (sums != few) jm_free(sums);                                                            \
    return NULL;                                                                               \
  }                                                                                            \
  static jm_error *householder_##name(size_t m, size_t n, size_t k, void *matrix,              \
                                      const void *scales) {                                    \
    T *a = matrix, few[FEW], *sums = n > FEW ? jm_alloc(n, sizeof *sums) : few;                \
    const T *tau = scales;                                                                     \
    if (!sums) return jm_error_out_of_memory();                                                \
    for (size_t i = 0; i < m; i++)                                                             \
      for (size_t j = k; j < n; j++) a[i * n + j] = i == j;                                    \
    for (size_t j = k; j-- > 0;) {                                                             \
      reflect_##name(a, m, n, j, j + 1, j, tau[j], sums);                                      \
      for (size_t i = 0; i < j; i++) a[i * n + j] = 0;                                         \
      a[j * n + j] = 1 - tau[j];                                                               \
      for (size_t i = j + 1; i < m; i++) a[i * n + j] *= -tau[j];                              \
    }                                                                                          \
    if (sums != few) jm_free(sums);                                                            \
    return NULL;                                                                               \
  }

/* Column by column, as LAPACK does it: each is brought up to date by the columns before it, then
 * its pivot is found. */
#define DEFINE_LU(name, T, R, REAL, IMAG)                                            \
  static void lu_##name(size_t m, size_t n, void *matrix, int32_t *pivots) {         \
    T *a = matrix;                                                                   \
    for (size_t j = 0; j < n; j++) {                                                 \
      T *column = a + j * m;                                                         \
      for (size_t l = 0; l < j && l < m; l++) {                                      \
        T x = column[pivots[l]];                                                     \
        column[pivots[l]] = column[l];                                               \
        column[l] = x;                                                               \
      }                                                                              \
      for (size_t l = 0; l < j && l < m; l++)                                        \
        for (size_t i = l + 1; i < m; i++) column[i] -= a[l * m + i] * column[l];    \
      if (j >= m) continue;                                                          \
      size_t best = j;                                                               \
      R largest = -1;                                                                \
      for (size_t i = j; i < m; i++) {                                               \
        R size = (R)(fabs((double)REAL(column[i])) + fabs((double)IMAG(column[i]))); \
        if (size > largest) largest = size, best = i;                                \
      }                                                                              \
      pivots[j] = (int32_t)best;                                                     \
      T pivot = column[best];                                                        \
      for (size_t c = 0; c <= j; c++) {                                              \
        T x = a[c * m + best];                                                       \
        a[c * m + best] = a[c * m + j];                                              \
        a[c * m + j] = x;                                                            \
      }                                                                              \
      for (size_t i = j + 1; largest != 0 && i < m; i++) column[i] /= pivot;         \
    }                                                                                \
  }

#define DEFINE(name, T, R, CONJ, REAL, IMAG) \
  DEFINE_CHOLESKY(name, T, R, CONJ, REAL)    \
  DEFINE_SOLVE(name, T, CONJ)                \
  DEFINE_QR(name, T, R, CONJ, REAL, IMAG)    \
  DEFINE_LU(name, T, R, REAL, IMAG)
DEFINE(f32, float, float, SAME, SAME, NONE)
DEFINE(f64, double, double, SAME, SAME, NONE)
DEFINE(c64, float _Complex, float, conjf, crealf, cimagf)
DEFINE(c128, double _Complex, double, conj, creal, cimag)

const jm_loops *jm_loops_find(jm_dtype dtype) {
  static const jm_loops loops[JM_N_DTYPES] = {
#define ROW(name) \
  [JM_DT_##name] = {cholesky_##name, solve_##name, qr_##name, householder_##name, lu_##name},
      ROW(f32) ROW(f64) ROW(c64) ROW(c128)
#undef ROW
  };
  return &loops[dtype];
}

bool jm_loops_are_finite(jm_dtype dtype, const void *data, size_t n) {
  bool finite = true, is_f32 = jm_dtype_real(dtype) == JM_DT_f32;
  n *= jm_dtype_bytes(dtype) / jm_dtype_bytes(jm_dtype_real(dtype));
  if (is_f32)
    for (size_t i = 0; i < n; i++) finite &= isfinite(((const float *)data)[i]) != 0;
  else
    for (size_t i = 0; i < n; i++) finite &= isfinite(((const double *)data)[i]) != 0;
  return finite;
}
