/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/elementwise/elementwise.h"

jm_error *jm_elementwise_run(const jm_call *call) {
  const jm_type *type = call->in[0].type;
  jm_elementwise_kernel *kernel = jm_elementwise_find(call->op->code, type->dtype);
  if (!kernel)
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "no kernel for element type %s",
                       jm_dtype_name(type->dtype));
  const void *in[2] = {call->in[0].data, call->op->n_operands > 1 ? call->in[1].data : NULL};
  kernel(in, call->out[0].data, (size_t)call->out[0].type->count);
  return NULL;
}

jm_error *jm_elementwise_convert(const jm_call *call) {
  return jm_convert_run(call->in[0].type->dtype, call->out[0].type->dtype, call->in[0].data,
                        call->out[0].data, (size_t)call->out[0].type->count);
}
