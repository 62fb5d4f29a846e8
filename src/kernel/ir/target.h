/* SPDX-License-Identifier: Apache-2.0
 * The machine that runs kernels, as far as the compiler knows it: plain numbers, no behaviour.
 * Grouping, schedules and printers ask here and nowhere else, so that a program can be compiled for
 * a machine that is not at hand. What is not here: limits of our own data structures (ranks,
 * levels, arrays), which are enums beside them.
 *
 * How the numbers were found: those of the host by timing JAX's CPU backend's table (make bench) on
 * x86-64 with AVX2 and AVX-512; those of the GPUs from the vendors' documents (occupancy, shared
 * memory, parameters of a kernel) and, for cuda, runs on an H200. */
#ifndef JM_KERNEL_IR_TARGET_H
#define JM_KERNEL_IR_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"

typedef struct jm_target {
  const char *name; /* "host", "metal", "cuda" */

  /* Lanes. A loop's lanes are those of vectors, or with threads > 1 those of a cooperating group.
   */
  uint32_t vector_bytes;  /* of one register as schedules should use it: 16, 32 or 64 */
  uint32_t threads;       /* lanes of a group, a power of two; 1: no groups */
  uint32_t least_threads; /* lanes that cost as much as one: a warp, a SIMD group */
  int64_t max_groups;     /* of a launch */

  /* Memory. */
  size_t scratch_bytes; /* at most, of one worker's scratch memory, of a group's shared memory */
  size_t kept_bytes;    /* of scratch memory in which values of a row are kept between passes */
  bool may_alias;       /* a result may be made in the memory of an operand */
  uint32_t max_buffers; /* parameters of a kernel */

  /* Arithmetic. */
  bool fma;         /* fused multiply-add in hardware */
  bool has_f64;     /* in kernels, also inside of functions of f32 */
  uint64_t dtypes;  /* bit 1 << jm_dtype: of the arrays that kernels may have; 0: all */
  bool has_kernels; /* groups of ops are compiled at all */
  bool has_loops;   /* a whole `while` may be one kernel */

  /* Sizes, in points (elements of a loop nest) unless something else is said. */
  struct {
    int64_t chunk;       /* one chunk iteration, about */
    int64_t least_chunk; /* at least, where points are expensive */
    int64_t few;         /* that need no chunk loop */
    int64_t tiny;        /* of all results of a map: one launch for all of them */
    int64_t short_axis;  /* an innermost axis below this is no lane axis if there is a better one */
    int64_t short_row;   /* shorter rows: a lane takes a row, not a point of one, */
    int64_t lane_rows;   /* so many rows from one scratch memory */
    int64_t long_row;    /* of a row: above this, few rows are too little to share */
    int64_t few_rows;    /* fewer rows than this are few */
    int64_t row_block;   /* of a block of a long row */
    int64_t columns;     /* accumulators of one chunk of columns */
    int64_t strip;       /* rows that are added up before they join the accumulators */
    int64_t least_line, most_line; /* columns of a line that is read in order, one row at a time */
    int64_t column_block;          /* rows of a block of columns, at least */
    int64_t enough_chunks;         /* make cutting rows needless */
    int64_t tile;                  /* of both axes of a transpose, elements of 4 bytes */
    int64_t tile_padding; /* elements between a tile's rows: columns use all banks or sets */
  } size;

  /* Costs of one core, in nanoseconds: they decide what is repeated rather than stored, and how
   * much work a thread gets. */
  struct {
    double point, flop;  /* of one point of a loop nest; of one of its operations */
    double byte;         /* written and read again, through a cache */
    double step;         /* of one more step of a plan */
    double thread;       /* of work that is worth a thread: most are awake (base/parallel.c) */
    double chunk;        /* of a map's chunk of expensive points */
    double kept_flops;   /* operations, from which on a row's value is kept and not made again */
    double repeat_flops; /* an op with so many is never repeated over more than a few elements */
  } cost;

  /* Grouping. */
  struct {
    double weight;       /* code of a group, in ops: bounds the time of compiling */
    uint32_t buffers;    /* operands and results of a group */
    int64_t tiny, few;   /* points: of results of several shapes; that may be repeated at will */
    uint32_t map_pieces; /* loops that one is cut into, */
    double map_code;     /* and operations in all of them */
  } group;

  /* Of the library that runs products there: rounds operands of f32 to TF32; multiplies the zeros
   * between the elements of a convolution's dilated input. */
  bool rounds_to_tf32, multiplies_dilation;
} jm_target;

/* A host, as an initializer: vector: bytes; scratch: bytes, half of the second cache. */
#define JM_TARGET_HOST(title, vector, has_fma, scratch)                           \
  {                                                                               \
      .name = title,                                                              \
      .vector_bytes = vector,                                                     \
      .threads = 1,                                                               \
      .least_threads = 1,                                                         \
      .max_groups = INT64_MAX,                                                    \
      .scratch_bytes = scratch,                                                   \
      .kept_bytes = scratch,                                                      \
      .may_alias = true,                                                          \
      .max_buffers = UINT32_MAX,                                                  \
      .fma = has_fma,                                                             \
      .has_f64 = true,                                                            \
      .has_kernels = true,                                                        \
      .has_loops = true,                                                          \
      .size = {.chunk = 16 << 10,                                                 \
               .least_chunk = 512,                                                \
               .few = 4 << 10,                                                    \
               .tiny = 256,                                                       \
               .short_axis = 8,                                                   \
               .short_row = 16,                                                   \
               .lane_rows = 128,                                                  \
               .long_row = 64 << 10,                                              \
               .few_rows = 16,                                                    \
               .row_block = 32 << 10,                                             \
               .columns = 4 << 10,                                                \
               .strip = 8,                                                        \
               .least_line = 256,                                                 \
               .most_line = 2048, /* accumulators that stay in the first cache */ \
               .column_block = 64,                                                \
               .enough_chunks = 16,                                               \
               .tile = 64,                                                        \
               .tile_padding = 1},                                                \
      .cost = {.point = 0.15,                                                     \
               .flop = 0.04,                                                      \
               .byte = 0.05,                                                      \
               .step = 500,                                                       \
               .thread = 8000,                                                    \
               .chunk = 4000,                                                     \
               .kept_flops = 8,                                                   \
               .repeat_flops = 12},                                               \
      .group = {.weight = 200,                                                    \
                .buffers = 28,                                                    \
                .tiny = 256,                                                      \
                .few = 64,                                                        \
                .map_pieces = 8,                                                  \
                .map_code = 400},                                                 \
  }

/* A host with 32-byte vectors and the caches of a common core. engine/host/jit.c copies it and
 * fills in the processor at hand. */
extern const jm_target jm_target_host;
/* GPUs, through MLX: outputs are fresh arrays, the element types are MLX's. */
extern const jm_target jm_target_metal, jm_target_cuda;

/* One of them by name, NULL: there is none. "x86-64-v2", "-v3", "-v4" and "arm64" are hosts with
 * vectors of 16, 32, 64 and 16 bytes. */
const jm_target *jm_target_find(const char *name);

static inline bool jm_target_holds(const jm_target *target, jm_dtype dtype) {
  return !target->dtypes || (target->dtypes >> dtype & 1);
}

#endif
