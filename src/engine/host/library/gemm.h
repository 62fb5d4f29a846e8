/* SPDX-License-Identifier: Apache-2.0
 * The matrix product in portable loops: every element type that sums are kept in, any strides,
 * exact integers. The fallback of blas.h; callers use jm_gemm_run. */
#ifndef JM_LIBRARY_GEMM_H
#define JM_LIBRARY_GEMM_H

#include "engine/host/library/blas.h"

void jm_gemm_run_own(const jm_gemm *gemm);

#endif
