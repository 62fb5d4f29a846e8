/* SPDX-License-Identifier: Apache-2.0
 * Elementwise ops. Where MLX's function means something else than StableHLO's op (reference values
 * in the comments), it is composed of others that agree on all of MLX's backends. */
#include <math.h>
#include <string.h>

#include "engine/mlx/lower_rules.h"

typedef jm_mlx_array *A;

static jm_dtype_class class_of(const jm_lowering *l, uint32_t i) {
  return jm_dtype_classof(jm_lower_dtype(l, i));
}
static bool is_pred(const jm_lowering *l) { return jm_lower_dtype(l, 0) == JM_DT_pred; }
static A arg(jm_lowering *l, uint32_t i) { return jm_lower_array(l, i); }
static void result(jm_lowering *l, A a) { l->out[0] = a; }
static A number(jm_lowering *l, double value) {
  return jm_lower_f64(l, jm_lower_dtype(l, 0), value);
}
static A integer(jm_lowering *l, int64_t value) {
  return jm_lower_i64(l, jm_lower_dtype(l, 0), value);
}
/* "1"000...0: the least value of a signed type of this width */
static int64_t least_of(uint32_t bits) { return INT64_MIN >> (64 - bits); }

static jm_dtype unsigned_of(jm_dtype dtype) {
  switch (jm_dtype_facts[dtype].bits) {
    case 8:
      return JM_DT_u8;
    case 16:
      return JM_DT_u16;
    case 32:
      return JM_DT_u32;
    default:
      return JM_DT_u64;
  }
}
static jm_dtype signed_of(jm_dtype dtype) {
  switch (jm_dtype_facts[dtype].bits) {
    case 8:
      return JM_DT_s8;
    case 16:
      return JM_DT_s16;
    case 32:
      return JM_DT_s32;
    default:
      return JM_DT_s64;
  }
}

/* -- ops that are MLX's own */

#define DIRECT1(op, prim) \
  static void lower_##op(jm_lowering *l) { result(l, jm_mlx_##prim(l, arg(l, 0))); }
#define DIRECT2(op, prim) \
  static void lower_##op(jm_lowering *l) { result(l, jm_mlx_##prim(l, arg(l, 0), arg(l, 1))); }
DIRECT1(abs, abs)
DIRECT1(acos, acos)
DIRECT1(acosh, acosh)
DIRECT1(asin, asin)
DIRECT1(asinh, asinh)
DIRECT1(atanh, atanh)
DIRECT1(ceil, ceil)
DIRECT1(cosh, cosh)
DIRECT1(cosine, cos)
DIRECT1(erf_inv, erfinv)
DIRECT1(exponential, exp)
DIRECT1(exponential_minus_one, expm1)
DIRECT1(floor, floor)
DIRECT1(is_finite, isfinite)
DIRECT1(log, log)
DIRECT1(log_plus_one, log1p)
DIRECT1(negate, negative)
DIRECT1(round_nearest_even, round)
DIRECT1(rsqrt, rsqrt)
DIRECT1(sine, sin)
DIRECT1(sinh, sinh)
DIRECT1(sqrt, sqrt)
DIRECT1(tan, tan)
DIRECT1(tanh, tanh)
DIRECT1(logistic, sigmoid)
DIRECT2(atan2, atan2)
DIRECT2(subtract, subtract)

/* -- ops whose meaning for pred is another's */

#define BY_CLASS(op, for_pred, otherwise)                                             \
  static void lower_##op(jm_lowering *l) {                                            \
    A a = arg(l, 0), b = arg(l, 1);                                                   \
    result(l, is_pred(l) ? jm_mlx_##for_pred(l, a, b) : jm_mlx_##otherwise(l, a, b)); \
  }
BY_CLASS(add, logical_or, add)
BY_CLASS(multiply, logical_and, multiply)
BY_CLASS(maximum, logical_or, maximum)
BY_CLASS(minimum, logical_and, minimum)
BY_CLASS(and, logical_and, bitwise_and)
BY_CLASS(or, logical_or, bitwise_or)
BY_CLASS(xor, not_equal, bitwise_xor)

