/* SPDX-License-Identifier: Apache-2.0
 * Loops over independent rows: a `while` whose carries all have one dimension along which nothing
 * ever meets (the batch of an LSTM, the particles of an integrator) is as many loops as that
 * dimension is long. A GPU runs each in a group of its own. This finds the dimension, builds the
 * loop of one row as a module, and says what the kernel would take; schedule_loop.c schedules it.
 */
#ifndef JM_KERNEL_SCHEDULE_ROWS_H
#define JM_KERNEL_SCHEDULE_ROWS_H

#include "ir/module.h"
#include "kernel/ir/target.h"

typedef struct jm_rows {
  int64_t count;  /* rows; 1: nothing separates, one group runs the loop */
  uint32_t *dims; /* per value of the module: the dimension that counts rows, JM_NONE: none, its
                     elements are the same for all rows */
} jm_rows;

/* The rows of some ops of one region, loops among them, each of these results having a row of its
 * own. Memory is the arena's; count is 0 if an op has no rule here. */
jm_error *jm_rows_find(const jm_module *m, const jm_op_id *ops, uint32_t n_ops,
                       const jm_value *results, uint32_t n_results, jm_arena *arena,
                       jm_rows *out) JM_MUST_USE;

/* A module whose entry is a copy of the region, in which every dimension that counts rows has size
 * 1. Constants' elements stay in the memory of m. */
jm_error *jm_rows_build(const jm_module *m, const jm_region *region, const jm_rows *rows,
                        jm_module **out) JM_MUST_USE;

/* Does a kernel of this loop, whose count of iterations must be known, take less time than the
 * launches of its ops would? *fits is the answer. */
jm_error *jm_rows_fit(const jm_target *target, const jm_module *m, const jm_op *loop,
                      bool *fits) JM_MUST_USE;

#endif
