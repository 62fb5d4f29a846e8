/* SPDX-License-Identifier: Apache-2.0
 * Data movement with indices that are data: dynamic_slice, dynamic_update_slice, gather, and
 * scatter of one update. Starts are clamped so that the window fits, as the library does, but
 * scatter's. */
#include "kernel/emit/emit_rules.h"

/* An integer clamped to [0, last], as i64; a u64 past INT64_MAX is `last` too. */
static jm_kval start_of(jm_kbuilder *b, jm_dtype dtype, jm_element x, int64_t last) {
  const jm_ktype it = JM_KT_i64;
  if (last <= 0) return jm_k_int(b, it, 0);
  if (jm_dtype_classof(dtype) == JM_CLASS_UINT)
    return jm_k_umin(b, jm_element_convert(b, dtype, JM_DT_u64, x).part[0], jm_k_int(b, it, last));
  return jm_k_smin(
      b, jm_k_smax(b, jm_element_convert(b, dtype, JM_DT_s64, x).part[0], jm_k_int(b, it, 0)),
      jm_k_int(b, it, last));
}

/* The clamped start, from scalar operand i, of a window of this size. */
static jm_kval scalar_start(jm_emit *e, const jm_op *op, uint32_t i, int64_t last) {
  jm_dtype dtype = jm_op_operand_type(jm_emit_module(e), op, i)->dtype;
  jm_element x = jm_emit_operand(e, op, i, NULL);
  return start_of(jm_emit_builder(e), dtype, x, last);
}

void jm_emit_dynamic_slice(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_kbuilder *const b = jm_emit_builder(e);
  const jm_module *const m = jm_emit_module(e);
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  jm_kval at[JM_EMIT_RANK];
  for (uint32_t d = 0; d < to->rank; d++)
    at[d] = jm_k_iadd(b, scalar_start(e, op, d + 1, from->dims[d] - to->dims[d]), index[d]);
  out[0] = jm_emit_operand(e, op, 0, at);
}

void jm_emit_dynamic_update_slice(jm_emit *e, const jm_op *op, const jm_kval *index,
                                  jm_element *out) {
  jm_kbuilder *const b = jm_emit_builder(e);
  const jm_module *const m = jm_emit_module(e);
  const jm_type *to = jm_op_result_type(m, op, 0), *update = jm_op_operand_type(m, op, 1);
  jm_kval at[JM_EMIT_RANK], inside = jm_kbuild_int(b, JM_KT_i1, 1);
  if (!update->count) {
    out[0] = jm_emit_operand(e, op, 0, index);
    return;
  }
  for (uint32_t d = 0; d < to->rank; d++) {
    int64_t size = update->dims[d];
    at[d] = jm_k_isub(b, index[d], scalar_start(e, op, d + 2, to->dims[d] - size));
    inside = jm_k_and(b, inside, jm_emit_place(b, &at[d], size, 1));
  }
  jm_element x = jm_emit_operand(e, op, 1, at);
  out[0] = jm_emit_select(e, inside, x, jm_emit_operand(e, op, 0, index));
}

void jm_emit_gather(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_kbuilder *const b = jm_emit_builder(e);
  const jm_module *const m = jm_emit_module(e);
  const jm_ktype it = JM_KT_i64;
  const jm_gather_attrs *a = op->attrs;
  const jm_type *from = jm_op_operand_type(m, op, 0), *indices = jm_op_operand_type(m, op, 1);
  const jm_type *to = jm_op_result_type(m, op, 0);
  jm_kval at[JM_EMIT_RANK], batch[JM_EMIT_RANK];
  if (!from->count) { /* a collapsed dimension of size 0: there is no element */
    out[0] = jm_emit_zero(e, to->dtype);
    return;
  }
  /* The result's dimensions are those of the windows and, in order, those of the indices. */
  uint32_t window = 0, k = 0;
  for (uint32_t d = 0; d < from->rank; d++) at[d] = jm_k_int(b, it, 0);
  for (uint32_t d = 0; d < to->rank; d++) {
    if (jm_i64s_contains(a->offset_dims, d)) {
      while (jm_i64s_contains(a->collapsed_slice_dims, window) ||
             jm_i64s_contains(a->operand_batching_dims, window))
        window++;
      at[window++] = index[d];
      continue;
    }
    if ((int64_t)k == a->index_vector_dim) k++;
    for (uint32_t i = 0; i < a->start_indices_batching_dims.n; i++)
      if (a->start_indices_batching_dims.data[i] == (int64_t)k)
        at[a->operand_batching_dims.data[i]] = index[d];
    batch[k++] = index[d];
  }
  for (uint32_t i = 0; i < a->start_index_map.n; i++) {
    int64_t d = a->start_index_map.data[i];
    if (a->index_vector_dim < (int64_t)indices->rank)
      batch[a->index_vector_dim] = jm_k_int(b, it, i);
    jm_element x = jm_emit_operand(e, op, 1, batch);
    jm_kval start = start_of(b, indices->dtype, x, from->dims[d] - a->slice_sizes.data[d]);
    at[d] = jm_k_iadd(b, start, at[d]);
  }
  out[0] = jm_emit_operand(e, op, 0, at);
}

