/* SPDX-License-Identifier: Apache-2.0
 * Products that a counted loop computes a row at a time become one product of all rows: before the
 * loop where both operands are known there,
 *
 *   %x: f32[1,16,64] = dynamic_slice %all, %i, 0, 0           // %all: f32[100,16,64], %w: captures
 *   %y: f32[16,288] = dot_general reshape(%x), %w
 * becomes, with %ys: f32[100,16,288] = dot_general %all, %w before the loop,
 *   %y: f32[16,288] = reshape(dynamic_slice %ys, %i, 0, 0)
 *
 * and after it where it only adds to a carry, as in a gradient of weights:
 *
 *   %sum1: f32[64,288] = add %sum, (dot_general %x, %g)       // %sum: a carry without other uses
 * becomes, with the rows of %g stacked in a new carry %gs and a product of all after the loop,
 *   %sum1: f32[64,288] = add %sum0, (dot_general %all, %gs)   // contracts the rows, too
 *
 * A product before the loop has the same terms in the same order. The order of a sum over the
 * iterations changes, which engines may choose for reductions of f32 and wider; sums of narrower
 * floats are rounded in each iteration and stay as they are. */
#include <string.h>

#include "ir/cost.h"
#include "ir/overwritten.h"
#include "pass/rewrite.h"

/* A product that moves before the loop: the operand that is a row, the slice that it comes from,
 * and the product of all rows. */
typedef struct row_product {
  jm_op_id product, slice;
  uint32_t side;
  jm_value all;
} row_product;

/* A value of the body that is stacked, with the number of its row. */
typedef struct stacked {
  jm_value v, at;
  jm_row_order order;
} stacked;

/* A product that is added to a carry. Each operand's rows are a captured array's (the capture's
 * number), or stacked by the loop. */
typedef struct sum_product {
  uint32_t carry;
  jm_op_id product;
  struct {
    bool is_stacked;
    uint32_t number; /* of the operand of the loop; of `stacked` */
  } of[2];
} sum_product;

typedef struct stack {
  jm_module *m;
  const jm_target *target;
  jm_region_id region; /* that the loop is in */
  jm_op_id loop;
  uint32_t counter;
  int64_t iterations;
  double bytes; /* held by what is stacked */
  jm_arena scratch;
  row_product *rows;
  sum_product *sums;
  stacked *stacked;
  uint32_t n_rows, n_sums, n_stacked;
} stack;

static jm_op *loop_of(const stack *s) { return jm_module_op(s->m, s->loop); }
static jm_region *body_of(const stack *s) { return jm_op_region(s->m, loop_of(s), 1); }
static jm_value counter_of(const stack *s) { return body_of(s)->first_arg + s->counter; }

/* The operand of the loop that a value of the body captures; JM_NONE: it is no capture. */
static uint32_t capture_of(const stack *s, jm_value v) {
  const jm_op *loop = loop_of(s);
  const uint32_t i = v - body_of(s)->first_arg;
  return v >= body_of(s)->first_arg && i >= loop->n_results && i < loop->n_operands ? i : JM_NONE;
}

/* The slice of one row, the first dimension, of a captured array with a row for each iteration,
 * behind reshapes; NULL: the value is something else. */
static const jm_op *row_slice_find(const stack *s, jm_value v, jm_op_id *id) {
  const jm_op *op = jm_module_definition(s->m, v);
  while (op && op->code == JM_OP_reshape) {
    v = op->operands[0];
    op = jm_module_definition(s->m, v);
  }
  if (!op || op->code != JM_OP_dynamic_slice || capture_of(s, op->operands[0]) == JM_NONE)
    return NULL;
  const jm_type *all = jm_op_operand_type(s->m, op, 0), *part = jm_op_result_type(s->m, op, 0);
  if (!all->rank || part->dims[0] != 1 || all->dims[0] != s->iterations) return NULL;
  for (uint32_t d = 1; d < all->rank; d++)
    if (part->dims[d] != all->dims[d]) return NULL;
  *id = s->m->values[v].op;
  return op;
}

