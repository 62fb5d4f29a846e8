/* SPDX-License-Identifier: Apache-2.0
 * The predefined targets. target.h says what each number means; here is the reason for its value.
 */
#include "kernel/ir/target.h"

#include <string.h>

/* A worker is a core with caches of its own. These numbers were measured on x86-64 and arm64
 * servers; most of them have a wide optimum. */
const jm_target jm_target_host = {
    .name = "host",
    .lanes = JM_BIND_VECTOR,
    .vector_bytes = 32,
    .threads = 1,
    .least_threads = 1,
    .max_groups = INT64_MAX,
    .max_size = INT64_MAX,
    .scratch_bytes = 512 << 10, /* half of the second cache; the other half is for what is read */
    .kept_bytes = 512 << 10,
    .stream_bytes = 32 << 20,  /* of the last cache */
    .max_buffers = UINT32_MAX, /* they come in an array */
    .fma = true,
    .has_f64 = true,
    .may_alias = true,
    .has_kernels = true,
    .has_loops = true,
    .vector = {.unroll_flops = {40, 600}, /* beyond, the registers of a point itself are many */
               .least_lanes = 4,
               .exact_vectors = 8,
               .least_overlap = 3},
    .chunk = {.points = 16 << 10, /* some microseconds */
              .few = 4 << 10,
              .least = 512, /* whole vectors of every width */
              .enough =
                  16, /* some for each of a few cores, so that one that is slow matters little */
              .expensive_ns = 4000,
              .worker_ns = 8000}, /* handing work over takes about one microsecond */
    .map = {.short_axis = 8,      /* half a vector at best */
            .long_axis = 0,
            .max_pieces = 8,
            .max_flops = 400}, /* milliseconds of compile time */
    .row = {.inline_points = 8,
            .few = 16, /* as many as `enough` */
            .long_points = 64 << 10,
            .short_points = 16, /* below, combining lanes costs as much */
            .lane_rows = 128,   /* two of the widest vectors of bytes */
            .lane_points = 0,
            .keep_flops = 8, /* about what a store and a load from the cache take */
            .load_flops = 1,
            .end_flops = 16, /* one by one they wait for each other; fewer do so behind a row */
            .block = 32 << 10,
            .terms = 64},               /* combining lanes once for so many is hardly seen */
    .column = {.accumulators = 4 << 10, /* 16 KiB of f32: half of the first cache */
               .strip = 8,              /* rows: a load and a store of accumulators for each */
               .least_line = 256,       /* shorter lines waste the prefetcher's start */
               .max_line = 2048,
               .row_block = 64,
               .block = 64 << 10,
               .narrow = 64, /* four of the widest vectors of f32 */
               .serial_blocks = INT64_MAX},
    .tile = {.edge = 64, /* 16 KiB of f32: half of the first cache */
             .least = 8,
             .padding = 16, /* lines begin where vectors do, and in different sets of a cache */
             .few = 4 << 10},
    .scatter = {.least_row = 8, /* half a vector at best */
                .least_rows = 64,
                .max_flops = 40 /* two to three times as long as the update's way to memory */},
    .loop = {.work = 64 << 10, /* more is shared by threads, as steps of a plan */
             .products = 16 << 10,
             .constants = 256,
             .transposed = 64 << 10, /* 256 KiB of f32: stays in the second cache */
             .scratch_bytes = 32 << 10,
             .again_flops = 4,
             .store_flops = 400,
             .least_row = 8,
             .max_cuts = 4,
             .max_pieces = 16,
             .max_ops = 1500, /* a second of compile time, at worst */
             .max_flops = 40000},
    .stack = {.bytes = 64 << 20,
              .macs = 4e6, /* 160 in each dimension */
              .mac_ns = 0.01},
    .slices = {.least = 4 << 20, /* the second cache, a few times */
               .least_product = 1 << 20,
               .most = 4 << 20, /* of which a step needs a part */
               .good = 1 << 20, /* the second cache */
               .small = 512 << 10,
               .least_rows = 64,
               .shared = 1.25,
               .enough = 32},
    .group = {.weight = 200,       /* compile time grows faster than the code */
              .product = 1024,     /* half a microsecond, as that of a call of the library */
              .small_product = 64, /* 40 ns, as the library takes to begin one; */
              .ordered_product = 512,
              .narrow_product = 4, /* the library pairs or converts them first */
              .product_terms = 32, /* beyond, they are added up in vectors as fast */
              .row_product = 16,
              .moved_weight = 250,
              .op_flops = 10,
              .max_buffers = 28, /* addresses stay in registers and on one page of the stack */
              .tiny = 256,
              .siblings = 1024,
              .few = 64,
              .expensive_flops = 12,
              .cheap_flops = 4},
    .cost = {.flop_ns = 0.04, /* of a core, in a vector loop */
             .point_ns = 0.15,
             .byte_ns = 0.05, /* through a cache */
             .launch_ns = 500},
    .product =
        {.gain = 64 << 10, .least_group = 32, .line = 64, .block = 32 << 10, .near = 2, .far = 4},
    .reads_reversed = true,
};

