/* SPDX-License-Identifier: Apache-2.0
 * A plan as text, for people: each step with its op and source line, each group with its schedule
 * and kernels. */
#include "plan/explain.h"

static void print_indent(jm_text *text, uint32_t depth) {
  jm_text_printf(text, "%*s", 2 * (int)depth, "");
}

static void print_slot(const jm_plan *plan, uint32_t index, jm_text *text) {
  const jm_slot *slot = &plan->slots[index];
  switch (slot->kind) {
    case JM_SLOT_PARAMETER:
      jm_text_printf(text, "parameter %u", slot->index);
      return;
    case JM_SLOT_OUTPUT:
      jm_text_printf(text, "output %u", slot->index);
      return;
    case JM_SLOT_CONSTANT:
      jm_text_printf(text, "constant");
      return;
    case JM_SLOT_ARENA:
      jm_text_printf(text, "arena+%zu", slot->offset);
      return;
  }
}

static void print_slots(const jm_plan *plan, const jm_step *step, jm_text *text) {
  for (uint32_t i = 0; i < step->n_operands; i++) {
    jm_text_printf(text, i ? ", " : " [");
    print_slot(plan, plan->operands[step->first_operand + i].slot, text);
  }
  jm_text_printf(text, step->n_operands ? "]\n" : "\n");
}

/* The ops of a group: what its kernels compute, line by line. */
static void print_group(const jm_plan *plan, const jm_step *step, uint32_t depth, jm_text *text) {
  const jm_module *m = plan->module;
  const jm_schedule *schedule = step->group->schedule;
  const jm_region *region = jm_op_region(m, jm_module_op(m, step->op), 0);
  for (uint32_t i = 0; i < region->n_ops; i++) {
    print_indent(text, depth + 1);
    jm_op_describe(m, jm_module_op(m, region->ops[i]), text);
    jm_text_printf(text, "\n");
  }
  for (uint32_t i = 0; i < schedule->n_launches; i++) {
    const jm_kernel *kernel = schedule->launches[i].kernel;
    print_indent(text, depth + 1);
    jm_text_printf(text, "launch %u of %u: %lld iterations, %lld a thread at least\n", i + 1,
                   schedule->n_launches, (long long)kernel->chunks, (long long)kernel->grain);
    jm_kernel_print(kernel, text);
    jm_text_printf(text, "\n");
  }
}

static void print_block(const jm_plan *plan, uint32_t index, uint32_t depth, jm_text *text);

static void print_step(const jm_plan *plan, const jm_step *step, uint32_t depth, jm_text *text) {
  static const char *const names[] = {[JM_STEP_OP] = "op",
                                      [JM_STEP_GROUP] = "group",
                                      [JM_STEP_COPY] = "copy",
                                      [JM_STEP_WHILE] = "while",
                                      [JM_STEP_CASE] = "case"};
  print_indent(text, depth);
  jm_text_printf(text, "%s", names[step->kind]);
  if (step->kind == JM_STEP_GROUP) jm_text_printf(text, " %s", step->group->schedule->name);
  if (step->op != JM_NONE) {
    jm_text_printf(text, " ");
    jm_op_describe(plan->module, jm_module_op(plan->module, step->op), text);
  }
  print_slots(plan, step, text);
  if (step->kind == JM_STEP_GROUP) print_group(plan, step, depth, text);
  for (uint32_t i = 0; i < step->n_blocks; i++) {
    print_indent(text, depth + 1);
    jm_text_printf(text, "block %u:\n", i);
    print_block(plan, step->first_block + i, depth + 2, text);
  }
}

static void print_block(const jm_plan *plan, uint32_t index, uint32_t depth, jm_text *text) {
  const jm_block *block = &plan->blocks[index];
  for (uint32_t i = 0; i < block->n_steps; i++) print_step(plan, &block->steps[i], depth, text);
}

void jm_plan_explain(const jm_plan *plan, jm_text *text) {
  uint32_t groups = 0, steps = 0;
  for (uint32_t b = 0; b < plan->n_blocks; b++)
    for (uint32_t i = 0; i < plan->blocks[b].n_steps; i++) {
      steps++;
      groups += plan->blocks[b].steps[i].kind == JM_STEP_GROUP;
    }
  jm_text_printf(text, "plan of %s: %u steps, %u of them compiled groups; arena of %zu bytes\n",
                 plan->module->name, steps, groups, plan->arena_bytes);
  print_block(plan, 0, 1, text);
}
