/* SPDX-License-Identifier: Apache-2.0
 * Reduction. Outputs are the lanes: a run of the body adds one element to each output of a block,
 * in the order of the operand, which is correct for any body. Only bodies known to be associative
 * are reassociated: contiguous rows, long sums, and reductions to few outputs. */
#include "engine/host/library/reduce.h"

#include <string.h>

#include "engine/host/library/fold.h"
#include "engine/host/library/functions.h"
#include "engine/host/library/tasks.h"

enum {
  ROW_MIN = 16,     /* a shorter contiguous row is faster transposed */
  LINE_MIN = 32,    /* likewise for lanes that are contiguous in the operand */
  PARTIAL = 128,    /* terms of a sum that are added up before they join the accumulator */
  FEW_OUTPUTS = 64, /* fewer lanes than this are too few if the body allows more */
  PARTS_LANES = 512,
  GATHER_BYTES = 64 * 1024,
  TASK_ELEMENTS = 64 * 1024,
  MAX_TASKS = 64,
  LINE_TASK = 512,
};

typedef struct axis {
  int64_t size, stride;
} axis;

/* Row-major and merged: kept are the output's dimensions, reduced the ones folded away. */
typedef struct shape {
  axis kept[JM_RECT_DIMS], reduced[JM_RECT_DIMS];
  uint32_t n_kept, n_reduced;
} shape;

static int64_t axes_count(const axis *axes, uint32_t n) {
  int64_t count = 1;
  for (uint32_t i = 0; i < n; i++) count *= axes[i].size;
  return count;
}

static void shape_init(shape *s, const jm_type *type, jm_i64s dims) {
  s->n_kept = s->n_reduced = 0;
  int64_t stride = type->count;
  int last = -1; /* whether the dimension before was reduced; unknown at first */
  for (uint32_t d = 0; d < type->rank; d++) {
    int64_t size = type->dims[d];
    if (size == 1) continue;
    stride /= size;
    bool is_reduced = false;
    for (uint32_t i = 0; i < dims.n; i++) is_reduced |= dims.data[i] == (int64_t)d;
    axis *axes = is_reduced ? s->reduced : s->kept;
    uint32_t *n = is_reduced ? &s->n_reduced : &s->n_kept;
    if (last == (int)is_reduced)
      axes[*n - 1] = (axis){axes[*n - 1].size * size, stride};
    else
      axes[(*n)++] = (axis){size, stride};
    last = is_reduced;
  }
}

/* An odometer over axes; returns false after the last position. */
static bool advance(const axis *axes, uint32_t n, int64_t *counters, int64_t *offset) {
  for (uint32_t d = n; d--;) {
    *offset += axes[d].stride;
    if (++counters[d] < axes[d].size) return true;
    counters[d] = 0;
    *offset -= axes[d].stride * axes[d].size;
  }
  return false;
}

typedef struct reduction {
  jm_fold *fold;
  const shape *shape;
  const char *const *x;
  const char *const *init; /* NULL: start from the first element */
  char *const *out;
  /* of the present block */
  void **acc;
  const void **at;
  int64_t count;
  bool started;
  void *partial; /* of a float sum */
  int pending;
  void **gathered;
} reduction;

static bool is_float_sum(const jm_fold *fold) {
  return fold->kernel && fold->code == JM_OP_add &&
         (jm_dtype_is_float(fold->dtypes[0]) || jm_dtype_is_complex(fold->dtypes[0]));
}

static void flush(reduction *r) {
  if (!r->pending) return;
  r->pending = 0;
  const void *in[2] = {r->acc[0], r->partial};
  r->fold->kernel(in, r->acc[0], (size_t)r->count);
}

/* One more element for each lane of the block. */
static jm_error *accumulate(reduction *r, const void *const *x) {
  jm_fold *fold = r->fold;
  if (!r->started) {
    for (uint32_t i = 0; i < fold->n; i++)
      memcpy(r->acc[i], x[i], fold->bytes[i] * (size_t)r->count);
    r->started = true;
    return NULL;
  }
  if (!r->partial) return jm_fold_run(fold, r->acc, x, r->count);
  if (r->pending)
    JM_TRY(jm_fold_run(fold, &r->partial, x, r->count));
  else
    memcpy(r->partial, x[0], fold->bytes[0] * (size_t)r->count);
  if (++r->pending == PARTIAL) flush(r);
  return NULL;
}

