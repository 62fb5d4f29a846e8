/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "ir/cost.h"
#include "kernel/emit/emit.h"
#include "pass/group.h"

static double reduced_count(const jm_module *m, const jm_op *op) {
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  return to->count ? (double)from->count / (double)to->count : 0;
}

bool jm_group_is_loop(const jm_module *m, const jm_op *op, const jm_target *target) {
  jm_space space;
  return op->code == JM_OP_reduce && reduced_count(m, op) > (double)target->row.inline_points &&
         !jm_cluster_find_anchor(target, m, op, &space);
}

static bool holds(const jm_target *target, const jm_type *type) {
  for (uint32_t d = 0; d < type->rank; d++)
    if (type->dims[d] > target->max_size) return false;
  return jm_target_holds(target, type->dtype);
}

/* Do the updates change little of memory that is there already? */
static bool is_written_in_place(const jm_module *m, const jm_op *op, const jm_target *target) {
  const jm_type *updates = jm_op_operand_type(m, op, op->n_results + 1);
  const jm_type *to = jm_op_result_type(m, op, 0);
  for (uint32_t i = 0; i < op->n_results; i++)
    if (jm_module_element(m, op->operands[i])) return false; /* of one number: it is not */
  return updates->count * 4 < to->count && to->count > target->group.few;
}

/* Where little of an array is replaced, it is written in place. Not an argument where runs are
 * recorded: a recording copies it, and so does a kernel, which then updates several at once. */
static bool is_update_in_place(const jm_module *m, const jm_op *op, const jm_target *target) {
  const jm_type *type = jm_op_result_type(m, op, 0);
  if (jm_op_operand_type(m, op, 1)->count * 4 >= type->count || type->count <= target->group.few)
    return false;
  const bool is_argument =
      m->values[op->operands[0]].op == JM_NONE && m->values[op->operands[0]].region == m->entry;
  return !target->records_runs || !is_argument ||
         (double)jm_type_bytes(type) * target->cost.byte_ns > target->cost.launch_ns;
}

/* Of one of a batch's products. */
typedef struct product_size {
  double rows, columns, terms;
  bool in_order; /* neighbours in the result are made of neighbours in an operand */
} product_size;

static double count_of(const jm_type *type, jm_i64s dims) {
  double n = 1;
  for (uint32_t i = 0; i < dims.n; i++) n *= (double)type->dims[dims.data[i]];
  return n;
}

static product_size size_of_product(const jm_module *m, const jm_op *op) {
  const jm_dot_general_attrs *a = op->attrs;
  const jm_type *lhs = jm_op_operand_type(m, op, 0), *rhs = jm_op_operand_type(m, op, 1);
  const double batch = count_of(lhs, a->lhs_batch), terms = count_of(lhs, a->lhs_contract);
  product_size size = {.terms = terms,
                       .rows = (double)lhs->count / (batch * terms),
                       .columns = (double)rhs->count / (batch * terms)};
  const bool by_rhs = size.columns > 1;
  const uint32_t last = (by_rhs ? rhs : lhs)->rank - 1;
  size.in_order = !jm_i64s_contains(by_rhs ? a->rhs_contract : a->lhs_contract, last) &&
                  !jm_i64s_contains(by_rhs ? a->rhs_batch : a->lhs_batch, last);
  return size;
}

/* A product that takes less time than the step that it would be: a few terms for each element. */
bool jm_group_is_tiny_product(const jm_module *m, const jm_op *op, const jm_target *target) {
  const double terms = jm_op_count_flops(m, op) / 2, n = (double)jm_op_result_type(m, op, 0)->count;
  return target->lanes == JM_BIND_VECTOR && terms <= target->group.product &&
         terms <= n * (double)target->row.inline_points;
}

/* Floats that take many instructions to widen, at each use. */
static bool widens_slowly(jm_dtype dtype) {
  return jm_dtype_is_float(dtype) && jm_dtype_bytes(dtype) < sizeof(float) && dtype != JM_DT_bf16;
}

/* Multiplications of a product up to which lanes are faster than the library. */
static double most_of_many(const jm_target *target, jm_dtype dtype, bool in_order) {
  const double most = in_order ? target->group.ordered_product : target->group.small_product;
  if (jm_dtype_bytes(dtype) < sizeof(float)) return most * target->group.narrow_product;
  return jm_dtype_is_complex(dtype) && !in_order ? most / 4 : most; /* four of real numbers each */
}

