/* SPDX-License-Identifier: Apache-2.0
 * The oracle: the meaning of each op, as one obvious loop in plain C. Tests compare every engine
 * with it, and constant folding evaluates with it. It has no threads, no BLAS, no tuned loops and
 * no state, and no program runs in it: ops without a compiled kernel run in the host library
 * (engine/host/library). Sums and products of floats are accumulated in double precision, so that
 * it is closer to the true value than the engines. Linear algebra, unpredictable random values, and
 * calls into the process have no oracle: UNIMPLEMENTED. */
#ifndef JM_ENGINE_REF_REF_H
#define JM_ENGINE_REF_REF_H

#include "engine/call.h"

/* One per op, from ops.def's ref column; NULL for CONTROL. The rules are call.h's. */
extern jm_call_fn *const jm_ref_fns[JM_N_OPS];

/* Runs a region on tensors, control ops included: args for all its arguments, results' data
 * provided by the caller. */
jm_error *jm_ref_evaluate(const jm_module *module, jm_region_id region, const jm_tensor *args,
                          const jm_tensor *results, const jm_context *context) JM_MUST_USE;

/* Constant folding of one op (jm_pass_options.evaluate): UNIMPLEMENTED if it has no oracle. */
jm_error *jm_ref_fold(const jm_module *module, const jm_op *op, const jm_tensor *in,
                      const jm_tensor *out) JM_MUST_USE;

#endif
