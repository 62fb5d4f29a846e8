/* SPDX-License-Identifier: Apache-2.0
 * Functions that emission spells out, against the C library in more digits: sweeps over ranges
 * where each does something else, and over all exponents; by the interpreter and, where there is an
 * LLVM, compiled. The bounds are in units of the last place and stand in the sources' headers. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "engine/host/jit.h"
#include "kernel/emit/element.h"
#include "unit/check.h"
#include "unit/kernel_run.h"

typedef long double real;

static real logistic(real x) { return 1 / (1 + expl(-x)); }
/* By Newton's method on erf, or on erfc where that has the digits. */
static real erf_inv(real x) {
  real a = fabsl(x), y = 0;
  if (a == 1) return copysignl(INFINITY, x);
  if (!(a < 1)) return NAN;
  if (a < 1e-18L) return x * 0.886226925452758013649083741670572591L;
  real w = sqrtl(-logl((1 - a) * (1 + a)));
  y = a < 0.5L ? 0.886226925452758L * a : w * (a < 0.9L ? 0.85L : 0.95L);
  for (int i = 0; i < 60; i++) {
    real error = a < 0.5L ? erfl(y) - a : (1 - a) - erfcl(y);
    real step = error / (1.1283791670955125738961589031215452L * expl(-y * y));
    y -= step > 0.3L ? 0.3L : step < -0.3L ? -0.3L : step;
  }
  return copysignl(y, x);
}
static real rsqrt(real x) { return 1 / sqrtl(x); }
static jm_kval build_rsqrt(jm_kbuilder *b, jm_kval x) {
  return jm_element_float[JM_OP_rsqrt].unary(b, x);
}

typedef struct row {
  const char *name;
  jm_float_unary *unary;
  jm_float_binary *binary;
  real (*one)(real);
  real (*two)(real, real);
  double low, high;                       /* of a dense sweep */
  double ulps_f32, ulps_f64, ulps_single; /* the last: of f32 without f64 */
} row;

static const row rows[] = {
    {"exp", jm_math_exp, NULL, expl, NULL, -110, 95, 1, 1, 1},
    {"exp", jm_math_exp, NULL, expl, NULL, -750, 712, 1, 1, 1},
    {"expm1", jm_math_expm1, NULL, expm1l, NULL, -2, 2, 2, 2, 2},
    {"expm1", jm_math_expm1, NULL, expm1l, NULL, -50, 90, 2, 2, 2},
    {"logistic", jm_math_logistic, NULL, logistic, NULL, -110, 40, 2.5, 2.5, 2.5},
    {"tanh", jm_math_tanh, NULL, tanhl, NULL, -1.5, 1.5, 2.5, 2.5, 2.5},
    {"tanh", jm_math_tanh, NULL, tanhl, NULL, -25, 25, 2.5, 2.5, 2.5},
    {"sinh", jm_math_sinh, NULL, sinhl, NULL, -3, 3, 1, 2.5, 2.5},
    {"sinh", jm_math_sinh, NULL, sinhl, NULL, -720, 720, 1, 2.5, 2.5},
    {"cosh", jm_math_cosh, NULL, coshl, NULL, -720, 720, 1, 1.5, 1.5},
    {"cosh", jm_math_cosh, NULL, coshl, NULL, -90, 90, 1, 1.5, 1.5},
    {"log", jm_math_log, NULL, logl, NULL, 0, 4, 1, 1, 1},
    {"log", jm_math_log, NULL, logl, NULL, 0.9, 1.1, 1, 1, 1},
    {"log1p", jm_math_log1p, NULL, log1pl, NULL, -1, 4, 1.5, 1.5, 1.5},
    {"log1p", jm_math_log1p, NULL, log1pl, NULL, -0.1, 0.1, 1.5, 1.5, 1.5},
    {"asinh", jm_math_asinh, NULL, asinhl, NULL, -4, 4, 1, 2.5, 2.5},
    {"acosh", jm_math_acosh, NULL, acoshl, NULL, 1, 4, 1, 2.5, 2.5},
    {"atanh", jm_math_atanh, NULL, atanhl, NULL, -1, 1, 1, 2.5, 2.5},
    {"sin", jm_math_sin, NULL, sinl, NULL, -10, 10, 1, 1, 1},
    {"sin", jm_math_sin, NULL, sinl, NULL, -1e6, 1e6, 1, 1, 1},
    {"cos", jm_math_cos, NULL, cosl, NULL, -10, 10, 1, 1, 1},
    {"tan", jm_math_tan, NULL, tanl, NULL, -10, 10, 1, 1, 1.5},
    {"asin", jm_math_asin, NULL, asinl, NULL, -1, 1, 1, 2, 2},
    {"acos", jm_math_acos, NULL, acosl, NULL, -1, 1, 1, 2, 1.5},
    {"atan2", NULL, jm_math_atan2, NULL, atan2l, -3, 3, 1, 2, 2},
    {"cbrt", jm_math_cbrt, NULL, cbrtl, NULL, -10, 10, 1, 1, 1},
    {"erf", jm_math_erf, NULL, erfl, NULL, -1.5, 1.5, 2, 2, 2},
    {"erf", jm_math_erf, NULL, erfl, NULL, -6, 6, 2, 2, 2},
    {"erfc", jm_math_erfc, NULL, erfcl, NULL, -6, 6, 4.5, 3.75, 4.5},
    {"erfc", jm_math_erfc, NULL, erfcl, NULL, 0, 28, 4.5, 3.75, 4.5},
    {"pow", NULL, jm_math_pow, NULL, powl, -3, 3, 1, 1, 1.5},
    {"pow", NULL, jm_math_pow, NULL, powl, 0.5, 90, 1, 1, 1.5},
    {"hypot", NULL, jm_math_hypot, NULL, hypotl, -3, 3, 1, 1.5, 1.5},
    {"erf_inv", jm_math_erf_inv, NULL, erf_inv, NULL, -1, 1, 4, 4, 4},
    {"erf_inv", jm_math_erf_inv, NULL, erf_inv, NULL, 0.9999, 1, 4, 4, 4},
    {"rsqrt", build_rsqrt, NULL, rsqrt, NULL, 0, 10, 2, 2, 2},
};

