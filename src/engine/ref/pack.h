/* SPDX-License-Identifier: Apache-2.0
 * Copies of strided views, as products need them before a library can take them. */
#ifndef JM_ENGINE_REF_PACK_H
#define JM_ENGINE_REF_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JM_PACK_RANK = 32 };

/* Copies an array of rank <= JM_PACK_RANK dimensions of elements of 1, 2, 4, 8 or 16 bytes from one
 * strided view to another (strides in elements, any sign). The views don't overlap, and no two
 * elements of the target coincide. Uses several threads if it is large. */
void jm_pack_run(size_t element, uint32_t rank, const int64_t *dims, const ptrdiff_t *from_strides,
                 const void *from, const ptrdiff_t *to_strides, void *to);

/* The single stride by which the dimensions are one after another in row-major order (dimensions of
 * size 1 don't count; 1 if all are): false if there is none. */
bool jm_pack_find_stride(uint32_t rank, const int64_t *dims, const ptrdiff_t *strides,
                         ptrdiff_t *out);

#endif
