/* SPDX-License-Identifier: Apache-2.0
 * dot_general against the definition: random batch, contracted and free dimensions in random order,
 * all kinds of element types, with every result known exactly. */
#include "engine/host/library/blas.h"
#include "unit/oracle.h"
#include "unit/product.h"

enum { ORACLE_WORK = 1 << 14 }; /* multiplications */
static bool without_memory;     /* whether calls are made by check_without_memory */
static int64_t only_value;      /* of all elements of operands; 0: random ones */

jm_error *jm_library_dot_general(const jm_call *call);

typedef struct dims {
  uint32_t n;
  int64_t sizes[RANK];
} dims;

static dims random_dims(uint32_t most, uint32_t largest, bool zero) {
  dims d = {random_below(most + 1), {0}};
  for (uint32_t i = 0; i < d.n; i++) d.sizes[i] = random_below(largest) + !zero;
  return d;
}

/* Puts batch, contracted and free dimensions into a random order: where[role][i] is the dimension.
 */
static void scatter_dims(const dims *const roles[3], int64_t where[3][RANK], uint32_t *rank,
                         int64_t *sizes) {
  *rank = roles[0]->n + roles[1]->n + roles[2]->n;
  int64_t order[3 * RANK];
  for (uint32_t i = 0; i < *rank; i++) order[i] = i;
  for (uint32_t i = *rank; i > 1; i--) {
    uint32_t j = random_below(i);
    int64_t swap = order[i - 1];
    order[i - 1] = order[j], order[j] = swap;
  }
  uint32_t n = 0;
  for (int r = 0; r < 3; r++)
    for (uint32_t i = 0; i < roles[r]->n; i++, n++) {
      where[r][i] = order[n];
      sizes[order[n]] = roles[r]->sizes[i];
    }
  int64_t sorted[RANK]; /* free dimensions keep their order */
  uint32_t k = 0;
  for (int64_t d = 0; d < *rank; d++)
    for (uint32_t i = 0; i < roles[2]->n; i++)
      if (where[2][i] == d) sorted[k++] = d;
  memcpy(where[2], sorted, k * sizeof *sorted);
}

static bool next(int64_t *index, const int64_t *sizes, uint32_t n) {
  for (uint32_t d = n; d-- > 0;) {
    if (++index[d] < sizes[d]) return true;
    index[d] = 0;
  }
  return false;
}

static int64_t offset(const array *a, const int64_t *index) {
  int64_t at = 0;
  for (uint32_t d = 0; d < a->type.rank; d++) at = at * a->dims[d] + index[d];
  return at;
}

static void fill(array *a) {
  array_fill(a);
  if (!only_value) return;
  for (int64_t i = 0; i < a->type.count; i++) a->exact[i][0] = only_value;
  jm_free(a->data);
  a->data = array_round(a);
}

