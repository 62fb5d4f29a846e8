/* SPDX-License-Identifier: Apache-2.0
 * Rows are folded into PARTS independent accumulators, which is what lets compilers use vectors,
 * and sums and products of long rows pairwise, which keeps the error small. The order depends on
 * the length alone. */
#include "engine/host/library/reduce.h"

#include <math.h>

#include "base/loop.h"

enum { PARTS = 16, MAX_PARTS = 32, PAIRWISE = 512 };

/* -0 is the sum's neutral element: -0 + x is x even for x = -0. */
#define ROW(name, type, op, neutral)                                            \
  JM_CLONES static type name##_block(const type *x, size_t n) {                 \
    type parts[PARTS];                                                          \
    size_t i = 0;                                                               \
    for (size_t j = 0; j < PARTS; j++) parts[j] = neutral;                      \
    for (; i + PARTS <= n; i += PARTS)                                          \
      for (size_t j = 0; j < PARTS; j++) parts[j] = parts[j] op x[i + j];       \
    for (size_t j = 0; i + j < n; j++) parts[j] = parts[j] op x[i + j];         \
    for (size_t half = PARTS / 2; half; half /= 2)                              \
      for (size_t j = 0; j < half; j++) parts[j] = parts[j] op parts[half + j]; \
    return parts[0];                                                            \
  }                                                                             \
  static type name##_pairs(const type *x, size_t n) {                           \
    if (n <= PAIRWISE) return name##_block(x, n);                               \
    size_t half = n / 2 / PARTS * PARTS;                                        \
    return name##_pairs(x, half) op name##_pairs(x + half, n - half);           \
  }                                                                             \
  static void name(const void *x, size_t n, void *out) { *(type *)out = name##_pairs(x, n); }
ROW(add_f32, float, +, -0.0f)
ROW(add_f64, double, +, -0.0)
ROW(multiply_f32, float, *, 1.0f)
ROW(multiply_f64, double, *, 1.0)
#undef ROW

/* A NaN stays once it is selected, because no comparison with it holds. The loop may return a zero
 * of either sign; `wins` is the sign bit of the zero that should win, which is searched for only if
 * the result is 0. */
#define TAKES(x, op, old) (((x)op(old)) | ((x) != (x)))
#define ROW(name, type, op, neutral, wins)                                            \
  JM_CLONES static void name(const void *row, size_t n, void *out) {                  \
    const type *x = row;                                                              \
    type parts[MAX_PARTS];                                                            \
    size_t i = 0;                                                                     \
    for (size_t j = 0; j < MAX_PARTS; j++) parts[j] = neutral;                        \
    for (; i + MAX_PARTS <= n; i += MAX_PARTS)                                        \
      for (size_t j = 0; j < MAX_PARTS; j++)                                          \
        parts[j] = TAKES(x[i + j], op, parts[j]) ? x[i + j] : parts[j];               \
    for (size_t j = 0; i + j < n; j++)                                                \
      parts[j] = TAKES(x[i + j], op, parts[j]) ? x[i + j] : parts[j];                 \
    for (size_t half = MAX_PARTS / 2; half; half /= 2)                                \
      for (size_t j = 0; j < half; j++)                                               \
        parts[j] = TAKES(parts[half + j], op, parts[j]) ? parts[half + j] : parts[j]; \
    type best = parts[0];                                                             \
    for (i = 0; best == 0 && i < n; i++)                                              \
      if (x[i] == 0 && !signbit(x[i]) == !wins) {                                     \
        best = x[i];                                                                  \
        break;                                                                        \
      }                                                                               \
    *(type *)out = best;                                                              \
  }
ROW(maximum_f32, float, >, -INFINITY, 0)
ROW(maximum_f64, double, >, -INFINITY, 0)
ROW(minimum_f32, float, <, INFINITY, 1)
ROW(minimum_f64, double, <, INFINITY, 1)
#undef ROW
#undef TAKES

/* Integers: compilers regroup these by themselves. */
#define ROW(name, type, expression)                                  \
  JM_CLONES static void name(const void *row, size_t n, void *out) { \
    const type *x = row;                                             \
    type a = x[0];                                                   \
    for (size_t i = 1; i < n; i++) {                                 \
      type b = x[i];                                                 \
      a = (type)(expression);                                        \
    }                                                                \
    *(type *)out = a;                                                \
  }
ROW(add_u32, uint32_t, a + b)
ROW(add_u64, uint64_t, a + b)
ROW(maximum_s32, int32_t, a > b ? a : b)
ROW(maximum_s64, int64_t, a > b ? a : b)
ROW(minimum_s32, int32_t, a < b ? a : b)
ROW(minimum_s64, int64_t, a < b ? a : b)
ROW(and_u8, uint8_t, a &b)
ROW(or_u8, uint8_t, a | b)
ROW(and_u32, uint32_t, a &b)
ROW(or_u32, uint32_t, a | b)
#undef ROW

jm_reduce_row *jm_reduce_row_find(jm_opcode code, jm_dtype dtype) {
  static const struct {
    jm_opcode code;
    jm_dtype dtype;
    jm_reduce_row *row;
  } rows[] = {
#define ROW(op, type, row) {JM_OP_##op, JM_DT_##type, op##_##row}
      ROW(add, f32, f32),      ROW(add, f64, f64),     ROW(multiply, f32, f32),
      ROW(multiply, f64, f64), ROW(maximum, f32, f32), ROW(maximum, f64, f64),
      ROW(minimum, f32, f32),  ROW(minimum, f64, f64), ROW(add, s32, u32),
      ROW(add, u32, u32),      ROW(add, s64, u64),     ROW(add, u64, u64),
      ROW(maximum, s32, s32),  ROW(maximum, s64, s64), ROW(minimum, s32, s32),
      ROW(minimum, s64, s64),  ROW(and, pred, u8),     ROW(or, pred, u8),
      ROW(and, s32, u32),      ROW(or, s32, u32),      ROW(and, u32, u32),
      ROW(or, u32, u32),
#undef ROW
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].code == code && rows[i].dtype == dtype) return rows[i].row;
  return NULL;
}
