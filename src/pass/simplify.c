/* SPDX-License-Identifier: Apache-2.0
 * Removes ops without effect, and merges pairs of ops into one. Floating-point results keep every
 * bit: x + 0 is not x (-0 + 0 is +0), but x + -0 is. optimization_barrier has no rule here, so that
 * nothing looks through it. */
#include <string.h>

#include "pass/rewrite.h"

/* A replacement of the op's single result; JM_NONE: none is known. A rule may also change the
 * op in place (and say so in rw->changed). */
typedef jm_error *rule(jm_rewrite *rw, jm_op *op, jm_value *out);

static const jm_type *type_of(const jm_rewrite *rw, jm_value v) {
  return jm_module_typeof(rw->m, v);
}

static bool same_type(const jm_rewrite *rw, const jm_op *op) {
  return type_of(rw, op->operands[0]) == jm_op_result_type(rw->m, op, 0);
}

/* The op of this code that defines operand 0. */
static const jm_op *inner_op(const jm_rewrite *rw, const jm_op *op, jm_opcode code) {
  const jm_op *inner = jm_module_definition(rw->m, op->operands[0]);
  return inner && inner->code == code ? inner : NULL;
}

static void look_through(jm_rewrite *rw, jm_op *op, const jm_op *inner) {
  op->operands[0] = inner->operands[0];
  rw->changed = true;
}

static bool counts_up(jm_i64s list) {
  for (uint32_t i = 0; i < list.n; i++)
    if (list.data[i] != i) return false;
  return true;
}

static bool all_zero(jm_i64s list) {
  for (uint32_t i = 0; i < list.n; i++)
    if (list.data[i]) return false;
  return true;
}

/* composed[i] = outer[inner[i]] */
static jm_error *compose(jm_rewrite *rw, jm_i64s outer, jm_i64s inner, jm_i64s *out) {
  int64_t *data = jm_arena_alloc(&rw->m->arena, inner.n, sizeof *data);
  if (!data) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < inner.n; i++) data[i] = outer.data[inner.data[i]];
  *out = (jm_i64s){data, inner.n};
  return NULL;
}

/* -- data movement */

/* A slice of everything has the operand's type, and only that; a dynamic one starts at 0. */
static jm_error *identity_by_type(jm_rewrite *rw, jm_op *op, jm_value *out) {
  if (same_type(rw, op)) *out = op->operands[0];
  return NULL;
}

static jm_error *reshape(jm_rewrite *rw, jm_op *op, jm_value *out) {
  const jm_op *inner = inner_op(rw, op, JM_OP_reshape);
  if (inner) look_through(rw, op, inner);
  return identity_by_type(rw, op, out);
}

static jm_error *transpose(jm_rewrite *rw, jm_op *op, jm_value *out) {
  const jm_transpose_attrs *a = op->attrs;
  const jm_op *inner = inner_op(rw, op, JM_OP_transpose);
  if (inner) {
    jm_transpose_attrs *merged = jm_arena_alloc(&rw->m->arena, 1, sizeof *merged);
    if (!merged) return jm_error_out_of_memory();
    const jm_transpose_attrs *b = inner->attrs;
    JM_TRY(compose(rw, b->permutation, a->permutation, &merged->permutation));
    op->attrs = merged;
    a = merged;
    look_through(rw, op, inner);
  }
  if (counts_up(a->permutation)) *out = op->operands[0];
  return NULL;
}

static jm_error *broadcast_in_dim(jm_rewrite *rw, jm_op *op, jm_value *out) {
  const jm_broadcast_in_dim_attrs *a = op->attrs;
  const jm_op *inner = inner_op(rw, op, JM_OP_broadcast_in_dim);
  if (inner) {
    jm_broadcast_in_dim_attrs *merged = jm_arena_alloc(&rw->m->arena, 1, sizeof *merged);
    if (!merged) return jm_error_out_of_memory();
    const jm_broadcast_in_dim_attrs *b = inner->attrs;
    JM_TRY(compose(rw, a->dims, b->dims, &merged->dims));
    op->attrs = merged;
    a = merged;
    look_through(rw, op, inner);
  }
  if (same_type(rw, op) && counts_up(a->dims)) *out = op->operands[0];
  return NULL;
}

static jm_error *pad(jm_rewrite *rw, jm_op *op, jm_value *out) {
  const jm_pad_attrs *a = op->attrs; /* a shift: low and high may cancel in the type */
  if (same_type(rw, op) && all_zero(a->low) && all_zero(a->high)) *out = op->operands[0];
  return NULL;
}

static jm_error *reverse(jm_rewrite *rw, jm_op *op, jm_value *out) {
  const jm_reverse_attrs *a = op->attrs;
  for (uint32_t i = 0; i < a->dims.n; i++)
    if (type_of(rw, op->operands[0])->dims[a->dims.data[i]] > 1) return NULL;
  *out = op->operands[0];
  return NULL;
}

