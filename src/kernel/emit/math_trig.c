/* SPDX-License-Identifier: Apache-2.0
 * Trigonometric functions and their inverses, without branches. sin, cos and tan of f32 are
 * computed in f64 where there is one (else in math_single.c), the arguments of all sizes reduced
 * exactly; those of f64 are the C library's.
 * Measured over sweeps (tests/unit/math_test.c), in ulp of the type: f32 1, asin, acos and atan2 of
 * f64 2. Polynomials are minimax fits of our own. */
#include "kernel/emit/element.h"

#define HALF_PI 0x1.921fb54442d18p0
/* its rounding error */
#define HALF_PI_LOW (wide ? 0x1.1a62633145c07p-54 : -0x1.777a5cf72cecep-25)

/* -- sin, cos, tan of f32 */

/* |x| in quarter turns: a number of quarters, of which the last bits count, and the rest as an
 * angle, at most pi/4. */
typedef struct turns {
  jm_kval quarters, angle; /* i32, f64 */
} turns;

/* 2/pi * 2^(28 j) without its multiples of 4, in 29, 29 and 53 digits. |x| is y * 2^(28 j) with y
 * below 2^51, and an integer if j > 0: so the multiples of 4 that were left out are whole turns.
 * y has 24 digits: its products with the first two are exact. */
static const struct {
  double below, scale, parts[3];
} sizes[4] = {
    {0x1p51, 1, {0x1.45f306dp-1, 0x1.9391054p-30, 0x1.4fe13abe8fa9ap-59}},
    {0x1p79, 0x1p-28, {0x1.727220ap+1, 0x1.29fc275p-28, 0x1.f47d4d377036ep-58}},
    {0x1p107, 0x1p-56, {0x1.29fc275p+0, 0x1.f47d4d3p-30, 0x1.dc0db6295993cp-60}},
    {0, 0x1p-84, {0x1.7d1f534p+0, 0x1.bb81b6cp-29, 0x1.4acc9e21c8210p-59}},
};

static turns reduce(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = JM_KT_f64;
  jm_kval a = jm_k_fpext(b, JM_KT_f64, jm_k_fabs(b, x)), scale = jm_k_float(b, t, sizes[3].scale),
          part[3];
  for (int i = 0; i < 3; i++) part[i] = jm_k_float(b, t, sizes[3].parts[i]);
  for (int j = 2; j >= 0; j--) {
    jm_kval fits = jm_k_folt(b, a, jm_k_float(b, t, sizes[j].below));
    scale = jm_k_select(b, fits, jm_k_float(b, t, sizes[j].scale), scale);
    for (int i = 0; i < 3; i++)
      part[i] = jm_k_select(b, fits, jm_k_float(b, t, sizes[j].parts[i]), part[i]);
  }
  jm_kval y = jm_k_fmul(b, a, scale), whole = jm_k_float(b, t, 0), rest = jm_k_float(b, t, 0);
  for (int i = 0; i < 2; i++) {
    jm_kval product = jm_k_fmul(b, y, part[i]), near = jm_k_frint(b, product);
    rest = jm_k_fadd(b, rest, jm_k_fsub(b, product, near));
    /* whole turns out, so that the sum stays small */
    near = jm_k_fma(b, jm_k_frint(b, jm_k_fmul(b, near, jm_k_float(b, t, 0.25))),
                    jm_k_float(b, t, -4), near);
    whole = jm_k_fadd(b, whole, near);
  }
  rest = jm_k_fma(b, y, part[2], rest);
  jm_kval near = jm_k_frint(b, rest);
  whole = jm_k_fadd(b, jm_k_fadd(b, whole, near),
                    jm_k_float(b, t, 0x1.8p52)); /* the number in the last bits */
  return (turns){jm_k_itrunc(b, JM_KT_i32, jm_k_bits(b, whole)),
                 jm_k_fmul(b, jm_k_fsub(b, rest, near), jm_k_float(b, t, HALF_PI))};
}

/* (sin r / r - 1) / r^2 and (cos r - 1 + r^2/2) / r^4 in r^2: to 2^-37 and 2^-43 */
static const double sin_tail[] = {-0x1.5555554cb8f49p-3, 0x1.1111089596f98p-7,
                                  -0x1.a00f9d147b592p-13, 0x1.6cd8357e6f1c7p-19};
