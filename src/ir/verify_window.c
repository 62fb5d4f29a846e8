/* SPDX-License-Identifier: Apache-2.0
 * Rules of reductions, windows, sorting, products, transforms and linear algebra. */
#include <string.h>

#include "ir/rules.h"

/* n inputs of one shape, each followed at distance n by its scalar init. */
static jm_error *check_inits(const jm_module *m, const jm_op *op) {
  uint32_t n = op->n_results;
  if (!n || jm_rule_inputs(op) != 2 * n)
    return jm_rule_error(m, op, "needs as many inputs as inits and results");
  const jm_type *first = jm_op_operand_type(m, op, 0);
  for (uint32_t i = 0; i < n; i++) {
    const jm_type *input = jm_op_operand_type(m, op, i);
    if (!jm_rule_same_shape(input, first))
      return jm_rule_error(m, op, "input %u has another shape than input 0", i);
    if (!jm_rule_scalar(jm_op_operand_type(m, op, n + i), input->dtype))
      return jm_rule_error(m, op, "init %u is not a scalar of its input's element type", i);
    if (jm_op_result_type(m, op, i)->dtype != input->dtype)
      return jm_rule_error(m, op, "result %u has another element type than its input", i);
  }
  return NULL;
}

jm_error *jm_verify_reduce(const jm_module *m, const jm_op *op) {
  const jm_reduce_attrs *a = op->attrs;
  JM_TRY(check_inits(m, op)); /* (C1)-(C3), (C8) */
  const jm_type *from = jm_op_operand_type(m, op, 0);
  if (!jm_rule_dims(a->dims, from->rank, false)) /* (C4), (C5) */
    return jm_rule_error(m, op, "dims out of range or not unique");
  for (uint32_t i = 0; i < op->n_results; i++) { /* (C7) */
    const jm_type *to = jm_op_result_type(m, op, i);
    bool ok = to->rank == from->rank - a->dims.n;
    for (uint32_t d = 0, k = 0; ok && d < from->rank; d++)
      if (!jm_i64s_contains(a->dims, d)) ok = to->dims[k++] == from->dims[d];
    if (!ok) return jm_rule_error(m, op, "result %u has not the input's shape without dims", i);
  }
  return jm_rule_reducer(m, op, 0, op->n_results); /* (C6) */
}

jm_error *jm_verify_reduce_window(const jm_module *m, const jm_op *op) {
  const jm_reduce_window_attrs *a = op->attrs;
  JM_TRY(check_inits(m, op)); /* (C1)-(C3), (C16) */
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  uint32_t rank = from->rank;
  if (!jm_rule_list(a->window, rank, 1, INT64_MAX) ||
      !jm_rule_list(a->strides, rank, 1, INT64_MAX) ||
      !jm_rule_list(a->base_dilations, rank, 1, INT64_MAX) ||
      !jm_rule_list(a->window_dilations, rank, 1, INT64_MAX)) /* (C4)-(C11) */
    return jm_rule_error(m, op,
                         "window, strides and dilations need a positive entry per dimension");
  if (a->padding.n != 2 * rank || to->rank != rank) /* (C12) */
    return jm_rule_error(m, op, "padding needs two entries per dimension, the result the rank");
  for (uint32_t d = 0; d < rank; d++) { /* (C15) */
    const jm_rule_window window = {from->dims[d],
                                   a->padding.data[2 * d],
                                   a->padding.data[2 * d + 1],
                                   a->base_dilations.data[d],
                                   a->window.data[d],
                                   a->window_dilations.data[d],
                                   a->strides.data[d]};
    int64_t count;
    if (!jm_rule_window_count(&window, &count) || count != to->dims[d])
      return jm_rule_error(m, op, "dimension %u has not as many elements as windows", d);
  }
  for (uint32_t i = 1; i < op->n_results; i++) /* (C14) */
    if (!jm_rule_same_shape(jm_op_result_type(m, op, i), to))
      return jm_rule_error(m, op, "result %u has another shape than result 0", i);
  return jm_rule_reducer(m, op, 0, op->n_results); /* (C13) */
}

