/* SPDX-License-Identifier: Apache-2.0
 * Products of f32 and c64 with precision HIGH or HIGHEST, for a library that rounds operands to
 * TF32 (8 bits of exponent, 11 significant bits). Operands are split into pieces that TF32 holds
 * exactly, and the products of pieces, which are exact too, are summed in f32, small ones first
 * (the splitting of Dekker, "A floating-point technique for extending the available precision",
 * 1971):
 *
 *   %y = dot_general %a, %b lhs_precision=HIGH
 * becomes
 *   %ah = the upper bits of %a;  %am = %a - %ah;  likewise %bh, %bm
 *   %y = (dot_general %ah, %bm) + (dot_general %am, %bh) + (dot_general %ah, %bh)
 *
 * HIGH takes two pieces an operand and three products: an error of about 2^-21 of each product.
 * HIGHEST takes three pieces, which hold all 24 bits, and the six products that are not below the
 * rounding of f32. Where an operand is not finite, its further pieces and its share of the mixed
 * products are zero, so that infinities and NaN are those of the plain product. */
#include "pass/rewrite.h"

enum {
  MOST_PIECES = 3,
  DROPPED_BITS = 13, /* of f32's 24 significant bits, TF32 has 11 */
};

typedef struct builder {
  jm_rewrite *rw;
  jm_region_id region;
  uint32_t loc;
} builder;

/* An operand as a sum of pieces; finite: its first piece, with 0 where it is not finite. */
typedef struct pieces {
  jm_value of[MOST_PIECES], finite;
} pieces;

static jm_error *build_op(const builder *b, jm_opcode code, const jm_value *operands, uint32_t n,
                          const jm_type *type, const void *attrs, jm_value *out) {
  return jm_build_one(b->rw->m, b->region, code, operands, n, attrs, type, b->loc, out);
}

static jm_error *retype(const builder *b, const jm_type *type, jm_dtype dtype,
                        const jm_type **out) {
  return jm_module_type(b->rw->m, dtype, type->rank, type->dims, out);
}

/* -- f32 */

/* x without the bits that TF32 drops; x itself where it is not finite. */
static jm_error *build_upper(const builder *b, jm_value x, jm_value is_finite, jm_value *out) {
  const jm_type *type = jm_module_typeof(b->rw->m, x), *word;
  const uint32_t mask = UINT32_MAX << DROPPED_BITS;
  jm_value bits[2];
  JM_TRY(retype(b, type, JM_DT_u32, &word));
  JM_TRY(build_op(b, JM_OP_bitcast_convert, &x, 1, word, NULL, &bits[0]));
  JM_TRY(jm_build_splat(b->rw->m, b->region, word, &mask, b->loc, &bits[1]));
  JM_TRY(build_op(b, JM_OP_and, bits, 2, word, NULL, out));
  JM_TRY(build_op(b, JM_OP_bitcast_convert, out, 1, type, NULL, out));
  const jm_value choice[] = {is_finite, *out, x};
  return build_op(b, JM_OP_select, choice, 3, type, NULL, out);
}

static jm_error *build_where(const builder *b, jm_value is_finite, jm_value x, jm_value *out) {
  const jm_type *type = jm_module_typeof(b->rw->m, x);
  static const uint8_t zero[16];
  jm_value choice[] = {is_finite, x, 0};
  JM_TRY(jm_build_splat(b->rw->m, b->region, type, zero, b->loc, &choice[2]));
  return build_op(b, JM_OP_select, choice, 3, type, NULL, out);
}

/* x - piece, 0 where x is not finite. */
static jm_error *build_rest(const builder *b, jm_value x, jm_value piece, jm_value is_finite,
                            jm_value *out) {
  const jm_value terms[] = {x, piece};
  const jm_type *type = jm_module_typeof(b->rw->m, x);
  JM_TRY(build_op(b, JM_OP_subtract, terms, 2, type, NULL, out));
  return build_where(b, is_finite, *out, out);
}

static jm_error *split_real(const builder *b, jm_value x, uint32_t n, pieces *out) {
  const jm_type *pred;
  jm_value is_finite;
  JM_TRY(retype(b, jm_module_typeof(b->rw->m, x), JM_DT_pred, &pred));
  JM_TRY(build_op(b, JM_OP_is_finite, &x, 1, pred, NULL, &is_finite));
  JM_TRY(build_upper(b, x, is_finite, &out->of[0]));
  JM_TRY(build_where(b, is_finite, out->of[0], &out->finite));
  jm_value rest = x;
  for (uint32_t i = 1; i < n; i++) {
    JM_TRY(build_rest(b, rest, out->of[i - 1], is_finite, &rest));
    out->of[i] = rest; /* the last piece takes the remainder */
    if (i + 1 < n) JM_TRY(build_upper(b, rest, is_finite, &out->of[i]));
  }
  return NULL;
}

/* -- c64: both parts */

