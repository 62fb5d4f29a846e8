/* SPDX-License-Identifier: Apache-2.0
 * Loads BLAS and LAPACK, and translates row-major products to Fortran's column-major ones: the
 * column-major view of a row-major matrix is its transpose, so c = a b becomes c' = b' a'. */
#include "engine/ref/blas.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/settings.h"
#include "engine/ref/gemm.h"
#include "engine/ref/pack.h"

/* How libraries spell a Fortran routine's symbol. scipy's wheels prefix theirs. */
static const char *const spellings[] = {"scipy_%s_", "%s_", "%s"};

static const char *const candidates[] = {
#ifdef __APPLE__
    "/System/Library/Frameworks/Accelerate.framework/Accelerate",
    "libopenblas.dylib",
#else
    "libopenblas.so.0",
    "libopenblas.so",
    "libflexiblas.so.3",
    "libblas.so.3",
    "libcblas.so.3",
#endif
};

typedef void routine(void);
typedef void gemm_fn(const char *, const char *, const int *, const int *, const int *,
                     const void *, const void *, const int *, const void *, const int *,
                     const void *, void *, const int *, size_t, size_t);
typedef void gemv_fn(const char *, const int *, const int *, const void *, const void *,
                     const int *, const void *, const int *, const void *, void *, const int *,
                     size_t);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void *library; /* never closed: its threads may be running */
static const char *spelling;
static char description[640] = "none: matrix products run in own loops";
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

static void set_threads(void) {
  static const char *const setters[] = {"scipy_openblas_set_num_threads",
                                        "openblas_set_num_threads"};
  int64_t threads = 0;
  jm_error *error = jm_setting_read_number(JM_SETTING_NUM_THREADS, 1, 256, 0, &threads);
  jm_error_destroy(error); /* reported where the client is created */
  if (error || !threads) return;
  for (size_t i = 0; i < sizeof setters / sizeof *setters; i++) {
    routine *found = find_symbol(library, "%s", setters[i]);
    if (found) {
      ((void (*)(int))found)((int)threads);
      return;
    }
  }
}

static void load(void) {
  const char *wanted = jm_setting_find(JM_SETTING_BLAS), *path = wanted;
  if (wanted && !strcmp(wanted, "none")) return; /* so that own loops can be tested */
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
  set_threads();
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

const char *jm_blas_describe(void) {
  pthread_once(&once, load);
  return description;
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
  void *packed; /* to be freed */
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
  out->packed = jm_alloc_data(rows * cols * element);
  if (!out->packed) return jm_error_out_of_memory();
  const int64_t dims[2] = {(int64_t)rows, (int64_t)cols};
  const ptrdiff_t from[2] = {row, col}, to[2] = {(ptrdiff_t)cols, 1};
  jm_pack_run(element, 2, dims, from, data, to, out->packed);
  out->data = out->packed;
  out->ld = (int)cols;
  return NULL;
}

/* y = op(matrix) x, with m or n 1. The old y is not scaled but cleared first: scaling by 0 keeps
 * NaN in some libraries. */
static jm_error *run_gemv(const jm_gemm *g, gemv_fn *gemv) {
  bool column = g->n == 1;
  size_t element = jm_dtype_bytes(g->dtype), rows = column ? g->m : g->n;
  int incx = (int)(column ? g->b_row : g->a_col), incy = column ? (int)g->ldc : 1;
  view matrix;
  JM_TRY(column ? view_operand(g->a, element, g->m, g->k, g->a_row, g->a_col, &matrix)
                : view_operand(g->b, element, g->n, g->k, g->b_col, g->b_row, &matrix));
  if (!g->accumulate)
    for (size_t i = 0; i < rows; i++)
      memset((char *)g->c + i * (size_t)incy * element, 0, element);
  int k = (int)g->k, count = (int)rows;
  bool stored_rows = matrix.trans == 'N';
  gemv(stored_rows ? "T" : "N", stored_rows ? &k : &count, stored_rows ? &count : &k,
       number(g->dtype, true), matrix.data, &matrix.ld, column ? g->b : g->a, &incx,
       number(g->dtype, true), g->c, &incy, 1);
  jm_free(matrix.packed);
  return NULL;
}

static jm_error *run_gemm(const jm_gemm *g, gemm_fn *gemm) {
  size_t element = jm_dtype_bytes(g->dtype);
  view a, b;
  JM_TRY(view_operand(g->a, element, g->m, g->k, g->a_row, g->a_col, &a));
  jm_error *error = view_operand(g->b, element, g->k, g->n, g->b_row, g->b_col, &b);
  if (!error) {
    int m = (int)g->m, n = (int)g->n, k = (int)g->k, ldc = (int)g->ldc;
    gemm(&b.trans, &a.trans, &n, &m, &k, number(g->dtype, true), b.data, &b.ld, a.data, &a.ld,
         number(g->dtype, g->accumulate), g->c, &ldc, 1, 1);
    jm_free(b.packed);
  }
  jm_free(a.packed);
  return error;
}

enum { TINY = 512 }; /* multiplications below which a library call costs more than it saves */

jm_error *jm_gemm_run(const jm_gemm *g) {
  pthread_once(&once, load);
  if (!g->m || !g->n) return NULL;
  bool large = g->m > INT_MAX || g->n > INT_MAX || g->k > INT_MAX || g->ldc > INT_MAX;
  if (!gemms[g->dtype] || large || !g->k || g->m * g->n * g->k <= TINY) {
    jm_gemm_run_own(g);
    return NULL;
  }
  ptrdiff_t incx = g->n == 1 ? g->b_row : g->a_col;
  if ((g->n == 1 || g->m == 1) && gemvs[g->dtype] && (g->k == 1 || fits(incx, 1))) {
    jm_gemm vector = *g;
    if (g->k == 1) *(g->n == 1 ? &vector.b_row : &vector.a_col) = 1;
    return run_gemv(&vector, gemvs[g->dtype]);
  }
  return run_gemm(g, gemms[g->dtype]);
}
