/* SPDX-License-Identifier: Apache-2.0
 * The gradient of a filter over images or sequences with channels last, without gathering: as a
 * window its outputs are taps, its batch the input's features, its taps the pixels of a batch. For
 * each tap, a row of pixels times a row of the other operand is a product of two views; pixels that
 * the tap does not meet are left out of it. The sum over rows is cut into parts, by the sizes
 * alone, whose sums are added up in order. */
#include <string.h>

#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/blas.h"
#include "engine/host/library/convolution.h"
#include "engine/host/library/gemm_vector.h"

enum {
  LEAST_ROW = 28, /* pixels: sums of fewer are loaded and stored too often */
  LEAST_BATCH = 3,
  MOST_BATCH = 256, /* features whose pixels stay in the cache */
  LEAST_FEATURES = 16,
  LEAST_PIXELS = 512,
  BLOCK = 128,         /* pixels that are read by all taps in a row, one tap after the other */
  COLUMNS = 64,        /* of a task */
  TASKS = 16,          /* if the sum is long enough */
  LEAST_PART = 256,    /* pixels */
  ADD_GRAIN = 1 << 14, /* elements of parts: they come from other cores */
};

bool jm_window_is_filter(const jm_window *w) {
  if (jm_blas_is_plain() || !jm_gemm_vector_supports(w->dtype) || w->groups != 1 || w->n_axes < 1 ||
      w->n_axes > 2)
    return false;
  const uint32_t wide = jm_window_find_wide(w);
  const int64_t row = w->axes[wide].n_tap, rows = jm_window_find_tall(w, wide)->n_tap;
  return w->lhs_batch == 1 && w->rhs_out == 1 && w->out_feature == 1 &&
         w->out_batch >= w->out_features && w->batch >= LEAST_BATCH && w->batch <= MOST_BATCH &&
         w->out_features >= LEAST_FEATURES && row >= LEAST_ROW &&
         row * rows * w->in_features >= LEAST_PIXELS;
}

typedef struct filter {
  const jm_window *w;
  const jm_axis *tall, *wide;
  size_t element, lanes, padded; /* padded: columns, if rows of the kernel have to be copied */
  int64_t blocks, units;         /* blocks of a row; of all rows of all images */
  int64_t parts, panels;
  char *partial; /* the sums of all parts but the first */
  size_t part_elements;
  _Atomic bool failed; /* no memory */
} filter;

/* A view of the result or of the sums of a part. */
typedef struct sums {
  char *data;
  ptrdiff_t tall, wide, row; /* strides */
} sums;

static sums find_sums(const filter *f, int64_t part) {
  const jm_window *w = f->w;
  if (!part) return (sums){w->out, f->tall->out_stride, f->wide->out_stride, w->out_batch};
  const ptrdiff_t row = (ptrdiff_t)w->out_features, wide = row * (ptrdiff_t)w->batch;
  return (sums){f->partial + (size_t)(part - 1) * f->part_elements * f->element,
                wide * (ptrdiff_t)f->wide->n_out, wide, row};
}

/* A task: some blocks of pixels for the taps of a row and some of the columns. */
typedef struct task {
  int64_t first, last, y; /* units, row of taps */
  size_t column, columns;
  sums to;
  char *room; /* for a block of the kernel, if it is copied */
} task;

/* The pixels [*begin, *end) of a row that output o of an axis meets. */
static void clip(const jm_axis *a, int64_t o, int64_t *begin, int64_t *end) {
  const int64_t at = a->start + o * a->out_step;
  while (*begin < *end && (at + *begin * a->tap_step < 0 || at + *begin * a->tap_step >= a->n_in))
    ++*begin;
  while (*end > *begin &&
         (at + (*end - 1) * a->tap_step < 0 || at + (*end - 1) * a->tap_step >= a->n_in))
    --*end;
}

/* Adds pixels [begin, end) of a row for all taps of the task. lhs, rhs: offsets of the row. */
static void add_block(const filter *f, const task *t, ptrdiff_t lhs, ptrdiff_t rhs, int64_t begin,
                      int64_t end) {
  const jm_window *w = f->w;
  const jm_axis *wide = f->wide;
  const ptrdiff_t element = (ptrdiff_t)f->element;
  const char *b =
      w->rhs + (rhs + (ptrdiff_t)begin * wide->tap_stride + (ptrdiff_t)t->column) * element;
  ptrdiff_t b_row = wide->tap_stride;
  if (t->room) {
    const jm_pack_plane plane = {f->element, (size_t)(end - begin), t->columns, b_row,
                                 1,          (ptrdiff_t)f->padded,  1};
    jm_pack_run_plane(&plane, b, t->room);
    b = t->room, b_row = (ptrdiff_t)f->padded;
  }
  for (int64_t o = 0; o < wide->n_out; o++) {
    int64_t from = begin, to = end;
    clip(wide, o, &from, &to);
    if (from == to) continue;
    const ptrdiff_t x = (ptrdiff_t)(wide->start + o * wide->out_step + from * wide->tap_step);
    const jm_gemm g = {
        .dtype = w->dtype,
        .m = (size_t)w->batch,
        .n = t->columns,
        .k = (size_t)(to - from),
        .a = w->lhs + (lhs + x * wide->in_stride) * element,
        .a_row = 1,
        .a_col = (ptrdiff_t)wide->tap_step * wide->in_stride,
        .b = b + (ptrdiff_t)(from - begin) * b_row * element,
        .b_row = b_row,
        .b_col = 1,
        .c = t->to.data +
             ((ptrdiff_t)t->y * t->to.tall + (ptrdiff_t)o * t->to.wide + (ptrdiff_t)t->column) *
                 element,
        .ldc = (size_t)t->to.row,
    };
    jm_gemm_vector_add(&g);
  }
}

