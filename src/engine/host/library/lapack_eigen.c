/* SPDX-License-Identifier: Apache-2.0
 * Eigenvalues, and the forms of a square matrix on the way to them. Routines for real and complex
 * types differ by a workspace more, or by two arrays for a complex one. */
#include <string.h>

#include "engine/host/library/lapack_call.h"
#include "engine/host/library/lapack_loops.h"

typedef void evd_real_fn(const char *, const char *, const int *, void *, const int *, void *,
                         void *, const int *, int *, const int *, int *, size_t, size_t);
typedef void evd_complex_fn(const char *, const char *, const int *, void *, const int *, void *,
                            void *, const int *, void *, const int *, int *, const int *, int *,
                            size_t, size_t);
typedef void geev_real_fn(const char *, const char *, const int *, void *, const int *, void *,
                          void *, void *, const int *, void *, const int *, void *, const int *,
                          int *, size_t, size_t);
typedef void geev_complex_fn(const char *, const char *, const int *, void *, const int *, void *,
                             void *, const int *, void *, const int *, void *, const int *, void *,
                             int *, size_t, size_t);
typedef void gees_real_fn(const char *, const char *, void *, const int *, void *, const int *,
                          int *, void *, void *, void *, const int *, void *, const int *, int *,
                          int *, size_t, size_t);
typedef void gees_complex_fn(const char *, const char *, void *, const int *, void *, const int *,
                             int *, void *, void *, const int *, void *, const int *, void *, int *,
                             int *, size_t, size_t);
typedef void gehrd_fn(const int *, const int *, const int *, void *, const int *, void *, void *,
                      const int *, int *);
typedef void trd_fn(const char *, const int *, void *, const int *, void *, void *, void *, void *,
                    const int *, int *, size_t);

enum { WORK, REAL_WORK, INT_WORK, VALUES, IMAGINARY, LEFT, RIGHT, FLAGS };

static size_t square(const jm_lapack_problem *p) {
  size_t n = (size_t)jm_lapack_size(p, 'n');
  return n * n;
}

static bool is_complex(const jm_lapack_problem *p) { return jm_dtype_is_complex(p->dtype); }

/* -- symmetric */

/* sizes: of the three workspaces, -1 to ask for them */
static int call_evd(const jm_lapack_item *it, const int *sizes, void *w, void *work,
                    void *real_work, int *int_work) {
  const jm_lapack_problem *p = it->problem;
  int n = jm_lapack_size(p, 'n'), ld = jm_lapack_ld(n), info = 0;
  const char *triangle = jm_lapack_config(p, "lower") ? "L" : "U";
  if (is_complex(p))
    ((evd_complex_fn *)p->routines[0])("V", triangle, &n, it->in[0], &ld, w, work, &sizes[0],
                                       real_work, &sizes[1], int_work, &sizes[2], &info, 1, 1);
  else
    ((evd_real_fn *)p->routines[0])("V", triangle, &n, it->in[0], &ld, w, work, &sizes[0], int_work,
                                    &sizes[2], &info, 1, 1);
  return info;
}

/* The other triangle may hold anything. */
static bool is_triangle_finite(const jm_lapack_item *it) {
  const jm_lapack_problem *p = it->problem;
  size_t n = (size_t)jm_lapack_size(p, 'n');
  bool lower = jm_lapack_config(p, "lower") != 0, finite = true;
  for (size_t j = 0; j < n; j++) {
    size_t first = lower ? j : 0, count = lower ? n - j : j + 1;
    finite &= jm_lapack_is_finite(p, (char *)it->in[0] + (j * n + first) * p->element, count);
  }
  return finite;
}

static jm_error *run_evd(jm_lapack_item *it, void *w) {
  const jm_lapack_problem *p = it->problem;
  int *sizes = it->work_sizes, info;
  void *work, *real_work, *int_work;
  if (!sizes[0]) {
    static const int ask[3] = {-1, -1, -1};
    double first[2] = {0}, real_first[2] = {0};
    int int_first = 0;
    info = call_evd(it, ask, w, first, real_first, &int_first);
    if (info) return jm_lapack_refused(p, 0, info);
    sizes[0] = jm_lapack_wanted(p, first);
    sizes[1] = jm_lapack_wanted(p, real_first);
    sizes[2] = int_first > 0 ? int_first : 1;
  }
  JM_TRY(jm_lapack_work(it, WORK, (size_t)sizes[0] * p->element, &work));
  JM_TRY(jm_lapack_work(it, REAL_WORK, (size_t)sizes[1] * p->real_element, &real_work));
  JM_TRY(jm_lapack_work(it, INT_WORK, (size_t)sizes[2] * sizeof(int), &int_work));
  info = call_evd(it, sizes, w, work, real_work, int_work);
  if (info < 0) return jm_lapack_refused(p, 0, info);
  it->failed = info != 0;
  return NULL;
}

