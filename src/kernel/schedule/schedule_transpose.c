/* SPDX-License-Identifier: Apache-2.0
 * Maps that read transposed operands: the innermost dimension of a transpose's operand is another
 * axis than the innermost one of the results. They run in tiles of both axes: the transposes'
 * results are computed along the operand's axis into scratch memory, then everything else along the
 * results' axis, so that memory is read and written in whole cache lines. */
#include "kernel/schedule/launch.h"

enum { MOST_STAGED = 4 }; /* transposes of one group that are kept in tiles */

typedef struct staged_transpose {
  jm_value v;
  uint32_t param;
  struct tiling *tiling;
} staged_transpose;

typedef struct tiling {
  jm_scheduler *s;
  jm_axes axes;
  uint32_t across; /* the axis that is innermost for the operands */
  staged_transpose staged[MOST_STAGED];
  uint32_t n;
  uint32_t *params; /* per root */
  int64_t tile, pitch;
  jm_kval x[JM_CLUSTER_RANK * 2];
  jm_kval p, q; /* in the tile: along the last axis, along the one across */
} tiling;

static const jm_type *type_of(const tiling *t, jm_value v) { return jm_module_typeof(t->s->m, v); }

/* The axis that contains a dimension of a value that has an element for each point. */
static uint32_t axis_of(const jm_axes *axes, const jm_type *type, uint32_t d) {
  int64_t inside = 1, product = 1;
  for (uint32_t i = d + 1; i < type->rank; i++) inside *= type->dims[i];
  uint32_t a = axes->n;
  while (a && product <= inside) product *= axes->sizes[--a];
  return a;
}

/* The axis along which a transpose reads memory in order. */
static uint32_t find_across(const tiling *t, const jm_op *op) {
  const jm_transpose_attrs *attrs = op->attrs;
  const jm_type *from = jm_op_operand_type(t->s->m, op, 0), *to = jm_op_result_type(t->s->m, op, 0);
  uint32_t last = from->rank;
  while (last && from->dims[last - 1] == 1) last--;
  for (uint32_t d = 0; d < to->rank; d++)
    if (last && attrs->permutation.data[d] == last - 1) return axis_of(&t->axes, to, d);
  return t->axes.n - 1;
}

/* Transposes of which every use is at the loops' own index, and whose operands are contiguous along
 * another axis. */
static bool find_staged(tiling *t) {
  const jm_scheduler *s = t->s;
  uint8_t *moved = jm_arena_alloc(&t->s->scratch, s->m->n_values, 1);
  const jm_op *found[MOST_STAGED];
  uint32_t n = 0;
  if (!moved) return false;
  for (uint32_t i = s->region->n_ops; i--;) {
    const jm_op *op = jm_module_op(s->m, s->region->ops[i]);
    bool is_moved = !jm_cluster_is_pointwise(s->m, op);
    for (uint32_t k = 0; k < op->n_results; k++) is_moved |= moved[op->first_result + k];
    for (uint32_t k = 0; k < op->n_operands; k++) moved[op->operands[k]] |= is_moved;
    if (op->code != JM_OP_transpose || moved[op->first_result]) continue;
    jm_value v = op->first_result;
    jm_axes joined = t->axes; /* it is read at an index of its own shape */
    if (type_of(t, v)->count != t->axes.count || n == MOST_STAGED) continue;
    if (!jm_axes_add_value(&joined, type_of(t, v), s->breaks[v])) continue;
    t->axes = joined;
    found[n++] = op;
  }
  jm_axes_finish(&t->axes);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t across = find_across(t, found[i]);
    if (across == t->axes.n - 1 || (t->n && across != t->across)) continue;
    t->across = across;
    t->staged[t->n++] = (staged_transpose){found[i]->first_result, 0, t};
  }
  const int64_t least = s->target->tile.least;
  return t->n && t->axes.sizes[t->across] >= least && t->axes.sizes[t->axes.n - 1] >= least;
}

/* Lanes that are a vector read lines: the tile changes places with its transpose before they do.
 * Those of a group read columns, and so do those of pairs of parts, and of tiles that are smaller
 * than the squares of vectors which change places. */
static bool is_turned(const staged_transpose *c) {
  const tiling *t = c->tiling;
  const jm_dtype dtype = type_of(t, c->v)->dtype;
  const int64_t side = (int64_t)(t->s->target->vector_bytes / jm_dtype_bytes(dtype));
  return t->s->target->lanes == JM_BIND_VECTOR && !jm_dtype_is_complex(dtype) &&
         t->axes.sizes[t->across] >= side && t->axes.sizes[t->axes.n - 1] >= side;
}

