/* SPDX-License-Identifier: Apache-2.0
 * Data movement with indices that are data: dynamic_slice, dynamic_update_slice and gather. Starts
 * are clamped so that the window fits, as the library does. */
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
