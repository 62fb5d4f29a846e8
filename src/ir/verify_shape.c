/* SPDX-License-Identifier: Apache-2.0
 * Rules of elementwise ops and of those that move data. */
#include <string.h>

#include "ir/rules.h"

/* -- elementwise */

static jm_error *check_shapes(const jm_module *m, const jm_op *op) {
  const jm_type *result = jm_op_result_type(m, op, 0);
  for (uint32_t i = 0; i < jm_rule_inputs(op); i++)
    if (!jm_rule_same_shape(jm_op_operand_type(m, op, i), result))
      return jm_rule_error(m, op, "operand %u and the result differ in shape", i);
  return NULL;
}

static jm_error *check_result(const jm_module *m, const jm_op *op, jm_dtype dtype) {
  if (jm_op_result_type(m, op, 0)->dtype != dtype)
    return jm_rule_error(m, op, "the result's element type must be %s", jm_dtype_name(dtype));
  return NULL;
}

jm_error *jm_verify_same(const jm_module *m, const jm_op *op) {
  for (uint32_t i = 0; i < jm_rule_inputs(op); i++)
    if (jm_op_operand_type(m, op, i) != jm_op_result_type(m, op, 0))
      return jm_rule_error(m, op, "operand %u and the result differ in type", i);
  return NULL;
}

jm_error *jm_verify_threefry2x32(const jm_module *m, const jm_op *op) {
  const jm_type *type = jm_op_result_type(m, op, 0);
  if (type->dtype != JM_DT_u32 || jm_op_result_type(m, op, 1) != type)
    return jm_rule_error(m, op, "the results are not of one type of u32");
  for (uint32_t i = 0; i < 4; i++) {
    const jm_type *operand = jm_op_operand_type(m, op, i);
    if (operand != type && (operand->rank || operand->dtype != JM_DT_u32))
      return jm_rule_error(m, op, "operand %u is neither of the results' type nor a scalar", i);
  }
  return NULL;
}

jm_error *jm_verify_abs(const jm_module *m, const jm_op *op) {
  JM_TRY(check_shapes(m, op));                                                    /* (C1) */
  return check_result(m, op, jm_dtype_real(jm_op_operand_type(m, op, 0)->dtype)); /* (C2) */
}

jm_error *jm_verify_part(const jm_module *m, const jm_op *op) { return jm_verify_abs(m, op); }

jm_error *jm_verify_predicate(const jm_module *m, const jm_op *op) {
  JM_TRY(check_shapes(m, op));
  return check_result(m, op, JM_DT_pred);
}

jm_error *jm_verify_reduce_precision(const jm_module *m, const jm_op *op) {
  const jm_reduce_precision_attrs *a = op->attrs;
  /* (C2), (C3); wider formats than f64 aren't meant */
  if (a->exponent_bits < 1 || a->exponent_bits > 64 || a->mantissa_bits < 0 ||
      a->mantissa_bits > 64)
    return jm_rule_error(m, op, "bits out of range");
  return jm_verify_same(m, op);
}

jm_error *jm_verify_convert(const jm_module *m, const jm_op *op) {
  JM_TRY(check_shapes(m, op));
  if (jm_op_result_type(m, op, 0)->dtype == JM_DT_token)
    return jm_rule_error(m, op, "the result is a token");
  return NULL;
}

jm_error *jm_verify_complex(const jm_module *m, const jm_op *op) {
  JM_TRY(check_shapes(m, op)); /* (C2) */
  jm_dtype part = jm_op_operand_type(m, op, 0)->dtype;
  if (jm_op_operand_type(m, op, 1)->dtype != part) /* (C1) */
    return jm_rule_error(m, op, "the operands differ in type");
  if (part != JM_DT_f32 && part != JM_DT_f64)
    return jm_rule_error(m, op, "the parts of a complex value are f32 or f64");
  return check_result(m, op, part == JM_DT_f32 ? JM_DT_c64 : JM_DT_c128); /* (C3) */
}

jm_error *jm_verify_compare(const jm_module *m, const jm_op *op) {
  const jm_compare_attrs *a = op->attrs;
  JM_TRY(check_shapes(m, op)); /* (C2) */
  jm_dtype dtype = jm_op_operand_type(m, op, 0)->dtype;
  if (jm_op_operand_type(m, op, 1)->dtype != dtype) /* (C1) */
    return jm_rule_error(m, op, "the operands differ in type");
  if (a->order == JM_ORDER_TOTAL && !jm_dtype_is_float(dtype)) /* (C3) */
    return jm_rule_error(m, op, "order TOTAL is for floating point");
  return check_result(m, op, JM_DT_pred);
}

