/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/copy.h"

#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "engine/host/library/transpose.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

void jm_rect_add(jm_rect *rect, int64_t size, int64_t to, int64_t from) {
  if (size <= 0) rect->empty = true;
  if (size <= 1 || rect->empty) return;
  if (rect->n == JM_RECT_DIMS) return; /* only if a dimension of size 0 is still to come */
  rect->dims[rect->n++] = (jm_rect_dim){size, to, from};
}

void jm_rect_normalise(jm_rect *rect) {
  jm_rect_dim *dims = rect->dims;
  for (uint32_t i = 1; i < rect->n; i++) {
    jm_rect_dim dim = dims[i];
    uint32_t j = i;
    for (; j && llabs(dims[j - 1].to) < llabs(dim.to); j--) dims[j] = dims[j - 1];
    dims[j] = dim;
  }
  uint32_t n = 0;
  for (uint32_t i = 0; i < rect->n; i++) {
    jm_rect_dim *last = n ? &dims[n - 1] : NULL;
    if (last && last->to == dims[i].to * dims[i].size && last->from == dims[i].from * dims[i].size)
      *last = (jm_rect_dim){last->size * dims[i].size, dims[i].to, dims[i].from};
    else
      dims[n++] = dims[i];
  }
  rect->n = n;
}

int64_t jm_rect_count(const jm_rect *rect) {
  if (rect->empty) return 0;
  int64_t count = 1;
  for (uint32_t i = 0; i < rect->n; i++) count *= rect->dims[i].size;
  return count;
}

/* -- planes: the innermost two dimensions. Units are moved with memcpy of a constant size, which
 * compiles to one move whatever the alignment. */

static void plane_runs(char *to, const char *from, const jm_rect_dim *rows,
                       const jm_rect_dim *columns) {
  size_t run = (size_t)columns->size; /* in bytes */
  for (int64_t r = 0; r < rows->size; r++) memcpy(to + r * rows->to, from + r * rows->from, run);
}

typedef struct unit16 {
  uint64_t halves[2];
} unit16;

enum {
  BLOCK = 64,
  TASK_BYTES = 256 * 1024,
  LONG_LINE = 4096, /* bytes from which memset has ways to write lines without reading them first */
};

/* A long line of elements whose bytes are all alike, as zero has them. */
static bool fill_bytes(char *line, const char *value, size_t bytes, int64_t count) {
  if (count * (int64_t)bytes < LONG_LINE || memcmp(value, value + 1, bytes - 1)) return false;
  memset(line, *value, (size_t)count * bytes);
  return true;
}

/* Tiles of transpositions: BLOCK units square, so that the lines of both sides stay cached, made of
 * patches that are read and written in runs of `patch` units. */
#define PLANES(bytes, type, patch)                                                                 \
  static void plane_fill_##bytes(char *to, const char *from, const jm_rect_dim *rows,              \
                                 const jm_rect_dim *columns) {                                     \
    for (int64_t r = 0; r < rows->size; r++) {                                                     \
      type value;                                                                                  \
      char *line = to + r * rows->to;                                                              \
      if (fill_bytes(line, from + r * rows->from, sizeof value, columns->size)) continue;          \
      memcpy(&value, from + r * rows->from, sizeof value);                                         \
      for (int64_t c = 0; c < columns->size; c++)                                                  \
        memcpy(line + c * (int64_t)sizeof value, &value, sizeof value);                            \
    }                                                                                              \
  }                                                                                                \
  static void plane_strided_##bytes(char *to, const char *from, const jm_rect_dim *rows,           \
                                    const jm_rect_dim *columns) {                                  \
    int64_t to_step = columns->to, from_step = columns->from, n = columns->size;                   \
    for (int64_t r = 0; r < rows->size; r++) {                                                     \
      char *t = to + r * rows->to;                                                                 \
      const char *f = from + r * rows->from;                                                       \
      for (int64_t c = 0; c < n; c++, t += to_step, f += from_step) memcpy(t, f, sizeof(type));    \
    }                                                                                              \
  }                                                                                                \
  static void patch_##bytes(char *to, const char *from, int64_t to_row, int64_t from_column) {     \
    type in[patch][patch];                                                                         \
    for (int c = 0; c < patch; c++) memcpy(in[c], from + c * from_column, sizeof in[c]);           \
    for (int r = 0; r < patch; r++) {                                                              \
      type line[patch];                                                                            \
      for (int c = 0; c < patch; c++) line[c] = in[c][r];                                          \
      memcpy(to + r * to_row, line, sizeof line);                                                  \
    }                                                                                              \
  }                                                                                                \
  static void tile_##bytes(char *to, const char *from, const jm_rect_dim *rows,                    \
                           const jm_rect_dim *columns) {                                           \
    const int64_t unit = sizeof(type);                                                             \
    int64_t r = 0, whole = columns->size - columns->size % patch;                                  \
    if (rows->from != unit || columns->to != unit) whole = 0;                                      \
    for (; whole && r + patch <= rows->size; r += patch)                                           \
      for (int64_t c = 0; c < whole; c += patch)                                                   \
        patch_##bytes(to + r * rows->to + c * unit, from + r * unit + c * columns->from, rows->to, \
                      columns->from);                                                              \
    jm_rect_dim rest_rows = {r, rows->to, rows->from}, rest_columns = *columns;                    \
    rest_columns.size -= whole;                                                                    \
    if (rest_columns.size)                                                                         \
      plane_strided_##bytes(to + whole * columns->to, from + whole * columns->from, &rest_rows,    \
                            &rest_columns);                                                        \
    rest_rows.size = rows->size - r;                                                               \
    plane_strided_##bytes(to + r * rows->to, from + r * rows->from, &rest_rows, columns);          \
  }                                                                                                \
  static void plane_tiled_##bytes(char *to, const char *from, const jm_rect_dim *rows,             \
                                  const jm_rect_dim *columns) {                                    \
    jm_rect_dim tall = *rows, wide = *columns;                                                     \
    for (int64_t r = 0; r < rows->size; r += BLOCK)                                                \
      for (int64_t c = 0; c < columns->size; c += BLOCK) {                                         \
        tall.size = rows->size - r < BLOCK ? rows->size - r : BLOCK;                               \
        wide.size = columns->size - c < BLOCK ? columns->size - c : BLOCK;                         \
        tile_##bytes(to + r * rows->to + c * columns->to,                                          \
                     from + r * rows->from + c * columns->from, &tall, &wide);                     \
      }                                                                                            \
  }
