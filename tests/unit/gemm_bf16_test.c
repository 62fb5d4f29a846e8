/* SPDX-License-Identifier: Apache-2.0
 * Products of bf16 in the instruction made for them: every layout and block edge against exact
 * sums, and what the instruction does with rounding, subnormals and NaN. On a machine without it
 * only that it isn't offered is tested. */
#include "engine/host/library/gemm_bf16.h"

#include <math.h>
#include <stdlib.h>

#include "unit/check.h"

static uint16_t narrow(float x) { /* to nearest even */
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static bool has_instruction(void) {
  return jm_gemm_bf16_supports(JM_DT_bf16, JM_DT_bf16, JM_DT_f32);
}

/* Transposed: consecutive columns instead of rows. gap: elements between rows. */
static void check_product(size_t m, size_t n, size_t k, bool a_transposed, bool b_transposed,
                          size_t gap, jm_dtype result) {
  size_t lda = (a_transposed ? m : k) + gap, ldb = (b_transposed ? k : n) + gap, ldc = n + gap;
  uint16_t *a = calloc((m + k) * lda + 1, sizeof *a), *b = calloc((n + k) * ldb + 1, sizeof *b);
  int *x = calloc(m * k + 1, sizeof *x), *y = calloc(k * n + 1, sizeof *y);
  char *c = malloc(m * ldc * 4 + 1);
  memset(c, 0xff, m * ldc * 4);
  unsigned state = 1;
  jm_gemm g = {JM_DT_bf16, m, n, k, a, 0, 0, b, 0, 0, c, ldc, false, false};
  g.a_row = a_transposed ? 1 : (ptrdiff_t)lda, g.a_col = a_transposed ? (ptrdiff_t)lda : 1;
  g.b_row = b_transposed ? 1 : (ptrdiff_t)ldb, g.b_col = b_transposed ? (ptrdiff_t)ldb : 1;
  for (size_t i = 0; i < m; i++)
    for (size_t l = 0; l < k; l++) {
      x[i * k + l] = (int)((state = state * 1664525u + 1013904223u) >> 24) % 19 - 9;
      a[(ptrdiff_t)i * g.a_row + (ptrdiff_t)l * g.a_col] = narrow((float)x[i * k + l]);
    }
  for (size_t l = 0; l < k; l++)
    for (size_t j = 0; j < n; j++) {
      y[l * n + j] = (int)((state = state * 1664525u + 1013904223u) >> 24) % 19 - 9;
      b[(ptrdiff_t)l * g.b_row + (ptrdiff_t)j * g.b_col] = narrow((float)y[l * n + j]);
    }
  CHECK_OK(jm_gemm_bf16_run(&g, result));
  size_t wrong = 0;
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < ldc; j++) {
      if (j >= n) { /* what lies between the rows stays */
        wrong += result == JM_DT_f32 ? ((uint32_t *)c)[i * ldc + j] != 0xffffffffu
                                     : ((uint16_t *)c)[i * ldc + j] != 0xffff;
        continue;
      }
      int sum = 0;
      for (size_t l = 0; l < k; l++) sum += x[i * k + l] * y[l * n + j];
      if (result == JM_DT_f32)
        wrong += ((float *)c)[i * ldc + j] != (float)sum;
      else
        wrong += ((uint16_t *)c)[i * ldc + j] != narrow((float)sum);
    }
  CHECK(!wrong);
  if (wrong)
    fprintf(stderr, "  %zu x %zu x %zu, transposed %d %d, gap %zu: %zu wrong\n", m, n, k,
            a_transposed, b_transposed, gap, wrong);
  free(a), free(b), free(c), free(x), free(y);
}

static void test_sizes(void) {
  static const size_t rows[] = {1, 5, 12, 13, 100}, columns[] = {1, 15, 16, 17, 70, 300};
  static const size_t depths[] = {0, 1, 2, 255, 256, 257, 515};
  for (size_t i = 0; has_instruction() && i < 5 * 6 * 7; i++)
    for (int form = 0; form < 8; form++)
      check_product(rows[i % 5], columns[i / 5 % 6], depths[i / 30], form & 1, form & 2,
                    form & 4 ? 3 : 0, (i + (size_t)form) % 3 ? JM_DT_bf16 : JM_DT_f32);
}

static float dot(const float *x, const float *y, size_t k, jm_dtype result) {
  uint16_t a[8], b[8], narrowed = 0;
  float sum = 0;
  for (size_t l = 0; l < k; l++) a[l] = narrow(x[l]), b[l] = narrow(y[l]);
  void *c = result == JM_DT_f32 ? (void *)&sum : (void *)&narrowed;
  const jm_gemm g = {JM_DT_bf16, 1, 1, k, a, 1, 1, b, 1, 1, c, 1, false, false};
  CHECK_OK(jm_gemm_bf16_run(&g, result));
  uint32_t bits = (uint32_t)narrowed << 16;
  if (result != JM_DT_f32) memcpy(&sum, &bits, sizeof sum);
  return sum;
}

static void test_values(void) {
  if (!has_instruction()) return;
  const float one[] = {1, 1, 1, 1}, tie_down[] = {256, 1}, tie_up[] = {258, 1};
  CHECK(dot(tie_down, one, 2, JM_DT_bf16) == 256);
  CHECK(dot(tie_up, one, 2, JM_DT_bf16) == 260);
  CHECK(dot(tie_up, one, 2, JM_DT_f32) == 259); /* rounded once, at the end */
  const float infinite[] = {INFINITY, 1}, zero[] = {0, 1};
  CHECK(isnan(dot(infinite, zero, 2, JM_DT_bf16)) && isnan(dot(infinite, zero, 2, JM_DT_f32)));
  CHECK(dot(infinite, one, 2, JM_DT_bf16) == INFINITY);
  CHECK(dot(infinite, one, 1, JM_DT_f32) == INFINITY); /* what pads an odd depth is no NaN */
  const float huge[] = {0x1p127f, 0x1p127f};
  CHECK(dot(huge, one, 2, JM_DT_bf16) == INFINITY);
  const float tiny[] = {0x1p-130f}, least[] = {0x1p-126f}, half[] = {0.5f}, large[] = {0x1p120f};
  CHECK(dot(tiny, large, 1, JM_DT_f32) == 0); /* a subnormal operand, a subnormal sum */
  CHECK(dot(least, half, 1, JM_DT_f32) == 0);
  CHECK(dot(least, one, 1, JM_DT_f32) == 0x1p-126f);
}

static void test_support(void) {
  CHECK(!jm_gemm_bf16_supports(JM_DT_bf16, JM_DT_f32, JM_DT_f32));
  CHECK(!jm_gemm_bf16_supports(JM_DT_f16, JM_DT_f16, JM_DT_f16));
  CHECK(!jm_gemm_bf16_supports(JM_DT_bf16, JM_DT_bf16, JM_DT_f64));
}

TEST_MAIN(test_sizes, test_values, test_support)
