/* SPDX-License-Identifier: Apache-2.0
 * Finds initial values of loops that are never read: a loop that stacks the results of its
 * iterations writes every row before anything reads it, so that the rows need no initialization.
 * Analysis only: the planner, the schedule of loops and the pass stack use it. */
#ifndef JM_IR_OVERWRITTEN_H
#define JM_IR_OVERWRITTEN_H

#include "ir/module.h"

/* The carry that counts the loop's iterations: 0, 1, ... up to the constant of the condition.
 * JM_NONE: there is none. */
uint32_t jm_loop_counter_find(const jm_module *m, const jm_op *loop, int64_t *iterations);
typedef enum jm_row_order { JM_ROWS_NONE, JM_ROWS_FORWARD, JM_ROWS_BACKWARD } jm_row_order;
/* Is `start`, a value of the body, the counter (an argument of the body), or `last` minus it? */
jm_row_order jm_loop_row_order(const jm_module *m, jm_value start, jm_value counter, int64_t last);

/* Does the loop give every element of the carry a new value before anything reads it? */
bool jm_carry_is_overwritten(const jm_module *m, const jm_op *loop, uint32_t carry);

/* Is every use of the value one as the initial value of such a carry? */
bool jm_value_is_overwritten(const jm_module *m, jm_value v);

#endif