static const double cos_tail[] = {0x1.5555554f4dadap-5, -0x1.6c16b89822dd8p-10,
                                  0x1.a0111fb5cbfd4p-16, -0x1.242abe2f79620p-22};

static void sin_cos(jm_kbuilder *b, jm_kval r, jm_kval *sine, jm_kval *cosine) {
  const jm_ktype t = JM_KT_f64;
  jm_kval z = jm_k_fmul(b, r, r);
  *sine = jm_k_fma(b, jm_k_fmul(b, r, z), JM_POLYNOMIAL(b, z, sin_tail), r);
  *cosine = jm_k_fma(b, jm_k_fmul(b, z, z), JM_POLYNOMIAL(b, z, cos_tail),
                     jm_k_fma(b, z, jm_k_float(b, t, -0.5), jm_k_float(b, t, 1)));
}

/* The sine `ahead` quarters further. */
static jm_kval wave(jm_kbuilder *b, turns n, int ahead) {
  const jm_ktype it = JM_KT_i32;
  const jm_kval quarters = jm_k_iadd(b, n.quarters, jm_k_int(b, it, ahead));
  jm_kval sine, cosine;
  sin_cos(b, n.angle, &sine, &cosine);
  jm_kval value = jm_k_select(
      b, jm_k_ine(b, jm_k_and(b, quarters, jm_k_int(b, it, 1)), jm_k_int(b, it, 0)), cosine, sine);
  return jm_k_select(b, jm_k_ine(b, jm_k_and(b, quarters, jm_k_int(b, it, 2)), jm_k_int(b, it, 0)),
                     jm_k_fneg(b, value), value);
}

static jm_kval with_sign_of(jm_kbuilder *b, jm_kval value, jm_kval x) {
  const jm_ktype it = JM_KT_i32;
  return jm_k_from_bits(
      b, jm_k_xor(b, jm_k_bits(b, value), jm_k_and(b, jm_k_bits(b, x), jm_k_int(b, it, 1u << 31))));
}

jm_kval jm_math_sin(jm_kbuilder *b, jm_kval x) {
  if (jm_kbuild_type(b, x) == JM_KT_f64) return jm_kbuild_call(b, JM_KCALL_sin, &x);
  if (jm_math_is_single(b, x)) return jm_single_sin(b, x);
  return with_sign_of(b, jm_k_fptrunc(b, JM_KT_f32, wave(b, reduce(b, x), 0)), x);
}

jm_kval jm_math_cos(jm_kbuilder *b, jm_kval x) {
  if (jm_kbuild_type(b, x) == JM_KT_f64) return jm_kbuild_call(b, JM_KCALL_cos, &x);
  if (jm_math_is_single(b, x)) return jm_single_cos(b, x);
  return jm_k_fptrunc(b, JM_KT_f32, wave(b, reduce(b, x), 1));
}

void jm_math_sin_cos(jm_kbuilder *b, jm_kval x, jm_kval *sine, jm_kval *cosine) {
  if (jm_kbuild_type(b, x) == JM_KT_f64) {
    *sine = jm_kbuild_call(b, JM_KCALL_sin, &x);
    *cosine = jm_kbuild_call(b, JM_KCALL_cos, &x);
    return;
  }
  if (jm_math_is_single(b, x)) {
    jm_single_sin_cos(b, x, sine, cosine);
    return;
  }
  const turns n = reduce(b, x);
  jm_kval rise = wave(b, n, 0);
  *sine = jm_k_select(b, jm_k_slt(b, jm_k_bits(b, x), jm_kbuild_int(b, JM_KT_i32, 0)),
                      jm_k_fneg(b, rise), rise);
  *cosine = wave(b, n, 1);
}

jm_kval jm_math_tan(jm_kbuilder *b, jm_kval x) {
  if (jm_kbuild_type(b, x) == JM_KT_f64) return jm_kbuild_call(b, JM_KCALL_tan, &x);
  if (jm_math_is_single(b, x)) return jm_single_tan(b, x);
  const jm_ktype it = JM_KT_i32;
  jm_kval sine, cosine;
  turns n = reduce(b, x);
  sin_cos(b, n.angle, &sine, &cosine);
  jm_kval odd = jm_k_ine(b, jm_k_and(b, n.quarters, jm_k_int(b, it, 1)), jm_k_int(b, it, 0));
  jm_kval ratio = jm_k_fdiv(b, jm_k_select(b, odd, jm_k_fneg(b, cosine), sine),
                            jm_k_select(b, odd, sine, cosine));
  return with_sign_of(b, jm_k_fptrunc(b, JM_KT_f32, ratio), x);
}

