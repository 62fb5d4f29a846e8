/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kernel/emit/emit_rules.h"
#include "kernel/schedule/cuts.h"
#include "kernel/schedule/scheduler.h"

jm_error *jm_launcher_begin(jm_scheduler *s, jm_launcher *l) {
  *l = (jm_launcher){.s = s, .threads = 1};
  JM_TRY(jm_kbuilder_create("", &l->b));
  jm_error *error = jm_emit_create(s->m, l->b, &l->e);
  if (error) jm_kbuilder_destroy(l->b);
  memset(s->marks, 0, s->m->n_values);
  return error;
}

static void bind(jm_launcher *l, jm_launch_memory memory, uint32_t index) {
  jm_schedule *schedule = l->s->schedule;
  jm_launch_argument *grown = jm_arena_grow(&schedule->arena, l->arguments, l->n_arguments + 1,
                                            &l->capacity, sizeof *grown);
  if (!grown) {
    jm_kbuilder_fail(l->b, jm_error_out_of_memory());
    return;
  }
  l->arguments = grown;
  l->arguments[l->n_arguments++] = (jm_launch_argument){memory, index};
}

/* Lanes are as wide as what most of the work is done on. A reduction over the schedule's points is
 * one step for each point. */
static void weigh(jm_launcher *l, const jm_op *op) {
  jm_space space;
  double flops = jm_cluster_find_anchor(l->s->m, op, &space) ? jm_emit_price_region(l->s->m, op)
                                                             : jm_emit_estimate(l->s->m, op).flops;
  l->flops += flops;
  for (uint32_t i = 0; i < op->n_results; i++) {
    jm_dtype dtype = jm_op_result_type(l->s->m, op, i)->dtype;
    double bytes = (double)jm_dtype_bytes(jm_dtype_real(dtype));
    if (jm_dtype_is_float(dtype) && bytes < 4) bytes = 4;
    if (jm_op_result_type(l->s->m, op, i)->count == 1) continue;
    l->lane_work += flops + 0.25;
    l->lane_bytes += (flops + 0.25) * bytes;
  }
}

void jm_launcher_pull(jm_launcher *l, const jm_value *values, uint32_t n) {
  jm_scheduler *s = l->s;
  for (uint32_t i = 0; i < n; i++)
    if (s->marks[values[i]] != 2) s->marks[values[i]] = 1;
  for (uint32_t i = s->region->n_ops; i--;) {
    const jm_op *op = jm_module_op(s->m, s->region->ops[i]);
    bool wanted = false;
    for (uint32_t k = 0; k < op->n_results; k++) wanted |= s->marks[op->first_result + k] == 1;
    if (!wanted) continue;
    weigh(l, op);
    for (uint32_t k = 0; k < op->n_operands; k++)
      if (!s->marks[op->operands[k]]) s->marks[op->operands[k]] = 1;
  }
  for (uint32_t i = 0; i < s->region->n_args; i++) {
    jm_value v = s->region->first_arg + i;
    if (s->marks[v] != 1) continue;
    uint32_t alias = s->alias[i] == JM_NONE ? 0 : s->alias[i] + 1;
    bind(l, JM_LAUNCH_OPERAND, i);
    uint32_t param = jm_emit_param(l->e, jm_module_typeof(s->m, v), JM_SPACE_GLOBAL, false, alias);
    jm_emit_leaf_param(l->e, v, param);
  }
}

uint32_t jm_launcher_result(jm_launcher *l, uint32_t i) {
  jm_scheduler *s = l->s;
  uint32_t alias = 0;
  for (uint32_t k = 0; k < s->region->n_args; k++)
    if (s->alias[k] == i) alias = i + 1;
  bind(l, JM_LAUNCH_RESULT, i);
  const jm_type *type = jm_module_typeof(s->m, s->region->results[i]);
  return jm_emit_param(l->e, type, JM_SPACE_GLOBAL, true, alias);
}

uint32_t jm_launcher_temporary(jm_launcher *l, uint32_t i, jm_dtype dtype, int64_t elements,
                               bool written) {
  bind(l, JM_LAUNCH_TEMPORARY, i);
  return jm_kbuild_param(l->b, JM_SPACE_GLOBAL, jm_emit_storage(dtype),
                         elements * jm_emit_words(dtype), written, 0);
}

