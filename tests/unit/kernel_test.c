/* SPDX-License-Identifier: Apache-2.0
 * The elementwise kernels of engine/elementwise: that every op has one for every type it permits,
 * and edge values. The expected values are those of JAX on CPU. */
#include <complex.h>
#include <math.h>

#include "base/number.h"
#include "engine/host/library/functions.h"
#include "unit/ref_case.h"

/* ops.def's classes as jm_op_fact.types has them, for real floats without a complex type */
static bool has_kernel(jm_opcode code, jm_dtype dtype) {
  return code != JM_OP_complex || dtype == JM_DT_f32 || dtype == JM_DT_f64;
}

static void test_complete(void) {
  int n = 0;
  for (jm_opcode code = 0; code < JM_N_OPS; code++) {
    if (jm_library_fns[code] != jm_elementwise_run) continue;
    for (jm_dtype d = 0; d < JM_N_DTYPES; d++) {
      bool allowed = jm_op_facts[code].types >> jm_dtype_classof(d) & 1 && has_kernel(code, d);
      bool present = jm_elementwise_find(code, d);
      if (allowed != present)
        fprintf(stderr, "%s of %s\n", jm_op_facts[code].name, jm_dtype_name(d));
      CHECK(allowed == present);
      n += present;
    }
  }
  CHECK(n > 800);
}

/* -- integers */

static int64_t load_integer(jm_dtype d, const void *p) {
  int64_t v = 0;
  CHECK_OK(jm_convert_run(d, JM_DT_s64, p, &v, 1));
  return v;
}

typedef struct integer_row {
  jm_opcode code;
  jm_dtype dtype;
  int64_t x, y, want;
} integer_row;

