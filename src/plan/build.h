/* SPDX-License-Identifier: Apache-2.0
 * The two halves of building a plan, and their shared functions. Private to plan/. */
#ifndef JM_PLAN_BUILD_H
#define JM_PLAN_BUILD_H

#include "plan/plan.h"

/* Fills an empty plan with the steps of every block. uses: per value of the module, how often it is
 * an operand or a region's result. */
jm_error *jm_plan_list_steps(jm_plan *plan, void *compiled, const uint32_t *uses) JM_MUST_USE;

/* Rewrites the steps so that every operand has a slot: aliases and constants stop being steps;
 * copies and temporaries are added. */
jm_error *jm_plan_assign_memory(jm_plan *plan, const uint32_t *uses) JM_MUST_USE;

jm_error *jm_plan_add_operand(jm_plan *plan, jm_operand operand) JM_MUST_USE;
jm_error *jm_plan_add_step(jm_plan *plan, uint32_t block, jm_step step) JM_MUST_USE;

#endif