static void lower_not(jm_lowering *l) {
  result(l, is_pred(l) ? jm_mlx_logical_not(l, arg(l, 0)) : jm_mlx_bitwise_not(l, arg(l, 0)));
}

/* -- integer division (MLX: 0 for x/0, the process dies of INT_MIN / -1) */

/* |a| as unsigned of the same width; INT_MIN gives 2^(w-1) */
static A magnitude(jm_lowering *l, A a, jm_dtype dtype) {
  if (jm_dtype_classof(dtype) == JM_CLASS_UINT) return a;
  A negative = jm_mlx_less(l, a, jm_lower_i64(l, dtype, 0));
  A bits = jm_mlx_view(l, a, unsigned_of(dtype));
  A zero = jm_lower_i64(l, unsigned_of(dtype), 0);
  return jm_mlx_where(l, negative, jm_mlx_subtract(l, zero, bits), bits);
}

/* Quotient truncated towards 0; the divisor is never 0 here. Division of magnitudes: floor and
 * truncation agree there, and INT_MIN / -1 wraps as it must. */
static A quotient(jm_lowering *l, A a, A b, jm_dtype dtype) {
  A q = jm_mlx_floor_divide(l, magnitude(l, a, dtype), magnitude(l, b, dtype));
  if (jm_dtype_classof(dtype) == JM_CLASS_UINT) return q;
  A zero = jm_lower_i64(l, dtype, 0);
  A differ = jm_mlx_not_equal(l, jm_mlx_less(l, a, zero), jm_mlx_less(l, b, zero));
  q = jm_mlx_view(l, q, dtype);
  return jm_mlx_where(l, differ, jm_mlx_subtract(l, zero, q), q);
}

static void lower_divide(jm_lowering *l) {
  A a = arg(l, 0), b = arg(l, 1);
  if (!jm_dtype_is_integer(jm_lower_dtype(l, 0))) {
    result(l, jm_mlx_divide(l, a, b));
    return;
  }
  A by_zero = jm_mlx_equal(l, b, integer(l, 0));
  A q = quotient(l, a, jm_mlx_where(l, by_zero, integer(l, 1), b), jm_lower_dtype(l, 0));
  result(l, jm_mlx_where(l, by_zero, integer(l, -1), q));
}

/* The sign is the dividend's (MLX's remainder takes the divisor's). */
static void lower_remainder(jm_lowering *l) {
  A a = arg(l, 0), b = arg(l, 1);
  if (class_of(l, 0) == JM_CLASS_FLOAT) {
    A r = jm_mlx_remainder(l, jm_mlx_abs(l, a), jm_mlx_abs(l, b));
    A minus = jm_mlx_less(l, a, number(l, 0));
    A whole = jm_mlx_where(l, minus, jm_mlx_negative(l, r), r);
    /* A zero keeps its sign; but 0 % 0 and 0 % NaN are NaN. */
    A plain = jm_mlx_logical_and(l, jm_mlx_equal(l, a, number(l, 0)), jm_mlx_equal(l, r, r));
    result(l, jm_mlx_where(l, plain, a, whole));
    return;
  }
  A by_zero = jm_mlx_equal(l, b, integer(l, 0));
  A q = quotient(l, a, jm_mlx_where(l, by_zero, integer(l, 1), b), jm_lower_dtype(l, 0));
  A r = jm_mlx_subtract(l, a, jm_mlx_multiply(l, q, b));
  result(l, jm_mlx_where(l, by_zero, a, r));
}

/* exp(b log a) is NaN where a is 0 or 1 in most cases: 1^b = a^0 = 1, and 0^b is 0 for exponents of
 * a positive real part. */
static A power_of_complex(jm_lowering *l, A a, A b) {
  A zero = number(l, 0), one = number(l, 1), power = jm_mlx_power(l, a, b);
  A grows = jm_mlx_greater(l, jm_mlx_real(l, b), jm_lower_f64(l, JM_DT_f32, 0));
  A of_zero = jm_mlx_where(l, grows, zero, jm_lower_f64(l, JM_DT_c64, NAN));
  A is_one = jm_mlx_logical_or(l, jm_mlx_equal(l, a, one), jm_mlx_equal(l, b, zero));
  power = jm_mlx_where(l, jm_mlx_equal(l, a, zero), of_zero, power);
  return jm_mlx_where(l, is_one, one, power);
}

