/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/fuse.h"

#include <math.h>
#include <string.h>

#include "base/convert.h"
#include "engine/mlx/lower_rules.h"
#include "engine/mlx/product.h"
#include "ir/body.h"

typedef jm_mlx_array *A;

enum { MAX_INSIDE = 24 };

/* A group that is being looked for. */
typedef struct search {
  const jm_module *m;
  jm_arena *arena;
  const uint32_t *uses; /* per value */
  bool is_gpu;
  jm_op_id inside[MAX_INSIDE];
  uint32_t n_inside;
} search;

/* -- matching */

/* The op of this code that makes a value which has so many users, all of them in the group. */
static const jm_op *inner(search *s, jm_value v, jm_opcode code, uint32_t uses) {
  const jm_op *op = jm_module_definition(s->m, v);
  if (!op || op->code != code || s->uses[v] != uses || s->n_inside == MAX_INSIDE) return NULL;
  s->inside[s->n_inside++] = s->m->values[v].op;
  return op;
}

/* The number that every element of a value is. */
static bool is_number(const search *s, jm_value v, double *out) {
  const void *bytes = jm_lower_constant_of(s->m, v);
  jm_dtype dtype = jm_module_typeof(s->m, v)->dtype;
  if (!bytes || !jm_dtype_is_float(dtype)) return false;
  jm_error *error = jm_convert_run(dtype, JM_DT_f64, bytes, out, 1);
  jm_error_destroy(error);
  return !error;
}

static bool is(const search *s, jm_value v, double wanted) {
  double number;
  return is_number(s, v, &number) && number == wanted;
}

/* reduce by this op along the last dimension alone, from this start on: its operand */
static const jm_op *folds_last(search *s, jm_value v, jm_opcode code, double start) {
  const jm_op *op = inner(s, v, JM_OP_reduce, 1);
  if (!op || op->n_results != 1 || op->n_captures) return NULL;
  const jm_reduce_attrs *attrs = op->attrs;
  jm_opcode folds;
  if (attrs->dims.n != 1 ||
      attrs->dims.data[0] != (int64_t)jm_op_operand_type(s->m, op, 0)->rank - 1 ||
      !jm_body_binary(s->m, op->first_region, &folds) || folds != code ||
      !is(s, op->operands[1], start))
    return NULL;
  return op;
}

/* What is repeated along the last dimension. */
static jm_value repeated(search *s, jm_value v) {
  const jm_op *op = inner(s, v, JM_OP_broadcast_in_dim, 1);
  if (!op || jm_op_operand_type(s->m, op, 0)->rank + 1 != jm_module_typeof(s->m, v)->rank)
    return JM_NONE;
  const jm_broadcast_in_dim_attrs *attrs = op->attrs;
  for (uint32_t i = 0; i < attrs->dims.n; i++)
    if (attrs->dims.data[i] != i ||
        jm_op_operand_type(s->m, op, 0)->dims[i] != jm_module_typeof(s->m, v)->dims[i])
      return JM_NONE;
  return op->operands[0];
}

/* Two transposes that are one: of x, and of what is left of x without its last dimension. */
static bool same_move(const jm_transpose_attrs *whole, const jm_transpose_attrs *rest) {
  uint32_t n = rest->permutation.n;
  for (uint32_t d = 0; d < n; d++)
    if (whole->permutation.data[d] != rest->permutation.data[d]) return false;
  return whole->permutation.data[n] == n;
}

/* x - max(x): x. JAX takes the maximum of -inf, too; and where x is a transpose, the maximum may be
 * that of its operand, transposed: *moved. */
