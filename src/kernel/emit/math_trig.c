/* SPDX-License-Identifier: Apache-2.0
 * Trigonometric functions and their inverses, without branches. sin, cos and tan of f32 are
 * computed in f64, the arguments of all sizes reduced exactly; those of f64 are the C library's.
 * Measured over sweeps (tests/unit/math_test.c), in ulp of the type: f32 1, asin, acos and atan2 of
 * f64 2. Polynomials are minimax fits of our own. */
#include "kernel/emit/element.h"

#define SCOPE                                   \
  const jm_ktype t = JM_KT_f64, it = JM_KT_i64; \
  (void)t, (void)it

#define HALF_PI 0x1.921fb54442d18p0
#define HALF_PI_LOW 0x1.1a62633145c07p-54

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
  SCOPE;
  jm_kval a = CAST(fpext, f64, FABS(x)), scale = F(sizes[3].scale), part[3];
  for (int i = 0; i < 3; i++) part[i] = F(sizes[3].parts[i]);
  for (int j = 2; j >= 0; j--) {
    jm_kval fits = FOLT(a, F(sizes[j].below));
    scale = SELECT(fits, F(sizes[j].scale), scale);
    for (int i = 0; i < 3; i++) part[i] = SELECT(fits, F(sizes[j].parts[i]), part[i]);
  }
  jm_kval y = FMUL(a, scale), whole = F(0), rest = F(0);
  for (int i = 0; i < 2; i++) {
    jm_kval product = FMUL(y, part[i]), near = jm_kbuild1(b, JM_K_frint, product);
    rest = FADD(rest, FSUB(product, near));
    /* whole turns out, so that the sum stays small */
    near = FMA(jm_kbuild1(b, JM_K_frint, FMUL(near, F(0.25))), F(-4), near);
    whole = FADD(whole, near);
  }
  rest = FMA(y, part[2], rest);
  jm_kval near = jm_kbuild1(b, JM_K_frint, rest);
  whole = FADD(FADD(whole, near), F(0x1.8p52)); /* the number in the last bits */
  return (turns){CAST(itrunc, i32, BITS(whole)), FMUL(FSUB(rest, near), F(HALF_PI))};
}

/* (sin r / r - 1) / r^2 and (cos r - 1 + r^2/2) / r^4 in r^2: to 2^-37 and 2^-43 */
static const double sin_tail[] = {-0x1.5555554cb8f49p-3, 0x1.1111089596f98p-7,
                                  -0x1.a00f9d147b592p-13, 0x1.6cd8357e6f1c7p-19};
static const double cos_tail[] = {0x1.5555554f4dadap-5, -0x1.6c16b89822dd8p-10,
                                  0x1.a0111fb5cbfd4p-16, -0x1.242abe2f79620p-22};

static void sin_cos(jm_kbuilder *b, jm_kval r, jm_kval *sine, jm_kval *cosine) {
  SCOPE;
  jm_kval z = FMUL(r, r);
  *sine = FMA(FMUL(r, z), POLYNOMIAL(z, sin_tail), r);
  *cosine = FMA(FMUL(z, z), POLYNOMIAL(z, cos_tail), FMA(z, F(-0.5), F(1)));
}

/* The sine `ahead` quarters further. */
static jm_kval wave(jm_kbuilder *b, turns n, int ahead) {
  const jm_ktype it = JM_KT_i32;
  const jm_kval quarters = IADD(n.quarters, I(ahead));
  jm_kval sine, cosine;
  sin_cos(b, n.angle, &sine, &cosine);
  jm_kval value = SELECT(INE(AND(quarters, I(1)), I(0)), cosine, sine);
  return SELECT(INE(AND(quarters, I(2)), I(0)), FNEG(value), value);
}

static jm_kval with_sign_of(jm_kbuilder *b, jm_kval value, jm_kval x) {
  const jm_ktype it = JM_KT_i32;
  return FROM_BITS(XOR(BITS(value), AND(BITS(x), I(1u << 31))));
}

