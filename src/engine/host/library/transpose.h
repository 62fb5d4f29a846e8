/* SPDX-License-Identifier: Apache-2.0
 * Transposing a plane of 4- or 8-byte elements through vector registers: the inner loop of strided
 * copies (copy.h, pack.h). Cuts nothing into cache-sized pieces or threads. */
#ifndef JM_LIBRARY_TRANSPOSE_H
#define JM_LIBRARY_TRANSPOSE_H

#include <stddef.h>

/* to[r][c] = from[c][r] for r < rows, c < columns; the strides between lines are in bytes, of any
 * sign; elements of a line are consecutive on both sides, which do not overlap. */
void jm_transpose_4(void *to, ptrdiff_t to_line, const void *from, ptrdiff_t from_line, size_t rows,
                    size_t columns);
void jm_transpose_8(void *to, ptrdiff_t to_line, const void *from, ptrdiff_t from_line, size_t rows,
                    size_t columns);

#endif
