/* SPDX-License-Identifier: Apache-2.0
 * sort and top_k of the library: recognised comparators against a comparison by the rule,
 * the merge sort by region against the same, ties, NaN, -0, and comparators that contradict
 * themselves. */
#include <math.h>
#include <stdlib.h>

#include "engine/host/library/library.h"
#include "ir/build.h"
#include "unit/check.h"
#include "unit/oracle.h"

jm_call_fn jm_library_sort, jm_library_top_k;

/* -- building sorts */

typedef struct builder {
  jm_module *m;
  jm_op_id op;
  jm_region_id region;
  jm_value args; /* of the region: lhs0, rhs0, lhs1, ... */
} builder;

typedef enum style {
  STYLE_JAX,     /* canonical zeros and NaNs, total order, keys chained */
  STYLE_PLAIN,   /* total order as it is */
  STYLE_GREATER, /* total order, descending */
  STYLE_FLOAT,   /* descending in the partial order of floats */
  STYLE_HIDDEN,  /* STYLE_PLAIN that is not recognised: negated >= */
  STYLE_TRUE,    /* every element before every other one */
} style;

static const jm_type *type_of(jm_module *m, jm_dtype dtype, uint32_t rank, const int64_t *dims) {
  const jm_type *type = NULL;
  CHECK_OK(jm_module_type(m, dtype, rank, dims, &type));
  return type;
}

static const jm_type *scalar(jm_module *m, jm_dtype dtype) { return type_of(m, dtype, 0, NULL); }

static jm_value emit(builder *b, jm_opcode code, const jm_value *operands, uint32_t n,
                     jm_dtype dtype, const void *attrs) {
  const jm_type *type = scalar(b->m, dtype);
  jm_op_id op = JM_NONE;
  CHECK_OK(jm_build_op(b->m, b->region,
                       &(jm_op_spec){.code = code,
                                     .operands = operands,
                                     .n_operands = n,
                                     .result_types = &type,
                                     .n_results = 1,
                                     .attrs = attrs,
                                     .loc = JM_NONE},
                       &op));
  return jm_module_op(b->m, op)->first_result;
}

static jm_value compare(builder *b, jm_direction direction, jm_order order, jm_value lhs,
                        jm_value rhs) {
  jm_compare_attrs attrs = {.direction = direction, .order = order};
  return emit(b, JM_OP_compare, (jm_value[]){lhs, rhs}, 2, JM_DT_pred, &attrs);
}

static jm_value constant(builder *b, jm_dtype dtype, uint64_t bits) {
  jm_value value = JM_NONE;
  CHECK_OK(jm_build_splat(b->m, b->region, scalar(b->m, dtype), &bits, JM_NONE, &value));
  return value;
}

static uint64_t nan_of(jm_dtype dtype) {
  return dtype == JM_DT_f32 ? 0x7fc00000 : dtype == JM_DT_f64 ? 0x7ff8000000000000 : 0x7fc0;
}

static jm_value canonical(builder *b, jm_dtype dtype, jm_value x) {
  if (!jm_dtype_is_float(dtype)) return x;
  jm_value zero = constant(b, dtype, 0), nan = constant(b, dtype, nan_of(dtype));
  jm_value is_zero = compare(b, JM_COMPARE_EQ, JM_ORDER_FLOAT, x, zero);
  jm_value first = emit(b, JM_OP_select, (jm_value[]){is_zero, zero, x}, 3, dtype, NULL);
  jm_value is_nan = compare(b, JM_COMPARE_NE, JM_ORDER_FLOAT, x, x);
  return emit(b, JM_OP_select, (jm_value[]){is_nan, nan, first}, 3, dtype, NULL);
}

static jm_order order_of(jm_dtype dtype) {
  return jm_dtype_is_float(dtype)                   ? JM_ORDER_TOTAL
         : jm_dtype_classof(dtype) == JM_CLASS_SINT ? JM_ORDER_SIGNED
                                                    : JM_ORDER_UNSIGNED;
}

