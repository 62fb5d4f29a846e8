/* SPDX-License-Identifier: Apache-2.0
 * Rules of gather and scatter: how the dimensions of operand, indices and result (or updates)
 * correspond. They ensure that no program can make a walk over them leave a buffer. */
#include "ir/rules.h"

/* The attributes that gather and scatter share, by gather's names. */
typedef struct numbers {
  jm_i64s collapsed, operand_batching, indices_batching, index_map;
  int64_t index_vector_dim;
  const jm_type *operand, *indices;
} numbers;

static jm_error *check_numbers(const jm_module *m, const jm_op *op, const numbers *n) {
  uint32_t rank = n->operand->rank;
  if (!jm_dtype_is_integer(n->indices->dtype))
    return jm_rule_error(m, op, "the indices are not integers");
  if (n->index_vector_dim < 0 || n->index_vector_dim > n->indices->rank)
    return jm_rule_error(m, op, "index_vector_dim out of range"); /* gather (C2), scatter (C22) */
  int64_t depth =
      n->index_vector_dim < n->indices->rank ? n->indices->dims[n->index_vector_dim] : 1;
  if (n->index_map.n != depth) /* gather (C3), scatter (C19) */
    return jm_rule_error(m, op, "%u dimensions are indexed by index vectors of %lld",
                         n->index_map.n, (long long)depth);
  /* gather (C6)-(C8), (C10), (C11), scatter (C9)-(C13) */
  if (!jm_rule_dims2(n->collapsed, n->operand_batching, rank) ||
      !jm_rule_dims(n->collapsed, rank, true) || !jm_rule_dims(n->operand_batching, rank, true))
    return jm_rule_error(m, op,
                         "collapsed (inserted) and batching dimensions of the operand must "
                         "be sorted, unique and in range");
  if (!jm_rule_dims(n->indices_batching, n->indices->rank, false) ||
      jm_i64s_contains(n->indices_batching, n->index_vector_dim) ||
      n->indices_batching.n != n->operand_batching.n) /* gather (C13)-(C16), scatter (C14)-(C17) */
    return jm_rule_error(m, op,
                         "batching dimensions of the indices must be unique, in range, not "
                         "the index vector's, and as many as the operand's");
  for (uint32_t i = 0; i < n->operand_batching.n; i++) /* gather (C17), scatter (C18) */
    if (n->operand->dims[n->operand_batching.data[i]] !=
        n->indices->dims[n->indices_batching.data[i]])
      return jm_rule_error(m, op, "batching dimension %u differs in size", i);
  if (!jm_rule_dims2(n->index_map, n->operand_batching, rank)) /* gather (C18), scatter (C20) */
    return jm_rule_error(m, op, "indexed dimensions must be unique, in range and not batching");
  return NULL;
}

/* The dimensions of result (or updates) that are not offsets are those of the indices without the
 * index vector's, in order: combine() of gather (C22) and scatter (C4). */
static bool batch_sizes_match(const jm_type *type, jm_i64s offsets, const numbers *n) {
  uint32_t d = 0;
  for (uint32_t i = 0; i < type->rank; i++) {
    if (jm_i64s_contains(offsets, i)) continue;
    if (d == n->index_vector_dim) d++;
    if (d >= n->indices->rank || n->indices->dims[d++] != type->dims[i]) return false;
  }
  if (d == n->index_vector_dim) d++;
  return d >= n->indices->rank;
}

/* The operand dimension of the i-th offset: those neither collapsed nor batching, in order. */
static uint32_t next_window_dim(const numbers *n, uint32_t d) {
  while (jm_i64s_contains(n->collapsed, d) || jm_i64s_contains(n->operand_batching, d)) d++;
  return d;
}

