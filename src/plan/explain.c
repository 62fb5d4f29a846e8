/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/explain.h"

#include <inttypes.h>
#include <string.h>

#include "ir/collective.h"
#include "ir/print.h"

typedef struct printer {
  const jm_plan *plan;
  jm_text *text;
  uint32_t next; /* number of the next step */
} printer;

/* -- parts of both forms */

void jm_slot_print(const jm_slot *slot, jm_text *text) {
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
    case JM_SLOT_WINDOW:
      jm_text_printf(text, "window %u", slot->index);
      return;
    case JM_SLOT_SLICE:
      jm_text_printf(text, "slice of operand %u", slot->index);
      return;
    case JM_SLOT_THREAD:
      jm_text_printf(text, "thread+%zu", slot->offset);
      return;
  }
}

void jm_operand_print(const jm_plan *plan, const jm_operand *operand, jm_text *text) {
  if (operand->slot == JM_NONE)
    jm_text_printf(text, "%%%u", operand->value);
  else
    jm_slot_print(&plan->slots[operand->slot], text);
}

void jm_step_print_title(const jm_plan *plan, const jm_step *step, jm_text *text) {
  if (step->kind == JM_STEP_COPY) {
    jm_text_printf(text, "copy");
  } else if (step->kind == JM_STEP_WINDOW) {
    jm_text_printf(text, "window %u", step->window);
  } else if (step->code && step->code->name) {
    jm_text_printf(text, "group %s", step->code->name);
  } else {
    const jm_op *op = jm_module_op(plan->module, step->op);
    jm_text_printf(text, "%s", jm_op_facts[op->code].name);
    if (op->code != JM_OP_custom_call) return;
    const jm_str *target = &((const jm_custom_call_attrs *)op->attrs)->target;
    jm_text_append(text, " @", 2);
    jm_text_append(text, target->bytes, target->size);
  }
}

void jm_block_print_name(const jm_step *step, uint32_t i, jm_text *text) {
  if (step->kind == JM_STEP_WHILE)
    jm_text_printf(text, i ? "body" : "condition");
  else if (step->kind == JM_STEP_SLICED)
    jm_text_printf(text, "slice");
  else
    jm_text_printf(text, "branch %u", i);
}

/* A temporary has no type. */
static size_t operand_bytes(const jm_plan *plan, const jm_operand *operand) {
  return operand->type ? jm_type_bytes(operand->type) : plan->slots[operand->slot].bytes;
}

uint64_t jm_step_sends(const jm_plan *plan, const jm_step *step) {
  if (step->op == JM_NONE) return 0;
  return jm_collective_bytes(plan->module, jm_module_op(plan->module, step->op));
}

static void step_count(const jm_plan *plan, const jm_step *step, jm_plan_totals *totals) {
  totals->n_steps++;
  totals->sent += jm_step_sends(plan, step);
  totals->n_collectives += jm_step_sends(plan, step) != 0;
  if (step->code) {
    totals->n_groups += step->code->name != NULL;
    totals->n_kernels += step->code->n_kernels;
  }
  for (uint32_t i = 0; i < step->n_reads; i++)
    totals->read += operand_bytes(plan, &jm_step_reads(plan, step)[i]);
  for (uint32_t i = 0; i < step->n_writes; i++)
    totals->written += operand_bytes(plan, &jm_step_writes(plan, step)[i]);
}

jm_plan_totals jm_plan_count(const jm_plan *plan) {
  jm_plan_totals totals = {0};
  for (uint32_t b = 0; b < plan->n_blocks; b++)
    for (uint32_t i = 0; i < plan->blocks[b].n_steps; i++)
      step_count(plan, &plan->blocks[b].steps[i], &totals);
  return totals;
}

/* -- the text */

static void print_indent(printer *p, uint32_t depth) {
  jm_text_printf(p->text, "%*s", 2 * (int)depth, "");
}

