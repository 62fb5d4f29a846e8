/* SPDX-License-Identifier: Apache-2.0
 * Convolution over images or sequences with channels last, without gathering: a row of outputs
 * times a row of taps is a product whose left side is a view of the input, rows overlapping.
 * Outputs whose windows leave the input are products of fewer taps. Only where that gives too many
 * kinds of outputs is the input copied, once, with zeros around it. */
#include <string.h>

#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/blas.h"
#include "engine/host/library/convolution.h"
#include "engine/host/library/gemm_vector.h"

enum {
  LEAST_ROW = 4, /* outputs: with fewer, panels of the kernel serve too few */
  LEAST_FEATURES = 16,
  LEAST_OUTPUTS = 512,
  MOST_KERNEL = 16 << 20, /* bytes: its columns are read once for each piece of work */
  PIECE = 96,             /* outputs of a row that are a piece of work */
  MOST_SPANS = 8,         /* of an axis: beyond it the input is copied */
  COPY_GRAIN = 1 << 18,
};

typedef struct rows {
  const jm_window *w;
  const jm_axis *tall, *wide; /* the axes of rows, and of outputs in a row */
  size_t element;
  /* The input that outputs look at: where it begins, and how much it is, in the axes' steps. */
  int64_t top, left, height, width;
  const char *lhs;  /* the input or its copy, */
  ptrdiff_t origin; /* and where in it the outputs' input begins */
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

/* Outputs [begin, end) of an axis, which meet the taps [first, last). */
typedef struct span {
  int64_t begin, end, first, last;
} span;

typedef struct spans {
  size_t n;
  span of[MOST_SPANS];
} spans;

/* The spans of an axis; false: there are too many, or outputs that meet no tap. */
static bool find_spans(const jm_axis *a, spans *out) {
  out->n = 0;
  for (int64_t o = 0; o < a->n_out; o++) {
    span s = {o, o + 1, 0, a->n_tap};
    const int64_t at = a->start + o * a->out_step;
    while (s.first < s.last &&
           (at + s.first * a->tap_step < 0 || at + s.first * a->tap_step >= a->n_in))
      s.first++;
    while (s.last > s.first &&
           (at + (s.last - 1) * a->tap_step < 0 || at + (s.last - 1) * a->tap_step >= a->n_in))
      s.last--;
    if (s.first == s.last) return false;
    span *before = out->n ? &out->of[out->n - 1] : NULL;
    if (before && before->first == s.first && before->last == s.last)
      before->end = s.end;
    else if (out->n == MOST_SPANS)
      return false;
    else
      out->of[out->n++] = s;
  }
  return true;
}

/* Whether taps in a row are neighbours: then they are one group of the depth. */
static bool is_joined(const rows *r) {
  return r->wide->tap_step == 1 || r->wide->tap_step == -1 || r->wide->n_tap == 1;
}

static bool is_whole(const jm_axis *a, const spans *s) {
  return s->n == 1 && s->of[0].first == 0 && s->of[0].last == a->n_tap;
}

/* One span for each axis, for a copy of the input. */
static spans whole(const jm_axis *a) { return (spans){1, {{0, a->n_out, 0, a->n_tap}}}; }

static jm_error *find_input(rows *r, spans *tall, spans *wide) {
  const jm_window *w = r->w;
  r->height = find_reach(r->tall, &r->top);
  r->width = find_reach(r->wide, &r->left);
  if (find_spans(r->tall, tall) && find_spans(r->wide, wide) &&
      (is_joined(r) || r->tall->n_tap == 1 || is_whole(r->wide, wide))) {
    r->lhs_batch = w->lhs_batch, r->lhs_row = r->tall->in_stride;
    r->origin = (ptrdiff_t)r->top * r->tall->in_stride + (ptrdiff_t)r->left * r->wide->in_stride;
    r->lhs = w->lhs;
    return NULL;
  }
  *tall = whole(r->tall), *wide = whole(r->wide);
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

typedef struct groups {
  size_t n, n_depth;
  jm_gemm_rows *rows;
  ptrdiff_t *depth;
} groups;

/* The depth that a pair of spans has. */
static void set_depth(const rows *r, const span *y, const span *x, jm_gemm_rows *to) {
  const int64_t features = r->w->in_features, taps = r->wide->n_tap;
  const bool back = r->wide->tap_step < 0; /* packed in the order of the input */
  const int64_t first = back ? taps - x->last : x->first, last = back ? taps - x->first : x->last;
  if (is_joined(r)) {
    to->first = (size_t)y->first, to->last = (size_t)y->last;
    to->begin = (size_t)(first * features), to->end = (size_t)(last * features);
    return;
  }
  to->first = (size_t)(y->first * taps + first); /* one row of taps, or all taps of each */
  to->last = (size_t)((y->last - 1) * taps + last);
  to->begin = 0, to->end = (size_t)features;
}

/* A line of outputs is one group of the product's rows, or several of a limited length. Lines are
 * along the longer side. */
static void fill_spans(const rows *r, const span *y, const span *x, groups *to) {
  const jm_window *w = r->w;
  const ptrdiff_t a_steps[] = {(ptrdiff_t)r->tall->out_step * r->lhs_row,
                               (ptrdiff_t)r->wide->out_step * r->wide->in_stride};
  const ptrdiff_t c_steps[] = {r->tall->out_stride, r->wide->out_stride};
  const int64_t begins[] = {y->begin, x->begin}, ends[] = {y->end, x->end};
  const int along = ends[1] - begins[1] >= ends[0] - begins[0], across = !along;
  for (int64_t batch = 0; batch < w->batch; batch++)
    for (int64_t i = begins[across]; i < ends[across]; i++)
      for (int64_t k = begins[along]; k < ends[along]; k += PIECE) {
        const int64_t left = ends[along] - k;
        jm_gemm_rows *rows = &to->rows[to->n++];
        rows->rows = (size_t)(left < PIECE ? left : PIECE);
        rows->a = r->origin + (ptrdiff_t)batch * r->lhs_batch + (ptrdiff_t)i * a_steps[across] +
                  (ptrdiff_t)k * a_steps[along];
        rows->c = (ptrdiff_t)batch * w->out_batch + (ptrdiff_t)i * c_steps[across] +
                  (ptrdiff_t)k * c_steps[along];
        rows->a_row = a_steps[along], rows->ldc = (size_t)c_steps[along];
        set_depth(r, y, x, rows);
      }
}

/* How many groups that makes, at most. */
static size_t count_groups(const rows *r, const spans *tall, const spans *wide) {
  size_t n = 0;
  for (size_t i = 0; i < tall->n; i++)
    for (size_t k = 0; k < wide->n; k++) {
      const int64_t y = tall->of[i].end - tall->of[i].begin,
                    x = wide->of[k].end - wide->of[k].begin;
      n += (size_t)(r->w->batch * (x < y ? x * (y / PIECE + 1) : y * (x / PIECE + 1)));
    }
  return n;
}

static void fill_depth(const rows *r, groups *to) {
  int64_t step = r->wide->tap_step < 0 ? -r->wide->tap_step : r->wide->tap_step;
  for (int64_t t = 0; t < r->tall->n_tap; t++) {
    int64_t y = t * r->tall->tap_step; /* from the first row that outputs look at */
    if (r->tall->tap_step < 0) y -= (r->tall->n_tap - 1) * r->tall->tap_step;
    for (int64_t s = 0; s < (is_joined(r) ? 1 : r->wide->n_tap); s++)
      to->depth[to->n_depth++] =
          (ptrdiff_t)y * r->lhs_row + (ptrdiff_t)(s * step) * r->wide->in_stride;
  }
}

static jm_error *build_groups(const rows *r, const spans *tall, const spans *wide, jm_arena *arena,
                              groups *to) {
  *to = (groups){.rows = jm_arena_alloc(arena, count_groups(r, tall, wide), sizeof *to->rows)};
  to->depth = jm_arena_alloc(arena, (size_t)(r->tall->n_tap * r->wide->n_tap), sizeof *to->depth);
  if (!to->rows || !to->depth) return jm_error_out_of_memory();
  for (size_t i = 0; i < tall->n; i++)
    for (size_t k = 0; k < wide->n; k++) fill_spans(r, &tall->of[i], &wide->of[k], to);
  fill_depth(r, to);
  return NULL;
}

static jm_error *multiply(const rows *r, const spans *tall, const spans *wide, const char *kernel) {
  const jm_window *w = r->w;
  groups g;
  jm_arena arena;
  jm_arena_init(&arena);
  jm_error *error = build_groups(r, tall, wide, &arena, &g);
  if (!error) {
    const jm_gemm gemm = {
        .dtype = w->dtype,
        .m = (size_t)(w->batch * r->tall->n_out * r->wide->n_out),
        .n = (size_t)w->out_features,
        .k = (size_t)(r->tall->n_tap * r->wide->n_tap * w->in_features),
        .a = r->lhs,
        .a_col = 1,
        .b = kernel,
        .b_row = (ptrdiff_t)w->out_features,
        .b_col = 1,
        .c = w->out,
    };
    const jm_gemm_groups groups = {g.n, g.n_depth, g.rows, g.depth};
    error = jm_gemm_vector_run_groups(&gemm, &groups);
  }
  jm_arena_deinit(&arena);
  return error;
}

jm_error *jm_window_run_rows(const jm_window *w) {
  rows r;
  spans tall, wide;
  if (jm_context_is_cancelled(w->context))
    return jm_error_create(JM_CANCELLED, "convolution was cancelled");
  init_rows(&r, w, jm_window_find_wide(w));
  char *kernel = NULL;
  jm_error *error = pack_kernel(&r, &kernel);
  if (!error) error = find_input(&r, &tall, &wide);
  if (!error) error = multiply(&r, &tall, &wide, kernel);
  jm_scratch_give(r.copy);
  jm_scratch_give(kernel);
  return error;
}
