/* SPDX-License-Identifier: Apache-2.0
 * The plan of a program: a list of steps, built once for every engine. The ops that run, their
 * order, the code of each, and the last use of each value take the same form for all engines
 * (steps.c). For an engine that requests it, every value is then assigned memory (assign.c): a slot
 * is a piece of memory with a known place: a parameter, an output, a constant, or a range of the
 * execution's arena. Nested regions (loop bodies, branches) are blocks of steps.
 *
 * A plan runs nothing: executors walk it (engine/host/execute.c turns slots into addresses,
 * engine/mlx/execute.c keeps lazy arrays per value).
 *
 * Rules of the assignment:
 *  - a slot is reused when its last reader has run; an op works in place where its rules allow it;
 *  - a value that leaves a region is computed in its destination (the program's output, the loop's
 * carry) if the old contents are dead by then, otherwise it is copied there;
 *  - a parameter that is donated shares memory with its output: that output is written only after
 *    the parameter's last reader. */
#ifndef JM_PLAN_PLAN_H
#define JM_PLAN_PLAN_H

#include "engine/engine.h"
#include "ir/module.h"

typedef enum jm_slot_kind {
  JM_SLOT_PARAMETER, /* index: of the entry's argument; read only */
  JM_SLOT_OUTPUT,    /* index: of the entry's result */
  JM_SLOT_CONSTANT,  /* constant: the bytes; read only */
  JM_SLOT_ARENA,     /* offset into the execution's arena */
  JM_SLOT_WINDOW,    /* index: of plan->windows; a part of another slot, found while running */
  JM_SLOT_SLICE,     /* index: of the step's operands; its slice, found while running */
  JM_SLOT_THREAD,    /* offset into the memory that a thread has for a slice */
} jm_slot_kind;

typedef struct jm_slot {
  jm_slot_kind kind;
  uint32_t index;
  size_t offset, bytes;
  const void *constant;
  /* While planning: uses that are still to come, and loops that hold it as a carry. */
  uint32_t refs, pins;
} jm_slot;

/* Rows of an array, at a place that a step finds. A value that is only there to be written to such
 * rows by a dynamic_update_slice is computed there, and the update then has nothing to copy. */
typedef struct jm_window {
  size_t row_bytes;
  int64_t last;                       /* the largest row at which it may start */
  uint32_t first_operand, n_operands; /* of plan->window_operands: those that it is the memory of */
} jm_window;

/* A value that a step reads or writes, or a temporary. */
typedef struct jm_operand {
  const jm_type *type; /* NULL: a temporary */
  jm_value value;      /* JM_NONE: a temporary, or the copy of a value */
  uint32_t slot;       /* JM_NONE: no memory is assigned */
  bool last; /* of a read: the value's last use, at its last occurrence in the step; of a write:
                nobody uses it. Valid before memory is assigned; unused afterwards. */
} jm_operand;

typedef enum jm_step_kind {
  JM_STEP_OP,       /* one op, by its code; a fusion op is one op */
  JM_STEP_CONSTANT, /* a constant; gone when memory is assigned, if it has a slot by itself */
  JM_STEP_COPY,     /* of operand 0 to operand 1, only in assigned memory */
  JM_STEP_WINDOW,   /* finds the window of operand 0 that starts at row operand 1, in the same */
  JM_STEP_WHILE,    /* blocks: condition, body */
  JM_STEP_CASE,     /* blocks: the branches; operand 0: the index */
  JM_STEP_SLICED,   /* block: what is done with each slice, by one thread */
} jm_step_kind;

/* Operands are in plan->operands: reads, writes, temporaries. Without assigned memory they are
 * those of the op, of control ops too; with it, a WHILE reads its condition's result and a CASE its
 * index alone, for the carries have their slots. */
typedef struct jm_step {
  jm_step_kind kind;
  jm_op_id op;              /* JM_NONE: a copy */
  const jm_step_code *code; /* NULL: control, a copy or a window */
  uint32_t first_operand, n_reads, n_writes, n_temporaries;
  uint32_t first_block, n_blocks;
  uint32_t window;        /* of a WINDOW: of plan->windows */
  uint32_t end_operand;   /* of a SLICED: those of its block are before this one, behind its own */
  size_t thread_bytes;    /* and the memory that a thread needs */
  _Atomic uint32_t label; /* of the timeline (label.h), 0: not made yet */
} jm_step;

/* A region that is walked: the entry, or one of a control op. */
typedef struct jm_block {
  jm_region_id region;
  jm_step *steps;
  uint32_t n_steps, capacity;
} jm_block;

/* What a run needs at least, beside its arguments (peak.h). */
typedef struct jm_plan_peak {
  bool can_exceed; /* the device's memory; otherwise nothing below is set */
  int64_t bytes;   /* at the step with the largest sum; donated arguments that are gone by then
                      count negative */
  jm_op_id op;     /* of that step, JM_NONE: it is not known */
} jm_plan_peak;

typedef struct jm_plan {
  const jm_module *module; /* not owned */
  jm_engine *engine;       /* not owned: whose code the steps run */
  jm_arena arena;
  jm_slot *slots;
  jm_operand *operands;
  jm_block *blocks; /* block 0 is the entry */
  jm_window *windows;
  uint32_t *window_operands; /* of plan->operands */
  uint32_t n_windows, windows_capacity;
  uint32_t n_slots, n_operands, n_blocks;
  uint32_t slots_capacity, operands_capacity, blocks_capacity;
  uint32_t most_reads, most_writes; /* of any step, before memory is assigned */
  size_t arena_bytes;               /* that one execution needs; 0: no memory is assigned */
  jm_plan_peak peak;                /* where no memory is assigned */
} jm_plan;

/* Plans a verified module for an engine; compiled: the result of its backend's `compile` on the
 * module. Module, engine and compiled must outlive the plan. */
jm_error *jm_plan_build(const jm_module *module, jm_engine *engine, void *compiled,
                        jm_plan **out) JM_MUST_USE;
void jm_plan_destroy(jm_plan *plan); /* NULL is allowed */

static inline const jm_operand *jm_step_reads(const jm_plan *plan, const jm_step *step) {
  return plan->operands + step->first_operand;
}
static inline const jm_operand *jm_step_writes(const jm_plan *plan, const jm_step *step) {
  return plan->operands + step->first_operand + step->n_reads;
}
static inline const jm_operand *jm_step_temporaries(const jm_plan *plan, const jm_step *step) {
  return plan->operands + step->first_operand + step->n_reads + step->n_writes;
}

#endif
