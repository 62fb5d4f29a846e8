/* SPDX-License-Identifier: Apache-2.0
 * convolution against the definition: random layouts, strides, dilations, paddings (also negative),
 * reversals, groups and element types, with every result known exactly. */
#include "engine/host/library/convolution.h"
#include "engine/host/library/blas.h"
#include "engine/host/library/gemm_vector.h"
#include "unit/oracle.h"
#include "unit/product.h"

enum { ORACLE_WORK = 1 << 14 }; /* multiplications at most */
static bool without_memory;     /* whether calls are made by check_without_memory */

jm_error *jm_library_convolution(const jm_call *call);

enum { AXES = 3 };
typedef struct config {
  uint32_t axes;
  int64_t batch, groups_feature, groups_batch, in, out; /* in: per group; out: in all */
  int64_t size[AXES], taps[AXES], stride[AXES], lhs_dilation[AXES], rhs_dilation[AXES];
  int64_t padding[2 * AXES], reversal[AXES], result[AXES];
  int64_t lhs_at[AXES + 2], rhs_at[AXES + 2], out_at[AXES + 2]; /* batch/in, feature/out, spatial */
} config;

static void shuffle(int64_t *order, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) order[i] = i;
  for (uint32_t i = n; i > 1; i--) {
    uint32_t j = random_below(i);
    int64_t swap = order[i - 1];
    order[i - 1] = order[j], order[j] = swap;
  }
}

/* Output sizes; false if one would be negative. */
static bool complete(config *c) {
  for (uint32_t a = 0; a < c->axes; a++) {
    int64_t size = c->size[a] ? (c->size[a] - 1) * c->lhs_dilation[a] + 1 : 0;
    int64_t window = c->taps[a] ? (c->taps[a] - 1) * c->rhs_dilation[a] + 1 : 0;
    size += c->padding[2 * a] + c->padding[2 * a + 1];
    if (size < 0) return false;
    c->result[a] = window > size ? 0 : (size - window) / c->stride[a] + 1;
    if (c->result[a] > 500) return false;
  }
  return true;
}

static config random_config(void) {
  config c = {0};
  do {
    c.axes = random_below(10) ? 1 + random_below(AXES) : 0;
    uint32_t largest = c.axes == 3 ? 5 : c.axes == 2 ? 9 : 20;
    c.groups_feature = random_below(3) ? 1 : 1 + random_below(8);
    c.groups_batch = c.groups_feature > 1 || random_below(4) ? 1 : 1 + random_below(8);
    c.batch = (1 + random_below(3)) * c.groups_batch;
    c.in = 1 + random_below(6) - (random_below(60) == 0);
    c.out = (1 + random_below(4)) * c.groups_feature * c.groups_batch;
    for (uint32_t a = 0; a < c.axes; a++) {
      c.size[a] = 1 + random_below(largest) - (random_below(60) == 0);
      c.taps[a] = 1 + random_below(random_below(4) ? 3 : largest);
      c.stride[a] = random_below(2) ? 1 : 1 + random_below(3);
      c.lhs_dilation[a] = random_below(2) ? 1 : 1 + random_below(4);
      c.rhs_dilation[a] = random_below(2) ? 1 : 1 + random_below(3);
      c.reversal[a] = random_below(3) == 0;
      for (int i = 0; i < 2; i++) c.padding[2 * a + i] = (int64_t)random_below(6) - 2;
    }
    shuffle(c.lhs_at, c.axes + 2);
    shuffle(c.rhs_at, c.axes + 2);
    shuffle(c.out_at, c.axes + 2);
  } while (!complete(&c));
  return c;
}

static int64_t offset(const array *a, const int64_t *index) {
  int64_t at = 0;
  for (uint32_t d = 0; d < a->type.rank; d++) at = at * a->dims[d] + index[d];
  return at;
}

static bool next(int64_t *index, const int64_t *sizes, uint32_t n) {
  for (uint32_t d = n; d-- > 0;) {
    if (++index[d] < sizes[d]) return true;
    index[d] = 0;
  }
  return false;
}

