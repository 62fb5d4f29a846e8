/* SPDX-License-Identifier: Apache-2.0
 * Data movement at positions known at compile time. */
#include "engine/mlx/lower_rules.h"

typedef jm_mlx_array *A;

static void lower_reshape(jm_lowering *l) { l->out[0] = jm_lower_elements(l, 0); }

static void lower_transpose(jm_lowering *l) {
  const jm_transpose_attrs *attrs = l->op->attrs;
  const int32_t *axes = jm_lower_ints(l, attrs->permutation.data, attrs->permutation.n);
  l->out[0] = jm_mlx_transpose(l, jm_lower_array(l, 0), axes, (int)attrs->permutation.n);
}

/* The operand's dimensions in the order of the result's, with ones in between; then repeated. */
static void lower_broadcast_in_dim(jm_lowering *l) {
  const jm_broadcast_in_dim_attrs *attrs = l->op->attrs;
  const jm_type *from = jm_lower_type(l, 0), *to = jm_lower_result(l, 0);
  int32_t *order = jm_lower_scratch(l, from->rank), *shape = jm_lower_scratch(l, to->rank);
  if (!order || !shape) return;
  uint32_t n = 0;
  for (uint32_t d = 0; d < to->rank; d++) {
    shape[d] = 1;
    for (uint32_t i = 0; i < attrs->dims.n; i++)
      if (attrs->dims.data[i] == d) {
        order[n++] = (int32_t)i;
        shape[d] = (int32_t)from->dims[i];
      }
  }
  A a = jm_mlx_transpose(l, jm_lower_array(l, 0), order, (int)from->rank);
  a = jm_mlx_reshape(l, a, shape, (int)to->rank);
  l->out[0] = jm_mlx_broadcast_to(l, a, jm_lower_shape(l, to), (int)to->rank);
}

static void lower_concatenate(jm_lowering *l) {
  const jm_concatenate_attrs *attrs = l->op->attrs;
  uint32_t n = l->op->n_operands;
  A *arrays = jm_arena_alloc(&l->scratch, n, sizeof *arrays);
  if (!arrays) {
    jm_lower_fail(l, jm_error_out_of_memory());
    return;
  }
  for (uint32_t i = 0; i < n; i++) arrays[i] = jm_lower_array(l, i);
  l->out[0] = jm_mlx_concatenate(l, arrays, (int)n, (int)attrs->dim);
}

/* Only large splats come here; other constants are uploaded as they are. */
static void lower_constant(jm_lowering *l) {
  const jm_constant_attrs *attrs = l->op->attrs;
  const jm_type *to = jm_lower_result(l, 0);
  A a = NULL;
  if (!attrs->value.splat) {
    jm_lower_fail(l, jm_lower_import(l->api, to, attrs->value.bytes, &a));
    l->out[0] = jm_lower_keep(l, a);
    return;
  }
  /* A view of the one element: `full` would fill the memory of all. */
  a = jm_lower_scalar(l, to->dtype, attrs->value.bytes);
  l->out[0] = jm_mlx_broadcast_to(l, a, jm_lower_shape(l, to), (int)to->rank);
}

static void lower_iota(jm_lowering *l) {
  const jm_iota_attrs *attrs = l->op->attrs;
  const jm_type *to = jm_lower_result(l, 0);
  int32_t *shape = jm_lower_scratch(l, to->rank);
  if (!shape) return;
  for (uint32_t i = 0; i < to->rank; i++) shape[i] = i == attrs->dim ? (int32_t)to->dims[i] : 1;
  /* Counted in integers: a narrow float would stop growing where its step passes 1. */
  A a = jm_mlx_astype(l, jm_mlx_arange(l, to->dims[attrs->dim], JM_DT_s32), to->dtype);
  a = jm_mlx_reshape(l, a, shape, (int)to->rank);
  l->out[0] = jm_mlx_broadcast_to(l, a, jm_lower_shape(l, to), (int)to->rank);
}

static void lower_slice(jm_lowering *l) {
  const jm_slice_attrs *a = l->op->attrs;
  uint32_t n = a->start.n;
  l->out[0] =
      jm_mlx_slice(l, jm_lower_array(l, 0), jm_lower_ints(l, a->start.data, n),
                   jm_lower_ints(l, a->limit.data, n), jm_lower_ints(l, a->stride.data, n), (int)n);
}

/* A slice of step -1; a stop of -n - 1 means "before the first". */
static void lower_reverse(jm_lowering *l) {
  const jm_reverse_attrs *attrs = l->op->attrs;
  const jm_type *type = jm_lower_type(l, 0);
  uint32_t n = type->rank;
  int32_t *start = jm_lower_scratch(l, n), *stop = jm_lower_scratch(l, n);
  int32_t *step = jm_lower_scratch(l, n);
  if (!start || !stop || !step) return;
  for (uint32_t i = 0; i < n; i++) start[i] = 0, stop[i] = (int32_t)type->dims[i], step[i] = 1;
  for (uint32_t i = 0; i < attrs->dims.n; i++) {
    int64_t d = attrs->dims.data[i];
    start[d] = (int32_t)type->dims[d] - 1;
    stop[d] = -(int32_t)type->dims[d] - 1;
    step[d] = -1;
  }
  l->out[0] = jm_mlx_slice(l, jm_lower_array(l, 0), start, stop, step, (int)n);
}

