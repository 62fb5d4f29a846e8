/* SPDX-License-Identifier: Apache-2.0
 * Every all_reduce that depends on no other joins the next ones, so that devices meet once for all
 * gradients of a step and not once for each:
 *
 *   %s: f32[4] = all_reduce %a replica_groups=[0,1] group_size=2 {add}
 *   %x: f32[4] = multiply %s, %s
 *   %t: f32[8] = all_reduce %b replica_groups=[0,1] group_size=2 {add}
 * becomes
 *   %s: f32[4], %t: f32[8] = all_reduce %a, %b replica_groups=[0,1] group_size=2 {add}
 *   %x: f32[4] = multiply %s, %s
 *
 * The combined op stands where the last of them stood, and what depends on the others moves behind
 * it. Left alone: large arrays, for which the meeting costs little, and those between which an op
 * with effects depends on one. The order of all collectives stays the same in every participant,
 * because the pass is the same in all of them. */
#include <string.h>

#include "ir/body.h"
#include "pass/rewrite.h"

enum {
  MOST_BYTES = 32 << 20, /* of a combined op: they are copied together on some devices */
  MOST_OPS = 256,        /* combined into one */
};

typedef struct combiner {
  jm_module *m;
  jm_region_id region;
  jm_op_id members[MOST_OPS]; /* in their order */
  uint32_t n;
  size_t bytes;
  bool *depends;  /* per value, while ops are walked: on a member's result */
  jm_value *map;  /* per value: what replaces it */
  uint32_t n_map; /* values that these two have room for */
  jm_op_id *moved;
  uint32_t n_moved; /* ops that there is room for */
} combiner;

static size_t bytes_of(const jm_module *m, const jm_op *op) {
  size_t bytes = 0;
  for (uint32_t i = 0; i < op->n_results; i++) bytes += jm_type_bytes(jm_op_result_type(m, op, i));
  return bytes;
}

static bool may_combine(const jm_module *m, const jm_op *op) {
  jm_opcode code;
  return op->code == JM_OP_all_reduce && !op->n_captures && bytes_of(m, op) <= MOST_BYTES &&
         jm_body_binary(m, op->first_region, &code);
}

/* The same reduction, of elements of one type, over the same groups. */
static bool fits(const jm_module *m, const jm_op *a, const jm_op *b) {
  jm_opcode mine, others;
  jm_all_reduce_attrs of_a = *(const jm_all_reduce_attrs *)a->attrs;
  of_a.channel = ((const jm_all_reduce_attrs *)b->attrs)->channel;
  return jm_body_binary(m, a->first_region, &mine) && jm_body_binary(m, b->first_region, &others) &&
         mine == others && jm_op_result_type(m, a, 0)->dtype == jm_op_result_type(m, b, 0)->dtype &&
         jm_attrs_equal(JM_OP_all_reduce, &of_a, b->attrs, NULL);
}

static bool uses_depend(const combiner *c, const jm_op *op) {
  for (uint32_t i = 0; i < op->n_operands; i++)
    if (c->depends[op->operands[i]]) return true;
  return false;
}

static void mark(const combiner *c, const jm_op *op, bool depends) {
  for (uint32_t i = 0; i < op->n_results; i++) c->depends[op->first_result + i] = depends;
}

/* Lists the members from the op at `first` on; *end is the position of the last one. */
static void find_members(combiner *c, uint32_t first, uint32_t *end) {
  const jm_region *region = jm_module_region(c->m, c->region);
  const jm_op *leader = jm_module_op(c->m, region->ops[first]);
  c->members[0] = region->ops[first];
  c->n = 1;
  c->bytes = bytes_of(c->m, leader);
  *end = first;
  mark(c, leader, true);
  for (uint32_t i = first + 1; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(c->m, region->ops[i]);
    const bool depends = uses_depend(c, op);
    mark(c, op, depends);
    if (depends && jm_rewrite_has_effect(c->m, op)) break;
    if (depends || c->n == MOST_OPS || !may_combine(c->m, op) || !fits(c->m, leader, op)) continue;
    const size_t bytes = bytes_of(c->m, op);
    if (c->bytes + bytes > MOST_BYTES) continue;
    c->bytes += bytes;
    c->members[c->n++] = region->ops[i];
    mark(c, op, true);
    *end = i;
  }
  for (uint32_t i = first; i < region->n_ops; i++)
    mark(c, jm_module_op(c->m, region->ops[i]), false);
}

/* Room for the values and the region's ops that exist now. */
static jm_error *make_room(combiner *c) {
  const uint32_t n = c->m->n_values, n_ops = jm_module_region(c->m, c->region)->n_ops;
  if (n > c->n_map) {
    bool *depends = jm_realloc(c->depends, n, sizeof *depends);
    if (depends) c->depends = depends;
    jm_value *map = depends ? jm_realloc(c->map, n, sizeof *map) : NULL;
    if (!map) return jm_error_out_of_memory();
    c->map = map;
    for (uint32_t v = c->n_map; v < n; v++) {
      c->depends[v] = false;
      c->map[v] = v;
    }
    c->n_map = n;
  }
  if (n_ops <= c->n_moved) return NULL;
  jm_op_id *moved = jm_realloc(c->moved, n_ops, sizeof *moved);
  if (!moved) return jm_error_out_of_memory();
  c->moved = moved;
  c->n_moved = n_ops;
  return NULL;
}

