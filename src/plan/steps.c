/* SPDX-License-Identifier: Apache-2.0
 * From a module to the steps of its plan: every region that control flow reaches is a block, and
 * every op in it a step, in the region's order, bound to the engine's code for it, with a mark at
 * each value's last use. */
#include "plan/build.h"
#include "plan/peak.h"

jm_error *jm_plan_add_operand(jm_plan *plan, jm_operand operand) {
  plan->operands = jm_arena_grow(&plan->arena, plan->operands, plan->n_operands + 1,
                                 &plan->operands_capacity, sizeof *plan->operands);
  if (!plan->operands) return jm_error_out_of_memory();
  plan->operands[plan->n_operands++] = operand;
  return NULL;
}

jm_error *jm_plan_add_step(jm_plan *plan, uint32_t block, jm_step step) {
  jm_block *b = &plan->blocks[block];
  b->steps = jm_arena_grow(&plan->arena, b->steps, b->n_steps + 1, &b->capacity, sizeof *b->steps);
  if (!b->steps) return jm_error_out_of_memory();
  b->steps[b->n_steps++] = step;
  return NULL;
}

typedef struct lister {
  jm_plan *plan;
  const jm_module *m;
  void *compiled;
  uint32_t *left; /* per value: uses that are still to come */
} lister;

static jm_error *list_region(lister *l, jm_region_id region, uint32_t block);

/* Blocks for all regions of a control op, one after the other. */
static jm_error *blocks_add(lister *l, jm_region_id first, uint32_t n, uint32_t *out) {
  jm_plan *plan = l->plan;
  plan->blocks = jm_arena_grow(&plan->arena, plan->blocks, plan->n_blocks + n,
                               &plan->blocks_capacity, sizeof *plan->blocks);
  if (!plan->blocks) return jm_error_out_of_memory();
  *out = plan->n_blocks;
  plan->n_blocks += n;
  for (uint32_t i = 0; i < n; i++) plan->blocks[*out + i] = (jm_block){.region = first + i};
  return NULL;
}

static jm_error *operands_add(lister *l, const jm_op *op) {
  for (uint32_t i = 0; i < op->n_operands; i++) {
    jm_value v = op->operands[i];
    JM_TRY(jm_plan_add_operand(l->plan,
                               (jm_operand){l->m->values[v].type, v, JM_NONE, --l->left[v] == 0}));
  }
  for (uint32_t i = 0; i < op->n_results; i++) {
    jm_value v = op->first_result + i;
    JM_TRY(jm_plan_add_operand(l->plan,
                               (jm_operand){l->m->values[v].type, v, JM_NONE, l->left[v] == 0}));
  }
  return NULL;
}

static jm_step_kind kind_of(jm_opcode code) {
  switch (code) {
    case JM_OP_constant:
      return JM_STEP_CONSTANT;
    case JM_OP_while:
      return JM_STEP_WHILE;
    case JM_OP_case:
      return JM_STEP_CASE;
    case JM_OP_sliced:
      return JM_STEP_SLICED;
    default:
      return JM_STEP_OP;
  }
}

static jm_error *list_op(lister *l, jm_op_id id, uint32_t block) {
  jm_plan *plan = l->plan;
  const jm_op *op = jm_module_op(l->m, id);
  jm_step step = {.kind = kind_of(op->code),
                  .op = id,
                  .first_operand = plan->n_operands,
                  .n_reads = op->n_operands,
                  .n_writes = op->n_results};
  if (op->n_operands > plan->most_reads) plan->most_reads = op->n_operands;
  if (op->n_results > plan->most_writes) plan->most_writes = op->n_results;
  JM_TRY(operands_add(l, op));
  if (!jm_op_runs_regions(op)) {
    step.code = plan->engine->backend->bind(l->compiled, id);
    return jm_plan_add_step(plan, block, step);
  }
  step.n_blocks = op->n_regions;
  JM_TRY(blocks_add(l, op->first_region, op->n_regions, &step.first_block));
  JM_TRY(jm_plan_add_step(plan, block, step));
  for (uint32_t i = 0; i < step.n_blocks; i++)
    JM_TRY(list_region(l, op->first_region + i, step.first_block + i));
  return NULL;
}

static jm_error *list_region(lister *l, jm_region_id id, uint32_t block) {
  const jm_region *region = jm_module_region(l->m, id);
  for (uint32_t i = 0; i < region->n_ops; i++) JM_TRY(list_op(l, region->ops[i], block));
  return NULL;
}

jm_error *jm_plan_list_steps(jm_plan *plan, void *compiled, const uint32_t *uses) {
  lister l = {.plan = plan, .m = plan->module, .compiled = compiled};
  uint32_t block;
  l.left = jm_alloc(l.m->n_values, sizeof *l.left);
  jm_error *error = l.left ? NULL : jm_error_out_of_memory();
  for (uint32_t i = 0; !error && i < l.m->n_values; i++) l.left[i] = uses[i];
  if (!error) error = blocks_add(&l, l.m->entry, 1, &block);
  if (!error) error = list_region(&l, l.m->entry, block);
  jm_free(l.left);
  return error;
}

/* -- the whole plan */

static void uses_count(const jm_module *m, uint32_t *uses) {
  for (uint32_t r = 0; r < m->n_regions; r++) {
    const jm_region *region = jm_module_region(m, r);
    for (uint32_t i = 0; i < region->n_ops; i++) {
      const jm_op *op = jm_module_op(m, region->ops[i]);
      for (uint32_t k = 0; k < op->n_operands; k++) uses[op->operands[k]]++;
    }
    for (uint32_t i = 0; i < region->n_results; i++) uses[region->results[i]]++;
  }
}

jm_error *jm_plan_build(const jm_module *module, jm_engine *engine, void *compiled, jm_plan **out) {
  jm_plan *plan = jm_alloc(1, sizeof *plan);
  uint32_t *uses = jm_alloc(module->n_values, sizeof *uses);
  if (!plan || !uses) {
    jm_free(plan);
    jm_free(uses);
    return jm_error_out_of_memory();
  }
  jm_arena_init(&plan->arena);
  plan->module = module;
  plan->engine = engine;
  uses_count(module, uses);
  jm_error *error = jm_plan_list_steps(plan, compiled, uses);
  if (!error)
    error = engine->backend->assigns_memory ? jm_plan_assign_memory(plan, uses)
                                            : jm_plan_find_peak(plan);
  jm_free(uses);
  if (error) {
    jm_plan_destroy(plan);
    return error;
  }
  *out = plan;
  return NULL;
}

void jm_plan_destroy(jm_plan *plan) {
  if (!plan) return;
  jm_arena_deinit(&plan->arena);
  jm_free(plan);
}
