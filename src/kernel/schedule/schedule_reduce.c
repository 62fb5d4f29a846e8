/* SPDX-License-Identifier: Apache-2.0
 * Reductions in one pass over the data, followed by the ops on their results, element by element.
 * Long rows are split into blocks of a fixed size, whose partial results a second launch reduces in
 * order. Columns (the last dimension stays) are reduced row by row into accumulators in scratch
 * memory, a strip of columns at a time; few columns are split into blocks of rows as well. The
 * split depends on sizes alone, so that results do not depend on the number of threads. */
#include <string.h>

#include "kernel/schedule/fold.h"

typedef struct task {
  jm_scheduler *s;
  jm_reduction reductions[JM_FOLD_PARTS];
  const jm_reduction *listed[JM_FOLD_PARTS];
  uint32_t n, parts;
  bool grouped;
  jm_axes outer, reduced, inner;
  uint32_t temporaries[JM_FOLD_PARTS][JM_REDUCTION_RESULTS];
  uint32_t accumulators[JM_FOLD_PARTS][JM_REDUCTION_RESULTS]; /* parameters: scratch */
  uint32_t partials[JM_FOLD_PARTS][JM_REDUCTION_RESULTS];     /* parameters: temporaries */
  uint32_t *roots;                                            /* parameters */
  int64_t blocks;                                             /* partial results per result */
  jm_kval x[JM_CLUSTER_RANK * 6]; /* positions on outer, reduced and inner axes */
  /* Of columns. */
  int64_t columns, chunk_columns; /* of a line, of a chunk */
  int64_t strip;                  /* rows */
  jm_kval line, first_column, first_row, end_row, block;
  /* Of groups of threads: so many lanes share a column, lane_row is the first row of this one. */
  int64_t side;
  jm_kval lane_row, lane_column;
  jm_kval kept_point; /* whose partial results a group combines */
} task;

static const jm_type *type_of(const task *t, jm_value v) { return jm_module_typeof(t->s->m, v); }
static jm_value root_of(const task *t, uint32_t i) { return t->s->region->results[i]; }
static int64_t kept(const task *t) { return t->outer.count * t->inner.count; }
static bool takes_threads(const task *t) { return t->s->target->lanes == JM_BIND_THREADS; }

static bool find_reductions(task *t) {
  const jm_scheduler *s = t->s;
  t->grouped = true;
  for (uint32_t i = 0; i < s->region->n_ops; i++) {
    const jm_op *op = jm_module_op(s->m, s->region->ops[i]);
    jm_space space;
    if (!jm_cluster_find_anchor(s->target, s->m, op, &space)) continue;
    if (t->n == JM_FOLD_PARTS) return false;
    jm_reduction *r = &t->reductions[t->n];
    jm_reduction_init(s->m, op, r);
    t->listed[t->n++] = r;
    t->parts += r->parts;
    t->grouped &= r->grouped;
  }
  return t->parts <= JM_FOLD_PARTS;
}

static bool find_axes(task *t) {
  const jm_scheduler *s = t->s;
  jm_space space = s->cluster.space;
  jm_axes all, rest;
  jm_axes_init(&all, jm_space_points(space));
  jm_axes_init(&rest, jm_space_kept(space));
  bool fits = jm_axes_add(&all, space.inner) && jm_axes_add(&all, space.inner * space.reduced) &&
              jm_axes_add(&rest, space.inner);
  for (uint32_t i = 0; i < t->n && fits; i++)
    for (uint32_t k = 0; k < t->reductions[i].n && fits; k++) {
      jm_value v = t->reductions[i].op->operands[k];
      fits = jm_axes_add_value(&all, type_of(t, v), s->breaks[v]);
    }
  for (uint32_t i = 0; i < s->region->n_results && fits; i++)
    fits = jm_axes_add_value(&rest, type_of(t, root_of(t, i)), s->breaks[root_of(t, i)]);
  for (uint32_t i = 0; i < rest.n_boundaries && fits; i++)
    fits =
        jm_axes_add(&all, rest.boundaries[i] <= space.inner ? rest.boundaries[i]
                                                            : rest.boundaries[i] * space.reduced);
  jm_axes_init(&t->outer, space.outer);
  jm_axes_init(&t->reduced, space.reduced);
  jm_axes_init(&t->inner, space.inner);
  for (uint32_t i = 0; i < all.n_boundaries && fits; i++) {
    int64_t at = all.boundaries[i], line = space.inner * space.reduced;
    fits = at <= space.inner ? jm_axes_add(&t->inner, at)
           : at <= line      ? jm_axes_add(&t->reduced, at / space.inner)
                             : jm_axes_add(&t->outer, at / line);
  }
  jm_axes_finish(&t->outer);
  jm_axes_finish(&t->reduced);
  jm_axes_finish(&t->inner);
  return fits;
}

