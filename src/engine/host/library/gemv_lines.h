/* SPDX-License-Identifier: Apache-2.0
 * The inner loops of gemv_vector.c, for one element type and one instruction set: included once per
 * pair, with T, V (a vector of T), LANES, TARGET, LOAD, LOAD_FIRST (of that many elements, then 0),
 * STORE, SPLAT, MULTIPLY_ADD and NAME defined. The order of additions of a result depends on its
 * position and on the sizes, not on the range of lines or columns with which it is computed. */

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

/* y[r] = x times line r of the matrix, for R lines: two chains for each. */
#define JM_LINES(R)                                                                              \
  TARGET static void NAME(lines_##R)(const T *x, const T *matrix, ptrdiff_t row, size_t k, T *y, \
                                     ptrdiff_t step, bool add) {                                 \
    V even[R], odd[R];                                                                           \
    UNROLL for (int r = 0; r < (R); r++) even[r] = odd[r] = SPLAT(0);                            \
    size_t l = 0;                                                                                \
    for (; l + 2 * LANES <= k; l += 2 * LANES) {                                                 \
      V first = LOAD(x + l), second = LOAD(x + l + LANES);                                       \
      UNROLL for (int r = 0; r < (R); r++) {                                                     \
        even[r] = MULTIPLY_ADD(first, LOAD(matrix + r * row + l), even[r]);                      \
        odd[r] = MULTIPLY_ADD(second, LOAD(matrix + r * row + l + LANES), odd[r]);               \
      }                                                                                          \
    }                                                                                            \
    if (l + LANES <= k) {                                                                        \
      V first = LOAD(x + l);                                                                     \
      UNROLL for (int r = 0; r < (R); r++) even[r] =                                             \
          MULTIPLY_ADD(first, LOAD(matrix + r * row + l), even[r]);                              \
      l += LANES;                                                                                \
    }                                                                                            \
    if (l < k) {                                                                                 \
      V last = LOAD_FIRST(x + l, k - l);                                                         \
      UNROLL for (int r = 0; r < (R); r++) odd[r] =                                              \
          MULTIPLY_ADD(last, LOAD_FIRST(matrix + r * row + l, k - l), odd[r]);                   \
    }                                                                                            \
    UNROLL for (int r = 0; r < (R); r++) {                                                       \
      T sum = SUM(even[r] + odd[r]);                                                             \
      y[r * step] = add ? y[r * step] + sum : sum;                                               \
    }                                                                                            \
  }
JM_LINES(1)
JM_LINES(4)

TARGET static void NAME(lines)(const void *x, const void *matrix_data, ptrdiff_t row, size_t k,
                               void *y_data, ptrdiff_t step, size_t n, bool add) {
  const T *matrix = matrix_data;
  T *y = y_data;
  size_t i = 0;
  for (; i + 4 <= n; i += 4)
    NAME(lines_4)(x, matrix + (ptrdiff_t)i * row, row, k, y + (ptrdiff_t)i * step, step, add);
  for (; i < n; i++)
    NAME(lines_1)(x, matrix + (ptrdiff_t)i * row, row, k, y + (ptrdiff_t)i * step, step, add);
}

static const loops NAME(loops) = {sizeof(T), LANES, NAME(columns), NAME(lines)};

#undef UNROLL
#undef JM_COLUMNS
#undef JM_LINES
#undef T
#undef V
#undef LANES
#undef TARGET
#undef LOAD
#undef LOAD_FIRST
#undef STORE
#undef SPLAT
#undef SUM
#undef MULTIPLY_ADD
#undef NAME
