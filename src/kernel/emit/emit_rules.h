/* SPDX-License-Identifier: Apache-2.0
 * Shared by the files of emission: one rule per op, which pulls an element of the op's results, and
 * the table of rules (emit_table.c). Private to emission. */
#ifndef JM_KERNEL_EMIT_EMIT_RULES_H
#define JM_KERNEL_EMIT_EMIT_RULES_H

#include "kernel/emit/element.h"

enum {
  JM_EMIT_RANK = JM_RANK_MAX, /* dimensions of a tensor */
  JM_EMIT_CARRIES = 16        /* parts of a loop's carries */
};

/* out: one element per result of the op, all at index. */
typedef void jm_emit_rule(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out);
/* Conditions beyond the row's element types. */
typedef bool jm_emit_check(const jm_module *module, const jm_op *op);
typedef double jm_emit_price(const jm_module *module, const jm_op *op);

typedef struct jm_emit_row {
  jm_emit_rule *rule;
  jm_emit_check *check;
  jm_emit_price *price; /* NULL: flops */
  double flops;
  bool loops;
} jm_emit_row;
/* NULL: the op can't be pulled. */
const jm_emit_row *jm_emit_row_find(jm_opcode code);

const jm_module *jm_emit_module(const jm_emit *e);

/* Operand i at index, which has the operand's rank. */
static inline jm_element jm_emit_operand(jm_emit *e, const jm_op *op, uint32_t i,
                                         const jm_kval *index) {
  return jm_emit_value(e, op->operands[i], index);
}
jm_element jm_emit_zero(jm_emit *e, jm_dtype dtype);
jm_element jm_emit_select(jm_emit *e, jm_kval condition, jm_element x, jm_element y);
/* *at is a position among n elements that lie `step` apart, the first at 0: replaces it by the
 * element's number, clamped to be in bounds; returns whether there is an element at that position.
 */
jm_kval jm_emit_place(jm_kbuilder *b, jm_kval *at, int64_t n, int64_t step);

/* emit_movement.c, emit_indexing.c, emit_reduce.c, emit_random.c */
jm_emit_rule jm_emit_broadcast_in_dim, jm_emit_concatenate, jm_emit_iota, jm_emit_pad,
    jm_emit_reshape, jm_emit_reverse, jm_emit_slice, jm_emit_transpose, jm_emit_bitcast_convert;
jm_emit_rule jm_emit_dynamic_slice, jm_emit_dynamic_update_slice, jm_emit_gather, jm_emit_scatter;
jm_emit_rule jm_emit_reduce, jm_emit_reduce_window, jm_emit_dot_general;
jm_emit_rule jm_emit_threefry2x32;
jm_emit_check jm_emit_check_bitcast_convert, jm_emit_check_scatter;
jm_emit_check jm_emit_check_reduce, jm_emit_check_dot_general, jm_emit_check_region;
jm_emit_price jm_emit_price_reduce, jm_emit_price_reduce_window, jm_emit_price_dot_general,
    jm_emit_price_region;

#endif
