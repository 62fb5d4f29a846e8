/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/schedule/axes.h"

/* A pair of neighbours among the dimensions of size above 1. */
typedef struct gap {
  uint32_t p, d;
} gap;

typedef struct query {
  const jm_module *m;
  const jm_op *op;
  const jm_type *to, *from; /* of result 0, of operand 0 (NULL without) */
  uint32_t breaks;          /* of operand 0 */
} query;

static bool between(jm_i64s dims, gap g) {
  for (uint32_t d = g.p; d <= g.d; d++)
    if (jm_i64s_contains(dims, d)) return true;
  return false;
}

/* Are the operand's dimensions p < d contiguous, without a break? */
static bool runs_on(const query *q, int64_t p, int64_t d) {
  if (p < 0 || d <= p) return false;
  for (int64_t i = p + 1; i < d; i++)
    if (q->from->dims[i] != 1) return false;
  return !(q->breaks >> d & 1);
}

/* -- per op: does the result run on over this gap? */

static bool run_broadcast(const query *q, gap g) {
  const jm_broadcast_in_dim_attrs *a = q->op->attrs;
  int64_t from[2] = {-1, -1};
  for (uint32_t i = 0; i < a->dims.n; i++) {
    if (q->from->dims[i] == 1) continue;
    if (a->dims.data[i] == (int64_t)g.p) from[0] = i;
    if (a->dims.data[i] == (int64_t)g.d) from[1] = i;
  }
  return (from[0] < 0 && from[1] < 0) || runs_on(q, from[0], from[1]);
}

static int64_t suffix(const jm_type *type, uint32_t d) {
  int64_t product = 1;
  for (uint32_t i = d; i < type->rank; i++) product *= type->dims[i];
  return product;
}

/* A break of the operand at a boundary of the result is a break there; one within dimension p of
 * the result wants p by itself, so that it does not run on into d. */
static bool run_reshape(const query *q, gap g) {
  int64_t low = suffix(q->to, g.d), high = suffix(q->to, g.p);
  for (uint32_t k = 0; k < q->from->rank; k++) {
    if (!(q->breaks >> k & 1)) continue;
    int64_t at = suffix(q->from, k);
    if (at >= low && at < high) return false;
  }
  return true;
}

static bool run_transpose(const query *q, gap g) {
  const jm_transpose_attrs *a = q->op->attrs;
  return runs_on(q, a->permutation.data[g.p], a->permutation.data[g.d]);
}

static bool run_slice(const query *q, gap g) {
  const jm_slice_attrs *a = q->op->attrs;
  return a->stride.data[g.p] == 1 && q->to->dims[g.d] == q->from->dims[g.d] && runs_on(q, g.p, g.d);
}

static bool run_dynamic_slice(const query *q, gap g) {
  return q->to->dims[g.d] == q->from->dims[g.d] && runs_on(q, g.p, g.d);
}

static bool run_reverse(const query *q, gap g) {
  const jm_reverse_attrs *a = q->op->attrs;
  return !between(a->dims, g) && runs_on(q, g.p, g.d);
}

static bool run_iota(const query *q, gap g) {
  const jm_iota_attrs *a = q->op->attrs;
  return a->dim != (int64_t)g.p && a->dim != (int64_t)g.d;
}

static bool run_concatenate(const query *q, gap g) {
  const jm_concatenate_attrs *a = q->op->attrs;
  return a->dim < (int64_t)g.p || a->dim > (int64_t)g.d;
}

static bool run_reduce(const query *q, gap g) {
  const jm_reduce_attrs *a = q->op->attrs;
  int64_t p = -1, d = -1;
  for (uint32_t k = 0, r = 0; k < q->from->rank; k++) {
    if (jm_i64s_contains(a->dims, k)) continue;
    if (r == g.p) p = k;
    if (r++ == g.d) d = k;
  }
  return runs_on(q, p, d);
}

static bool run_bitcast(const query *q, gap g) {
  return q->to->rank == q->from->rank && runs_on(q, g.p, g.d);
}

static bool run_always(const query *q, gap g) {
  (void)q, (void)g;
  return true;
}

typedef struct rule {
  bool (*runs)(const query *q, gap g);
  bool same; /* every operand of the result's rank has the result's index and adds its breaks */
} rule;

static const rule rules[JM_N_OPS] = {
    [JM_OP_broadcast_in_dim] = {run_broadcast, false},
    [JM_OP_reshape] = {run_reshape, false},
    [JM_OP_transpose] = {run_transpose, false},
    [JM_OP_slice] = {run_slice, false},
    [JM_OP_dynamic_slice] = {run_dynamic_slice, false},
    [JM_OP_reverse] = {run_reverse, false},
    [JM_OP_iota] = {run_iota, false},
    [JM_OP_constant] = {run_always, false},
    [JM_OP_threefry2x32] = {run_always, true},
    [JM_OP_concatenate] = {run_concatenate, true},
    [JM_OP_reduce] = {run_reduce, false},
    [JM_OP_bitcast_convert] = {run_bitcast, false},
};

