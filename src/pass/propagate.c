/* SPDX-License-Identifier: Apache-2.0
 * Propagation of shardings. Arguments, results, constraints and the edges of bodies written per
 * device have one; all other values get theirs along the factors of ops, forward and back:
 *
 *   %x: f32[8,4] parts=[1,1,2,0]      %x is divided along dimension 0
 *   %y: f32[4,8] = transpose %x       so %y gets axis 0 along dimension 1
 *   %z: f32[4,8] = add %y, %c         so do %z and the constant %c, which is only made in parts
 *
 * First along ops that move or map elements, to a fixed point, then along all. The values of a
 * sharding group are divided alike, wherever they are in the program. An axis that two factors of
 * an op could have goes to that of the larger array. Loops and branches are part of it: a loop's
 * carry has one sharding, in and out.
 *
 * Where both the state of a step and other arguments are divided, a second placement is tried, in
 * which the other arguments come first: activations are then divided as the batch is, and weights
 * gathered, although these may be the larger arrays. The placement that costs less is taken. */
#include <stdlib.h>
#include <string.h>

#include "ir/collective.h"
#include "pass/partition.h"
#include "pass/rewrite.h"

enum { MOST_ROUNDS = 16 };
enum { ITERATIONS = 16 }; /* that a loop is taken to have */

/* An op that computes on whole arrays, and how often. */
typedef struct visit {
  jm_op_id op;
  double times;
} visit;

/* A value in a sharding group: the result of a sharding_group. */
typedef struct member {
  int64_t group;
  jm_value value;
} member;

typedef struct walk {
  jm_placement *p;
  visit *visits; /* parents before children */
  uint32_t n, capacity;
  member *members; /* by group */
  uint32_t n_members, members_capacity;
  jm_value *stands_in;          /* by value: what is used for it from here on */
  const jm_sharding **inferred; /* by value: what the partitioner of the call that made it said */
  bool changed, hides_results;  /* shardings of results wait, too */
} walk;

/* -- who computes for itself */

static bool reads_participant(const jm_op *op) {
  return op->code == JM_OP_partition_id || op->code == JM_OP_replica_id ||
         op->code == JM_OP_unreduce || jm_op_is_collective(op);
}

/* Where a body per device begins or ends; *nested: within another one. */
static bool is_edge(const jm_op *op, bool *nested) {
  if (op->code == JM_OP_full_to_shard)
    *nested = ((const jm_full_to_shard_attrs *)op->attrs)->nested;
  else if (op->code == JM_OP_shard_to_full)
    *nested = ((const jm_shard_to_full_attrs *)op->attrs)->nested;
  else
    return false;
  return true;
}

/* Whether the op, or its regions outside of bodies of their own, speaks of the participant. */
static bool is_per_device(const jm_module *m, const jm_op *op) {
  bool nested = false, reads = reads_participant(op) || (is_edge(op, &nested) && nested);
  for (uint32_t r = 0; r < op->n_regions; r++) {
    const jm_region *region = jm_op_region(m, op, r);
    for (uint32_t i = 0; i < region->n_ops; i++) {
      const jm_op *inner = jm_module_op(m, region->ops[i]);
      if (is_edge(inner, &nested) && !nested) return false;
      reads |= is_per_device(m, inner);
    }
  }
  return reads;
}

static bool finds_manual(const jm_placement *p, const jm_op *op) {
  for (uint32_t i = 0; i < op->n_operands; i++)
    if (p->manual[op->operands[i]]) return true;
  return is_per_device(p->m, op);
}

static void mark_region(jm_placement *p, jm_region_id id);

/* Everything that the op computes, inside and out, is manual. */
static void mark_op(jm_placement *p, const jm_op *op) {
  for (uint32_t i = 0; i < op->n_results; i++) p->manual[op->first_result + i] = true;
  for (uint32_t r = 0; r < op->n_regions; r++) mark_region(p, op->first_region + r);
}

static void mark_region(jm_placement *p, jm_region_id id) {
  const jm_region *region = jm_module_region(p->m, id);
  for (uint32_t i = 0; i < region->n_args; i++) p->manual[region->first_arg + i] = true;
  for (uint32_t i = 0; i < region->n_ops; i++) mark_op(p, jm_module_op(p->m, region->ops[i]));
}

/* -- ties: one sharding for several values */

static void tie(jm_placement *p, jm_value v, jm_value with) { p->tied[v] = p->tied[with]; }