static jm_element load_staged(void *context, jm_emit *e, const jm_kval *index) {
  const staged_transpose *c = context;
  const tiling *t = c->tiling;
  jm_kbuilder *b = jm_emit_builder(e);
  (void)index; /* the loops' own */
  const bool turned = is_turned(c);
  jm_kval line = turned ? t->q : t->p, place = turned ? t->p : t->q;
  jm_kval at = jm_kbuild2(b, JM_K_imul, line, jm_kbuild_index(b, t->pitch));
  at = jm_kbuild2(b, JM_K_iadd, at, place);
  return jm_emit_load(e, type_of(t, c->v)->dtype, c->param, at);
}

static jm_element pull(tiling *t, jm_launch_builder *l, jm_value v) {
  jm_kval index[JM_CLUSTER_RANK];
  jm_axes_index(l->b, t->axes.sizes, t->x, t->axes.n, type_of(t, v), index);
  return jm_emit_value(l->e, v, index);
}

/* The work at the point (p, q) of a tile: storing its element in scratch memory, or storing all
 * roots. */
static void visit(tiling *t, jm_launch_builder *l, bool fill, const jm_kval *first, jm_kval point) {
  const uint32_t last = t->axes.n - 1;
  t->x[last] = jm_launch_add(l, first[0], t->p);
  t->x[t->across] = jm_launch_add(l, first[1], t->q);
  if (fill) {
    for (uint32_t i = 0; i < t->n; i++) {
      jm_kval at = jm_launch_add(l, jm_launch_scale(l, t->p, t->pitch), t->q);
      jm_emit_store(l->e, type_of(t, t->staged[i].v)->dtype, t->staged[i].param, at,
                    pull(t, l, t->staged[i].v));
    }
    return;
  }
  int64_t stride = 1;
  for (uint32_t a = t->across + 1; a < t->axes.n; a++) stride *= t->axes.sizes[a];
  jm_kval at = jm_launch_add(l, point, jm_launch_scale(l, t->x[t->across], stride));
  at = jm_launch_add(l, at, t->x[last]);
  for (uint32_t i = 0; i < t->s->region->n_results; i++) {
    jm_value v = t->s->region->results[i];
    jm_emit_store(l->e, type_of(t, v)->dtype, t->params[i], at, pull(t, l, v));
  }
}

/* A tile's points in vectors: the outer loop is serial; each runs over [0, count). */
static void each_in_vectors(tiling *t, jm_launch_builder *l, bool fill, const jm_kval *first,
                            const jm_kval *count, jm_kval point) {
  jm_kloop outer, inner;
  jm_kval zero = jm_kbuild_index(l->b, 0);
  jm_kbuild_loop_begin(l->b, JM_BIND_SERIAL, 1, zero, count[fill ? 0 : 1], NULL, 0, &outer);
  jm_launch_lanes(l, zero, count[fill ? 1 : 0], t->tile, NULL, 0, &inner);
  t->p = fill ? outer.index : inner.index;
  t->q = fill ? inner.index : outer.index;
  visit(t, l, fill, first, point);
  jm_kbuild_loop_end(l->b, &inner, NULL);
  jm_kbuild_loop_end(l->b, &outer, NULL);
}

/* By a group: lanes are arranged in lines of the tile's edge, and each takes every n-th line. A
 * lane beyond a partial tile at the end of an axis has no lines. */
static void each_by_threads(tiling *t, jm_launch_builder *l, bool fill, const jm_kval *first,
                            const jm_kval *count, jm_kval point) {
  jm_kbuilder *b = l->b;
  const int64_t lines = l->threads / t->tile;
  const jm_kval zero = jm_kbuild_index(b, 0), one = jm_kbuild_index(b, 1);
  jm_kval inner = count[fill ? 1 : 0], outer = count[fill ? 0 : 1];
  jm_kloop lanes, loop;
  jm_launch_lanes(l, zero, jm_kbuild_index(b, lines * t->tile), l->threads, NULL, 0, &lanes);
  jm_kval at = jm_k_urem(b, lanes.index, jm_kbuild_index(b, t->tile));
  jm_kval line = jm_k_udiv(b, lanes.index, jm_kbuild_index(b, t->tile));
  jm_kval steps = jm_k_isub(b, jm_launch_add(l, outer, jm_kbuild_index(b, lines - 1)), line);
  steps = jm_k_udiv(b, steps, jm_kbuild_index(b, lines));
  steps = jm_k_select(b, jm_k_slt(b, at, inner), steps, zero);
  /* Loads that depend on these alone may run even without steps: they must be in bounds. */
  at = jm_k_smin(b, at, jm_k_isub(b, inner, one));
  line = jm_k_smin(b, line, jm_k_isub(b, outer, one));
  jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 1, zero, steps, NULL, 0, &loop);
  line = jm_launch_add(l, line, jm_launch_scale(l, loop.index, lines));
  t->p = fill ? line : at;
  t->q = fill ? at : line;
  visit(t, l, fill, first, point);
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kbuild_loop_end(b, &lanes, NULL);
}

