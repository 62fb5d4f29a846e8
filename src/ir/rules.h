/* SPDX-License-Identifier: Apache-2.0
 * Predicates over types and lists of dimensions that the files of the verifier share. Private to
 * ir/verify*.c. A rule cites its constraint of the StableHLO specification as (C4). */
#ifndef JM_IR_RULES_H
#define JM_IR_RULES_H

#include "ir/verify.h"

#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary) \
  jm_verify_fn jm_verify_##verify;
#include "ir/ops.def"

#define jm_rule_error(m, op, ...) jm_op_error(m, op, JM_INVALID_ARGUMENT, __VA_ARGS__)

static inline uint32_t jm_rule_inputs(const jm_op *op) { return op->n_operands - op->n_captures; }

bool jm_rule_same_shape(const jm_type *a, const jm_type *b);

/* Every entry in [0, rank) and none twice; sorted: in ascending order too. */
bool jm_rule_dims(jm_i64s dims, uint32_t rank, bool sorted);
/* The same of two lists taken together (neither need be sorted). */
bool jm_rule_dims2(jm_i64s a, jm_i64s b, uint32_t rank);
/* n entries, each in [low, high] */
bool jm_rule_list(jm_i64s list, uint32_t n, int64_t low, int64_t high);

/* A scalar of this element type */
static inline bool jm_rule_scalar(const jm_type *type, jm_dtype dtype) {
  return type->rank == 0 && type->dtype == dtype;
}
/* An integer scalar */
static inline bool jm_rule_index(const jm_type *type) {
  return type->rank == 0 && jm_dtype_is_integer(type->dtype);
}

/* One dimension of a sliding window, as StableHLO's reduce_window (C15) and convolution (C25) have
 * it. false if a step overflows or leaves the range that later stages support. */
typedef struct jm_rule_window {
  int64_t input, low, high, base_dilation, size, dilation, stride;
} jm_rule_window;
bool jm_rule_window_count(const jm_rule_window *window, int64_t *out);

/* Number of arguments (without captures) and results of region i of the op. */
jm_error *jm_rule_region(const jm_module *m, const jm_op *op, uint32_t i, uint32_t n_args,
                         uint32_t n_results) JM_MUST_USE;
/* A body on scalars: n accumulators, n elements -> n accumulators; element types of operand i. */
jm_error *jm_rule_reducer(const jm_module *m, const jm_op *op, uint32_t i, uint32_t n) JM_MUST_USE;

static inline const jm_type *jm_rule_arg(const jm_module *m, const jm_region *region, uint32_t i) {
  return jm_module_typeof(m, region->first_arg + i);
}
static inline const jm_type *jm_rule_result(const jm_module *m, const jm_region *region,
                                            uint32_t i) {
  return jm_module_typeof(m, region->results[i]);
}

#endif
