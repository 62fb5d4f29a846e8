/* SPDX-License-Identifier: Apache-2.0
 * lapack.h's functions in own loops, one set per element type. Straightforward and unblocked: for
 * machines without LAPACK, and for matrices so small that calling it is most of the work. */
#ifndef JM_LIBRARY_LAPACK_LOOPS_H
#define JM_LIBRARY_LAPACK_LOOPS_H

#include "engine/host/library/lapack.h"

enum {
  JM_LOOPS_FEW = 16,   /* rows: loops are done before LAPACK has found its block size */
  JM_LOOPS_LANES = 16, /* matrices that are computed at a time, */
  JM_LOOPS_LEAST = 4   /* which take as long as so many one by one */
};

typedef struct jm_loops {
  bool (*cholesky)(size_t n, bool lower, void *a, size_t lda);
  void (*solve)(const jm_lapack_triangular *problem);
  jm_error *(*qr)(size_t m, size_t n, void *a, void *tau);
  jm_error *(*householder)(size_t m, size_t n, size_t k, void *a, const void *tau);
  /* As getrf: the matrix is stored column by column; but pivots, min(m, n) of them, count from 0.
   */
  void (*lu)(size_t m, size_t n, void *a, int32_t *pivots);
} jm_loops;

/* For a type that jm_lapack_supports. */
const jm_loops *jm_loops_find(jm_dtype dtype);

/* As lu, with the same bits, for up to JM_LOOPS_LANES matrices of at most JM_LOOPS_FEW rows and
 * columns, one behind the other and each stored row by row, and the orders of rows that the
 * exchanges lead to. */
typedef void jm_loops_lu_lanes_fn(size_t m, size_t n, size_t count, const void *in, void *out,
                                  int32_t *pivots, int32_t *orders);

/* As solve, with the same bits, for up to JM_LOOPS_LANES problems of at most JM_LOOPS_FEW rows and
 * columns: the first, behind whose matrices the others' are, without gaps. */
typedef void jm_loops_solve_lanes_fn(const jm_lapack_triangular *first, size_t count);

/* NULL: the type has none. */
jm_loops_lu_lanes_fn *jm_loops_find_lu_lanes(jm_dtype dtype);
jm_loops_solve_lanes_fn *jm_loops_find_solve_lanes(jm_dtype dtype);

/* The symmetric matrix of at most JM_LOOPS_FEW rows, of f32 or f64, whose lower (or upper) triangle
 * is stored column by column, becomes its eigenvectors, a column each; values: its eigenvalues in
 * ascending order. All elements of the triangle are finite. False: the iteration doesn't end. */
bool jm_loops_eigh(jm_dtype dtype, size_t n, bool lower, void *matrix, void *values);

/* Whether all n numbers of such a type are finite. */
bool jm_loops_are_finite(jm_dtype dtype, const void *data, size_t n);

#endif
