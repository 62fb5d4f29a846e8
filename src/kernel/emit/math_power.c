/* SPDX-License-Identifier: Apache-2.0
 * Powers and roots, without branches. pow of f32 is computed in f64 where there is one; that of f64
 * is the C library's. Measured over sweeps (tests/unit/math_test.c), in ulp of the type: pow of f32
 * 1, cbrt 1, hypot 1.5. */
#include "kernel/emit/element.h"

/* C's rules, where `result` is |x|^y: a negative base takes integers only, and y^0 = 1^x = 1. */
static jm_kval with_edges(jm_kbuilder *b, jm_kval x, jm_kval y, jm_kval result) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const jm_ktype it = t == JM_KT_f64 ? JM_KT_i64 : JM_KT_i32;
  jm_kval a = jm_k_fabs(b, x), infinite = jm_k_float(b, t, __builtin_inf());
  jm_kval half = jm_k_fmul(b, y, jm_k_float(b, t, 0.5));
  jm_kval whole = jm_k_foeq(b, jm_k_ffloor(b, y), y);
  jm_kval even = jm_k_foeq(b, jm_k_ffloor(b, half), half);
  jm_kval minus = jm_k_slt(b, jm_k_bits(b, x), jm_k_int(b, it, 0));
  jm_kval odd =
      jm_k_and(b, minus, jm_k_and(b, whole, jm_k_xor(b, even, jm_kbuild_int(b, JM_KT_i1, 1))));
  result = jm_k_select(b, odd, jm_k_fneg(b, result), result);
  jm_kval fraction =
      jm_k_and(b, jm_k_folt(b, x, jm_k_float(b, t, 0)), jm_k_fune(b, jm_k_ffloor(b, y), y));
  jm_kval undefined = jm_k_and(b, fraction, jm_k_folt(b, a, infinite)); /* (-inf)^0.5 = inf */
  result = jm_k_select(b, undefined, jm_k_float(b, t, __builtin_nan("")), result);
  jm_kval one =
      jm_k_or(b, jm_k_foeq(b, y, jm_k_float(b, t, 0)), jm_k_foeq(b, x, jm_k_float(b, t, 1)));
  one = jm_k_or(
      b, one,
      jm_k_and(b, jm_k_foeq(b, a, jm_k_float(b, t, 1)), jm_k_foeq(b, jm_k_fabs(b, y), infinite)));
  return jm_k_select(b, one, jm_k_float(b, t, 1), result);
}

jm_kval jm_math_pow(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_kval args[2] = {x, y};
  if (jm_kbuild_type(b, x) == JM_KT_f64) return jm_kbuild_call(b, JM_KCALL_pow, args);
  if (jm_math_is_single(b, x)) return with_edges(b, x, y, jm_single_pow(b, jm_k_fabs(b, x), y));
  x = jm_k_fpext(b, JM_KT_f64, x);
  y = jm_k_fpext(b, JM_KT_f64, y);
  jm_kval result = jm_math_exp(b, jm_k_fmul(b, y, jm_math_log(b, jm_k_fabs(b, x))));
  return jm_k_fptrunc(b, JM_KT_f32, with_edges(b, x, y, result));
}

/* cbrt on [1, 8]: to 0.5 % */
static const double cbrt_start[] = {0x1.5d04d693efb07p-1, 0x1.7548880f2ebdbp-2,
                                    -0x1.62ce990249841p-5, 0x1.2f351cc464901p-9};

