/* SPDX-License-Identifier: Apache-2.0
 * Windowed reduction: position by position inside the window, all outputs of a block at once, so
 * that each output sees its elements in row-major order; padding and holes take no part, as in XLA
 * (init is applied once). Windows that reach back to the start, as cumulative sums are spelled, are
 * a scan: each output is the one before with one more element, which is the same fold. Along
 * consecutive elements scan_rows.h has the common ones. */
#include <stdint.h>
#include <string.h>

#include "base/parallel.h"
#include "engine/host/library/cpu.h"
#include "engine/host/library/fold.h"
#include "engine/host/library/functions.h"
#include "engine/host/library/scan_rows.h"
#include "engine/host/library/tasks.h"
#include "engine/host/library/window.h"

enum { BLOCK = 16 * 1024, LINE_MIN = 32, SCAN_BYTES = 64 * 1024 };

typedef struct reduction {
  jm_fold *fold;
  const jm_call *call;
  const jm_type *in, *out;
  const char **x, **init;
  char **to;
  bool streams; /* the whole result is large, and not an operand's memory */
} reduction;

static jm_error *run_windows(reduction *r) {
  const jm_reduce_window_attrs *attrs = r->call->op->attrs;
  jm_fold *fold = r->fold;
  jm_windows windows;
  JM_TRY(jm_windows_init(&windows, &fold->arena, r->in, r->out, &attrs->window, &attrs->strides,
                         &attrs->base_dilations, &attrs->window_dilations, &attrs->padding, BLOCK));
  void **acc = jm_arena_alloc(&fold->arena, fold->n, sizeof *acc);
  const void **x = jm_arena_alloc(&fold->arena, fold->n, sizeof *x);
  if (!acc || !x) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < fold->n; i++)
    jm_copy_fill(r->to[i], r->init[i], fold->bytes[i], r->out->count);
  jm_windows_first_block(&windows);
  do {
    do {
      jm_rect rect;
      int64_t to, from;
      JM_TRY(jm_fold_poll(fold, 64));
      jm_windows_rect(&windows, &rect, &to, &from);
      if (rect.empty) continue;
      for (uint32_t i = 0; i < fold->n; i++) {
        acc[i] = r->to[i] + to * (int64_t)fold->bytes[i];
        x[i] = r->x[i] + from * (int64_t)fold->bytes[i];
      }
      JM_TRY(jm_fold_rect(fold, &rect, acc, x));
    } while (jm_windows_next_position(&windows));
  } while (jm_windows_next_block(&windows));
  return NULL;
}

/* -- scans */

static bool find_scan(const reduction *r, jm_window_scan *s) {
  const jm_reduce_window_attrs *a = r->call->op->attrs;
  return jm_window_scan_find(a, r->in, s) &&
         (!s->reverse || (r->fold->associative && r->fold->commutative));
}

static int64_t scan_row(const jm_window_scan *s, int64_t k) {
  return s->reverse ? s->n - 1 - k : k;
}

/* Lanes that are contiguous in the operand: each row from the one before, in place. */
static jm_error *scan_lines(reduction *r, const jm_window_scan *s, void **acc, const void **x) {
  jm_fold *fold = r->fold;
  int64_t lanes = (int64_t)fold->lanes;
  for (int64_t o = 0; o < s->outer; o++)
    for (int64_t i = 0; i < s->inner; i += lanes) {
      int64_t count = s->inner - i < lanes ? s->inner - i : lanes;
      for (int64_t k = 0; k < s->n; k++) {
        int64_t at = (o * s->n + scan_row(s, k)) * s->inner + i;
        int64_t before = (o * s->n + scan_row(s, k - 1)) * s->inner + i;
        for (uint32_t j = 0; j < fold->n; j++) {
          int64_t bytes = (int64_t)fold->bytes[j];
          acc[j] = r->to[j] + at * bytes;
          x[j] = r->x[j] + at * bytes;
          if (k)
            memcpy(acc[j], r->to[j] + before * bytes, (size_t)(count * bytes));
          else
            jm_copy_fill(acc[j], r->init[j], fold->bytes[j], count);
        }
        JM_TRY(jm_fold_run(fold, acc, x, count));
        JM_TRY(jm_fold_poll(fold, count));
      }
    }
  return NULL;
}

