/* SPDX-License-Identifier: Apache-2.0
 * Loops over all points of some axes: in vectors along one axis, which is split into blocks if it
 * is long and of which several lines form one chunk if it is short; or over the points of all axes,
 * by groups of threads. */
#include "kernel/schedule/cuts.h"
#include "kernel/schedule/launch.h"

typedef struct nest {
  const jm_axes *axes;
  const jm_cuts *cuts; /* per axis, or NULL */
  jm_launch_body *body;
  void *context;
  uint32_t
      lanes;     /* the axis along which vectors run: the last one, or the one before a short one */
  int64_t inner; /* points inside of one position of it */
  jm_kval x[JM_CLUSTER_RANK * 2];
} nest;

/* Piece i of [lower, upper) between the cuts of an axis; returns the number of pieces. */
static uint32_t pieces(const nest *n, uint32_t axis) { return n->cuts ? n->cuts[axis].n - 1 : 1; }

static void piece(jm_launch_builder *l, const nest *n, uint32_t axis, uint32_t i, jm_kval *lower,
                  jm_kval *upper) {
  if (!i || !n->cuts) {
    if (pieces(n, axis) == 1) return;
  } else {
    *lower = jm_k_smax(l->b, *lower, jm_kbuild_index(l->b, n->cuts[axis].at[i]));
  }
  *upper = jm_k_smin(l->b, *upper, jm_kbuild_index(l->b, n->cuts[axis].at[i + 1]));
}

/* [lower, upper) of the lanes' axis, at positions x on those outside; first: its point at 0. */
static void run_piece(jm_launch_builder *l, nest *n, jm_kval first, jm_kval lower, jm_kval upper,
                      int64_t most) {
  jm_kloop loop, inside;
  jm_kval zero = jm_kbuild_index(l->b, 0), inner = jm_kbuild_index(l->b, n->inner), at = zero;
  jm_launch_lanes(l, lower, upper, most, NULL, 0, &loop);
  n->x[n->lanes] = loop.index;
  bool nested = n->lanes + 1 < n->axes->n;
  if (nested) {
    jm_kbuild_loop_begin(l->b, JM_BIND_SERIAL, 1, zero, inner, NULL, 0, &inside);
    n->x[n->lanes + 1] = at = inside.index;
  }
  jm_kval point = jm_launch_add(l, jm_launch_scale(l, loop.index, n->inner), at);
  n->body(n->context, l, n->x, jm_launch_add(l, first, point));
  if (nested) jm_kbuild_loop_end(l->b, &inside, NULL);
  jm_kbuild_loop_end(l->b, &loop, NULL);
}

static void run_line(jm_launch_builder *l, nest *n, jm_kval first, jm_kval lower, jm_kval upper) {
  for (uint32_t i = 0; i < pieces(n, n->lanes); i++) {
    int64_t most = n->axes->sizes[n->lanes];
    if (n->cuts) most = n->cuts[n->lanes].at[i + 1] - n->cuts[n->lanes].at[i];
    jm_kval from = lower, to = upper;
    piece(l, n, n->lanes, i, &from, &to);
    run_piece(l, n, first, from, to, most);
  }
}

/* Points of a chunk of a map: fewer if they are expensive, and whole vectors. */
static int64_t chunk_points(const jm_launch_builder *l) {
  const jm_target *t = l->s->target;
  int64_t points = t->chunk.points;
  while (points > t->chunk.least &&
         jm_launch_estimate_ns(l, (double)points) > t->chunk.expensive_ns)
    points /= 2;
  return points;
}

static bool is_few(const jm_launch_builder *l, int64_t points) {
  const jm_target *t = l->s->target;
  return points <= t->chunk.few &&
         jm_launch_estimate_ns(l, (double)points) < 2 * t->chunk.expensive_ns;
}

static int64_t at_least_one(int64_t n) { return n ? n : 1; }

/* Long lines are split into blocks. */
static void map_blocks(jm_launch_builder *l, nest *n) {
  int64_t size = n->axes->sizes[n->lanes], line = size * n->inner, rows = n->axes->count / line;
  int64_t step = is_few(l, line) ? size : at_least_one(chunk_points(l) / n->inner);
  int64_t blocks = (size + step - 1) / step;
  jm_launch_chunks chunks;
  jm_kval lower, upper;
  jm_kval chunk = jm_launch_chunk(l, rows * blocks, (double)(step * n->inner), &chunks);
  jm_kval count = jm_kbuild_index(l->b, blocks);
  jm_kval row = jm_k_udiv(l->b, chunk, count);
  jm_launch_block(l, jm_k_urem(l->b, chunk, count), step, size, &lower, &upper);
  if (n->lanes) jm_axes_split(l->b, n->axes->sizes, n->lanes, row, n->x);
  run_line(l, n, jm_launch_scale(l, row, line), lower, upper);
  jm_launch_chunk_end(l, &chunks);
}

