/* SPDX-License-Identifier: Apache-2.0
 * What a plan does, as text for people: steps in order, each with its op, types, source line and
 * memory; groups with their ops, schedule and kernels. No program reads it back. */
#ifndef JM_PLAN_EXPLAIN_H
#define JM_PLAN_EXPLAIN_H

#include "plan/plan.h"

void jm_plan_explain(const jm_plan *plan, jm_text *text);

#endif