jm_kval jm_math_sin(jm_kbuilder *b, jm_kval x, jm_kval y) {
  (void)y;
  if (jm_kbuild_type(b, x) == JM_KT_f64) return jm_kbuild_call(b, JM_KCALL_sin, &x);
  return with_sign_of(b, CAST(fptrunc, f32, wave(b, reduce(b, x), 0)), x);
}

jm_kval jm_math_cos(jm_kbuilder *b, jm_kval x, jm_kval y) {
  (void)y;
  if (jm_kbuild_type(b, x) == JM_KT_f64) return jm_kbuild_call(b, JM_KCALL_cos, &x);
  return CAST(fptrunc, f32, wave(b, reduce(b, x), 1));
}

void jm_math_sin_cos(jm_kbuilder *b, jm_kval x, jm_kval *sine, jm_kval *cosine) {
  if (jm_kbuild_type(b, x) == JM_KT_f64) {
    *sine = jm_kbuild_call(b, JM_KCALL_sin, &x);
    *cosine = jm_kbuild_call(b, JM_KCALL_cos, &x);
    return;
  }
  const turns n = reduce(b, x);
  jm_kval rise = wave(b, n, 0);
  *sine = SELECT(SLT(BITS(x), jm_kbuild_int(b, JM_KT_i32, 0)), FNEG(rise), rise);
  *cosine = wave(b, n, 1);
}

jm_kval jm_math_tan(jm_kbuilder *b, jm_kval x, jm_kval y) {
  (void)y;
  if (jm_kbuild_type(b, x) == JM_KT_f64) return jm_kbuild_call(b, JM_KCALL_tan, &x);
  const jm_ktype it = JM_KT_i32;
  jm_kval sine, cosine;
  turns n = reduce(b, x);
  sin_cos(b, n.angle, &sine, &cosine);
  jm_kval odd = INE(AND(n.quarters, I(1)), I(0));
  jm_kval ratio = FDIV(SELECT(odd, FNEG(cosine), sine), SELECT(odd, sine, cosine));
  return with_sign_of(b, CAST(fptrunc, f32, ratio), x);
}

/* -- inverses; those of f32 are the rounded ones of f64 */

static jm_kval by_way_of_f64(jm_kbuilder *b, jm_float_fn *fn, jm_kval x, jm_kval y) {
  if (jm_kbuild_type(b, x) == JM_KT_f64) return fn(b, x, y);
  if (y != JM_KNONE) y = CAST(fpext, f64, y);
  return CAST(fptrunc, f32, fn(b, CAST(fpext, f64, x), y));
}

/* (asin s / s - 1) / s^2 in s^2, s <= 1/2: to 2^-59 */
static const double asin_tail[] = {
    0x1.5555555555578p-3, 0x1.333333332df02p-4, 0x1.6db6db722c1a0p-5, 0x1.f1c71a8b646a3p-6,
    0x1.6e8bdfebe7081p-6, 0x1.1c49ddade1ba3p-6, 0x1.ca214b472ea9dp-7, 0x1.7577599a123b5p-7,
    0x1.618bc17ded987p-7, 0x1.e14d0687e3139p-9, 0x1.650600cdc311ep-6, -0x1.59fbc54b3a72ap-6,
    0x1.0be5ef95acfadp-5};

/* asin x = x + x p(x^2) for |x| <= 1/2; else asin |x| = pi/2 - 2 asin s with
 * s = sqrt((1 - |x|) / 2). */
typedef struct arc {
  jm_kval large, root, tail; /* asin of root is root + tail */
} arc;

static arc arc_of(jm_kbuilder *b, jm_kval x) {
  SCOPE;
  jm_kval a = FABS(x), large = FOLT(F(0.5), a);
  jm_kval z = SELECT(large, FMA(a, F(-0.5), F(0.5)), FMUL(x, x));
  jm_kval root = SELECT(large, FSQRT(z), a);
  return (arc){large, root, FMUL(FMUL(root, z), POLYNOMIAL(z, asin_tail))};
}

