/* SPDX-License-Identifier: Apache-2.0
 * The matrix product of bfloat16 operands with the instruction for dot products of pairs, on
 * machines that have it. Sums are kept in f32 and rounded once, to nearest even. The instruction
 * takes subnormal operands as 0 and flushes subnormal sums to 0; so does XLA's CPU backend. The
 * order of additions depends on the sizes alone. */
#ifndef JM_LIBRARY_GEMM_BF16_H
#define JM_LIBRARY_GEMM_BF16_H

#include "engine/host/library/blas.h"

/* Whether this machine multiplies these types so: bf16 by bf16, to bf16 or f32. */
bool jm_gemm_bf16_supports(jm_dtype lhs, jm_dtype rhs, jm_dtype result);
/* gemm's dtype is bf16, that of its c is `result`; it doesn't accumulate. */
jm_error *jm_gemm_bf16_run(const jm_gemm *gemm, jm_dtype result) JM_MUST_USE;

#endif
