/* SPDX-License-Identifier: Apache-2.0
 * Rows: everything that is computed from one row (softmax, norms and their gradients, reductions
 * along the last dimensions) in a few passes over it while it is in the cache. Each pass computes
 * the reductions whose inputs are ready; the results of the previous pass are in registers.
 * Expensive values that a later pass uses are kept in scratch memory, if the row fits, and on a GPU
 * whatever would be loaded again; cheap ones, and those of long rows, are recomputed. */
#include <string.h>

#include "kernel/schedule/fold.h"

enum {
  LAST = JM_CLUSTER_LEVELS + 1, /* passes, at most */
  BATCH = JM_FOLD_PARTS,
};

typedef struct saved {
  jm_value v;
  uint32_t pass, param;
  struct rows *rows;
} saved;

typedef struct rows {
  jm_scheduler *s;
  jm_launch_builder l;
  jm_axes outer, inner; /* outer: of the rows; inner: within a row */
  uint32_t n_passes;
  jm_reduction *reductions; /* of all anchors */
  uint32_t *pass_of;        /* per reduction */
  uint32_t n_reductions;
  uint32_t *store_pass; /* per root: of a FULL one, LAST: KEPT */
  uint32_t *params;     /* per root */
  saved *saved;         /* what is kept in scratch */
  uint32_t n_saved;
  double *weight;   /* per value: operations from memory to it, loads included */
  uint16_t *wanted; /* per value: passes that compute it */
  bool *strays;     /* per value: a row may need elements of another row of it */
  bool in_lanes;    /* a lane is a row, not a point of one */
  uint32_t (*ends)[JM_REDUCTION_RESULTS]; /* scratch of the reductions' results: the rows' ends are
                                             computed in lanes, after the rows; NULL: in each row */
  jm_kval row, lane;              /* the row; its number among those that share scratch memory */
  jm_kval x[JM_CLUSTER_RANK * 4]; /* positions on the outer axes, then on the inner ones */
} rows;

static const jm_type *type_of(const rows *r, jm_value v) { return jm_module_typeof(r->s->m, v); }
static int64_t length(const rows *r) { return r->s->cluster.space.reduced; }
static bool takes_threads(const rows *r) { return r->s->target->lanes == JM_BIND_THREADS; }

/* -- the plan of the passes */

static bool find_axes(rows *r) {
  jm_scheduler *s = r->s;
  jm_space space = s->cluster.space;
  jm_axes all, kept;
  jm_axes_init(&all, jm_space_points(space));
  jm_axes_init(&kept, space.outer);
  bool fits = jm_axes_add(&all, space.reduced);
  for (uint32_t i = 0; i < r->n_reductions && fits; i++)
    for (uint32_t k = 0; k < r->reductions[i].n && fits; k++) {
      jm_value v = r->reductions[i].op->operands[k];
      fits = jm_axes_add_value(&all, type_of(r, v), s->breaks[v]);
    }
  for (uint32_t i = 0; i < s->region->n_results && fits; i++) {
    jm_value v = s->region->results[i];
    fits = jm_axes_add_value(r->store_pass[i] == LAST ? &kept : &all, type_of(r, v), s->breaks[v]);
  }
  for (uint32_t i = 0; i < kept.n_boundaries && fits; i++)
    fits = jm_axes_add(&all, kept.boundaries[i] * space.reduced);
  jm_axes_init(&r->outer, space.outer);
  jm_axes_init(&r->inner, space.reduced);
  for (uint32_t i = 0; i < all.n_boundaries && fits; i++)
    fits = all.boundaries[i] < space.reduced
               ? jm_axes_add(&r->inner, all.boundaries[i])
               : jm_axes_add(&r->outer, all.boundaries[i] / space.reduced);
  jm_axes_finish(&r->outer);
  jm_axes_finish(&r->inner);
  return fits;
}

static void weigh(rows *r) {
  const jm_scheduler *s = r->s;
  const double load = s->target->row.load_flops;
  for (uint32_t i = 0; i < s->region->n_args; i++) r->weight[s->region->first_arg + i] = load;
  for (uint32_t i = 0; i < s->region->n_ops; i++) {
    const jm_op *op = jm_module_op(s->m, s->region->ops[i]);
    double sum = jm_emit_estimate(s->m, op).flops;
    for (uint32_t k = 0; k < op->n_operands; k++) {
      jm_value v = op->operands[k];
      if (s->cluster.relation[v] != JM_REL_KEPT && type_of(r, v)->count > 1) sum += r->weight[v];
    }
    for (uint32_t k = 0; k < op->n_results; k++) r->weight[op->first_result + k] = sum;
  }
}

