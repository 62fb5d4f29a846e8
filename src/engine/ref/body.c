/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ref/body.h"

#include <string.h>

#include "engine/ref/functions.h"

static void bound(jm_value first, uint32_t n, jm_value *begin, jm_value *end) {
  if (n && first < *begin) *begin = first;
  if (n && first + n > *end) *end = first + n;
}

jm_error *jm_ref_body_init(jm_ref_body *b, const jm_call *call, uint32_t index) {
  const jm_module *m = call->module;
  const jm_op *parent = call->op;
  const jm_region *region = jm_op_region(m, parent, index);
  *b = (jm_ref_body){.call = call, .region = region};
  jm_arena_init(&b->arena);
  jm_value begin = JM_NONE, end = 0;
  uint32_t n_operands = 1;
  bound(region->first_arg, region->n_args, &begin, &end);
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    bound(op->first_result, op->n_results, &begin, &end);
    if (op->n_operands > n_operands) n_operands = op->n_operands;
  }
  b->base = begin;
  b->values = jm_arena_alloc(&b->arena, begin < end ? end - begin : 0, sizeof *b->values);
  b->in = jm_arena_alloc(&b->arena, n_operands, sizeof *b->in);
  if (!b->values || !b->in) return jm_error_out_of_memory();
  for (jm_value v = begin; v < end; v++) {
    const jm_type *type = jm_module_typeof(m, v);
    jm_tensor *value = &b->values[v - begin];
    *value = (jm_tensor){type, jm_arena_alloc(&b->arena, 1, jm_type_bytes(type) + 1)};
    if (!value->data) return jm_error_out_of_memory();
  }
  for (uint32_t i = 0; i < parent->n_captures; i++)
    b->values[region->first_arg + region->n_args - parent->n_captures + i - begin] =
        call->in[parent->n_operands - parent->n_captures + i];
  return NULL;
}

void jm_ref_body_deinit(jm_ref_body *b) { jm_arena_deinit(&b->arena); }

jm_error *jm_ref_body_run(jm_ref_body *b, const void *const *args, void *const *results) {
  const jm_module *m = b->call->module;
  const jm_region *region = b->region;
  uint32_t n_args = region->n_args - b->call->op->n_captures;
  for (uint32_t i = 0; i < n_args; i++) {
    jm_tensor *arg = &b->values[region->first_arg + i - b->base];
    memcpy(arg->data, args[i], jm_type_bytes(arg->type));
  }
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    for (uint32_t k = 0; k < op->n_operands; k++) b->in[k] = b->values[op->operands[k] - b->base];
    JM_TRY(jm_ref_run(
        &(jm_call){m, op, b->in, &b->values[op->first_result - b->base], b->call->context}));
  }
  for (uint32_t i = 0; i < region->n_results; i++) {
    const jm_tensor *value = &b->values[region->results[i] - b->base];
    memcpy(results[i], value->data, jm_type_bytes(value->type));
  }
  return NULL;
}
