/* SPDX-License-Identifier: Apache-2.0
 * Decides which values are stored. A value that one loop reads, always at the loop's current index,
 * is computed there. One that several loops read, or one loop at several indices, is stored once,
 * unless it is cheap. The analysis walks a region backwards: every value gets a number for "this
 * loop, by this index map"; two different numbers become MANY. */
#include "base/hash.h"
#include "kernel/schedule/loop.h"

#include "kernel/emit/reduction.h"

#define MANY UINT64_MAX

enum { MOST_NESTING = 8 }; /* nested loops: bounds the recursion below */

/* ---- carries */

const jm_op *jm_loop_update(const jm_module *m, const jm_op *op, uint32_t carry) {
  const jm_region *body = jm_op_region(m, op, 1);
  const jm_value next = body->results[carry], arg = body->first_arg + carry;
  const jm_op *update = jm_module_definition(m, next);
  if (!update || update->code != JM_OP_dynamic_update_slice || update->operands[0] != arg ||
      update->operands[1] == arg || m->values[next].region != m->values[arg].region ||
      jm_region_count_uses(m, body, next) != 1)
    return NULL;
  return update;
}

jm_carry_kind jm_loop_carry_kind(const jm_module *m, const jm_op *op, uint32_t carry) {
  const jm_region *body = jm_op_region(m, op, 1);
  if (body->results[carry] == body->first_arg + carry) return JM_CARRY_SAME;
  if (jm_loop_in_registers(jm_op_result_type(m, op, carry))) return JM_CARRY_REGISTERS;
  return jm_loop_update(m, op, carry) ? JM_CARRY_IN_PLACE : JM_CARRY_DOUBLE_BUFFERED;
}

bool jm_loop_reduces_rows(const jm_target *target, const jm_module *m, const jm_op *op) {
  if (op->code != JM_OP_reduce || op->n_captures || op->n_results > JM_LOOP_REDUCED) return false;
  const jm_reduce_attrs *a = op->attrs;
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  if (jm_loop_in_registers(to) || !a->dims.n || from->dims[from->rank - 1] < target->loop.least_row)
    return false;
  for (uint32_t i = 0; i < a->dims.n; i++)
    if (a->dims.data[i] < (int64_t)to->rank) return false;
  jm_reduction r;
  jm_reduction_init(m, op, &r);
  return r.grouped;
}

/* ---- demand */

static uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t h = jm_hash_mix(jm_hash_mix(0, b), a);
  return a == MANY ? MANY : h ? h : 1;
}

static void ask(jm_loop_plan *p, jm_value v, uint64_t demand) {
  uint64_t *d = &p->demand[v];
  *d = *d == 0 || *d == demand ? demand : MANY;
}

static bool is_small(const jm_loop_plan *p, jm_value v) {
  return jm_loop_in_registers(jm_module_typeof(p->m, v));
}

static bool same_shape(const jm_type *a, const jm_type *b) {
  if (a->rank != b->rank) return false;
  for (uint32_t d = 0; d < a->rank; d++)
    if (a->dims[d] != b->dims[d]) return false;
  return true;
}

/* The demand on results of this shape, which are stored together at the end of a region. */
static uint64_t shape_demand(const jm_type *type, uint64_t seed) {
  uint64_t h = mix(seed, type->rank + 1);
  for (uint32_t d = 0; d < type->rank; d++) h = mix(h, (uint64_t)type->dims[d]);
  return h;
}

static bool is_update_in_place(const jm_loop_plan *p, const jm_op *op, const jm_region *region) {
  if (op->code != JM_OP_dynamic_update_slice || region->parent == JM_NONE) return false;
  const jm_op *parent = jm_module_op(p->m, region->parent);
  if (parent->code != JM_OP_while || region != jm_op_region(p->m, parent, 1)) return false;
  for (uint32_t i = 0; i < parent->n_results; i++)
    if (region->results[i] == op->first_result)
      return jm_loop_carry_kind(p->m, parent, i) == JM_CARRY_IN_PLACE;
  return false;
}

