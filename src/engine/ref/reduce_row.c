/* SPDX-License-Identifier: Apache-2.0
 * Rows are folded into PARTS independent accumulators, which is what lets compilers use vectors, and
 * sums and products of long rows pairwise, which keeps the error small. The order depends on the
 * length alone. */
#include "engine/ref/reduce.h"

#include <math.h>

enum { PARTS = 16, PAIRWISE = 512 };

/* -0 is the sum's neutral element: -0 + x is x even for x = -0. */
#define ROW(name, type, op, neutral)                                         \
  static type name##_block(const type *x, size_t n) {                        \
    type parts[PARTS];                                                       \
    size_t i = 0;                                                            \
    for (size_t j = 0; j < PARTS; j++) parts[j] = neutral;                   \
    for (; i + PARTS <= n; i += PARTS)                                       \
      for (size_t j = 0; j < PARTS; j++) parts[j] = parts[j] op x[i + j];    \
    for (size_t j = 0; i + j < n; j++) parts[j] = parts[j] op x[i + j];      \
    for (size_t half = PARTS / 2; half; half /= 2)                           \
      for (size_t j = 0; j < half; j++) parts[j] = parts[j] op parts[half + j]; \
    return parts[0];                                                         \
  }                                                                          \
  static type name##_pairs(const type *x, size_t n) {                        \
    if (n <= PAIRWISE) return name##_block(x, n);                            \
    size_t half = n / 2 / PARTS * PARTS;                                     \
    return name##_pairs(x, half) op name##_pairs(x + half, n - half);        \
  }                                                                          \
  static void name(const void *x, size_t n, void *out) {                     \
    *(type *)out = name##_pairs(x, n);                                       \
  }
ROW(add_f32, float, +, -0.0f)
ROW(add_f64, double, +, -0.0)
ROW(multiply_f32, float, *, 1.0f)
ROW(multiply_f64, double, *, 1.0)
#undef ROW

/* A NaN once taken stays, as no comparison with it holds. Of zeros of both signs the loop takes any;
 * `wins` is the sign bit of the zero that should win, which is looked for only if the result is 0. */
#define ROW(name, type, op, neutral, wins)                                                  \
  static void name(const void *row, size_t n, void *out) {                                  \
    const type *x = row;                                                                    \
    type parts[PARTS];                                                                      \
    size_t i = 0;                                                                           \
    for (size_t j = 0; j < PARTS; j++) parts[j] = neutral;                                  \
    for (; i + PARTS <= n; i += PARTS)                                                      \
      for (size_t j = 0; j < PARTS; j++)                                                    \
        parts[j] = (x[i + j] op parts[j]) | (x[i + j] != x[i + j]) ? x[i + j] : parts[j];   \
    for (size_t j = 0; i + j < n; j++)                                                      \
      parts[j] = (x[i + j] op parts[j]) | (x[i + j] != x[i + j]) ? x[i + j] : parts[j];     \
    type best = parts[0];                                                                   \
    for (size_t j = 1; j < PARTS; j++)                                                      \
      best = (parts[j] op best) | (parts[j] != parts[j]) ? parts[j] : best;                 \
    for (i = 0; best == 0 && i < n; i++)                                                    \
      if (x[i] == 0 && !signbit(x[i]) == !wins) {                                           \
        best = x[i];                                                                        \
        break;                                                                              \
      }                                                                                     \
    *(type *)out = best;                                                                    \
  }
ROW(maximum_f32, float, >, -INFINITY, 0)
ROW(maximum_f64, double, >, -INFINITY, 0)
ROW(minimum_f32, float, <, INFINITY, 1)
ROW(minimum_f64, double, <, INFINITY, 1)
#undef ROW

jm_reduce_row *jm_reduce_row_find(jm_opcode code, jm_dtype dtype) {
  static const struct {
    jm_opcode code;
    jm_dtype dtype;
    jm_reduce_row *row;
  } rows[] = {
#define ROW(op, type) {JM_OP_##op, JM_DT_##type, op##_##type}
      ROW(add, f32),     ROW(add, f64),     ROW(multiply, f32), ROW(multiply, f64),
      ROW(maximum, f32), ROW(maximum, f64), ROW(minimum, f32),  ROW(minimum, f64),
#undef ROW
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].code == code && rows[i].dtype == dtype) return rows[i].row;
  return NULL;
}