static void print_bytes(jm_text *text, size_t bytes) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = (double)bytes;
  uint32_t unit = 0;
  for (; value >= 1024 && unit < 4; unit++) value /= 1024;
  jm_text_printf(text, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

/* The end of a line. */
static void print_source(printer *p, const jm_op *op) {
  const jm_module *m = p->plan->module;
  if (m->locate && op->loc != JM_NONE) jm_text_printf(p->text, "  # ");
  jm_location_print(m, op, p->text);
  jm_text_printf(p->text, "\n");
}

/* A line of n operands: their places and types. */
static void print_operands(printer *p, const char *what, const jm_operand *operands, uint32_t n,
                           uint32_t depth) {
  if (!n) return;
  print_indent(p, depth);
  jm_text_printf(p->text, "%s ", what);
  for (uint32_t i = 0; i < n; i++) {
    if (i) jm_text_printf(p->text, ", ");
    jm_operand_print(p->plan, &operands[i], p->text);
    jm_text_printf(p->text, ": ");
    if (operands[i].type)
      jm_type_print(operands[i].type, p->text);
    else
      print_bytes(p->text, operand_bytes(p->plan, &operands[i]));
  }
  jm_text_printf(p->text, "\n");
}

/* The body of an op in short: a sort's comparison, a scatter's update. */
static void print_regions(printer *p, const jm_step *step, uint32_t depth) {
  const jm_module *m = p->plan->module;
  const jm_op *op = jm_module_op(m, step->op);
  for (uint32_t i = 0; i < op->n_regions; i++) {
    print_indent(p, depth);
    jm_text_printf(p->text, "with:\n");
    jm_region_print(m, op->first_region + i, depth + 1, p->text);
  }
}

static void print_group(printer *p, const jm_step *step, uint32_t depth) {
  const jm_module *m = p->plan->module;
  print_indent(p, depth);
  jm_text_printf(p->text, "ops:\n");
  jm_region_print(m, jm_module_op(m, step->op)->first_region, depth + 1, p->text);
}

static void print_code(printer *p, const jm_step *step, uint32_t depth) {
  const jm_module *m = p->plan->module;
  jm_engine *engine = p->plan->engine;
  if (step->code->n_kernels && engine->backend->print_code)
    engine->backend->print_code(engine, step->code, m, jm_module_op(m, step->op), depth, p->text);
}

static void print_block(printer *p, uint32_t index, uint32_t depth);

/* "body (%4, %5) returns %9, %5": a block's values, by name, and its steps. */
static void print_nested(printer *p, const jm_step *step, uint32_t i, uint32_t depth) {
  const jm_module *m = p->plan->module;
  const jm_region *region = jm_op_region(m, jm_module_op(m, step->op), i);
  print_indent(p, depth);
  jm_block_print_name(step, i, p->text);
  for (uint32_t k = 0; k < region->n_args; k++)
    jm_text_printf(p->text, "%s%%%u", k ? ", " : " (", region->first_arg + k);
  jm_text_printf(p->text, region->n_args ? ") returns " : " returns ");
  jm_values_print(m, region->results, region->n_results, p->text);
  jm_text_printf(p->text, ":\n");
  print_block(p, step->first_block + i, depth + 1);
}

static void print_step(printer *p, const jm_step *step, uint32_t depth) {
  const jm_plan *plan = p->plan;
  print_indent(p, depth);
  jm_text_printf(p->text, "step %u: ", p->next++);
  jm_step_print_title(plan, step, p->text);
  if (step->op != JM_NONE) {
    const jm_op *op = jm_module_op(plan->module, step->op);
    if (step->code && step->code->place) jm_text_printf(p->text, " by %s", step->code->place);
    print_source(p, op);
    print_indent(p, depth + 1);
    jm_op_print(plan->module, op, p->text);
  }
  jm_text_printf(p->text, "\n");
  print_operands(p, "reads", jm_step_reads(plan, step), step->n_reads, depth + 1);
  print_operands(p, "writes", jm_step_writes(plan, step), step->n_writes, depth + 1);
  print_operands(p, "temporaries", jm_step_temporaries(plan, step), step->n_temporaries, depth + 1);
  if (jm_step_sends(plan, step)) {
    print_indent(p, depth + 1);
    jm_text_printf(p->text, "sends ");
    print_bytes(p->text, jm_step_sends(plan, step));
    jm_text_printf(p->text, "\n");
  }
  if (step->code && step->code->name)
    print_group(p, step, depth + 1);
  else if (step->code)
    print_regions(p, step, depth + 1);
  if (step->code) print_code(p, step, depth + 1);
  for (uint32_t i = 0; i < step->n_blocks; i++) print_nested(p, step, i, depth + 1);
}

static void print_block(printer *p, uint32_t index, uint32_t depth) {
  const jm_block *block = &p->plan->blocks[index];
  for (uint32_t i = 0; i < block->n_steps; i++) print_step(p, &block->steps[i], depth);
}

/* How many steps each place runs, where there are several. */
static void print_places(printer *p) {
  enum { MOST = 8 };
  const char *places[MOST];
  uint32_t counts[MOST] = {0}, n = 0;
  for (uint32_t b = 0; b < p->plan->n_blocks; b++)
    for (uint32_t i = 0; i < p->plan->blocks[b].n_steps; i++) {
      const jm_step_code *code = p->plan->blocks[b].steps[i].code;
      uint32_t k = 0;
      if (!code || !code->place) continue;
      while (k < n && strcmp(places[k], code->place)) k++;
      if (k == MOST) continue;
      if (k == n) places[n++] = code->place;
      counts[k]++;
    }
  for (uint32_t k = 0; k < n; k++)
    jm_text_printf(p->text, "%s%u by %s", k ? ", " : "\n  steps: ", counts[k], places[k]);
}

void jm_plan_explain(const jm_plan *plan, jm_text *text) {
  printer p = {.plan = plan, .text = text};
  const jm_plan_totals totals = jm_plan_count(plan);
  jm_text_printf(text, "plan of %s: steps %u, compiled groups %u, kernels %u\n",
                 *plan->module->name ? plan->module->name : "a program", totals.n_steps,
                 totals.n_groups, totals.n_kernels);
  jm_text_printf(text, "  ");
  if (plan->engine->backend->assigns_memory) {
    jm_text_printf(text, "arena of ");
    print_bytes(text, plan->arena_bytes);
    jm_text_printf(text, "; ");
  }
  jm_text_printf(text, "all steps, loops once, read ");
  print_bytes(text, totals.read);
  jm_text_printf(text, " and write ");
  print_bytes(text, totals.written);
  if (totals.n_collectives) {
    jm_text_printf(text, "\n  partition of %u: collectives %u, each participant sends ",
                   plan->module->n_partitions, totals.n_collectives);
    print_bytes(text, totals.sent);
  }
  print_places(&p);
  jm_text_printf(text, "\n  compiler: %s\n",
                 plan->engine->backend->describe_compiler(plan->engine));
  print_block(&p, 0, 1);
}

/* -- the largest piece of the arena */

typedef struct largest {
  const jm_step *step;
  const jm_operand *operand;
  size_t bytes;
} largest;

static void largest_find(const jm_plan *plan, const jm_step *step, largest *found) {
  const jm_operand *written = jm_step_writes(plan, step);
  for (uint32_t i = 0; i < step->n_writes + step->n_temporaries; i++) {
    const size_t bytes = operand_bytes(plan, &written[i]);
    /* An op says more than the copy of a loop's initial value. */
    const bool larger =
        bytes > found->bytes || (bytes == found->bytes && bytes && found->step->op == JM_NONE);
    if (plan->slots[written[i].slot].kind == JM_SLOT_ARENA && larger)
      *found = (largest){step, &written[i], bytes};
  }
}

void jm_plan_print_largest(const jm_plan *plan, jm_text *text) {
  largest found = {0};
  for (uint32_t b = 0; b < plan->n_blocks; b++)
    for (uint32_t i = 0; i < plan->blocks[b].n_steps; i++)
      largest_find(plan, &plan->blocks[b].steps[i], &found);
  if (!found.bytes) return;
  if (found.operand->type)
    jm_type_print(found.operand->type, text);
  else
    jm_text_printf(text, "working memory");
  jm_text_printf(text, " (");
  print_bytes(text, found.bytes);
  jm_text_printf(text, ") of ");
  jm_step_print_title(plan, found.step, text);
  if (found.step->op == JM_NONE) return;
  jm_text_printf(text, " ");
  jm_location_print(plan->module, jm_module_op(plan->module, found.step->op), text);
}