static bool is_priced(const jm_op *op) {
  return op->code != JM_OP_while && op->code != JM_OP_case && op->code != JM_OP_constant &&
         op->code != JM_OP_optimization_barrier;
}

/* The cost of pulling one element. The sum over the operands counts shared ops several times, so
 * that it is bounded by the cost of all ops between the first one that is pulled and this one. */
static void price_region(jm_loop_plan *p, const jm_region *region) {
  double total = 0;
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(p->m, region->ops[i]);
    double cost = 0, since = total;
    if (is_priced(op)) {
      jm_emit_cost own = jm_emit_estimate(p->m, op);
      for (uint32_t k = 0; k < op->n_operands; k++) {
        const jm_value v = op->operands[k];
        cost += p->cost[v];
        if (p->cost[v] > 0 && p->since[v] < since) since = p->since[v];
      }
      if (cost > total - since) cost = total - since;
      cost = own.loops ? own.flops * (1 + cost) : own.flops + cost;
      total += own.flops;
    }
    /* what takes long is cut here: compiling a block costs more than in proportion to its length */
    const bool small = is_small(p, op->first_result);
    const bool cut =
        cost > p->target->loop.store_flops && !small && !is_update_in_place(p, op, region);
    for (uint32_t k = 0; k < op->n_results; k++) {
      p->stored[op->first_result + k] = cut;
      p->cost[op->first_result + k] = cut || small ? 0 : cost;
      p->since[op->first_result + k] = since;
    }
  }
}

static void plan_control(jm_loop_plan *p, const jm_op *op) {
  const uint32_t n_own = op->n_operands - op->n_captures;
  for (uint32_t k = 0; k < op->n_operands; k++) {
    bool starts =
        op->code == JM_OP_while && k < n_own && jm_loop_carry_kind(p->m, op, k) != JM_CARRY_SAME;
    ask(p, op->operands[k], starts ? mix(op->first_result + 2, ++p->next) : MANY);
  }
  for (uint32_t r = 0; r < op->n_regions; r++) jm_loop_plan_region(p, jm_op_region(p->m, op, r));
}

/* The demand on the op's operands, given the `demand` on the op. */
static void ask_operands(jm_loop_plan *p, const jm_op *op, uint64_t demand) {
  const jm_type *to = jm_op_result_type(p->m, op, 0);
  for (uint32_t k = 0; k < op->n_operands; k++) {
    const jm_type *from = jm_op_operand_type(p->m, op, k);
    uint64_t d = mix(demand, mix(op->first_result + 1, k));
    if (op->code == JM_OP_reshape ||
        ((jm_op_facts[op->code].traits & JM_TRAIT_ELEMENTWISE) && same_shape(from, to)))
      d = demand;
    /* one element of the operand is needed for several of the result */
    if (op->code == JM_OP_dot_general || op->code == JM_OP_reduce_window ||
        op->code == JM_OP_gather || (op->code == JM_OP_broadcast_in_dim && from->count < to->count))
      d = MANY;
    ask(p, op->operands[k], d);
  }
}

static void plan_op(jm_loop_plan *p, const jm_op *op, const jm_region *region) {
  uint64_t demand = 0;
  for (uint32_t k = 0; k < op->n_results; k++) {
    uint64_t d = p->demand[op->first_result + k];
    if (d) demand = demand == 0 || demand == d ? d : MANY;
  }
  if (op->code == JM_OP_while || op->code == JM_OP_case) {
    plan_control(p, op);
    return;
  }
  if (op->code == JM_OP_constant) return;
  const bool small = is_small(p, op->first_result);
  if (is_update_in_place(p, op, region)) {
    ask(p, op->operands[1], mix(op->first_result + 3, ++p->next));
    return;
  }
  if (op->code == JM_OP_optimization_barrier) {
    for (uint32_t k = 0; k < op->n_operands; k++) ask(p, op->operands[k], MANY);
    return;
  }
  const bool expensive = demand == MANY && p->cost[op->first_result] > p->target->loop.again_flops;
  if (!small && !p->stored[op->first_result] &&
      (expensive || (demand && jm_loop_reduces_rows(p->target, p->m, op))))
    for (uint32_t k = 0; k < op->n_results; k++) p->stored[op->first_result + k] = true;
  if (small || p->stored[op->first_result]) demand = mix(op->first_result + 4, ++p->next);
  if (demand) ask_operands(p, op, demand);
}

