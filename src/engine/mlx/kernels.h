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

/* The groups, with their schedules; NULL if kernels is NULL. */
const jm_groups *jm_mlx_kernels_groups(const jm_mlx_kernels *kernels);

/* Builds a group's launches: an array for each of the op's operands in, a fresh one for each result
 * out, also those that were made before an error. Nothing runs yet. */
jm_error *jm_mlx_group_run(jm_mlx_kernels *kernels, jm_op_id op, jm_mlx_array *const *operands,
                           jm_mlx_array **results) JM_MUST_USE;

/* The lowering of such an op: builds its launches, an array for each operand in, a fresh one for
 * each result out. Nothing runs yet. */
jm_lower_fn jm_lower_kernels;

/* A result of a group is taken in this shape: the group's next runs give it that, if nobody asked
 * for another one before, so that nothing is to be reshaped. Other values are passed over. */
void jm_mlx_kernels_shape(jm_mlx_kernels *kernels, jm_value result, const int64_t *dims,
                          uint32_t rank);

#endif
