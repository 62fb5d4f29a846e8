/* SPDX-License-Identifier: Apache-2.0
 * The groups of a program as kernels on MLX's streams: scheduled for the device's target, printed
 * in its language (CUDA, Metal) and compiled, or compiled by the host's jit for MLX's CPU device;
 * then launched as nodes of MLX's lazy graph. Which ops form a group was decided by the passes. */
#ifndef JM_ENGINE_MLX_KERNELS_H
#define JM_ENGINE_MLX_KERNELS_H

#include "engine/mlx/bridge.h"
#include "kernel/schedule/groups.h"

typedef struct jm_mlx_kernels jm_mlx_kernels;

/* The target that kernels for this device are scheduled for; NULL: groups can't be run there, and
 * *why says so (static memory). MLX's CPU device takes the one that the setting KERNELS names. */
const jm_target *jm_mlx_kernels_target(const jm_mlx_device_fact *device, const char **why);

/* Every fusion op of the module, which outlives the kernels. */
jm_error *jm_mlx_kernels_create(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                                const jm_target *target, const jm_module *module,
                                jm_mlx_kernels **out) JM_MUST_USE;
void jm_mlx_kernels_destroy(jm_mlx_kernels *kernels); /* NULL is allowed */

/* Builds the launches of a fusion op: an array for each operand in, a fresh one for each result out
 * (the caller's). Nothing runs yet. */
jm_error *jm_mlx_kernels_launch(jm_mlx_kernels *kernels, jm_op_id op, jm_mlx_array *const *in,
                                jm_mlx_array **out) JM_MUST_USE;

/* How many launches that is; 0 if the op is none of the groups. */
uint32_t jm_mlx_kernels_count(const jm_mlx_kernels *kernels, jm_op_id op);

#endif
