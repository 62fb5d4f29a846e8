/* SPDX-License-Identifier: Apache-2.0
 * The single mechanism behind data movement: copying a rectangle of elements between two buffers,
 * in each of which it has its own strides. Slices, transposes, broadcasts, pads and windows are all
 * such rectangles; this file sorts and merges their dimensions and copies them at about the speed
 * of memory. It knows element sizes only, neither element types nor ops. */
#ifndef JM_LIBRARY_COPY_H
#define JM_LIBRARY_COPY_H

#include "engine/call.h"

/* Dimensions of size 1 are never stored and a tensor has fewer than 2^63 elements, so 62 do. */
enum { JM_RECT_DIMS = 64 };

typedef struct jm_rect_dim {
  int64_t size, to, from; /* strides; from may be 0 (broadcast) or negative (reverse) */
} jm_rect_dim;

typedef struct jm_rect {
  jm_rect_dim dims[JM_RECT_DIMS];
  uint32_t n;
  bool empty;
} jm_rect;

static inline void jm_rect_init(jm_rect *rect) {
  rect->n = 0;
  rect->empty = false;
}
/* Strides count elements. The order in which dimensions are added does not matter. */
void jm_rect_add(jm_rect *rect, int64_t size, int64_t to, int64_t from);
/* Sorts the dimensions, largest stride of `to` first, and merges those that can be one. */
void jm_rect_normalise(jm_rect *rect);
int64_t jm_rect_count(const jm_rect *rect);

/* A normalised rectangle with the loop that suits it. */
typedef struct jm_copy jm_copy;
typedef void jm_copy_plane(char *to, const char *from, const jm_rect_dim *rows,
                           const jm_rect_dim *columns);
struct jm_copy {
  jm_rect rect;  /* strides in bytes; the last two dimensions are the plane's */
  size_t unit;   /* bytes that move as one: an element, or a short contiguous run of them */
  int64_t bytes; /* that are copied in all */
  jm_copy_plane *plane;
};

/* For elements of 1, 2, 4, 8 or 16 bytes. The rectangle need not be normalised. */
void jm_copy_init(jm_copy *copy, const jm_rect *rect, size_t bytes);
/* The two must not overlap. */
void jm_copy_run(const jm_copy *copy, void *to, const void *from);
/* Both at once. */
void jm_rect_copy(const jm_rect *rect, size_t bytes, void *to, const void *from);

/* count elements equal to the one at value */
void jm_copy_fill(void *to, const void *value, size_t bytes, int64_t count);
/* memcpy, by several threads if it is worth it */
void jm_copy_bytes(void *to, const void *from, size_t bytes);
/* memcpy without reading what is overwritten into the caches, where the processor has stores for
 * it: for results that are larger than they. Other threads see the bytes as after memcpy. */
void jm_copy_past_caches(void *to, const void *from, size_t bytes);

#endif
