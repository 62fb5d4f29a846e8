/* SPDX-License-Identifier: Apache-2.0
 * A row-major matrix is the column-major storage of its transpose. For problems on one triangle it
 * suffices to name the other triangle or side; QR needs copies. */
#include "engine/host/library/lapack.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/host/library/blas.h"
#include "engine/host/library/lapack_blocks.h"
#include "engine/host/library/lapack_loops.h"
#include "engine/host/library/lapack_panels.h"
#include "engine/host/library/pack.h"

typedef void potrf_fn(const char *, const int *, void *, const int *, int *, size_t);
typedef void trsm_fn(const char *, const char *, const char *, const char *, const int *,
                     const int *, const void *, const void *, const int *, void *, const int *,
                     size_t, size_t, size_t, size_t);
typedef void geqrf_fn(const int *, const int *, void *, const int *, void *, void *, const int *,
                      int *);
typedef void orgqr_fn(const int *, const int *, const int *, void *, const int *, const void *,
                      void *, const int *, int *);

typedef struct routines {
  const char *names[4];
  jm_blas_routine *potrf, *trsm, *geqrf, *orgqr;
} routines;

static routines table[JM_N_DTYPES] = {
    [JM_DT_f32] = {.names = {"spotrf", "strsm", "sgeqrf", "sorgqr"}},
    [JM_DT_f64] = {.names = {"dpotrf", "dtrsm", "dgeqrf", "dorgqr"}},
    [JM_DT_c64] = {.names = {"cpotrf", "ctrsm", "cgeqrf", "cungqr"}},
    [JM_DT_c128] = {.names = {"zpotrf", "ztrsm", "zgeqrf", "zungqr"}},
};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_routines(void) {
  for (int d = 0; d < JM_N_DTYPES; d++) {
    routines *r = &table[d];
    if (!r->names[0]) continue;
    r->potrf = jm_blas_find(r->names[0]);
    r->trsm = jm_blas_find(r->names[1]);
    r->geqrf = jm_blas_find(r->names[2]);
    r->orgqr = jm_blas_find(r->names[3]);
  }
}

static const routines *find(jm_dtype dtype) {
  pthread_once(&once, find_routines);
  return &table[dtype];
}

bool jm_lapack_supports(jm_dtype dtype) { return table[dtype].names[0] != NULL; }

enum { FEW = JM_LOOPS_FEW };

jm_error *jm_lapack_cholesky(jm_dtype dtype, size_t n, bool lower, void *a, size_t lda,
                             bool *positive) {
  *positive = true;
  if (!n) return NULL;
  if (jm_panels_fit_cholesky(dtype, n))
    return jm_panels_cholesky(dtype, n, lower, a, lda, positive);
  if (jm_blocks_fit(dtype, n)) return jm_blocks_cholesky(dtype, n, lower, a, lda, positive);
  potrf_fn *potrf = (potrf_fn *)find(dtype)->potrf;
  if (!potrf || n <= FEW || n > INT_MAX || lda > INT_MAX) {
    *positive = jm_loops_find(dtype)->cholesky(n, lower, a, lda);
    return NULL;
  }
  int order = (int)n, ld = (int)lda, info = 0;
  potrf(lower ? "U" : "L", &order, a, &ld, &info, 1);
  if (info < 0) return jm_error_internal("potrf refused its argument %d", -info);
  *positive = info == 0;
  return NULL;
}

static jm_error *solve_copy(const jm_lapack_triangular *p) {
  const size_t element = jm_dtype_bytes(p->dtype), line = p->ldb * element;
  for (size_t i = 0; i < p->m; i++)
    memmove((char *)p->b + i * line, (const char *)p->given + i * line, p->n * element);
  jm_lapack_triangular here = *p;
  here.given = NULL;
  return jm_lapack_solve(&here);
}

jm_error *jm_lapack_solve(const jm_lapack_triangular *p) {
  static const float one_f[2] = {1, 0};
  static const double one_d[2] = {1, 0};
  if (!p->m || !p->n) return NULL;
  const size_t n = p->left ? p->m : p->n, vectors = p->left ? p->n : p->m;
  if (jm_panels_fit_solve(p)) return jm_panels_solve(p);
  if (p->given) return solve_copy(p);
  if (jm_blocks_fit(p->dtype, n)) return jm_blocks_solve(p);
  trsm_fn *trsm = (trsm_fn *)find(p->dtype)->trsm;
  const bool is_large = n > INT_MAX || vectors > INT_MAX || p->lda > INT_MAX || p->ldb > INT_MAX;
  if (!trsm || (n <= FEW && vectors <= FEW) || is_large) {
    jm_loops_find(p->dtype)->solve(p);
    return NULL;
  }
  int rows = (int)p->n, cols = (int)p->m, lda = (int)p->lda, ldb = (int)p->ldb;
  trsm(p->left ? "R" : "L", p->lower ? "U" : "L",
       p->transpose == JM_LAPACK_N   ? "N"
       : p->transpose == JM_LAPACK_T ? "T"
                                     : "C",
       p->unit_diagonal ? "U" : "N", &rows, &cols,
       jm_dtype_real(p->dtype) == JM_DT_f32 ? (const void *)one_f : one_d, p->a, &lda, p->b, &ldb,
       1, 1, 1, 1);
  return NULL;
}

