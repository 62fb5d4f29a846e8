/* SPDX-License-Identifier: Apache-2.0
 * Data movement at positions known at run time. MLX checks no bounds, so that every start is
 * clamped (gather, dynamic slices) or tested (scatter) here, in its own type, before it is cast.
 *
 * All forms of gather and scatter have one structure: an index vector per element of
 * the batch dimensions B, a window W at each. With a row-major operand the places are
 *   linear[B, W] = sum over dimensions of start[B] * stride + offset[W]
 * and the op takes or combines elements of the flat operand. If the window is a run of whole
 * trailing dimensions, the rows of [leading, trailing] are taken instead. */
#include <math.h>

#include "engine/mlx/lower_rules.h"

typedef jm_mlx_array *A;

/* -- starts */

static int64_t most_of(jm_dtype dtype) {
  uint32_t bits = jm_dtype_facts[dtype].bits;
  if (jm_dtype_classof(dtype) == JM_CLASS_SINT) return INT64_MAX >> (64 - bits);
  return bits >= 63 ? INT64_MAX : (int64_t)((1ull << bits) - 1);
}

/* A limit in the start's own type; one that the type can't reach is no limit. */
static A limit_of(jm_lowering *l, jm_dtype dtype, int64_t limit) {
  return jm_lower_i64(l, dtype, limit > most_of(dtype) ? most_of(dtype) : limit);
}

/* min(max(start, 0), limit) as s32 */
static A clamped(jm_lowering *l, A start, jm_dtype dtype, int64_t limit) {
  if (jm_dtype_classof(dtype) == JM_CLASS_SINT)
    start = jm_mlx_maximum(l, start, jm_lower_i64(l, dtype, 0));
  start = jm_mlx_minimum(l, start, limit_of(l, dtype, limit));
  return jm_mlx_astype(l, start, JM_DT_s32);
}

static int64_t host_start(const jm_lowering *l, uint32_t i) {
  int64_t value = 0;
  const jm_type *type = jm_lower_type(l, i);
  const void *data = jm_lower_host(l, i);
  switch (type->dtype) {
    case JM_DT_s8:
      value = *(const int8_t *)data;
      break;
    case JM_DT_s16:
      value = *(const int16_t *)data;
      break;
    case JM_DT_s32:
      value = *(const int32_t *)data;
      break;
    case JM_DT_s64:
      value = *(const int64_t *)data;
      break;
    case JM_DT_u8:
      value = *(const uint8_t *)data;
      break;
    case JM_DT_u16:
      value = *(const uint16_t *)data;
      break;
    case JM_DT_u32:
      value = *(const uint32_t *)data;
      break;
    default:
      value = *(const uint64_t *)data > INT64_MAX ? INT64_MAX : *(const int64_t *)data;
  }
  return value;
}

/* The starts of a dynamic slice: numbers if all of them are on the host, so that nothing waits and
 * MLX sees a plain slice; else an array s32[rank]. */
typedef struct starts {
  int32_t *start, *stop, *step; /* NULL: array */
  A array;
} starts;

static starts starts_read(jm_lowering *l, uint32_t first, const jm_type *type,
                          const int64_t *sizes) {
  uint32_t n = type->rank;
  starts s = {0};
  bool on_host = true;
  for (uint32_t i = 0; i < n; i++) on_host &= jm_lower_host(l, first + i) != NULL;
  if (on_host) {
    s.start = jm_lower_scratch(l, n), s.stop = jm_lower_scratch(l, n);
    s.step = jm_lower_scratch(l, n);
    for (uint32_t i = 0; !l->error && i < n; i++) {
      int64_t at = host_start(l, first + i), limit = type->dims[i] - sizes[i];
      at = at < 0 ? 0 : at > limit ? limit : at;
      s.start[i] = (int32_t)at, s.stop[i] = (int32_t)(at + sizes[i]), s.step[i] = 1;
    }
    return s;
  }
  A *parts = jm_arena_alloc(&l->scratch, n, sizeof *parts);
  if (!parts) {
    jm_lower_fail(l, jm_error_out_of_memory());
    return s;
  }
  const int32_t one[1] = {1};
  for (uint32_t i = 0; i < n; i++) {
    A start = clamped(l, jm_lower_array(l, first + i), jm_lower_type(l, first + i)->dtype,
                      type->dims[i] - sizes[i]);
    parts[i] = jm_mlx_reshape(l, start, one, 1);
  }
  s.array = jm_mlx_concatenate(l, parts, (int)n, 0);
  return s;
}

