/* SPDX-License-Identifier: Apache-2.0
 * Reductions of whole dimensions by a single op, or by JAX's argmax and argmin. The host runs other
 * bodies.
 */
#include <string.h>

#include "engine/mlx/lower_rules.h"

typedef jm_mlx_array *A;

/* -- what folds */

/* The reductions that MLX has functions for: of pred and of numbers. */
static const struct {
  bool pred;
  jm_opcode code;
  jm_lower_monoid functions;
} rows[] = {
    {false, JM_OP_add, {.combine = jm_mlx_add, .reduce = jm_mlx_sum, .fold = JM_MLX_SUM}},
    {false,
     JM_OP_multiply,
     {.combine = jm_mlx_multiply, .reduce = jm_mlx_prod, .fold = JM_MLX_PRODUCT}},
    {false,
     JM_OP_maximum,
     {.combine = jm_mlx_maximum, .reduce = jm_mlx_max, .fold = JM_MLX_MAXIMUM}},
    {false,
     JM_OP_minimum,
     {.combine = jm_mlx_minimum, .reduce = jm_mlx_min, .fold = JM_MLX_MINIMUM}},
    {true, JM_OP_or, {.combine = jm_mlx_logical_or, .reduce = jm_mlx_any, .fold = JM_MLX_MAXIMUM}},
    {true,
     JM_OP_and,
     {.combine = jm_mlx_logical_and, .reduce = jm_mlx_all, .fold = JM_MLX_MINIMUM}},
};

bool jm_lower_monoid_find(const jm_module *m, jm_region_id region, jm_lower_monoid *out) {
  jm_monoid is;
  if (!jm_body_monoid(m, region, &is)) return false;
  /* MLX's order of complex numbers is not StableHLO's. */
  if (jm_dtype_is_complex(is.dtype) && is.code != JM_OP_add && is.code != JM_OP_multiply)
    return false;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].code == is.code && rows[i].pred == (is.dtype == JM_DT_pred)) {
      *out = rows[i].functions;
      out->is = is;
      return true;
    }
  return false;
}

A jm_lower_monoid_start(jm_lowering *l, const jm_lower_monoid *monoid, A a, uint32_t i) {
  const void *known = jm_lower_host(l, i);
  if (known && jm_monoid_is_identity(&monoid->is, known)) return a;
  A start = jm_lower_array(l, i);
  bool wide = monoid->is.accumulator != monoid->is.dtype;
  return monoid->combine(l, a, wide ? jm_mlx_astype(l, start, monoid->is.accumulator) : start);
}

/* -- argmax and argmin */

static bool is_zero(const jm_module *m, jm_value v) {
  static const char zeros[16];
  const void *bytes = jm_module_element(m, v);
  return bytes && !memcmp(bytes, zeros, jm_dtype_bytes(jm_module_typeof(m, v)->dtype));
}

/* The identity: the first element replaces it, or the two are equal and the index 0 wins. */
static bool is_worst(const jm_module *m, jm_value v, bool largest) {
  const void *bytes = jm_module_element(m, v);
  jm_monoid monoid;
  return bytes &&
         jm_monoid_find(largest ? JM_OP_maximum : JM_OP_minimum, jm_module_typeof(m, v)->dtype,
                        &monoid) &&
         jm_monoid_is_identity(&monoid, bytes);
}

/* Operand 1 counts along the dimension that is folded, from 0 on. */
static bool counts(const jm_module *m, jm_value v, int64_t dim) {
  const jm_op *op = jm_module_source(m, v);
  if (op && op->code == JM_OP_broadcast_in_dim) {
    const jm_broadcast_in_dim_attrs *attrs = op->attrs;
    int64_t from = -1;
    for (uint32_t i = 0; i < attrs->dims.n; i++)
      if (attrs->dims.data[i] == dim) from = i;
    if (from < 0 || jm_op_operand_type(m, op, 0)->dims[from] != jm_module_typeof(m, v)->dims[dim])
      return false;
    dim = from;
    op = jm_module_source(m, op->operands[0]);
  }
  return op && op->code == JM_OP_iota && ((const jm_iota_attrs *)op->attrs)->dim == dim;
}

static bool is_argmax(const jm_module *m, const jm_op *op, bool *largest) {
  const jm_reduce_attrs *attrs = op->attrs;
  return op->n_results == 2 && !op->n_captures && attrs->dims.n == 1 &&
         jm_body_argmax(m, op->first_region, largest) &&
         counts(m, op->operands[1], attrs->dims.data[0]) &&
         is_worst(m, op->operands[2], *largest) && is_zero(m, op->operands[3]);
}

/* MLX's are JAX's: the first of equal values, the first NaN. */
static void lower_argmax(jm_lowering *l, bool largest) {
  const jm_reduce_attrs *attrs = l->op->attrs;
  int axis = (int)attrs->dims.data[0];
  A a = jm_lower_array(l, 0);
  if (jm_lower_dtype(l, 0) == JM_DT_pred) a = jm_mlx_astype(l, a, JM_DT_u8);
  A value = largest ? jm_mlx_max(l, a, &axis, 1) : jm_mlx_min(l, a, &axis, 1);
  A index = largest ? jm_mlx_argmax(l, a, axis) : jm_mlx_argmin(l, a, axis);
  l->out[0] = jm_mlx_astype(l, value, jm_lower_dtype(l, 0));
  l->out[1] = jm_mlx_astype(l, index, jm_lower_dtype(l, 1));
}

