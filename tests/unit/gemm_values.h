/* SPDX-License-Identifier: Apache-2.0
 * What instructions for bf16 do with rounding, subnormals and NaN. */
#ifndef JM_TESTS_GEMM_VALUES_H
#define JM_TESTS_GEMM_VALUES_H

#include <math.h>

#include "unit/gemm_case.h"

static inline float dot_bf16(const jm_narrow_kernel *kernel, const float *x, const float *y,
                             size_t k, jm_dtype result) {
  uint16_t a[8], b[8], narrowed = 0;
  float sum = 0;
  for (size_t l = 0; l < k; l++) a[l] = narrow_float(x[l]), b[l] = narrow_float(y[l]);
  void *c = result == JM_DT_f32 ? (void *)&sum : (void *)&narrowed;
  const jm_gemm g = {JM_DT_bf16, 1, 1, k, a, 1, 1, b, 1, 1, c, 1, false, false};
  CHECK_OK(jm_gemm_narrow_run(kernel, &g, result));
  uint32_t bits = (uint32_t)narrowed << 16;
  if (result != JM_DT_f32) memcpy(&sum, &bits, sizeof sum);
  return sum;
}

static inline void check_bf16_values(const jm_narrow_kernel *kernel) {
  const float one[] = {1, 1, 1, 1}, tie_down[] = {256, 1}, tie_up[] = {258, 1};
  CHECK(dot_bf16(kernel, tie_down, one, 2, JM_DT_bf16) == 256);
  CHECK(dot_bf16(kernel, tie_up, one, 2, JM_DT_bf16) == 260);
  CHECK(dot_bf16(kernel, tie_up, one, 2, JM_DT_f32) == 259); /* rounded once, at the end */
  const float infinite[] = {INFINITY, 1}, zero[] = {0, 1};
  CHECK(isnan(dot_bf16(kernel, infinite, zero, 2, JM_DT_bf16)));
  CHECK(isnan(dot_bf16(kernel, infinite, zero, 2, JM_DT_f32)));
  CHECK(dot_bf16(kernel, infinite, one, 2, JM_DT_bf16) == INFINITY);
  /* what pads an odd depth is no NaN */
  CHECK(dot_bf16(kernel, infinite, one, 1, JM_DT_f32) == INFINITY);
  const float huge[] = {0x1p127f, 0x1p127f};
  CHECK(dot_bf16(kernel, huge, one, 2, JM_DT_bf16) == INFINITY);
  const float tiny[] = {0x1p-130f}, least[] = {0x1p-126f}, half[] = {0.5f}, large[] = {0x1p120f};
  /* a subnormal operand, a subnormal sum */
  CHECK(dot_bf16(kernel, tiny, large, 1, JM_DT_f32) == 0);
  CHECK(dot_bf16(kernel, least, half, 1, JM_DT_f32) == 0);
  CHECK(dot_bf16(kernel, least, one, 1, JM_DT_f32) == 0x1p-126f);
}

#endif
