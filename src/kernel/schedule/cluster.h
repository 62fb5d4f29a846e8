/* SPDX-License-Identifier: Apache-2.0
 * Classifies a set of ops by the schedule that fits it: used by grouping for candidate groups, and
 * by schedules for a finished `fusion` op. It decides nothing and builds nothing.
 *
 * The large reductions of a set (its anchors) all reduce the same iteration space: outer x reduced
 * x inner, in row-major order, the middle one being folded away. A value that depends on an anchor
 * is KEPT (one element per outer x inner) or FULL (one per point of the space); everything else is
 * FREE: pulled where it is used. Sets without anchors are maps. */
#ifndef JM_KERNEL_SCHEDULE_CLUSTER_H
#define JM_KERNEL_SCHEDULE_CLUSTER_H

#include "ir/module.h"
#include "kernel/ir/target.h"

enum {
  JM_CLUSTER_RANK = 16,  /* of tensors in a group */
  JM_CLUSTER_LEVELS = 8, /* reductions that depend on reductions, at most */
  JM_CLUSTER_ROOTS = 64, /* results of a group, at most: what the buffers of targets bound */
};

typedef enum jm_cluster_kind {
  JM_CLUSTER_NONE, /* no schedule but one launch per result fits */
  JM_CLUSTER_MAP,
  JM_CLUSTER_ROW,    /* inner is 1: passes over each row */
  JM_CLUSTER_REDUCE, /* one pass over the space, then the ops on the results */
} jm_cluster_kind;

typedef enum jm_relation { JM_REL_FREE, JM_REL_KEPT, JM_REL_FULL } jm_relation;

typedef struct jm_space {
  int64_t outer, reduced, inner;
} jm_space;

typedef struct jm_cluster {
  const jm_module *m;
  const jm_target *target;
  const jm_op_id *ops; /* in order of execution */
  uint32_t n_ops;
  const jm_value *roots; /* results of ops that are used outside */
  uint32_t n_roots;
  /* Per value of the module, zero for all that no op of the set defines. */
  uint8_t *relation; /* jm_relation */
  uint8_t *level;    /* passes over the space that come before the value is known */
  /* Found by jm_cluster_analyse. */
  jm_cluster_kind kind;
  jm_space space; /* of the anchors; of a map: the roots' count in outer */
  uint32_t n_levels;
} jm_cluster;

/* Fills relation, level, kind, space. */
void jm_cluster_analyse(jm_cluster *c);
/* Makes relation and level zero again for the set's values. */
void jm_cluster_clear(jm_cluster *c);

/* Is it a reduction that needs a schedule of its own, and over which space? */
bool jm_cluster_find_anchor(const jm_target *target, const jm_module *m, const jm_op *op,
                            jm_space *out);

static inline bool jm_space_equal(jm_space a, jm_space b) {
  return a.outer == b.outer && a.reduced == b.reduced && a.inner == b.inner;
}
static inline int64_t jm_space_points(jm_space s) { return s.outer * s.reduced * s.inner; }
static inline int64_t jm_space_kept(jm_space s) { return s.outer * s.inner; }

/* Does the op give element i of its result from element i, row-major, of its operands? */
bool jm_cluster_is_pointwise(const jm_module *m, const jm_op *op);

#endif
