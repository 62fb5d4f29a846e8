/* SPDX-License-Identifier: Apache-2.0
 * Several small matrices at a time, each in its own lane: whatever decides in one of them, as the
 * choice of a pivot does, is a selection. The operations on an element, and their order, are those
 * of lapack_loops.c: bits are equal. */
#include <math.h>

#include "base/loop.h"
#include "base/number.h"
#include "engine/host/library/lapack_loops.h"

enum { FEW = JM_LOOPS_FEW, LANES = JM_LOOPS_LANES };

#define EACH_LANE for (size_t l = 0; l < LANES; l++)

/* I: integers of the same width, so that a comparison's lanes are those of what it selects. */
#define DEFINE_LU(name, T, I, ABS)                                                              \
  JM_INLINE void exchange_##name(const I *best, size_t i, T *x, T *y) {                         \
    EACH_LANE {                                                                                 \
      T a = x[l], b = y[l];                                                                     \
      x[l] = best[l] == (I)i ? b : a;                                                           \
      y[l] = best[l] == (I)i ? a : b;                                                           \
    }                                                                                           \
  }                                                                                             \
  /* Row i's exchange with each below it, in the lanes where that is the pivot's. */            \
  JM_INLINE void exchange_rows_##name(size_t m, size_t n, size_t j, const I *best,              \
                                      T(*restrict a)[LANES], int32_t(*restrict order)[LANES]) { \
    for (size_t i = j + 1; i < m; i++) {                                                        \
      bool any = false;                                                                         \
      EACH_LANE any |= best[l] == (I)i;                                                         \
      if (!any) continue;                                                                       \
      for (size_t c = 0; c < n; c++) exchange_##name(best, i, a[j * n + c], a[i * n + c]);      \
      EACH_LANE {                                                                               \
        int32_t x = order[j][l], y = order[i][l];                                               \
        order[j][l] = best[l] == (I)i ? y : x;                                                  \
        order[i][l] = best[l] == (I)i ? x : y;                                                  \
      }                                                                                         \
    }                                                                                           \
  }                                                                                             \
  JM_INLINE void eliminate_##name(size_t m, size_t n, size_t j, const T *largest,               \
                                  T(*restrict a)[LANES]) {                                      \
    T pivot[LANES];                                                                             \
    EACH_LANE pivot[l] = largest[l] != 0 ? a[j * n + j][l] : 1;                                 \
    for (size_t i = j + 1; i < m; i++) {                                                        \
      T factor[LANES];                                                                          \
      EACH_LANE factor[l] = a[i * n + j][l] / pivot[l];                                         \
      EACH_LANE a[i * n + j][l] = factor[l];                                                    \
      for (size_t c = j + 1; c < n; c++) {                                                      \
        T *restrict x = a[i * n + c];                                                           \
        const T *restrict y = a[j * n + c];                                                     \
        EACH_LANE x[l] -= factor[l] * y[l];                                                     \
      }                                                                                         \
    }                                                                                           \
  }                                                                                             \
  JM_CLONES static void lu_##name(size_t m, size_t n, size_t count, const void *in, void *out,  \
                                  int32_t *pivots, int32_t *orders) {                           \
    const T *from = in;                                                                         \
    _Alignas(64) T a[FEW * FEW][LANES];                                                         \
    T *to = out;                                                                                \
    int32_t order[FEW][LANES];                                                                  \
    size_t k = m < n ? m : n;                                                                   \
    for (size_t e = 0; e < m * n; e++) /* lanes too many compute the last matrix once more */   \
      EACH_LANE a[e][l] = from[(l < count ? l : count - 1) * m * n + e];                        \
    for (size_t i = 0; i < m; i++) EACH_LANE order[i][l] = (int32_t)i;                          \
    for (size_t j = 0; j < k; j++) {                                                            \
      I best[LANES];                                                                            \
      T largest[LANES];                                                                         \
      EACH_LANE best[l] = (I)j, largest[l] = -1;                                                \
      for (size_t i = j; i < m; i++) EACH_LANE {                                                \
          T size = ABS(a[i * n + j][l]), before = largest[l];                                   \
          best[l] = size > before ? (I)i : best[l];                                             \
          largest[l] = size > before ? size : before;                                           \
        }                                                                                       \
      exchange_rows_##name(m, n, j, best, a, order);                                            \
      eliminate_##name(m, n, j, largest, a);                                                    \
      for (size_t l = 0; l < count; l++) pivots[l * k + j] = (int32_t)best[l];                  \
    }                                                                                           \
    for (size_t l = 0; l < count; l++) {                                                        \
      for (size_t e = 0; e < m * n; e++) to[l * m * n + e] = a[e][l];                           \
      for (size_t i = 0; i < m; i++) orders[l * m + i] = order[i][l];                           \
    }                                                                                           \
  }
DEFINE_LU(f32, float, int32_t, fabsf)
DEFINE_LU(f64, double, int64_t, fabs)

#define DEFINE_SOLVE(name, T)                                                                 \
  JM_INLINE void load_##name(size_t size, size_t count, const T *from, T(*to)[LANES]) {       \
    for (size_t e = 0; e < size; e++)                                                         \
      EACH_LANE to[e][l] = from[(l < count ? l : count - 1) * size + e];                      \
  }                                                                                           \
  JM_CLONES static void solve_##name(const jm_lapack_triangular *p, size_t count) {           \
    size_t n = p->left ? p->m : p->n, vectors = p->left ? p->n : p->m;                        \
    size_t row = p->left ? p->n : 1, col = p->left ? 1 : p->n;                                \
    bool swap = (p->transpose != JM_LAPACK_N) != !p->left, down = p->lower != swap;           \
    size_t a_row = swap ? 1 : n, a_col = swap ? n : 1;                                        \
    _Alignas(64) T a[FEW * FEW][LANES], b[FEW * FEW][LANES];                                  \
    load_##name(n *n, count, p->a, a);                                                        \
    load_##name(n *vectors, count, p->b, b);                                                  \
    for (size_t step = 0; step < n; step++) {                                                 \
      size_t i = down ? step : n - 1 - step;                                                  \
      for (size_t k = down ? 0 : i + 1; k < (down ? i : n); k++)                              \
        for (size_t c = 0; c < vectors; c++) {                                                \
          T *restrict x = b[i * row + c * col];                                               \
          const T *restrict y = a[i * a_row + k * a_col], *restrict z = b[k * row + c * col]; \
          EACH_LANE x[l] -= y[l] * z[l];                                                      \
        }                                                                                     \
      for (size_t c = 0; !p->unit_diagonal && c < vectors; c++)                               \
        EACH_LANE b[i * row + c * col][l] /= a[i * n + i][l];                                 \
    }                                                                                         \
    T *to = p->b;                                                                             \
    for (size_t l = 0; l < count; l++)                                                        \
      for (size_t e = 0; e < n * vectors; e++) to[l * n * vectors + e] = b[e][l];             \
  }
DEFINE_SOLVE(f32, float)
DEFINE_SOLVE(f64, double)

jm_loops_solve_lanes_fn *jm_loops_find_solve_lanes(jm_dtype dtype) {
  return dtype == JM_DT_f32 ? solve_f32 : dtype == JM_DT_f64 ? solve_f64 : NULL;
}

jm_loops_lu_lanes_fn *jm_loops_find_lu_lanes(jm_dtype dtype) {
  return dtype == JM_DT_f32 ? lu_f32 : dtype == JM_DT_f64 ? lu_f64 : NULL;
}