static jm_value less_its_maximum(search *s, jm_value v, bool *moved) {
  const jm_op *less = inner(s, v, JM_OP_subtract, 1), *move = NULL, *again = NULL;
  jm_value most = less ? repeated(s, less->operands[1]) : JM_NONE;
  if (most == JM_NONE) return JM_NONE;
  for (int i = 0; i < 2; i++) {
    const jm_op *op = jm_module_definition(s->m, most);
    if (op && op->code == JM_OP_maximum && !again) {
      bool first = is(s, op->operands[0], -INFINITY);
      if ((!first && !is(s, op->operands[1], -INFINITY)) || !inner(s, most, JM_OP_maximum, 1))
        return JM_NONE;
      again = op;
      most = op->operands[first];
    } else if (op && op->code == JM_OP_transpose && !move) {
      if (!(move = inner(s, most, JM_OP_transpose, 1))) return JM_NONE;
      most = move->operands[0];
    }
  }
  const jm_op *fold = folds_last(s, most, JM_OP_maximum, -INFINITY);
  if (!fold) return JM_NONE;
  const jm_op *x = jm_module_definition(s->m, less->operands[0]);
  *moved = move != NULL;
  bool same = !move ? fold->operands[0] == less->operands[0]
                    : x && x->code == JM_OP_transpose && x->operands[0] == fold->operands[0] &&
                          same_move(x->attrs, move->attrs);
  return same ? less->operands[0] : JM_NONE;
}

/* exp(x - max(x)) / sum(exp(x - max(x))) along the last dimension: x */
static jm_value softmax_of(search *s, const jm_op *divide, bool *moved) {
  const jm_op *top =
      divide->code == JM_OP_divide ? inner(s, divide->operands[0], JM_OP_exponential, 2) : NULL;
  jm_value sum = top ? repeated(s, divide->operands[1]) : JM_NONE;
  const jm_op *fold = sum == JM_NONE ? NULL : folds_last(s, sum, JM_OP_add, 0);
  if (!fold || fold->operands[0] != divide->operands[0]) return JM_NONE;
  return less_its_maximum(s, top->operands[0], moved);
}

static jm_error *group_create(search *s, jm_lower_fn *lower, const jm_value *operands, uint32_t n,
                              const void *attrs, const jm_mlx_group **out) {
  jm_mlx_group *group = jm_arena_alloc(s->arena, 1, sizeof *group);
  jm_value *kept = jm_arena_alloc(s->arena, n, sizeof *kept);
  if (!group || !kept) return jm_error_out_of_memory();
  memcpy(kept, operands, n * sizeof *kept);
  *group = (jm_mlx_group){lower, kept, n, attrs};
  *out = group;
  return NULL;
}

/* -- softmax. Narrow floats are rounded after every op, which MLX's function isn't. */

static void lower_softmax(jm_lowering *l) {
  l->out[0] = jm_mlx_softmax(l, jm_lower_array(l, 0), (int)jm_lower_type(l, 0)->rank - 1);
}

static jm_error *find_softmax(search *s, const jm_op *last, const jm_mlx_group **out) {
  if (jm_op_result_type(s->m, last, 0)->dtype != JM_DT_f32) return NULL;
  bool moved;
  jm_value x = softmax_of(s, last, &moved);
  return x == JM_NONE ? NULL : group_create(s, lower_softmax, &x, 1, NULL, out);
}

/* -- 1 / (1 + exp(-x)) */

static void lower_logistic(jm_lowering *l) { l->out[0] = jm_mlx_sigmoid(l, jm_lower_array(l, 0)); }

static jm_error *find_logistic(search *s, const jm_op *last, const jm_mlx_group **out) {
  if (jm_op_result_type(s->m, last, 0)->dtype != JM_DT_f32 || !is(s, last->operands[0], 1))
    return NULL;
  const jm_op *add = inner(s, last->operands[1], JM_OP_add, 1);
  if (!add) return NULL;
  bool first = is(s, add->operands[0], 1);
  if (!first && !is(s, add->operands[1], 1)) return NULL;
  const jm_op *power = inner(s, add->operands[first], JM_OP_exponential, 1);
  const jm_op *minus = power ? inner(s, power->operands[0], JM_OP_negate, 1) : NULL;
  return minus ? group_create(s, lower_logistic, minus->operands, 1, NULL, out) : NULL;
}

/* -- attention: softmax(scale * q k + mask) v, in any order of dimensions */

enum { MAX_DIMS = 8 };

