/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/schedule/fold.h"

#include <string.h>

typedef struct fold {
  jm_launch_builder *l;
  const jm_axes *axes;
  const jm_reduction *const *reductions;
  uint32_t n;
  jm_fold_point *point;
  void *context;
  bool grouped, partial;
  int64_t terms; /* of a lane, before they join the sum of others; 0: any number */
  /* Of the line at hand: its first point's number, lanes. */
  jm_kval first;
  uint32_t width;
  jm_kval x[JM_CLUSTER_RANK * 2];
} fold;

int64_t jm_fold_terms(const jm_target *target, const jm_reduction *const *reductions, uint32_t n) {
  bool rounds = false, grouped = true;
  for (uint32_t i = 0; i < n; i++) {
    grouped &= reductions[i]->grouped;
    const jm_dtype dtype = reductions[i]->dtypes[0];
    rounds |= reductions[i]->monoid.code == JM_OP_add &&
              (jm_dtype_is_float(dtype) || jm_dtype_is_complex(dtype));
  }
  return rounds && grouped ? target->row.terms : 0;
}

static bool takes_points(const jm_target *target, bool serial) {
  return target->lanes == JM_BIND_THREADS && !serial;
}

int64_t jm_fold_steps(const jm_target *target, const jm_axes *axes, bool serial) {
  if (axes->n == 1 || takes_points(target, serial)) return axes->count;
  return axes->count / axes->sizes[axes->n - 1];
}

static void combine(void *context, jm_kbuilder *b, const jm_kval *lower, const jm_kval *upper,
                    jm_kval *out) {
  const fold *f = context;
  uint32_t at = 0;
  (void)b;
  for (uint32_t i = 0; i < f->n; i++) {
    jm_element x[JM_REDUCTION_RESULTS], y[JM_REDUCTION_RESULTS];
    jm_reduction_unpack(f->reductions[i], lower + at, x);
    jm_reduction_unpack(f->reductions[i], upper + at, y);
    jm_reduction_step(f->reductions[i], f->l->e, x, y, x);
    at += jm_reduction_pack(f->reductions[i], x, out + at);
  }
}

/* The elements at f->x join the accumulators. */
static void step(fold *f, jm_kval place, const jm_kval *carries, jm_kval *next) {
  jm_element elements[JM_FOLD_PARTS][JM_REDUCTION_RESULTS];
  uint32_t at = 0;
  f->point(f->context, f->l, f->x, place, elements);
  for (uint32_t i = 0; i < f->n; i++) {
    jm_element acc[JM_REDUCTION_RESULTS];
    jm_reduction_unpack(f->reductions[i], carries + at, acc);
    if (!f->partial) jm_reduction_lift(f->reductions[i], f->l->e, elements[i]);
    jm_reduction_step(f->reductions[i], f->l->e, acc, elements[i], acc);
    at += jm_reduction_pack(f->reductions[i], acc, next + at);
  }
}

static void end_loop(fold *f, jm_kloop *loop, uint32_t width, const jm_kval *next, jm_kval *carries,
                     uint32_t n) {
  if (n && width > 1)
    jm_kbuild_loop_end_combine(f->l->b, loop, next, combine, f);
  else
    jm_kbuild_loop_end(f->l->b, loop, next);
  memcpy(carries, loop->carries, n * sizeof *carries);
}

/* From the accumulators in carries, which it replaces. */
typedef void run_fn(fold *f, jm_fold_range range, jm_kval *carries, uint32_t n);

/* A sum of many terms loses digits with each: it is of few, and such sums are added up. size: steps
 * of one; 0: any number. Where that matters, carries hold what is neutral. */