/* A carry is tied to the loop's result; a capture of the condition to that of the body. */
static void tie_loop(jm_placement *p, const jm_op *op) {
  const jm_region *cond = jm_op_region(p->m, op, 0), *body = jm_op_region(p->m, op, 1);
  for (uint32_t i = 0; i < op->n_results; i++) {
    tie(p, body->first_arg + i, op->first_result + i);
    tie(p, cond->first_arg + i, op->first_result + i);
  }
  for (uint32_t i = op->n_results; i < body->n_args; i++)
    tie(p, cond->first_arg + i, body->first_arg + i);
}

static void tie_branches(jm_placement *p, const jm_op *op) {
  const jm_region *first = jm_op_region(p->m, op, 0);
  for (uint32_t r = 1; r < op->n_regions; r++)
    for (uint32_t i = 0; i < first->n_args; i++)
      tie(p, jm_op_region(p->m, op, r)->first_arg + i, first->first_arg + i);
}

/* -- the ops */

static jm_error *add_op(walk *w, jm_op_id id, double times) {
  visit *grown = jm_arena_grow(&w->p->scratch, w->visits, w->n + 1, &w->capacity, sizeof *grown);
  if (!grown) return jm_error_out_of_memory();
  w->visits = grown;
  w->visits[w->n++] = (visit){id, times};
  return NULL;
}

/* What follows uses the member of the group instead of its operand, whose own sharding may be
 * fixed, as that of an argument is. */
static jm_error *add_member(walk *w, const jm_op *op) {
  member *grown = jm_arena_grow(&w->p->scratch, w->members, w->n_members + 1, &w->members_capacity,
                                sizeof *grown);
  if (!grown) return jm_error_out_of_memory();
  w->members = grown;
  w->members[w->n_members++] =
      (member){((const jm_sharding_group_attrs *)op->attrs)->group, op->first_result};
  w->stands_in[op->operands[0]] = op->first_result;
  return NULL;
}

static void use_members(const walk *w, jm_value *values, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) values[i] = w->stands_in[values[i]];
}

static jm_error *enter_full(jm_placement *p, const jm_op *op) {
  const jm_value v = op->first_result;
  JM_TRY(jm_placement_named(p, op, jm_module_typeof(p->m, v)->rank, &p->sharding[v]));
  if (!jm_sharding_is_canonical(p->sharding[v])) p->sharding[v] = NULL;
  p->fixed[v] = true;
  return NULL;
}

/* Axes that don't divide a dimension are dropped from a constraint. */
static jm_error *enter_constraint(jm_placement *p, const jm_op *op) {
  const jm_value v = op->first_result;
  const jm_type *type = jm_module_typeof(p->m, v);
  const jm_sharding *named;
  JM_TRY(jm_placement_named(p, op, type->rank, &named));
  if (!jm_sharding_is_canonical(named)) named = NULL;
  p->sharding[v] = named;
  for (uint32_t d = 0; named && d < type->rank; d++) {
    const jm_axes all = jm_axes_of(named, d), fit = jm_axes_dividing(all, type->dims[d]);
    if (fit.n == all.n) continue;
    JM_TRY(jm_sharding_replace(&p->m->arena, p->sharding[v], type->rank, p->m->n_partitions, d, fit,
                               &p->sharding[v]));
  }
  p->fixed[v] = !((const jm_sharding_constraint_attrs *)op->attrs)->open.n;
  return NULL;
}

static jm_error *enter_region(walk *w, jm_region_id id, double times);

static jm_error *enter_op(walk *w, jm_op_id id, double times) {
  jm_placement *p = w->p;
  const jm_op *op = jm_module_op(p->m, id);
  bool nested;
  if (is_edge(op, &nested) && !nested) {
    if (op->code == JM_OP_shard_to_full) return enter_full(p, op);
    p->manual[op->first_result] = true;
    return add_op(w, id, times);
  }
  if (finds_manual(p, op)) {
    mark_op(p, op);
    return NULL;
  }
  if (op->code == JM_OP_sharding_constraint) JM_TRY(enter_constraint(p, op));
  if (op->code == JM_OP_sharding_group) JM_TRY(add_member(w, op));
  if (op->code == JM_OP_while) tie_loop(p, op);
  if (op->code == JM_OP_case) tie_branches(p, op);
  JM_TRY(add_op(w, id, times));
  JM_TRY(jm_factors_find(p->m, op, &p->scratch, &p->factors[id]));
  if (op->code != JM_OP_while && op->code != JM_OP_case) return NULL;
  if (op->code == JM_OP_while) times *= ITERATIONS;
  for (uint32_t r = 0; r < op->n_regions; r++) JM_TRY(enter_region(w, op->first_region + r, times));
  return NULL;
}