/* Below, dimensions of the weights are [batch..., of queries..., keys] in this order, wherever they
 * are; each list of axes says where an operand has what becomes [batch, heads, rows, columns]. */
typedef struct attention {
  uint32_t n_batch, rank; /* of the weights */
  int64_t q_axes[MAX_DIMS], k_axes[MAX_DIMS], v_axes[MAX_DIMS], mask_axes[MAX_DIMS];
  double scale;
  bool swapped;  /* the last product has the weights as its rhs */
  bool has_mask; /* operand 3 */
  bool chooses;  /* it is pred: where false, `other` takes the place of the product */
  double other;
  jm_dtype dtype; /* of q, k, v */
} attention;

/* An operand of a product: batch dimensions, the others that stay, one contracted. */
typedef struct side {
  jm_i64s batch;
  int64_t free[MAX_DIMS], contract;
  uint32_t n_free;
} side;

static bool side_init(const search *s, const jm_op *product, bool is_rhs, side *out) {
  const jm_dot_general_attrs *attrs = product->attrs;
  const jm_type *type = jm_op_operand_type(s->m, product, is_rhs);
  jm_i64s contract = is_rhs ? attrs->rhs_contract : attrs->lhs_contract;
  *out = (side){.batch = is_rhs ? attrs->rhs_batch : attrs->lhs_batch};
  if (type->rank > MAX_DIMS || contract.n != 1 || !out->batch.n || out->batch.n > 2) return false;
  uint32_t taken = 1u << contract.data[0];
  out->contract = contract.data[0];
  for (uint32_t i = 0; i < out->batch.n; i++) taken |= 1u << out->batch.data[i];
  for (uint32_t d = 0; d < type->rank; d++)
    if (!(taken >> d & 1)) out->free[out->n_free++] = d;
  return true;
}

/* The last product, weights by v. order: the weights' dimensions as above. */
static bool weighs(const search *s, const jm_op *last, attention *a, int64_t *order) {
  side weights, v;
  uint32_t n = 0;
  if (!side_init(s, last, a->swapped, &weights) || !side_init(s, last, !a->swapped, &v) ||
      v.n_free != 1)
    return false;
  a->n_batch = weights.batch.n;
  a->rank = jm_op_operand_type(s->m, last, a->swapped)->rank;
  if (weights.contract != (int64_t)a->rank - 1) return false;
  for (uint32_t i = 0; i < a->n_batch; i++) {
    order[n++] = weights.batch.data[i];
    a->v_axes[i] = v.batch.data[i];
  }
  for (uint32_t i = 0; i < weights.n_free; i++) order[n++] = weights.free[i];
  order[n] = weights.contract;
  a->v_axes[a->n_batch] = v.contract;
  a->v_axes[a->n_batch + 1] = v.free[0];
  return true;
}

/* Between the first product and the softmax: what was seen on the way back. */
typedef struct way {
  int64_t places[MAX_DIMS]; /* per dimension of the weights: where it is here */
  jm_value mask;
} way;

static jm_value through_mask(attention *a, way *w, const jm_op *op, uint32_t product,
                             uint32_t mask) {
  if (a->has_mask || a->scale != 1) return JM_NONE; /* masks come after the scale */
  a->has_mask = true;
  w->mask = op->operands[mask];
  memcpy(a->mask_axes, w->places, sizeof a->mask_axes);
  return op->operands[product];
}

static bool comes_from_product(const search *s, jm_value v) {
  for (int depth = 0; depth < 8; depth++) {
    const jm_op *op = jm_module_definition(s->m, v);
    if (!op) return false;
    double number;
    switch (op->code) {
      case JM_OP_dot_general:
        return true;
      case JM_OP_multiply:
        v = op->operands[is_number(s, op->operands[0], &number)];
        break;
      case JM_OP_divide:
      case JM_OP_convert:
      case JM_OP_transpose:
        v = op->operands[0];
        break;
      default:
        return false;
    }
  }
  return false;
}

