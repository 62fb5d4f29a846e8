/* SPDX-License-Identifier: Apache-2.0
 * What propagation and partitioning share: the shardings of the values of a program on whole
 * arrays. Internal to pass/. */
#ifndef JM_PASS_PARTITION_H
#define JM_PASS_PARTITION_H

#include "base/partitioner.h"
#include "ir/factors.h"
#include "pass/reshard.h"

typedef struct jm_placement {
  jm_module *m;
  jm_arena scratch;
  uint32_t n_values, n_ops; /* of the program on whole arrays */
  /* By value. What bodies written per device compute is manual: each device has its own, and there
   * is no whole. Arguments of regions share the sharding of the value that they are tied to. */
  const jm_sharding **sharding; /* canonical, in the module's arena; NULL: whole */
  bool *manual, *fixed;
  jm_value *tied;
  jm_factors **factors; /* by op; NULL: none, or of no interest */
  jm_axes *mesh;        /* the axes that the program names: each one's prime factors */
  uint32_t n_mesh, mesh_capacity;
} jm_placement;

static inline const jm_sharding *jm_placement_of(const jm_placement *p, jm_value v) {
  return p->sharding[p->tied[v]];
}

/* Values that each device computes for itself, and the shardings of all others. */
jm_error *jm_placement_find(jm_placement *p) JM_MUST_USE;

/* What is left of a canonical sharding if the axes that the program names are divided no further.
 */
jm_error *jm_placement_nameable(jm_placement *p, const jm_sharding *sharding,
                                const jm_sharding **out) JM_MUST_USE;

/* The sharding that an op of this kind names; *out may not be canonical. */
jm_error *jm_placement_named(jm_placement *p, const jm_op *op, uint32_t rank,
                             const jm_sharding **out) JM_MUST_USE;

/* -- the axes that an op divides its factors by */

typedef struct jm_division {
  jm_axes *axes; /* by factor */
} jm_division;

/* The sharding of a tensor of the op (an operand, or a result) under the division. */
jm_error *jm_division_sharding(const jm_placement *p, const jm_op *op, const jm_factors *f,
                               const jm_division *division, uint32_t tensor,
                               const jm_sharding **out) JM_MUST_USE;
/* The axes of all reduced factors. */
jm_error *jm_division_partial(jm_placement *p, const jm_factors *f, const jm_division *division,
                              jm_partial *out) JM_MUST_USE;

/* The division that costs least. *cost: bytes that a device sends, its work counted with them;
 * *divided: false if the op works on whole arrays. */
jm_error *jm_division_choose(jm_placement *p, const jm_op *op, const jm_factors *f,
                             jm_division *out, bool *divided, double *cost) JM_MUST_USE;

/* -- custom calls that the pass replaces: in partition_call.c */

/* What the call's partitioner wants of one device; shardings are canonical, as far as they can be.
 */
typedef struct jm_call_parts {
  jm_span program;
  const jm_sharding **operands, **results;
} jm_call_parts;

bool jm_call_is_partitioned(const jm_op *op);
/* manual: the call is in a body written per device. */
jm_error *jm_call_partition(jm_placement *p, const jm_op *op, bool manual,
                            jm_call_parts *out) JM_MUST_USE;
/* The shardings of its results, from those of its operands, or from those that its results have
 * because their users want them; *out is NULL if its partitioner has no opinion. */
jm_error *jm_call_propagate(jm_placement *p, const jm_op *op, bool from_users,
                            const jm_sharding ***out) JM_MUST_USE;

/* Whether it is a callback that each device calls with its parts; *out is the op that does. */
bool jm_call_takes_parts(const jm_op *op);
jm_error *jm_call_build_on_parts(jm_placement *p, const jm_site *site, const jm_op *op,
                                 const jm_value *parts, jm_op_id *out) JM_MUST_USE;

/* Whether the call only asks for the sharding of its operand, with the callback of this id. */
bool jm_call_inspects(const jm_op *op, int64_t *id);
jm_error *jm_call_inspect(jm_placement *p, const jm_op *op, int64_t id) JM_MUST_USE;

/* -- parts of sums: in unreduce.c */

/* value: what this device has of the operand of an op unreduce. */
jm_error *jm_unreduce_build(jm_placement *p, const jm_site *site, const jm_unreduce_attrs *attrs,
                            jm_value value, jm_value *out) JM_MUST_USE;

#endif
