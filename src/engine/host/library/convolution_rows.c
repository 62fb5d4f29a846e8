/* SPDX-License-Identifier: Apache-2.0
 * Convolution over images or sequences with channels last, without gathering: a row of outputs
 * times a row of taps is a product whose left side is a view of the input, rows overlapping. Only
 * where windows leave the input is it copied, once, with zeros around it; in a long row, only what
 * the outputs near its ends read. */
#include <string.h>

#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/blas.h"
#include "engine/host/library/convolution.h"
#include "engine/host/library/gemm_vector.h"

enum {
  LEAST_ROW = 12, /* outputs: with fewer, panels of the kernel serve too few */
  LEAST_FEATURES = 16,
  LEAST_OUTPUTS = 512,
  MOST_KERNEL = 4 << 20, /* bytes: it is read once for each piece of work */
  PIECE = 96,            /* outputs of a row that are a piece of work */
  FEW_EDGES = 32,        /* the part of a row, one in so many, that may be computed apart */
  COPY_GRAIN = 1 << 18,
};

typedef struct rows {
  const jm_window *w;
  const jm_axis *tall, *wide; /* the axes of rows, and of outputs in a row */
  size_t element;
  /* The input that outputs look at: where it begins, and how much it is, in the axes' steps. */
  int64_t top, left, height, width;
  const char *lhs; /* its first element, or that of the copy */
  ptrdiff_t lhs_batch, lhs_row;
  char *copy;
} rows;

/* The axis of rows of a sequence, which is one row. */
static const jm_axis one_row = {.n_out = 1, .n_tap = 1, .n_in = 1, .out_step = 1, .tap_step = 1};

uint32_t jm_window_find_wide(const jm_window *w) {
  return w->n_axes == 2 && w->axes[1].in_stride <= w->axes[0].in_stride;
}

const jm_axis *jm_window_find_tall(const jm_window *w, uint32_t wide) {
  return w->n_axes == 1 ? &one_row : &w->axes[!wide];
}

bool jm_window_is_rows(const jm_window *w) {
  if (jm_blas_is_plain() || !jm_gemm_vector_supports(w->dtype) || w->groups != 1 || w->n_axes < 1 ||
      w->n_axes > 2)
    return false;
  if (w->lhs_feature != 1 || w->out_feature != 1) return false;
  const jm_axis *wide = &w->axes[jm_window_find_wide(w)],
                *tall = jm_window_find_tall(w, jm_window_find_wide(w));
  int64_t taps = wide->n_tap * tall->n_tap, outputs = w->batch * wide->n_out * tall->n_out;
  int64_t kernel = taps * w->in_features * w->out_features * (int64_t)jm_dtype_bytes(w->dtype);
  return wide->in_stride == w->in_features && wide->out_stride >= w->out_features && taps > 1 &&
         wide->n_out >= LEAST_ROW && outputs >= LEAST_OUTPUTS && w->in_features >= LEAST_FEATURES &&
         w->out_features >= LEAST_FEATURES && kernel <= MOST_KERNEL && wide->n_in && tall->n_in;
}

static void init_rows(rows *r, const jm_window *w, uint32_t wide) {
  *r = (rows){.w = w,
              .tall = jm_window_find_tall(w, wide),
              .wide = &w->axes[wide],
              .element = jm_dtype_bytes(w->dtype)};
}

/* The range of inputs that outputs of an axis read, from *low on. */
static int64_t find_reach(const jm_axis *a, int64_t *low) {
  int64_t taps = (a->n_tap - 1) * a->tap_step;
  *low = a->start + (taps < 0 ? taps : 0);
  return (a->n_out - 1) * a->out_step + (taps < 0 ? -taps : taps) + 1;
}

/* Rows of the copy, zero where they are outside. */
static void copy_rows(void *context, size_t begin, size_t end) {
  const rows *r = context;
  size_t pixel = (size_t)r->w->in_features * r->element, bytes = (size_t)r->width * pixel;
  int64_t first = r->left < 0 ? -r->left : 0, last = r->wide->n_in - r->left;
  if (last > r->width) last = r->width;
  for (size_t i = begin; i < end; i++) {
    int64_t y = r->top + (int64_t)i % r->height, batch = (int64_t)i / r->height;
    char *to = r->copy + i * bytes;
    if (y < 0 || y >= r->tall->n_in || first >= last) {
      memset(to, 0, bytes);
      continue;
    }
    const char *from =
        r->w->lhs + ((ptrdiff_t)batch * r->w->lhs_batch + (ptrdiff_t)y * r->tall->in_stride +
                     (ptrdiff_t)(r->left + first) * r->wide->in_stride) *
                        (ptrdiff_t)r->element;
    memset(to, 0, (size_t)first * pixel);
    memcpy(to + (size_t)first * pixel, from, (size_t)(last - first) * pixel);
    memset(to + (size_t)last * pixel, 0, (size_t)(r->width - last) * pixel);
  }
}

