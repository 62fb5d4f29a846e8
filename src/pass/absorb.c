/* SPDX-License-Identifier: Apache-2.0
 * Products absorb transposes and slices. A transpose before dot_general or convolution becomes
 * dimension numbers, which engines read as strides, so that nothing is copied. One after
 * dot_general that only exchanges the two sides of the result becomes a product of exchanged
 * operands. A slice of a product that nothing else reads becomes a product of slices, if these are
 * few elements beside the multiplications that this saves. The same products are summed in the same
 * order; a reversed kernel is therefore not absorbed here (a library may walk the window
 * backwards): reversal.c does that for an engine that gains by it. */
#include "pass/rewrite.h"

/* The op that defines operand i, if it has this code. */
static const jm_op *maker(const jm_rewrite *rw, const jm_op *op, uint32_t i, jm_opcode code) {
  const jm_op *made = jm_module_definition(rw->m, op->operands[i]);
  return made && made->code == code ? made : NULL;
}

/* The product whose result is the operand, if it has no other use; those that this pass builds are
 * left to its next run. */
static const jm_op *product_find(const jm_rewrite *rw, const jm_op *op) {
  const jm_op *made = maker(rw, op, 0, JM_OP_dot_general);
  const uint32_t *n_uses = rw->context;
  return made && made->first_result < rw->n_map && n_uses[made->first_result] == 1 ? made : NULL;
}

static int64_t moved(jm_i64s permutation, int64_t dim) { return permutation.data[dim]; }

static jm_error *move_all(jm_rewrite *rw, jm_i64s permutation, jm_i64s *dims) {
  int64_t *data = jm_arena_alloc(&rw->m->arena, dims->n, sizeof *data);
  if (!data) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < dims->n; i++) data[i] = moved(permutation, dims->data[i]);
  dims->data = data;
  return NULL;
}

/* The result has an operand's free dimensions in the operand's order, which must not change. */
static bool keeps_order(jm_i64s permutation, jm_i64s batch, jm_i64s contract) {
  int64_t last = -1;
  for (uint32_t d = 0; d < permutation.n; d++) {
    if (jm_i64s_contains(batch, d) || jm_i64s_contains(contract, d)) continue;
    if (permutation.data[d] < last) return false;
    last = permutation.data[d];
  }
  return true;
}

static jm_error *dot_general(jm_rewrite *rw, jm_op *op) {
  jm_dot_general_attrs attrs = *(const jm_dot_general_attrs *)op->attrs;
  jm_i64s *const batch[] = {&attrs.lhs_batch, &attrs.rhs_batch};
  jm_i64s *const contract[] = {&attrs.lhs_contract, &attrs.rhs_contract};
  bool changed = false;
  for (uint32_t i = 0; i < 2; i++) {
    const jm_op *made = maker(rw, op, i, JM_OP_transpose);
    if (!made) continue;
    jm_i64s permutation = ((const jm_transpose_attrs *)made->attrs)->permutation;
    if (!keeps_order(permutation, *batch[i], *contract[i])) continue;
    JM_TRY(move_all(rw, permutation, batch[i]));
    JM_TRY(move_all(rw, permutation, contract[i]));
    op->operands[i] = made->operands[0];
    changed = true;
  }
  if (!changed) return NULL;
  rw->changed = true;
  op->attrs = jm_arena_copy(&rw->m->arena, &attrs, 1, sizeof attrs);
  return op->attrs ? NULL : jm_error_out_of_memory();
}