/* -- pieces of launches */

/* Marks the values that the second launch does not pull; or pulls only those that the first one
 * needs. */
static void pull_operands(task *t, jm_launch_builder *l) {
  jm_value values[4 * JM_FOLD_PARTS * JM_REDUCTION_RESULTS];
  uint32_t n = 0;
  for (uint32_t i = 0; i < t->n; i++)
    for (uint32_t k = 0; k < 2 * t->reductions[i].n; k++)
      values[n++] = t->reductions[i].op->operands[k];
  jm_launch_pull(l, values, n);
}

static void pull_rest(task *t, jm_launch_builder *l) {
  const jm_scheduler *s = t->s;
  jm_value *values = jm_arena_alloc(&t->s->scratch, s->region->n_results + 64, sizeof *values);
  uint32_t n = 0;
  if (!values) {
    jm_kbuilder_fail(l->b, jm_error_out_of_memory());
    return;
  }
  for (uint32_t i = 0; i < t->n; i++)
    for (uint32_t k = 0; k < t->reductions[i].n; k++) {
      jm_launch_stop(l, t->reductions[i].op->first_result + k);
      values[n++] = t->reductions[i].op->operands[t->reductions[i].n + k];
    }
  for (uint32_t i = 0; i < s->region->n_results; i++) values[n++] = root_of(t, i);
  jm_launch_pull(l, values, n);
}

static void bind_roots(task *t, jm_launch_builder *l) {
  for (uint32_t i = 0; i < t->s->region->n_results; i++) t->roots[i] = jm_launch_result(l, i);
}

static void bind_partials(task *t, jm_launch_builder *l, bool written) {
  for (uint32_t i = 0; i < t->n; i++)
    for (uint32_t k = 0; k < t->reductions[i].n; k++)
      t->partials[i][k] = jm_launch_temporary(l, t->temporaries[i][k], t->reductions[i].dtypes[k],
                                              t->blocks * kept(t), written);
}

static jm_error *take_partials(task *t) {
  for (uint32_t i = 0; i < t->n; i++)
    for (uint32_t k = 0; k < t->reductions[i].n; k++)
      JM_TRY(jm_scheduler_temporary(t->s, t->reductions[i].dtypes[k], t->blocks * kept(t),
                                    &t->temporaries[i][k]));
  return NULL;
}

static void load(task *t, jm_launch_builder *l, uint32_t (*params)[JM_REDUCTION_RESULTS],
                 jm_kval at, jm_element (*out)[JM_REDUCTION_RESULTS]) {
  for (uint32_t i = 0; i < t->n; i++)
    for (uint32_t k = 0; k < t->reductions[i].n; k++)
      out[i][k] = jm_emit_load(l->e, t->reductions[i].dtypes[k], params[i][k], at);
}

static void store(task *t, jm_launch_builder *l, uint32_t (*params)[JM_REDUCTION_RESULTS],
                  jm_kval at, jm_element (*values)[JM_REDUCTION_RESULTS]) {
  for (uint32_t i = 0; i < t->n; i++)
    for (uint32_t k = 0; k < t->reductions[i].n; k++)
      jm_emit_store(l->e, t->reductions[i].dtypes[k], params[i][k], at, values[i][k]);
}

/* Builds the results from the accumulators, and all roots at position `at` of the kept dimensions;
 * x: positions on the outer and inner axes. */
