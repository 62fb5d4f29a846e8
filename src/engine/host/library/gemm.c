/* SPDX-License-Identifier: Apache-2.0
 * Blocks of both operands are packed on the stack, so that strides cost little and the inner loop
 * is one that compilers vectorise. The order of additions depends on the sizes alone. */
#include "engine/host/library/gemm.h"

#include <string.h>

#include "base/parallel.h"

enum {
  MR = 4, /* rows and columns of the tile that is held in registers */
  NR = 8,
  MC = 64, /* rows, columns and depth of the packed blocks */
  NC = 64,
  KC = 128,
  SMALL = 4096,       /* multiplications below which packing doesn't pay */
  PARALLEL = 1 << 18, /* multiplications above which threads pay */
};

typedef struct c64 {
  float re, im;
} c64;
typedef struct c128 {
  double re, im;
} c128;

#define MAC_FLOAT(acc, x, y) ((acc) += (x) * (y))
/* Integers are multiplied as unsigned ones of at least 32 bits: signed ones could overflow. */
#define MAC_U8(acc, x, y) ((acc) = (uint8_t)((acc) + (uint32_t)(x) * (y)))
#define MAC_U16(acc, x, y) ((acc) = (uint16_t)((acc) + (uint32_t)(x) * (y)))
#define MAC_WORD(acc, x, y) ((acc) += (x) * (y))
#define MAC_PRED(acc, x, y) ((acc) |= (uint8_t)((x) & (y)))
#define MAC_COMPLEX(acc, x, y) \
  ((acc).re += (x).re * (y).re - (x).im * (y).im, (acc).im += (x).re * (y).im + (x).im * (y).re)
#define ADD_NUMBER(acc, x) ((acc) += (x))
#define ADD_PRED(acc, x) ((acc) |= (x))
#define ADD_COMPLEX(acc, x) ((acc).re += (x).re, (acc).im += (x).im)

#define DEFINE(name, T, MAC, ADD)                                                                  \
  static void small_##name(const jm_gemm *g) {                                                     \
    for (size_t i = 0; i < g->m; i++)                                                              \
      for (size_t j = 0; j < g->n; j++) {                                                          \
        const T *x = (const T *)g->a + (ptrdiff_t)i * g->a_row;                                    \
        const T *y = (const T *)g->b + (ptrdiff_t)j * g->b_col;                                    \
        T sum = {0}, *z = (T *)g->c + i * g->ldc + j;                                              \
        for (size_t l = 0; l < g->k; l++)                                                          \
          MAC(sum, x[(ptrdiff_t)l * g->a_col], y[(ptrdiff_t)l * g->b_row]);                        \
        if (g->accumulate) ADD(sum, *z);                                                           \
        *z = sum;                                                                                  \
      }                                                                                            \
  }                                                                                                \
  static void tile_##name(const T *a, const T *b, size_t depth, T *c, size_t ldc, size_t rows,     \
                          size_t cols) {                                                           \
    T acc[MR][NR];                                                                                 \
    memset(acc, 0, sizeof acc);                                                                    \
    for (size_t l = 0; l < depth; l++)                                                             \
      for (size_t r = 0; r < MR; r++)                                                              \
        for (size_t j = 0; j < NR; j++) MAC(acc[r][j], a[l * MR + r], b[l * NR + j]);              \
    for (size_t r = 0; r < rows; r++)                                                              \
      for (size_t j = 0; j < cols; j++) ADD(c[r * ldc + j], acc[r][j]);                            \
  }                                                                                                \
  /* Strips of `width` rows of a strided matrix, each depth-major; missing rows are 0. */          \
  static void pack_##name(const T *x, ptrdiff_t across, ptrdiff_t along, size_t count,             \
                          size_t depth, size_t width, T *to) {                                     \
    memset(to, 0, (count + width - 1) / width * width * depth * sizeof *to);                       \
    for (size_t i = 0; i < count; i++)                                                             \
      for (size_t l = 0; l < depth; l++)                                                           \
        to[(i / width * depth + l) * width + i % width] =                                          \
            x[(ptrdiff_t)i * across + (ptrdiff_t)l * along];                                       \
  }                                                                                                \
  static void blocks_##name(void *context, size_t begin, size_t end) {                             \
    const jm_gemm *g = context;                                                                    \
    T a[MC * KC], b[NC * KC];                                                                      \
    for (size_t i = begin; i < end; i += MC) {                                                     \
      size_t m = end - i < MC ? end - i : MC;                                                      \
      T *c = (T *)g->c + i * g->ldc;                                                               \
      if (!g->accumulate)                                                                          \
        for (size_t r = 0; r < m; r++) memset(c + r * g->ldc, 0, g->n * sizeof *c);                \
      for (size_t l = 0; l < g->k; l += KC) {                                                      \
        size_t k = g->k - l < KC ? g->k - l : KC;                                                  \
        pack_##name((const T *)g->a + (ptrdiff_t)i * g->a_row + (ptrdiff_t)l * g->a_col, g->a_row, \
                    g->a_col, m, k, MR, a);                                                        \
        for (size_t j = 0; j < g->n; j += NC) {                                                    \
          size_t n = g->n - j < NC ? g->n - j : NC;                                                \
          pack_##name((const T *)g->b + (ptrdiff_t)l * g->b_row + (ptrdiff_t)j * g->b_col,         \
                      g->b_col, g->b_row, n, k, NR, b);                                            \
          for (size_t r = 0; r < m; r += MR)                                                       \
            for (size_t s = 0; s < n; s += NR)                                                     \
              tile_##name(a + r * k, b + s * k, k, c + r * g->ldc + j + s, g->ldc,                 \
                          m - r < MR ? m - r : MR, n - s < NR ? n - s : NR);                       \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }

DEFINE(pred, uint8_t, MAC_PRED, ADD_PRED)
DEFINE(u8, uint8_t, MAC_U8, ADD_NUMBER)
DEFINE(u16, uint16_t, MAC_U16, ADD_NUMBER)
DEFINE(u32, uint32_t, MAC_WORD, ADD_NUMBER)
DEFINE(u64, uint64_t, MAC_WORD, ADD_NUMBER)
DEFINE(f32, float, MAC_FLOAT, ADD_NUMBER)
DEFINE(f64, double, MAC_FLOAT, ADD_NUMBER)
DEFINE(c64, c64, MAC_COMPLEX, ADD_COMPLEX)
DEFINE(c128, c128, MAC_COMPLEX, ADD_COMPLEX)

/* The low bits of a product don't depend on the operands' signs: one loop serves both. */
static const struct {
  void (*small)(const jm_gemm *g);
  jm_parallel_fn *blocks;
} loops[JM_N_DTYPES] = {
#define ROW(dtype, name) [JM_DT_##dtype] = {small_##name, blocks_##name}
    ROW(pred, pred), ROW(s2, u8),   ROW(s4, u8),   ROW(s8, u8),   ROW(s16, u16),   ROW(s32, u32),
    ROW(s64, u64),   ROW(u2, u8),   ROW(u4, u8),   ROW(u8, u8),   ROW(u16, u16),   ROW(u32, u32),
    ROW(u64, u64),   ROW(f32, f32), ROW(f64, f64), ROW(c64, c64), ROW(c128, c128),
#undef ROW
};

bool jm_gemm_supports(jm_dtype dtype) { return loops[dtype].small != NULL; }

/* Integers narrower than a byte are held in one, sign- or zero-extended. */
static void narrow(const jm_gemm *g) {
  unsigned bits = jm_dtype_facts[g->dtype].bits, shift = 8 - bits;
  bool is_signed = jm_dtype_classof(g->dtype) == JM_CLASS_SINT;
  for (size_t i = 0; i < g->m; i++)
    for (size_t j = 0; j < g->n; j++) {
      uint8_t *x = (uint8_t *)g->c + i * g->ldc + j, high = (uint8_t)(*x << shift);
      *x = is_signed ? (uint8_t)((int8_t)high >> shift) : (uint8_t)(high >> shift);
    }
}

void jm_gemm_run_own(const jm_gemm *g) {
  size_t work = g->m * g->n * g->k;
  if (work <= SMALL)
    loops[g->dtype].small(g);
  else
    jm_parallel_for(g->m, work > PARALLEL ? MC : g->m, loops[g->dtype].blocks, (void *)g);
  if (jm_dtype_is_integer(g->dtype) && jm_dtype_facts[g->dtype].bits < 8) narrow(g);
}