/* Scratch memory has one row of a value. Values that depend on reductions are read in their own row
 * alone (cluster.c); others may be read anywhere:
 *
 *   %m = reduce %x   %y = reverse %x, dims=[0]   %z = add %y, broadcast(%m) */
static void find_strays(rows *r) {
  const jm_scheduler *s = r->s;
  for (uint32_t i = s->region->n_ops; i--;) {
    const jm_op *op = jm_module_op(s->m, s->region->ops[i]);
    const bool pointwise = jm_cluster_is_pointwise(s->m, op);
    jm_space space;
    const bool anchor = jm_cluster_find_anchor(s->target, s->m, op, &space);
    for (uint32_t k = 0; k < op->n_operands; k++) {
      jm_value v = op->operands[k];
      if (s->cluster.relation[v] != JM_REL_FREE) continue;
      if (pointwise && type_of(r, v)->count == type_of(r, op->first_result)->count)
        r->strays[v] |= r->strays[op->first_result];
      else
        r->strays[v] |= !anchor || type_of(r, v)->count != jm_space_points(s->cluster.space);
    }
  }
}

/* Could v, which is read at the loops' own index, be kept in scratch memory? */
static bool may_save(const rows *r, jm_value v) {
  const jm_type *type = type_of(r, v);
  int64_t product = 1;
  uint32_t d = type->rank;
  while (d && product < length(r)) product *= type->dims[--d];
  return r->s->cluster.relation[v] != JM_REL_KEPT && product == length(r) &&
         type->count == jm_space_points(r->s->cluster.space) && !r->strays[v] &&
         r->weight[v] >= r->s->target->row.keep_flops;
}

/* Walks the operands of a value that a pass computes; saves those that an earlier pass computed,
 * too. own: read at the loops' own index. */
static void want(rows *r, jm_value v, uint32_t pass, bool own) {
  const jm_op *op = jm_module_definition(r->s->m, v);
  if (r->s->cluster.relation[v] == JM_REL_KEPT) return;
  for (uint32_t i = 0; i < r->n_saved; i++)
    if (r->saved[i].v == v) return;
  uint16_t before = r->wanted[v] & (uint16_t)((1u << pass) - 1);
  if (own && before && may_save(r, v)) {
    uint32_t first = 0;
    while (!(before >> first & 1)) first++;
    const int64_t rows = takes_threads(r) && r->in_lanes ? r->s->target->row.lane_rows : 1;
    size_t bytes = 0;
    for (uint32_t i = 0; i <= r->n_saved; i++) {
      jm_dtype dtype = type_of(r, i < r->n_saved ? r->saved[i].v : v)->dtype;
      bytes += (size_t)(length(r) * rows) * jm_dtype_bytes(dtype) + JM_DATA_ALIGNMENT;
    }
    if (bytes <= r->s->target->kept_bytes) {
      r->saved[r->n_saved++] = (saved){v, first, 0, r};
      return;
    }
  }
  if (own && r->wanted[v] >> pass & 1) return;
  if (own) r->wanted[v] |= (uint16_t)(1u << pass);
  bool same = op && jm_cluster_is_pointwise(r->s->m, op);
  for (uint32_t k = 0; op && k < op->n_operands; k++)
    want(r, op->operands[k], pass, own && same && type_of(r, op->operands[k])->count > 1);
}

/* Arguments of which the index is all that is wanted; whether these are all reductions. */
static bool pair_arguments(rows *r) {
  uint32_t n_paired = 0;
  for (uint32_t i = 0; i < r->n_reductions; i++) {
    jm_reduction *reduction = &r->reductions[i];
    if (!jm_region_count_uses(r->s->m, r->s->region, reduction->op->first_result))
      jm_reduction_pair(reduction);
    n_paired += reduction->paired;
  }
  return n_paired && n_paired == r->n_reductions;
}

/* A lane per row: for short rows, unless lanes that share one are combined by single instructions,
 * and where threads can't share a row. */
static void choose_lanes(rows *r) {
  const jm_target *t = r->s->target;
  bool grouped = true, paired = !takes_threads(r) && pair_arguments(r);
  for (uint32_t i = 0; i < r->n_reductions; i++) grouped &= r->reductions[i].grouped;
  r->in_lanes =
      !paired && length(r) < t->row.short_points && r->s->cluster.space.outer >= t->row.lane_rows;
  if (takes_threads(r)) r->in_lanes |= !grouped;
}

