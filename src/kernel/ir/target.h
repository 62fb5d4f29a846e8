/* SPDX-License-Identifier: Apache-2.0
 * The description of the machine that runs kernels: plain numbers, no behaviour. It is the only
 * place where grouping, schedules and printers find facts of a machine, so that a program can be
 * compiled for a machine that is not present. scripts/check_numbers.py refuses such numbers
 * elsewhere.
 *
 * A point is an element of the space that a kernel's loops run over. Costs decide between two ways
 * to compute the same; they are orders of magnitude, not predictions. */
#ifndef JM_KERNEL_IR_TARGET_H
#define JM_KERNEL_IR_TARGET_H

#include "base/dtype.h"
#include "kernel/ir/kernel.h"

typedef struct jm_target {
  const char *name; /* "host", "metal", "cuda": in messages and in keys of caches */

  /* -- what the machine has */
  jm_kbinding lanes;     /* of loops with independent iterations: JM_BIND_VECTOR, JM_BIND_THREADS */
  uint32_t vector_bytes; /* of one register as schedules should use it: 16, 32 or 64 */
  uint32_t threads;      /* of a group, at most: a power of two; 1 where lanes are vectors */
  uint32_t least_threads; /* of a group, at least: that many run in lockstep anyway */
  int64_t max_groups;     /* of a launch, and iterations of a chunk loop: APIs count in ints */
  size_t scratch_bytes;   /* at most: what stays in a core's cache; a group's shared memory */
  size_t kept_bytes;      /* of it for the values of rows that later passes read again */
  size_t stream_bytes;    /* a kernel that touches so much writes past the caches; 0: none does */
  uint32_t max_buffers;   /* GLOBAL parameters of a kernel, at most */
  bool fma;               /* fused multiply-add in hardware */
  bool scales;            /* a float by a power of two in one instruction (AVX-512's vscalef) */
  bool has_f64;           /* else a kernel has no instruction on doubles */
  int64_t max_size;       /* of a dimension of an array */
  uint64_t dtypes;        /* of kernels' operands and results: bits 1 << jm_dtype; 0: all */
  bool may_alias;         /* a result may lie in the memory of an operand */
  bool has_kernels;       /* groups of ops are compiled at all */
  bool records_runs;      /* a program's launches are recorded, and repeated with other arguments:
                             what the host computed from them would be out of date */
  bool has_loops;         /* one lane is fast enough to run a whole `while` as one kernel */

  /* -- how vector loops are shaped */
  struct {
    double unroll_flops[2]; /* operations of a point up to which an iteration fills 4 registers, and
                               2: independent registers hide the latency of instructions */
    uint32_t least_lanes;   /* shorter remainders of a loop run one by one */
    int64_t exact_vectors;  /* a loop of fewer vectors takes a narrower width that divides it */
    int64_t least_overlap;  /* a remainder from here on is one more vector that overlaps the last */
  } vector;

  /* -- how work is divided among the threads of a CPU, the groups of a GPU */
  struct {
    int64_t points;      /* of a chunk iteration, about: its overhead is small then */
    int64_t few;         /* points that need no chunk loop: one worker is done before others wake */
    int64_t least;       /* points of a chunk, however expensive they are */
    int64_t enough;      /* chunks that keep all workers busy */
    double expensive_ns; /* a chunk of expensive points shrinks to this; 0: only to have enough */
    double worker_ns;    /* work that is worth waking a worker for; most spin (base/parallel.c) */
  } chunk;

  /* -- maps (schedule_map.c) */
  struct {
    int64_t short_axis;  /* an innermost axis below this has no lanes if there is a better one */
    int64_t long_axis;   /* THREADS: lanes run along an axis from here on, else over all points */
    uint32_t max_pieces; /* loops that one is cut into, where what it reads changes its form, */
    double max_flops;    /* and operations in all of them: they are code */
  } map;

  /* -- rows (schedule_row.c, cluster.c) and reductions of long rows (schedule_reduce.c) */
  struct {
    int64_t inline_points; /* a reduction of at most so many is computed where it is used */
    int64_t few;           /* rows: fewer of them, if they are long, leave workers without work */
    int64_t long_points;   /* of a long row */
    int64_t short_points;  /* below this a lane takes a whole row, */
    int64_t lane_rows;     /* if there are so many rows; so many share one scratch memory */
    int64_t lane_points;   /* THREADS: a group has a lane for so many points of a row */
    double keep_flops;     /* operations from which a value is kept for later passes, */
    double load_flops;     /* and as how many of them a load counts */
    double end_flops;      /* VECTOR: of what is computed once for a row, from which rows' ends are
                              computed in lanes after the rows */
    int64_t block;         /* points of a block of a long row that is cut; THREADS: at least */
    int64_t
        terms; /* of a float sum that a lane adds up in a row: rounding grows with them; 0: any */
  } row;

  /* -- reductions of columns (schedule_reduce.c) */
  struct {
    int64_t accumulators; /* of one chunk: they stay in the first cache, or are a group's lanes */
    int64_t strip;        /* rows that are summed in registers before they join accumulators */
    int64_t least_line;   /* columns of a line that is read in order, one row at a time, */
    int64_t max_line;     /* and accumulators of one: they stay in the first cache */
    int64_t row_block;    /* rows of a block, at least: of a lane, THREADS */
    int64_t block;        /* points of a block of rows and columns, about; THREADS: enough blocks */
    int64_t narrow; /* columns of a chunk, at least, that few expensive ones are divided into */
    int64_t serial_blocks; /* THREADS: more partial results of a point are combined by a group */
  } column;

  /* -- tiles of transposes (schedule_transpose.c) */
  struct {
    int64_t edge;    /* elements of up to 4 bytes along both sides; half of it for wider ones */
    int64_t least;   /* shorter axes are not worth tiles */
    int64_t padding; /* elements between a tile's rows, so that columns use all cache sets, or all
                        banks of shared memory */
    int64_t few;     /* fewer points are a map */
  } tile;

  /* -- rows of a scatter's updates that are computed where they are added (schedule_scatter.c) */
  struct {
    int64_t least_row;  /* elements of one, 0: no library asks for them; and */
    int64_t least_rows; /* how many there are, and rows of the result, at least */
    double max_flops;   /* of an element: many are better divided evenly, by a map */
  } scatter;

  /* -- whole loops as one kernel (loop_plan.c, schedule_loop*.c) */
  struct {
    int64_t work;         /* elements that an iteration touches, at most: it has one thread */
    int64_t products;     /* of one matrix product; a library is faster beyond */
    int64_t constants;    /* elements of a constant that code writes to memory */
    int64_t transposed;   /* elements of a matrix that is transposed before the loop */
    size_t scratch_bytes; /* of one value in scratch memory: more goes to a temporary */
    double again_flops;   /* operations that are done again rather than stored */
    double store_flops;   /* operations of a point from which a value is stored in any case:
                             compiling a block costs more than in proportion to its length */
    int64_t least_row;    /* elements of a row that is reduced in lanes */
    uint32_t max_cuts;    /* of an axis, */
    uint32_t max_pieces;  /* and loops that a nest is cut into */
    uint32_t max_ops;     /* of a loop, */
    double max_flops;     /* and operations that are written out: bounds of the compile time */
    /* of independent rows, a group each (rows_cost.c) */
    int64_t resident;  /* lanes that the device runs at once; 0: no such kernels */
    double lane_ns;    /* of one operation in one lane, its loads included */
    double barrier_ns; /* of a group's lanes waiting for each other */
    double read_ns;    /* of a byte that all rows read, from a cache of the device */
    double max_ns;     /* of a kernel: others wait for it, a watchdog among them */
  } loop;

  /* -- products of rows that become products of all rows of a loop (pass/stack.c) */
  struct {
    size_t bytes;  /* stacked for a loop, at most; 0: the target has no use for them */
    double macs;   /* of a product that is as fast as a larger one */
    double mac_ns; /* that a smaller one takes longer, for each multiplication */
  } stack;

  /* -- products of a batch that are done slice by slice (pass/slices.c) */
  struct {
    size_t least; /* bytes of values that are not in memory then; 0: the target walks no slices */
    size_t least_product; /* of them of the first product's result */
    size_t most;          /* bytes of the values of a slice of all rows, */
    size_t good;          /* down to which rows are cut, */
    size_t small;         /* and up to which slices of several products are made */
    int64_t least_rows;   /* of a slice, */
    double shared;        /* and bytes that such slices all read, for each byte of their values */
    int64_t enough;       /* slices that keep all threads busy */
  } slices;

  /* -- groups (pass/group*.c) */
  struct {
    double weight;          /* of the code, in ops: bounds the compile time of a kernel */
    double product;         /* multiplications of a product that is no step of its own, at most, */
    double small_product;   /* of each of a batch that is computed in lanes, at most, */
    double ordered_product; /* and if lanes read neighbours; */
    double narrow_product;  /* so many times as many of elements of less than 4 bytes; */
    double product_terms;   /* of these, at most; */
    double row_product;     /* and multiplications of each row of any product of fewer terms */
    double moved_weight;    /* with ops that only move elements: without them it loads as much */
    double op_flops;        /* operations that are as much code as one op */
    uint32_t max_buffers;   /* operands and results */
    int64_t tiny;           /* points of unrelated results that share a launch */
    int64_t siblings;       /* elements of an operand that groups are joined for: one reads it */
    int64_t few;            /* elements over which an expensive op may be repeated */
    double expensive_flops; /* of a point of an expensive op, */
    double cheap_flops;     /* and of one that is repeated wherever it is used */
  } group;

  /* -- costs: of one core of a CPU, of a whole GPU */
  struct {
    double flop_ns;   /* of one operation on one element, in lanes */
    double point_ns;  /* of a point, besides its operations */
    double byte_ns;   /* that is written and read again */
    double launch_ns; /* one more step of a plan */
    bool overlaps;    /* other lanes compute while some wait for memory: a kernel takes the longer
                         of both times, not their sum */
  } cost;

  /* -- the library that runs products there, */
  struct {
    int64_t gain;        /* bytes that another order of a result has to save; 0: it has no say */
    int64_t least_group; /* rows or columns that are read where they are */
    int64_t line;        /* bytes that are moved together as fast as all, */
    int64_t block;       /* and within which elements are brought to another order in the cache */
    double near, far;    /* times as long as copying: within such blocks, and elsewhere */
  } product;
  bool rounds_to_tf32;      /* operands of f32 are rounded to TF32 */
  bool orders_convolutions; /* their results are [batch, spatial..., feature]; others are copied */
  bool reads_reversed;      /* convolutions read reversed kernels without copying them first */
  bool multiplies_dilation; /* the zeros between the elements of a dilated input are multiplied */
} jm_target;

/* The CPU. A template: the jit fills in vector_bytes, fma and scratch_bytes of the machine. Its own
 * values are those of a common x86-64-v3. */
extern const jm_target jm_target_host;
/* An Apple GPU, and an NVIDIA GPU, through MLX: every result is a new buffer. */
extern const jm_target jm_target_metal, jm_target_cuda;

/* A target by its name: the three above, and hosts that need not be present, x86-64-v2, x86-64-v3,
 * x86-64-v4 and arm64. NOT_FOUND lists the names. */
jm_error *jm_target_find(const char *name, size_t size, jm_target *out) JM_MUST_USE;

static inline bool jm_target_holds(const jm_target *target, jm_dtype dtype) {
  return !target->dtypes || (target->dtypes >> dtype & 1);
}

#endif