jm_error *jm_verify_select_and_scatter(const jm_module *m, const jm_op *op) {
  const jm_select_and_scatter_attrs *a = op->attrs;
  const jm_type *operand = jm_op_operand_type(m, op, 0), *source = jm_op_operand_type(m, op, 1);
  uint32_t rank = operand->rank;
  if (source->dtype != operand->dtype ||
      !jm_rule_scalar(jm_op_operand_type(m, op, 2), operand->dtype)) /* (C1), (C3) */
    return jm_rule_error(m, op, "source or init has another element type than the operand");
  if (jm_op_result_type(m, op, 0) != operand) /* (C11), (C12) */
    return jm_rule_error(m, op, "operand and result differ in type");
  if (!jm_rule_list(a->window, rank, 1, INT64_MAX) ||
      !jm_rule_list(a->strides, rank, 1, INT64_MAX) || a->padding.n != 2 * rank ||
      source->rank != rank) /* (C4)-(C8) */
    return jm_rule_error(m, op, "window, strides, padding or source lack an entry per dimension");
  for (uint32_t d = 0; d < rank; d++) { /* (C2) */
    const jm_rule_window window = {operand->dims[d],           a->padding.data[2 * d],
                                   a->padding.data[2 * d + 1], 1,
                                   a->window.data[d],          1,
                                   a->strides.data[d]};
    int64_t count;
    if (!jm_rule_window_count(&window, &count) || count != source->dims[d])
      return jm_rule_error(m, op, "the source has not as many elements as windows in dimension %u",
                           d);
  }
  JM_TRY(jm_rule_region(m, op, 0, 2, 1)); /* (C9) */
  const jm_region *select = jm_op_region(m, op, 0);
  for (uint32_t i = 0; i < 2; i++)
    if (!jm_rule_scalar(jm_rule_arg(m, select, i), operand->dtype))
      return jm_rule_error(m, op,
                           "argument %u of select is not a scalar of the operand's element "
                           "type",
                           i);
  if (!jm_rule_scalar(jm_rule_result(m, select, 0), JM_DT_pred))
    return jm_rule_error(m, op, "select does not return a pred");
  return jm_rule_reducer(m, op, 1, 1); /* (C10) */
}

jm_error *jm_verify_sort(const jm_module *m, const jm_op *op) {
  const jm_sort_attrs *a = op->attrs;
  uint32_t n = jm_rule_inputs(op);
  if (!n || op->n_results != n) /* (C1) */
    return jm_rule_error(m, op, "needs as many operands as results");
  const jm_type *first = jm_op_operand_type(m, op, 0);
  for (uint32_t i = 0; i < n; i++)
    if (jm_op_operand_type(m, op, i) != jm_op_result_type(m, op, i) ||
        !jm_rule_same_shape(jm_op_operand_type(m, op, i), first)) /* (C2), (C3) */
      return jm_rule_error(m, op, "operand %u and its result differ, or the shapes do", i);
  if (a->dim < 0 || a->dim >= first->rank) /* (C4); readers make a negative one positive */
    return jm_rule_error(m, op, "dim out of range");
  JM_TRY(jm_rule_region(m, op, 0, 2 * n, 1)); /* (C5) */
  const jm_region *region = jm_op_region(m, op, 0);
  for (uint32_t i = 0; i < 2 * n; i++)
    if (!jm_rule_scalar(jm_rule_arg(m, region, i), jm_op_operand_type(m, op, i / 2)->dtype))
      return jm_rule_error(m, op,
                           "argument %u of the region is not a scalar of operand %u's "
                           "element type",
                           i, i / 2);
  if (!jm_rule_scalar(jm_rule_result(m, region, 0), JM_DT_pred))
    return jm_rule_error(m, op, "the region does not return a pred");
  return NULL;
}

