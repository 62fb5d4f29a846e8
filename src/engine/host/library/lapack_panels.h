/* SPDX-License-Identifier: Apache-2.0
 * lapack.h's functions for f32 and f64 where gemm_vector.h has tiles: everything in vector
 * instructions of our own, no library. The order of additions depends on the sizes alone. */
#ifndef JM_LIBRARY_LAPACK_PANELS_H
#define JM_LIBRARY_LAPACK_PANELS_H

#include "engine/host/library/lapack.h"

bool jm_panels_fit_cholesky(jm_dtype dtype, size_t n);
jm_error *jm_panels_cholesky(jm_dtype dtype, size_t n, bool lower, void *a, size_t lda,
                             bool *positive) JM_MUST_USE;

/* With too few vectors on the right side most lanes would have none. */
bool jm_panels_fit_solve(const jm_lapack_triangular *problem);
jm_error *jm_panels_solve(const jm_lapack_triangular *problem) JM_MUST_USE;

#endif