static jm_error *enter_region(walk *w, jm_region_id id, double times) {
  const jm_region *region = jm_module_region(w->p->m, id);
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(w->p->m, region->ops[i]);
    use_members(w, op->operands, op->n_operands);
    JM_TRY(enter_op(w, region->ops[i], times));
  }
  use_members(w, region->results, region->n_results);
  return NULL;
}

/* -- giving a value axes */

static bool is_open(const jm_placement *p, jm_value v, uint32_t d) {
  const jm_op *op = jm_module_definition(p->m, v);
  if (!op || op->code != JM_OP_sharding_constraint) return true;
  return jm_i64s_contains(((const jm_sharding_constraint_attrs *)op->attrs)->open, d);
}

/* Divides dimension d further, if these axes go on where its own end and no other dimension has
 * them. */
static jm_error *extend(walk *w, jm_value v, uint32_t d, jm_axes axes) {
  jm_placement *p = w->p;
  v = p->tied[v];
  const jm_type *type = jm_module_typeof(p->m, v);
  const jm_sharding *old = p->sharding[v];
  axes = jm_axes_dividing(axes, type->dims[d]);
  if (p->manual[v] || p->fixed[v] || axes.n <= jm_axes_of(old, d).n || !type->count) return NULL;
  if (!jm_axes_agree(axes, jm_axes_of(old, d)) || !is_open(p, v, d)) return NULL;
  for (uint32_t other = 0; other < type->rank; other++)
    if (other != d && jm_axes_overlap(axes, jm_axes_of(old, other))) return NULL;
  w->changed = true;
  return jm_sharding_replace(&p->m->arena, old, type->rank, p->m->n_partitions, d, axes,
                             &p->sharding[v]);
}

static jm_error *follow(walk *w, jm_value v, const jm_sharding *like) {
  if (!like) return NULL;
  for (uint32_t d = 0; d < like->rank; d++)
    if (like->dims[d].n_axes) JM_TRY(extend(w, v, d, jm_axes_of(like, d)));
  return NULL;
}

/* Two values that are the same array. */
static jm_error *link(walk *w, jm_value a, jm_value b) {
  if (w->p->manual[a] || w->p->manual[b]) return NULL;
  JM_TRY(follow(w, a, jm_placement_of(w->p, b)));
  return follow(w, b, jm_placement_of(w->p, a));
}

/* -- along factors */

/* What the tensors of an op say of a factor. */
typedef struct proposal {
  jm_axes axes;
  int64_t weight; /* elements of the largest array that says it */
} proposal;

static jm_value value_of(const jm_op *op, const jm_factors *f, uint32_t tensor) {
  return tensor < f->n_inputs ? op->operands[tensor] : op->first_result + tensor - f->n_inputs;
}

static void propose(proposal *into, jm_axes axes, int64_t weight) {
  const bool longer = axes.n > into->axes.n;
  if (jm_axes_agree(axes, into->axes) ? longer : weight > into->weight) into->axes = axes;
  if (weight > into->weight) into->weight = weight;
}

/* An axis goes to one factor: that of the larger array, of equals the first. */
static void settle(proposal *proposals, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = 0; k < i; k++) {
      proposal *smaller = proposals[i].weight > proposals[k].weight ? &proposals[k] : &proposals[i];
      const proposal *larger = smaller == &proposals[i] ? &proposals[k] : &proposals[i];
      if (jm_axes_overlap(smaller->axes, larger->axes)) smaller->axes.n = 0;
    }
}