/* The same where a kernel reads the row before and writes the row itself; strips of lines are
 * independent. */
typedef struct strips {
  const reduction *r;
  const jm_window_scan *s;
  int64_t lanes; /* of a strip, and of acc_scratch, which holds initial values */
} strips;

static void scan_strip(const strips *t, int64_t o, int64_t i, int64_t count) {
  const reduction *r = t->r;
  const int64_t bytes = (int64_t)r->fold->bytes[0];
  const char *before = r->fold->acc_scratch[0];
  for (int64_t k = 0; k < t->s->n; k++) {
    const int64_t at = ((o * t->s->n + scan_row(t->s, k)) * t->s->inner + i) * bytes;
    const void *in[2] = {before, r->x[0] + at};
    r->fold->kernel(in, r->to[0] + at, (size_t)count);
    before = r->to[0] + at;
  }
}

static void scan_strips(void *context, size_t begin, size_t end) {
  const strips *t = context;
  const int64_t inner = t->s->inner, to = (int64_t)end * t->lanes;
  for (int64_t o = 0; o < t->s->outer; o++)
    for (int64_t i = (int64_t)begin * t->lanes; i < inner && i < to; i += t->lanes) {
      if (jm_context_is_cancelled(t->r->call->context)) return;
      scan_strip(t, o, i, inner - i < t->lanes ? inner - i : t->lanes);
    }
}

static jm_error *scan_lines_kernel(reduction *r, const jm_window_scan *s) {
  jm_fold *fold = r->fold;
  strips t = {r, s, (int64_t)fold->lanes};
  const size_t n = (size_t)((s->inner + t.lanes - 1) / t.lanes);
  jm_copy_fill(fold->acc_scratch[0], r->init[0], fold->bytes[0], t.lanes);
  /* a batch was divided along its first dimension */
  jm_parallel_for(n, s->outer == 1 ? 1 : n, scan_strips, &t);
  return jm_fold_poll(fold, r->in->count);
}

/* steps rows of `width` of the outer lanes between the operand (or result) and [steps][lanes]. */
static void scan_move(const reduction *r, const jm_window_scan *s, int64_t o, int64_t width,
                      int64_t k, int64_t steps, void *const *gathered, bool back) {
  int64_t row = s->reverse ? -s->inner : s->inner;
  int64_t start = (o * s->n + scan_row(s, k)) * s->inner;
  jm_rect rect;
  jm_rect_init(&rect);
  const jm_rect_dim dims[] = {
      {s->inner, 1, 1}, {width, s->inner, s->n * s->inner}, {steps, width * s->inner, row}};
  for (int d = 0; d < 3; d++)
    jm_rect_add(&rect, dims[d].size, back ? dims[d].from : dims[d].to,
                back ? dims[d].to : dims[d].from);
  for (uint32_t j = 0; j < r->fold->n; j++) {
    int64_t bytes = (int64_t)r->fold->bytes[j];
    if (back)
      jm_rect_copy(&rect, (size_t)bytes, r->to[j] + start * bytes, gathered[j]);
    else
      jm_rect_copy(&rect, (size_t)bytes, gathered[j], r->x[j] + start * bytes);
  }
}

/* acc and the rows of gathered: each row becomes the accumulator's next value. */
static jm_error *scan_rows(jm_fold *fold, int64_t steps, int64_t count, void *const *acc,
                           const void **x, void *const *gathered) {
  for (int64_t step = 0; step < steps; step++) {
    for (uint32_t j = 0; j < fold->n; j++)
      x[j] = (char *)gathered[j] + step * count * (int64_t)fold->bytes[j];
    JM_TRY(jm_fold_run(fold, acc, x, count));
    for (uint32_t j = 0; j < fold->n; j++)
      memcpy((char *)gathered[j] + step * count * (int64_t)fold->bytes[j], acc[j],
             (size_t)count * fold->bytes[j]);
  }
  return NULL;
}