/* Many products, or rows of one, of so few multiplications that the library takes longer to begin
 * each than to compute it. */
static bool is_many_products(const jm_module *m, const jm_op *op, const jm_target *target) {
  const jm_dtype lhs = jm_op_operand_type(m, op, 0)->dtype;
  if (target->lanes != JM_BIND_VECTOR || !jm_op_result_type(m, op, 0)->count ||
      jm_op_count_flops(m, op) / 2 <= target->group.product || widens_slowly(lhs) ||
      widens_slowly(jm_op_operand_type(m, op, 1)->dtype))
    return false;
  const product_size size = size_of_product(m, op);
  const double row = size.columns * size.terms;
  if (size.terms < 1 || size.terms > target->group.product_terms) return false;
  return size.rows * row <= most_of_many(target, lhs, size.in_order) ||
         (row <= target->group.row_product && !jm_dtype_is_complex(lhs) &&
          size.terms <= (double)target->row.inline_points);
}

bool jm_group_accepts(const jm_module *m, const jm_op *op, const jm_target *target) {
  switch (op->code) { /* faster in the library, or no work at all */
    case JM_OP_dot_general:
      if (!jm_group_is_tiny_product(m, op, target) && !is_many_products(m, op, target))
        return false;
      break;
    case JM_OP_reduce_window:
    case JM_OP_fusion:
      return false;
    case JM_OP_dynamic_update_slice:
      if (is_update_in_place(m, op, target)) return false;
      break;
    case JM_OP_scatter:
      if (target->lanes != JM_BIND_THREADS || is_written_in_place(m, op, target)) return false;
      break;
    default:
      break;
  }
  for (uint32_t i = 0; i < op->n_operands + op->n_results; i++) {
    const jm_type *type = i < op->n_operands ? jm_op_operand_type(m, op, i)
                                             : jm_op_result_type(m, op, i - op->n_operands);
    if (type->rank > JM_CLUSTER_RANK || !type->count || type->dtype == JM_DT_token ||
        !holds(target, type))
      return false;
  }
  return op->n_results && jm_emit_supports(m, op) && (target->has_f64 || !jm_emit_needs_f64(m, op));
}

static uint32_t mix(uint32_t hash, uint64_t word) {
  uint64_t mixed = jm_hash_mix(hash, word);
  return (uint32_t)(mixed ^ mixed >> 32) | 1; /* 0 is the group's own loops */
}

/* Equal broadcasts read the same element. */
static uint32_t place_id(const jm_grouping *g, const jm_op *op, uint32_t operand, uint32_t id) {
  if (op->code != JM_OP_broadcast_in_dim)
    return mix(mix(mix(id, (uint64_t)(op - g->m->ops)), operand), 7);
  const jm_broadcast_in_dim_attrs *a = op->attrs;
  id = mix(mix(id, (uintptr_t)jm_op_operand_type(g->m, op, 0)),
           (uintptr_t)jm_op_result_type(g->m, op, 0));
  for (uint32_t i = 0; i < a->dims.n; i++) id = mix(id, (uint64_t)a->dims.data[i]);
  return id;
}

/* Are the dimensions that a broadcast adds its last ones? Then loops over them see one element. */
static bool is_outer(const jm_module *m, const jm_op *op) {
  const jm_broadcast_in_dim_attrs *a = op->attrs;
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  int64_t last = -1, count = 1;
  for (uint32_t i = 0; i < from->rank; i++)
    if (from->dims[i] != 1 && a->dims.data[i] > last) last = a->dims.data[i];
  for (int64_t d = 0; d <= last; d++) count *= to->dims[d];
  return count == from->count;
}

/* Is a concatenation along the outermost or the innermost dimension? There loops are cut, so that
 * each operand is evaluated only where it is used. */
static bool is_cut(const jm_module *m, const jm_op *op) {
  const jm_concatenate_attrs *a = op->attrs;
  const jm_type *type = jm_op_result_type(m, op, 0);
  int64_t outside = 1, inside = 1;
  for (uint32_t d = 0; d < type->rank; d++) {
    if ((int64_t)d < a->dim) outside *= type->dims[d];
    if ((int64_t)d > a->dim) inside *= type->dims[d];
  }
  return op->n_operands <= 4 && (outside == 1 || inside == 1);
}