static const integer_row integers[] = {
    {JM_OP_add, JM_DT_s32, INT32_MAX, 1, INT32_MIN},
    {JM_OP_add, JM_DT_u8, 255, 1, 0},
    {JM_OP_add, JM_DT_s4, 7, 1, -8},
    {JM_OP_add, JM_DT_u2, 3, 2, 1},
    {JM_OP_add, JM_DT_pred, 1, 1, 1},
    {JM_OP_multiply, JM_DT_pred, 1, 0, 0},
    {JM_OP_maximum, JM_DT_pred, 1, 0, 1},
    {JM_OP_minimum, JM_DT_pred, 1, 0, 0},
    {JM_OP_xor, JM_DT_pred, 1, 1, 0},
    {JM_OP_not, JM_DT_pred, 1, 0, 0},
    {JM_OP_not, JM_DT_u4, 5, 0, 10},
    {JM_OP_not, JM_DT_s16, 0, 0, -1},
    {JM_OP_subtract, JM_DT_s64, INT64_MIN, 1, INT64_MAX},
    {JM_OP_subtract, JM_DT_u32, 0, 1, UINT32_MAX},
    {JM_OP_multiply, JM_DT_u16, 65535, 65535, 1},
    {JM_OP_multiply, JM_DT_s32, 65536, 65536, 0},
    {JM_OP_multiply, JM_DT_s2, -2, -2, 0},
    {JM_OP_divide, JM_DT_s32, -7, 2, -3},
    {JM_OP_divide, JM_DT_s32, 5, 0, -1},
    {JM_OP_divide, JM_DT_s32, INT32_MIN, -1, INT32_MIN},
    {JM_OP_divide, JM_DT_s64, INT64_MIN, -1, INT64_MIN},
    {JM_OP_divide, JM_DT_s8, -128, -1, -128},
    {JM_OP_divide, JM_DT_s4, -8, -1, -8},
    {JM_OP_divide, JM_DT_s4, 3, 0, -1},
    {JM_OP_divide, JM_DT_u8, 5, 0, 255},
    {JM_OP_divide, JM_DT_u4, 5, 0, 15},
    {JM_OP_divide, JM_DT_u32, UINT32_MAX, UINT32_MAX, 1},
    {JM_OP_remainder, JM_DT_s32, -7, 2, -1},
    {JM_OP_remainder, JM_DT_s32, 7, -2, 1},
    {JM_OP_remainder, JM_DT_s32, -5, 0, -5},
    {JM_OP_remainder, JM_DT_s32, INT32_MIN, -1, 0},
    {JM_OP_remainder, JM_DT_s64, INT64_MIN, -1, 0},
    {JM_OP_remainder, JM_DT_u64, 5, 0, 5},
    {JM_OP_shift_left, JM_DT_s32, 7, 3, 56},
    {JM_OP_shift_left, JM_DT_s32, 7, 32, 0},
    {JM_OP_shift_left, JM_DT_s32, 7, -1, 0},
    {JM_OP_shift_left, JM_DT_s8, 1, 7, -128},
    {JM_OP_shift_left, JM_DT_u4, 15, 2, 12},
    {JM_OP_shift_left, JM_DT_u4, 15, 4, 0},
    {JM_OP_shift_right_logical, JM_DT_s8, -1, 1, 127},
    {JM_OP_shift_right_logical, JM_DT_s4, -1, 1, 7},
    {JM_OP_shift_right_logical, JM_DT_s64, -1, 64, 0},
    {JM_OP_shift_right_logical, JM_DT_u16, 65535, 15, 1},
    {JM_OP_shift_right_arithmetic, JM_DT_s32, -5, 33, -1},
    {JM_OP_shift_right_arithmetic, JM_DT_s32, 7, -1, 0},
    {JM_OP_shift_right_arithmetic, JM_DT_s4, -8, 2, -2},
    {JM_OP_shift_right_arithmetic, JM_DT_u8, 0x80, 1, 0xc0},
    {JM_OP_shift_right_arithmetic, JM_DT_u4, 8, 1, 12},
    {JM_OP_power, JM_DT_s32, -3, 3, -27},
    {JM_OP_power, JM_DT_s32, 0, 0, 1},
    {JM_OP_power, JM_DT_s32, 2, -1, 0},
    {JM_OP_power, JM_DT_s32, 1, -5, 1},
    {JM_OP_power, JM_DT_s32, -1, -3, -1},
    {JM_OP_power, JM_DT_s32, -1, -4, 1},
    {JM_OP_power, JM_DT_u8, 3, 6, 217},
    {JM_OP_power, JM_DT_s64, 3, 39, 4052555153018976267},
    {JM_OP_abs, JM_DT_s8, -128, 0, -128},
    {JM_OP_abs, JM_DT_s32, -5, 0, 5},
    {JM_OP_abs, JM_DT_u8, 200, 0, 200},
    {JM_OP_negate, JM_DT_s32, INT32_MIN, 0, INT32_MIN},
    {JM_OP_negate, JM_DT_u8, 1, 0, 255},
    {JM_OP_sign, JM_DT_s16, -9, 0, -1},
    {JM_OP_sign, JM_DT_u8, 200, 0, 1},
    {JM_OP_sign, JM_DT_s4, -8, 0, -1},
    {JM_OP_popcnt, JM_DT_s32, -1, 0, 32},
    {JM_OP_popcnt, JM_DT_s4, -1, 0, 4},
    {JM_OP_popcnt, JM_DT_u64, 255, 0, 8},
    {JM_OP_count_leading_zeros, JM_DT_s32, 0, 0, 32},
    {JM_OP_count_leading_zeros, JM_DT_s8, 1, 0, 7},
    {JM_OP_count_leading_zeros, JM_DT_u4, 1, 0, 3},
    {JM_OP_count_leading_zeros, JM_DT_s64, -1, 0, 0},
    {JM_OP_maximum, JM_DT_u32, UINT32_MAX, 1, UINT32_MAX},
    {JM_OP_maximum, JM_DT_s32, -1, 1, 1},
    {JM_OP_minimum, JM_DT_s4, -8, 7, -8},
    {JM_OP_and, JM_DT_s8, -2, 3, 2},
    {JM_OP_or, JM_DT_u16, 0x0f, 0xf0, 0xff},
    {JM_OP_xor, JM_DT_s2, -1, 1, -2},
};

