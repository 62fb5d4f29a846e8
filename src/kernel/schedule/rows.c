/* SPDX-License-Identifier: Apache-2.0
 * Dimensions of all values of a loop are sorted into classes: an op puts dimensions together whose
 * indices are equal for all that it computes (those of elementwise ops, a product's rows and its
 * result's), and marks those as mixed along which it reads other indices (contracted and reduced
 * ones, concatenated, cut):
 *
 *   %g = dot_general %x, %w, contracting [1] x [0]     x: [16, 64]  w: [64, 256]  g: [16, 256]
 *
 * puts dimension 0 of %x and of %g together, 1 of %w and of %g, and 1 of %x and 0 of %w, which are
 * mixed. A class that is not mixed and holds a dimension of each carry counts rows. */
#include "kernel/schedule/rows.h"

#include "kernel/schedule/loop.h"

typedef struct classes {
  const jm_module *m;
  uint32_t *first;  /* per value: the node of its dimension 0 */
  uint32_t *parent; /* per node */
  bool *mixed;      /* per node that is a class */
  bool unknown;     /* an op without a rule was met */
} classes;

static uint32_t node_class(const classes *c, uint32_t node) {
  while (c->parent[node] != node) node = c->parent[node] = c->parent[c->parent[node]];
  return node;
}

static uint32_t class_of(const classes *c, jm_value v, uint32_t d) {
  return node_class(c, c->first[v] + d);
}

static void join(classes *c, jm_value v, uint32_t d, jm_value w, uint32_t e) {
  const uint32_t a = class_of(c, v, d), b = class_of(c, w, e);
  c->parent[b] = a;
  c->mixed[a] = c->mixed[a] || c->mixed[b];
}

static void mix(classes *c, jm_value v, uint32_t d) { c->mixed[class_of(c, v, d)] = true; }

static uint32_t rank_of(const classes *c, jm_value v) { return jm_module_typeof(c->m, v)->rank; }
static int64_t size_of(const classes *c, jm_value v, uint32_t d) {
  return jm_module_typeof(c->m, v)->dims[d];
}

/* Dimension d of both, where it has one size; else both are mixed. */
static void join_whole(classes *c, jm_value v, jm_value w, uint32_t d) {
  if (size_of(c, v, d) == size_of(c, w, d)) {
    join(c, v, d, w, d);
  } else {
    mix(c, v, d);
    mix(c, w, d);
  }
}

static void join_all(classes *c, jm_value v, jm_value w) {
  for (uint32_t d = 0; d < rank_of(c, v); d++) join(c, v, d, w, d);
}

static void mix_all(classes *c, jm_value v) {
  for (uint32_t d = 0; d < rank_of(c, v); d++) mix(c, v, d);
}

/* -- rules */

/* Scalars beside tensors have no dimension. */
static void classify_elementwise(classes *c, const jm_op *op) {
  for (uint32_t r = 0; r < op->n_results; r++)
    for (uint32_t k = 0; k < op->n_operands; k++)
      if (rank_of(c, op->operands[k]) == rank_of(c, op->first_result + r))
        join_all(c, op->first_result + r, op->operands[k]);
}

static void classify_broadcast(classes *c, const jm_op *op) {
  const jm_broadcast_in_dim_attrs *a = op->attrs;
  const jm_value from = op->operands[0], to = op->first_result;
  for (uint32_t i = 0; i < a->dims.n; i++)
    if (size_of(c, from, i) == size_of(c, to, (uint32_t)a->dims.data[i]))
      join(c, from, i, to, (uint32_t)a->dims.data[i]);
    else
      mix(c, from, i); /* of size 1: its one element is every row's */
}

static void classify_concatenate(classes *c, const jm_op *op) {
  const jm_concatenate_attrs *a = op->attrs;
  for (uint32_t k = 0; k < op->n_operands; k++)
    for (uint32_t d = 0; d < rank_of(c, op->first_result); d++) {
      if (d == a->dim) mix(c, op->operands[k], d);
      join(c, op->first_result, d, op->operands[k], d);
    }
}

static void classify_reshape(classes *c, const jm_op *op) {
  const jm_value from = op->operands[0], to = op->first_result;
  uint32_t i = 0, k = 0;
  while (i < rank_of(c, from) || k < rank_of(c, to)) {
    const bool more_from = i < rank_of(c, from), more_to = k < rank_of(c, to);
    if (more_from && size_of(c, from, i) == 1) {
      mix(c, from, i++);
    } else if (more_to && size_of(c, to, k) == 1) {
      mix(c, to, k++);
    } else if (more_from && more_to && size_of(c, from, i) == size_of(c, to, k)) {
      join(c, from, i++, to, k++);
    } else { /* dimensions become others up to where both have as many elements before them */
      int64_t before_from = 1, before_to = 1;
      do {
        const bool next = before_from <= before_to && i < rank_of(c, from);
        if (!next && k == rank_of(c, to)) break;
        if (next) {
          before_from *= size_of(c, from, i);
          mix(c, from, i++);
        } else {
          before_to *= size_of(c, to, k);
          mix(c, to, k++);
        }
      } while (before_from != before_to);
    }
  }
}

