/* SPDX-License-Identifier: Apache-2.0
 * Reductions and windows against the definition: with a body whose result depends on the order
 * (3 * acc + x in u64), with one whose order is free (max, add), and the edges of floats. */
#include <math.h>

#include "engine/host/library/functions.h"
#include "unit/ref_case.h"

enum { RANK = 4, ROUNDS = 200 };

/* The region becomes 3 * arg0 + arg1. */
static void ordered_body(ref_case *c, uint32_t region) {
  const jm_type *u64 = case_type(c, JM_DT_u64, 0, NULL);
  jm_region_id r = case_region(c, region);
  jm_value args[2], three, product, sum;
  for (int i = 0; i < 2; i++) CHECK_OK(jm_build_arg(c->m, r, u64, &args[i]));
  static const uint64_t value = 3;
  CHECK_OK(jm_build_splat(c->m, r, u64, &value, JM_NONE, &three));
  CHECK_OK(jm_build_binary(c->m, r, JM_OP_multiply, args[0], three, u64, JM_NONE, &product));
  CHECK_OK(jm_build_binary(c->m, r, JM_OP_add, product, args[1], u64, JM_NONE, &sum));
  CHECK_OK(jm_build_results(c->m, r, &sum, 1));
}

static uint64_t fold_u64(int body, uint64_t acc, uint64_t x) {
  return body == 0 ? 3 * acc + x : body == 1 ? acc + x : acc > x ? acc : x;
}

static void u64_body(ref_case *c, int body) {
  if (!body)
    ordered_body(c, 0);
  else
    case_binary(c, 0, body == 1 ? JM_OP_add : JM_OP_maximum, JM_DT_u64);
}

static void check_reduce(uint32_t rank, const int64_t *dims, const int64_t *cut, uint32_t n_cut,
                         int body) {
  ref_case c;
  case_begin(&c);
  int64_t out[RANK], at[RANK];
  uint32_t n_out = 0;
  bool is_cut[RANK] = {false};
  for (uint32_t j = 0; j < n_cut; j++) is_cut[cut[j]] = true;
  for (uint32_t d = 0; d < rank; d++)
    if (!is_cut[d]) out[n_out++] = dims[d];
  const uint64_t init = 12345;
  uint64_t *x = case_in(&c, JM_DT_u64, rank, dims, NULL);
  case_in(&c, JM_DT_u64, 0, NULL, &init);
  uint64_t *y = case_out(&c, JM_DT_u64, n_out, out);
  case_op(&c, JM_OP_reduce, &(jm_reduce_attrs){.dims = {cut, n_cut}}, 1);
  u64_body(&c, body);
  CHECK_OK(case_run(&c));
  int64_t count = c.out[0].type->count;
  uint64_t *wanted = jm_alloc((size_t)count, sizeof *wanted);
  for (int64_t i = 0; i < count; i++) wanted[i] = init;
  for (int64_t i = 0; i < c.in[0].type->count; i++) {
    int64_t to[RANK];
    uint32_t k = 0;
    case_unravel(c.in[0].type, i, at);
    for (uint32_t d = 0; d < rank; d++)
      if (!is_cut[d]) to[k++] = at[d];
    uint64_t *acc = &wanted[case_ravel(c.out[0].type, to)];
    *acc = fold_u64(body, *acc, x[i]);
  }
  CHECK(!memcmp(y, wanted, (size_t)count * sizeof *y));
  jm_free(wanted);
  case_end(&c);
}

static void test_reduce_random(void) {
  for (int round = 0; round < 2 * ROUNDS; round++) {
    int64_t dims[RANK], cut[RANK];
    uint32_t rank = (uint32_t)case_random(0, RANK), n_cut = 0;
    for (uint32_t d = 0; d < rank; d++) {
      dims[d] = case_random(case_random(0, 20) ? 1 : 0, 7);
      if (!case_random(0, 4)) dims[d] = case_random(20, rank > 2 ? 60 : 900);
      if (case_random(0, 1)) cut[n_cut++] = d;
    }
    if (n_cut > 1 && case_random(0, 1)) { /* the list need not be sorted */
      int64_t swap = cut[0];
      cut[0] = cut[n_cut - 1];
      cut[n_cut - 1] = swap;
    }
    check_reduce(rank, dims, cut, n_cut, round % 3);
  }
}

