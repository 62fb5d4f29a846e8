/* SPDX-License-Identifier: Apache-2.0
 * The instruction for dot products of four bytes, vpdpbusd, in tiles of registers. It multiplies
 * bytes without a sign by bytes with one: rows of a are copied with 128 added, and the sums of a
 * panel start at -128 times the sums of b's columns. */
#include "engine/host/library/gemm_s8.h"

#include "engine/host/library/gemm_amx.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#include <string.h>

enum {
  LANES = JM_NARROW_LANES,
  VECTORS = 4, /* of a tile */
  PANEL = VECTORS * LANES,
  VECTOR_BYTES = 64,
  QUAD = 4,
  ROWS = 6,    /* of a tile */
  SIGN = 0x80, /* flipped, a byte with a sign is that much more, without a sign */
};

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define UNROLL _Pragma("GCC unroll 8")

TARGET static inline __mmask16 lanes_at(size_t column, size_t columns) {
  return columns >= column + LANES ? 0xffff
         : columns > column        ? (__mmask16)((1u << (columns - column)) - 1)
                                   : 0;
}

TARGET static inline __m512i splat_quad(const char *a) {
  int32_t quad;
  memcpy(&quad, a, sizeof quad);
  return _mm512_set1_epi32(quad);
}

#define TILE(R, N)                                                                             \
  TARGET static void tile_##R##_##N(const jm_narrow_block *x) {                                \
    const char *a = x->a, *b = x->b;                                                           \
    ptrdiff_t a_row = x->a_row;                                                                \
    size_t depth = x->depth;                                                                   \
    __m512i acc[R][N];                                                                         \
    UNROLL for (int r = 0; r < (R); r++) UNROLL for (int n = 0; n < (N); n++) acc[r][n] =      \
        _mm512_loadu_si512(b + VECTOR_BYTES * n);                                              \
    for (size_t l = 0; l < depth; l += QUAD) {                                                 \
      __m512i y[N];                                                                            \
      b += VECTOR_BYTES * (N);                                                                 \
      UNROLL for (int n = 0; n < (N); n++) y[n] = _mm512_loadu_si512(b + VECTOR_BYTES * n);    \
      UNROLL for (int r = 0; r < (R); r++) {                                                   \
        __m512i quad = splat_quad(a + r * a_row + l);                                          \
        UNROLL for (int n = 0; n < (N); n++) acc[r][n] =                                       \
            _mm512_dpbusd_epi32(acc[r][n], quad, y[n]);                                        \
      }                                                                                        \
    }                                                                                          \
    char *c = x->c;                                                                            \
    UNROLL for (int r = 0; r < (R); r++, c += x->c_row) UNROLL for (int n = 0; n < (N); n++) { \
      char *to = c + VECTOR_BYTES * n;                                                         \
      if (x->add) acc[r][n] = _mm512_add_epi32(acc[r][n], _mm512_loadu_si512(to));             \
      _mm512_storeu_si512(to, acc[r][n]);                                                      \
    }                                                                                          \
  }
#define TILES(N) TILE(1, N) TILE(2, N) TILE(3, N) TILE(4, N) TILE(5, N) TILE(6, N)
#define LIST(N) {tile_1_##N, tile_2_##N, tile_3_##N, tile_4_##N, tile_5_##N, tile_6_##N}

TILES(1)
TILES(2)
TILES(3)
TILES(4)

/* [vectors - 1][rows - 1] */
static void (*const tiles[VECTORS][ROWS])(const jm_narrow_block *) = {LIST(1), LIST(2), LIST(3),
                                                                      LIST(4)};

static void multiply(jm_narrow_block *x) { tiles[x->width / LANES - 1][x->rows - 1](x); }

