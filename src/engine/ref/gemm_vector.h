/* SPDX-License-Identifier: Apache-2.0
 * The matrix product in vector instructions, for the types and machines that gemm_vector.c has
 * tiles for. What blas.h runs before it looks for a library; callers use jm_gemm_run. */
#ifndef JM_ENGINE_REF_GEMM_VECTOR_H
#define JM_ENGINE_REF_GEMM_VECTOR_H

#include "engine/ref/blas.h"

/* Whether this machine has what the tiles of this element type need. */
bool jm_gemm_vector_supports(jm_dtype dtype);
/* m, n and k are at least 1. */
jm_error *jm_gemm_vector_run(const jm_gemm *gemm) JM_MUST_USE;

#endif
