/* SPDX-License-Identifier: Apache-2.0
 * Data movement: every op here computes the strides of its elements; copy.h copies them. Strides
 * are only computed for tensors that are not empty: with a size of 0 they may overflow. */
#include "engine/host/library/copy.h"
#include "engine/host/library/functions.h"

static char *at(const jm_tensor *tensor, int64_t element) {
  return (char *)tensor->data + element * (int64_t)jm_dtype_bytes(tensor->type->dtype);
}

/* The elements of `to` from offset to_start with its own strides, those of `from` likewise, for a
 * box of the given sizes (NULL: all of from's). */
static void box_copy(const jm_tensor *to, int64_t to_start, const jm_tensor *from,
                     int64_t from_start, const int64_t *sizes) {
  jm_rect rect;
  jm_rect_init(&rect);
  int64_t to_stride = 1, from_stride = 1;
  for (uint32_t d = from->type->rank; d--;) {
    jm_rect_add(&rect, sizes ? sizes[d] : from->type->dims[d], to_stride, from_stride);
    if (rect.empty) return;
    to_stride *= to->type->dims[d];
    from_stride *= from->type->dims[d];
  }
  jm_rect_copy(&rect, jm_dtype_bytes(to->type->dtype), at(to, to_start), at(from, from_start));
}

jm_error *jm_library_broadcast_in_dim(const jm_call *call) {
  const jm_broadcast_in_dim_attrs *attrs = call->op->attrs;
  const jm_tensor *in = &call->in[0], *out = &call->out[0];
  if (!out->type->count) return NULL;
  jm_rect rect;
  jm_rect_init(&rect);
  int64_t to = 1;
  for (uint32_t d = out->type->rank; d--; to *= out->type->dims[d]) {
    int64_t from = 0;
    for (uint32_t i = 0; i < attrs->dims.n; i++)
      if (attrs->dims.data[i] == (int64_t)d && in->type->dims[i] != 1)
        from = jm_type_stride(in->type, i);
    jm_rect_add(&rect, out->type->dims[d], to, from);
  }
  jm_rect_copy(&rect, jm_dtype_bytes(out->type->dtype), out->data, in->data);
  return NULL;
}

jm_error *jm_library_concatenate(const jm_call *call) {
  const jm_concatenate_attrs *attrs = call->op->attrs;
  const jm_tensor *out = &call->out[0];
  if (!out->type->count) return NULL;
  int64_t start = 0, stride = jm_type_stride(out->type, (uint32_t)attrs->dim);
  for (uint32_t i = 0; i < call->op->n_operands; i++) {
    if (call->in[i].type->count) box_copy(out, start * stride, &call->in[i], 0, NULL);
    start += call->in[i].type->dims[attrs->dim];
  }
  return NULL;
}

jm_error *jm_library_constant(const jm_call *call) {
  const jm_constant_attrs *attrs = call->op->attrs;
  const jm_tensor *out = &call->out[0];
  if (!out->type->count) return NULL;
  if (attrs->value.splat)
    jm_copy_fill(out->data, attrs->value.bytes, jm_dtype_bytes(out->type->dtype), out->type->count);
  else
    jm_copy_bytes(out->data, attrs->value.bytes, jm_type_bytes(out->type));
  return NULL;
}

jm_error *jm_library_reshape(const jm_call *call) {
  if (call->out[0].data != call->in[0].data)
    jm_copy_bytes(call->out[0].data, call->in[0].data, jm_type_bytes(call->out[0].type));
  return NULL;
}

/* The offset of the box in the operand, from one scalar start per dimension, clamped so that the
 * box fits. The tensor is not empty. */
static int64_t dynamic_start(const jm_tensor *starts, const jm_type *type, const int64_t *sizes) {
  int64_t offset = 0, stride = 1;
  for (uint32_t d = type->rank; d--; stride *= type->dims[d]) {
    int64_t start = jm_index_read(starts[d].type->dtype, starts[d].data, 0);
    offset += jm_index_clamp(start, 0, type->dims[d] - sizes[d]) * stride;
  }
  return offset;
}

jm_error *jm_library_dynamic_slice(const jm_call *call) {
  const jm_tensor *in = &call->in[0], *out = &call->out[0];
  if (!out->type->count) return NULL;
  const int64_t *sizes = out->type->dims;
  box_copy(out, 0, in, dynamic_start(call->in + 1, in->type, sizes), sizes);
  return NULL;
}

jm_error *jm_library_dynamic_update_slice(const jm_call *call) {
  const jm_tensor *in = &call->in[0], *update = &call->in[1], *out = &call->out[0];
  if (!out->type->count) return NULL;
  if (out->data != in->data) jm_copy_bytes(out->data, in->data, jm_type_bytes(out->type));
  if (!update->type->count) return NULL;
  const int64_t start = dynamic_start(call->in + 2, in->type, update->type->dims);
  const char *to = (const char *)out->data + (size_t)start * jm_dtype_bytes(out->type->dtype);
  if (update->data == to) return NULL; /* the planner had it computed there */
  box_copy(out, start, update, 0, NULL);
  return NULL;
}