/* rows x cols, row-major, from column-major or to it */
static void transpose(jm_dtype dtype, size_t rows, size_t cols, bool to_columns, const void *from,
                      void *to) {
  const int64_t dims[2] = {(int64_t)rows, (int64_t)cols};
  const ptrdiff_t by_row[2] = {(ptrdiff_t)cols, 1}, by_column[2] = {1, (ptrdiff_t)rows};
  jm_pack_run(jm_dtype_bytes(dtype), 2, dims, to_columns ? by_row : by_column, from,
              to_columns ? by_column : by_row, to);
}

/* The size that a workspace query stored in the first element. */
static int wanted_work(jm_dtype dtype, const void *first) {
  double n = jm_dtype_real(dtype) == JM_DT_f32 ? *(const float *)first : *(const double *)first;
  return n < 1 ? 1 : n < INT_MAX ? (int)n : INT_MAX;
}

typedef struct qr {
  jm_dtype dtype;
  int m, n, k; /* k: reflectors; -1: factor, don't multiply */
  const routines *r;
  void *tau;
} qr;

static void call_qr(const qr *q, void *columns, void *work, int size, int *info) {
  if (q->k < 0)
    ((geqrf_fn *)q->r->geqrf)(&q->m, &q->n, columns, &q->m, q->tau, work, &size, info);
  else
    ((orgqr_fn *)q->r->orgqr)(&q->m, &q->n, &q->k, columns, &q->m, q->tau, work, &size, info);
}

static jm_error *run_qr(const qr *q, void *a) {
  size_t element = jm_dtype_bytes(q->dtype), m = (size_t)q->m, n = (size_t)q->n;
  double first[2] = {0};
  int info = 0;
  void *columns = jm_alloc_data(m * n * element), *work = NULL;
  if (!columns) return jm_error_out_of_memory();
  call_qr(q, columns, first, -1, &info);
  int size = wanted_work(q->dtype, first);
  if (size < q->n) size = q->n;
  work = jm_alloc_data((size_t)size * element);
  if (work && !info) {
    transpose(q->dtype, m, n, true, a, columns);
    call_qr(q, columns, work, size, &info);
    transpose(q->dtype, m, n, false, columns, a);
  }
  jm_free(columns);
  jm_free(work);
  if (!work) return jm_error_out_of_memory();
  return info
             ? jm_error_internal("%s refused its argument %d", q->r->names[q->k < 0 ? 2 : 3], -info)
             : NULL;
}

/* Whether our own loops are faster than LAPACK and sure to give the same results, which differ for
 * infinities and NaN. */
static bool is_for_loops(jm_dtype dtype, size_t m, size_t n, const void *a, const void *tau,
                         size_t n_tau) {
  return m <= FEW && n <= FEW && jm_loops_are_finite(dtype, a, m * n) &&
         jm_loops_are_finite(dtype, tau, n_tau);
}

jm_error *jm_lapack_qr(jm_dtype dtype, size_t m, size_t n, void *a, void *tau) {
  if (!m || !n) return NULL;
  const routines *r = find(dtype);
  if (!r->geqrf || is_for_loops(dtype, m, n, a, NULL, 0) || m > INT_MAX || n > INT_MAX)
    return jm_loops_find(dtype)->qr(m, n, a, tau);
  const qr q = {dtype, (int)m, (int)n, -1, r, tau};
  return run_qr(&q, a);
}

jm_error *jm_lapack_householder(jm_dtype dtype, size_t m, size_t n, size_t k, void *a,
                                const void *tau) {
  if (!m || !n) return NULL;
  const routines *r = find(dtype);
  if (!r->orgqr || is_for_loops(dtype, m, n, a, tau, k) || m > INT_MAX || n > INT_MAX)
    return jm_loops_find(dtype)->householder(m, n, k, a, tau);
  const qr q = {dtype, (int)m, (int)n, (int)k, r, (void *)tau};
  return run_qr(&q, a);
}