/* The same where a kernel can read the row before and write the row itself. */
static void scan_rows_kernel(jm_fold *fold, int64_t steps, int64_t count, void *acc,
                             char *gathered) {
  const size_t row = (size_t)count * fold->bytes[0];
  const void *before = acc;
  for (int64_t step = 0; step < steps; step++, gathered += row) {
    const void *in[2] = {before, gathered};
    fold->kernel(in, gathered, (size_t)count);
    before = gathered;
  }
  memcpy(acc, before, row);
}

/* Lanes from several outer positions, brought together for a number of rows at a time. */
static jm_error *scan_gathered(reduction *r, const jm_window_scan *s, const void **x,
                               void **gathered, int64_t widest) {
  jm_fold *fold = r->fold;
  int64_t wide = (int64_t)fold->lanes / s->inner < 1 ? 1 : (int64_t)fold->lanes / s->inner;
  for (int64_t o = 0; o < s->outer; o += wide) {
    int64_t width = s->outer - o < wide ? s->outer - o : wide, count = width * s->inner;
    int64_t chunk = SCAN_BYTES / (count * widest) < 1 ? 1 : SCAN_BYTES / (count * widest);
    for (uint32_t j = 0; j < fold->n; j++)
      jm_copy_fill(fold->acc_scratch[j], r->init[j], fold->bytes[j], count);
    for (int64_t k = 0; k < s->n; k += chunk) {
      int64_t steps = s->n - k < chunk ? s->n - k : chunk;
      JM_TRY(jm_fold_poll(fold, count * steps));
      scan_move(r, s, o, width, k, steps, gathered, false);
      if (fold->kernel)
        scan_rows_kernel(fold, steps, count, fold->acc_scratch[0], gathered[0]);
      else
        JM_TRY(scan_rows(fold, steps, count, fold->acc_scratch, x, gathered));
      scan_move(r, s, o, width, k, steps, gathered, true);
    }
  }
  return NULL;
}

static jm_scan_rows *find_rows(const reduction *r, const jm_window_scan *s) {
  const jm_fold *fold = r->fold;
  const size_t row = (size_t)s->n * fold->bytes[0];
  const bool lines = ((uintptr_t)r->to[0] | row) % JM_SCAN_LINE == 0;
  if (!fold->kernel) return NULL;
  return jm_scan_rows_find(fold->code, fold->dtypes[0], s->reverse, r->streams && lines);
}

static jm_error *run_scan(reduction *r, const jm_window_scan *s) {
  jm_fold *fold = r->fold;
  jm_scan_rows *rows = s->inner == 1 ? find_rows(r, s) : NULL;
  if (rows) {
    JM_TRY(jm_fold_poll(fold, s->outer * s->n));
    rows(r->to[0], r->x[0], r->init[0], (size_t)s->outer, (size_t)s->n);
    return NULL;
  }
  void **acc = jm_arena_alloc(&fold->arena, fold->n, sizeof *acc);
  const void **x = jm_arena_alloc(&fold->arena, fold->n, sizeof *x);
  if (!acc || !x) return jm_error_out_of_memory();
  if (fold->kernel && s->inner >= LINE_MIN) return scan_lines_kernel(r, s);
  /* A region that takes one lane at a time can't have inner lanes together. */
  if (s->inner >= LINE_MIN || s->inner > (int64_t)fold->lanes) return scan_lines(r, s, acc, x);
  int64_t widest = 1;
  for (uint32_t j = 0; j < fold->n; j++)
    if ((int64_t)fold->bytes[j] > widest) widest = (int64_t)fold->bytes[j];
  for (uint32_t j = 0; j < fold->n; j++) {
    acc[j] = jm_arena_alloc(&fold->arena, 1, SCAN_BYTES);
    if (!acc[j]) return jm_error_out_of_memory();
  }
  return scan_gathered(r, s, x, acc, widest);
}

