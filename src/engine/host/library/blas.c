/* SPDX-License-Identifier: Apache-2.0
 * Loads BLAS and LAPACK, and translates row-major products to Fortran's column-major ones: the
 * column-major view of a row-major matrix is its transpose, so c = a b becomes c' = b' a'. */
#include "engine/host/library/blas.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/background.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "base/settings.h"
#include "engine/host/library/gemm.h"
#include "engine/host/library/gemm_vector.h"
#include "engine/host/library/gemv_vector.h"
#include "engine/host/library/pack.h"

/* How libraries spell a Fortran routine's symbol. scipy's wheels prefix theirs. */
static const char *const spellings[] = {"scipy_%s_", "%s_", "%s"};

static const char *const candidates[] = {
#ifdef __APPLE__
    "/System/Library/Frameworks/Accelerate.framework/Accelerate",
    "libopenblas.dylib",
#else
    "libopenblas.so.0", "libopenblas.so", "libflexiblas.so.3", "libblas.so.3", "libcblas.so.3",
#endif
};

typedef void routine(void);
typedef void gemm_fn(const char *, const char *, const int *, const int *, const int *,
                     const void *, const void *, const int *, const void *, const int *,
                     const void *, void *, const int *, size_t, size_t);
typedef void gemv_fn(const char *, const int *, const int *, const void *, const void *,
                     const int *, const void *, const int *, const void *, void *, const int *,
                     size_t);

static pthread_once_t once = PTHREAD_ONCE_INIT, guarded = PTHREAD_ONCE_INIT;
static void load(void);
static void guard_forks(void);
static void *library; /* never closed: its threads may be running */
static const char *spelling;
static bool plain; /* JAX_MPS_BLAS=none */
static char description[640] = "none: matrix products run in own loops";
static int (*get_threads)(void); /* of OpenBLAS alone */
static void (*set_threads)(int);
static gemm_fn *gemms[JM_N_DTYPES];
static gemv_fn *gemvs[JM_N_DTYPES];

static routine *find_symbol(void *from, const char *format, const char *name) {
  char symbol[64];
  if ((size_t)snprintf(symbol, sizeof symbol, format, name) >= sizeof symbol) return NULL;
  void *address = dlsym(from, symbol);
  routine *function; /* ISO C has no cast from object to function pointers, POSIX has */
  memcpy(&function, &address, sizeof function);
  return function;
}

static bool open_library(const char *path) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return false;
  for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
    if (find_symbol(handle, spellings[i], "sgemm") && find_symbol(handle, spellings[i], "zgemm")) {
      library = handle;
      spelling = spellings[i];
      return true;
    }
  dlclose(handle);
  return false;
}

static void describe_library(const char *path, const char *wanted) {
  static const char *const configs[] = {"scipy_openblas_get_config", "openblas_get_config"};
  const char *config = "BLAS";
  for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
    routine *found = find_symbol(library, "%s", configs[i]);
    if (found) {
      config = ((const char *(*)(void))found)();
      break;
    }
  }
  snprintf(description, sizeof description, "%s from %s%s%s%s%s", config, path,
           find_symbol(library, spelling, "spotrf") ? "" : " (without LAPACK)",
           wanted ? "; JAX_MPS_BLAS=" : "", wanted ? wanted : "",
           wanted ? " is no BLAS library" : "");
}

/* LAPACK's routines run on the library's own threads. */
static void init_threads(void) {
  static const char *const names[][2] = {
      {"scipy_openblas_get_num_threads", "scipy_openblas_set_num_threads"},
      {"openblas_get_num_threads", "openblas_set_num_threads"}};
  for (size_t i = 0; i < sizeof names / sizeof *names && !set_threads; i++) {
    get_threads = (int (*)(void))find_symbol(library, "%s", names[i][0]);
    set_threads = (void (*)(int))find_symbol(library, "%s", names[i][1]);
    if (!get_threads) set_threads = NULL;
  }
  int64_t threads = 0;
  jm_error *error = jm_setting_read_number(JM_SETTING_NUM_THREADS, 1, 256, 0, &threads);
  /* In a forked process OpenBLAS starts its threads when it is told how many it may use, and they
   * spin for 2^26 cycles, some 25 ms, before they sleep: now, rather than beside the first product.
   */
  if (set_threads) set_threads(!error && threads ? (int)threads : get_threads());
  jm_error_destroy(error); /* reported where the client is created */
}

