/* SPDX-License-Identifier: Apache-2.0
 * Compiles CUDA C++ source to machine code through NVRTC, which MLX's CUDA package contains: loaded
 * at run time and never linked. Contraction is off: a kernel's products and sums round as the
 * kernel IR says. This file knows nothing of kernels, and nothing is loaded into a GPU here. */
#ifndef JM_ENGINE_MLX_NVRTC_H
#define JM_ENGINE_MLX_NVRTC_H

#include <stddef.h>

#include "base/error.h"

/* Is there an NVRTC? Decided once; thread safe. *why: a line for people (static memory). */
bool jm_nvrtc_load(const char **why);
/* 13000 for 13.0, as part of the key of caches; 0 without. */
int jm_nvrtc_version(void);

/* Compiles a translation unit for an architecture ("sm_90") to a cubin, to be freed with jm_free.
 * INTERNAL with NVRTC's log if the source is refused; FAILED_PRECONDITION without NVRTC. Any
 * thread. */
jm_error *jm_nvrtc_compile(const char *source, const char *architecture, char **code,
                           size_t *size) JM_MUST_USE;

#endif