static void run_blocks(fold *f, jm_fold_range range, int64_t size, run_fn *run, jm_kval *carries,
                       uint32_t n) {
  jm_launch_builder *l = f->l;
  if (!size || range.most < 2 * size) {
    run(f, range, carries, n);
    return;
  }
  jm_kval start[JM_FOLD_PARTS], sums[JM_FOLD_PARTS];
  jm_kloop loop;
  jm_fold_range block = range;
  memcpy(start, carries, n * sizeof *start);
  const jm_kval steps = jm_k_isub(l->b, range.upper, range.lower);
  const jm_kval blocks = jm_k_udiv(l->b, steps, jm_kbuild_index(l->b, size));
  jm_kbuild_loop_begin(l->b, JM_BIND_SERIAL, 1, jm_kbuild_index(l->b, 0), blocks, start, n, &loop);
  block.lower = jm_launch_add(l, range.lower, jm_launch_scale(l, loop.index, size));
  block.upper = jm_launch_add(l, block.lower, jm_kbuild_index(l->b, size));
  block.most = size;
  memcpy(sums, start, n * sizeof *sums);
  run(f, block, sums, n);
  combine(f, l->b, loop.carries, sums, sums);
  jm_kbuild_loop_end(l->b, &loop, sums);
  memcpy(carries, loop.carries, n * sizeof *carries);
  uint64_t all;
  if (jm_kbuild_is_const(l->b, steps, &all) && all % (uint64_t)size == 0) return;
  block.lower = jm_launch_add(l, range.lower, jm_launch_scale(l, blocks, size));
  block.upper = range.upper;
  memcpy(sums, start, n * sizeof *sums);
  run(f, block, sums, n);
  combine(f, l->b, carries, sums, carries);
}

/* [lower, upper) of the last axis in lanes. */
static void run_terms(fold *f, jm_fold_range range, jm_kval *carries, uint32_t n) {
  const uint32_t width = f->width;
  jm_kval next[JM_FOLD_PARTS];
  jm_kloop loop;
  jm_launch_loop(f->l, width, range.lower, range.upper, carries, n, &loop);
  f->x[f->axes->n - 1] = loop.index;
  step(f, jm_launch_add(f->l, f->first, loop.index), loop.carries, next);
  end_loop(f, &loop, width, next, carries, n);
}

static void run_piece(fold *f, jm_fold_range range, uint32_t width, jm_kval *carries, uint32_t n) {
  f->width = width;
  run_blocks(f, range, f->terms * width, run_terms, carries, n);
}

/* Points [lower, upper) of all axes. */
static void run_points(fold *f, jm_fold_range range, jm_kval *carries, uint32_t n) {
  const uint32_t width = f->grouped ? jm_launch_width(f->l, range.most) : 1;
  jm_kval next[JM_FOLD_PARTS];
  jm_kloop loop;
  jm_launch_loop(f->l, width, range.lower, range.upper, carries, n, &loop);
  jm_axes_split(f->l->b, f->axes->sizes, f->axes->n, loop.index, f->x);
  step(f, loop.index, loop.carries, next);
  end_loop(f, &loop, width, next, carries, n);
}

/* Where all of a line's size is known: what remains behind the widest lanes is done in those of one
 * register, then in half as many again and again, and the last few points one by one. */
static void run_pieces(fold *f, uint64_t lower, uint64_t upper, uint32_t width, jm_kval *carries,
                       uint32_t n) {
  jm_kbuilder *b = f->l->b;
  const jm_target *target = f->l->s->target;
  const uint32_t one = target->vector_bytes / 4;
  jm_kval start[JM_FOLD_PARTS], part[JM_FOLD_PARTS];
  bool begun = false;
  memcpy(start, carries, n * sizeof *start);
  for (uint32_t w = width; w >= target->vector.least_lanes; w = w > one ? one : w / 2) {
    const uint64_t count = (upper - lower) / w * w;
    if (!count) continue;
    memcpy(part, start, n * sizeof *part);
    const jm_fold_range piece = {.lower = jm_kbuild_index(b, (int64_t)lower),
                                 .upper = jm_kbuild_index(b, (int64_t)(lower + count)),
                                 .most = (int64_t)count};
    run_piece(f, piece, w, part, n);
    if (begun && n)
      combine(f, b, carries, part, carries);
    else
      memcpy(carries, part, n * sizeof *part);
    begun = true;
    lower += count;
  }
  if (lower == upper) return;
  const jm_fold_range last = {.lower = jm_kbuild_index(b, (int64_t)lower),
                              .upper = jm_kbuild_index(b, (int64_t)upper)};
  f->width = 1;
  run_terms(f, last, carries, n);
}