/* The block's lanes are contiguous in the operand, from offset. */
static jm_error *block_direct(reduction *r, int64_t offset) {
  const shape *s = r->shape;
  int64_t counters[JM_RECT_DIMS];
  memset(counters, 0, s->n_reduced * sizeof *counters);
  do {
    for (uint32_t i = 0; i < r->fold->n; i++)
      r->at[i] = r->x[i] + offset * (int64_t)r->fold->bytes[i];
    JM_TRY(accumulate(r, r->at));
    JM_TRY(jm_fold_poll(r->fold, r->count));
  } while (advance(s->reduced, s->n_reduced, counters, &offset));
  return NULL;
}

/* Gathers [steps][count] elements, with steps along the innermost reduced axis. */
static void gather_chunk(reduction *r, const jm_rect *lanes, int64_t steps, int64_t offset) {
  jm_rect rect = *lanes;
  if (r->shape->n_reduced)
    jm_rect_add(&rect, steps, r->count, r->shape->reduced[r->shape->n_reduced - 1].stride);
  for (uint32_t i = 0; i < r->fold->n; i++)
    jm_rect_copy(&rect, r->fold->bytes[i], r->gathered[i],
                 r->x[i] + offset * (int64_t)r->fold->bytes[i]);
}

static jm_error *block_gathered(reduction *r, const jm_rect *lanes, int64_t offset) {
  const shape *s = r->shape;
  uint32_t outer = s->n_reduced ? s->n_reduced - 1 : 0;
  const axis inner = s->n_reduced ? s->reduced[outer] : (axis){1, 0};
  int64_t counters[JM_RECT_DIMS];
  memset(counters, 0, outer * sizeof *counters);
  size_t widest = 1;
  for (uint32_t i = 0; i < r->fold->n; i++)
    if (r->fold->bytes[i] > widest) widest = r->fold->bytes[i];
  int64_t chunk = GATHER_BYTES / ((int64_t)widest * r->count);
  if (chunk < 1) chunk = 1;
  do {
    for (int64_t done = 0; done < inner.size; done += chunk) {
      int64_t steps = inner.size - done < chunk ? inner.size - done : chunk;
      gather_chunk(r, lanes, steps, offset + done * inner.stride);
      JM_TRY(jm_fold_poll(r->fold, steps * r->count));
      for (int64_t step = 0; step < steps; step++) {
        for (uint32_t i = 0; i < r->fold->n; i++)
          r->at[i] = (char *)r->gathered[i] + step * r->count * (int64_t)r->fold->bytes[i];
        JM_TRY(accumulate(r, r->at));
      }
    }
  } while (advance(s->reduced, outer, counters, &offset));
  return NULL;
}

static jm_error *run_block(reduction *r, const jm_rect *lanes, int64_t start, int64_t offset) {
  for (uint32_t i = 0; i < r->fold->n; i++) {
    r->acc[i] = r->out[i] + start * (int64_t)r->fold->bytes[i];
    if (r->init) jm_copy_fill(r->acc[i], r->init[i], r->fold->bytes[i], r->count);
  }
  r->started = r->init;
  if (lanes)
    JM_TRY(block_gathered(r, lanes, offset));
  else
    JM_TRY(block_direct(r, offset));
  flush(r);
  return NULL;
}

/* Blocks of outputs in row-major order: whole axes after `line`, a chunk of it, one position of
 * those before. Lanes that are contiguous in the operand need no gathering: they are not mixed. */