/* How often an operand's element is evaluated if the op's element is evaluated this often. */
static double evaluations(const jm_grouping *g, const jm_op *op, uint32_t operand, double asked) {
  const jm_module *m = g->m;
  const jm_type *from = jm_op_operand_type(m, op, operand), *to = jm_op_result_type(m, op, 0);
  jm_space space;
  if (from->count == 1) return 1;
  switch (op->code) {
    case JM_OP_reduce:
      if (jm_cluster_find_anchor(g->target, m, op, &space)) return (double)from->count;
      return asked * reduced_count(m, op);
    case JM_OP_broadcast_in_dim:
      return is_outer(m, op) ? asked * (double)from->count / (double)to->count : asked;
    case JM_OP_concatenate:
      return is_cut(m, op) ? asked * (double)from->count / (double)to->count : asked;
    default:
      return asked;
  }
}

static bool add_place(jm_group_member *out, uint32_t id, double asked) {
  for (uint32_t i = 0; i < out->n_places; i++) {
    if (out->places[i].id != id) continue;
    if (asked > out->places[i].evaluations) out->places[i].evaluations = asked;
    return true;
  }
  if (out->n_places == JM_GROUP_PLACES) return false;
  out->places[out->n_places++] = (jm_group_place){id, asked};
  return true;
}

static bool add_use(const jm_grouping *g, const jm_group_member *user, jm_value v,
                    jm_group_member *out) {
  const jm_op *op = jm_grouping_op(g, user->at);
  jm_space space;
  bool anchor = jm_cluster_find_anchor(g->target, g->m, op, &space);
  bool same = jm_cluster_is_pointwise(g->m, op);
  for (uint32_t k = 0; k < op->n_operands; k++) {
    if (op->operands[k] != v) continue;
    const jm_type *from = jm_op_operand_type(g->m, op, k), *to = jm_op_result_type(g->m, op, 0);
    if (anchor && k < op->n_results) { /* its passes are the group's own loops */
      if (!add_place(out, 0, (double)from->count)) return false;
      continue;
    }
    for (uint32_t i = 0; i < user->n_places; i++) {
      uint32_t id = user->places[i].id;
      if (!same || from->count != to->count) id = from->count == 1 ? 3 : place_id(g, op, k, id);
      if (!add_place(out, id, evaluations(g, op, k, user->places[i].evaluations))) return false;
    }
  }
  return true;
}

bool jm_group_places(const jm_grouping *g, uint32_t group, uint32_t at, bool root,
                     jm_group_member *out) {
  const jm_op *op = jm_grouping_op(g, at);
  *out = (jm_group_member){.at = at, .root = root};
  if (root) add_place(out, 0, (double)jm_op_result_type(g->m, op, 0)->count);
  for (uint32_t r = 0; r < op->n_results; r++) {
    jm_value v = op->first_result + r;
    uint32_t last = JM_NONE;
    for (uint32_t u = g->first_use[v]; u < g->first_use[v + 1]; u++) {
      if (g->uses[u] == last) continue;
      last = g->uses[u];
      const jm_group_member *user = jm_grouping_find(g, group, last);
      if (user && !add_use(g, user, v, out)) return false;
    }
  }
  return true;
}

/* A function counts as code of several ops; compile time grows faster than the code. The weight of
 * a single op is bounded, so that a group of an expensive one has room for others. */
static double op_weight(const jm_grouping *g, const jm_op *op, double flops) {
  const double flops_per_op = g->target->group.op_flops, most = g->target->group.weight / 4;
  const jm_module *m = g->m;
  jm_dtype dtype = jm_op_result_type(m, op, 0)->dtype;
  if (!(jm_op_facts[op->code].traits & JM_TRAIT_ELEMENTWISE)) return 1;
  if (flops > flops_per_op) return flops < most * flops_per_op ? flops / flops_per_op : most;
  if (flops > 1) return 1;
  return jm_dtype_is_integer(dtype) || op->code == JM_OP_constant ? 0.2 : 1;
}

jm_group_cost jm_group_cost_sum(jm_group_cost a, jm_group_cost b) {
  return (jm_group_cost){a.weight + b.weight, a.repeated + b.repeated, a.computed + b.computed,
                         a.written + b.written};
}

