/* SPDX-License-Identifier: Apache-2.0
 * The ops that can be pulled, with rule, conditions and cost: elementwise ops that have a function
 * in a table of element.h, and those that have a row here. Any other op stays outside of kernels.
 */
#include "base/number.h"
#include "kernel/emit/emit_rules.h"

/* -- rules of elementwise ops */

/* Scalars beside tensors (select's pred, clamp's bounds) have no index. */
static jm_element operand_at(jm_emit *e, const jm_op *op, uint32_t i, const jm_kval *index) {
  bool is_scalar = !jm_op_operand_type(jm_emit_module(e), op, i)->rank;
  return jm_emit_operand(e, op, i, is_scalar ? NULL : index);
}

static jm_dtype dtype_of(jm_emit *e, const jm_op *op, uint32_t i) {
  return jm_op_operand_type(jm_emit_module(e), op, i)->dtype;
}

static void elementwise(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_element x[2];
  for (uint32_t i = 0; i < op->n_operands; i++) x[i] = jm_emit_operand(e, op, i, index);
  out[0] = jm_element_run(jm_emit_builder(e), op->code, dtype_of(e, op, 0), x);
}

static void convert(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_dtype to = jm_op_result_type(jm_emit_module(e), op, 0)->dtype;
  out[0] = jm_element_convert(jm_emit_builder(e), dtype_of(e, op, 0), to,
                              jm_emit_operand(e, op, 0, index));
}

static void reduce_precision(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  const jm_reduce_precision_attrs *attrs = op->attrs;
  jm_kval x = jm_emit_operand(e, op, 0, index).part[0];
  out[0] = jm_element_of(jm_element_reduce_precision(jm_emit_builder(e), dtype_of(e, op, 0), x,
                                                     attrs->exponent_bits, attrs->mantissa_bits));
}

static void compare(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  const jm_compare_attrs *attrs = op->attrs;
  jm_element x = jm_emit_operand(e, op, 0, index), y = jm_emit_operand(e, op, 1, index);
  out[0] =
      jm_element_of(jm_element_compare(jm_emit_builder(e), dtype_of(e, op, 0), attrs->direction,
                                       attrs->order == JM_ORDER_TOTAL, x, y));
}

static void select(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_element pred = operand_at(e, op, 0, index);
  jm_element x = jm_emit_operand(e, op, 1, index), y = jm_emit_operand(e, op, 2, index);
  out[0] = jm_emit_select(e, pred.part[0], x, y);
}

static void clamp(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_kbuilder *b = jm_emit_builder(e);
  jm_dtype dtype = dtype_of(e, op, 1);
  jm_element raised[2] = {operand_at(e, op, 0, index), jm_emit_operand(e, op, 1, index)};
  raised[0] = jm_element_run(b, JM_OP_maximum, dtype, raised);
  raised[1] = operand_at(e, op, 2, index);
  out[0] = jm_element_run(b, JM_OP_minimum, dtype, raised);
}

static void constant(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  const jm_constant_attrs *attrs = op->attrs;
  (void)index;
  out[0] =
      jm_emit_constant(e, jm_op_result_type(jm_emit_module(e), op, 0)->dtype, attrs->value.bytes);
}

static void map(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_element args[JM_EMIT_CARRIES];
  for (uint32_t i = 0; i < op->n_operands - op->n_captures; i++)
    args[i] = jm_emit_operand(e, op, i, index);
  jm_emit_region(e, op, op->first_region, args, out);
}

/* -- conditions and prices */

static bool check_elementwise(const jm_module *m, const jm_op *op) {
  return jm_element_supports(op->code, jm_op_operand_type(m, op, 0)->dtype, NULL);
}

static double price_elementwise(const jm_module *m, const jm_op *op) {
  double flops = 0;
  jm_element_supports(op->code, jm_op_operand_type(m, op, 0)->dtype, &flops);
  return flops;
}

static bool check_reduce_precision(const jm_module *m, const jm_op *op) {
  const jm_reduce_precision_attrs *attrs = op->attrs;
  (void)m;
  return attrs->exponent_bits >= 1 && attrs->mantissa_bits >= 0;
}

static bool check_compare(const jm_module *m, const jm_op *op) {
  const jm_compare_attrs *attrs = op->attrs;
  return !jm_dtype_is_complex(jm_op_operand_type(m, op, 0)->dtype) ||
         attrs->direction == JM_COMPARE_EQ || attrs->direction == JM_COMPARE_NE;
}

