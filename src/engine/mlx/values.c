/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/values.h"

#include "base/data.h"

jm_error *jm_mlx_block_create(void *data, size_t bytes, jm_mlx_block **out) {
  jm_mlx_block *block = jm_alloc(1, sizeof *block);
  if (!block) return jm_error_out_of_memory();
  *block = (jm_mlx_block){data, bytes, 1, !data};
  if (!data) block->data = jm_data_take(bytes);
  if (!block->data) {
    jm_free(block);
    return jm_error_out_of_memory();
  }
  *out = block;
  return NULL;
}

void jm_mlx_block_release(jm_mlx_block *block) {
  if (!block || --block->refs) return;
  if (block->owned) jm_data_give(block->data, block->bytes);
  jm_free(block);
}

jm_mlx_value jm_mlx_value_share(const jm_mlx_api *api, const jm_mlx_value *value) {
  if (value->array) api->array_retain(value->array);
  if (value->block) value->block->refs++;
  return *value;
}

void jm_mlx_value_drop(const jm_mlx_api *api, jm_mlx_value *value) {
  if (value->array) api->array_release(value->array);
  jm_mlx_block_release(value->block);
  *value = (jm_mlx_value){0};
}
