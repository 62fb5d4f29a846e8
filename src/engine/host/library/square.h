/* SPDX-License-Identifier: Apache-2.0
 * Squares of 4- or 8-byte elements in vector registers, and their transposition: for the inner
 * loops of transpose.c and scan_rows.c. */
#ifndef JM_LIBRARY_SQUARE_H
#define JM_LIBRARY_SQUARE_H

#include <stdint.h>

/* A vector is a cache line: squares are read and written in whole lines, because lines that lie a
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
/* Transposes line_<bytes> a[64 / bytes]. */
#define ROUNDS_4 ROUND(4, 8) ROUND(4, 4) ROUND(4, 2) ROUND(4, 1)
#define ROUNDS_8 ROUND(8, 4) ROUND(8, 2) ROUND(8, 1)

#endif
