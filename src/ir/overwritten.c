/* SPDX-License-Identifier: Apache-2.0
 * The search is for the form of lax.scan: a counter from 0 in steps of 1 to a constant, and a carry
 * whose only use is an update at row `counter` (or at the last row minus it). Parts of it may be
 * inside of groups. */
#include "ir/overwritten.h"

#include <string.h>

/* A value inside of a group (a fusion op), or outside of all groups. */
typedef struct place {
  jm_value v;
  const jm_op *group;
} place;

/* The definition of the value, looking through groups and reshapes. */
static place source_of(const jm_module *m, place p) {
  for (;;) {
    const jm_op *op = jm_module_definition(m, p.v);
    if (p.group && !op) {
      p = (place){p.group->operands[p.v - jm_op_region(m, p.group, 0)->first_arg], NULL};
    } else if (op && op->code == JM_OP_fusion) {
      p = (place){jm_op_region(m, op, 0)->results[p.v - op->first_result], op};
    } else if (op && op->code == JM_OP_reshape) {
      p.v = op->operands[0];
    } else {
      return p;
    }
  }
}

static place operand_of(const jm_module *m, const jm_op *op, const jm_op *group, uint32_t i) {
  return source_of(m, (place){op->operands[i], group});
}

static bool is_number(const jm_module *m, place p, int64_t *out) {
  const jm_op *op = jm_module_definition(m, p.v);
  const jm_type *type = jm_module_typeof(m, p.v);
  if (!op || op->code != JM_OP_constant || type->count != 1) return false;
  const void *bytes = ((const jm_constant_attrs *)op->attrs)->value.bytes;
  int32_t narrow;
  if (type->dtype == JM_DT_s32) {
    memcpy(&narrow, bytes, sizeof narrow);
    *out = narrow;
  } else if (type->dtype == JM_DT_s64) {
    memcpy(out, bytes, sizeof *out);
  }
  return type->dtype == JM_DT_s32 || type->dtype == JM_DT_s64;
}

static bool is_this_number(const jm_module *m, place p, int64_t number) {
  int64_t value;
  return is_number(m, p, &value) && value == number;
}

uint32_t jm_loop_counter_find(const jm_module *m, const jm_op *loop, int64_t *iterations) {
  const jm_region *cond = jm_op_region(m, loop, 0), *body = jm_op_region(m, loop, 1);
  place p = source_of(m, (place){cond->results[0], NULL});
  const jm_op *op = jm_module_definition(m, p.v);
  if (!op || op->code != JM_OP_compare) return JM_NONE;
  if (((const jm_compare_attrs *)op->attrs)->direction != JM_COMPARE_LT) return JM_NONE;
  jm_value left = operand_of(m, op, p.group, 0).v;
  uint32_t carry = left - cond->first_arg;
  if (left < cond->first_arg || carry >= loop->n_results) return JM_NONE;
  if (!is_number(m, operand_of(m, op, p.group, 1), iterations)) return JM_NONE;
  if (!is_this_number(m, (place){loop->operands[carry], NULL}, 0)) return JM_NONE;
  p = source_of(m, (place){body->results[carry], NULL});
  op = jm_module_definition(m, p.v);
  if (!op || op->code != JM_OP_add) return JM_NONE;
  bool counts = operand_of(m, op, p.group, 0).v == body->first_arg + carry &&
                is_this_number(m, operand_of(m, op, p.group, 1), 1);
  return counts ? carry : JM_NONE;
}

/* offset + sign * counter */
typedef struct line {
  int64_t offset, sign;
} line;

/* The value as a line, through a few sums and differences: lax.scan counts down by n - counter - 1.
 * A wrapped intermediate value doesn't matter, for integers wrap back. */
static bool line_find(const jm_module *m, place p, jm_value counter, uint32_t depth, line *out) {
  *out = (line){0, p.v == counter};
  if (out->sign || is_number(m, p, &out->offset)) return true;
  const jm_op *op = jm_module_definition(m, p.v);
  if (!op || !depth || (op->code != JM_OP_add && op->code != JM_OP_subtract)) return false;
  line right;
  if (!line_find(m, operand_of(m, op, p.group, 0), counter, depth - 1, out) ||
      !line_find(m, operand_of(m, op, p.group, 1), counter, depth - 1, &right))
    return false;
  const int64_t sign = op->code == JM_OP_add ? 1 : -1;
  out->sign += sign * right.sign;
  out->offset = (int64_t)((uint64_t)out->offset + (uint64_t)sign * (uint64_t)right.offset);
  return true;
}

jm_row_order jm_loop_row_order(const jm_module *m, jm_value start, jm_value counter, int64_t last) {
  enum { DEPTH = 3 };
  line l;
  if (!line_find(m, source_of(m, (place){start, NULL}), counter, DEPTH, &l)) return JM_ROWS_NONE;
  if (l.sign == 1 && l.offset == 0) return JM_ROWS_FORWARD;
  return l.sign == -1 && l.offset == last ? JM_ROWS_BACKWARD : JM_ROWS_NONE;
}

bool jm_carry_is_overwritten(const jm_module *m, const jm_op *loop, uint32_t carry) {
  const jm_region *cond = jm_op_region(m, loop, 0), *body = jm_op_region(m, loop, 1);
  jm_value argument = body->first_arg + carry, result = body->results[carry];
  const jm_op *update = jm_module_definition(m, result);
  if (!update || update->code != JM_OP_dynamic_update_slice || update->operands[0] != argument)
    return false;
  if (jm_region_count_uses(m, body, argument) != 1 || jm_region_count_uses(m, body, result) != 1 ||
      jm_region_count_uses(m, cond, cond->first_arg + carry))
    return false;
  int64_t iterations = 0;
  uint32_t counter = jm_loop_counter_find(m, loop, &iterations), along = JM_NONE;
  if (counter == JM_NONE) return false;
  const jm_type *all = jm_op_operand_type(m, update, 0), *part = jm_op_operand_type(m, update, 1);
  for (uint32_t d = 0; d < all->rank; d++) {
    if (part->dims[d] == all->dims[d]) continue; /* its start is clamped to 0 */
    if (along != JM_NONE || part->dims[d] != 1) return false;
    along = d;
  }
  if (along == JM_NONE || iterations < all->dims[along]) return false;
  return jm_loop_row_order(m, update->operands[2 + along], body->first_arg + counter,
                           all->dims[along] - 1) != JM_ROWS_NONE;
}

bool jm_value_is_overwritten(const jm_module *m, jm_value v) {
  const jm_region *region = jm_module_region(m, m->values[v].region);
  for (uint32_t i = 0; i < region->n_results; i++)
    if (region->results[i] == v) return false;
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    for (uint32_t k = 0; k < op->n_operands; k++) {
      if (op->operands[k] != v) continue;
      if (op->code != JM_OP_while || k >= op->n_results || !jm_carry_is_overwritten(m, op, k))
        return false;
    }
  }
  return true;
}
