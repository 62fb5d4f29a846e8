/* SPDX-License-Identifier: Apache-2.0
 * The gradient of pooling. First every window's selected element, position by position for a block
 * of windows at once, in row-major order: the element so far stays if select(it, next). Then the
 * source's elements are scattered in row-major order. Padding is never selected; a window of
 * nothing but padding scatters nothing. */
#include <string.h>

#include "base/loop.h"
#include "engine/host/library/fold.h"
#include "engine/host/library/functions.h"
#include "engine/host/library/region.h"
#include "engine/host/library/tasks.h"
#include "engine/host/library/window.h"

enum { BLOCK = 4096 };

typedef struct selection {
  const jm_call *call;
  jm_windows windows;
  jm_library_region *select;
  size_t lanes, bytes;
  /* per window of the block: the selected value and where it is in the operand, -1: none yet */
  char *value;
  int64_t *where;
  /* the same and the next candidates, brought together for a rectangle of windows */
  char *old, *next;
  int64_t *old_where, *next_where;
  uint8_t *stays;
} selection;

/* old = stays && there is one ? old : next */
#define CHOOSE(type)                                                                     \
  JM_CLONES static void choose_##type(void *olds, const void *nexts, int64_t *old_where, \
                                      const int64_t *next_where, const uint8_t *stays,   \
                                      int64_t n) {                                       \
    type *old = olds;                                                                    \
    const type *next = nexts;                                                            \
    JM_LOOP for (int64_t i = 0; i < n; i++) {                                            \
      bool take = !stays[i] | (old_where[i] < 0);                                        \
      old[i] = take ? next[i] : old[i];                                                  \
      old_where[i] = take ? next_where[i] : old_where[i];                                \
    }                                                                                    \
  }
typedef struct unit16 {
  uint64_t halves[2];
} unit16;
CHOOSE(uint8_t)
CHOOSE(uint16_t)
CHOOSE(uint32_t)
CHOOSE(uint64_t)
CHOOSE(unit16)
#undef CHOOSE

static void choose(selection *s, int64_t n) {
  typedef void choose_fn(void *, const void *, int64_t *, const int64_t *, const uint8_t *,
                         int64_t);
  static choose_fn *const fns[] = {[1] = choose_uint8_t,
                                   [2] = choose_uint16_t,
                                   [4] = choose_uint32_t,
                                   [8] = choose_uint64_t,
                                   [16] = choose_unit16};
  fns[s->bytes](s->old, s->next, s->old_where, s->next_where, s->stays, n);
}

/* The operand's element numbers along the rectangle, dense. */
static void number(const jm_rect *rect, int64_t from, int64_t *out) {
  int64_t n = 1;
  out[0] = from;
  for (uint32_t d = rect->n; d--; n *= rect->dims[d].size) /* innermost first */
    for (int64_t i = 1; i < rect->dims[d].size; i++)
      for (int64_t j = 0; j < n; j++) out[i * n + j] = out[j] + i * rect->dims[d].from;
}

/* The block's windows that have an element at the present position meet it. */
static jm_error *visit(selection *s) {
  jm_rect rect, in, out, next;
  int64_t to, from, dense = 1;
  jm_windows_rect(&s->windows, &rect, &to, &from);
  if (rect.empty) return NULL;
  to -= jm_windows_block_start(&s->windows);
  jm_rect_init(&in);
  jm_rect_init(&out);
  jm_rect_init(&next);
  for (uint32_t d = rect.n; d--; dense *= rect.dims[d].size) {
    jm_rect_add(&in, rect.dims[d].size, dense, rect.dims[d].to);
    jm_rect_add(&out, rect.dims[d].size, rect.dims[d].to, dense);
    jm_rect_add(&next, rect.dims[d].size, dense, rect.dims[d].from);
  }
  int64_t bytes = (int64_t)s->bytes;
  jm_rect_copy(&next, s->bytes, s->next, (char *)s->call->in[0].data + from * bytes);
  number(&rect, from, s->next_where);
  jm_rect_copy(&in, s->bytes, s->old, s->value + to * bytes);
  jm_rect_copy(&in, sizeof *s->where, s->old_where, s->where + to);
  for (int64_t done = 0; done < dense; done += (int64_t)s->lanes) {
    int64_t width = dense - done < (int64_t)s->lanes ? dense - done : (int64_t)s->lanes;
    const void *args[] = {s->old + done * bytes, s->next + done * bytes};
    void *stays = s->stays + done;
    JM_TRY(jm_library_region_run(s->select, args, &stays, (size_t)width));
  }
  choose(s, dense);
  jm_rect_copy(&out, s->bytes, s->value + to * bytes, s->old);
  jm_rect_copy(&out, sizeof *s->where, s->where + to, s->old_where);
  return NULL;
}