static void lower_dynamic_slice(jm_lowering *l) {
  const jm_dynamic_slice_attrs *attrs = l->op->attrs;
  const jm_type *type = jm_lower_type(l, 0);
  int n = (int)type->rank;
  starts s = starts_read(l, 1, type, attrs->sizes.data);
  if (l->error) return;
  A a = jm_lower_array(l, 0);
  l->out[0] = !s.array ? jm_mlx_slice(l, a, s.start, s.stop, s.step, n)
                       : jm_mlx_slice_dynamic(
                             l, a, s.array, jm_lower_ints(l, attrs->sizes.data, attrs->sizes.n), n);
}

static void lower_dynamic_update_slice(jm_lowering *l) {
  const jm_type *type = jm_lower_type(l, 0), *update = jm_lower_type(l, 1);
  int n = (int)type->rank;
  starts s = starts_read(l, 2, type, update->dims);
  if (l->error) return;
  A a = jm_lower_array(l, 0), u = jm_lower_array(l, 1);
  l->out[0] = !s.array ? jm_mlx_slice_update(l, a, u, s.start, s.stop, s.step, n)
                       : jm_mlx_slice_update_dynamic(l, a, u, s.array, n);
}

/* -- gather and scatter */

/* The attributes of both ops, in one form. Lists are over the operand's dimensions. */
typedef struct places {
  const jm_type *operand, *indices;
  jm_i64s index_map, operand_batch, indices_batch, inserted; /* inserted: not in the window */
  int64_t index_dim;
  const int64_t *window; /* size per dimension, 1 for inserted and batching ones */
  uint32_t n_batch;      /* dimensions of the indices but index_dim */
  int64_t *batch;        /* their sizes */
  uint32_t n_offsets;    /* dimensions of the window that remain */
  int64_t *offsets;      /* their operand dimensions */
} places;

static bool places_fill(jm_lowering *l, places *p) {
  p->batch = jm_arena_alloc(&l->scratch, p->indices->rank + 1, sizeof *p->batch);
  p->offsets = jm_arena_alloc(&l->scratch, p->operand->rank + 1, sizeof *p->offsets);
  if (!p->batch || !p->offsets) {
    jm_lower_fail(l, jm_error_out_of_memory());
    return false;
  }
  for (uint32_t i = 0; i < p->indices->rank; i++)
    if (i != p->index_dim) p->batch[p->n_batch++] = p->indices->dims[i];
  for (uint32_t d = 0; d < p->operand->rank; d++)
    if (!jm_i64s_contains(p->inserted, d) && !jm_i64s_contains(p->operand_batch, d))
      p->offsets[p->n_offsets++] = d;
  return true;
}