/* Integer powers wrap; of negative exponents only those of 1 and -1 are not 0 (MLX: always 0). */
static void lower_power(jm_lowering *l) {
  A a = arg(l, 0), b = arg(l, 1);
  if (class_of(l, 0) == JM_CLASS_COMPLEX) {
    result(l, power_of_complex(l, a, b));
    return;
  }
  if (class_of(l, 0) != JM_CLASS_SINT) {
    result(l, jm_mlx_power(l, a, b));
    return;
  }
  A zero = integer(l, 0), one = integer(l, 1), minus_one = integer(l, -1);
  A is_negative = jm_mlx_less(l, b, zero);
  A usual = jm_mlx_power(l, a, jm_mlx_where(l, is_negative, zero, b));
  A is_odd = jm_mlx_not_equal(l, jm_mlx_bitwise_and(l, b, one), zero);
  A of_minus_one = jm_mlx_where(l, is_odd, minus_one, one);
  A inverse = jm_mlx_where(l, jm_mlx_equal(l, a, one), one,
                           jm_mlx_where(l, jm_mlx_equal(l, a, minus_one), of_minus_one, zero));
  result(l, jm_mlx_where(l, is_negative, inverse, usual));
}

/* -- shifts (the hardware takes the amount modulo the width) */

/* The amount as unsigned, and whether it is less than the width. */
static A amount_of(jm_lowering *l, A *fits) {
  jm_dtype type = unsigned_of(jm_lower_dtype(l, 0));
  A amount = arg(l, 1);
  if (class_of(l, 1) == JM_CLASS_SINT) amount = jm_mlx_view(l, amount, type);
  A width = jm_lower_i64(l, type, jm_dtype_facts[type].bits);
  *fits = jm_mlx_less(l, amount, width);
  return jm_mlx_where(l, *fits, amount, jm_lower_i64(l, type, 0));
}

/* An amount that the program says, less than the width, as `type`; NULL: another. */
static A known_amount(jm_lowering *l, jm_dtype type) {
  uint64_t amount = 0;
  const void *bytes = jm_module_element(l->module, l->op->operands[1]);
  if (!bytes) return NULL;
  memcpy(&amount, bytes, jm_dtype_bytes(type));
  if (amount >= jm_dtype_facts[type].bits) return NULL;
  /* The operand itself has the shape: MLX need not broadcast it. */
  return jm_lower_dtype(l, 1) == type ? arg(l, 1) : jm_lower_i64(l, type, (int64_t)amount);
}

static A shifted_by(jm_lowering *l, A bits, A amount) {
  return l->op->code == JM_OP_shift_left ? jm_mlx_left_shift(l, bits, amount)
                                         : jm_mlx_right_shift(l, bits, amount);
}

/* Both logical shifts, on unsigned values. */
static void lower_logical_shift(jm_lowering *l) {
  jm_dtype dtype = jm_lower_dtype(l, 0), type = unsigned_of(dtype);
  A known = known_amount(l, type);
  if (known) {
    A unsigned_bits = type == dtype ? arg(l, 0) : jm_mlx_view(l, arg(l, 0), type);
    A plain = shifted_by(l, unsigned_bits, known);
    result(l, type == dtype ? plain : jm_mlx_view(l, plain, dtype));
    return;
  }
  A fits, amount = amount_of(l, &fits), bits = arg(l, 0);
  if (type != dtype) bits = jm_mlx_view(l, bits, type);
  A shifted = shifted_by(l, bits, amount);
  shifted = jm_mlx_where(l, fits, shifted, jm_lower_i64(l, type, 0));
  result(l, type == dtype ? shifted : jm_mlx_view(l, shifted, dtype));
}