/* -- inverses; those of f32 are the rounded ones of f64, where there is one */

/* (asin s / s - 1) / s^2 in s^2, s <= 1/2: to 2^-26 and 2^-59 */
static const double asin_f32[] = {0x1.555554p-3, 0x1.333430p-4, 0x1.6d5bbap-5,
                                  0x1.fd8da2p-6, 0x1.18f91ep-6, 0x1.13fed4p-5};
static const double asin_f64[] = {0x1.5555555555578p-3, 0x1.333333332df02p-4, 0x1.6db6db722c1a0p-5,
                                  0x1.f1c71a8b646a3p-6, 0x1.6e8bdfebe7081p-6, 0x1.1c49ddade1ba3p-6,
                                  0x1.ca214b472ea9dp-7, 0x1.7577599a123b5p-7, 0x1.618bc17ded987p-7,
                                  0x1.e14d0687e3139p-9, 0x1.650600cdc311ep-6, -0x1.59fbc54b3a72ap-6,
                                  0x1.0be5ef95acfadp-5};

/* asin x = x + x p(x^2) for |x| <= 1/2; else asin |x| = pi/2 - 2 asin s with
 * s = sqrt((1 - |x|) / 2). */
typedef struct arc {
  jm_kval large, root, tail; /* asin of root is root + tail */
} arc;

static arc arc_of(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  jm_kval a = jm_k_fabs(b, x), large = jm_k_folt(b, jm_k_float(b, t, 0.5), a);
  jm_kval z = jm_k_select(b, large, jm_k_fma(b, a, jm_k_float(b, t, -0.5), jm_k_float(b, t, 0.5)),
                          jm_k_fmul(b, x, x));
  jm_kval root = jm_k_select(b, large, jm_k_fsqrt(b, z), a);
  return (arc){large, root,
               jm_k_fmul(b, jm_k_fmul(b, root, z),
                         wide ? JM_POLYNOMIAL(b, z, asin_f64) : JM_POLYNOMIAL(b, z, asin_f32))};
}

static jm_kval asin_of(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  arc n = arc_of(b, x);
  jm_kval small = jm_k_fadd(b, n.root, n.tail);
  jm_kval low = jm_k_fma(b, jm_k_float(b, t, -2), n.tail, jm_k_float(b, t, HALF_PI_LOW));
  jm_kval result = jm_k_select(
      b, n.large,
      jm_k_fadd(b, jm_k_float(b, t, HALF_PI), jm_k_fma(b, jm_k_float(b, t, -2), n.root, low)),
      small);
  return jm_k_fcopysign(b, result, x);
}

static jm_kval acos_of(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  arc n = arc_of(b, x);
  jm_kval twice = jm_k_fmul(b, jm_k_float(b, t, 2), jm_k_fadd(b, n.root, n.tail)),
          minus = jm_k_folt(b, x, jm_k_float(b, t, 0));
  jm_kval back = jm_k_fsub(b, jm_k_float(b, t, 2 * HALF_PI),
                           jm_k_fsub(b, twice, jm_k_float(b, t, 2 * HALF_PI_LOW)));
  jm_kval small = jm_k_fsub(
      b, jm_k_float(b, t, HALF_PI),
      jm_k_fsub(b, x, jm_k_fsub(b, jm_k_float(b, t, HALF_PI_LOW), jm_k_fcopysign(b, n.tail, x))));
  return jm_k_select(b, n.large, jm_k_select(b, minus, back, twice), small);
}

/* (atan r / r - 1) / r^2 in r^2, r <= tan(pi/8): to 2^-26 and 2^-59 */
static const double atan_f32[] = {-0x1.555556p-2, 0x1.99997cp-3,  -0x1.248a16p-3,
                                  0x1.c57ba2p-4,  -0x1.6143f2p-4, 0x1.9d8962p-5};
