/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/window.h"

jm_error *jm_windows_init(jm_windows *windows, jm_arena *arena, const jm_type *in,
                          const jm_type *out, const jm_i64s *window, const jm_i64s *strides,
                          const jm_i64s *base, const jm_i64s *dilation, const jm_i64s *padding,
                          int64_t limit) {
  uint32_t rank = in->rank;
  *windows = (jm_windows){.rank = rank, .line = rank ? rank - 1 : 0};
  windows->dims = jm_arena_alloc(arena, rank, sizeof *windows->dims);
  if (!windows->dims) return jm_error_out_of_memory();
  for (uint32_t d = 0; d < rank; d++)
    windows->dims[d] = (jm_window_dim){.in = in->dims[d],
                                       .out = out->dims[d],
                                       .window = window->data[d],
                                       .stride = strides->data[d],
                                       .base = base && base->n ? base->data[d] : 1,
                                       .dilation = dilation && dilation->n ? dilation->data[d] : 1,
                                       .low = padding->data[2 * d],
                                       .in_stride = jm_type_stride(in, d),
                                       .out_stride = jm_type_stride(out, d)};
  int64_t inside = 1;
  uint32_t *line = &windows->line;
  while (*line && inside * out->dims[*line] <= limit) inside *= out->dims[(*line)--];
  windows->chunk = limit / inside < 1 ? 1 : limit / inside;
  return NULL;
}

static int64_t chunk_end(const jm_windows *windows, uint32_t d, int64_t begin) {
  const jm_window_dim *dim = &windows->dims[d];
  int64_t size = d < windows->line ? 1 : d == windows->line ? windows->chunk : dim->out;
  return size < dim->out - begin ? begin + size : dim->out;
}

void jm_windows_first_block(jm_windows *windows) {
  for (uint32_t d = 0; d < windows->rank; d++) {
    windows->dims[d].begin = windows->dims[d].position = 0;
    windows->dims[d].end = chunk_end(windows, d, 0);
  }
}

bool jm_windows_next_block(jm_windows *windows) {
  for (uint32_t d = windows->rank ? windows->line + 1 : 0; d--;) {
    jm_window_dim *dim = &windows->dims[d];
    bool more = dim->end < dim->out;
    dim->begin = more ? dim->end : 0;
    dim->end = chunk_end(windows, d, dim->begin);
    if (more) return true;
  }
  return false;
}

int64_t jm_windows_block_start(const jm_windows *windows) {
  int64_t start = 0;
  for (uint32_t d = 0; d < windows->rank; d++)
    start += windows->dims[d].begin * windows->dims[d].out_stride;
  return start;
}

int64_t jm_windows_block_count(const jm_windows *windows) {
  int64_t count = 1;
  for (uint32_t d = 0; d < windows->rank; d++)
    count *= windows->dims[d].end - windows->dims[d].begin;
  return count;
}

bool jm_windows_next_position(jm_windows *windows) {
  for (uint32_t d = windows->rank; d--;) {
    if (++windows->dims[d].position < windows->dims[d].window) return true;
    windows->dims[d].position = 0;
  }
  return false;
}

static int64_t divide_down(int64_t a, int64_t b) { return a / b - (a % b < 0); }

void jm_windows_rect(const jm_windows *windows, jm_rect *rect, int64_t *to, int64_t *from) {
  jm_rect_init(rect);
  *to = *from = 0;
  for (uint32_t d = 0; d < windows->rank; d++) {
    const jm_window_dim *dim = &windows->dims[d];
    int64_t shift = dim->low - dim->position * dim->dilation; /* output 0 is at -shift */
    int64_t first = -divide_down(-shift, dim->stride);        /* rounded up */
    int64_t last = divide_down((dim->in - 1) * dim->base + shift, dim->stride), step = 1;
    if (first < dim->begin) first = dim->begin;
    if (last >= dim->end) last = dim->end - 1;
    if (dim->base > 1) { /* every base / gcd(base, stride)-th, from the first that hits */
      int64_t a = dim->base, b = dim->stride % dim->base;
      while (b) {
        int64_t c = a % b;
        a = b;
        b = c;
      }
      step = dim->base / a;
      while (first <= last && (first * dim->stride - shift) % dim->base) first++;
    }
    if (first > last) {
      rect->empty = true;
      return;
    }
    jm_rect_add(rect, (last - first) / step + 1, step * dim->out_stride,
                step * dim->stride / dim->base * dim->in_stride);
    *to += first * dim->out_stride;
    *from += (first * dim->stride - shift) / dim->base * dim->in_stride;
  }
  jm_rect_normalise(rect);
}

bool jm_window_scan_find(const jm_reduce_window_attrs *a, const jm_type *in, jm_window_scan *s) {
  *s = (jm_window_scan){1, 0, 1, false};
  for (uint32_t d = 0; d < in->rank; d++) {
    int64_t n = in->dims[d], window = a->window.data[d];
    int64_t low = a->padding.data[2 * d], high = a->padding.data[2 * d + 1];
    bool forward = low == window - 1 && !high, backward = high == window - 1 && !low;
    if (a->strides.data[d] != 1 || a->base_dilations.data[d] != 1) return false;
    if (window == 1 && !low && !high) {
      *(s->n ? &s->inner : &s->outer) *= n;
      continue;
    }
    if (s->n || window < n || a->window_dilations.data[d] != 1 || (!forward && !backward))
      return false;
    s->n = n;
    s->reverse = !forward;
  }
  return s->n;
}