#define BIT(dtype) (UINT64_C(1) << JM_DT_##dtype)
#define MLX_DTYPES                                                                        \
  (BIT(pred) | BIT(u8) | BIT(u16) | BIT(u32) | BIT(u64) | BIT(s8) | BIT(s16) | BIT(s32) | \
   BIT(s64) | BIT(f16) | BIT(bf16) | BIT(f32) | BIT(c64))

/* A worker is a group of threads, and hundreds of groups run at once. Shared memory and registers
 * bound how many: 256 threads fit whatever registers a kernel takes. What a GPU's number is of is
 * the whole device, where the host's is of one core: there a launch waits for the one before. */
#define GPU_SHAPES                                                                               \
  .lanes = JM_BIND_THREADS, .vector_bytes = 16 /* of a load that is worth being wide */,         \
  .threads = 256, .least_threads = 32 /* SIMD groups, warps */,                                  \
  .max_groups = INT32_MAX / 256 /* MLX counts threads in ints */, .fma = true,                   \
  .max_size = INT32_MAX, .dtypes = MLX_DTYPES,                                                   \
  .may_alias = false /* MLX allocates every output */, .has_kernels = true,                      \
  .has_loops = false /* one lane has a hundredth of a core's speed */,                           \
  .vector = {{0, 0}, 0, 0, 0}, /* vector loops only */                                           \
      .map = {.short_axis = 0, .long_axis = 4096, .max_pieces = 1, .max_flops = 0},              \
  .row = {.inline_points = 8,                                                                    \
          .few = 64,                                                                             \
          .long_points = 32 << 10,                                                               \
          .short_points = 32, /* most lanes of the smallest group would have no point */         \
          .lane_rows = 128,                                                                      \
          .lane_points = 8, /* combining lanes takes about as long as some points do */          \
          .keep_flops = 8,                                                                       \
          .load_flops = 8, /* shared memory is nearer than the cache */                          \
          .block = 2048 /* `lane_points` of each lane */,                                        \
          .terms = 0 /* the lanes are many, and their points few */},                            \
  .column = {.accumulators = 256, /* a lane each */                                              \
             .strip = 1,                                                                         \
             .least_line = 0,                                                                    \
             .max_line = 0,                                                                      \
             .row_block = 16,                                                                    \
             .block = 0,                                                                         \
             .serial_blocks = 32},                                                               \
  .tile = {.edge = 32 /* 128 bytes of f32: a line */, .least = 8, .padding = 1, .few = 4 << 10}, \
  .group = {.weight = 200,                                                                       \
            .moved_weight = 200,                                                                 \
            .op_flops = 10,                                                                      \
            .max_buffers = 23, /* with 8 partial results (JM_FOLD_PARTS) 31: Metal's limit */    \
            .tiny = 1024,                                                                        \
            .siblings = 1024,                                                                    \
            .few = 64,                                                                           \
            .expensive_flops = 100, /* else the costs decide: operations are nearly free */      \
            .cheap_flops = 4}