static jm_error *convolution(jm_rewrite *rw, jm_op *op) {
  jm_convolution_attrs *attrs = jm_arena_copy(&rw->m->arena, op->attrs, 1, sizeof *attrs);
  if (!attrs) return jm_error_out_of_memory();
  int64_t *const pairs[][2] = {
      {&attrs->input_batch, &attrs->input_feature},
      {&attrs->kernel_input_feature, &attrs->kernel_output_feature},
  };
  jm_i64s *const spatial[] = {&attrs->input_spatial, &attrs->kernel_spatial};
  for (uint32_t i = 0; i < 2; i++) {
    const jm_op *made = maker(rw, op, i, JM_OP_transpose);
    if (!made) continue;
    jm_i64s permutation = ((const jm_transpose_attrs *)made->attrs)->permutation;
    for (uint32_t k = 0; k < 2; k++) *pairs[i][k] = moved(permutation, *pairs[i][k]);
    JM_TRY(move_all(rw, permutation, spatial[i]));
    op->operands[i] = made->operands[0];
    rw->changed = true;
  }
  op->attrs = attrs;
  return NULL;
}

/* The operand (0 or 1) whose free dimensions come first after permutation p of a product's result;
 * -1: no operand's dimensions stay together and in order. */
static int leading_operand(jm_i64s p, uint32_t n_batch, uint32_t n_lhs) {
  for (uint32_t i = 0; i < n_batch; i++)
    if (p.data[i] >= n_batch) return -1;
  uint32_t n_free = p.n - n_batch, n_rhs = n_free - n_lhs;
  bool kept = true, exchanged = true;
  for (uint32_t i = 0; i < n_free; i++) {
    int64_t from = p.data[n_batch + i] - n_batch;
    kept &= from == i;
    exchanged &= from == (i < n_rhs ? n_lhs + i : i - n_rhs);
  }
  return kept ? 0 : exchanged ? 1 : -1;
}

/* The transpose is replaced by a product that computes its result; the original product has no
 * other use and becomes dead. */
static jm_error *transpose(jm_rewrite *rw, jm_op *op) {
  const jm_op *made = product_find(rw, op);
  if (!made) return NULL;
  jm_dot_general_attrs attrs = *(const jm_dot_general_attrs *)made->attrs;
  jm_i64s permutation = ((const jm_transpose_attrs *)op->attrs)->permutation;
  uint32_t n_batch = attrs.lhs_batch.n;
  uint32_t n_lhs =
      jm_op_operand_type(rw->m, made, 0)->rank - n_batch - (uint32_t)attrs.lhs_contract.n;
  int leads = leading_operand(permutation, n_batch, n_lhs);
  if (leads < 0) return NULL;
  jm_i64s *const batch[] = {&attrs.lhs_batch, &attrs.rhs_batch};
  for (uint32_t i = 0; i < 2; i++) {
    int64_t *data = jm_arena_alloc(&rw->m->arena, n_batch, sizeof *data);
    if (!data) return jm_error_out_of_memory();
    for (uint32_t d = 0; d < n_batch; d++) data[d] = batch[i]->data[permutation.data[d]];
    batch[i]->data = data;
  }
  if (leads) jm_rewrite_exchange(&attrs);
  const jm_value operands[] = {made->operands[leads], made->operands[!leads]};
  op->operands = jm_arena_copy(&rw->m->arena, operands, 2, sizeof *op->operands);
  op->attrs = jm_arena_copy(&rw->m->arena, &attrs, 1, sizeof attrs);
  if (!op->operands || !op->attrs) return jm_error_out_of_memory();
  op->n_operands = 2;
  op->code = JM_OP_dot_general;
  rw->changed = true;
  return NULL;
}

/* Bounds of a slice of each operand, along each dimension. */
typedef struct bounds {
  int64_t start[JM_RANK_MAX], limit[JM_RANK_MAX];
} bounds;

/* The slices of a product's operands that a slice of its result needs; false: the multiplications
 * that they save are few beside their elements, which may have to be copied in every call. */
