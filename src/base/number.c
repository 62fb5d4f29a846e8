/* SPDX-License-Identifier: Apache-2.0 */
#include "base/number.h"

#include "base/loop.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

/* NUMBER(name, storage): every format of number.h */
#define NARROW(name, exponent, mantissa, bias, kind) NUMBER(name, uint8_t)
#define NUMBER(name, storage)                                          \
  JM_CLONES                                                            \
  static void widen_##name(const void *in, float *out, size_t n) {     \
    const storage *x = in;                                             \
    for (size_t i = 0; i < n; i++) out[i] = jm_##name##_to_f32(x[i]);  \
  }                                                                    \
  JM_CLONES                                                            \
  static void narrow_##name(const float *in, void *out, size_t n) {    \
    storage *r = out;                                                  \
    for (size_t i = 0; i < n; i++) r[i] = jm_##name##_from_f32(in[i]); \
  }                                                                    \
  JM_CLONES                                                            \
  static void narrow64_##name(const double *in, void *out, size_t n) { \
    storage *r = out;                                                  \
    for (size_t i = 0; i < n; i++) r[i] = jm_##name##_from_f64(in[i]); \
  }
#include "base/number.def"
NUMBER(f8e8m0fnu, uint8_t)
NUMBER(f16, uint16_t)
NUMBER(bf16, uint16_t)
#undef NUMBER

/* The same by instructions, where the machine has them; but that a signalling NaN becomes quiet. */
#if defined(__x86_64__) && defined(__GNUC__)
#define HALF __attribute__((target("avx,f16c")))
enum { HALVES = 8 };

HALF static void widen_halves(const uint16_t *x, float *out, size_t n) {
  for (size_t i = 0; i < n; i += HALVES)
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x + i))));
}

HALF static void narrow_halves(const float *x, uint16_t *out, size_t n) {
  for (size_t i = 0; i < n; i += HALVES)
    _mm_storeu_si128((__m128i *)(out + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
}

/* How many of n numbers the instructions convert: whole vectors. F16C has no name that every clang
 * knows; processors with AVX2 have it. */
static size_t count_halves(size_t n) {
  return __builtin_cpu_supports("avx2") ? n / HALVES * HALVES : 0;
}
#else
#define widen_halves(x, out, n) ((void)0)
#define narrow_halves(x, out, n) ((void)0)
static size_t count_halves(size_t n) { return 0 * n; }
#endif

static void widen_half(const void *in, float *out, size_t n) {
  const size_t whole = count_halves(n);
  widen_halves(in, out, whole);
  widen_f16((const uint16_t *)in + whole, out + whole, n - whole);
}

static void narrow_half(const float *in, void *out, size_t n) {
  const size_t whole = count_halves(n);
  narrow_halves(in, out, whole);
  narrow_f16(in + whole, (uint16_t *)out + whole, n - whole);
}

typedef struct number {
  void (*widen)(const void *, float *, size_t);
  void (*narrow)(const float *, void *, size_t);
  void (*narrow64)(const double *, void *, size_t);
} number;

static const number numbers[JM_N_DTYPES] = {
#define NARROW(name, exponent, mantissa, bias, kind) NUMBER(name)
#define NUMBER(name) [JM_DT_##name] = {widen_##name, narrow_##name, narrow64_##name},
#include "base/number.def"
    NUMBER(f8e8m0fnu) NUMBER(bf16)
#undef NUMBER
        [JM_DT_f16] = {widen_half, narrow_half, narrow64_f16},
};

bool jm_number_is_narrow(jm_dtype dtype) { return numbers[dtype].widen; }

bool jm_number_is_nan(jm_dtype dtype, uint64_t bits) {
  float x = 0;
  if (dtype == JM_DT_f64) return (bits & INT64_MAX) > 0x7ff0000000000000u;
  if (dtype == JM_DT_f32) return (bits & INT32_MAX) > 0x7f800000u;
  return jm_number_widen(dtype, &bits, &x, 1) && x != x; /* little-endian */
}

bool jm_number_widen(jm_dtype dtype, const void *in, float *out, size_t n) {
  if (!numbers[dtype].widen) return false;
  numbers[dtype].widen(in, out, n);
  return true;
}

bool jm_number_narrow(jm_dtype dtype, const float *in, void *out, size_t n) {
  if (!numbers[dtype].narrow) return false;
  numbers[dtype].narrow(in, out, n);
  return true;
}

bool jm_number_narrow_f64(jm_dtype dtype, const double *in, void *out, size_t n) {
  if (!numbers[dtype].narrow64) return false;
  numbers[dtype].narrow64(in, out, n);
  return true;
}