static void each(tiling *t, jm_launch_builder *l, bool fill, const jm_kval *first,
                 const jm_kval *count, jm_kval point) {
  const bool threads = t->s->target->lanes == JM_BIND_THREADS;
  (threads ? each_by_threads : each_in_vectors)(t, l, fill, first, count, point);
}

/* Positions of a chunk on the axes that are not tiled; the number of its first point there. */
static jm_kval place_chunk(tiling *t, jm_launch_builder *l, jm_kval i) {
  int64_t sizes[JM_CLUSTER_RANK * 2], strides[JM_CLUSTER_RANK * 2], stride = 1;
  jm_kval x[JM_CLUSTER_RANK * 2], point = jm_kbuild_index(l->b, 0);
  uint32_t axes[JM_CLUSTER_RANK * 2], n = 0;
  for (uint32_t a = t->axes.n; a--;) {
    strides[a] = stride;
    stride *= t->axes.sizes[a];
  }
  for (uint32_t a = 0; a + 1 < t->axes.n; a++) {
    if (a == t->across) continue;
    axes[n] = a;
    sizes[n++] = t->axes.sizes[a];
  }
  if (n) jm_axes_split(l->b, sizes, n, i, x);
  for (uint32_t k = 0; k < n; k++) {
    t->x[axes[k]] = x[k];
    point = jm_launch_add(l, point, jm_launch_scale(l, x[k], strides[axes[k]]));
  }
  return point;
}

static void build_tiles(tiling *t, jm_launch_builder *l) {
  int64_t last = t->axes.sizes[t->axes.n - 1], across = t->axes.sizes[t->across];
  int64_t tiles[2] = {(last + t->tile - 1) / t->tile, (across + t->tile - 1) / t->tile};
  jm_launch_chunks chunks;
  jm_kval chunk = jm_launch_chunk(l, t->axes.count / (last * across) * tiles[0] * tiles[1],
                                  (double)(t->tile * t->tile), &chunks);
  jm_kval n[2] = {jm_kbuild_index(l->b, tiles[0]), jm_kbuild_index(l->b, tiles[1])};
  jm_kval first[2], count[2], end;
  jm_launch_block(l, jm_kbuild2(l->b, JM_K_urem, chunk, n[0]), t->tile, last, &first[0], &end);
  count[0] = jm_kbuild2(l->b, JM_K_isub, end, first[0]);
  jm_kval rest = jm_kbuild2(l->b, JM_K_udiv, chunk, n[0]);
  jm_launch_block(l, jm_kbuild2(l->b, JM_K_urem, rest, n[1]), t->tile, across, &first[1], &end);
  count[1] = jm_kbuild2(l->b, JM_K_isub, end, first[1]);
  jm_kval point = place_chunk(t, l, jm_kbuild2(l->b, JM_K_udiv, rest, n[1]));
  each(t, l, true, first, count, point);
  for (uint32_t i = 0; i < t->n; i++)
    jm_emit_leaf(l->e, t->staged[i].v, load_staged, &t->staged[i]);
  for (uint32_t i = 0; i < t->n; i++)
    if (is_turned(&t->staged[i]))
      jm_kbuild_transpose(l->b, t->staged[i].param, t->pitch, count[0], count[1]);
  each(t, l, false, first, count, point);
  jm_launch_chunk_end(l, &chunks);
}

jm_error *jm_schedule_transpose(jm_scheduler *s, bool *fits) {
  if (s->cluster.kind != JM_CLUSTER_MAP) return NULL;
  tiling t = {.s = s, .tile = s->target->tile.edge};
  bool wide = false;
  jm_axes_init(&t.axes, s->cluster.space.outer);
  for (uint32_t i = 0; i < s->region->n_results; i++) {
    jm_value v = s->region->results[i];
    if (!jm_axes_add_value(&t.axes, type_of(&t, v), s->breaks[v])) return NULL;
  }
  if (t.axes.count < s->target->tile.few || !find_staged(&t)) return NULL;
  *fits = true;
  for (uint32_t i = 0; i < t.n; i++) wide |= jm_dtype_bytes(type_of(&t, t.staged[i].v)->dtype) > 4;
  if (wide) t.tile /= 2;
  t.pitch = t.tile + s->target->tile.padding;
  t.params = jm_arena_alloc(&s->scratch, s->region->n_results + 1, sizeof *t.params);
  if (!t.params) return jm_error_out_of_memory();
  jm_launch_builder l;
  JM_TRY(jm_launch_begin(s, &l));
  jm_launch_pull(&l, s->region->results, s->region->n_results);
  for (uint32_t i = 0; i < s->region->n_results; i++) t.params[i] = jm_launch_result(&l, i);
  for (uint32_t i = 0; i < t.n; i++)
    t.staged[i].param = jm_launch_scratch(&l, type_of(&t, t.staged[i].v)->dtype, t.tile * t.pitch);
  jm_launch_threads(&l, s->target->threads, 1);
  build_tiles(&t, &l);
  return jm_launch_end(&l);
}