static void load(void) {
  const char *wanted = jm_setting_find(JM_SETTING_BLAS), *path = wanted;
  plain = wanted && !strcmp(wanted, "none");
  if (plain) return;
  if (!wanted || !open_library(wanted)) {
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates && !library; i++)
      if (open_library(candidates[i])) path = candidates[i];
  } else {
    wanted = NULL;
  }
  if (!library) {
    if (wanted)
      snprintf(description, sizeof description,
               "none: JAX_MPS_BLAS=%s is no BLAS library; matrix products run in own loops",
               wanted);
    return;
  }
  describe_library(path, wanted);
  init_threads();
  static const struct {
    jm_dtype dtype;
    const char *gemm, *gemv;
  } types[] = {{JM_DT_f32, "sgemm", "sgemv"},
               {JM_DT_f64, "dgemm", "dgemv"},
               {JM_DT_c64, "cgemm", "cgemv"},
               {JM_DT_c128, "zgemm", "zgemv"}};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    gemms[types[i].dtype] = (gemm_fn *)find_symbol(library, spelling, types[i].gemm);
    gemvs[types[i].dtype] = (gemv_fn *)find_symbol(library, spelling, types[i].gemv);
  }
}

static void load_in_background(jm_background_job *job) {
  (void)job;
  pthread_once(&once, load);
}

void jm_blas_start(void) {
  static jm_background_job job = {.run = load_in_background};
  static atomic_flag added = ATOMIC_FLAG_INIT;
  pthread_once(&guarded, guard_forks); /* not in the job, for which a fork waits */
  if (!atomic_flag_test_and_set(&added)) (void)jm_background_add(&job); /* else when it is used */
}

const char *jm_blas_describe(void) {
  pthread_once(&once, load);
  return description;
}

bool jm_blas_is_plain(void) {
  pthread_once(&once, load);
  return plain;
}

jm_blas_routine *jm_blas_find(const char *name) {
  pthread_once(&once, load);
  return library ? find_symbol(library, spelling, name) : NULL;
}

/* 1 and 0 of the four types. */
static const void *number(jm_dtype dtype, bool one) {
  static const float floats[2][2] = {{0, 0}, {1, 0}};
  static const double doubles[2][2] = {{0, 0}, {1, 0}};
  return jm_dtype_real(dtype) == JM_DT_f32 ? (const void *)floats[one] : doubles[one];
}

/* An operand as Fortran takes it: a column-major matrix, transposed or not. */
typedef struct view {
  const void *data;
  char trans; /* 'N': the row-major matrix's transpose is what is stored column-major */
  int ld;
  void *packed; /* to be given back */
} view;

static bool fits(ptrdiff_t ld, size_t least) { return ld >= (ptrdiff_t)least && ld <= INT_MAX; }

static jm_error *view_operand(const void *data, size_t element, size_t rows, size_t cols,
                              ptrdiff_t row, ptrdiff_t col, view *out) {
  *out = (view){.data = data, .trans = 'N'};
  /* Strides of single rows and columns don't matter. */
  ptrdiff_t ld = rows == 1 ? (ptrdiff_t)cols : row;
  if ((cols == 1 || col == 1) && fits(ld, cols)) {
    out->ld = (int)ld;
    return NULL;
  }
  ld = cols == 1 ? (ptrdiff_t)rows : col;
  if ((rows == 1 || row == 1) && fits(ld, rows)) {
    out->trans = 'T';
    out->ld = (int)ld;
    return NULL;
  }
  out->packed = jm_scratch_take(rows * cols * element);
  if (!out->packed) return jm_error_out_of_memory();
  const int64_t dims[2] = {(int64_t)rows, (int64_t)cols};
  const ptrdiff_t from[2] = {row, col}, to[2] = {(ptrdiff_t)cols, 1};
  jm_pack_run(element, 2, dims, from, data, to, out->packed);
  out->data = out->packed;
  out->ld = (int)cols;
  return NULL;
}

