/* SPDX-License-Identifier: Apache-2.0
 * Gather: one window copied per index vector. All windows have the same shape, so one prepared copy
 * serves them all. */
#include "engine/host/library/indexing.h"

#include <string.h>

#include "engine/host/library/functions.h"

enum { POLL_ELEMENTS = 1 << 20 };

static jm_error *gather(const jm_call *call, jm_arena *arena) {
  const jm_tensor *operand = &call->in[0], *indices = &call->in[1], *out = &call->out[0];
  size_t bytes = jm_dtype_bytes(out->type->dtype);
  if (!operand->type->count) { /* a collapsed dimension of size 0: there is no element */
    memset(out->data, 0, jm_type_bytes(out->type));
    return NULL;
  }
  jm_indexing x;
  const jm_indexing_spec spec = jm_indexing_of_gather(call);
  JM_TRY(jm_indexing_init(&x, arena, &spec));
  int64_t window = jm_rect_count(&x.window), done = 0;
  jm_copy copy;
  jm_copy_init(&copy, &x.window, bytes);
  do {
    jm_copy_run(
        &copy, (char *)out->data + x.batched * (int64_t)bytes,
        (const char *)operand->data + jm_indexing_clamped(&x, indices->data) * (int64_t)bytes);
    if ((done += window) < POLL_ELEMENTS) continue;
    done = 0;
    if (jm_context_is_cancelled(call->context))
      return jm_error_create(JM_CANCELLED, "the execution was cancelled");
  } while (jm_indexing_next(&x));
  return NULL;
}

jm_error *jm_library_gather(const jm_call *call) {
  if (!call->out[0].type->count) return NULL;
  jm_arena arena;
  jm_arena_init(&arena);
  jm_error *error = gather(call, &arena);
  jm_arena_deinit(&arena);
  return error;
}