static jm_error *run_blocks(reduction *r) {
  const shape *s = r->shape;
  const axis *kept = s->kept;
  int64_t limit = (int64_t)r->fold->lanes, inside = 1, offset = 0, start = 0;
  int64_t counters[JM_RECT_DIMS];
  uint32_t line = s->n_kept ? s->n_kept - 1 : 0;
  bool direct = !s->n_kept || (kept[line].stride == 1 && kept[line].size >= LINE_MIN);
  while (!direct && line && inside * kept[line].size <= limit) inside *= kept[line--].size;
  const axis chunked = s->n_kept ? kept[line] : (axis){1, 0};
  memset(counters, 0, line * sizeof *counters);
  do {
    for (int64_t done = 0; done < chunked.size; done += limit / inside) {
      int64_t width = limit / inside;
      if (width > chunked.size - done) width = chunked.size - done;
      jm_rect lanes;
      int64_t dense = 1;
      jm_rect_init(&lanes);
      for (uint32_t d = s->n_kept; d-- > line + 1; dense *= kept[d].size)
        jm_rect_add(&lanes, kept[d].size, dense, kept[d].stride);
      jm_rect_add(&lanes, width, dense, chunked.stride);
      r->count = width * inside;
      JM_TRY(run_block(r, direct ? NULL : &lanes, start, offset + done * chunked.stride));
      start += r->count;
    }
  } while (advance(kept, line, counters, &offset));
  return NULL;
}

/* Each output from whole contiguous rows; the results of several rows make a row themselves. */
static jm_error *run_rows(reduction *r, jm_reduce_row *row) {
  const shape *s = r->shape;
  uint32_t outer = s->n_reduced - 1;
  size_t bytes = r->fold->bytes[0], n = (size_t)s->reduced[outer].size;
  int64_t kept[JM_RECT_DIMS], reduced[JM_RECT_DIMS], offset = 0;
  union {
    float f32[PARTIAL];
    double f64[PARTIAL];
  } rows, result;
  char *acc = r->out[0];
  memset(kept, 0, s->n_kept * sizeof *kept);
  do {
    memset(reduced, 0, outer * sizeof *reduced);
    bool started = r->init;
    if (started) memcpy(acc, r->init[0], bytes);
    int64_t from = offset;
    for (bool more = true; more;) {
      size_t n_rows = 0;
      while (more && n_rows < PARTIAL) {
        row(r->x[0] + from * (int64_t)bytes, n, (char *)&rows + n_rows++ * bytes);
        more = advance(s->reduced, outer, reduced, &from);
        JM_TRY(jm_fold_poll(r->fold, (int64_t)n));
      }
      row(&rows, n_rows, &result);
      const void *in[2] = {acc, &result};
      if (started)
        r->fold->kernel(in, acc, 1);
      else
        memcpy(acc, &result, bytes);
      started = true;
    }
    acc += bytes;
  } while (advance(s->kept, s->n_kept, kept, &offset));
  return NULL;
}

static jm_error *run(jm_fold *fold, const shape *s, const char *const *x, const char *const *init,
                     char *const *out);

/* Few outputs of an associative body: one reduced axis becomes [lanes, steps], each lane's part is
 * folded by itself, then the parts are. Lanes of consecutive elements if the order is free, else
 * lanes of consecutive segments. parts: [lanes (and one for the rest)][outputs] of each
 * accumulator. */
static jm_error *run_parts(jm_fold *fold, const shape *s, int64_t lanes, const char *const *x,
                           const char *const *init, char *const *out, char **parts) {
  uint32_t which = fold->commutative ? s->n_reduced - 1 : 0;
  const axis whole = s->reduced[which];
  int64_t outputs = axes_count(s->kept, s->n_kept), steps = whole.size / lanes;
  int64_t rest = whole.size - steps * lanes;
  shape part = *s;
  part.reduced[which] = (axis){steps, fold->commutative ? lanes * whole.stride : whole.stride};
  if (steps == 1) {
    part.n_reduced--;
    memmove(part.reduced + which, part.reduced + which + 1,
            (part.n_reduced - which) * sizeof *part.reduced);
  }
  axis lane = {lanes, fold->commutative ? whole.stride : steps * whole.stride};
  if (s->n_kept && lane.stride == s->kept[0].size * s->kept[0].stride) {
    part.kept[0] = (axis){lanes * s->kept[0].size, s->kept[0].stride};
  } else {
    memmove(part.kept + 1, part.kept, s->n_kept * sizeof *part.kept);
    part.kept[0] = lane;
    part.n_kept++;
  }
  JM_TRY(run(fold, &part, x, NULL, parts));
  if (rest) {
    shape tail = *s;
    const char **from = jm_arena_alloc(&fold->arena, fold->n, sizeof *from);
    char **to = jm_arena_alloc(&fold->arena, fold->n, sizeof *to);
    if (!from || !to) return jm_error_out_of_memory();
    tail.reduced[which].size = rest;
    for (uint32_t i = 0; i < fold->n; i++) {
      from[i] = x[i] + steps * lanes * whole.stride * (int64_t)fold->bytes[i];
      to[i] = parts[i] + lanes * outputs * (int64_t)fold->bytes[i];
    }
    JM_TRY(run(fold, &tail, from, NULL, to));
  }
  shape last = {.n_reduced = 1, .reduced = {{lanes + (rest > 0), outputs}}};
  if (outputs > 1) last.kept[last.n_kept++] = (axis){outputs, 1};
  return run(fold, &last, (const char *const *)parts, init, out);
}

