/* SPDX-License-Identifier: Apache-2.0
 * The host library and the fast products on shapes large enough for tiles and threads: against the
 * oracle or the obvious loops, and the same bits for 1, 2 and 4 threads (each number in a
 * process of its own, because the pool is made once). */
#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/data.h"
#include "engine/host/library/functions.h"
#include "engine/host/library/gemm.h"
#include "unit/ref_case.h"

static uint64_t hash;

static void hash_bytes(const void *data, size_t n) {
  for (size_t i = 0; i < n; i++) hash = (hash ^ ((const uint8_t *)data)[i]) * 0x100000001b3;
}

/* Runs the op twice, by a routine that must be one of library.def. */
static void run_and_hash(const ref_case *c) {
  const jm_op *op = jm_module_op(c->m, c->op);
  CHECK(jm_library_find(c->m, op) != jm_library_fns[op->code]);
  CHECK_OK(case_run(c));
  jm_call call = {c->m, op, c->in, c->out, NULL};
  CHECK_OK(jm_library_find(c->m, op)(&call));
  for (uint32_t i = 0; i < c->n_out; i++) hash_bytes(c->out[i].data, jm_type_bytes(c->out[i].type));
}

/* Real numbers, not bits: in place over what case_in made. */
static void fill_floats(const jm_tensor *t) {
  for (int64_t i = 0; i < t->type->count; i++)
    ((float *)t->data)[i] = (float)case_random(-1000, 1000) / 64;
}

static void fill_indices(const jm_tensor *t, int64_t limit) {
  for (int64_t i = 0; i < t->type->count; i++)
    ((int32_t *)t->data)[i] = (int32_t)case_random(-3, limit + 3);
}

static void gather_rows(void) {
  static const int64_t widths[] = {1, 3, 17, 64};
  for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
    ref_case c;
    case_begin(&c);
    const int64_t dims[] = {999, widths[w]}, indices[] = {70, 300, 1}, out[] = {70, 300, widths[w]};
    case_in(&c, w % 2 ? JM_DT_u8 : JM_DT_f32, 2, dims, NULL);
    case_in(&c, JM_DT_s32, 3, indices, NULL);
    fill_indices(&c.in[1], 999);
    case_out(&c, w % 2 ? JM_DT_u8 : JM_DT_f32, 3, out);
    int64_t offset = 2, zero = 0, sizes[] = {1, widths[w]};
    case_op(&c, JM_OP_gather,
            &(jm_gather_attrs){.offset_dims = {&offset, 1},
                               .collapsed_slice_dims = {&zero, 1},
                               .start_index_map = {&zero, 1},
                               .index_vector_dim = 2,
                               .slice_sizes = {sizes, 2}},
            0);
    run_and_hash(&c);
    case_end(&c);
  }
}