/* Is the value known before the loop? */
static bool is_outside(const stack *s, jm_value v) {
  return capture_of(s, v) != JM_NONE || jm_rewrite_constant(s->m, v);
}

/* -- does it pay? */

static double type_bytes(const jm_type *type) { return (double)jm_type_bytes(type); }

/* What one large product saves in each iteration. A product that is large already gains nothing. */
static double saved_ns(const stack *s, const jm_op *product) {
  const double macs = jm_op_count_flops(s->m, product) / 2;
  return s->target->cost.launch_ns +
         (macs <= s->target->stack.macs ? macs * s->target->stack.mac_ns : 0);
}

/* Room for another stacked array, each row of which is written and read once? */
static bool fits(const stack *s, double row_bytes) {
  return s->bytes + row_bytes * (double)s->iterations <= (double)s->target->stack.bytes;
}

static double moved_ns(const stack *s, double bytes) { return bytes * s->target->cost.byte_ns; }

/* -- finding products of rows */

/* May the product's arrays have one dimension more? */
static bool grows(const stack *s, const jm_op *product) {
  return jm_op_operand_type(s->m, product, 0)->rank < JM_RANK_MAX &&
         jm_op_operand_type(s->m, product, 1)->rank < JM_RANK_MAX &&
         jm_op_result_type(s->m, product, 0)->rank < JM_RANK_MAX;
}

static void find_row_product(stack *s, jm_op_id id) {
  const jm_op *op = jm_module_op(s->m, id);
  if (!grows(s, op)) return;
  const double bytes = type_bytes(jm_op_result_type(s->m, op, 0));
  if (!fits(s, bytes) || 2 * moved_ns(s, bytes) > saved_ns(s, op)) return;
  for (uint32_t side = 0; side < 2; side++) {
    jm_op_id slice;
    if (!is_outside(s, op->operands[1 - side]) || !row_slice_find(s, op->operands[side], &slice))
      continue;
    s->rows[s->n_rows++] = (row_product){.product = id, .slice = slice, .side = side};
    s->bytes += bytes * (double)s->iterations;
    return;
  }
}

/* -- finding sums of products */

/* May sums over the iterations be reordered without another rounding of each? */
static bool sums_freely(jm_dtype dtype) {
  if (jm_dtype_is_float(dtype)) return jm_dtype_bytes(dtype) >= 4;
  return jm_dtype_is_complex(dtype) ||
         (jm_dtype_is_integer(dtype) && jm_dtype_facts[dtype].bits >= 8);
}

/* The product that the carry's next value adds to it, if nothing else uses any of them. */
static jm_op_id summand_find(const stack *s, uint32_t carry) {
  const jm_module *m = s->m;
  const jm_region *cond = jm_op_region(m, loop_of(s), 0), *body = body_of(s);
  const jm_value argument = body->first_arg + carry;
  const jm_op *add = jm_module_definition(m, body->results[carry]);
  if (!add || add->code != JM_OP_add || !sums_freely(jm_module_typeof(m, argument)->dtype))
    return JM_NONE;
  const uint32_t side = add->operands[0] == argument;
  const jm_value product = add->operands[side];
  const jm_op *op = jm_module_definition(m, product);
  if (add->operands[1 - side] != argument || !op || op->code != JM_OP_dot_general ||
      jm_region_count_uses(m, cond, cond->first_arg + carry) ||
      jm_region_count_uses(m, body, argument) != 1 || jm_region_count_uses(m, body, product) != 1 ||
      jm_region_count_uses(m, body, add->first_result) != 1)
    return JM_NONE;
  return m->values[product].op;
}

/* The value among the first n that are stacked; n: it is not. */
static uint32_t stacked_find(const stack *s, uint32_t n, jm_value v, jm_row_order order) {
  uint32_t i = 0;
  while (i < n && (s->stacked[i].v != v || s->stacked[i].order != order)) i++;
  return i;
}

