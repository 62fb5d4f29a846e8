/* SPDX-License-Identifier: Apache-2.0
 * Special functions on several threads. */
#include "base/parallel.h"
#include "engine/host/library/functions.h"

static void run(void *context, size_t begin, size_t end) {
  const jm_call *call = context;
  if (!jm_context_is_cancelled(call->context)) jm_elementwise_special_range(call, begin, end);
}

jm_error *jm_library_special(const jm_call *call) {
  jm_parallel_for((size_t)call->out[0].type->count, jm_elementwise_special_grain(call->op->code),
                  run, (void *)call);
  if (jm_context_is_cancelled(call->context))
    return jm_error_create(JM_CANCELLED, "a special function was cancelled");
  return NULL;
}