static jm_error *eigh(jm_lapack_item *it) {
  const jm_lapack_problem *p = it->problem;
  size_t n = (size_t)jm_lapack_size(p, 'n'), low = (size_t)jm_lapack_config(p, "low");
  bool lower = jm_lapack_config(p, "lower") != 0;
  void *w;
  it->failed = !is_triangle_finite(it);
  if (it->failed) return NULL;
  JM_TRY(jm_lapack_work(it, VALUES, n * p->real_element, &w));
  if (!is_complex(p) && n <= JM_LOOPS_FEW)
    it->failed = !jm_loops_eigh(p->dtype, n, lower, it->in[0], w);
  else
    JM_TRY(run_evd(it, w));
  it->out[0] = (char *)it->in[0] + low * n * p->element;
  memcpy(it->out[1], (char *)w + low * p->real_element,
         (size_t)jm_lapack_size(p, 'd') * p->real_element);
  return NULL;
}

static bool is_range(const jm_lapack_problem *p) {
  int64_t low = jm_lapack_config(p, "low"), high = jm_lapack_config(p, "high");
  return low >= 0 && low <= high && high <= jm_lapack_size(p, 'n') &&
         high - low == jm_lapack_size(p, 'd');
}

static jm_error *tridiagonal(jm_lapack_item *it) {
  const jm_lapack_problem *p = it->problem;
  int n = jm_lapack_size(p, 'n'), ld = jm_lapack_ld(n), info = 0, ask = -1;
  const char *triangle = jm_lapack_config(p, "lower") ? "L" : "U";
  trd_fn *trd = (trd_fn *)p->routines[0];
  double first[2] = {0};
  void *work;
  it->out[0] = it->in[0];
  if (!it->work_sizes[0]) {
    trd(triangle, &n, it->in[0], &ld, it->out[1], it->out[2], it->out[3], first, &ask, &info, 1);
    it->work_sizes[0] = jm_lapack_wanted(p, first);
  }
  JM_TRY(jm_lapack_work(it, WORK, (size_t)it->work_sizes[0] * p->element, &work));
  if (!info)
    trd(triangle, &n, it->in[0], &ld, it->out[1], it->out[2], it->out[3], work, it->work_sizes,
        &info, 1);
  return info ? jm_lapack_refused(p, 0, info) : NULL;
}

/* -- general */

typedef struct eig_call {
  bool left, right;
  void *w, *imaginary, *vl, *vr, *real_work;
} eig_call;

static int call_geev(const jm_lapack_item *it, const eig_call *c, void *work, int size) {
  const jm_lapack_problem *p = it->problem;
  int n = jm_lapack_size(p, 'n'), ld = jm_lapack_ld(n), info = 0;
  const char *left = c->left ? "V" : "N", *right = c->right ? "V" : "N";
  if (is_complex(p))
    ((geev_complex_fn *)p->routines[0])(left, right, &n, it->in[0], &ld, c->w, c->vl, &ld, c->vr,
                                        &ld, work, &size, c->real_work, &info, 1, 1);
  else
    ((geev_real_fn *)p->routines[0])(left, right, &n, it->in[0], &ld, c->w, c->imaginary, c->vl,
                                     &ld, c->vr, &ld, work, &size, &info, 1, 1);
  return info;
}

/* Complex eigenvectors from the real routine's columns: those of a conjugate pair of eigenvalues
 * share two, the real and the imaginary part. */