/* What pads the rows meets zeros of b. */
TARGET static void flip_signs(void *rows, size_t bytes) {
  const __m512i sign = _mm512_set1_epi8((char)SIGN);
  char *at = rows;
  for (; bytes >= VECTOR_BYTES; bytes -= VECTOR_BYTES, at += VECTOR_BYTES)
    _mm512_storeu_si512(at, _mm512_xor_si512(_mm512_loadu_si512(at), sign));
  __mmask64 mask = ((__mmask64)1 << bytes) - 1;
  _mm512_mask_storeu_epi8(at, mask, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, at), sign));
}

/* Of one group's rows, QUAD if there are more. */
TARGET static inline void interleave_quad(const char *from, ptrdiff_t row, size_t rows,
                                          size_t columns, size_t width, void *to) {
  __m128i *out = to;
  for (size_t j = 0; j < width; j += LANES, out += QUAD) {
    __mmask16 mask = lanes_at(j, columns);
    __m128i x[QUAD];
    UNROLL for (int q = 0; q < QUAD; q++) x[q] =
        (size_t)q < rows ? _mm_maskz_loadu_epi8(mask, from + q * row + (ptrdiff_t)j)
                         : _mm_setzero_si128();
    __m128i low[2] = {_mm_unpacklo_epi8(x[0], x[1]), _mm_unpacklo_epi8(x[2], x[3])};
    __m128i high[2] = {_mm_unpackhi_epi8(x[0], x[1]), _mm_unpackhi_epi8(x[2], x[3])};
    _mm_storeu_si128(out, _mm_unpacklo_epi16(low[0], low[1]));
    _mm_storeu_si128(out + 1, _mm_unpackhi_epi16(low[0], low[1]));
    _mm_storeu_si128(out + 2, _mm_unpacklo_epi16(high[0], high[1]));
    _mm_storeu_si128(out + 3, _mm_unpackhi_epi16(high[0], high[1]));
  }
}

TARGET static void interleave(const void *from, ptrdiff_t row, size_t rows, size_t columns,
                              size_t width, void *to) {
  for (size_t l = 0; l < rows; l += QUAD)
    interleave_quad((const char *)from + (ptrdiff_t)l * row, row, rows - l, columns, width,
                    (char *)to + l * width);
}

TARGET static void find_start(size_t groups, size_t width, void *panel) {
  for (size_t j = 0; j < width; j += LANES) {
    __m512i sum = _mm512_setzero_si512();
    int32_t *b = (int32_t *)panel + j;
    for (size_t l = 1; l <= groups; l++)
      sum =
          _mm512_dpbusd_epi32(sum, _mm512_set1_epi8((char)SIGN), _mm512_loadu_si512(b + l * width));
    _mm512_storeu_si512(b, _mm512_sub_epi32(_mm512_setzero_si512(), sum));
  }
}

static const jm_narrow_kernel kernel = {
    .name = "vpdpbusd",
    .element = 1,
    .unit = QUAD,
    .rows = ROWS,
    .panel = PANEL,
    .depth = 512, /* a panel of that depth stays in the first cache */
    .most_rows = 16 * ROWS,
    .most_columns = 4 * PANEL,
    .least_task = 1 << 20,
    .multiply = multiply,
    .interleave = interleave,
    .copies_a = true,
    .convert = flip_signs,
    .find_start = find_start,
};

const jm_narrow_kernel *jm_gemm_s8_find(void) {
  return !jm_blas_is_plain() && __builtin_cpu_supports("avx512vnni") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
             ? &kernel
             : NULL;
}
#else
const jm_narrow_kernel *jm_gemm_s8_find(void) { return NULL; }
#endif

bool jm_gemm_s8_supports(jm_dtype lhs, jm_dtype rhs, jm_dtype result) {
  return lhs == JM_DT_s8 && rhs == JM_DT_s8 && result == JM_DT_s32 && jm_gemm_s8_find();
}

jm_error *jm_gemm_s8_run(const jm_gemm *g, jm_dtype result) {
  return jm_gemm_amx_run(jm_gemm_s8_find(), g, result);
}