/* Component k of the index vectors, of shape B followed by n_ones ones, in its own type. */
static A component(jm_lowering *l, const places *p, uint32_t k, uint32_t n_ones) {
  const jm_type *type = p->indices;
  uint32_t n = type->rank;
  A a = jm_lower_array(l, 1);
  if (p->index_dim < n) {
    int32_t *start = jm_lower_scratch(l, n), *stop = jm_lower_scratch(l, n);
    int32_t *step = jm_lower_scratch(l, n);
    if (!start || !stop || !step) return NULL;
    for (uint32_t i = 0; i < n; i++) {
      bool here = i == p->index_dim;
      start[i] = here ? (int32_t)k : 0;
      stop[i] = here ? (int32_t)k + 1 : (int32_t)type->dims[i];
      step[i] = 1;
    }
    a = jm_mlx_slice(l, a, start, stop, step, (int)n);
  }
  int32_t *shape = jm_lower_scratch(l, p->n_batch + n_ones);
  if (!shape) return NULL;
  for (uint32_t i = 0; i < p->n_batch; i++) shape[i] = (int32_t)p->batch[i];
  for (uint32_t i = 0; i < n_ones; i++) shape[p->n_batch + i] = 1;
  return jm_mlx_reshape(l, a, shape, (int)(p->n_batch + n_ones));
}

/* 0, 1, ... n-1 times stride along dimension d of a shape of this rank whose others are 1. */
static A ramp(jm_lowering *l, int64_t n, int64_t stride, uint32_t d, uint32_t rank) {
  int32_t *shape = jm_lower_scratch(l, rank);
  if (!shape) return NULL;
  for (uint32_t i = 0; i < rank; i++) shape[i] = i == d ? (int32_t)n : 1;
  A a = jm_mlx_reshape(l, jm_mlx_arange(l, n, JM_DT_s32), shape, (int)rank);
  return stride == 1 ? a : jm_mlx_multiply(l, a, jm_lower_i64(l, JM_DT_s32, stride));
}

static A sum(jm_lowering *l, A a, A b) { return a ? jm_mlx_add(l, a, b) : b; }

/* The linear places of the first n_dims operand dimensions, with the window's offsets in those
 * dimensions as the last dimensions of the result: s32[B, W...]. valid: if not NULL, starts aren't
 * clamped but tested, and *valid is pred[B, 1...]. */
static A linear_places(jm_lowering *l, const places *p, uint32_t n_dims, A *valid) {
  uint32_t n_window = 0;
  while (n_window < p->n_offsets && p->offsets[n_window] < n_dims) n_window++;
  uint32_t rank = p->n_batch + n_window;
  int64_t stride = 1;
  A linear = NULL;
  for (uint32_t d = n_dims; d-- > 0; stride *= p->operand->dims[d]) {
    A scale = stride == 1 ? NULL : jm_lower_i64(l, JM_DT_s32, stride);
    for (uint32_t k = 0; k < p->index_map.n; k++) {
      if (p->index_map.data[k] != d) continue;
      jm_dtype dtype = p->indices->dtype;
      int64_t limit = p->operand->dims[d] - p->window[d];
      A start = component(l, p, k, n_window);
      if (valid) {
        A fits = jm_mlx_less_equal(l, start, limit_of(l, dtype, limit));
        if (jm_dtype_classof(dtype) == JM_CLASS_SINT)
          fits = jm_mlx_logical_and(l, fits,
                                    jm_mlx_greater_equal(l, start, jm_lower_i64(l, dtype, 0)));
        *valid = *valid ? jm_mlx_logical_and(l, *valid, fits) : fits;
      }
      start = clamped(l, start, dtype, limit);
      linear = sum(l, linear, scale ? jm_mlx_multiply(l, start, scale) : start);
    }
    for (uint32_t k = 0; k < p->operand_batch.n; k++) {
      if (p->operand_batch.data[k] != d) continue;
      int64_t at = p->indices_batch.data[k];
      uint32_t position = (uint32_t)(at - (at > p->index_dim));
      linear = sum(l, linear, ramp(l, p->operand->dims[d], stride, position, rank));
    }
    for (uint32_t w = 0; w < n_window; w++)
      if (p->offsets[w] == d && p->window[d] > 1)
        linear = sum(l, linear, ramp(l, p->window[d], stride, p->n_batch + w, rank));
  }
  if (!linear) linear = jm_lower_i64(l, JM_DT_s32, 0);
  int32_t *shape = jm_lower_scratch(l, rank);
  if (!shape) return NULL;
  for (uint32_t i = 0; i < p->n_batch; i++) shape[i] = (int32_t)p->batch[i];
  for (uint32_t w = 0; w < n_window; w++) shape[p->n_batch + w] = (int32_t)p->window[p->offsets[w]];
  return jm_mlx_broadcast_to(l, linear, shape, (int)rank);
}

