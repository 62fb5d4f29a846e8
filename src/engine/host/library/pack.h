/* SPDX-License-Identifier: Apache-2.0
 * Copies of strided views, as products need them before a library can take them. */
#ifndef JM_LIBRARY_PACK_H
#define JM_LIBRARY_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JM_PACK_RANK = 32 };

/* Copies an array of rank <= JM_PACK_RANK dimensions of elements of 1, 2, 4, 8 or 16 bytes from one
 * strided view to another (strides in elements, any sign). The views don't overlap, and no two
 * elements of the target coincide. Uses several threads if it is large. */
void jm_pack_run(size_t element, uint32_t rank, const int64_t *dims, const ptrdiff_t *from_strides,
                 const void *from, const ptrdiff_t *to_strides, void *to);

/* Two dimensions of it, by the caller's thread alone. */
typedef struct jm_pack_plane {
  size_t element, rows, columns;
  ptrdiff_t from_row, from_column, to_row, to_column; /* strides in elements */
} jm_pack_plane;
void jm_pack_run_plane(const jm_pack_plane *plane, const void *from, void *to);

/* One line of n elements `stride` apart, to consecutive ones. */
void jm_pack_run_line(size_t element, ptrdiff_t stride, size_t n, const void *from, void *to);

/* The single stride by which the dimensions are one after another in row-major order (dimensions of
 * size 1 don't count; 1 if all are): false if there is none. */
bool jm_pack_find_stride(uint32_t rank, const int64_t *dims, const ptrdiff_t *strides,
                         ptrdiff_t *out);

#endif