/* -- threads
 *
 * OpenBLAS's threads wait for each other by spinning, which costs a factor of ten and more as soon
 * as anything else wants a core. So products are cut into pieces by our own pool, and the library
 * is told to use one thread while any of them runs. Its setting is one for the process: others who
 * use the library meanwhile get one thread too, and theirs back after. */
static pthread_mutex_t piece_lock = PTHREAD_MUTEX_INITIALIZER;
static size_t n_products;
static int threads_before;

void jm_blas_enter_single(void) {
  pthread_once(&guarded, guard_forks);
  pthread_once(&once, load);
  if (!set_threads) return;
  pthread_mutex_lock(&piece_lock);
  if (!n_products++) {
    threads_before = get_threads();
    if (threads_before != 1) set_threads(1);
  }
  pthread_mutex_unlock(&piece_lock);
}

void jm_blas_leave_single(void) {
  if (!set_threads) return;
  pthread_mutex_lock(&piece_lock);
  if (!--n_products && threads_before != 1) set_threads(threads_before);
  pthread_mutex_unlock(&piece_lock);
}

static void before_fork(void) { pthread_mutex_lock(&piece_lock); }
static void after_fork_parent(void) { pthread_mutex_unlock(&piece_lock); }
static void after_fork_child(void) { /* the products of other threads are gone */
  n_products = 0;
  pthread_mutex_unlock(&piece_lock);
}

static void guard_forks(void) { pthread_atfork(before_fork, after_fork_parent, after_fork_child); }

enum {
  TINY = 512,      /* multiplications below which a library call isn't worth it */
  SMALL = 1 << 18, /* below which OpenBLAS uses one thread anyway, */
  SMALL_COMPLEX = 1 << 15,
  LEAST_PIECE = 1 << 21, /* multiplications of a piece */
  LEAST_SIDE = 192,      /* narrower pieces spend their time on packing */
  MOST_PIECES = 32,
  VECTOR_PIECE = 1 << 17, /* matrix elements of a piece of a matrix-vector product */
};

typedef struct product {
  const jm_gemm *g;
  view a, b;
  size_t m_pieces, n_pieces;
} product;

/* Halves the longer side of the pieces as long as it pays; depends on the sizes alone. */
static void cut(product *p) {
  size_t m = p->g->m, n = p->g->n;
  p->m_pieces = p->n_pieces = 1;
  if (!set_threads || p->g->one_thread) return;
  while (p->m_pieces * p->n_pieces < MOST_PIECES) {
    size_t rows = m / p->m_pieces, cols = n / p->n_pieces;
    size_t side = rows >= cols ? rows : cols;
    if (side < 2 * LEAST_SIDE || rows * cols * p->g->k < 2 * LEAST_PIECE) return;
    *(rows >= cols ? &p->m_pieces : &p->n_pieces) *= 2;
  }
}

/* Where piece i of n begins, at a multiple of what kernels take at once. */
static size_t piece_begin(size_t size, size_t n, size_t i) {
  size_t step = (size / n + 15) / 16 * 16, begin = i * step;
  return i == n || begin > size ? size : begin;
}

static const char *view_at(const view *v, size_t element, size_t row, size_t col) {
  size_t ld = (size_t)v->ld;
  return (const char *)v->data + (v->trans == 'N' ? row * ld + col : col * ld + row) * element;
}

static void run_pieces(void *context, size_t begin, size_t end) {
  const product *p = context;
  const jm_gemm *g = p->g;
  size_t element = jm_dtype_bytes(g->dtype);
  for (size_t i = begin; i < end; i++) {
    size_t row_piece = i / p->n_pieces, col_piece = i % p->n_pieces;
    size_t row = piece_begin(g->m, p->m_pieces, row_piece);
    size_t col = piece_begin(g->n, p->n_pieces, col_piece);
    int m = (int)(piece_begin(g->m, p->m_pieces, row_piece + 1) - row);
    int n = (int)(piece_begin(g->n, p->n_pieces, col_piece + 1) - col);
    int k = (int)g->k, ldc = (int)g->ldc;
    if (!m || !n) continue;
    gemms[g->dtype](&p->b.trans, &p->a.trans, &n, &m, &k, number(g->dtype, true),
                    view_at(&p->b, element, 0, col), &p->b.ld, view_at(&p->a, element, row, 0),
                    &p->a.ld, number(g->dtype, g->accumulate),
                    (char *)g->c + (row * g->ldc + col) * element, &ldc, 1, 1);
  }
}