static jm_error *join(const builder *b, jm_value re, jm_value im, const jm_type *type,
                      jm_value *out) {
  const jm_value parts[] = {re, im};
  return build_op(b, JM_OP_complex, parts, 2, type, NULL, out);
}

static jm_error *split(const builder *b, jm_value x, uint32_t n, pieces *out) {
  const jm_type *type = jm_module_typeof(b->rw->m, x), *part;
  if (type->dtype == JM_DT_f32) return split_real(b, x, n, out);
  jm_value re, im;
  pieces of_re, of_im;
  JM_TRY(retype(b, type, JM_DT_f32, &part));
  JM_TRY(build_op(b, JM_OP_real, &x, 1, part, NULL, &re));
  JM_TRY(build_op(b, JM_OP_imag, &x, 1, part, NULL, &im));
  JM_TRY(split_real(b, re, n, &of_re));
  JM_TRY(split_real(b, im, n, &of_im));
  for (uint32_t i = 0; i < n; i++) JM_TRY(join(b, of_re.of[i], of_im.of[i], type, &out->of[i]));
  return join(b, of_re.finite, of_im.finite, type, &out->finite);
}

/* -- the product */

/* The op applied to other operands, with precision DEFAULT. */
static jm_error *build_product(const builder *b, const jm_op *op, jm_value lhs, jm_value rhs,
                               const jm_type *type, jm_value *out) {
  const jm_value operands[] = {lhs, rhs};
  if (op->code == JM_OP_dot_general) {
    jm_dot_general_attrs attrs = *(const jm_dot_general_attrs *)op->attrs;
    attrs.lhs_precision = attrs.rhs_precision = JM_PRECISION_DEFAULT;
    return build_op(b, op->code, operands, 2, type, &attrs, out);
  }
  jm_convolution_attrs attrs = *(const jm_convolution_attrs *)op->attrs;
  attrs.lhs_precision = attrs.rhs_precision = JM_PRECISION_DEFAULT;
  return build_op(b, op->code, operands, 2, type, &attrs, out);
}

static jm_error *build_sum(const builder *b, const jm_op *op, const pieces *lhs, const pieces *rhs,
                           uint32_t n, jm_value *out) {
  const jm_type *type = jm_op_result_type(b->rw->m, op, 0);
  jm_value sum = JM_NONE, product;
  for (uint32_t order = n; order--;) /* pieces i and order - i: smaller ones first */
    for (uint32_t i = 0; i <= order; i++) {
      const uint32_t k = order - i;
      const jm_value x = order && !i ? lhs->finite : lhs->of[i];
      const jm_value y = order && !k ? rhs->finite : rhs->of[k];
      JM_TRY(build_product(b, op, x, y, type, &product));
      const jm_value terms[] = {sum, product};
      if (sum == JM_NONE)
        sum = product;
      else
        JM_TRY(build_op(b, JM_OP_add, terms, 2, type, NULL, &sum));
    }
  *out = sum;
  return NULL;
}

/* The higher one of both operands'. */
static jm_precision precision_of(const jm_op *op) {
  jm_precision lhs, rhs;
  if (op->code == JM_OP_dot_general) {
    const jm_dot_general_attrs *a = op->attrs;
    lhs = a->lhs_precision, rhs = a->rhs_precision;
  } else {
    const jm_convolution_attrs *a = op->attrs;
    lhs = a->lhs_precision, rhs = a->rhs_precision;
  }
  return lhs > rhs ? lhs : rhs;
}

static bool is_rounded(const jm_module *m, const jm_op *op) {
  if (op->code != JM_OP_dot_general && op->code != JM_OP_convolution) return false;
  const jm_dtype lhs = jm_op_operand_type(m, op, 0)->dtype;
  const jm_dtype rhs = jm_op_operand_type(m, op, 1)->dtype;
  const jm_dtype to = jm_op_result_type(m, op, 0)->dtype;
  return lhs == rhs && lhs == to && (to == JM_DT_f32 || to == JM_DT_c64) &&
         jm_op_result_type(m, op, 0)->count && precision_of(op) != JM_PRECISION_DEFAULT;
}

static jm_error *visit(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  const jm_op op = *jm_module_op(rw->m, id);
  if (!is_rounded(rw->m, &op)) return NULL;
  const builder b = {rw, region, op.loc};
  const uint32_t n = precision_of(&op) == JM_PRECISION_HIGH ? 2 : MOST_PIECES;
  pieces lhs, rhs;
  jm_value out;
  JM_TRY(split(&b, op.operands[0], n, &lhs));
  if (op.operands[1] == op.operands[0])
    rhs = lhs;
  else
    JM_TRY(split(&b, op.operands[1], n, &rhs));
  JM_TRY(build_sum(&b, &op, &lhs, &rhs, n, &out));
  jm_rewrite_replace(rw, op.first_result, out);
  rw->drop = true;
  return NULL;
}

jm_error *jm_pass_precision(jm_module *m, const jm_pass_options *options, bool *changed) {
  return jm_rewrite_run(m, options, visit, NULL, changed);
}
