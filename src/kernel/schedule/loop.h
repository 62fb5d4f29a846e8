/* SPDX-License-Identifier: Apache-2.0
 * The plan of a `while` that is one kernel: which values of its body are materialized at their op,
 * which are pulled by their users, and how each carry is stored. Private to schedule_loop*.c and
 * loop_plan.c. */
#ifndef JM_KERNEL_SCHEDULE_LOOP_H
#define JM_KERNEL_SCHEDULE_LOOP_H

#include "kernel/emit/emit.h"
#include "kernel/ir/target.h"

enum {
  JM_LOOP_REGISTERS = 4, /* tensors of so many elements live in registers */
  JM_LOOP_RANK = 16,
  JM_LOOP_REDUCED = 4, /* results of a reduction that runs in lanes */
};

static inline bool jm_loop_in_registers(const jm_type *type) {
  return type->count <= JM_LOOP_REGISTERS;
}

typedef enum jm_carry_kind {
  JM_CARRY_SAME,           /* never changes: its initial value */
  JM_CARRY_REGISTERS,      /* each element is a carried value of the kernel's while */
  JM_CARRY_IN_PLACE,       /* the body only replaces a slice: only that slice is written */
  JM_CARRY_DOUBLE_BUFFERED /* an iteration reads one half of the memory and writes the other */
} jm_carry_kind;

jm_carry_kind jm_loop_carry_kind(const jm_module *m, const jm_op *op, uint32_t carry);
/* The dynamic_update_slice of a carry that is updated in place. */
const jm_op *jm_loop_update(const jm_module *m, const jm_op *op, uint32_t carry);

/* Is it a reduction of the last dimensions that is worth lanes along them? Its results are stored.
 */
bool jm_loop_reduces_rows(const jm_target *target, const jm_module *m, const jm_op *op);

/* Per value of the module. */
typedef struct jm_loop_plan {
  const jm_module *m;
  const jm_target *target;
  bool *stored;     /* materialized at its op, and read from memory afterwards */
  double *cost;     /* flops of one element when it is pulled */
  double *since;    /* flops of all ops of the region before the first that is pulled with it */
  uint64_t *demand; /* the loop and the index map that read it */
  uint64_t next;
} jm_loop_plan;

/* Fills stored for the region and those inside of it; all other values must be zero. */
void jm_loop_plan_region(jm_loop_plan *p, const jm_region *region);

/* May the ops of this region be part of a loop kernel? */
bool jm_loop_region_fits(const jm_target *target, const jm_module *m, const jm_region *region);

#endif
