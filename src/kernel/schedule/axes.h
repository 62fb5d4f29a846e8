/* SPDX-License-Identifier: Apache-2.0
 * The axes of a kernel's loops: adjacent dimensions that every access in a group can treat as one
 * are collapsed into one axis, so that an elementwise group of any rank is a single flat loop.
 *
 * Dimensions p < d of a value are collapsed by giving index 0 for p and the whole position for d,
 * beyond d's size. This is correct as long as all ops on the path only use the position p * size(d)
 * + d; where one does not, the value has a break between p and d. */
#ifndef JM_KERNEL_SCHEDULE_AXES_H
#define JM_KERNEL_SCHEDULE_AXES_H

#include "ir/module.h"
#include "kernel/ir/build.h"
#include "kernel/schedule/cluster.h"

/* Breaks of each result of an op from those of its operands. breaks: per value of the module, bit
 * d: dimension d does not run on from the one before (those of size 1 apart). */
void jm_axes_propagate(const jm_module *m, const jm_op *op, uint32_t *breaks);

/* Sizes of the axes, outermost first, as their boundaries: products of the sizes inside of them. */
typedef struct jm_axes {
  int64_t count;                           /* of points; the product of the sizes */
  int64_t boundaries[JM_CLUSTER_RANK * 2]; /* ascending, each a divisor of the next */
  uint32_t n_boundaries;
  int64_t sizes[JM_CLUSTER_RANK * 2]; /* after jm_axes_finish */
  uint32_t n;
} jm_axes;

void jm_axes_init(jm_axes *axes, int64_t count);
/* false: it is incompatible with the existing boundaries. */
bool jm_axes_add(jm_axes *axes, int64_t boundary);
/* A value whose elements are the points, in order, and its breaks. */
bool jm_axes_add_value(jm_axes *axes, const jm_type *type, uint32_t breaks);
void jm_axes_finish(jm_axes *axes);

/* The index of a value of this type from positions x on n axes of these sizes, whose points are the
 * value's elements in order. */
void jm_axes_index(jm_kbuilder *b, const int64_t *sizes, const jm_kval *x, uint32_t n,
                   const jm_type *type, jm_kval *index);
/* The positions on n axes of point number i of their product. */
void jm_axes_split(jm_kbuilder *b, const int64_t *sizes, uint32_t n, jm_kval i, jm_kval *x);

#endif
