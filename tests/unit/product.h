/* SPDX-License-Identifier: Apache-2.0
 * For the tests of products: random tensors of small integers with an exact int64 shadow, so that
 * the expected value of every element type is one exact sum, rounded once. */
#ifndef JM_TESTS_PRODUCT_H
#define JM_TESTS_PRODUCT_H

#include <stdlib.h>

#include "base/convert.h"
#include "base/data.h"
#include "base/scratch.h"
#include "engine/ref/ref.h"
#include "unit/check.h"

static uint64_t random_state = 88172645463325252u;
static inline uint32_t random_below(uint32_t n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 33) % n;
}

enum { RANK = 8 };
typedef struct array {
  jm_type type;
  int64_t dims[RANK];
  void *data;
  int64_t (*exact)[2]; /* real and imaginary part */
} array;

static inline void array_init(array *a, jm_dtype dtype, uint32_t rank, const int64_t *dims) {
  *a = (array){.type = {.dtype = dtype, .rank = rank, .count = 1}};
  for (uint32_t d = 0; d < rank; d++) a->type.count *= a->dims[d] = dims[d];
  a->exact = calloc((size_t)a->type.count + 1, sizeof *a->exact);
  a->data = jm_alloc_data(jm_type_bytes(&a->type));
  memset(a->data, 0xff, jm_type_bytes(&a->type)); /* NaN: what is read too early shows */
}
static inline void array_deinit(array *a) {
  free(a->exact);
  jm_free(a->data);
}
static inline jm_tensor array_tensor(array *a) {
  a->type.dims = a->dims;
  return (jm_tensor){&a->type, a->data};
}

/* The exact values rounded to the element type; integers wrap. */
static inline void *array_round(const array *a) {
  size_t n = (size_t)a->type.count;
  jm_dtype d = a->type.dtype;
  bool wide = jm_dtype_is_float(d) || jm_dtype_is_complex(d);
  double(*numbers)[2] = calloc(n + 1, sizeof *numbers);
  double *reals = calloc(n + 1, sizeof *reals);
  int64_t *integers = calloc(n + 1, sizeof *integers);
  void *out = jm_alloc_data(jm_type_bytes(&a->type));
  for (size_t i = 0; i < n; i++) {
    numbers[i][0] = reals[i] = (double)a->exact[i][0];
    numbers[i][1] = (double)a->exact[i][1];
    integers[i] = a->exact[i][0];
  }
  CHECK_OK(jm_convert_run(jm_dtype_is_complex(d) ? JM_DT_c128
                          : wide                 ? JM_DT_f64
                                                 : JM_DT_s64,
                          d,
                          jm_dtype_is_complex(d) ? (void *)numbers
                          : wide                 ? (void *)reals
                                                 : (void *)integers,
                          out, n));
  free(numbers);
  free(reals);
  free(integers);
  return out;
}

static inline void array_fill(array *a) {
  jm_dtype_class class = jm_dtype_classof(a->type.dtype);
  unsigned bits = jm_dtype_facts[a->type.dtype].bits;
  for (int64_t i = 0; i < a->type.count; i++) {
    int64_t x = class == JM_CLASS_PRED   ? random_below(2)
                : class == JM_CLASS_UINT ? random_below(bits == 2 ? 4 : 9)
                : bits == 2              ? (int64_t)random_below(4) - 2
                                         : (int64_t)random_below(9) - 4;
    a->exact[i][0] = x;
    if (class == JM_CLASS_COMPLEX) a->exact[i][1] = (int64_t)random_below(9) - 4;
  }
  jm_free(a->data);
  a->data = array_round(a);
}

static inline void exact_mac(int64_t acc[2], const int64_t x[2], const int64_t y[2], bool pred) {
  if (pred) {
    acc[0] |= x[0] & y[0];
    return;
  }
  acc[0] += x[0] * y[0] - x[1] * y[1];
  acc[1] += x[0] * y[1] + x[1] * y[0];
}

/* Whether the data are the exact values, rounded. 0 and -0 are the same. */
static inline bool array_is_right(const array *a) {
  size_t n = (size_t)a->type.count;
  jm_dtype d = a->type.dtype;
  void *expected = array_round(a);
  bool right;
  if (jm_dtype_is_float(d) || jm_dtype_is_complex(d)) {
    double *x = calloc(2 * n + 1, sizeof *x), *y = calloc(2 * n + 1, sizeof *y);
    jm_dtype wide = jm_dtype_is_complex(d) ? JM_DT_c128 : JM_DT_f64;
    CHECK_OK(jm_convert_run(d, wide, a->data, x, n));
    CHECK_OK(jm_convert_run(d, wide, expected, y, n));
    right = true;
    for (size_t i = 0; i < 2 * n; i++) right &= x[i] == y[i];
    free(x);
    free(y);
  } else {
    right = !memcmp(a->data, expected, jm_type_bytes(&a->type));
  }
  jm_free(expected);
  return right;
}

/* Lets the first, second, ... allocation of the call fail until it gets by. */
static inline void check_without_memory(jm_call_fn *run, const jm_call *call) {
  for (int64_t n = 0;; n++) {
    jm_data_trim();
    jm_scratch_trim();
    jm_alloc_fail_after(n);
    jm_error *error = run(call);
    jm_alloc_fail_after(-1);
    if (!error) return;
    CHECK(jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
    jm_error_destroy(error);
  }
}

/* Element types of lhs, rhs and result. */
static const jm_dtype product_types[][3] = {
    {JM_DT_f32, JM_DT_f32, JM_DT_f32},    {JM_DT_f64, JM_DT_f64, JM_DT_f64},
    {JM_DT_c64, JM_DT_c64, JM_DT_c64},    {JM_DT_c128, JM_DT_c128, JM_DT_c128},
    {JM_DT_f16, JM_DT_f16, JM_DT_f16},    {JM_DT_bf16, JM_DT_bf16, JM_DT_bf16},
    {JM_DT_bf16, JM_DT_bf16, JM_DT_f32},  {JM_DT_s8, JM_DT_s8, JM_DT_s32},
    {JM_DT_s8, JM_DT_s8, JM_DT_s8},       {JM_DT_u8, JM_DT_u8, JM_DT_u8},
    {JM_DT_s16, JM_DT_s16, JM_DT_s16},    {JM_DT_u16, JM_DT_u16, JM_DT_u16},
    {JM_DT_s32, JM_DT_s32, JM_DT_s32},    {JM_DT_u32, JM_DT_u32, JM_DT_u32},
    {JM_DT_s64, JM_DT_s64, JM_DT_s64},    {JM_DT_u64, JM_DT_u64, JM_DT_u64},
    {JM_DT_pred, JM_DT_pred, JM_DT_pred}, {JM_DT_f32, JM_DT_f32, JM_DT_f64},
    {JM_DT_f32, JM_DT_bf16, JM_DT_f32},   {JM_DT_f8e4m3fn, JM_DT_f8e5m2, JM_DT_f32},
    {JM_DT_s4, JM_DT_s4, JM_DT_s4},       {JM_DT_u4, JM_DT_u4, JM_DT_u4},
    {JM_DT_f32, JM_DT_f32, JM_DT_c64},
};
enum { N_PRODUCT_TYPES = sizeof product_types / sizeof *product_types };

#endif