static void classify_slice(classes *c, const jm_op *op) {
  const jm_slice_attrs *a = op->attrs;
  const jm_value from = op->operands[0], to = op->first_result;
  for (uint32_t d = 0; d < rank_of(c, from); d++) {
    join_whole(c, from, to, d);
    if (a->stride.data[d] != 1) mix(c, from, d);
  }
}

static void classify_dynamic_slice(classes *c, const jm_op *op) {
  for (uint32_t d = 0; d < rank_of(c, op->first_result); d++)
    join_whole(c, op->operands[0], op->first_result, d);
}

static void classify_dynamic_update_slice(classes *c, const jm_op *op) {
  for (uint32_t d = 0; d < rank_of(c, op->first_result); d++) {
    join(c, op->operands[0], d, op->first_result, d);
    join_whole(c, op->operands[1], op->first_result, d);
  }
}

static void classify_pad(classes *c, const jm_op *op) {
  const jm_pad_attrs *a = op->attrs;
  for (uint32_t d = 0; d < rank_of(c, op->first_result); d++) {
    join_whole(c, op->operands[0], op->first_result, d);
    if (a->low.data[d] || a->high.data[d] || a->interior.data[d]) mix(c, op->first_result, d);
  }
}

static void classify_reverse(classes *c, const jm_op *op) {
  const jm_reverse_attrs *a = op->attrs;
  join_all(c, op->operands[0], op->first_result);
  for (uint32_t i = 0; i < a->dims.n; i++) mix(c, op->first_result, (uint32_t)a->dims.data[i]);
}

static void classify_transpose(classes *c, const jm_op *op) {
  const jm_transpose_attrs *a = op->attrs;
  for (uint32_t i = 0; i < a->permutation.n; i++)
    join(c, op->first_result, i, op->operands[0], (uint32_t)a->permutation.data[i]);
}

/* The body may have captures, which are scalars of all rows. */
static void classify_reduce(classes *c, const jm_op *op) {
  const jm_reduce_attrs *a = op->attrs;
  for (uint32_t r = 0; r < op->n_results; r++)
    for (uint32_t d = 0, kept = 0; d < rank_of(c, op->operands[0]); d++) {
      join(c, op->operands[0], d, op->operands[r], d);
      if (jm_i64s_contains(a->dims, d))
        mix(c, op->operands[r], d);
      else
        join(c, op->operands[r], d, op->first_result + r, kept++);
    }
}

static void classify_dot_general(classes *c, const jm_op *op) {
  const jm_dot_general_attrs *a = op->attrs;
  const jm_value lhs = op->operands[0], rhs = op->operands[1], to = op->first_result;
  uint32_t at = 0;
  for (uint32_t i = 0; i < a->lhs_batch.n; i++, at++) {
    join(c, to, at, lhs, (uint32_t)a->lhs_batch.data[i]);
    join(c, to, at, rhs, (uint32_t)a->rhs_batch.data[i]);
  }
  for (uint32_t i = 0; i < a->lhs_contract.n; i++) {
    mix(c, lhs, (uint32_t)a->lhs_contract.data[i]);
    join(c, lhs, (uint32_t)a->lhs_contract.data[i], rhs, (uint32_t)a->rhs_contract.data[i]);
  }
  for (uint32_t d = 0; d < rank_of(c, lhs); d++)
    if (!jm_i64s_contains(a->lhs_batch, d) && !jm_i64s_contains(a->lhs_contract, d))
      join(c, to, at++, lhs, d);
  for (uint32_t d = 0; d < rank_of(c, rhs); d++)
    if (!jm_i64s_contains(a->rhs_batch, d) && !jm_i64s_contains(a->rhs_contract, d))
      join(c, to, at++, rhs, d);
}

static void classify_constant(classes *c, const jm_op *op) {
  const jm_constant_attrs *a = op->attrs;
  if (!a->value.splat) mix_all(c, op->first_result);
}

static void classify_iota(classes *c, const jm_op *op) {
  mix(c, op->first_result, (uint32_t)((const jm_iota_attrs *)op->attrs)->dim);
}

static void classify_identity(classes *c, const jm_op *op) {
  for (uint32_t i = 0; i < op->n_results; i++) join_all(c, op->first_result + i, op->operands[i]);
}

/* What it takes goes anywhere. */
static void classify_gather(classes *c, const jm_op *op) {
  for (uint32_t k = 0; k < op->n_operands; k++) mix_all(c, op->operands[k]);
  mix_all(c, op->first_result);
}

static void classify_region(classes *c, const jm_region *region);

static void classify_while(classes *c, const jm_op *op) {
  for (uint32_t r = 0; r < 2; r++) {
    const jm_region *region = jm_op_region(c->m, op, r);
    for (uint32_t i = 0; i < op->n_operands; i++)
      join_all(c, op->operands[i], region->first_arg + i);
    classify_region(c, region);
  }
  const jm_region *body = jm_op_region(c->m, op, 1);
  for (uint32_t i = 0; i < op->n_results; i++) {
    join_all(c, op->operands[i], body->results[i]);
    join_all(c, op->operands[i], op->first_result + i);
  }
}

