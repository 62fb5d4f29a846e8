/* SPDX-License-Identifier: Apache-2.0
 * The kernels in tiles, compiled with intrinsics in plain C: every size of a block, every layout,
 * in each of which a tile that is loaded wrongly or where there is no memory is seen. Where the
 * processor has tiles, they give the same bits. What packs for them needs vectors of AVX-512. */
#include "engine/host/library/gemm_amx.h"

#include "engine/host/library/gemm_bf16.h"
#include "engine/host/library/gemm_s8.h"
#include "unit/amx_stub.h"
#include "unit/gemm_case.h"
#include "unit/gemm_values.h"

#define TARGET
#include "engine/host/library/gemm_amx_tile.h"

enum { LARGEST = 70 };

static size_t draw(void) {
  return (gemm_state = gemm_state * 1664525u + 1013904223u) / 65536u % LARGEST + 1;
}

static void check_sizes(const jm_narrow_kernel *vector) {
  if (!vector) return;
  jm_narrow_kernel kernel;
  adapt(vector, &kernel);
  for (size_t i = 1; i <= LARGEST; i++) {
    check_gemm_forms(&kernel, i, draw(), draw());
    check_gemm_forms(&kernel, draw(), i, draw());
    check_gemm_forms(&kernel, draw(), draw(), i);
  }
  static const size_t large[][3] = {{128, 32, 512}, {129, 257, 65}, {300, 33, 513}, {3, 300, 2049},
                                    {257, 1, 7},    {16, 16, 4100}, {32, 64, 0}};
  for (size_t i = 0; i < sizeof large / sizeof *large; i++)
    check_gemm_forms(&kernel, large[i][0], large[i][1], large[i][2]);
}

static void test_bf16(void) { check_sizes(jm_gemm_bf16_find()); }
static void test_s8(void) { check_sizes(jm_gemm_s8_find()); }

static void test_values(void) {
  if (!jm_gemm_bf16_find()) return;
  jm_narrow_kernel kernel;
  adapt(jm_gemm_bf16_find(), &kernel);
  check_bf16_values(&kernel);
}

/* Sums that are rounded, of operands of many sizes. */
static void test_bits(void) {
  enum { M = 150, N = 90, K = 2100 };
  jm_narrow_kernel ours, real;
  if (!jm_gemm_bf16_find() || !jm_gemm_amx_find(jm_gemm_bf16_find(), &real)) return;
  adapt(jm_gemm_bf16_find(), &ours);
  static uint16_t a[M * K], b[K * N];
  static float c[2][M * N];
  for (size_t i = 0; i < M * K; i++)
    a[i] = narrow_float(ldexpf((float)draw() - LARGEST / 2.0f, (int)(draw() % 20) - 10));
  for (size_t i = 0; i < K * N; i++)
    b[i] = narrow_float(ldexpf((float)draw() - LARGEST / 2.0f, i % 7 ? 0 : -130));
  jm_gemm g = {JM_DT_bf16, M, N, K, a, K, 1, b, N, 1, c[0], N, false, false};
  CHECK_OK(jm_gemm_narrow_run(&ours, &g, JM_DT_f32));
  g.c = c[1];
  CHECK_OK(jm_gemm_narrow_run(&real, &g, JM_DT_f32));
  CHECK(!memcmp(c[0], c[1], sizeof c[0]));
}

/* What a kernel is made of fits together, for either type. */
static void test_geometry(void) {
  for (size_t element = 1; element <= 2; element++) {
    const jm_narrow_kernel vector = {.element = element};
    jm_narrow_kernel kernel;
    adapt(&vector, &kernel);
    CHECK(kernel.unit * element == TILE_BYTES && kernel.depth % kernel.unit == 0);
    CHECK(kernel.most_rows % kernel.rows == 0 && kernel.most_columns % kernel.panel == 0);
  }
}

TEST_MAIN(test_bf16, test_s8, test_values, test_bits, test_geometry)