jm_error *jm_verify_select(const jm_module *m, const jm_op *op) {
  const jm_type *result = jm_op_result_type(m, op, 0), *pred = jm_op_operand_type(m, op, 0);
  if (pred->rank && !jm_rule_same_shape(pred, result)) /* (C1) */
    return jm_rule_error(m, op, "pred is neither a scalar nor of the result's shape");
  if (jm_op_operand_type(m, op, 1) != result || jm_op_operand_type(m, op, 2) != result) /* (C2) */
    return jm_rule_error(m, op, "on_true, on_false and the result differ in type");
  if (result->dtype == JM_DT_token) return jm_rule_error(m, op, "a token can't be selected");
  return NULL;
}

jm_error *jm_verify_clamp(const jm_module *m, const jm_op *op) {
  const jm_type *result = jm_op_result_type(m, op, 0);
  if (jm_op_operand_type(m, op, 1) != result) /* (C4) */
    return jm_rule_error(m, op, "operand and result differ in type");
  for (uint32_t i = 0; i < 3; i += 2) {
    const jm_type *bound = jm_op_operand_type(m, op, i);
    if (bound->dtype != result->dtype || (bound->rank && bound != result)) /* (C1)-(C3) */
      return jm_rule_error(m, op, "operand %u is neither of the result's type nor its scalar", i);
  }
  return NULL;
}

jm_error *jm_verify_map(const jm_module *m, const jm_op *op) {
  uint32_t n = jm_rule_inputs(op);
  if (!n) return jm_rule_error(m, op, "no operand"); /* (C2) */
  JM_TRY(check_shapes(m, op));                       /* (C1) */
  JM_TRY(jm_rule_region(m, op, 0, n, 1));
  const jm_region *region = jm_op_region(m, op, 0);
  for (uint32_t i = 0; i < n; i++) /* (C4) */
    if (!jm_rule_scalar(jm_rule_arg(m, region, i), jm_op_operand_type(m, op, i)->dtype))
      return jm_rule_error(m, op,
                           "argument %u of the region is not a scalar of operand %u's "
                           "element type",
                           i, i);
  if (jm_op_result_type(m, op, 0)->dtype == JM_DT_token ||
      !jm_rule_scalar(jm_rule_result(m, region, 0), jm_op_result_type(m, op, 0)->dtype))
    return jm_rule_error(m, op, "the region does not return a scalar of the result's element type");
  return NULL;
}

/* -- data movement */

static jm_error *check_dtype(const jm_module *m, const jm_op *op) {
  return check_result(m, op, jm_op_operand_type(m, op, 0)->dtype);
}

jm_error *jm_verify_bitcast_convert(const jm_module *m, const jm_op *op) {
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  if (to->dtype == JM_DT_token ||
      jm_dtype_is_complex(from->dtype) != jm_dtype_is_complex(to->dtype))
    return jm_rule_error(m, op, "these element types have no common bits"); /* (C2) */
  int64_t from_bits = jm_dtype_facts[from->dtype].bits, to_bits = jm_dtype_facts[to->dtype].bits;
  /* XLA gives a pred the width of a byte, the specification that of a bit. */
  if (from->dtype == JM_DT_pred && to_bits >= 8) from_bits = 8;
  if (to->dtype == JM_DT_pred && from_bits >= 8) to_bits = 8;
  if (from_bits == to_bits) {
    if (!jm_rule_same_shape(from, to)) return jm_rule_error(m, op, "the shapes differ"); /* (C1) */
    return NULL;
  }
  const jm_type *wide = from_bits > to_bits ? from : to, *narrow = wide == from ? to : from;
  int64_t wide_bits = wide == from ? from_bits : to_bits;
  int64_t narrow_bits = wide == from ? to_bits : from_bits;
  if (narrow->rank != wide->rank + 1 || wide_bits % narrow_bits ||
      narrow->dims[wide->rank] != wide_bits / narrow_bits ||
      (wide->rank && memcmp(narrow->dims, wide->dims, wide->rank * sizeof *wide->dims)))
    return jm_rule_error(m, op,
                         "the narrower type needs one more dimension of the ratio"); /* (C1) */
  return NULL;
}