static const double atan_f64[] = {
    -0x1.555555555553dp-2, 0x1.99999999958dap-3, -0x1.24924922b0b19p-3, 0x1.c71c70e777068p-4,
    -0x1.745cf9063b39cp-4, 0x1.3b111c0d3f038p-4, -0x1.10ebd9b42de4ep-4, 0x1.df112ddd268bcp-5,
    -0x1.9cdb1ff2b0708p-5, 0x1.37ea9bd3aed34p-5, -0x1.25976d1bccb25p-6};

/* The angle of (y, x), in IEEE's words: of x / y, x being what `atan2` has first. In the first
 * octant by low / high; from pi/8 on pi/4 is taken off: tan(u - pi/4) = (tan u - 1) / (tan u + 1).
 */
static jm_kval atan2_of(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  const jm_ktype it = wide ? JM_KT_i64 : JM_KT_i32;
  jm_kval rise = jm_k_fabs(b, x), run = jm_k_fabs(b, y), steep = jm_k_folt(b, run, rise);
  jm_kval low = jm_k_select(b, steep, run, rise), high = jm_k_select(b, steep, rise, run);
  jm_kval infinite = jm_k_float(b, t, __builtin_inf());
  jm_kval diagonal = jm_k_foeq(b, low, infinite); /* both are infinite */
  low = jm_k_select(b, diagonal, jm_k_float(b, t, 1), low);
  high = jm_k_select(b, jm_k_or(b, diagonal, jm_k_foeq(b, high, jm_k_float(b, t, 0))),
                     jm_k_float(b, t, 1), high);
  jm_kval scale =
      jm_k_select(b, jm_k_folt(b, jm_k_float(b, t, wide ? 0x1p1000 : 0x1p120), high),
                  jm_k_float(b, t, 0x1p-10), jm_k_float(b, t, 1)); /* sums must not overflow */
  low = jm_k_fmul(b, low, scale);
  high = jm_k_fmul(b, high, scale);
  jm_kval upper = jm_k_folt(b, jm_k_fmul(b, high, jm_k_float(b, t, 0x1.a827999fcef32p-2)), low);
  jm_kval r = jm_k_fdiv(b, jm_k_select(b, upper, jm_k_fsub(b, low, high), low),
                        jm_k_select(b, upper, jm_k_fadd(b, low, high), high));
  jm_kval z = jm_k_fmul(b, r, r),
          tail = jm_k_fmul(b, jm_k_fmul(b, r, z),
                           wide ? JM_POLYNOMIAL(b, z, atan_f64) : JM_POLYNOMIAL(b, z, atan_f32));
  jm_kval angle =
      jm_k_select(b, upper,
                  jm_k_fadd(b, jm_k_float(b, t, HALF_PI / 2),
                            jm_k_fadd(b, r, jm_k_fadd(b, tail, jm_k_float(b, t, HALF_PI_LOW / 2)))),
                  jm_k_fadd(b, r, tail));
  angle = jm_k_select(
      b, steep,
      jm_k_fsub(b, jm_k_float(b, t, HALF_PI), jm_k_fsub(b, angle, jm_k_float(b, t, HALF_PI_LOW))),
      angle);
  jm_kval back = jm_k_fsub(b, jm_k_float(b, t, 2 * HALF_PI),
                           jm_k_fsub(b, angle, jm_k_float(b, t, 2 * HALF_PI_LOW)));
  angle = jm_k_select(b, jm_k_slt(b, jm_k_bits(b, y), jm_k_int(b, it, 0)), back, angle);
  angle = jm_k_select(b, jm_k_funo(b, x, y), jm_k_fadd(b, x, y), angle);
  return jm_k_fcopysign(b, angle, x);
}

jm_kval jm_math_asin(jm_kbuilder *b, jm_kval x) { return jm_math_through_f64(b, asin_of, x); }
jm_kval jm_math_acos(jm_kbuilder *b, jm_kval x) { return jm_math_through_f64(b, acos_of, x); }
jm_kval jm_math_atan2(jm_kbuilder *b, jm_kval x, jm_kval y) {
  if (jm_kbuild_type(b, x) == JM_KT_f64 || jm_math_is_single(b, x)) return atan2_of(b, x, y);
  const jm_kval wide_y = jm_k_fpext(b, JM_KT_f64, y), wide_x = jm_k_fpext(b, JM_KT_f64, x);
  return jm_k_fptrunc(b, JM_KT_f32, atan2_of(b, wide_x, wide_y));
}
