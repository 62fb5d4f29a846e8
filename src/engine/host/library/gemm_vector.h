/* SPDX-License-Identifier: Apache-2.0
 * The matrix product in vector instructions, for the types and machines that gemm_vector.c has
 * tiles for. blas.h tries it before it loads a library; callers use jm_gemm_run. */
#ifndef JM_LIBRARY_GEMM_VECTOR_H
#define JM_LIBRARY_GEMM_VECTOR_H

#include "engine/host/library/blas.h"

/* Whether this machine has what the tiles of this element type need. */
bool jm_gemm_vector_supports(jm_dtype dtype);
/* m, n and k are at least 1. */
jm_error *jm_gemm_vector_run(const jm_gemm *gemm) JM_MUST_USE;

/* Rows and depth in groups at arbitrary positions: a convolution multiplies such a view of its
 * input. Depth l of depth group h is h * (k / n_depth_groups) + l in b, and depth_groups[h] + l in
 * a row. A row group may have less than the whole depth: depth [begin, end), not empty, of depth
 * groups [first, last). Threads share the row groups: they should not be few. */
typedef struct jm_gemm_rows {
  size_t rows;
  ptrdiff_t a, a_row, c; /* where the first row is, and the step between rows */
  size_t ldc, first, last, begin, end;
} jm_gemm_rows;

typedef struct jm_gemm_groups {
  size_t n_row_groups, n_depth_groups; /* the latter divides the product's k */
  const jm_gemm_rows *rows;            /* m in all */
  const ptrdiff_t *depth_groups;
} jm_gemm_groups;

/* The product of such groups: a_col is 1, b is dense, a_row and ldc are those of the groups. */
jm_error *jm_gemm_vector_run_groups(const jm_gemm *gemm, const jm_gemm_groups *groups) JM_MUST_USE;

/* c += a b by the calling thread, both operands where they are: for callers that cut products
 * themselves. b_col is 1, and rows of b can be read up to a multiple of the lanes. */
void jm_gemm_vector_add(const jm_gemm *gemm);
size_t jm_gemm_vector_lanes(jm_dtype dtype);

#endif
