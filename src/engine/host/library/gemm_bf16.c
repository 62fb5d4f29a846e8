/* SPDX-License-Identifier: Apache-2.0
 * As in gemm_vector.c, blocks of b are packed into panels as wide as a register tile; but the unit
 * of depth is a pair of neighbours, in one 32-bit lane. With few rows, b is paired while it is
 * read. */
#include "engine/host/library/gemm_bf16.h"

#if defined(__x86_64__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
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
  ROWS = 6,              /* of a tile */
  DEPTH = 256,           /* of a block: a panel of that depth stays in the first cache */
  MOST_ROWS = 16 * ROWS, /* of a task: its blocks of a and c stay in the second cache */
  MOST_COLUMNS = 4 * PANEL,
  FEW_ROWS = 2 * ROWS,  /* with fewer, packing b costs more than it saves */
  LEAST_TASK = 1 << 20, /* multiplications that are worth a thread */
  PACK_GRAIN = 1 << 15, /* elements */
};

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define UNROLL _Pragma("GCC unroll 8")

typedef uint16_t bf16;

/* c (width floats a row) gets, or is added, a (pairs from a's rows, a_row apart) times b. Rows of
 * packed b are pairs of rows, b_row lanes apart. */
typedef void tile_fn(const bf16 *a, ptrdiff_t a_row, const bf16 *b, ptrdiff_t b_row, size_t depth,
                     size_t columns, float *c, size_t ldc, bool add);

TARGET static inline __m512i load_packed(const bf16 *b, ptrdiff_t b_row, size_t l, size_t column) {
  return _mm512_loadu_si512(b + 2 * ((ptrdiff_t)(l / 2) * b_row + (ptrdiff_t)column));
}

TARGET static inline __mmask16 lanes_at(size_t column, size_t columns) {
  return columns >= column + LANES ? 0xffff
         : columns > column        ? (__mmask16)((1u << (columns - column)) - 1)
                                   : 0;
}

/* Rows l and l + 1 of b, the latter 0 if there is none. */
TARGET static inline __m512i load_pair(const bf16 *b, ptrdiff_t b_row, bool has_odd,
                                       __mmask16 mask) {
  __m512i even = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, b));
  if (!has_odd) return even;
  __m512i odd = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, b + b_row));
  return _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
}

TARGET static inline __m512i splat_pair(const bf16 *a) {
  int32_t pair;
  memcpy(&pair, a, sizeof pair);
  return _mm512_set1_epi32(pair);
}

#define TILE(NAME, R, N, READ)                                                                 \
  TARGET static void NAME##_##R##_##N(const bf16 *a, ptrdiff_t a_row, const bf16 *b,           \
                                      ptrdiff_t b_row, size_t depth, size_t columns, float *c, \
                                      size_t ldc, bool add) {                                  \
    __m512 acc[R][N];                                                                          \
    (void)columns;                                                                             \
    UNROLL for (int r = 0; r < (R); r++) UNROLL for (int n = 0; n < (N); n++) acc[r][n] =      \
        _mm512_setzero_ps();                                                                   \
    for (size_t l = 0; l < depth; l += 2) {                                                    \
      __m512i y[N];                                                                            \
      UNROLL for (int n = 0; n < (N); n++) y[n] = READ;                                        \
      UNROLL for (int r = 0; r < (R); r++) {                                                   \
        __m512i x = splat_pair(a + r * a_row + (ptrdiff_t)l);                                  \
        UNROLL for (int n = 0; n < (N); n++) acc[r][n] =                                       \
            _mm512_dpbf16_ps(acc[r][n], (__m512bh)x, (__m512bh)y[n]);                          \
      }                                                                                        \
    }                                                                                          \
    UNROLL for (int r = 0; r < (R); r++, c += ldc) UNROLL for (int n = 0; n < (N); n++) {      \
      if (add) acc[r][n] = _mm512_add_ps(acc[r][n], _mm512_loadu_ps(c + n * LANES));           \
      _mm512_storeu_ps(c + n * LANES, acc[r][n]);                                              \
    }                                                                                          \
  }
