/* SPDX-License-Identifier: Apache-2.0
 * The inner loops of gemv_vector.c, a template of float_vectors.h. The order of additions of a
 * result depends on its position and on the sizes, not on the range of lines or columns with which
 * it is computed. */

#define UNROLL _Pragma("GCC unroll 16")

/* y[0 .. N vectors) = sum over l of x[l] times a row of the matrix; a chain of fused additions for
 * each lane. The next pieces of the rows are prefetched: each is in a page of its own, which the
 * hardware prefetcher does not cross. */
#define JM_COLUMNS(N)                                                                              \
  TARGET static void NAME(columns_##N)(const T *x, const T *matrix, ptrdiff_t row, size_t k, T *y, \
                                       bool add) {                                                 \
    V sum[N];                                                                                      \
    UNROLL for (int n = 0; n < (N); n++) sum[n] = SPLAT(0);                                        \
    for (size_t l = 0; l < k; l++, matrix += row) {                                                \
      V factor = SPLAT(x[l]);                                                                      \
      const char *ahead = (const char *)matrix + AHEAD * row * (ptrdiff_t)sizeof(T);               \
      UNROLL for (int n = 0; n < (N); n++) {                                                       \
        __builtin_prefetch(ahead + n * (int)sizeof(V));                                            \
        sum[n] = MULTIPLY_ADD(factor, LOAD(matrix + n * LANES), sum[n]);                           \
      }                                                                                            \
    }                                                                                              \
    UNROLL for (int n = 0; n < (N); n++) {                                                         \
      if (add) sum[n] += LOAD(y + n * LANES);                                                      \
      STORE(y + n * LANES, sum[n]);                                                                \
    }                                                                                              \
  }
JM_COLUMNS(1)
JM_COLUMNS(4)
JM_COLUMNS(12)

/* Columns that make no whole vector. */
TARGET static void NAME(columns_edge)(const T *x, const T *matrix, ptrdiff_t row, size_t k, T *y,
                                      size_t n, bool add) {
  T sum[LANES] = {0};
  for (size_t l = 0; l < k; l++, matrix += row)
    for (size_t j = 0; j < n; j++) sum[j] += x[l] * matrix[j];
  for (size_t j = 0; j < n; j++) y[j] = add ? y[j] + sum[j] : sum[j];
}

TARGET static void NAME(columns)(const void *x, const void *matrix_data, ptrdiff_t row, size_t k,
                                 void *y_data, size_t n, bool add) {
  const T *matrix = matrix_data;
  T *y = y_data;
  size_t j = 0;
  for (; j + 12 * LANES <= n; j += 12 * LANES) NAME(columns_12)(x, matrix + j, row, k, y + j, add);
  for (; j + 4 * LANES <= n; j += 4 * LANES) NAME(columns_4)(x, matrix + j, row, k, y + j, add);
  for (; j + LANES <= n; j += LANES) NAME(columns_1)(x, matrix + j, row, k, y + j, add);
  if (j < n) NAME(columns_edge)(x, matrix + j, row, k, y + j, n - j, add);
}

/* y[r] = x times line r of the matrix, for R lines and X vectors x: two chains for each. */
#define JM_LINES(R, X)                                                                           \
  TARGET static void NAME(lines_##R##_##X)(const T *x, ptrdiff_t x_across, const T *matrix,      \
                                           ptrdiff_t row, size_t k, T *y, ptrdiff_t step,        \
                                           ptrdiff_t y_across, bool add) {                       \
    V even[R][X], odd[R][X], a[X], b[X];                                                         \
    UNROLL for (int r = 0; r < (R); r++) UNROLL for (int v = 0; v < (X); v++) even[r][v] =       \
        odd[r][v] = SPLAT(0);                                                                    \
    size_t l = 0;                                                                                \
    for (; l + 2 * LANES <= k; l += 2 * LANES) {                                                 \
      UNROLL for (int v = 0; v < (X); v++) {                                                     \
        a[v] = LOAD(x + v * x_across + l);                                                       \
        b[v] = LOAD(x + v * x_across + l + LANES);                                               \
      }                                                                                          \
      UNROLL for (int r = 0; r < (R); r++) {                                                     \
        const V first = LOAD(matrix + r * row + l), second = LOAD(matrix + r * row + l + LANES); \
        UNROLL for (int v = 0; v < (X); v++) {                                                   \
          even[r][v] = MULTIPLY_ADD(a[v], first, even[r][v]);                                    \
          odd[r][v] = MULTIPLY_ADD(b[v], second, odd[r][v]);                                     \
        }                                                                                        \
      }                                                                                          \
    }                                                                                            \
    if (l + LANES <= k) {                                                                        \
      UNROLL for (int v = 0; v < (X); v++) a[v] = LOAD(x + v * x_across + l);                    \
      UNROLL for (int r = 0; r < (R); r++) {                                                     \
        const V line = LOAD(matrix + r * row + l);                                               \
        UNROLL for (int v = 0; v < (X); v++) even[r][v] = MULTIPLY_ADD(a[v], line, even[r][v]);  \
      }                                                                                          \
      l += LANES;                                                                                \
    }                                                                                            \
    if (l < k) {                                                                                 \
      UNROLL for (int v = 0; v < (X); v++) a[v] = LOAD_FIRST(x + v * x_across + l, k - l);       \
      UNROLL for (int r = 0; r < (R); r++) {                                                     \
        const V line = LOAD_FIRST(matrix + r * row + l, k - l);                                  \
        UNROLL for (int v = 0; v < (X); v++) odd[r][v] = MULTIPLY_ADD(a[v], line, odd[r][v]);    \
      }                                                                                          \
    }                                                                                            \
    UNROLL for (int r = 0; r < (R); r++) UNROLL for (int v = 0; v < (X); v++) {                  \
      const T sum = SUM(even[r][v] + odd[r][v]);                                                 \
      T *to = y + r * step + v * y_across;                                                       \
      *to = add ? *to + sum : sum;                                                               \
    }                                                                                            \
  }
JM_LINES(1, 1)
JM_LINES(4, 1)
JM_LINES(4, 2)

/* Two vectors share what is loaded of the lines, if there are registers for their sums. */
TARGET static void NAME(lines)(const void *x_data, ptrdiff_t x_across, size_t vectors,
                               const void *matrix_data, ptrdiff_t row, size_t k, void *y_data,
                               ptrdiff_t step, ptrdiff_t y_across, size_t n, bool add) {
  const size_t pairs = REGISTERS == 32 ? vectors / 2 * 2 : 0;
  for (size_t i = 0; i < n; i += n - i >= 4 ? 4 : 1) {
    const T *x = x_data, *lines = (const T *)matrix_data + (ptrdiff_t)i * row;
    T *y = (T *)y_data + (ptrdiff_t)i * step;
    for (size_t v = 0; v < vectors;) {
      const size_t taken = n - i >= 4 && v < pairs ? 2 : 1;
      if (taken == 2)
        NAME(lines_4_2)(x, x_across, lines, row, k, y, step, y_across, add);
      else
        (n - i >= 4 ? NAME(lines_4_1) : NAME(lines_1_1))(x, x_across, lines, row, k, y, step,
                                                         y_across, add);
      v += taken, x += (ptrdiff_t)taken * x_across, y += (ptrdiff_t)taken * y_across;
    }
  }
}

static const loops NAME(tables) = {sizeof(T), LANES, NAME(columns), NAME(lines)};

#undef UNROLL
#undef JM_COLUMNS
#undef JM_LINES
