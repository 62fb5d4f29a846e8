/* SPDX-License-Identifier: Apache-2.0
 * Singular values, factorisations and solvers that use them. */
#include <string.h>

#include "engine/host/library/lapack_call.h"
#include "engine/host/library/lapack_loops.h"

typedef void gesdd_real_fn(const char *, const int *, const int *, void *, const int *, void *,
                           void *, const int *, void *, const int *, void *, const int *, int *,
                           int *, size_t);
typedef void gesdd_complex_fn(const char *, const int *, const int *, void *, const int *, void *,
                              void *, const int *, void *, const int *, void *, const int *, void *,
                              int *, int *, size_t);
typedef void gesvd_real_fn(const char *, const char *, const int *, const int *, void *,
                           const int *, void *, void *, const int *, void *, const int *, void *,
                           const int *, int *, size_t, size_t);
typedef void gesvd_complex_fn(const char *, const char *, const int *, const int *, void *,
                              const int *, void *, void *, const int *, void *, const int *, void *,
                              const int *, void *, int *, size_t, size_t);
typedef void getrf_fn(const int *, const int *, void *, const int *, int *, int *);
typedef void geqp3_real_fn(const int *, const int *, void *, const int *, int *, void *, void *,
                           const int *, int *);
typedef void geqp3_complex_fn(const int *, const int *, void *, const int *, int *, void *, void *,
                              const int *, void *, int *);
typedef void ormqr_fn(const char *, const char *, const int *, const int *, const int *,
                      const void *, const int *, const void *, void *, const int *, void *,
                      const int *, int *, size_t, size_t);

enum { WORK, REAL_WORK, INT_WORK, VALUES, LEFT, RIGHT };
enum { GESDD, GESVD };

static int least(int a, int b) { return a < b ? a : b; }
static bool is_complex(const jm_lapack_problem *p) { return jm_dtype_is_complex(p->dtype); }

/* -- singular values */

typedef struct svd_call {
  const char *job;
  bool qr;
  void *s, *u, *vt, *real_work, *int_work;
  int ldu, ldvt;
} svd_call;

static int call_svd(const jm_lapack_item *it, const svd_call *c, void *work, int size) {
  const jm_lapack_problem *p = it->problem;
  int m = jm_lapack_size(p, 'm'), n = jm_lapack_size(p, 'n'), ld = jm_lapack_ld(m), info = 0;
  jm_blas_routine *routine = p->routines[c->qr ? GESVD : GESDD];
  if (c->qr && is_complex(p))
    ((gesvd_complex_fn *)routine)(c->job, c->job, &m, &n, it->in[0], &ld, c->s, c->u, &c->ldu,
                                  c->vt, &c->ldvt, work, &size, c->real_work, &info, 1, 1);
  else if (c->qr)
    ((gesvd_real_fn *)routine)(c->job, c->job, &m, &n, it->in[0], &ld, c->s, c->u, &c->ldu, c->vt,
                               &c->ldvt, work, &size, &info, 1, 1);
  else if (is_complex(p))
    ((gesdd_complex_fn *)routine)(c->job, &m, &n, it->in[0], &ld, c->s, c->u, &c->ldu, c->vt,
                                  &c->ldvt, work, &size, c->real_work, c->int_work, &info, 1);
  else
    ((gesdd_real_fn *)routine)(c->job, &m, &n, it->in[0], &ld, c->s, c->u, &c->ldu, c->vt, &c->ldvt,
                               work, &size, c->int_work, &info, 1);
  return info;
}

/* The size that the manual of cgesdd requires, and that of cgesvd, which is smaller. */
static size_t svd_real_work(size_t m, size_t n) {
  size_t few = m < n ? m : n, many = m < n ? n : m;
  size_t first = 5 * few * few + 5 * few, second = 2 * many * few + 2 * few * few + few;
  return first > second ? first : second;
}

static void set_identity(const jm_lapack_problem *p, int rows, int cols, void *out) {
  size_t m = (size_t)rows, n = (size_t)cols;
  memset(out, 0, m * n * p->element);
  for (size_t i = 0; i < m && i < n; i++) {
    char *at = (char *)out + (i * m + i) * p->element;
    if (p->real == JM_DT_f32)
      *(float *)at = 1;
    else
      *(double *)at = 1;
  }
}

static jm_error *svd_of_nothing(jm_lapack_item *it) {
  const jm_lapack_problem *p = it->problem;
  int m = jm_lapack_size(p, 'm'), n = jm_lapack_size(p, 'n');
  if (p->n_results == 1) return NULL;
  int u = jm_lapack_size(p, 'u'), v = jm_lapack_size(p, 'v');
  JM_TRY(jm_lapack_work(it, LEFT, (size_t)m * (size_t)u * p->element, &it->out[1]));
  JM_TRY(jm_lapack_work(it, RIGHT, (size_t)v * (size_t)n * p->element, &it->out[2]));
  set_identity(p, m, u, it->out[1]);
  set_identity(p, v, n, it->out[2]);
  return NULL;
}

