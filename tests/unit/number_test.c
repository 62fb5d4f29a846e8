/* SPDX-License-Identifier: Apache-2.0
 * The narrow number formats: every code, every rounding boundary, and the values outside a format's
 * range. The expected codes are those of ml_dtypes and XLA. */
#include "base/number.h"

#include <math.h>

#include "unit/check.h"

typedef struct format {
  jm_dtype dtype;
  uint32_t codes;    /* how many there are */
  uint32_t max;      /* code of the largest finite value */
  uint32_t infinity; /* codes that +inf, NaN and -NaN give */
  uint32_t nan, minus_nan;
  double one_code, max_value, min_value; /* the code of 1; the values of max and of code 1 */
} format;

static const format formats[] = {
    {JM_DT_f4e2m1fn, 16, 0x7, 0x7, 0x8, 0x8, 0x2, 6, 0.5},
    {JM_DT_f6e2m3fn, 64, 0x1f, 0x1f, 0x20, 0x20, 0x8, 7.5, 0.125},
    {JM_DT_f6e3m2fn, 64, 0x1f, 0x1f, 0x20, 0x20, 0xc, 28, 0.0625},
    {JM_DT_f8e3m4, 256, 0x6f, 0x70, 0x78, 0xf8, 0x30, 15.5, 0x1p-6},
    {JM_DT_f8e4m3, 256, 0x77, 0x78, 0x7c, 0xfc, 0x38, 240, 0x1p-9},
    {JM_DT_f8e4m3fn, 256, 0x7e, 0x7f, 0x7f, 0xff, 0x38, 448, 0x1p-9},
    {JM_DT_f8e4m3fnuz, 256, 0x7f, 0x80, 0x80, 0x80, 0x40, 240, 0x1p-10},
    {JM_DT_f8e4m3b11fnuz, 256, 0x7f, 0x80, 0x80, 0x80, 0x58, 30, 0x1p-13},
    {JM_DT_f8e5m2, 256, 0x7b, 0x7c, 0x7e, 0xfe, 0x3c, 57344, 0x1p-16},
    {JM_DT_f8e5m2fnuz, 256, 0x7f, 0x80, 0x80, 0x80, 0x40, 57344, 0x1p-17},
    {JM_DT_f8e8m0fnu, 256, 0xfe, 0xff, 0xff, 0xff, 0x7f, 0x1p127, 0x1p-126},
    {JM_DT_f16, 65536, 0x7bff, 0x7c00, 0x7e00, 0xfe00, 0x3c00, 65504, 0x1p-24},
    {JM_DT_bf16, 65536, 0x7f7f, 0x7f80, 0x7fc0, 0xffc0, 0x3f80, 0x1.fep127, 0x1p-133},
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

static float widen(const format *f, uint32_t code) {
  uint8_t small = (uint8_t)code;
  uint16_t large = (uint16_t)code;
  float value = 0;
  CHECK(jm_number_widen(f->dtype, f->codes > 256 ? (void *)&large : (void *)&small, &value, 1));
  return value;
}

static uint32_t read_code(const format *f, const void *p) {
  uint16_t large = 0;
  memcpy(&large, p, f->codes > 256 ? 2 : 1);
  return large;
}

static uint32_t narrow(const format *f, float value) {
  uint16_t code = 0;
  CHECK(jm_number_narrow(f->dtype, &value, &code, 1));
  return read_code(f, &code);
}

static uint32_t narrow64(const format *f, double value) {
  uint16_t code = 0;
  CHECK(jm_number_narrow_f64(f->dtype, &value, &code, 1));
  return read_code(f, &code);
}

static void test_codes(void) {
  for (int k = 0; k < N_FORMATS; k++) {
    const format *f = &formats[k];
    bool ok = true;
    for (uint32_t code = 0; code < f->codes; code++) {
      float value = widen(f, code);
      uint32_t back = narrow(f, value), back64 = narrow64(f, (double)value);
      if (isnan(value))
        ok &= isnan(widen(f, back)) && isnan(widen(f, back64));
      else
        ok &= back == code && back64 == code;
    }
    CHECK(ok);
    CHECK(widen(f, (uint32_t)f->one_code) == 1);
    CHECK(widen(f, f->max) == f->max_value);
    CHECK(widen(f, 1) == f->min_value);
    CHECK(jm_number_is_narrow(f->dtype));
  }
  CHECK(!jm_number_is_narrow(JM_DT_f32) && !jm_number_is_narrow(JM_DT_s4));
  CHECK(!jm_number_widen(JM_DT_f32, NULL, NULL, 0) && !jm_number_narrow(JM_DT_f64, NULL, NULL, 0));
}

/* Between two neighbours: just above and below the middle, and the middle itself. */
static void test_rounding(void) {
  for (int k = 0; k < N_FORMATS; k++) {
    const format *f = &formats[k];
    bool is_signed = f->dtype != JM_DT_f8e8m0fnu, ok = true, ok64 = true;
    uint32_t sign = f->codes / 2;
    for (uint32_t code = 0; code < f->max; code++) {
      double low = widen(f, code), high = widen(f, code + 1), middle = (low + high) / 2;
      /* a bare exponent's digit is always odd, so halfway goes up */
      uint32_t even = is_signed ? code + (code & 1) : code + 1;
      ok &= narrow(f, (float)middle) == even;
      ok &= narrow(f, nextafterf((float)middle, 0)) == code;
      ok &= narrow(f, nextafterf((float)middle, INFINITY)) == code + 1;
      if (is_signed && even) ok &= narrow(f, -(float)middle) == (sign | even);
      ok64 &= narrow64(f, middle) == even;
      if (f->dtype == JM_DT_bf16) continue; /* by way of f32 on purpose */
      ok64 &= narrow64(f, nextafter(middle, 0)) == code;
      ok64 &= narrow64(f, nextafter(middle, INFINITY)) == code + 1;
    }
    CHECK(ok);
    CHECK(ok64);
  }
}

static void test_outside(void) {
  for (int k = 0; k < N_FORMATS; k++) {
    const format *f = &formats[k];
    uint32_t sign = f->codes / 2;
    bool nan_is_minus_zero = f->infinity == sign;
    CHECK(narrow(f, INFINITY) == f->infinity);
    CHECK(narrow64(f, INFINITY) == f->infinity);
    CHECK(narrow(f, NAN) == f->nan && narrow64(f, NAN) == f->nan);
    CHECK(narrow(f, -NAN) == f->minus_nan && narrow64(f, -NAN) == f->minus_nan);
    if (f->dtype == JM_DT_f8e8m0fnu) {
      CHECK(narrow(f, -1) == 0xff && narrow(f, 0) == 0xff && narrow(f, -0.0f) == 0xff);
      CHECK(narrow(f, 0x1.8p127f) == 0xff && narrow(f, 0x1.7p127f) == 0xfe);
      CHECK(narrow(f, 0x1p-149f) == 0 && narrow64(f, 1e-300) == 0);
      continue;
    }
    CHECK(narrow(f, -INFINITY) == (nan_is_minus_zero ? f->infinity : sign | f->infinity));
    CHECK(narrow(f, -0.0f) == (nan_is_minus_zero ? 0 : sign));
    CHECK(narrow64(f, -1e-320) == (nan_is_minus_zero ? 0 : sign));
    /* Half a unit above the largest value, by its own last digit, is where overflow starts. */
    double step = f->max_value - widen(f, f->max - 1), over = f->max_value + step / 2;
    CHECK(narrow64(f, nextafter(over, 0)) == f->max || f->dtype == JM_DT_bf16);
    CHECK(narrow64(f, nextafter(over, INFINITY)) == f->infinity || f->dtype == JM_DT_bf16);
    CHECK(narrow64(f, over + step) == f->infinity);
  }
}

static void test_known(void) {
  CHECK(jm_f16_from_f32(65519.996f) == 0x7bff && jm_f16_from_f32(65520) == 0x7c00);
  CHECK(jm_f16_from_f32(0x1p-25f) == 0 && jm_f16_from_f32(0x1.000002p-25f) == 1);
  CHECK(jm_f16_from_f64(1 + 0x1p-11 + 0x1p-40) == 0x3c01); /* through f32: 0x3c00 */
  CHECK(jm_bf16_from_f32(1 + 0x1p-8f) == 0x3f80 && jm_bf16_from_f32(1 + 0x1.8p-7f) == 0x3f82);
  CHECK(jm_bf16_from_f64(1 + 0x1p-8 + 0x1p-40) == 0x3f80);         /* through f32, as XLA */
  CHECK(jm_bf16_from_f32(jm_f32_from_bits(0x7f800001)) == 0x7fc0); /* a NaN stays one */
  CHECK(jm_f8e4m3fn_from_f64(464) == 0x7e && jm_f8e4m3fn_from_f64(464.001) == 0x7f);
  CHECK(jm_s4_wrap(8) == -8 && jm_s4_wrap(0x0f) == -1 && jm_s4_wrap(-9) == 7);
  CHECK(jm_s2_wrap(2) == -2 && jm_s2_wrap(3) == -1 && jm_s2_wrap(5) == 1);
  CHECK(jm_u4_wrap(17) == 1 && jm_u4_wrap((uint32_t)-1) == 15 && jm_u2_wrap(7) == 3);
}

/* Arrays go through vectors; values lie between two of f16. */
static void test_halves(void) {
  enum { N = 0x8000 };
  static uint16_t codes[N + 3], back[N + 3];
  static float values[N + 3];
  for (size_t i = 0; i < N + 3; i++) codes[i] = (uint16_t)(i % N | (i % 3 ? 0x8000 : 0));
  CHECK(jm_number_widen(JM_DT_f16, codes, values, N + 3));
  bool same = true;
  for (size_t i = 0; i < N + 3; i++) {
    const float value = jm_f16_to_f32(codes[i]);
    same &= value != value ? values[i] != values[i] : values[i] == value;
    values[i] = jm_f32_from_bits(jm_f32_bits(value) + (uint32_t)(i * 2731 % 8192));
  }
  CHECK(same);
  CHECK(jm_number_narrow(JM_DT_f16, values, back, N + 3));
  for (size_t i = 0; i < N + 3; i++) same &= back[i] == jm_f16_from_f32(values[i]);
  CHECK(same);
}

TEST_MAIN(test_codes, test_rounding, test_outside, test_known, test_halves)
