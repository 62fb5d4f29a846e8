/* SPDX-License-Identifier: Apache-2.0
 * lapack.h's functions for larger matrices of f32 and f64: blocks on the diagonal go through
 * lapack.h again, all else is matrix products, which use every thread. Blocks depend on the sizes
 * alone. */
#ifndef JM_LIBRARY_LAPACK_BLOCKS_H
#define JM_LIBRARY_LAPACK_BLOCKS_H

#include "engine/host/library/lapack.h"

/* Whether a matrix of n rows is worth blocks. */
bool jm_blocks_fit(jm_dtype dtype, size_t n);

jm_error *jm_blocks_cholesky(jm_dtype dtype, size_t n, bool lower, void *a, size_t lda,
                             bool *positive) JM_MUST_USE;
jm_error *jm_blocks_solve(const jm_lapack_triangular *problem) JM_MUST_USE;

#endif