void jm_axes_propagate(const jm_module *m, const jm_op *op, uint32_t *breaks) {
  if (!op->n_results) return;
  query q = {m, op, jm_op_result_type(m, op, 0), NULL, 0};
  if (op->n_operands) q.from = jm_op_operand_type(m, op, 0);
  /* The inputs of a reduction are indexed alike. */
  for (uint32_t i = 0; i < op->n_operands && i < (op->code == JM_OP_reduce ? op->n_results : 1);
       i++)
    q.breaks |= breaks[op->operands[i]];
  bool elementwise = jm_op_facts[op->code].traits & JM_TRAIT_ELEMENTWISE;
  const rule rule = elementwise ? (struct rule){run_always, true} : rules[op->code];
  uint32_t mask = 0, last = UINT32_MAX;
  for (uint32_t d = 0; d < q.to->rank; d++) {
    if (q.to->dims[d] == 1) continue;
    if (last != UINT32_MAX && !(rule.runs && rule.runs(&q, (gap){last, d}))) mask |= 1u << d;
    last = d;
  }
  for (uint32_t i = 0; rule.same && i < op->n_operands; i++)
    if (jm_op_operand_type(m, op, i)->rank == q.to->rank) mask |= breaks[op->operands[i]];
  /* All results of an op have the shape of the first or, of a reduction, its dimensions. */
  for (uint32_t i = 0; i < op->n_results; i++) breaks[op->first_result + i] = mask;
}

void jm_axes_init(jm_axes *axes, int64_t count) { *axes = (jm_axes){.count = count}; }

bool jm_axes_add(jm_axes *axes, int64_t boundary) {
  if (boundary <= 1 || boundary >= axes->count) return true;
  uint32_t at = 0;
  while (at < axes->n_boundaries && axes->boundaries[at] < boundary) at++;
  int64_t below = at ? axes->boundaries[at - 1] : 1;
  int64_t above = at < axes->n_boundaries ? axes->boundaries[at] : axes->count;
  if (above == boundary) return true;
  if (boundary % below || above % boundary) return false;
  if (axes->n_boundaries >= sizeof axes->boundaries / sizeof *axes->boundaries - 1) return false;
  for (uint32_t i = axes->n_boundaries++; i > at; i--)
    axes->boundaries[i] = axes->boundaries[i - 1];
  axes->boundaries[at] = boundary;
  return true;
}

bool jm_axes_add_value(jm_axes *axes, const jm_type *type, uint32_t breaks) {
  for (uint32_t d = 0; d < type->rank; d++)
    if ((breaks >> d & 1) && !jm_axes_add(axes, suffix(type, d))) return false;
  return true;
}

void jm_axes_finish(jm_axes *axes) {
  axes->n = axes->n_boundaries + 1;
  for (uint32_t i = 0; i < axes->n; i++) {
    int64_t below = i ? axes->boundaries[i - 1] : 1;
    int64_t above = i < axes->n_boundaries ? axes->boundaries[i] : axes->count;
    axes->sizes[axes->n - 1 - i] = above / below;
  }
}

void jm_axes_index(jm_kbuilder *b, const int64_t *sizes, const jm_kval *x, uint32_t n,
                   const jm_type *type, jm_kval *index) {
  const jm_kval zero = jm_kbuild_index(b, 0);
  for (uint32_t d = 0; d < type->rank; d++) index[d] = zero;
  /* From the innermost on, dimensions and axes meet where the products of their sizes are equal:
   * the axes between two such points give the position on the innermost dimension between them. */
  uint32_t d = type->rank, j = n, target = UINT32_MAX;
  int64_t dims = 1, axes = 1;
  jm_kval position = zero;
  while (d || j) {
    if (d && (dims <= axes || !j)) {
      if (type->dims[--d] == 1) continue;
      if (target == UINT32_MAX) target = d;
      dims *= type->dims[d];
    } else {
      if (sizes[--j] == 1) continue;
      jm_kval scaled = jm_kbuild2(b, JM_K_imul, x[j], jm_kbuild_index(b, axes));
      position = jm_kbuild2(b, JM_K_iadd, position, scaled);
      axes *= sizes[j];
    }
    if (dims != axes || target == UINT32_MAX) continue;
    index[target] = position;
    dims = axes = 1;
    position = zero;
    target = UINT32_MAX;
  }
}

void jm_axes_split(jm_kbuilder *b, const int64_t *sizes, uint32_t n, jm_kval i, jm_kval *x) {
  for (uint32_t a = n; a--;) {
    if (!a) {
      x[0] = i;
      break;
    }
    const jm_kval size = jm_kbuild_index(b, sizes[a]);
    x[a] = jm_kbuild2(b, JM_K_urem, i, size);
    i = jm_kbuild2(b, JM_K_udiv, i, size);
  }
}
