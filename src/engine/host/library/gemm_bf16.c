/* SPDX-License-Identifier: Apache-2.0
 * The instruction for dot products of pairs, vdpbf16ps, in tiles of registers. With few rows, b is
 * paired while it is read. */
#include "engine/host/library/gemm_bf16.h"

#include "engine/host/library/gemm_amx.h"

#if defined(__x86_64__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#include <immintrin.h>
#include <string.h>

enum {
  LANES = JM_NARROW_LANES,
  VECTORS = 4, /* of a tile */
  PANEL = VECTORS * LANES,
  ROWS = 6, /* of a tile */
  PAIR = 2,
};

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define UNROLL _Pragma("GCC unroll 8")

typedef uint16_t bf16;

TARGET static inline __m512i load_packed(const char *b, ptrdiff_t b_row, size_t l, int n) {
  return _mm512_loadu_si512(b + (ptrdiff_t)(l / PAIR) * b_row + 64 * n);
}

TARGET static inline __mmask16 lanes_at(size_t column, size_t columns) {
  return columns >= column + LANES ? 0xffff
         : columns > column        ? (__mmask16)((1u << (columns - column)) - 1)
                                   : 0;
}

/* Two rows of b, the latter 0 if there is none. */
TARGET static inline __m512i load_pair(const void *b, ptrdiff_t b_row, bool has_odd,
                                       __mmask16 mask) {
  __m512i even = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, b));
  if (!has_odd) return even;
  const char *next = (const char *)b + b_row;
  __m512i odd = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, next));
  return _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
}

TARGET static inline __m512i splat_pair(const char *a) {
  int32_t pair;
  memcpy(&pair, a, sizeof pair);
  return _mm512_set1_epi32(pair);
}

#define TILE(NAME, R, N, READ)                                                                 \
  TARGET static void NAME##_##R##_##N(const jm_narrow_block *x) {                              \
    const char *a = x->a, *b = x->b;                                                           \
    ptrdiff_t a_row = x->a_row, b_row = x->b_row;                                              \
    size_t depth = x->depth, columns = x->columns;                                             \
    __m512 acc[R][N];                                                                          \
    (void)columns;                                                                             \
    UNROLL for (int r = 0; r < (R); r++) UNROLL for (int n = 0; n < (N); n++) acc[r][n] =      \
        _mm512_setzero_ps();                                                                   \
    for (size_t l = 0; l < depth; l += PAIR) {                                                 \
      __m512i y[N];                                                                            \
      UNROLL for (int n = 0; n < (N); n++) y[n] = READ;                                        \
      UNROLL for (int r = 0; r < (R); r++) {                                                   \
        __m512i pair = splat_pair(a + r * a_row + sizeof(bf16) * l);                           \
        UNROLL for (int n = 0; n < (N); n++) acc[r][n] =                                       \
            _mm512_dpbf16_ps(acc[r][n], (__m512bh)pair, (__m512bh)y[n]);                       \
      }                                                                                        \
    }                                                                                          \
    char *c = x->c;                                                                            \
    UNROLL for (int r = 0; r < (R); r++, c += x->c_row) UNROLL for (int n = 0; n < (N); n++) { \
      if (x->add) acc[r][n] = _mm512_add_ps(acc[r][n], _mm512_loadu_ps(c + 64 * n));           \
      _mm512_storeu_ps(c + 64 * n, acc[r][n]);                                                 \
    }                                                                                          \
  }
#define PACKED load_packed(b, b_row, l, n)
#define IN_PLACE                                                     \
  load_pair(b + (ptrdiff_t)l * b_row + 32 * n, b_row, l + 1 < depth, \
            lanes_at((size_t)n * LANES, columns))
#define TILES(NAME, N, READ) \
  TILE(NAME, 1, N, READ)     \
  TILE(NAME, 2, N, READ)     \
  TILE(NAME, 3, N, READ) TILE(NAME, 4, N, READ) TILE(NAME, 5, N, READ) TILE(NAME, 6, N, READ)
#define LIST(NAME, N) \
  {NAME##_1_##N, NAME##_2_##N, NAME##_3_##N, NAME##_4_##N, NAME##_5_##N, NAME##_6_##N}

TILES(packed, 1, PACKED)
TILES(packed, 2, PACKED)
TILES(packed, 3, PACKED)
TILES(packed, 4, PACKED)
TILES(in_place, 1, IN_PLACE)
TILES(in_place, 2, IN_PLACE)
TILES(in_place, 3, IN_PLACE)
TILES(in_place, 4, IN_PLACE)

/* [in place][vectors - 1][rows - 1] */
static void (*const tiles[2][VECTORS][ROWS])(const jm_narrow_block *) = {
    {LIST(packed, 1), LIST(packed, 2), LIST(packed, 3), LIST(packed, 4)},
    {LIST(in_place, 1), LIST(in_place, 2), LIST(in_place, 3), LIST(in_place, 4)},
};

static void multiply(jm_narrow_block *x) {
  tiles[x->b_in_place][x->width / LANES - 1][x->rows - 1](x);
}

TARGET static void interleave(const void *from, ptrdiff_t row, size_t rows, size_t columns,
                              size_t width, void *to) {
  const bf16 *pair = from;
  char *out = to;
  for (size_t l = 0; l < rows; l += PAIR, pair += PAIR * row)
    for (size_t j = 0; j < width; j += LANES, out += sizeof(__m512i))
      _mm512_storeu_si512(out, load_pair(pair + j, row * (ptrdiff_t)sizeof(bf16), l + 1 < rows,
                                         lanes_at(j, columns)));
}

TARGET static void narrow(const void *sums, size_t n, void *to) {
  for (size_t j = 0; j < n; j += LANES)
    _mm256_mask_storeu_epi16((bf16 *)to + j, lanes_at(j, n),
                             (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps((const float *)sums + j)));
}

static const jm_narrow_kernel kernel = {
    .name = "vdpbf16ps",
    .element = sizeof(bf16),
    .unit = PAIR,
    .rows = ROWS,
    .panel = PANEL,
    .depth = 256, /* a panel of that depth stays in the first cache */
    .most_rows = 16 * ROWS,
    .most_columns = 4 * PANEL,
    .few_rows = 2 * ROWS, /* with fewer, packing b costs more than it saves */
    .least_task = 1 << 20,
    .multiply = multiply,
    .interleave = interleave,
    .narrow = narrow,
};

const jm_narrow_kernel *jm_gemm_bf16_find(void) {
  return !jm_blas_is_plain() && __builtin_cpu_supports("avx512bf16") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
             ? &kernel
             : NULL;
}
#else
const jm_narrow_kernel *jm_gemm_bf16_find(void) { return NULL; }
#endif

bool jm_gemm_bf16_supports(jm_dtype lhs, jm_dtype rhs, jm_dtype result) {
  return lhs == JM_DT_bf16 && rhs == JM_DT_bf16 && (result == JM_DT_bf16 || result == JM_DT_f32) &&
         jm_gemm_bf16_find();
}

jm_error *jm_gemm_bf16_run(const jm_gemm *g, jm_dtype result) {
  return jm_gemm_amx_run(jm_gemm_bf16_find(), g, result);
}
