/* SPDX-License-Identifier: Apache-2.0
 * convert, compare, select, clamp, reduce_precision and bitcast_convert of engine/elementwise.
 * The expected values are those of JAX on CPU. */
#include <math.h>

#include "base/convert.h"
#include "base/number.h"
#include "unit/ref_case.h"

/* -- convert */

typedef struct convert_row {
  jm_dtype from, to;
  double in, want;
} convert_row;

static const convert_row converts[] = {
    {JM_DT_f32, JM_DT_s32, 0x1p31, 2147483647},
    {JM_DT_f32, JM_DT_s32, -0x1p32, -2147483648.0},
    {JM_DT_f32, JM_DT_s32, NAN, 0},
    {JM_DT_f32, JM_DT_s32, -2.9, -2},
    {JM_DT_f64, JM_DT_s32, 2147483647.9, 2147483647},
    {JM_DT_f64, JM_DT_s32, -2147483648.9, -2147483648.0},
    {JM_DT_f32, JM_DT_u32, -1, 0},
    {JM_DT_f32, JM_DT_u32, 0x1.8p31, 0x1.8p31},
    {JM_DT_f32, JM_DT_u32, INFINITY, 4294967295.0},
    {JM_DT_f32, JM_DT_u8, 300, 255},
    {JM_DT_f32, JM_DT_s8, -300, -128},
    {JM_DT_f32, JM_DT_s16, INFINITY, 32767},
    {JM_DT_f32, JM_DT_s4, 100, 7},
    {JM_DT_f32, JM_DT_s4, -INFINITY, -8},
    {JM_DT_f32, JM_DT_u4, -3, 0},
    {JM_DT_f32, JM_DT_u2, 3.7, 3},
    {JM_DT_f32, JM_DT_s2, -3.7, -2},
    {JM_DT_f64, JM_DT_s64, 1e30, 0x1p63},
    {JM_DT_f32, JM_DT_u64, 0x1p63, 0x1p63},
    {JM_DT_f32, JM_DT_pred, -0.0, 0},
    {JM_DT_f32, JM_DT_pred, 0.5, 1},
    {JM_DT_f32, JM_DT_pred, NAN, 1},
    {JM_DT_bf16, JM_DT_s32, 257, 256},
    {JM_DT_f8e4m3fn, JM_DT_s8, 448, 127},
    {JM_DT_s32, JM_DT_s8, 300, 44},
    {JM_DT_s32, JM_DT_u8, -1, 255},
    {JM_DT_s32, JM_DT_s4, 9, -7},
    {JM_DT_s4, JM_DT_u4, -1, 15},
    {JM_DT_s4, JM_DT_s2, 6, -2},
    {JM_DT_s4, JM_DT_f32, -8, -8},
    {JM_DT_u4, JM_DT_f64, 15, 15},
    {JM_DT_s8, JM_DT_u64, -1, 0x1p64},
    {JM_DT_u32, JM_DT_s32, 4294967295.0, -1},
    {JM_DT_s32, JM_DT_f32, 16777217, 16777216},
    {JM_DT_s32, JM_DT_pred, 256, 1},
    {JM_DT_pred, JM_DT_f32, 1, 1},
    {JM_DT_pred, JM_DT_s2, 1, 1},
    {JM_DT_pred, JM_DT_bf16, 1, 1},
    {JM_DT_f64, JM_DT_f32, 1e300, INFINITY},
    {JM_DT_f64, JM_DT_f16, 1 + 0x1p-11 + 0x1p-40, 1 + 0x1p-10}, /* rounded once */
    {JM_DT_f64, JM_DT_f8e4m3fn, 1 + 0x1p-4 + 0x1p-40, 1.125},
    {JM_DT_f32, JM_DT_f8e4m3fn, 500, NAN},
    {JM_DT_f32, JM_DT_f8e5m2, 1e9, INFINITY},
    {JM_DT_f16, JM_DT_bf16, 65504, 65536},
    {JM_DT_f8e5m2, JM_DT_f8e4m3fnuz, -0.0, 0.0},
    {JM_DT_s32, JM_DT_f8e5m2, 1000, 1024},
    {JM_DT_f32, JM_DT_f8e8m0fnu, 3, 4},
    {JM_DT_f32, JM_DT_f4e2m1fn, 100, 6},
    {JM_DT_c64, JM_DT_f32, 2.5, 2.5},
    {JM_DT_c128, JM_DT_s32, -3.5, -3},
    {JM_DT_f32, JM_DT_c128, -0.0, -0.0},
    {JM_DT_s32, JM_DT_c64, 7, 7},
    {JM_DT_c64, JM_DT_bf16, 257, 256},
    {JM_DT_c128, JM_DT_c64, 1 + 0x1p-40, 1},
};

