/* SPDX-License-Identifier: Apache-2.0
 * gather and scatter, by the index formulas of their specification: an index of the result (of the
 * updates) is a batch index, which chooses an index vector, and an offset inside the window. */
#include <string.h>

#include "engine/ref/body.h"
#include "engine/ref/functions.h"

/* Names of gather, with scatter's for the same in the comments. */
typedef struct indexing {
  const jm_type *operand;
  const jm_tensor *indices;
  jm_i64s offset_dims;        /* update_window_dims */
  jm_i64s collapsed;          /* inserted_window_dims */
  jm_i64s operand_batch;      /* input_batching_dims */
  jm_i64s indices_batch;      /* scatter_indices_batching_dims */
  jm_i64s start_map;          /* scatter_dims_to_operand_dims */
  int64_t vector_dim;         /* index_vector_dim */
  int64_t sizes[JM_RANK_MAX]; /* of the window, by the operand's dimensions */
} indexing;

/* Splits an index of the result into the operand's start (not clamped) and offset. */
static void split(const indexing *x, uint32_t rank, const int64_t *at, int64_t *start,
                  int64_t *offset) {
  int64_t batch[JM_RANK_MAX] = {0}, index[JM_RANK_MAX] = {0};
  uint32_t n_batch = 0, k = 0;
  memset(start, 0, x->operand->rank * sizeof *start);
  memset(offset, 0, x->operand->rank * sizeof *offset);
  for (uint32_t d = 0; d < rank; d++)
    if (!jm_i64s_contains(x->offset_dims, d)) batch[n_batch++] = at[d];
  for (uint32_t d = 0; d < x->operand->rank; d++)
    if (!jm_i64s_contains(x->collapsed, d) && !jm_i64s_contains(x->operand_batch, d))
      offset[d] = at[x->offset_dims.data[k++]];
  for (uint32_t d = 0, b = 0; d < x->indices->type->rank; d++)
    if ((int64_t)d != x->vector_dim) index[d] = batch[b++];
  for (uint32_t i = 0; i < x->start_map.n; i++) {
    if (x->vector_dim < (int64_t)x->indices->type->rank) index[x->vector_dim] = i;
    start[x->start_map.data[i]] =
        jm_index_read(x->indices->type->dtype, jm_ref_at(x->indices, index), 0);
  }
  for (uint32_t i = 0; i < x->operand_batch.n; i++)
    start[x->operand_batch.data[i]] = index[x->indices_batch.data[i]];
}

jm_error *jm_ref_gather(const jm_call *call) {
  const jm_gather_attrs *a = call->op->attrs;
  const jm_tensor *operand = &call->in[0], *out = &call->out[0];
  indexing x = {.operand = operand->type,
                .indices = &call->in[1],
                .offset_dims = a->offset_dims,
                .collapsed = a->collapsed_slice_dims,
                .operand_batch = a->operand_batching_dims,
                .indices_batch = a->start_indices_batching_dims,
                .start_map = a->start_index_map,
                .vector_dim = a->index_vector_dim};
  int64_t at[JM_RANK_MAX] = {0}, start[JM_RANK_MAX], offset[JM_RANK_MAX];
  size_t bytes = jm_dtype_bytes(out->type->dtype);
  if (!out->type->count) return NULL;
  if (!operand->type->count) { /* a collapsed dimension of size 0: there is no element */
    memset(out->data, 0, jm_type_bytes(out->type));
    return NULL;
  }
  do {
    split(&x, out->type->rank, at, start, offset);
    for (uint32_t d = 0; d < operand->type->rank; d++)
      start[d] =
          offset[d] + jm_index_clamp(start[d], 0, operand->type->dims[d] - a->slice_sizes.data[d]);
    memcpy(jm_ref_at(out, at), jm_ref_at(operand, start), bytes);
  } while (jm_ref_next(out->type->dims, out->type->rank, at));
  return NULL;
}

/* A window that does not fit is dropped as a whole, as XLA does. */
static bool fits(const indexing *x, const int64_t *start) {
  for (uint32_t d = 0; d < x->operand->rank; d++)
    if (start[d] < 0 || start[d] > x->operand->dims[d] - x->sizes[d]) return false;
  return true;
}

static jm_error *scatter(const jm_call *call, const indexing *x, jm_ref_body *body) {
  uint32_t n = call->op->n_results;
  const jm_type *updates = call->in[n + 1].type;
  const void **args = jm_arena_alloc(&body->arena, n, 2 * sizeof *args);
  void **results = jm_arena_alloc(&body->arena, n, sizeof *results);
  int64_t start[JM_RANK_MAX], offset[JM_RANK_MAX], at[JM_RANK_MAX];
  int64_t dims[JM_RANK_MAX], counters[JM_RANK_MAX] = {0};
  uint32_t order[JM_RANK_MAX], k = 0;
  if (!args || !results) return jm_error_out_of_memory();
  for (int inside = 0; inside < 2; inside++)
    for (uint32_t d = 0; d < updates->rank; d++)
      if (jm_i64s_contains(x->offset_dims, d) == inside) order[k++] = d;
  for (uint32_t d = 0; d < updates->rank; d++) dims[d] = updates->dims[order[d]];
  do { /* window after window, in the order of their index vectors */
    for (uint32_t d = 0; d < updates->rank; d++) at[order[d]] = counters[d];
    split(x, updates->rank, at, start, offset);
    if (!fits(x, start)) continue;
    for (uint32_t d = 0; d < x->operand->rank; d++) start[d] += offset[d];
    for (uint32_t i = 0; i < n; i++) {
      results[i] = jm_ref_at(&call->out[i], start);
      args[i] = results[i];
      args[n + i] = jm_ref_at(&call->in[n + 1 + i], at);
    }
    JM_TRY(jm_ref_body_run(body, args, results));
  } while (jm_ref_next(dims, updates->rank, counters));
  return NULL;
}

jm_error *jm_ref_scatter(const jm_call *call) {
  const jm_scatter_attrs *a = call->op->attrs;
  uint32_t n = call->op->n_results, k = 0;
  const jm_type *operand = call->in[0].type, *updates = call->in[n + 1].type;
  indexing x = {.operand = operand,
                .indices = &call->in[n],
                .offset_dims = a->update_window_dims,
                .collapsed = a->inserted_window_dims,
                .operand_batch = a->input_batching_dims,
                .indices_batch = a->scatter_indices_batching_dims,
                .start_map = a->scatter_dims_to_operand_dims,
                .vector_dim = a->index_vector_dim};
  for (uint32_t d = 0; d < operand->rank; d++)
    x.sizes[d] = jm_i64s_contains(x.collapsed, d) || jm_i64s_contains(x.operand_batch, d)
                     ? 1
                     : updates->dims[a->update_window_dims.data[k++]];
  for (uint32_t i = 0; i < n; i++)
    memmove(call->out[i].data, call->in[i].data, jm_type_bytes(call->out[i].type));
  if (!operand->count || !updates->count) return NULL;
  jm_ref_body body;
  jm_error *error = jm_ref_body_init(&body, call, 0);
  if (!error) error = scatter(call, &x, &body);
  jm_ref_body_deinit(&body);
  return error;
}
