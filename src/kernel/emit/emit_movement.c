/* SPDX-License-Identifier: Apache-2.0
 * Data movement by index maps that do not depend on data: every rule pulls its operand at the
 * position that the element comes from. A position that may be out of bounds is clamped, so that
 * the load is safe, and the element is selected. */
#include "kernel/emit/emit_rules.h"

void jm_emit_broadcast_in_dim(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_kbuilder *const b = jm_emit_builder(e);
  const jm_module *const m = jm_emit_module(e);
  const jm_ktype it = JM_KT_i64;
  const jm_broadcast_in_dim_attrs *attrs = op->attrs;
  const jm_type *from = jm_op_operand_type(m, op, 0);
  jm_kval at[JM_EMIT_RANK];
  for (uint32_t d = 0; d < from->rank; d++)
    at[d] = from->dims[d] == 1 ? jm_k_int(b, it, 0) : index[attrs->dims.data[d]];
  out[0] = jm_emit_operand(e, op, 0, at);
}

void jm_emit_transpose(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  const jm_transpose_attrs *attrs = op->attrs;
  jm_kval at[JM_EMIT_RANK];
  for (uint32_t d = 0; d < attrs->permutation.n; d++) at[attrs->permutation.data[d]] = index[d];
  out[0] = jm_emit_operand(e, op, 0, at);
}

void jm_emit_slice(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_kbuilder *const b = jm_emit_builder(e);
  const jm_module *const m = jm_emit_module(e);
  const jm_ktype it = JM_KT_i64;
  const jm_slice_attrs *attrs = op->attrs;
  const jm_type *to = jm_op_result_type(m, op, 0);
  jm_kval at[JM_EMIT_RANK];
  for (uint32_t d = 0; d < to->rank; d++) {
    int64_t stride = to->dims[d] > 1 ? attrs->stride.data[d] : 1; /* an unused stride may be huge */
    at[d] = jm_k_iadd(b, jm_k_imul(b, index[d], jm_k_int(b, it, stride)),
                      jm_k_int(b, it, attrs->start.data[d]));
  }
  out[0] = jm_emit_operand(e, op, 0, at);
}

void jm_emit_reverse(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_kbuilder *const b = jm_emit_builder(e);
  const jm_module *const m = jm_emit_module(e);
  const jm_ktype it = JM_KT_i64;
  const jm_reverse_attrs *attrs = op->attrs;
  const jm_type *type = jm_op_result_type(m, op, 0);
  jm_kval at[JM_EMIT_RANK];
  for (uint32_t d = 0; d < type->rank; d++) at[d] = index[d];
  for (uint32_t i = 0; i < attrs->dims.n; i++) {
    int64_t d = attrs->dims.data[i];
    at[d] = jm_k_isub(b, jm_k_int(b, it, type->dims[d] - 1), index[d]);
  }
  out[0] = jm_emit_operand(e, op, 0, at);
}

/* The number that convert makes of an s64, by way of s32 where that holds it: shorter on most
 * machines. */
void jm_emit_iota(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_kbuilder *const b = jm_emit_builder(e);
  const jm_module *const m = jm_emit_module(e);
  const jm_iota_attrs *attrs = op->attrs;
  const jm_type *type = jm_op_result_type(m, op, 0);
  jm_kval i = index[attrs->dim];
  bool is_short = type->dims[attrs->dim] <= INT32_MAX;
  if (is_short) i = jm_k_itrunc(b, JM_KT_i32, i);
  out[0] = jm_element_convert(b, is_short ? JM_DT_s32 : JM_DT_s64, type->dtype, jm_element_of(i));
}

jm_kval jm_emit_place(jm_kbuilder *b, jm_kval *at, int64_t n, int64_t step) {
  const jm_ktype it = JM_KT_i64;
  const int64_t last = (n - 1) * step;
  jm_kval inside = jm_k_ule(b, *at, jm_k_int(b, it, last));
  *at = jm_k_smin(b, jm_k_smax(b, *at, jm_k_int(b, it, 0)), jm_k_int(b, it, last));
  if (step == 1) return inside;
  inside = jm_k_and(b, inside,
                    jm_k_ieq(b, jm_k_urem(b, *at, jm_k_int(b, it, step)), jm_k_int(b, it, 0)));
  *at = jm_k_udiv(b, *at, jm_k_int(b, it, step));
  return inside;
}

void jm_emit_pad(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_kbuilder *const b = jm_emit_builder(e);
  const jm_module *const m = jm_emit_module(e);
  const jm_ktype it = JM_KT_i64;
  const jm_pad_attrs *attrs = op->attrs;
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  jm_kval at[JM_EMIT_RANK], inside = jm_kbuild_int(b, JM_KT_i1, 1);
  jm_element fill = jm_emit_operand(e, op, 1, NULL);
  out[0] = fill;
  if (!from->count) return;
  for (uint32_t d = 0; d < to->rank; d++) {
    int64_t n = from->dims[d], low = attrs->low.data[d];
    int64_t step = n > 1 ? attrs->interior.data[d] + 1 : 1;    /* an unused interior may be huge */
    if (low >= to->dims[d] || low < -((n - 1) * step)) return; /* all of it is cropped */
    at[d] = jm_k_isub(b, index[d], jm_k_int(b, it, low));
    inside = jm_k_and(b, inside, jm_emit_place(b, &at[d], n, step));
  }
  out[0] = jm_emit_select(e, inside, jm_emit_operand(e, op, 0, at), fill);
}

