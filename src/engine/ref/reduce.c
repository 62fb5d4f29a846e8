/* SPDX-License-Identifier: Apache-2.0
 * reduce, reduce_window, select_and_scatter and map: the body, element after element in row-major
 * order. Sums and products of floats are accumulated in double precision and rounded once. */
#include <string.h>

#include "engine/ref/body.h"
#include "engine/ref/functions.h"
#include "ir/body.h"

enum { ELEMENT = 16 }; /* bytes of the widest */

typedef struct fold {
  jm_ref_body body;
  uint32_t n;                  /* accumulators */
  jm_dtype dtype, wide;        /* of a sum or product that is accumulated in another type */
  jm_elementwise_kernel *join; /* of it; NULL: the body */
  char (*acc)[ELEMENT];
  const void **args;
  void **results;
} fold;

/* Region i of the call; its elements are the first n operands. */
static jm_error *fold_init(fold *f, const jm_call *call, uint32_t region, uint32_t n) {
  *f = (fold){.n = n};
  JM_TRY(jm_ref_body_init(&f->body, call, region));
  f->acc = jm_arena_alloc(&f->body.arena, n, sizeof *f->acc);
  f->args = jm_arena_alloc(&f->body.arena, n, 2 * sizeof *f->args);
  f->results = jm_arena_alloc(&f->body.arena, n, sizeof *f->results);
  if (!f->acc || !f->args || !f->results) return jm_error_out_of_memory();
  jm_monoid monoid;
  if (jm_body_monoid(call->module, call->op->first_region + region, &monoid)) {
    f->dtype = f->wide = monoid.dtype;
    if (monoid.rounds) f->wide = jm_dtype_is_complex(monoid.dtype) ? JM_DT_c128 : JM_DT_f64;
    f->join = jm_elementwise_find(monoid.code, f->wide);
  }
  for (uint32_t i = 0; i < n; i++) f->args[i] = f->results[i] = f->acc[i];
  return NULL;
}

/* init: one scalar for each accumulator. */
static jm_error *fold_start(fold *f, const jm_tensor *init) {
  if (f->join) return jm_convert_run(f->dtype, f->wide, init->data, f->acc[0], 1);
  for (uint32_t i = 0; i < f->n; i++)
    memcpy(f->acc[i], init[i].data, jm_dtype_bytes(init[i].type->dtype));
  return NULL;
}

static jm_error *fold_step(fold *f, const jm_tensor *in, const int64_t *at) {
  char x[ELEMENT];
  if (f->join) {
    JM_TRY(jm_convert_run(f->dtype, f->wide, jm_ref_at(in, at), x, 1));
    f->join((const void *[]){f->acc[0], x}, f->acc[0], 1);
    return NULL;
  }
  for (uint32_t i = 0; i < f->n; i++) f->args[f->n + i] = jm_ref_at(&in[i], at);
  return jm_ref_body_run(&f->body, f->args, f->results);
}

static jm_error *fold_store(fold *f, const jm_tensor *out, const int64_t *at) {
  if (f->join) return jm_convert_run(f->wide, f->dtype, f->acc[0], jm_ref_at(out, at), 1);
  for (uint32_t i = 0; i < f->n; i++)
    memcpy(jm_ref_at(&out[i], at), f->acc[i], jm_dtype_bytes(out[i].type->dtype));
  return NULL;
}

/* -- reduce */

static jm_error *reduce(const jm_call *call, fold *f) {
  const jm_i64s dims = ((const jm_reduce_attrs *)call->op->attrs)->dims;
  const jm_type *in = call->in[0].type, *out = call->out[0].type;
  int64_t to[JM_RANK_MAX] = {0}, sizes[JM_RANK_MAX];
  uint32_t n_reduced = 0;
  for (uint32_t d = 0; d < in->rank; d++)
    if (jm_i64s_contains(dims, d)) sizes[n_reduced++] = in->dims[d];
  do {
    int64_t inside[JM_RANK_MAX] = {0}, at[JM_RANK_MAX];
    JM_TRY(fold_start(f, call->in + f->n));
    if (in->count) do {
        for (uint32_t d = 0, kept = 0, reduced = 0; d < in->rank; d++)
          at[d] = jm_i64s_contains(dims, d) ? inside[reduced++] : to[kept++];
        JM_TRY(fold_step(f, call->in, at));
      } while (jm_ref_next(sizes, n_reduced, inside));
    JM_TRY(fold_store(f, call->out, to));
  } while (jm_ref_next(out->dims, out->rank, to));
  return NULL;
}

jm_error *jm_ref_reduce(const jm_call *call) {
  if (!call->op->n_results || !call->out[0].type->count) return NULL;
  fold f;
  jm_error *error = fold_init(&f, call, 0, call->op->n_results);
  if (!error) error = reduce(call, &f);
  jm_ref_body_deinit(&f.body);
  return error;
}

/* -- windows */

static int64_t or_one(jm_i64s list, uint32_t d) { return list.n ? list.data[d] : 1; }

/* Along a dimension: the operand's element at a position of the window of output o; false: padding,
 * or a hole of the operand's dilation. */