/* One output element: o is its index in the output's own dimensions. */
static void expect(const config *c, const array *lhs, const array *rhs, array *out,
                   const int64_t *o) {
  int64_t *sum = out->exact[offset(out, o)], taps[AXES] = {0};
  int64_t b = o[c->out_at[0]], f = o[c->out_at[1]], n_groups = c->groups_feature * c->groups_batch;
  int64_t group = f / (c->out / n_groups), li[RANK], ri[RANK];
  for (uint32_t a = 0; a < c->axes; a++)
    if (!c->taps[a]) return;
  do {
    bool outside = false;
    for (uint32_t a = 0; a < c->axes; a++) {
      int64_t x =
          o[c->out_at[2 + a]] * c->stride[a] + taps[a] * c->rhs_dilation[a] - c->padding[2 * a];
      outside |= x < 0 || x % c->lhs_dilation[a] || x / c->lhs_dilation[a] >= c->size[a];
      li[c->lhs_at[2 + a]] = x / c->lhs_dilation[a];
      ri[c->rhs_at[2 + a]] = c->reversal[a] ? c->taps[a] - 1 - taps[a] : taps[a];
    }
    for (int64_t i = 0; i < c->in && !outside; i++) {
      li[c->lhs_at[0]] = c->groups_batch > 1 ? group * (c->batch / c->groups_batch) + b : b;
      li[c->lhs_at[1]] = c->groups_feature > 1 ? group * c->in + i : i;
      ri[c->rhs_at[0]] = i;
      ri[c->rhs_at[1]] = f;
      exact_mac(sum, lhs->exact[offset(lhs, li)], rhs->exact[offset(rhs, ri)],
                out->type.dtype == JM_DT_pred);
    }
  } while (next(taps, c->taps, c->axes));
}

static void print(const config *c, const jm_dtype *t) {
  fprintf(stderr, "  %s x %s -> %s: batch %d, groups %d %d, features %d %d\n", jm_dtype_name(t[0]),
          jm_dtype_name(t[1]), jm_dtype_name(t[2]), (int)c->batch, (int)c->groups_feature,
          (int)c->groups_batch, (int)c->in, (int)c->out);
  for (uint32_t a = 0; a < c->axes; a++)
    fprintf(stderr, "    size %d taps %d stride %d dilation %d %d pad %d %d reverse %d -> %d\n",
            (int)c->size[a], (int)c->taps[a], (int)c->stride[a], (int)c->lhs_dilation[a],
            (int)c->rhs_dilation[a], (int)c->padding[2 * a], (int)c->padding[2 * a + 1],
            (int)c->reversal[a], (int)c->result[a]);
}