static void lower_shift_right_arithmetic(jm_lowering *l) {
  jm_dtype dtype = jm_lower_dtype(l, 0), type = signed_of(dtype);
  A known = type == dtype ? known_amount(l, type) : NULL;
  if (known) {
    result(l, jm_mlx_right_shift(l, arg(l, 0), known));
    return;
  }
  A fits, amount = amount_of(l, &fits), bits = arg(l, 0);
  if (type != dtype) bits = jm_mlx_view(l, bits, type);
  A last = jm_lower_i64(l, unsigned_of(dtype), jm_dtype_facts[dtype].bits - 1);
  amount = jm_mlx_view(l, jm_mlx_where(l, fits, amount, last), type);
  A shifted = jm_mlx_right_shift(l, bits, amount);
  result(l, type == dtype ? shifted : jm_mlx_view(l, shifted, dtype));
}

/* -- bits */

static A constant_bits(jm_lowering *l, jm_dtype type, uint64_t pattern) {
  uint32_t bits = jm_dtype_facts[type].bits;
  return jm_lower_i64(l, type, (int64_t)(bits == 64 ? pattern : pattern & ((1ull << bits) - 1)));
}

/* Counts bits in pairs, nibbles, bytes (Warren, Hacker's Delight, 5-1); then adds the bytes. */
static A count_bits(jm_lowering *l, A v, jm_dtype type) {
  uint32_t bits = jm_dtype_facts[type].bits;
  A m1 = constant_bits(l, type, 0x5555555555555555u),
    m2 = constant_bits(l, type, 0x3333333333333333u);
  A m4 = constant_bits(l, type, 0x0f0f0f0f0f0f0f0fu);
  v = jm_mlx_subtract(
      l, v, jm_mlx_bitwise_and(l, jm_mlx_right_shift(l, v, jm_lower_i64(l, type, 1)), m1));
  v = jm_mlx_add(l, jm_mlx_bitwise_and(l, v, m2),
                 jm_mlx_bitwise_and(l, jm_mlx_right_shift(l, v, jm_lower_i64(l, type, 2)), m2));
  v = jm_mlx_bitwise_and(l, jm_mlx_add(l, v, jm_mlx_right_shift(l, v, jm_lower_i64(l, type, 4))),
                         m4);
  for (uint32_t step = 8; step < bits; step *= 2)
    v = jm_mlx_add(l, v, jm_mlx_right_shift(l, v, jm_lower_i64(l, type, step)));
  return jm_mlx_bitwise_and(l, v, jm_lower_i64(l, type, 0x7f));
}

static A as_unsigned(jm_lowering *l) {
  jm_dtype dtype = jm_lower_dtype(l, 0), type = unsigned_of(dtype);
  return type == dtype ? arg(l, 0) : jm_mlx_view(l, arg(l, 0), type);
}

static void lower_popcnt(jm_lowering *l) {
  jm_dtype dtype = jm_lower_dtype(l, 0);
  result(l, jm_mlx_astype(l, count_bits(l, as_unsigned(l), unsigned_of(dtype)), dtype));
}

/* Smears the highest bit downwards; the zeros above it are what is not set then. */
static void lower_count_leading_zeros(jm_lowering *l) {
  jm_dtype dtype = jm_lower_dtype(l, 0), type = unsigned_of(dtype);
  A v = as_unsigned(l);
  for (uint32_t step = 1; step < jm_dtype_facts[dtype].bits; step *= 2)
    v = jm_mlx_bitwise_or(l, v, jm_mlx_right_shift(l, v, jm_lower_i64(l, type, step)));
  result(l, jm_mlx_astype(l, count_bits(l, jm_mlx_bitwise_not(l, v), type), dtype));
}

/* -- floats */

/* MLX: sign(NaN) = 0, sign(-0) = +0. */
static void lower_sign(jm_lowering *l) {
  A a = arg(l, 0);
  if (class_of(l, 0) == JM_CLASS_COMPLEX) {
    A size = jm_mlx_astype(l, jm_mlx_abs(l, a), JM_DT_c64), zero = number(l, 0);
    result(l, jm_mlx_where(l, jm_mlx_equal(l, a, zero), zero, jm_mlx_divide(l, a, size)));
    return;
  }
  A sign = jm_mlx_sign(l, a);
  if (class_of(l, 0) == JM_CLASS_FLOAT) {
    A kept = jm_mlx_logical_or(l, jm_mlx_not_equal(l, a, a), jm_mlx_equal(l, a, number(l, 0)));
    sign = jm_mlx_where(l, kept, a, sign);
  }
  result(l, sign);
}