static void finish(task *t, jm_launch_builder *l, const jm_kval *x, jm_kval at,
                   jm_element (*acc)[JM_REDUCTION_RESULTS]) {
  int64_t sizes[JM_CLUSTER_RANK * 4];
  for (uint32_t i = 0; i < t->n; i++) {
    jm_element out[JM_REDUCTION_RESULTS];
    jm_reduction_finish(&t->reductions[i], l->e, acc[i], out);
    for (uint32_t k = 0; k < t->reductions[i].n; k++)
      jm_emit_leaf_element(l->e, t->reductions[i].op->first_result + k, out[k]);
  }
  memcpy(sizes, t->outer.sizes, t->outer.n * sizeof *sizes);
  memcpy(sizes + t->outer.n, t->inner.sizes, t->inner.n * sizeof *sizes);
  for (uint32_t i = 0; i < t->s->region->n_results; i++) {
    const jm_type *type = type_of(t, root_of(t, i));
    jm_kval index[JM_CLUSTER_RANK];
    jm_axes_index(l->b, sizes, x, t->outer.n + t->inner.n, type, index);
    jm_emit_store(l->e, type->dtype, t->roots[i], at, jm_emit_value(l->e, root_of(t, i), index));
  }
}

static void pull_point(task *t, jm_launch_builder *l,
                       jm_element (*elements)[JM_REDUCTION_RESULTS]) {
  int64_t sizes[JM_CLUSTER_RANK * 6];
  uint32_t n = 0;
  const jm_axes *axes[3] = {&t->outer, &t->reduced, &t->inner};
  for (int i = 0; i < 3; i++) {
    memcpy(sizes + n, axes[i]->sizes, axes[i]->n * sizeof *sizes);
    n += axes[i]->n;
  }
  for (uint32_t i = 0; i < t->n; i++)
    for (uint32_t k = 0; k < t->reductions[i].n; k++) {
      jm_value v = t->reductions[i].op->operands[k];
      jm_kval index[JM_CLUSTER_RANK];
      jm_axes_index(l->b, sizes, t->x, n, type_of(t, v), index);
      elements[i][k] = jm_emit_value(l->e, v, index);
    }
}

/* The second launch: folds the blocks' partial results, in order. */
static void fold_partials(void *context, jm_launch_builder *l, const jm_kval *x, jm_kval point) {
  task *t = context;
  jm_element acc[JM_FOLD_PARTS][JM_REDUCTION_RESULTS], y[JM_FOLD_PARTS][JM_REDUCTION_RESULTS];
  jm_kval start[JM_FOLD_PARTS], next[JM_FOLD_PARTS];
  uint32_t n = 0;
  for (uint32_t i = 0; i < t->n; i++) {
    jm_reduction_start(&t->reductions[i], l->e, acc[i]);
    n += jm_reduction_pack(&t->reductions[i], acc[i], start + n);
  }
  jm_kloop loop;
  jm_kbuild_loop_begin(l->b, JM_BIND_SERIAL, 1, jm_kbuild_index(l->b, 0),
                       jm_kbuild_index(l->b, t->blocks), start, n, &loop);
  jm_kval at = jm_launch_add(l, jm_launch_scale(l, loop.index, kept(t)), point);
  load(t, l, t->partials, at, y);
  n = 0;
  for (uint32_t i = 0; i < t->n; i++) {
    jm_reduction_unpack(&t->reductions[i], loop.carries + n, acc[i]);
    jm_reduction_step(&t->reductions[i], l->e, acc[i], y[i], acc[i]);
    n += jm_reduction_pack(&t->reductions[i], acc[i], next + n);
  }
  jm_kbuild_loop_end(l->b, &loop, next);
  n = 0;
  for (uint32_t i = 0; i < t->n; i++)
    n += jm_reduction_unpack(&t->reductions[i], loop.carries + n, acc[i]);
  finish(t, l, x, point, acc);
}

static void load_partial(void *context, jm_launch_builder *l, const jm_kval *x, jm_kval place,
                         jm_element (*elements)[JM_REDUCTION_RESULTS]) {
  task *t = context;
  (void)x;
  load(t, l, t->partials, jm_launch_add(l, jm_launch_scale(l, place, kept(t)), t->kept_point),
       elements);
}

/* Points [0, n) of a single axis. */
static jm_axes single_axis(int64_t n) { return (jm_axes){.count = n, .n = 1, .sizes = {n}}; }

/* The same by a group for each position of the kept dimensions: there are many blocks, or would be
 * too few groups. */
