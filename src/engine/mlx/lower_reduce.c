/* SPDX-License-Identifier: Apache-2.0
 * Reductions of whole dimensions: one op, or JAX's argmax and argmin. Other bodies are the host's.
 */
#include <math.h>
#include <string.h>

#include "engine/mlx/lower_rules.h"
#include "engine/ref/fold.h"

typedef jm_mlx_array *A;

/* -- what folds */

static const jm_lower_monoid monoids[] = {
    {JM_OP_add, false, jm_mlx_add, jm_mlx_sum, 0},
    {JM_OP_multiply, false, jm_mlx_multiply, jm_mlx_prod, 1},
    {JM_OP_maximum, false, jm_mlx_maximum, jm_mlx_max, 2},
    {JM_OP_minimum, false, jm_mlx_minimum, jm_mlx_min, 3},
    {JM_OP_add, true, jm_mlx_logical_or, jm_mlx_any, 2},
    {JM_OP_or, true, jm_mlx_logical_or, jm_mlx_any, 2},
    {JM_OP_maximum, true, jm_mlx_logical_or, jm_mlx_any, 2},
    {JM_OP_multiply, true, jm_mlx_logical_and, jm_mlx_all, 3},
    {JM_OP_and, true, jm_mlx_logical_and, jm_mlx_all, 3},
    {JM_OP_minimum, true, jm_mlx_logical_and, jm_mlx_all, 3},
};

const jm_lower_monoid *jm_lower_monoid_find(const jm_module *m, jm_region_id region,
                                            jm_dtype dtype) {
  jm_opcode code;
  if (!jm_ref_region_is_binary(m, region, &code)) return NULL;
  /* MLX has no order of complex numbers that is ours. */
  if (jm_dtype_is_complex(dtype) && code != JM_OP_add && code != JM_OP_multiply) return NULL;
  for (size_t i = 0; i < sizeof monoids / sizeof *monoids; i++)
    if (monoids[i].code == code && monoids[i].pred == (dtype == JM_DT_pred)) return &monoids[i];
  return NULL;
}

/* Whether it rounds, so that the result depends on the order of its operands. */
static bool rounds(const jm_lower_monoid *monoid, jm_dtype dtype) {
  return (monoid->code == JM_OP_add || monoid->code == JM_OP_multiply) &&
         (jm_dtype_is_float(dtype) || jm_dtype_is_complex(dtype));
}

jm_dtype jm_lower_monoid_dtype(const jm_lower_monoid *monoid, jm_dtype dtype) {
  return rounds(monoid, dtype) && jm_dtype_is_float(dtype) ? JM_DT_f32 : dtype;
}

void jm_lower_monoid_identity(jm_lowering *l, const jm_lower_monoid *monoid, jm_dtype dtype,
                              void *bytes) {
  static const double of_floats[] = {0, 1, -INFINITY, INFINITY};
  uint32_t bits = jm_dtype_facts[dtype].bits;
  bool is_signed = jm_dtype_classof(dtype) == JM_CLASS_SINT;
  int64_t least = is_signed ? INT64_MIN >> (64 - bits) : 0;
  int64_t most = is_signed ? ~least : (int64_t)(UINT64_MAX >> (64 - bits));
  const int64_t of_integers[] = {0, 1, least, dtype == JM_DT_pred ? 1 : most};
  jm_lower_fail(l, jm_dtype_is_integer(dtype) || dtype == JM_DT_pred
                       ? jm_ref_convert_run(JM_DT_s64, dtype, &of_integers[monoid->scan], bytes, 1)
                       : jm_ref_convert_run(JM_DT_f64, dtype, &of_floats[monoid->scan], bytes, 1));
}

A jm_lower_monoid_start(jm_lowering *l, const jm_lower_monoid *monoid, A a, uint32_t i) {
  jm_dtype dtype = jm_lower_dtype(l, i), wide = jm_lower_monoid_dtype(monoid, dtype);
  const void *known = jm_lower_host(l, i);
  uint64_t identity = 0;
  jm_lower_monoid_identity(l, monoid, dtype, &identity);
  if (known && !memcmp(known, &identity, jm_dtype_bytes(dtype))) return a;
  A start = jm_lower_array(l, i);
  return monoid->combine(l, a, wide == dtype ? start : jm_mlx_astype(l, start, wide));
}

