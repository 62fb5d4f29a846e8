/* SPDX-License-Identifier: Apache-2.0
 * Windows. Cumulative ones (as JAX spells cumsum and its like) are MLX's scans. Others are reduced
 * one dimension at a time, each by a few slices: a window of w elements is composed of windows of
 * 1, 2, 4, ... elements. Padding and holes hold the identity. The gradient of pooling visits the
 * window's positions as the op's definition does. */
#include <math.h>

#include "base/convert.h"
#include "engine/mlx/lower_rules.h"

typedef jm_mlx_array *A;

enum {
  MAX_RANK = 16,
  MAX_POSITIONS = 64, /* of a select_and_scatter: each is a few ops */
};

/* -- scans */

/* Windows as long as the dimension, padded such that the k-th covers elements 0 to k (or, reversed,
 * k to the last). */
static bool find_scan(const jm_module *m, const jm_op *op, int *axis, bool *reverse) {
  const jm_reduce_window_attrs *a = op->attrs;
  const jm_type *type = jm_op_operand_type(m, op, 0);
  *axis = -1;
  for (uint32_t d = 0; d < type->rank; d++) {
    int64_t window = a->window.data[d];
    int64_t low = a->padding.data[2 * d], high = a->padding.data[2 * d + 1];
    bool forward = low == window - 1 && !high, backward = high == window - 1 && !low;
    if (a->strides.data[d] != 1 || a->base_dilations.data[d] != 1) return false;
    if (window == 1 && !low && !high) continue;
    if (*axis >= 0 || window < type->dims[d] || a->window_dilations.data[d] != 1 ||
        (!forward && !backward))
      return false;
    *axis = (int)d;
    *reverse = !forward;
  }
  return *axis >= 0;
}

/* -- windows */

/* A slice along dimension d: `size` elements from `start`, `stride` apart. */
static A take(jm_lowering *l, A a, const int64_t *dims, uint32_t n, uint32_t d, int64_t start,
              int64_t size, int64_t stride) {
  int32_t *from = jm_lower_scratch(l, n), *stop = jm_lower_scratch(l, n);
  int32_t *step = jm_lower_scratch(l, n);
  if (!from || !stop || !step) return NULL;
  for (uint32_t i = 0; i < n; i++) from[i] = 0, stop[i] = (int32_t)dims[i], step[i] = 1;
  from[d] = (int32_t)start;
  stop[d] = (int32_t)(start + (size - 1) * stride + 1);
  step[d] = (int32_t)stride;
  return jm_mlx_slice(l, a, from, stop, step, (int)n);
}

typedef struct span {
  int64_t window, stride, dilation, out;
} span;

/* Windows side by side: a reduction over a dimension of its own. */
static A fold_tiles(jm_lowering *l, const jm_lower_monoid *monoid, A a, const int64_t *dims,
                    uint32_t n, uint32_t d, const span *s, jm_dtype dtype) {
  int32_t *shape = jm_lower_scratch(l, n + 1);
  if (!shape) return NULL;
  for (uint32_t i = 0; i < n; i++) shape[i < d ? i : i + 1] = (int32_t)dims[i];
  shape[d] = (int32_t)s->out;
  shape[d + 1] = (int32_t)s->window;
  a = take(l, a, dims, n, d, 0, s->out * s->window, 1);
  a = jm_mlx_reshape(l, a, shape, (int)n + 1);
  const int32_t axis = (int32_t)d + 1;
  return jm_mlx_astype(l, monoid->reduce(l, a, &axis, 1), dtype);
}

/* dims is of the operand, and becomes that of the result. */
static A fold_dim(jm_lowering *l, const jm_lower_monoid *monoid, A a, int64_t *dims, uint32_t n,
                  uint32_t d, const span *s, jm_dtype dtype) {
  A out = NULL, part = a; /* part: windows of `length` elements at every place */
  if (s->dilation == 1 && s->window > 2 && (s->stride == s->window || s->out == 1)) {
    out = fold_tiles(l, monoid, a, dims, n, d, s, dtype);
  } else {
    int64_t done = 0, size = dims[d];
    for (int64_t length = 1; length <= s->window; length *= 2) {
      dims[d] = size;
      if (s->window & length) {
        A piece = take(l, part, dims, n, d, done * s->dilation, s->out, s->stride);
        out = out ? monoid->combine(l, out, piece) : piece;
        done += length;
      }
      if (2 * length > s->window) break;
      int64_t shift = length * s->dilation;
      part = monoid->combine(l, take(l, part, dims, n, d, 0, size - shift, 1),
                             take(l, part, dims, n, d, shift, size - shift, 1));
      size -= shift;
    }
  }
  dims[d] = s->out;
  return out;
}