/* The pairs of values that are compared, most significant first. */
static uint32_t pairs_of(builder *b, style style, const jm_dtype *dtypes, uint32_t n_keys,
                         jm_value pairs[][2], jm_dtype *parts) {
  uint32_t n = 0;
  for (uint32_t k = 0; k < n_keys; k++) {
    bool is_complex = jm_dtype_is_complex(dtypes[k]);
    for (int part = 0; part <= is_complex; part++, n++) {
      parts[n] = jm_dtype_real(dtypes[k]);
      for (uint32_t side = 0; side < 2; side++) {
        jm_value x = b->args + 2 * k + side;
        if (is_complex) x = emit(b, part ? JM_OP_imag : JM_OP_real, &x, 1, parts[n], NULL);
        pairs[n][side] = style == STYLE_JAX ? canonical(b, parts[n], x) : x;
      }
    }
  }
  return n;
}

static jm_value comparator(builder *b, style style, const jm_dtype *dtypes, uint32_t n_keys) {
  jm_value pairs[8][2], result = JM_NONE;
  jm_dtype parts[8];
  if (style == STYLE_TRUE) return constant(b, JM_DT_pred, 1);
  uint32_t n = pairs_of(b, style, dtypes, n_keys, pairs, parts);
  for (uint32_t k = n; k-- > 0;) {
    bool descending = style == STYLE_GREATER || style == STYLE_FLOAT;
    jm_direction direction = descending ? JM_COMPARE_GT : JM_COMPARE_LT;
    jm_order order = style == STYLE_FLOAT ? JM_ORDER_FLOAT : order_of(parts[k]);
    jm_value less;
    if (style == STYLE_HIDDEN) {
      less = compare(b, JM_COMPARE_GE, order, pairs[k][0], pairs[k][1]);
      less = emit(b, JM_OP_not, &less, 1, JM_DT_pred, NULL);
    } else {
      less = compare(b, direction, order, pairs[k][0], pairs[k][1]);
    }
    if (k == n - 1) {
      result = less;
      continue;
    }
    jm_value same = compare(b, JM_COMPARE_EQ, order, pairs[k][0], pairs[k][1]);
    jm_value both = emit(b, JM_OP_and, (jm_value[]){same, result}, 2, JM_DT_pred, NULL);
    result = emit(b, JM_OP_or, (jm_value[]){less, both}, 2, JM_DT_pred, NULL);
  }
  return result;
}

static int64_t fail_after = -1; /* what jm_alloc_fail_after is told while sorting */
static uint64_t allocations;    /* that the last sort made */

/* Sorts n_inputs tensors of one shape along dim; inputs and outputs are arrays of pointers. */
static jm_error *sort(style style, const jm_dtype *dtypes, uint32_t n_inputs, uint32_t n_keys,
                      uint32_t rank, const int64_t *dims, int64_t dim, void **in, void **out) {
  builder b = {0};
  jm_tensor inputs[4], outputs[4];
  jm_value operands[4];
  const jm_type *types[4];
  CHECK_OK(jm_module_create(&b.m));
  jm_region_id entry;
  CHECK_OK(jm_build_region(b.m, &entry));
  for (uint32_t i = 0; i < n_inputs; i++) {
    types[i] = type_of(b.m, dtypes[i], rank, dims);
    inputs[i] = (jm_tensor){types[i], in[i]};
    outputs[i] = (jm_tensor){types[i], out[i]};
    CHECK_OK(jm_build_arg(b.m, entry, types[i], &operands[i]));
  }
  jm_sort_attrs attrs = {.dim = dim, .stable = true};
  CHECK_OK(jm_build_op(b.m, entry,
                       &(jm_op_spec){.code = JM_OP_sort,
                                     .operands = operands,
                                     .n_operands = n_inputs,
                                     .result_types = types,
                                     .n_results = n_inputs,
                                     .attrs = &attrs,
                                     .n_regions = 1,
                                     .loc = JM_NONE},
                       &b.op));
  b.region = jm_module_op(b.m, b.op)->first_region;
  for (uint32_t i = 0; i < 2 * n_inputs; i++) {
    jm_value arg;
    CHECK_OK(jm_build_arg(b.m, b.region, scalar(b.m, dtypes[i / 2]), &arg));
    if (i == 0) b.args = arg;
  }
  jm_value result = comparator(&b, style, dtypes, n_keys);
  CHECK_OK(jm_build_results(b.m, b.region, &result, 1));
  jm_call call = {b.m, jm_module_op(b.m, b.op), inputs, outputs, NULL};
  uint64_t before = jm_alloc_count();
  jm_alloc_fail_after(fail_after);
  jm_error *error = jm_library_sort(&call);
  jm_alloc_fail_after(-1);
  allocations = jm_alloc_count() - before;
  if (!error && style != STYLE_TRUE && inputs->type->count < 4096) check_oracle(&call, 0);
  jm_module_destroy(b.m);
  return error;
}

