/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/indexing.h"

/* The k-th dimension that is in neither list. */
static uint32_t free_dim(jm_i64s a, jm_i64s b, uint32_t k) {
  for (uint32_t d = 0;; d++)
    if (!jm_i64s_contains(a, d) && !jm_i64s_contains(b, d) && !k--) return d;
}

jm_indexing_spec jm_indexing_of_gather(const jm_call *call) {
  const jm_gather_attrs *a = call->op->attrs;
  return (jm_indexing_spec){.operand = call->in[0].type,
                            .indices = call->in[1].type,
                            .batched = call->out[0].type,
                            .window_dims = a->offset_dims,
                            .collapsed_dims = a->collapsed_slice_dims,
                            .operand_batch_dims = a->operand_batching_dims,
                            .indices_batch_dims = a->start_indices_batching_dims,
                            .start_map = a->start_index_map,
                            .index_vector_dim = a->index_vector_dim};
}

jm_indexing_spec jm_indexing_of_scatter(const jm_call *call) {
  const jm_scatter_attrs *a = call->op->attrs;
  uint32_t n = call->op->n_results;
  return (jm_indexing_spec){.operand = call->in[0].type,
                            .indices = call->in[n].type,
                            .batched = call->in[n + 1].type,
                            .window_dims = a->update_window_dims,
                            .collapsed_dims = a->inserted_window_dims,
                            .operand_batch_dims = a->input_batching_dims,
                            .indices_batch_dims = a->scatter_indices_batching_dims,
                            .start_map = a->scatter_dims_to_operand_dims,
                            .index_vector_dim = a->index_vector_dim,
                            .scatters = true};
}

jm_error *jm_indexing_init(jm_indexing *x, jm_arena *arena, const jm_indexing_spec *spec) {
  const jm_type *indices = spec->indices, *batched = spec->batched, *operand = spec->operand;
  int64_t vector_dim = spec->index_vector_dim;
  *x = (jm_indexing){.dtype = indices->dtype, .n_starts = spec->start_map.n};
  x->vector_stride =
      vector_dim < (int64_t)indices->rank ? jm_type_stride(indices, (uint32_t)vector_dim) : 0;
  x->starts = jm_arena_alloc(arena, x->n_starts, sizeof *x->starts);
  x->batch = jm_arena_alloc(arena, batched->rank, sizeof *x->batch);
  if (!x->starts || !x->batch) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < x->n_starts; i++) {
    uint32_t d = (uint32_t)spec->start_map.data[i];
    x->starts[i] = (jm_index_start){jm_type_stride(operand, d), operand->dims[d] - 1};
  }
  uint32_t n_windows = 0, n_batch = 0;
  jm_rect_init(&x->window);
  for (uint32_t d = 0; d < batched->rank; d++) {
    int64_t size = batched->dims[d], stride = jm_type_stride(batched, d);
    if (jm_i64s_contains(spec->window_dims, d)) {
      uint32_t to = free_dim(spec->collapsed_dims, spec->operand_batch_dims, n_windows++);
      jm_rect_add(&x->window, size, spec->scatters ? jm_type_stride(operand, to) : stride,
                  spec->scatters ? stride : jm_type_stride(operand, to));
      for (uint32_t i = 0; i < x->n_starts; i++)
        if (spec->start_map.data[i] == (int64_t)to) x->starts[i].last = operand->dims[to] - size;
      continue;
    }
    uint32_t from = n_batch++; /* the same dimension of the indices, without the vector's */
    if ((int64_t)from >= vector_dim) from++;
    jm_index_batch *batch = &x->batch[x->n_batch++];
    *batch = (jm_index_batch){size, jm_type_stride(indices, from), stride, 0};
    for (uint32_t i = 0; i < spec->indices_batch_dims.n; i++)
      if (spec->indices_batch_dims.data[i] == (int64_t)from)
        batch->operand = jm_type_stride(operand, (uint32_t)spec->operand_batch_dims.data[i]);
  }
  jm_rect_normalise(&x->window);
  x->counters = jm_arena_alloc(arena, x->n_batch, sizeof *x->counters);
  return x->counters ? NULL : jm_error_out_of_memory();
}

bool jm_indexing_next(jm_indexing *x) {
  for (uint32_t d = x->n_batch; d--;) {
    const jm_index_batch *dim = &x->batch[d];
    x->index += dim->index;
    x->batched += dim->batched;
    x->operand += dim->operand;
    if (++x->counters[d] < dim->size) return true;
    x->counters[d] = 0;
    x->index -= dim->index * dim->size;
    x->batched -= dim->batched * dim->size;
    x->operand -= dim->operand * dim->size;
  }
  return false;
}

int64_t jm_indexing_clamped(const jm_indexing *x, const void *indices) {
  int64_t offset = x->operand;
  for (uint32_t i = 0; i < x->n_starts; i++) {
    const jm_index_start *start = &x->starts[i];
    int64_t at = jm_index_read(x->dtype, indices, x->index + i * x->vector_stride);
    offset += jm_index_clamp(at, 0, start->last) * start->stride;
  }
  return offset;
}

bool jm_indexing_fits(const jm_indexing *x, const void *indices, int64_t *offset) {
  *offset = x->operand;
  for (uint32_t i = 0; i < x->n_starts; i++) {
    const jm_index_start *start = &x->starts[i];
    int64_t at = jm_index_read(x->dtype, indices, x->index + i * x->vector_stride);
    if (at < 0 || at > start->last) return false;
    *offset += at * start->stride;
  }
  return true;
}