static void combine_partials(task *t, jm_launch_builder *l, const jm_axes *all) {
  jm_element acc[JM_FOLD_PARTS][JM_REDUCTION_RESULTS], *results[JM_FOLD_PARTS];
  const jm_axes blocks = single_axis(t->blocks);
  jm_launch_chunks chunks;
  jm_kval x[JM_CLUSTER_RANK * 4];
  for (uint32_t i = 0; i < t->n; i++) results[i] = acc[i];
  jm_launch_threads(l, t->blocks, 1);
  t->kept_point = jm_launch_chunk(l, kept(t), (double)t->blocks, &chunks);
  jm_axes_split(l->b, all->sizes, all->n, t->kept_point, x);
  const jm_fold_range range = {.lower = jm_kbuild_index(l->b, 0),
                               .upper = jm_kbuild_index(l->b, t->blocks),
                               .most = t->blocks,
                               .partial = true};
  jm_launch_fold(l, &blocks, range, t->listed, t->n, load_partial, t, results);
  finish(t, l, x, t->kept_point, acc);
  jm_launch_chunk_end(l, &chunks);
}

static jm_error *launch_rest(task *t) {
  jm_launch_builder l;
  jm_axes all = {.count = kept(t), .n = t->outer.n + t->inner.n};
  memcpy(all.sizes, t->outer.sizes, t->outer.n * sizeof *all.sizes);
  memcpy(all.sizes + t->outer.n, t->inner.sizes, t->inner.n * sizeof *all.sizes);
  JM_TRY(jm_launch_begin(t->s, &l));
  pull_rest(t, &l);
  bind_roots(t, &l);
  bind_partials(t, &l, false);
  if (t->blocks > t->s->target->column.serial_blocks)
    combine_partials(t, &l, &all);
  else
    jm_launch_map(&l, &all, NULL, fold_partials, t);
  return jm_launch_end(&l);
}

/* -- long rows */

static void row_point(void *context, jm_launch_builder *l, const jm_kval *x, jm_kval place,
                      jm_element (*elements)[JM_REDUCTION_RESULTS]) {
  task *t = context;
  (void)place;
  memcpy(t->x + t->outer.n, x, t->reduced.n * sizeof *x);
  t->x[t->outer.n + t->reduced.n] = jm_kbuild_index(l->b, 0);
  pull_point(t, l, elements);
}

/* Steps of a block: a GPU runs many groups, so that blocks grow only as long as there are enough of
 * them. */
static int64_t block_steps(const task *t, int64_t steps) {
  const jm_target *target = t->s->target;
  const int64_t points = target->row.block, per_step = t->reduced.count / steps;
  if (!takes_threads(t)) return per_step < points ? points / per_step : 1;
  int64_t blocks = target->chunk.enough / t->outer.count;
  if (blocks < 1) blocks = 1;
  const int64_t size = (steps + blocks - 1) / blocks;
  return size > points ? size : points;
}

static jm_error *launch_blocks(task *t) {
  jm_launch_builder l;
  const int64_t steps = jm_fold_steps(t->s->target, &t->reduced, false);
  const int64_t block = block_steps(t, steps);
  t->blocks = (steps + block - 1) / block;
  JM_TRY(take_partials(t));
  JM_TRY(jm_launch_begin(t->s, &l));
  pull_operands(t, &l);
  bind_partials(t, &l, true);
  jm_launch_chunks chunks;
  jm_fold_range range = {.most = block < steps ? block : steps};
  jm_launch_threads(&l, range.most, t->s->target->row.lane_points);
  jm_kval chunk = jm_launch_chunk(&l, t->outer.count * t->blocks,
                                  (double)(block * (t->reduced.count / steps)), &chunks);
  jm_kval rows = jm_kbuild_index(l.b, t->outer.count);
  jm_kval row = jm_kbuild2(l.b, JM_K_urem, chunk, rows); /* partials: [block][row] */
  jm_launch_block(&l, jm_kbuild2(l.b, JM_K_udiv, chunk, rows), block, steps, &range.lower,
                  &range.upper);
  jm_axes_split(l.b, t->outer.sizes, t->outer.n, row, t->x);
  jm_element acc[JM_FOLD_PARTS][JM_REDUCTION_RESULTS];
  jm_element *results[JM_FOLD_PARTS];
  for (uint32_t i = 0; i < t->n; i++) results[i] = acc[i];
  jm_launch_fold(&l, &t->reduced, range, t->listed, t->n, row_point, t, results);
  store(t, &l, t->partials, chunk, acc);
  jm_launch_chunk_end(&l, &chunks);
  JM_TRY(jm_launch_end(&l));
  return launch_rest(t);
}