#ifndef JM_SORT_TEST_BUILDER_ONLY

/* -- expected results: an insertion sort by the rule, written again */

static uint32_t random_state = 1;
static uint32_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}

static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static int order_total(float a, float b) {
  int32_t x = (int32_t)bits_of(a), y = (int32_t)bits_of(b);
  x ^= (int32_t)((uint32_t)(x >> 31) >> 1);
  y ^= (int32_t)((uint32_t)(y >> 31) >> 1);
  return (x > y) - (x < y);
}

static int order_jax(float a, float b) {
  if (isnan(a) || isnan(b)) return !!isnan(a) - !!isnan(b);
  return (a > b) - (a < b);
}

static void expect(const float *keys, const int32_t *second, size_t n, style style, size_t *order) {
  for (size_t i = 0; i < n; i++) {
    size_t j = i;
    for (; j > 0; j--) {
      float a = keys[order[j - 1]], b = keys[i];
      int c = style == STYLE_JAX ? order_jax(a, b) : order_total(a, b);
      if (style == STYLE_GREATER) c = -c;
      if (c == 0 && second) {
        int32_t x = second[order[j - 1]], y = second[i];
        c = (x > y) - (x < y);
      }
      if (c <= 0) break;
      order[j] = order[j - 1];
    }
    order[j] = i;
  }
}

static const float edges[] = {0.0f, -0.0f,  1,       -1,   INFINITY, -INFINITY, NAN,
                              -NAN, 1e-40f, -1e-40f, 3.5f, 3.5f,     -2,        1e30f};

static float random_float(void) {
  uint32_t r = next_random();
  if (r % 4 == 0) return edges[r / 4 % (sizeof edges / sizeof *edges)];
  return (float)((int32_t)(r % 200) - 100) / 7;
}

/* Float keys alone, with a payload, and with a second key, in every style and around the sizes at
 * which the method changes. */
static void test_floats(void) {
  static const size_t sizes[] = {1, 2, 3, 40, 41, 100, 257, 1500};
  static float keys[1500], sorted[1500];
  static int32_t second[1500], sorted_second[1500];
  static size_t order[1500];
  for (size_t c = 0; c < sizeof sizes / sizeof *sizes * 4; c++) {
    size_t n = sizes[c / 4];
    static const enum style styles[] = {STYLE_JAX, STYLE_PLAIN, STYLE_GREATER, STYLE_HIDDEN};
    style style = styles[c % 4];
    for (size_t i = 0; i < n; i++) keys[i] = random_float(), second[i] = (int32_t)next_random() % 5;
    for (uint32_t inputs = 1; inputs <= 2; inputs++)
      for (uint32_t n_keys = 1; n_keys <= inputs; n_keys++) {
        if (n_keys == 2 && style == STYLE_GREATER) continue; /* would order the second so too */
        expect(keys, n_keys == 2 ? second : NULL, n, style, order);
        memset(sorted, 0xaa, sizeof sorted);
        CHECK_OK(sort(style, (jm_dtype[]){JM_DT_f32, JM_DT_s32}, inputs, n_keys, 1,
                      (int64_t[]){(int64_t)n}, 0, (void *[]){keys, second},
                      (void *[]){sorted, sorted_second}));
        size_t wrong = 0;
        for (size_t i = 0; i < n; i++) {
          wrong += bits_of(sorted[i]) != bits_of(keys[order[i]]);
          wrong += inputs == 2 && sorted_second[i] != second[order[i]];
        }
        CHECK(wrong == 0);
      }
  }
}