/* -- long sums and products */

/* MLX's CPU device uses a few running sums, which lose a percent of accuracy over a million values:
 * more values than ONE_STEP are first reduced in blocks, along one dimension at a time. */
enum { ONE_STEP = 4096, BLOCK = 128, MAX_RANK = 16 };

typedef struct extent {
  int32_t dims[MAX_RANK];
  int rank;
} extent;

static A slice_along(jm_lowering *l, A a, const extent *e, int d, int32_t from, int32_t to) {
  int32_t start[MAX_RANK] = {0}, stop[MAX_RANK], strides[MAX_RANK];
  for (int i = 0; i < e->rank; i++) {
    stop[i] = e->dims[i];
    strides[i] = 1;
  }
  start[d] = from;
  stop[d] = to;
  return jm_mlx_slice(l, a, start, stop, strides, e->rank);
}

/* [.., n, ..] -> [.., n / size, size, ..] -> [.., n / size, ..] */
static A reduce_blocks(jm_lowering *l, const jm_lower_monoid *monoid, A a, const extent *e, int d,
                       int32_t n, int32_t size) {
  int32_t split[MAX_RANK + 1];
  for (int i = 0; i < e->rank; i++) split[i + (i > d)] = e->dims[i];
  split[d] = n / size;
  split[d + 1] = size;
  int axis = d + 1;
  return monoid->reduce(l, jm_mlx_reshape(l, a, split, e->rank + 1), &axis, 1);
}

/* Makes dimension d about BLOCK times shorter. */
static A shorten(jm_lowering *l, const jm_lower_monoid *monoid, A a, extent *e, int d) {
  int32_t n = e->dims[d], size = n < 2 * BLOCK ? n : BLOCK, even = n / size * size;
  A parts[2] = {even < n ? slice_along(l, a, e, d, 0, even) : a, NULL};
  parts[0] = reduce_blocks(l, monoid, parts[0], e, d, even, size);
  if (even < n) {
    parts[1] = slice_along(l, a, e, d, even, n);
    parts[1] = reduce_blocks(l, monoid, parts[1], e, d, n - even, n - even);
    parts[0] = jm_mlx_concatenate(l, parts, 2, d);
  }
  e->dims[d] = n / size + (even < n);
  return parts[0];
}

static A reduce_long(jm_lowering *l, const jm_lower_monoid *monoid, A a) {
  const jm_reduce_attrs *attrs = l->op->attrs;
  const jm_type *type = jm_lower_type(l, 0);
  extent e = {.rank = (int)type->rank};
  for (uint32_t d = 0; d < type->rank; d++) e.dims[d] = (int32_t)type->dims[d];
  for (int64_t most = ONE_STEP;; most = BLOCK) {
    int64_t count = 1;
    int longest = 0;
    for (uint32_t i = 0; i < attrs->dims.n; i++) {
      int d = (int)attrs->dims.data[i];
      count *= e.dims[d];
      if (!i || e.dims[d] > e.dims[longest]) longest = d;
    }
    if (count <= most) return a;
    a = shorten(l, monoid, a, &e, longest);
  }
}

/* -- the op */

static void lower_reduce(jm_lowering *l) {
  const jm_reduce_attrs *attrs = l->op->attrs;
  bool largest;
  if (l->op->n_results == 2 && is_argmax(l->module, l->op, &largest)) {
    lower_argmax(l, largest);
    return;
  }
  const jm_dtype dtype = jm_lower_dtype(l, 0);
  jm_lower_monoid monoid;
  if (!jm_lower_monoid_find(l->module, l->op->first_region, &monoid)) {
    jm_lower_fail(l, jm_error_internal("reduce: the body"));
    return;
  }
  const jm_dtype wide = monoid.is.accumulator;
  A a = jm_lower_array(l, 0);
  if (wide != dtype) a = jm_mlx_astype(l, a, wide);
  if (monoid.is.rounds && jm_lower_type(l, 0)->rank <= MAX_RANK) a = reduce_long(l, &monoid, a);
  if (attrs->dims.n)
    a = monoid.reduce(l, a, jm_lower_ints(l, attrs->dims.data, attrs->dims.n), (int)attrs->dims.n);
  a = jm_mlx_astype(l, a, wide); /* MLX widens sums of narrow integers; cut back, they wrap */
  l->out[0] = jm_mlx_astype(l, jm_lower_monoid_start(l, &monoid, a, 1), dtype);
}

static bool supports_reduce(const jm_module *m, const jm_op *op) {
  bool largest;
  jm_lower_monoid monoid;
  if (op->n_results == 2) return is_argmax(m, op, &largest);
  return op->n_results == 1 && !op->n_captures &&
         jm_lower_monoid_find(m, op->first_region, &monoid);
}

const jm_lower_rule jm_lower_reduce_rules[] = {
    {JM_OP_reduce, lower_reduce, supports_reduce},
    {JM_N_OPS, NULL, NULL},
};
