/* SPDX-License-Identifier: Apache-2.0
 * Finds initial values of loops that are never read: a loop that stacks the results of its
 * iterations writes every row before anything reads it, so that the rows need no initialization.
 * Analysis only: the planner and the schedule of loops use it. */
#ifndef JM_IR_OVERWRITTEN_H
#define JM_IR_OVERWRITTEN_H

#include "ir/module.h"

/* Does the loop give every element of the carry a new value before anything reads it? */
bool jm_carry_is_overwritten(const jm_module *m, const jm_op *loop, uint32_t carry);

/* Is every use of the value one as the initial value of such a carry? */
bool jm_value_is_overwritten(const jm_module *m, jm_value v);

#endif
