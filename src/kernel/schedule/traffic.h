/* SPDX-License-Identifier: Apache-2.0
 * How many bytes of memory the launches of a schedule move, beside the fewest that its group needs:
 * the measure of what a schedule reads twice, or passes through temporaries. Counted from the
 * kernels' loops: a pass moves no more of a buffer than its size, and no more than it makes
 * accesses. Caches are not modelled: of a second pass over a short row they save much. */
#ifndef JM_KERNEL_SCHEDULE_TRAFFIC_H
#define JM_KERNEL_SCHEDULE_TRAFFIC_H

#include "kernel/schedule/schedule.h"

typedef struct jm_traffic {
  uint64_t
      moved; /* by all passes: threads loops (of a kernel without lanes: its outermost loops) */
  uint64_t least; /* of each operand and result what the largest pass over it moves */
} jm_traffic;

jm_error *jm_traffic_count(const jm_op *fusion, const jm_schedule *schedule,
                           jm_traffic *out) JM_MUST_USE;

#endif