static void find_passes(rows *r) {
  const jm_scheduler *s = r->s;
  r->n_passes = s->cluster.n_levels;
  for (uint32_t i = 0; i < s->region->n_ops; i++) {
    const jm_op *op = jm_module_op(s->m, s->region->ops[i]);
    jm_space space;
    if (!jm_cluster_find_anchor(s->target, s->m, op, &space)) continue;
    r->pass_of[r->n_reductions] = s->cluster.level[op->first_result] - 1u;
    jm_reduction_init(s->m, op, &r->reductions[r->n_reductions++]);
  }
  for (uint32_t i = 0; i < s->region->n_results; i++) {
    jm_value v = s->region->results[i];
    bool full = s->cluster.relation[v] == JM_REL_FULL ||
                (s->cluster.relation[v] == JM_REL_FREE &&
                 type_of(r, v)->count == jm_space_points(s->cluster.space));
    r->store_pass[i] = full ? s->cluster.level[v] : LAST;
    if (full && r->store_pass[i] >= r->n_passes) r->n_passes = r->store_pass[i] + 1;
  }
  weigh(r);
  find_strays(r);
  choose_lanes(r);
  for (uint32_t p = 0; p < r->n_passes; p++) {
    for (uint32_t i = 0; i < r->n_reductions; i++)
      for (uint32_t k = 0; k < r->reductions[i].n && r->pass_of[i] == p; k++)
        want(r, r->reductions[i].op->operands[k], p, true);
    for (uint32_t i = 0; i < s->region->n_results; i++)
      if (r->store_pass[i] == p) want(r, s->region->results[i], p, true);
  }
}

/* -- building */

/* The position in scratch memory of a point of a row, or of the lanes' rows. */
static jm_kval saved_place(rows *r, jm_kval place) {
  if (!r->in_lanes) return place;
  return jm_launch_add(&r->l, jm_launch_scale(&r->l, place, r->s->target->row.lane_rows), r->lane);
}

static jm_element load_saved(void *context, jm_emit *e, const jm_kval *index) {
  const saved *kept = context;
  const jm_type *type = type_of(kept->rows, kept->v);
  jm_kbuilder *b = jm_emit_builder(e);
  jm_kval place = jm_kbuild_index(b, 0);
  int64_t stride = 1;
  for (uint32_t d = type->rank; d-- && stride < length(kept->rows);) {
    jm_kval step = jm_kbuild2(b, JM_K_imul, index[d], jm_kbuild_index(b, stride));
    place = jm_kbuild2(b, JM_K_iadd, place, step);
    stride *= type->dims[d];
  }
  return jm_emit_load(e, type->dtype, kept->param, saved_place(kept->rows, place));
}

/* The index of a value that has an element for each point, at the loops' position. */
static void full_index(rows *r, jm_value v, jm_kval *index) {
  int64_t sizes[JM_CLUSTER_RANK * 4];
  uint32_t n = r->outer.n;
  memcpy(sizes, r->outer.sizes, n * sizeof *sizes);
  memcpy(sizes + n, r->inner.sizes, r->inner.n * sizeof *sizes);
  jm_axes_index(r->l.b, sizes, r->x, n + r->inner.n, type_of(r, v), index);
}

static jm_element pull(rows *r, jm_value v) {
  jm_kval index[JM_CLUSTER_RANK];
  full_index(r, v, index);
  return jm_emit_value(r->l.e, v, index);
}

/* The work of one loop over the row. */
typedef struct sweep {
  rows *r;
  const jm_reduction *reductions[BATCH];
  jm_element *results[BATCH]; /* accumulators, at last */
  uint32_t n;
  uint32_t pass; /* stores and saves of this pass are made, too; JM_NONE: none */
} sweep;