/* How many leading dimensions are indexed, if all others are whole in the window: the rows. */
static uint32_t leading_dims(const places *p) {
  uint32_t n = p->operand->rank;
  while (n && !jm_i64s_contains(p->index_map, n - 1) &&
         !jm_i64s_contains(p->operand_batch, n - 1) && !jm_i64s_contains(p->inserted, n - 1) &&
         p->window[n - 1] == p->operand->dims[n - 1])
    n--;
  return n;
}

/* The operand as [product of the first n dimensions, the others...]. */
static A as_rows(jm_lowering *l, A a, const jm_type *type, uint32_t n, int64_t *n_rows) {
  int32_t *shape = jm_lower_scratch(l, type->rank - n + 1);
  if (!shape) return NULL;
  *n_rows = 1;
  for (uint32_t i = 0; i < n; i++) *n_rows *= type->dims[i];
  shape[0] = (int32_t)*n_rows;
  for (uint32_t i = n; i < type->rank; i++) shape[i - n + 1] = (int32_t)type->dims[i];
  return jm_mlx_reshape(l, a, shape, (int)(type->rank - n + 1));
}

/* Axes that bring [B..., W...] to a layout whose dimensions at `window_dims` are the window's, in
 * order; inverse: the way back. */
static int32_t *layout_axes(jm_lowering *l, jm_i64s window_dims, uint32_t n_batch, uint32_t rank,
                            bool inverse) {
  int32_t *axes = jm_lower_scratch(l, rank);
  if (!axes) return NULL;
  uint32_t b = 0, w = 0;
  for (uint32_t d = 0; d < rank; d++) {
    uint32_t source = jm_i64s_contains(window_dims, d) ? n_batch + w++ : b++;
    if (inverse)
      axes[source] = (int32_t)d;
    else
      axes[d] = (int32_t)source;
  }
  return axes;
}

static void lower_gather(jm_lowering *l) {
  const jm_gather_attrs *a = l->op->attrs;
  places p = {.operand = jm_lower_type(l, 0),
              .indices = jm_lower_type(l, 1),
              .index_map = a->start_index_map,
              .operand_batch = a->operand_batching_dims,
              .indices_batch = a->start_indices_batching_dims,
              .inserted = a->collapsed_slice_dims,
              .index_dim = a->index_vector_dim,
              .window = a->slice_sizes.data};
  if (!places_fill(l, &p)) return;
  const jm_type *to = jm_lower_result(l, 0);
  int64_t n_rows;
  uint32_t n_dims = leading_dims(&p);
  A rows = as_rows(l, jm_lower_array(l, 0), p.operand, n_dims, &n_rows);
  A taken = jm_mlx_take_rows(l, rows, linear_places(l, &p, n_dims, NULL));
  const int32_t *axes = layout_axes(l, a->offset_dims, p.n_batch, to->rank, false);
  l->out[0] = axes ? jm_mlx_transpose(l, taken, axes, (int)to->rank) : NULL;
}

/* false: a region that MLX's scatter doesn't know. */
static bool find_scatter(const jm_module *m, const jm_op *op, jm_mlx_fold *fold) {
  jm_lower_monoid monoid;
  *fold = JM_MLX_REPLACE;
  if (!op->n_captures && jm_body_assigns(m, op->first_region, 1)) return true;
  if (!jm_lower_monoid_find(m, op->first_region, &monoid)) return false;
  *fold = monoid.fold;
  return true;
}