/* -- columns */

typedef void column_body(task *t, jm_launch_builder *l, jm_kval column);

/* A vector loop over the chunk's columns; the body gets the number within the chunk. */
static void each_column(task *t, jm_launch_builder *l, jm_kval count, column_body *body) {
  jm_kloop loop;
  jm_launch_lanes(l, jm_kbuild_index(l->b, 0), count, t->chunk_columns, NULL, 0, &loop);
  uint32_t last = t->outer.n + t->reduced.n + t->inner.n - 1;
  t->x[last] = jm_launch_add(l, t->first_column, loop.index);
  body(t, l, loop.index);
  jm_kbuild_loop_end(l->b, &loop, NULL);
}

static void start_column(task *t, jm_launch_builder *l, jm_kval column) {
  jm_element acc[JM_FOLD_PARTS][JM_REDUCTION_RESULTS];
  for (uint32_t i = 0; i < t->n; i++) jm_reduction_start(&t->reductions[i], l->e, acc[i]);
  store(t, l, t->accumulators, column, acc);
}

/* The next strip of rows joins the accumulators: row by row, or as a float sum of its own. */
static void strip_column(task *t, jm_launch_builder *l, jm_kval column) {
  jm_element acc[JM_FOLD_PARTS][JM_REDUCTION_RESULTS], y[JM_FOLD_PARTS][JM_REDUCTION_RESULTS];
  jm_kval start[JM_FOLD_PARTS], next[JM_FOLD_PARTS];
  const bool alone = jm_fold_terms(t->s->target, t->listed, t->n) && t->strip > 1;
  uint32_t n = 0;
  if (!alone) load(t, l, t->accumulators, column, acc);
  for (uint32_t i = 0; alone && i < t->n; i++) jm_reduction_start(&t->reductions[i], l->e, acc[i]);
  for (uint32_t i = 0; i < t->n; i++) n += jm_reduction_pack(&t->reductions[i], acc[i], start + n);
  jm_kloop loop;
  jm_kval end = jm_launch_add(l, t->first_row, jm_kbuild_index(l->b, t->strip));
  jm_kval last = jm_kbuild2(l->b, JM_K_smin, end, t->end_row);
  jm_kbuild_loop_begin(l->b, JM_BIND_SERIAL, 1, t->first_row, last, start, n, &loop);
  jm_axes_split(l->b, t->reduced.sizes, t->reduced.n, loop.index, t->x + t->outer.n);
  pull_point(t, l, y);
  n = 0;
  for (uint32_t i = 0; i < t->n; i++) {
    jm_reduction_unpack(&t->reductions[i], loop.carries + n, acc[i]);
    jm_reduction_lift(&t->reductions[i], l->e, y[i]);
    jm_reduction_step(&t->reductions[i], l->e, acc[i], y[i], acc[i]);
    n += jm_reduction_pack(&t->reductions[i], acc[i], next + n);
  }
  jm_kbuild_loop_end(l->b, &loop, next);
  n = 0;
  for (uint32_t i = 0; i < t->n; i++)
    n += jm_reduction_unpack(&t->reductions[i], loop.carries + n, acc[i]);
  if (alone) load(t, l, t->accumulators, column, y);
  for (uint32_t i = 0; alone && i < t->n; i++)
    jm_reduction_step(&t->reductions[i], l->e, y[i], acc[i], acc[i]);
  store(t, l, t->accumulators, column, acc);
}

/* Position of a column among all kept elements. */
static jm_kval kept_at(const task *t, jm_launch_builder *l, jm_kval column) {
  jm_kval in_line = jm_launch_add(l, t->first_column, column);
  return jm_launch_add(l, jm_launch_scale(l, t->line, t->columns), in_line);
}

