/* SPDX-License-Identifier: Apache-2.0
 * Renumbers everything that the entry and the expansions reach and drops the rest, so that later
 * stages can use arrays per value, op and region. Regions come parents first, each op's one after
 * another; a region's arguments and an op's results stay consecutive. */
#include "pass/rewrite.h"

typedef struct compaction {
  jm_module *m;
  jm_op *ops;
  jm_value_fact *values;
  jm_region *regions;
  jm_value *map;
  uint32_t n_ops, n_values, n_regions;
} compaction;

static void number_value(compaction *c, jm_value old, jm_op_id op, jm_region_id region) {
  c->map[old] = c->n_values;
  c->values[c->n_values++] = (jm_value_fact){jm_module_typeof(c->m, old), op, region};
}

static void move_region(compaction *c, jm_region_id id) {
  jm_region *region = &c->regions[id];
  jm_value first_arg = region->first_arg;
  region->first_arg = c->n_values;
  for (uint32_t i = 0; i < region->n_args; i++) number_value(c, first_arg + i, JM_NONE, id);
  for (uint32_t i = 0; i < region->n_ops; i++) {
    jm_op_id op_id = c->n_ops++;
    jm_op *op = &c->ops[op_id];
    *op = *jm_module_op(c->m, region->ops[i]);
    region->ops[i] = op_id;
    for (uint32_t k = 0; k < op->n_operands; k++) op->operands[k] = c->map[op->operands[k]];
    jm_value first_result = op->first_result;
    op->first_result = c->n_values;
    for (uint32_t k = 0; k < op->n_results; k++) number_value(c, first_result + k, op_id, id);
    for (uint32_t k = 0; k < op->n_regions; k++) {
      c->regions[c->n_regions + k] = *jm_op_region(c->m, op, k);
      c->regions[c->n_regions + k].parent = op_id;
    }
    op->first_region = c->n_regions;
    c->n_regions += op->n_regions;
  }
  for (uint32_t i = 0; i < region->n_results; i++) region->results[i] = c->map[region->results[i]];
}

jm_error *jm_pass_compact(jm_module *m, const jm_pass_options *options, bool *changed) {
  (void)options;
  compaction c = {.m = m};
  c.ops = jm_arena_alloc(&m->arena, m->n_ops, sizeof *c.ops);
  c.values = jm_arena_alloc(&m->arena, m->n_values, sizeof *c.values);
  c.regions = jm_arena_alloc(&m->arena, m->n_regions, sizeof *c.regions);
  c.map = jm_alloc(m->n_values, sizeof *c.map);
  if (!c.ops || !c.values || !c.regions || !c.map) {
    jm_free(c.map);
    return jm_error_out_of_memory();
  }
  c.regions[c.n_regions++] = *jm_module_region(m, m->entry);
  for (uint32_t i = 0; i < m->n_expansions; i++) {
    c.regions[c.n_regions] = *jm_module_region(m, m->expansions[i].region);
    m->expansions[i].region = c.n_regions++;
  }
  for (uint32_t i = 0; i < c.n_regions; i++) move_region(&c, i);
  jm_free(c.map);
  if (c.n_ops != m->n_ops || c.n_values != m->n_values) *changed = true;
  m->entry = 0;
  m->values_capacity = m->n_values, m->ops_capacity = m->n_ops, m->regions_capacity = m->n_regions;
  m->ops = c.ops, m->values = c.values, m->regions = c.regions;
  m->n_ops = c.n_ops, m->n_values = c.n_values, m->n_regions = c.n_regions;
  return NULL;
}