/* MLX's maximum and minimum of floats forget NaN, and it has none of pred: they are taken of
 * integers of the same order, in which NaN is the last or the first. */
static bool scatters_keys(jm_dtype dtype, jm_mlx_fold fold) {
  return (fold == JM_MLX_MAXIMUM || fold == JM_MLX_MINIMUM) &&
         (jm_dtype_is_float(dtype) || dtype == JM_DT_pred);
}

static A to_keys(jm_lowering *l, A a, jm_dtype dtype, jm_mlx_fold fold) {
  if (!scatters_keys(dtype, fold)) return a;
  if (dtype != JM_DT_pred) {
    A nan = jm_lower_f64(l, dtype, fold == JM_MLX_MAXIMUM ? (double)NAN : -(double)NAN);
    a = jm_mlx_where(l, jm_mlx_not_equal(l, a, a), nan, a);
  }
  return jm_lower_order_key(l, a, dtype);
}

static A from_keys(jm_lowering *l, A keys, jm_dtype dtype, jm_mlx_fold fold) {
  if (!scatters_keys(dtype, fold)) return keys;
  if (dtype == JM_DT_pred) return jm_mlx_astype(l, keys, dtype);
  A bits = jm_lower_order_key(l, jm_mlx_view(l, keys, dtype), dtype); /* its own inverse */
  return jm_mlx_view(l, bits, dtype);
}

static bool fits_s32(const jm_module *m, const jm_op *op) {
  return jm_op_operand_type(m, op, 0)->count < INT32_MAX;
}

/* GPUs have no 64-bit scatter but the sum of complex numbers. */
static bool supports_scatter(const jm_module *m, const jm_op *op) {
  if (op->n_results != 1 || !fits_s32(m, op)) return false;
  jm_mlx_fold fold;
  jm_dtype dtype = jm_op_operand_type(m, op, 0)->dtype;
  return find_scatter(m, op, &fold) &&
         (jm_dtype_facts[dtype].bits < 64 || (dtype == JM_DT_c64 && fold == JM_MLX_SUM));
}

/* Updates overwrite in index order: the last one stays. A GPU writes in no particular order, so
 * that of the n positions (rows below n_rows) all but the last of each row are redirected to row
 * n_rows, which is discarded. A maximum of integers does not depend on the order. */
static A last_of_each(jm_lowering *l, A flat, int64_t n, int64_t n_rows) {
  const int32_t shape[1] = {(int32_t)n_rows + 1};
  A ordinals = jm_mlx_arange(l, n, JM_DT_s32);
  A none = jm_mlx_full(l, shape, 1, jm_lower_i64(l, JM_DT_s32, 0));
  A winners = jm_mlx_scatter_rows(l, none, flat, ordinals, JM_MLX_MAXIMUM);
  A stays = jm_mlx_equal(l, jm_mlx_take_rows(l, winners, flat), ordinals);
  return jm_mlx_where(l, stays, flat, jm_lower_i64(l, JM_DT_s32, n_rows));
}

/* Within one window no two places are the same. */
static bool may_collide(const places *p, const jm_scatter_attrs *a) {
  int64_t n = 1;
  for (uint32_t i = 0; i < p->n_batch; i++) n *= p->batch[i];
  return n > 1 && !a->unique_indices;
}