static jm_error *find_input(rows *r) {
  const jm_window *w = r->w;
  r->height = find_reach(r->tall, &r->top);
  r->width = find_reach(r->wide, &r->left);
  bool inside = r->top >= 0 && r->top + r->height <= r->tall->n_in && r->left >= 0 &&
                r->left + r->width <= r->wide->n_in;
  if (inside) {
    r->lhs_batch = w->lhs_batch, r->lhs_row = r->tall->in_stride;
    r->lhs = w->lhs +
             ((ptrdiff_t)r->top * r->tall->in_stride + (ptrdiff_t)r->left * r->wide->in_stride) *
                 (ptrdiff_t)r->element;
    return NULL;
  }
  r->lhs_row = (ptrdiff_t)r->width * r->wide->in_stride;
  r->lhs_batch = (ptrdiff_t)r->height * r->lhs_row;
  size_t row_bytes = (size_t)r->lhs_row * r->element;
  r->lhs = r->copy = jm_scratch_take((size_t)(w->batch * r->height) * row_bytes);
  if (!r->copy) return jm_error_out_of_memory();
  jm_parallel_for((size_t)(w->batch * r->height), COPY_GRAIN / row_bytes + 1, copy_rows, r);
  return NULL;
}

/* The kernel as a dense matrix, (tap of a row, tap in the row, input feature) times features, taps
 * in a row in the order of the input. */
static jm_error *pack_kernel(const rows *r, char **out) {
  const jm_window *w = r->w;
  bool back = r->wide->tap_step < 0;
  const int64_t dims[] = {r->tall->n_tap, r->wide->n_tap, w->in_features, w->out_features};
  const ptrdiff_t from[] = {r->tall->tap_stride, back ? -r->wide->tap_stride : r->wide->tap_stride,
                            w->rhs_in, w->rhs_out};
  ptrdiff_t to[4] = {0, 0, 0, 1};
  for (int d = 3; d-- > 0;) to[d] = to[d + 1] * (ptrdiff_t)dims[d + 1];
  *out = jm_scratch_take((size_t)(to[0] * (ptrdiff_t)dims[0]) * r->element);
  if (!*out) return jm_error_out_of_memory();
  ptrdiff_t start = back ? (ptrdiff_t)(r->wide->n_tap - 1) * r->wide->tap_stride : 0;
  jm_pack_run(r->element, 4, dims, from, w->rhs + start * (ptrdiff_t)r->element, to, *out);
  return NULL;
}

/* A row of outputs is one group of the product's rows, or several of a limited length. */
typedef struct groups {
  size_t n, n_depth;
  size_t *rows;
  ptrdiff_t *a, *c, *depth;
} groups;

static void fill_rows(const rows *r, groups *to) {
  const jm_window *w = r->w;
  const ptrdiff_t a_step = (ptrdiff_t)r->wide->out_step * r->wide->in_stride;
  for (int64_t batch = 0; batch < w->batch; batch++)
    for (int64_t y = 0; y < r->tall->n_out; y++)
      for (int64_t x = 0; x < r->wide->n_out; x += PIECE, to->n++) {
        int64_t left = r->wide->n_out - x;
        to->rows[to->n] = (size_t)(left < PIECE ? left : PIECE);
        to->a[to->n] = (ptrdiff_t)batch * r->lhs_batch +
                       (ptrdiff_t)(y * r->tall->out_step) * r->lhs_row + (ptrdiff_t)x * a_step;
        to->c[to->n] = (ptrdiff_t)batch * w->out_batch + (ptrdiff_t)y * r->tall->out_stride +
                       (ptrdiff_t)x * r->wide->out_stride;
      }
}

/* Taps in a row are one group of the depth if they are neighbours. */
static void fill_depth(const rows *r, groups *to) {
  bool joined = r->wide->tap_step == 1 || r->wide->tap_step == -1 || r->wide->n_tap == 1;
  int64_t step = r->wide->tap_step < 0 ? -r->wide->tap_step : r->wide->tap_step;
  for (int64_t t = 0; t < r->tall->n_tap; t++) {
    int64_t y = t * r->tall->tap_step; /* from the first row that outputs look at */
    if (r->tall->tap_step < 0) y -= (r->tall->n_tap - 1) * r->tall->tap_step;
    for (int64_t s = 0; s < (joined ? 1 : r->wide->n_tap); s++)
      to->depth[to->n_depth++] =
          (ptrdiff_t)y * r->lhs_row + (ptrdiff_t)(s * step) * r->wide->in_stride;
  }
}

