/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/schedule/cluster.h"

/* Row-major order outer, reduced, inner: each run of dimensions of one kind is one; size 1 is of
 * any kind. */
static bool find_space(const jm_type *type, jm_i64s dims, jm_space *out) {
  jm_space s = {1, 1, 1};
  int stage = 0; /* 0: outer, 1: reduced, 2: inner */
  for (uint32_t d = 0; d < type->rank; d++) {
    if (type->dims[d] == 1) continue;
    bool reduced = jm_i64s_contains(dims, d);
    if (reduced != (stage == 1)) stage++;
    if (stage > 2) return false;
    *(stage == 0 ? &s.outer : stage == 1 ? &s.reduced : &s.inner) *= type->dims[d];
  }
  *out = s;
  return true;
}

static int64_t reduced_count(const jm_type *type, jm_i64s dims) {
  int64_t count = 1;
  for (uint32_t i = 0; i < dims.n; i++) count *= type->dims[dims.data[i]];
  return count;
}

bool jm_cluster_find_anchor(const jm_target *target, const jm_module *m, const jm_op *op,
                            jm_space *out) {
  if (op->code != JM_OP_reduce || op->n_captures || op->n_results > 4) return false;
  const jm_reduce_attrs *a = op->attrs;
  const jm_type *type = jm_op_operand_type(m, op, 0);
  if (!type->count || reduced_count(type, a->dims) <= target->row.inline_points) return false;
  return find_space(type, a->dims, out);
}

static bool is_identity_broadcast(const jm_module *m, const jm_op *op) {
  const jm_broadcast_in_dim_attrs *a = op->attrs;
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  if (from->count != to->count) return false;
  int64_t last = -1; /* sizes above 1 must keep their order */
  for (uint32_t i = 0; i < from->rank; i++) {
    if (from->dims[i] == 1) continue;
    if (a->dims.data[i] < last) return false;
    last = a->dims.data[i];
  }
  return true;
}

bool jm_cluster_is_pointwise(const jm_module *m, const jm_op *op) {
  if (op->n_results != 1 || !op->n_operands) return false;
  if (jm_op_facts[op->code].traits & JM_TRAIT_ELEMENTWISE) return op->code != JM_OP_map;
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  switch (op->code) {
    case JM_OP_reshape:
      return true;
    case JM_OP_broadcast_in_dim:
      return is_identity_broadcast(m, op);
    case JM_OP_bitcast_convert:
      return from->count == to->count;
    case JM_OP_reduce: /* over nothing but size 1: the init applied to each element */
      return !op->n_captures && from->count == to->count;
    default:
      return false;
  }
}

/* A broadcast of one element per row along the rows. */
static bool is_row_broadcast(const jm_cluster *c, const jm_op *op) {
  const jm_broadcast_in_dim_attrs *a = op->attrs;
  const jm_type *from = jm_op_operand_type(c->m, op, 0), *to = jm_op_result_type(c->m, op, 0);
  if (to->count != jm_space_points(c->space) || from->count != c->space.outer) return false;
  if (c->space.inner != 1) return false;
  int64_t outer = 1;
  uint32_t split = 0; /* result dimensions below are the rows */
  while (split < to->rank && outer < c->space.outer) outer *= to->dims[split++];
  if (outer != c->space.outer) return false;
  int64_t last = -1;
  for (uint32_t i = 0; i < from->rank; i++) {
    int64_t d = a->dims.data[i];
    if (from->dims[i] == 1) continue;
    if (d <= last || d >= (int64_t)split || to->dims[d] != from->dims[i]) return false;
    last = d;
  }
  return true; /* counts agree, so no dimension of the rows is left out */
}

/* A gather that takes one element from each row. */
static bool is_row_gather(const jm_cluster *c, const jm_op *op) {
  const jm_gather_attrs *a = op->attrs;
  const jm_type *from = jm_op_operand_type(c->m, op, 0), *to = jm_op_result_type(c->m, op, 0);
  const jm_type *starts = jm_op_operand_type(c->m, op, 1);
  if (c->relation[op->operands[1]] != JM_REL_FREE || c->space.inner != 1) return false;
  if (to->count != c->space.outer || !a->operand_batching_dims.n) return false;
  int64_t outer = 1;
  for (uint32_t i = 0; i < a->operand_batching_dims.n; i++) {
    /* leading, in order, of the operand and of the starts: so of the result, too */
    if (a->operand_batching_dims.data[i] != (int64_t)i) return false;
    if (a->start_indices_batching_dims.data[i] != (int64_t)i) return false;
    if (starts->dims[i] != from->dims[i] || i >= to->rank || to->dims[i] != from->dims[i])
      return false;
    outer *= from->dims[i];
  }
  return outer == c->space.outer;
}

static bool is_whole(const jm_cluster *c, const jm_type *type, jm_relation relation) {
  int64_t count = relation == JM_REL_KEPT ? jm_space_kept(c->space) : jm_space_points(c->space);
  return type->count == count;
}

