/* SPDX-License-Identifier: Apache-2.0 */
#include "pass/rewrite.h"

jm_error *jm_rewrite_regions(const jm_module *m, jm_region_id **out, uint32_t *n) {
  jm_region_id *list = jm_alloc(m->n_regions, sizeof *list);
  if (!list) return jm_error_out_of_memory();
  uint32_t size = 0;
  list[size++] = m->entry;
  for (uint32_t i = 0; i < size; i++) {
    const jm_region *region = jm_module_region(m, list[i]);
    for (uint32_t k = 0; k < region->n_ops; k++) {
      const jm_op *op = jm_module_op(m, region->ops[k]);
      for (uint32_t c = 0; c < op->n_regions; c++) list[size++] = op->first_region + c;
    }
  }
  *out = list;
  *n = size;
  return NULL;
}

static jm_error *visit_op(jm_rewrite *rw, jm_rewrite_fn *visit, jm_region_id region, jm_op_id id) {
  jm_module *m = rw->m;
  const jm_op *op = jm_module_op(m, id);
  for (uint32_t i = 0; i < op->n_operands; i++)
    op->operands[i] = jm_rewrite_value(rw, op->operands[i]);
  rw->drop = false;
  JM_TRY(visit(rw, region, id));
  if (rw->drop) {
    rw->changed = true;
    return NULL;
  }
  jm_region *r = jm_module_region(m, region);
  r->ops = jm_arena_grow(&m->arena, r->ops, r->n_ops + 1, &r->ops_capacity, sizeof *r->ops);
  if (!r->ops) return jm_error_out_of_memory();
  r->ops[r->n_ops++] = id;
  return NULL;
}

/* The list of ops is rebuilt: ops that the visitor builds are appended before the visited one. */
static jm_error *visit_region(jm_rewrite *rw, jm_rewrite_fn *visit, jm_region_id id) {
  jm_region *region = jm_module_region(rw->m, id);
  jm_op_id *ops = jm_alloc(region->n_ops, sizeof *ops);
  if (!ops) return jm_error_out_of_memory();
  uint32_t n = region->n_ops;
  for (uint32_t i = 0; i < n; i++) ops[i] = region->ops[i];
  region->n_ops = 0;
  jm_error *error = NULL;
  for (uint32_t i = 0; i < n && !error; i++) error = visit_op(rw, visit, id, ops[i]);
  jm_free(ops);
  if (error) return error;
  region = jm_module_region(rw->m, id);
  for (uint32_t i = 0; i < region->n_results; i++)
    region->results[i] = jm_rewrite_value(rw, region->results[i]);
  return NULL;
}

jm_error *jm_rewrite_run(jm_module *m, const jm_pass_options *options, jm_rewrite_fn *visit,
                         void *context, bool *changed) {
  jm_rewrite rw = {.m = m, .options = options, .context = context, .n_map = m->n_values};
  jm_region_id *regions = NULL;
  uint32_t n = 0;
  rw.map = jm_alloc(rw.n_map, sizeof *rw.map);
  jm_error *error = rw.map ? jm_rewrite_regions(m, &regions, &n) : jm_error_out_of_memory();
  for (uint32_t v = 0; !error && v < rw.n_map; v++) rw.map[v] = v;
  for (uint32_t i = 0; !error && i < n; i++) error = visit_region(&rw, visit, regions[i]);
  jm_free(regions);
  jm_free(rw.map);
  if (rw.changed) *changed = true;
  return error;
}

bool jm_rewrite_has_effect(const jm_module *m, const jm_op *op) {
  if (jm_op_facts[op->code].traits & JM_TRAIT_EFFECT) {
    if (op->code != JM_OP_custom_call) return true;
    return ((const jm_custom_call_attrs *)op->attrs)->has_side_effect;
  }
  for (uint32_t r = 0; r < op->n_regions; r++) { /* recursion is bounded by JM_DEPTH_MAX */
    const jm_region *region = jm_op_region(m, op, r);
    for (uint32_t i = 0; i < region->n_ops; i++)
      if (jm_rewrite_has_effect(m, jm_module_op(m, region->ops[i]))) return true;
  }
  return false;
}