static void check_convolution(const config *c, const jm_dtype *types) {
  uint32_t rank = c->axes + 2;
  int64_t ls[RANK], rs[RANK], os[RANK], index[RANK] = {0};
  ls[c->lhs_at[0]] = c->batch, ls[c->lhs_at[1]] = c->in * c->groups_feature;
  rs[c->rhs_at[0]] = c->in, rs[c->rhs_at[1]] = c->out;
  os[c->out_at[0]] = c->batch / c->groups_batch, os[c->out_at[1]] = c->out;
  for (uint32_t a = 0; a < c->axes; a++) {
    ls[c->lhs_at[2 + a]] = c->size[a];
    rs[c->rhs_at[2 + a]] = c->taps[a];
    os[c->out_at[2 + a]] = c->result[a];
  }
  array lhs, rhs, out;
  array_init(&lhs, types[0], rank, ls);
  array_init(&rhs, types[1], rank, rs);
  array_init(&out, types[2], rank, os);
  array_fill(&lhs);
  array_fill(&rhs);
  for (int64_t i = 0; i < out.type.count; i++, next(index, os, rank))
    expect(c, &lhs, &rhs, &out, index);
  jm_convolution_attrs attrs = {.strides = {c->stride, c->axes},
                                .padding = {c->padding, 2 * c->axes},
                                .lhs_dilation = {c->lhs_dilation, c->axes},
                                .rhs_dilation = {c->rhs_dilation, c->axes},
                                .reversal = {c->reversal, c->axes},
                                .input_batch = c->lhs_at[0],
                                .input_feature = c->lhs_at[1],
                                .input_spatial = {c->lhs_at + 2, c->axes},
                                .kernel_input_feature = c->rhs_at[0],
                                .kernel_output_feature = c->rhs_at[1],
                                .kernel_spatial = {c->rhs_at + 2, c->axes},
                                .output_batch = c->out_at[0],
                                .output_feature = c->out_at[1],
                                .output_spatial = {c->out_at + 2, c->axes},
                                .feature_groups = c->groups_feature,
                                .batch_groups = c->groups_batch};
  jm_op op = {
      .code = JM_OP_convolution, .n_operands = 2, .n_results = 1, .attrs = &attrs, .loc = JM_NONE};
  jm_tensor in[2] = {array_tensor(&lhs), array_tensor(&rhs)}, result = array_tensor(&out);
  jm_call call = {.op = &op, .in = in, .out = &result};
  if (without_memory)
    check_without_memory(jm_library_convolution, &call);
  else
    CHECK_OK(jm_library_convolution(&call));
  if (!without_memory && out.type.count * rhs.type.count < ORACLE_WORK) check_oracle(&call, 1);
  bool right = array_is_right(&out);
  CHECK(right);
  if (!right) print(c, types);
  array_deinit(&lhs);
  array_deinit(&rhs);
  array_deinit(&out);
}

static void test_random(void) {
  for (int i = 0; i < 3000; i++) {
    config c = random_config();
    check_convolution(&c, product_types[i % 3 ? i / 3 % N_PRODUCT_TYPES : 0]);
  }
}

/* The forms that JAX makes of a layer and its two gradients, at sizes where tiles are split. */
static config layer(int64_t batch, int64_t size, int64_t in, int64_t out, int64_t stride) {
  return (config){.axes = 2,
                  .batch = batch,
                  .groups_feature = 1,
                  .groups_batch = 1,
                  .in = in,
                  .out = out,
                  .size = {size, size},
                  .taps = {3, 3},
                  .stride = {stride, stride},
                  .lhs_dilation = {1, 1},
                  .rhs_dilation = {1, 1},
                  .padding = {1, 1, 1, 1},
                  .lhs_at = {0, 3, 1, 2},
                  .rhs_at = {2, 3, 0, 1},
                  .out_at = {0, 3, 1, 2}};
}

static config input_gradient(config c) {
  config g = c;
  g.in = c.out, g.out = c.in;
  g.rhs_at[0] = c.rhs_at[1], g.rhs_at[1] = c.rhs_at[0];
  for (uint32_t a = 0; a < c.axes; a++) {
    g.size[a] = c.result[a], g.stride[a] = 1, g.lhs_dilation[a] = c.stride[a], g.reversal[a] = 1;
    g.padding[2 * a] = c.taps[a] - 1 - c.padding[2 * a];
    g.padding[2 * a + 1] =
        c.size[a] + c.taps[a] - 1 - ((c.result[a] - 1) * c.stride[a] + 1) - g.padding[2 * a];
  }
  return g;
}

static config kernel_gradient(config c) {
  config g = c;
  g.batch = c.in, g.in = c.batch;
  g.lhs_at[0] = c.lhs_at[1], g.lhs_at[1] = c.lhs_at[0];
  memcpy(g.rhs_at, c.out_at, sizeof g.rhs_at);
  memcpy(g.out_at, c.rhs_at, sizeof g.out_at);
  for (uint32_t a = 0; a < c.axes; a++) {
    g.taps[a] = c.result[a], g.stride[a] = 1, g.rhs_dilation[a] = c.stride[a];
    g.padding[2 * a + 1] =
        c.taps[a] + (c.result[a] - 1) * c.stride[a] - c.size[a] - c.padding[2 * a];
  }
  return g;
}