static jm_error *propagate_op(walk *w, const jm_op *op, const jm_factors *f) {
  jm_placement *p = w->p;
  proposal *proposals = jm_alloc(f->n, sizeof *proposals);
  if (!proposals) return jm_error_out_of_memory();
  bool any = false;
  for (uint32_t t = 0; t < f->n_tensors; t++) {
    const jm_value v = value_of(op, f, t);
    const jm_sharding *sharding = jm_placement_of(p, v);
    const jm_type *type = jm_module_typeof(p->m, v);
    for (uint32_t d = 0; sharding && d < type->rank; d++) {
      const int32_t k = f->of[t][d];
      if (k == JM_NO_FACTOR || !sharding->dims[d].n_axes) continue;
      propose(&proposals[k], jm_axes_dividing(jm_axes_of(sharding, d), f->list[k].size),
              type->count);
      any = true;
    }
  }
  if (any) settle(proposals, f->n);
  jm_error *error = NULL;
  for (uint32_t t = 0; any && t < f->n_tensors && !error; t++)
    for (uint32_t d = 0; d < jm_factors_type(p->m, op, f, t)->rank && !error; d++)
      if (f->of[t][d] != JM_NO_FACTOR && proposals[f->of[t][d]].axes.n)
        error = extend(w, value_of(op, f, t), d, proposals[f->of[t][d]].axes);
  jm_free(proposals);
  return error;
}

static jm_error *propagate_loop(walk *w, const jm_op *op) {
  const jm_region *body = jm_op_region(w->p->m, op, 1);
  for (uint32_t i = 0; i < op->n_results; i++) {
    JM_TRY(link(w, op->operands[i], op->first_result + i));
    JM_TRY(link(w, body->results[i], op->first_result + i));
  }
  for (uint32_t i = op->n_results; i < op->n_operands; i++)
    JM_TRY(link(w, op->operands[i], body->first_arg + i));
  return NULL;
}

static jm_error *propagate_branches(walk *w, const jm_op *op) {
  const jm_region *first = jm_op_region(w->p->m, op, 0);
  for (uint32_t i = 0; i < first->n_args; i++)
    JM_TRY(link(w, op->operands[1 + i], first->first_arg + i));
  for (uint32_t r = 0; r < op->n_regions; r++)
    for (uint32_t i = 0; i < op->n_results; i++)
      JM_TRY(link(w, jm_op_region(w->p->m, op, r)->results[i], op->first_result + i));
  return NULL;
}

static bool is_asked(const jm_placement *p, jm_op_id id) {
  return !p->factors[id] && jm_call_is_partitioned(jm_module_op(p->m, id));
}

/* Whether users gave a result of the call another sharding than the call's partitioner did. */
static bool has_news_from_users(const walk *w, const jm_op *op) {
  for (uint32_t i = 0; i < op->n_results; i++)
    if (w->p->sharding[op->first_result + i] != w->inferred[op->first_result + i]) return true;
  return false;
}

/* A call without factors whose partitioner may know its results' shardings. It is asked once there
 * is something to tell: about the operands, until it answers, and about the first shardings that
 * users propose, where its answer is final. */
static jm_error *propagate_call(walk *w, const jm_op *op) {
  jm_placement *p = w->p;
  const jm_sharding **results;
  const bool from_users = has_news_from_users(w, op);
  bool asks = from_users;
  for (uint32_t i = 0; i < op->n_operands; i++) asks |= jm_placement_of(p, op->operands[i]) != NULL;
  for (uint32_t i = 0; i < op->n_results; i++) {
    const jm_value v = op->first_result + i;
    if (p->fixed[v] || (p->sharding[v] && !from_users)) return NULL;
  }
  if (!asks) return NULL;
  JM_TRY(jm_call_propagate(p, op, from_users, &results));
  for (uint32_t i = 0; results && i < op->n_results; i++) {
    const jm_value v = op->first_result + i;
    if (from_users) p->sharding[v] = NULL;
    if (jm_sharding_is_canonical(results[i])) JM_TRY(follow(w, v, results[i]));
    w->inferred[v] = p->sharding[v];
    p->fixed[v] = from_users;
  }
  w->changed |= from_users && results;
  return NULL;
}

static void forget_answers(walk *w) {
  for (uint32_t i = 0; i < w->n; i++) {
    const jm_op *op = jm_module_op(w->p->m, w->visits[i].op);
    if (!is_asked(w->p, w->visits[i].op)) continue;
    for (uint32_t k = 0; k < op->n_results; k++) {
      w->inferred[op->first_result + k] = NULL;
      w->p->fixed[op->first_result + k] = false;
    }
  }
}

