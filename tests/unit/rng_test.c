/* SPDX-License-Identifier: Apache-2.0
 * Random numbers of the library: bits and states against those of XLA's CPU backend, and
 * the ranges and moments of rng. */
#include <math.h>

#include "engine/host/library/library.h"
#include "unit/check.h"
#include "unit/oracle.h"

jm_call_fn jm_library_rng_bit_generator, jm_library_rng;

static const jm_type *type_of(jm_module *m, jm_dtype dtype, uint32_t rank, const int64_t *dims) {
  const jm_type *type = NULL;
  CHECK_OK(jm_module_type(m, dtype, rank, dims, &type));
  return type;
}

static jm_error *bits(jm_rng_algorithm algorithm, jm_dtype state_dtype, int64_t state_size,
                      const void *state, void *new_state, jm_dtype dtype, uint32_t rank,
                      const int64_t *dims, void *out) {
  jm_module *m;
  CHECK_OK(jm_module_create(&m));
  jm_rng_bit_generator_attrs attrs = {.algorithm = algorithm};
  jm_op op = {.code = JM_OP_rng_bit_generator, .n_operands = 1, .n_results = 2, .attrs = &attrs};
  const jm_type *state_type = type_of(m, state_dtype, 1, &state_size);
  uint64_t copy[4] = {0};
  memcpy(copy, state, jm_type_bytes(state_type));
  jm_tensor in = {state_type, copy};
  jm_tensor outputs[] = {{state_type, new_state}, {type_of(m, dtype, rank, dims), out}};
  jm_call call = {m, &op, &in, outputs, NULL};
  jm_error *error = jm_library_rng_bit_generator(&call);
  if (!error) check_oracle(&call, 0);
  jm_module_destroy(m);
  return error;
}

#define KEY 0x123456789abcdef0

static void test_vectors(void) {
  static const struct {
    jm_rng_algorithm algorithm;
    jm_dtype dtype;
    uint32_t rank;
    int64_t dims[2];
    uint64_t counter; /* of the new state; the old one is -2 */
    uint64_t expected[15];
  } rows[] = {
      {JM_RNG_DEFAULT,
       JM_DT_u32,
       1,
       {5},
       0,
       {0xbbd856ff, 0xb795d4a1, 0x9db4dbb7, 0xb129d7a7, 0x583ddf1e}},
      {JM_RNG_PHILOX,
       JM_DT_s32,
       1,
       {5},
       0,
       {0xbbd856ff, 0xb795d4a1, 0x9db4dbb7, 0xb129d7a7, 0x583ddf1e}},
      {JM_RNG_PHILOX,
       JM_DT_u64,
       1,
       {3},
       0,
       {0xb795d4a1bbd856ff, 0xb129d7a79db4dbb7, 0xb3bb590c583ddf1e}},
      {JM_RNG_PHILOX, JM_DT_u16, 1, {6}, 0, {0x56ff, 0xd4a1, 0xdbb7, 0xd7a7, 0xdf1e, 0x590c}},
      {JM_RNG_PHILOX, JM_DT_u8, 1, {5}, 0, {0xff, 0xa1, 0xb7, 0xa7, 0x1e}},
      {JM_RNG_PHILOX, JM_DT_u8, 1, {0}, (uint64_t)-2, {0}},
      {JM_RNG_THREE_FRY,
       JM_DT_u32,
       1,
       {5},
       1,
       {0x3c3b507a, 0x7093e72c, 0xa4317ba7, 0x21f1aaca, 0x5eff803d}},
      {JM_RNG_THREE_FRY,
       JM_DT_u32,
       2,
       {3, 2},
       1,
       {0x3c3b507a, 0x7093e72c, 0xa4317ba7, 0x21f1aaca, 0x5eff803d, 0x4ce380f9}},
      {JM_RNG_THREE_FRY,
       JM_DT_u32,
       2,
       {3, 5},
       7,
       {0x3c3b507a, 0x7093e72c, 0xa4317ba7, 0x21f1aaca, 0x5eff803d, 0x394bdefc, 0x64dfd0ae,
        0x523f5786, 0x4028dd8d, 0x553d0168, 0x1f390015, 0xf9d09cb9, 0x81171b02, 0x41fa7d1c,
        0x8393e486}},
      {JM_RNG_THREE_FRY,
       JM_DT_u64,
       1,
       {3},
       1,
       {0x7093e72c3c3b507a, 0x21f1aacaa4317ba7, 0x4ce380f95eff803d}},
      {JM_RNG_THREE_FRY, JM_DT_u8, 1, {7}, 2, {0x7a, 0x2c, 0xa7, 0xca, 0x3d, 0xf9, 0xfc}},
      {JM_RNG_THREE_FRY, JM_DT_s16, 0, {0}, (uint64_t)-1, {0x507a}},
  };
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    uint64_t state[2], out[15] = {0};
    CHECK_OK(bits(rows[r].algorithm, JM_DT_u64, 2, (uint64_t[]){KEY, (uint64_t)-2}, state,
                  rows[r].dtype, rows[r].rank, rows[r].dims, out));
    CHECK(state[0] == KEY && state[1] == rows[r].counter);
    size_t n = 1, bytes = jm_dtype_bytes(rows[r].dtype), wrong = 0;
    for (uint32_t d = 0; d < rows[r].rank; d++) n *= (size_t)rows[r].dims[d];
    for (size_t i = 0; i < n; i++)
      wrong += memcmp((char *)out + i * bytes, &rows[r].expected[i], bytes) != 0;
    CHECK(wrong == 0);
  }
}