enum { COUNT = 40000, COMPILED_LANES = 8 };
/* Arguments of a sweep. An emulator (scripts/qemu_test.sh) is slow at long double, which aarch64
 * computes in software; the edges and an eighth of the others reach every branch. */
static int count = COUNT;

/* single: f32 without f64; scales: with the instruction fscale */
static jm_kernel *build(const row *r, jm_ktype type, bool single, bool scales, uint32_t width) {
  jm_kbuilder *b = NULL;
  jm_kernel *kernel = NULL;
  jm_kloop loop;
  CHECK_OK(jm_kbuilder_create(r->name, &b));
  jm_kbuilder_allow_f64(b, !single);
  jm_kbuilder_allow_scale(b, scales);
  uint32_t from[2], to;
  for (int i = 0; i < 2; i++) from[i] = jm_kbuild_param(b, JM_SPACE_GLOBAL, type, count, false, 0);
  to = jm_kbuild_param(b, JM_SPACE_GLOBAL, type, count, true, 0);
  jm_kbuild_loop_begin(b, width ? JM_BIND_VECTOR : JM_BIND_SERIAL, width, jm_kbuild_index(b, 0),
                       jm_kbuild_index(b, count), NULL, 0, &loop);
  jm_kval x = jm_kbuild_load(b, from[0], loop.index);
  jm_kval z = r->unary ? r->unary(b, x) : r->binary(b, x, jm_kbuild_load(b, from[1], loop.index));
  jm_kbuild_store(b, to, loop.index, z);
  jm_kbuild_loop_end(b, &loop, NULL);
  CHECK_OK(jm_kbuilder_finish(b, &kernel));
  jm_kbuilder_destroy(b);
  bool has_f64 = false;
  for (uint32_t v = 0; single && v < kernel->n_values; v++)
    has_f64 |= kernel->values[v].type == JM_KT_f64;
  CHECK(!has_f64);
  return kernel;
}

static uint64_t random_bits(void) {
  static uint64_t state = 88172645463325252u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state * 0x2545f4914f6cdd1dull;
}

/* Edges, a dense sweep with random steps, then any bits. */
static double argument(const row *r, bool wide, int i) {
  static const double edges[] = {
      0.0,      -0.0,      INFINITY,  -INFINITY, NAN,       1,       -1,
      2,        -2,        0.5,       -0.5,      3,         -3,      0x1p-126,
      0x1p-149, -0x1p-149, 0x1p-1022, 0x1p-1074, FLT_MAX,   DBL_MAX, 1e-20,
      22,       0x1p31,    -0x1p30,   88.72284,  -87.33655, -103.9,  709.782712893384,
      1e10};
  const int n_edges = sizeof edges / sizeof *edges;
  if (i < n_edges * n_edges) return edges[r->two ? i % n_edges : i / n_edges];
  if (i < count * 3 / 4)
    return r->low + (r->high - r->low) * ((double)(random_bits() >> 11) * 0x1p-53);
  uint64_t bits = random_bits();
  double x;
  float y;
  memcpy(&x, &bits, sizeof x);
  memcpy(&y, &bits, sizeof y);
  return wide ? x : (double)y;
}