#define DEFINE_JOIN(name, T)                                                                \
  static void join_##name(size_t n, const void *imaginary, const void *packed, void *out) { \
    const T *wi = imaginary, *v = packed;                                                   \
    T *to = out;                                                                            \
    for (size_t j = 0; j < n; j++) {                                                        \
      bool pair = wi[j] != 0 && j + 1 < n;                                                  \
      for (size_t i = 0; i < n; i++) {                                                      \
        T re = v[j * n + i], im = pair ? v[(j + 1) * n + i] : 0;                            \
        to[2 * (j * n + i)] = re;                                                           \
        to[2 * (j * n + i) + 1] = im;                                                       \
        if (!pair) continue;                                                                \
        to[2 * ((j + 1) * n + i)] = re;                                                     \
        to[2 * ((j + 1) * n + i) + 1] = -im;                                                \
      }                                                                                     \
      j += pair;                                                                            \
    }                                                                                       \
  }                                                                                         \
  static void join_values_##name(size_t n, const void *re, const void *im, void *out) {     \
    for (size_t i = 0; i < n; i++) {                                                        \
      ((T *)out)[2 * i] = ((const T *)re)[i];                                               \
      ((T *)out)[2 * i + 1] = ((const T *)im)[i];                                           \
    }                                                                                       \
  }

DEFINE_JOIN(f32, float)
DEFINE_JOIN(f64, double)

/* Eigenvectors as results: as they are, or joined into the slot. */
static jm_error *put_vectors(jm_lapack_item *it, const eig_call *c, void *v, uint32_t slot,
                             void **out) {
  const jm_lapack_problem *p = it->problem;
  *out = v;
  if (is_complex(p)) return NULL;
  size_t n = (size_t)jm_lapack_size(p, 'n');
  JM_TRY(jm_lapack_work(it, slot, 2 * n * n * p->element, out));
  (p->real == JM_DT_f32 ? join_f32 : join_f64)(n, c->imaginary, v, *out);
  return NULL;
}

static jm_error *eig(jm_lapack_item *it) {
  enum { LEFT_JOINED = FLAGS + 1, RIGHT_JOINED };
  const jm_lapack_problem *p = it->problem;
  size_t n = (size_t)jm_lapack_size(p, 'n');
  eig_call c = {.left = jm_lapack_config(p, "left"), .right = jm_lapack_config(p, "right")};
  void *work;
  it->failed = !jm_lapack_is_finite(p, it->in[0], square(p));
  if (it->failed) return NULL;
  JM_TRY(jm_lapack_work(it, VALUES, n * p->element, &c.w));
  JM_TRY(jm_lapack_work(it, IMAGINARY, n * p->element, &c.imaginary));
  JM_TRY(jm_lapack_work(it, LEFT, c.left ? square(p) * p->element : 0, &c.vl));
  JM_TRY(jm_lapack_work(it, RIGHT, c.right ? square(p) * p->element : 0, &c.vr));
  JM_TRY(jm_lapack_work(it, REAL_WORK, 2 * n * p->real_element, &c.real_work));
  if (!it->work_sizes[0]) {
    double first[2] = {0};
    int info = call_geev(it, &c, first, -1);
    if (info) return jm_lapack_refused(p, 0, info);
    it->work_sizes[0] = jm_lapack_wanted(p, first);
  }
  JM_TRY(jm_lapack_work(it, WORK, (size_t)it->work_sizes[0] * p->element, &work));
  int info = call_geev(it, &c, work, it->work_sizes[0]);
  if (info < 0) return jm_lapack_refused(p, 0, info);
  it->failed = info != 0;
  if (is_complex(p))
    memcpy(it->out[0], c.w, n * p->element);
  else
    (p->real == JM_DT_f32 ? join_values_f32 : join_values_f64)(n, c.w, c.imaginary, it->out[0]);
  if (c.left) JM_TRY(put_vectors(it, &c, c.vl, LEFT_JOINED, &it->out[1]));
  if (c.right) JM_TRY(put_vectors(it, &c, c.vr, RIGHT_JOINED, &it->out[1 + c.left]));
  return NULL;
}

static bool has_its_vectors(const jm_lapack_problem *p) {
  return p->n_results ==
         1u + (jm_lapack_config(p, "left") != 0) + (jm_lapack_config(p, "right") != 0);
}

