/* SPDX-License-Identifier: Apache-2.0
 * What a group's kernels gave on the device, compared with what the interpreter makes of the same
 * kernels: JAX_MPS_DEBUG=compare, and the check of a device that nobody verified. It finds what is
 * wrong below the kernel IR (printers, compilers, devices), not in schedules. Slow: everything is
 * fetched, and the interpreter takes one scalar after the other.
 *
 * Results are to be equal bit for bit (0 ulp), for kernels use no function whose rounding is the
 * device's. A NaN is a NaN; where the target's device may take subnormal numbers for zero, they
 * are zero. */
#ifndef JM_ENGINE_MLX_COMPARE_H
#define JM_ENGINE_MLX_COMPARE_H

#include "engine/mlx/bridge.h"
#include "kernel/schedule/groups.h"

/* operands, results: the op's arrays. INTERNAL names the first result that differs, its element,
 * the group's ops and the source line. */
jm_error *jm_mlx_compare(const jm_mlx_api *api, bool flushes, const jm_module *module,
                         const jm_group_code *group, jm_mlx_array *const *operands,
                         jm_mlx_array *const *results) JM_MUST_USE;

#endif