/* How many lanes to split a reduced axis into, 0: not worth it or not allowed. */
static int64_t parts_lanes(const jm_fold *fold, const shape *s) {
  int64_t outputs = axes_count(s->kept, s->n_kept);
  if (!fold->associative || !s->n_reduced || outputs >= FEW_OUTPUTS || fold->lanes < FEW_OUTPUTS ||
      axes_count(s->reduced, s->n_reduced) < 4 * FEW_OUTPUTS || s->n_kept == JM_RECT_DIMS)
    return 0;
  int64_t size = s->reduced[fold->commutative ? s->n_reduced - 1 : 0].size,
          lanes = PARTS_LANES / outputs;
  /* An axis shorter than that may leave one step and still have given lanes. */
  if (size > 4 * lanes) return lanes;
  return size >= 16 ? size / 4 : s->n_reduced > 1 ? size : 0;
}

static jm_error *run(jm_fold *fold, const shape *s, const char *const *x, const char *const *init,
                     char *const *out) {
  reduction r = {.fold = fold, .shape = s, .x = x, .init = init, .out = out};
  if (fold->kernel && fold->associative && s->n_reduced &&
      s->reduced[s->n_reduced - 1].stride == 1 && s->reduced[s->n_reduced - 1].size >= ROW_MIN) {
    jm_reduce_row *row = jm_reduce_row_find(fold->code, fold->dtypes[0]);
    if (row) return run_rows(&r, row);
  }
  jm_arena *arena = &fold->arena;
  int64_t lanes = parts_lanes(fold, s);
  if (lanes > 1) {
    char **parts = jm_arena_alloc(arena, fold->n, sizeof *parts);
    if (!parts) return jm_error_out_of_memory();
    size_t count = (size_t)((lanes + 1) * axes_count(s->kept, s->n_kept));
    for (uint32_t i = 0; i < fold->n; i++) {
      parts[i] = jm_arena_alloc(arena, count, fold->bytes[i]);
      if (!parts[i]) return jm_error_out_of_memory();
    }
    return run_parts(fold, s, lanes, x, init, out, parts);
  }
  r.acc = fold->acc_at;
  r.at = jm_arena_alloc(arena, fold->n, sizeof *r.at);
  r.gathered = jm_arena_alloc(arena, fold->n, sizeof *r.gathered);
  if (!r.at || !r.gathered) return jm_error_out_of_memory();
  int64_t count = axes_count(s->kept, s->n_kept) * axes_count(s->reduced, s->n_reduced);
  for (uint32_t i = 0; i < fold->n; i++) {
    size_t bytes = GATHER_BYTES;
    if (count * (int64_t)fold->bytes[i] < GATHER_BYTES) bytes = (size_t)count * fold->bytes[i];
    r.gathered[i] = jm_arena_alloc(arena, 1, bytes);
    if (!r.gathered[i]) return jm_error_out_of_memory();
  }
  if (is_float_sum(fold)) r.partial = fold->acc_scratch[0];
  return run_blocks(&r);
}

/* -- the op, in tasks */

/* A part of the reduction: a range of the outermost kept axis (each task has its own outputs) or,
 * of an associative body, of the outermost cut axis (each has partial results of all outputs). */
