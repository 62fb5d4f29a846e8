/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/functions.h"
#include "engine/host/library/region.h"

enum { LANES = 1024 };

static jm_error *map(const jm_call *call, jm_library_region *region, const void **args) {
  uint32_t n = call->op->n_operands - call->op->n_captures;
  const jm_tensor *out = &call->out[0];
  size_t lanes = jm_library_region_lanes(region), count = (size_t)out->type->count;
  for (size_t done = 0; done < count; done += lanes) {
    size_t width = count - done < lanes ? count - done : lanes;
    for (uint32_t i = 0; i < n; i++)
      args[i] = (char *)call->in[i].data + done * jm_dtype_bytes(call->in[i].type->dtype);
    void *to = (char *)out->data + done * jm_dtype_bytes(out->type->dtype);
    JM_TRY(jm_library_region_run(region, args, &to, width));
    if (jm_context_is_cancelled(call->context))
      return jm_error_create(JM_CANCELLED, "the execution was cancelled");
  }
  return NULL;
}

jm_error *jm_library_map(const jm_call *call) {
  const jm_op *op = call->op;
  uint32_t n = op->n_operands - op->n_captures;
  if (!call->out[0].type->count) return NULL;
  jm_library_region *region = NULL;
  const void **args = jm_alloc(n, sizeof *args);
  jm_error *error = args ? NULL : jm_error_out_of_memory();
  if (!error)
    error = jm_library_region_create(call->module, op->first_region, call->in + n, op->n_captures,
                                     LANES, &region);
  if (!error) error = map(call, region, args);
  jm_library_region_destroy(region);
  jm_free(args);
  return error;
}