/* 65539 elements: an odd length, counters beyond 2^16 words and a carry out of the low half. */
static void test_long(void) {
  static uint32_t out[65539];
  static const struct {
    jm_rng_algorithm algorithm;
    uint64_t counter, sum;
    uint32_t xor, last;
  } rows[] = {{JM_RNG_THREE_FRY, 0x8000, 0x7ff0673a9563, 0x8c608ab, 0x67a257b1},
              {JM_RNG_PHILOX, 0x3fff, 0x805f09141955, 0xb2a4767d, 0x5705b24f}};
  for (size_t r = 0; r < 2; r++) {
    uint64_t state[2], sum = 0;
    uint32_t xor = 0;
    int64_t n = 65539;
    CHECK_OK(bits(rows[r].algorithm, JM_DT_u64, 2, (uint64_t[]){KEY, (uint64_t)-2}, state,
                  JM_DT_u32, 1, &n, out));
    for (int64_t i = 0; i < n; i++) sum += out[i], xor ^= out[i];
    CHECK(state[1] == rows[r].counter);
    CHECK(sum == rows[r].sum && xor== rows[r].xor &&out[n - 1] == rows[r].last);
  }
}

/* Philox with a counter of its own in both halves. */
static void test_long_state(void) {
  static const uint32_t expected[] = {0x3282737c, 0x95362b70, 0xfa7836e3,
                                      0xabb1fb44, 0xe983884e, 0x4d04182f};
  uint64_t state[3];
  uint32_t out[6];
  int64_t n = 6;
  CHECK_OK(bits(JM_RNG_PHILOX, JM_DT_u64, 3, (uint64_t[]){7, UINT64_MAX, 9}, state, JM_DT_u32, 1,
                &n, out));
  CHECK(state[0] == 7 && state[1] == 1 && state[2] == 10);
  CHECK(memcmp(out, expected, sizeof out) == 0);
}

static jm_error *draw(jm_rng_distribution distribution, jm_dtype dtype, const void *a,
                      const void *b, int64_t n, void *out) {
  jm_module *m;
  CHECK_OK(jm_module_create(&m));
  jm_rng_attrs attrs = {.distribution = distribution};
  jm_op op = {.code = JM_OP_rng, .n_operands = 2, .n_results = 1, .attrs = &attrs};
  const jm_type *scalar = type_of(m, dtype, 0, NULL);
  jm_tensor in[] = {{scalar, (void *)(uintptr_t)a}, {scalar, (void *)(uintptr_t)b}};
  jm_tensor result = {type_of(m, dtype, 1, &n), out};
  jm_error *error = jm_library_rng(&(jm_call){m, &op, in, &result, NULL});
  jm_module_destroy(m);
  return error;
}

enum { N = 20000 };

static void test_uniform(void) {
  static float x[N], other[N];
  CHECK_OK(draw(JM_DISTRIBUTION_UNIFORM, JM_DT_f32, &(float){-2}, &(float){3}, N, x));
  CHECK_OK(draw(JM_DISTRIBUTION_UNIFORM, JM_DT_f32, &(float){-2}, &(float){3}, N, other));
  double sum = 0;
  size_t outside = 0;
  for (size_t i = 0; i < N; i++) sum += x[i], outside += !(x[i] >= -2 && x[i] < 3);
  CHECK(outside == 0);
  CHECK(fabs(sum / N - 0.5) < 0.08); /* 8 standard deviations */
  CHECK(memcmp(x, other, sizeof x) != 0);

  /* Draws near the end round up to it in a narrow type: they must not. */
  static uint16_t half[N];
  CHECK_OK(
      draw(JM_DISTRIBUTION_UNIFORM, JM_DT_bf16, &(uint16_t){0x3f80}, &(uint16_t){0x3f81}, N, half));
  outside = 0;
  for (size_t i = 0; i < N; i++) outside += half[i] != 0x3f80;
  CHECK(outside == 0);
}

static void test_integers(void) {
  static int32_t x[N];
  static int64_t wide[N];
  size_t counts[5] = {0}, outside = 0, high = 0;
  CHECK_OK(draw(JM_DISTRIBUTION_UNIFORM, JM_DT_s32, &(int32_t){-2}, &(int32_t){3}, N, x));
  for (size_t i = 0; i < N; i++)
    if (x[i] < -2 || x[i] > 2)
      outside++;
    else
      counts[x[i] + 2]++;
  CHECK(outside == 0);
  for (size_t v = 0; v < 5; v++) CHECK(counts[v] > N / 5 - 600 && counts[v] < N / 5 + 600);
  CHECK_OK(draw(JM_DISTRIBUTION_UNIFORM, JM_DT_s64, &(int64_t){INT64_MIN}, &(int64_t){INT64_MAX}, N,
                wide));
  for (size_t i = 0; i < N; i++) high += wide[i] >= 0;
  CHECK(high > N / 2 - 700 && high < N / 2 + 700);
  static uint8_t pred[N];
  CHECK_OK(draw(JM_DISTRIBUTION_UNIFORM, JM_DT_pred, &(uint8_t){0}, &(uint8_t){1}, N, pred));
  for (size_t i = 0; i < N; i++) outside += pred[i] != 0;
  CHECK(outside == 0);
}

static void test_normal(void) {
  static double x[N];
  double sum = 0, squares = 0;
  CHECK_OK(draw(JM_DISTRIBUTION_NORMAL, JM_DT_f64, &(double){5}, &(double){2}, N, x));
  for (size_t i = 0; i < N; i++) sum += x[i] - 5, squares += (x[i] - 5) * (x[i] - 5);
  CHECK(fabs(sum / N) < 0.12);
  CHECK(fabs(squares / N - 4) < 0.33);
}

TEST_MAIN(test_vectors, test_long, test_long_state, test_uniform, test_integers, test_normal)
