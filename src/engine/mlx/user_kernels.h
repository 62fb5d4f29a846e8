/* SPDX-License-Identifier: Apache-2.0
 * The user's own kernels (engine/user_kernel.h) on a GPU: their source, which is the body of a
 * function, goes to MLX's custom kernels as it is, and MLX compiles it at its first launch. Not
 * here: kernels that we make of a program's ops (kernels.h). */
#ifndef JM_ENGINE_MLX_USER_KERNELS_H
#define JM_ENGINE_MLX_USER_KERNELS_H

#include "engine/mlx/lower.h"

typedef struct jm_mlx_user_kernels jm_mlx_user_kernels;

/* NULL if the device runs this kernel; else UNIMPLEMENTED, which names both. */
jm_error *jm_mlx_user_kernel_check(const jm_mlx_device_fact *device, const jm_module *module,
                                   const jm_op *call) JM_MUST_USE;

/* Every kernel of the user's in the module, which outlives them; *out is NULL if there are none. */
jm_error *jm_mlx_user_kernels_create(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                                     const jm_module *module,
                                     jm_mlx_user_kernels **out) JM_MUST_USE;
void jm_mlx_user_kernels_destroy(jm_mlx_user_kernels *kernels); /* NULL is allowed */

/* The lowering of such a call: one launch. */
jm_lower_fn jm_lower_user_kernel;

#endif
