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
extern const jm_lower_rule jm_lower_window_rules[];
extern const jm_lower_rule jm_lower_product_rules[];
extern const jm_lower_rule jm_lower_convolution_rules[];
extern const jm_lower_rule jm_lower_sort_rules[];
extern const jm_lower_rule jm_lower_pattern_rules[];
extern const jm_lower_rule jm_lower_collective_rules[];

/* Often needed. */
static inline jm_dtype jm_lower_dtype(const jm_lowering *l, uint32_t i) {
  return jm_lower_type(l, i)->dtype;
}
/* A shape as MLX takes it, in the lowering's scratch memory (valid until the op is done); NULL
 * after an error. */
const int32_t *jm_lower_shape(jm_lowering *l, const jm_type *type);
const int32_t *jm_lower_ints(jm_lowering *l, const int64_t *values, uint32_t n);
int32_t *jm_lower_scratch(jm_lowering *l, uint32_t n);
/* The first error counts. */
void jm_lower_fail(jm_lowering *l, jm_error *error);
/* Integers in the order of the elements; floats: the total order. */
jm_mlx_array *jm_lower_order_key(jm_lowering *l, jm_mlx_array *a, jm_dtype dtype);

/* Padding as the op pad has it: negative low and high crop. */
typedef struct jm_lower_padding {
  const int64_t *low, *high, *interior;
} jm_lower_padding;
/* false: a crop past the other end, which reaches the padding there; this rare case runs on the
 * host. */
bool jm_lower_pad_supported(const int64_t *dims, const jm_lower_padding *padding, uint32_t rank);
jm_mlx_array *jm_lower_pad(jm_lowering *l, jm_mlx_array *a, const int64_t *dims,
                           const jm_lower_padding *padding, uint32_t rank, jm_mlx_array *value);

/* A monoid with MLX's functions for it. */
typedef struct jm_lower_monoid {
  jm_monoid is;
  jm_mlx_array *(*combine)(jm_lowering *l, jm_mlx_array *a, jm_mlx_array *b);
  jm_mlx_array *(*reduce)(jm_lowering *l, jm_mlx_array *a, const int32_t *axes, int n);
  jm_mlx_fold fold; /* for scans and scatters; of pred as u8 */
} jm_lower_monoid;
/* That of a region of two arguments; false: none that MLX can fold. */
bool jm_lower_monoid_find(const jm_module *module, jm_region_id region, jm_lower_monoid *out);
/* a combined with scalar operand i, but for an identity; a is of the accumulator's type. */
jm_mlx_array *jm_lower_monoid_start(jm_lowering *l, const jm_lower_monoid *monoid, jm_mlx_array *a,
                                    uint32_t i);

#endif
