/* SPDX-License-Identifier: Apache-2.0
 * Loop-invariant code motion: ops of while bodies move before the loop if their results are no
 * larger than their operands (recomputing a broadcast is cheaper than keeping it) and not too large
 * in total. No op but a callback can fail, so that hoisting out of a loop with no iterations wastes
 * work but is correct. */
#include <string.h>

#include "pass/rewrite.h"

enum { SMALL = 1 << 12 };                /* bytes: may grow from nothing */
static const size_t largest = 64u << 20; /* bytes held during the whole loop */

enum { VARIES, INVARIANT, CONSTANT };

typedef struct body {
  uint8_t *kind; /* per value */
  jm_value *map; /* hoisted value → its copy before the loop, then → argument */
  jm_op_id *hoisted, *rest;
  jm_value *outside; /* new captures */
  uint32_t *from;    /* for jm_rewrite_args */
  const jm_type **types;
  uint32_t n_hoisted, n_rest, n_new;
  size_t held;
} body;

static bool is_hoistable(const jm_module *m, const jm_op *op, body *b) {
  int64_t callback; /* may raise: a loop without iterations must not call it */
  if (jm_op_callback_find(op, &callback) || op->code == JM_OP_optimization_barrier ||
      op->code == JM_OP_iota || !op->n_results || jm_rewrite_has_token(m, op) ||
      jm_rewrite_has_effect(m, op))
    return false;
  size_t in = 0, out = 0;
  bool any = false; /* of constants alone: for folding to decide */
  for (uint32_t i = 0; i < op->n_operands; i++) {
    uint8_t kind = b->kind[op->operands[i]];
    if (kind == VARIES) return false;
    any = any || kind == INVARIANT;
    if (!jm_size_add(in, jm_type_bytes(jm_op_operand_type(m, op, i)), &in)) return false;
  }
  for (uint32_t i = 0; i < op->n_results; i++)
    if (!jm_size_add(out, jm_type_bytes(jm_op_result_type(m, op, i)), &out)) return false;
  if (!any || out > largest || b->held + out > largest || (out > in && out > SMALL)) return false;
  b->held += out;
  return true;
}

/* Sorts the body's ops into those that move and the rest; constants are in both lists. */
static void sort_ops(const jm_module *m, const jm_op *op, body *b) {
  const jm_region *region = jm_op_region(m, op, 1);
  for (uint32_t i = 0; i < op->n_captures; i++)
    b->kind[region->first_arg + region->n_args - op->n_captures + i] = INVARIANT;
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *inner = jm_module_op(m, region->ops[i]);
    bool constant = inner->code == JM_OP_constant;
    bool moves = !constant && is_hoistable(m, inner, b);
    for (uint32_t k = 0; k < inner->n_results; k++)
      b->kind[inner->first_result + k] = constant ? CONSTANT : moves ? INVARIANT : VARIES;
    if (constant || moves) b->hoisted[b->n_hoisted++] = region->ops[i];
    if (!moves) b->rest[b->n_rest++] = region->ops[i];
  }
}

/* Records that an invariant value is still used inside: it becomes a new capture, once. */
static void need(const jm_module *m, body *b, jm_value v, uint8_t *asked) {
  const jm_op *op = jm_module_definition(m, v);
  if (!op || b->kind[v] != INVARIANT || asked[v]) return;
  asked[v] = 1;
  b->outside[b->n_new] = v; /* by its name inside, for now */
  b->n_new++;
}

static void find_needs(const jm_module *m, const jm_region *region, body *b, uint8_t *asked) {
  for (uint32_t i = 0; i < b->n_rest; i++) {
    const jm_op *op = jm_module_op(m, b->rest[i]);
    for (uint32_t k = 0; k < op->n_operands; k++) need(m, b, op->operands[k], asked);
  }
  for (uint32_t i = 0; i < region->n_results; i++) need(m, b, region->results[i], asked);
}

