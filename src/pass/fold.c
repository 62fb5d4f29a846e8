/* SPDX-License-Identifier: Apache-2.0
 * Constant folding of elementwise ops and of data movement. A splat stays one element whatever its
 * size; other constants are folded within bounds of size and work. */
#include <string.h>

#include "pass/rewrite.h"

enum { LARGEST = 4096, BUDGET = 1 << 20, OPERANDS = 16 };
enum { BROADCAST = 64 }; /* elements: above, a broadcast is cheaper than a stored constant */

/* Ops that move elements of operand 0 alone: a splat moved is a splat. */
static const bool moves[JM_N_OPS] = {
    [JM_OP_broadcast_in_dim] = true, [JM_OP_reshape] = true, [JM_OP_transpose] = true,
    [JM_OP_reverse] = true,          [JM_OP_slice] = true,   [JM_OP_dynamic_slice] = true,
    [JM_OP_gather] = true,
};
/* Further ops that may be evaluated. */
static const bool evaluated[JM_N_OPS] = {
    [JM_OP_bitcast_convert] = true,
    [JM_OP_concatenate] = true,
    [JM_OP_pad] = true,
    [JM_OP_dynamic_update_slice] = true,
};

static bool one_element(const jm_module *m, jm_value v) {
  const jm_constant_attrs *constant = jm_rewrite_constant(m, v);
  return constant && (constant->value.splat || jm_module_typeof(m, v)->count == 1);
}

static jm_error *become_constant(jm_rewrite *rw, jm_op *op, const void *bytes, bool splat) {
  jm_constant_attrs *attrs = jm_arena_alloc(&rw->m->arena, 1, sizeof *attrs);
  if (!attrs) return jm_error_out_of_memory();
  attrs->value = (jm_data){bytes, splat};
  op->code = JM_OP_constant;
  op->attrs = attrs;
  op->n_operands = 0;
  rw->changed = true;
  return NULL;
}

static bool all_equal(const void *data, size_t size, int64_t count) {
  const char *bytes = data;
  return count > 0 && !memcmp(bytes, bytes + size, (size_t)(count - 1) * size);
}

/* NULL and *done unchanged if the op can't be evaluated after all. */
static jm_error *evaluate(jm_rewrite *rw, const jm_op *op, const jm_tensor *in,
                          const jm_tensor *out, bool *done) {
  jm_error *error = rw->options->evaluate(rw->m, op, in, out);
  *done = !error;
  if (jm_error_code(error) != JM_UNIMPLEMENTED) return error;
  jm_error_destroy(error); /* compiling the op will report it */
  return NULL;
}

/* An elementwise op on splats: once, on scalars. */
static jm_error *fold_splats(jm_rewrite *rw, jm_op *op) {
  _Alignas(JM_DATA_ALIGNMENT) char memory[OPERANDS + 1][JM_DATA_ALIGNMENT];
  jm_type types[OPERANDS + 1];
  jm_tensor in[OPERANDS];
  for (uint32_t i = 0; i < op->n_operands; i++) {
    types[i] = (jm_type){jm_op_operand_type(rw->m, op, i)->dtype, 0, 1, NULL};
    memcpy(memory[i], jm_rewrite_constant(rw->m, op->operands[i])->value.bytes,
           jm_dtype_bytes(types[i].dtype));
    in[i] = (jm_tensor){&types[i], memory[i]};
  }
  jm_dtype dtype = jm_op_result_type(rw->m, op, 0)->dtype;
  types[OPERANDS] = (jm_type){dtype, 0, 1, NULL};
  const jm_tensor out = {&types[OPERANDS], memory[OPERANDS]};
  bool done = false;
  JM_TRY(evaluate(rw, op, in, &out, &done));
  if (!done) return NULL;
  const void *bytes = jm_arena_copy(&rw->m->arena, out.data, 1, jm_dtype_bytes(dtype));
  return bytes ? become_constant(rw, op, bytes, true) : jm_error_out_of_memory();
}