static void test_convert(void) {
  enum { N = 300 }; /* more than a block */
  int64_t dims[] = {N};
  for (size_t k = 0; k < sizeof converts / sizeof *converts; k++) {
    const convert_row *row = &converts[k];
    ref_case c;
    case_begin(&c);
    char *in = case_in(&c, row->from, 1, dims, NULL), *out = case_out(&c, row->to, 1, dims);
    case_op(&c, JM_OP_convert, NULL, 0);
    size_t in_bytes = jm_dtype_bytes(row->from), out_bytes = jm_dtype_bytes(row->to);
    for (int i = 0; i < N; i++)
      CHECK_OK(jm_convert_run(JM_DT_f64, row->from, &row->in, in + (size_t)i * in_bytes, 1));
    CHECK_OK(case_run(&c));
    bool ok = true;
    double got = 0;
    for (int i = 0; i < N; i++) {
      CHECK_OK(jm_convert_run(row->to, JM_DT_f64, out + (size_t)i * out_bytes, &got, 1));
      ok &= isnan(row->want) ? isnan(got) : got == row->want && signbit(got) == signbit(row->want);
    }
    if (!ok)
      fprintf(stderr, "%s(%g) to %s: %g\n", jm_dtype_name(row->from), row->in,
              jm_dtype_name(row->to), got);
    CHECK(ok);
    case_end(&c);
  }
}

static void test_convert_all(void) {
  char in[16] = {1}, out[16];
  for (jm_dtype from = 0; from < JM_N_DTYPES; from++)
    for (jm_dtype to = 0; to < JM_N_DTYPES; to++) {
      if (from != JM_DT_token && to != JM_DT_token)
        CHECK_OK(jm_convert_run(from, to, in, out, 1));
      else if (from != to)
        CHECK_FAILS(jm_convert_run(from, to, in, out, 1), JM_UNIMPLEMENTED, "token");
    }
  float pair[] = {1, -2};
  double wide[2];
  CHECK_OK(jm_convert_run(JM_DT_c64, JM_DT_c128, pair, wide, 1));
  CHECK(wide[0] == 1 && wide[1] == -2);
  CHECK_OK(jm_convert_run(JM_DT_f32, JM_DT_c64, (float[]){5}, pair, 1));
  CHECK(pair[0] == 5 && pair[1] == 0);
  union {
    int32_t integers[2];
    float floats[2];
  } in_place = {{-3, 9}};
  CHECK_OK(jm_convert_run(JM_DT_s32, JM_DT_f32, &in_place, &in_place, 2));
  CHECK(in_place.floats[0] == -3 && in_place.floats[1] == 9);
}

/* -- compare */

/* The values in ascending total order; equal neighbours under the usual one are the two zeros. */
static void test_compare(void) {
  static const double values[] = {-NAN, -INFINITY, -1.5, -0.0, 0.0, 1, INFINITY, NAN};
  enum { N = sizeof values / sizeof *values };
  static const jm_dtype dtypes[] = {JM_DT_f16, JM_DT_bf16, JM_DT_f32, JM_DT_f64, JM_DT_f8e5m2};
  int64_t dims[] = {N * N};
  for (size_t t = 0; t < sizeof dtypes / sizeof *dtypes; t++)
    for (int total = 0; total < 2; total++)
      for (int direction = JM_COMPARE_EQ; direction <= JM_COMPARE_LT; direction++) {
        ref_case c;
        case_begin(&c);
        size_t bytes = jm_dtype_bytes(dtypes[t]);
        char *a = case_in(&c, dtypes[t], 1, dims, NULL), *b = case_in(&c, dtypes[t], 1, dims, NULL);
        for (size_t i = 0; i < N * N; i++) {
          CHECK_OK(jm_convert_run(JM_DT_f64, dtypes[t], &values[i / N], a + i * bytes, 1));
          CHECK_OK(jm_convert_run(JM_DT_f64, dtypes[t], &values[i % N], b + i * bytes, 1));
        }
        uint8_t *out = case_out(&c, JM_DT_pred, 1, dims);
        jm_compare_attrs attrs = {.direction = (jm_direction)direction,
                                  .order = total ? JM_ORDER_TOTAL : JM_ORDER_FLOAT};
        case_op(&c, JM_OP_compare, &attrs, 0);
        CHECK_OK(case_run(&c));
        bool ok = true;
        for (size_t i = 0; i < N * N; i++) {
          double x = total ? (double)(i / N) : values[i / N];
          double y = total ? (double)(i % N) : values[i % N];
          bool want[] = {x == y, x != y, x >= y, x > y, x <= y, x < y};
          ok &= out[i] == want[direction];
        }
        CHECK(ok);
        case_end(&c);
      }
}