static jm_error *svd(jm_lapack_item *it) {
  const jm_lapack_problem *p = it->problem;
  int m = jm_lapack_size(p, 'm'), n = jm_lapack_size(p, 'n'), k = least(m, n);
  bool vectors = p->n_results > 1, full = jm_lapack_config(p, "full") != 0;
  size_t low = (size_t)jm_lapack_config(p, "low");
  int u_cols = full ? m : k, vt_rows = full ? n : k, info;
  svd_call c = {.job = !vectors ? "N" : full ? "A" : "S", .qr = jm_lapack_config(p, "qr")};
  void *work;
  if (!k) return svd_of_nothing(it);
  it->failed = !jm_lapack_is_finite(p, it->in[0], (size_t)m * (size_t)n);
  if (it->failed) return NULL;
  c.ldu = m;
  c.ldvt = vt_rows;
  size_t u_bytes = vectors ? (size_t)m * (size_t)u_cols * p->element : 0;
  size_t vt_bytes = vectors ? (size_t)vt_rows * (size_t)n * p->element : 0;
  size_t reals = is_complex(p) ? svd_real_work((size_t)m, (size_t)n) : 0;
  JM_TRY(jm_lapack_work(it, VALUES, (size_t)k * p->real_element, &c.s));
  JM_TRY(jm_lapack_work(it, LEFT, u_bytes, &c.u));
  JM_TRY(jm_lapack_work(it, RIGHT, vt_bytes, &c.vt));
  JM_TRY(jm_lapack_work(it, REAL_WORK, reals * p->real_element, &c.real_work));
  JM_TRY(jm_lapack_work(it, INT_WORK, 8 * (size_t)k * sizeof(int), &c.int_work));
  if (!it->work_sizes[0]) {
    double first[2] = {0};
    info = call_svd(it, &c, first, -1);
    if (info) return jm_lapack_refused(p, c.qr ? GESVD : GESDD, info);
    it->work_sizes[0] = jm_lapack_wanted(p, first);
  }
  JM_TRY(jm_lapack_work(it, WORK, (size_t)it->work_sizes[0] * p->element, &work));
  info = call_svd(it, &c, work, it->work_sizes[0]);
  if (info < 0) return jm_lapack_refused(p, c.qr ? GESVD : GESDD, info);
  it->failed = info != 0;
  memcpy(it->out[0], (char *)c.s + low * p->real_element,
         (size_t)jm_lapack_size(p, 'r') * p->real_element);
  if (!vectors) return NULL;
  it->out[1] = (char *)c.u + low * (size_t)m * p->element;
  it->out[2] = (char *)c.vt + low * p->element;
  it->ld[2] = vt_rows;
  return NULL;
}

static bool is_svd(const jm_lapack_problem *p) {
  int64_t low = jm_lapack_config(p, "low"), high = jm_lapack_config(p, "high");
  int m = jm_lapack_size(p, 'm'), n = jm_lapack_size(p, 'n'), r = jm_lapack_size(p, 'r');
  if (low < 0 || low > high || high > least(m, n) || high - low != r) return false;
  if (p->n_results == 1) return true;
  int u = jm_lapack_size(p, 'u'), v = jm_lapack_size(p, 'v');
  return jm_lapack_config(p, "full") ? u == m && v == n && r == least(m, n) : u == r && v == r;
}

/* -- factorisations */

/* Results: the factors in one matrix, row exchanges, and the order of rows that they lead to. A
 * singular matrix has its zero pivots in the factors. */
static jm_error *lu(jm_lapack_item *it) {
  const jm_lapack_problem *p = it->problem;
  int m = jm_lapack_size(p, 'm'), n = jm_lapack_size(p, 'n'), ld = jm_lapack_ld(m), info = 0;
  int *pivots = it->out[1], *order = it->out[2];
  it->out[0] = it->in[0];
  bool few = m <= JM_LOOPS_FEW && n <= JM_LOOPS_FEW;
  if (few)
    jm_loops_find(p->dtype)->lu((size_t)m, (size_t)n, it->in[0], pivots);
  else if (m && n)
    ((getrf_fn *)p->routines[0])(&m, &n, it->in[0], &ld, pivots, &info);
  if (info < 0) return jm_lapack_refused(p, 0, info);
  for (int i = 0; i < m; i++) order[i] = i;
  for (int i = 0; i < least(m, n); i++) {
    int swap = order[i];
    if (!few) pivots[i]--;                              /* Fortran counts from 1 */
    if (pivots[i] < i || pivots[i] >= m) pivots[i] = i; /* where NaN was compared */
    order[i] = order[pivots[i]];
    order[pivots[i]] = swap;
  }
  return NULL;
}

static void lu_lanes(const jm_lapack_problem *p, size_t count, const char *const *in,
                     char *const *out) {
  jm_loops_find_lu_lanes(p->dtype)((size_t)jm_lapack_size(p, 'm'), (size_t)jm_lapack_size(p, 'n'),
                                   count, in[0], out[0], (int32_t *)(void *)out[1],
                                   (int32_t *)(void *)out[2]);
}