bool jm_rewrite_has_token(const jm_module *m, const jm_op *op) {
  for (uint32_t i = 0; i < op->n_results; i++)
    if (jm_op_result_type(m, op, i)->dtype == JM_DT_token) return true;
  return false;
}

const jm_constant_attrs *jm_rewrite_constant(const jm_module *m, jm_value v) {
  const jm_op *op = jm_module_definition(m, v);
  return op && op->code == JM_OP_constant ? op->attrs : NULL;
}

void jm_rewrite_uses(jm_module *m, jm_region_id id, const jm_value *map, uint32_t n) {
  jm_region *region = jm_module_region(m, id);
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    for (uint32_t k = 0; k < op->n_operands; k++)
      if (op->operands[k] < n) op->operands[k] = map[op->operands[k]];
  }
  for (uint32_t i = 0; i < region->n_results; i++)
    if (region->results[i] < n) region->results[i] = map[region->results[i]];
}

jm_error *jm_rewrite_args(jm_module *m, jm_region_id id, const uint32_t *from,
                          const jm_type *const *types, uint32_t n) {
  const jm_value first = jm_module_region(m, id)->first_arg;
  const uint32_t n_map = m->n_values;
  jm_value *map = jm_alloc(n_map, sizeof *map);
  if (!map) return jm_error_out_of_memory();
  for (uint32_t v = 0; v < n_map; v++) map[v] = v;
  jm_module_region(m, id)->n_args = 0; /* the old ones stay as unlisted values */
  jm_error *error = NULL;
  for (uint32_t i = 0; i < n && !error; i++) {
    jm_value value = JM_NONE;
    error = jm_build_arg(m, id, types[i], &value);
    if (!error && from[i] != JM_NONE) map[first + from[i]] = value;
  }
  if (!error) jm_rewrite_uses(m, id, map, n_map);
  jm_free(map);
  return error;
}

jm_error *jm_rewrite_results(jm_module *m, jm_op_id id, const uint32_t *from, uint32_t n,
                             jm_value *map) {
  const jm_value old = jm_module_op(m, id)->first_result, first = m->n_values;
  if (n > JM_NONE - 1 - first) return jm_error_invalid("too many values");
  m->values =
      jm_arena_grow(&m->arena, m->values, first + n, &m->values_capacity, sizeof *m->values);
  if (!m->values) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) {
    m->values[first + i] = m->values[old + from[i]];
    map[old + from[i]] = first + i;
  }
  m->n_values += n;
  jm_module_op(m, id)->first_result = first;
  jm_module_op(m, id)->n_results = n;
  return NULL;
}

#define EXCHANGE(T, x, y) \
  do {                    \
    T before = (x);       \
    (x) = (y);            \
    (y) = before;         \
  } while (0)

void jm_rewrite_exchange(jm_dot_general_attrs *a) {
  EXCHANGE(jm_i64s, a->lhs_batch, a->rhs_batch);
  EXCHANGE(jm_i64s, a->lhs_contract, a->rhs_contract);
  EXCHANGE(jm_precision, a->lhs_precision, a->rhs_precision);
  EXCHANGE(jm_str, a->lhs_algorithm, a->rhs_algorithm);
  EXCHANGE(int64_t, a->lhs_components, a->rhs_components);
}

static void count_uses(const jm_module *m, jm_region_id id, uint32_t *n_uses) {
  const jm_region *region = jm_module_region(m, id);
  for (uint32_t i = 0; i < region->n_results; i++) n_uses[region->results[i]]++;
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    for (uint32_t k = 0; k < op->n_operands; k++) n_uses[op->operands[k]]++;
  }
}

jm_error *jm_rewrite_run_counted(jm_module *m, const jm_pass_options *options, jm_rewrite_fn *visit,
                                 bool *changed) {
  jm_region_id *regions = NULL;
  uint32_t *n_uses = jm_alloc(m->n_values, sizeof *n_uses), n = 0;
  jm_error *error = n_uses ? jm_rewrite_regions(m, &regions, &n) : jm_error_out_of_memory();
  for (uint32_t i = 0; !error && i < n; i++) count_uses(m, regions[i], n_uses);
  if (!error) error = jm_rewrite_run(m, options, visit, n_uses, changed);
  jm_free(regions);
  jm_free(n_uses);
  return error;
}
