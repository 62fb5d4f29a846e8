/* SPDX-License-Identifier: Apache-2.0
 * Matrix products, through a BLAS library that is loaded at its first use, or by our own loops if
 * there is none or if the element type is not one of its four. Also finds LAPACK's routines. It
 * does not know ops; matrices are row-major. */
#ifndef JM_LIBRARY_BLAS_H
#define JM_LIBRARY_BLAS_H

#include "base/dtype.h"
#include "base/error.h"

/* c (m x n, rows ldc apart, consecutive columns) = a (m x k) times b (k x n), plus the old c if
 * accumulate. Strides are in elements and may be any (0 and negative too). dtype is one of
 * jm_gemm_supports. c overlaps neither a nor b; without accumulate it is not read. With k = 0 the
 * product is 0. */
typedef struct jm_gemm {
  jm_dtype dtype;
  size_t m, n, k;
  const void *a;
  ptrdiff_t a_row, a_col;
  const void *b;
  ptrdiff_t b_row, b_col;
  void *c;
  size_t ldc;
  bool accumulate;
  bool one_thread; /* the caller keeps the threads busy */
} jm_gemm;

/* f32, f64, c64, c128 (sums at that precision), integers (exact, wrapping), pred (or of ands) */
bool jm_gemm_supports(jm_dtype dtype);
jm_error *jm_gemm_run(const jm_gemm *gemm) JM_MUST_USE;

/* Loads the library in the background, once: the first product then need not wait for that. */
void jm_blas_start(void);

/* The loaded library, in one line: "OpenBLAS ... from libopenblas.so.0", or why there is none. */
const char *jm_blas_describe(void);

/* JAX_MPS_BLAS=none: products run in the simple loops alone, as a reference for the others. */
bool jm_blas_is_plain(void);

/* A routine by its Fortran name ("dgesdd"; arguments by reference, 32-bit integers), NULL if there
 * is no library or it lacks the routine. The caller casts it to its type. */
typedef void jm_blas_routine(void);
jm_blas_routine *jm_blas_find(const char *name);

/* Between these two calls the library's routines run on the calling thread alone, for callers that
 * use several threads themselves. They nest, and may be called from many threads. */
void jm_blas_enter_single(void);
void jm_blas_leave_single(void);

#endif