/* One op, looked through from its result: what it is of. */
static jm_value through(search *s, attention *a, way *w, const jm_op *op) {
  double number = 0;
  switch (op->code) {
    case JM_OP_convert:
      return jm_dtype_is_float(jm_op_operand_type(s->m, op, 0)->dtype) ? op->operands[0] : JM_NONE;
    case JM_OP_transpose: {
      const jm_transpose_attrs *attrs = op->attrs;
      for (uint32_t d = 0; d < a->rank; d++) w->places[d] = attrs->permutation.data[w->places[d]];
      return op->operands[0];
    }
    case JM_OP_multiply:
      for (int i = 0; i < 2; i++)
        if (is_number(s, op->operands[i], &number)) {
          a->scale *= number;
          return op->operands[1 - i];
        }
      return JM_NONE;
    case JM_OP_divide:
      if (!is_number(s, op->operands[1], &number) || number == 0) return JM_NONE;
      a->scale /= number;
      return op->operands[0];
    case JM_OP_select:
      if (!is_number(s, op->operands[2], &a->other)) return JM_NONE;
      a->chooses = true;
      return through_mask(a, w, op, 1, 0);
    case JM_OP_add:
      for (uint32_t i = 0; i < 2; i++)
        if (comes_from_product(s, op->operands[i])) return through_mask(a, w, op, i, 1 - i);
      return JM_NONE;
    default:
      return JM_NONE;
  }
}

/* The first product, one of whose operands is q: which. Its result is [batch..., those of lhs that
 * stay, those of rhs]. */
static bool multiplies(const search *s, const jm_op *product, attention *a, const way *w,
                       const int64_t *order, bool *q_is_rhs) {
  side q, k;
  uint32_t n = a->n_batch, n_queries = a->rank - n - 1;
  *q_is_rhs = w->places[a->rank - 1] == n; /* keys first: of lhs */
  if (!side_init(s, product, *q_is_rhs, &q) || !side_init(s, product, !*q_is_rhs, &k) ||
      q.batch.n != n || q.n_free != n_queries || k.n_free != 1)
    return false;
  uint32_t queries_at = *q_is_rhs ? n + 1 : n, keys_at = *q_is_rhs ? n : n + n_queries;
  if (w->places[a->rank - 1] != keys_at) return false;
  for (uint32_t i = 0; i < a->rank - 1; i++) {
    int64_t at = w->places[order[i]];
    if (i < n ? at >= n : at < queries_at || at >= queries_at + n_queries) return false;
    a->q_axes[i] = i < n ? q.batch.data[at] : q.free[at - queries_at];
    if (i < n) a->k_axes[i] = k.batch.data[at];
  }
  a->q_axes[a->rank - 1] = q.contract;
  a->k_axes[n] = k.free[0];
  a->k_axes[n + 1] = k.contract;
  return true;
}

static const jm_op *scores_of(search *s, attention *a, jm_value x, bool moved, const int64_t *order,
                              jm_value *mask, bool *q_is_rhs) {
  way w = {.mask = JM_NONE};
  for (uint32_t d = 0; d < a->rank; d++) w.places[d] = d;
  for (int depth = 0; depth < 8; depth++) {
    const jm_op *op = jm_module_definition(s->m, x);
    /* The softmax looks twice, at x or at what x is the transpose of. */
    if (!op || !inner(s, x, op->code, depth == moved ? 2 : 1)) return NULL;
    if (op->code == JM_OP_dot_general) {
      *mask = w.mask;
      if (!multiplies(s, op, a, &w, order, q_is_rhs)) return NULL;
      int64_t axes[MAX_DIMS];
      for (uint32_t d = 0; d < a->rank; d++) axes[d] = a->mask_axes[order[d]];
      memcpy(a->mask_axes, axes, sizeof axes);
      return op;
    }
    x = through(s, a, &w, op);
    if (x == JM_NONE) return NULL;
  }
  return NULL;
}

/* As [batch, heads, rows, columns] of dimensions in this order; the rows are all but the batch and
 * the last one; with one batch dimension it is the first, of one head each. */