/* floor(|x| + 0.5) would round 0.49999997 up. */
static void lower_round_nearest_afz(jm_lowering *l) {
  A a = arg(l, 0), size = jm_mlx_abs(l, a), low = jm_mlx_floor(l, size);
  A up = jm_mlx_greater_equal(l, jm_mlx_subtract(l, size, low), number(l, 0.5));
  A rounded = jm_mlx_where(l, up, jm_mlx_add(l, low, number(l, 1)), low);
  rounded = jm_mlx_where(l, jm_mlx_less(l, a, number(l, 0)), jm_mlx_negative(l, rounded), rounded);
  result(l, jm_mlx_where(l, jm_mlx_equal(l, a, number(l, 0)), a, rounded));
}

/* Narrow floats are computed in f32 and rounded once. */
static A widened(jm_lowering *l) {
  return jm_lower_dtype(l, 0) == JM_DT_f32 ? arg(l, 0) : jm_mlx_astype(l, arg(l, 0), JM_DT_f32);
}
static A narrowed(jm_lowering *l, A a) {
  return jm_lower_dtype(l, 0) == JM_DT_f32 ? a : jm_mlx_astype(l, a, jm_lower_dtype(l, 0));
}
static A f32(jm_lowering *l, double value) { return jm_lower_f64(l, JM_DT_f32, value); }

/* |x|^(1/3), then one step of Newton's method; 0, infinity and NaN are their own roots. */
static void lower_cbrt(jm_lowering *l) {
  A a = widened(l), size = jm_mlx_abs(l, a);
  A root = jm_mlx_power(l, size, f32(l, 1.0 / 3));
  A square = jm_mlx_multiply(l, root, root);
  A error = jm_mlx_subtract(l, jm_mlx_multiply(l, square, root), size);
  A better =
      jm_mlx_subtract(l, root, jm_mlx_divide(l, error, jm_mlx_multiply(l, f32(l, 3), square)));
  better = jm_mlx_where(l, jm_mlx_less(l, a, f32(l, 0)), jm_mlx_negative(l, better), better);
  A plain = jm_mlx_logical_and(l, jm_mlx_isfinite(l, a), jm_mlx_not_equal(l, a, f32(l, 0)));
  result(l, narrowed(l, jm_mlx_where(l, plain, better, a)));
}

/* MLX's CPU erf is off by 5.6 % at 1e-6: near 0 its Taylor series (Abramowitz and Stegun 7.1.5),
 * whose next term is below half an ulp of f32 for |x| < 0.5. */
static void lower_erf(jm_lowering *l) {
  static const double series[] = {1.0,       -1.0 / 3,    1.0 / 10,   -1.0 / 42,
                                  1.0 / 216, -1.0 / 1320, 1.0 / 9360, -1.0 / 75600};
  A a = widened(l), square = jm_mlx_multiply(l, a, a), sum = f32(l, series[7]);
  for (int i = 6; i >= 0; i--)
    sum = jm_mlx_add(l, jm_mlx_multiply(l, sum, square), f32(l, series[i]));
  A small = jm_mlx_multiply(l, jm_mlx_multiply(l, a, f32(l, M_2_SQRTPI)), sum);
  A near_zero = jm_mlx_less(l, jm_mlx_abs(l, a), f32(l, 0.5));
  result(l, narrowed(l, jm_mlx_where(l, near_zero, small, jm_mlx_erf(l, a))));
}

/* erfc(x) = exp(-x^2) t P(t) with t = 1 / (1 + 0.4 x), x >= 0: P is the polynomial of degree 10
 * nearest to exp(x^2) erfc(x) / t, within 7e-9. x^2 has more bits than f32: high * high is exact,
 * and the rest is small. Beyond 20 the result is 0; the limit keeps infinity - infinity away. */