static jm_lapack_lanes_fn *find_lu_lanes(const jm_lapack_problem *p) {
  bool few = jm_lapack_size(p, 'm') <= JM_LOOPS_FEW && jm_lapack_size(p, 'n') <= JM_LOOPS_FEW;
  return few && jm_loops_find_lu_lanes(p->dtype) ? lu_lanes : NULL;
}

static int call_geqp3(const jm_lapack_item *it, void *work, int size, void *real_work) {
  const jm_lapack_problem *p = it->problem;
  int m = jm_lapack_size(p, 'm'), n = jm_lapack_size(p, 'n'), ld = jm_lapack_ld(m), info = 0;
  if (is_complex(p))
    ((geqp3_complex_fn *)p->routines[0])(&m, &n, it->in[0], &ld, it->out[1], it->out[2], work,
                                         &size, real_work, &info);
  else
    ((geqp3_real_fn *)p->routines[0])(&m, &n, it->in[0], &ld, it->out[1], it->out[2], work, &size,
                                      &info);
  return info;
}

static jm_error *geqp3(jm_lapack_item *it) {
  const jm_lapack_problem *p = it->problem;
  size_t n = (size_t)jm_lapack_size(p, 'n');
  void *work, *real_work;
  int info = 0;
  it->out[0] = it->in[0];
  memcpy(it->out[1], it->in[1], n * sizeof(int)); /* columns that must come first */
  JM_TRY(jm_lapack_work(it, REAL_WORK, 2 * n * p->real_element, &real_work));
  if (!it->work_sizes[0]) {
    double first[2] = {0};
    info = call_geqp3(it, first, -1, real_work);
    it->work_sizes[0] = jm_lapack_wanted(p, first);
  }
  JM_TRY(jm_lapack_work(it, WORK, (size_t)it->work_sizes[0] * p->element, &work));
  if (!info) info = call_geqp3(it, work, it->work_sizes[0], real_work);
  return info ? jm_lapack_refused(p, 0, info) : NULL;
}

static jm_error *ormqr(jm_lapack_item *it) {
  const jm_lapack_problem *p = it->problem;
  int m = jm_lapack_size(p, 'c'), n = jm_lapack_size(p, 'd'), k = jm_lapack_size(p, 't');
  int lda = jm_lapack_ld(jm_lapack_size(p, 'm')), ldc = jm_lapack_ld(m), info = 0, ask = -1;
  const char *side = jm_lapack_config(p, "left") ? "L" : "R";
  const char *how = !jm_lapack_config(p, "transpose") ? "N" : is_complex(p) ? "C" : "T";
  ormqr_fn *multiply = (ormqr_fn *)p->routines[0];
  double first[2] = {0};
  void *work;
  it->out[0] = it->in[2];
  if (!it->work_sizes[0]) {
    multiply(side, how, &m, &n, &k, it->in[0], &lda, it->in[1], it->in[2], &ldc, first, &ask, &info,
             1, 1);
    it->work_sizes[0] = jm_lapack_wanted(p, first);
  }
  JM_TRY(jm_lapack_work(it, WORK, (size_t)it->work_sizes[0] * p->element, &work));
  if (!info)
    multiply(side, how, &m, &n, &k, it->in[0], &lda, it->in[1], it->in[2], &ldc, work,
             it->work_sizes, &info, 1, 1);
  return info ? jm_lapack_refused(p, 0, info) : NULL;
}

static bool is_side(const jm_lapack_problem *p) {
  int m = jm_lapack_size(p, 'm'), reflectors = jm_lapack_size(p, 't');
  return jm_lapack_size(p, jm_lapack_config(p, "left") ? 'c' : 'd') == m &&
         reflectors <= least(m, jm_lapack_size(p, 'n'));
}

const jm_lapack_target jm_lapack_factor_targets[4] = {
    {"mps.svd",
     "Tmn>Rr[TmuTvn]",
     svd,
     {{"sgesdd", "sgesvd"}, {"dgesdd", "dgesvd"}, {"cgesdd", "cgesvd"}, {"zgesdd", "zgesvd"}},
     {"full", "qr", "low", "high"},
     is_svd,
     NULL},
    {"mps.lu",
     "Tmn>TmnIkIm",
     lu,
     {{"sgetrf"}, {"dgetrf"}, {"cgetrf"}, {"zgetrf"}},
     {0},
     NULL,
     find_lu_lanes},
    {"mps.geqp3",
     "TmnIn>TmnInTk",
     geqp3,
     {{"sgeqp3"}, {"dgeqp3"}, {"cgeqp3"}, {"zgeqp3"}},
     {0},
     NULL,
     NULL},
    {"mps.ormqr",
     "TmnTtTcd>Tcd",
     ormqr,
     {{"sormqr"}, {"dormqr"}, {"cunmqr"}, {"zunmqr"}},
     {"left", "transpose"},
     is_side,
     NULL},
};