static bool padding_of(const jm_reduce_window_attrs *a, int64_t *low, int64_t *high,
                       int64_t *interior) {
  for (uint32_t d = 0; d < a->window.n; d++) {
    low[d] = a->padding.data[2 * d];
    high[d] = a->padding.data[2 * d + 1];
    interior[d] = a->base_dilations.data[d] - 1;
  }
  return a->window.n <= MAX_RANK;
}

static A fold_windows(jm_lowering *l, const jm_lower_monoid *monoid, A a, jm_dtype dtype) {
  const jm_reduce_window_attrs *attrs = l->op->attrs;
  const jm_type *type = jm_lower_type(l, 0), *to = jm_lower_result(l, 0);
  int64_t low[MAX_RANK], high[MAX_RANK], interior[MAX_RANK], dims[MAX_RANK];
  uint64_t identity = 0;
  jm_monoid_identity(&monoid->is, dtype, &identity);
  padding_of(attrs, low, high, interior);
  const jm_lower_padding padding = {low, high, interior};
  a = jm_lower_pad(l, a, type->dims, &padding, type->rank, jm_lower_scalar(l, dtype, &identity));
  for (uint32_t d = 0; d < type->rank; d++)
    dims[d] = type->dims[d] + (type->dims[d] - 1) * interior[d] + low[d] + high[d];
  for (uint32_t d = 0; d < type->rank; d++) {
    const span s = {attrs->window.data[d], attrs->strides.data[d], attrs->window_dilations.data[d],
                    to->dims[d]};
    if (s.window > 1 || s.stride > 1) a = fold_dim(l, monoid, a, dims, type->rank, d, &s, dtype);
  }
  return a;
}

static A scan(jm_lowering *l, const jm_lower_monoid *monoid, A a, int axis, bool reverse) {
  if (monoid->is.dtype != JM_DT_pred) return jm_mlx_scan(l, a, axis, reverse, monoid->fold);
  a = jm_mlx_scan(l, jm_mlx_astype(l, a, JM_DT_u8), axis, reverse, monoid->fold);
  return jm_mlx_astype(l, a, JM_DT_pred);
}

static void lower_reduce_window(jm_lowering *l) {
  jm_dtype dtype = jm_lower_dtype(l, 0);
  jm_lower_monoid monoid;
  const bool is_monoid = jm_lower_monoid_find(l->module, l->op->first_region, &monoid);
  int axis;
  bool reverse, is_scan = find_scan(l->module, l->op, &axis, &reverse);
  const jm_dtype wide = is_monoid ? monoid.is.accumulator : JM_DT_f32;
  A a = jm_lower_array(l, 0);
  if (wide != dtype) a = jm_mlx_astype(l, a, wide);
  if (!is_monoid)
    a = jm_mlx_scan(l, a, axis, reverse, JM_MLX_LOG_ADD_EXP);
  else if (is_scan)
    a = scan(l, &monoid, a, axis, reverse);
  else
    a = fold_windows(l, &monoid, a, wide);
  if (is_monoid) a = jm_lower_monoid_start(l, &monoid, a, 1);
  l->out[0] = jm_mlx_astype(l, a, dtype);
}

/* A log of a sum of exponentials must start from log(0), which is a constant then. */
static bool starts_from_log_0(const jm_module *m, const jm_op *op) {
  const jm_op *init = jm_module_source(m, op->operands[1]);
  if (!init || init->code != JM_OP_constant) return false;
  float value = 0;
  jm_error *error =
      jm_convert_run(jm_op_result_type(m, init, 0)->dtype, JM_DT_f32,
                     ((const jm_constant_attrs *)init->attrs)->value.bytes, &value, 1);
  jm_error_destroy(error);
  return !error && value == -INFINITY;
}