typedef struct split {
  const jm_call *call;
  jm_dtype dtype;  /* of a widened fold, else JM_N_DTYPES */
  jm_dtype narrow; /* of x if tasks have to widen it, else JM_N_DTYPES */
  shape shape;
  const char **x, **init;
  char **out;
  const size_t *bytes;
  size_t n;
  bool cuts;
} split;

/* x becomes a copy in the fold's type of everything from the task's first element to its last. */
static jm_error *widen(const split *p, jm_fold *fold, const shape *s, const char **x) {
  int64_t n = 1;
  for (uint32_t d = 0; d < s->n_kept; d++) n += (s->kept[d].size - 1) * s->kept[d].stride;
  for (uint32_t d = 0; d < s->n_reduced; d++) n += (s->reduced[d].size - 1) * s->reduced[d].stride;
  void *wide = jm_arena_alloc(&fold->arena, (size_t)n, fold->bytes[0]);
  if (!wide) return jm_error_out_of_memory();
  JM_TRY(jm_convert_run(p->narrow, p->dtype, x[0], wide, (size_t)n));
  x[0] = wide;
  return NULL;
}

static jm_error *run_task(void *context, size_t task) {
  const split *p = context;
  const jm_op *op = p->call->op;
  shape s = p->shape;
  axis *dim = p->cuts ? &s.reduced[0] : &s.kept[0];
  int64_t n = (int64_t)p->n, each = dim->size / n, rest = dim->size % n, i = (int64_t)task;
  int64_t begin = i * each + (i < rest ? i : rest);
  if (n > 1) dim->size = each + (i < rest);
  int64_t outputs = axes_count(s.kept, s.n_kept);
  int64_t from = n > 1 ? begin * dim->stride : 0;
  int64_t to = p->cuts ? i * outputs : n > 1 ? begin * (outputs / dim->size) : 0;
  jm_fold fold;
  jm_error *error = jm_fold_init(&fold, p->call, op->first_region, op->n_results, p->dtype,
                                 outputs * axes_count(s.reduced, s.n_reduced));
  const char **x = jm_arena_alloc(&fold.arena, op->n_results, sizeof *x);
  char **out = jm_arena_alloc(&fold.arena, op->n_results, sizeof *out);
  if (!error && (!x || !out)) error = jm_error_out_of_memory();
  for (uint32_t k = 0; !error && k < op->n_results; k++) {
    jm_dtype dtype = p->narrow != JM_N_DTYPES ? p->narrow : fold.dtypes[k];
    x[k] = p->x[k] + from * (int64_t)jm_dtype_bytes(dtype);
    out[k] = p->out[k] + to * (int64_t)fold.bytes[k];
  }
  if (!error && p->narrow != JM_N_DTYPES) error = widen(p, &fold, &s, x);
  if (!error) error = run(&fold, &s, x, p->cuts ? NULL : p->init, out);
  jm_fold_deinit(&fold);
  return error;
}

/* Partial results of n tasks, then their reduction: a row-major [n, outputs] over dimension 0. */
static jm_error *run_cuts(split *p, jm_arena *arena, size_t n) {
  uint32_t n_results = p->call->op->n_results;
  int64_t outputs = axes_count(p->shape.kept, p->shape.n_kept);
  char **out = p->out, **parts = jm_arena_alloc(arena, n_results, sizeof *parts);
  if (!parts) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n_results; i++) {
    parts[i] = jm_arena_alloc(arena, n * (size_t)outputs, p->bytes[i]);
    if (!parts[i]) return jm_error_out_of_memory();
  }
  p->out = parts;
  p->n = n;
  p->cuts = true;
  JM_TRY(jm_tasks_run(n, run_task, p));
  split last = *p;
  last.shape = (shape){.n_reduced = 1, .reduced = {{(int64_t)n, outputs}}};
  if (outputs > 1) last.shape.kept[last.shape.n_kept++] = (axis){outputs, 1};
  for (uint32_t i = 0; i < n_results; i++) last.x[i] = parts[i];
  last.out = out;
  last.n = 1;
  last.cuts = false;
  last.narrow = JM_N_DTYPES;
  return run_task(&last, 0);
}