static void run_units(const filter *f, const task *t) {
  const jm_window *w = f->w;
  const jm_axis *tall = f->tall;
  for (int64_t unit = t->first; unit < t->last; unit++) {
    const int64_t begin = unit % f->blocks * BLOCK, row = unit / f->blocks;
    const int64_t left = f->wide->n_tap - begin, image = row / tall->n_tap, y = row % tall->n_tap;
    const int64_t in = tall->start + t->y * tall->out_step + y * tall->tap_step;
    if (in < 0 || in >= tall->n_in) continue;
    add_block(f, t, (ptrdiff_t)image * w->lhs_feature + (ptrdiff_t)in * tall->in_stride,
              (ptrdiff_t)image * w->rhs_in + (ptrdiff_t)y * tall->tap_stride, begin,
              begin + (left < BLOCK ? left : BLOCK));
  }
}

/* +0 is all zero bits. */
static void clear(const filter *f, const task *t) {
  const ptrdiff_t element = (ptrdiff_t)f->element;
  for (int64_t o = 0; o < f->wide->n_out; o++)
    for (int64_t i = 0; i < f->w->batch; i++)
      memset(t->to.data + ((ptrdiff_t)t->y * t->to.tall + (ptrdiff_t)o * t->to.wide +
                           (ptrdiff_t)i * t->to.row + (ptrdiff_t)t->column) *
                              element,
             0, t->columns * f->element);
}

static void run_tasks(void *context, size_t begin, size_t end) {
  filter *f = context;
  const size_t features = (size_t)f->w->out_features, room_bytes = BLOCK * COLUMNS * f->element;
  char *room = f->padded ? jm_scratch_take(room_bytes) : NULL;
  if (f->padded && !room) f->failed = true;
  if (room) memset(room, 0, room_bytes); /* columns behind the last one */
  for (size_t i = begin; i < end && !f->failed; i++) {
    const int64_t part = (int64_t)i % f->parts, rest = (int64_t)i / f->parts;
    task t = {.first = f->units * part / f->parts,
              .last = f->units * (part + 1) / f->parts,
              .y = rest / f->panels,
              .column = (size_t)(rest % f->panels) * COLUMNS,
              .to = find_sums(f, part),
              .room = room};
    t.columns = features - t.column < COLUMNS ? features - t.column : COLUMNS;
    clear(f, &t);
    run_units(f, &t);
  }
  jm_scratch_give(room);
}

/* Rows of the result: each element is added up in the order of the parts. */
static void add_parts(void *context, size_t begin, size_t end) {
  const filter *f = context;
  const jm_window *w = f->w;
  const size_t n = (size_t)w->out_features, batch = (size_t)w->batch;
  const size_t taps = (size_t)f->wide->n_out;
  const sums out = find_sums(f, 0);
  for (size_t row = begin; row < end; row++) {
    const size_t tap = row / batch;
    char *to = out.data + ((ptrdiff_t)(tap / taps) * out.tall + (ptrdiff_t)(tap % taps) * out.wide +
                           (ptrdiff_t)(row % batch) * out.row) *
                              (ptrdiff_t)f->element;
    for (size_t part = 1; part < (size_t)f->parts; part++) {
      const char *from = f->partial + ((part - 1) * f->part_elements + row * n) * f->element;
      if (w->dtype == JM_DT_f32)
        for (size_t j = 0; j < n; j++) ((float *)to)[j] += ((const float *)from)[j];
      else
        for (size_t j = 0; j < n; j++) ((double *)to)[j] += ((const double *)from)[j];
    }
  }
}

static filter cut(const jm_window *w) {
  const uint32_t wide = jm_window_find_wide(w);
  filter f = {.w = w,
              .tall = jm_window_find_tall(w, wide),
              .wide = &w->axes[wide],
              .element = jm_dtype_bytes(w->dtype)};
  f.lanes = jm_gemm_vector_lanes(w->dtype);
  f.padded = (size_t)w->out_features % f.lanes ? COLUMNS : 0;
  f.blocks = (f.wide->n_tap + BLOCK - 1) / BLOCK;
  f.units = f.blocks * f.tall->n_tap * w->in_features;
  f.panels = (w->out_features + COLUMNS - 1) / COLUMNS;
  const int64_t tasks = f.panels * f.tall->n_out;
  const int64_t most = f.wide->n_tap * f.tall->n_tap * w->in_features / LEAST_PART;
  f.parts = tasks ? (TASKS + tasks - 1) / tasks : 1;
  if (f.parts > most) f.parts = most;
  if (f.parts > f.units) f.parts = f.units;
  f.part_elements = (size_t)(f.tall->n_out * f.wide->n_out * w->batch * w->out_features);
  return f;
}

jm_error *jm_window_run_filter(const jm_window *w) {
  if (jm_context_is_cancelled(w->context))
    return jm_error_create(JM_CANCELLED, "convolution was cancelled");
  filter f = cut(w);
  if (f.parts > 1) {
    f.partial = jm_scratch_take((size_t)(f.parts - 1) * f.part_elements * f.element);
    if (!f.partial) return jm_error_out_of_memory();
  }
  jm_parallel_for((size_t)(f.parts * f.panels * f.tall->n_out), 1, run_tasks, &f);
  const size_t rows = (size_t)(f.tall->n_out * f.wide->n_out * w->batch);
  const size_t added = (size_t)(f.parts * w->out_features); /* in a row */
  if (f.parts > 1 && !f.failed) jm_parallel_share(rows, ADD_GRAIN / added + 1, add_parts, &f);
  jm_scratch_give(f.partial);
  return f.failed ? jm_error_out_of_memory() : NULL;
}
