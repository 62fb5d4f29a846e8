/* SPDX-License-Identifier: Apache-2.0
 * The register tiles of gemm_vector.c, a template of float_vectors.h. A tile is R rows by N vectors
 * of the result, kept in registers along the whole depth; rows of a are read where they are, any
 * strides apart. A lane is a chain of fused additions in the order of k, the same in every tile, so
 * that no result depends on where an element lies in its block. */

#define UNROLL _Pragma("GCC unroll 8")
#define JM_TILE(R, N)                                                                           \
  TARGET static void NAME(tile_##R##_##N)(const void *a_data, ptrdiff_t a_row, ptrdiff_t a_col, \
                                          const void *b_data, ptrdiff_t b_row, size_t k,        \
                                          void *c_data, size_t ldc, bool add) {                 \
    const T *b = b_data, *a[R];                                                                 \
    T *c = c_data;                                                                              \
    V acc[R][N];                                                                                \
    for (int r = 0; r < (R); r++) a[r] = (const T *)a_data + r * a_row;                         \
    UNROLL for (int r = 0; r < (R); r++) UNROLL for (int n = 0; n < (N); n++) acc[r][n] =       \
        SPLAT(0);                                                                               \
    ptrdiff_t at = 0;                                                                           \
    for (size_t l = 0; l < k; l++, at += a_col, b += b_row) {                                   \
      V y[N];                                                                                   \
      UNROLL for (int n = 0; n < (N); n++) y[n] = LOAD(b + n * LANES);                          \
      UNROLL for (int r = 0; r < (R); r++) {                                                    \
        V x = SPLAT(a[r][at]);                                                                  \
        UNROLL for (int n = 0; n < (N); n++) acc[r][n] = MULTIPLY_ADD(x, y[n], acc[r][n]);      \
      }                                                                                         \
    }                                                                                           \
    UNROLL for (int r = 0; r < (R); r++, c += ldc) UNROLL for (int n = 0; n < (N); n++) {       \
      if (add) acc[r][n] += LOAD(c + n * LANES);                                                \
      STORE(c + n * LANES, acc[r][n]);                                                          \
    }                                                                                           \
  }
#define JM_TILE_ROW(N) \
  JM_TILE(1, N) JM_TILE(2, N) JM_TILE(3, N) JM_TILE(4, N) JM_TILE(5, N) JM_TILE(6, N)
#define JM_TILE_LIST(N)                                  \
  {NAME(tile_1_##N), NAME(tile_2_##N), NAME(tile_3_##N), \
   NAME(tile_4_##N), NAME(tile_5_##N), NAME(tile_6_##N)}

JM_TILE_ROW(1)
JM_TILE_ROW(2)
#if REGISTERS == 32
JM_TILE_ROW(3)
JM_TILE_ROW(4)
#endif

/* R rows by up to a vector of the result of a small product, from operands where they are. */
#define JM_SMALL(R)                                                                               \
  TARGET static void NAME(small_##R)(const T *a, ptrdiff_t a_row, ptrdiff_t a_col, const T *b,    \
                                     ptrdiff_t b_row, size_t k, T *c, size_t ldc, size_t columns, \
                                     bool add) {                                                  \
    V acc[R];                                                                                     \
    UNROLL for (int r = 0; r < (R); r++) acc[r] = SPLAT(0);                                       \
    for (size_t l = 0; l < k; l++, a += a_col, b += b_row) {                                      \
      const V y = LOAD_FIRST(b, columns);                                                         \
      UNROLL for (int r = 0; r < (R); r++) acc[r] = MULTIPLY_ADD(SPLAT(a[r * a_row]), y, acc[r]); \
    }                                                                                             \
    UNROLL for (int r = 0; r < (R); r++, c += ldc) {                                              \
      if (add) acc[r] += LOAD_FIRST(c, columns);                                                  \
      STORE_FIRST(c, columns, acc[r]);                                                            \
    }                                                                                             \
  }
JM_SMALL(1)
JM_SMALL(2)
JM_SMALL(3)
JM_SMALL(4)
JM_SMALL(5)
JM_SMALL(6)

/* All rows of up to a vector of the result; of seven or eight rows two tiles are even. */
TARGET static void NAME(small)(const jm_gemm *g, const void *b, ptrdiff_t b_row, size_t j,
                               size_t columns) {
  static void (*const tiles[])(const T *, ptrdiff_t, ptrdiff_t, const T *, ptrdiff_t, size_t, T *,
                               size_t, size_t, bool) = {
      NAME(small_1), NAME(small_2), NAME(small_3), NAME(small_4), NAME(small_5), NAME(small_6)};
  for (size_t i = 0, rows; i < g->m; i += rows) {
    const size_t left = g->m - i;
    rows = left <= ROWS ? left : left < 2 * ROWS ? (left + 1) / 2 : ROWS;
    tiles[rows - 1]((const T *)g->a + (ptrdiff_t)i * g->a_row, g->a_row, g->a_col, b, b_row, g->k,
                    (T *)g->c + i * g->ldc + j, g->ldc, columns, g->accumulate);
  }
}

static const kernels NAME(tables) = {
    .small = NAME(small),
    .element = sizeof(T),
    .lanes = LANES,
    .vectors = REGISTERS / 8,
    .tiles =
        {
            JM_TILE_LIST(1),
            JM_TILE_LIST(2),
#if REGISTERS == 32
            JM_TILE_LIST(3),
            JM_TILE_LIST(4),
#endif
        },
};

#undef UNROLL
#undef JM_TILE
#undef JM_TILE_ROW
#undef JM_TILE_LIST
#undef JM_SMALL