/* Many lanes, and the output in place of either input: the vector loops and their tails. */
enum { LANES = 531 };

static void test_integers(void) {
  for (size_t k = 0; k < sizeof integers / sizeof *integers; k++) {
    const integer_row *row = &integers[k];
    jm_elementwise_kernel *kernel = jm_elementwise_find(row->code, row->dtype);
    size_t bytes = jm_dtype_bytes(row->dtype);
    uint64_t x[LANES], y[LANES], out[LANES];
    bool ok = true;
    for (int where = 0; where < 3; where++) {
      for (size_t i = 0; i < LANES; i++) {
        CHECK_OK(jm_convert_run(JM_DT_s64, row->dtype, &row->x, (char *)x + i * bytes, 1));
        CHECK_OK(jm_convert_run(JM_DT_s64, row->dtype, &row->y, (char *)y + i * bytes, 1));
      }
      const void *in[2] = {x, y};
      uint64_t *results[] = {out, x, y};
      kernel(in, results[where], LANES);
      for (size_t i = 0; i < LANES; i++)
        ok &= load_integer(row->dtype, (char *)results[where] + i * bytes) == row->want;
    }
    if (!ok)
      fprintf(stderr, "%s of %s(%lld, %lld)\n", jm_op_facts[row->code].name,
              jm_dtype_name(row->dtype), (long long)row->x, (long long)row->y);
    CHECK(ok);
  }
}

/* A byte of s4 or u4 may have anything in its upper half. */
static void test_upper_bits(void) {
  uint8_t x[] = {0x0f, 0xff, 0x71}, y[] = {0x01, 0xf1, 0x01}, out[3];
  const void *in[2] = {x, y};
  jm_elementwise_find(JM_OP_add, JM_DT_s4)(in, out, 3);
  CHECK(out[0] == 0 && out[1] == 0 && out[2] == 2);
  jm_elementwise_find(JM_OP_divide, JM_DT_u4)(in, out, 3);
  CHECK(out[0] == 15 && out[1] == 15 && out[2] == 1);
  jm_elementwise_find(JM_OP_negate, JM_DT_s4)(in, out, 3);
  CHECK(out[0] == 1 && out[1] == 1 && out[2] == 0xff);
}

/* -- floats */

typedef struct float_row {
  jm_opcode code;
  double x, y, want;
} float_row;

