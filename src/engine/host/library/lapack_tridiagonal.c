/* SPDX-License-Identifier: Apache-2.0
 * Tridiagonal systems: by LAPACK, or in own loops that move pivots away from zero, so that inverse
 * iteration can solve with a matrix that is singular up to rounding. */
#include <complex.h>
#include <float.h>
#include <math.h>

#include "engine/host/library/lapack_call.h"

typedef void gtsv_fn(const int *, const int *, void *, void *, void *, void *, const int *, int *);

/* Elimination with exchanges of neighbouring rows, which fill a second diagonal above: du2. A pivot
 * smaller than rounding makes of the largest element becomes as large as that. below[i] is left of
 * d[i + 1]. */
#define DEFINE_SOLVE(name, T, R, ABS, EPSILON)                                                \
  static void solve_##name(size_t n, size_t count, T *below, T *d, T *du, T *du2, T *b) {     \
    for (size_t i = 0; i + 1 < n; i++) {                                                      \
      du2[i] = 0;                                                                             \
      bool swap = ABS(below[i]) > ABS(d[i]);                                                  \
      T pivot = swap ? below[i] : d[i], factor = 0;                                           \
      if (pivot != 0) factor = (swap ? d[i] : below[i]) / pivot;                              \
      if (swap) {                                                                             \
        T above = d[i + 1];                                                                   \
        d[i] = pivot;                                                                         \
        d[i + 1] = du[i] - factor * above;                                                    \
        du[i] = above;                                                                        \
        if (i + 2 < n) {                                                                      \
          du2[i] = du[i + 1];                                                                 \
          du[i + 1] *= -factor;                                                               \
        }                                                                                     \
      } else {                                                                                \
        d[i + 1] -= factor * du[i];                                                           \
      }                                                                                       \
      for (T *x = b; x < b + n * count; x += n) {                                             \
        T first = x[swap ? i + 1 : i], second = x[swap ? i : i + 1];                          \
        x[i] = first;                                                                         \
        x[i + 1] = second - factor * first;                                                   \
      }                                                                                       \
    }                                                                                         \
    R most = 0;                                                                               \
    for (size_t i = 0; i < n; i++) {                                                          \
      R here = ABS(d[i]);                                                                     \
      if (i + 1 < n && ABS(du[i]) > here) here = ABS(du[i]);                                  \
      if (i + 2 < n && ABS(du2[i]) > here) here = ABS(du2[i]);                                \
      if (here > most) most = here;                                                           \
    }                                                                                         \
    R tiny = most > 0 ? most * EPSILON : EPSILON;                                             \
    for (size_t i = n; i-- > 0;) {                                                            \
      R size = ABS(d[i]);                                                                     \
      T pivot = size >= tiny || isnan(size) ? d[i] : size > 0 ? d[i] / size * tiny : (T)tiny; \
      for (T *x = b; x < b + n * count; x += n) {                                             \
        if (i + 1 < n) x[i] -= du[i] * x[i + 1];                                              \
        if (i + 2 < n) x[i] -= du2[i] * x[i + 2];                                             \
        x[i] /= pivot;                                                                        \
      }                                                                                       \
    }                                                                                         \
  }

DEFINE_SOLVE(f32, float, float, fabsf, FLT_EPSILON)
DEFINE_SOLVE(f64, double, double, fabs, DBL_EPSILON)
DEFINE_SOLVE(c64, float _Complex, float, cabsf, FLT_EPSILON)
DEFINE_SOLVE(c128, double _Complex, double, cabs, DBL_EPSILON)

static jm_error *solve_perturbed(jm_lapack_item *it) {
  const jm_lapack_problem *p = it->problem;
  size_t n = (size_t)jm_lapack_size(p, 'n'), count = (size_t)jm_lapack_size(p, 'r');
  void *below = (char *)it->in[0] + p->element, *du2;
  if (!n) return NULL;
  JM_TRY(jm_lapack_work(it, 0, n * p->element, &du2));
  switch (p->dtype) {
    case JM_DT_f32:
      solve_f32(n, count, below, it->in[1], it->in[2], du2, it->in[3]);
      break;
    case JM_DT_f64:
      solve_f64(n, count, below, it->in[1], it->in[2], du2, it->in[3]);
      break;
    case JM_DT_c64:
      solve_c64(n, count, below, it->in[1], it->in[2], du2, it->in[3]);
      break;
    default:
      solve_c128(n, count, below, it->in[1], it->in[2], du2, it->in[3]);
  }
  return NULL;
}

/* Operands: the diagonals below (from its second element on), on and above the main one, and the
 * right sides. */
static jm_error *solve(jm_lapack_item *it) {
  const jm_lapack_problem *p = it->problem;
  int n = jm_lapack_size(p, 'n'), count = jm_lapack_size(p, 'r'), ld = jm_lapack_ld(n), info = 0;
  it->out[0] = it->in[3];
  if (jm_lapack_config(p, "perturb")) return solve_perturbed(it);
  if (n && count)
    ((gtsv_fn *)p->routines[0])(&n, &count, (char *)it->in[0] + p->element, it->in[1], it->in[2],
                                it->in[3], &ld, &info);
  if (info < 0) return jm_lapack_refused(p, 0, info);
  it->failed = info != 0;
  return NULL;
}

const jm_lapack_target jm_lapack_tridiagonal_targets[1] = {
    {"mps.tridiagonal_solve",
     "TnTnTnTnr>Tnr",
     solve,
     {{"sgtsv"}, {"dgtsv"}, {"cgtsv"}, {"zgtsv"}},
     {"perturb"},
     NULL,
     NULL},
};
