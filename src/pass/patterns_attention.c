/* SPDX-License-Identifier: Apache-2.0
 * The pattern attention: softmax(scale * q k + mask) v, in any order of dimensions. Its operands
 * are q, k, v and, if there is one, the mask; its config says
 *   batch       how many batch dimensions there are: 1 or 2
 *   q, k, v     for each the operand's dimensions in the order [batch..., rows..., columns]: of q
 *               queries and depth, of k keys and depth, of v keys and depth
 *   mask        the mask's dimensions as [batch..., queries..., keys]
 *   scale       of the product, before the mask is added
 *   transposed  the last product has the weights on its right: the result has its last two
 *               dimensions exchanged
 *   other       the mask is a pred, and this takes the place of the product where it is false */
#include <string.h>

#include "pass/patterns.h"

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
} attention;

/* An operand of a product: batch dimensions, the others that stay, one contracted. */
typedef struct side {
  jm_i64s batch;
  int64_t free[MAX_DIMS], contract;
  uint32_t n_free;
} side;

static bool side_init(const jm_pattern *p, const jm_op *product, bool is_rhs, side *out) {
  const jm_dot_general_attrs *attrs = product->attrs;
  const jm_type *type = jm_op_operand_type(p->m, product, is_rhs);
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
static bool weighs(const jm_pattern *p, const jm_op *last, attention *a, int64_t *order) {
  side weights, v;
  uint32_t n = 0;
  if (!side_init(p, last, a->swapped, &weights) || !side_init(p, last, !a->swapped, &v) ||
      v.n_free != 1)
    return false;
  a->n_batch = weights.batch.n;
  a->rank = jm_op_operand_type(p->m, last, a->swapped)->rank;
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

/* The state of the walk from the softmax back to the first product. */
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

static bool comes_from_product(const jm_pattern *p, jm_value v) {
  for (int depth = 0; depth < 8; depth++) {
    const jm_op *op = jm_module_definition(p->m, v);
    if (!op) return false;
    double number;
    switch (op->code) {
      case JM_OP_dot_general:
        return true;
      case JM_OP_multiply:
        v = op->operands[jm_pattern_is_number(p, op->operands[0], &number)];
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

/* Steps from an op's result to the operand that it scales, masks or moves. */
static jm_value through(jm_pattern *p, attention *a, way *w, const jm_op *op) {
  double number = 0;
  switch (op->code) {
    case JM_OP_convert:
      return jm_dtype_is_float(jm_op_operand_type(p->m, op, 0)->dtype) ? op->operands[0] : JM_NONE;
    case JM_OP_transpose: {
      const jm_transpose_attrs *attrs = op->attrs;
      for (uint32_t d = 0; d < a->rank; d++) w->places[d] = attrs->permutation.data[w->places[d]];
      return op->operands[0];
    }
    case JM_OP_multiply:
      for (int i = 0; i < 2; i++)
        if (jm_pattern_is_number(p, op->operands[i], &number)) {
          a->scale *= number;
          return op->operands[1 - i];
        }
      return JM_NONE;
    case JM_OP_divide:
      if (!jm_pattern_is_number(p, op->operands[1], &number) || number == 0) return JM_NONE;
      a->scale /= number;
      return op->operands[0];
    case JM_OP_select:
      if (!jm_pattern_is_number(p, op->operands[2], &a->other)) return JM_NONE;
      a->chooses = true;
      return through_mask(a, w, op, 1, 0);
    case JM_OP_add:
      for (uint32_t i = 0; i < 2; i++)
        if (comes_from_product(p, op->operands[i])) return through_mask(a, w, op, i, 1 - i);
      return JM_NONE;
    default:
      return JM_NONE;
  }
}

/* The first product, one of whose operands is q: which. Its result is [batch..., those of lhs that
 * stay, those of rhs]. */
static bool multiplies(const jm_pattern *p, const jm_op *product, attention *a, const way *w,
                       const int64_t *order, bool *q_is_rhs) {
  side q, k;
  uint32_t n = a->n_batch, n_queries = a->rank - n - 1;
  *q_is_rhs = w->places[a->rank - 1] == n; /* keys first: of lhs */
  if (!side_init(p, product, *q_is_rhs, &q) || !side_init(p, product, !*q_is_rhs, &k) ||
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

static const jm_op *scores_of(jm_pattern *p, attention *a, jm_value x, bool moved,
                              const int64_t *order, jm_value *mask, bool *q_is_rhs) {
  way w = {.mask = JM_NONE};
  for (uint32_t d = 0; d < a->rank; d++) w.places[d] = d;
  for (int depth = 0; depth < 8; depth++) {
    const jm_op *op = jm_module_definition(p->m, x);
    /* The softmax reads its operand twice, as x or as the transpose that x is. */
    if (!op || !jm_pattern_inner(p, x, op->code, depth == moved ? 2 : 1)) return NULL;
    if (op->code == JM_OP_dot_general) {
      *mask = w.mask;
      if (!multiplies(p, op, a, &w, order, q_is_rhs)) return NULL;
      int64_t axes[MAX_DIMS];
      for (uint32_t d = 0; d < a->rank; d++) axes[d] = a->mask_axes[order[d]];
      memcpy(a->mask_axes, axes, sizeof axes);
      return op;
    }
    x = through(p, a, &w, op);
    if (x == JM_NONE) return NULL;
  }
  return NULL;
}

static bool types_fit(const jm_pattern *p, const attention *a) {
  const jm_dtype dtype = jm_module_typeof(p->m, p->operands[0])->dtype;
  for (int i = 1; i < 3; i++)
    if (jm_module_typeof(p->m, p->operands[i])->dtype != dtype) return false;
  return !a->has_mask || jm_module_typeof(p->m, p->operands[3])->rank == a->rank;
}

static bool is_precise(const jm_op *product) {
  const jm_dot_general_attrs *attrs = product->attrs;
  return attrs->lhs_precision != JM_PRECISION_DEFAULT ||
         attrs->rhs_precision != JM_PRECISION_DEFAULT;
}

static jm_error *config_set(jm_pattern *p, const attention *a) {
  const uint32_t n = a->n_batch;
  jm_pattern_set_i64(p, "batch", n);
  jm_pattern_set_f64(p, "scale", a->scale);
  jm_pattern_set_bool(p, "transposed", a->swapped);
  JM_TRY(jm_pattern_set_i64s(p, "q", a->q_axes, a->rank));
  JM_TRY(jm_pattern_set_i64s(p, "k", a->k_axes, n + 2));
  JM_TRY(jm_pattern_set_i64s(p, "v", a->v_axes, n + 2));
  if (a->has_mask) JM_TRY(jm_pattern_set_i64s(p, "mask", a->mask_axes, a->rank));
  if (a->chooses) jm_pattern_set_f64(p, "other", a->other);
  return NULL;
}

static jm_error *find(jm_pattern *p, const jm_op *last, bool swapped, bool *found) {
  attention a = {.scale = 1, .swapped = swapped};
  int64_t order[MAX_DIMS];
  bool q_is_rhs = false, moved = false;
  if (!weighs(p, last, &a, order)) return NULL;
  jm_value weights = last->operands[swapped], mask = JM_NONE;
  const jm_op *narrowed = jm_module_definition(p->m, weights);
  if (narrowed && narrowed->code == JM_OP_convert) {
    if (!jm_pattern_inner(p, weights, JM_OP_convert, 1)) return NULL;
    weights = narrowed->operands[0];
  }
  const jm_op *divide = jm_pattern_inner(p, weights, JM_OP_divide, 1);
  jm_value x = divide ? jm_pattern_softmax(p, divide, &moved) : JM_NONE;
  const jm_op *scores = x == JM_NONE ? NULL : scores_of(p, &a, x, moved, order, &mask, &q_is_rhs);
  if (!scores) return NULL;
  p->operands[0] = scores->operands[q_is_rhs];
  p->operands[1] = scores->operands[!q_is_rhs];
  p->operands[2] = last->operands[!swapped];
  p->operands[3] = mask;
  p->n_operands = a.has_mask ? 4 : 3;
  *found = types_fit(p, &a);
  if (!*found) return NULL;
  jm_pattern_set_bool(p, "precise", is_precise(scores) || is_precise(last));
  return config_set(p, &a);
}

jm_error *jm_pattern_find_attention(jm_pattern *p, const jm_op *last, bool *found) {
  JM_TRY(find(p, last, false, found));
  if (*found) return NULL;
  p->n_ops = 0;
  return find(p, last, true, found);
}