static bool find_slices(const jm_module *m, const jm_op *op, const jm_op *made, bounds parts[2]) {
  enum { MULTIPLICATIONS = 16 };
  const jm_slice_attrs *slice = op->attrs;
  const jm_dot_general_attrs *a = made->attrs;
  const jm_i64s batch[] = {a->lhs_batch, a->rhs_batch};
  const jm_i64s contract[] = {a->lhs_contract, a->rhs_contract};
  const jm_type *all = jm_op_result_type(m, made, 0);
  double depth = 1, copied = 0;
  uint32_t next = a->lhs_batch.n; /* dimension of the result */
  for (uint32_t d = 0; d < all->rank; d++)
    if (slice->stride.data[d] != 1 ||
        (d < next && jm_op_result_type(m, op, 0)->dims[d] != all->dims[d]))
      return false;
  for (uint32_t i = 0; i < 2; i++) {
    const jm_type *type = jm_op_operand_type(m, made, i);
    double kept = 1;
    bool cuts = false;
    for (uint32_t d = 0; d < type->rank; d++) {
      const bool is_free = !jm_i64s_contains(batch[i], d) && !jm_i64s_contains(contract[i], d);
      parts[i].start[d] = is_free ? slice->start.data[next] : 0;
      parts[i].limit[d] = is_free ? slice->limit.data[next++] : type->dims[d];
      const int64_t size = parts[i].limit[d] - parts[i].start[d];
      cuts |= size != type->dims[d];
      kept *= (double)size;
      if (!i && jm_i64s_contains(contract[0], d)) depth *= (double)size;
    }
    if (cuts) copied += kept;
  }
  const double saved = (double)(all->count - jm_op_result_type(m, op, 0)->count) * depth;
  return saved > 0 && saved >= MULTIPLICATIONS * copied;
}

static jm_error *build_slice(jm_rewrite *rw, jm_region_id region, const bounds *part, uint32_t loc,
                             jm_value *v) {
  jm_module *m = rw->m;
  const jm_type *from = jm_module_typeof(m, *v), *type;
  int64_t sizes[JM_RANK_MAX], ones[JM_RANK_MAX];
  for (uint32_t d = 0; d < from->rank; d++) {
    sizes[d] = part->limit[d] - part->start[d];
    ones[d] = 1;
  }
  JM_TRY(jm_module_type(m, from->dtype, from->rank, sizes, &type));
  if (type == from) return NULL;
  jm_slice_attrs attrs = {0};
  const int64_t *const lists[] = {part->start, part->limit, ones};
  jm_i64s *const to[] = {&attrs.start, &attrs.limit, &attrs.stride};
  for (uint32_t i = 0; i < 3; i++) {
    to[i]->n = from->rank;
    to[i]->data = jm_arena_copy(&m->arena, lists[i], from->rank, sizeof *lists[i]);
    if (!to[i]->data) return jm_error_out_of_memory();
  }
  return jm_build_one(m, region, JM_OP_slice, v, 1, &attrs, type, loc, v);
}

/* The slice is replaced by a product that computes nothing but its result. */
static jm_error *slice(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  const jm_op op = *jm_module_op(rw->m, id); /* building moves the ops */
  const jm_op *found = product_find(rw, &op);
  bounds parts[2];
  if (!found || !find_slices(rw->m, &op, found, parts)) return NULL;
  const jm_op made = *found;
  jm_value operands[] = {made.operands[0], made.operands[1]}, product;
  for (uint32_t i = 0; i < 2; i++) JM_TRY(build_slice(rw, region, &parts[i], op.loc, &operands[i]));
  JM_TRY(jm_build_one(rw->m, region, JM_OP_dot_general, operands, 2, made.attrs,
                      jm_op_result_type(rw->m, &op, 0), made.loc, &product));
  jm_rewrite_replace(rw, op.first_result, product);
  rw->drop = true;
  return NULL;
}

static jm_error *visit(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  jm_op *op = jm_module_op(rw->m, id);
  if (op->code == JM_OP_slice) return slice(rw, region, id);
  if (op->code == JM_OP_dot_general) return dot_general(rw, op);
  if (op->code == JM_OP_transpose) return transpose(rw, op);
  return op->code == JM_OP_convolution ? convolution(rw, op) : NULL;
}

jm_error *jm_pass_absorb(jm_module *m, const jm_pass_options *options, bool *changed) {
  return jm_rewrite_run_counted(m, options, visit, changed);
}