/* Stores a column's accumulators: as a block's partial results, or as the results. */
static void end_column(task *t, jm_launch_builder *l, jm_kval column,
                       jm_element (*acc)[JM_REDUCTION_RESULTS]) {
  jm_kval x[JM_CLUSTER_RANK * 4], at = kept_at(t, l, column);
  if (t->blocks > 1) {
    store(t, l, t->partials, jm_launch_add(l, jm_launch_scale(l, t->block, kept(t)), at), acc);
    return;
  }
  memcpy(x, t->x, t->outer.n * sizeof *x);
  memcpy(x + t->outer.n, t->x + t->outer.n + t->reduced.n, t->inner.n * sizeof *x);
  finish(t, l, x, at, acc);
}

static void load_column(task *t, jm_launch_builder *l, jm_kval column) {
  jm_element acc[JM_FOLD_PARTS][JM_REDUCTION_RESULTS];
  load(t, l, t->accumulators, column, acc);
  end_column(t, l, column, acc);
}

/* -- columns by groups of threads */

static void lane_point(void *context, jm_launch_builder *l, const jm_kval *x, jm_kval place,
                       jm_element (*elements)[JM_REDUCTION_RESULTS]) {
  task *t = context;
  (void)x;
  jm_kval row = jm_launch_add(l, t->lane_row, jm_launch_scale(l, place, t->side));
  jm_axes_split(l->b, t->reduced.sizes, t->reduced.n, row, t->x + t->outer.n);
  pull_point(t, l, elements);
}

static void load_side(void *context, jm_launch_builder *l, const jm_kval *x, jm_kval place,
                      jm_element (*elements)[JM_REDUCTION_RESULTS]) {
  task *t = context;
  (void)x;
  jm_kval at = jm_launch_add(l, jm_launch_scale(l, place, t->chunk_columns), t->lane_column);
  load(t, l, t->accumulators, at, elements);
}

/* A lane's part of a column, in order; rows: of the block. */
static void fold_lane(task *t, jm_launch_builder *l, jm_kval rows, int64_t most,
                      jm_fold_point *point, jm_element (*acc)[JM_REDUCTION_RESULTS]) {
  jm_element *results[JM_FOLD_PARTS];
  const jm_axes axis = single_axis(most);
  const jm_fold_range range = {.lower = jm_kbuild_index(l->b, 0),
                               .upper = rows,
                               .most = most,
                               .serial = true,
                               .partial = point == load_side};
  for (uint32_t i = 0; i < t->n; i++) results[i] = acc[i];
  jm_launch_fold(l, &axis, range, t->listed, t->n, point, t, results);
}

static void place_column(task *t, jm_launch_builder *l, jm_kval column) {
  t->lane_column = column;
  t->x[t->outer.n + t->reduced.n + t->inner.n - 1] = jm_launch_add(l, t->first_column, column);
}

/* A lane reduces a column of the block. If there are fewer columns than lanes, several lanes share
 * one, each taking every n-th row, and their results are combined in scratch memory, in order. */
static void reduce_lanes(task *t, jm_launch_builder *l, jm_kval count, int64_t most) {
  jm_element acc[JM_FOLD_PARTS][JM_REDUCTION_RESULTS];
  const jm_kval zero = jm_kbuild_index(l->b, 0), columns = jm_kbuild_index(l->b, t->chunk_columns);
  const int64_t lanes = t->side * t->chunk_columns;
  jm_kval rows = jm_k_isub(l->b, t->end_row, t->first_row);
  jm_kloop loop;
  if (t->reduced.count % most == 0) rows = jm_kbuild_index(l->b, most);
  jm_launch_threads(l, lanes, 1);
  if (t->side == 1) {
    jm_launch_lanes(l, zero, count, lanes, NULL, 0, &loop);
    place_column(t, l, loop.index);
    t->lane_row = t->first_row;
    fold_lane(t, l, rows, most, lane_point, acc);
    end_column(t, l, loop.index, acc);
    jm_kbuild_loop_end(l->b, &loop, NULL);
    return;
  }
  jm_launch_lanes(l, zero, jm_kbuild_index(l->b, lanes), lanes, NULL, 0, &loop);
  place_column(t, l, jm_k_urem(l->b, loop.index, columns));
  jm_kval side = jm_k_udiv(l->b, loop.index, columns);
  t->lane_row = jm_launch_add(l, t->first_row, side);
  rows = jm_launch_add(l, rows, jm_k_isub(l->b, jm_kbuild_index(l->b, t->side - 1), side));
  rows = jm_k_udiv(l->b, rows, jm_kbuild_index(l->b, t->side));
  fold_lane(t, l, rows, (most + t->side - 1) / t->side, lane_point, acc);
  store(t, l, t->accumulators, loop.index, acc);
  jm_kbuild_loop_end(l->b, &loop, NULL);
  jm_launch_lanes(l, zero, columns, t->chunk_columns, NULL, 0, &loop);
  place_column(t, l, loop.index);
  fold_lane(t, l, jm_kbuild_index(l->b, t->side), t->side, load_side, acc);
  end_column(t, l, loop.index, acc);
  jm_kbuild_loop_end(l->b, &loop, NULL);
}

