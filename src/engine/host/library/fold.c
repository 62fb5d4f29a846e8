/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/fold.h"

#include <string.h>

enum {
  REGION_LANES = 1024,
  KERNEL_BYTES = 16 * 1024, /* an accumulator and an operand stay in the first cache */
  DIRECT_RUN = 16,          /* elements from which a contiguous run is worth a call */
  POLL_ELEMENTS = 1 << 20,
};

static jm_error *body_init(jm_fold *fold, jm_region_id id, jm_dtype dtype, int64_t max_lanes) {
  const jm_call *call = fold->call;
  const jm_region *region = jm_module_region(call->module, id);
  size_t widest = 1;
  for (uint32_t i = 0; i < fold->n; i++) {
    fold->dtypes[i] =
        dtype != JM_N_DTYPES ? dtype : jm_module_typeof(call->module, region->first_arg + i)->dtype;
    fold->bytes[i] = jm_dtype_bytes(fold->dtypes[i]);
    if (fold->bytes[i] > widest) widest = fold->bytes[i];
  }
  if (max_lanes < 1) max_lanes = 1;
  fold->assign = jm_body_assigns(call->module, id, fold->n);
  if (jm_body_binary(call->module, id, &fold->code))
    fold->kernel = jm_elementwise_find(fold->code, fold->dtypes[0]);
  if (fold->kernel || fold->assign) {
    jm_monoid monoid;
    fold->associative = fold->commutative =
        !fold->assign && jm_monoid_find(fold->code, fold->dtypes[0], &monoid) && monoid.grouped;
    fold->lanes = KERNEL_BYTES / widest;
    if ((int64_t)fold->lanes > max_lanes) fold->lanes = (size_t)max_lanes;
    return NULL;
  }
  bool largest;
  fold->associative = jm_body_argmax(call->module, id, &largest);
  const jm_op *op = call->op;
  JM_TRY(jm_library_region_create(
      call->module, id, call->in + op->n_operands - op->n_captures, op->n_captures,
      max_lanes < REGION_LANES ? (size_t)max_lanes : REGION_LANES, &fold->region));
  fold->lanes = jm_library_region_lanes(fold->region);
  return NULL;
}

jm_error *jm_fold_init(jm_fold *fold, const jm_call *call, jm_region_id id, uint32_t n,
                       jm_dtype dtype, int64_t max_lanes) {
  *fold = (jm_fold){.n = n, .call = call};
  jm_arena *arena = &fold->arena;
  jm_arena_init(arena);
  fold->dtypes = jm_arena_alloc(arena, n, sizeof *fold->dtypes);
  fold->bytes = jm_arena_alloc(arena, n, sizeof *fold->bytes);
  fold->args = jm_arena_alloc(arena, n, 2 * sizeof *fold->args);
  fold->acc_scratch = jm_arena_alloc(arena, n, sizeof *fold->acc_scratch);
  fold->x_scratch = jm_arena_alloc(arena, n, sizeof *fold->x_scratch);
  fold->acc_at = jm_arena_alloc(arena, n, sizeof *fold->acc_at);
  fold->x_at = jm_arena_alloc(arena, n, sizeof *fold->x_at);
  if (!fold->dtypes || !fold->bytes || !fold->args || !fold->acc_scratch || !fold->x_scratch ||
      !fold->acc_at || !fold->x_at)
    return jm_error_out_of_memory();
  JM_TRY(body_init(fold, id, dtype, max_lanes));
  for (uint32_t i = 0; i < n; i++) {
    fold->acc_scratch[i] = jm_arena_alloc(arena, fold->lanes, fold->bytes[i]);
    fold->x_scratch[i] = jm_arena_alloc(arena, fold->lanes, fold->bytes[i]);
    if (!fold->acc_scratch[i] || !fold->x_scratch[i]) return jm_error_out_of_memory();
  }
  return NULL;
}

void jm_fold_deinit(jm_fold *fold) {
  jm_library_region_destroy(fold->region);
  jm_arena_deinit(&fold->arena);
}

jm_error *jm_fold_run(jm_fold *fold, void *const *acc, const void *const *x, int64_t count) {
  if (fold->kernel) {
    const void *in[2] = {acc[0], x[0]};
    fold->kernel(in, acc[0], (size_t)count);
    return NULL;
  }
  if (fold->assign) {
    for (uint32_t i = 0; i < fold->n; i++) memcpy(acc[i], x[i], fold->bytes[i] * (size_t)count);
    return NULL;
  }
  for (uint32_t i = 0; i < fold->n; i++) {
    fold->args[i] = acc[i];
    fold->args[fold->n + i] = x[i];
  }
  return jm_library_region_run(fold->region, fold->args, acc, (size_t)count);
}

jm_error *jm_fold_poll(jm_fold *fold, int64_t elements) {
  fold->until_poll -= elements;
  if (fold->until_poll > 0) return NULL;
  fold->until_poll = POLL_ELEMENTS;
  if (jm_context_is_cancelled(fold->call->context))
    return jm_error_create(JM_CANCELLED, "the execution was cancelled");
  return NULL;
}

/* Sets fold->acc_at and x_at to elements to and from past acc and x. */
static void move(jm_fold *fold, void *const *acc, const void *const *x, int64_t to, int64_t from) {
  for (uint32_t i = 0; i < fold->n; i++) {
    fold->acc_at[i] = (char *)acc[i] + to * (int64_t)fold->bytes[i];
    fold->x_at[i] = (char *)x[i] + from * (int64_t)fold->bytes[i];
  }
}

