/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/schedule/fold.h"

#include <string.h>

enum { FEW_LANES = 4 }; /* fewer points are done one by one */

typedef struct fold {
  jm_launcher *l;
  const jm_axes *axes;
  const jm_reduction *const *reductions;
  uint32_t n;
  jm_fold_point *point;
  void *context;
  bool grouped, partial;
  jm_kval x[JM_CLUSTER_RANK * 2];
} fold;

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

/* The elements of a point join the accumulators. */
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

/* Points [lower, upper) of all axes, flattened, by a group; carries: what is neutral, replaced. */
static void run_group(fold *f, jm_kval lower, jm_kval upper, jm_kval *carries, uint32_t n) {
  jm_launcher *l = f->l;
  jm_kval next[JM_FOLD_PARTS];
  jm_kloop loop;
  jm_launcher_lanes(l, lower, upper, f->axes->count, carries, n, &loop);
  jm_axes_split(l->b, f->axes->sizes, f->axes->n, loop.index, f->x);
  step(f, loop.index, loop.carries, next);
  if (n)
    jm_kbuild_loop_end_combine(l->b, &loop, next, combine, f);
  else
    jm_kbuild_loop_end(l->b, &loop, next);
  memcpy(carries, loop.carries, n * sizeof *carries);
}

/* [lower, upper) of the last axis in steps of width, from the accumulators in carries, which it
 * replaces. */
static void run_piece(fold *f, jm_kval lower, jm_kval upper, uint32_t width, jm_kval first,
                      jm_kval *carries, uint32_t n) {
  jm_launcher *l = f->l;
  jm_kval next[JM_FOLD_PARTS];
  jm_kloop loop;
  jm_kbuild_loop_begin(l->b, width > 1 ? JM_BIND_VECTOR : JM_BIND_SERIAL, width, lower, upper,
                       carries, n, &loop);
  f->x[f->axes->n - 1] = loop.index;
  step(f, jm_launcher_add(l, first, loop.index), loop.carries, next);
  if (n && width > 1)
    jm_kbuild_loop_end_combine(l->b, &loop, next, combine, f);
  else
    jm_kbuild_loop_end(l->b, &loop, next);
  memcpy(carries, loop.carries, n * sizeof *carries);
}

/* Where all of a line's size is known: what remains behind the widest lanes is done in those of one
 * register, then in fewer, and the last few points one by one. */
static void run_pieces(fold *f, uint64_t lower, uint64_t upper, uint32_t width, jm_kval first,
                       jm_kval *carries, uint32_t n) {
  jm_kbuilder *b = f->l->b;
  const uint32_t widths[] = {width, f->l->s->target->vector_bytes / 4, FEW_LANES};
  jm_kval start[JM_FOLD_PARTS], part[JM_FOLD_PARTS];
  bool begun = false;
  memcpy(start, carries, n * sizeof *start);
  for (int i = 0; i < 3; i++) {
    uint64_t count = (upper - lower) / widths[i] * widths[i];
    if (!count || (i && widths[i] >= width)) continue;
    memcpy(part, start, n * sizeof *part);
    run_piece(f, jm_kbuild_index(b, (int64_t)lower), jm_kbuild_index(b, (int64_t)(lower + count)),
              widths[i], first, part, n);
    if (begun && n)
      combine(f, b, carries, part, carries);
    else
      memcpy(carries, part, n * sizeof *part);
    begun = true;
    lower += count;
  }
  if (lower < upper)
    run_piece(f, jm_kbuild_index(b, (int64_t)lower), jm_kbuild_index(b, (int64_t)upper), 1, first,
              carries, n);
}

/* Along the last axis, from the accumulators in carries, which it replaces; where there may be
 * lanes, they hold what is neutral. */
static void run_line(fold *f, jm_fold_range range, jm_kval first, jm_kval *carries, uint32_t n) {
  uint32_t width = f->grouped && f->l->threads == 1 ? jm_launcher_width(f->l, range.most) : 1;
  uint64_t lower, upper;
  if (width > FEW_LANES && jm_kbuild_is_const(f->l->b, range.lower, &lower) &&
      jm_kbuild_is_const(f->l->b, range.upper, &upper) && (upper - lower) % width >= FEW_LANES)
    run_pieces(f, lower, upper, width, first, carries, n);
  else
    run_piece(f, range.lower, range.upper, width, first, carries, n);
}

void jm_launcher_fold(jm_launcher *l, const jm_axes *axes, jm_fold_range range,
                      const jm_reduction *const *reductions, uint32_t n, jm_fold_point *point,
                      void *context, jm_element *const *results) {
  fold f = {l, axes, reductions, n, point, context, !range.serial, range.partial, {0}};
  jm_kval start[JM_FOLD_PARTS], carries[JM_FOLD_PARTS];
  uint32_t parts = 0, at = 0;
  for (uint32_t i = 0; i < n; i++) {
    jm_element acc[JM_REDUCTION_RESULTS];
    jm_reduction_start(reductions[i], l->e, acc);
    parts += jm_reduction_pack(reductions[i], acc, start + parts);
    f.grouped &= reductions[i]->grouped;
  }
  memcpy(carries, start, parts * sizeof *carries);
  jm_kval zero = jm_kbuild_index(l->b, 0);
  if (l->threads > 1 && f.grouped) {
    const int64_t line = axes->n == 1 ? 1 : axes->sizes[axes->n - 1];
    run_group(&f, jm_launcher_scale(l, range.lower, line), jm_launcher_scale(l, range.upper, line),
              carries, parts);
  } else if (axes->n == 1) {
    run_line(&f, range, zero, carries, parts);
  } else {
    jm_kloop loop;
    jm_kval sums[JM_FOLD_PARTS];
    int64_t size = axes->sizes[axes->n - 1];
    jm_kbuild_loop_begin(l->b, JM_BIND_SERIAL, 1, range.lower, range.upper, carries, parts, &loop);
    jm_axes_split(l->b, axes->sizes, axes->n - 1, loop.index, f.x);
    /* Lanes start from what is neutral, not from what was summed up so far. */
    memcpy(sums, f.grouped ? start : loop.carries, parts * sizeof *sums);
    run_line(&f,
             (jm_fold_range){zero, jm_kbuild_index(l->b, size), size, range.serial, range.partial},
             jm_launcher_scale(l, loop.index, size), sums, parts);
    if (f.grouped && parts) combine(&f, l->b, loop.carries, sums, sums);
    jm_kbuild_loop_end(l->b, &loop, sums);
    memcpy(carries, loop.carries, parts * sizeof *carries);
  }
  for (uint32_t i = 0; i < n; i++)
    at += jm_reduction_unpack(reductions[i], carries + at, results[i]);
}