/* The combined op, at the end of the region's list. */
static jm_error *build(combiner *c, jm_op_id *out) {
  jm_module *m = c->m;
  const jm_op leader = *jm_module_op(m, c->members[0]);
  uint32_t n = 0, at = 0;
  for (uint32_t k = 0; k < c->n; k++) n += jm_module_op(m, c->members[k])->n_results;
  jm_value *operands = jm_arena_alloc(&m->arena, n, sizeof *operands);
  const jm_type **types = jm_arena_alloc(&m->arena, n, sizeof *types);
  /* Of the values as jm_build_clone finds them: with the results and the body's arguments. */
  jm_value *cloned = jm_alloc(m->n_values + n + 2, sizeof *cloned);
  if (!operands || !types || !cloned) {
    jm_free(cloned);
    return jm_error_out_of_memory();
  }
  for (uint32_t k = 0; k < c->n; k++) {
    const jm_op *op = jm_module_op(m, c->members[k]);
    for (uint32_t i = 0; i < op->n_results; i++, at++) {
      operands[at] = op->operands[i];
      types[at] = jm_op_result_type(m, op, i);
    }
  }
  jm_op_spec spec = jm_op_spec_like(&leader, operands, types);
  spec.n_operands = spec.n_results = n;
  jm_error *error = jm_build_op(m, c->region, &spec, out);
  const jm_region_id body = error ? JM_NONE : jm_module_op(m, *out)->first_region;
  const jm_region from = *jm_module_region(m, leader.first_region);
  for (uint32_t i = 0; !error && i < from.n_args; i++)
    error =
        jm_build_arg(m, body, jm_module_typeof(m, from.first_arg + i), &cloned[from.first_arg + i]);
  if (!error) error = jm_build_clone(m, leader.first_region, body, cloned);
  if (!error) error = jm_build_results(m, body, &cloned[from.results[0]], 1);
  jm_free(cloned);
  return error;
}

/* Replaces the ops from `first` to `end`: what does not depend on a member, the combined op, then
 * the others in their order. */
static void place(combiner *c, uint32_t first, uint32_t end, jm_op_id combined) {
  jm_region *region = jm_module_region(c->m, c->region);
  uint32_t n_moved = 0, to = first, member = 0;
  region->n_ops--; /* where it was built */
  for (uint32_t i = first; i <= end; i++) {
    const jm_op_id id = region->ops[i];
    const jm_op *op = jm_module_op(c->m, id);
    if (member < c->n && c->members[member] == id) {
      mark(c, op, true);
      member++;
    } else if (uses_depend(c, op)) {
      mark(c, op, true);
      c->moved[n_moved++] = id;
    } else {
      region->ops[to++] = id;
    }
  }
  region->ops[to++] = combined;
  memcpy(region->ops + to, c->moved, n_moved * sizeof *c->moved);
  to += n_moved;
  memmove(region->ops + to, region->ops + end + 1, (region->n_ops - end - 1) * sizeof *region->ops);
  region->n_ops -= end + 1 - to;
  for (uint32_t i = 0; i < c->n; i++) mark(c, jm_module_op(c->m, c->members[i]), false);
  for (uint32_t i = 0; i < n_moved; i++) mark(c, jm_module_op(c->m, c->moved[i]), false);
}

static jm_error *combine(combiner *c, uint32_t first, uint32_t end) {
  jm_op_id combined;
  JM_TRY(build(c, &combined));
  JM_TRY(make_room(c));
  place(c, first, end, combined);
  jm_value result = jm_module_op(c->m, combined)->first_result;
  for (uint32_t k = 0; k < c->n; k++) {
    const jm_op *op = jm_module_op(c->m, c->members[k]);
    for (uint32_t i = 0; i < op->n_results; i++) c->map[op->first_result + i] = result++;
  }
  jm_rewrite_uses(c->m, c->region, c->map, c->n_map);
  return NULL;
}

static jm_error *run_region(combiner *c, bool *changed) {
  for (uint32_t i = 0; i < jm_module_region(c->m, c->region)->n_ops; i++) {
    const jm_op_id id = jm_module_region(c->m, c->region)->ops[i];
    uint32_t end;
    JM_TRY(make_room(c));
    if (!may_combine(c->m, jm_module_op(c->m, id))) continue;
    find_members(c, i, &end);
    if (c->n == 1) continue;
    JM_TRY(combine(c, i, end));
    *changed = true;
    i--; /* what stands there now */
  }
  return NULL;
}

jm_error *jm_pass_combine(jm_module *m, const jm_pass_options *options, bool *changed) {
  (void)options;
  jm_region_id *regions;
  uint32_t n_regions;
  if (m->n_replicas * m->n_partitions == 1) return NULL;
  JM_TRY(jm_rewrite_regions(m, &regions, &n_regions));
  combiner c = {.m = m};
  jm_error *error = NULL;
  for (uint32_t r = 0; !error && r < n_regions; r++) {
    c.region = regions[r];
    error = run_region(&c, changed);
  }
  jm_free(c.depends);
  jm_free(c.map);
  jm_free(c.moved);
  jm_free(regions);
  return error;
}