static bool compare_one(jm_dtype dtype, const void *x, const void *y, jm_direction direction) {
  ref_case c;
  case_begin(&c);
  case_in(&c, dtype, 0, NULL, x);
  case_in(&c, dtype, 0, NULL, y);
  uint8_t *out = case_out(&c, JM_DT_pred, 0, NULL);
  case_op(&c, JM_OP_compare, &(jm_compare_attrs){.direction = direction}, 0);
  CHECK_OK(case_run(&c));
  bool result = *out;
  case_end(&c);
  return result;
}

static void test_compare_others(void) {
  CHECK(compare_one(JM_DT_s8, (int8_t[]){-1}, (int8_t[]){1}, JM_COMPARE_LT));
  CHECK(compare_one(JM_DT_u8, (uint8_t[]){255}, (uint8_t[]){1}, JM_COMPARE_GT));
  CHECK(compare_one(JM_DT_s4, (uint8_t[]){0x0f}, (uint8_t[]){1}, JM_COMPARE_LT));
  CHECK(compare_one(JM_DT_s4, (uint8_t[]){0x0f}, (uint8_t[]){0xff}, JM_COMPARE_EQ));
  CHECK(compare_one(JM_DT_u4, (uint8_t[]){0x0f}, (uint8_t[]){1}, JM_COMPARE_GE));
  CHECK(compare_one(JM_DT_pred, (uint8_t[]){1}, (uint8_t[]){2}, JM_COMPARE_EQ));
  CHECK(compare_one(JM_DT_u64, (uint64_t[]){UINT64_MAX}, (uint64_t[]){1}, JM_COMPARE_GT));
  CHECK(compare_one(JM_DT_s64, (int64_t[]){-1}, (int64_t[]){1}, JM_COMPARE_LE));
  CHECK(compare_one(JM_DT_f8e4m3fnuz, (uint8_t[]){0x80}, (uint8_t[]){0x80}, JM_COMPARE_NE));
  float z[] = {1, 2}, w[] = {1, 3}, n[] = {NAN, 0};
  CHECK(compare_one(JM_DT_c64, z, z, JM_COMPARE_EQ) &&
        !compare_one(JM_DT_c64, z, w, JM_COMPARE_EQ));
  CHECK(compare_one(JM_DT_c64, z, w, JM_COMPARE_NE) && compare_one(JM_DT_c64, n, n, JM_COMPARE_NE));
  ref_case c;
  case_begin(&c);
  case_in(&c, JM_DT_c128, 0, NULL, NULL);
  case_in(&c, JM_DT_c128, 0, NULL, NULL);
  case_out(&c, JM_DT_pred, 0, NULL);
  case_op(&c, JM_OP_compare, &(jm_compare_attrs){.direction = JM_COMPARE_LT}, 0);
  CHECK_FAILS(case_run(&c), JM_UNIMPLEMENTED, "c128");
  case_end(&c);
}

/* -- select and clamp */

static void test_select(void) {
  static const jm_dtype dtypes[] = {JM_DT_s4, JM_DT_bf16, JM_DT_f32, JM_DT_f64, JM_DT_c128};
  int64_t dims[] = {77};
  for (size_t t = 0; t < sizeof dtypes / sizeof *dtypes; t++)
    for (int scalar = 0; scalar < 2; scalar++)
      for (int in_place = 0; in_place < 3; in_place++) {
        ref_case c;
        case_begin(&c);
        uint8_t *pred = case_in(&c, JM_DT_pred, scalar ? 0 : 1, dims, NULL);
        for (int i = 0; i < (scalar ? 1 : 77); i++) pred[i] &= 1;
        case_in(&c, dtypes[t], 1, dims, NULL);
        case_in(&c, dtypes[t], 1, dims, NULL);
        case_out(&c, dtypes[t], 1, dims);
        case_op(&c, JM_OP_select, NULL, 0);
        CHECK_OK(case_run(&c));
        jm_tensor got = c.out[0];
        bool ok = true;
        for (int64_t i = 0; i < 77; i++)
          ok &= case_same(&got, i, &c.in[pred[scalar ? 0 : i] ? 1 : 2], i);
        CHECK(ok);
        if (in_place) {
          c.out[0].data = c.in[in_place].data;
          CHECK_OK(case_run(&c));
          CHECK(!memcmp(c.out[0].data, got.data, jm_type_bytes(got.type)));
          c.out[0] = got;
        }
        case_end(&c);
      }
}