static A as_heads(jm_lowering *l, A a, const jm_type *type, const int64_t *axes, uint32_t n_batch) {
  uint32_t n = type->rank;
  int64_t shape[4] = {1, 1, 1, 1};
  bool moves = false;
  for (uint32_t d = 0; d < n; d++) {
    moves |= axes[d] != d;
    shape[d < n_batch ? d : d + 1 == n ? 3 : 2] *= type->dims[axes[d]];
  }
  if (moves) a = jm_mlx_transpose(l, a, jm_lower_ints(l, axes, n), (int)n);
  return jm_mlx_reshape(l, a, jm_lower_ints(l, shape, 4), 4);
}

/* What is added to the products: 0, or what takes their place where the mask is false. Not MLX's
 * own masks of pred: those make numbers of a row that is all -inf. */
static A added_mask(jm_lowering *l, const attention *a) {
  A mask = jm_lower_array(l, 3);
  if (a->chooses) {
    double other = isfinite(a->other) && a->other < -3e38 ? -3e38 : a->other; /* finite as bf16 */
    mask = jm_mlx_where(l, mask, jm_lower_f64(l, a->dtype, 0), jm_lower_f64(l, a->dtype, other));
  }
  mask = jm_mlx_astype(l, mask, a->dtype);
  return as_heads(l, mask, jm_lower_type(l, 3), a->mask_axes, a->n_batch);
}

static void lower_attention(jm_lowering *l) {
  const attention *a = l->attrs;
  const jm_type *to = jm_lower_result(l, 0);
  const int64_t *axes[3] = {a->q_axes, a->k_axes, a->v_axes};
  A qkv[3], mask = a->has_mask ? added_mask(l, a) : NULL;
  for (uint32_t i = 0; i < 3; i++)
    qkv[i] = as_heads(l, jm_lower_array(l, i), jm_lower_type(l, i), axes[i], a->n_batch);
  A out = jm_mlx_attention(l, qkv[0], qkv[1], qkv[2], (float)a->scale, mask);
  if (a->swapped) {
    static const int32_t swapped[4] = {0, 1, 3, 2};
    out = jm_mlx_transpose(l, out, swapped, 4);
  }
  out = jm_mlx_reshape(l, out, jm_lower_shape(l, to), (int)to->rank);
  l->out[0] = jm_mlx_astype(l, out, to->dtype);
}

/* Of narrow floats, MLX's one kernel keeps the products in f32, as JAX does; where it has none (its
 * CPU device, other sizes), it rounds them first, and the ops are better by themselves. */
static bool has_kernel(const search *s, const attention *a, const jm_value *operands) {
  const jm_type *q = jm_module_typeof(s->m, operands[0]), *k = jm_module_typeof(s->m, operands[1]);
  const jm_type *v = jm_module_typeof(s->m, operands[2]);
  int64_t depth = q->dims[a->q_axes[a->rank - 1]], keys = k->dims[a->k_axes[a->n_batch]];
  return s->is_gpu && (depth == 64 || depth == 128) && keys % 8 == 0 &&
         v->dims[a->v_axes[a->n_batch + 1]] == depth;
}

static bool types_fit(const search *s, attention *a, const jm_value *operands) {
  a->dtype = jm_module_typeof(s->m, operands[0])->dtype;
  for (int i = 1; i < 3; i++)
    if (jm_module_typeof(s->m, operands[i])->dtype != a->dtype) return false;
  if (a->has_mask && jm_module_typeof(s->m, operands[3])->rank != a->rank) return false;
  if (a->dtype == JM_DT_f32) return true;
  /* As f16, the large numbers of masks would be infinite. */
  bool is_narrow = a->dtype == JM_DT_bf16 || (a->dtype == JM_DT_f16 && !a->has_mask);
  return is_narrow && has_kernel(s, a, operands);
}