jm_error *jm_verify_broadcast_in_dim(const jm_module *m, const jm_op *op) {
  const jm_broadcast_in_dim_attrs *a = op->attrs;
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  JM_TRY(check_dtype(m, op));                                             /* (C1) */
  if (a->dims.n != from->rank || !jm_rule_dims(a->dims, to->rank, false)) /* (C2)-(C4) */
    return jm_rule_error(m, op, "dims must name one result dimension per operand dimension");
  for (uint32_t i = 0; i < from->rank; i++)
    if (from->dims[i] != 1 && from->dims[i] != to->dims[a->dims.data[i]]) /* (C5) */
      return jm_rule_error(m, op, "operand dimension %u is neither 1 nor the result's", i);
  return NULL;
}

jm_error *jm_verify_concatenate(const jm_module *m, const jm_op *op) {
  const jm_concatenate_attrs *a = op->attrs;
  if (!jm_rule_inputs(op)) return jm_rule_error(m, op, "no operand"); /* (C3) */
  const jm_type *to = jm_op_result_type(m, op, 0);
  if (a->dim < 0 || a->dim >= to->rank) return jm_rule_error(m, op, "dim out of range"); /* (C4) */
  int64_t sum = 0;
  for (uint32_t i = 0; i < jm_rule_inputs(op); i++) {
    const jm_type *from = jm_op_operand_type(m, op, i);
    if (from->dtype != to->dtype || from->rank != to->rank) /* (C1), (C5) */
      return jm_rule_error(m, op, "operand %u and the result differ in element type or rank", i);
    for (uint32_t d = 0; d < to->rank; d++)
      if (d != a->dim && from->dims[d] != to->dims[d]) /* (C2), (C6) */
        return jm_rule_error(m, op, "operand %u and the result differ in dimension %u", i, d);
    if (__builtin_add_overflow(sum, from->dims[a->dim], &sum))
      return jm_rule_error(m, op, "the size along dim overflows");
  }
  if (sum != to->dims[a->dim]) /* (C6) */
    return jm_rule_error(m, op, "the operands' sizes along dim don't add up to the result's");
  return NULL;
}

jm_error *jm_verify_constant(const jm_module *m, const jm_op *op) {
  const jm_constant_attrs *a = op->attrs;
  if (!a->value.bytes && (jm_op_result_type(m, op, 0)->count || a->value.splat))
    return jm_rule_error(m, op, "no data");
  return NULL;
}

jm_error *jm_verify_iota(const jm_module *m, const jm_op *op) {
  const jm_iota_attrs *a = op->attrs;
  if (a->dim < 0 || a->dim >= jm_op_result_type(m, op, 0)->rank) /* (C1) */
    return jm_rule_error(m, op, "dim out of range");
  return NULL;
}

jm_error *jm_verify_pad(const jm_module *m, const jm_op *op) {
  const jm_pad_attrs *a = op->attrs;
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  JM_TRY(check_dtype(m, op)); /* (C1) */
  if (!jm_rule_scalar(jm_op_operand_type(m, op, 1), from->dtype))
    return jm_rule_error(m, op, "operand 1 is not a scalar of operand 0's element type");
  if (to->rank != from->rank || a->low.n != from->rank || a->high.n != from->rank ||
      a->interior.n != from->rank) /* (C2) */
    return jm_rule_error(m, op,
                         "the result's rank or a padding's length is not the operand's rank");
  for (uint32_t d = 0; d < from->rank; d++) {
    int64_t size = from->dims[d], inside;
    if (a->interior.data[d] < 0)
      return jm_rule_error(m, op, "negative interior padding"); /* (C3) */
    bool bad = __builtin_mul_overflow(size ? size - 1 : 0, a->interior.data[d], &inside);
    bad |= __builtin_add_overflow(size, inside, &size);
    bad |= __builtin_add_overflow(size, a->low.data[d], &size);
    bad |= __builtin_add_overflow(size, a->high.data[d], &size);
    if (bad || size != to->dims[d]) /* (C4); types have no negative sizes */
      return jm_rule_error(m, op, "dimension %u does not have the padded size", d);
  }
  return NULL;
}

jm_error *jm_verify_reshape(const jm_module *m, const jm_op *op) {
  JM_TRY(check_dtype(m, op));                                                    /* (C1) */
  if (jm_op_operand_type(m, op, 0)->count != jm_op_result_type(m, op, 0)->count) /* (C2) */
    return jm_rule_error(m, op, "operand and result differ in number of elements");
  return NULL;
}

jm_error *jm_verify_reverse(const jm_module *m, const jm_op *op) {
  const jm_reverse_attrs *a = op->attrs;
  if (!jm_rule_dims(a->dims, jm_op_result_type(m, op, 0)->rank, false)) /* (C2), (C3) */
    return jm_rule_error(m, op, "dims out of range or not unique");
  return jm_verify_same(m, op); /* (C1) */
}

