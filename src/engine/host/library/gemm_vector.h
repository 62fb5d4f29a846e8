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
 * input. Row i < rows[g] of group g is at a + a_groups[g] + i * a_row and at c + c_groups[g] +
 * i * ldc; depth l of group h is h * (k / n_depth_groups) + l in b, and depth_groups[h] + l in a
 * row. Threads share the row groups: they should be of similar size and not few. */
typedef struct jm_gemm_groups {
  size_t n_row_groups, n_depth_groups; /* the latter divides the product's k */
  const size_t *rows;                  /* m in all */
  const ptrdiff_t *a_groups, *c_groups, *depth_groups;
} jm_gemm_groups;

/* The same for a gathered product: a_col is 1, and b is dense. */
jm_error *jm_gemm_vector_run_groups(const jm_gemm *gemm, const jm_gemm_groups *groups) JM_MUST_USE;

/* c += a b by the calling thread, both operands where they are: for callers that cut products
 * themselves. b_col is 1, and rows of b can be read up to a multiple of the lanes. */
void jm_gemm_vector_add(const jm_gemm *gemm);
size_t jm_gemm_vector_lanes(jm_dtype dtype);

#endif