/* Empty operands add nothing. */
static jm_error *concatenate(jm_rewrite *rw, jm_op *op, jm_value *out) {
  const jm_concatenate_attrs *a = op->attrs;
  uint32_t n = 0;
  for (uint32_t i = 0; i < op->n_operands; i++)
    if (type_of(rw, op->operands[i])->dims[a->dim] || (!n && i + 1 == op->n_operands))
      op->operands[n++] = op->operands[i];
  if (n != op->n_operands) rw->changed = true;
  op->n_operands = n;
  return identity_by_type(rw, op, out);
}

static jm_error *dynamic_update_slice(jm_rewrite *rw, jm_op *op, jm_value *out) {
  if (type_of(rw, op->operands[1]) == type_of(rw, op->operands[0])) *out = op->operands[1];
  return NULL;
}

/* -- elementwise */

/* Whether every value of `from` is one of `to`, so that converting there and back changes none. */
static bool widens(jm_dtype from, jm_dtype to) {
  if (jm_dtype_facts[from].bits >= jm_dtype_facts[to].bits) return false;
  if (jm_dtype_is_integer(from)) return jm_dtype_classof(from) == jm_dtype_classof(to);
  bool half = from == JM_DT_f16 || from == JM_DT_bf16;
  return (to == JM_DT_f32 && half) || (to == JM_DT_f64 && (half || from == JM_DT_f32));
}

static jm_error *convert(jm_rewrite *rw, jm_op *op, jm_value *out) {
  const jm_op *inner = inner_op(rw, op, JM_OP_convert);
  if (inner) {
    const jm_type *source = type_of(rw, inner->operands[0]);
    if (source == jm_op_result_type(rw->m, op, 0) &&
        widens(source->dtype, type_of(rw, op->operands[0])->dtype))
      look_through(rw, op, inner);
  }
  return identity_by_type(rw, op, out);
}

/* not(not(x)), negate(negate(x)) */
static jm_error *involution(jm_rewrite *rw, jm_op *op, jm_value *out) {
  const jm_op *inner = inner_op(rw, op, op->code);
  if (inner) *out = inner->operands[0];
  return NULL;
}

static jm_error *real(jm_rewrite *rw, jm_op *op, jm_value *out) {
  const jm_op *inner = inner_op(rw, op, JM_OP_complex);
  if (inner) *out = inner->operands[op->code == JM_OP_imag];
  return op->code == JM_OP_real ? identity_by_type(rw, op, out) : NULL;
}

static jm_error *select_(jm_rewrite *rw, jm_op *op, jm_value *out) {
  const jm_constant_attrs *pred = jm_rewrite_constant(rw->m, op->operands[0]);
  bool one = pred && (pred->value.splat || type_of(rw, op->operands[0])->count == 1);
  if (op->operands[1] == op->operands[2])
    *out = op->operands[1];
  else if (one)
    *out = op->operands[*(const uint8_t *)pred->value.bytes ? 1 : 2];
  return NULL;
}

/* x <op> e is x for every x. Results must be equal bit for bit: signed zeros count. */
typedef struct neutral {
  jm_opcode code;
  bool of_float;
  double element; /* -1: all bits set */
  bool right_only;
} neutral;

static const neutral neutrals[] = {
    {JM_OP_add, false, 0, false},
    {JM_OP_subtract, false, 0, true},
    {JM_OP_multiply, false, 1, false},
    {JM_OP_divide, false, 1, true},
    {JM_OP_or, false, 0, false},
    {JM_OP_xor, false, 0, false},
    {JM_OP_and, false, -1, false},
    {JM_OP_shift_left, false, 0, true},
    {JM_OP_shift_right_logical, false, 0, true},
    {JM_OP_shift_right_arithmetic, false, 0, true},
    {JM_OP_add, true, -0.0, false},
    {JM_OP_subtract, true, 0.0, true},
    {JM_OP_multiply, true, 1, false},
    {JM_OP_divide, true, 1, true},
};

/* Whether the value is a constant with this element everywhere. Narrow floats are not recognised.
 */