static void find_sum_product(stack *s, uint32_t carry) {
  const jm_op_id id = summand_find(s, carry);
  if (id == JM_NONE || !grows(s, jm_module_op(s->m, id))) return;
  const jm_op *op = jm_module_op(s->m, id);
  sum_product sum = {.carry = carry, .product = id};
  jm_row_order order = JM_ROWS_NONE;
  jm_value at = counter_of(s);
  for (uint32_t i = 0; i < 2; i++) {
    jm_op_id slice;
    if (is_outside(s, op->operands[i])) return;
    const jm_op *row = row_slice_find(s, op->operands[i], &slice);
    const jm_row_order found =
        row ? jm_loop_row_order(s->m, row->operands[1], counter_of(s), s->iterations - 1)
            : JM_ROWS_NONE;
    sum.of[i].is_stacked = found == JM_ROWS_NONE || (order != JM_ROWS_NONE && order != found);
    if (sum.of[i].is_stacked) continue;
    sum.of[i].number = capture_of(s, row->operands[0]);
    order = found;
    at = row->operands[1];
  }
  if (order == JM_ROWS_NONE) order = JM_ROWS_FORWARD;
  uint32_t n = s->n_stacked;
  double bytes = 0;
  for (uint32_t i = 0; i < 2; i++) {
    if (!sum.of[i].is_stacked) continue;
    sum.of[i].number = stacked_find(s, n, op->operands[i], order);
    if (sum.of[i].number < n) continue;
    s->stacked[n] = (stacked){op->operands[i], at, order};
    sum.of[i].number = n++;
    bytes += type_bytes(jm_op_operand_type(s->m, op, i));
  }
  /* The product is not written and read, the sum neither read nor written. */
  const double saved =
      saved_ns(s, op) + moved_ns(s, 2 * type_bytes(jm_op_result_type(s->m, op, 0)));
  if (!fits(s, bytes) || 2 * moved_ns(s, bytes) > saved) return;
  s->bytes += bytes * (double)s->iterations;
  s->n_stacked = n;
  s->sums[s->n_sums++] = sum;
}

/* -- building */

/* [iterations, dims of the value's type] */
static jm_error *stacked_type(const stack *s, const jm_type *row, const jm_type **out) {
  int64_t dims[JM_RANK_MAX];
  dims[0] = s->iterations;
  memcpy(dims + 1, row->dims, row->rank * sizeof *dims);
  return jm_module_type(s->m, row->dtype, row->rank + 1, dims, out);
}

/* A captured or constant value of the body, outside. */
static jm_error *outside(stack *s, jm_value v, jm_value *out) {
  const uint32_t i = capture_of(s, v);
  if (i != JM_NONE) {
    *out = loop_of(s)->operands[i];
    return NULL;
  }
  const jm_op *op = jm_module_definition(s->m, v);
  return jm_build_one(s->m, s->region, op->code, NULL, 0, op->attrs, jm_module_typeof(s->m, v),
                      op->loc, out);
}

/* The list with every number greater by one, behind 0 if this one is among them. */
static jm_error *shifted(stack *s, jm_i64s *list, bool with_zero) {
  int64_t *data = jm_arena_alloc(&s->m->arena, list->n + with_zero, sizeof *data);
  if (!data) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < list->n; i++) data[i + with_zero] = list->data[i] + 1;
  *list = (jm_i64s){.data = data, .n = list->n + with_zero};
  return NULL;
}

/* The result's dimension that the operand's dimension 0 becomes, once it is new. */
static uint32_t new_dimension(const jm_dot_general_attrs *a, const jm_type *lhs, uint32_t side) {
  return side ? lhs->rank - a->lhs_contract.n : a->lhs_batch.n;
}

