/* SPDX-License-Identifier: Apache-2.0
 * batch_norm_* as the formulas of the StableHLO specification. */
#include <inttypes.h>
#include <string.h>

#include "stablehlo/reader.h"

/* Intermediate values, each of the operand's type unless noted. */
typedef struct norm {
  jm_vhlo *v;
  const jm_wire_op *op;
  uint32_t loc;
  const jm_type *type;
  int64_t feature;
  jm_i64s others; /* the dimensions besides the feature's */
  float epsilon;
  int64_t per_feature; /* number of elements */
} norm;

static jm_error *begin(norm *n, jm_vhlo *v, const jm_wire_op *op, uint32_t operands,
                       uint32_t results) {
  const jm_wire_attr *epsilon;
  jm_value operand = JM_NONE;
  int64_t *dims = NULL;
  *n = (norm){.v = v, .op = op, .loc = jm_vhlo_location(v, op), .per_feature = 1};
  JM_TRY(jm_vhlo_arity(op, operands, results, 0));
  JM_TRY(jm_vhlo_i64(v, op, "feature_index", &n->feature));
  JM_TRY(jm_vhlo_find(v, op, "epsilon", &epsilon));
  if (!epsilon || epsilon->kind != JM_WIRE_FLOAT)
    return jm_error_invalid("attribute epsilon is not a float");
  uint32_t bits = (uint32_t)epsilon->ints[0]; /* an f32 by definition of the op */
  memcpy(&n->epsilon, &bits, sizeof bits);
  JM_TRY(jm_vhlo_operand(v, op, 0, &operand));
  n->type = jm_vhlo_typeof(v, operand);
  if (n->feature < 0 || n->feature >= n->type->rank)
    return jm_error_invalid("there is no dimension %" PRId64, n->feature);
  JM_TRY(jm_vhlo_make_list(v, n->type->rank, &dims));
  for (uint32_t d = 0; d < n->type->rank; d++)
    if (d != n->feature) dims[n->others.n++] = d;
  n->others.data = dims;
  if (n->type->dims[n->feature]) n->per_feature = n->type->count / n->type->dims[n->feature];
  return NULL;
}

static jm_error *spread(norm *n, jm_value feature, jm_value *out) {
  return jm_build_broadcast(n->v->m, n->v->region, feature, &n->feature, 1, n->type, n->loc, out);
}

static jm_error *operand(norm *n, uint32_t i, bool per_feature, jm_value *out) {
  jm_value value = JM_NONE;
  JM_TRY(jm_vhlo_operand(n->v, n->op, i, &value));
  *out = value;
  return per_feature ? spread(n, value, out) : NULL;
}

static jm_error *number(norm *n, float value, const jm_type *type, jm_value *out) {
  const jm_type *f32 = NULL;
  JM_TRY(jm_module_type(n->v->m, JM_DT_f32, type->rank, type->dims, &f32));
  JM_TRY(jm_build_splat(n->v->m, n->v->region, f32, &value, n->loc, out));
  if (f32 == type) return NULL;
  return jm_build_unary(n->v->m, n->v->region, JM_OP_convert, *out, type, n->loc, out);
}

static jm_error *apply(norm *n, jm_opcode code, jm_value a, jm_value b, jm_value *out) {
  return jm_build_binary(n->v->m, n->v->region, code, a, b, jm_vhlo_typeof(n->v, a), n->loc, out);
}

/* centered = operand - mean, shifted = variance + epsilon, deviation = sqrt(shifted) */
typedef struct parts {
  jm_value centered, shifted, deviation, normalized;
} parts;

static jm_error *normalize(norm *n, jm_value mean, jm_value variance, parts *p) {
  jm_value x = JM_NONE, epsilon = JM_NONE;
  JM_TRY(operand(n, 0, false, &x));
  JM_TRY(number(n, n->epsilon, n->type, &epsilon));
  JM_TRY(apply(n, JM_OP_subtract, x, mean, &p->centered));
  JM_TRY(apply(n, JM_OP_add, variance, epsilon, &p->shifted));
  JM_TRY(jm_build_unary(n->v->m, n->v->region, JM_OP_sqrt, p->shifted, n->type, n->loc,
                        &p->deviation));
  return apply(n, JM_OP_divide, p->centered, p->deviation, &p->normalized);
}

static jm_error *scale_and_shift(norm *n, jm_value normalized, jm_value *out) {
  jm_value scale = JM_NONE, offset = JM_NONE;
  JM_TRY(operand(n, 1, true, &scale));
  JM_TRY(operand(n, 2, true, &offset));
  JM_TRY(apply(n, JM_OP_multiply, normalized, scale, out));
  return apply(n, JM_OP_add, *out, offset, out);
}

