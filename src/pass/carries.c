/* SPDX-License-Identifier: Apache-2.0
 * Carries of while loops. One that the body returns unchanged becomes a capture; one that
 * influences no used result, no condition and no side effect is removed. */
#include <string.h>

#include "pass/rewrite.h"

enum { KEPT, DEAD, INVARIANT };

typedef struct loop {
  uint8_t *fate;       /* per carry */
  uint8_t *live;       /* per value: of cond and body */
  const uint8_t *used; /* per value of the module: somewhere outside its own definition */
  uint32_t n, kept, invariant;
} loop;

/* Marks the values that the marked values of a region depend on, in one backward walk. */
static void mark_needs(const jm_module *m, const jm_region *region, uint8_t *live) {
  for (uint32_t i = region->n_ops; i--;) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    bool needed = jm_rewrite_has_effect(m, op);
    for (uint32_t k = 0; k < op->n_results && !needed; k++) needed = live[op->first_result + k];
    for (uint32_t k = 0; k < op->n_operands && needed; k++) live[op->operands[k]] = 1;
  }
}

/* A carry is needed if its last value is, if the condition looks at it, or if a needed carry's next
 * value does: grown until nothing changes, at most once per carry. */
static void find_dead(const jm_module *m, const jm_op *op, const loop *l) {
  const jm_region *cond = jm_op_region(m, op, 0), *body = jm_op_region(m, op, 1);
  l->live[cond->results[0]] = 1;
  mark_needs(m, cond, l->live);
  for (uint32_t i = 0; i < l->n; i++)
    l->fate[i] = l->used[op->first_result + i] || l->live[cond->first_arg + i] ? KEPT : DEAD;
  for (bool grown = true; grown;) {
    for (uint32_t i = 0; i < l->n; i++)
      if (l->fate[i] == KEPT) l->live[body->results[i]] = 1;
    mark_needs(m, body, l->live);
    grown = false;
    for (uint32_t i = 0; i < l->n; i++)
      if (l->fate[i] == DEAD && l->live[body->first_arg + i]) {
        l->fate[i] = KEPT;
        grown = true;
      }
  }
}

/* Arguments of a region of the loop: kept carries, captures, then carries that became captures. */
static jm_error *change_args(jm_module *m, jm_region_id id, const loop *l) {
  const jm_region *region = jm_module_region(m, id);
  uint32_t n = region->n_args, size = 0;
  uint32_t *from = jm_alloc(n, sizeof *from);
  const jm_type **types = jm_alloc(n, sizeof *types);
  jm_error *error = from && types ? NULL : jm_error_out_of_memory();
  for (int wanted = KEPT; !error && wanted <= INVARIANT; wanted += INVARIANT) {
    for (uint32_t i = 0; i < l->n; i++)
      if (l->fate[i] == wanted) from[size++] = i;
    for (uint32_t i = l->n; i < n && wanted == KEPT; i++) from[size++] = i;
  }
  for (uint32_t i = 0; !error && i < size; i++)
    types[i] = jm_module_typeof(m, region->first_arg + from[i]);
  if (!error) error = jm_rewrite_args(m, id, from, types, size);
  jm_free(types);
  jm_free(from);
  return error;
}

/* Ops that only dead carries needed are removed first, so that nothing uses a removed argument. */
static void drop_dead_ops(jm_module *m, jm_region *body, const loop *l) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < body->n_ops; i++) {
    const jm_op *op = jm_module_op(m, body->ops[i]);
    bool needed = jm_rewrite_has_effect(m, op);
    for (uint32_t k = 0; k < op->n_results && !needed; k++) needed = l->live[op->first_result + k];
    if (needed) body->ops[kept++] = body->ops[i];
  }
  body->n_ops = kept;
}