/* Before the loop: the product of all rows. */
static jm_error *build_row_product(stack *s, row_product *row) {
  jm_module *m = s->m;
  const jm_op op = *jm_module_op(m, row->product), slice = *jm_module_op(m, row->slice);
  jm_dot_general_attrs attrs = *(const jm_dot_general_attrs *)op.attrs;
  const jm_type *to = jm_op_result_type(m, &op, 0), *type;
  const uint32_t along = new_dimension(&attrs, jm_op_operand_type(m, &op, 0), row->side);
  jm_value operands[2];
  JM_TRY(outside(s, slice.operands[0], &operands[row->side]));
  JM_TRY(outside(s, op.operands[1 - row->side], &operands[1 - row->side]));
  JM_TRY(stacked_type(s, jm_op_operand_type(m, &op, row->side), &type));
  JM_TRY(jm_build_unary(m, s->region, JM_OP_reshape, operands[row->side], type, op.loc,
                        &operands[row->side]));
  JM_TRY(shifted(s, row->side ? &attrs.rhs_batch : &attrs.lhs_batch, false));
  JM_TRY(shifted(s, row->side ? &attrs.rhs_contract : &attrs.lhs_contract, false));
  int64_t dims[JM_RANK_MAX];
  memcpy(dims, to->dims, along * sizeof *dims);
  dims[along] = s->iterations;
  memcpy(dims + along + 1, to->dims + along, (to->rank - along) * sizeof *dims);
  JM_TRY(jm_module_type(m, to->dtype, to->rank + 1, dims, &type));
  return jm_build_one(m, s->region, op.code, operands, 2, &attrs, type, op.loc, &row->all);
}

/* Moves the region's last n ops to before the op at `at`. */
static jm_error *move_last(stack *s, jm_region_id id, uint32_t n, uint32_t at) {
  jm_region *region = jm_module_region(s->m, id);
  jm_op_id *moved = jm_arena_copy(&s->scratch, region->ops + region->n_ops - n, n, sizeof *moved);
  if (!moved) return jm_error_out_of_memory();
  memmove(region->ops + at + n, region->ops + at, (region->n_ops - n - at) * sizeof *region->ops);
  memcpy(region->ops + at, moved, n * sizeof *moved);
  return NULL;
}

static jm_error *zero_build(stack *s, jm_region_id region, const jm_type *type, uint32_t loc,
                            jm_value *out) {
  static const char zero[16]; /* of any type */
  return jm_build_splat(s->m, region, type, zero, loc, out);
}

/* Inside: the row of the product that was computed before the loop, in the product's place. */
static jm_error *take_row(stack *s, jm_region_id body, const row_product *row, jm_value all) {
  jm_module *m = s->m;
  const jm_op op = *jm_module_op(m, row->product), slice = *jm_module_op(m, row->slice);
  const jm_type *from = jm_module_typeof(m, all), *type, *to = jm_op_result_type(m, &op, 0);
  const uint32_t along = new_dimension(op.attrs, jm_op_operand_type(m, &op, 0), row->side);
  const uint32_t n_before = jm_module_region(m, body)->n_ops;
  jm_dynamic_slice_attrs attrs = {0};
  int64_t *sizes = jm_arena_copy(&m->arena, from->dims, from->rank, sizeof *sizes);
  if (!sizes) return jm_error_out_of_memory();
  sizes[along] = 1;
  attrs.sizes = (jm_i64s){.data = sizes, .n = from->rank};
  jm_value operands[JM_RANK_MAX + 1] = {all}, zero, v;
  JM_TRY(zero_build(s, body, jm_module_typeof(m, slice.operands[1]), op.loc, &zero));
  for (uint32_t d = 0; d < from->rank; d++) operands[1 + d] = d == along ? slice.operands[1] : zero;
  JM_TRY(jm_module_type(m, from->dtype, from->rank, sizes, &type));
  JM_TRY(jm_build_one(m, body, JM_OP_dynamic_slice, operands, from->rank + 1, &attrs, type, op.loc,
                      &v));
  JM_TRY(jm_build_unary(m, body, JM_OP_reshape, v, to, op.loc, &v));
  jm_value *map = jm_arena_alloc(&s->scratch, op.first_result + 1, sizeof *map);
  if (!map) return jm_error_out_of_memory();
  for (jm_value i = 0; i < op.first_result; i++) map[i] = i;
  map[op.first_result] = v; /* nothing uses the product any more */
  jm_rewrite_uses(m, body, map, op.first_result + 1);
  const jm_region *region = jm_module_region(m, body);
  uint32_t at = 0;
  while (region->ops[at] != row->product) at++;
  return move_last(s, body, region->n_ops - n_before, at);
}

/* -- changing the loop */