PLANES(1, uint8_t, 8)
PLANES(2, uint16_t, 8)
PLANES(4, uint32_t, 4)
PLANES(8, uint64_t, 4)
PLANES(16, unit16, 1)
#undef PLANES

/* Whole lines on both sides go through vector registers. */
#define PLANES(bytes)                                                                       \
  static void plane_transposed_##bytes(char *to, const char *from, const jm_rect_dim *rows, \
                                       const jm_rect_dim *columns) {                        \
    if (rows->from == (bytes) && columns->to == (bytes))                                    \
      jm_transpose_##bytes(to, rows->to, from, columns->from, (size_t)rows->size,           \
                           (size_t)columns->size);                                          \
    else                                                                                    \
      plane_tiled_##bytes(to, from, rows, columns);                                         \
  }
PLANES(4)
PLANES(8)
#undef PLANES

static const struct {
  jm_copy_plane *fill, *strided, *tiled;
} planes[] = {
    {plane_fill_1, plane_strided_1, plane_tiled_1},
    {plane_fill_2, plane_strided_2, plane_tiled_2},
    {plane_fill_4, plane_strided_4, plane_transposed_4},
    {plane_fill_8, plane_strided_8, plane_transposed_8},
    {plane_fill_16, plane_strided_16, plane_tiled_16},
};

/* log2 of 1, 2, 4, 8 or 16 */
static inline unsigned unit_row(size_t unit) { return (unsigned)__builtin_ctzll(unit); }

static bool is_unit(int64_t bytes) { return bytes >= 1 && bytes <= 16 && !(bytes & (bytes - 1)); }

/* If some dimension other than the innermost is closer to contiguous in `from`, puts it second to
 * last and says so: the plane is then a transposition. */
static bool transposes(jm_rect *rect) {
  if (rect->n < 2) return false;
  uint32_t best = rect->n - 1;
  for (uint32_t i = 0; i < rect->n - 1; i++) {
    int64_t from = llabs(rect->dims[i].from);
    if (from && rect->dims[i].size >= 4 && from < llabs(rect->dims[best].from)) best = i;
  }
  if (best == rect->n - 1) return false;
  jm_rect_dim dim = rect->dims[best];
  for (uint32_t i = best; i + 2 < rect->n; i++) rect->dims[i] = rect->dims[i + 1];
  rect->dims[rect->n - 2] = dim;
  return true;
}

void jm_copy_init(jm_copy *copy, const jm_rect *rect, size_t bytes) {
  jm_rect *own = &copy->rect;
  copy->unit = bytes;
  copy->plane = NULL;
  own->n = rect->n;
  own->empty = rect->empty;
  if (own->empty) return;
  memcpy(own->dims, rect->dims, rect->n * sizeof *rect->dims);
  jm_rect_normalise(own);
  int64_t unit = (int64_t)bytes;
  for (uint32_t i = 0; i < own->n; i++) {
    own->dims[i].to *= unit;
    own->dims[i].from *= unit;
  }
  copy->bytes = jm_rect_count(own) * unit;
  jm_rect_dim *inner = own->n ? &own->dims[own->n - 1] : NULL;
  if (inner && inner->to == unit && inner->from == unit && is_unit(inner->size * unit)) {
    copy->unit = (size_t)(inner->size * unit);
    unit = (int64_t)copy->unit;
    own->n--;
    inner = own->n ? inner - 1 : NULL;
  }
  unsigned row = unit_row(copy->unit);
  if (!inner) return;
  if (inner->to == unit && inner->from == unit) {
    copy->plane = plane_runs;
    *inner = (jm_rect_dim){inner->size * unit, 1, 1};
  } else if (inner->to == unit && !inner->from) {
    copy->plane = planes[row].fill;
  } else {
    copy->plane = transposes(own) ? planes[row].tiled : planes[row].strided;
  }
}