static jm_error *change_op(jm_module *m, jm_region_id region, jm_op_id id, const loop *l) {
  jm_op op = *jm_module_op(m, id);
  jm_value *operands = jm_arena_alloc(&m->arena, op.n_operands, sizeof *operands);
  uint32_t *kept = jm_alloc(l->n, sizeof *kept);
  jm_value *map = jm_alloc(m->n_values, sizeof *map);
  jm_error *error = operands && kept && map ? NULL : jm_error_out_of_memory();
  uint32_t n = 0, n_map = m->n_values;
  for (jm_value v = 0; !error && v < n_map; v++) map[v] = v;
  for (uint32_t i = 0; !error && i < l->n; i++) {
    if (l->fate[i] == INVARIANT) map[op.first_result + i] = op.operands[i];
    if (l->fate[i] != KEPT) continue;
    kept[n] = i;
    operands[n++] = op.operands[i];
  }
  if (!error) drop_dead_ops(m, jm_module_region(m, op.first_region + 1), l);
  if (!error) {
    jm_region *body = jm_module_region(m, op.first_region + 1);
    for (uint32_t i = 0; i < n; i++) body->results[i] = body->results[kept[i]];
    body->n_results = n;
    for (uint32_t i = 0; i < op.n_captures; i++) operands[n + i] = op.operands[l->n + i];
    uint32_t size = n + op.n_captures;
    for (uint32_t i = 0; i < l->n; i++)
      if (l->fate[i] == INVARIANT) operands[size++] = op.operands[i];
    jm_op *changed = jm_module_op(m, id);
    changed->operands = operands;
    changed->n_operands = size;
    changed->n_captures += l->invariant;
    error = jm_rewrite_results(m, id, kept, n, map);
  }
  if (!error) error = change_args(m, op.first_region, l);
  if (!error) error = change_args(m, op.first_region + 1, l);
  if (!error) jm_rewrite_uses(m, region, map, n_map);
  jm_free(map);
  jm_free(kept);
  return error;
}

static jm_error *change_loop(jm_module *m, jm_region_id region, jm_op_id id, loop *l,
                             bool *changed) {
  const jm_op *op = jm_module_op(m, id);
  const jm_region *body = jm_op_region(m, op, 1);
  find_dead(m, op, l);
  for (uint32_t i = 0; i < l->n; i++) {
    if (l->fate[i] == KEPT && body->results[i] == body->first_arg + i) {
      l->fate[i] = INVARIANT;
      l->invariant++;
    }
    l->kept += l->fate[i] == KEPT;
  }
  if (l->kept == l->n) return NULL;
  *changed = true;
  return change_op(m, region, id, l);
}

static jm_error *change(jm_module *m, jm_region_id region, uint8_t *used, bool *changed) {
  for (uint32_t i = 0; i < jm_module_region(m, region)->n_ops; i++) {
    jm_op_id id = jm_module_region(m, region)->ops[i];
    const jm_op *op = jm_module_op(m, id);
    if (op->code != JM_OP_while) continue;
    loop l = {.n = op->n_results,
              .used = used,
              .fate = jm_alloc(op->n_results, 1),
              .live = jm_alloc(m->n_values, 1)};
    jm_error *error =
        l.fate && l.live ? change_loop(m, region, id, &l, changed) : jm_error_out_of_memory();
    jm_free(l.live);
    jm_free(l.fate);
    JM_TRY(error);
  }
  return NULL;
}

static void mark_uses(const jm_module *m, const jm_region *region, uint8_t *used) {
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    for (uint32_t k = 0; k < op->n_operands; k++) used[op->operands[k]] = 1;
  }
  for (uint32_t i = 0; i < region->n_results; i++) used[region->results[i]] = 1;
}

jm_error *jm_pass_carries(jm_module *m, const jm_pass_options *options, bool *changed) {
  (void)options;
  jm_region_id *regions = NULL;
  uint32_t n = 0;
  JM_TRY(jm_rewrite_regions(m, &regions, &n));
  jm_error *error = NULL;
  for (uint32_t i = n; !error && i--;) { /* inner loops first */
    uint8_t *used = jm_alloc(m->n_values, 1);
    if (used) mark_uses(m, jm_module_region(m, regions[i]), used);
    error = used ? change(m, regions[i], used, changed) : jm_error_out_of_memory();
    jm_free(used);
  }
  jm_free(regions);
  return error;
}
