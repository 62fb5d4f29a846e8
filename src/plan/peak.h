/* SPDX-License-Identifier: Apache-2.0
 * The least memory that a program needs at once on an engine that places values while it runs, so
 * that a program that can't fit is refused before anything is launched. It is a lower bound, for
 * whatever order of steps the engine's library chooses: a program that would fit is never refused.
 * Where memory is assigned, jm_plan.arena_bytes says it exactly, and this is not used. */
#ifndef JM_PLAN_PEAK_H
#define JM_PLAN_PEAK_H

#include "plan/plan.h"

/* Sets plan->peak. Nothing is computed for a plan all of whose values fit into the engine's memory
 * together. */
jm_error *jm_plan_find_peak(jm_plan *plan) JM_MUST_USE;

/* RESOURCE_EXHAUSTED if a run of the plan needs more memory than the device has. arguments: the
 * bytes of the memory that they are in, however many arguments share it. */
jm_error *jm_plan_check_peak(const jm_plan *plan, int64_t arguments) JM_MUST_USE;

#endif