static void copy_unit(void *to, const void *from, size_t unit) {
  switch (unit) {
    case 1:
      memcpy(to, from, 1);
      break;
    case 2:
      memcpy(to, from, 2);
      break;
    case 4:
      memcpy(to, from, 4);
      break;
    case 8:
      memcpy(to, from, 8);
      break;
    default:
      memcpy(to, from, 16);
      break;
  }
}

/* The copy with another size of its first dimension. */
static void run_part(const jm_copy *copy, int64_t first, char *to, const char *from) {
  static const jm_rect_dim one = {1, 0, 0};
  const jm_rect *rect = &copy->rect;
  uint32_t n = rect->n, outer = n > 2 ? n - 2 : 0, d;
  jm_rect_dim columns = rect->dims[n - 1], rows = n > 1 ? rect->dims[n - 2] : one;
  if (n == 1) columns.size = first;
  if (n == 2) rows.size = first;
  int64_t counters[JM_RECT_DIMS];
  memset(counters, 0, outer * sizeof *counters);
  do {
    copy->plane(to, from, &rows, &columns);
    for (d = outer; d--;) {
      const jm_rect_dim *dim = &rect->dims[d];
      int64_t size = d ? dim->size : first;
      to += dim->to;
      from += dim->from;
      if (++counters[d] < size) break;
      counters[d] = 0;
      to -= dim->to * size;
      from -= dim->from * size;
    }
  } while (d != UINT32_MAX);
}

typedef struct job {
  const jm_copy *copy;
  char *to;
  const char *from;
} job;

static void run_range(void *context, size_t begin, size_t end) {
  const job *j = context;
  const jm_rect_dim *dim = &j->copy->rect.dims[0];
  run_part(j->copy, (int64_t)(end - begin), j->to + (int64_t)begin * dim->to,
           j->from + (int64_t)begin * dim->from);
}

void jm_copy_run(const jm_copy *copy, void *to, const void *from) {
  const jm_rect *rect = &copy->rect;
  if (rect->empty) return;
  if (!rect->n) {
    copy_unit(to, from, copy->unit);
  } else if (copy->bytes < 2 * TASK_BYTES) {
    run_part(copy, rect->dims[0].size, to, from);
  } else { /* whole tiles and cache lines a task */
    size_t size = (size_t)rect->dims[0].size, n = (size_t)(copy->bytes / TASK_BYTES);
    size_t grain = size / n + 1;
    if (rect->n <= 2) grain = (grain + BLOCK - 1) / BLOCK * BLOCK;
    jm_parallel_for(size, grain, run_range, &(job){copy, to, from});
  }
}

void jm_rect_copy(const jm_rect *rect, size_t bytes, void *to, const void *from) {
  jm_copy copy;
  jm_copy_init(&copy, rect, bytes);
  jm_copy_run(&copy, to, from);
}

void jm_copy_fill(void *to, const void *value, size_t bytes, int64_t count) {
  static const jm_rect_dim one = {1, 0, 0};
  if (count < 2 * TASK_BYTES / 16) {
    planes[unit_row(bytes)].fill(to, value, &one, &(jm_rect_dim){count, 0, 0});
    return;
  }
  jm_rect rect;
  jm_rect_init(&rect);
  jm_rect_add(&rect, count, 1, 0);
  jm_rect_copy(&rect, bytes, to, value);
}

void jm_copy_bytes(void *to, const void *from, size_t bytes) {
  jm_rect rect;
  jm_rect_init(&rect);
  jm_rect_add(&rect, (int64_t)bytes, 1, 1);
  jm_rect_copy(&rect, 1, to, from);
}

#if defined(__SSE2__)
void jm_copy_past_caches(void *to, const void *from, size_t bytes) {
  enum { LINE = 64 };
  char *out = to;
  const char *in = from, *end = in + bytes;
  const size_t head = -(uintptr_t)out % LINE;
  if (bytes < head + LINE) {
    if (bytes) memcpy(out, in, bytes);
    return;
  }
  memcpy(out, in, head);
  for (in += head, out += head; end - in >= LINE; in += LINE, out += LINE)
    for (int i = 0; i < LINE; i += 16)
      _mm_stream_si128((__m128i *)(out + i), _mm_loadu_si128((const __m128i *)(in + i)));
  memcpy(out, in, (size_t)(end - in));
  _mm_sfence();
}
#else
void jm_copy_past_caches(void *to, const void *from, size_t bytes) {
  if (bytes) memcpy(to, from, bytes);
}
#endif
