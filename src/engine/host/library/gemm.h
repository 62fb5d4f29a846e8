/* SPDX-License-Identifier: Apache-2.0
 * The matrix product in own loops: every element type that sums are kept in, any strides, exact
 * integers. What blas.h falls back to; callers use jm_gemm_run. */
#ifndef JM_LIBRARY_GEMM_H
#define JM_LIBRARY_GEMM_H

#include "engine/host/library/blas.h"

void jm_gemm_run_own(const jm_gemm *gemm);

#endif
