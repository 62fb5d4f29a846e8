/* SPDX-License-Identifier: Apache-2.0
 * The matrix product of int8 operands with instructions for dot products of four neighbours, on
 * machines that have them. Sums are s32 and wrap, so that they are exact in any order. */
#ifndef JM_LIBRARY_GEMM_S8_H
#define JM_LIBRARY_GEMM_S8_H

#include "engine/host/library/gemm_narrow.h"

/* Whether this machine multiplies these types so: s8 by s8, to s32. */
bool jm_gemm_s8_supports(jm_dtype lhs, jm_dtype rhs, jm_dtype result);
/* gemm's dtype is s8, that of its c is `result`; it doesn't accumulate. */
jm_error *jm_gemm_s8_run(const jm_gemm *gemm, jm_dtype result) JM_MUST_USE;
/* That in vector registers; NULL if this machine has none. */
const jm_narrow_kernel *jm_gemm_s8_find(void);

#endif