/* -- launches of columns */

/* How rows and columns are cut: columns first, rows only if that leaves too little to share.
 * *row_block: rows of a block. */
static void cut_columns(task *t, int64_t *row_block) {
  const jm_target *target = t->s->target;
  const bool threads = takes_threads(t);
  const int64_t rows = t->reduced.count;
  t->columns = t->inner.sizes[t->inner.n - 1];
  t->chunk_columns = target->column.accumulators;
  if (!threads && t->parts) t->chunk_columns /= t->parts;
  if (t->chunk_columns > t->columns) t->chunk_columns = t->columns;
  t->side = threads && t->grouped ? target->column.accumulators / t->chunk_columns : 1;
  if (t->side > rows) t->side = rows; /* each lane has a row: what it reads may be read early */
  bool in_order =
      t->columns >= target->column.least_line && t->columns * t->parts <= target->column.max_line;
  t->strip = in_order ? 1 : target->column.strip;
  /* Of few columns, more rows of a strip stay in the cache: its sums are those of more terms. */
  const int64_t terms = jm_fold_terms(target, t->listed, t->n);
  const int64_t cached = target->column.accumulators / (t->columns ? t->columns : 1);
  if (terms && !in_order && cached > t->strip) t->strip = cached < terms ? cached : terms;
  const int64_t strips = (t->columns + t->chunk_columns - 1) / t->chunk_columns;
  const int64_t chunks = strips * (kept(t) / t->columns), enough = target->chunk.enough;
  *row_block = rows;
  if (t->grouped && chunks < enough && rows * kept(t) > target->chunk.points) {
    const int64_t least = target->column.row_block * t->side;
    *row_block =
        threads ? (rows * chunks + enough - 1) / enough : target->column.block / t->chunk_columns;
    if (*row_block < least) *row_block = least;
    if (*row_block > rows) *row_block = rows;
  }
  t->blocks = (rows + *row_block - 1) / *row_block;
}

/* Whole columns that are much work for one worker are cut into chunks that are worth another one.
 * No column's order of rows depends on it. Rows that are not cut into blocks are few, and stay in
 * the cache however their lines are read; or they can't be cut. */
static void narrow_chunks(task *t, const jm_launch_builder *l) {
  const jm_target *target = t->s->target;
  const int64_t least = t->grouped ? target->column.narrow : target->column.least_line;
  if (takes_threads(t)) return;
  while (t->chunk_columns % (2 * least) == 0 && kept(t) / t->chunk_columns < target->chunk.enough &&
         jm_launch_estimate_ns(l, (double)(t->reduced.count * t->chunk_columns)) >
             2 * target->chunk.worker_ns)
    t->chunk_columns /= 2;
}

/* Accumulators in scratch memory are in the first cache while rows go by. */
static void reduce_strips(task *t, jm_launch_builder *l, jm_kval count, int64_t most) {
  jm_kloop loop;
  jm_kval begin = t->first_row;
  each_column(t, l, count, start_column);
  jm_kval rows = jm_k_isub(l->b, t->end_row, begin);
  jm_kval steps = jm_k_udiv(l->b, jm_launch_add(l, rows, jm_kbuild_index(l->b, t->strip - 1)),
                            jm_kbuild_index(l->b, t->strip));
  if (t->reduced.count % most == 0) steps = jm_kbuild_index(l->b, (most + t->strip - 1) / t->strip);
  jm_kbuild_loop_begin(l->b, JM_BIND_SERIAL, 1, jm_kbuild_index(l->b, 0), steps, NULL, 0, &loop);
  t->first_row = jm_launch_add(l, begin, jm_launch_scale(l, loop.index, t->strip));
  each_column(t, l, count, strip_column);
  jm_kbuild_loop_end(l->b, &loop, NULL);
  each_column(t, l, count, load_column);
}

