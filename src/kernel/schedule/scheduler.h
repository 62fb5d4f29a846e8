/* SPDX-License-Identifier: Apache-2.0
 * The group that is being scheduled, as all schedules see it. Private to kernel/schedule; launches
 * are built with launch.h. */
#ifndef JM_KERNEL_SCHEDULE_SCHEDULER_H
#define JM_KERNEL_SCHEDULE_SCHEDULER_H

#include "kernel/emit/emit.h"
#include "kernel/schedule/axes.h"
#include "kernel/schedule/cluster.h"
#include "kernel/schedule/schedule.h"

typedef struct jm_scheduler {
  const jm_module *m;     /* of the region: the fusion's, or one of a single row (rows.h) */
  const jm_module *whole; /* of the fusion */
  const jm_op *fusion;
  const jm_region *region; /* of the fusion; of its ops those that a result needs */
  jm_region live;
  const jm_target *target;
  jm_cluster cluster; /* the region's ops */
  uint32_t *breaks;   /* per value of the module, see axes.h */
  uint8_t *pulled;    /* per value: jm_pull, of the launch that is being built */
  bool *seen;         /* per value, of a walk (cuts.c) */
  jm_arena scratch;   /* for the time of building */
  jm_schedule *schedule;
  uint32_t launches_capacity, temporaries_capacity;
  uint32_t *alias; /* per operand: the result that it shares memory with, JM_NONE */
} jm_scheduler;

/* Rows of the table in schedule.c: builds launches if the group fits; *fits stays false if not,
 * with nothing added. */
typedef jm_error *jm_schedule_fn(jm_scheduler *s, bool *fits);
jm_schedule_fn jm_schedule_loop, jm_schedule_map, jm_schedule_row, jm_schedule_reduce,
    jm_schedule_scatter, jm_schedule_transpose;

/* A temporary of the schedule. */
jm_error *jm_scheduler_temporary(jm_scheduler *s, jm_dtype dtype, int64_t elements,
                                 uint32_t *out) JM_MUST_USE;

/* Finds operands whose memory results may reuse: each element of the operand is read only where the
 * same element of the result is computed. Fills s->alias and schedule->reuse. */
void jm_scheduler_reuse(jm_scheduler *s);

#endif
