/* SPDX-License-Identifier: Apache-2.0
 * The order in which a product's result is computed: the left operand's free dimensions first, or
 * the right one's. The product of exchanged operands has the same sums, and a transpose behind it,
 * which its users take in:
 *
 *   %y: f32[480,800] = dot_general %w, %x lhs_contract=[0] rhs_contract=[1]
 * becomes
 *   %z: f32[800,480] = dot_general %x, %w lhs_contract=[1] rhs_contract=[0]
 *   %y: f32[480,800] = transpose %z permutation=[1,0]
 *
 * where that saves copies: of operands that the library can't read where they are, of the result by
 * the products that use it, and by transposes, which cost least if what is last stays last.
 * Products are decided in their order, each by what it costs itself, its users, and theirs. */
#include <string.h>

#include "base/alloc.h"
#include "pass/rewrite.h"

typedef struct use {
  jm_op_id op; /* JM_NONE: a result of the region */
  uint32_t next;
} use;

typedef struct uses {
  uint32_t *first; /* per value, JM_NONE: none */
  use *list;
  uint32_t n;
} uses;

enum { MOST_USES = 8 };

/* A value of the program, and the order in which its dimensions lie in memory. */
typedef struct layout {
  const jm_type *type;
  int64_t order[JM_RANK_MAX];
  uint32_t n; /* of `order` */
} layout;

static layout plain(const jm_type *type) {
  layout l = {.type = type, .n = type->rank};
  for (uint32_t d = 0; d < type->rank; d++) l.order[d] = d;
  return l;
}

/* Without dimensions of size 1. */
static layout squeezed(const layout *x) {
  layout l = {.type = x->type};
  for (uint32_t i = 0; i < x->n; i++)
    if (x->type->dims[x->order[i]] != 1) l.order[l.n++] = x->order[i];
  return l;
}

/* An operand of a product. */
typedef struct side {
  layout layout;
  jm_i64s batch, contract;
} side;

static bool is_free(const side *s, int64_t dim) {
  return !jm_i64s_contains(s->batch, dim) && !jm_i64s_contains(s->contract, dim);
}

static uint32_t count_free(const side *s) {
  return s->layout.type->rank - s->batch.n - s->contract.n;
}

/* Appends the side's free dimensions, as the result's, of which the first is number `first`. */
static void add_free(const side *s, uint32_t first, layout *result) {
  int64_t number[JM_RANK_MAX], next = first;
  for (uint32_t d = 0; d < s->layout.type->rank; d++) number[d] = is_free(s, d) ? next++ : -1;
  for (uint32_t i = 0; i < s->layout.n; i++)
    if (number[s->layout.order[i]] >= 0) result->order[result->n++] = number[s->layout.order[i]];
}

/* How the result lies in memory. */
static layout result_of(const jm_type *type, const side sides[2], bool exchanged) {
  const uint32_t n_batch = sides[0].batch.n;
  const uint32_t first[2] = {n_batch, n_batch + count_free(&sides[0])};
  layout result = {.type = type};
  for (uint32_t d = 0; d < n_batch; d++) result.order[result.n++] = d;
  for (uint32_t i = 0; i < 2; i++) add_free(&sides[i != exchanged], first[i != exchanged], &result);
  return result;
}

/* -- costs, in bytes that are copied */

static double bytes_of(const jm_type *type) { return (double)jm_type_bytes(type); }

/* Of a product that reads an operand as its rows or columns. What lies together is one group;
 * several are a product each, if they are large and consecutive, else they are copied. */
static double cost_of_side(const side *s, bool has_rows, const jm_target *target) {
  const layout x = squeezed(&s->layout);
  if (!x.n) return 0;
  int64_t group = 1, chosen = 0;
  uint32_t n_groups = 0;
  bool is_dense = false, goes_on = false;
  for (uint32_t i = 0; i < x.n; i++) {
    const bool counts = is_free(s, x.order[i]);
    group = (counts && goes_on ? group : 1) * x.type->dims[x.order[i]];
    n_groups += counts && !goes_on;
    goes_on = counts;
    if (!counts || (has_rows && group < chosen)) continue;
    chosen = group;
    is_dense = i + 1 == x.n;
  }
  const int64_t last = x.order[x.n - 1];
  if (jm_i64s_contains(s->batch, last)) return target->product.far * bytes_of(x.type);
  is_dense |= jm_i64s_contains(s->contract, last);
  const bool is_read = n_groups < 2 || (is_dense && chosen >= target->product.least_group);
  return is_read ? 0 : target->product.near * bytes_of(x.type);
}

/* Whether the last n dimensions are the same, in any order. */
static bool ends_alike(const layout *x, const layout *y, uint32_t n) {
  const jm_i64s end = {&y->order[y->n - n], n};
  for (uint32_t i = x->n - n; i < x->n; i++)
    if (!jm_i64s_contains(end, x->order[i])) return false;
  return true;
}