jm_error *jm_verify_top_k(const jm_module *m, const jm_op *op) {
  const jm_top_k_attrs *a = op->attrs;
  const jm_type *from = jm_op_operand_type(m, op, 0);
  const jm_type *values = jm_op_result_type(m, op, 0), *indices = jm_op_result_type(m, op, 1);
  if (!from->rank || a->k < 0 || a->k > from->dims[from->rank - 1])
    return jm_rule_error(m, op, "k is not in the range of the last dimension");
  if (values->dtype != from->dtype || indices->dtype != JM_DT_s32 ||
      !jm_rule_same_shape(values, indices))
    return jm_rule_error(m, op, "the results must be values and s32 indices of one shape");
  bool ok = values->rank == from->rank && values->dims[from->rank - 1] == a->k;
  for (uint32_t d = 0; ok && d + 1 < from->rank; d++) ok = values->dims[d] == from->dims[d];
  return ok ? NULL : jm_rule_error(m, op, "the results must have k as the last dimension");
}

/* -- products */

/* The caller chooses the result's element type (preferred_element_type), within one kind. */
static bool product_type(jm_dtype lhs, jm_dtype rhs, jm_dtype result) {
  bool floats = jm_dtype_is_float(lhs) && jm_dtype_is_float(rhs);
  if (lhs != rhs && !floats) return false; /* JAX mixes formats in gradients and in attention */
  return result != JM_DT_token && jm_dtype_is_complex(result) == jm_dtype_is_complex(lhs);
}

static jm_error *check_algorithm(const jm_module *m, const jm_op *op) {
  const jm_dot_general_attrs *a = op->attrs;
  bool none = !a->lhs_algorithm.size && !a->rhs_algorithm.size && !a->accumulation.size;
  bool counts = a->lhs_components > 0 && a->rhs_components > 0 && a->primitive_operations > 0;
  if (none ? a->lhs_components || a->rhs_components || a->primitive_operations
           : !counts || !a->lhs_algorithm.size || !a->rhs_algorithm.size || !a->accumulation.size)
    return jm_rule_error(m, op, "the algorithm is incomplete"); /* (C22)-(C24) */
  return NULL;
}

jm_error *jm_verify_dot_general(const jm_module *m, const jm_op *op) {
  const jm_dot_general_attrs *a = op->attrs;
  const jm_type *lhs = jm_op_operand_type(m, op, 0), *rhs = jm_op_operand_type(m, op, 1);
  const jm_type *to = jm_op_result_type(m, op, 0);
  if (!product_type(lhs->dtype, rhs->dtype, to->dtype)) /* (C13) */
    return jm_rule_error(m, op, "these element types can't be multiplied");
  if (a->lhs_batch.n != a->rhs_batch.n || a->lhs_contract.n != a->rhs_contract.n) /* (C1), (C2) */
    return jm_rule_error(m, op, "the operands' lists of dimensions differ in length");
  if (!jm_rule_dims2(a->lhs_batch, a->lhs_contract, lhs->rank) ||
      !jm_rule_dims2(a->rhs_batch, a->rhs_contract, rhs->rank)) /* (C3)-(C8) */
    return jm_rule_error(m, op, "batch and contracting dimensions out of range or not unique");
  for (uint32_t i = 0; i < a->lhs_contract.n; i++)
    if (lhs->dims[a->lhs_contract.data[i]] != rhs->dims[a->rhs_contract.data[i]]) /* (C10) */
      return jm_rule_error(m, op, "contracting dimension %u differs in size", i);
  uint32_t shared = a->lhs_batch.n + a->lhs_contract.n;
  bool ok = to->rank == lhs->rank + rhs->rank - shared - a->lhs_contract.n; /* (C12) */
  uint32_t k = 0;
  for (uint32_t i = 0; ok && i < a->lhs_batch.n; i++, k++) /* (C9) */
    ok = lhs->dims[a->lhs_batch.data[i]] == rhs->dims[a->rhs_batch.data[i]] &&
         to->dims[k] == lhs->dims[a->lhs_batch.data[i]];
  for (uint32_t d = 0; ok && d < lhs->rank; d++)
    if (!jm_i64s_contains(a->lhs_batch, d) && !jm_i64s_contains(a->lhs_contract, d))
      ok = to->dims[k++] == lhs->dims[d];
  for (uint32_t d = 0; ok && d < rhs->rank; d++)
    if (!jm_i64s_contains(a->rhs_batch, d) && !jm_i64s_contains(a->rhs_contract, d))
      ok = to->dims[k++] == rhs->dims[d];
  if (!ok)
    return jm_rule_error(m, op,
                         "the result's shape is not batch, lhs rest, rhs rest, or the batch "
                         "sizes differ");
  return check_algorithm(m, op);
}