static bool supports_reduce_window(const jm_module *m, const jm_op *op) {
  const jm_reduce_window_attrs *attrs = op->attrs;
  const jm_type *type = jm_op_operand_type(m, op, 0);
  int64_t low[MAX_RANK], high[MAX_RANK], interior[MAX_RANK];
  int axis;
  bool reverse;
  if (op->n_results != 1 || op->n_captures || type->rank > MAX_RANK ||
      !padding_of(attrs, low, high, interior))
    return false;
  const jm_lower_padding padding = {low, high, interior};
  jm_lower_monoid monoid;
  if (!jm_lower_monoid_find(m, op->first_region, &monoid))
    return jm_dtype_is_float(type->dtype) && find_scan(m, op, &axis, &reverse) &&
           jm_body_log_add_exp(m, op->first_region) && starts_from_log_0(m, op);
  return find_scan(m, op, &axis, &reverse) ||
         jm_lower_pad_supported(type->dims, &padding, type->rank);
}

/* -- the gradient of pooling */

static A compared(jm_lowering *l, jm_direction direction, A a, A b) {
  switch (direction) {
    case JM_COMPARE_GE:
      return jm_mlx_greater_equal(l, a, b);
    case JM_COMPARE_GT:
      return jm_mlx_greater(l, a, b);
    case JM_COMPARE_LE:
      return jm_mlx_less_equal(l, a, b);
    case JM_COMPARE_LT:
      return jm_mlx_less(l, a, b);
    case JM_COMPARE_EQ:
      return jm_mlx_equal(l, a, b);
    case JM_COMPARE_NE:
      return jm_mlx_not_equal(l, a, b);
  }
  return NULL;
}

typedef struct pooling {
  const jm_select_and_scatter_attrs *attrs;
  uint32_t rank;
  const int64_t *out;     /* of the source */
  int64_t dims[MAX_RANK]; /* of the padded operand */
  int64_t low[MAX_RANK], high[MAX_RANK], none[MAX_RANK];
  int64_t position[MAX_RANK];  /* in the window */
  int64_t mask_dims[MAX_RANK]; /* the operand's where it is padded, else 1 */
  bool padded, overlaps;
} pooling;

static void pooling_init(pooling *p, const jm_type *operand, const jm_type *source,
                         const jm_select_and_scatter_attrs *attrs) {
  *p = (pooling){.attrs = attrs, .rank = operand->rank, .out = source->dims};
  for (uint32_t d = 0; d < p->rank; d++) {
    p->low[d] = attrs->padding.data[2 * d];
    p->high[d] = attrs->padding.data[2 * d + 1];
    p->dims[d] = operand->dims[d] + p->low[d] + p->high[d];
    bool padded = p->low[d] || p->high[d];
    p->mask_dims[d] = padded ? operand->dims[d] : 1;
    p->padded |= padded;
    p->overlaps |= attrs->strides.data[d] < attrs->window.data[d];
  }
}

static bool pooling_next(pooling *p) {
  for (uint32_t d = p->rank; d--;) {
    if (++p->position[d] < p->attrs->window.data[d]) return true;
    p->position[d] = 0;
  }
  return false;
}

/* Where the windows' present position lies in the padded operand, or in its mask, which has one
 * element along dimensions without padding. */
static bool pooling_place(jm_lowering *l, const pooling *p, bool mask, int32_t **start,
                          int32_t **stop, int32_t **step) {
  *start = jm_lower_scratch(l, p->rank);
  *stop = jm_lower_scratch(l, p->rank);
  *step = jm_lower_scratch(l, p->rank);
  if (!*start || !*stop || !*step) return false;
  for (uint32_t d = 0; d < p->rank; d++) {
    bool whole = mask && !p->low[d] && !p->high[d];
    int64_t from = whole ? 0 : p->position[d], stride = p->attrs->strides.data[d];
    (*start)[d] = (int32_t)from;
    (*stop)[d] = (int32_t)(whole ? 1 : from + (p->out[d] - 1) * stride + 1);
    (*step)[d] = whole ? 1 : (int32_t)stride;
  }
  return true;
}

static A pooling_take(jm_lowering *l, const pooling *p, A a, bool mask) {
  int32_t *start, *stop, *step;
  if (!a || !pooling_place(l, p, mask, &start, &stop, &step)) return NULL;
  return jm_mlx_slice(l, a, start, stop, step, (int)p->rank);
}

static A full(jm_lowering *l, const int64_t *dims, uint32_t n, A value) {
  return jm_mlx_full(l, jm_lower_ints(l, dims, n), (int)n, value);
}

/* The number of the position that each window selects: the current selection stays if the
 * comparison holds. Padding is never selected. */
