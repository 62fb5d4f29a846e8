/* SPDX-License-Identifier: Apache-2.0
 * Ops of real floats, on f32 or f64. Narrower floats are rounded afterwards by jm_element_run. What
 * IEEE 754 defines is exact; functions are those of math_*.c. */
#include "kernel/emit/element.h"

#define SCOPE                              \
  const jm_ktype t = jm_kbuild_type(b, x); \
  (void)t, (void)y

#define UNARY(name, code)                                     \
  static jm_kval name(jm_kbuilder *b, jm_kval x, jm_kval y) { \
    (void)y;                                                  \
    return jm_kbuild1(b, JM_K_##code, x);                     \
  }
#define BINARY(name, code)                                    \
  static jm_kval name(jm_kbuilder *b, jm_kval x, jm_kval y) { \
    return jm_kbuild2(b, JM_K_##code, x, y);                  \
  }
UNARY(absolute, fabs)
UNARY(negate, fneg)
UNARY(round_down, ffloor)
UNARY(round_up, fceil)
UNARY(round_even, frint)
UNARY(square_root, fsqrt)
BINARY(add, fadd)
BINARY(subtract, fsub)
BINARY(multiply, fmul)
BINARY(divide, fdiv)

static jm_kval itself(jm_kbuilder *b, jm_kval x, jm_kval y) {
  (void)b, (void)y;
  return x;
}

static jm_kval zero(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  return F(0);
}

/* x - trunc x is exact, so halves are seen as such; the sign is kept for -0.3 and -0. */
static jm_kval round_away(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  jm_kval whole = jm_kbuild1(b, JM_K_ftrunc, x), rest = FABS(FSUB(x, whole));
  return SELECT(FOLE(F(0.5), rest), FADD(whole, COPYSIGN(F(1), x)), whole);
}

static jm_kval reciprocal_root(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  return FDIV(F(1), FSQRT(x));
}

/* Zeros and NaN are kept. */
static jm_kval sign(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  return SELECT(FOLT(F(0), FABS(x)), COPYSIGN(F(1), x), x);
}

static jm_kval is_finite(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  return FOLT(FABS(x), F(__builtin_inf()));
}

/* One comparison with y, or with what stands for it: for NaN the end of the order, so that y wins;
 * for the zero that must lose against the other zero, the number next to it. A NaN of x comes out,
 * as every comparison is false. In reductions x is the accumulator: all but the comparison and the
 * choice is ready before it. */
static jm_kval extreme(jm_kbuilder *b, jm_kval x, jm_kval y, bool larger) {
  const jm_ktype t = jm_kbuild_type(b, x), it = t == JM_KT_f64 ? JM_KT_i64 : JM_KT_i32;
  const int64_t sign = INT64_MIN >> (64 - (int)jm_ktype_bits[it]);
  uint64_t bits;
  if (jm_kbuild_is_const(b, x, &bits)) {
    jm_kval z = x;
    x = y;
    y = z;
  }
  jm_kval loser = I(larger ? sign : 0), beside = FROM_BITS(I(larger ? sign + 1 : 1));
  jm_kval key = SELECT(IEQ(BITS(y), loser), beside, y);
  key = SELECT(FUNO(y, y), F(larger ? __builtin_inf() : -__builtin_inf()), key);
  return SELECT(larger ? FOLE(x, key) : FOLE(key, x), y, x);
}

static jm_kval maximum(jm_kbuilder *b, jm_kval x, jm_kval y) { return extreme(b, x, y, true); }
static jm_kval minimum(jm_kbuilder *b, jm_kval x, jm_kval y) { return extreme(b, x, y, false); }

static jm_kval rest(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_kval args[2] = {x, y};
  return jm_kbuild_call(b, JM_KCALL_fmod, args);
}

const jm_float_row jm_element_float[JM_N_OPS] = {
    [JM_OP_abs] = {absolute, 1, 2, true},
    [JM_OP_acos] = {jm_math_acos, 70, 70, false},
    [JM_OP_acosh] = {jm_math_acosh, 120, 120, false},
    [JM_OP_asin] = {jm_math_asin, 70, 70, false},
    [JM_OP_asinh] = {jm_math_asinh, 120, 120, false},
    [JM_OP_atanh] = {jm_math_atanh, 90, 90, false},
    [JM_OP_cbrt] = {jm_math_cbrt, 90, 90, false},
    [JM_OP_ceil] = {round_up, 1, 2, true},
    [JM_OP_cosh] = {jm_math_cosh, 60, 60, false},
    [JM_OP_cosine] = {jm_math_cos, 100, 900, false},
    [JM_OP_erf] = {jm_math_erf, 50, 200, false},
    [JM_OP_erfc] = {jm_math_erfc, 60, 150, false},
    [JM_OP_erf_inv] = {jm_math_erf_inv, 75, 150, false},
    [JM_OP_exponential] = {jm_math_exp, 20, 55, false},
    [JM_OP_exponential_minus_one] = {jm_math_expm1, 20, 55, false},
    [JM_OP_floor] = {round_down, 1, 2, true},
    [JM_OP_imag] = {zero, 0, 0, true},
    [JM_OP_log] = {jm_math_log, 28, 75, false},
    [JM_OP_log_plus_one] = {jm_math_log1p, 32, 80, false},
    [JM_OP_logistic] = {jm_math_logistic, 25, 70, false},
    [JM_OP_negate] = {negate, 1, 2, true},
    [JM_OP_real] = {itself, 0, 0, true},
    [JM_OP_round_nearest_afz] = {round_away, 6, 12, true},
    [JM_OP_round_nearest_even] = {round_even, 1, 2, true},
    [JM_OP_rsqrt] = {reciprocal_root, 12, 24, false},
    [JM_OP_sign] = {sign, 4, 8, true},
    [JM_OP_sine] = {jm_math_sin, 100, 900, false},
    [JM_OP_sinh] = {jm_math_sinh, 70, 70, false},
    [JM_OP_sqrt] = {square_root, 6, 12, false},
    [JM_OP_tan] = {jm_math_tan, 105, 1200, false},
    [JM_OP_tanh] = {jm_math_tanh, 28, 95, false},
    [JM_OP_is_finite] = {is_finite, 2, 4, true},
    [JM_OP_add] = {add, 1, 2, false},
    [JM_OP_atan2] = {jm_math_atan2, 120, 120, false},
    [JM_OP_complex] = {add, 0, 0, true}, /* built by jm_element_run */
    [JM_OP_divide] = {divide, 5, 10, false},
    [JM_OP_maximum] = {maximum, 4, 8, true},
    [JM_OP_minimum] = {minimum, 4, 8, true},
    [JM_OP_multiply] = {multiply, 1, 2, false},
    [JM_OP_power] = {jm_math_pow, 200, 700, false},
    [JM_OP_remainder] = {rest, 600, 600, false},
    [JM_OP_subtract] = {subtract, 1, 2, false},
};