/* The time that a group loses by evaluating elements more than once. Where writing the results
 * takes longer than all evaluations, it hides them: an index that each element of a gathered row
 * computes again costs nothing beside the row. */
static double lost_ns(const jm_target *target, const jm_group_cost *cost) {
  if (!target->cost.overlaps) return cost->repeated;
  double exposed = cost->computed > cost->written ? cost->computed - cost->written : 0;
  return cost->repeated < exposed ? cost->repeated : exposed;
}

/* Code that a group may have with the op. One that only moves elements would become an operand,
 * whose loads are nearly as much code. */
static double most_weight(const jm_target *t, const jm_op *op) {
  switch (op->code) {
    case JM_OP_broadcast_in_dim:
    case JM_OP_dynamic_slice:
    case JM_OP_reshape:
    case JM_OP_slice:
    case JM_OP_transpose:
      return t->group.moved_weight;
    default:
      return t->group.weight;
  }
}

bool jm_group_pays(const jm_grouping *g, uint32_t group, const jm_group_member *member,
                   jm_group_cost *out) {
  const jm_target *t = g->target;
  const jm_op *op = jm_grouping_op(g, member->at);
  const jm_type *type = jm_op_result_type(g->m, op, 0);
  const jm_group_cost before = g->groups[group].cost;
  jm_group_cost added = {0};
  double flops = op->code == JM_OP_reshape ? 0 : jm_emit_estimate(g->m, op).flops,
         count = (double)type->count, asked = 0;
  for (uint32_t i = 0; i < member->n_places; i++) asked += member->places[i].evaluations;
  added.weight = op_weight(g, op, flops) * (member->n_places ? member->n_places : 1);
  added.computed = asked * flops * t->cost.flop_ns;
  for (uint32_t r = 0; member->root && r < op->n_results; r++) /* byte_ns: both ways */
    added.written += t->cost.byte_ns / 2 * (double)jm_type_bytes(jm_op_result_type(g->m, op, r));
  *out = jm_group_cost_sum(before, added);
  /* A constant left outside of a full group would become its operand, which is no less code. */
  if (op->n_operands && out->weight > most_weight(t, op)) return false;
  jm_space space; /* of an anchor: its results are kept, and can be read at every point */
  if (asked <= count * 1.001 || jm_cluster_find_anchor(g->target, g->m, op, &space)) return true;
  if (flops >= t->group.expensive_flops && type->count > t->group.few) return false;
  added.repeated = (asked - count) * flops * t->cost.flop_ns;
  *out = jm_group_cost_sum(before, added);
  double saved = t->cost.launch_ns + t->cost.byte_ns * (double)jm_type_bytes(type);
  return lost_ns(t, out) <= saved;
}

/* The op that defines an operand, if the operand need not be stored. */
static bool is_virtual(const jm_module *m, jm_value v) {
  const jm_op *op = jm_module_definition(m, v);
  if (!op) return false;
  if (op->code == JM_OP_iota) return true;
  if (op->code == JM_OP_constant) return ((const jm_constant_attrs *)op->attrs)->value.splat;
  return op->code == JM_OP_broadcast_in_dim &&
         jm_op_operand_type(m, op, 0)->count * 4 <= jm_module_typeof(m, v)->count;
}

static double bytes_read(const jm_module *m, const jm_op *op) {
  double bytes = 0;
  for (uint32_t i = 0; i < op->n_operands; i++)
    if (!is_virtual(m, op->operands[i]))
      bytes += (double)jm_type_bytes(jm_op_operand_type(m, op, i));
  return bytes;
}

bool jm_group_is_repeatable(const jm_grouping *g, const jm_op *op) {
  if (op->n_results != 1 || jm_emit_estimate(g->m, op).flops > g->target->group.cheap_flops)
    return false;
  if (op->code == JM_OP_reduce) return false;
  return bytes_read(g->m, op) <= 1.05 * (double)jm_type_bytes(jm_op_result_type(g->m, op, 0));
}

bool jm_group_is_free(const jm_grouping *g, const jm_op *op) {
  if (op->n_results != 1 || jm_emit_estimate(g->m, op).flops > 1 || op->code == JM_OP_reduce)
    return false;
  return 4 * bytes_read(g->m, op) <= (double)jm_type_bytes(jm_op_result_type(g->m, op, 0));
}