static jm_error *propagate_any(walk *w, jm_op_id id, bool all) {
  jm_placement *p = w->p;
  const jm_op *op = jm_module_op(p->m, id);
  if (op->code == JM_OP_while) return propagate_loop(w, op);
  if (op->code == JM_OP_case) return propagate_branches(w, op);
  if (op->code == JM_OP_full_to_shard) {
    const jm_sharding *named;
    JM_TRY(jm_placement_named(p, op, jm_op_operand_type(p->m, op, 0)->rank, &named));
    return jm_sharding_is_canonical(named) ? follow(w, op->operands[0], named) : NULL;
  }
  const jm_factors *f = p->factors[id];
  if (is_asked(p, id)) return propagate_call(w, op);
  return f && (all || f->passes) ? propagate_op(w, op, f) : NULL;
}

static jm_error *propagate_results(walk *w) {
  const jm_module *m = w->p->m;
  const jm_region *entry = jm_module_region(m, m->entry);
  for (uint32_t i = 0; i < entry->n_results; i++) {
    const jm_result_fact *fact = &m->results[i];
    if (!fact->divided || !jm_sharding_is_canonical(fact->parts)) continue;
    JM_TRY(follow(w, entry->results[i], fact->parts));
  }
  return NULL;
}

/* The first of a group takes from all others, then gives to them. */
static jm_error *propagate_groups(walk *w) {
  for (uint32_t pass = 0; pass < 2; pass++)
    for (uint32_t i = 1, first = 0; i < w->n_members; i++) {
      if (w->members[i].group != w->members[first].group) first = i;
      JM_TRY(link(w, w->members[first].value, w->members[i].value));
    }
  return NULL;
}

static jm_error *run_phase(walk *w, bool all) {
  w->changed = true;
  for (uint32_t round = 0; round < MOST_ROUNDS && w->changed; round++) {
    w->changed = false;
    for (uint32_t i = 0; i < w->n; i++) JM_TRY(propagate_any(w, w->visits[i].op, all));
    if (!w->hides_results) JM_TRY(propagate_results(w));
    JM_TRY(propagate_groups(w));
    for (uint32_t i = w->n; i-- > 0;) JM_TRY(propagate_any(w, w->visits[i].op, all));
  }
  return NULL;
}

static jm_error *run_phases(walk *w) {
  JM_TRY(run_phase(w, false));
  return run_phase(w, true);
}

/* -- what a placement costs, as jm_division_choose counts it */

static double move_cost(const jm_placement *p, jm_value from, const jm_sharding *to) {
  if (p->manual[from]) return 0;
  return jm_reshard_cost(jm_module_typeof(p->m, from), jm_placement_of(p, from), to);
}

/* Of values that are moved to others that stand for the same arrays. */
static double moves_cost(const jm_placement *p, const jm_value *from, jm_value to, uint32_t n) {
  double cost = 0;
  for (uint32_t i = 0; i < n; i++)
    if (!p->manual[to + i]) cost += move_cost(p, from[i], jm_placement_of(p, to + i));
  return cost;
}

static double loop_cost(const jm_placement *p, const jm_op *op) {
  const jm_region *body = jm_op_region(p->m, op, 1);
  return moves_cost(p, op->operands, body->first_arg, op->n_operands) +
         ITERATIONS * moves_cost(p, body->results, op->first_result, op->n_results);
}

static double branches_cost(const jm_placement *p, const jm_op *op) {
  const jm_region *first = jm_op_region(p->m, op, 0);
  double cost = moves_cost(p, op->operands + 1, first->first_arg, first->n_args);
  for (uint32_t r = 0; r < op->n_regions; r++)
    cost += moves_cost(p, jm_op_region(p->m, op, r)->results, op->first_result, op->n_results);
  return cost;
}

static jm_error *op_cost(jm_placement *p, jm_op_id id, double *cost) {
  const jm_op *op = jm_module_op(p->m, id);
  jm_division division;
  bool flag;
  *cost = 0;
  if (is_edge(op, &flag)) return NULL; /* the same under every placement */
  if (op->code == JM_OP_while) {
    *cost = loop_cost(p, op);
  } else if (op->code == JM_OP_case) {
    *cost = branches_cost(p, op);
  } else if (op->code == JM_OP_sharding_constraint || op->code == JM_OP_sharding_group) {
    *cost = moves_cost(p, op->operands, op->first_result, 1);
  } else if (p->factors[id]) {
    return jm_division_choose(p, op, p->factors[id], &division, &flag, cost);
  } else {
    for (uint32_t i = 0; i < op->n_operands; i++) *cost += move_cost(p, op->operands[i], NULL);
  }
  return NULL;
}