/* A chunk has several short lines. */
static void map_rows(jm_launch_builder *l, nest *n) {
  int64_t size = n->axes->sizes[n->lanes], line = size * n->inner, rows = n->axes->count / line;
  int64_t step = is_few(l, n->axes->count) ? rows : at_least_one(chunk_points(l) / line);
  jm_launch_chunks chunks;
  jm_kloop loop;
  jm_kval lower, upper;
  jm_kval chunk = jm_launch_chunk(l, (rows + step - 1) / step, (double)(step * line), &chunks);
  jm_launch_block(l, chunk, step, rows, &lower, &upper);
  for (uint32_t i = 0; i < (n->lanes == 1 ? pieces(n, 0) : 1); i++) {
    jm_kval from = lower, to = upper;
    if (n->lanes == 1) piece(l, n, 0, i, &from, &to);
    jm_kbuild_loop_begin(l->b, JM_BIND_SERIAL, 1, from, to, NULL, 0, &loop);
    jm_axes_split(l->b, n->axes->sizes, n->lanes, loop.index, n->x);
    run_line(l, n, jm_launch_scale(l, loop.index, line), jm_kbuild_index(l->b, 0),
             jm_kbuild_index(l->b, size));
    jm_kbuild_loop_end(l->b, &loop, NULL);
  }
  jm_launch_chunk_end(l, &chunks);
}

/* A lane for each of the chunk's points: neighbouring lanes access neighbouring elements, and no
 * lane is idle whatever the sizes of the axes. Lanes run along a long axis, so that positions on
 * the others are computed once, else over all points. A lane gets fewer points if there would be
 * few groups. */
static void map_threads(jm_launch_builder *l, nest *n) {
  const jm_target *t = l->s->target;
  const jm_axes *axes = n->axes;
  const uint32_t last = axes->n - 1;
  const int64_t line = axes->sizes[last] < t->map.long_axis ? axes->count : axes->sizes[last];
  int64_t step = l->whole ? axes->count : t->chunk.points;
  while (!l->whole && step > t->chunk.least && axes->count < step * t->chunk.enough) step /= 2;
  const int64_t blocks = (line + step - 1) / step;
  if (l->threads == 1) jm_launch_threads(l, line, 1);
  jm_launch_chunks chunks;
  jm_kloop loop;
  jm_kval lower, upper;
  jm_kval chunk = jm_launch_chunk(l, axes->count / line * blocks, (double)step, &chunks);
  jm_kval row = jm_k_udiv(l->b, chunk, jm_kbuild_index(l->b, blocks));
  chunk = jm_k_urem(l->b, chunk, jm_kbuild_index(l->b, blocks));
  jm_launch_block(l, chunk, step < line ? step : line, line, &lower, &upper);
  jm_launch_lanes(l, lower, upper, step, NULL, 0, &loop);
  if (line == axes->count)
    jm_axes_split(l->b, axes->sizes, axes->n, loop.index, n->x);
  else
    jm_axes_split(l->b, axes->sizes, last, row, n->x), n->x[last] = loop.index;
  n->body(n->context, l, n->x, jm_launch_add(l, jm_launch_scale(l, row, line), loop.index));
  jm_kbuild_loop_end(l->b, &loop, NULL);
  jm_launch_chunk_end(l, &chunks);
}

void jm_launch_map(jm_launch_builder *l, const jm_axes *axes, const jm_cuts *cuts,
                   jm_launch_body *body, void *context) {
  nest n = {.axes = axes,
            .cuts = cuts,
            .body = body,
            .context = context,
            .lanes = axes->n - 1,
            .inner = 1};
  if (!axes->count) return;
  if (l->s->target->lanes == JM_BIND_THREADS) {
    map_threads(l, &n);
    return;
  }
  int64_t last = axes->sizes[axes->n - 1];
  if (axes->n > 1 && last < l->s->target->map.short_axis && axes->sizes[axes->n - 2] > last)
    n.lanes--, n.inner = last;
  if (!n.lanes || axes->sizes[n.lanes] * n.inner >= l->s->target->chunk.points)
    map_blocks(l, &n);
  else
    map_rows(l, &n);
}