static void sweep_point(void *context, jm_launch_builder *l, const jm_kval *x, jm_kval place,
                        jm_element (*elements)[JM_REDUCTION_RESULTS]) {
  sweep *w = context;
  rows *r = w->r;
  jm_element stores[JM_CLUSTER_ROOTS];
  uint32_t roots[JM_CLUSTER_ROOTS], n_stores = 0;
  memcpy(r->x + r->outer.n, x, r->inner.n * sizeof *x);
  for (uint32_t i = 0; i < w->n; i++)
    for (uint32_t k = 0; k < w->reductions[i]->n; k++)
      elements[i][k] = pull(r, w->reductions[i]->op->operands[k]);
  for (uint32_t i = 0; i < r->s->region->n_results; i++)
    if (r->store_pass[i] == w->pass) {
      roots[n_stores] = i;
      stores[n_stores++] = pull(r, r->s->region->results[i]);
    }
  for (uint32_t i = 0; i < r->n_saved; i++)
    if (r->saved[i].pass == w->pass)
      jm_emit_store(l->e, type_of(r, r->saved[i].v)->dtype, r->saved[i].param,
                    saved_place(r, place), pull(r, r->saved[i].v));
  jm_kval point = jm_launch_add(l, jm_launch_scale(l, r->row, length(r)), place);
  for (uint32_t i = 0; i < n_stores; i++)
    jm_emit_store(l->e, type_of(r, r->s->region->results[roots[i]])->dtype, r->params[roots[i]],
                  point, stores[i]);
}

/* One loop over the row. */
static void sweep_row(sweep *w) {
  const jm_axes *inner = &w->r->inner;
  jm_launch_builder *l = &w->r->l;
  const int64_t steps = jm_fold_steps(l->s->target, inner, w->r->in_lanes);
  const jm_fold_range range = {.lower = jm_kbuild_index(l->b, 0),
                               .upper = jm_kbuild_index(l->b, steps),
                               .most = steps,
                               .serial = w->r->in_lanes};
  jm_launch_fold(l, inner, range, w->reductions, w->n, sweep_point, w, w->results);
}

/* All loops of one pass, and the results that they leave for the next. */
static void build_pass(rows *r, uint32_t pass, jm_element (*results)[JM_REDUCTION_RESULTS]) {
  sweep w = {.r = r, .pass = pass};
  uint32_t parts = 0;
  for (uint32_t i = 0; i < r->n_reductions; i++) {
    if (r->pass_of[i] != pass) continue;
    if (w.n == BATCH || parts + r->reductions[i].parts > BATCH) {
      sweep_row(&w);
      w = (sweep){.r = r, .pass = JM_NONE};
      parts = 0;
    }
    w.reductions[w.n] = &r->reductions[i];
    w.results[w.n++] = results[i];
    parts += r->reductions[i].parts;
  }
  sweep_row(&w);
  for (uint32_t i = 0; i < r->n_saved; i++)
    if (r->saved[i].pass == pass) jm_emit_leaf(r->l.e, r->saved[i].v, load_saved, &r->saved[i]);
  for (uint32_t i = 0; i < r->n_reductions; i++) {
    if (r->pass_of[i] != pass) continue;
    jm_element out[JM_REDUCTION_RESULTS];
    jm_reduction_finish(&r->reductions[i], r->l.e, results[i], out);
    for (uint32_t k = 0; k < r->reductions[i].n; k++)
      jm_emit_leaf_element(r->l.e, r->reductions[i].op->first_result + k, out[k]);
  }
}

/* The reductions of a row, and all that is stored for each of its points. */
static void build_passes(rows *r) {
  jm_element(*results)[JM_REDUCTION_RESULTS] =
      jm_arena_alloc(&r->s->scratch, r->n_reductions + 1, sizeof *results);
  if (!results) {
    jm_kbuilder_fail(r->l.b, jm_error_out_of_memory());
    return;
  }
  jm_axes_split(r->l.b, r->outer.sizes, r->outer.n, r->row, r->x);
  for (uint32_t p = 0; p < r->n_passes; p++) build_pass(r, p, results);
  for (uint32_t i = 0; i < r->n_reductions && r->ends; i++) {
    jm_element out[JM_REDUCTION_RESULTS];
    jm_reduction_finish(&r->reductions[i], r->l.e, results[i], out);
    for (uint32_t k = 0; k < r->reductions[i].n; k++)
      jm_emit_store(r->l.e, type_of(r, r->reductions[i].op->first_result + k)->dtype, r->ends[i][k],
                    r->lane, out[k]);
  }
}