static jm_error *scatter_block(selection *s, jm_fold *fold) {
  int64_t start = jm_windows_block_start(&s->windows), n = jm_windows_block_count(&s->windows);
  const char *source = (const char *)s->call->in[1].data + start * (int64_t)s->bytes;
  for (int64_t i = 0; i < n; i++, source += s->bytes) {
    if (s->where[i] < 0) continue;
    void *to = (char *)s->call->out[0].data + s->where[i] * (int64_t)s->bytes;
    const void *from = source;
    JM_TRY(jm_fold_run(fold, &to, &from, 1));
  }
  return NULL;
}

static jm_error *select_and_scatter(selection *s, jm_fold *fold) {
  const jm_call *call = s->call;
  const jm_op *op = call->op;
  const jm_select_and_scatter_attrs *a = op->attrs;
  const jm_type *source = call->in[1].type;
  jm_arena *arena = &fold->arena;
  JM_TRY(jm_windows_init(&s->windows, arena, call->in[0].type, source, &a->window, &a->strides,
                         NULL, NULL, &a->padding, BLOCK));
  size_t n = source->count < BLOCK ? (size_t)source->count : BLOCK;
  s->value = jm_arena_alloc(arena, n, s->bytes);
  s->old = jm_arena_alloc(arena, n, s->bytes);
  s->next = jm_arena_alloc(arena, n, s->bytes);
  s->where = jm_arena_alloc(arena, n, sizeof *s->where);
  s->old_where = jm_arena_alloc(arena, n, sizeof *s->old_where);
  s->next_where = jm_arena_alloc(arena, n, sizeof *s->next_where);
  s->stays = jm_arena_alloc(arena, n, 1);
  if (!s->value || !s->old || !s->next || !s->where || !s->old_where || !s->next_where || !s->stays)
    return jm_error_out_of_memory();
  JM_TRY(jm_library_region_create(call->module, op->first_region,
                                  call->in + op->n_operands - op->n_captures, op->n_captures, n,
                                  &s->select));
  s->lanes = jm_library_region_lanes(s->select);
  jm_windows_first_block(&s->windows);
  do {
    int64_t count = jm_windows_block_count(&s->windows);
    for (int64_t i = 0; i < count; i++) s->where[i] = -1;
    do {
      JM_TRY(jm_fold_poll(fold, count));
      JM_TRY(visit(s));
    } while (jm_windows_next_position(&s->windows));
    JM_TRY(scatter_block(s, fold));
  } while (jm_windows_next_block(&s->windows));
  return NULL;
}

static jm_error *run_call(const jm_call *call) {
  const jm_tensor *out = &call->out[0];
  selection s = {.call = call, .bytes = jm_dtype_bytes(out->type->dtype)};
  jm_copy_fill(out->data, call->in[2].data, s.bytes, out->type->count);
  if (!call->in[1].type->count) return NULL;
  jm_fold fold;
  jm_error *error = jm_fold_init(&fold, call, call->op->first_region + 1, 1, JM_N_DTYPES, 1);
  if (!error) error = select_and_scatter(&s, &fold);
  jm_library_region_destroy(s.select);
  jm_fold_deinit(&fold);
  return error;
}

jm_error *jm_library_select_and_scatter(const jm_call *call) {
  const jm_select_and_scatter_attrs *a = call->op->attrs;
  if (!call->out[0].type->count) return NULL;
  bool batched = call->out[0].type->rank && call->in[1].type->count && a->window.data[0] == 1 &&
                 a->strides.data[0] == 1 && !a->padding.data[0] && !a->padding.data[1];
  return batched ? jm_tasks_run_batch(call, run_call) : run_call(call);
}