/* Clones the list before the loop: as if the region had only those ops. */
static jm_error *clone_hoisted(jm_module *m, jm_region_id id, jm_region_id parent, body *b,
                               const jm_op *loop) {
  jm_region *region = jm_module_region(m, id);
  jm_value first = region->first_arg + region->n_args - loop->n_captures;
  const jm_value *captures = loop->operands + loop->n_operands - loop->n_captures;
  for (uint32_t i = 0; i < loop->n_captures; i++) b->map[first + i] = captures[i];
  memcpy(region->ops, b->hoisted, b->n_hoisted * sizeof *b->hoisted);
  region->n_ops = b->n_hoisted;
  JM_TRY(jm_build_clone(m, id, parent, b->map));
  region = jm_module_region(m, id);
  memcpy(region->ops, b->rest, b->n_rest * sizeof *b->rest);
  region->n_ops = b->n_rest;
  return NULL;
}

static jm_error *add_args(jm_module *m, jm_region_id id, body *b) {
  uint32_t n = jm_module_region(m, id)->n_args;
  for (uint32_t i = 0; i < n + b->n_new; i++) {
    b->from[i] = i < n ? i : JM_NONE;
    b->types[i] =
        jm_module_typeof(m, i < n ? jm_module_region(m, id)->first_arg + i : b->outside[i - n]);
  }
  return jm_rewrite_args(m, id, b->from, b->types, n + b->n_new);
}

static jm_error *hoist(jm_rewrite *rw, jm_region_id region, jm_op_id id, body *b, uint8_t *asked) {
  jm_module *m = rw->m;
  const jm_op loop = *jm_module_op(m, id);
  jm_region_id cond = loop.first_region, inner = cond + 1;
  const uint32_t n_map = m->n_values;
  sort_ops(m, &loop, b);
  find_needs(m, jm_module_region(m, inner), b, asked);
  if (!b->n_new) return NULL;
  rw->changed = true;
  JM_TRY(clone_hoisted(m, inner, region, b, &loop));
  JM_TRY(add_args(m, cond, b));
  JM_TRY(add_args(m, inner, b));
  const jm_region *changed = jm_module_region(m, inner);
  jm_value first_new = changed->first_arg + changed->n_args - b->n_new;
  jm_value *inside = jm_alloc(n_map, sizeof *inside);
  if (!inside) return jm_error_out_of_memory();
  for (jm_value v = 0; v < n_map; v++) inside[v] = v;
  for (uint32_t i = 0; i < b->n_new; i++) {
    inside[b->outside[i]] = first_new + i;
    b->outside[i] = b->map[b->outside[i]];
  }
  jm_rewrite_uses(m, inner, inside, n_map);
  jm_free(inside);
  return jm_build_captures(m, id, b->outside, b->n_new);
}

static jm_error *visit(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  jm_module *m = rw->m;
  const jm_op *op = jm_module_op(m, id);
  if (op->code != JM_OP_while || !op->n_captures) return NULL;
  const jm_region *inner = jm_op_region(m, op, 1);
  uint32_t n_ops = inner->n_ops, n_values = 0;
  for (uint32_t i = 0; i < n_ops; i++) n_values += jm_module_op(m, inner->ops[i])->n_results;
  jm_arena scratch;
  jm_arena_init(&scratch);
  body b = {.kind = jm_arena_alloc(&scratch, m->n_values, 1),
            .map = jm_arena_alloc(&scratch, m->n_values, sizeof *b.map),
            .hoisted = jm_arena_alloc(&scratch, n_ops, sizeof *b.hoisted),
            .rest = jm_arena_alloc(&scratch, n_ops, sizeof *b.rest),
            .outside = jm_arena_alloc(&scratch, n_values, sizeof *b.outside),
            .from = jm_arena_alloc(&scratch, inner->n_args + n_values, sizeof *b.from),
            .types = jm_arena_alloc(&scratch, inner->n_args + n_values, sizeof *b.types)};
  uint8_t *asked = jm_arena_alloc(&scratch, m->n_values, 1);
  bool enough = b.kind && b.map && b.hoisted && b.rest && b.outside && b.from && b.types && asked;
  jm_error *error = enough ? hoist(rw, region, id, &b, asked) : jm_error_out_of_memory();
  jm_arena_deinit(&scratch);
  return error;
}

jm_error *jm_pass_hoist(jm_module *m, const jm_pass_options *options, bool *changed) {
  return jm_rewrite_run(m, options, visit, NULL, changed);
}