/* Windows that don't fit go to an additional row, which is sliced off at the end. */
static void lower_scatter(jm_lowering *l) {
  const jm_scatter_attrs *a = l->op->attrs;
  const jm_type *operand = jm_lower_type(l, 0), *updates = jm_lower_type(l, 2);
  int64_t *window = jm_arena_alloc(&l->scratch, operand->rank + 1, sizeof *window);
  if (!window) {
    jm_lower_fail(l, jm_error_out_of_memory());
    return;
  }
  uint32_t w = 0;
  for (uint32_t d = 0; d < operand->rank; d++)
    window[d] =
        jm_i64s_contains(a->inserted_window_dims, d) || jm_i64s_contains(a->input_batching_dims, d)
            ? 1
            : updates->dims[a->update_window_dims.data[w++]];
  places p = {.operand = operand,
              .indices = jm_lower_type(l, 1),
              .index_map = a->scatter_dims_to_operand_dims,
              .operand_batch = a->input_batching_dims,
              .indices_batch = a->scatter_indices_batching_dims,
              .inserted = a->inserted_window_dims,
              .index_dim = a->index_vector_dim,
              .window = window};
  if (!places_fill(l, &p)) return;
  uint32_t n_dims = leading_dims(&p);
  int64_t n_rows = 0, n_places = 1;
  jm_mlx_fold fold;
  if (!find_scatter(l->module, l->op, &fold)) {
    jm_lower_fail(l, jm_error_internal("scatter: the body"));
    return;
  }
  A into = to_keys(l, jm_lower_array(l, 0), operand->dtype, fold), valid = NULL;
  A rows = as_rows(l, into, operand, n_dims, &n_rows);
  A linear = linear_places(l, &p, n_dims, &valid);
  if (valid) linear = jm_mlx_where(l, valid, linear, jm_lower_i64(l, JM_DT_s32, n_rows));
  for (uint32_t i = 0; i < p.n_batch; i++) n_places *= p.batch[i];
  for (uint32_t i = 0; i < p.n_offsets; i++)
    if (p.offsets[i] < n_dims) n_places *= window[p.offsets[i]];
  uint32_t row_rank = operand->rank - n_dims + 1;
  int32_t *shape = jm_lower_scratch(l, row_rank), *start = jm_lower_scratch(l, row_rank);
  int32_t *stop = jm_lower_scratch(l, row_rank), *step = jm_lower_scratch(l, row_rank);
  const int32_t *axes = layout_axes(l, a->update_window_dims, p.n_batch, updates->rank, true);
  if (!shape || !start || !stop || !step || !axes) return;
  for (uint32_t i = 0; i < row_rank; i++) {
    shape[i] = i ? (int32_t)operand->dims[n_dims + i - 1] : 1;
    start[i] = 0, stop[i] = i ? shape[i] : (int32_t)n_rows, step[i] = 1;
  }
  A zero = to_keys(l, jm_lower_i64(l, operand->dtype, 0), operand->dtype, fold);
  A parts[2] = {rows, jm_mlx_full(l, shape, (int)row_rank, zero)};
  A extended = jm_mlx_concatenate(l, parts, 2, 0);
  shape[0] = (int32_t)n_places;
  A flat = jm_mlx_reshape(l, linear, shape, 1);
  if (fold == JM_MLX_REPLACE && may_collide(&p, a)) flat = last_of_each(l, flat, n_places, n_rows);
  A given = to_keys(l, jm_lower_array(l, 2), operand->dtype, fold);
  given = jm_mlx_transpose(l, given, axes, (int)updates->rank);
  given = jm_mlx_reshape(l, given, shape, (int)row_rank);
  A out = jm_mlx_scatter_rows(l, extended, flat, given, fold);
  out = from_keys(l, jm_mlx_slice(l, out, start, stop, step, (int)row_rank), operand->dtype, fold);
  l->out[0] = jm_mlx_reshape(l, out, jm_lower_shape(l, operand), (int)operand->rank);
}

static bool has_dims(const jm_module *m, const jm_op *op) {
  return jm_op_operand_type(m, op, 0)->rank > 0;
}

const jm_lower_rule jm_lower_indexing_rules[] = {
    {JM_OP_dynamic_slice, lower_dynamic_slice, has_dims},
    {JM_OP_dynamic_update_slice, lower_dynamic_update_slice, has_dims},
    {JM_OP_gather, lower_gather, fits_s32},
    {JM_OP_scatter, lower_scatter, supports_scatter},
    {JM_N_OPS, NULL, NULL},
};