/* batch, feature and spatial dimensions of one operand: all of them, each once */
static bool layout_valid(int64_t batch, int64_t feature, jm_i64s spatial, uint32_t rank) {
  const int64_t pair[] = {batch, feature};
  return spatial.n + 2 == rank && jm_rule_dims2((jm_i64s){pair, 2}, spatial, rank);
}

static jm_error *check_convolution_sizes(const jm_module *m, const jm_op *op) {
  const jm_convolution_attrs *a = op->attrs;
  const jm_type *lhs = jm_op_operand_type(m, op, 0), *rhs = jm_op_operand_type(m, op, 1);
  const jm_type *to = jm_op_result_type(m, op, 0);
  int64_t batch = lhs->dims[a->input_batch], feature = lhs->dims[a->input_feature];
  int64_t outputs = rhs->dims[a->kernel_output_feature];
  if (a->feature_groups < 1 || a->batch_groups < 1 ||
      (a->feature_groups != 1 && a->batch_groups != 1)) /* (C21)-(C23) */
    return jm_rule_error(m, op, "group counts must be positive and one of them 1");
  if (batch % a->batch_groups || feature % a->feature_groups || outputs % a->batch_groups ||
      outputs % a->feature_groups) /* (C10), (C11), (C15), (C16) */
    return jm_rule_error(m, op, "a group count does not divide batch, features or outputs");
  if (rhs->dims[a->kernel_input_feature] != feature / a->feature_groups) /* (C14) */
    return jm_rule_error(m, op, "the kernel's input features are not the input's per group");
  if (to->dims[a->output_batch] != batch / a->batch_groups ||
      to->dims[a->output_feature] != outputs) /* (C25) */
    return jm_rule_error(m, op, "the result's batch or features are not those computed");
  for (uint32_t i = 0; i < a->input_spatial.n; i++) {
    const jm_rule_window window = {lhs->dims[a->input_spatial.data[i]],
                                   a->padding.data[2 * i],
                                   a->padding.data[2 * i + 1],
                                   a->lhs_dilation.data[i],
                                   rhs->dims[a->kernel_spatial.data[i]],
                                   a->rhs_dilation.data[i],
                                   a->strides.data[i]};
    int64_t count;
    if (!jm_rule_window_count(&window, &count) || count != to->dims[a->output_spatial.data[i]])
      return jm_rule_error(m, op, "spatial dimension %u has not as many elements as windows", i);
  }
  return NULL;
}

jm_error *jm_verify_convolution(const jm_module *m, const jm_op *op) {
  const jm_convolution_attrs *a = op->attrs;
  const jm_type *lhs = jm_op_operand_type(m, op, 0), *rhs = jm_op_operand_type(m, op, 1);
  const jm_type *to = jm_op_result_type(m, op, 0);
  uint32_t rank = lhs->rank;
  if (!product_type(lhs->dtype, rhs->dtype, to->dtype)) /* (C27) */
    return jm_rule_error(m, op, "these element types can't be multiplied");
  if (rank < 2 || rhs->rank != rank || to->rank != rank) /* (C1), (C26) */
    return jm_rule_error(m, op, "operands and result need one rank of at least 2");
  uint32_t n = rank - 2;
  if (!jm_rule_list(a->strides, n, 1, INT64_MAX) ||
      !jm_rule_list(a->lhs_dilation, n, 1, INT64_MAX) ||
      !jm_rule_list(a->rhs_dilation, n, 1, INT64_MAX) || !jm_rule_list(a->reversal, n, 0, 1) ||
      a->padding.n != 2 * n) /* (C2)-(C9) */
    return jm_rule_error(m, op,
                         "strides, dilations, reversal or padding lack an entry, or one is "
                         "out of range");
  if (!layout_valid(a->input_batch, a->input_feature, a->input_spatial, rank) ||
      !layout_valid(a->kernel_input_feature, a->kernel_output_feature, a->kernel_spatial, rank) ||
      !layout_valid(a->output_batch, a->output_feature, a->output_spatial, rank))
    return jm_rule_error(m, op, "dimension numbers out of range or not unique"); /* (C12)-(C20) */
  return check_convolution_sizes(m, op);
}

