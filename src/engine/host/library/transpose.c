/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/transpose.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/loop.h"
#include "engine/host/library/square.h"

#define PATCH(bytes, ROUNDS)                                                \
  static inline __attribute__((always_inline)) void patch_##bytes(          \
      char *to, ptrdiff_t to_line, const char *from, ptrdiff_t from_line) { \
    line_##bytes a[64 / (bytes)];                                           \
    _Pragma("GCC unroll 16") for (int i = 0; i < 64 / (bytes); i++)         \
        memcpy(&a[i], from + i * from_line, sizeof a[i]);                   \
    ROUNDS                                                                  \
    _Pragma("GCC unroll 16") for (int i = 0; i < 64 / (bytes); i++)         \
        memcpy(to + i * to_line, &a[i], sizeof a[i]);                       \
  }
PATCH(4, ROUNDS_4)
PATCH(8, ROUNDS_8)

/* Walks along the lines of the side whose lines are farther apart; the other side is prefetched one
 * patch ahead. */
static size_t magnitude(ptrdiff_t x) { return x < 0 ? (size_t)-x : (size_t)x; }

#define DEFINE(bytes)                                                                             \
  static void edge_##bytes(char *to, ptrdiff_t to_line, const char *from, ptrdiff_t from_line,    \
                           size_t rows, size_t columns) {                                         \
    for (size_t c = 0; c < columns; c++)                                                          \
      for (size_t r = 0; r < rows; r++)                                                           \
        memcpy(to + (ptrdiff_t)r * to_line + (ptrdiff_t)(c * (bytes)),                            \
               from + (ptrdiff_t)c * from_line + (ptrdiff_t)(r * (bytes)), bytes);                \
  }                                                                                               \
  JM_CLONES void jm_transpose_##bytes(void *to_data, ptrdiff_t to_line, const void *from_data,    \
                                      ptrdiff_t from_line, size_t rows, size_t columns) {         \
    enum { SIDE = 64 / (bytes) };                                                                 \
    char *to = to_data;                                                                           \
    const char *from = from_data;                                                                 \
    size_t whole_rows = rows / SIDE * SIDE, whole = columns / SIDE * SIDE;                        \
    bool by_source = magnitude(from_line) > magnitude(to_line);                                   \
    size_t n_outer = by_source ? whole : whole_rows, n_inner = by_source ? whole_rows : whole;    \
    for (size_t outer = 0; outer < n_outer; outer += SIDE)                                        \
      for (size_t inner = 0; inner < n_inner; inner += SIDE) {                                    \
        size_t r = by_source ? inner : outer, c = by_source ? outer : inner;                      \
        const char *x = from + (ptrdiff_t)c * from_line + (ptrdiff_t)(r * (bytes));               \
        const char *next = by_source ? x + 64 : x + SIDE * from_line;                             \
        for (int i = 0; inner + SIDE < n_inner && i < SIDE; i++)                                  \
          __builtin_prefetch(next + i * from_line);                                               \
        patch_##bytes(to + (ptrdiff_t)r * to_line + (ptrdiff_t)(c * (bytes)), to_line, x,         \
                      from_line);                                                                 \
      }                                                                                           \
    edge_##bytes(to + (ptrdiff_t)(whole * (bytes)), to_line, from + (ptrdiff_t)whole * from_line, \
                 from_line, rows, columns - whole);                                               \
    edge_##bytes(to + (ptrdiff_t)whole_rows * to_line, to_line,                                   \
                 from + (ptrdiff_t)(whole_rows * (bytes)), from_line, rows - whole_rows, whole);  \
  }
DEFINE(4)
DEFINE(8)