/* What is stored for each row. */
static void build_end(rows *r) {
  /* All loads stand before all stores: results may share memory with operands. */
  jm_element *ends = jm_arena_alloc(&r->s->scratch, r->s->region->n_results + 1, sizeof *ends);
  if (!ends) {
    jm_kbuilder_fail(r->l.b, jm_error_out_of_memory());
    return;
  }
  for (uint32_t i = 0; i < r->s->region->n_results; i++) {
    if (r->store_pass[i] != LAST) continue;
    jm_value v = r->s->region->results[i];
    jm_kval index[JM_CLUSTER_RANK];
    jm_axes_index(r->l.b, r->outer.sizes, r->x, r->outer.n, type_of(r, v), index);
    ends[i] = jm_emit_value(r->l.e, v, index);
  }
  for (uint32_t i = 0; i < r->s->region->n_results; i++)
    if (r->store_pass[i] == LAST)
      jm_emit_store(r->l.e, type_of(r, r->s->region->results[i])->dtype, r->params[i], r->row,
                    ends[i]);
}

static void build_row(rows *r) {
  build_passes(r);
  build_end(r);
}

/* The ends of rows, a lane each: of one row alone their operations wait for each other. */
static void build_ends(rows *r, jm_kval lower, jm_kval upper, int64_t most) {
  jm_launch_builder *l = &r->l;
  jm_kloop loop;
  jm_launch_lanes(l, lower, upper, most, NULL, 0, &loop);
  r->row = loop.index;
  r->lane = jm_k_isub(l->b, loop.index, lower);
  jm_axes_split(l->b, r->outer.sizes, r->outer.n, r->row, r->x);
  for (uint32_t i = 0; i < r->n_reductions; i++)
    for (uint32_t k = 0; k < r->reductions[i].n; k++) {
      const jm_value v = r->reductions[i].op->first_result + k;
      jm_emit_leaf_element(l->e, v,
                           jm_emit_load(l->e, type_of(r, v)->dtype, r->ends[i][k], r->lane));
    }
  build_end(r);
  jm_kbuild_loop_end(l->b, &loop, NULL);
}

/* A result of the last pass, or of the rows' ends, may lie in an operand's memory: nothing of the
 * row is read after that. */
static void drop_early_reuse(rows *r) {
  for (uint32_t k = 0; k < r->s->region->n_args; k++) {
    uint32_t i = r->s->alias[k];
    if (i == JM_NONE || r->store_pass[i] == LAST || r->store_pass[i] + 1 == r->n_passes) continue;
    r->s->alias[k] = r->s->schedule->reuse[k] = JM_NONE;
  }
}

/* Rows of a chunk iteration. */
static int64_t chunk_rows(const rows *r) {
  const jm_space space = r->s->cluster.space;
  const jm_target *t = r->s->target;
  if (takes_threads(r)) return r->in_lanes ? t->row.lane_rows : 1;
  int64_t step = space.reduced < t->chunk.points ? t->chunk.points / space.reduced : 1;
  if (jm_space_points(space) <= t->chunk.few) step = space.outer;
  while (!r->in_lanes && step > 1 && step * space.reduced > t->chunk.least &&
         jm_launch_estimate_ns(&r->l, (double)(step * space.reduced)) > t->chunk.expensive_ns)
    step /= 2;
  return r->in_lanes && step > t->row.lane_rows ? t->row.lane_rows : step;
}

/* The rows of a chunk: one after the other, each in a lane, or a single one by all lanes. */
static void build_chunk(rows *r, jm_kval chunk, int64_t step) {
  jm_launch_builder *l = &r->l;
  const int64_t outer = r->s->cluster.space.outer;
  jm_kloop loop;
  jm_kval lower, upper;
  if (takes_threads(r) && !r->in_lanes) {
    jm_launch_threads(l, length(r), r->s->target->row.lane_points);
    r->row = chunk;
    build_row(r);
    return;
  }
  if (r->in_lanes) jm_launch_threads(l, step < outer ? step : outer, 1);
  jm_launch_block(l, chunk, step, outer, &lower, &upper);
  jm_launch_loop(l, r->in_lanes ? jm_launch_width(l, step) : 1, lower, upper, NULL, 0, &loop);
  r->row = loop.index;
  r->lane = jm_k_isub(l->b, loop.index, lower);
  if (r->ends)
    build_passes(r);
  else
    build_row(r);
  jm_kbuild_loop_end(l->b, &loop, NULL);
  if (r->ends) build_ends(r, lower, upper, step);
}

/* The operations of a row's end that v needs: what is computed once for each row. */
static double weigh_end(const rows *r, jm_value v) {
  jm_space space;
  const jm_op *op = jm_module_definition(r->s->m, v);
  if (!op || r->s->cluster.relation[v] != JM_REL_KEPT ||
      jm_cluster_find_anchor(r->s->target, r->s->m, op, &space))
    return 0;
  double sum = jm_emit_estimate(r->s->m, op).flops;
  for (uint32_t k = 0; k < op->n_operands; k++) sum += weigh_end(r, op->operands[k]);
  return sum;
}