/* -- argmax and argmin */

static bool is_zero(const jm_module *m, jm_value v) {
  static const char zeros[16];
  const void *bytes = jm_lower_constant_of(m, v);
  return bytes && !memcmp(bytes, zeros, jm_dtype_bytes(jm_module_typeof(m, v)->dtype));
}

/* No value is worse: the first element replaces it, or the two are equal and the index 0 wins. */
static bool is_worst(const jm_module *m, jm_value v, bool largest) {
  jm_lowering none = {.module = m};
  uint64_t worst = 0;
  jm_dtype dtype = jm_module_typeof(m, v)->dtype;
  const void *bytes = jm_lower_constant_of(m, v);
  jm_lower_monoid_identity(&none, &monoids[largest ? 2 : 3], dtype, &worst);
  jm_error_destroy(none.error);
  return bytes && !memcmp(bytes, &worst, jm_dtype_bytes(dtype));
}

/* Operand 1 counts along the dimension that is folded, from 0 on. */
static bool counts(const jm_module *m, jm_value v, int64_t dim) {
  const jm_op *op = jm_lower_definition(m, v);
  if (op && op->code == JM_OP_broadcast_in_dim) {
    const jm_broadcast_in_dim_attrs *attrs = op->attrs;
    int64_t from = -1;
    for (uint32_t i = 0; i < attrs->dims.n; i++)
      if (attrs->dims.data[i] == dim) from = i;
    if (from < 0 || jm_op_operand_type(m, op, 0)->dims[from] != jm_module_typeof(m, v)->dims[dim])
      return false;
    dim = from;
    op = jm_lower_definition(m, op->operands[0]);
  }
  return op && op->code == JM_OP_iota && ((const jm_iota_attrs *)op->attrs)->dim == dim;
}

static bool is_argmax(const jm_module *m, const jm_op *op, bool *largest) {
  const jm_reduce_attrs *attrs = op->attrs;
  return op->n_results == 2 && !op->n_captures && attrs->dims.n == 1 &&
         jm_fold_is_argmax(m, op->first_region, largest) &&
         !jm_dtype_is_complex(jm_op_operand_type(m, op, 0)->dtype) &&
         jm_dtype_is_integer(jm_op_operand_type(m, op, 1)->dtype) &&
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

/* MLX's CPU device adds up in a few running sums, which lose a percent over a million values: more
 * values than ONE_STEP are first reduced in blocks, along one dimension at a time. */
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
  jm_dtype dtype = jm_lower_dtype(l, 0);
  const jm_lower_monoid *monoid = jm_lower_monoid_find(l->module, l->op->first_region, dtype);
  jm_dtype wide = jm_lower_monoid_dtype(monoid, dtype);
  A a = jm_lower_array(l, 0);
  if (wide != dtype) a = jm_mlx_astype(l, a, wide);
  if (rounds(monoid, dtype) && jm_lower_type(l, 0)->rank <= MAX_RANK) a = reduce_long(l, monoid, a);
  if (attrs->dims.n)
    a = monoid->reduce(l, a, jm_lower_ints(l, attrs->dims.data, attrs->dims.n), (int)attrs->dims.n);
  a = jm_mlx_astype(l, a, wide); /* MLX widens sums of narrow integers; cut back, they wrap */
  l->out[0] = jm_mlx_astype(l, jm_lower_monoid_start(l, monoid, a, 1), dtype);
}

static bool supports_reduce(const jm_module *m, const jm_op *op) {
  bool largest;
  if (op->n_results == 2) return is_argmax(m, op, &largest);
  return op->n_results == 1 && !op->n_captures &&
         jm_lower_monoid_find(m, op->first_region, jm_op_operand_type(m, op, 0)->dtype);
}

const jm_lower_rule jm_lower_reduce_rules[] = {
    {JM_OP_reduce, lower_reduce, supports_reduce},
    {JM_N_OPS, NULL, NULL},
};
