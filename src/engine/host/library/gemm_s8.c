/* SPDX-License-Identifier: Apache-2.0
 * The unit of depth is four neighbours, in one 32-bit lane. The instruction multiplies bytes
 * without a sign by bytes with one: a task copies its rows of a with 128 added, and its sums start
 * at -128 times the sums of b's columns. It packs its panel of b itself, in full depth: that costs
 * little beside the products of as many rows as a task has, and no thread waits for another. */
#include "engine/host/library/gemm_s8.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#include <stdatomic.h>
#include <string.h>

#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/pack.h"

enum {
  LANES = 16,
  VECTORS = 4, /* of a tile */
  PANEL = VECTORS * LANES,
  VECTOR_BYTES = 64,
  QUAD = 4,
  ROWS = 6,              /* of a tile */
  MOST_ROWS = 16 * ROWS, /* of a task: with the panel of b they stay in the second cache */
  LEAST_TASK = 1 << 20,  /* multiplications that are worth a thread */
  SIGN = 0x80,           /* flipped, a byte with a sign is that much more, without a sign */
};

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define UNROLL _Pragma("GCC unroll 8")

/* c gets a (quads of a's rows, a_row bytes apart) times b. The first row of a packed panel is what
 * the sums start at, the others are its quads. */
typedef void tile_fn(const uint8_t *a, size_t a_row, const int32_t *b, size_t quads, int32_t *c,
                     size_t ldc);

TARGET static inline __mmask16 lanes_at(size_t column, size_t columns) {
  return columns >= column + LANES ? 0xffff
         : columns > column        ? (__mmask16)((1u << (columns - column)) - 1)
                                   : 0;
}

TARGET static inline __mmask64 bytes_at(size_t begin, size_t end) {
  return end >= begin + VECTOR_BYTES ? ~(__mmask64)0 : ((__mmask64)1 << (end - begin)) - 1;
}

TARGET static inline __m512i splat_quad(const uint8_t *a) {
  int32_t quad;
  memcpy(&quad, a, sizeof quad);
  return _mm512_set1_epi32(quad);
}

#define TILE(R, N)                                                                                \
  TARGET static void tile_##R##_##N(const uint8_t *a, size_t a_row, const int32_t *b,             \
                                    size_t quads, int32_t *c, size_t ldc) {                       \
    __m512i acc[R][N];                                                                            \
    UNROLL for (int r = 0; r < (R); r++) UNROLL for (int n = 0; n < (N); n++) acc[r][n] =         \
        _mm512_loadu_si512(b + n * LANES);                                                        \
    for (size_t l = 0; l < quads; l++) {                                                          \
      __m512i y[N];                                                                               \
      b += (N) * LANES;                                                                           \
      UNROLL for (int n = 0; n < (N); n++) y[n] = _mm512_loadu_si512(b + n * LANES);              \
      UNROLL for (int r = 0; r < (R); r++) {                                                      \
        __m512i x = splat_quad(a + (size_t)r * a_row + QUAD * l);                                 \
        UNROLL for (int n = 0; n < (N); n++) acc[r][n] = _mm512_dpbusd_epi32(acc[r][n], x, y[n]); \
      }                                                                                           \
    }                                                                                             \
    UNROLL for (int r = 0; r < (R); r++, c += ldc) UNROLL for (int n = 0; n < (N); n++)           \
        _mm512_storeu_si512(c + n * LANES, acc[r][n]);                                            \
  }
#define TILES(N) TILE(1, N) TILE(2, N) TILE(3, N) TILE(4, N) TILE(5, N) TILE(6, N)
#define LIST(N) {tile_1_##N, tile_2_##N, tile_3_##N, tile_4_##N, tile_5_##N, tile_6_##N}

TILES(1)
TILES(2)
TILES(3)
TILES(4)

