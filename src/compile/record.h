/* SPDX-License-Identifier: Apache-2.0
 * The process's record: explanations of all plans that are built while it is on. Its switch and its
 * reader are in program.h. */
#ifndef JM_COMPILE_RECORD_H
#define JM_COMPILE_RECORD_H

#include "compile/program.h"
#include "plan/plan.h"

jm_error *jm_explanation_build(const jm_plan *plan, jm_explanation *out) JM_MUST_USE;

/* Keeps the plan's explanation if the record is on. */
jm_error *jm_record_add(const jm_plan *plan) JM_MUST_USE;

#endif
