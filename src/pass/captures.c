/* SPDX-License-Identifier: Apache-2.0
 * Captures of regions: unused ones are removed, equal ones are merged, and small constants move
 * inside, where folding and the engines see them. */
#include <string.h>

#include "pass/rewrite.h"

enum { LARGEST = 16 }; /* elements of a constant that is worth a copy; a splat always is */

static bool is_small_constant(const jm_module *m, jm_value v) {
  const jm_constant_attrs *constant = jm_rewrite_constant(m, v);
  return constant && (constant->value.splat || jm_module_typeof(m, v)->count <= LARGEST);
}

/* Which of the region's last n arguments are used in it. */
static void mark_used(const jm_module *m, const jm_region *region, uint32_t n, uint8_t *used) {
  jm_value first = region->first_arg + region->n_args - n;
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    for (uint32_t k = 0; k < op->n_operands; k++)
      if (op->operands[k] - first < n) used[op->operands[k] - first] = 1; /* wraps below first */
  }
  for (uint32_t i = 0; i < region->n_results; i++)
    if (region->results[i] - first < n) used[region->results[i] - first] = 1;
}

/* A copy of the constant at the front of the region. */
static jm_error *copy_constant(jm_module *m, jm_region_id id, jm_value constant, jm_value *out) {
  const jm_op *op = jm_module_definition(m, constant);
  const jm_type *type = jm_module_typeof(m, constant);
  const jm_op_spec spec = {.code = JM_OP_constant,
                           .result_types = &type,
                           .n_results = 1,
                           .attrs = op->attrs,
                           .loc = op->loc};
  jm_op_id copy;
  JM_TRY(jm_build_op(m, id, &spec, &copy));
  jm_region *region = jm_module_region(m, id);
  memmove(region->ops + 1, region->ops, (region->n_ops - 1) * sizeof *region->ops);
  region->ops[0] = copy;
  *out = jm_module_op(m, copy)->first_result;
  return NULL;
}

/* The replacement of each capture; JM_NONE: it is removed. */
typedef struct plan {
  uint32_t *stands; /* itself: stays */
  uint8_t *used;
  uint32_t n, kept;
} plan;

static jm_error *change_region(jm_module *m, jm_region_id id, const plan *p,
                               const jm_value *captures) {
  uint32_t own = jm_module_region(m, id)->n_args - p->n, n_map = m->n_values;
  jm_value first = jm_module_region(m, id)->first_arg + own;
  uint32_t *from = jm_alloc(own + p->kept, sizeof *from);
  const jm_type **types = jm_alloc(own + p->kept, sizeof *types);
  jm_value *map = jm_alloc(n_map, sizeof *map);
  jm_error *error = from && types && map ? NULL : jm_error_out_of_memory();
  for (jm_value v = 0; !error && v < n_map; v++) map[v] = v;
  uint8_t *used = p->used; /* reused: by now it is known what to do */
  if (!error) memset(used, 0, p->n);
  if (!error) mark_used(m, jm_module_region(m, id), p->n, used);
  for (uint32_t i = 0, k = 0; !error && i < own + p->n; i++) {
    uint32_t capture = i < own ? JM_NONE : i - own;
    if (capture == JM_NONE || p->stands[capture] == capture) {
      from[k] = i;
      types[k++] = jm_module_typeof(m, jm_module_region(m, id)->first_arg + i);
    } else if (p->stands[capture] != JM_NONE) {
      map[first + capture] = first + p->stands[capture];
    } else if (used[capture]) {
      error = copy_constant(m, id, captures[capture], &map[first + capture]);
    }
  }
  if (!error) jm_rewrite_uses(m, id, map, n_map);
  if (!error) error = jm_rewrite_args(m, id, from, types, own + p->kept);
  jm_free(map);
  jm_free(types);
  jm_free(from);
  return error;
}

static jm_error *change_op(jm_module *m, jm_op_id id, plan *p, bool *changed) {
  const jm_op *op = jm_module_op(m, id);
  const jm_value *captures = op->operands + op->n_operands - p->n;
  for (uint32_t r = 0; r < op->n_regions; r++) mark_used(m, jm_op_region(m, op, r), p->n, p->used);
  for (uint32_t i = 0; i < p->n; i++) {
    p->stands[i] = i;
    if (!p->used[i] || is_small_constant(m, captures[i])) p->stands[i] = JM_NONE;
    for (uint32_t k = 0; k < i && p->stands[i] == i; k++)
      if (captures[k] == captures[i] && p->stands[k] == k) p->stands[i] = k;
    p->kept += p->stands[i] == i;
  }
  if (p->kept == p->n) return NULL;
  *changed = true;
  for (uint32_t r = 0; r < jm_module_op(m, id)->n_regions; r++)
    JM_TRY(change_region(m, jm_module_op(m, id)->first_region + r, p, captures));
  jm_op *done = jm_module_op(m, id);
  uint32_t own = done->n_operands - p->n, k = own;
  for (uint32_t i = 0; i < p->n; i++)
    if (p->stands[i] == i) done->operands[k++] = done->operands[own + i];
  done->n_operands = k;
  done->n_captures = p->kept;
  return NULL;
}

static jm_error *change(jm_module *m, jm_region_id region, bool *changed) {
  for (uint32_t i = 0; i < jm_module_region(m, region)->n_ops; i++) {
    jm_op_id id = jm_module_region(m, region)->ops[i];
    uint32_t n = jm_module_op(m, id)->n_captures;
    if (!n) continue;
    plan p = {.n = n, .stands = jm_alloc(n, sizeof *p.stands), .used = jm_alloc(n, 1)};
    jm_error *error = p.stands && p.used ? change_op(m, id, &p, changed) : jm_error_out_of_memory();
    jm_free(p.used);
    jm_free(p.stands);
    JM_TRY(error);
  }
  return NULL;
}

jm_error *jm_pass_captures(jm_module *m, const jm_pass_options *options, bool *changed) {
  (void)options;
  jm_region_id *regions = NULL;
  uint32_t n = 0;
  jm_error *error = jm_rewrite_regions(m, &regions, &n);
  /* Constants move down from parents to children; captures that children no longer use become
   * unused in their parents. */
  for (uint32_t i = 0; !error && i < n; i++) error = change(m, regions[i], changed);
  for (uint32_t i = n; !error && i--;) error = change(m, regions[i], changed);
  jm_free(regions);
  return error;
}
