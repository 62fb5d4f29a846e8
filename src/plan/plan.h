/* SPDX-License-Identifier: Apache-2.0
 * The plan: what an execution does, as a flat list of steps over numbered slots. A slot is a piece
 * of memory with a known place: a parameter, an output, a constant, or a range of the execution's
 * arena. Everything is decided here, once: an execution only turns slots into addresses and runs
 * the steps. Nested regions (loop bodies, branches) are blocks of steps over the same slots.
 *
 * Rules of the assignment (assign.c):
 *  - a slot is reused when its last reader has run; an op that may works in place;
 *  - a value that leaves a region is made where it is wanted (the program's output, the loop's
 *    carry) if the old contents are dead by then, otherwise it is copied there;
 *  - a parameter that is donated shares memory with its output: that output is written only after
 *    the parameter's last reader. */
#ifndef JM_PLAN_PLAN_H
#define JM_PLAN_PLAN_H

#include "engine/host/host.h"
#include "engine/ref/ref.h"
#include "ir/module.h"

typedef enum jm_slot_kind {
  JM_SLOT_PARAMETER, /* index: of the entry's argument; read only */
  JM_SLOT_OUTPUT,    /* index: of the entry's result */
  JM_SLOT_CONSTANT,  /* constant: the bytes; read only */
  JM_SLOT_ARENA,     /* offset into the execution's arena */
} jm_slot_kind;

typedef struct jm_slot {
  jm_slot_kind kind;
  uint32_t index;
  size_t offset, bytes;
  const void *constant;
  /* While planning: uses that are still to come, and loops that hold it as a carry. */
  uint32_t refs, pins;
} jm_slot;

/* An operand or result of a step: what becomes a jm_tensor. */
typedef struct jm_operand {
  const jm_type *type;
  uint32_t slot;
} jm_operand;

typedef enum jm_step_kind {
  JM_STEP_OP,    /* one op */
  JM_STEP_GROUP, /* a compiled fusion op; temporaries follow its results */
  JM_STEP_COPY,  /* operand 0 to operand 1 */
  JM_STEP_WHILE, /* blocks: condition, body; operand 0: the condition's result */
  JM_STEP_CASE,  /* blocks: the branches; operand 0: the index */
} jm_step_kind;

typedef struct jm_step {
  jm_step_kind kind;
  jm_op_id op;
  jm_ref_fn *run;                     /* JM_STEP_OP: the library's routine, else the reference's */
  const jm_host_group *group;         /* JM_STEP_GROUP */
  uint32_t first_operand, n_operands; /* in plan->operands: operands, then results */
  uint32_t first_block, n_blocks;
} jm_step;

typedef struct jm_block {
  jm_step *steps;
  uint32_t n_steps, capacity;
} jm_block;

typedef struct jm_plan {
  const jm_module *module; /* not owned */
  jm_arena arena;
  jm_slot *slots;
  jm_operand *operands;
  jm_block *blocks; /* block 0 is the entry */
  uint32_t n_slots, n_operands, n_blocks;
  uint32_t slots_capacity, operands_capacity, blocks_capacity;
  size_t arena_bytes; /* that one execution needs */
} jm_plan;

/* Plans a verified module. host: its compiled fusion ops, NULL: none. Both must outlive the plan.
 */
jm_error *jm_plan_build(const jm_module *module, const jm_host_program *host,
                        jm_plan **out) JM_MUST_USE;
void jm_plan_destroy(jm_plan *plan); /* NULL is allowed */

/* Runs the plan to completion; see jm_run in program.h for the rules of the memory. */
jm_error *jm_plan_run(const jm_plan *plan, const void *const *inputs, void *const *outputs,
                      const jm_context *context) JM_MUST_USE;

#endif
