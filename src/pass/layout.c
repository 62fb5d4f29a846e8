/* SPDX-License-Identifier: Apache-2.0
 * A convolution whose result has another order than the library's, [batch, spatial..., feature],
 * becomes one of that order and a transpose, which is grouped with what uses it:
 *
 *   %y: f32[3,3,64,128] = convolution %x, %dy  output_batch=2 output_feature=3 output_spatial=[0,1]
 * becomes
 *   %z: f32[64,3,3,128] = convolution %x, %dy  output_batch=0 output_feature=3 output_spatial=[1,2]
 *   %y: f32[3,3,64,128] = transpose %z permutation=[1,2,0,3]
 *
 * Weights' gradients are such ones: the library would give a view, and each kernel copy it first.
 */
#include "pass/rewrite.h"

/* Per dimension of the result: that of the library's order. */
static bool find_order(const jm_convolution_attrs *a, int64_t *order) {
  const uint32_t n = a->output_spatial.n;
  bool moves = false;
  order[a->output_batch] = 0;
  order[a->output_feature] = n + 1;
  for (uint32_t i = 0; i < n; i++) order[a->output_spatial.data[i]] = i + 1;
  for (uint32_t d = 0; d < n + 2; d++) moves = moves || order[d] != d;
  return moves;
}

static jm_error *build_ordered(jm_rewrite *rw, jm_region_id region, const jm_op *op,
                               const int64_t *order, jm_value *out) {
  jm_module *m = rw->m;
  jm_convolution_attrs attrs = *(const jm_convolution_attrs *)op->attrs;
  const jm_type *to = jm_op_result_type(m, op, 0), *type;
  const uint32_t n = attrs.output_spatial.n, loc = op->loc;
  int64_t dims[JM_RANK_MAX], *spatial = jm_arena_alloc(&m->arena, n + 1, sizeof *spatial);
  const jm_transpose_attrs transpose = {
      .permutation = {jm_arena_copy(&m->arena, order, n + 2, sizeof *order), n + 2}};
  const jm_value operands[] = {op->operands[0], op->operands[1]};
  if (!spatial || !transpose.permutation.data) return jm_error_out_of_memory();
  for (uint32_t d = 0; d < n + 2; d++) dims[order[d]] = to->dims[d];
  for (uint32_t i = 0; i < n; i++) spatial[i] = i + 1;
  attrs.output_batch = 0;
  attrs.output_feature = n + 1;
  attrs.output_spatial = (jm_i64s){spatial, n};
  JM_TRY(jm_module_type(m, to->dtype, to->rank, dims, &type));
  jm_op_spec spec = {.code = JM_OP_convolution,
                     .operands = operands,
                     .n_operands = 2,
                     .result_types = &type,
                     .n_results = 1,
                     .attrs = &attrs,
                     .loc = loc};
  jm_op_id id;
  JM_TRY(jm_build_op(m, region, &spec, &id));
  const jm_value ordered = jm_module_op(m, id)->first_result;
  spec = (jm_op_spec){.code = JM_OP_transpose,
                      .operands = &ordered,
                      .n_operands = 1,
                      .result_types = &to,
                      .n_results = 1,
                      .attrs = &transpose,
                      .loc = loc};
  JM_TRY(jm_build_op(m, region, &spec, &id));
  *out = jm_module_op(m, id)->first_result;
  return NULL;
}

static jm_error *visit(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  const jm_op *op = jm_module_op(rw->m, id);
  int64_t order[JM_RANK_MAX];
  jm_value out;
  if (op->code != JM_OP_convolution || !find_order(op->attrs, order)) return NULL;
  const jm_op before = *op;
  JM_TRY(build_ordered(rw, region, &before, order, &out));
  jm_rewrite_replace(rw, before.first_result, out);
  rw->drop = true;
  return NULL;
}

jm_error *jm_pass_layout(jm_module *m, const jm_pass_options *options, bool *changed) {
  return jm_rewrite_run(m, options, visit, NULL, changed);
}
