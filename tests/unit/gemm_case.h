/* SPDX-License-Identifier: Apache-2.0
 * Products of narrow operands by one kernel against exact sums: any layout, what lies between the
 * rows poisoned, buffers that end where their last element does. */
#ifndef JM_TESTS_GEMM_CASE_H
#define JM_TESTS_GEMM_CASE_H

#include <stdlib.h>

#include "engine/host/library/gemm_narrow.h"
#include "unit/check.h"

/* Transposed: consecutive columns instead of rows. gap: elements between rows. */
typedef struct gemm_case {
  size_t m, n, k;
  bool a_transposed, b_transposed;
  size_t gap;
  jm_dtype result;
} gemm_case;

static inline uint16_t narrow_float(float x) { /* to nearest even */
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static unsigned gemm_state = 1;

/* Of int8 the least and the largest often: their products are what a sum of four could overflow by.
 * Of bf16 small ones, whose sums are exact. */
static inline int gemm_number(size_t element) {
  unsigned bits = (gemm_state = gemm_state * 1664525u + 1013904223u) >> 20;
  if (element == 2) return (int)(bits & 0xff) % 19 - 9;
  return bits & 0x300 ? (int)(bits & 0xff) - 128 : bits & 1 ? 127 : -128;
}

typedef struct gemm_operand {
  void *data;
  int *numbers; /* [rows][columns] */
  ptrdiff_t row, column;
} gemm_operand;

static inline gemm_operand make_operand(size_t rows, size_t columns, bool transposed, size_t gap,
                                        size_t element) {
  ptrdiff_t line = (ptrdiff_t)((transposed ? rows : columns) + gap);
  gemm_operand x = {.row = transposed ? 1 : line, .column = transposed ? line : 1};
  size_t bytes = rows && columns
                     ? ((rows - 1) * (size_t)x.row + (columns - 1) * (size_t)x.column + 1) * element
                     : 1;
  x.data = malloc(bytes), x.numbers = malloc(rows * columns * sizeof *x.numbers + 1);
  memset(x.data, 0xff, bytes); /* NaN, -1 */
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) {
      int number = x.numbers[i * columns + j] = gemm_number(element);
      ptrdiff_t at = (ptrdiff_t)i * x.row + (ptrdiff_t)j * x.column;
      if (element == 2)
        ((uint16_t *)x.data)[at] = narrow_float((float)number);
      else
        ((int8_t *)x.data)[at] = (int8_t)number;
    }
  return x;
}

static inline uint32_t expect_bits(jm_dtype result, int sum) {
  if (result == JM_DT_s32) return (uint32_t)sum;
  float x = (float)sum;
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return result == JM_DT_f32 ? bits : narrow_float(x);
}

static inline void check_gemm(const jm_narrow_kernel *kernel, const gemm_case *t) {
  size_t element = kernel->element, ldc = t->n + t->gap, bytes = jm_dtype_bytes(t->result);
  gemm_operand a = make_operand(t->m, t->k, t->a_transposed, t->gap, element);
  gemm_operand b = make_operand(t->k, t->n, t->b_transposed, t->gap, element);
  char *c = malloc(t->m * ldc * bytes + 1);
  memset(c, 0x5a, t->m * ldc * bytes);
  const jm_gemm g = {element == 2 ? JM_DT_bf16 : JM_DT_s8,
                     t->m,
                     t->n,
                     t->k,
                     a.data,
                     a.row,
                     a.column,
                     b.data,
                     b.row,
                     b.column,
                     c,
                     ldc,
                     false,
                     false};
  CHECK_OK(jm_gemm_narrow_run(kernel, &g, t->result));
  size_t wrong = 0;
  for (size_t i = 0; i < t->m; i++)
    for (size_t j = 0; j < ldc; j++) {
      int sum = 0;
      for (size_t l = 0; l < t->k && j < t->n; l++)
        sum += a.numbers[i * t->k + l] * b.numbers[l * t->n + j];
      uint32_t want = j < t->n ? expect_bits(t->result, sum) : 0x5a5a5a5a; /* rests stay */
      wrong += !!memcmp(c + (i * ldc + j) * bytes, &want, bytes);
    }
  CHECK(!wrong);
  if (wrong)
    fprintf(stderr, "  %s: %zu x %zu x %zu, transposed %d %d, gap %zu: %zu wrong\n", kernel->name,
            t->m, t->n, t->k, t->a_transposed, t->b_transposed, t->gap, wrong);
  free(a.data), free(a.numbers), free(b.data), free(b.numbers), free(c);
}

/* In every layout, with and without gaps. */
static inline void check_gemm_forms(const jm_narrow_kernel *kernel, size_t m, size_t n, size_t k) {
  for (int form = 0; form < 8; form++) {
    jm_dtype wide = (m + n + k + (size_t)form) % 3 ? JM_DT_bf16 : JM_DT_f32;
    const gemm_case t = {
        m, n, k, form & 1, form & 2, form & 4 ? 3 : 0, kernel->element == 2 ? wide : JM_DT_s32};
    check_gemm(kernel, &t);
  }
}

#endif