static const float_row floats[] = {
    {JM_OP_maximum, 0.0, -0.0, 0.0},
    {JM_OP_maximum, -0.0, 0.0, 0.0},
    {JM_OP_maximum, -0.0, -0.0, -0.0},
    {JM_OP_maximum, NAN, 1, NAN},
    {JM_OP_maximum, 1, NAN, NAN},
    {JM_OP_maximum, -INFINITY, -1, -1},
    {JM_OP_minimum, 0.0, -0.0, -0.0},
    {JM_OP_minimum, -0.0, 0.0, -0.0},
    {JM_OP_minimum, 0.0, 0.0, 0.0},
    {JM_OP_minimum, NAN, 1, NAN},
    {JM_OP_minimum, 1, NAN, NAN},
    {JM_OP_sign, -0.0, 0, -0.0},
    {JM_OP_sign, NAN, 0, NAN},
    {JM_OP_sign, -INFINITY, 0, -1},
    {JM_OP_abs, -0.0, 0, 0.0},
    {JM_OP_negate, 0.0, 0, -0.0},
    {JM_OP_round_nearest_even, 2.5, 0, 2},
    {JM_OP_round_nearest_even, -0.5, 0, -0.0},
    {JM_OP_round_nearest_afz, 2.5, 0, 3},
    {JM_OP_round_nearest_afz, -0.5, 0, -1},
    {JM_OP_floor, -0.5, 0, -1},
    {JM_OP_ceil, -0.5, 0, -0.0},
    {JM_OP_divide, 1, 0.0, INFINITY},
    {JM_OP_divide, 1, -0.0, -INFINITY},
    {JM_OP_divide, 0.0, 0.0, NAN},
    {JM_OP_remainder, -7, 2, -1},
    {JM_OP_remainder, -4, 2, -0.0},
    {JM_OP_remainder, 5, INFINITY, 5},
    {JM_OP_remainder, 1, 0.0, NAN},
    {JM_OP_power, NAN, 0, 1},
    {JM_OP_power, 1, NAN, 1},
    {JM_OP_power, -2, 3, -8},
    {JM_OP_power, 0.0, -1, INFINITY},
    {JM_OP_sqrt, -0.0, 0, -0.0},
    {JM_OP_sqrt, -1, 0, NAN},
    {JM_OP_rsqrt, 0.0, 0, INFINITY},
    {JM_OP_rsqrt, 0.25, 0, 2},
    {JM_OP_cbrt, -8, 0, -2},
    {JM_OP_logistic, -INFINITY, 0, 0.0},
    {JM_OP_logistic, 0.0, 0, 0.5},
    {JM_OP_logistic, NAN, 0, NAN},
    {JM_OP_exponential, -INFINITY, 0, 0.0},
    {JM_OP_exponential, INFINITY, 0, INFINITY},
    {JM_OP_exponential, 0.0, 0, 1},
    {JM_OP_exponential, NAN, 0, NAN},
    {JM_OP_exponential_minus_one, -0.0, 0, -0.0},
    {JM_OP_exponential_minus_one, -INFINITY, 0, -1},
    {JM_OP_log, 0.0, 0, -INFINITY},
    {JM_OP_log, -1, 0, NAN},
    {JM_OP_log, 1, 0, 0.0},
    {JM_OP_log, INFINITY, 0, INFINITY},
    {JM_OP_log_plus_one, -0.0, 0, -0.0},
    {JM_OP_log_plus_one, -1, 0, -INFINITY},
    {JM_OP_log_plus_one, -2, 0, NAN},
    {JM_OP_tanh, -0.0, 0, -0.0},
    {JM_OP_tanh, INFINITY, 0, 1},
    {JM_OP_tanh, -INFINITY, 0, -1},
    {JM_OP_tanh, NAN, 0, NAN},
    {JM_OP_erf, -0.0, 0, -0.0},
    {JM_OP_erf, INFINITY, 0, 1},
    {JM_OP_erf, NAN, 0, NAN},
    {JM_OP_erfc, -INFINITY, 0, 2},
    {JM_OP_atan2, 0.0, -0.0, 0x1.921fb54442d18p1},
    {JM_OP_atan2, -0.0, 1, -0.0},
    {JM_OP_imag, 3, 0, 0.0},
    {JM_OP_real, -0.0, 0, -0.0},
    {JM_OP_add, INFINITY, -INFINITY, NAN},
    {JM_OP_multiply, 0.0, INFINITY, NAN},
    {JM_OP_subtract, 0.0, 0.0, 0.0},
};

static bool same_value(double a, double b) {
  return isnan(a) ? isnan(b) : a == b && !signbit(a) == !signbit(b);
}