/* [vectors - 1][rows - 1] */
static tile_fn *const tiles[VECTORS][ROWS] = {LIST(1), LIST(2), LIST(3), LIST(4)};

typedef struct product {
  const jm_gemm *g;
  size_t quads, row_tasks;
  _Atomic bool failed; /* no memory */
} product;

static size_t least(size_t x, size_t y) { return x < y ? x : y; }
static size_t divide_up(size_t x, size_t y) { return (x + y - 1) / y; }

/* Rows of a without signs; what pads them meets zeros of b. */
TARGET static void copy_rows(const jm_gemm *g, size_t i0, size_t rows, size_t padded, uint8_t *to) {
  const char *from = (const char *)g->a + (ptrdiff_t)i0 * g->a_row;
  const __m512i sign = _mm512_set1_epi8((char)SIGN);
  if (g->a_col != 1) {
    const jm_pack_plane plane = {1, rows, g->k, g->a_row, g->a_col, (ptrdiff_t)padded, 1};
    jm_pack_run_plane(&plane, from, to);
  }
  for (size_t r = 0; r < rows; r++, to += padded) {
    const uint8_t *row = g->a_col == 1 ? (const uint8_t *)from + (ptrdiff_t)r * g->a_row : to;
    for (size_t l = 0; l < padded; l += VECTOR_BYTES) {
      __mmask64 has = bytes_at(l, g->k), fits = bytes_at(l, padded);
      __m512i x = _mm512_xor_si512(_mm512_maskz_loadu_epi8(has, row + l), sign);
      _mm512_mask_storeu_epi8(to + l, fits, x);
    }
  }
}

/* Up to four rows of consecutive columns, column by column. */
TARGET static void interleave(const int8_t *from, ptrdiff_t row, size_t rows, size_t columns,
                              size_t width, int32_t *to) {
  for (size_t j = 0; j < width; j += LANES, to += LANES) {
    __mmask16 mask = lanes_at(j, columns);
    __m128i x[QUAD];
    UNROLL for (int q = 0; q < QUAD; q++) x[q] =
        (size_t)q < rows ? _mm_maskz_loadu_epi8(mask, from + q * row + (ptrdiff_t)j)
                         : _mm_setzero_si128();
    __m128i low[2] = {_mm_unpacklo_epi8(x[0], x[1]), _mm_unpacklo_epi8(x[2], x[3])};
    __m128i high[2] = {_mm_unpackhi_epi8(x[0], x[1]), _mm_unpackhi_epi8(x[2], x[3])};
    __m128i *out = (__m128i *)(void *)to;
    _mm_storeu_si128(out, _mm_unpacklo_epi16(low[0], low[1]));
    _mm_storeu_si128(out + 1, _mm_unpackhi_epi16(low[0], low[1]));
    _mm_storeu_si128(out + 2, _mm_unpacklo_epi16(high[0], high[1]));
    _mm_storeu_si128(out + 3, _mm_unpackhi_epi16(high[0], high[1]));
  }
}

/* Columns that lie anywhere, the rows that make the bytes of quads one after the other. */
static void gather_quads(const jm_gemm *g, const int8_t *from, size_t quads, size_t columns,
                         size_t width, int32_t *to) {
  memset(to, 0, quads * width * sizeof *to);
  for (size_t q = 0; q < QUAD && q < g->k; q++) {
    const jm_pack_plane plane = {1,        divide_up(g->k - q, QUAD), columns, QUAD * g->b_row,
                                 g->b_col, QUAD * (ptrdiff_t)width,   QUAD};
    jm_pack_run_plane(&plane, from + (ptrdiff_t)q * g->b_row, (int8_t *)to + q);
  }
}

TARGET static void find_start(size_t quads, size_t width, int32_t *panel) {
  for (size_t j = 0; j < width; j += LANES) {
    __m512i sum = _mm512_setzero_si512();
    const int32_t *b = panel + width + j;
    for (size_t l = 0; l < quads; l++, b += width)
      sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8((char)SIGN), _mm512_loadu_si512(b));
    _mm512_storeu_si512(panel + j, _mm512_sub_epi32(_mm512_setzero_si512(), sum));
  }
}

