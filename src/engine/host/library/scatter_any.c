/* SPDX-License-Identifier: Apache-2.0
 * Scatter: windows in the order of their index vectors, each combined into the result as a
 * rectangle. A window that does not fit is dropped as a whole, as XLA does. */
#include "engine/host/library/fold.h"
#include "engine/host/library/functions.h"
#include "engine/host/library/indexing.h"

static jm_error *run(const jm_call *call, jm_fold *fold, jm_indexing *x) {
  uint32_t n = fold->n;
  void **to = jm_arena_alloc(&fold->arena, n, sizeof *to);
  const void **from = jm_arena_alloc(&fold->arena, n, sizeof *from);
  jm_copy *copies = NULL; /* prepared once if the body only takes the update */
  if (fold->assign) copies = jm_arena_alloc(&fold->arena, n, sizeof *copies);
  if (!to || !from || (fold->assign && !copies)) return jm_error_out_of_memory();
  for (uint32_t i = 0; copies && i < n; i++) jm_copy_init(&copies[i], &x->window, fold->bytes[i]);
  int64_t count = jm_rect_count(&x->window), offset;
  do {
    JM_TRY(jm_fold_poll(fold, 1));
    if (!jm_indexing_fits(x, call->in[n].data, &offset)) continue;
    for (uint32_t i = 0; i < n; i++) {
      to[i] = (char *)call->out[i].data + offset * (int64_t)fold->bytes[i];
      from[i] = (char *)call->in[n + 1 + i].data + x->batched * (int64_t)fold->bytes[i];
      if (copies) jm_copy_run(&copies[i], to[i], from[i]);
    }
    if (copies)
      JM_TRY(jm_fold_poll(fold, count));
    else if (count == 1)
      JM_TRY(jm_fold_run(fold, to, from, 1));
    else
      JM_TRY(jm_fold_rect(fold, &x->window, to, from));
  } while (jm_indexing_next(x));
  return NULL;
}

jm_error *jm_library_scatter(const jm_call *call) {
  uint32_t n = call->op->n_results;
  for (uint32_t i = 0; i < n; i++)
    if (call->out[i].data != call->in[i].data)
      jm_copy_bytes(call->out[i].data, call->in[i].data, jm_type_bytes(call->out[i].type));
  const jm_type *updates = call->in[n + 1].type;
  if (!call->out[0].type->count || !updates->count) return NULL;
  const jm_indexing_spec spec = jm_indexing_of_scatter(call);
  jm_fold fold;
  jm_indexing x;
  jm_error *error =
      jm_fold_init(&fold, call, call->op->first_region, n, JM_N_DTYPES, updates->count);
  if (!error) error = jm_indexing_init(&x, &fold.arena, &spec);
  if (!error) error = run(call, &fold, &x);
  jm_fold_deinit(&fold);
  return error;
}