static jm_error *build_groups(const rows *r, jm_arena *arena, groups *to) {
  size_t pieces = (size_t)(r->wide->n_out + PIECE - 1) / PIECE;
  size_t n = (size_t)(r->w->batch * r->tall->n_out) * pieces;
  *to = (groups){.rows = jm_arena_alloc(arena, n, sizeof *to->rows),
                 .a = jm_arena_alloc(arena, n, sizeof *to->a),
                 .c = jm_arena_alloc(arena, n, sizeof *to->c)};
  to->depth = jm_arena_alloc(arena, (size_t)(r->tall->n_tap * r->wide->n_tap), sizeof *to->depth);
  if (!to->rows || !to->a || !to->c || !to->depth) return jm_error_out_of_memory();
  fill_rows(r, to);
  fill_depth(r, to);
  return NULL;
}

static jm_error *multiply(const rows *r, const char *kernel) {
  const jm_window *w = r->w;
  groups g;
  jm_arena arena;
  jm_arena_init(&arena);
  jm_error *error = build_groups(r, &arena, &g);
  if (!error) {
    const jm_gemm gemm = {
        .dtype = w->dtype,
        .m = (size_t)(w->batch * r->tall->n_out * r->wide->n_out),
        .n = (size_t)w->out_features,
        .k = (size_t)(r->tall->n_tap * r->wide->n_tap * w->in_features),
        .a = r->lhs,
        .a_row = (ptrdiff_t)r->wide->out_step * r->wide->in_stride,
        .a_col = 1,
        .b = kernel,
        .b_row = (ptrdiff_t)w->out_features,
        .b_col = 1,
        .c = w->out,
        .ldc = (size_t)r->wide->out_stride,
    };
    const jm_gemm_groups groups = {g.n, g.n_depth, g.rows, g.a, g.c, g.depth};
    error = jm_gemm_vector_run_groups(&gemm, &groups);
  }
  jm_arena_deinit(&arena);
  return error;
}

static jm_error *run(const jm_window *w, uint32_t wide, const char *kernel) {
  rows r;
  init_rows(&r, w, wide);
  jm_error *error = find_input(&r);
  if (!error) error = multiply(&r, kernel);
  jm_scratch_give(r.copy);
  return error;
}

/* Outputs [begin, end) of each row. */
static jm_error *run_part(const jm_window *w, uint32_t wide, int64_t begin, int64_t end,
                          const char *kernel) {
  jm_window part = *w;
  jm_axis *axis = &part.axes[wide];
  if (begin == end) return NULL;
  axis->n_out = end - begin;
  axis->start += begin * axis->out_step;
  part.out += (ptrdiff_t)begin * axis->out_stride * (ptrdiff_t)jm_dtype_bytes(w->dtype);
  return run(&part, wide, kernel);
}

/* The outputs [*begin, *end) of an axis that read nothing outside of the input. */
static void find_inside(const jm_axis *a, int64_t *begin, int64_t *end) {
  int64_t low, reach = find_reach(a, &low) - (a->n_out - 1) * a->out_step; /* of one output */
  *begin = 0, *end = a->n_out;
  while (*begin < *end && low + *begin * a->out_step < 0) ++*begin;
  while (*end > *begin && low + (*end - 1) * a->out_step + reach > a->n_in) --*end;
}

/* Ends of long rows are computed apart, so that the rest is not copied. */
static jm_error *run_parts(const jm_window *w, uint32_t wide, const char *kernel) {
  const jm_axis *axis = &w->axes[wide], *tall = jm_window_find_tall(w, wide);
  int64_t begin, end, first, last;
  find_inside(axis, &begin, &end);
  find_inside(tall, &first, &last);
  if (last - first < tall->n_out || axis->n_out - (end - begin) > axis->n_out / FEW_EDGES)
    return run(w, wide, kernel);
  JM_TRY(run_part(w, wide, 0, begin, kernel));
  JM_TRY(run_part(w, wide, begin, end, kernel));
  return run_part(w, wide, end, axis->n_out, kernel);
}

jm_error *jm_window_run_rows(const jm_window *w) {
  const uint32_t wide = jm_window_find_wide(w);
  rows r;
  if (jm_context_is_cancelled(w->context))
    return jm_error_create(JM_CANCELLED, "convolution was cancelled");
  init_rows(&r, w, wide);
  char *kernel = NULL;
  jm_error *error = pack_kernel(&r, &kernel);
  if (!error) error = run_parts(w, wide, kernel);
  jm_scratch_give(kernel);
  return error;
}