/* Of bringing a value to another order. */
static double cost_of_move(const layout *from, const layout *to, const jm_target *target) {
  const layout x = squeezed(from), y = squeezed(to);
  const double bytes = bytes_of(x.type);
  if (!x.n || !memcmp(x.order, y.order, x.n * sizeof *x.order)) return 0;
  int64_t block = (int64_t)jm_dtype_bytes(x.type->dtype);
  for (uint32_t n = 1; n < x.n; n++) {
    block *= x.type->dims[x.order[x.n - n]];
    if (block > target->product.block) break;
    if (ends_alike(&x, &y, n))
      return bytes * (n > 1 || block < target->product.line ? target->product.near : 1);
  }
  return target->product.far * bytes;
}

static double cost_of_transpose(const layout *x, const jm_op *user, const jm_target *target) {
  const jm_i64s permutation = ((const jm_transpose_attrs *)user->attrs)->permutation;
  layout to = {.type = x->type, .n = permutation.n};
  memcpy(to.order, permutation.data, permutation.n * sizeof *to.order);
  return cost_of_move(x, &to, target);
}

static void init_sides(const jm_module *m, const jm_op *op, side sides[2]) {
  const jm_dot_general_attrs *a = op->attrs;
  sides[0] = (side){plain(jm_op_operand_type(m, op, 0)), a->lhs_batch, a->lhs_contract};
  sides[1] = (side){plain(jm_op_operand_type(m, op, 1)), a->rhs_batch, a->rhs_contract};
}

typedef struct chooser {
  const jm_module *m;
  const jm_target *target;
  const uses *uses;
} chooser;

static double cost_of_users(const chooser *c, jm_value value, const layout *x, uint32_t depth);

/* Of a product, and of as many generations of its users. */
static double cost_of_product(const chooser *c, const jm_op *op, const side sides[2],
                              bool exchanged, uint32_t depth) {
  const layout result = result_of(jm_op_result_type(c->m, op, 0), sides, exchanged);
  return cost_of_side(&sides[0], !exchanged, c->target) +
         cost_of_side(&sides[1], exchanged, c->target) +
         cost_of_users(c, op->first_result, &result, depth);
}

/* Of a product that takes a value of this layout as one operand or both. */
static double cost_of_user(const chooser *c, const jm_op *op, jm_value value, const layout *x,
                           uint32_t depth) {
  side sides[2];
  init_sides(c->m, op, sides);
  for (uint32_t i = 0; i < 2; i++)
    if (op->operands[i] == value) sides[i].layout = *x;
  const double kept = cost_of_product(c, op, sides, false, depth);
  const double exchanged = cost_of_product(c, op, sides, true, depth);
  return exchanged < kept ? exchanged : kept;
}

static double cost_of_users(const chooser *c, jm_value value, const layout *x, uint32_t depth) {
  const layout program = plain(x->type);
  double sum = 0;
  for (uint32_t u = c->uses->first[value]; depth && u != JM_NONE; u = c->uses->list[u].next) {
    const use *use = &c->uses->list[u];
    const jm_op *op = use->op == JM_NONE ? NULL : jm_module_op(c->m, use->op);
    if (op && op->code == JM_OP_dot_general)
      sum += cost_of_user(c, op, value, x, depth - 1);
    else if (op && op->code == JM_OP_transpose)
      sum += cost_of_transpose(x, op, c->target);
    else
      sum += cost_of_move(x, &program, c->target);
  }
  return sum;
}

static uint32_t count_uses(const uses *uses, jm_value value) {
  uint32_t n = 0;
  for (uint32_t u = uses->first[value]; u != JM_NONE; u = uses->list[u].next) n++;
  return n;
}

static bool should_exchange(const chooser *c, const jm_op *op, const side sides[2]) {
  if (count_uses(c->uses, op->first_result) > MOST_USES) return false;
  const double kept = cost_of_product(c, op, sides, false, 2);
  return kept - cost_of_product(c, op, sides, true, 2) > (double)c->target->product.gain;
}

/* -- rewriting */

static jm_error *move_all(jm_module *m, jm_i64s permutation, jm_i64s *dims) {
  int64_t *data = jm_arena_alloc(&m->arena, dims->n, sizeof *data);
  if (!data) return jm_error_out_of_memory();
  for (uint32_t k = 0; k < dims->n; k++) data[k] = permutation.data[dims->data[k]];
  dims->data = data;
  return NULL;
}

/* An operand behind a transpose of this pass is read as it lies in memory: its layout, and the
 * dimension numbers there. */
static jm_error *read_behind(const jm_rewrite *rw, jm_value *operand, layout *x, jm_i64s *batch,
                             jm_i64s *contract) {
  const jm_op *made = jm_module_definition(rw->m, *operand);
  if (*operand < rw->n_map || !made || made->code != JM_OP_transpose) return NULL;
  const jm_i64s permutation = ((const jm_transpose_attrs *)made->attrs)->permutation;
  for (uint32_t d = 0; d < permutation.n; d++) x->order[permutation.data[d]] = d;
  *operand = made->operands[0];
  JM_TRY(move_all(rw->m, permutation, batch));
  return move_all(rw->m, permutation, contract);
}