jm_error *jm_verify_gather(const jm_module *m, const jm_op *op) {
  const jm_gather_attrs *a = op->attrs;
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  const numbers n = {
      a->collapsed_slice_dims,     a->operand_batching_dims, a->start_indices_batching_dims,
      a->start_index_map,          a->index_vector_dim,      from,
      jm_op_operand_type(m, op, 1)};
  JM_TRY(check_numbers(m, op, &n));
  if (from->dtype != to->dtype) /* (C23) */
    return jm_rule_error(m, op, "operand and result differ in element type");
  if (!jm_rule_dims(a->offset_dims, to->rank, true)) /* (C4), (C5) */
    return jm_rule_error(m, op, "offset_dims must be sorted, unique and in range");
  if (a->offset_dims.n + a->collapsed_slice_dims.n + a->operand_batching_dims.n != from->rank)
    return jm_rule_error(m, op, "offset, collapsed and batching dimensions must cover the operand");
  if (a->slice_sizes.n != from->rank) /* (C20) */
    return jm_rule_error(m, op, "slice_sizes must name every dimension");
  for (uint32_t d = 0; d < from->rank; d++) { /* (C9), (C12), (C21) */
    int64_t size = a->slice_sizes.data[d];
    bool narrow = jm_i64s_contains(a->collapsed_slice_dims, d) ||
                  jm_i64s_contains(a->operand_batching_dims, d);
    if (size < 0 || size > from->dims[d] || (narrow && size > 1))
      return jm_rule_error(m, op, "slice size of dimension %u out of range", d);
  }
  for (uint32_t i = 0, d = 0; i < a->offset_dims.n; i++, d++) { /* (C22) */
    d = next_window_dim(&n, d);
    if (to->dims[a->offset_dims.data[i]] != a->slice_sizes.data[d])
      return jm_rule_error(m, op, "offset dimension %u of the result has not the slice's size", i);
  }
  if (!batch_sizes_match(to, a->offset_dims, &n))
    return jm_rule_error(m, op, "the result's batch dimensions are not those of the indices");
  /* A collapsed dimension of size 0 has no element to read. */
  for (uint32_t d = 0; d < from->rank; d++)
    if (to->count && !a->slice_sizes.data[d])
      return jm_rule_error(m, op, "an empty slice can't fill the result");
  return NULL;
}

jm_error *jm_verify_scatter(const jm_module *m, const jm_op *op) {
  const jm_scatter_attrs *a = op->attrs;
  uint32_t n_inputs = op->n_results;
  if (!n_inputs || jm_rule_inputs(op) != 2 * n_inputs + 1) /* (C5) */
    return jm_rule_error(m, op, "needs as many inputs as updates and results, and indices");
  const jm_type *to = jm_op_operand_type(m, op, 0);
  const jm_type *updates = jm_op_operand_type(m, op, n_inputs + 1);
  const numbers n = {a->inserted_window_dims,
                     a->input_batching_dims,
                     a->scatter_indices_batching_dims,
                     a->scatter_dims_to_operand_dims,
                     a->index_vector_dim,
                     to,
                     jm_op_operand_type(m, op, n_inputs)};
  for (uint32_t i = 0; i < n_inputs; i++) {
    const jm_type *input = jm_op_operand_type(m, op, i);
    const jm_type *update = jm_op_operand_type(m, op, n_inputs + 1 + i);
    if (input->dtype == JM_DT_token || input != jm_op_result_type(m, op, i) ||
        !jm_rule_same_shape(input, to)) /* (C1), (C24), (C25) */
      return jm_rule_error(m, op, "input %u and its result differ, or the inputs' shapes do", i);
    if (update->dtype != input->dtype || !jm_rule_same_shape(update, updates)) /* (C3), (C6) */
      return jm_rule_error(m, op, "update %u differs in element type or shape", i);
  }
  JM_TRY(check_numbers(m, op, &n));
  if (!jm_rule_dims(a->update_window_dims, updates->rank, true)) /* (C7), (C8) */
    return jm_rule_error(m, op, "update_window_dims must be sorted, unique and in range");
  if (a->update_window_dims.n + a->inserted_window_dims.n + a->input_batching_dims.n != to->rank)
    return jm_rule_error(m, op, "window, inserted and batching dimensions must cover the input");
  for (uint32_t i = 0, d = 0; i < a->update_window_dims.n; i++, d++) { /* (C4) */
    d = next_window_dim(&n, d);
    if (updates->dims[a->update_window_dims.data[i]] > to->dims[d])
      return jm_rule_error(m, op, "window dimension %u of the updates is larger than the input", i);
  }
  if (!batch_sizes_match(updates, a->update_window_dims, &n))
    return jm_rule_error(m, op, "the updates' scatter dimensions are not those of the indices");
  /* (C23): the region's arguments are old..., update..., and both have the inputs' types. */
  return jm_rule_reducer(m, op, 0, n_inputs);
}
