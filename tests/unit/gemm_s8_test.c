/* SPDX-License-Identifier: Apache-2.0
 * Products of int8 in the instruction made for them: every layout and block edge, with operands of
 * the whole range. On a machine without it only that it isn't offered is tested. */
#include "engine/host/library/gemm_s8.h"

#include <stdlib.h>

#include "unit/check.h"

static unsigned state = 1;

/* The least and the largest often: their products are what a sum of four could overflow by. */
static int8_t number(void) {
  unsigned bits = (state = state * 1664525u + 1013904223u) >> 20;
  return (int8_t)(bits & 0x300 ? (int)(bits & 0xff) - 128 : bits & 1 ? 127 : -128);
}

/* Transposed: consecutive columns instead of rows. gap: elements between rows. */
static void check_product(size_t m, size_t n, size_t k, bool a_transposed, bool b_transposed,
                          size_t gap) {
  size_t lda = (a_transposed ? m : k) + gap, ldb = (b_transposed ? k : n) + gap, ldc = n + gap;
  size_t in_a = (m + k) * lda, in_b = (n + k) * ldb, in_c = m * ldc;
  int8_t *a = malloc(in_a + 1), *b = malloc(in_b + 1);
  int32_t *c = malloc(in_c * sizeof *c + 1);
  for (size_t i = 0; i < in_a; i++) a[i] = number();
  for (size_t i = 0; i < in_b; i++) b[i] = number();
  memset(c, 0x5a, in_c * sizeof *c);
  jm_gemm g = {JM_DT_s8, m, n, k, a, 0, 0, b, 0, 0, c, ldc, false, false};
  g.a_row = a_transposed ? 1 : (ptrdiff_t)lda, g.a_col = a_transposed ? (ptrdiff_t)lda : 1;
  g.b_row = b_transposed ? 1 : (ptrdiff_t)ldb, g.b_col = b_transposed ? (ptrdiff_t)ldb : 1;
  CHECK_OK(jm_gemm_s8_run(&g, JM_DT_s32));
  size_t wrong = 0;
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < ldc; j++) {
      int32_t sum = 0;
      for (size_t l = 0; l < k && j < n; l++)
        sum += a[(ptrdiff_t)i * g.a_row + (ptrdiff_t)l * g.a_col] *
               b[(ptrdiff_t)l * g.b_row + (ptrdiff_t)j * g.b_col];
      wrong += c[i * ldc + j] != (j < n ? sum : 0x5a5a5a5a); /* what lies between rows stays */
    }
  CHECK(!wrong);
  if (wrong)
    fprintf(stderr, "  %zu x %zu x %zu, transposed %d %d, gap %zu: %zu wrong\n", m, n, k,
            a_transposed, b_transposed, gap, wrong);
  free(a), free(b), free(c);
}

static void test_sizes(void) {
  static const size_t rows[] = {1, 5, 6, 13, 100, 200}, columns[] = {1, 15, 16, 17, 70, 200};
  static const size_t depths[] = {0, 1, 2, 3, 4, 63, 65, 300};
  if (!jm_gemm_s8_supports(JM_DT_s8, JM_DT_s8, JM_DT_s32)) return;
  for (size_t i = 0; i < 6 * 6 * 8; i++)
    for (int form = 0; form < 8; form++)
      check_product(rows[i % 6], columns[i / 6 % 6], depths[i / 36], form & 1, form & 2,
                    form & 4 ? 3 : 0);
}

static void test_support(void) {
  CHECK(!jm_gemm_s8_supports(JM_DT_s8, JM_DT_u8, JM_DT_s32));
  CHECK(!jm_gemm_s8_supports(JM_DT_u8, JM_DT_s8, JM_DT_s32));
  CHECK(!jm_gemm_s8_supports(JM_DT_s8, JM_DT_s8, JM_DT_s8));
}

TEST_MAIN(test_sizes, test_support)
