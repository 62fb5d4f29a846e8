/* SPDX-License-Identifier: Apache-2.0
 * The inner loops of lapack_panels.c, a template of float_vectors.h. */

#define UNROLL _Pragma("GCC unroll 8")

/* The last step of a few rows of a solve, see jm_panels_solve: to each row of y the products of the
 * rows before it are added, then it is scaled. */
TARGET static inline __attribute__((always_inline)) void NAME(finish_rows)(
    const T *a, ptrdiff_t a_row, ptrdiff_t a_col, const T *scales, size_t rows, T *y,
    size_t width) {
  for (size_t j = 0; j < width; j += LANES, y += LANES) {
    V x[STEP];
    UNROLL for (size_t r = 0; r < rows; r++) {
      x[r] = LOAD(y + r * width);
      UNROLL for (size_t l = 0; l < r; l++) x[r] =
          MULTIPLY_ADD(SPLAT(a[(ptrdiff_t)r * a_row + (ptrdiff_t)l * a_col]), x[l], x[r]);
      x[r] *= SPLAT(scales[r]);
      STORE(y + r * width, x[r]);
    }
  }
}

TARGET static void NAME(finish)(const void *a, ptrdiff_t a_row, ptrdiff_t a_col, const void *scales,
                                size_t rows, void *y, size_t width) {
  if (rows == STEP)
    NAME(finish_rows)(a, a_row, a_col, scales, STEP, y, width);
  else
    NAME(finish_rows)(a, a_row, a_col, scales, rows, y, width);
}

/* -1 / diagonal */
static void NAME(invert)(size_t n, const void *a, ptrdiff_t step, void *scales) {
  for (size_t i = 0; i < n; i++) ((T *)scales)[i] = -1 / ((const T *)a)[(ptrdiff_t)i * step];
}

TARGET static void NAME(negate)(size_t rows, size_t columns, void *data, size_t ld) {
  for (size_t i = 0; i < rows; i++)
    JM_LOOP for (size_t j = 0; j < columns; j++)((T *)data)[i * ld + j] *= -1;
}

static const kernels NAME(tables) = {
    .element = sizeof(T),
    .lanes = LANES,
    .finish = NAME(finish),
    .invert = NAME(invert),
    .negate = NAME(negate),
};

#undef UNROLL
