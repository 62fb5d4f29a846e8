/* SPDX-License-Identifier: Apache-2.0
 * Products of bf16 in the instructions made for them: every layout and block edge. On a machine
 * without them only that they aren't offered is tested. */
#include "engine/host/library/gemm_bf16.h"

#include "engine/host/library/gemm_amx.h"
#include "unit/gemm_case.h"
#include "unit/gemm_values.h"

static void check_sizes(const jm_narrow_kernel *kernel) {
  static const size_t rows[] = {1, 5, 12, 13, 100}, columns[] = {1, 15, 16, 17, 70, 300};
  static const size_t depths[] = {0, 1, 2, 255, 256, 257, 515};
  for (size_t i = 0; i < 5 * 6 * 7; i++)
    check_gemm_forms(kernel, rows[i % 5], columns[i / 5 % 6], depths[i / 30]);
}

static void test_vectors(void) {
  const jm_narrow_kernel *kernel = jm_gemm_bf16_find();
  if (!kernel) return;
  check_sizes(kernel);
  check_bf16_values(kernel);
}

static void test_tiles(void) {
  jm_narrow_kernel kernel;
  if (!jm_gemm_bf16_find() || !jm_gemm_amx_find(jm_gemm_bf16_find(), &kernel)) return;
  check_sizes(&kernel);
  check_bf16_values(&kernel);
}

static void test_support(void) {
  CHECK(jm_gemm_bf16_supports(JM_DT_bf16, JM_DT_bf16, JM_DT_f32) == !!jm_gemm_bf16_find());
  CHECK(!jm_gemm_bf16_supports(JM_DT_bf16, JM_DT_f32, JM_DT_f32));
  CHECK(!jm_gemm_bf16_supports(JM_DT_f16, JM_DT_f16, JM_DT_f16));
  CHECK(!jm_gemm_bf16_supports(JM_DT_bf16, JM_DT_bf16, JM_DT_f64));
}

TEST_MAIN(test_vectors, test_tiles, test_support)
