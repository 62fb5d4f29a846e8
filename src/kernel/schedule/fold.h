/* SPDX-License-Identifier: Apache-2.0
 * Loops that reduce along axes into accumulators in registers: in lanes where the bodies allow it,
 * else in order. Private to kernel/schedule. */
#ifndef JM_KERNEL_SCHEDULE_FOLD_H
#define JM_KERNEL_SCHEDULE_FOLD_H

#include "kernel/emit/reduction.h"
#include "kernel/schedule/launch.h"

enum { JM_FOLD_PARTS = 8 }; /* of accumulators in one loop: more would not stay in registers */

/* Steps [lower, upper) along the axes. most: how many steps that can be. */
typedef struct jm_fold_range {
  jm_kval lower, upper;
  int64_t most;
  bool serial;  /* in order: the loop is inside a loop over lanes */
  bool partial; /* elements are partial results, of the accumulators' types */
} jm_fold_range;

/* The number of steps. A step of a vector or serial loop is a position on a single axis, or else a
 * line of the last axis; a step of a group of threads is a point. */
int64_t jm_fold_steps(const jm_target *target, const jm_axes *axes, bool serial);

/* How many terms are added up in a row before they join the sum of others: float sums are as exact
 * as that. 0: any number. */
int64_t jm_fold_terms(const jm_target *target, const jm_reduction *const *reductions, uint32_t n);

/* Builds the elements to reduce at positions x on the axes; place: the point's number. */
typedef void jm_fold_point(void *context, jm_launch_builder *l, const jm_kval *x, jm_kval place,
                           jm_element (*elements)[JM_REDUCTION_RESULTS]);

/* n reductions of at most JM_FOLD_PARTS parts; results[i]: the accumulators of reduction i. */
void jm_launch_fold(jm_launch_builder *l, const jm_axes *axes, jm_fold_range range,
                    const jm_reduction *const *reductions, uint32_t n, jm_fold_point *point,
                    void *context, jm_element *const *results);

#endif