static jm_error *placement_cost(const walk *w, double *total) {
  const jm_module *m = w->p->m;
  const jm_region *entry = jm_module_region(m, m->entry);
  double cost;
  *total = 0;
  for (uint32_t i = 0; i < w->n; i++) {
    JM_TRY(op_cost(w->p, w->visits[i].op, &cost));
    *total += cost * w->visits[i].times;
  }
  for (uint32_t i = 0; i < entry->n_results; i++)
    if (m->results[i].divided && jm_sharding_is_canonical(m->results[i].parts))
      *total += move_cost(w->p, entry->results[i], m->results[i].parts);
  return NULL;
}

/* -- the second placement */

/* Whether an argument's memory becomes a result's: the state that a step updates. */
static bool is_state(const jm_module *m, uint32_t argument) {
  return m->arguments[argument].alias >= 0 || m->arguments[argument].donor;
}

/* From the arguments alone that are no state; then from all. */
static jm_error *place_state_last(walk *w) {
  jm_placement *p = w->p;
  const jm_region *entry = jm_module_region(p->m, p->m->entry);
  const jm_sharding **own = jm_arena_copy(&p->scratch, p->sharding + entry->first_arg,
                                          entry->n_args, sizeof(jm_sharding *));
  if (!own) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < entry->n_args; i++)
    if (is_state(p->m, i)) p->sharding[entry->first_arg + i] = NULL;
  w->hides_results = true;
  JM_TRY(run_phases(w));
  w->hides_results = false;
  for (uint32_t i = 0; i < entry->n_args; i++) p->sharding[entry->first_arg + i] = own[i];
  return run_phases(w);
}

static bool has_divided(const jm_placement *p, bool state) {
  const jm_region *entry = jm_module_region(p->m, p->m->entry);
  for (uint32_t i = 0; i < entry->n_args; i++)
    if (is_state(p->m, i) == state && p->sharding[entry->first_arg + i]) return true;
  return false;
}

/* p->sharding has the shardings that are given. */
static jm_error *choose_placement(walk *w) {
  jm_placement *p = w->p;
  double cost, other_cost;
  const jm_sharding **other =
      jm_arena_copy(&p->scratch, p->sharding, p->n_values, sizeof(jm_sharding *));
  if (!other) return jm_error_out_of_memory();
  JM_TRY(run_phases(w));
  if (!has_divided(p, true) || !has_divided(p, false)) return NULL;
  const jm_sharding **first = p->sharding;
  JM_TRY(placement_cost(w, &cost));
  p->sharding = other;
  forget_answers(w);
  JM_TRY(place_state_last(w));
  JM_TRY(placement_cost(w, &other_cost));
  if (other_cost >= cost) p->sharding = first;
  return NULL;
}

/* -- sharding groups */

static int compare_members(const void *a, const void *b) {
  const member *x = a, *y = b;
  if (x->group != y->group) return x->group < y->group ? -1 : 1;
  return x->value < y->value ? -1 : x->value > y->value;
}

static bool has_shape_of(const jm_type *a, const jm_type *b) {
  return a->rank == b->rank && !memcmp(a->dims, b->dims, a->rank * sizeof *a->dims);
}

static jm_error *order_members(walk *w) {
  if (!w->n_members) return NULL;
  qsort(w->members, w->n_members, sizeof *w->members, compare_members);
  for (uint32_t i = 1; i < w->n_members; i++)
    if (w->members[i].group == w->members[i - 1].group &&
        !has_shape_of(jm_module_typeof(w->p->m, w->members[i].value),
                      jm_module_typeof(w->p->m, w->members[i - 1].value)))
      return jm_error_invalid("the values of the sharding group %lld have several shapes",
                              (long long)w->members[i].group);
  return NULL;
}

/* -- the placement */

static uint32_t count_factors(int64_t n) {
  uint32_t count = 0;
  for (int64_t f = 2; n > 1; f++)
    for (; n % f == 0; n /= f) count++;
  return count;
}

static bool begins_with(jm_axes axes, jm_axes run) {
  return run.n && run.n <= axes.n && jm_axes_agree(axes, run);
}