static void scatter_rows(void) {
  enum { MANY = 100003 }; /* updates: their sums are made in tables, and some are left over */
  static const struct {
    int64_t width;
    jm_dtype dtype;
    jm_opcode code; /* JM_N_OPS: assignment */
    int64_t rows, updates;
  } cases[] = {{1, JM_DT_f32, JM_OP_add, 999, 4000},       {1, JM_DT_s8, JM_OP_add, 999, 4000},
               {1, JM_DT_f64, JM_OP_maximum, 999, 4000},   {9, JM_DT_f32, JM_OP_add, 999, 4000},
               {65, JM_DT_f32, JM_OP_add, 999, 4000},      {64, JM_DT_f16, JM_OP_add, 999, 4000},
               {33, JM_DT_s32, JM_OP_multiply, 999, 4000}, {1, JM_DT_u16, JM_N_OPS, 999, 4000},
               {40, JM_DT_c128, JM_N_OPS, 999, 4000},      {1, JM_DT_f32, JM_OP_add, 999, MANY},
               {1, JM_DT_u16, JM_OP_add, 37, MANY},        {1, JM_DT_s64, JM_OP_add, 2500, MANY},
               {1, JM_DT_f32, JM_OP_add, 5000, MANY},      {1, JM_DT_f32, JM_OP_add, 12000, MANY},
               {1, JM_DT_u8, JM_OP_add, 9000, MANY}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ref_case c;
    case_begin(&c);
    const int64_t width = cases[i].width, dims[] = {cases[i].rows, width};
    const int64_t indices[] = {cases[i].updates, 1}, updates[] = {cases[i].updates, width};
    case_in(&c, cases[i].dtype, 2, dims, NULL);
    case_in(&c, JM_DT_s32, 2, indices, NULL);
    fill_indices(&c.in[1], cases[i].rows);
    case_in(&c, cases[i].dtype, 2, updates, NULL);
    case_out(&c, cases[i].dtype, 2, dims);
    if (cases[i].dtype == JM_DT_f32) fill_floats(&c.in[0]), fill_floats(&c.in[2]);
    if (cases[i].dtype == JM_DT_f64 || cases[i].dtype == JM_DT_f16)
      for (int k = 0; k < 3; k += 2) memset(c.in[k].data, k + 1, jm_type_bytes(c.in[k].type));
    int64_t window = 1, zero = 0;
    case_op(&c, JM_OP_scatter,
            &(jm_scatter_attrs){.update_window_dims = {&window, 1},
                                .inserted_window_dims = {&zero, 1},
                                .scatter_dims_to_operand_dims = {&zero, 1},
                                .index_vector_dim = 1},
            1);
    if (cases[i].code == JM_N_OPS) {
      jm_value args[2];
      const jm_type *type = case_type(&c, cases[i].dtype, 0, NULL);
      for (int k = 0; k < 2; k++) CHECK_OK(jm_build_arg(c.m, case_region(&c, 0), type, &args[k]));
      CHECK_OK(jm_build_results(c.m, case_region(&c, 0), &args[1], 1));
    } else {
      case_binary(&c, 0, cases[i].code, cases[i].dtype);
    }
    run_and_hash(&c);
    case_end(&c);
  }
}

static void pooling(void) {
  static const struct {
    int64_t channels, window, stride, low, dilation;
    jm_dtype dtype;
    jm_opcode code;
  } cases[] = {
      {64, 3, 2, 1, 1, JM_DT_f32, JM_OP_maximum}, {32, 2, 2, 0, 1, JM_DT_f32, JM_OP_add},
      {33, 3, 1, 2, 2, JM_DT_f32, JM_OP_minimum}, {96, 4, 3, 3, 1, JM_DT_f32, JM_OP_minimum},
      {9, 3, 1, 1, 1, JM_DT_f64, JM_OP_add},      {64, 3, 1, 1, 1, JM_DT_s16, JM_OP_maximum}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ref_case c;
    case_begin(&c);
    const int64_t side = 21, window = cases[i].window, stride = cases[i].stride;
    const int64_t reach = (window - 1) * cases[i].dilation + 1, low = cases[i].low;
    const int64_t made = (side + 2 * low - reach) / stride + 1;
    const int64_t dims[] = {7, side, side, cases[i].channels};
    const int64_t out[] = {7, made, made, cases[i].channels};
    case_in(&c, cases[i].dtype, 4, dims, NULL);
    case_in(&c, cases[i].dtype, 0, NULL, NULL);
    if (cases[i].dtype == JM_DT_f32) fill_floats(&c.in[0]), fill_floats(&c.in[1]);
    if (cases[i].dtype == JM_DT_f32)
      for (int64_t k = 0; k < c.in[0].type->count; k += 97) /* NaN, and both zeros */
        ((float *)c.in[0].data)[k] = k % 2 ? -0.0f : k % 3 ? 0.0f : (float)NAN;
    case_out(&c, cases[i].dtype, 4, out);
    case_op(&c, JM_OP_reduce_window,
            &(jm_reduce_window_attrs){
                .window = {(int64_t[]){1, window, window, 1}, 4},
                .strides = {(int64_t[]){1, stride, stride, 1}, 4},
                .base_dilations = {(int64_t[]){1, 1, 1, 1}, 4},
                .window_dilations = {(int64_t[]){1, cases[i].dilation, cases[i].dilation, 1}, 4},
                .padding = {(int64_t[]){0, 0, low, low, low, low, 0, 0}, 8}},
            1);
    case_binary(&c, 0, cases[i].code, cases[i].dtype);
    run_and_hash(&c);
    case_end(&c);
  }
}