/* Arguments of a region of the loop: the old carries, the new ones, the old captures, the new. */
static jm_error *extend_args(stack *s, jm_region_id region, const jm_type *const *carries,
                             const jm_type *const *captures) {
  const jm_op *loop = loop_of(s);
  const uint32_t n_carries = loop->n_results, n_old = loop->n_operands;
  const uint32_t n = n_old + s->n_stacked + s->n_rows;
  uint32_t *from = jm_arena_alloc(&s->scratch, n, sizeof *from), k = 0;
  const jm_type **types = jm_arena_alloc(&s->scratch, n, sizeof *types);
  if (!from || !types) return jm_error_out_of_memory();
  const jm_value first = jm_module_region(s->m, region)->first_arg;
  for (uint32_t i = 0; i < n_old; i++) {
    if (i == n_carries) k += s->n_stacked;
    types[k] = jm_module_typeof(s->m, first + i);
    from[k++] = i;
  }
  if (n_old == n_carries) k += s->n_stacked;
  for (uint32_t i = 0; i < s->n_stacked; i++) {
    types[n_carries + i] = carries[i];
    from[n_carries + i] = JM_NONE;
  }
  for (uint32_t i = 0; i < s->n_rows; i++) {
    types[k] = captures[i];
    from[k++] = JM_NONE;
  }
  return jm_rewrite_args(s->m, region, from, types, n);
}

/* The loop's operands: in the same order. */
static jm_error *extend_operands(stack *s, const jm_value *carries) {
  jm_op *loop = loop_of(s);
  const uint32_t n_carries = loop->n_results, n = loop->n_operands;
  jm_value *operands = jm_arena_alloc(&s->m->arena, n + s->n_stacked + s->n_rows, sizeof *operands);
  if (!operands) return jm_error_out_of_memory();
  memcpy(operands, loop->operands, n_carries * sizeof *operands);
  memcpy(operands + n_carries, carries, s->n_stacked * sizeof *operands);
  memcpy(operands + n_carries + s->n_stacked, loop->operands + n_carries,
         (n - n_carries) * sizeof *operands);
  for (uint32_t i = 0; i < s->n_rows; i++) operands[n + s->n_stacked + i] = s->rows[i].all;
  loop->operands = operands;
  loop->n_operands = n + s->n_stacked + s->n_rows;
  loop->n_captures += s->n_rows;
  return NULL;
}

/* Inside: the value's row is written to the stacked array, the argument of the body. */
static jm_error *put_row(stack *s, jm_region_id body, const stacked *x, jm_value all,
                         jm_value *out) {
  jm_module *m = s->m;
  const jm_type *to = jm_module_typeof(m, all), *row;
  int64_t dims[JM_RANK_MAX];
  memcpy(dims, to->dims, to->rank * sizeof *dims);
  dims[0] = 1;
  jm_value operands[JM_RANK_MAX + 2] = {all, x->v, x->at}, zero;
  JM_TRY(jm_module_type(m, to->dtype, to->rank, dims, &row));
  JM_TRY(jm_build_unary(m, body, JM_OP_reshape, x->v, row, JM_NONE, &operands[1]));
  JM_TRY(zero_build(s, body, jm_module_typeof(m, x->at), JM_NONE, &zero));
  for (uint32_t d = 1; d < to->rank; d++) operands[2 + d] = zero;
  return jm_build_one(m, body, JM_OP_dynamic_update_slice, operands, to->rank + 2, NULL, to,
                      JM_NONE, out);
}

/* The number that a value of the body has after extend_args: arguments were numbered anew. */
static jm_value renamed(const stack *s, jm_value v, jm_value old_first, uint32_t n_old) {
  const uint32_t i = v - old_first, n_carries = loop_of(s)->n_results;
  if (v < old_first || i >= n_old) return v;
  return body_of(s)->first_arg + i + (i < n_carries ? 0 : s->n_stacked);
}