static void build_columns(task *t, jm_launch_builder *l, int64_t row_block) {
  const int64_t strips = (t->columns + t->chunk_columns - 1) / t->chunk_columns;
  const int64_t lines = kept(t) / t->columns;
  jm_launch_chunks chunks;
  jm_kval chunk = jm_launch_chunk(l, lines * strips * t->blocks,
                                  (double)(row_block * t->chunk_columns), &chunks);
  jm_kval n_strips = jm_kbuild_index(l->b, strips), n_lines = jm_kbuild_index(l->b, lines), end;
  jm_kval rest = jm_k_udiv(l->b, chunk, n_strips);
  jm_launch_block(l, jm_k_urem(l->b, chunk, n_strips), t->chunk_columns, t->columns,
                  &t->first_column, &end);
  jm_kval count = jm_k_isub(l->b, end, t->first_column);
  t->line = jm_k_urem(l->b, rest, n_lines);
  t->block = jm_k_udiv(l->b, rest, n_lines);
  jm_launch_block(l, t->block, row_block, t->reduced.count, &t->first_row, &t->end_row);
  /* A line is a position on all kept axes but the last. */
  int64_t sizes[JM_CLUSTER_RANK * 4];
  jm_kval x[JM_CLUSTER_RANK * 4];
  memcpy(sizes, t->outer.sizes, t->outer.n * sizeof *sizes);
  memcpy(sizes + t->outer.n, t->inner.sizes, t->inner.n * sizeof *sizes);
  jm_axes_split(l->b, sizes, t->outer.n + t->inner.n - 1, t->line, x);
  memcpy(t->x, x, t->outer.n * sizeof *x);
  memcpy(t->x + t->outer.n + t->reduced.n, x + t->outer.n, (t->inner.n - 1) * sizeof *x);
  (takes_threads(t) ? reduce_lanes : reduce_strips)(t, l, count, row_block);
  jm_launch_chunk_end(l, &chunks);
}

static jm_error *launch_columns(task *t) {
  jm_launch_builder l;
  int64_t row_block;
  cut_columns(t, &row_block);
  if (t->blocks > 1) JM_TRY(take_partials(t));
  JM_TRY(jm_launch_begin(t->s, &l));
  if (t->blocks > 1) {
    pull_operands(t, &l);
    bind_partials(t, &l, true);
  } else {
    jm_launch_pull(&l, t->s->region->results, t->s->region->n_results);
    bind_roots(t, &l);
    narrow_chunks(t, &l);
  }
  const bool in_scratch = !takes_threads(t) || t->side > 1;
  for (uint32_t i = 0; i < t->n && in_scratch; i++)
    for (uint32_t k = 0; k < t->reductions[i].n; k++)
      t->accumulators[i][k] =
          jm_launch_scratch(&l, t->reductions[i].dtypes[k], t->chunk_columns * t->side);
  build_columns(t, &l, row_block);
  JM_TRY(jm_launch_end(&l));
  return t->blocks > 1 ? launch_rest(t) : NULL;
}

jm_error *jm_schedule_reduce(jm_scheduler *s, bool *fits) {
  if (s->cluster.kind != JM_CLUSTER_REDUCE) return NULL;
  task *t = jm_arena_alloc(&s->scratch, 1, sizeof *t);
  if (!t) return jm_error_out_of_memory();
  t->s = s;
  t->roots = jm_arena_alloc(&s->scratch, s->region->n_results + 1, sizeof *t->roots);
  if (!t->roots) return jm_error_out_of_memory();
  if (!find_reductions(t) || !find_axes(t)) return NULL;
  bool columns = s->cluster.space.inner > 1;
  if (!columns && !t->grouped) return NULL; /* in order: nothing to cut */
  *fits = true;
  return columns ? launch_columns(t) : launch_blocks(t);
}