/* Windows along the last axis: lengths at and around blocks and vectors, padding, strides. */
static void pooling_rows(void) {
  static const struct {
    int64_t length, window[2], stride[2], dilation, low, high;
    jm_dtype dtype;
    jm_opcode code;
  } cases[] = {{64, {2, 2}, {2, 2}, 1, 0, 0, JM_DT_f32, JM_OP_add},
               {56, {3, 3}, {2, 2}, 1, 1, 0, JM_DT_f32, JM_OP_maximum},
               {1031, {1, 3}, {1, 1}, 1, 1, 1, JM_DT_f32, JM_OP_maximum},
               {1099, {1, 8}, {1, 2}, 1, 3, 4, JM_DT_f32, JM_OP_minimum},
               {513, {2, 5}, {1, 1}, 3, 6, 7, JM_DT_f64, JM_OP_maximum},
               {700, {3, 4}, {2, 3}, 2, 9, 2, JM_DT_f64, JM_OP_add},
               {99, {2, 3}, {1, 7}, 1, -2, -1, JM_DT_f32, JM_OP_maximum},
               {40, {1, 2}, {3, 1}, 9, 30, 30, JM_DT_s32, JM_OP_minimum},
               {530, {1, 8}, {1, 2}, 1, 1, 1, JM_DT_s8, JM_OP_maximum},
               {1200, {1, 3}, {1, 2}, 1, 1, 0, JM_DT_u16, JM_OP_multiply},
               {300, {2, 6}, {1, 4}, 1, 5, 5, JM_DT_s64, JM_OP_add},
               {16, {1, 9}, {1, 1}, 1, 8, 8, JM_DT_s32, JM_OP_maximum}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ref_case c;
    case_begin(&c);
    const int64_t n = cases[i].length, *window = cases[i].window, *stride = cases[i].stride;
    const int64_t low = cases[i].low, high = cases[i].high, reach = cases[i].dilation;
    const int64_t dims[] = {5, 21, n};
    const int64_t out[] = {5, (21 + 1 - window[0]) / stride[0] + 1,
                           (n + low + high - (window[1] - 1) * reach - 1) / stride[1] + 1};
    float *x = case_in(&c, cases[i].dtype, 3, dims, NULL);
    case_in(&c, cases[i].dtype, 0, NULL, NULL);
    if (cases[i].dtype == JM_DT_f32) {
      fill_floats(&c.in[0]), fill_floats(&c.in[1]);
      for (int64_t k = 0; k < c.in[0].type->count; k += 97) /* NaN, and both zeros */
        x[k] = k % 2 ? -0.0f : k % 3 ? 0.0f : (float)NAN;
    }
    case_out(&c, cases[i].dtype, 3, out);
    case_op(&c, JM_OP_reduce_window,
            &(jm_reduce_window_attrs){.window = {(int64_t[]){1, window[0], window[1]}, 3},
                                      .strides = {(int64_t[]){1, stride[0], stride[1]}, 3},
                                      .base_dilations = {(int64_t[]){1, 1, 1}, 3},
                                      .window_dilations = {(int64_t[]){1, 1, reach}, 3},
                                      .padding = {(int64_t[]){0, 0, 1, 0, low, high}, 6}},
            1);
    case_binary(&c, 0, cases[i].code, cases[i].dtype);
    run_and_hash(&c);
    case_end(&c);
  }
}

/* -- products: small integers, so that every order of additions is exact; then thirds of them,
 * whose sums must be made in one order by any number of threads */

