/* SPDX-License-Identifier: Apache-2.0
 * The rules of the IR: arity, element types, shapes, attributes, regions, dominance. One loop over
 * ops.def, and a function jm_verify_<rule> for each value of its verify column. */
#ifndef JM_IR_VERIFY_H
#define JM_IR_VERIFY_H

#include "ir/module.h"

/* INVALID_ARGUMENT (naming op, types and location) on the first rule that is broken. After it,
 * every later stage may trust arity, types, shapes and attribute ranges of every op. */
jm_error *jm_module_verify(const jm_module *module) JM_MUST_USE;

/* A bound that the verifier guarantees, so that later stages may recurse: at this depth they use
 * less than 512 KB of stack, the smallest that a thread has (a secondary one on macOS). */
enum { JM_DEPTH_MAX = 1000 }; /* of regions; dimensions: JM_RANK_MAX */

typedef jm_error *jm_verify_fn(const jm_module *module, const jm_op *op);

#endif