/* Large enough for several tasks. */
static void test_reduce_large(void) {
  static const int64_t shapes[][3] = {{1, 1, 200001}, {1, 70000, 3},  {3, 1, 70000},
                                      {40, 50, 101},  {2, 1000, 100}, {150, 7, 161}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (int dims = 0; dims < 8; dims++)
      for (int body = 0; body < 3; body++) {
        int64_t cut[3];
        uint32_t n = 0;
        for (int d = 0; d < 3; d++)
          if (dims >> d & 1) cut[n++] = d;
        check_reduce(3, shapes[s], cut, n, body);
      }
}

/* One float reduction of [rows, columns] over one dimension. */
static void reduce_f32(jm_opcode code, int64_t rows, int64_t columns, int64_t dim, const float *x,
                       float init, float *out) {
  ref_case c;
  case_begin(&c);
  case_in(&c, JM_DT_f32, 2, (int64_t[]){rows, columns}, x);
  case_in(&c, JM_DT_f32, 0, NULL, &init);
  c.ulps = 32;
  float *y = case_out(&c, JM_DT_f32, 1, (int64_t[]){dim ? rows : columns});
  case_op(&c, JM_OP_reduce, &(jm_reduce_attrs){.dims = {&dim, 1}}, 1);
  case_binary(&c, 0, code, JM_DT_f32);
  CHECK_OK(case_run(&c));
  memcpy(out, y, jm_type_bytes(c.out[0].type));
  case_end(&c);
}

static void test_reduce_f32(void) {
  enum { N = 100000 };
  static float x[N], out[N];
  static const int64_t shapes[][2] = {{1, N}, {N, 1}, {10, N / 10}, {N / 10, 10}, {100, N / 100}};
  for (int i = 0; i < N; i++) x[i] = (float)(rand() % 1000) / 7.0f;
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (int64_t dim = 0; dim < 2; dim++) {
      int64_t rows = shapes[s][0], columns = shapes[s][1];
      reduce_f32(JM_OP_add, rows, columns, dim, x, 1.5f, out);
      bool ok = true;
      for (int64_t i = 0; i < (dim ? rows : columns); i++) {
        double sum = 1.5;
        for (int64_t k = 0; k < (dim ? columns : rows); k++)
          sum += x[dim ? i * columns + k : k * columns + i];
        ok &= fabs(out[i] - sum) <= 2e-6 * sum; /* a plain loop over 100000 is off by 1e-4 */
      }
      CHECK(ok);
    }
}

static void test_reduce_special(void) {
  float x[40], out;
  for (int length = 1; length <= 40; length++)
    for (int where = 0; where < length; where++) {
      for (int i = 0; i < 40; i++) x[i] = (float)i;
      x[where] = NAN;
      reduce_f32(JM_OP_maximum, 1, length, 1, x, -INFINITY, &out);
      CHECK(isnan(out));
      reduce_f32(JM_OP_minimum, length, 1, 0, x, INFINITY, &out);
      CHECK(isnan(out));
      for (int i = 0; i < 40; i++) x[i] = -0.0f;
      x[where] = 0.0f;
      reduce_f32(JM_OP_maximum, 1, length, 1, x, -INFINITY, &out);
      CHECK(out == 0 && !signbit(out)); /* +0 is larger, wherever it is */
      for (int i = 0; i < 40; i++) x[i] = 0.0f;
      x[where] = -0.0f;
      reduce_f32(JM_OP_minimum, 1, length, 1, x, INFINITY, &out);
      CHECK(out == 0 && signbit(out));
    }
  for (int i = 0; i < 40; i++) x[i] = -0.0f;
  reduce_f32(JM_OP_add, 1, 40, 1, x, -0.0f, &out);
  CHECK(out == 0 && signbit(out));
  reduce_f32(JM_OP_add, 1, 40, 1, x, 0.0f, &out);
  CHECK(out == 0 && !signbit(out));
}

/* More ones than a bf16 accumulator can count (256 + 1 is 256), another number for each output. */
static void test_reduce_narrow(void) {
  static const int64_t shapes[][2] = {{3, 1000}, {700, 256}, {3, 100000}, {100000, 3}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (int64_t dim = 0; dim < 2; dim++) {
      ref_case c;
      case_begin(&c);
      const int64_t *dims = shapes[s];
      uint16_t *x = case_in(&c, JM_DT_bf16, 2, dims, NULL), zero = 0;
      case_in(&c, JM_DT_bf16, 0, NULL, &zero);
      uint16_t *y = case_out(&c, JM_DT_bf16, 1, &dims[!dim]);
      for (int64_t i = 0; i < dims[0]; i++)
        for (int64_t k = 0; k < dims[1]; k++)
          x[i * dims[1] + k] = (dim ? k : i) < dims[dim] / (1 + (dim ? i : k) % 3) ? 0x3F80 : 0;
      case_op(&c, JM_OP_reduce, &(jm_reduce_attrs){.dims = {&dim, 1}}, 1);
      case_binary(&c, 0, JM_OP_add, JM_DT_bf16);
      CHECK_OK(case_run(&c));
      bool ok = true;
      for (int64_t i = 0; i < dims[!dim]; i++) {
        uint32_t bits = (uint32_t)y[i] << 16;
        float sum;
        memcpy(&sum, &bits, sizeof sum);
        ok &= fabsf(sum / (float)(dims[dim] / (1 + i % 3)) - 1) <= 1.0f / 256;
      }
      CHECK(ok);
      case_end(&c);
    }
}

static void argmax_body(ref_case *c) {
  const jm_type *f32 = case_type(c, JM_DT_f32, 0, NULL), *s32 = case_type(c, JM_DT_s32, 0, NULL);
  const jm_type *pred = case_type(c, JM_DT_pred, 0, NULL);
  jm_region_id r = case_region(c, 0);
  jm_value a, i, b, j, wins, ties, takes, results[2];
  CHECK_OK(jm_build_arg(c->m, r, f32, &a));
  CHECK_OK(jm_build_arg(c->m, r, s32, &i));
  CHECK_OK(jm_build_arg(c->m, r, f32, &b));
  CHECK_OK(jm_build_arg(c->m, r, s32, &j));
  jm_value greater = case_compare(c, r, JM_COMPARE_GT, a, b);
  jm_value nan = case_compare(c, r, JM_COMPARE_NE, a, a);
  CHECK_OK(jm_build_binary(c->m, r, JM_OP_or, greater, nan, pred, JM_NONE, &wins));
  jm_value equal = case_compare(c, r, JM_COMPARE_EQ, a, b);
  jm_value earlier = case_compare(c, r, JM_COMPARE_LT, i, j);
  CHECK_OK(jm_build_binary(c->m, r, JM_OP_and, equal, earlier, pred, JM_NONE, &ties));
  CHECK_OK(jm_build_binary(c->m, r, JM_OP_or, wins, ties, pred, JM_NONE, &takes));
  results[0] = case_select(c, r, wins, a, b);
  results[1] = case_select(c, r, takes, i, j);
  CHECK_OK(jm_build_results(c->m, r, results, 2));
}

static void test_argmax(void) {
  static const int64_t shapes[][2] = {{1, 5000}, {3, 1001}, {200, 7},    {70, 90},
                                      {2, 300},  {1, 1},    {1, 150000}, {2000, 100}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (int64_t dim = 0; dim < 2; dim++)
      for (int n_nans = 0; n_nans < 3; n_nans++) {
        ref_case c;
        case_begin(&c);
        const int64_t *dims = shapes[s];
        float *x = case_in(&c, JM_DT_f32, 2, dims, NULL), init = -INFINITY;
        int32_t *index = case_in(&c, JM_DT_s32, 2, dims, NULL), zero = 0;
        case_in(&c, JM_DT_f32, 0, NULL, &init);
        case_in(&c, JM_DT_s32, 0, NULL, &zero);
        for (int64_t i = 0; i < dims[0] * dims[1]; i++) {
          index[i] = (int32_t)(dim ? i % dims[1] : i / dims[1]);
          x[i] = (float)case_random(-20, 20); /* many ties */
        }
        for (int k = 0; k < n_nans * 5; k++) x[case_random(0, dims[0] * dims[1] - 1)] = NAN;
        float *value = case_out(&c, JM_DT_f32, 1, &dims[!dim]);
        int32_t *where = case_out(&c, JM_DT_s32, 1, &dims[!dim]);
        case_op(&c, JM_OP_reduce, &(jm_reduce_attrs){.dims = {&dim, 1}}, 1);
        argmax_body(&c);
        CHECK_OK(case_run(&c));
        bool ok = true;
        for (int64_t i = 0; i < dims[!dim]; i++) {
          float best = -INFINITY;
          int32_t at = 0;
          for (int64_t k = 0; k < dims[dim] && !isnan(best); k++) {
            float v = x[dim ? i * dims[1] + k : k * dims[1] + i];
            if (v > best || isnan(v)) best = v, at = (int32_t)k;
          }
          ok &= where[i] == at && (isnan(best) ? isnan(value[i]) : value[i] == best);
        }
        CHECK(ok);
        case_end(&c);
      }
}

/* -- windows */

typedef struct window {
  int64_t dims[RANK], out[RANK], window[RANK], strides[RANK], base[RANK], dilation[RANK],
      padding[2 * RANK];
  uint32_t rank;
} window;

static void random_window(window *w, bool dilated) {
  w->rank = (uint32_t)case_random(0, RANK);
  for (uint32_t d = 0; d < w->rank; d++) {
    w->dims[d] = case_random(case_random(0, 30) ? 1 : 0, 6);
    if (!case_random(0, 4)) w->dims[d] = case_random(16, 40);
    w->window[d] = case_random(0, 1) ? 1 : case_random(1, 4);
    w->strides[d] = case_random(1, 3);
    w->base[d] = dilated && !case_random(0, 2) ? case_random(1, 3) : 1;
    w->dilation[d] = dilated && !case_random(0, 2) ? case_random(1, 3) : 1;
    for (int side = 0; side < 2; side++)
      w->padding[2 * d + side] = case_random(0, 1) ? case_random(dilated ? -1 : 0, 3) : 0;
    int64_t size = w->dims[d] ? (w->dims[d] - 1) * w->base[d] + 1 : 0;
    size += w->padding[2 * d] + w->padding[2 * d + 1];
    int64_t reach = (w->window[d] - 1) * w->dilation[d] + 1;
    w->out[d] = size < reach ? 0 : (size - reach) / w->strides[d] + 1;
  }
}

/* The operand's element at a position of an output's window, -1: padding or hole. */
static int64_t window_element(const window *w, const jm_type *in, const int64_t *out,
                              const int64_t *position) {
  int64_t at[RANK];
  for (uint32_t d = 0; d < w->rank; d++) {
    at[d] = out[d] * w->strides[d] + position[d] * w->dilation[d] - w->padding[2 * d];
    if (at[d] < 0 || at[d] % w->base[d] || at[d] / w->base[d] >= w->dims[d]) return -1;
    at[d] /= w->base[d];
  }
  return case_ravel(in, at);
}

static bool next_position(const window *w, int64_t *position) {
  for (uint32_t d = w->rank; d--;) {
    if (++position[d] < w->window[d]) return true;
    position[d] = 0;
  }
  return false;
}

static void check_window(const window *w, int body) {
  ref_case c;
  case_begin(&c);
  const uint64_t init = 1234;
  uint64_t *x = case_in(&c, JM_DT_u64, w->rank, w->dims, NULL);
  case_in(&c, JM_DT_u64, 0, NULL, &init);
  uint64_t *y = case_out(&c, JM_DT_u64, w->rank, w->out);
  case_op(&c, JM_OP_reduce_window,
          &(jm_reduce_window_attrs){.window = {w->window, w->rank},
                                    .strides = {w->strides, w->rank},
                                    .base_dilations = {w->base, w->rank},
                                    .window_dilations = {w->dilation, w->rank},
                                    .padding = {w->padding, 2 * w->rank}},
          1);
  u64_body(&c, body);
  CHECK_OK(case_run(&c));
  bool ok = true;
  for (int64_t i = 0; i < c.out[0].type->count; i++) {
    int64_t out[RANK], position[RANK] = {0};
    uint64_t acc = init;
    case_unravel(c.out[0].type, i, out);
    do {
      int64_t element = c.in[0].type->count ? window_element(w, c.in[0].type, out, position) : -1;
      if (element >= 0) acc = fold_u64(body, acc, x[element]);
    } while (next_position(w, position));
    ok &= acc == y[i];
  }
  CHECK(ok);
  case_end(&c);
}

static void test_reduce_window(void) {
  for (int round = 0; round < 3 * ROUNDS; round++) {
    window w;
    random_window(&w, round % 2);
    check_window(&w, round % 3);
  }
  window large = {.rank = 3,
                  .dims = {5, 300, 60},
                  .out = {5, 150, 60},
                  .window = {1, 3, 1},
                  .strides = {1, 2, 1},
                  .base = {1, 1, 1},
                  .dilation = {1, 1, 1},
                  .padding = {0, 0, 1, 1, 0, 0}};
  for (int body = 0; body < 3; body++) check_window(&large, body);
}

static void test_cumulative(void) {
  static const int64_t shapes[][3] = {{1, 700, 1}, {20, 37, 1}, {5, 33, 3},
                                      {4, 20, 40}, {300, 9, 2}, {2, 1, 5}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (int body = 0; body < 3; body++)
      for (int64_t reverse = 0; reverse < 2; reverse++)
        for (int64_t longer = 0; longer < 2; longer++) {
          window w = {.rank = 3};
          for (uint32_t d = 0; d < 3; d++) {
            w.dims[d] = w.out[d] = shapes[s][d];
            w.window[d] = w.strides[d] = w.base[d] = w.dilation[d] = 1;
          }
          w.window[1] = w.dims[1] + 2 * longer;
          w.padding[2 + reverse] = w.window[1] - 1;
          check_window(&w, body);
        }
}

static void test_select_and_scatter(void) {
  for (int round = 0; round < 2 * ROUNDS; round++) {
    window w;
    random_window(&w, false);
    if (round < 2) /* several tasks */
      w = (window){.rank = 3,
                   .dims = {5, 300, 60},
                   .out = {5, 150, 60},
                   .window = {1, 3, 1},
                   .strides = {1, 2, 1},
                   .base = {1, 1, 1},
                   .dilation = {1, 1, 1},
                   .padding = {0, 0, 1, 1, 0, 0}};
    ref_case c;
    case_begin(&c);
    jm_direction direction = round % 2 ? JM_COMPARE_GE : JM_COMPARE_LT;
    int32_t *x = case_in(&c, JM_DT_s32, w.rank, w.dims, NULL), init = 100;
    int32_t *source = case_in(&c, JM_DT_s32, w.rank, w.out, NULL);
    case_in(&c, JM_DT_s32, 0, NULL, &init);
    int32_t *y = case_out(&c, JM_DT_s32, w.rank, w.dims);
    for (int64_t i = 0; i < c.in[0].type->count; i++) x[i] = (int32_t)case_random(0, 3);
    for (int64_t i = 0; i < c.in[1].type->count; i++) source[i] = (int32_t)case_random(0, 999);
    case_op(&c, JM_OP_select_and_scatter,
            &(jm_select_and_scatter_attrs){.window = {w.window, w.rank},
                                           .strides = {w.strides, w.rank},
                                           .padding = {w.padding, 2 * w.rank}},
            2);
    const jm_type *s32 = case_type(&c, JM_DT_s32, 0, NULL);
    jm_value args[2];
    for (int i = 0; i < 2; i++) CHECK_OK(jm_build_arg(c.m, case_region(&c, 0), s32, &args[i]));
    jm_value stays = case_compare(&c, case_region(&c, 0), direction, args[0], args[1]);
    CHECK_OK(jm_build_results(c.m, case_region(&c, 0), &stays, 1));
    case_binary(&c, 1, JM_OP_add, JM_DT_s32);
    CHECK_OK(case_run(&c));
    int64_t count = c.out[0].type->count;
    int32_t *wanted = jm_alloc((size_t)count, sizeof *wanted);
    for (int64_t i = 0; i < count; i++) wanted[i] = init;
    for (int64_t i = 0; count && i < c.in[1].type->count; i++) {
      int64_t out[RANK], position[RANK] = {0}, best = -1;
      case_unravel(c.in[1].type, i, out);
      do {
        int64_t at = window_element(&w, c.in[0].type, out, position);
        if (at < 0) continue;
        if (best < 0 || !(direction == JM_COMPARE_GE ? x[best] >= x[at] : x[best] < x[at]))
          best = at;
      } while (next_position(&w, position));
      if (best >= 0) wanted[best] += source[i];
    }
    CHECK(!memcmp(y, wanted, (size_t)count * sizeof *y));
    jm_free(wanted);
    case_end(&c);
  }
}

static void test_cancelled(void) {
  ref_case c;
  case_begin(&c);
  float zero = 0;
  case_in(&c, JM_DT_f32, 2, (int64_t[]){2000, 1000}, NULL);
  case_in(&c, JM_DT_f32, 0, NULL, &zero);
  case_out(&c, JM_DT_f32, 1, (int64_t[]){1000});
  case_op(&c, JM_OP_reduce, &(jm_reduce_attrs){.dims = {(int64_t[]){0}, 1}}, 1);
  case_binary(&c, 0, JM_OP_add, JM_DT_f32);
  atomic_bool cancelled = true;
  const jm_context context = {.cancelled = &cancelled};
  jm_call call = {c.m, jm_module_op(c.m, c.op), c.in, c.out, &context};
  CHECK_FAILS(jm_library_fns[JM_OP_reduce](&call), JM_CANCELLED, "cancelled");
  case_end(&c);
}

/* Without memory: an error, no crash and no leak, wherever it runs out. */
static void test_without_memory(void) {
  ref_case c;
  case_begin(&c);
  const uint64_t init = 1;
  case_in(&c, JM_DT_u64, 2, (int64_t[]){3, 1000}, NULL);
  case_in(&c, JM_DT_u64, 0, NULL, &init);
  case_out(&c, JM_DT_u64, 1, (int64_t[]){3});
  case_op(&c, JM_OP_reduce, &(jm_reduce_attrs){.dims = {(int64_t[]){1}, 1}}, 1);
  ordered_body(&c, 0);
  int64_t n = 0;
  c.no_oracle = true;
  for (;; n++) {
    jm_alloc_fail_after(n);
    jm_error *error = case_run(&c);
    jm_alloc_fail_after(-1);
    if (!error) break;
    CHECK(jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
    jm_error_destroy(error);
  }
  CHECK(n > 2);
  case_end(&c);
}

TEST_MAIN(test_reduce_random, test_reduce_large, test_reduce_f32, test_reduce_special,
          test_reduce_narrow, test_argmax, test_reduce_window, test_cumulative,
          test_select_and_scatter, test_cancelled, test_without_memory)