static void test_floats(void) {
  static const jm_dtype dtypes[] = {JM_DT_f32, JM_DT_f64, JM_DT_f16, JM_DT_bf16, JM_DT_f8e5m2};
  for (size_t k = 0; k < sizeof floats / sizeof *floats; k++)
    for (size_t t = 0; t < sizeof dtypes / sizeof *dtypes; t++) {
      const float_row *row = &floats[k];
      jm_dtype d = dtypes[t];
      size_t bytes = jm_dtype_bytes(d);
      double x[LANES], y[LANES], out[LANES], got, want;
      bool ok = true;
      CHECK_OK(jm_convert_run(JM_DT_f64, d, &row->want, out, 1));
      CHECK_OK(jm_convert_run(d, JM_DT_f64, out, &want, 1));
      for (int where = 0; where < 3; where++) {
        for (size_t i = 0; i < LANES; i++) {
          CHECK_OK(jm_convert_run(JM_DT_f64, d, &row->x, (char *)x + i * bytes, 1));
          CHECK_OK(jm_convert_run(JM_DT_f64, d, &row->y, (char *)y + i * bytes, 1));
        }
        const void *in[2] = {x, y};
        double *results[] = {out, x, y};
        jm_elementwise_find(row->code, d)(in, results[where], LANES);
        for (size_t i = 0; i < LANES; i++) {
          CHECK_OK(jm_convert_run(d, JM_DT_f64, (char *)results[where] + i * bytes, &got, 1));
          ok &= same_value(got, want);
        }
      }
      if (!ok)
        fprintf(stderr, "%s of %s(%g, %g) = %g\n", jm_op_facts[row->code].name, jm_dtype_name(d),
                row->x, row->y, got);
      CHECK(ok);
    }
}

/* Distance of two floats of one sign in units of the last place. */
static double ulps(float got, double want) {
  if (isnan(want) || isinf((float)want)) return same_value((float)want, got) ? 0 : INFINITY;
  int exponent;
  frexp(want, &exponent);
  return fabs(got - want) / ldexp(1, exponent < -125 ? -149 : exponent - 24);
}

static double logistic(double x) { return 1 / (1 + exp(-x)); }

/* f32's functions against the C library's in double. */
static void test_accuracy(void) {
#define FUNCTION(op, fn, low, high) {JM_OP_##op, fn, low, high, false}
#define ROUNDED(op, fn, low, high) {JM_OP_##op, fn, low, high, true}
  static const struct {
    jm_opcode code;
    double (*exact)(double);
    float low, high; /* exponents of 2 of the arguments' sizes */
    bool rounded;    /* computed in f64 by vector_math.h */
  } functions[] = {
      ROUNDED(exponential, exp, -30, 7),   ROUNDED(exponential_minus_one, expm1, -30, 7),
      ROUNDED(log, log, -126, 127),        ROUNDED(log_plus_one, log1p, -40, 127),
      ROUNDED(logistic, logistic, -30, 6), ROUNDED(tanh, tanh, -40, 5),
      ROUNDED(erf, erf, -40, 3),           FUNCTION(erfc, erfc, -20, 3.2f),
      FUNCTION(sine, sin, -20, 10),        FUNCTION(cosine, cos, -20, 10),
      FUNCTION(tan, tan, -20, 10),         FUNCTION(cbrt, cbrt, -126, 127),
      FUNCTION(asin, asin, -20, 0),        FUNCTION(acos, acos, -20, 0),
      FUNCTION(sinh, sinh, -20, 6),        FUNCTION(cosh, cosh, -20, 6),
      FUNCTION(asinh, asinh, -20, 20),     FUNCTION(acosh, acosh, 0, 20),
      FUNCTION(atanh, atanh, -20, 0),      FUNCTION(sqrt, sqrt, -126, 127),
  };
#undef FUNCTION
#undef ROUNDED
  enum { N = 4000 };
  for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
    float x[N], got[N];
    for (int i = 0; i < N; i++) {
      float size = functions[k].low + (functions[k].high - functions[k].low) * (float)i / N;
      float digits = 1 + (float)(rand() % 4096) / 4096;
      x[i] = exp2f(floorf(size)) * digits * (i & 1 ? -1 : 1);
    }
    const void *in[1] = {x};
    jm_elementwise_find(functions[k].code, JM_DT_f32)(in, got, N);
    double worst = 0, at = 0;
    for (int i = 0; i < N; i++) {
      double error = ulps(got[i], functions[k].exact(x[i]));
      if (error > worst) worst = error, at = x[i];
    }
    double allowed = functions[k].rounded ? 0.51 : 2.5;
    if (worst > allowed)
      fprintf(stderr, "%s: %g ulp at %a\n", jm_op_facts[functions[k].code].name, worst, at);
    CHECK(worst <= allowed);
  }
}