static void check_dot(const jm_dtype *types, const dims *batch, const dims *contract, dims *m,
                      dims *n) {
  const dims *left[3] = {batch, contract, m}, *right[3] = {batch, contract, n};
  int64_t lw[3][RANK], rw[3][RANK], ls[RANK], rs[RANK], os[RANK];
  uint32_t lr, rr;
  scatter_dims(left, lw, &lr, ls);
  scatter_dims(right, rw, &rr, rs);
  array lhs, rhs, out;
  array_init(&lhs, types[0], lr, ls);
  array_init(&rhs, types[1], rr, rs);
  uint32_t rank = 0;
  for (uint32_t i = 0; i < batch->n; i++) os[rank++] = batch->sizes[i];
  for (uint32_t i = 0; i < m->n; i++) os[rank++] = m->sizes[i] = ls[lw[2][i]];
  for (uint32_t i = 0; i < n->n; i++) os[rank++] = n->sizes[i] = rs[rw[2][i]];
  array_init(&out, types[2], rank, os);
  fill(&lhs);
  fill(&rhs);
  int64_t contracted = 1, at[RANK] = {0}, k[RANK] = {0};
  for (uint32_t i = 0; i < contract->n; i++) contracted *= contract->sizes[i];
  for (int64_t o = 0; o < out.type.count; o++, next(at, os, rank))
    for (int64_t c = 0; c < contracted; c++, next(k, contract->sizes, contract->n)) {
      int64_t li[RANK], ri[RANK];
      for (uint32_t i = 0; i < batch->n; i++) li[lw[0][i]] = ri[rw[0][i]] = at[i];
      for (uint32_t i = 0; i < contract->n; i++) li[lw[1][i]] = ri[rw[1][i]] = k[i];
      for (uint32_t i = 0; i < m->n; i++) li[lw[2][i]] = at[batch->n + i];
      for (uint32_t i = 0; i < n->n; i++) ri[rw[2][i]] = at[batch->n + m->n + i];
      exact_mac(out.exact[o], lhs.exact[offset(&lhs, li)], rhs.exact[offset(&rhs, ri)],
                types[2] == JM_DT_pred);
    }
  jm_dot_general_attrs attrs = {.lhs_batch = {lw[0], batch->n},
                                .rhs_batch = {rw[0], batch->n},
                                .lhs_contract = {lw[1], contract->n},
                                .rhs_contract = {rw[1], contract->n}};
  jm_op op = {
      .code = JM_OP_dot_general, .n_operands = 2, .n_results = 1, .attrs = &attrs, .loc = JM_NONE};
  jm_tensor in[2] = {array_tensor(&lhs), array_tensor(&rhs)}, result = array_tensor(&out);
  jm_call call = {.op = &op, .in = in, .out = &result};
  if (without_memory)
    check_without_memory(jm_library_dot_general, &call);
  else
    CHECK_OK(jm_library_dot_general(&call));
  if (!without_memory && out.type.count * contracted < ORACLE_WORK) check_oracle(&call, 1);
  bool right_values = array_is_right(&out);
  CHECK(right_values);
  if (!right_values)
    fprintf(stderr, "  %s x %s -> %s, %u batch, %u contracted (%lld), %u and %u free\n",
            jm_dtype_name(types[0]), jm_dtype_name(types[1]), jm_dtype_name(types[2]), batch->n,
            contract->n, (long long)contracted, m->n, n->n);
  array_deinit(&lhs);
  array_deinit(&rhs);
  array_deinit(&out);
}

static void test_random(void) {
  for (int i = 0; i < 1500; i++) {
    dims batch = random_dims(2, 4, i % 50 == 0), contract = random_dims(3, 5, i % 20 == 0);
    dims m = random_dims(2, 6, i % 50 == 1), n = random_dims(2, 6, i % 50 == 2);
    check_dot(product_types[i % N_PRODUCT_TYPES], &batch, &contract, &m, &n);
  }
}

/* Sizes that reach the library, the packed loops and threads. */
static void test_large(void) {
  static const int64_t sizes[][4] = {
      {1, 70, 130, 150},  {1, 1, 90, 300},   {1, 200, 90, 1},   {1, 1, 3000, 1}, {40, 9, 20, 17},
      {2, 130, 270, 140}, {1, 100, 1, 30},   {1, 1, 203, 1111}, {3, 1, 61, 275}, {1, 517, 75, 1},
      {1, 210, 150, 70},  {1, 200, 90, 5},   {1, 16, 9000, 8},  {1, 70, 130, 8}, {2, 40, 300, 3},
      {1, 333, 8, 4},     {1, 512, 140, 70}, {70, 8, 8, 8},     {65, 3, 5, 2},   {64, 17, 20, 21},
      {66, 33, 40, 130},  {1, 130, 700, 65}, {1, 300, 70, 3},   {1, 4, 90, 200}};
  for (int i = 0; i < N_PRODUCT_TYPES; i++)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      if (i > 16 && s > 1) continue;
      dims batch = {1, {sizes[s][0]}}, m = {1, {sizes[s][1]}}, k = {1, {sizes[s][2]}},
           n = {1, {sizes[s][3]}};
      check_dot(product_types[i], &batch, &k, &m, &n);
    }
}

/* Rows and columns in groups, which lie between other dimensions: a product for each group, or a
 * copy. */
static void test_groups(void) {
  for (int i = 0; i < 3 * N_PRODUCT_TYPES; i++) {
    dims batch = {1, {1 + i % 2}}, k = {1, {90}}, m = {2, {3, 40}}, n = {2, {2, 50}};
    check_dot(product_types[i % N_PRODUCT_TYPES], &batch, &k, &m, &n);
  }
}

/* An operand that is packed in parts. */
static void test_slabs(void) {
  dims batch = {0, {0}}, m = {1, {250}}, k = {1, {1030}}, n = {1, {1100}};
  check_dot(product_types[0], &batch, &k, &m, &n);
}