/* scalar bounds or not; the result in place of the operand or of a bound */
static float clamp_one(float lo, float x, float hi, bool scalar, int in_place) {
  enum { N = 600 };
  int64_t dims[] = {N};
  ref_case c;
  case_begin(&c);
  float *a = case_in(&c, JM_DT_f32, scalar ? 0 : 1, dims, NULL);
  float *b = case_in(&c, JM_DT_f32, 1, dims, NULL);
  float *d = case_in(&c, JM_DT_f32, scalar ? 0 : 1, dims, NULL);
  for (int i = 0; i < N; i++) b[i] = x;
  for (int i = 0; i < (scalar ? 1 : N); i++) a[i] = lo, d[i] = hi;
  case_out(&c, JM_DT_f32, 1, dims);
  case_op(&c, JM_OP_clamp, NULL, 0);
  void *own = c.out[0].data;
  if (in_place >= 0) c.out[0].data = c.in[in_place].data;
  CHECK_OK(case_run(&c));
  float *r = c.out[0].data, first = r[0];
  bool ok = true;
  for (int i = 0; i < N; i++) ok &= r[i] == first || (isnan(r[i]) && isnan(first));
  CHECK(ok);
  c.out[0].data = own;
  case_end(&c);
  return first;
}

static void test_clamp(void) {
  for (int in_place = -1; in_place < 3; in_place++)
    for (int scalar = 0; scalar < 2; scalar++) {
      if (scalar && (in_place == 0 || in_place == 2)) continue;
      CHECK(clamp_one(-1, 5, 1, scalar, in_place) == 1);
      CHECK(clamp_one(-1, -5, 1, scalar, in_place) == -1);
      CHECK(clamp_one(-1, 0.5f, 1, scalar, in_place) == 0.5f);
      CHECK(clamp_one(3, 5, 1, scalar, in_place) == 1); /* bounds the wrong way round */
      CHECK(isnan(clamp_one(-1, NAN, 1, scalar, in_place)));
      CHECK(isnan(clamp_one(NAN, 0, 1, scalar, in_place)));
      CHECK(isnan(clamp_one(-1, 3, NAN, scalar, in_place)));
      CHECK(!signbit(clamp_one(0, -0.0f, 1, scalar, in_place)));
      CHECK(signbit(clamp_one(-1, 0, -0.0f, scalar, in_place)));
    }
}

/* -- reduce_precision */

static uint64_t reduce_one(jm_dtype dtype, uint64_t bits, int exponent, int mantissa) {
  ref_case c;
  case_begin(&c);
  case_in(&c, dtype, 0, NULL, &bits);
  uint64_t *out = case_out(&c, dtype, 0, NULL), result = 0;
  jm_reduce_precision_attrs attrs = {.exponent_bits = exponent, .mantissa_bits = mantissa};
  case_op(&c, JM_OP_reduce_precision, &attrs, 0);
  CHECK_OK(case_run(&c));
  memcpy(&result, out, jm_dtype_bytes(dtype));
  case_end(&c);
  return result;
}

static float reduce_f32(float x, int exponent, int mantissa) {
  return jm_f32_from_bits((uint32_t)reduce_one(JM_DT_f32, jm_f32_bits(x), exponent, mantissa));
}

