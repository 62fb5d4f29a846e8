/* SPDX-License-Identifier: Apache-2.0
 * A product that sums nothing becomes a multiplication of broadcast operands, which is compiled
 * together with its neighbours: scaled rows, outer products, products per batch index.
 *
 *   %y: f32[8,4] = dot_general %s, %x lhs_batch=[0] rhs_batch=[0]     // %s: f32[8], %x: f32[8,4]
 * becomes
 *   %b: f32[8,4] = broadcast_in_dim %s dims=[0]
 *   %y: f32[8,4] = multiply %b, %x
 *
 * Contracted dimensions of size 1 are reshaped away first. As in XLA, one term is not added to
 * zero, so that a product of -0 stays -0. The factors are multiplied in the type that the sum would
 * have had, and the result is rounded once. */
#include "pass/rewrite.h"

/* A product's operand, and where its dimensions are in the result. */
typedef struct factor {
  jm_value value;
  jm_i64s batch, contract;
  uint32_t first_free; /* the result's dimension for the first that is neither of these */
} factor;

static bool sums_nothing(const jm_type *lhs, jm_i64s contract) {
  for (uint32_t i = 0; i < contract.n; i++)
    if (lhs->dims[contract.data[i]] != 1) return false;
  return true;
}

/* The factor without its contracted dimensions, as dtype, broadcast to type. */
static jm_error *build_factor(jm_rewrite *rw, jm_region_id region, const factor *f,
                              const jm_type *type, uint32_t loc, jm_value *out) {
  jm_module *m = rw->m;
  const jm_type *from = jm_module_typeof(m, f->value), *next;
  int64_t sizes[JM_RANK_MAX], dims[JM_RANK_MAX];
  uint32_t n = 0, n_free = 0;
  for (uint32_t d = 0; d < from->rank; d++) {
    if (jm_i64s_contains(f->contract, d)) continue;
    uint32_t i = 0;
    while (i < f->batch.n && f->batch.data[i] != d) i++;
    dims[n] = i < f->batch.n ? i : f->first_free + n_free++;
    sizes[n++] = from->dims[d];
  }
  *out = f->value;
  JM_TRY(jm_module_type(m, from->dtype, n, sizes, &next));
  if (next != from) JM_TRY(jm_build_unary(m, region, JM_OP_reshape, *out, next, loc, out));
  if (from->dtype != type->dtype) {
    JM_TRY(jm_module_type(m, type->dtype, n, sizes, &next));
    JM_TRY(jm_build_unary(m, region, JM_OP_convert, *out, next, loc, out));
  }
  return jm_build_broadcast(m, region, *out, dims, n, type, loc, out);
}

static jm_error *visit(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  jm_module *m = rw->m;
  const jm_op op = *jm_module_op(m, id); /* building moves the ops */
  if (op.code != JM_OP_dot_general) return NULL;
  const jm_dot_general_attrs *a = op.attrs;
  const jm_type *lhs = jm_op_operand_type(m, &op, 0), *rhs = jm_op_operand_type(m, &op, 1);
  const jm_type *to = jm_op_result_type(m, &op, 0), *type;
  jm_dtype dtype;
  if (!sums_nothing(lhs, a->lhs_contract) ||
      !jm_dtype_of_product(lhs->dtype, rhs->dtype, to->dtype, &dtype))
    return NULL;
  const uint32_t n_rhs = rhs->rank - a->rhs_batch.n - a->rhs_contract.n;
  const factor factors[] = {{op.operands[0], a->lhs_batch, a->lhs_contract, a->lhs_batch.n},
                            {op.operands[1], a->rhs_batch, a->rhs_contract, to->rank - n_rhs}};
  jm_value values[2], product;
  JM_TRY(jm_module_type(m, dtype, to->rank, to->dims, &type));
  for (uint32_t i = 0; i < 2; i++)
    JM_TRY(build_factor(rw, region, &factors[i], type, op.loc, &values[i]));
  JM_TRY(jm_build_binary(m, region, JM_OP_multiply, values[0], values[1], type, op.loc, &product));
  if (type != to) JM_TRY(jm_build_unary(m, region, JM_OP_convert, product, to, op.loc, &product));
  jm_rewrite_replace(rw, op.first_result, product);
  rw->drop = true;
  return NULL;
}

jm_error *jm_pass_products(jm_module *m, const jm_pass_options *options, bool *changed) {
  return jm_rewrite_run(m, options, visit, NULL, changed);
}