/* Sums of small integers at and beyond what floats hold exactly. */
static void test_small_integers(void) {
  static const struct {
    jm_dtype type;
    int64_t value, terms;
  } rows[] = {{JM_DT_s8, -128, 1023},  {JM_DT_s8, -128, 1024}, {JM_DT_s8, -128, 1025},
              {JM_DT_s8, 127, 40000},  {JM_DT_u8, 255, 258},   {JM_DT_u8, 255, 259},
              {JM_DT_s8, -128, 131071}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const jm_dtype types[3] = {rows[i].type, rows[i].type, JM_DT_s32};
    dims batch = {0, {0}}, m = {1, {5}}, k = {1, {rows[i].terms}}, n = {1, {9}};
    only_value = rows[i].value;
    check_dot(types, &batch, &k, &m, &n);
    only_value = 0;
    if (rows[i].terms < 2000) check_dot(types, &batch, &k, &m, &n);
  }
}

static void test_without_memory(void) {
  without_memory = true;
  dims batch = {1, {2}}, k = {2, {7, 9}}, m = {2, {10, 3}}, n = {2, {8, 5}};
  for (int i = 0; i < 20; i++) check_dot(product_types[i % 8], &batch, &k, &m, &n);
  without_memory = false;
}

/* Old contents of the target must not leak, and 0 times infinity is NaN. */
static void test_nan(void) {
  float a[20 * 30] = {0}, b[30 * 40] = {0}, c[20 * 40];
  for (int i = 0; i < 20 * 40; i++) c[i] = (float)i / 0.0f - (float)i / 0.0f;
  b[7] = 1.0f / 0.0f;
  jm_gemm gemm = {.dtype = JM_DT_f32,
                  .m = 20,
                  .n = 40,
                  .k = 30,
                  .a = a,
                  .a_row = 30,
                  .a_col = 1,
                  .b = b,
                  .b_row = 40,
                  .b_col = 1,
                  .c = c,
                  .ldc = 40};
  CHECK_OK(jm_gemm_run(&gemm));
  for (int i = 0; i < 20 * 40; i++) CHECK(i % 40 == 7 ? c[i] != c[i] : c[i] == 0);
}

static double value_at(const void *data, jm_dtype dtype, size_t i) {
  return dtype == JM_DT_f32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

/* A result has the same bits whatever else is computed with it: work is split into any ranges. */
static void test_vector_ranges(void) {
  enum { N = 700, K = 150 };
  static double matrix[N * K], x[K], whole[N], part[N];
  static const jm_dtype dtypes[] = {JM_DT_f32, JM_DT_f64};
  for (int t = 0; t < 2; t++)
    for (int by_line = 0; by_line < 2; by_line++) {
      for (size_t i = 0; i < N * K; i++) {
        double value = 1 / (double)(1 + random_below(1000));
        if (dtypes[t] == JM_DT_f32)
          ((float *)matrix)[i] = (float)value, ((float *)x)[i % K] = (float)(2 - value);
        else
          matrix[i] = value, x[i % K] = 2 - value;
      }
      jm_gemm g = {.dtype = dtypes[t], .m = 1, .n = N, .k = K, .a = x, .a_row = K, .a_col = 1};
      g.b = matrix, g.c = whole, g.ldc = N;
      g.b_row = by_line ? 1 : N, g.b_col = by_line ? K : 1;
      CHECK_OK(jm_gemm_run(&g));
      for (g.n = 64; g.n < N; g.n += 64) {
        g.c = part, g.one_thread = true;
        CHECK_OK(jm_gemm_run(&g));
        CHECK(!memcmp(whole, part, g.n * jm_dtype_bytes(dtypes[t])));
      }
      double sum = 0;
      for (size_t l = 0; l < K; l++)
        sum += value_at(x, dtypes[t], l) *
               value_at(matrix, dtypes[t], by_line ? 5 * K + l : l * N + 5);
      double difference = value_at(whole, dtypes[t], 5) - sum;
      CHECK(difference < 1e-4 * sum && difference > -1e-4 * sum);
    }
}

static void test_describe(void) {
  CHECK(strlen(jm_blas_describe()) > 8);
  CHECK(!jm_blas_find("no_such_routine"));
}

TEST_MAIN(test_random, test_large, test_groups, test_slabs, test_small_integers,
          test_without_memory, test_nan, test_vector_ranges, test_describe)