static jm_error *change_body(stack *s, jm_value old_first, uint32_t n_old) {
  jm_module *m = s->m;
  const uint32_t n_carries = loop_of(s)->n_results;
  const jm_region_id id = loop_of(s)->first_region + 1;
  const jm_value first = body_of(s)->first_arg;
  const jm_value first_row = first + n_old + s->n_stacked;
  jm_value *results = jm_arena_alloc(&m->arena, n_carries + s->n_stacked, sizeof *results);
  if (!results) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < s->n_stacked; i++) {
    stacked *x = &s->stacked[i];
    x->v = renamed(s, x->v, old_first, n_old);
    x->at = renamed(s, x->at, old_first, n_old);
    JM_TRY(put_row(s, id, x, first + n_carries + i, &results[n_carries + i]));
  }
  jm_region *body = jm_module_region(m, id);
  memcpy(results, body->results, n_carries * sizeof *results);
  for (uint32_t i = 0; i < s->n_sums; i++) results[s->sums[i].carry] = first + s->sums[i].carry;
  body->results = results;
  body->n_results = n_carries + s->n_stacked;
  for (uint32_t i = 0; i < s->n_rows; i++) JM_TRY(take_row(s, id, &s->rows[i], first_row + i));
  return NULL;
}

/* The loop's results: the old ones and the stacked arrays. map: by old value. */
static jm_error *extend_results(stack *s, const jm_type *const *carries, jm_value *map) {
  jm_module *m = s->m;
  const jm_value old = loop_of(s)->first_result;
  const uint32_t n = loop_of(s)->n_results;
  uint32_t *from = jm_arena_alloc(&s->scratch, n + s->n_stacked, sizeof *from);
  if (!from) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) from[i] = i; /* the new ones are like result 0, for now */
  JM_TRY(jm_rewrite_results(m, s->loop, from, n + s->n_stacked, map));
  const jm_value first = loop_of(s)->first_result;
  for (uint32_t i = 0; i < n; i++) map[old + i] = first + i;
  for (uint32_t i = 0; i < s->n_stacked; i++) m->values[first + n + i].type = carries[i];
  return NULL;
}

/* After the loop: the product of all rows, added to the carry's initial value. */
static jm_error *build_sum_product(stack *s, const sum_product *sum, jm_value *out) {
  jm_module *m = s->m;
  const jm_op op = *jm_module_op(m, sum->product);
  const jm_op loop = *loop_of(s);
  const uint32_t n_carries = loop.n_results - s->n_stacked;
  jm_dot_general_attrs attrs = *(const jm_dot_general_attrs *)op.attrs;
  const jm_type *to = jm_op_result_type(m, &op, 0), *type;
  jm_value operands[2], product;
  for (uint32_t i = 0; i < 2; i++) {
    const uint32_t number = sum->of[i].number;
    if (sum->of[i].is_stacked) {
      operands[i] = loop.first_result + n_carries + number;
      continue;
    }
    JM_TRY(stacked_type(s, jm_op_operand_type(m, &op, i), &type));
    JM_TRY(jm_build_unary(m, s->region, JM_OP_reshape, loop.operands[number + s->n_stacked], type,
                          op.loc, &operands[i]));
  }
  JM_TRY(shifted(s, &attrs.lhs_batch, false));
  JM_TRY(shifted(s, &attrs.rhs_batch, false));
  JM_TRY(shifted(s, &attrs.lhs_contract, true));
  JM_TRY(shifted(s, &attrs.rhs_contract, true));
  JM_TRY(jm_build_one(m, s->region, op.code, operands, 2, &attrs, to, op.loc, &product));
  return jm_build_binary(m, s->region, JM_OP_add, loop.operands[sum->carry], product, to, op.loc,
                         out);
}

