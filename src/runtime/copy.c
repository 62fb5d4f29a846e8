/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/copy.h"

#include <string.h>

void jm_strides_ordered(size_t element, uint32_t rank, const int64_t *dims,
                        const int64_t *minor_to_major, int64_t *out) {
  uint64_t stride = element; /* may wrap for an empty array, which never uses it */
  for (uint32_t i = 0; i < rank; i++) {
    const int64_t d = minor_to_major ? minor_to_major[i] : rank - 1 - i;
    out[d] = (int64_t)stride;
    stride *= (uint64_t)dims[d];
  }
}

void jm_strides_dense(size_t element, uint32_t rank, const int64_t *dims, int64_t *out) {
  jm_strides_ordered(element, rank, dims, NULL, out);
}

bool jm_strides_are_dense(size_t element, uint32_t rank, const int64_t *dims,
                          const int64_t *strides) {
  uint64_t stride = element;
  for (uint32_t d = rank; d-- > 0;) {
    if (dims[d] != 1 && (uint64_t)strides[d] != stride) return false;
    stride *= (uint64_t)dims[d];
  }
  return true;
}

/* A dimension of the copy that is left after merging. */
typedef struct axis {
  int64_t size, target, source;
} axis;

/* Leaves out dimensions of size 1, sorts by the target's stride (outermost first), and merges
 * neighbours that both sides step through as one. */
static uint32_t merge(uint32_t rank, const int64_t *dims, const int64_t *target_strides,
                      const int64_t *source_strides, axis *axes) {
  uint32_t n = 0;
  for (uint32_t d = 0; d < rank; d++) {
    if (dims[d] == 1) continue;
    axis fresh = {dims[d], target_strides[d], source_strides[d]};
    uint64_t size = fresh.target < 0 ? 0 - (uint64_t)fresh.target : (uint64_t)fresh.target;
    uint32_t at = n++;
    for (; at > 0; at--) {
      int64_t other = axes[at - 1].target;
      if ((other < 0 ? 0 - (uint64_t)other : (uint64_t)other) >= size) break;
      axes[at] = axes[at - 1];
    }
    axes[at] = fresh;
  }
  uint32_t kept = 0;
  for (uint32_t i = 0; i < n; i++) {
    axis *last = kept ? &axes[kept - 1] : NULL;
    if (last && last->target == axes[i].target * axes[i].size &&
        last->source == axes[i].source * axes[i].size)
      *last = (axis){last->size * axes[i].size, axes[i].target, axes[i].source};
    else
      axes[kept++] = axes[i];
  }
  return kept;
}

/* One innermost line. memcpy of a constant size is a move, and allows any alignment. */
#define MOVE_LINE(bytes)                  \
  for (int64_t i = 0; i < line.size; i++) \
  memcpy(target + i * line.target, source + i * line.source, bytes)

static void move_line(char *target, const char *source, axis line, size_t element) {
  if (line.target == (int64_t)element && line.source == (int64_t)element) {
    memcpy(target, source, (size_t)line.size * element);
    return;
  }
  switch (element) {
    case 1:
      MOVE_LINE(1);
      break;
    case 2:
      MOVE_LINE(2);
      break;
    case 4:
      MOVE_LINE(4);
      break;
    case 8:
      MOVE_LINE(8);
      break;
    case 16:
      MOVE_LINE(16);
      break;
    default:
      MOVE_LINE(element);
  }
}

/* The two innermost dimensions in tiles: a transposition then reads each cache line once. */
static void move_plane(char *target, const char *source, axis row, axis line, size_t element) {
  enum { TILE = 32 };
  bool plain = line.target == (int64_t)element && line.source == (int64_t)element;
  int64_t width = plain ? line.size : TILE;
  for (int64_t column = 0; column < line.size; column += width) {
    axis part = line;
    part.size = line.size - column < width ? line.size - column : width;
    for (int64_t r = 0; r < row.size; r++)
      move_line(target + column * line.target + r * row.target,
                source + column * line.source + r * row.source, part, element);
  }
}

void jm_copy_strided(void *target, const int64_t *target_strides, const void *source,
                     const int64_t *source_strides, size_t element, uint32_t rank,
                     const int64_t *dims) {
  if (!element) return;
  for (uint32_t d = 0; d < rank; d++)
    if (!dims[d]) return;
  axis axes[JM_RANK_MAX + 2];
  uint32_t n = merge(rank, dims, target_strides, source_strides, axes);
  while (n < 2) { /* at least a plane: leading dimensions of size 1 */
    memmove(axes + 1, axes, n * sizeof *axes);
    axes[0] = (axis){1, 0, 0};
    if (!n) axes[0].target = axes[0].source = (int64_t)element;
    n++;
  }
  int64_t index[JM_RANK_MAX] = {0};
  char *to = target;
  const char *from = source;
  for (;;) {
    move_plane(to, from, axes[n - 2], axes[n - 1], element);
    uint32_t d = n - 2;
    while (d > 0) { /* the next index of the outer dimensions */
      d--;
      to += axes[d].target;
      from += axes[d].source;
      if (++index[d] < axes[d].size) break;
      to -= axes[d].target * axes[d].size;
      from -= axes[d].source * axes[d].size;
      index[d] = 0;
      if (!d) return;
    }
    if (n == 2) return;
  }
}