/* The innermost dimension is contiguous on both sides: one run of the body per line. */
static jm_error *rect_lines(jm_fold *fold, const jm_rect *rect, void *const *acc,
                            const void *const *x) {
  int64_t counters[JM_RECT_DIMS], to = 0, from = 0, line = 1;
  uint32_t outer = rect->n ? rect->n - 1 : 0, d;
  if (rect->n) line = rect->dims[rect->n - 1].size;
  memset(counters, 0, outer * sizeof *counters);
  do {
    JM_TRY(jm_fold_poll(fold, line));
    for (int64_t done = 0; done < line; done += (int64_t)fold->lanes) {
      int64_t count = line - done < (int64_t)fold->lanes ? line - done : (int64_t)fold->lanes;
      move(fold, acc, x, to + done, from + done);
      JM_TRY(jm_fold_run(fold, fold->acc_at, (const void *const *)fold->x_at, count));
    }
    for (d = outer; d--;) {
      const jm_rect_dim *dim = &rect->dims[d];
      to += dim->to;
      from += dim->from;
      if (++counters[d] < dim->size) break;
      counters[d] = 0;
      to -= dim->to * dim->size;
      from -= dim->from * dim->size;
    }
  } while (d != UINT32_MAX);
  return NULL;
}

/* At most `lanes` elements: gathered, folded, and scattered back. */
static jm_error *rect_tile(jm_fold *fold, const jm_rect *rect, void *const *acc,
                           const void *const *x) {
  jm_rect acc_in, acc_out, x_in;
  jm_rect_init(&acc_in);
  jm_rect_init(&acc_out);
  jm_rect_init(&x_in);
  int64_t dense = 1;
  bool acc_is_dense = true;
  for (uint32_t d = rect->n; d--; dense *= rect->dims[d].size) {
    const jm_rect_dim *dim = &rect->dims[d];
    jm_rect_add(&acc_in, dim->size, dense, dim->to);
    jm_rect_add(&acc_out, dim->size, dim->to, dense);
    jm_rect_add(&x_in, dim->size, dense, dim->from);
    acc_is_dense &= dim->to == dense;
  }
  for (uint32_t i = 0; i < fold->n; i++) {
    jm_rect_copy(&x_in, fold->bytes[i], fold->x_scratch[i], x[i]);
    if (!acc_is_dense) jm_rect_copy(&acc_in, fold->bytes[i], fold->acc_scratch[i], acc[i]);
  }
  JM_TRY(jm_fold_run(fold, acc_is_dense ? acc : fold->acc_scratch,
                     (const void *const *)fold->x_scratch, dense));
  for (uint32_t i = 0; !acc_is_dense && i < fold->n; i++)
    jm_rect_copy(&acc_out, fold->bytes[i], acc[i], fold->acc_scratch[i]);
  return NULL;
}

static jm_error *rect_from(jm_fold *fold, const jm_rect *rect, void *const *acc,
                           const void *const *x, int64_t to, int64_t from);

static jm_error *rect_split(jm_fold *fold, const jm_rect *rect, void *const *acc,
                            const void *const *x, int64_t to, int64_t from) {
  jm_rect part = *rect;
  jm_rect_dim *dim = &part.dims[0];
  int64_t half = dim->size / 2, rest = dim->size - half;
  dim->size = half;
  jm_rect first = part;
  if (half == 1) {
    memmove(first.dims, first.dims + 1, (first.n - 1) * sizeof *first.dims);
    first.n--;
  }
  JM_TRY(rect_from(fold, &first, acc, x, to, from));
  to += half * dim->to;
  from += half * dim->from;
  dim->size = rest;
  if (rest == 1) {
    memmove(part.dims, part.dims + 1, (part.n - 1) * sizeof *part.dims);
    part.n--;
  }
  return rect_from(fold, &part, acc, x, to, from);
}

/* Halves the outermost dimension until a part fits the scratch memory. acc and x stay the whole
 * rectangle's, so that no pointers need to be kept per level. */
static jm_error *rect_from(jm_fold *fold, const jm_rect *rect, void *const *acc,
                           const void *const *x, int64_t to, int64_t from) {
  int64_t count = jm_rect_count(rect);
  if (count > (int64_t)fold->lanes) return rect_split(fold, rect, acc, x, to, from);
  JM_TRY(jm_fold_poll(fold, count));
  move(fold, acc, x, to, from);
  return rect_tile(fold, rect, fold->acc_at, (const void *const *)fold->x_at);
}

jm_error *jm_fold_rect(jm_fold *fold, const jm_rect *rect, void *const *acc, const void *const *x) {
  if (rect->empty) return NULL;
  if (fold->assign) {
    for (uint32_t i = 0; i < fold->n; i++) jm_rect_copy(rect, fold->bytes[i], acc[i], x[i]);
    return NULL;
  }
  const jm_rect_dim *inner = rect->n ? &rect->dims[rect->n - 1] : NULL;
  if (!inner || (inner->to == 1 && inner->from == 1 && (inner->size >= DIRECT_RUN || rect->n == 1)))
    return rect_lines(fold, rect, acc, x);
  return rect_from(fold, rect, acc, x, 0, 0);
}
