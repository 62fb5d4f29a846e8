/* SPDX-License-Identifier: Apache-2.0
 * Initial values of loops that nobody reads: a loop that stacks what its rounds give writes every
 * row before anything sees it, so that what JAX fills the rows with at first need not be there.
 * Says what is so; what follows from it is the planner's. */
#ifndef JM_PLAN_OVERWRITTEN_H
#define JM_PLAN_OVERWRITTEN_H

#include "ir/module.h"

/* Does the loop give every element of the carry a new value before anything reads it? */
bool jm_carry_is_overwritten(const jm_module *m, const jm_op *loop, uint32_t carry);

/* Is every use of the value one as the initial value of such a carry? */
bool jm_value_is_overwritten(const jm_module *m, jm_value v);

#endif