static jm_error *find_attention_of(search *s, const jm_op *last, bool swapped,
                                   const jm_mlx_group **out) {
  attention a = {.scale = 1, .swapped = swapped};
  int64_t order[MAX_DIMS];
  bool q_is_rhs = false, moved = false;
  if (!weighs(s, last, &a, order)) return NULL;
  jm_value weights = last->operands[swapped], mask = JM_NONE;
  const jm_op *narrowed = jm_module_definition(s->m, weights);
  if (narrowed && narrowed->code == JM_OP_convert) {
    if (!inner(s, weights, JM_OP_convert, 1)) return NULL;
    weights = narrowed->operands[0];
  }
  const jm_op *divide = inner(s, weights, JM_OP_divide, 1);
  jm_value x = divide ? softmax_of(s, divide, &moved) : JM_NONE;
  const jm_op *scores = x == JM_NONE ? NULL : scores_of(s, &a, x, moved, order, &mask, &q_is_rhs);
  if (!scores) return NULL;
  jm_value operands[4] = {scores->operands[q_is_rhs], scores->operands[!q_is_rhs],
                          last->operands[!swapped], mask};
  if (!types_fit(s, &a, operands)) return NULL;
  attention *kept = jm_arena_alloc(s->arena, 1, sizeof *kept);
  if (!kept) return jm_error_out_of_memory();
  *kept = a;
  return group_create(s, lower_attention, operands, a.has_mask ? 4 : 3, kept, out);
}

static jm_error *find_attention(search *s, const jm_op *last, const jm_mlx_group **out) {
  JM_TRY(find_attention_of(s, last, false, out));
  if (*out) return NULL;
  s->n_inside = 0;
  return find_attention_of(s, last, true, out);
}

/* -- all of them */

typedef jm_error *find_fn(search *s, const jm_op *last, const jm_mlx_group **out);

static const struct {
  jm_opcode last;
  find_fn *find;
} kinds[] = {
    {JM_OP_divide, find_softmax},
    {JM_OP_divide, find_logistic},
    {JM_OP_dot_general, find_attention},
};

static bool types_supported(const jm_module *m, const jm_op *last, const jm_mlx_group *group) {
  for (uint32_t i = 0; i < group->n_operands; i++)
    if (!jm_lower_type_supported(jm_module_typeof(m, group->operands[i]))) return false;
  return jm_lower_type_supported(jm_op_result_type(m, last, 0));
}

static jm_error *find_at(search *s, jm_op_id id, jm_mlx_groups *out) {
  const jm_op *last = jm_module_op(s->m, id);
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    const jm_mlx_group *group = NULL;
    if (kinds[k].last != last->code) continue;
    s->n_inside = 0;
    JM_TRY(kinds[k].find(s, last, &group));
    if (!group || !types_supported(s->m, last, group)) continue;
    out->by_last[id] = group;
    for (uint32_t i = 0; i < s->n_inside; i++) out->inside[s->inside[i]] = true;
    return NULL;
  }
  return NULL;
}

jm_error *jm_mlx_groups_find(const jm_module *m, bool is_gpu, jm_arena *arena, jm_mlx_groups *out) {
  out->by_last = jm_arena_alloc(arena, m->n_ops, sizeof *out->by_last);
  out->inside = jm_arena_alloc(arena, m->n_ops, sizeof *out->inside);
  uint32_t *uses = jm_arena_alloc(arena, m->n_values, sizeof *uses);
  if (!out->by_last || !out->inside || !uses) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < m->n_ops; i++)
    for (uint32_t k = 0; k < jm_module_op(m, i)->n_operands; k++)
      uses[jm_module_op(m, i)->operands[k]]++;
  for (uint32_t r = 0; r < m->n_regions; r++)
    for (uint32_t i = 0; i < jm_module_region(m, r)->n_results; i++)
      uses[jm_module_region(m, r)->results[i]]++;
  search s = {.m = m, .arena = arena, .uses = uses, .is_gpu = is_gpu};
  for (uint32_t r = 0; r < m->n_regions; r++) { /* in order: attention takes a softmax in */
    const jm_region *region = jm_module_region(m, r);
    for (uint32_t i = 0; i < region->n_ops; i++) JM_TRY(find_at(&s, region->ops[i], out));
  }
  return NULL;
}