static void divide(void *data, size_t n, size_t element) {
  for (size_t i = 0; i < n; i++)
    if (element == sizeof(float))
      ((float *)data)[i] /= 3;
    else
      ((double *)data)[i] /= 3;
}

static void product(jm_dtype dtype, size_t m, size_t n, size_t k, int layout) {
  size_t element = jm_dtype_bytes(dtype), ldc = n + (layout & 4 ? 3 : 0);
  char *data[4];
  const size_t counts[] = {m * k, k * n, m * ldc, m * ldc};
  for (int i = 0; i < 4; i++) {
    data[i] = jm_alloc_data(counts[i] * element);
    CHECK(data[i]);
    for (size_t j = 0; j < counts[i]; j++) {
      int x = i == 3 ? 0 : (int)case_random(-8, 8);
      if (element == 4)
        ((float *)data[i])[j] = (float)x;
      else
        ((double *)data[i])[j] = x;
    }
  }
  memcpy(data[3], data[2], counts[2] * element);
  jm_gemm g = {.dtype = dtype,
               .m = m,
               .n = n,
               .k = k,
               .a = data[0],
               .a_row = layout & 1 ? 1 : (ptrdiff_t)k,
               .a_col = layout & 1 ? (ptrdiff_t)m : 1,
               .b = data[1],
               .b_row = layout & 2 ? 1 : (ptrdiff_t)n,
               .b_col = layout & 2 ? (ptrdiff_t)k : 1,
               .c = data[2],
               .ldc = ldc,
               .accumulate = layout & 4};
  CHECK_OK(jm_gemm_run(&g));
  g.c = data[3];
  jm_gemm_run_own(&g);
  CHECK(!memcmp(data[2], data[3], counts[2] * element));
  hash_bytes(data[2], counts[2] * element);
  for (int i = 0; i < 2; i++) divide(data[i], counts[i], element);
  g.c = data[2];
  CHECK_OK(jm_gemm_run(&g));
  hash_bytes(data[2], counts[2] * element);
  for (int i = 0; i < 4; i++) jm_free(data[i]);
}

static void products(void) {
  static const size_t sizes[][3] = {{2, 2, 300},    {5, 17, 33},    {6, 64, 128},   {7, 65, 129},
                                    {13, 31, 257},  {97, 48, 127},  {96, 256, 128}, {101, 259, 130},
                                    {3, 1000, 64},  {300, 10, 40},  {19, 128, 1},   {200, 200, 200},
                                    {33, 70, 5100}, {16, 9, 20001}, {97, 70, 1601}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int layout = 0; layout < 8; layout++) {
      product(JM_DT_f32, sizes[i][0], sizes[i][1], sizes[i][2], layout);
      product(JM_DT_f64, sizes[i][0], sizes[i][1], sizes[i][2], layout);
    }
}

static void (*const cases[])(void) = {gather_rows, scatter_rows, pooling, pooling_rows, products};

/* All cases in a process with so many threads: the hash of the results. */
static uint64_t run_with(const char *threads) {
  int ends[2];
  uint64_t result = 0;
  CHECK(!pipe(ends));
  pid_t child = fork();
  CHECK(child >= 0);
  if (!child) {
    setenv("JAX_MPS_NUM_THREADS", threads, 1);
    check_failures = 0;
    srand(1); /* the same cases in each */
    hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) cases[i]();
    bool sent = write(ends[1], &hash, sizeof hash) == sizeof hash;
    _exit(check_failures || !sent);
  }
  close(ends[1]);
  int status = 1;
  CHECK(read(ends[0], &result, sizeof result) == sizeof result);
  close(ends[0]);
  CHECK(waitpid(child, &status, 0) == child && !status);
  return result;
}

static void test_threads(void) {
  uint64_t one = run_with("1");
  CHECK(run_with("2") == one);
  CHECK(run_with("4") == one);
  CHECK(run_with("16") == one);
}

TEST_MAIN(test_threads)