void jm_emit_concatenate(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_kbuilder *const b = jm_emit_builder(e);
  const jm_module *const m = jm_emit_module(e);
  const jm_ktype it = JM_KT_i64;
  const jm_concatenate_attrs *attrs = op->attrs;
  const jm_type *to = jm_op_result_type(m, op, 0);
  jm_kval at[JM_EMIT_RANK], i = index[attrs->dim];
  for (uint32_t d = 0; d < to->rank; d++) at[d] = index[d];
  int64_t end = to->dims[attrs->dim];
  bool found = false;
  for (uint32_t k = op->n_operands; k--;) { /* from the last on: each is chosen before the rest */
    int64_t n = jm_op_operand_type(m, op, k)->dims[attrs->dim], start = end - n;
    if (!n) continue;
    jm_kval own =
        jm_k_smin(b, jm_k_smax(b, jm_k_isub(b, i, jm_k_int(b, it, start)), jm_k_int(b, it, 0)),
                  jm_k_int(b, it, n - 1));
    at[attrs->dim] = own;
    jm_element x = jm_emit_operand(e, op, k, at);
    out[0] = found ? jm_emit_select(e, jm_k_slt(b, i, jm_k_int(b, it, end)), x, out[0]) : x;
    found = true;
    end = start;
  }
}

/* -- bitcast_convert: the bits of a wider type are those of several of the narrower, the least
 * significant first */

static int width_of(jm_dtype dtype) { return dtype == JM_DT_pred ? 8 : jm_dtype_facts[dtype].bits; }

bool jm_emit_check_bitcast_convert(const jm_module *m, const jm_op *op) {
  jm_dtype from = jm_op_operand_type(m, op, 0)->dtype, to = jm_op_result_type(m, op, 0)->dtype;
  return from == to || (!jm_dtype_is_complex(from) && !jm_dtype_is_complex(to));
}

/* Like jm_element_pack, without the sign extension within a byte. */
static jm_kval bits_of(jm_kbuilder *b, jm_dtype dtype, jm_kval x) {
  const jm_ktype it = JM_KT_i8;
  jm_kval bits = jm_element_pack(b, dtype, x);
  return width_of(dtype) < 8 ? jm_k_and(b, bits, jm_k_int(b, it, (1 << width_of(dtype)) - 1))
                             : bits;
}

static jm_kval resize(jm_kbuilder *b, jm_kval bits, jm_ktype want) {
  jm_ktype have = jm_kbuild_type(b, bits);
  if (jm_ktype_bits[have] == jm_ktype_bits[want]) return bits;
  return jm_kbuild_cast(b, jm_ktype_bits[have] < jm_ktype_bits[want] ? JM_K_zext : JM_K_itrunc,
                        want, bits);
}

static jm_ktype word_of(int bits) {
  return bits <= 8 ? JM_KT_i8 : bits == 16 ? JM_KT_i16 : bits == 32 ? JM_KT_i32 : JM_KT_i64;
}

void jm_emit_bitcast_convert(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  jm_kbuilder *const b = jm_emit_builder(e);
  const jm_module *const m = jm_emit_module(e);
  const jm_ktype it = JM_KT_i64;
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  const int have = width_of(from->dtype), want = width_of(to->dtype);
  if (from->dtype == to->dtype) {
    out[0] = jm_emit_operand(e, op, 0, index);
    return;
  }
  jm_kval bits;
  if (have >= want) {
    bits = bits_of(b, from->dtype, jm_emit_operand(e, op, 0, index).part[0]);
    if (have > want) {
      jm_ktype type = jm_kbuild_type(b, bits);
      jm_kval at = resize(b, jm_k_imul(b, index[from->rank], jm_k_int(b, it, want)), type);
      bits = jm_k_lshr(b, bits, at);
    }
    bits = resize(b, bits, word_of(want));
  } else {
    const jm_ktype word = word_of(want);
    jm_kval at[JM_EMIT_RANK];
    for (uint32_t d = 0; d < to->rank; d++) at[d] = index[d];
    bits = jm_kbuild_int(b, word, 0);
    for (int i = 0; i < want / have; i++) {
      at[to->rank] = jm_k_int(b, it, i);
      jm_kval x = bits_of(b, from->dtype, jm_emit_operand(e, op, 0, at).part[0]);
      bits = jm_k_or(b, bits,
                     jm_k_shl(b, resize(b, x, word), jm_kbuild_int(b, word, (int64_t)i * have)));
    }
  }
  out[0] = jm_element_of(jm_element_unpack(b, to->dtype, bits));
}
