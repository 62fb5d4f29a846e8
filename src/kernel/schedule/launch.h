/* SPDX-License-Identifier: Apache-2.0
 * A launch under construction: its kernel, the bindings of its parameters, and the loops that
 * divide work among chunks and lanes. All schedules build their launches with it, and only
 * jm_launch_loop decides how lanes are bound. Private to kernel/schedule.
 *
 * Errors are the kernel builder's: sticky, reported by jm_launch_end. */
#ifndef JM_KERNEL_SCHEDULE_LAUNCH_H
#define JM_KERNEL_SCHEDULE_LAUNCH_H

#include "kernel/schedule/scheduler.h"

typedef struct jm_launch_builder {
  jm_scheduler *s;
  jm_kbuilder *b;
  jm_emit *e;
  jm_launch_argument *arguments;
  uint32_t n_arguments, capacity;
  size_t scratch_bytes;
  double flops; /* of one point, about */
  /* How vector loops are shaped: an iteration fills so many registers, of elements of these bytes.
   */
  uint32_t registers, element_bytes;
  bool exact;       /* widths that divide a loop's iterations are preferred */
  uint32_t threads; /* lanes of a group, 1: lanes are those of vectors */
  bool whole;       /* the launch has several maps, of few points: they are not cut into chunks */
} jm_launch_builder;

/* The role of a value in pulling: later ones replace earlier ones. */
typedef enum jm_pull {
  JM_PULL_NONE,
  JM_PULL_WANTED, /* pulled from its op, or an operand */
  JM_PULL_LEAF,   /* a leaf of the schedule's own: its producers are not pulled through it */
} jm_pull;

jm_error *jm_launch_begin(jm_scheduler *s, jm_launch_builder *l) JM_MUST_USE;
/* Destroys the builder; appends the launch to the schedule if there was no error. */
jm_error *jm_launch_end(jm_launch_builder *l) JM_MUST_USE;

/* -- parameters. Operands and results of one alias class are declared before any load or store. */

/* jm_launch_pull stops at v. */
void jm_launch_stop(jm_launch_builder *l, jm_value v);
/* Declares the operands of the group that pulling these values needs, and sums the work of the ops
 * on the path, which decides the shape of vector loops. Call once. */
void jm_launch_pull(jm_launch_builder *l, const jm_value *values, uint32_t n);
/* Parameters: of operand i, of result i of the group, of a temporary, of scratch memory. */
uint32_t jm_launch_operand(jm_launch_builder *l, uint32_t i);
uint32_t jm_launch_result(jm_launch_builder *l, uint32_t i);
uint32_t jm_launch_temporary(jm_launch_builder *l, uint32_t i, jm_dtype dtype, int64_t elements,
                             bool written);
uint32_t jm_launch_scratch(jm_launch_builder *l, jm_dtype dtype, int64_t elements);
/* The same of a list of n rows (schedule.h), of type s32. */
uint32_t jm_launch_rows(jm_launch_builder *l, int64_t n);
/* The bytes that jm_launch_scratch would take of target->scratch_bytes. */
size_t jm_launch_scratch_bytes(jm_dtype dtype, int64_t elements);

/* -- lanes */

/* Where lanes are threads: a group of as many as have per_lane iterations each. All threads loops
 * of a launch have one width: call once, before the first. */
void jm_launch_threads(jm_launch_builder *l, int64_t iterations, int64_t per_lane);
/* Lanes for a loop of this many iterations. */
uint32_t jm_launch_width(const jm_launch_builder *l, int64_t iterations);
/* Opens a loop whose iterations are independent except for carries, which start from neutral
 * values; width 1: no lanes, one iteration after the other. Threads run it with all lanes. */
void jm_launch_loop(jm_launch_builder *l, uint32_t width, jm_kval lower, jm_kval upper,
                    const jm_kval *initial, uint32_t n, jm_kloop *loop);
/* The same in the lanes of jm_launch_width(l, most); most: iterations, at most. */
void jm_launch_lanes(jm_launch_builder *l, jm_kval lower, jm_kval upper, int64_t most,
                     const jm_kval *initial, uint32_t n, jm_kloop *loop);

/* -- chunks */

typedef struct jm_launch_chunks {
  jm_kloop loop, inner;
  bool open, nested; /* nested: an iteration of the chunk loop runs several chunks, in order */
} jm_launch_chunks;

/* Opens the chunk loop over `chunks` of this many points, if there is more than one; the number of
 * the chunk. */
jm_kval jm_launch_chunk(jm_launch_builder *l, int64_t chunks, double points, jm_launch_chunks *out);
void jm_launch_chunk_end(jm_launch_builder *l, jm_launch_chunks *chunks);
/* [lower, upper) of block number i of [0, count) in steps of size. */
void jm_launch_block(jm_launch_builder *l, jm_kval i, int64_t size, int64_t count, jm_kval *lower,
                     jm_kval *upper);
/* The estimated time of this many points on one worker. */
double jm_launch_estimate_ns(const jm_launch_builder *l, double points);

static inline jm_kval jm_launch_add(jm_launch_builder *l, jm_kval x, jm_kval y) {
  return jm_k_iadd(l->b, x, y);
}
static inline jm_kval jm_launch_scale(jm_launch_builder *l, jm_kval x, int64_t factor) {
  return jm_k_imul(l->b, x, jm_kbuild_index(l->b, factor));
}

/* -- maps (launch_map.c) */

/* Runs body(context, x, point) for every point of the axes, once, in chunks and lanes: x has a
 * position for each axis, point is the number in row-major order. */
typedef void jm_launch_body(void *context, jm_launch_builder *l, const jm_kval *x, jm_kval point);
/* cuts: of each axis, where loops over it should be cut (cuts.h); NULL: nowhere. */
typedef struct jm_cuts jm_cuts;
void jm_launch_map(jm_launch_builder *l, const jm_axes *axes, const jm_cuts *cuts,
                   jm_launch_body *body, void *context);

#endif
