/* SPDX-License-Identifier: Apache-2.0
 * Where along an axis a map changes what it reads: the ends of what was padded or concatenated. A
 * loop that is cut there needs no conditions inside: the builder knows its index's range. Private
 * to kernel/schedule. */
#ifndef JM_KERNEL_SCHEDULE_CUTS_H
#define JM_KERNEL_SCHEDULE_CUTS_H

#include "kernel/schedule/scheduler.h"

enum { JM_CUTS = 6 }; /* of an axis, at most: the others are left out */

typedef struct jm_cuts {
  int64_t at[JM_CUTS + 2]; /* ascending: 0, the cuts, the axis' size */
  uint32_t n;              /* entries: pieces + 1 */
} jm_cuts;

/* What a value that is met stands for: itself, the same elements in another value, or JM_NONE if it
 * lies in memory. */
typedef jm_value jm_cuts_resolve(const void *context, jm_value v);

void jm_cuts_init(jm_cuts *cuts, int64_t size);
/* Cuts along one axis for a root whose elements are the points; adds to those that are there.
 * resolve: NULL if every value stands for itself. */
void jm_cuts_find(jm_scheduler *s, const jm_axes *axes, uint32_t axis, jm_value root,
                  jm_cuts_resolve *resolve, const void *context, jm_cuts *cuts);

#endif