uint32_t jm_launcher_scratch(jm_launcher *l, jm_dtype dtype, int64_t elements) {
  return jm_kbuild_param(l->b, JM_SPACE_SCRATCH, jm_emit_storage(dtype),
                         elements * jm_emit_words(dtype), true, 0);
}

jm_error *jm_scheduler_temporary(jm_scheduler *s, jm_dtype dtype, int64_t elements, uint32_t *out) {
  jm_schedule *schedule = s->schedule;
  size_t bytes,
      *grown = jm_arena_alloc(&schedule->arena, schedule->n_temporaries + 1, sizeof *grown);
  if (!grown) return jm_error_out_of_memory();
  if (!jm_size_mul((size_t)elements, jm_dtype_bytes(dtype), &bytes))
    return jm_error_internal("a temporary of %lld elements", (long long)elements);
  if (schedule->n_temporaries)
    memcpy(grown, schedule->temporary_bytes, schedule->n_temporaries * sizeof *grown);
  grown[schedule->n_temporaries] = bytes;
  schedule->temporary_bytes = grown;
  *out = schedule->n_temporaries++;
  return NULL;
}

jm_error *jm_launcher_end(jm_launcher *l) {
  jm_schedule *schedule = l->s->schedule;
  jm_kernel *kernel = NULL;
  jm_emit_destroy(l->e);
  jm_error *error = jm_kbuilder_finish(l->b, &kernel);
  jm_kbuilder_destroy(l->b);
  if (error) return error;
  jm_launch *grown = jm_arena_alloc(&schedule->arena, schedule->n_launches + 1, sizeof *grown);
  if (!grown) {
    jm_kernel_destroy(kernel);
    return jm_error_out_of_memory();
  }
  if (schedule->n_launches) memcpy(grown, schedule->launches, schedule->n_launches * sizeof *grown);
  grown[schedule->n_launches++] = (jm_launch){kernel, l->arguments};
  schedule->launches = grown;
  return NULL;
}

uint32_t jm_launcher_width(const jm_launcher *l, int64_t iterations) {
  /* Several registers hide latency as long as there are enough of them. */
  uint32_t registers = l->flops > 150 ? 1 : l->flops > 8 ? 2 : 4;
  double bytes = l->lane_work > 0 ? l->lane_bytes / l->lane_work : 4;
  uint32_t element = bytes <= 1.5 ? 1 : bytes <= 3 ? 2 : bytes <= 6 ? 4 : 8;
  uint32_t width = l->s->target->vector_bytes * registers / element;
  while (width > 1 && width > iterations) width /= 2;
  return width ? width : 1;
}

void jm_launcher_group(jm_launcher *l, int64_t iterations, int64_t per_lane) {
  const jm_target *target = l->s->target;
  if (target->threads == 1) return;
  l->threads = target->least_threads;
  while (l->threads < target->threads && l->threads * per_lane < iterations) l->threads *= 2;
}

bool jm_launcher_combines(const jm_launcher *l, int64_t most) {
  return l->threads > 1 || jm_launcher_width(l, most) > 1;
}

void jm_launcher_lanes(jm_launcher *l, jm_kval lower, jm_kval upper, int64_t most,
                       const jm_kval *initial, uint32_t n, jm_kloop *loop) {
  const uint32_t width = l->threads > 1 ? l->threads : jm_launcher_width(l, most);
  const jm_kbinding binding = l->threads > 1 ? JM_BIND_THREADS
                              : width > 1    ? JM_BIND_VECTOR
                                             : JM_BIND_SERIAL;
  jm_kbuild_loop_begin(l->b, binding, width, lower, upper, initial, n, loop);
}

static double estimate_ns(const jm_launcher *l, double points) {
  const jm_target *target = l->s->target;
  return points * (target->cost.point + target->cost.flop * l->flops);
}

int64_t jm_launcher_grain(const jm_launcher *l, double points) {
  const double ns = estimate_ns(l, points), thread = l->s->target->cost.thread;
  return ns > 0 && ns < thread ? (int64_t)(thread / ns) + 1 : 1;
}

jm_kval jm_launcher_chunk(jm_launcher *l, int64_t chunks, double points, jm_kloop *loop,
                          bool *open) {
  *open = chunks > 1;
  if (!*open) return jm_kbuild_index(l->b, 0);
  jm_kbuild_chunk_begin(l->b, chunks, jm_launcher_grain(l, points), loop);
  return loop->index;
}