static A select_positions(jm_lowering *l, pooling *p, A a, A inside) {
  jm_direction direction = jm_body_compare(l->module, l->op->first_region)->direction;
  A value = NULL, where = NULL, met = NULL;
  int64_t number = 0;
  do {
    A next = pooling_take(l, p, a, false), present = pooling_take(l, p, inside, true);
    A this = jm_lower_i64(l, JM_DT_u8, number++);
    if (!value) {
      value = next, met = present;
      where = full(l, p->out, p->rank, this);
      continue;
    }
    A stays = compared(l, direction, value, next);
    if (present) {
      stays =
          jm_mlx_logical_or(l, jm_mlx_logical_and(l, stays, met), jm_mlx_logical_not(l, present));
      met = jm_mlx_logical_or(l, met, present);
    }
    value = jm_mlx_where(l, stays, value, next);
    where = jm_mlx_where(l, stays, where, this);
  } while (!l->error && pooling_next(p));
  return where;
}

static void lower_select_and_scatter(jm_lowering *l) {
  const jm_type *type = jm_lower_type(l, 0);
  jm_lower_monoid monoid;
  if (!jm_lower_monoid_find(l->module, l->op->first_region + 1, &monoid)) {
    jm_lower_fail(l, jm_error_internal("select_and_scatter: the body"));
    return;
  }
  const jm_dtype wide = monoid.is.accumulator;
  pooling p;
  pooling_init(&p, type, jm_lower_type(l, 1), l->op->attrs);
  const jm_lower_padding padding = {p.low, p.high, p.none};
  A zero = jm_lower_i64(l, wide, 0), source = jm_mlx_astype(l, jm_lower_array(l, 1), wide);
  A inside = NULL, a = jm_lower_pad(l, jm_lower_array(l, 0), type->dims, &padding, p.rank,
                                    jm_lower_i64(l, type->dtype, 0));
  if (p.padded)
    inside = jm_lower_pad(l, full(l, p.mask_dims, p.rank, jm_lower_i64(l, JM_DT_pred, 1)),
                          p.mask_dims, &padding, p.rank, jm_lower_i64(l, JM_DT_pred, 0));
  A where = select_positions(l, &p, a, inside), sum = full(l, p.dims, p.rank, zero);
  int64_t number = 0;
  do {
    A chosen = jm_mlx_equal(l, where, jm_lower_i64(l, JM_DT_u8, number++));
    A given = jm_mlx_where(l, chosen, source, zero);
    int32_t *start, *stop, *step;
    if (!pooling_place(l, &p, false, &start, &stop, &step)) return;
    if (p.overlaps) given = jm_mlx_add(l, pooling_take(l, &p, sum, false), given);
    sum = jm_mlx_slice_update(l, sum, given, start, stop, step, (int)p.rank);
  } while (!l->error && pooling_next(&p));
  if (p.padded) {
    for (uint32_t d = 0; d < p.rank; d++) p.low[d] = -p.low[d], p.high[d] = -p.high[d];
    sum = jm_lower_pad(l, sum, p.dims, &padding, p.rank, zero);
  }
  l->out[0] = jm_mlx_astype(l, jm_lower_monoid_start(l, &monoid, sum, 2), type->dtype);
}

static bool supports_select_and_scatter(const jm_module *m, const jm_op *op) {
  const jm_select_and_scatter_attrs *attrs = op->attrs;
  const jm_type *type = jm_op_operand_type(m, op, 0);
  jm_lower_monoid monoid;
  if (op->n_captures || type->rank > MAX_RANK || !jm_body_compare(m, op->first_region) ||
      !jm_lower_monoid_find(m, op->first_region + 1, &monoid) || monoid.is.code != JM_OP_add ||
      (!jm_dtype_is_float(type->dtype) && !jm_dtype_is_integer(type->dtype)))
    return false;
  int64_t positions = 1;
  for (uint32_t d = 0; d < type->rank; d++) {
    if (attrs->padding.data[2 * d] < 0 || attrs->padding.data[2 * d + 1] < 0) return false;
    positions *= attrs->window.data[d];
    if (positions > MAX_POSITIONS) return false;
  }
  return true;
}

const jm_lower_rule jm_lower_window_rules[] = {
    {JM_OP_reduce_window, lower_reduce_window, supports_reduce_window},
    {JM_OP_select_and_scatter, lower_select_and_scatter, supports_select_and_scatter},
    {JM_N_OPS, NULL, NULL},
};
