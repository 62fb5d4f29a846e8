/* SPDX-License-Identifier: Apache-2.0
 * Factorisations and solves of one dense row-major matrix, in place: by LAPACK and BLAS if blas.h
 * found them, else by our own loops. Element types are f32, f64, c64 and c128. */
#ifndef JM_LIBRARY_LAPACK_H
#define JM_LIBRARY_LAPACK_H

#include "base/dtype.h"
#include "base/error.h"

bool jm_lapack_supports(jm_dtype dtype);

/* The Cholesky factor of the n x n matrix whose lower (or upper) triangle a holds; the other
 * triangle is undefined afterwards, and not read. Rows are lda apart. *positive: whether there is
 * one; if not, a is undefined. */
jm_error *jm_lapack_cholesky(jm_dtype dtype, size_t n, bool lower, void *a, size_t lda,
                             bool *positive) JM_MUST_USE;

typedef enum jm_lapack_transpose { JM_LAPACK_N, JM_LAPACK_T, JM_LAPACK_C } jm_lapack_transpose;

/* b (m x n) becomes x of op(a) x = b (left; a is m x m) or x op(a) = b (a is n x n). Only one
 * triangle of a is read, without its diagonal if that is known to be 1. Zeros on the diagonal give
 * infinities and NaN. */
typedef struct jm_lapack_triangular {
  jm_dtype dtype;
  size_t m, n;
  bool left, lower, unit_diagonal;
  jm_lapack_transpose transpose;
  const void *a;
  size_t lda; /* elements from row to row */
  void *b;
  size_t ldb;
  const void *given; /* b before it becomes x, rows ldb apart; NULL: b has it */
} jm_lapack_triangular;
jm_error *jm_lapack_solve(const jm_lapack_triangular *problem) JM_MUST_USE;

/* a (m x n) becomes R in the upper triangle and the reflectors' vectors, without their leading 1,
 * below; tau (min(m, n)) their scales. */
jm_error *jm_lapack_qr(jm_dtype dtype, size_t m, size_t n, void *a, void *tau) JM_MUST_USE;

/* a (m x n, m >= n), whose first k columns hold reflectors as above, becomes the first n columns of
 * their product. */
jm_error *jm_lapack_householder(jm_dtype dtype, size_t m, size_t n, size_t k, void *a,
                                const void *tau) JM_MUST_USE;

#endif