/* -- scatter, where at most one update can reach an element */

/* The dimension of the operand that dimension k of the indices (without that of index vectors) is
 * the batch of, -1: of none. */
static int64_t batch_dim(const jm_scatter_attrs *a, uint32_t k) {
  for (uint32_t i = 0; i < a->scatter_indices_batching_dims.n; i++)
    if (a->scatter_indices_batching_dims.data[i] == (int64_t)k)
      return a->input_batching_dims.data[i];
  return -1;
}

/* An element of a batch has one index vector. */
bool jm_emit_check_scatter(const jm_module *m, const jm_op *op) {
  const jm_scatter_attrs *a = op->attrs;
  const jm_type *indices = jm_op_operand_type(m, op, op->n_results);
  for (uint32_t k = 0; k < indices->rank; k++)
    if ((int64_t)k != a->index_vector_dim && indices->dims[k] != 1 && batch_dim(a, k) < 0)
      return false;
  return 2 * op->n_results <= JM_EMIT_CARRIES && !op->n_captures &&
         jm_op_operand_type(m, op, op->n_results + 1)->count && jm_emit_check_region(m, op);
}

/* Where the window starts in dimension d of the operand, from index vector `batch`; 0: given by no
 * index. */
static jm_kval scatter_start(jm_emit *e, const jm_op *op, jm_kval *batch, uint32_t d) {
  jm_kbuilder *const b = jm_emit_builder(e);
  const jm_scatter_attrs *a = op->attrs;
  const jm_type *indices = jm_op_operand_type(jm_emit_module(e), op, op->n_results);
  for (uint32_t i = 0; i < a->scatter_dims_to_operand_dims.n; i++) {
    if (a->scatter_dims_to_operand_dims.data[i] != (int64_t)d) continue;
    if (a->index_vector_dim < (int64_t)indices->rank)
      batch[a->index_vector_dim] = jm_kbuild_index(b, i);
    jm_element x = jm_emit_operand(e, op, op->n_results, batch);
    return jm_element_convert(b, indices->dtype, JM_DT_s64, x).part[0];
  }
  return jm_kbuild_index(b, 0);
}

/* Windows that don't fit are dropped; an unsigned start past INT64_MAX is negative here, which does
 * not fit either. */
void jm_emit_scatter(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_kbuilder *const b = jm_emit_builder(e);
  const jm_module *const m = jm_emit_module(e);
  const jm_scatter_attrs *a = op->attrs;
  const uint32_t n = op->n_results;
  const jm_type *to = jm_op_result_type(m, op, 0), *indices = jm_op_operand_type(m, op, n);
  const jm_type *updates = jm_op_operand_type(m, op, n + 1);
  const jm_kval zero = jm_kbuild_index(b, 0);
  jm_kval batch[JM_EMIT_RANK], at[JM_EMIT_RANK], inside = jm_kbuild_int(b, JM_KT_i1, 1);
  jm_element args[JM_EMIT_CARRIES], combined[JM_EMIT_CARRIES];
  for (uint32_t k = 0; k < indices->rank; k++) {
    const int64_t d = batch_dim(a, k);
    batch[k] = d < 0 ? zero : index[d];
  }
  for (uint32_t d = 0, k = 0; d < updates->rank; d++) {
    if (jm_i64s_contains(a->update_window_dims, d)) continue;
    k += (int64_t)k == a->index_vector_dim;
    at[d] = batch[k++];
  }
  for (uint32_t d = 0, window = 0; d < to->rank; d++) {
    if (jm_i64s_contains(a->input_batching_dims, d)) continue;
    const bool inserted = jm_i64s_contains(a->inserted_window_dims, d);
    const int64_t of = inserted ? 0 : a->update_window_dims.data[window++];
    const int64_t size = inserted ? 1 : updates->dims[of], last = to->dims[d] - size;
    const jm_kval start = scatter_start(e, op, batch, d);
    jm_kval place = jm_k_isub(b, index[d], start);
    inside = jm_k_and(b, inside, jm_k_sle(b, zero, start));
    inside = jm_k_and(b, inside, jm_k_sle(b, start, jm_kbuild_index(b, last)));
    inside = jm_k_and(b, inside, jm_emit_place(b, &place, size, 1));
    if (!inserted) at[of] = place;
  }
  for (uint32_t i = 0; i < n; i++) {
    args[i] = jm_emit_operand(e, op, i, index);
    args[n + i] = jm_emit_operand(e, op, n + 1 + i, at);
  }
  jm_emit_region(e, op, op->first_region, args, combined);
  for (uint32_t i = 0; i < n; i++) out[i] = jm_emit_select(e, inside, combined[i], args[i]);
}
