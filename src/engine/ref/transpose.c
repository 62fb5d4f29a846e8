/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ref/transpose.h"

#include <stdint.h>
#include <string.h>

#include "base/loop.h"

typedef uint32_t words __attribute__((vector_size(32)));
typedef uint64_t doubles __attribute__((vector_size(32)));

#if defined(__clang__)
#define SHUFFLE(type, x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
#define SHUFFLE(type, x, y, ...) __builtin_shuffle(x, y, (type){__VA_ARGS__})
#endif

/* Three rounds of exchanges: elements, pairs, halves. */
static inline __attribute__((always_inline)) void patch_4(char *to, ptrdiff_t to_line,
                                                          const char *from, ptrdiff_t from_line) {
  words a[8], b[8];
  for (int i = 0; i < 8; i++) memcpy(&a[i], from + i * from_line, sizeof a[i]);
  for (int i = 0; i < 8; i += 2) {
    b[i] = SHUFFLE(words, a[i], a[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    b[i + 1] = SHUFFLE(words, a[i], a[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      a[i + 2 * j] = SHUFFLE(words, b[i + j], b[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      a[i + 2 * j + 1] = SHUFFLE(words, b[i + j], b[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; i++) {
    b[i] = SHUFFLE(words, a[i], a[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    b[i + 4] = SHUFFLE(words, a[i], a[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int i = 0; i < 8; i++) memcpy(to + i * to_line, &b[i], sizeof b[i]);
}

static inline __attribute__((always_inline)) void patch_8(char *to, ptrdiff_t to_line,
                                                          const char *from, ptrdiff_t from_line) {
  doubles a[4], b[4];
  for (int i = 0; i < 4; i++) memcpy(&a[i], from + i * from_line, sizeof a[i]);
  for (int i = 0; i < 4; i += 2) {
    b[i] = SHUFFLE(doubles, a[i], a[i + 1], 0, 4, 2, 6);
    b[i + 1] = SHUFFLE(doubles, a[i], a[i + 1], 1, 5, 3, 7);
  }
  for (int i = 0; i < 2; i++) {
    a[i] = SHUFFLE(doubles, b[i], b[i + 2], 0, 1, 4, 5);
    a[i + 2] = SHUFFLE(doubles, b[i], b[i + 2], 2, 3, 6, 7);
  }
  for (int i = 0; i < 4; i++) memcpy(to + i * to_line, &a[i], sizeof a[i]);
}

/* A group of columns is a cache line of the target, written whole before the next. */
#define DEFINE(bytes, type, side)                                                                 \
  static void edge_##bytes(char *to, ptrdiff_t to_line, const char *from, ptrdiff_t from_line,    \
                           size_t rows, size_t columns) {                                         \
    for (size_t c = 0; c < columns; c++)                                                          \
      for (size_t r = 0; r < rows; r++)                                                           \
        memcpy(to + (ptrdiff_t)r * to_line + (ptrdiff_t)(c * (bytes)),                            \
               from + (ptrdiff_t)c * from_line + (ptrdiff_t)(r * (bytes)), bytes);                \
  }                                                                                               \
  JM_CLONES void jm_transpose_##bytes(void *to_data, ptrdiff_t to_line, const void *from_data,    \
                                      ptrdiff_t from_line, size_t rows, size_t columns) {         \
    enum { GROUP = 64 / (bytes) };                                                                \
    char *to = to_data;                                                                           \
    const char *from = from_data;                                                                 \
    size_t whole_rows = rows / (side) * (side), whole = columns / (side) * (side);                \
    for (size_t c0 = 0; c0 < whole; c0 += GROUP) {                                                \
      size_t c1 = whole - c0 < GROUP ? whole : c0 + GROUP;                                        \
      for (size_t r = 0; r < whole_rows; r += (side))                                             \
        for (size_t c = c0; c < c1; c += (side))                                                  \
          patch_##bytes(to + (ptrdiff_t)r * to_line + (ptrdiff_t)(c * (bytes)), to_line,          \
                        from + (ptrdiff_t)c * from_line + (ptrdiff_t)(r * (bytes)), from_line);   \
    }                                                                                             \
    edge_##bytes(to + (ptrdiff_t)(whole * (bytes)), to_line, from + (ptrdiff_t)whole * from_line, \
                 from_line, rows, columns - whole);                                               \
    edge_##bytes(to + (ptrdiff_t)whole_rows * to_line, to_line,                                   \
                 from + (ptrdiff_t)(whole_rows * (bytes)), from_line, rows - whole_rows, whole);  \
  }
DEFINE(4, uint32_t, 8)
DEFINE(8, uint64_t, 4)