/* -- transforms and linear algebra */

jm_error *jm_verify_fft(const jm_module *m, const jm_op *op) {
  const jm_fft_attrs *a = op->attrs;
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  uint32_t n = a->length.n;
  if (n < 1 || n > 3 || n > from->rank || to->rank != from->rank) /* (C1), (C3), (C5) */
    return jm_rule_error(m, op, "1 to 3 of the operand's dimensions can be transformed");
  bool real_in = a->kind == JM_FFT_RFFT, real_out = a->kind == JM_FFT_IRFFT;
  if (jm_dtype_is_complex(from->dtype) == real_in || jm_dtype_is_complex(to->dtype) == real_out ||
      jm_dtype_real(from->dtype) != jm_dtype_real(to->dtype)) /* (C2) */
    return jm_rule_error(m, op, "operand and result have not this transform's element types");
  /* (C4), (C5); for complex transforms XLA asks for the length to be the operand's as well. */
  const jm_type *full = real_out ? to : from, *half = real_out ? from : to;
  uint32_t first = from->rank - n, last = from->rank - 1;
  for (uint32_t d = 0; d < from->rank; d++) {
    if (d >= first && a->length.data[d - first] != full->dims[d])
      return jm_rule_error(m, op, "length is not that of dimension %u", d);
    int64_t want = full->dims[d];
    if (d == last && (real_in || real_out) && want) want = want / 2 + 1;
    /* JAX asks for no point of the transform of one. */
    const bool none = d == last && real_out && !want && half->dims[d] == 1;
    if (half->dims[d] != want && !none)
      return jm_rule_error(m, op, "dimension %u of operand or result has the wrong size", d);
  }
  return NULL;
}

jm_error *jm_verify_cholesky(const jm_module *m, const jm_op *op) {
  const jm_type *type = jm_op_operand_type(m, op, 0);
  if (type->rank < 2 || type->dims[type->rank - 1] != type->dims[type->rank - 2])
    return jm_rule_error(m, op, "the operand is not a batch of square matrices");
  return jm_verify_same(m, op);
}

jm_error *jm_verify_triangular_solve(const jm_module *m, const jm_op *op) {
  const jm_triangular_solve_attrs *attrs = op->attrs;
  const jm_type *a = jm_op_operand_type(m, op, 0), *b = jm_op_operand_type(m, op, 1);
  uint32_t rank = a->rank;
  if (attrs->transpose_a == JM_TRANSPOSE_INVALID)
    return jm_rule_error(m, op, "transpose_a is not given");
  if (b != jm_op_result_type(m, op, 0))
    return jm_rule_error(m, op, "b and the result differ"); /* (C4) */
  if (a->dtype != b->dtype || rank < 2 || b->rank != rank)  /* (C1), (C2) */
    return jm_rule_error(m, op, "a and b differ in element type or rank, or are no matrices");
  bool ok = a->dims[rank - 1] == a->dims[rank - 2] && /* (C3) */
            a->dims[rank - 1] == b->dims[attrs->left_side ? rank - 2 : rank - 1];
  for (uint32_t d = 0; ok && d + 2 < rank; d++) ok = a->dims[d] == b->dims[d];
  return ok ? NULL : jm_rule_error(m, op, "the shapes of a and b don't fit");
}