static bool is_everywhere(const jm_rewrite *rw, jm_value v, const neutral *n) {
  const jm_constant_attrs *constant = jm_rewrite_constant(rw->m, v);
  const jm_type *type = type_of(rw, v);
  if (!constant || !(constant->value.splat || type->count == 1)) return false;
  const void *bytes = constant->value.bytes;
  size_t size = jm_dtype_bytes(type->dtype);
  if (n->of_float) {
    const float single = (float)n->element;
    if (type->dtype == JM_DT_f32) return !memcmp(bytes, &single, sizeof single);
    return type->dtype == JM_DT_f64 && !memcmp(bytes, &n->element, sizeof n->element);
  }
  if (type->dtype == JM_DT_pred) /* or, and; add is or, multiply is and */
    return *(const uint8_t *)bytes == (n->element != 0);
  if (!jm_dtype_is_integer(type->dtype) || jm_dtype_facts[type->dtype].bits < 8) return false;
  int64_t wanted = (int64_t)n->element;
  char expected[8];
  for (size_t i = 0; i < size; i++) /* its lowest byte, then bytes of zeros or of ones */
    expected[i] = wanted < 0 ? (char)0xff : 0;
  const int8_t b1 = (int8_t)wanted;
  const int16_t b2 = (int16_t)wanted;
  const int32_t b4 = (int32_t)wanted;
  memcpy(expected,
         size == 1   ? (const void *)&b1
         : size == 2 ? (const void *)&b2
         : size == 4 ? (const void *)&b4
                     : (const void *)&wanted,
         size);
  return !memcmp(bytes, expected, size);
}

static jm_error *neutral_element(jm_rewrite *rw, jm_op *op, jm_value *out) {
  bool of_float = jm_dtype_is_float(type_of(rw, op->operands[0])->dtype);
  for (size_t i = 0; i < sizeof neutrals / sizeof *neutrals; i++) {
    const neutral *n = &neutrals[i];
    if (n->code != op->code || n->of_float != of_float) continue;
    if (is_everywhere(rw, op->operands[1], n))
      *out = op->operands[0];
    else if (!n->right_only && is_everywhere(rw, op->operands[0], n))
      *out = op->operands[1];
  }
  return NULL;
}

/* -- control: a branch with a constant index is inlined */

static jm_error *take_branch(jm_rewrite *rw, jm_region_id region, const jm_op *op) {
  jm_module *m = rw->m;
  const jm_constant_attrs *index = jm_rewrite_constant(m, op->operands[0]);
  if (!index) return NULL;
  const uint32_t branch = jm_case_branch(
      (jm_tensor){type_of(rw, op->operands[0]), (void *)index->value.bytes}, op->n_regions);
  const jm_op taken = *op; /* building moves the ops */
  jm_region_id from = taken.first_region + branch;
  jm_value *map = jm_alloc(m->n_values, sizeof *map);
  if (!map) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < taken.n_captures; i++)
    map[jm_module_region(m, from)->first_arg + i] = taken.operands[1 + i];
  jm_error *error = jm_build_clone(m, from, region, map);
  const jm_region *cloned = jm_module_region(m, from);
  for (uint32_t i = 0; !error && i < taken.n_results; i++)
    jm_rewrite_replace(rw, taken.first_result + i, map[cloned->results[i]]);
  rw->drop = true;
  jm_free(map);
  return error;
}

static rule *const rules[JM_N_OPS] = {
    [JM_OP_reshape] = reshape,
    [JM_OP_transpose] = transpose,
    [JM_OP_broadcast_in_dim] = broadcast_in_dim,
    [JM_OP_bitcast_convert] = identity_by_type,
    [JM_OP_slice] = identity_by_type,
    [JM_OP_dynamic_slice] = identity_by_type,
    [JM_OP_dynamic_update_slice] = dynamic_update_slice,
    [JM_OP_pad] = pad,
    [JM_OP_reverse] = reverse,
    [JM_OP_concatenate] = concatenate,
    [JM_OP_convert] = convert,
    [JM_OP_not] = involution,
    [JM_OP_negate] = involution,
    [JM_OP_real] = real,
    [JM_OP_imag] = real,
    [JM_OP_select] = select_,
    [JM_OP_add] = neutral_element,
    [JM_OP_subtract] = neutral_element,
    [JM_OP_multiply] = neutral_element,
    [JM_OP_divide] = neutral_element,
    [JM_OP_or] = neutral_element,
    [JM_OP_xor] = neutral_element,
    [JM_OP_and] = neutral_element,
    [JM_OP_shift_left] = neutral_element,
    [JM_OP_shift_right_logical] = neutral_element,
    [JM_OP_shift_right_arithmetic] = neutral_element,
};

static jm_error *visit(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  jm_op *op = jm_module_op(rw->m, id);
  if (op->code == JM_OP_case) return take_branch(rw, region, op);
  if (!rules[op->code]) return NULL;
  jm_value with = JM_NONE;
  JM_TRY(rules[op->code](rw, op, &with));
  if (with == JM_NONE) return NULL;
  jm_rewrite_replace(rw, op->first_result, with);
  rw->drop = true;
  return NULL;
}

jm_error *jm_pass_simplify(jm_module *m, const jm_pass_options *options, bool *changed) {
  return jm_rewrite_run(m, options, visit, NULL, changed);
}