/* A middle dimension of [2,300,3], and the same by region. */
static void test_dimension(void) {
  enum { A = 2, N = 300, B = 3 };
  static int16_t in[A * N * B], out[A * N * B], other[A * N * B];
  for (size_t i = 0; i < A * N * B; i++) in[i] = (int16_t)next_random();
  int64_t dims[] = {A, N, B};
  jm_dtype dtype = JM_DT_s16;
  CHECK_OK(sort(STYLE_JAX, &dtype, 1, 1, 3, dims, 1, (void *[]){in}, (void *[]){out}));
  CHECK_OK(sort(STYLE_HIDDEN, &dtype, 1, 1, 3, dims, 1, (void *[]){in}, (void *[]){other}));
  CHECK(memcmp(out, other, sizeof out) == 0);
  for (size_t a = 0; a < A; a++)
    for (size_t b = 0; b < B; b++) {
      int64_t sum = 0, sum_out = 0;
      size_t unsorted = 0;
      for (size_t i = 0; i < N; i++) {
        size_t at = (a * N + i) * B + b;
        sum += in[at];
        sum_out += out[at];
        unsorted += i > 0 && out[at - B] > out[at];
      }
      CHECK(unsorted == 0);
      CHECK(sum == sum_out);
    }
}

/* Several threads sort pieces of one row; equal keys keep their order. */
static void test_long(void) {
  enum { N = 3 * (1 << 15) + 11 };
  static const jm_dtype types[] = {JM_DT_s32, JM_DT_s64};
  static int64_t wide[N], sorted_wide[N];
  static int32_t narrow[N], sorted_narrow[N], number[N], sorted_number[N];
  for (int t = 0; t < 2; t++) {
    for (int32_t i = 0; i < N; i++) {
      narrow[i] = (int32_t)(next_random() % 5000) - 2500;
      wide[i] = (int64_t)narrow[i] * ((int64_t)1 << 40);
      number[i] = i;
    }
    CHECK_OK(sort(STYLE_PLAIN, (jm_dtype[]){types[t], JM_DT_s32}, 2, 1, 1, (int64_t[]){N}, 0,
                  (void *[]){t ? (void *)wide : narrow, number},
                  (void *[]){t ? (void *)sorted_wide : sorted_narrow, sorted_number}));
    size_t wrong = 0;
    for (size_t i = 0; i < N; i++) {
      const int32_t at = sorted_number[i];
      const int64_t key = t ? sorted_wide[i] >> 40 : sorted_narrow[i];
      wrong += key != narrow[at];
      if (i && narrow[sorted_number[i - 1]] > narrow[at]) wrong++;
      if (i && narrow[sorted_number[i - 1]] == narrow[at] && sorted_number[i - 1] >= at) wrong++;
    }
    CHECK(wrong == 0);
  }
  CHECK_OK(sort(STYLE_PLAIN, types, 1, 1, 1, (int64_t[]){N}, 0, (void *[]){narrow},
                (void *[]){sorted_narrow}));
  size_t wrong = 0;
  for (size_t i = 0; i < N; i++) wrong += sorted_narrow[i] != narrow[sorted_number[i]];
  CHECK(wrong == 0);
}

static void test_complex(void) {
  float in[] = {1, 2, 1, -2, NAN, 0, -0.0f, 5, 0, 4, 1, NAN, -1, 0};
  float expected[] = {-1, 0, 0, 4, -0.0f, 5, 1, -2, 1, 2, 1, NAN, NAN, 0};
  float out[14];
  jm_dtype dtype = JM_DT_c64;
  CHECK_OK(sort(STYLE_JAX, &dtype, 1, 1, 1, (int64_t[]){7}, 0, (void *[]){in}, (void *[]){out}));
  for (size_t i = 0; i < 14; i++)
    CHECK(bits_of(out[i]) == bits_of(expected[i]) || (isnan(out[i]) && isnan(expected[i])));
}

