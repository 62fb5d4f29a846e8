/* SPDX-License-Identifier: Apache-2.0
 * Private to this folder: the ops of real floats as a list, for one element type d. The
 * expressions are over x and y; M_<d>(fn) is the function of <math.h>, V_<d>(fn) one that a loop
 * can vectorise where there is one, BITWISE_<d> an operator on the bits. Types without such macros
 * (the narrow floats) use the names alone. */
#ifndef JM_ELEMENTWISE_KERNEL_FLOAT_H
#define JM_ELEMENTWISE_KERNEL_FLOAT_H

/* clang-format off */
/* maximum, minimum: numbers that are equal have equal bits, except zeros: +0 is the larger one. */
#define JM_FLOAT_OPS(UNARY, PREDICATE, BINARY, d)                                \
  UNARY(d, abs, M_##d(fabs)(x))                                                  \
  UNARY(d, acos, M_##d(acos)(x))                                                 \
  UNARY(d, acosh, M_##d(acosh)(x))                                               \
  UNARY(d, asin, M_##d(asin)(x))                                                 \
  UNARY(d, asinh, M_##d(asinh)(x))                                               \
  UNARY(d, atanh, M_##d(atanh)(x))                                               \
  UNARY(d, cbrt, M_##d(cbrt)(x))                                                 \
  UNARY(d, ceil, M_##d(ceil)(x))                                                 \
  UNARY(d, cosh, M_##d(cosh)(x))                                                 \
  UNARY(d, cosine, M_##d(cos)(x))                                                \
  UNARY(d, erf, V_##d(erf)(x))                                                   \
  UNARY(d, erfc, M_##d(erfc)(x))                                                 \
  UNARY(d, exponential, V_##d(exp)(x))                                           \
  UNARY(d, exponential_minus_one, V_##d(expm1)(x))                               \
  UNARY(d, floor, M_##d(floor)(x))                                               \
  UNARY(d, imag, ((void)x, 0))                                                   \
  UNARY(d, log, V_##d(log)(x))                                                   \
  UNARY(d, log_plus_one, V_##d(log1p)(x))                                        \
  UNARY(d, logistic, V_##d(logistic)(x))                                         \
  UNARY(d, negate, -x)                                                           \
  UNARY(d, real, x)                                                              \
  UNARY(d, round_nearest_afz, M_##d(round)(x))                                   \
  UNARY(d, round_nearest_even, M_##d(rint)(x))                                   \
  UNARY(d, rsqrt, 1 / M_##d(sqrt)(x))                                            \
  UNARY(d, sign, x == 0 || x != x ? x : M_##d(copysign)(1, x))                   \
  UNARY(d, sine, M_##d(sin)(x))                                                  \
  UNARY(d, sinh, M_##d(sinh)(x))                                                 \
  UNARY(d, sqrt, M_##d(sqrt)(x))                                                 \
  UNARY(d, tan, M_##d(tan)(x))                                                   \
  UNARY(d, tanh, V_##d(tanh)(x))                                                 \
  PREDICATE(d, is_finite, x - x == 0)                                            \
  BINARY(d, add, x + y)                                                          \
  BINARY(d, atan2, M_##d(atan2)(x, y))                                           \
  BINARY(d, divide, x / y)                                                       \
  BINARY(d, maximum, x != x ? x : x == y ? BITWISE_##d(x, &, y) : x > y ? x : y) \
  BINARY(d, minimum, x != x ? x : x == y ? BITWISE_##d(x, |, y) : x < y ? x : y) \
  BINARY(d, multiply, x * y)                                                     \
  BINARY(d, power, M_##d(pow)(x, y))                                             \
  BINARY(d, remainder, M_##d(fmod)(x, y))                                        \
  BINARY(d, subtract, x - y)
/* clang-format on */

#endif