static jm_kval asin_f64(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  (void)y;
  arc n = arc_of(b, x);
  jm_kval small = FADD(n.root, n.tail);
  jm_kval low = FMA(F(-2), n.tail, F(HALF_PI_LOW));
  jm_kval result = SELECT(n.large, FADD(F(HALF_PI), FMA(F(-2), n.root, low)), small);
  return COPYSIGN(result, x);
}

static jm_kval acos_f64(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  (void)y;
  arc n = arc_of(b, x);
  jm_kval twice = FMUL(F(2), FADD(n.root, n.tail)), minus = FOLT(x, F(0));
  jm_kval back = FSUB(F(2 * HALF_PI), FSUB(twice, F(2 * HALF_PI_LOW)));
  jm_kval small = FSUB(F(HALF_PI), FSUB(x, FSUB(F(HALF_PI_LOW), COPYSIGN(n.tail, x))));
  return SELECT(n.large, SELECT(minus, back, twice), small);
}

/* (atan r / r - 1) / r^2 in r^2, r <= tan(pi/8): to 2^-59 */
static const double atan_tail[] = {
    -0x1.555555555553dp-2, 0x1.99999999958dap-3, -0x1.24924922b0b19p-3, 0x1.c71c70e777068p-4,
    -0x1.745cf9063b39cp-4, 0x1.3b111c0d3f038p-4, -0x1.10ebd9b42de4ep-4, 0x1.df112ddd268bcp-5,
    -0x1.9cdb1ff2b0708p-5, 0x1.37ea9bd3aed34p-5, -0x1.25976d1bccb25p-6};

/* The angle of (y, x), in IEEE's words: of x / y, x being what `atan2` has first. In the first
 * octant by low / high; from pi/8 on pi/4 is taken off: tan(u - pi/4) = (tan u - 1) / (tan u + 1).
 */
static jm_kval atan2_f64(jm_kbuilder *b, jm_kval x, jm_kval y) {
  SCOPE;
  jm_kval rise = FABS(x), run = FABS(y), steep = FOLT(run, rise);
  jm_kval low = SELECT(steep, run, rise), high = SELECT(steep, rise, run);
  jm_kval infinite = F(__builtin_inf());
  jm_kval diagonal = FOEQ(low, infinite); /* both are infinite */
  low = SELECT(diagonal, F(1), low);
  high = SELECT(OR(diagonal, FOEQ(high, F(0))), F(1), high);
  jm_kval scale = SELECT(FOLT(F(0x1p1000), high), F(0x1p-10), F(1)); /* sums must not overflow */
  low = FMUL(low, scale);
  high = FMUL(high, scale);
  jm_kval upper = FOLT(FMUL(high, F(0x1.a827999fcef32p-2)), low);
  jm_kval r = FDIV(SELECT(upper, FSUB(low, high), low), SELECT(upper, FADD(low, high), high));
  jm_kval z = FMUL(r, r), tail = FMUL(FMUL(r, z), POLYNOMIAL(z, atan_tail));
  jm_kval angle =
      SELECT(upper, FADD(F(HALF_PI / 2), FADD(r, FADD(tail, F(HALF_PI_LOW / 2)))), FADD(r, tail));
  angle = SELECT(steep, FSUB(F(HALF_PI), FSUB(angle, F(HALF_PI_LOW))), angle);
  jm_kval back = FSUB(F(2 * HALF_PI), FSUB(angle, F(2 * HALF_PI_LOW)));
  angle = SELECT(SLT(BITS(y), I(0)), back, angle);
  angle = SELECT(FUNO(x, y), FADD(x, y), angle);
  return COPYSIGN(angle, x);
}

jm_kval jm_math_asin(jm_kbuilder *b, jm_kval x, jm_kval y) {
  return by_way_of_f64(b, asin_f64, x, y);
}
jm_kval jm_math_acos(jm_kbuilder *b, jm_kval x, jm_kval y) {
  return by_way_of_f64(b, acos_f64, x, y);
}
jm_kval jm_math_atan2(jm_kbuilder *b, jm_kval x, jm_kval y) {
  return by_way_of_f64(b, atan2_f64, x, y);
}