static void test_is_finite(void) {
  float x[] = {1, INFINITY, -INFINITY, NAN, -0.0f};
  uint8_t out[5], f8[] = {0x7b, 0x7c, 0x7e, 0xfc, 0x80};
  const void *in[1] = {x};
  jm_elementwise_find(JM_OP_is_finite, JM_DT_f32)(in, out, 5);
  CHECK(out[0] == 1 && !out[1] && !out[2] && !out[3] && out[4] == 1);
  in[0] = f8;
  jm_elementwise_find(JM_OP_is_finite, JM_DT_f8e5m2)(in, out, 5);
  CHECK(out[0] == 1 && !out[1] && !out[2] && !out[3] && out[4] == 1);
}

/* bf16 rounds after every op: 256 + 1 is no bf16, and halfway goes to even. */
static void test_narrow_rounding(void) {
  uint16_t x[] = {jm_bf16_from_f32(256), jm_bf16_from_f32(258)}, y[2], out[2];
  y[0] = y[1] = jm_bf16_from_f32(1);
  const void *in[2] = {x, y};
  jm_elementwise_find(JM_OP_add, JM_DT_bf16)(in, out, 2);
  CHECK(jm_bf16_to_f32(out[0]) == 256 && jm_bf16_to_f32(out[1]) == 260);
}

/* -- complex */

typedef struct complex_row {
  jm_opcode code;
  double x[2], y[2], want[2];
} complex_row;

#define PI 0x1.921fb54442d18p1
static const complex_row complexes[] = {
    {JM_OP_add, {1, 2}, {3, -5}, {4, -3}},
    {JM_OP_multiply, {1, 2}, {3, 4}, {-5, 10}},
    {JM_OP_multiply, {INFINITY, 0}, {1, 0}, {INFINITY, NAN}}, /* no repair as in C's Annex G */
    {JM_OP_divide, {-5, 10}, {3, 4}, {1, 2}},
    {JM_OP_divide, {1, 0}, {0, 0}, {INFINITY, NAN}},
    {JM_OP_divide, {1, 1}, {INFINITY, INFINITY}, {0, 0}},
    {JM_OP_divide, {INFINITY, INFINITY}, {-1, 0}, {-INFINITY, -INFINITY}},
    {JM_OP_maximum, {1, 2}, {1, 3}, {1, 3}},
    {JM_OP_maximum, {2, 0}, {1, 3}, {2, 0}},
    {JM_OP_maximum, {NAN, 1}, {1, 0}, {1, 0}},
    {JM_OP_minimum, {1, 2}, {1, 3}, {1, 2}},
    {JM_OP_negate, {0, -1}, {0, 0}, {-0.0, 1}},
    {JM_OP_sign, {3, -4}, {0, 0}, {0.6, -0.8}},
    {JM_OP_sign, {-0.0, 0}, {0, 0}, {-0.0, 0}},
    {JM_OP_sqrt, {-4, 0}, {0, 0}, {0, 2}},
    {JM_OP_rsqrt, {-4, 0}, {0, 0}, {0, -0.5}},
    {JM_OP_log, {-1, 0}, {0, 0}, {0, PI}},
    {JM_OP_log_plus_one, {-1, 0x1p-60}, {0, 0}, {-0x1.4cb5ecf0a9651p5, PI / 2}},
    {JM_OP_exponential, {-INFINITY, 1}, {0, 0}, {0, 0}},
    {JM_OP_exponential_minus_one, {0, 0}, {0, 0}, {0, 0}},
    {JM_OP_exponential_minus_one, {-INFINITY, 1}, {0, 0}, {-1, 0}},
    {JM_OP_exponential_minus_one, {-INFINITY, NAN}, {0, 0}, {NAN, NAN}},
    {JM_OP_exponential_minus_one, {INFINITY, INFINITY}, {0, 0}, {NAN, NAN}},
    {JM_OP_logistic, {0, 0}, {0, 0}, {0.5, 0}},
    {JM_OP_tanh, {400, 1}, {0, 0}, {1, 0}},
    {JM_OP_power, {0, 0}, {0, 0}, {1, 0}},
    {JM_OP_power, {0, 0}, {2, 0}, {0, 0}},
    {JM_OP_power, {NAN, 0}, {0, 0}, {1, 0}},
    {JM_OP_power, {0, 1}, {2, 0}, {-1, 0}},
};

