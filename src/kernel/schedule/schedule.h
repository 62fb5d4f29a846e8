/* SPDX-License-Identifier: Apache-2.0
 * From a group of ops to kernels. A group is a `fusion` op of the IR: a region without outside
 * references whose arguments are the op's operands. A schedule is one or more launches that
 * together compute the group's results; schedules are named rows of a table (schedule.c), of which
 * the first that fits is taken. Facts of the machine come from jm_target. */
#ifndef JM_KERNEL_SCHEDULE_SCHEDULE_H
#define JM_KERNEL_SCHEDULE_SCHEDULE_H

#include "ir/module.h"
#include "kernel/ir/target.h"

typedef enum jm_launch_memory {
  JM_LAUNCH_OPERAND,   /* of the fusion op */
  JM_LAUNCH_RESULT,    /* of the fusion op */
  JM_LAUNCH_TEMPORARY, /* of the schedule: written by one launch, read by later ones */
  JM_LAUNCH_ROWS,      /* the numbers of the rows of updates that a scatter's library wants */
} jm_launch_memory;

/* The buffer that a GLOBAL parameter of the kernel is bound to. */
typedef struct jm_launch_argument {
  jm_launch_memory memory;
  uint32_t index;
} jm_launch_argument;

typedef struct jm_launch {
  jm_kernel *kernel;             /* owned by the schedule */
  jm_launch_argument *arguments; /* one per GLOBAL parameter */
} jm_launch;

typedef struct jm_schedule {
  const char *name; /* "map", "row", ... for people */
  jm_arena arena;
  jm_launch *launches; /* run one after the other */
  uint32_t n_launches;
  size_t *temporary_bytes;
  uint32_t n_temporaries;
  /* Per operand of the op: the result that may share the operand's memory (each element is read
   * before it is written, by the same iteration), JM_NONE if none. */
  uint32_t *reuse;
  /* The op of the region that the library runs, by calls of the only launch (scatter.h), whose
   * chunks are rows of a list. JM_NONE: launches are all. */
  jm_op_id scatter;
} jm_schedule;

/* INTERNAL if no schedule fits: grouping must not make such a group. */
jm_error *jm_schedule_build(const jm_module *module, const jm_op *fusion, const jm_target *target,
                            jm_schedule **out) JM_MUST_USE;
/* May this `while` be a group, alone? Its iterations have so little work that one thread runs all
 * of them, without leaving the kernel; on a GPU a group of threads does for each row of the loop
 * (rows.h). */
jm_error *jm_schedule_loop_fits(const jm_target *target, const jm_module *module, const jm_op *op,
                                bool *fits) JM_MUST_USE;
void jm_schedule_destroy(jm_schedule *schedule); /* NULL is allowed */

#endif