static double second(const row *r, bool wide, int i) {
  const int n = 29;
  return i < n * n ? argument(&(row){.one = expl}, wide, (i / n) * n) : argument(r, wide, i);
}

/* The distance in units of the last place of a number of this size. */
static double distance(bool wide, double have, real want) {
  if (isnan(want) || isnan(have)) return isnan(want) && isnan(have) ? 0 : INFINITY;
  double rounded = wide ? (double)want : (double)(float)want;
  if (have == rounded) return signbit(have) == signbit(rounded) || want != 0 ? 0 : INFINITY;
  if (isinf(rounded) || isinf(have)) {
    /* a neighbour of infinity is as far from it as from the largest number's successor */
    double largest = wide ? DBL_MAX : FLT_MAX;
    return fabs(have) >= largest && fabs(rounded) >= largest ? 1 : INFINITY;
  }
  int exponent = want == 0 ? -20000 : ilogbl(want), least = wide ? -1022 : -126;
  real unit = ldexpl(1, (exponent < least ? least : exponent) - (wide ? 52 : 23));
  return (double)(fabsl((real)have - want) / unit);
}

static void run(const row *r, bool wide, bool single, bool scales, bool compiled,
                void *const *buffers) {
  jm_kernel *kernel =
      build(r, wide ? JM_KT_f64 : JM_KT_f32, single, scales, compiled ? COMPILED_LANES : 0);
  kernel_run(kernel, compiled, buffers);
}

/* Machines that scale by one instruction give the bits that others do. */
static void check_scaled(const row *r, bool wide, bool single, bool compiled,
                         void *const *buffers) {
  static double z[COUNT];
  void *again[] = {buffers[0], buffers[1], z};
  run(r, wide, single, true, compiled, again);
  const char *have = (const char *)z, *want = buffers[2];
  bool equal = true;
  for (int i = 0; i < count; i++) {
    const bool nans = wide ? isnan(((const double *)want)[i]) && isnan(z[i])
                           : isnan(((const float *)want)[i]) && isnan(((const float *)z)[i]);
    const size_t size = wide ? sizeof(double) : sizeof(float), at = size * (size_t)i;
    equal &= nans || !memcmp(have + at, want + at, size);
  }
  if (!equal) fprintf(stderr, "%s differs where the machine scales\n", r->name);
  CHECK(equal);
}

static void check_row(const row *r, bool wide, bool single, bool compiled) {
  static double x[COUNT], y[COUNT], z[COUNT];
  static float xf[COUNT], yf[COUNT], zf[COUNT];
  double worst = 0, at = 0, at_y = 0, bound = wide ? r->ulps_f64 : r->ulps_f32;
  if (single) bound = r->ulps_single;
  for (int i = 0; i < count; i++) {
    xf[i] = (float)(x[i] = argument(r, wide, i));
    yf[i] = (float)(y[i] = second(r, wide, i));
    if (!wide) x[i] = xf[i], y[i] = yf[i];
  }
  void *buffers[] = {x, y, z}, *narrow[] = {xf, yf, zf};
  run(r, wide, single, false, compiled, wide ? buffers : narrow);
  check_scaled(r, wide, single, compiled, wide ? buffers : narrow);
  for (int i = 0; i < count; i++) {
    real want = r->two ? r->two(x[i], y[i]) : r->one(x[i]);
    double d = distance(wide, wide ? z[i] : (double)zf[i], want);
    if (!(d > worst)) continue;
    worst = d;
    at = x[i];
    at_y = y[i];
  }
  if (LDBL_MANT_DIG <= DBL_MANT_DIG && wide) bound += 1; /* the library is no better */
  if (getenv("JM_MATH_REPORT") || worst > bound)
    fprintf(stderr, "%s of %s on [%g, %g]%s: %.3f ulp at %.17g%s %.17g\n", r->name,
            wide     ? "f64"
            : single ? "f32 alone"
                     : "f32",
            r->low, r->high, compiled ? ", compiled" : "", worst, at, r->two ? "," : " (", at_y);
  CHECK(worst <= bound);
}

static void test_sweeps(void) {
  const char *why;
  bool llvm = jm_jit_find_target(&why);
  if (getenv("JM_EMULATED")) count = COUNT / 8;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int kind = 0; kind < 3; kind++) {
      check_row(&rows[i], kind == 1, kind == 2, false);
      if (llvm) check_row(&rows[i], kind == 1, kind == 2, true);
    }
}

TEST_MAIN(test_sweeps)
