/* SPDX-License-Identifier: Apache-2.0
 * Explanations of plans, for people: steps in order, each with its op, types, source line and
 * memory; groups with their ops, schedule and kernels. As text, which no program parses, and as
 * JSON, for drawing. Both number the steps in the order of the text, loops before what is in them.
 */
#ifndef JM_PLAN_EXPLAIN_H
#define JM_PLAN_EXPLAIN_H

#include "plan/plan.h"

void jm_plan_explain(const jm_plan *plan, jm_text *text);

/* {"name", "compiler", "arena": bytes, "read", "written": bytes of all steps, a loop's counted
 * once, "slots": [{"kind", "name", "bytes"}], "steps": [{"number", "title", "source", "ops": lines,
 * "kernels": how many, "reads", "writes", "temporaries": [{"slot", "type"}], "blocks": [{"name",
 * "steps"}]}]} */
void jm_plan_export(const jm_plan *plan, jm_text *json);

/* The largest value or temporary of the arena and the op that makes it, for an error:
 * "f32[1024,1024] (4.0 MiB) of dot_general model.py:12". Nothing if there is none. */
void jm_plan_print_largest(const jm_plan *plan, jm_text *text);

/* "parameter 3", "arena+128" */
void jm_slot_print(const jm_slot *slot, jm_text *text);
/* Its slot; "%12" if no memory is assigned. */
void jm_operand_print(const jm_plan *plan, const jm_operand *operand, jm_text *text);
/* A step's title: "group row", "dot_general", "copy". */
void jm_step_print_title(const jm_plan *plan, const jm_step *step, jm_text *text);
/* The name of a step's block: "body", "branch 1". */
void jm_block_print_name(const jm_step *step, uint32_t i, jm_text *text);

/* Bytes that a participant sends in the step's collective; 0 for other steps. */
uint64_t jm_step_sends(const jm_plan *plan, const jm_step *step);

/* Of all steps, a loop's counted once. */
typedef struct jm_plan_totals {
  uint32_t n_steps, n_groups, n_kernels, n_collectives;
  size_t read, written; /* bytes */
  uint64_t sent;        /* bytes that a participant sends in the collectives */
} jm_plan_totals;
jm_plan_totals jm_plan_count(const jm_plan *plan);

#endif