static void pack_panel(const product *p, size_t j0, size_t columns, size_t width, int32_t *panel) {
  const jm_gemm *g = p->g;
  const int8_t *from = (const int8_t *)g->b + (ptrdiff_t)j0 * g->b_col;
  if (g->b_col != 1)
    gather_quads(g, from, p->quads, columns, width, panel + width);
  else
    for (size_t l = 0; l < p->quads; l++)
      interleave(from + (ptrdiff_t)(QUAD * l) * g->b_row, g->b_row, least(g->k - QUAD * l, QUAD),
                 columns, width, panel + (l + 1) * width);
  find_start(p->quads, width, panel);
}

static void run_task(const product *p, size_t i0, size_t j0, int32_t *panel, uint8_t *a) {
  const jm_gemm *g = p->g;
  size_t rows = least(g->m - i0, MOST_ROWS), columns = least(g->n - j0, PANEL);
  size_t width = divide_up(columns, LANES) * LANES, padded = p->quads * QUAD;
  copy_rows(g, i0, rows, padded, a);
  pack_panel(p, j0, columns, width, panel);
  int32_t edge[ROWS * PANEL];
  for (size_t i = 0; i < rows; i += ROWS) {
    size_t height = least(rows - i, ROWS);
    tile_fn *tile = tiles[width / LANES - 1][height - 1];
    int32_t *c = (int32_t *)g->c + (i0 + i) * g->ldc + j0;
    if (columns == width) {
      tile(a + i * padded, padded, panel, p->quads, c, g->ldc);
      continue;
    }
    tile(a + i * padded, padded, panel, p->quads, edge, width);
    for (size_t r = 0; r < height; r++)
      memcpy(c + r * g->ldc, edge + r * width, columns * sizeof *c);
  }
}

static void run_tasks(void *context, size_t begin, size_t end) {
  product *p = context;
  size_t panel = (p->quads + 1) * PANEL * sizeof(int32_t);
  char *room = jm_scratch_take(panel + least(p->g->m, MOST_ROWS) * p->quads * QUAD);
  if (!room) p->failed = true;
  for (size_t t = begin; t < end && room; t++)
    run_task(p, t % p->row_tasks * MOST_ROWS, t / p->row_tasks * PANEL, (int32_t *)(void *)room,
             (uint8_t *)room + panel);
  jm_scratch_give(room);
}

bool jm_gemm_s8_supports(jm_dtype lhs, jm_dtype rhs, jm_dtype result) {
  return lhs == JM_DT_s8 && rhs == JM_DT_s8 && result == JM_DT_s32 && !jm_blas_is_plain() &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl");
}

jm_error *jm_gemm_s8_run(const jm_gemm *g, jm_dtype result) {
  (void)result;
  if (!g->m || !g->n) return NULL;
  product p = {.g = g, .quads = divide_up(g->k, QUAD), .row_tasks = divide_up(g->m, MOST_ROWS)};
  size_t tasks = p.row_tasks * divide_up(g->n, PANEL), work = least(g->m, MOST_ROWS) * PANEL * g->k;
  jm_parallel_for(tasks, g->one_thread ? tasks : LEAST_TASK / (work + 1) + 1, run_tasks, &p);
  return p.failed ? jm_error_out_of_memory() : NULL;
}
#else
bool jm_gemm_s8_supports(jm_dtype lhs, jm_dtype rhs, jm_dtype result) {
  (void)lhs, (void)rhs, (void)result;
  return false;
}

jm_error *jm_gemm_s8_run(const jm_gemm *g, jm_dtype result) {
  (void)g, (void)result;
  return jm_error_internal("a product of s8 on a machine that has none");
}
#endif