/* |x| = 2^(3 q) m, m in [1, 8); two of Halley's steps, each with thrice the digits. */
static jm_kval cbrt_f64(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = JM_KT_f64;
  const jm_ktype it = JM_KT_i64;
  jm_kval a = jm_k_fabs(b, x), tiny = jm_k_folt(b, a, jm_k_float(b, t, 0x1p-1022));
  jm_kval bits = jm_k_bits(b, jm_k_select(b, tiny, jm_k_fmul(b, a, jm_k_float(b, t, 0x1p54)), a));
  /* the exponent's third by a product: it has 11 bits; the bias is 3 * 341 */
  jm_kval q =
      jm_k_lshr(b, jm_k_imul(b, jm_k_lshr(b, bits, jm_k_int(b, it, 52)), jm_k_int(b, it, 21846)),
                jm_k_int(b, it, 16));
  jm_kval m = jm_k_from_bits(
      b,
      jm_k_isub(b, bits,
                jm_k_shl(b, jm_k_imul(b, jm_k_isub(b, q, jm_k_int(b, it, 341)), jm_k_int(b, it, 3)),
                         jm_k_int(b, it, 52))));
  jm_kval r = JM_POLYNOMIAL(b, m, cbrt_start);
  for (int i = 0; i < 2; i++) {
    /* r - r (r^3 - m) / (2 r^3 + m) */
    jm_kval cube = jm_k_fmul(b, jm_k_fmul(b, r, r), r);
    r = jm_k_fsub(b, r,
                  jm_k_fdiv(b, jm_k_fmul(b, r, jm_k_fsub(b, cube, m)),
                            jm_k_fadd(b, jm_k_fadd(b, cube, cube), m)));
  }
  jm_kval scale = jm_k_from_bits(
      b, jm_k_shl(b, jm_k_iadd(b, q, jm_k_int(b, it, 1023 - 341)), jm_k_int(b, it, 52)));
  r = jm_k_fmul(b, jm_k_fmul(b, r, scale),
                jm_k_select(b, tiny, jm_k_float(b, t, 0x1p-18), jm_k_float(b, t, 1)));
  r = jm_k_select(b,
                  jm_k_and(b, jm_k_folt(b, jm_k_float(b, t, 0), a),
                           jm_k_folt(b, a, jm_k_float(b, t, __builtin_inf()))),
                  jm_k_fcopysign(b, r, x), x);
  return r;
}

jm_kval jm_math_cbrt(jm_kbuilder *b, jm_kval x) {
  if (jm_kbuild_type(b, x) == JM_KT_f64) return cbrt_f64(b, x);
  if (jm_math_is_single(b, x)) return jm_single_cbrt(b, x);
  return jm_k_fptrunc(b, JM_KT_f32, cbrt_f64(b, jm_k_fpext(b, JM_KT_f64, x)));
}

/* sqrt(x^2 + y^2), scaled where squares would leave the range. */
static jm_kval hypot_of(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  /* sizes from which squares leave the range, and powers of two that bring them back */
  const double most = wide ? 0x1p500 : 0x1p60, least = wide ? 0x1p-400 : 0x1p-40;
  const double far = wide ? 0x1p600 : 0x1p100;
  jm_kval ax = jm_k_fabs(b, x), ay = jm_k_fabs(b, y), steep = jm_k_folt(b, ax, ay),
          infinite = jm_k_float(b, t, __builtin_inf());
  jm_kval low = jm_k_select(b, steep, ax, ay), high = jm_k_select(b, steep, ay, ax);
  jm_kval large = jm_k_folt(b, jm_k_float(b, t, most), high),
          small = jm_k_folt(b, high, jm_k_float(b, t, least));
  jm_kval down = jm_k_select(b, large, jm_k_float(b, t, 1 / far),
                             jm_k_select(b, small, jm_k_float(b, t, far), jm_k_float(b, t, 1)));
  jm_kval up = jm_k_select(b, large, jm_k_float(b, t, far),
                           jm_k_select(b, small, jm_k_float(b, t, 1 / far), jm_k_float(b, t, 1)));
  low = jm_k_fmul(b, low, down);
  high = jm_k_fmul(b, high, down);
  jm_kval square = jm_k_fmul(b, high, high), lost = jm_k_fma(b, high, high, jm_k_fneg(b, square));
  jm_kval root = jm_k_fmul(b, jm_k_fsqrt(b, jm_k_fadd(b, square, jm_k_fma(b, low, low, lost))), up);
  return jm_k_select(b, jm_k_or(b, jm_k_foeq(b, ax, infinite), jm_k_foeq(b, ay, infinite)),
                     infinite, root);
}

jm_kval jm_math_hypot(jm_kbuilder *b, jm_kval x, jm_kval y) {
  if (jm_kbuild_type(b, x) == JM_KT_f64 || jm_math_is_single(b, x)) return hypot_of(b, x, y);
  return jm_k_fptrunc(b, JM_KT_f32,
                      hypot_of(b, jm_k_fpext(b, JM_KT_f64, x), jm_k_fpext(b, JM_KT_f64, y)));
}
