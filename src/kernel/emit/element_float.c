/* SPDX-License-Identifier: Apache-2.0
 * Ops of real floats, on f32 or f64. Narrower floats are rounded afterwards by jm_element_run.
 * Operations of IEEE 754 are correctly rounded; functions are those of math_*.c. */
#include "kernel/emit/element.h"

static jm_kval itself(jm_kbuilder *b, jm_kval x) {
  (void)b;
  return x;
}

static jm_kval zero(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  return jm_k_float(b, t, 0);
}

/* x - trunc x is exact, so halves are seen as such; the sign is kept for -0.3 and -0. */
static jm_kval round_away(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  jm_kval whole = jm_k_ftrunc(b, x), rest = jm_k_fabs(b, jm_k_fsub(b, x, whole));
  return jm_k_select(b, jm_k_fole(b, jm_k_float(b, t, 0.5), rest),
                     jm_k_fadd(b, whole, jm_k_fcopysign(b, jm_k_float(b, t, 1), x)), whole);
}

static jm_kval reciprocal_root(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  return jm_k_fdiv(b, jm_k_float(b, t, 1), jm_k_fsqrt(b, x));
}

/* Zeros and NaN are kept. */
static jm_kval sign(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  return jm_k_select(b, jm_k_folt(b, jm_k_float(b, t, 0), jm_k_fabs(b, x)),
                     jm_k_fcopysign(b, jm_k_float(b, t, 1), x), x);
}

static jm_kval is_finite(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  return jm_k_folt(b, jm_k_fabs(b, x), jm_k_float(b, t, __builtin_inf()));
}

/* One comparison with y or a substitute for it: for NaN the end of the order, so that y wins; for
 * the zero that must lose against the other zero, the number next to it. A NaN in x is returned,
 * because every comparison with it is false. In reductions x is the accumulator: only the
 * comparison and the select depend on it. */
static jm_kval extreme(jm_kbuilder *b, jm_kval x, jm_kval y, bool larger) {
  const jm_ktype t = jm_kbuild_type(b, x), it = t == JM_KT_f64 ? JM_KT_i64 : JM_KT_i32;
  const int64_t sign = INT64_MIN >> (64 - (int)jm_ktype_bits[it]);
  uint64_t bits;
  if (jm_kbuild_is_const(b, x, &bits)) {
    jm_kval z = x;
    x = y;
    y = z;
  }
  jm_kval loser = jm_k_int(b, it, larger ? sign : 0),
          beside = jm_k_from_bits(b, jm_k_int(b, it, larger ? sign + 1 : 1));
  jm_kval key = jm_k_select(b, jm_k_ieq(b, jm_k_bits(b, y), loser), beside, y);
  key = jm_k_select(b, jm_k_funo(b, y, y),
                    jm_k_float(b, t, larger ? __builtin_inf() : -__builtin_inf()), key);
  return jm_k_select(b, larger ? jm_k_fole(b, x, key) : jm_k_fole(b, key, x), y, x);
}

static jm_kval maximum(jm_kbuilder *b, jm_kval x, jm_kval y) { return extreme(b, x, y, true); }
static jm_kval minimum(jm_kbuilder *b, jm_kval x, jm_kval y) { return extreme(b, x, y, false); }

static jm_kval rest(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_kval args[2] = {x, y};
  return jm_kbuild_call(b, JM_KCALL_fmod, args);
}