jm_error *jm_vhlo_read_batch_norm_inference(jm_vhlo *v, const jm_wire_op *op) {
  norm n;
  parts p;
  jm_value mean = JM_NONE, variance = JM_NONE, result = JM_NONE;
  JM_TRY(begin(&n, v, op, 5, 1));
  JM_TRY(operand(&n, 3, true, &mean));
  JM_TRY(operand(&n, 4, true, &variance));
  JM_TRY(normalize(&n, mean, variance, &p));
  JM_TRY(scale_and_shift(&n, p.normalized, &result));
  jm_vhlo_define(v, op, 0, result);
  return NULL;
}

static jm_error *average(norm *n, jm_value value, jm_value *out) {
  jm_value sum = JM_NONE, count = JM_NONE;
  JM_TRY(jm_vhlo_sum(n->v, n->op, value, n->others, &sum));
  JM_TRY(number(n, (float)n->per_feature, jm_vhlo_typeof(n->v, sum), &count));
  return apply(n, JM_OP_divide, sum, count, out);
}

jm_error *jm_vhlo_read_batch_norm_training(jm_vhlo *v, const jm_wire_op *op) {
  norm n;
  parts p;
  jm_value x = JM_NONE, mean = JM_NONE, variance = JM_NONE, wide = JM_NONE, result = JM_NONE;
  JM_TRY(begin(&n, v, op, 3, 3));
  JM_TRY(operand(&n, 0, false, &x));
  JM_TRY(average(&n, x, &mean));
  JM_TRY(spread(&n, mean, &wide));
  JM_TRY(apply(&n, JM_OP_subtract, x, wide, &x));
  JM_TRY(apply(&n, JM_OP_multiply, x, x, &x));
  JM_TRY(average(&n, x, &variance));
  JM_TRY(spread(&n, variance, &x));
  JM_TRY(normalize(&n, wide, x, &p));
  JM_TRY(scale_and_shift(&n, p.normalized, &result));
  jm_vhlo_define(v, op, 0, result);
  jm_vhlo_define(v, op, 1, mean);
  jm_vhlo_define(v, op, 2, variance);
  return NULL;
}

/* operands: operand, scale, mean, variance, gradient of the output */
jm_error *jm_vhlo_read_batch_norm_grad(jm_vhlo *v, const jm_wire_op *op) {
  norm n;
  parts p;
  jm_value scale = JM_NONE, mean = JM_NONE, variance = JM_NONE, grad = JM_NONE, count = JM_NONE;
  jm_value offset = JM_NONE, wide = JM_NONE, t = JM_NONE, u = JM_NONE;
  JM_TRY(begin(&n, v, op, 5, 3));
  JM_TRY(operand(&n, 1, true, &scale));
  JM_TRY(operand(&n, 2, true, &mean));
  JM_TRY(operand(&n, 3, true, &variance));
  JM_TRY(operand(&n, 4, false, &grad));
  JM_TRY(normalize(&n, mean, variance, &p));
  JM_TRY(number(&n, (float)n.per_feature, n.type, &count));
  /* gradient of the offset = sum(grad) */
  JM_TRY(jm_vhlo_sum(v, op, grad, n.others, &offset));
  jm_vhlo_define(v, op, 2, offset);
  /* gradient of the scale = sum(grad * normalized) */
  JM_TRY(apply(&n, JM_OP_multiply, grad, p.normalized, &t));
  JM_TRY(jm_vhlo_sum(v, op, t, n.others, &t));
  jm_vhlo_define(v, op, 1, t);
  /* u = sum(grad * centered) * centered / (variance + epsilon) */
  JM_TRY(apply(&n, JM_OP_multiply, grad, p.centered, &t));
  JM_TRY(jm_vhlo_sum(v, op, t, n.others, &t));
  JM_TRY(spread(&n, t, &t));
  JM_TRY(apply(&n, JM_OP_multiply, t, p.centered, &t));
  JM_TRY(apply(&n, JM_OP_divide, t, p.shifted, &u));
  /* gradient of the operand = scale / deviation / count * (grad * count - sum(grad) - u) */
  JM_TRY(apply(&n, JM_OP_multiply, grad, count, &t));
  JM_TRY(spread(&n, offset, &wide));
  JM_TRY(apply(&n, JM_OP_subtract, t, wide, &t));
  JM_TRY(apply(&n, JM_OP_subtract, t, u, &t));
  JM_TRY(apply(&n, JM_OP_divide, scale, p.deviation, &u));
  JM_TRY(apply(&n, JM_OP_divide, u, count, &u));
  JM_TRY(apply(&n, JM_OP_multiply, u, t, &t));
  jm_vhlo_define(v, op, 0, t);
  return NULL;
}
