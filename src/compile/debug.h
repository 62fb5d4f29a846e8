/* SPDX-License-Identifier: Apache-2.0
 * JAX_MPS_DEBUG for programs: prints or keeps what was compiled. */
#ifndef JM_COMPILE_DEBUG_H
#define JM_COMPILE_DEBUG_H

#include "ir/module.h"
#include "plan/plan.h"

/* print: the optimised module goes to standard error. dump=DIR: the program as received and the
 * optimised module become the files DIR/<name>-<fingerprint>.mlirbc and .ir. Failing to write them
 * is an error. */
jm_error *jm_debug_show(const jm_module *module, const void *bytes, size_t n_bytes,
                        uint64_t fingerprint) JM_MUST_USE;

/* explain: the plan goes to standard error. */
jm_error *jm_debug_explain(const jm_plan *plan) JM_MUST_USE;

#endif