static void lower_erfc(jm_lowering *l) {
  static const double p[] = {0.2256758327,  0.2256760808,  0.2076080536,  0.1718023453,
                             0.1186341239,  0.08522815922, -0.0497441417, 0.141435465,
                             -0.2387361983, 0.1419267051,  -0.02950643233};
  enum { LAST = sizeof p / sizeof *p - 1 };
  A a = widened(l), x = jm_mlx_minimum(l, jm_mlx_abs(l, a), f32(l, 20));
  A t = jm_mlx_divide(l, f32(l, 1), jm_mlx_add(l, f32(l, 1), jm_mlx_multiply(l, f32(l, 0.4), x)));
  A sum = f32(l, p[LAST]);
  for (int i = LAST - 1; i >= 0; i--) sum = jm_mlx_add(l, jm_mlx_multiply(l, sum, t), f32(l, p[i]));
  A mask = jm_lower_i64(l, JM_DT_u32, 0xfffff000);
  A high = jm_mlx_view(l, jm_mlx_bitwise_and(l, jm_mlx_view(l, x, JM_DT_u32), mask), JM_DT_f32);
  A rest = jm_mlx_multiply(l, jm_mlx_subtract(l, high, x), jm_mlx_add(l, high, x));
  A square = jm_mlx_negative(l, jm_mlx_multiply(l, high, high));
  A tail = jm_mlx_multiply(l, jm_mlx_exp(l, square), jm_mlx_exp(l, rest));
  tail = jm_mlx_multiply(l, tail, jm_mlx_multiply(l, t, sum));
  A below = jm_mlx_less(l, a, f32(l, 0));
  result(l, narrowed(l, jm_mlx_where(l, below, jm_mlx_subtract(l, f32(l, 2), tail), tail)));
}

static void lower_reduce_precision(jm_lowering *l) {
  const jm_reduce_precision_attrs *attrs = l->op->attrs;
  A a = arg(l, 0);
  if (attrs->mantissa_bits == 7 && jm_lower_dtype(l, 0) == JM_DT_f32)
    a = jm_mlx_astype(l, jm_mlx_astype(l, a, JM_DT_bf16), JM_DT_f32);
  result(l, a);
}
/* To bf16's and to the type's own format; the others round by bits, on the host. */
static bool supports_reduce_precision(const jm_module *m, const jm_op *op) {
  const jm_reduce_precision_attrs *a = op->attrs;
  jm_dtype dtype = jm_op_operand_type(m, op, 0)->dtype;
  if (dtype == JM_DT_f32)
    return a->exponent_bits == 8 && (a->mantissa_bits == 23 || a->mantissa_bits == 7);
  if (dtype == JM_DT_bf16) return a->exponent_bits == 8 && a->mantissa_bits >= 7;
  return a->exponent_bits == 5 && a->mantissa_bits == 10;
}

/* -- complex */

static A pair(jm_lowering *l, A re, A im, const jm_type *type) {
  uint32_t rank = type->rank;
  int32_t *shape = jm_lower_scratch(l, rank + 1);
  if (!shape) return NULL;
  for (uint32_t i = 0; i < rank; i++) shape[i] = (int32_t)type->dims[i];
  shape[rank] = 1;
  A parts[2] = {jm_mlx_reshape(l, re, shape, (int)rank + 1),
                jm_mlx_reshape(l, im, shape, (int)rank + 1)};
  A both = jm_mlx_concatenate(l, parts, 2, (int)rank);
  return jm_mlx_reshape(l, jm_mlx_view(l, both, JM_DT_c64), shape, (int)rank);
}

/* re + 1j * im would make NaN of an infinity. */
static void lower_complex(jm_lowering *l) {
  result(l, pair(l, arg(l, 0), arg(l, 1), jm_lower_result(l, 0)));
}
static void lower_real(jm_lowering *l) {
  A a = arg(l, 0);
  result(l, class_of(l, 0) == JM_CLASS_COMPLEX ? jm_mlx_real(l, a) : a);
}
static void lower_imag(jm_lowering *l) {
  A a = arg(l, 0);
  result(l, class_of(l, 0) == JM_CLASS_COMPLEX ? jm_mlx_imag(l, a) : jm_mlx_subtract(l, a, a));
}

/* -- comparison and choice */