static bool window_at(int64_t o, int64_t position, int64_t stride, int64_t dilation, int64_t base,
                      int64_t low, int64_t size, int64_t *at) {
  int64_t i = o * stride + position * dilation - low;
  if (size <= 1) base = 1; /* may be huge where it is not used */
  if (i < 0 || i % base || i / base >= size) return false;
  *at = i / base;
  return true;
}

static jm_error *reduce_window(const jm_call *call, fold *f) {
  const jm_reduce_window_attrs *a = call->op->attrs;
  const jm_type *in = call->in[0].type, *out = call->out[0].type;
  int64_t to[JM_RANK_MAX] = {0};
  do {
    int64_t position[JM_RANK_MAX] = {0}, at[JM_RANK_MAX];
    JM_TRY(fold_start(f, call->in + f->n));
    if (in->count) do {
        bool inside = true;
        for (uint32_t d = 0; d < in->rank && inside; d++)
          inside =
              window_at(to[d], position[d], a->strides.data[d], or_one(a->window_dilations, d),
                        or_one(a->base_dilations, d), a->padding.data[2 * d], in->dims[d], &at[d]);
        if (inside) JM_TRY(fold_step(f, call->in, at));
      } while (jm_ref_next(a->window.data, in->rank, position));
    JM_TRY(fold_store(f, call->out, to));
  } while (jm_ref_next(out->dims, out->rank, to));
  return NULL;
}

jm_error *jm_ref_reduce_window(const jm_call *call) {
  if (!call->op->n_results || !call->out[0].type->count) return NULL;
  fold f;
  jm_error *error = fold_init(&f, call, 0, call->op->n_results);
  if (!error) error = reduce_window(call, &f);
  jm_ref_body_deinit(&f.body);
  return error;
}

/* -- select_and_scatter */

/* The element that window `to` selects: it stays if select(it, next). false: nothing but padding.
 */
static jm_error *select_element(const jm_call *call, jm_ref_body *select, const int64_t *to,
                                int64_t *selected, bool *found) {
  const jm_select_and_scatter_attrs *a = call->op->attrs;
  const jm_tensor *in = &call->in[0];
  int64_t position[JM_RANK_MAX] = {0}, at[JM_RANK_MAX];
  *found = false;
  do {
    bool inside = true;
    uint8_t stays = 0;
    for (uint32_t d = 0; d < in->type->rank && inside; d++)
      inside = window_at(to[d], position[d], a->strides.data[d], 1, 1, a->padding.data[2 * d],
                         in->type->dims[d], &at[d]);
    if (!inside) continue;
    if (*found)
      JM_TRY(jm_ref_body_run(select, (const void *[]){jm_ref_at(in, selected), jm_ref_at(in, at)},
                             (void *[]){&stays}));
    if (!stays) memcpy(selected, at, in->type->rank * sizeof *at);
    *found = true;
  } while (jm_ref_next(a->window.data, in->type->rank, position));
  return NULL;
}

static jm_error *select_and_scatter(const jm_call *call, jm_ref_body *select,
                                    jm_ref_body *scatter) {
  const jm_tensor *source = &call->in[1], *out = &call->out[0];
  int64_t to[JM_RANK_MAX] = {0}, selected[JM_RANK_MAX] = {0};
  do {
    bool found;
    JM_TRY(select_element(call, select, to, selected, &found));
    void *sum = jm_ref_at(out, selected);
    if (found) JM_TRY(jm_ref_body_run(scatter, (const void *[]){sum, jm_ref_at(source, to)}, &sum));
  } while (jm_ref_next(source->type->dims, source->type->rank, to));
  return NULL;
}

jm_error *jm_ref_select_and_scatter(const jm_call *call) {
  const jm_tensor *out = &call->out[0];
  size_t bytes = jm_dtype_bytes(out->type->dtype);
  for (int64_t i = 0; i < out->type->count; i++)
    memcpy((char *)out->data + i * (int64_t)bytes, call->in[2].data, bytes);
  if (!out->type->count || !call->in[1].type->count) return NULL;
  jm_ref_body select, scatter;
  jm_error *error = jm_ref_body_init(&select, call, 0);
  jm_error *second = jm_ref_body_init(&scatter, call, 1);
  if (!error && !second) error = select_and_scatter(call, &select, &scatter);
  jm_ref_body_deinit(&select);
  jm_ref_body_deinit(&scatter);
  if (!error) return second;
  jm_error_destroy(second);
  return error;
}

/* -- map */

static jm_error *map(const jm_call *call, jm_ref_body *body) {
  uint32_t n = call->op->n_operands - call->op->n_captures;
  const jm_type *out = call->out[0].type;
  const void **args = jm_arena_alloc(&body->arena, n, sizeof *args);
  int64_t at[JM_RANK_MAX] = {0};
  if (!args) return jm_error_out_of_memory();
  do {
    for (uint32_t i = 0; i < n; i++) args[i] = jm_ref_at(&call->in[i], at);
    JM_TRY(jm_ref_body_run(body, args, (void *[]){jm_ref_at(&call->out[0], at)}));
  } while (jm_ref_next(out->dims, out->rank, at));
  return NULL;
}

jm_error *jm_ref_map(const jm_call *call) {
  if (!call->out[0].type->count) return NULL;
  jm_ref_body body;
  jm_error *error = jm_ref_body_init(&body, call, 0);
  if (!error) error = map(call, &body);
  jm_ref_body_deinit(&body);
  return error;
}
