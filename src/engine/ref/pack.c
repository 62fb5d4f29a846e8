/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ref/pack.h"

#include <string.h>

#include "base/parallel.h"

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

/* A block of at most TILE rows, in tiles, so that neither side's cache lines are fetched twice. */
#define DEFINE(T)                                                                              \
  static void copy_##T(const copy *c, const char *from, char *to, size_t rows) {               \
    const T *x = (const T *)from;                                                              \
    T *y = (T *)to;                                                                            \
    ptrdiff_t xr = c->rows.from, xc = c->cols.from, yr = c->rows.to, yc = c->cols.to;          \
    for (size_t j0 = 0; j0 < c->cols.size; j0 += TILE) {                                       \
      size_t j1 = c->cols.size - j0 < TILE ? c->cols.size : j0 + TILE;                         \
      for (size_t i = 0; i < rows; i++)                                                        \
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

static void copy_lines(const copy *c, const char *from, char *to, size_t rows) {
  for (size_t i = 0; i < rows; i++)
    memcpy(to + (ptrdiff_t)i * c->rows.to * (ptrdiff_t)c->element,
           from + (ptrdiff_t)i * c->rows.from * (ptrdiff_t)c->element, c->cols.size * c->element);
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
    size_t rows = c->rows.size - row < TILE ? c->rows.size - row : TILE;
    const char *x = c->from + from * (ptrdiff_t)c->element;
    char *y = c->to + to * (ptrdiff_t)c->element;
    if (c->cols.from == 1 && c->cols.to == 1)
      copy_lines(c, x, y, rows);
    else if (c->element == 1)
      copy_uint8_t(c, x, y, rows);
    else if (c->element == 2)
      copy_uint16_t(c, x, y, rows);
    else if (c->element == 4)
      copy_uint32_t(c, x, y, rows);
    else if (c->element == 8)
      copy_uint64_t(c, x, y, rows);
    else
      copy_sixteen(c, x, y, rows);
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
  /* The rows are what the source has closest together, if that isn't the columns already. */
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
