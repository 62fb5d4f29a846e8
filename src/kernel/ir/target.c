/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/ir/target.h"

#include <string.h>

#define BIT(dtype) (UINT64_C(1) << JM_DT_##dtype)
#define MLX_DTYPES                                                                        \
  (BIT(pred) | BIT(u8) | BIT(u16) | BIT(u32) | BIT(u64) | BIT(s8) | BIT(s16) | BIT(s32) | \
   BIT(s64) | BIT(f16) | BIT(bf16) | BIT(f32) | BIT(c64))

/* 256 lanes with some registers each fill a multiprocessor of either maker. A chunk is what makes a
 * lane's own overhead small, a row block what leaves some hundred groups of a million points. */
#define GPU(title, shared, buffers_, f64, tf32)                                                   \
  {                                                                                               \
      .name = title,                                                                              \
      .vector_bytes = 16,                                                                         \
      .threads = 256,                                                                             \
      .least_threads = 32,                                                                        \
      .max_groups = (INT64_C(1) << 31) / 1024 - 1, /* MLX counts threads in int */                \
      .scratch_bytes = shared,                                                                    \
      .kept_bytes = shared / 2, /* the rest: what carries are combined through, tiles */          \
      .may_alias = false,                                                                         \
      .max_buffers = buffers_,                                                                    \
      .fma = true,                                                                                \
      .has_f64 = f64,                                                                             \
      .dtypes = MLX_DTYPES,                                                                       \
      .has_kernels = true,                                                                        \
      .has_loops = false,                                                                         \
      .size = {.chunk = 1024,                                                                     \
               .least_chunk = 256,                                                                \
               .few = 256,                                                                        \
               .tiny = 256,                                                                       \
               .short_axis = 1,                                                                   \
               .short_row = 16,                                                                   \
               .lane_rows = 128,                                                                  \
               .long_row = 64 << 10,                                                              \
               .few_rows = 64,                                                                    \
               .row_block = 8 << 10,                                                              \
               .columns = 256,                                                                    \
               .strip = 1,                                                                        \
               .least_line = 0,                                                                   \
               .most_line = INT64_MAX,                                                            \
               .column_block = 64,                                                                \
               .enough_chunks = 512,                                                              \
               .tile = 32,                                                                        \
               .tile_padding = 1},                                                                \
      .cost = {.point = 0.15,                                                                     \
               .flop = 0.04,                                                                      \
               .byte = 0.05,                                                                      \
               .step = 5000,                                                                      \
               .thread = 8000,                                                                    \
               .chunk = 4000,                                                                     \
               .kept_flops = 8,                                                                   \
               .repeat_flops = 40},                                                               \
      .group =                                                                                    \
          {.weight = 200, .buffers = 26, .tiny = 256, .few = 64, .map_pieces = 1, .map_code = 0}, \
      .rounds_to_tf32 = tf32,                                                                     \
      .multiplies_dilation = true,                                                                \
  }

const jm_target jm_target_host = JM_TARGET_HOST("host", 32, true, 512 << 10);
const jm_target jm_target_metal = GPU("metal", 32 << 10, 31, false, false);
const jm_target jm_target_cuda = GPU("cuda", 48 << 10, 400, true, true);

static const jm_target processors[] = {
    JM_TARGET_HOST("x86-64-v2", 16, false, 512 << 10),
    JM_TARGET_HOST("x86-64-v3", 32, true, 512 << 10),
    JM_TARGET_HOST("x86-64-v4", 64, true, 512 << 10),
    JM_TARGET_HOST("arm64", 16, true, 512 << 10),
};

const jm_target *jm_target_find(const char *name) {
  const jm_target *const named[] = {&jm_target_host, &jm_target_metal, &jm_target_cuda};
  for (size_t i = 0; i < sizeof named / sizeof *named; i++)
    if (!strcmp(named[i]->name, name)) return named[i];
  for (size_t i = 0; i < sizeof processors / sizeof *processors; i++)
    if (!strcmp(processors[i].name, name)) return &processors[i];
  return NULL;
}
