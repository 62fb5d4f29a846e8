/* SPDX-License-Identifier: Apache-2.0
 * Kernels of integers and pred. Everything wraps: sums and products are computed in an unsigned
 * type at least as wide (two uint16_t would multiply as int, and overflow). */
#include "base/number.h"
#include "engine/elementwise/kernel.h"

/* The low bits of a value, read as signed (S) or unsigned (U). */
#define S2(v) jm_s2_wrap((int32_t)(v))
#define S4(v) jm_s4_wrap((int32_t)(v))
#define S8(v) ((int8_t)(v))
#define S16(v) ((int16_t)(v))
#define S32(v) ((int32_t)(v))
#define S64(v) ((int64_t)(v))
#define U2(v) jm_u2_wrap((uint32_t)(v))
#define U4(v) jm_u4_wrap((uint32_t)(v))
#define U8(v) ((uint8_t)(v))
#define U16(v) ((uint16_t)(v))
#define U32(v) ((uint32_t)(v))
#define U64(v) ((uint64_t)(v))

static uint64_t power_u(uint64_t base, uint64_t exponent) {
  uint64_t result = 1;
  for (; exponent; exponent >>= 1, base *= base)
    if (exponent & 1) result *= base;
  return result;
}

/* Rounded towards zero: an exponent below 0 gives 0 unless the base is 1 or -1. */
static uint64_t power_s(int64_t base, int64_t exponent) {
  if (exponent >= 0) return power_u((uint64_t)base, (uint64_t)exponent);
  if (base == 1) return 1;
  if (base == -1) return exponent & 1 ? UINT64_MAX : 1;
  return 0;
}

#define NEGATIVE_s(v) ((v) < 0)
#define NEGATIVE_u(v) 0

/* The ops of one type: d its name, T its storage, V its reading of bits (S4, ...), S and U the
 * signed and the unsigned reading of the same width, W the type of the arithmetic, k is s or u. */
#define OPS(UNARY, BINARY, d, T, V, S, U, W, bits, k)                                             \
  UNARY(d, T, V, abs, NEGATIVE_##k(x) ? 0 - (W)x : (W)x)                                          \
  UNARY(d, T, V, count_leading_zeros, U(x) ? __builtin_clzll(U(x)) - (64 - bits) : bits)          \
  UNARY(d, T, V, negate, 0 - (W)x)                                                                \
  UNARY(d, T, V, not, ~(W)x)                                                                      \
  UNARY(d, T, V, popcnt, __builtin_popcountll(U(x)))                                              \
  UNARY(d, T, V, sign, NEGATIVE_##k(x) ? -1 : x != 0)                                             \
  BINARY(d, T, V, add, (W)x + (W)y)                                                               \
  BINARY(d, T, V, and, x &y)                                                                      \
  BINARY(d, T, V, divide, y == 0 ? ~(W)0 : NEGATIVE_##k(y) && S(y) == -1 ? 0 - (W)x : (W)(x / y)) \
  BINARY(d, T, V, maximum, x > y ? x : y)                                                         \
  BINARY(d, T, V, minimum, x < y ? x : y)                                                         \
  BINARY(d, T, V, multiply, (W)x *(W)y)                                                           \
  BINARY(d, T, V, or, x | y)                                                                      \
  BINARY(d, T, V, power, power_##k(x, y))                                                         \
  BINARY(d, T, V, remainder, y == 0 ? x : NEGATIVE_##k(y) && S(y) == -1 ? 0 : x % y)              \
  BINARY(d, T, V, shift_left, U(y) < bits ? (W)x << U(y) : 0)                                     \
  BINARY(d, T, V, shift_right_arithmetic, S(x) >> (U(y) < bits ? U(y) : bits - 1))                \
  BINARY(d, T, V, shift_right_logical, U(y) < bits ? U(x) >> U(y) : 0)                            \
  BINARY(d, T, V, subtract, (W)x - (W)y)                                                          \
  BINARY(d, T, V, xor, x ^ y)

#define DEFINE_UNARY(d, T, V, op, expression) JM_UNARY(op##_##d, T, T, V, V(expression))
#define DEFINE_BINARY(d, T, V, op, expression) JM_BINARY(op##_##d, T, T, V, V(expression))
#define ROW(d, T, V, op, expression) [JM_OP_##op] = op##_##d,

#define INTEGER(d, T, V, S, U, W, bits, k)                              \
  OPS(DEFINE_UNARY, DEFINE_BINARY, d, T, V, S, U, W, bits, k)           \
  jm_elementwise_kernel *const jm_elementwise_kernels_##d[JM_N_OPS] = { \
      OPS(ROW, ROW, d, T, V, S, U, W, bits, k)};

INTEGER(s2, int8_t, S2, S2, U2, uint32_t, 2, s)
INTEGER(s4, int8_t, S4, S4, U4, uint32_t, 4, s)
INTEGER(s8, int8_t, S8, S8, U8, uint32_t, 8, s)
INTEGER(s16, int16_t, S16, S16, U16, uint32_t, 16, s)
INTEGER(s32, int32_t, S32, S32, U32, uint32_t, 32, s)
INTEGER(s64, int64_t, S64, S64, U64, uint64_t, 64, s)
INTEGER(u2, uint8_t, U2, S2, U2, uint32_t, 2, u)
INTEGER(u4, uint8_t, U4, S4, U4, uint32_t, 4, u)
INTEGER(u8, uint8_t, U8, S8, U8, uint32_t, 8, u)
INTEGER(u16, uint16_t, U16, S16, U16, uint32_t, 16, u)
INTEGER(u32, uint32_t, U32, S32, U32, uint32_t, 32, u)
INTEGER(u64, uint64_t, U64, S64, U64, uint64_t, 64, u)

/* pred: any byte but 0 is true */
#define TRUTH(v) ((v) != 0)
JM_UNARY(not_pred, uint8_t, uint8_t, TRUTH, !x)
JM_BINARY(and_pred, uint8_t, uint8_t, TRUTH, x &y)
JM_BINARY(or_pred, uint8_t, uint8_t, TRUTH, x | y)
JM_BINARY(xor_pred, uint8_t, uint8_t, TRUTH, x ^ y)

jm_elementwise_kernel *const jm_elementwise_kernels_pred[JM_N_OPS] = {
    [JM_OP_not] = not_pred,    [JM_OP_and] = and_pred,     [JM_OP_or] = or_pred,
    [JM_OP_xor] = xor_pred,    [JM_OP_add] = or_pred,      [JM_OP_multiply] = and_pred,
    [JM_OP_maximum] = or_pred, [JM_OP_minimum] = and_pred,
};