/* (IEEE 754-2019, 5.10) */
A jm_lower_order_key(jm_lowering *l, A a, jm_dtype dtype) {
  if (dtype == JM_DT_pred) return jm_mlx_astype(l, a, JM_DT_u8);
  if (!jm_dtype_is_float(dtype)) return a;
  jm_dtype type = signed_of(dtype);
  A bits = jm_mlx_view(l, a, type);
  A mask = jm_lower_i64(l, type, ~least_of(jm_dtype_facts[dtype].bits));
  A flipped = jm_mlx_bitwise_xor(l, bits, mask);
  return jm_mlx_where(l, jm_mlx_less(l, bits, jm_lower_i64(l, type, 0)), flipped, bits);
}

static void lower_compare(jm_lowering *l) {
  const jm_compare_attrs *attrs = l->op->attrs;
  jm_dtype dtype = jm_lower_dtype(l, 0);
  A a = arg(l, 0), b = arg(l, 1);
  if (attrs->order == JM_ORDER_TOTAL || dtype == JM_DT_pred) {
    a = jm_lower_order_key(l, a, dtype);
    b = jm_lower_order_key(l, b, dtype);
  }
  switch (attrs->direction) {
    case JM_COMPARE_EQ:
      result(l, jm_mlx_equal(l, a, b));
      break;
    case JM_COMPARE_NE:
      result(l, jm_mlx_not_equal(l, a, b));
      break;
    case JM_COMPARE_GE:
      result(l, jm_mlx_greater_equal(l, a, b));
      break;
    case JM_COMPARE_GT:
      result(l, jm_mlx_greater(l, a, b));
      break;
    case JM_COMPARE_LE:
      result(l, jm_mlx_less_equal(l, a, b));
      break;
    case JM_COMPARE_LT:
      result(l, jm_mlx_less(l, a, b));
      break;
  }
}
static bool supports_compare(const jm_module *m, const jm_op *op) {
  const jm_compare_attrs *attrs = op->attrs;
  return !jm_dtype_is_complex(jm_op_operand_type(m, op, 0)->dtype) ||
         attrs->direction == JM_COMPARE_EQ || attrs->direction == JM_COMPARE_NE;
}

static void lower_select(jm_lowering *l) {
  result(l, jm_mlx_where(l, arg(l, 0), arg(l, 1), arg(l, 2)));
}

static void lower_clamp(jm_lowering *l) {
  A low = arg(l, 0), a = arg(l, 1), high = arg(l, 2);
  result(l, jm_mlx_minimum(l, jm_mlx_maximum(l, a, low), high));
}
static bool supports_clamp(const jm_module *m, const jm_op *op) {
  jm_dtype dtype = jm_op_result_type(m, op, 0)->dtype;
  return dtype != JM_DT_pred && !jm_dtype_is_complex(dtype);
}

/* -- conversion */

/* Saturates, NaN gives 0 (MLX: whatever the hardware does). */
static A float_to_integer(jm_lowering *l, A a, jm_dtype to) {
  uint32_t bits = jm_dtype_facts[to].bits;
  bool is_signed = jm_dtype_classof(to) == JM_CLASS_SINT;
  double limit = ldexp(1, (int)bits - is_signed); /* the first value that doesn't fit */
  int64_t least = is_signed ? least_of(bits) : 0;
  int64_t most = is_signed ? ~least : (int64_t)(UINT64_MAX >> (64 - bits));
  A too_large = jm_mlx_greater_equal(l, a, f32(l, limit));
  A too_small = jm_mlx_less_equal(l, a, f32(l, is_signed ? -limit : 0));
  A fits = jm_mlx_logical_not(l, jm_mlx_logical_or(l, too_large, too_small));
  fits = jm_mlx_logical_and(l, fits, jm_mlx_equal(l, a, a));
  A whole = jm_mlx_astype(l, jm_mlx_where(l, fits, a, f32(l, 0)), to);
  whole = jm_mlx_where(l, too_large, jm_lower_i64(l, to, most), whole);
  return jm_mlx_where(l, too_small, jm_lower_i64(l, to, least), whole);
}

static void lower_convert(jm_lowering *l) {
  jm_dtype from = jm_lower_dtype(l, 0), to = jm_lower_result(l, 0)->dtype;
  A a = arg(l, 0);
  if (jm_dtype_is_complex(from) && !jm_dtype_is_complex(to)) {
    a = jm_mlx_real(l, a);
    from = JM_DT_f32;
  }
  if (to == JM_DT_pred) {
    a = jm_mlx_not_equal(l, a, jm_lower_i64(l, from, 0));
  } else if (jm_dtype_is_float(from) && jm_dtype_is_integer(to)) {
    if (from != JM_DT_f32) a = jm_mlx_astype(l, a, JM_DT_f32);
    a = float_to_integer(l, a, to);
  } else if (from != to) {
    a = jm_mlx_astype(l, a, to);
  }
  result(l, a);
}