/* The relation and level of an op that is no anchor; false: it fits no schedule. */
static bool relate(jm_cluster *c, const jm_op *op) {
  jm_relation relation = JM_REL_FREE;
  uint8_t level = 0;
  bool mixed = false;
  for (uint32_t i = 0; i < op->n_operands; i++) {
    jm_value v = op->operands[i];
    if (c->level[v] > level) level = c->level[v];
    if (c->relation[v] == JM_REL_FREE) continue;
    if (relation != JM_REL_FREE && relation != (jm_relation)c->relation[v]) mixed = true;
    relation = (jm_relation)c->relation[v];
  }
  jm_relation result = relation;
  if (relation != JM_REL_FREE) {
    const jm_type *type = jm_op_result_type(c->m, op, 0);
    if (mixed || op->n_results != 1) return false;
    if (op->code == JM_OP_broadcast_in_dim && relation == JM_REL_KEPT && is_row_broadcast(c, op))
      result = JM_REL_FULL;
    else if (op->code == JM_OP_gather && relation == JM_REL_FULL && is_row_gather(c, op))
      result = JM_REL_KEPT;
    else if (!jm_cluster_is_pointwise(c->m, op) || !is_whole(c, type, relation))
      return false;
    for (uint32_t i = 0; i < op->n_operands; i++) /* a scalar in a select of tensors, an init */
      if (c->relation[op->operands[i]] != JM_REL_FREE &&
          !is_whole(c, jm_op_operand_type(c->m, op, i), c->relation[op->operands[i]]))
        return false;
    if (op->code == JM_OP_reduce && c->relation[op->operands[1]] != JM_REL_FREE) return false;
  }
  for (uint32_t i = 0; i < op->n_results; i++) {
    c->relation[op->first_result + i] = (uint8_t)result;
    c->level[op->first_result + i] = level;
  }
  return true;
}

static bool relate_anchor(jm_cluster *c, const jm_op *op) {
  uint8_t level = 0;
  for (uint32_t i = 0; i < op->n_operands; i++) {
    jm_value v = op->operands[i];
    jm_relation r = (jm_relation)c->relation[v];
    if (i >= op->n_results ? r != JM_REL_FREE : r == JM_REL_KEPT) return false;
    if (c->level[v] > level) level = c->level[v];
  }
  if (level >= JM_CLUSTER_LEVELS) return false;
  for (uint32_t i = 0; i < op->n_results; i++) {
    c->relation[op->first_result + i] = JM_REL_KEPT;
    c->level[op->first_result + i] = (uint8_t)(level + 1);
  }
  if (level + 1u > c->n_levels) c->n_levels = level + 1u;
  return true;
}

static jm_cluster_kind map_kind(jm_cluster *c) {
  c->space = (jm_space){1, 1, 1};
  for (uint32_t i = 0; i < c->n_roots; i++) {
    const jm_type *type = jm_module_typeof(c->m, c->roots[i]);
    if (i && type->count != c->space.outer) return JM_CLUSTER_NONE;
    c->space.outer = type->count;
  }
  return JM_CLUSTER_MAP;
}

/* Whether the suffix product is one of the type's. */
static bool has_boundary(const jm_type *type, int64_t suffix) {
  int64_t product = 1;
  for (uint32_t d = type->rank; d-- && product < suffix;) product *= type->dims[d];
  return product == suffix;
}

static jm_cluster_kind reduction_kind(const jm_cluster *c) {
  jm_space s = c->space;
  bool row =
      s.inner == 1 && (s.outer >= c->target->row.few || s.reduced <= c->target->row.long_points);
  bool full = false;
  for (uint32_t i = 0; i < c->n_roots; i++) {
    const jm_type *type = jm_module_typeof(c->m, c->roots[i]);
    jm_relation r = (jm_relation)c->relation[c->roots[i]];
    if (r == JM_REL_FREE && type->count == jm_space_points(s)) r = JM_REL_FULL;
    if (r == JM_REL_FREE && type->count != jm_space_kept(s)) return JM_CLUSTER_NONE;
    if (r == JM_REL_FULL && !has_boundary(type, s.reduced * s.inner)) return JM_CLUSTER_NONE;
    full |= r == JM_REL_FULL;
  }
  if (row) return JM_CLUSTER_ROW;
  return full || c->n_levels > 1 ? JM_CLUSTER_NONE : JM_CLUSTER_REDUCE;
}

void jm_cluster_analyse(jm_cluster *c) {
  bool anchored = false, fits = true;
  c->n_levels = 0;
  for (uint32_t i = 0; i < c->n_ops && fits; i++) {
    const jm_op *op = jm_module_op(c->m, c->ops[i]);
    jm_space space;
    if (!jm_cluster_find_anchor(c->target, c->m, op, &space)) {
      fits = relate(c, op);
      continue;
    }
    if (!anchored) c->space = space;
    anchored = true;
    fits = jm_space_equal(space, c->space) && relate_anchor(c, op);
  }
  c->kind = !fits ? JM_CLUSTER_NONE : anchored ? reduction_kind(c) : map_kind(c);
}

void jm_cluster_clear(jm_cluster *c) {
  for (uint32_t i = 0; i < c->n_ops; i++) {
    const jm_op *op = jm_module_op(c->m, c->ops[i]);
    for (uint32_t k = 0; k < op->n_results; k++)
      c->relation[op->first_result + k] = c->level[op->first_result + k] = 0;
  }
}