static void test_reduce_precision(void) {
  CHECK(reduce_f32(1 + 0x1p-11f, 5, 10) == 1 && reduce_f32(1 + 0x1.8p-10f, 5, 10) == 1 + 0x1p-9f);
  CHECK(reduce_f32(65520, 5, 10) == INFINITY && reduce_f32(65519, 5, 10) == 65504);
  CHECK(reduce_f32(-65520, 5, 10) == -INFINITY);
  CHECK(reduce_f32(0x1p-14f, 5, 10) == 0x1p-14f);
  CHECK(reduce_f32(0x1p-15f, 5, 10) == 0); /* no subnormals */
  CHECK(signbit(reduce_f32(-0x1p-15f, 5, 10)));
  CHECK(isnan(reduce_f32(NAN, 2, 0)) && isinf(reduce_f32(INFINITY, 2, 0)));
  CHECK(reduce_f32(1.5f, 8, 0) == 2 && reduce_f32(3, 8, 0) == 2); /* to the even exponent */
  CHECK(reduce_f32(0.1f, 8, 23) == 0.1f && reduce_f32(0.1f, 11, 52) == 0.1f);
  CHECK(reduce_one(JM_DT_f64, jm_f64_bits(1 + 0x1p-30), 8, 23) == jm_f64_bits(1));
  CHECK(reduce_one(JM_DT_f64, jm_f64_bits(1e300), 8, 23) == jm_f64_bits(INFINITY));
  CHECK(reduce_one(JM_DT_f16, 1, 5, 10) == 1); /* a format as wide as the type changes nothing */
  CHECK(reduce_one(JM_DT_f16, 1, 8, 7) == 0 && reduce_one(JM_DT_bf16, 0x3f81, 8, 6) == 0x3f80);
  CHECK(reduce_one(JM_DT_f8e5m2, 0x3d, 5, 1) == 0x3c && reduce_one(JM_DT_f8e5m2, 1, 5, 2) == 1);
  CHECK(reduce_one(JM_DT_f8e8m0fnu, 0x80, 8, 3) == 0x80);
}

/* -- bitcast_convert */

static void check_bitcast(jm_dtype from, int64_t n_in, const void *in, jm_dtype to, int64_t n_out,
                          const void *want) {
  ref_case c;
  case_begin(&c);
  case_in(&c, from, 1, &n_in, in);
  void *out = case_out(&c, to, 1, &n_out);
  case_op(&c, JM_OP_bitcast_convert, NULL, 0);
  CHECK_OK(case_run(&c));
  CHECK(!memcmp(out, want, jm_type_bytes(c.out[0].type)));
  case_end(&c);
}

static void test_bitcast(void) {
  check_bitcast(JM_DT_f32, 1, (float[]){1}, JM_DT_u32, 1, (uint32_t[]){0x3f800000});
  check_bitcast(JM_DT_u32, 1, (uint32_t[]){0x04030201}, JM_DT_u8, 4, (uint8_t[]){1, 2, 3, 4});
  check_bitcast(JM_DT_u16, 2, (uint16_t[]){0, 0x3f80}, JM_DT_f32, 1, (float[]){1});
  check_bitcast(JM_DT_u8, 2, (uint8_t[]){0x2f, 0x71}, JM_DT_s4, 4, (int8_t[]){-1, 2, 1, 7});
  check_bitcast(JM_DT_s4, 4, (uint8_t[]){0x0f, 2, 0xf1, 7}, JM_DT_u8, 2, (uint8_t[]){0x2f, 0x71});
  check_bitcast(JM_DT_s4, 4, (int8_t[]){-1, 2, 1, 7}, JM_DT_s16, 1, (int16_t[]){0x712f});
  check_bitcast(JM_DT_u32, 1, (uint32_t[]){0xe4}, JM_DT_u2, 16, (uint8_t[16]){0, 1, 2, 3});
  check_bitcast(JM_DT_u4, 1, (uint8_t[]){0x9}, JM_DT_s2, 2, (int8_t[]){1, -2});
  check_bitcast(JM_DT_s4, 2, (int8_t[]){-8, 7}, JM_DT_u4, 2, (uint8_t[]){8, 7});
  check_bitcast(JM_DT_f4e2m1fn, 2, (uint8_t[]){0xf, 1}, JM_DT_s4, 2, (int8_t[]){-1, 1});
  ref_case c;
  case_begin(&c);
  int64_t dims[] = {2};
  case_in(&c, JM_DT_f32, 1, dims, NULL);
  case_out(&c, JM_DT_c64, 0, NULL);
  case_op(&c, JM_OP_bitcast_convert, NULL, 0);
  CHECK_FAILS(case_run(&c), JM_UNIMPLEMENTED, "complex");
  case_end(&c);
}

TEST_MAIN(test_convert, test_convert_all, test_compare, test_compare_others, test_select,
          test_clamp, test_reduce_precision, test_bitcast)