static void test_layers(void) {
  static const int64_t layouts[2][3][4] = {{{0, 3, 1, 2}, {2, 3, 0, 1}, {0, 3, 1, 2}},
                                           {{0, 1, 2, 3}, {1, 0, 2, 3}, {0, 1, 2, 3}}};
  static const int64_t sizes[][5] = {
      {2, 16, 20, 24, 1}, {2, 17, 20, 12, 2}, {3, 8, 65, 70, 1}, {9, 32, 40, 8, 1}};
  for (int l = 0; l < 2; l++)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      config c = layer(sizes[s][0], sizes[s][1], sizes[s][2], sizes[s][3], sizes[s][4]);
      memcpy(c.lhs_at, layouts[l][0], sizeof layouts[l][0]);
      memcpy(c.rhs_at, layouts[l][1], sizeof layouts[l][1]);
      memcpy(c.out_at, layouts[l][2], sizeof layouts[l][2]);
      CHECK(complete(&c));
      config input = input_gradient(c), kernel = kernel_gradient(c);
      CHECK(complete(&input) && input.result[0] == c.size[0]);
      CHECK(complete(&kernel) && kernel.result[0] == c.taps[0]);
      const jm_dtype *types = product_types[s % 2 ? 0 : 1];
      check_convolution(&c, types);
      check_convolution(&input, types);
      check_convolution(&kernel, types);
    }
}

/* Images with channels last and rows of some length, whose products read the input in place. */
static void test_rows(void) {
  for (int i = 0; i < 80; i++) {
    config c = layer(2 + random_below(8), 0, 16 + random_below(5), 16 + random_below(60), 1);
    for (uint32_t a = 0; a < 2; a++) {
      c.size[a] = 7 + random_below(19);
      c.taps[a] = 1 + random_below(4);
      c.stride[a] = 1 + (random_below(3) == 0);
      c.lhs_dilation[a] = 1 + (random_below(4) == 0);
      c.rhs_dilation[a] = 1 + (random_below(4) == 0);
      c.reversal[a] = random_below(2);
      for (int k = 0; k < 2; k++) c.padding[2 * a + k] = (int64_t)random_below(5) - 1;
    }
    if (random_below(4) == 0) /* rows along the other axis */
      for (int k = 2; k < 4; k++) c.lhs_at[k] = c.out_at[k] = 3 - c.lhs_at[k];
    if (random_below(2)) c.rhs_at[0] = 3, c.rhs_at[1] = 2;
    if (complete(&c)) check_convolution(&c, product_types[i % 4]);
  }
}

/* Sequences with channels last: rows longer than a piece, whose ends are computed apart or not. */
static void test_sequences(void) {
  for (int i = 0; i < 60; i++) {
    config c = layer(2 + random_below(3), 0, 16 + random_below(5), 16 + random_below(30), 1);
    c.axes = 1;
    c.size[0] = 180 + random_below(400);
    c.taps[0] = 2 + random_below(3);
    c.stride[0] = 1 + (random_below(4) == 0);
    c.lhs_dilation[0] = 1 + (random_below(6) == 0);
    c.rhs_dilation[0] = 1 + random_below(9);
    c.reversal[0] = random_below(2);
    for (int k = 0; k < 2; k++) c.padding[k] = (int64_t)random_below(12) - 2;
    static const int64_t last[] = {0, 2, 1}, filters[] = {1, 2, 0};
    memcpy(c.lhs_at, last, sizeof last);
    memcpy(c.out_at, last, sizeof last);
    memcpy(c.rhs_at, filters, sizeof filters);
    if (complete(&c)) check_convolution(&c, product_types[i % 4]);
  }
}