/* One line of numbers, converted as `convert` does (integers wrap, floats round), then repeated. */
jm_error *jm_library_iota(const jm_call *call) {
  const jm_iota_attrs *attrs = call->op->attrs;
  const jm_tensor *out = &call->out[0];
  if (!out->type->count) return NULL;
  int64_t n = out->type->dims[attrs->dim];
  size_t bytes = jm_dtype_bytes(out->type->dtype);
  int64_t *numbers = jm_alloc_data((size_t)n * sizeof *numbers);
  void *line = jm_alloc_data((size_t)n * bytes);
  jm_error *error = NULL;
  if (numbers && line) {
    for (int64_t i = 0; i < n; i++) numbers[i] = i;
    error = jm_convert_run(JM_DT_s64, out->type->dtype, numbers, line, (size_t)n);
  } else {
    error = jm_error_out_of_memory();
  }
  if (!error) {
    int64_t stride = jm_type_stride(out->type, (uint32_t)attrs->dim);
    jm_rect rect;
    jm_rect_init(&rect);
    jm_rect_add(&rect, stride, 1, 0);
    jm_rect_add(&rect, n, stride, 1);
    jm_rect_add(&rect, out->type->count / (n * stride), n * stride, 0);
    jm_rect_copy(&rect, bytes, out->data, line);
  }
  jm_free(line);
  jm_free(numbers);
  return error;
}

/* Along one dimension: element i of the operand lands on low + i * step if that is in [0, size).
 * Returns how many do, and the first of them. n is not 0. */
static int64_t pad_range(int64_t n, int64_t low, int64_t step, int64_t size, int64_t *first) {
  int64_t span = (n - 1) * step;
  *first = 0;
  if (low < -span || low >= size) return 0;
  if (low < 0) *first = (-low + step - 1) / step;
  int64_t last = (size - 1 - low) / step;
  return (last < n - 1 ? last : n - 1) - *first + 1;
}

jm_error *jm_library_pad(const jm_call *call) {
  const jm_pad_attrs *attrs = call->op->attrs;
  const jm_tensor *in = &call->in[0], *out = &call->out[0];
  if (!out->type->count) return NULL;
  size_t bytes = jm_dtype_bytes(out->type->dtype);
  int64_t to_start = 0, from_start = 0, to = 1, from = 1;
  jm_rect rect;
  jm_rect_init(&rect);
  if (!in->type->count) rect.empty = true;
  for (uint32_t d = out->type->rank; d-- && !rect.empty;) {
    int64_t n = in->type->dims[d], low = attrs->low.data[d], first;
    int64_t step = n > 1 ? attrs->interior.data[d] + 1 : 1; /* may be huge where it is not used */
    int64_t count = pad_range(n, low, step, out->type->dims[d], &first);
    jm_rect_add(&rect, count, to * step, from);
    to_start += (low + first * step) * to;
    from_start += first * from;
    to *= out->type->dims[d];
    from *= in->type->dims[d];
  }
  if (jm_rect_count(&rect) < out->type->count)
    jm_copy_fill(out->data, call->in[1].data, bytes, out->type->count);
  if (!rect.empty) jm_rect_copy(&rect, bytes, at(out, to_start), at(in, from_start));
  return NULL;
}

jm_error *jm_library_reverse(const jm_call *call) {
  const jm_reverse_attrs *attrs = call->op->attrs;
  const jm_tensor *in = &call->in[0], *out = &call->out[0];
  if (!out->type->count) return NULL;
  int64_t start = 0, stride = 1;
  jm_rect rect;
  jm_rect_init(&rect);
  for (uint32_t d = out->type->rank; d--; stride *= out->type->dims[d]) {
    bool reversed = false;
    for (uint32_t i = 0; i < attrs->dims.n; i++) reversed |= attrs->dims.data[i] == (int64_t)d;
    if (reversed) start += (out->type->dims[d] - 1) * stride;
    jm_rect_add(&rect, out->type->dims[d], stride, reversed ? -stride : stride);
  }
  jm_rect_copy(&rect, jm_dtype_bytes(out->type->dtype), out->data, at(in, start));
  return NULL;
}

jm_error *jm_library_slice(const jm_call *call) {
  const jm_slice_attrs *attrs = call->op->attrs;
  const jm_tensor *in = &call->in[0], *out = &call->out[0];
  if (!out->type->count) return NULL;
  int64_t start = 0, to = 1, from = 1;
  jm_rect rect;
  jm_rect_init(&rect);
  for (uint32_t d = out->type->rank; d--;) {
    /* The stride of a dimension with one element may be huge. */
    int64_t step = out->type->dims[d] > 1 ? attrs->stride.data[d] : 1;
    jm_rect_add(&rect, out->type->dims[d], to, from * step);
    start += attrs->start.data[d] * from;
    to *= out->type->dims[d];
    from *= in->type->dims[d];
  }
  jm_rect_copy(&rect, jm_dtype_bytes(out->type->dtype), out->data, at(in, start));
  return NULL;
}

jm_error *jm_library_transpose(const jm_call *call) {
  const jm_transpose_attrs *attrs = call->op->attrs;
  const jm_tensor *in = &call->in[0], *out = &call->out[0];
  if (!out->type->count) return NULL;
  int64_t to = 1;
  jm_rect rect;
  jm_rect_init(&rect);
  for (uint32_t d = out->type->rank; d--; to *= out->type->dims[d])
    jm_rect_add(&rect, out->type->dims[d], to,
                jm_type_stride(in->type, (uint32_t)attrs->permutation.data[d]));
  jm_rect_copy(&rect, jm_dtype_bytes(out->type->dtype), out->data, in->data);
  return NULL;
}
