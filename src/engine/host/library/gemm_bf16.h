/* SPDX-License-Identifier: Apache-2.0
 * The matrix product of bfloat16 operands with instructions for dot products of pairs, on machines
 * that have them. Sums are kept in f32 and rounded once, to nearest even. The instructions take
 * subnormal operands as 0 and flush subnormal sums to 0; so does XLA's CPU backend. The order of
 * additions depends on the sizes alone. */
#ifndef JM_LIBRARY_GEMM_BF16_H
#define JM_LIBRARY_GEMM_BF16_H

#include "engine/host/library/gemm_narrow.h"

/* Whether this machine multiplies these types so: bf16 by bf16, to bf16 or f32. */
bool jm_gemm_bf16_supports(jm_dtype lhs, jm_dtype rhs, jm_dtype result);
/* gemm's dtype is bf16, that of its c is `result`; it doesn't accumulate. */
jm_error *jm_gemm_bf16_run(const jm_gemm *gemm, jm_dtype result) JM_MUST_USE;
/* That in vector registers; NULL if this machine has none. */
const jm_narrow_kernel *jm_gemm_bf16_find(void);

#endif