void jm_launcher_chunk_end(jm_launcher *l, jm_kloop *loop, bool open) {
  if (open) jm_kbuild_loop_end(l->b, loop, NULL);
}

void jm_launcher_block(jm_launcher *l, jm_kval i, int64_t size, int64_t count, jm_kval *lower,
                       jm_kval *upper) {
  *lower = jm_launcher_scale(l, i, size);
  *upper = jm_launcher_add(l, *lower, jm_kbuild_index(l->b, size));
  if (count % size) *upper = jm_kbuild2(l->b, JM_K_smin, *upper, jm_kbuild_index(l->b, count));
}

/* -- maps */

typedef struct nest {
  const jm_axes *axes;
  const jm_cuts *cuts; /* per axis, or NULL */
  jm_launcher_body *body;
  void *context;
  uint32_t
      lanes;     /* the axis along which vectors run: the last one, or the one before a short one */
  int64_t inner; /* points inside of one position of it */
  jm_kval x[JM_CLUSTER_RANK * 2];
} nest;

/* Piece i of [lower, upper), as an axis is cut; the number of pieces. */
static uint32_t pieces(const nest *n, uint32_t axis) { return n->cuts ? n->cuts[axis].n - 1 : 1; }

static void piece(jm_launcher *l, const nest *n, uint32_t axis, uint32_t i, jm_kval *lower,
                  jm_kval *upper) {
  if (!i || !n->cuts) {
    if (pieces(n, axis) == 1) return;
  } else {
    *lower = jm_kbuild2(l->b, JM_K_smax, *lower, jm_kbuild_index(l->b, n->cuts[axis].at[i]));
  }
  *upper = jm_kbuild2(l->b, JM_K_smin, *upper, jm_kbuild_index(l->b, n->cuts[axis].at[i + 1]));
}

/* [lower, upper) of the lanes' axis, at positions x on those outside; first: its point at 0. */
static void run_piece(jm_launcher *l, nest *n, jm_kval first, jm_kval lower, jm_kval upper,
                      int64_t most) {
  jm_kloop loop, inside;
  jm_kval zero = jm_kbuild_index(l->b, 0), inner = jm_kbuild_index(l->b, n->inner), at = zero;
  jm_launcher_lanes(l, lower, upper, most, NULL, 0, &loop);
  n->x[n->lanes] = loop.index;
  bool nested = n->lanes + 1 < n->axes->n;
  if (nested) {
    jm_kbuild_loop_begin(l->b, JM_BIND_SERIAL, 1, zero, inner, NULL, 0, &inside);
    n->x[n->lanes + 1] = at = inside.index;
  }
  jm_kval point = jm_launcher_add(l, jm_launcher_scale(l, loop.index, n->inner), at);
  n->body(n->context, l, n->x, jm_launcher_add(l, first, point));
  if (nested) jm_kbuild_loop_end(l->b, &inside, NULL);
  jm_kbuild_loop_end(l->b, &loop, NULL);
}

static void run_line(jm_launcher *l, nest *n, jm_kval first, jm_kval lower, jm_kval upper) {
  for (uint32_t i = 0; i < pieces(n, n->lanes); i++) {
    int64_t most = n->axes->sizes[n->lanes];
    if (n->cuts) most = n->cuts[n->lanes].at[i + 1] - n->cuts[n->lanes].at[i];
    jm_kval from = lower, to = upper;
    piece(l, n, n->lanes, i, &from, &to);
    run_piece(l, n, first, from, to, most);
  }
}

/* Points of a chunk of a map: fewer of those that cost more, and whole vectors. */
static int64_t chunk_points(const jm_launcher *l) {
  const jm_target *target = l->s->target;
  int64_t points = target->size.chunk;
  while (points > target->size.least_chunk && estimate_ns(l, (double)points) > target->cost.chunk)
    points /= 2;
  return points;
}

static bool is_few(const jm_launcher *l, int64_t points) {
  return points <= l->s->target->size.few &&
         estimate_ns(l, (double)points) < 2 * l->s->target->cost.chunk;
}

static int64_t at_least_one(int64_t n) { return n ? n : 1; }