static jm_error *run_gemm(const jm_gemm *g) {
  size_t element = jm_dtype_bytes(g->dtype);
  product p = {.g = g};
  JM_TRY(view_operand(g->a, element, g->m, g->k, g->a_row, g->a_col, &p.a));
  jm_error *error = view_operand(g->b, element, g->k, g->n, g->b_row, g->b_col, &p.b);
  if (!error) {
    cut(&p);
    size_t small = jm_dtype_is_complex(g->dtype) ? SMALL_COMPLEX : SMALL;
    bool alone = set_threads && g->m * g->n * g->k > small;
    if (alone) jm_blas_enter_single();
    jm_parallel_for(p.m_pieces * p.n_pieces, 1, run_pieces, &p);
    if (alone) jm_blas_leave_single();
  }
  jm_scratch_give(p.a.packed);
  jm_scratch_give(p.b.packed);
  return error;
}

/* y = matrix x, where the product's other side is 1. */
typedef struct vector_product {
  const jm_gemm *g;
  bool column; /* n is 1: y is a column of c; else a row */
  view matrix;
} vector_product;

/* The old y is not scaled but cleared first: scaling by 0 keeps NaN in some libraries. */
static void run_rows(void *context, size_t begin, size_t end) {
  const vector_product *p = context;
  const jm_gemm *g = p->g;
  size_t element = jm_dtype_bytes(g->dtype), step = p->column ? g->ldc : 1;
  char *y = (char *)g->c + begin * step * element;
  int k = (int)g->k, rows = (int)(end - begin), incy = (int)step;
  int incx = g->k == 1 ? 1 : (int)(p->column ? g->b_row : g->a_col);
  if (!g->accumulate)
    for (size_t i = 0; i < end - begin; i++) memset(y + i * step * element, 0, element);
  bool by_row = p->matrix.trans == 'N';
  gemvs[g->dtype](by_row ? "T" : "N", by_row ? &k : &rows, by_row ? &rows : &k,
                  number(g->dtype, true), view_at(&p->matrix, element, begin, 0), &p->matrix.ld,
                  p->column ? g->b : g->a, &incx, number(g->dtype, true), y, &incy, 1);
}

static jm_error *run_gemv(const jm_gemm *g) {
  size_t element = jm_dtype_bytes(g->dtype);
  vector_product p = {.g = g, .column = g->n == 1};
  size_t rows = p.column ? g->m : g->n, piece = VECTOR_PIECE / g->k + 1;
  JM_TRY(p.column ? view_operand(g->a, element, g->m, g->k, g->a_row, g->a_col, &p.matrix)
                  : view_operand(g->b, element, g->n, g->k, g->b_col, g->b_row, &p.matrix));
  jm_blas_enter_single();
  jm_parallel_for(rows, set_threads ? (piece + 15) / 16 * 16 : rows, run_rows, &p);
  jm_blas_leave_single();
  jm_scratch_give(p.matrix.packed);
  return NULL;
}

jm_error *jm_gemm_run(const jm_gemm *g) {
  pthread_once(&once, load);
  if (!g->m || !g->n) return NULL;
  if (!plain && jm_gemv_vector_is_lines(g)) return jm_gemv_vector_run(g);
  bool tiny = !g->k || g->m * g->n * g->k <= TINY;
  if (!plain && g->k && (tiny || (g->m > 1 && g->n > 1)) && jm_gemm_vector_supports(g->dtype))
    return jm_gemm_vector_run(g);
  if (!tiny && !plain && jm_gemv_vector_fits(g)) return jm_gemv_vector_run(g);
  bool large = g->m > INT_MAX || g->n > INT_MAX || g->k > INT_MAX || g->ldc > INT_MAX;
  if (!gemms[g->dtype] || large || tiny) {
    jm_gemm_run_own(g);
    return NULL;
  }
  ptrdiff_t incx = g->n == 1 ? g->b_row : g->a_col;
  bool vector = (g->n == 1 || g->m == 1) && gemvs[g->dtype] && (g->k == 1 || fits(incx, 1));
  return vector ? run_gemv(g) : run_gemm(g);
}