/* Types of each kind against the region's answer, wide keys and payloads among them. */
static void test_types(void) {
  static const jm_dtype dtypes[] = {JM_DT_pred,     JM_DT_s8,       JM_DT_u8,     JM_DT_s16,
                                    JM_DT_u16,      JM_DT_s32,      JM_DT_u32,    JM_DT_s64,
                                    JM_DT_u64,      JM_DT_f64,      JM_DT_bf16,   JM_DT_f4e2m1fn,
                                    JM_DT_f6e2m3fn, JM_DT_f6e3m2fn, JM_DT_f8e5m2, JM_DT_f8e8m0fnu};
  static uint64_t in[500], out[500], other[500], payload[500], moved[500], moved_other[500];
  for (size_t t = 0; t < sizeof dtypes / sizeof *dtypes; t++) {
    size_t bytes = 500 * jm_dtype_bytes(dtypes[t]);
    unsigned bits = jm_dtype_facts[dtypes[t]].bits;
    for (size_t i = 0; i < bytes; i++)
      ((uint8_t *)in)[i] = (uint8_t)(next_random() & (bits < 8 ? (1u << bits) - 1 : 255));
    for (size_t i = 0; i < 500; i++) payload[i] = i;
    for (uint32_t inputs = 1; inputs <= 2; inputs++) {
      jm_dtype pair[] = {dtypes[t], JM_DT_u64};
      int64_t n = 500;
      CHECK_OK(sort(STYLE_PLAIN, pair, inputs, 1, 1, &n, 0, (void *[]){in, payload},
                    (void *[]){out, moved}));
      CHECK_OK(sort(STYLE_HIDDEN, pair, inputs, 1, 1, &n, 0, (void *[]){in, payload},
                    (void *[]){other, moved_other}));
      CHECK(memcmp(out, other, bytes) == 0);
      CHECK(memcmp(out, in, bytes) != 0);
      CHECK(inputs == 1 || memcmp(moved, moved_other, sizeof moved) == 0);
    }
  }
}

/* An order that says yes to everything: any permutation will do, but it must be one. */
static void test_inconsistent(void) {
  static int32_t in[2000], out[2000];
  static uint8_t seen[2000];
  for (int i = 0; i < 2000; i++) in[i] = i;
  jm_dtype dtype = JM_DT_s32;
  int64_t n = 2000;
  CHECK_OK(sort(STYLE_TRUE, &dtype, 1, 1, 1, &n, 0, (void *[]){in}, (void *[]){out}));
  size_t distinct = 0;
  for (int i = 0; i < 2000; i++)
    if (out[i] >= 0 && out[i] < 2000) distinct += !seen[out[i]]++;
  CHECK(distinct == 2000);
}

/* What JAX writes must not go through the region, which takes more allocations than a key, two
 * scratch arrays and what the threads need. */
static void test_recognised(void) {
  static float keys[500], sorted[500];
  static int32_t second[500], sorted_second[500];
  static float complex_out[1000], complex_in[1000];
  jm_dtype dtypes[] = {JM_DT_f32, JM_DT_s32}, complex_dtype = JM_DT_c64;
  int64_t n = 500;
  void *in[] = {keys, second}, *out[] = {sorted, sorted_second};
  for (int style = STYLE_JAX; style <= STYLE_HIDDEN; style++)
    for (uint32_t n_keys = 1; n_keys <= 2; n_keys++) {
      CHECK_OK(sort(style, dtypes, 2, n_keys, 1, &n, 0, in, out));
      bool by_keys = allocations <= 4;
      CHECK(by_keys == (style != STYLE_HIDDEN));
    }
  CHECK_OK(sort(STYLE_JAX, &complex_dtype, 1, 1, 1, &n, 0, (void *[]){complex_in},
                (void *[]){complex_out}));
  CHECK(allocations <= 4);
}

/* The order that NaN has no place in: by keys while there is none, and -0 is 0. */
static void test_partial(void) {
  float in[] = {1, -0.0f, 3, 0.0f, -INFINITY, 2, NAN, -0.0f}, out[8];
  float expected[] = {3, 2, 1, -0.0f, 0.0f, -INFINITY};
  jm_dtype dtype = JM_DT_f32;
  int64_t n = 6;
  CHECK_OK(sort(STYLE_FLOAT, &dtype, 1, 1, 1, &n, 0, (void *[]){in}, (void *[]){out}));
  CHECK(memcmp(out, expected, sizeof expected) == 0);
  CHECK(allocations <= 4);
  n = 8;
  CHECK_OK(sort(STYLE_FLOAT, &dtype, 1, 1, 1, &n, 0, (void *[]){in}, (void *[]){out}));
  CHECK(allocations > 4);
}

