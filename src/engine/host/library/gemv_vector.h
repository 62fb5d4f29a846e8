/* SPDX-License-Identifier: Apache-2.0
 * The product of a matrix and a vector, or a few, in vector instructions, for the types and
 * machines that gemv_vector.c has loops for: the matrix is read once, where it lies, by as many
 * threads as it keeps busy. blas.h tries it before it loads a library; callers use jm_gemm_run. */
#ifndef JM_LIBRARY_GEMV_VECTOR_H
#define JM_LIBRARY_GEMV_VECTOR_H

#include "engine/host/library/blas.h"

/* m or n is 1, this machine has the loops, and the matrix's rows or columns are consecutive. */
bool jm_gemv_vector_fits(const jm_gemm *gemm);
/* m or n is small, and both operands' summed dimensions are consecutive and fill a vector: the
 * loops are then the faster the smaller it is, too. */
bool jm_gemv_vector_is_lines(const jm_gemm *gemm);
/* One of the two; k is at least 1. */
jm_error *jm_gemv_vector_run(const jm_gemm *gemm) JM_MUST_USE;

#endif
