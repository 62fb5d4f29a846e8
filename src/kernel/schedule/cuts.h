/* SPDX-License-Identifier: Apache-2.0
 * The cuts of a map's axis: the positions where it changes which operand it reads, the edges of
 * padding and of concatenated parts. A loop that is split there needs no conditions inside, because
 * the builder knows the range of its index. Private to kernel/schedule. */
#ifndef JM_KERNEL_SCHEDULE_CUTS_H
#define JM_KERNEL_SCHEDULE_CUTS_H

#include "kernel/schedule/scheduler.h"

enum { JM_CUTS = 6 }; /* of an axis, at most: the others are left out */

typedef struct jm_cuts {
  int64_t at[JM_CUTS + 2]; /* ascending: 0, the cuts, the axis' size */
  uint32_t n;              /* entries: pieces + 1 */
} jm_cuts;

/* Resolves a value on the path: itself, another value with the same elements, or JM_NONE if it is
 * in memory. */
typedef jm_value jm_cuts_resolve(const void *context, jm_value v);

void jm_cuts_init(jm_cuts *cuts, int64_t size);
/* Cuts along one axis for a root whose elements are the points; adds to those that are there.
 * resolve: NULL if every value resolves to itself. */
void jm_cuts_find(jm_scheduler *s, const jm_axes *axes, uint32_t axis, jm_value root,
                  jm_cuts_resolve *resolve, const void *context, jm_cuts *cuts);

#endif
