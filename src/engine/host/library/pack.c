/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/pack.h"

#include <string.h>

#include "base/parallel.h"
#include "engine/host/library/transpose.h"

enum { TILE = 16, GRAIN_BYTES = 1 << 18 };

typedef struct dimension {
  size_t size;
  ptrdiff_t from, to;
} dimension;

/* A copy as rows of two inner dimensions (a matrix), repeated over outer ones. */
typedef struct copy {
  size_t element, n_outer; /* outer dimensions: dims[0 .. n_outer) */
  dimension dims[JM_PACK_RANK], rows, cols;
  size_t row_blocks; /* of TILE rows each */
  const char *from;
  char *to;
} copy;

/* Of one type of elements: a line, and a block of at most TILE rows, in tiles, so that neither
 * side's cache lines are fetched twice. */
#define DEFINE(T)                                                                                \
  static void line_##T(ptrdiff_t stride, size_t n, const void *from, void *to) {                 \
    const T *x = from;                                                                           \
    T *y = to;                                                                                   \
    for (size_t i = 0; i < n; i++) y[i] = x[(ptrdiff_t)i * stride];                              \
  }                                                                                              \
  static void copy_##T(const jm_pack_plane *p, const void *from, void *to) {                     \
    const T *x = from;                                                                           \
    T *y = to;                                                                                   \
    ptrdiff_t xr = p->from_row, xc = p->from_column, yr = p->to_row, yc = p->to_column;          \
    for (size_t i0 = 0; i0 < p->rows; i0 += TILE)                                                \
      for (size_t j0 = 0; j0 < p->columns; j0 += TILE) {                                         \
        size_t i1 = p->rows - i0 < TILE ? p->rows : i0 + TILE;                                   \
        size_t j1 = p->columns - j0 < TILE ? p->columns : j0 + TILE;                             \
        for (size_t i = i0; i < i1; i++)                                                         \
          for (size_t j = j0; j < j1; j++)                                                       \
            y[(ptrdiff_t)i * yr + (ptrdiff_t)j * yc] = x[(ptrdiff_t)i * xr + (ptrdiff_t)j * xc]; \
      }                                                                                          \
  }
typedef struct sixteen {
  uint64_t low, high;
} sixteen;
DEFINE(uint8_t)
DEFINE(uint16_t)
DEFINE(uint32_t)
DEFINE(uint64_t)
DEFINE(sixteen)

/* 1, 2, 4, 8 or 16 bytes. */
static const struct {
  void (*line)(ptrdiff_t stride, size_t n, const void *from, void *to);
  void (*copy)(const jm_pack_plane *p, const void *from, void *to);
} by_element[] = {
    {line_uint8_t, copy_uint8_t},   {line_uint16_t, copy_uint16_t}, {line_uint32_t, copy_uint32_t},
    {line_uint64_t, copy_uint64_t}, {line_sixteen, copy_sixteen},
};

void jm_pack_run_line(size_t element, ptrdiff_t stride, size_t n, const void *from, void *to) {
  by_element[__builtin_ctzll(element)].line(stride, n, from, to);
}

static void copy_lines(const jm_pack_plane *p, const char *from, char *to) {
  size_t bytes = p->columns * p->element;
  ptrdiff_t x = p->from_row * (ptrdiff_t)p->element, y = p->to_row * (ptrdiff_t)p->element;
  for (size_t i = 0; i < p->rows; i++)
    memcpy(to + (ptrdiff_t)i * y, from + (ptrdiff_t)i * x, bytes);
}

static void transpose(const jm_pack_plane *p, const void *from, void *to) {
  ptrdiff_t element = (ptrdiff_t)p->element;
  (p->element == 4 ? jm_transpose_4 : jm_transpose_8)(
      to, p->to_row * element, from, p->from_column * element, p->rows, p->columns);
}

void jm_pack_run_plane(const jm_pack_plane *p, const void *from, void *to) {
  if (p->from_column == 1 && p->to_column == 1)
    copy_lines(p, from, to);
  else if (p->from_row == 1 && p->to_column == 1 && (p->element == 4 || p->element == 8))
    transpose(p, from, to);
  else
    by_element[__builtin_ctzll(p->element)].copy(p, from, to);
}