/* An operand's elements, aligned and one by one, in the scratch arena. */
static jm_error *spell_out(const jm_module *m, jm_value v, jm_arena *scratch, jm_tensor *out) {
  const jm_type *type = jm_module_typeof(m, v);
  const jm_data *data = &jm_rewrite_constant(m, v)->value;
  size_t size = jm_dtype_bytes(type->dtype);
  char *bytes = jm_arena_alloc(scratch, jm_type_bytes(type), 1);
  if (!bytes) return jm_error_out_of_memory();
  if (data->splat)
    for (int64_t i = 0; i < type->count; i++) memcpy(bytes + (size_t)i * size, data->bytes, size);
  else if (type->count)
    memcpy(bytes, data->bytes, jm_type_bytes(type));
  *out = (jm_tensor){type, bytes};
  return NULL;
}

static jm_error *fold_dense(jm_rewrite *rw, jm_op *op, jm_arena *scratch) {
  jm_tensor in[OPERANDS];
  for (uint32_t i = 0; i < op->n_operands; i++)
    JM_TRY(spell_out(rw->m, op->operands[i], scratch, &in[i]));
  const jm_type *type = jm_op_result_type(rw->m, op, 0);
  size_t size = jm_dtype_bytes(type->dtype);
  const jm_tensor out = {type, jm_arena_alloc(scratch, jm_type_bytes(type), 1)};
  if (!out.data) return jm_error_out_of_memory();
  bool done = false;
  JM_TRY(evaluate(rw, op, in, &out, &done));
  if (!done) return NULL;
  bool splat = all_equal(out.data, size, type->count);
  const void *bytes = jm_arena_copy(&rw->m->arena, out.data, splat ? 1 : (size_t)type->count, size);
  return bytes ? become_constant(rw, op, bytes, splat) : jm_error_out_of_memory();
}

/* Equal elements are one element, so that equal constants have one form. */
static jm_error *fold_constant(jm_rewrite *rw, jm_op *op) {
  const jm_data *data = &((const jm_constant_attrs *)op->attrs)->value;
  const jm_type *type = jm_op_result_type(rw->m, op, 0);
  if (data->splat || !all_equal(data->bytes, jm_dtype_bytes(type->dtype), type->count)) return NULL;
  return become_constant(rw, op, data->bytes, true);
}

static jm_error *visit(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  (void)region;
  int64_t *budget = rw->context;
  jm_op *op = jm_module_op(rw->m, id);
  if (op->code == JM_OP_constant) return fold_constant(rw, op);
  uint32_t traits = jm_op_facts[op->code].traits;
  bool elementwise = traits & JM_TRAIT_ELEMENTWISE && !op->n_regions;
  if (!elementwise && !moves[op->code] && !evaluated[op->code]) return NULL;
  if (!op->n_operands || op->n_operands > OPERANDS) return NULL;
  const jm_constant_attrs *first = jm_rewrite_constant(rw->m, op->operands[0]);
  const jm_type *type = jm_op_result_type(rw->m, op, 0);
  if (moves[op->code] && one_element(rw->m, op->operands[0]))
    return become_constant(rw, op, first->value.bytes, true);
  if (op->code == JM_OP_reshape && first)
    return become_constant(rw, op, first->value.bytes, first->value.splat);
  bool splats = true;
  int64_t work = type->count;
  for (uint32_t i = 0; i < op->n_operands; i++) {
    if (!jm_rewrite_constant(rw->m, op->operands[i])) return NULL;
    splats = splats && one_element(rw->m, op->operands[i]);
    int64_t count = jm_module_typeof(rw->m, op->operands[i])->count;
    work = count > LARGEST || work > LARGEST ? BUDGET : work + count;
  }
  if (!rw->options->evaluate) return NULL;
  if (elementwise && splats) return fold_splats(rw, op);
  bool broadcast = op->code == JM_OP_broadcast_in_dim;
  if (type->count > (broadcast ? BROADCAST : LARGEST) || work >= *budget) return NULL;
  *budget -= work;
  jm_arena scratch;
  jm_arena_init(&scratch);
  jm_error *error = fold_dense(rw, op, &scratch);
  jm_arena_deinit(&scratch);
  return error;
}

jm_error *jm_pass_fold(jm_module *m, const jm_pass_options *options, bool *changed) {
  int64_t budget = BUDGET;
  return jm_rewrite_run(m, options, visit, &budget, changed);
}
