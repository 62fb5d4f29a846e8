/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/places.h"

#include "base/loop.h"

/* Neighbouring batch dimensions that are one in all three tensors become one. */
static void merge_batch(jm_indexing *x) {
  uint32_t n = 0;
  for (uint32_t d = 0; d < x->n_batch; d++) {
    jm_index_batch dim = x->batch[d], *last = n ? &x->batch[n - 1] : NULL;
    if (dim.size == 1) continue;
    if (last && last->index == dim.index * dim.size && last->batched == dim.batched * dim.size &&
        last->operand == dim.operand * dim.size)
      *last = (jm_index_batch){last->size * dim.size, dim.index, dim.batched, dim.operand};
    else
      x->batch[n++] = dim;
  }
  x->n_batch = n;
}

jm_error *jm_places_init(jm_places *p, jm_arena *arena, const jm_indexing_spec *spec,
                         const void *indices) {
  *p = (jm_places){.indices = indices, .scatters = spec->scatters, .n = 1, .inner = 1};
  JM_TRY(jm_indexing_init(&p->x, arena, spec));
  merge_batch(&p->x);
  for (uint32_t d = 0; d < p->x.n_batch; d++) p->n *= p->x.batch[d].size;
  if (p->x.n_batch) p->inner = p->x.batch[p->x.n_batch - 1].size;
  const jm_rect *window = &p->x.window;
  p->window = jm_rect_count(window);
  p->is_contiguous =
      !window->n || (window->n == 1 && window->dims[0].to == 1 && window->dims[0].from == 1);
  return NULL;
}

/* One coordinate of each window's start. */
#define DEFINE(T)                                                                              \
  JM_CLONES static void clamp_##T(const T *restrict at, int64_t step, int64_t n, int64_t last, \
                                  int64_t stride, int64_t *restrict to) {                      \
    for (int64_t i = 0; i < n; i++) {                                                          \
      int64_t x = (int64_t)at[i * step];                                                       \
      x = x < 0 ? 0 : x;                                                                       \
      to[i] += (x > last ? last : x) * stride;                                                 \
    }                                                                                          \
  }                                                                                            \
  JM_CLONES static void fit_##T(const T *restrict at, int64_t step, int64_t n, int64_t last,   \
                                int64_t stride, int64_t *restrict to) {                        \
    for (int64_t i = 0; i < n; i++) {                                                          \
      int64_t x = (int64_t)at[i * step];                                                       \
      bool in = (x >= 0) & (x <= last) & (to[i] >= 0);                                         \
      to[i] = in ? to[i] + x * stride : -1;                                                    \
    }                                                                                          \
  }
DEFINE(int32_t)
DEFINE(uint32_t)
DEFINE(int64_t)

void jm_places_read(const jm_places *p, int64_t position, int64_t end, jm_place_run *run) {
  const jm_indexing *x = &p->x;
  int64_t inner = position % p->inner, rest = position / p->inner, left = p->inner - inner;
  int64_t index = 0, batched = 0, operand = 0, index_step = 0, operand_step = 0;
  run->batched_step = 0;
  for (uint32_t d = x->n_batch; d-- > 0;) {
    const jm_index_batch *dim = &x->batch[d];
    int64_t at = inner;
    if (d + 1 < x->n_batch) {
      at = rest % dim->size;
      rest /= dim->size;
    } else {
      index_step = dim->index, operand_step = dim->operand;
      run->batched_step = dim->batched;
    }
    index += at * dim->index, batched += at * dim->batched, operand += at * dim->operand;
  }
  int64_t n = end - position < left ? end - position : left;
  run->n = n = n < JM_PLACES_CHUNK ? n : JM_PLACES_CHUNK;
  run->batched = batched;
  for (int64_t i = 0; i < n; i++) run->operand[i] = operand + i * operand_step;
  for (uint32_t s = 0; s < x->n_starts; s++) {
    const jm_index_start *start = &x->starts[s];
    int64_t first = index + s * x->vector_stride, step = index_step, other[JM_PLACES_CHUNK];
    const void *at = other;
    jm_dtype dtype = x->dtype;
    if (dtype == JM_DT_s32 || dtype == JM_DT_u32) {
      at = (const int32_t *)p->indices + first;
    } else {
      for (int64_t i = 0; i < n; i++) other[i] = jm_index_read(dtype, p->indices, first + i * step);
      step = 1;
    }
#define CASE(T)                                                         \
  do {                                                                  \
    if (p->scatters)                                                    \
      fit_##T(at, step, n, start->last, start->stride, run->operand);   \
    else                                                                \
      clamp_##T(at, step, n, start->last, start->stride, run->operand); \
  } while (0)
    if (dtype == JM_DT_s32)
      CASE(int32_t);
    else if (dtype == JM_DT_u32)
      CASE(uint32_t);
    else
      CASE(int64_t);
#undef CASE
  }
}