static void classify_case(classes *c, const jm_op *op) {
  for (uint32_t r = 0; r < op->n_regions; r++) {
    const jm_region *region = jm_op_region(c->m, op, r);
    for (uint32_t i = 0; i < region->n_args; i++)
      join_all(c, op->operands[1 + i], region->first_arg + i);
    classify_region(c, region);
    for (uint32_t i = 0; i < op->n_results; i++)
      join_all(c, op->first_result + i, region->results[i]);
  }
}

/* Ops that are elementwise need no row. */
static void (*const rules[JM_N_OPS])(classes *c, const jm_op *op) = {
    [JM_OP_broadcast_in_dim] = classify_broadcast,
    [JM_OP_concatenate] = classify_concatenate,
    [JM_OP_constant] = classify_constant,
    [JM_OP_dot_general] = classify_dot_general,
    [JM_OP_dynamic_slice] = classify_dynamic_slice,
    [JM_OP_dynamic_update_slice] = classify_dynamic_update_slice,
    [JM_OP_gather] = classify_gather,
    [JM_OP_iota] = classify_iota,
    [JM_OP_optimization_barrier] = classify_identity,
    [JM_OP_pad] = classify_pad,
    [JM_OP_reduce] = classify_reduce,
    [JM_OP_reshape] = classify_reshape,
    [JM_OP_reverse] = classify_reverse,
    [JM_OP_slice] = classify_slice,
    [JM_OP_threefry2x32] = classify_elementwise,
    [JM_OP_transpose] = classify_transpose,
    [JM_OP_while] = classify_while,
    [JM_OP_case] = classify_case,
};

static void classify_op(classes *c, const jm_op *op) {
  if (rules[op->code])
    rules[op->code](c, op);
  else if (jm_op_facts[op->code].traits & JM_TRAIT_ELEMENTWISE && op->code != JM_OP_map)
    classify_elementwise(c, op);
  else
    c->unknown = true;
}

static void classify_region(classes *c, const jm_region *region) {
  for (uint32_t i = 0; i < region->n_ops; i++) classify_op(c, jm_module_op(c->m, region->ops[i]));
}

/* -- the class that counts rows */

/* The dimension of v in the class, JM_NONE; *twice: there is another one. */
static uint32_t dim_find(const classes *c, jm_value v, uint32_t class, bool *twice) {
  uint32_t found = JM_NONE;
  for (uint32_t d = 0; d < rank_of(c, v); d++) {
    if (class_of(c, v, d) != class) continue;
    *twice = *twice || found != JM_NONE;
    found = d;
  }
  return found;
}

/* Has every result a row of its own? */
static bool separates(const classes *c, const jm_value *results, uint32_t n, uint32_t class) {
  for (uint32_t i = 0; i < n; i++) {
    bool twice = false;
    if (dim_find(c, results[i], class, &twice) == JM_NONE) return false;
  }
  for (jm_value v = 0; v < c->m->n_values; v++) {
    bool twice = false;
    dim_find(c, v, class, &twice);
    if (twice) return false;
  }
  return true;
}

/* The largest; JM_NONE: there is none. All results have a dimension of it, so that the first one
 * tells. */
static uint32_t class_find(const classes *c, const jm_value *results, uint32_t n, int64_t *count) {
  uint32_t best = JM_NONE;
  *count = 1;
  for (uint32_t d = 0; n && d < rank_of(c, results[0]); d++) {
    const uint32_t class = class_of(c, results[0], d);
    const int64_t size = size_of(c, results[0], d);
    if (c->mixed[class] || size <= *count || !separates(c, results, n, class)) continue;
    best = class;
    *count = size;
  }
  return best;
}

jm_error *jm_rows_find(const jm_module *m, const jm_op_id *ops, uint32_t n_ops,
                       const jm_value *results, uint32_t n_results, jm_arena *arena, jm_rows *out) {
  classes c = {.m = m};
  uint32_t n = 0;
  c.first = jm_arena_alloc(arena, m->n_values, sizeof *c.first);
  out->dims = jm_arena_alloc(arena, m->n_values, sizeof *out->dims);
  if (!c.first || !out->dims) return jm_error_out_of_memory();
  for (jm_value v = 0; v < m->n_values; v++) {
    c.first[v] = n;
    n += jm_module_typeof(m, v)->rank;
  }
  c.parent = jm_arena_alloc(arena, n + 1, sizeof *c.parent);
  c.mixed = jm_arena_alloc(arena, n + 1, sizeof *c.mixed);
  if (!c.parent || !c.mixed) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) c.parent[i] = i;
  for (uint32_t i = 0; i < n_ops; i++) classify_op(&c, jm_module_op(m, ops[i]));
  const uint32_t class = class_find(&c, results, n_results, &out->count);
  bool twice = false;
  for (jm_value v = 0; v < m->n_values; v++)
    out->dims[v] = class == JM_NONE ? JM_NONE : dim_find(&c, v, class, &twice);
  if (c.unknown) out->count = 0;
  return NULL;
}