/* The product whose result lies in memory as the layout says, and the transpose behind it. */
static jm_error *build(jm_rewrite *rw, jm_region_id region, const jm_op *op,
                       const jm_value operands[2], const jm_dot_general_attrs *attrs,
                       const layout *result, jm_value *out) {
  jm_module *m = rw->m;
  const jm_type *type;
  int64_t dims[JM_RANK_MAX], *permutation;
  permutation = jm_arena_alloc(&m->arena, result->n, sizeof *permutation);
  if (!permutation) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < result->n; i++) {
    dims[i] = result->type->dims[result->order[i]];
    permutation[result->order[i]] = i;
  }
  JM_TRY(jm_module_type(m, result->type->dtype, result->n, dims, &type));
  JM_TRY(jm_build_one(m, region, JM_OP_dot_general, operands, 2, attrs, type, op->loc, out));
  const layout program = plain(result->type);
  if (!memcmp(program.order, result->order, result->n * sizeof *program.order)) return NULL;
  const jm_transpose_attrs transpose = {.permutation = {permutation, result->n}};
  return jm_build_one(m, region, JM_OP_transpose, out, 1, &transpose, result->type, op->loc, out);
}

static jm_error *visit(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  if (jm_module_op(rw->m, id)->code != JM_OP_dot_general) return NULL;
  const jm_op op = *jm_module_op(rw->m, id); /* building moves the ops */
  const chooser c = {rw->m, rw->options->target, rw->context};
  jm_dot_general_attrs attrs = *(const jm_dot_general_attrs *)op.attrs;
  jm_value operands[2] = {op.operands[0], op.operands[1]}, out;
  side sides[2];
  init_sides(rw->m, &op, sides);
  JM_TRY(read_behind(rw, &operands[0], &sides[0].layout, &attrs.lhs_batch, &attrs.lhs_contract));
  JM_TRY(read_behind(rw, &operands[1], &sides[1].layout, &attrs.rhs_batch, &attrs.rhs_contract));
  const bool exchanged = should_exchange(&c, &op, sides);
  if (!exchanged && operands[0] == op.operands[0] && operands[1] == op.operands[1]) return NULL;
  const jm_type *type = jm_op_result_type(rw->m, &op, 0);
  const layout result = result_of(type, sides, exchanged);
  if (exchanged) {
    jm_rewrite_exchange(&attrs);
    const jm_value first = operands[0];
    operands[0] = operands[1];
    operands[1] = first;
  }
  JM_TRY(build(rw, region, &op, operands, &attrs, &result, &out));
  jm_rewrite_replace(rw, op.first_result, out);
  rw->drop = true;
  return NULL;
}

static void add_uses(const jm_module *m, jm_region_id id, uses *uses) {
  const jm_region *region = jm_module_region(m, id);
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    for (uint32_t k = 0; k < op->n_operands; k++) {
      uint32_t *first = &uses->first[op->operands[k]];
      if (*first != JM_NONE && uses->list[*first].op == region->ops[i])
        continue; /* both operands */
      uses->list[uses->n] = (use){region->ops[i], *first};
      *first = uses->n++;
    }
  }
  for (uint32_t i = 0; i < region->n_results; i++) {
    uint32_t *first = &uses->first[region->results[i]];
    uses->list[uses->n] = (use){JM_NONE, *first};
    *first = uses->n++;
  }
}

static jm_error *find_uses(const jm_module *m, uses *uses) {
  jm_region_id *regions = NULL;
  uint32_t n_regions = 0;
  size_t n = 1;
  JM_TRY(jm_rewrite_regions(m, &regions, &n_regions));
  for (uint32_t r = 0; r < n_regions; r++) {
    const jm_region *region = jm_module_region(m, regions[r]);
    n += region->n_results;
    for (uint32_t i = 0; i < region->n_ops; i++) n += jm_module_op(m, region->ops[i])->n_operands;
  }
  uses->first = jm_alloc(m->n_values + 1, sizeof *uses->first);
  uses->list = jm_alloc(n, sizeof *uses->list);
  const bool full = uses->first && uses->list;
  if (full) memset(uses->first, 0xff, m->n_values * sizeof *uses->first); /* JM_NONE */
  for (uint32_t r = 0; full && r < n_regions; r++) add_uses(m, regions[r], uses);
  jm_free(regions);
  return full ? NULL : jm_error_out_of_memory();
}

jm_error *jm_pass_order(jm_module *m, const jm_pass_options *options, bool *changed) {
  uses uses = {0};
  jm_error *error = find_uses(m, &uses);
  if (!error) error = jm_rewrite_run(m, options, visit, &uses, changed);
  jm_free(uses.first);
  jm_free(uses.list);
  return error;
}