/* Loops of independent rows. What several lanes ask for is stored in shared memory at once, unless
 * it is no more than a load or two. */
#define LOOP_SHAPES                                                                     \
  .constants = 256, .transposed = 0, .scratch_bytes = 16 << 10, .again_flops = 2,       \
  .store_flops = 400, .least_row = 32, .max_cuts = 0, .max_pieces = 1, .max_ops = 1500, \
  .max_flops = 40000, .max_ns = 2e8 /* a fifth of a second; the watchdog bites after two */

const jm_target jm_target_metal = {
    .name = "metal",
    GPU_SHAPES,
    .scratch_bytes = 32 << 10, /* of threadgroup memory */
    .kept_bytes = 16 << 10,    /* the rest is for carries: 8 of 8 bytes of each thread */
    .max_buffers = 31,
    .has_f64 = false,
    .orders_convolutions = true,
    .multiplies_dilation = true,
    .chunk = {.points = 1024, .few = 1024, .least = 256, .enough = 256},
    .loop = {LOOP_SHAPES, .resident = 16 << 10 /* 1,024 of each of a few cores */, .lane_ns = 4,
             .barrier_ns = 100, .read_ns = 1e-3},
    .cost =
        {.flop_ns = 4e-4, .point_ns = 4e-4, .byte_ns = 0.005, .launch_ns = 2500, .overlaps = true},
};

const jm_target jm_target_cuda = {
    .name = "cuda",
    GPU_SHAPES,
    .scratch_bytes = 48 << 10, /* without opting in to more */
    .kept_bytes = 32 << 10,
    .max_buffers = 256, /* parameters of a kernel are 4 KiB */
    .has_f64 = true,
    .records_runs = true,
    .rounds_to_tf32 = true, /* MLX decides once per process */
    .orders_convolutions = true,
    .multiplies_dilation = true,
    .chunk = {.points = 1024, .few = 1024, .least = 256, .enough = 1024},
    .loop = {LOOP_SHAPES, .resident = 128 << 10 /* 1,024 of each of 132 multiprocessors */,
             .lane_ns = 4, .barrier_ns = 50, .read_ns = 2e-4},
    .cost =
        {.flop_ns = 5e-5, .point_ns = 5e-5, .byte_ns = 4e-4, .launch_ns = 2500, .overlaps = true},
};

static const struct {
  const char *name;
  const jm_target *target;
  uint32_t vector_bytes; /* of a host; 0: as it is */
  bool fma, scales;
} targets[] = {
    {"host", &jm_target_host, 0, true, false},
    {"x86-64-v2", &jm_target_host, 16, false, false},
    {"x86-64-v3", &jm_target_host, 32, true, false},
    {"x86-64-v4", &jm_target_host, 64, true, true},
    {"arm64", &jm_target_host, 16, true, false},
    {"metal", &jm_target_metal, 0, true, false},
    {"cuda", &jm_target_cuda, 0, true, false},
};
enum { N_TARGETS = sizeof targets / sizeof *targets };

jm_error *jm_target_find(const char *name, size_t size, jm_target *out) {
  for (uint32_t i = 0; i < N_TARGETS; i++) {
    if (strlen(targets[i].name) != size || memcmp(targets[i].name, name, size)) continue;
    *out = *targets[i].target;
    out->name = targets[i].name;
    out->fma = targets[i].fma;
    out->scales = targets[i].scales;
    if (targets[i].vector_bytes) out->vector_bytes = targets[i].vector_bytes;
    return NULL;
  }
  jm_text names;
  jm_text_init(&names);
  for (uint32_t i = 0; i < N_TARGETS; i++) jm_text_printf(&names, " %s", targets[i].name);
  jm_error *error = jm_error_create(JM_NOT_FOUND, "no target is named %.*s; there are:%s",
                                    (int)size, name, jm_text_bytes(&names));
  jm_text_deinit(&names);
  return error;
}