/* Remembers the axes that a sharding was named by, each as its factors in the canonical form. */
static jm_error *remember_axes(jm_placement *p, const jm_sharding *named,
                               const jm_sharding *canonical) {
  for (uint32_t d = 0; d < named->rank; d++) {
    const jm_sharding_axis *at = canonical->dims[d].axes;
    for (uint32_t i = 0; i < named->dims[d].n_axes; i++) {
      const jm_axes run = {at, count_factors(named->dims[d].axes[i].size)};
      at += run.n;
      jm_axes *grown =
          jm_arena_grow(&p->scratch, p->mesh, p->n_mesh + 1, &p->mesh_capacity, sizeof *grown);
      if (!grown) return jm_error_out_of_memory();
      p->mesh = grown;
      bool known = false;
      for (uint32_t k = 0; k < p->n_mesh; k++)
        known |= run.n == grown[k].n && jm_axes_agree(run, grown[k]);
      if (!known) grown[p->n_mesh++] = run;
    }
  }
  return NULL;
}

jm_error *jm_placement_nameable(jm_placement *p, const jm_sharding *sharding,
                                const jm_sharding **out) {
  *out = sharding;
  for (uint32_t d = 0; sharding && d < sharding->rank; d++) {
    const jm_axes all = jm_axes_of(sharding, d);
    uint32_t n = 0, longest = 0;
    do {
      const jm_axes left = {all.list + n, all.n - n};
      longest = 0;
      for (uint32_t k = 0; k < p->n_mesh; k++)
        if (begins_with(left, p->mesh[k]) && p->mesh[k].n > longest) longest = p->mesh[k].n;
      n += longest;
    } while (longest);
    if (n < all.n)
      JM_TRY(jm_sharding_replace(&p->m->arena, *out, sharding->rank, p->m->n_partitions, d,
                                 (jm_axes){all.list, n}, out));
  }
  return NULL;
}

static jm_error *canonicalize(jm_placement *p, const jm_sharding *named, const jm_sharding **out) {
  JM_TRY(jm_sharding_canonicalize(&p->m->arena, named, out));
  return named && jm_sharding_is_canonical(*out) ? remember_axes(p, named, *out) : NULL;
}

jm_error *jm_placement_named(jm_placement *p, const jm_op *op, uint32_t rank,
                             const jm_sharding **out) {
  const jm_sharding_constraint_attrs *a = op->attrs; /* the others begin with the same fields */
  const jm_sharding *named;
  JM_TRY(jm_sharding_decode(&p->m->arena, a->parts, a->ids, rank, p->m->n_partitions, &named));
  return canonicalize(p, named, out);
}

static jm_error *enter_arguments(jm_placement *p) {
  jm_module *m = p->m;
  const jm_region *entry = jm_module_region(m, m->entry);
  for (uint32_t i = 0; i < entry->n_args; i++) {
    JM_TRY(canonicalize(p, m->arguments[i].parts, &m->arguments[i].parts));
    if (jm_sharding_is_canonical(m->arguments[i].parts))
      p->sharding[entry->first_arg + i] = m->arguments[i].parts;
    p->fixed[entry->first_arg + i] = true;
  }
  for (uint32_t i = 0; i < entry->n_results; i++)
    JM_TRY(canonicalize(p, m->results[i].parts, &m->results[i].parts));
  return NULL;
}

jm_error *jm_placement_find(jm_placement *p) {
  walk w = {.p = p};
  jm_arena *arena = &p->scratch;
  p->n_values = p->m->n_values;
  p->n_ops = p->m->n_ops;
  p->sharding = jm_arena_alloc(arena, p->n_values, sizeof *p->sharding);
  p->manual = jm_arena_alloc(arena, p->n_values, sizeof *p->manual);
  p->fixed = jm_arena_alloc(arena, p->n_values, sizeof *p->fixed);
  p->tied = jm_arena_alloc(arena, p->n_values, sizeof *p->tied);
  p->factors = jm_arena_alloc(arena, p->n_ops, sizeof *p->factors);
  w.stands_in = jm_arena_alloc(arena, p->n_values, sizeof *w.stands_in);
  w.inferred = jm_arena_alloc(arena, p->n_values, sizeof *w.inferred);
  if (!p->sharding || !p->manual || !p->fixed || !p->tied || !p->factors || !w.stands_in ||
      !w.inferred)
    return jm_error_out_of_memory();
  for (uint32_t v = 0; v < p->n_values; v++) p->tied[v] = w.stands_in[v] = v;
  JM_TRY(enter_arguments(p));
  JM_TRY(enter_region(&w, p->m->entry, 1));
  JM_TRY(order_members(&w));
  return choose_placement(&w);
}