/* Every allocation that fails is an error, and nothing leaks (the sanitizers look). */
static void test_no_memory(void) {
  static int32_t in[300], out[300];
  static const style styles[] = {STYLE_JAX, STYLE_HIDDEN};
  jm_dtype dtype = JM_DT_s32;
  int64_t n = 300;
  for (int i = 0; i < 2; i++) {
    jm_error *error = NULL;
    for (fail_after = 0; fail_after < 100; fail_after++) {
      jm_error_destroy(error);
      error = sort(styles[i], &dtype, 1, 1, 1, &n, 0, (void *[]){in}, (void *[]){out});
      if (!error) break;
      CHECK(jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
    }
    CHECK(!error && fail_after > 2);
  }
  fail_after = -1;
}

static void test_empty(void) {
  jm_dtype dtype = JM_DT_s32;
  int32_t x = 7, y = 0;
  CHECK_OK(sort(STYLE_JAX, &dtype, 1, 1, 2, (int64_t[]){0, 3}, 1, (void *[]){&x}, (void *[]){&y}));
  CHECK_OK(sort(STYLE_JAX, &dtype, 1, 1, 2, (int64_t[]){3, 0}, 0, (void *[]){&x}, (void *[]){&y}));
  CHECK(y == 0);
  CHECK_OK(sort(STYLE_JAX, &dtype, 1, 1, 1, (int64_t[]){1}, 0, (void *[]){&x}, (void *[]){&y}));
  CHECK(y == 7);
}

static void test_cancelled(void) {
  static int32_t in[100], out[100];
  atomic_bool cancelled = true;
  builder b = {0};
  CHECK_OK(jm_module_create(&b.m));
  const jm_type *type = type_of(b.m, JM_DT_s32, 1, (int64_t[]){100});
  const jm_type *top = type_of(b.m, JM_DT_s32, 1, (int64_t[]){2});
  jm_top_k_attrs attrs = {.k = 2};
  jm_op op = {.code = JM_OP_top_k, .n_operands = 1, .n_results = 2, .attrs = &attrs};
  jm_tensor input = {type, in}, outputs[] = {{top, out}, {top, out + 50}};
  jm_call call = {b.m, &op, &input, outputs, &(jm_context){.cancelled = &cancelled}};
  CHECK_FAILS(jm_library_top_k(&call), JM_CANCELLED, "top_k");
  jm_module_destroy(b.m);
}

/* -- top_k */

static void top_k(jm_dtype dtype, bool smallest, int64_t rows, int64_t n, int64_t k, void *in,
                  void *out, int32_t *indices) {
  jm_module *m;
  CHECK_OK(jm_module_create(&m));
  const jm_type *result = type_of(m, dtype, 2, (int64_t[]){rows, k});
  jm_top_k_attrs attrs = {.k = k, .smallest = smallest};
  jm_op op = {.code = JM_OP_top_k, .n_operands = 1, .n_results = 2, .attrs = &attrs};
  jm_tensor input = {type_of(m, dtype, 2, (int64_t[]){rows, n}), in};
  jm_tensor outputs[] = {{result, out}, {type_of(m, JM_DT_s32, 2, (int64_t[]){rows, k}), indices}};
  const jm_call call = {m, &op, &input, outputs, NULL};
  CHECK_OK(jm_library_top_k(&call));
  if (rows * n < 4096) check_oracle(&call, 0);
  jm_module_destroy(m);
}

static void test_top_k_edges(void) {
  uint32_t in[] = {0x7fc00000, 0xffc00000, 0x80000000, 0,          0x7f800000, 0xff800000,
                   0x3f800000, 0x7fc00001, 0xffc00002, 0x80000001, 1};
  static const int32_t largest[] = {7, 0, 4, 6, 10, 3, 2, 9, 5, 1, 8};
  uint32_t out[11];
  int32_t indices[11];
  for (int64_t k = 1; k <= 11; k++) {
    top_k(JM_DT_f32, false, 1, 11, k, in, out, indices);
    for (int64_t i = 0; i < k; i++) CHECK(indices[i] == largest[i] && out[i] == in[largest[i]]);
    top_k(JM_DT_f32, true, 1, 11, k, in, out, indices);
    for (int64_t i = 0; i < k; i++) CHECK(indices[i] == largest[10 - i]);
  }
  /* The only NaN of the fnuz types counts as a negative one; e8m0 has no sign. */
  uint8_t fnuz[] = {0x80, 0x00, 0x40, 0xc0, 0xff}, unsign[] = {0xff, 0x00, 0x7f, 0x80}, bytes[5];
  top_k(JM_DT_f8e4m3fnuz, false, 1, 5, 5, fnuz, bytes, indices);
  CHECK(memcmp(indices, (int32_t[]){2, 1, 3, 4, 0}, 20) == 0);
  top_k(JM_DT_f8e8m0fnu, false, 1, 4, 4, unsign, bytes, indices);
  CHECK(memcmp(indices, (int32_t[]){0, 3, 2, 1}, 16) == 0);
  uint8_t small[] = {0xff, 0x01, 0xfe, 0x00}; /* s2: -1, 1, -2, 0 */
  top_k(JM_DT_s2, false, 1, 4, 4, small, bytes, indices);
  CHECK(memcmp(indices, (int32_t[]){1, 3, 0, 2}, 16) == 0);
}

/* Many ties, two rows, heap and whole sort, narrow and wide keys. */
static void test_top_k_ties(void) {
  enum { ROWS = 2, N = 3000 };
  static int32_t narrow[ROWS * N], indices[ROWS * N], out[ROWS * N];
  static int64_t wide[ROWS * N], wide_out[ROWS * N];
  static const int64_t ks[] = {1, 2, 7, 100, 375, 376, 3000};
  for (size_t i = 0; i < ROWS * N; i++) wide[i] = narrow[i] = (int32_t)(next_random() % 50) - 25;
  for (size_t c = 0; c < sizeof ks / sizeof *ks * 4; c++) {
    int64_t k = ks[c / 4];
    bool smallest = c % 2, is_wide = c / 2 % 2;
    if (is_wide)
      top_k(JM_DT_s64, smallest, ROWS, N, k, wide, wide_out, indices);
    else
      top_k(JM_DT_s32, smallest, ROWS, N, k, narrow, out, indices);
    size_t wrong = 0;
    for (int64_t row = 0; row < ROWS; row++) {
      const int32_t *values = narrow + row * N, *found = indices + row * k;
      for (int64_t i = 0; i < k; i++) {
        int64_t value = is_wide ? wide_out[row * k + i] : out[row * k + i];
        wrong += value != values[found[i]];
        if (i == 0) continue;
        int32_t a = values[found[i - 1]], b = values[found[i]];
        wrong += smallest ? a > b : a < b;
        wrong += a == b && found[i - 1] >= found[i];
      }
      int64_t better = 0; /* all that beat the last one must be in */
      int32_t last = values[found[k - 1]];
      for (int32_t i = 0; i < N; i++)
        better += (smallest ? values[i] < last : values[i] > last) ||
                  (values[i] == last && i <= found[k - 1]);
      wrong += better != k;
    }
    CHECK(wrong == 0);
  }
}

/* Elements that come last in the order, so that no bound keeps any of them out; then some that come
 * before, in few lanes and at the row's end. */
static void test_top_k_last(void) {
  enum { N = 2050 };
  static int32_t in[N], out[32], indices[32];
  static const int64_t ks[] = {1, 3, 8, 31, 32};
  for (size_t c = 0; c < sizeof ks / sizeof *ks * 2; c++) {
    const int64_t k = ks[c / 2];
    const bool smallest = c % 2;
    for (int32_t i = 0; i < N; i++) in[i] = smallest ? INT32_MAX : INT32_MIN;
    top_k(JM_DT_s32, smallest, 1, N, k, in, out, indices);
    size_t wrong = 0;
    for (int32_t i = 0; i < k; i++) wrong += indices[i] != i;
    for (int32_t i = 0; i < 4; i++) in[i * 128 + 5] = i;
    in[N - 1] = smallest ? -1 : 9;
    top_k(JM_DT_s32, smallest, 1, N, k, in, out, indices);
    for (int32_t i = 0; i < k && i < 5; i++) {
      const int32_t number = smallest ? i - 1 : 4 - i;
      wrong += indices[i] != (i ? number * 128 + 5 : N - 1);
    }
    for (int32_t i = 5; i < k; i++) wrong += indices[i] != (i < 10 ? i - 5 : i - 4);
    CHECK(wrong == 0);
  }
}

TEST_MAIN(test_floats, test_dimension, test_long, test_complex, test_types, test_inconsistent,
          test_recognised, test_partial, test_no_memory, test_empty, test_cancelled,
          test_top_k_edges, test_top_k_ties, test_top_k_last)
#endif
