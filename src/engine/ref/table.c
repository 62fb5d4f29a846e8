/* SPDX-License-Identifier: Apache-2.0
 * The reference engine's dispatch, expanded from ops.def: a missing function is a link error. */
#include "engine/ref/functions.h"

#define jm_ref_CONTROL NULL /* while and case are run by whoever runs the steps */
jm_ref_fn *const jm_ref_fns[JM_N_OPS] = {
#define OP(name, operands, results, regions, types, traits, verify, ref, attrs, summary) \
  jm_ref_##ref,
#include "ir/ops.def"
};