static bool check_clamp(const jm_module *m, const jm_op *op) {
  jm_dtype dtype = jm_op_operand_type(m, op, 1)->dtype;
  return jm_element_supports(JM_OP_maximum, dtype, NULL) &&
         jm_element_supports(JM_OP_minimum, dtype, NULL);
}

/* Only splats are emitted: other constants are operands in memory. */
static bool check_constant(const jm_module *m, const jm_op *op) {
  const jm_constant_attrs *attrs = op->attrs;
  return attrs->value.splat || jm_op_result_type(m, op, 0)->count == 1;
}

static bool check_map(const jm_module *m, const jm_op *op) {
  return op->n_operands - op->n_captures <= JM_EMIT_CARRIES && jm_emit_check_region(m, op);
}

static double price_convert(const jm_module *m, const jm_op *op) {
  jm_dtype from = jm_op_operand_type(m, op, 0)->dtype, to = jm_op_result_type(m, op, 0)->dtype;
  double flops = jm_number_is_narrow(to) ? (to == JM_DT_bf16 ? 6 : 12) : 1;
  if ((jm_dtype_is_float(from) || jm_dtype_is_complex(from)) && jm_dtype_is_integer(to)) flops += 6;
  return flops;
}

/* -- the table */

/* Ops that are elementwise are not listed unless they have a rule of their own. */
static const jm_emit_row rows[JM_N_OPS] = {
    /* op                     rule              check              price          flops loops */
    [JM_OP_convert] = {convert, NULL, price_convert, 0, false},
    [JM_OP_reduce_precision] = {reduce_precision, check_reduce_precision, NULL, 12, false},
    [JM_OP_compare] = {compare, check_compare, NULL, 1, false},
    [JM_OP_select] = {select, NULL, NULL, 1, false},
    [JM_OP_clamp] = {clamp, check_clamp, NULL, 4, false},
    [JM_OP_constant] = {constant, check_constant, NULL, 0, false},
    [JM_OP_map] = {map, check_map, jm_emit_price_region, 0, false},
    [JM_OP_bitcast_convert] = {jm_emit_bitcast_convert, jm_emit_check_bitcast_convert, NULL, 1,
                               false},
    [JM_OP_broadcast_in_dim] = {jm_emit_broadcast_in_dim, NULL, NULL, 0, false},
    [JM_OP_concatenate] = {jm_emit_concatenate, NULL, NULL, 3, false},
    [JM_OP_iota] = {jm_emit_iota, NULL, NULL, 1, false},
    [JM_OP_pad] = {jm_emit_pad, NULL, NULL, 3, false},
    [JM_OP_reshape] = {jm_emit_reshape, NULL, NULL, 0.5, false},
    [JM_OP_reverse] = {jm_emit_reverse, NULL, NULL, 0, false},
    [JM_OP_slice] = {jm_emit_slice, NULL, NULL, 0, false},
    [JM_OP_transpose] = {jm_emit_transpose, NULL, NULL, 0, false},
    [JM_OP_dynamic_slice] = {jm_emit_dynamic_slice, NULL, NULL, 2, false},
    [JM_OP_dynamic_update_slice] = {jm_emit_dynamic_update_slice, NULL, NULL, 4, false},
    [JM_OP_gather] = {jm_emit_gather, NULL, NULL, 8, false},
    [JM_OP_scatter] = {jm_emit_scatter, jm_emit_check_scatter, NULL, 10, false},
    [JM_OP_threefry2x32] = {jm_emit_threefry2x32, NULL, NULL, 110, false},
    [JM_OP_reduce] = {jm_emit_reduce, jm_emit_check_reduce, jm_emit_price_reduce, 0, true},
    [JM_OP_reduce_window] = {jm_emit_reduce_window, jm_emit_check_reduce,
                             jm_emit_price_reduce_window, 0, true},
    [JM_OP_dot_general] = {jm_emit_dot_general, jm_emit_check_dot_general,
                           jm_emit_price_dot_general, 0, true},
};

static const jm_emit_row elementwise_row = {elementwise, check_elementwise, price_elementwise, 0,
                                            false};

const jm_emit_row *jm_emit_row_find(jm_opcode code) {
  if (rows[code].rule) return &rows[code];
  const bool is_elementwise = jm_op_facts[code].traits & JM_TRAIT_ELEMENTWISE;
  return is_elementwise && jm_element_has(code) ? &elementwise_row : NULL;
}