static bool near_value(double a, double b) {
  return same_value(a, b) || fabs(a - b) <= 1e-6 * fmax(1, fabs(b));
}

static void test_complex(void) {
  for (size_t k = 0; k < sizeof complexes / sizeof *complexes; k++) {
    const complex_row *row = &complexes[k];
    double out[2];
    const void *in[2] = {row->x, row->y};
    jm_elementwise_find(row->code, JM_DT_c128)(in, out, 1);
    bool ok = near_value(out[0], row->want[0]) && near_value(out[1], row->want[1]);
    float x[2] = {(float)row->x[0], (float)row->x[1]}, y[2] = {(float)row->y[0], (float)row->y[1]};
    const void *in32[2] = {x, y};
    jm_elementwise_find(row->code, JM_DT_c64)(in32, x, 1);
    ok &= near_value(x[0], row->want[0]) && near_value(x[1], row->want[1]);
    if (!ok)
      fprintf(stderr, "%s(%g+%gi, %g+%gi) = %g+%gi, c64 %g+%gi\n", jm_op_facts[row->code].name,
              row->x[0], row->x[1], row->y[0], row->y[1], out[0], out[1], x[0], x[1]);
    CHECK(ok);
  }
  float z[] = {3, -4, 0, 0}, re[2];
  const void *in[1] = {z};
  jm_elementwise_find(JM_OP_abs, JM_DT_c64)(in, re, 2);
  CHECK(re[0] == 5 && re[1] == 0);
  jm_elementwise_find(JM_OP_imag, JM_DT_c64)(in, re, 2);
  CHECK(re[0] == -4 && re[1] == 0);
  const void *parts[2] = {(float[]){1, 2}, (float[]){3, 4}};
  jm_elementwise_find(JM_OP_complex, JM_DT_f32)(parts, z, 2);
  CHECK(z[0] == 1 && z[1] == 3 && z[2] == 2 && z[3] == 4);
}

/* log|1 + z| where |1 + z| is 1 but for the last digits: 2 re + re^2 + im^2 cancels. */
static void test_log_plus_one_cancels(void) {
  double z[2] = {-0x1p-21, 0x1p-10}, out[2]; /* 2 re + im^2 = 0, so the result is re^2 / 2 */
  const void *in[1] = {z};
  jm_elementwise_find(JM_OP_log_plus_one, JM_DT_c128)(in, out, 1);
  CHECK(fabs(out[0] - 0x1p-43) < 1e-12 * 0x1p-43);
}

static void test_unsupported(void) {
  ref_case c;
  case_begin(&c);
  case_in(&c, JM_DT_pred, 0, NULL, NULL);
  case_out(&c, JM_DT_pred, 0, NULL);
  case_op(&c, JM_OP_tanh, NULL, 0);
  CHECK_FAILS(case_run(&c), JM_UNIMPLEMENTED, "pred");
  case_end(&c);
}

TEST_MAIN(test_complete, test_integers, test_upper_bits, test_floats, test_accuracy, test_is_finite,
          test_narrow_rounding, test_complex, test_log_plus_one_cancels, test_unsupported)
