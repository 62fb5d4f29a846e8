/* SPDX-License-Identifier: Apache-2.0
 * The code of a kernel for a GPU: a cubin for CUDA, source text for Metal. Equal kernels of a
 * process share one, compiled once; cubins are kept on disk too (the setting KERNEL_CACHE), so that
 * a second process compiles nothing. */
#ifndef JM_ENGINE_MLX_DEVICE_CODE_H
#define JM_ENGINE_MLX_DEVICE_CODE_H

#include "engine/mlx/bridge.h"
#include "kernel/print/c.h"

typedef struct jm_device_code {
  struct jm_device_code *next; /* of its bucket */
  uint64_t hash;               /* of the text */
  uint32_t refs;
  char *text;    /* the source: what makes two codes equal */
  char name[32]; /* of its function: "jm_" and the hash */
  char *code;    /* what the device takes */
  size_t code_bytes;
} jm_device_code;

/* Appends a kernel's source without the dialect's prelude: of CUDA a whole function, inputs before
 * outputs, of Metal the body that MLX takes, of parameters raw_in0, ..., raw_out0, ... */
jm_error *jm_device_code_print(const jm_c_dialect *dialect, const jm_kernel *kernel,
                               jm_text *text) JM_MUST_USE;

/* The codes of n kernels for this device, each the caller's reference. On an error none is held. */
jm_error *jm_device_code_create(const jm_mlx_device_fact *device, const jm_kernel *const *kernels,
                                uint32_t n, jm_device_code **codes) JM_MUST_USE;
/* That of one source, whose function is called JM_KERNEL in CUDA. The text is taken over. */
jm_error *jm_device_code_compile(const jm_mlx_device_fact *device, jm_text *text,
                                 jm_device_code **out) JM_MUST_USE;
void jm_device_code_release(jm_device_code *code); /* NULL is allowed */

#endif
