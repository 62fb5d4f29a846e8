/* SPDX-License-Identifier: Apache-2.0
 * Groups of ops that MLX has one function for: softmax, attention, the logistic function as it is
 * spelled out. A group is found by its last op when a program is made ready; it runs at that op's
 * place, and the others, which nobody else looks at, don't run at all. Not a rewrite: the module
 * stays as it is. */
#ifndef JM_ENGINE_MLX_FUSE_H
#define JM_ENGINE_MLX_FUSE_H

#include "engine/mlx/lower.h"

/* What the lowering of a group is given. */
typedef struct jm_mlx_group {
  jm_lower_fn *lower;
  const jm_value *operands; /* what the group reads: the lowering's operands */
  uint32_t n_operands;
  const void *attrs; /* the group's own */
} jm_mlx_group;

typedef struct jm_mlx_groups {
  const jm_mlx_group **by_last; /* per op: the group that it ends, or NULL */
  bool *inside;                 /* per op: part of a group, and not its last */
} jm_mlx_groups;

/* All memory is the arena's. */
jm_error *jm_mlx_groups_find(const jm_module *module, bool is_gpu, jm_arena *arena,
                             jm_mlx_groups *out) JM_MUST_USE;

#endif
