/* SPDX-License-Identifier: Apache-2.0
 * Interprets whole regions op by op, control flow included: slow and obvious, with an allocation
 * per value. The caller provides the code of all other ops. Plans, which know lifetimes, are in
 * plan/plan.h. */
#ifndef JM_ENGINE_EVALUATE_H
#define JM_ENGINE_EVALUATE_H

#include "engine/call.h"

/* args: for all of the region's arguments; results: their data is provided by the caller. */
jm_error *jm_evaluate(const jm_module *module, jm_region_id region, const jm_tensor *args,
                      const jm_tensor *results, const jm_context *context,
                      jm_call_fn *run) JM_MUST_USE;

/* One op: control by evaluating its regions, others by `run`. */
jm_error *jm_evaluate_op(const jm_call *call, jm_call_fn *run) JM_MUST_USE;

#endif
