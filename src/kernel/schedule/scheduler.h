/* SPDX-License-Identifier: Apache-2.0
 * What the schedules share: the group being scheduled, launches being built, loops over axes.
 * Private to kernel/schedule*.c. */
#ifndef JM_KERNEL_SCHEDULE_SCHEDULER_H
#define JM_KERNEL_SCHEDULE_SCHEDULER_H

#include "kernel/emit/emit.h"
#include "kernel/schedule/axes.h"
#include "kernel/schedule/cluster.h"
#include "kernel/schedule/schedule.h"

typedef struct jm_scheduler {
  const jm_module *m;
  const jm_op *fusion;
  const jm_region *region; /* of the fusion; of its ops those that a result needs */
  jm_region live;
  const jm_target *target;
  jm_cluster cluster; /* the region's ops */
  uint32_t *breaks;   /* per value of the module, see axes.h */
  uint8_t *marks;     /* per value, of whoever uses them at the moment */
  jm_arena scratch;   /* for the time of building */
  jm_schedule *schedule;
  uint32_t *alias; /* per operand: the result that it shares memory with, JM_NONE */
} jm_scheduler;

/* Rows of the table in schedule.c: builds launches if the group fits; *fits stays false if not,
 * with nothing added. */
typedef jm_error *jm_schedule_fn(jm_scheduler *s, bool *fits);
jm_schedule_fn jm_schedule_map, jm_schedule_row, jm_schedule_reduce, jm_schedule_transpose;

/* -- a launch being built. Errors are the builder's: sticky, reported by jm_launcher_end. */
typedef struct jm_launcher {
  jm_scheduler *s;
  jm_kbuilder *b;
  jm_emit *e;
  jm_launch_argument *arguments;
  uint32_t n_arguments, capacity;
  double flops;                 /* of one point, about */
  double lane_work, lane_bytes; /* operations, and times the bytes they work on */
  uint32_t threads;             /* lanes of a group, 1: lanes are those of vectors */
} jm_launcher;

jm_error *jm_launcher_begin(jm_scheduler *s, jm_launcher *l) JM_MUST_USE;
/* Declares what of the group's operands pulling these values needs, marks the ops on the way
 * (s->marks) and weighs them; stops at values for which marks says 2 before. Call once, first. */
void jm_launcher_pull(jm_launcher *l, const jm_value *values, uint32_t n);
/* Parameters: of result i of the group, of a temporary, of scratch memory. */
uint32_t jm_launcher_result(jm_launcher *l, uint32_t i);
uint32_t jm_launcher_temporary(jm_launcher *l, uint32_t i, jm_dtype dtype, int64_t elements,
                               bool written);
uint32_t jm_launcher_scratch(jm_launcher *l, jm_dtype dtype, int64_t elements);
/* Destroys the launcher; appends the launch to the schedule if there was no error. */
jm_error *jm_launcher_end(jm_launcher *l) JM_MUST_USE;

/* A temporary of the schedule. */
jm_error *jm_scheduler_temporary(jm_scheduler *s, jm_dtype dtype, int64_t elements,
                                 uint32_t *out) JM_MUST_USE;

/* Lanes of a vector loop of this many iterations over what the launch computes. */
uint32_t jm_launcher_width(const jm_launcher *l, int64_t iterations);
/* Where the target has groups: so many lanes that each has this many of the iterations, if there
 * are enough. All threads loops of a launch have one width: call once, before the first. */
void jm_launcher_group(jm_launcher *l, int64_t iterations, int64_t per_lane);
/* Opens a loop whose iterations are independent except for carries, which start from what is
 * neutral: bound to vectors or to a group's threads. most: iterations, at most. Ended by
 * jm_kbuild_loop_end_combine if there are carries and jm_launcher_combines says so. */
void jm_launcher_lanes(jm_launcher *l, jm_kval lower, jm_kval upper, int64_t most,
                       const jm_kval *initial, uint32_t n, jm_kloop *loop);
/* Are there lanes whose carries are to be combined, in such a loop? */
bool jm_launcher_combines(const jm_launcher *l, int64_t most);
/* Chunk iterations of this many points that are worth a thread. */
int64_t jm_launcher_grain(const jm_launcher *l, double points);

/* Opens the chunk loop over `chunks`, if there is more than one; *open says so. */
jm_kval jm_launcher_chunk(jm_launcher *l, int64_t chunks, double points, jm_kloop *loop,
                          bool *open);
void jm_launcher_chunk_end(jm_launcher *l, jm_kloop *loop, bool open);
/* [lower, upper) of block number i of [0, count) in steps of size. */
void jm_launcher_block(jm_launcher *l, jm_kval i, int64_t size, int64_t count, jm_kval *lower,
                       jm_kval *upper);

static inline jm_kval jm_launcher_add(jm_launcher *l, jm_kval x, jm_kval y) {
  return jm_kbuild2(l->b, JM_K_iadd, x, y);
}
static inline jm_kval jm_launcher_scale(jm_launcher *l, jm_kval x, int64_t factor) {
  return jm_kbuild2(l->b, JM_K_imul, x, jm_kbuild_index(l->b, factor));
}

/* Runs body(context, x, point) for every point of the axes, once, in chunks, vectors and threads:
 * x has a position for each axis, point is the number in row-major order. */
typedef void jm_launcher_body(void *context, jm_launcher *l, const jm_kval *x, jm_kval point);
/* cuts: of each axis, where loops over it should be cut (cuts.h); NULL: nowhere. */
typedef struct jm_cuts jm_cuts;
void jm_launcher_map(jm_launcher *l, const jm_axes *axes, const jm_cuts *cuts,
                     jm_launcher_body *body, void *context);

/* May the reuse of operand memory be said for this group: each element of an operand is read only
 * where the same element of the result is made? Fills s->alias and schedule->reuse. */
void jm_scheduler_reuse(jm_scheduler *s);

#endif