/* Interior padding: the elements are written into a field of the value, with strides. */
static A spread(jm_lowering *l, A a, const int64_t *dims, const int64_t *interior, uint32_t n,
                A value) {
  int32_t *zero = jm_lower_scratch(l, n), *shape = jm_lower_scratch(l, n);
  int32_t *step = jm_lower_scratch(l, n);
  if (!zero || !shape || !step) return NULL;
  bool any = false;
  for (uint32_t i = 0; i < n; i++) {
    shape[i] = (int32_t)(dims[i] + (dims[i] - 1) * interior[i]);
    step[i] = (int32_t)interior[i] + 1;
    any |= interior[i] > 0;
  }
  if (!any) return a;
  return jm_mlx_slice_update(l, jm_mlx_full(l, shape, (int)n, value), a, zero, shape, step, (int)n);
}

A jm_lower_pad(jm_lowering *l, A a, const int64_t *dims, const jm_lower_padding *p, uint32_t n,
               A value) {
  int32_t *start = jm_lower_scratch(l, n), *stop = jm_lower_scratch(l, n);
  int32_t *step = jm_lower_scratch(l, n), *low = jm_lower_scratch(l, n);
  int32_t *high = jm_lower_scratch(l, n);
  if (!start || !stop || !step || !low || !high) return NULL;
  a = spread(l, a, dims, p->interior, n, value);
  bool crops = false, pads = false;
  for (uint32_t i = 0; i < n; i++) {
    int64_t size = dims[i] + (dims[i] - 1) * p->interior[i];
    start[i] = p->low[i] < 0 ? (int32_t)-p->low[i] : 0;
    stop[i] = (int32_t)(size + (p->high[i] < 0 ? p->high[i] : 0));
    step[i] = 1;
    low[i] = p->low[i] > 0 ? (int32_t)p->low[i] : 0;
    high[i] = p->high[i] > 0 ? (int32_t)p->high[i] : 0;
    crops |= p->low[i] < 0 || p->high[i] < 0;
    pads |= low[i] || high[i];
  }
  if (crops) a = jm_mlx_slice(l, a, start, stop, step, (int)n);
  return pads ? jm_mlx_pad(l, a, low, high, (int)n, value) : a;
}

bool jm_lower_pad_supported(const int64_t *dims, const jm_lower_padding *p, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    int64_t size = dims[i] + (dims[i] - 1) * p->interior[i];
    int64_t left = size + (p->low[i] < 0 ? p->low[i] : 0) + (p->high[i] < 0 ? p->high[i] : 0);
    int64_t most = size + (p->low[i] > 0 ? p->low[i] : 0) + (p->high[i] > 0 ? p->high[i] : 0);
    if (left < 1 || most > INT32_MAX) return false;
  }
  return true;
}

static void lower_pad(jm_lowering *l) {
  const jm_pad_attrs *a = l->op->attrs;
  const jm_type *type = jm_lower_type(l, 0);
  const jm_lower_padding padding = {a->low.data, a->high.data, a->interior.data};
  l->out[0] =
      jm_lower_pad(l, jm_lower_array(l, 0), type->dims, &padding, type->rank, jm_lower_array(l, 1));
}
static bool supports_pad(const jm_module *m, const jm_op *op) {
  const jm_pad_attrs *a = op->attrs;
  const jm_type *type = jm_op_operand_type(m, op, 0);
  const jm_lower_padding padding = {a->low.data, a->high.data, a->interior.data};
  return jm_lower_pad_supported(type->dims, &padding, type->rank);
}

/* A narrower type splits the last dimension's elements, a wider one joins them. */
static void lower_bitcast_convert(jm_lowering *l) {
  const jm_type *from = jm_lower_type(l, 0), *to = jm_lower_result(l, 0);
  A a = jm_lower_array(l, 0);
  if (to->rank > from->rank) { /* [..., n] of wide as [..., n, 1], whose view is [..., n, k] */
    int32_t *shape = jm_lower_scratch(l, to->rank);
    if (!shape) return;
    for (uint32_t i = 0; i < from->rank; i++) shape[i] = (int32_t)from->dims[i];
    shape[from->rank] = 1;
    a = jm_mlx_reshape(l, a, shape, (int)to->rank);
  }
  a = jm_mlx_view(l, a, to->dtype);
  l->out[0] = jm_mlx_reshape(l, a, jm_lower_shape(l, to), (int)to->rank);
}
static bool supports_bitcast_convert(const jm_module *m, const jm_op *op) {
  jm_dtype from = jm_op_operand_type(m, op, 0)->dtype, to = jm_op_result_type(m, op, 0)->dtype;
  return from != JM_DT_pred && to != JM_DT_pred && !jm_dtype_is_complex(from) &&
         !jm_dtype_is_complex(to);
}

static void lower_optimization_barrier(jm_lowering *l) {
  for (uint32_t i = 0; i < l->op->n_results; i++) l->out[i] = jm_lower_array(l, i);
}

const jm_lower_rule jm_lower_movement_rules[] = {
    {JM_OP_bitcast_convert, lower_bitcast_convert, supports_bitcast_convert},
    {JM_OP_broadcast_in_dim, lower_broadcast_in_dim, NULL},
    {JM_OP_concatenate, lower_concatenate, NULL},
    {JM_OP_constant, lower_constant, NULL},
    {JM_OP_iota, lower_iota, NULL},
    {JM_OP_optimization_barrier, lower_optimization_barrier, NULL},
    {JM_OP_pad, lower_pad, supports_pad},
    {JM_OP_reshape, lower_reshape, NULL},
    {JM_OP_reverse, lower_reverse, NULL},
    {JM_OP_slice, lower_slice, NULL},
    {JM_OP_transpose, lower_transpose, NULL},
    {JM_N_OPS, NULL, NULL},
};
