/* SPDX-License-Identifier: Apache-2.0
 * The groups of a program as kernels on MLX's streams: scheduled for the device's target, printed
 * in its language (CUDA, Metal) and compiled, or compiled by the host's jit for MLX's CPU device;
 * then launched as nodes of MLX's lazy graph. The passes have decided which ops form a group. */
#ifndef JM_ENGINE_MLX_KERNELS_H
#define JM_ENGINE_MLX_KERNELS_H

#include "engine/mlx/lower.h"
#include "kernel/schedule/groups.h"

typedef struct jm_mlx_kernels jm_mlx_kernels;

/* The target that modules for this device are lowered for. MLX's CPU device takes the one that the
 * setting KERNELS names. Without has_kernels the device can't run groups, and *why gives the reason
 * (static memory). */
jm_target jm_mlx_kernels_target(const jm_mlx_device_fact *device, const char **why);

/* Every fusion op of the module, which outlives the kernels. */
jm_error *jm_mlx_kernels_create(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                                const jm_target *target, const jm_module *module,
                                jm_mlx_kernels **out) JM_MUST_USE;
void jm_mlx_kernels_destroy(jm_mlx_kernels *kernels); /* NULL is allowed */

/* The group of a fusion op, NULL if it is none or kernels is NULL. */
const jm_group_code *jm_mlx_kernels_find(const jm_mlx_kernels *kernels, jm_op_id op);

/* The lowering of such an op: builds its launches, an array for each operand in, a fresh one for
 * each result out. Nothing runs yet. */
jm_lower_fn jm_lower_kernels;

#endif
