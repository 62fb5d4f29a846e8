/* SPDX-License-Identifier: Apache-2.0
 * A value of a running program: on the device, on the host, or on both. Host blocks are
 * reference-counted, so that passing a value to a loop's body copies nothing. Used by the engine's
 * thread alone. */
#ifndef JM_ENGINE_MLX_VALUES_H
#define JM_ENGINE_MLX_VALUES_H

#include "engine/mlx/bridge.h"
#include "ir/module.h"

typedef struct jm_mlx_block {
  void *data;
  size_t bytes;
  int refs;
  bool owned; /* false: the caller's memory, read only */
} jm_mlx_block;

typedef struct jm_mlx_value {
  const jm_type *type;
  jm_mlx_array *array; /* the type's elements in order, of any shape; NULL: only on the host */
  jm_mlx_block *block; /* NULL: only on the device */
} jm_mlx_value;

/* A block with fresh memory (data NULL), or around the caller's. */
jm_error *jm_mlx_block_create(void *data, size_t bytes, jm_mlx_block **out) JM_MUST_USE;
void jm_mlx_block_release(jm_mlx_block *block); /* NULL is allowed */

/* Another reference to the same value. */
jm_mlx_value jm_mlx_value_share(const jm_mlx_api *api, const jm_mlx_value *value);
void jm_mlx_value_drop(const jm_mlx_api *api, jm_mlx_value *value); /* and clears it */

#endif
