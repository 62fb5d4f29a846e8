/* SPDX-License-Identifier: Apache-2.0
 * Products of bf16 and int8 in the tiles of AMX, on x86-64 processors that have them, under kernels
 * of Linux that let a process use them. */
#ifndef JM_LIBRARY_GEMM_AMX_H
#define JM_LIBRARY_GEMM_AMX_H

#include "engine/host/library/gemm_narrow.h"

/* The kernel in tiles that packs as `vector` does, false if this machine has none. The first call
 * asks the system for the process's permission to use them. */
bool jm_gemm_amx_find(const jm_narrow_kernel *vector, jm_narrow_kernel *out);

/* The product in tiles where they are worth it, else by `vector`. They need b packed, which a
 * product of few rows does not repay: what reads b in place stays in vector registers, whatever
 * packs it has tiles. */
jm_error *jm_gemm_amx_run(const jm_narrow_kernel *vector, const jm_gemm *gemm,
                          jm_dtype result) JM_MUST_USE;

#endif
