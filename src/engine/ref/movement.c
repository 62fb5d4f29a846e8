/* SPDX-License-Identifier: Apache-2.0
 * Ops that move elements: for each index of the result, the index in the operand that it comes
 * from.
 */
#include <string.h>

#include "engine/ref/functions.h"

/* Writes the operand's index for an index of the result; false: there is none. */
typedef bool source_fn(const jm_call *call, const int64_t *to, int64_t *from);

/* Elements without a source are not touched. */
static jm_error *move(const jm_call *call, source_fn *source) {
  const jm_tensor *in = &call->in[0], *out = &call->out[0];
  size_t bytes = jm_dtype_bytes(out->type->dtype);
  int64_t to[JM_RANK_MAX] = {0}, from[JM_RANK_MAX] = {0};
  if (!out->type->count) return NULL;
  do {
    if (source(call, to, from)) memcpy(jm_ref_at(out, to), jm_ref_at(in, from), bytes);
  } while (jm_ref_next(out->type->dims, out->type->rank, to));
  return NULL;
}

static void fill(const jm_tensor *out, const void *element) {
  size_t bytes = jm_dtype_bytes(out->type->dtype);
  for (int64_t i = 0; i < out->type->count; i++)
    memcpy((char *)out->data + i * (int64_t)bytes, element, bytes);
}

static bool broadcast_source(const jm_call *call, const int64_t *to, int64_t *from) {
  const jm_i64s dims = ((const jm_broadcast_in_dim_attrs *)call->op->attrs)->dims;
  for (uint32_t i = 0; i < dims.n; i++)
    from[i] = call->in[0].type->dims[i] == 1 ? 0 : to[dims.data[i]];
  return true;
}
jm_error *jm_ref_broadcast_in_dim(const jm_call *call) { return move(call, broadcast_source); }

static bool transpose_source(const jm_call *call, const int64_t *to, int64_t *from) {
  const jm_i64s order = ((const jm_transpose_attrs *)call->op->attrs)->permutation;
  for (uint32_t d = 0; d < order.n; d++) from[order.data[d]] = to[d];
  return true;
}
jm_error *jm_ref_transpose(const jm_call *call) { return move(call, transpose_source); }

static bool reverse_source(const jm_call *call, const int64_t *to, int64_t *from) {
  const jm_i64s dims = ((const jm_reverse_attrs *)call->op->attrs)->dims;
  for (uint32_t d = 0; d < call->in[0].type->rank; d++)
    from[d] = jm_i64s_contains(dims, d) ? call->in[0].type->dims[d] - 1 - to[d] : to[d];
  return true;
}
jm_error *jm_ref_reverse(const jm_call *call) { return move(call, reverse_source); }

static bool slice_source(const jm_call *call, const int64_t *to, int64_t *from) {
  const jm_slice_attrs *a = call->op->attrs;
  for (uint32_t d = 0; d < call->in[0].type->rank; d++) /* a stride that is not used may be huge */
    from[d] = a->start.data[d] + (to[d] ? to[d] * a->stride.data[d] : 0);
  return true;
}
jm_error *jm_ref_slice(const jm_call *call) { return move(call, slice_source); }

/* The result's index lies low + i * (interior + 1) from the operand's i, or on padding. */
static bool pad_source(const jm_call *call, const int64_t *to, int64_t *from) {
  const jm_pad_attrs *a = call->op->attrs;
  for (uint32_t d = 0; d < call->in[0].type->rank; d++) {
    int64_t n = call->in[0].type->dims[d], at = to[d] - a->low.data[d];
    int64_t step = n > 1 ? a->interior.data[d] + 1 : 1;
    if (at < 0 || at % step || at / step >= n) return false;
    from[d] = at / step;
  }
  return true;
}
jm_error *jm_ref_pad(const jm_call *call) {
  fill(&call->out[0], call->in[1].data);
  return move(call, pad_source);
}

/* Starts are clamped so that the slice lies within. */
static int64_t start_of(const jm_tensor *start, int64_t size, int64_t slice) {
  return jm_index_clamp(jm_index_read(start->type->dtype, start->data, 0), 0, size - slice);
}

static bool dynamic_slice_source(const jm_call *call, const int64_t *to, int64_t *from) {
  for (uint32_t d = 0; d < call->in[0].type->rank; d++)
    from[d] =
        to[d] + start_of(&call->in[1 + d], call->in[0].type->dims[d], call->out[0].type->dims[d]);
  return true;
}
jm_error *jm_ref_dynamic_slice(const jm_call *call) { return move(call, dynamic_slice_source); }

jm_error *jm_ref_dynamic_update_slice(const jm_call *call) {
  const jm_tensor *update = &call->in[1], *out = &call->out[0];
  size_t bytes = jm_dtype_bytes(out->type->dtype);
  int64_t from[JM_RANK_MAX] = {0}, to[JM_RANK_MAX];
  memmove(out->data, call->in[0].data, jm_type_bytes(out->type));
  if (!update->type->count) return NULL;
  do {
    for (uint32_t d = 0; d < out->type->rank; d++)
      to[d] = from[d] + start_of(&call->in[2 + d], out->type->dims[d], update->type->dims[d]);
    memcpy(jm_ref_at(out, to), jm_ref_at(update, from), bytes);
  } while (jm_ref_next(update->type->dims, update->type->rank, from));
  return NULL;
}

jm_error *jm_ref_reshape(const jm_call *call) {
  memmove(call->out[0].data, call->in[0].data, jm_type_bytes(call->out[0].type));
  return NULL;
}

jm_error *jm_ref_concatenate(const jm_call *call) {
  int64_t dim = ((const jm_concatenate_attrs *)call->op->attrs)->dim, start = 0;
  const jm_tensor *out = &call->out[0];
  for (uint32_t i = 0; i < call->op->n_operands; i++) {
    const jm_tensor *in = &call->in[i];
    int64_t from[JM_RANK_MAX] = {0}, to[JM_RANK_MAX];
    if (in->type->count) do {
        memcpy(to, from, in->type->rank * sizeof *to);
        to[dim] += start;
        memcpy(jm_ref_at(out, to), jm_ref_at(in, from), jm_dtype_bytes(out->type->dtype));
      } while (jm_ref_next(in->type->dims, in->type->rank, from));
    start += in->type->dims[dim];
  }
  return NULL;
}

jm_error *jm_ref_constant(const jm_call *call) {
  const jm_data value = ((const jm_constant_attrs *)call->op->attrs)->value;
  if (value.splat)
    fill(&call->out[0], value.bytes);
  else if (call->out[0].type->count)
    memcpy(call->out[0].data, value.bytes, jm_type_bytes(call->out[0].type));
  return NULL;
}

/* Numbers are converted as `convert` does: integers wrap, floats round. */
jm_error *jm_ref_iota(const jm_call *call) {
  const jm_tensor *out = &call->out[0];
  int64_t dim = ((const jm_iota_attrs *)call->op->attrs)->dim, at[JM_RANK_MAX] = {0};
  if (!out->type->count) return NULL;
  do {
    JM_TRY(jm_convert_run(JM_DT_s64, out->type->dtype, &at[dim], jm_ref_at(out, at), 1));
  } while (jm_ref_next(out->type->dims, out->type->rank, at));
  return NULL;
}
