/* SPDX-License-Identifier: Apache-2.0
 * Prototypes of the jm_ref_<function> that ops.def names; a function that several rows share is
 * declared several times, which C allows. */
#ifndef JM_ENGINE_REF_FUNCTIONS_H
#define JM_ENGINE_REF_FUNCTIONS_H

#include "engine/ref/ref.h"

#define OP(name, operands, results, regions, types, traits, verify, ref, attrs, summary) \
  jm_error *jm_ref_##ref(const jm_ref_call *call);
#include "ir/ops.def"

#endif
