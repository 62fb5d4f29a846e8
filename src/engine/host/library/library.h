/* SPDX-License-Identifier: Apache-2.0
 * The host library: a routine for every op but control, as fast as we know how to make it, on the
 * pool's threads. It serves the steps of a plan that are not compiled kernels, all of them where
 * there is no LLVM, and a device engine's ops that the device can't run. It knows nothing of plans.
 * Results never depend on the number of threads. The rules of a routine are call.h's. */
#ifndef JM_LIBRARY_LIBRARY_H
#define JM_LIBRARY_LIBRARY_H

#include "engine/call.h"

/* NULL if the library can run this op with these types and attributes; else UNIMPLEMENTED naming
 * op, types, and location. Called at compile time, so that nothing unsupported is met while
 * running. */
jm_error *jm_library_check(const jm_module *module, const jm_op *op) JM_MUST_USE;

/* The routine for an op that was verified and accepted by jm_library_check: the first row of
 * library.def that takes it, else the function that ops.def names. NULL for while and case. */
jm_call_fn *jm_library_find(const jm_module *module, const jm_op *op);

#endif