/* Rows' ends in lanes: where these are many operations, and nothing but them is stored, so that no
 * operand is overwritten before all rows are read. */
static jm_error *choose_ends(rows *r, int64_t step) {
  const jm_scheduler *s = r->s;
  const jm_target *t = s->target;
  double flops = 0;
  size_t bytes = 0;
  bool only_ends = true;
  for (uint32_t i = 0; i < s->region->n_results; i++) {
    only_ends &= r->store_pass[i] == LAST;
    flops += weigh_end(r, s->region->results[i]);
  }
  for (uint32_t i = 0; i < r->n_reductions; i++)
    for (uint32_t k = 0; k < r->reductions[i].n; k++)
      bytes +=
          jm_launch_scratch_bytes(type_of(r, r->reductions[i].op->first_result + k)->dtype, step);
  if (takes_threads(r) || r->in_lanes || r->outer.n > 1 || r->n_saved || !only_ends ||
      flops < t->row.end_flops || step < t->vector.least_lanes || bytes > t->kept_bytes)
    return NULL;
  r->ends = jm_arena_alloc(&r->s->scratch, r->n_reductions, sizeof *r->ends);
  if (!r->ends) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < r->n_reductions; i++)
    for (uint32_t k = 0; k < r->reductions[i].n; k++)
      r->ends[i][k] =
          jm_launch_scratch(&r->l, type_of(r, r->reductions[i].op->first_result + k)->dtype, step);
  return NULL;
}

static jm_error *build(rows *r) {
  jm_scheduler *s = r->s;
  const jm_space space = s->cluster.space;
  jm_scheduler_reuse(s);
  drop_early_reuse(r);
  jm_launch_builder *l = &r->l;
  JM_TRY(jm_launch_begin(s, l));
  jm_launch_pull(l, s->region->results, s->region->n_results);
  for (uint32_t i = 0; i < s->region->n_results; i++) r->params[i] = jm_launch_result(l, i);
  for (uint32_t i = 0; i < r->n_saved; i++)
    r->saved[i].param =
        jm_launch_scratch(l, type_of(r, r->saved[i].v)->dtype,
                          space.reduced * (r->in_lanes ? s->target->row.lane_rows : 1));
  const int64_t step = chunk_rows(r);
  JM_TRY(choose_ends(r, step));
  jm_launch_chunks chunks;
  jm_kval chunk =
      jm_launch_chunk(l, (space.outer + step - 1) / step, (double)(step * space.reduced), &chunks);
  build_chunk(r, chunk, step);
  jm_launch_chunk_end(l, &chunks);
  return jm_launch_end(l);
}

jm_error *jm_schedule_row(jm_scheduler *s, bool *fits) {
  if (s->cluster.kind != JM_CLUSTER_ROW) return NULL;
  if (s->region->n_results > JM_CLUSTER_ROOTS)
    return jm_error_internal("a group of rows has %u results, at most %d may be",
                             s->region->n_results, JM_CLUSTER_ROOTS);
  rows r = {.s = s};
  jm_arena *a = &s->scratch;
  r.reductions = jm_arena_alloc(a, s->region->n_ops + 1, sizeof *r.reductions);
  r.pass_of = jm_arena_alloc(a, s->region->n_ops + 1, sizeof *r.pass_of);
  r.store_pass = jm_arena_alloc(a, s->region->n_results + 1, sizeof *r.store_pass);
  r.params = jm_arena_alloc(a, s->region->n_results + 1, sizeof *r.params);
  r.saved = jm_arena_alloc(a, s->region->n_ops + s->region->n_args + 1, sizeof *r.saved);
  r.weight = jm_arena_alloc(a, s->m->n_values, sizeof *r.weight);
  r.wanted = jm_arena_alloc(a, s->m->n_values, sizeof *r.wanted);
  r.strays = jm_arena_alloc(a, s->m->n_values, sizeof *r.strays);
  if (!r.reductions || !r.pass_of || !r.store_pass || !r.params || !r.saved || !r.weight ||
      !r.wanted || !r.strays)
    return jm_error_out_of_memory();
  find_passes(&r);
  if (!find_axes(&r)) return NULL;
  *fits = true;
  if (!takes_threads(&r) && r.outer.n > 1) r.in_lanes = false; /* their rows are far apart */
  return build(&r);
}