/* -- the op */

static jm_error *run(reduction *r) {
  jm_window_scan s;
  return find_scan(r, &s) ? run_scan(r, &s) : run_windows(r);
}

/* In f32, rounded once. */
static jm_error *run_wide(reduction *r) {
  jm_dtype dtype = r->in->dtype;
  size_t n_in = (size_t)r->in->count, n_out = (size_t)r->out->count;
  float init, *x = jm_alloc_data(n_in * sizeof *x), *to = jm_alloc_data(n_out * sizeof *to);
  char *out = r->to[0];
  jm_error *error = x && to ? NULL : jm_error_out_of_memory();
  if (!error) error = jm_convert_run(dtype, JM_DT_f32, r->x[0], x, n_in);
  if (!error) error = jm_convert_run(dtype, JM_DT_f32, r->init[0], &init, 1);
  if (!error) {
    r->x[0] = (const char *)x;
    r->init[0] = (const char *)&init;
    r->to[0] = (char *)to;
    error = run(r);
  }
  if (!error) error = jm_convert_run(JM_DT_f32, dtype, to, out, n_out);
  jm_free(x);
  jm_free(to);
  return error;
}

static jm_error *reduce_window(const jm_call *call, jm_fold *fold, bool widen, bool streams) {
  uint32_t n = call->op->n_results;
  reduction r = {.fold = fold,
                 .call = call,
                 .in = call->in[0].type,
                 .out = call->out[0].type,
                 .streams = streams};
  r.x = jm_arena_alloc(&fold->arena, n, sizeof *r.x);
  r.init = jm_arena_alloc(&fold->arena, n, sizeof *r.init);
  r.to = jm_arena_alloc(&fold->arena, n, sizeof *r.to);
  if (!r.x || !r.init || !r.to) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) {
    r.x[i] = call->in[i].data;
    r.init[i] = call->in[n + i].data;
    r.to[i] = call->out[i].data;
  }
  if (r.in->count) return widen ? run_wide(&r) : run(&r);
  for (uint32_t i = 0; i < n; i++)
    jm_copy_fill(call->out[i].data, r.init[i], jm_dtype_bytes(call->out[i].type->dtype),
                 r.out->count);
  return NULL;
}

static jm_error *run_call(const jm_call *call, bool streams) {
  uint32_t n = call->op->n_results;
  jm_monoid monoid;
  bool widen = jm_body_monoid(call->module, call->op->first_region, &monoid) &&
               monoid.accumulator != monoid.dtype;
  jm_fold fold;
  jm_error *error = jm_fold_init(&fold, call, call->op->first_region, n,
                                 widen ? JM_DT_f32 : JM_N_DTYPES, call->out[0].type->count);
  if (!error) error = reduce_window(call, &fold, widen, streams);
  jm_fold_deinit(&fold);
  return error;
}

static jm_error *run_cached(const jm_call *call) { return run_call(call, false); }
static jm_error *run_streaming(const jm_call *call) { return run_call(call, true); }

jm_error *jm_library_reduce_window(const jm_call *call) {
  const jm_reduce_window_attrs *a = call->op->attrs;
  if (!call->op->n_results || !call->out[0].type->count) return NULL;
  bool batched = call->in[0].type->rank && call->in[0].type->count && a->window.data[0] == 1 &&
                 a->strides.data[0] == 1 && a->base_dilations.data[0] == 1 && !a->padding.data[0] &&
                 !a->padding.data[1];
  /* with the operand, more than the last cache */
  bool large = 2 * jm_type_bytes(call->out[0].type) >= jm_cpu_find_cache_bytes();
  jm_call_fn *run_part =
      large && call->out[0].data != call->in[0].data ? run_streaming : run_cached;
  return batched ? jm_tasks_run_batch(call, run_part) : run_part(call);
}