/* As many tasks as an axis can be split into, lanes that are contiguous not into short lines. */
static int64_t axis_tasks(const axis *axes, uint32_t n, int64_t tasks) {
  int64_t most = !n ? 1 : axes[0].stride == 1 ? axes[0].size / LINE_TASK : axes[0].size;
  return most < 1 ? 1 : most < tasks ? most : tasks;
}

static jm_error *run_tasks(split *p, jm_arena *arena) {
  const shape *s = &p->shape;
  uint32_t n_results = p->call->op->n_results;
  int64_t outputs = axes_count(s->kept, s->n_kept);
  int64_t n = outputs * axes_count(s->reduced, s->n_reduced) / TASK_ELEMENTS;
  if (n > MAX_TASKS) n = MAX_TASKS;
  p->n = 1;
  if (n < 2) return run_task(p, 0);
  int64_t kept = axis_tasks(s->kept, s->n_kept, n), cut = axis_tasks(s->reduced, s->n_reduced, n);
  jm_fold fold;
  jm_error *error = jm_fold_init(&fold, p->call, p->call->op->first_region, n_results, p->dtype, 1);
  if (!fold.associative || outputs > TASK_ELEMENTS) cut = 1;
  jm_fold_deinit(&fold);
  if (error) return error;
  if (p->narrow != JM_N_DTYPES && s->n_kept && s->n_reduced) /* each widens what lies together */
    *(s->kept[0].stride > s->reduced[0].stride ? &cut : &kept) = 1;
  if (cut > 2 * kept) return run_cuts(p, arena, (size_t)cut);
  if (kept > 1) p->n = (size_t)kept;
  return jm_tasks_run(p->n, run_task, p);
}

/* In f32, rounded once. */
static jm_error *run_wide(split *p, jm_arena *arena) {
  size_t n = (size_t)p->call->out[0].type->count;
  float start, *sums = jm_alloc_data(n * sizeof *sums);
  char *out = p->out[0];
  if (!sums) return jm_error_out_of_memory();
  p->dtype = JM_DT_f32;
  p->narrow = p->call->in[0].type->dtype;
  jm_error *error = jm_convert_run(p->narrow, p->dtype, p->init[0], &start, 1);
  if (!error) {
    p->init[0] = (const char *)&start;
    p->out[0] = (char *)sums;
    p->bytes = &(size_t){sizeof(float)};
    error = run_tasks(p, arena);
  }
  if (!error) error = jm_convert_run(p->dtype, p->narrow, sums, out, n);
  jm_free(sums);
  return error;
}

static jm_error *reduce(const jm_call *call, jm_arena *arena) {
  const jm_reduce_attrs *attrs = call->op->attrs;
  const jm_type *type = call->in[0].type;
  uint32_t n = call->op->n_results;
  split p = {.call = call, .dtype = JM_N_DTYPES, .narrow = JM_N_DTYPES};
  size_t *bytes = jm_arena_alloc(arena, n, sizeof *bytes);
  p.x = jm_arena_alloc(arena, n, sizeof *p.x);
  p.init = jm_arena_alloc(arena, n, sizeof *p.init);
  p.out = jm_arena_alloc(arena, n, sizeof *p.out);
  if (!bytes || !p.x || !p.init || !p.out) return jm_error_out_of_memory();
  p.bytes = bytes;
  for (uint32_t i = 0; i < n; i++) {
    p.x[i] = call->in[i].data;
    p.init[i] = call->in[n + i].data;
    p.out[i] = call->out[i].data;
    bytes[i] = jm_dtype_bytes(call->out[i].type->dtype);
    if (!type->count) jm_copy_fill(p.out[i], p.init[i], bytes[i], call->out[i].type->count);
  }
  if (!type->count) return NULL;
  shape_init(&p.shape, type, attrs->dims);
  jm_monoid monoid;
  bool is_wide = jm_body_monoid(call->module, call->op->first_region, &monoid) &&
                 monoid.accumulator != monoid.dtype;
  return is_wide ? run_wide(&p, arena) : run_tasks(&p, arena);
}

jm_error *jm_library_reduce(const jm_call *call) {
  if (!call->op->n_results || !call->out[0].type->count) return NULL;
  jm_arena arena;
  jm_arena_init(&arena);
  jm_error *error = reduce(call, &arena);
  jm_arena_deinit(&arena);
  return error;
}