/* No gathering for a sequence, either, where there are products of views. */
static void test_sequence_is_rows(void) {
  jm_window w = {.dtype = JM_DT_f32,
                 .n_axes = 1,
                 .axes = {{.n_out = 4000,
                           .n_tap = 2,
                           .n_in = 4000,
                           .start = -8,
                           .out_step = 1,
                           .tap_step = 8,
                           .in_stride = 32,
                           .tap_stride = 32 * 32,
                           .out_stride = 32}},
                 .batch = 8,
                 .groups = 1,
                 .in_features = 32,
                 .out_features = 32,
                 .lhs_feature = 1,
                 .out_feature = 1};
  CHECK(jm_window_is_rows(&w) == (jm_gemm_vector_supports(JM_DT_f32) && !jm_blas_is_plain()));
  w.axes[0].in_stride = 1; /* features first */
  CHECK(!jm_window_is_rows(&w));
}

/* Gradients of filters over images and sequences with channels last, whose products are views. */
static config random_filter(uint32_t axes) {
  const int64_t more = random_below(6) ? 0 : 60; /* columns for a second task */
  config c = layer(1 + random_below(2), 0, 2 + random_below(14), 14 + random_below(20) + more, 1);
  c.axes = axes;
  for (uint32_t a = 0; a < axes; a++) {
    c.size[a] = axes == 1 ? 260 + random_below(200) : 26 + random_below(14);
    c.taps[a] = 1 + random_below(4);
    c.stride[a] = 1 + (random_below(6) == 0);
    c.lhs_dilation[a] = c.rhs_dilation[a] = 1;
    for (int k = 0; k < 2; k++) c.padding[2 * a + k] = (int64_t)random_below(7) - 1;
  }
  if (axes == 1) {
    static const int64_t last[] = {0, 2, 1}, filters[] = {1, 2, 0};
    c.rhs_dilation[0] = 1 + random_below(9);
    memcpy(c.lhs_at, last, sizeof last);
    memcpy(c.out_at, last, sizeof last);
    memcpy(c.rhs_at, filters, sizeof filters);
  } else if (random_below(4) == 0) { /* rows along the other axis */
    for (int k = 2; k < 4; k++) c.lhs_at[k] = c.out_at[k] = 3 - c.lhs_at[k];
  }
  CHECK(complete(&c));
  c = kernel_gradient(c);
  for (uint32_t a = 0; a < axes; a++) {
    c.reversal[a] = random_below(8) == 0;
    c.lhs_dilation[a] = 1 + (random_below(8) == 0);
  }
  return c;
}

static void test_filters(void) {
  for (int i = 0; i < 36; i++) {
    config c = random_filter(1 + i / 4 % 2);
    without_memory = i % 12 == 0;
    if (complete(&c)) check_convolution(&c, product_types[i % 4]);
  }
  without_memory = false;
}

/* Which of them are: many pixels in a row, features next to each other in all three arrays. */
static void test_filter_is_views(void) {
  jm_window w = {.dtype = JM_DT_f32,
                 .n_axes = 1,
                 .axes = {{.n_out = 2,
                           .n_tap = 2000,
                           .n_in = 2000,
                           .start = -8,
                           .out_step = 8,
                           .tap_step = 1,
                           .in_stride = 32,
                           .tap_stride = 32,
                           .out_stride = 32 * 32}},
                 .batch = 32,
                 .groups = 1,
                 .in_features = 4,
                 .out_features = 32,
                 .lhs_batch = 1,
                 .rhs_out = 1,
                 .out_batch = 32,
                 .out_feature = 1};
  CHECK(jm_window_is_filter(&w) == (jm_gemm_vector_supports(JM_DT_f32) && !jm_blas_is_plain()));
  w.rhs_out = 2000;
  CHECK(!jm_window_is_filter(&w));
}

static void test_without_memory(void) {
  without_memory = true;
  for (int i = 0; i < 60; i++) {
    config c = random_config();
    check_convolution(&c, product_types[i % N_PRODUCT_TYPES]);
  }
  without_memory = false;
}

TEST_MAIN(test_random, test_layers, test_rows, test_sequences, test_sequence_is_rows, test_filters,
          test_filter_is_views, test_without_memory)
