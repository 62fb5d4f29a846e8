/* SPDX-License-Identifier: Apache-2.0
 * Where along an axis a map changes what it reads: the ends of what was padded or concatenated. A
 * loop that is cut there needs no conditions inside: the builder knows its index's range. Private
 * to kernel/schedule*.c. */
#ifndef JM_KERNEL_SCHEDULE_CUTS_H
#define JM_KERNEL_SCHEDULE_CUTS_H

#include "kernel/schedule/scheduler.h"

enum { JM_CUTS = 6 };

struct jm_cuts {
  int64_t at[JM_CUTS + 2]; /* ascending: 0, the cuts, the axis' size */
  uint32_t n;              /* entries: pieces + 1 */
};

/* Cuts along one axis for a root whose elements are the points; adds to those that are there. */
void jm_cuts_init(jm_cuts *cuts, int64_t size);
void jm_cuts_find(jm_scheduler *s, const jm_axes *axes, uint32_t axis, jm_value root,
                  jm_cuts *cuts);

#endif
