/* SPDX-License-Identifier: Apache-2.0
 * Collectives of one participant: jm_ref_check lets no other pass. Each then hands its operands
 * through, but for a permutation that doesn't name the participant, which gives zeros. */
#include <string.h>

#include "engine/ref/functions.h"

static jm_error *permute(const jm_ref_call *call) {
  const jm_collective_permute_attrs *attrs = call->op->attrs;
  for (uint32_t i = 0; i + 1 < attrs->source_target_pairs.n; i += 2)
    if (!attrs->source_target_pairs.data[i] && !attrs->source_target_pairs.data[i + 1])
      return jm_ref_identity(call);
  memset(call->out[0].data, 0, jm_type_bytes(call->out[0].type));
  return NULL;
}

jm_error *jm_ref_collective(const jm_ref_call *call) {
  switch (call->op->code) {
    case JM_OP_collective_permute:
      return permute(call);
    case JM_OP_manual_computation:
      return jm_ref_evaluate(call->module, call->op->first_region, call->in, call->out,
                             call->context);
    default:
      return jm_ref_identity(call);
  }
}

jm_error *jm_ref_device_id(const jm_ref_call *call) {
  memset(call->out[0].data, 0, jm_type_bytes(call->out[0].type));
  return NULL;
}
