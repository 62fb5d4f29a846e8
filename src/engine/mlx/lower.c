/* SPDX-License-Identifier: Apache-2.0
 * Which lowering an op has. */
#include "engine/mlx/lower_rules.h"

static const jm_lower_rule *const tables[] = {
    jm_lower_elementwise_rules, jm_lower_movement_rules, jm_lower_indexing_rules,
    jm_lower_reduce_rules,      jm_lower_window_rules,   jm_lower_product_rules,
    jm_lower_convolution_rules, jm_lower_sort_rules,     jm_lower_pattern_rules,
    jm_lower_collective_rules,
};

static const jm_lower_rule *rule_find(jm_opcode code) {
  for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
    for (const jm_lower_rule *rule = tables[t]; rule->lower; rule++)
      if (rule->code == code) return rule;
  return NULL;
}

jm_lower_fn *jm_lower_find(const jm_module *m, const jm_op *op) {
  const jm_lower_rule *rule = rule_find(op->code);
  if (!rule) return NULL;
  for (uint32_t i = 0; i < op->n_operands; i++)
    if (!jm_lower_type_supported(jm_op_operand_type(m, op, i))) return NULL;
  for (uint32_t i = 0; i < op->n_results; i++)
    if (!jm_lower_type_supported(jm_op_result_type(m, op, i))) return NULL;
  return !rule->supports || rule->supports(m, op) ? rule->lower : NULL;
}

void jm_lower_fail(jm_lowering *l, jm_error *error) {
  if (l->error || !error)
    jm_error_destroy(error);
  else
    l->error = error;
}

int32_t *jm_lower_scratch(jm_lowering *l, uint32_t n) {
  if (l->error) return NULL;
  int32_t *ints = jm_arena_alloc(&l->scratch, n, sizeof *ints);
  if (!ints) jm_lower_fail(l, jm_error_out_of_memory());
  return ints;
}

const int32_t *jm_lower_ints(jm_lowering *l, const int64_t *values, uint32_t n) {
  int32_t *ints = jm_lower_scratch(l, n);
  for (uint32_t i = 0; ints && i < n; i++) ints[i] = (int32_t)values[i];
  return ints;
}

const int32_t *jm_lower_shape(jm_lowering *l, const jm_type *type) {
  return jm_lower_ints(l, type->dims, type->rank);
}