#define PACKED load_packed(b, b_row, l, (size_t)n *LANES)
#define IN_PLACE                                                                   \
  load_pair(b + (ptrdiff_t)l * b_row + (ptrdiff_t)n * LANES, b_row, l + 1 < depth, \
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
static tile_fn *const tiles[2][VECTORS][ROWS] = {
    {LIST(packed, 1), LIST(packed, 2), LIST(packed, 3), LIST(packed, 4)},
    {LIST(in_place, 1), LIST(in_place, 2), LIST(in_place, 3), LIST(in_place, 4)},
};

typedef struct product {
  const jm_gemm *g;
  jm_dtype result;
  size_t padded; /* columns of packed b: whole vectors */
  bf16 *packed;  /* [block of k][panel][pair of rows][column of the panel][of the pair] */
  size_t depth_blocks, panels;
  size_t row_tasks, rows, columns; /* of a task */
  bool a_in_place;
  _Atomic bool failed; /* no memory */
} product;

static size_t least(size_t x, size_t y) { return x < y ? x : y; }
static size_t divide_up(size_t x, size_t y) { return (x + y - 1) / y; }
static size_t even(size_t x) { return (x + 1) & ~(size_t)1; }

/* Columns of packed b from column j on, at most a panel: whole vectors. */
static size_t panel_width(const product *p, size_t j) { return least(p->padded - j, PANEL); }

static bf16 *panel_at(const product *p, size_t k0, size_t depth, size_t j) {
  return p->packed + k0 * p->padded + even(depth) * j;
}

TARGET static void pair_rows(const jm_gemm *g, const bf16 *from, size_t depth, size_t width,
                             size_t columns, bf16 *to) {
  for (size_t l = 0; l < depth; l += 2)
    for (size_t j = 0; j < width; j += LANES, to += 2 * LANES) {
      const bf16 *row = from + (ptrdiff_t)l * g->b_row + (ptrdiff_t)j;
      _mm512_storeu_si512(to, load_pair(row, g->b_row, l + 1 < depth, lanes_at(j, columns)));
    }
}

static void pack_panel(const jm_gemm *g, const bf16 *from, size_t depth, size_t width,
                       size_t columns, bf16 *to) {
  if (g->b_col == 1) {
    pair_rows(g, from, depth, width, columns, to);
    return;
  }
  if (columns < width || depth % 2) memset(to, 0, even(depth) * width * sizeof *to);
  ptrdiff_t row = 2 * (ptrdiff_t)width;
  if (g->b_row == 1 && g->b_col % 2 == 0 && depth % 2 == 0 && (uintptr_t)from % 4 == 0) {
    const jm_pack_plane pairs = {4, depth / 2, columns, 1, g->b_col / 2, row / 2, 1};
    jm_pack_run_plane(&pairs, from, to);
    return;
  }
  const jm_pack_plane evens = {2, divide_up(depth, 2), columns, 2 * g->b_row, g->b_col, row, 2};
  jm_pack_run_plane(&evens, from, to);
  const jm_pack_plane odds = {2, depth / 2, columns, 2 * g->b_row, g->b_col, row, 2};
  if (depth > 1) jm_pack_run_plane(&odds, from + g->b_row, to + 1);
}

static void pack_panels(void *context, size_t begin, size_t end) {
  const product *p = context;
  const jm_gemm *g = p->g;
  for (size_t i = begin; i < end; i++) {
    size_t k0 = i / p->panels * DEPTH, depth = least(g->k - k0, DEPTH), j = i % p->panels * PANEL;
    size_t width = panel_width(p, j), columns = least(g->n - j, width);
    const bf16 *from = (const bf16 *)g->b + (ptrdiff_t)k0 * g->b_row + (ptrdiff_t)j * g->b_col;
    pack_panel(g, from, depth, width, columns, panel_at(p, k0, depth, j));
  }
}

static jm_error *pack_b(product *p) {
  const jm_gemm *g = p->g;
  p->packed = jm_scratch_take(p->padded * even(g->k) * sizeof *p->packed);
  if (!p->packed) return jm_error_out_of_memory();
  size_t items = p->panels * p->depth_blocks, grain = PACK_GRAIN / (PANEL * DEPTH) + 1;
  jm_parallel_for(items, g->one_thread ? items : grain, pack_panels, p);
  return NULL;
}

/* Rows of a whose pairs are consecutive: where they are, or a copy. */
static const bf16 *take_block(const product *p, size_t i, size_t rows, size_t k0, size_t depth,
                              bf16 *room, ptrdiff_t *row) {
  const jm_gemm *g = p->g;
  const bf16 *from = (const bf16 *)g->a + (ptrdiff_t)i * g->a_row + (ptrdiff_t)k0 * g->a_col;
  *row = p->a_in_place ? g->a_row : DEPTH;
  if (p->a_in_place) return from;
  const jm_pack_plane plane = {2, rows, depth, g->a_row, g->a_col, DEPTH, 1};
  jm_pack_run_plane(&plane, from, room);
  for (size_t r = 0; depth % 2 && r < rows; r++) room[r * DEPTH + depth] = 0;
  return room;
}

TARGET static void store(const product *p, size_t i0, size_t j0, size_t rows, size_t columns,
                         const float *sums, size_t ld) {
  const jm_gemm *g = p->g;
  for (size_t i = 0; i < rows; i++, sums += ld) {
    size_t at = (i0 + i) * g->ldc + j0;
    for (size_t j = 0; j < columns; j += LANES) {
      __m512 x = _mm512_loadu_ps(sums + j);
      __mmask16 mask = lanes_at(j, columns);
      if (p->result == JM_DT_f32)
        _mm512_mask_storeu_ps((float *)g->c + at + j, mask, x);
      else
        _mm256_mask_storeu_epi16((bf16 *)g->c + at + j, mask, (__m256i)_mm512_cvtneps_pbh(x));
    }
  }
}

static void run_task(const product *p, size_t i0, size_t j0, float *sums, bf16 *room) {
  const jm_gemm *g = p->g;
  size_t rows = least(g->m - i0, p->rows), columns = least(g->n - j0, p->columns);
  if (!g->k) memset(sums, 0, rows * p->columns * sizeof *sums);
  for (size_t k0 = 0; k0 < g->k; k0 += DEPTH) {
    size_t depth = least(g->k - k0, DEPTH);
    ptrdiff_t a_row;
    const bf16 *a = take_block(p, i0, rows, k0, depth, room, &a_row);
    for (size_t j = 0; j < columns; j += PANEL) {
      size_t width = panel_width(p, j0 + j), left = columns - j;
      const bf16 *b = p->packed ? panel_at(p, k0, depth, j0 + j)
                                : (const bf16 *)g->b + (ptrdiff_t)k0 * g->b_row + (j0 + j);
      ptrdiff_t b_row = p->packed ? (ptrdiff_t)width : g->b_row;
      for (size_t i = 0; i < rows; i += ROWS)
        tiles[!p->packed][width / LANES - 1][least(rows - i, ROWS) - 1](
            a + (ptrdiff_t)i * a_row, a_row, b, b_row, depth, left, sums + i * p->columns + j,
            p->columns, k0 > 0);
    }
  }
  store(p, i0, j0, rows, columns, sums, p->columns);
}

static void run_tasks(void *context, size_t begin, size_t end) {
  product *p = context;
  size_t sums = p->rows * p->columns * sizeof(float);
  char *room = jm_scratch_take(sums + (p->a_in_place ? 0 : p->rows * DEPTH * sizeof(bf16)));
  if (!room) p->failed = true;
  for (size_t t = begin; t < end && room; t++)
    run_task(p, t % p->row_tasks * p->rows, t / p->row_tasks * p->columns, (float *)room,
             (bf16 *)(room + sums));
  jm_scratch_give(room);
}

/* Tasks as large as the caches take, smaller where there would be too few for many threads. */
static void cut(product *p) {
  const jm_gemm *g = p->g;
  p->rows = least(g->m, MOST_ROWS);
  p->columns = least(p->padded, MOST_COLUMNS);
  while (p->columns > PANEL && p->rows * p->columns * g->k > 2 * LEAST_TASK &&
         divide_up(g->m, p->rows) * divide_up(g->n, p->columns) < 16)
    p->columns = divide_up(p->columns / PANEL, 2) * PANEL;
  p->row_tasks = divide_up(g->m, p->rows);
}

bool jm_gemm_bf16_supports(jm_dtype lhs, jm_dtype rhs, jm_dtype result) {
  return lhs == JM_DT_bf16 && rhs == JM_DT_bf16 && (result == JM_DT_bf16 || result == JM_DT_f32) &&
         !jm_blas_is_plain() && __builtin_cpu_supports("avx512bf16") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

jm_error *jm_gemm_bf16_run(const jm_gemm *g, jm_dtype result) {
  if (!g->m || !g->n) return NULL;
  product p = {.g = g, .result = result};
  p.padded = divide_up(g->n, LANES) * LANES;
  p.depth_blocks = divide_up(g->k, DEPTH);
  p.panels = divide_up(g->n, PANEL);
  p.a_in_place = g->a_col == 1 && g->k % 2 == 0;
  cut(&p);
  if (g->m > FEW_ROWS || g->b_col != 1) JM_TRY(pack_b(&p));
  size_t tasks = p.row_tasks * divide_up(g->n, p.columns), work = p.rows * p.columns * g->k;
  jm_parallel_for(tasks, g->one_thread ? tasks : LEAST_TASK / (work + 1) + 1, run_tasks, &p);
  jm_scratch_give(p.packed);
  return p.failed ? jm_error_out_of_memory() : NULL;
}
#else
bool jm_gemm_bf16_supports(jm_dtype lhs, jm_dtype rhs, jm_dtype result) {
  (void)lhs, (void)rhs, (void)result;
  return false;
}

jm_error *jm_gemm_bf16_run(const jm_gemm *g, jm_dtype result) {
  (void)g, (void)result;
  return jm_error_internal("a product of bf16 on a machine that has none");
}
#endif