/* Along the last axis, whose first point is this one; where there may be lanes, carries hold what
 * is neutral. */
static void run_line(fold *f, jm_fold_range range, jm_kval first, jm_kval *carries, uint32_t n) {
  const uint32_t width = f->grouped ? jm_launch_width(f->l, range.most) : 1;
  const uint32_t few = f->l->s->target->vector.least_lanes;
  uint64_t lower, upper;
  f->first = first;
  if (f->grouped && width > few && jm_kbuild_is_const(f->l->b, range.lower, &lower) &&
      jm_kbuild_is_const(f->l->b, range.upper, &upper) && (upper - lower) % width >= few)
    run_pieces(f, lower, upper, width, carries, n);
  else
    run_piece(f, range, width, carries, n);
}

/* Lines [lower, upper) of the last axis, one after the other. */
static void run_lines(fold *f, jm_fold_range range, jm_kval *carries, uint32_t n) {
  jm_launch_builder *l = f->l;
  const int64_t size = f->axes->sizes[f->axes->n - 1];
  jm_kval start[JM_FOLD_PARTS], sums[JM_FOLD_PARTS];
  jm_kloop loop;
  memcpy(start, carries, n * sizeof *start);
  jm_kbuild_loop_begin(l->b, JM_BIND_SERIAL, 1, range.lower, range.upper, carries, n, &loop);
  jm_axes_split(l->b, f->axes->sizes, f->axes->n - 1, loop.index, f->x);
  /* Lanes start from neutral values, not from the partial result so far. */
  memcpy(sums, f->grouped ? start : loop.carries, n * sizeof *sums);
  range.lower = jm_kbuild_index(l->b, 0);
  range.upper = jm_kbuild_index(l->b, size);
  range.most = size;
  run_line(f, range, jm_launch_scale(l, loop.index, size), sums, n);
  if (f->grouped && n) combine(f, l->b, loop.carries, sums, sums);
  jm_kbuild_loop_end(l->b, &loop, sums);
  memcpy(carries, loop.carries, n * sizeof *carries);
}

void jm_launch_fold(jm_launch_builder *l, const jm_axes *axes, jm_fold_range range,
                    const jm_reduction *const *reductions, uint32_t n, jm_fold_point *point,
                    void *context, jm_element *const *results) {
  fold f = {.l = l,
            .axes = axes,
            .reductions = reductions,
            .n = n,
            .point = point,
            .context = context,
            .grouped = !range.serial,
            .partial = range.partial,
            .terms = jm_fold_terms(l->s->target, reductions, n)};
  jm_kval carries[JM_FOLD_PARTS];
  uint32_t parts = 0, at = 0;
  for (uint32_t i = 0; i < n; i++) {
    jm_element acc[JM_REDUCTION_RESULTS];
    jm_reduction_start(reductions[i], l->e, acc);
    parts += jm_reduction_pack(reductions[i], acc, carries + parts);
    f.grouped &= reductions[i]->grouped;
  }
  if (takes_points(l->s->target, range.serial))
    run_points(&f, range, carries, parts);
  else if (axes->n == 1)
    run_line(&f, range, jm_kbuild_index(l->b, 0), carries, parts);
  else
    run_blocks(&f, range, f.terms, run_lines, carries, parts);
  for (uint32_t i = 0; i < n; i++)
    at += jm_reduction_unpack(reductions[i], carries + at, results[i]);
}
