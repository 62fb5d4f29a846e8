/* SPDX-License-Identifier: Apache-2.0
 * The lowerings by op, shared between the files lower_*.c: one row per op of ops.def that MLX can
 * run, with the test that an op must pass (element types are checked before). */
#ifndef JM_ENGINE_MLX_LOWER_RULES_H
#define JM_ENGINE_MLX_LOWER_RULES_H

#include "engine/mlx/lower.h"

typedef bool jm_lower_test(const jm_module *module, const jm_op *op);

typedef struct jm_lower_rule {
  jm_opcode code;
  jm_lower_fn *lower;
  jm_lower_test *supports; /* NULL: always */
} jm_lower_rule;

/* Ended by a row without lowering. */
extern const jm_lower_rule jm_lower_elementwise_rules[];
extern const jm_lower_rule jm_lower_movement_rules[];
extern const jm_lower_rule jm_lower_indexing_rules[];
extern const jm_lower_rule jm_lower_reduce_rules[];
extern const jm_lower_rule jm_lower_product_rules[];
extern const jm_lower_rule jm_lower_sort_rules[];

/* Often needed. */
static inline jm_dtype jm_lower_dtype(const jm_lowering *l, uint32_t i) {
  return jm_lower_type(l, i)->dtype;
}
/* A shape as MLX takes it, in the lowering's scratch memory (valid until the op is done); NULL after
 * an error. */
const int32_t *jm_lower_shape(jm_lowering *l, const jm_type *type);
const int32_t *jm_lower_ints(jm_lowering *l, const int64_t *values, uint32_t n);
int32_t *jm_lower_scratch(jm_lowering *l, uint32_t n);
/* The first error counts. */
void jm_lower_fail(jm_lowering *l, jm_error *error);

#endif