static void copy_blocks(void *context, size_t begin, size_t end) {
  const copy *c = context;
  for (size_t block = begin; block < end; block++) {
    size_t row = block % c->row_blocks * TILE, rest = block / c->row_blocks;
    ptrdiff_t from = (ptrdiff_t)row * c->rows.from, to = (ptrdiff_t)row * c->rows.to;
    for (size_t d = c->n_outer; d-- > 0; rest /= c->dims[d].size) {
      from += (ptrdiff_t)(rest % c->dims[d].size) * c->dims[d].from;
      to += (ptrdiff_t)(rest % c->dims[d].size) * c->dims[d].to;
    }
    const jm_pack_plane plane = {
        .element = c->element,
        .rows = c->rows.size - row < TILE ? c->rows.size - row : TILE,
        .columns = c->cols.size,
        .from_row = c->rows.from,
        .from_column = c->cols.from,
        .to_row = c->rows.to,
        .to_column = c->cols.to,
    };
    jm_pack_run_plane(&plane, c->from + from * (ptrdiff_t)c->element,
                      c->to + to * (ptrdiff_t)c->element);
  }
}

static size_t magnitude(ptrdiff_t x) { return x < 0 ? (size_t)-x : (size_t)x; }

/* Drops dimensions of size 1, sorts the others by the target's strides, largest first, and merges
 * those that are one in both views. Returns how many are left. */
static size_t simplify(uint32_t rank, const int64_t *dims, const ptrdiff_t *from,
                       const ptrdiff_t *to, dimension *out) {
  size_t n = 0;
  for (uint32_t d = 0; d < rank; d++) {
    if (dims[d] == 1) continue;
    size_t at = n++;
    for (; at && magnitude(out[at - 1].to) < magnitude(to[d]); at--) out[at] = out[at - 1];
    out[at] = (dimension){(size_t)dims[d], from[d], to[d]};
  }
  size_t kept = 0;
  for (size_t d = 0; d < n; d++) {
    dimension *last = kept ? &out[kept - 1] : NULL;
    if (last && last->from == out[d].from * (ptrdiff_t)out[d].size &&
        last->to == out[d].to * (ptrdiff_t)out[d].size)
      *last = (dimension){last->size * out[d].size, out[d].from, out[d].to};
    else
      out[kept++] = out[d];
  }
  return kept;
}

void jm_pack_run(size_t element, uint32_t rank, const int64_t *dims, const ptrdiff_t *from_strides,
                 const void *from, const ptrdiff_t *to_strides, void *to) {
  for (uint32_t d = 0; d < rank; d++)
    if (!dims[d]) return;
  copy c = {.element = element, .from = from, .to = to};
  size_t n = simplify(rank, dims, from_strides, to_strides, c.dims);
  c.rows = c.cols = (dimension){1, 1, 1};
  if (n) c.cols = c.dims[--n];
  /* The rows are the dimension with the source's smallest stride, unless the columns are. */
  size_t closest = n ? n - 1 : 0;
  if (magnitude(c.cols.from) != 1)
    for (size_t d = 0; d < n; d++)
      if (magnitude(c.dims[d].from) < magnitude(c.dims[closest].from)) closest = d;
  if (n) {
    c.rows = c.dims[closest];
    memmove(&c.dims[closest], &c.dims[closest + 1], (n - closest - 1) * sizeof *c.dims);
    n--;
  }
  c.n_outer = n;
  c.row_blocks = (c.rows.size + TILE - 1) / TILE;
  size_t blocks = c.row_blocks;
  for (size_t d = 0; d < n; d++) blocks *= c.dims[d].size;
  size_t block_bytes = TILE * c.cols.size * element;
  jm_parallel_for(blocks, GRAIN_BYTES / block_bytes + 1, copy_blocks, &c);
}

bool jm_pack_find_stride(uint32_t rank, const int64_t *dims, const ptrdiff_t *strides,
                         ptrdiff_t *out) {
  ptrdiff_t stride = 1, next = 0;
  bool any = false;
  for (uint32_t d = rank; d-- > 0;) {
    if (dims[d] == 1) continue;
    if (!any)
      stride = strides[d];
    else if (strides[d] != next)
      return false;
    next = strides[d] * (ptrdiff_t)dims[d];
    any = true;
  }
  *out = stride;
  return true;
}