const jm_float_row jm_element_float[JM_N_OPS] = {
    [JM_OP_abs] = {.unary = jm_k_fabs, .flops = 1, .flops_f64 = 2, .exact = true},
    [JM_OP_acos] = {.unary = jm_math_acos, .flops = 70, .flops_f64 = 70},
    [JM_OP_acosh] = {.unary = jm_math_acosh, .flops = 120, .flops_f64 = 120},
    [JM_OP_asin] = {.unary = jm_math_asin, .flops = 70, .flops_f64 = 70},
    [JM_OP_asinh] = {.unary = jm_math_asinh, .flops = 120, .flops_f64 = 120},
    [JM_OP_atanh] = {.unary = jm_math_atanh, .flops = 90, .flops_f64 = 90},
    [JM_OP_cbrt] = {.unary = jm_math_cbrt, .flops = 90, .flops_f64 = 90},
    [JM_OP_ceil] = {.unary = jm_k_fceil, .flops = 1, .flops_f64 = 2, .exact = true},
    [JM_OP_cosh] = {.unary = jm_math_cosh, .flops = 60, .flops_f64 = 60},
    [JM_OP_cosine] = {.unary = jm_math_cos, .flops = 100, .flops_f64 = 900},
    [JM_OP_erf] = {.unary = jm_math_erf, .flops = 50, .flops_f64 = 200},
    [JM_OP_erfc] = {.unary = jm_math_erfc, .flops = 60, .flops_f64 = 150},
    [JM_OP_erf_inv] = {.unary = jm_math_erf_inv, .flops = 75, .flops_f64 = 150},
    [JM_OP_exponential] = {.unary = jm_math_exp, .flops = 20, .flops_f64 = 55},
    [JM_OP_exponential_minus_one] = {.unary = jm_math_expm1, .flops = 20, .flops_f64 = 55},
    [JM_OP_floor] = {.unary = jm_k_ffloor, .flops = 1, .flops_f64 = 2, .exact = true},
    [JM_OP_imag] = {.unary = zero, .flops = 0, .flops_f64 = 0, .exact = true},
    [JM_OP_log] = {.unary = jm_math_log, .flops = 28, .flops_f64 = 75},
    [JM_OP_log_plus_one] = {.unary = jm_math_log1p, .flops = 32, .flops_f64 = 80},
    [JM_OP_logistic] = {.unary = jm_math_logistic, .flops = 25, .flops_f64 = 70},
    [JM_OP_negate] = {.unary = jm_k_fneg, .flops = 1, .flops_f64 = 2, .exact = true},
    [JM_OP_real] = {.unary = itself, .flops = 0, .flops_f64 = 0, .exact = true},
    [JM_OP_round_nearest_afz] = {.unary = round_away, .flops = 6, .flops_f64 = 12, .exact = true},
    [JM_OP_round_nearest_even] = {.unary = jm_k_frint, .flops = 1, .flops_f64 = 2, .exact = true},
    [JM_OP_rsqrt] = {.unary = reciprocal_root, .flops = 12, .flops_f64 = 24},
    [JM_OP_sign] = {.unary = sign, .flops = 4, .flops_f64 = 8, .exact = true},
    [JM_OP_sine] = {.unary = jm_math_sin, .flops = 100, .flops_f64 = 900},
    [JM_OP_sinh] = {.unary = jm_math_sinh, .flops = 70, .flops_f64 = 70},
    [JM_OP_sqrt] = {.unary = jm_k_fsqrt, .flops = 6, .flops_f64 = 12},
    [JM_OP_tan] = {.unary = jm_math_tan, .flops = 105, .flops_f64 = 1200},
    [JM_OP_tanh] = {.unary = jm_math_tanh, .flops = 24, .flops_f64 = 60},
    [JM_OP_is_finite] = {.unary = is_finite, .flops = 2, .flops_f64 = 4, .exact = true},
    [JM_OP_add] = {.binary = jm_k_fadd, .flops = 1, .flops_f64 = 2},
    [JM_OP_atan2] = {.binary = jm_math_atan2, .flops = 120, .flops_f64 = 120},
    [JM_OP_complex] = {.binary = jm_k_fadd, .exact = true}, /* built by jm_element_run */
    [JM_OP_divide] = {.binary = jm_k_fdiv, .flops = 5, .flops_f64 = 10},
    [JM_OP_maximum] = {.binary = maximum, .flops = 4, .flops_f64 = 8, .exact = true},
    [JM_OP_minimum] = {.binary = minimum, .flops = 4, .flops_f64 = 8, .exact = true},
    [JM_OP_multiply] = {.binary = jm_k_fmul, .flops = 1, .flops_f64 = 2},
    [JM_OP_power] = {.binary = jm_math_pow, .flops = 200, .flops_f64 = 700},
    [JM_OP_remainder] = {.binary = rest, .flops = 600, .flops_f64 = 600},
    [JM_OP_subtract] = {.binary = jm_k_fsub, .flops = 1, .flops_f64 = 2},
};
