/* SPDX-License-Identifier: Apache-2.0
 * Loops that fold what lies along axes into accumulators in registers: in vectors where the bodies
 * allow it, else in order. Private to kernel/schedule*.c. */
#ifndef JM_KERNEL_SCHEDULE_FOLD_H
#define JM_KERNEL_SCHEDULE_FOLD_H

#include "kernel/emit/reduction.h"
#include "kernel/schedule/scheduler.h"

enum { JM_FOLD_PARTS = 8 }; /* of accumulators in one loop: more would not stay in registers */

/* Steps [lower, upper) of the outermost loop over the axes: positions on a single axis, or lines of
 * the last one. most: how many steps that can be. */
typedef struct jm_fold_range {
  jm_kval lower, upper;
  int64_t most;
  bool serial;  /* in order: the loop stands in one of lanes */
  bool partial; /* elements are partial results: as accumulators are */
} jm_fold_range;

static inline int64_t jm_fold_steps(const jm_axes *axes) {
  return axes->n == 1 ? axes->count : axes->count / axes->sizes[axes->n - 1];
}

/* Builds the elements to fold at positions x on the axes; place: the point's number. */
typedef void jm_fold_point(void *context, jm_launcher *l, const jm_kval *x, jm_kval place,
                           jm_element (*elements)[JM_REDUCTION_RESULTS]);

/* n reductions of at most JM_FOLD_PARTS parts; results[i]: the accumulators of reduction i. */
void jm_launcher_fold(jm_launcher *l, const jm_axes *axes, jm_fold_range range,
                      const jm_reduction *const *reductions, uint32_t n, jm_fold_point *point,
                      void *context, jm_element *const *results);

#endif
