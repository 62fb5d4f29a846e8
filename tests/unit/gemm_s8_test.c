/* SPDX-License-Identifier: Apache-2.0
 * Products of int8 in the instructions made for them: every layout and block edge, with operands of
 * the whole range. On a machine without them only that they aren't offered is tested. */
#include "engine/host/library/gemm_s8.h"

#include "engine/host/library/gemm_amx.h"
#include "unit/gemm_case.h"

static void check_sizes(const jm_narrow_kernel *kernel) {
  static const size_t rows[] = {1, 5, 6, 13, 100, 200}, columns[] = {1, 15, 16, 17, 70, 200};
  static const size_t depths[] = {0, 1, 2, 3, 4, 63, 65, 300, 511, 513, 1100};
  for (size_t i = 0; i < 6 * 6 * 11; i++)
    check_gemm_forms(kernel, rows[i % 6], columns[i / 6 % 6], depths[i / 36]);
}

static void test_vectors(void) {
  if (jm_gemm_s8_find()) check_sizes(jm_gemm_s8_find());
}

static void test_tiles(void) {
  jm_narrow_kernel kernel;
  if (jm_gemm_s8_find() && jm_gemm_amx_find(jm_gemm_s8_find(), &kernel)) check_sizes(&kernel);
}

static void test_support(void) {
  CHECK(jm_gemm_s8_supports(JM_DT_s8, JM_DT_s8, JM_DT_s32) == !!jm_gemm_s8_find());
  CHECK(!jm_gemm_s8_supports(JM_DT_s8, JM_DT_u8, JM_DT_s32));
  CHECK(!jm_gemm_s8_supports(JM_DT_u8, JM_DT_s8, JM_DT_s32));
  CHECK(!jm_gemm_s8_supports(JM_DT_s8, JM_DT_s8, JM_DT_s8));
}

TEST_MAIN(test_vectors, test_tiles, test_support)
