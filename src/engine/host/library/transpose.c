/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/transpose.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/loop.h"

/* A vector is a cache line: patches are read and written in whole lines, because lines that lie a
 * power of two apart don't stay in the cache until their other half comes. */
typedef uint32_t line_4 __attribute__((vector_size(64)));
typedef uint64_t line_8 __attribute__((vector_size(64)));

#if defined(__clang__)
#define SHUFFLE(type, x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
#define SHUFFLE(type, x, y, ...) __builtin_shuffle(x, y, (type){__VA_ARGS__})
#endif

/* A round exchanges squares of `size` lanes off the diagonal: lane j of line i is that of the line
 * itself or of its partner. N lanes. */
#define LOW(N, size, j) ((j) & (size) ? (N) + (j) - (size) : (j))
#define HIGH(N, size, j) ((j) & (size) ? (N) + (j) : (j) + (size))
#define LANES_8(F, N, size, from)                                                     \
  F(N, size, from), F(N, size, from + 1), F(N, size, from + 2), F(N, size, from + 3), \
      F(N, size, from + 4), F(N, size, from + 5), F(N, size, from + 6), F(N, size, from + 7)
#define LANES_4_BYTES(F, size) LANES_8(F, 16, size, 0), LANES_8(F, 16, size, 8)
#define LANES_8_BYTES(F, size) LANES_8(F, 8, size, 0)
#define ROUND(bytes, size)                                                             \
  _Pragma("GCC unroll 16") for (int i = 0; i < 64 / (bytes); i++) if (!(i & (size))) { \
    line_##bytes x = a[i], y = a[i + (size)];                                          \
    a[i] = SHUFFLE(line_##bytes, x, y, LANES_##bytes##_BYTES(LOW, size));              \
    a[i + (size)] = SHUFFLE(line_##bytes, x, y, LANES_##bytes##_BYTES(HIGH, size));    \
  }
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
PATCH(4, ROUND(4, 8) ROUND(4, 4) ROUND(4, 2) ROUND(4, 1))
PATCH(8, ROUND(8, 4) ROUND(8, 2) ROUND(8, 1))

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