jm_error *jm_verify_transpose(const jm_module *m, const jm_op *op) {
  const jm_transpose_attrs *a = op->attrs;
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  JM_TRY(check_dtype(m, op)); /* (C1) */
  if (from->rank != to->rank || a->permutation.n != to->rank ||
      !jm_rule_dims(a->permutation, to->rank, false)) /* (C2) */
    return jm_rule_error(m, op, "permutation is none of the operand's dimensions");
  for (uint32_t d = 0; d < to->rank; d++)
    if (to->dims[d] != from->dims[a->permutation.data[d]]) /* (C3) */
      return jm_rule_error(m, op, "result dimension %u does not have the permuted size", d);
  return NULL;
}

/* -- slices */

jm_error *jm_verify_slice(const jm_module *m, const jm_op *op) {
  const jm_slice_attrs *a = op->attrs;
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  JM_TRY(check_dtype(m, op)); /* (C1) */
  if (to->rank != from->rank || a->start.n != from->rank || a->limit.n != from->rank ||
      a->stride.n != from->rank) /* (C2) */
    return jm_rule_error(m, op, "start, limit, stride and the result need the operand's rank");
  for (uint32_t d = 0; d < from->rank; d++) {
    int64_t start = a->start.data[d], limit = a->limit.data[d], stride = a->stride.data[d];
    if (start < 0 || start > limit || limit > from->dims[d] || stride < 1) /* (C3), (C4) */
      return jm_rule_error(m, op, "dimension %u is sliced out of bounds", d);
    int64_t size = (limit - start) / stride + ((limit - start) % stride != 0);
    if (size != to->dims[d]) /* (C5) */
      return jm_rule_error(m, op, "dimension %u of the result must have size %lld", d,
                           (long long)size);
  }
  return NULL;
}

static jm_error *check_starts(const jm_module *m, const jm_op *op, uint32_t first) {
  const jm_type *operand = jm_op_operand_type(m, op, 0);
  if (jm_rule_inputs(op) - first != operand->rank)
    return jm_rule_error(m, op, "%u starts for rank %u", jm_rule_inputs(op) - first, operand->rank);
  for (uint32_t i = first; i < jm_rule_inputs(op); i++) {
    if (!jm_rule_index(jm_op_operand_type(m, op, i)))
      return jm_rule_error(m, op, "operand %u, a start, is not an integer scalar", i);
    if (jm_op_operand_type(m, op, i) != jm_op_operand_type(m, op, first))
      return jm_rule_error(m, op, "the starts differ in type");
  }
  return NULL;
}

jm_error *jm_verify_dynamic_slice(const jm_module *m, const jm_op *op) {
  const jm_dynamic_slice_attrs *a = op->attrs;
  if (!jm_rule_inputs(op)) return jm_rule_error(m, op, "no operand");
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  JM_TRY(check_dtype(m, op));     /* (C1) */
  JM_TRY(check_starts(m, op, 1)); /* (C2), (C3) */
  if (a->sizes.n != from->rank || to->rank != from->rank)
    return jm_rule_error(m, op, "sizes and the result need the operand's rank"); /* (C2) */
  for (uint32_t d = 0; d < from->rank; d++)
    if (a->sizes.data[d] > from->dims[d] || a->sizes.data[d] != to->dims[d]) /* (C4), (C5) */
      return jm_rule_error(m, op, "size of dimension %u out of range or not the result's", d);
  return NULL;
}

jm_error *jm_verify_dynamic_update_slice(const jm_module *m, const jm_op *op) {
  if (jm_rule_inputs(op) < 2) return jm_rule_error(m, op, "no operand or update");
  const jm_type *to = jm_op_operand_type(m, op, 0), *update = jm_op_operand_type(m, op, 1);
  if (to != jm_op_result_type(m, op, 0)) /* (C1) */
    return jm_rule_error(m, op, "operand and result differ in type");
  if (update->dtype != to->dtype || update->rank != to->rank) /* (C2), (C3) */
    return jm_rule_error(m, op, "operand and update differ in element type or rank");
  for (uint32_t d = 0; d < to->rank; d++)
    if (update->dims[d] > to->dims[d]) /* (C6) */
      return jm_rule_error(m, op, "the update is larger in dimension %u", d);
  return check_starts(m, op, 2); /* (C4), (C5) */
}
