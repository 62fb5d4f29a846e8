/* SPDX-License-Identifier: Apache-2.0
 * What runs each op of a module on a device: a group's kernels, the user's kernel, a primitive's
 * lowering, or the host. Decided from the module and the kind of device alone, so that it can be
 * asked and printed without one. */
#ifndef JM_ENGINE_MLX_CODES_H
#define JM_ENGINE_MLX_CODES_H

#include "engine/engine.h"
#include "engine/mlx/lower.h"
#include "kernel/print/c.h"
#include "kernel/schedule/groups.h"

/* What runs an op. */
typedef struct jm_mlx_code {
  jm_step_code base;
  jm_lower_fn *lower;         /* NULL: MLX has none, the op runs on the host */
  bool device_only;           /* the host has nothing that runs it */
  bool is_collective;         /* on the device where that has collectives of its own */
  const jm_group_code *group; /* NULL: it is none */
} jm_mlx_code;

/* One per op of the module, in the arena. UNIMPLEMENTED if an op can run neither on MLX nor on the
 * host. groups: NULL, there are none. */
jm_error *jm_mlx_codes_build(const jm_module *module, const jm_groups *groups, jm_arena *arena,
                             jm_mlx_code **out) JM_MUST_USE;

/* For people: the launches of such an op, with bytes and source; see jm_backend.print_code. */
void jm_mlx_code_print(const jm_mlx_code *code, const jm_c_dialect *dialect,
                       const jm_module *module, const jm_op *op, uint32_t depth, jm_text *text);

#endif