static bool only_real(const jm_module *m, const jm_op *op) {
  return !jm_dtype_is_complex(jm_op_operand_type(m, op, 0)->dtype);
}

const jm_lower_rule jm_lower_elementwise_rules[] = {
    {JM_OP_abs, lower_abs, NULL},
    {JM_OP_acos, lower_acos, NULL},
    {JM_OP_acosh, lower_acosh, NULL},
    {JM_OP_add, lower_add, NULL},
    {JM_OP_and, lower_and, NULL},
    {JM_OP_asin, lower_asin, NULL},
    {JM_OP_asinh, lower_asinh, NULL},
    {JM_OP_atan2, lower_atan2, only_real},
    {JM_OP_atanh, lower_atanh, NULL},
    {JM_OP_cbrt, lower_cbrt, NULL},
    {JM_OP_ceil, lower_ceil, NULL},
    {JM_OP_clamp, lower_clamp, supports_clamp},
    {JM_OP_compare, lower_compare, supports_compare},
    {JM_OP_complex, lower_complex, NULL},
    {JM_OP_convert, lower_convert, NULL},
    {JM_OP_cosh, lower_cosh, NULL},
    {JM_OP_cosine, lower_cosine, NULL},
    {JM_OP_count_leading_zeros, lower_count_leading_zeros, NULL},
    {JM_OP_divide, lower_divide, NULL},
    {JM_OP_erf, lower_erf, NULL},
    {JM_OP_erf_inv, lower_erf_inv, NULL},
    {JM_OP_erfc, lower_erfc, NULL},
    {JM_OP_exponential, lower_exponential, NULL},
    {JM_OP_exponential_minus_one, lower_exponential_minus_one, only_real},
    {JM_OP_floor, lower_floor, NULL},
    {JM_OP_imag, lower_imag, NULL},
    {JM_OP_is_finite, lower_is_finite, NULL},
    {JM_OP_log, lower_log, NULL},
    {JM_OP_log_plus_one, lower_log_plus_one, only_real},
    {JM_OP_logistic, lower_logistic, only_real},
    {JM_OP_maximum, lower_maximum, only_real},
    {JM_OP_minimum, lower_minimum, only_real},
    {JM_OP_multiply, lower_multiply, NULL},
    {JM_OP_negate, lower_negate, NULL},
    {JM_OP_not, lower_not, NULL},
    {JM_OP_or, lower_or, NULL},
    {JM_OP_popcnt, lower_popcnt, NULL},
    {JM_OP_power, lower_power, NULL},
    {JM_OP_real, lower_real, NULL},
    {JM_OP_reduce_precision, lower_reduce_precision, supports_reduce_precision},
    {JM_OP_remainder, lower_remainder, NULL},
    {JM_OP_round_nearest_afz, lower_round_nearest_afz, NULL},
    {JM_OP_round_nearest_even, lower_round_nearest_even, NULL},
    {JM_OP_rsqrt, lower_rsqrt, only_real},
    {JM_OP_select, lower_select, NULL},
    {JM_OP_shift_left, lower_logical_shift, NULL},
    {JM_OP_shift_right_arithmetic, lower_shift_right_arithmetic, NULL},
    {JM_OP_shift_right_logical, lower_logical_shift, NULL},
    {JM_OP_sign, lower_sign, NULL},
    {JM_OP_sine, lower_sine, NULL},
    {JM_OP_sinh, lower_sinh, NULL},
    {JM_OP_sqrt, lower_sqrt, NULL},
    {JM_OP_subtract, lower_subtract, NULL},
    {JM_OP_tan, lower_tan, NULL},
    {JM_OP_tanh, lower_tanh, NULL},
    {JM_OP_xor, lower_xor, NULL},
    {JM_N_OPS, NULL, NULL},
};