/* Long lines are cut into blocks. */
static void map_blocks(jm_launcher *l, nest *n) {
  int64_t size = n->axes->sizes[n->lanes], line = size * n->inner, rows = n->axes->count / line;
  int64_t step = is_few(l, line) ? size : at_least_one(chunk_points(l) / n->inner);
  int64_t blocks = (size + step - 1) / step;
  bool open;
  jm_kloop loop;
  jm_kval lower, upper;
  jm_kval chunk = jm_launcher_chunk(l, rows * blocks, (double)(step * n->inner), &loop, &open);
  jm_kval count = jm_kbuild_index(l->b, blocks);
  jm_kval row = jm_kbuild2(l->b, JM_K_udiv, chunk, count);
  jm_launcher_block(l, jm_kbuild2(l->b, JM_K_urem, chunk, count), step, size, &lower, &upper);
  if (n->lanes) jm_axes_split(l->b, n->axes->sizes, n->lanes, row, n->x);
  run_line(l, n, jm_launcher_scale(l, row, line), lower, upper);
  jm_launcher_chunk_end(l, &loop, open);
}

/* Short lines are taken several at a time. */
static void map_rows(jm_launcher *l, nest *n) {
  int64_t size = n->axes->sizes[n->lanes], line = size * n->inner, rows = n->axes->count / line;
  int64_t step = is_few(l, n->axes->count) ? rows : at_least_one(chunk_points(l) / line);
  bool open;
  jm_kloop chunks, loop;
  jm_kval lower, upper;
  jm_kval chunk =
      jm_launcher_chunk(l, (rows + step - 1) / step, (double)(step * line), &chunks, &open);
  jm_launcher_block(l, chunk, step, rows, &lower, &upper);
  for (uint32_t i = 0; i < (n->lanes == 1 ? pieces(n, 0) : 1); i++) {
    jm_kval from = lower, to = upper;
    if (n->lanes == 1) piece(l, n, 0, i, &from, &to);
    jm_kbuild_loop_begin(l->b, JM_BIND_SERIAL, 1, from, to, NULL, 0, &loop);
    jm_axes_split(l->b, n->axes->sizes, n->lanes, loop.index, n->x);
    run_line(l, n, jm_launcher_scale(l, loop.index, line), jm_kbuild_index(l->b, 0),
             jm_kbuild_index(l->b, size));
    jm_kbuild_loop_end(l->b, &loop, NULL);
  }
  jm_launcher_chunk_end(l, &chunks, open);
}

/* Points of all axes, flattened, in the lanes of groups: neighbours touch neighbouring elements,
 * and lines of any length leave no lane idle. Fewer points a lane where there would be few groups.
 */
static void map_threads(jm_launcher *l, nest *n) {
  const int64_t count = n->axes->count;
  jm_launcher_group(l, count, 1);
  int64_t step = chunk_points(l);
  while (step / 2 >= l->threads && count / step < l->s->target->size.enough_chunks) step /= 2;
  if (step < l->threads) step = l->threads;
  bool open;
  jm_kloop chunks, loop;
  jm_kval lower, upper;
  jm_kval chunk = jm_launcher_chunk(l, (count + step - 1) / step, (double)step, &chunks, &open);
  jm_launcher_block(l, chunk, step, count, &lower, &upper);
  jm_launcher_lanes(l, lower, upper, step, NULL, 0, &loop);
  jm_axes_split(l->b, n->axes->sizes, n->axes->n, loop.index, n->x);
  n->body(n->context, l, n->x, loop.index);
  jm_kbuild_loop_end(l->b, &loop, NULL);
  jm_launcher_chunk_end(l, &chunks, open);
}

void jm_launcher_map(jm_launcher *l, const jm_axes *axes, const jm_cuts *cuts,
                     jm_launcher_body *body, void *context) {
  nest n = {.axes = axes,
            .cuts = cuts,
            .body = body,
            .context = context,
            .lanes = axes->n - 1,
            .inner = 1};
  if (!axes->count) return;
  if (l->s->target->threads > 1) {
    map_threads(l, &n);
    return;
  }
  int64_t last = axes->sizes[axes->n - 1];
  if (axes->n > 1 && last < l->s->target->size.short_axis && axes->sizes[axes->n - 2] > last)
    n.lanes--, n.inner = last;
  if (!n.lanes || axes->sizes[n.lanes] * n.inner >= l->s->target->size.chunk)
    map_blocks(l, &n);
  else
    map_rows(l, &n);
}
