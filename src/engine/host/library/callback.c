/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/callback.h"

#include "base/alloc.h"
#include "base/callback.h"

jm_error *jm_library_callback_check(const jm_module *m, const jm_op *op) {
  const jm_dict *config = &((const jm_custom_call_attrs *)op->attrs)->config;
  int64_t id;
  return config->n == 1 && jm_op_callback_find(op, &id)
             ? NULL
             : jm_op_error(m, op, JM_INVALID_ARGUMENT,
                           "its configuration is not one number \"id\"");
}

static int64_t arrays_fill(const jm_tensor *tensors, uint32_t n, jm_callback_array *out) {
  int64_t n_arrays = 0;
  for (uint32_t i = 0; i < n; i++)
    if (tensors[i].type->dtype != JM_DT_token)
      out[n_arrays++] =
          (jm_callback_array){tensors[i].data, (int64_t)jm_type_bytes(tensors[i].type)};
  return n_arrays;
}

jm_error *jm_library_callback(const jm_call *call) {
  const jm_op *op = call->op;
  int64_t id = -1;
  if (!jm_op_callback_find(op, &id)) return jm_error_internal("a callback without an id");
  jm_callback_array *in = jm_alloc((size_t)op->n_operands + op->n_results, sizeof *in);
  if (!in) return jm_error_out_of_memory();
  int64_t n_in = arrays_fill(call->in, op->n_operands, in);
  jm_callback_array *out = in + n_in;
  int64_t n_out = arrays_fill(call->out, op->n_results, out);
  jm_error *error = jm_callback_call(id, n_in, in, n_out, out);
  jm_free(in);
  return error;
}
