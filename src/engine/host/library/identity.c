/* SPDX-License-Identifier: Apache-2.0
 * Ops that return their operands, and those whose results have no data. */
#include <string.h>

#include "engine/host/library/functions.h"

jm_error *jm_library_identity(const jm_call *call) {
  for (uint32_t i = 0; i < call->op->n_results; i++)
    memmove(call->out[i].data, call->in[i].data, jm_type_bytes(call->out[i].type));
  return NULL;
}

/* A token has no bytes: it stands for the order of steps. */
jm_error *jm_library_token(const jm_call *call) {
  (void)call;
  return NULL;
}

/* A group, op by op: used without a compiler, and by tests of kernels. */
jm_error *jm_library_fusion(const jm_call *call) {
  return jm_library_evaluate(call->module, call->op->first_region, call->in, call->out,
                             call->context);
}