/* at: the loop's place in its region, then that of the last op that belongs to it. */
static jm_error *change_loop(stack *s, uint32_t *at) {
  jm_module *m = s->m;
  const uint32_t n_ops = jm_module_region(m, s->region)->n_ops;
  const jm_value old_first = body_of(s)->first_arg;
  const uint32_t n_old = loop_of(s)->n_operands, n_map = m->n_values;
  const jm_type **carries = jm_arena_alloc(&s->scratch, s->n_stacked, sizeof *carries);
  const jm_type **captures = jm_arena_alloc(&s->scratch, s->n_rows, sizeof *captures);
  jm_value *initial = jm_arena_alloc(&s->scratch, s->n_stacked, sizeof *initial);
  jm_value *map = jm_arena_alloc(&s->scratch, n_map, sizeof *map);
  if (!carries || !captures || !initial || !map) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < s->n_stacked; i++) {
    JM_TRY(stacked_type(s, jm_module_typeof(m, s->stacked[i].v), &carries[i]));
    JM_TRY(zero_build(s, s->region, carries[i], JM_NONE, &initial[i]));
  }
  for (uint32_t i = 0; i < s->n_rows; i++) {
    JM_TRY(build_row_product(s, &s->rows[i]));
    captures[i] = jm_module_typeof(m, s->rows[i].all);
  }
  const uint32_t n_before = jm_module_region(m, s->region)->n_ops - n_ops;
  JM_TRY(move_last(s, s->region, n_before, *at));
  JM_TRY(extend_args(s, loop_of(s)->first_region, carries, captures));
  JM_TRY(extend_args(s, loop_of(s)->first_region + 1, carries, captures));
  JM_TRY(extend_operands(s, initial));
  JM_TRY(change_body(s, old_first, n_old));
  for (jm_value v = 0; v < n_map; v++) map[v] = v;
  const jm_value old_result = loop_of(s)->first_result;
  JM_TRY(extend_results(s, carries, map));
  for (uint32_t i = 0; i < s->n_sums; i++)
    JM_TRY(build_sum_product(s, &s->sums[i], &map[old_result + s->sums[i].carry]));
  const uint32_t n_after = jm_module_region(m, s->region)->n_ops - n_ops - n_before;
  *at += n_before;
  JM_TRY(move_last(s, s->region, n_after, *at + 1));
  *at += n_after;
  jm_rewrite_uses(m, s->region, map, n_map);
  return NULL;
}

static jm_error *find(stack *s) {
  const jm_region *body = body_of(s);
  const uint32_t n_carries = loop_of(s)->n_results;
  s->rows = jm_arena_alloc(&s->scratch, body->n_ops, sizeof *s->rows);
  s->sums = jm_arena_alloc(&s->scratch, n_carries, sizeof *s->sums);
  s->stacked = jm_arena_alloc(&s->scratch, 2 * n_carries, sizeof *s->stacked);
  if (!s->rows || !s->sums || !s->stacked) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n_carries; i++) find_sum_product(s, i);
  for (uint32_t i = 0; i < body->n_ops; i++)
    if (jm_module_op(s->m, body->ops[i])->code == JM_OP_dot_general)
      find_row_product(s, body->ops[i]);
  return NULL;
}

static jm_error *visit(stack *s, uint32_t *at, bool *changed) {
  s->counter = jm_loop_counter_find(s->m, loop_of(s), &s->iterations);
  if (s->counter == JM_NONE || s->iterations < 2) return NULL;
  JM_TRY(find(s));
  if (!s->n_rows && !s->n_sums) return NULL;
  *changed = true;
  return change_loop(s, at);
}

/* Inner loops first; those of fusions are kernels already. Recursion is bounded by JM_DEPTH_MAX. */
static jm_error *walk(jm_module *m, const jm_target *target, jm_region_id region, bool *changed) {
  for (uint32_t i = 0; i < jm_module_region(m, region)->n_ops; i++) {
    const jm_op_id id = jm_module_region(m, region)->ops[i];
    const jm_op op = *jm_module_op(m, id);
    if (op.code == JM_OP_fusion) continue;
    for (uint32_t r = 0; r < op.n_regions; r++)
      JM_TRY(walk(m, target, op.first_region + r, changed));
    if (op.code != JM_OP_while) continue;
    stack s = {.m = m, .target = target, .region = region, .loop = id};
    jm_arena_init(&s.scratch);
    jm_error *error = visit(&s, &i, changed);
    jm_arena_deinit(&s.scratch);
    JM_TRY(error);
  }
  return NULL;
}

jm_error *jm_pass_stack(jm_module *m, const jm_pass_options *options, bool *changed) {
  return walk(m, options->target, m->entry, changed);
}