static int call_gees(const jm_lapack_item *it, void *w, void *imaginary, void *vectors, void *work,
                     int size, void *real_work, int *flags) {
  const jm_lapack_problem *p = it->problem;
  int n = jm_lapack_size(p, 'n'), ld = jm_lapack_ld(n), info = 0, selected = 0;
  const char *job = p->n_results > 1 ? "V" : "N";
  if (is_complex(p))
    ((gees_complex_fn *)p->routines[0])(job, "N", NULL, &n, it->in[0], &ld, &selected, w, vectors,
                                        &ld, work, &size, real_work, flags, &info, 1, 1);
  else
    ((gees_real_fn *)p->routines[0])(job, "N", NULL, &n, it->in[0], &ld, &selected, w, imaginary,
                                     vectors, &ld, work, &size, flags, &info, 1, 1);
  return info;
}

static jm_error *schur(jm_lapack_item *it) {
  const jm_lapack_problem *p = it->problem;
  size_t n = (size_t)jm_lapack_size(p, 'n');
  void *w, *imaginary, *vectors, *work, *real_work, *flags;
  it->failed = !jm_lapack_is_finite(p, it->in[0], square(p));
  if (it->failed) return NULL;
  JM_TRY(jm_lapack_work(it, VALUES, n * p->element, &w));
  JM_TRY(jm_lapack_work(it, IMAGINARY, n * p->element, &imaginary));
  JM_TRY(jm_lapack_work(it, LEFT, p->n_results > 1 ? square(p) * p->element : 0, &vectors));
  JM_TRY(jm_lapack_work(it, REAL_WORK, n * p->real_element, &real_work));
  JM_TRY(jm_lapack_work(it, FLAGS, n * sizeof(int), &flags));
  if (!it->work_sizes[0]) {
    double first[2] = {0};
    int info = call_gees(it, w, imaginary, vectors, first, -1, real_work, flags);
    if (info) return jm_lapack_refused(p, 0, info);
    it->work_sizes[0] = jm_lapack_wanted(p, first);
  }
  JM_TRY(jm_lapack_work(it, WORK, (size_t)it->work_sizes[0] * p->element, &work));
  int info = call_gees(it, w, imaginary, vectors, work, it->work_sizes[0], real_work, flags);
  if (info < 0) return jm_lapack_refused(p, 0, info);
  it->failed = info != 0;
  it->out[0] = it->in[0];
  it->out[1] = vectors;
  return NULL;
}

static jm_error *hessenberg(jm_lapack_item *it) {
  const jm_lapack_problem *p = it->problem;
  int n = jm_lapack_size(p, 'n'), ld = jm_lapack_ld(n), low = 1, info = 0, ask = -1;
  gehrd_fn *gehrd = (gehrd_fn *)p->routines[0];
  double first[2] = {0};
  void *work;
  it->out[0] = it->in[0];
  if (!it->work_sizes[0]) {
    gehrd(&n, &low, &n, it->in[0], &ld, it->out[1], first, &ask, &info);
    it->work_sizes[0] = jm_lapack_wanted(p, first);
  }
  JM_TRY(jm_lapack_work(it, WORK, (size_t)it->work_sizes[0] * p->element, &work));
  if (!info) gehrd(&n, &low, &n, it->in[0], &ld, it->out[1], work, it->work_sizes, &info);
  return info ? jm_lapack_refused(p, 0, info) : NULL;
}

const jm_lapack_target jm_lapack_eigen_targets[5] = {
    {"mps.eigh",
     "Tnn>TndRd",
     eigh,
     {{"ssyevd"}, {"dsyevd"}, {"cheevd"}, {"zheevd"}},
     {"lower", "low", "high"},
     is_range,
     NULL},
    {"mps.eig",
     "Tnn>Cn[Cnn][Cnn]",
     eig,
     {{"sgeev"}, {"dgeev"}, {"cgeev"}, {"zgeev"}},
     {"left", "right"},
     has_its_vectors,
     NULL},
    {"mps.schur",
     "Tnn>Tnn[Tnn]",
     schur,
     {{"sgees"}, {"dgees"}, {"cgees"}, {"zgees"}},
     {0},
     NULL,
     NULL},
    {"mps.hessenberg",
     "Tnn>TnnTp",
     hessenberg,
     {{"sgehrd"}, {"dgehrd"}, {"cgehrd"}, {"zgehrd"}},
     {0},
     NULL,
     NULL},
    {"mps.tridiagonal",
     "Tnn>TnnRnRpTp",
     tridiagonal,
     {{"ssytrd"}, {"dsytrd"}, {"chetrd"}, {"zhetrd"}},
     {"lower"},
     NULL,
     NULL},
};
