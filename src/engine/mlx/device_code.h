/* SPDX-License-Identifier: Apache-2.0
 * The code of a kernel for a GPU: a cubin for CUDA, source text for Metal. Equal kernels of a
 * process share one, compiled once; cubins are kept on disk too (the setting KERNEL_CACHE), so that
 * a second process compiles nothing. */
#ifndef JM_ENGINE_MLX_DEVICE_CODE_H
#define JM_ENGINE_MLX_DEVICE_CODE_H

#include "engine/mlx/bridge.h"
#include "kernel/ir/kernel.h"

typedef struct jm_device_code {
  struct jm_device_code *next; /* of its bucket */
  uint64_t hash;               /* of the text */
  uint32_t refs;
  char *text;    /* the source: what makes two codes equal */
  char name[32]; /* of its function: "jm_" and the hash */
  char *code;    /* what the device takes */
  size_t code_bytes;
} jm_device_code;

/* The codes of n kernels for this device, each with a reference for the caller. On an error there
 * are none. */
jm_error *jm_device_code_create(const jm_mlx_device_fact *device, const jm_kernel *const *kernels,
                                uint32_t n, jm_device_code **codes) JM_MUST_USE;
void jm_device_code_release(jm_device_code *code); /* NULL is allowed */

#endif