void jm_loop_plan_region(jm_loop_plan *p, const jm_region *region) {
  const uint64_t end = ++p->next;
  price_region(p, region);
  for (uint32_t i = 0; i < region->n_results; i++) {
    const jm_value v = region->results[i];
    const jm_op *op = jm_module_definition(p->m, v);
    if (!op || !is_update_in_place(p, op, region))
      ask(p, v, shape_demand(jm_module_typeof(p->m, v), end));
  }
  for (uint32_t i = region->n_ops; i--;) plan_op(p, jm_module_op(p->m, region->ops[i]), region);
}

/* ---- what fits */

typedef struct census {
  const jm_module *m;
  const jm_target *target;
  uint32_t ops, depth;
  double code; /* flops that are written out */
} census;

static bool region_fits(census *c, const jm_region *region, double *work);

static double operand_count(const jm_module *m, const jm_op *op) {
  return op->n_operands ? (double)jm_op_operand_type(m, op, 0)->count : 0;
}

static bool op_fits(census *c, const jm_op *op, double *work) {
  const jm_module *m = c->m;
  if (++c->ops > c->target->loop.max_ops) return false;
  for (uint32_t k = 0; k < op->n_results; k++) {
    const jm_type *type = jm_op_result_type(m, op, k);
    if (type->rank > JM_LOOP_RANK || type->dtype == JM_DT_token) return false;
  }
  if (op->code == JM_OP_while || op->code == JM_OP_case) {
    if (c->depth > MOST_NESTING) return false;
    c->depth++;
    bool fits = true;
    for (uint32_t r = 0; r < op->n_regions && fits; r++) {
      double inside = 0; /* an inner loop has as much work again */
      fits = region_fits(c, jm_op_region(m, op, r), &inside);
    }
    c->depth--;
    return fits;
  }
  if (op->code == JM_OP_optimization_barrier) return true;
  if (op->code == JM_OP_constant) {
    const jm_constant_attrs *a = op->attrs;
    return a->value.splat || jm_op_result_type(m, op, 0)->count <= c->target->loop.constants;
  }
  /* a library writes the few elements that a scatter changes in place */
  if (!jm_emit_supports(m, op) || op->code == JM_OP_scatter) return false;
  const jm_emit_cost cost = jm_emit_estimate(m, op);
  const double count = (double)jm_op_result_type(m, op, 0)->count;
  if (!cost.loops) c->code += cost.flops * (count <= JM_LOOP_REGISTERS ? count : 1);
  if (c->code > c->target->loop.max_flops) return false;
  if (op->code == JM_OP_dot_general && count * cost.flops > 2 * (double)c->target->loop.products)
    return false;
  if (op->code == JM_OP_reduce)
    *work += operand_count(m, op);
  else if (cost.loops)
    *work += count * (cost.flops > 1 ? cost.flops : 1) / 2;
  else if (op->code != JM_OP_dynamic_update_slice && count > *work)
    *work = count;
  return true;
}

static bool region_fits(census *c, const jm_region *region, double *work) {
  for (uint32_t i = 0; i < region->n_ops; i++)
    if (!op_fits(c, jm_module_op(c->m, region->ops[i]), work)) return false;
  if (region->parent != JM_NONE && jm_module_op(c->m, region->parent)->code == JM_OP_while) {
    const jm_op *op = jm_module_op(c->m, region->parent);
    const bool body = region == jm_op_region(c->m, op, 1);
    for (uint32_t i = 0; body && i < region->n_results; i++)
      if (jm_loop_carry_kind(c->m, op, i) == JM_CARRY_DOUBLE_BUFFERED)
        *work += (double)jm_op_result_type(c->m, op, i)->count;
  }
  return *work <= 2 * (double)c->target->loop.work;
}

bool jm_loop_region_fits(const jm_target *target, const jm_module *m, const jm_region *region) {
  census c = {.m = m, .target = target};
  double work = 0;
  return region_fits(&c, region, &work);
}
