/* SPDX-License-Identifier: Apache-2.0
 * Scatters of rows: the kernel computes rows of the updates and joins each to its row of the
 * result, in the order of a list of their numbers. The engine's library makes the lists
 * (engine/host/library/scatter.c): which rows, in which thread.
 *
 *   loop chunk { row = load list; to = load indices[row]; the result's row `to` joins row `row` }
 */
#include "ir/body.h"
#include "kernel/emit/emit_rules.h"
#include "kernel/schedule/launch.h"
#include "kernel/schedule/scatter.h"

static int64_t row_size(const jm_module *m, const jm_op *op) {
  const jm_type *to = jm_op_result_type(m, op, 0);
  return to->count / to->dims[0];
}

/* The numbers of rows are the indices as they lie, and the updates have a row for each. */
static bool is_by_rows(const jm_module *m, const jm_op *op) {
  const jm_scatter_attrs *a = op->attrs;
  const jm_type *to = jm_op_result_type(m, op, 0), *indices = jm_op_operand_type(m, op, 1);
  const jm_type *updates = jm_op_operand_type(m, op, 2);
  const uint32_t window = to->rank - 1;
  if (indices->dtype != JM_DT_s32 || a->input_batching_dims.n || updates->rank < window ||
      a->scatter_dims_to_operand_dims.n != 1 || a->scatter_dims_to_operand_dims.data[0] ||
      a->inserted_window_dims.n != 1 || a->inserted_window_dims.data[0] ||
      a->update_window_dims.n != window || to->dims[0] > INT32_MAX)
    return false;
  for (uint32_t d = 0; d < window; d++) {
    const uint32_t from = updates->rank - window + d;
    if (a->update_window_dims.data[d] != (int64_t)from || updates->dims[from] != to->dims[d + 1])
      return false;
  }
  return a->index_vector_dim + 1 >= (int64_t)indices->rank &&
         updates->count == indices->count * row_size(m, op);
}

bool jm_scatter_takes_rows(const jm_target *target, const jm_module *m, const jm_op *op) {
  if (op->code != JM_OP_scatter || op->n_results != 1 || op->n_captures) return false;
  const jm_type *to = jm_op_result_type(m, op, 0), *updates = jm_op_operand_type(m, op, 2);
  if (!to->rank || !to->count || !updates->count || !is_by_rows(m, op)) return false;
  const int64_t row = row_size(m, op), n = updates->count / row;
  const int64_t least = target->scatter.least_rows;
  return target->scatter.least_row && row >= target->scatter.least_row && n >= least &&
         to->dims[0] >= least && n <= INT32_MAX && jm_emit_check_region(m, op);
}

/* Is an element computed without a loop, or a short one? */
static bool is_inline(const jm_target *target, const jm_module *m, const jm_op *op) {
  if (!jm_emit_supports(m, op)) return false;
  if (!jm_emit_estimate(m, op).loops) return true;
  return op->code == JM_OP_reduce &&
         jm_op_operand_type(m, op, 0)->count <=
             jm_op_result_type(m, op, 0)->count * target->row.inline_points;
}

bool jm_scatter_takes_group(const jm_target *target, const jm_module *m, const jm_op *fusion) {
  const jm_region *region = jm_op_region(m, fusion, 0);
  double flops = 0;
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    if (!is_inline(target, m, op)) return false;
    flops += jm_emit_estimate(m, op).flops;
  }
  return fusion->n_results == 1 && flops <= target->scatter.max_flops;
}

/* -- the kernel */

typedef struct rows {
  const jm_op *op;
  jm_value updates;
  const jm_type *type; /* of the updates */
  int64_t row;         /* elements */
  jm_axes axes;        /* of the updates */
  uint32_t first;      /* of the axes inside of a row */
  jm_kval x[JM_CLUSTER_RANK * 2];
  bool assigns;
  uint32_t result; /* the parameter */
} rows;

static void find_axes(const jm_scheduler *s, rows *r) {
  jm_axes_init(&r->axes, r->type->count);
  jm_axes_add(&r->axes, r->row);
  jm_axes_add_value(&r->axes, r->type, s->breaks[r->updates]);
  jm_axes_finish(&r->axes);
  r->first = r->axes.n;
  for (int64_t inside = 1; inside < r->row; inside *= r->axes.sizes[r->first]) r->first--;
}

/* The update at r->x joins the result's element. */
static void join(jm_launch_builder *l, rows *r, jm_kval point) {
  jm_kval index[JM_CLUSTER_RANK];
  const jm_dtype dtype = r->type->dtype;
  jm_axes_index(l->b, r->axes.sizes, r->x, r->axes.n, r->type, index);
  jm_element args[2], joined;
  args[1] = joined = jm_emit_value(l->e, r->updates, index);
  if (!r->assigns) {
    args[0] = jm_emit_load(l->e, dtype, r->result, point);
    jm_emit_region(l->e, r->op, r->op->first_region, args, &joined);
  }
  jm_emit_store(l->e, dtype, r->result, point, joined);
}

/* The axes from a on, in lanes along the last one; point: the result's, of what was opened. */
static void join_row(jm_launch_builder *l, rows *r, uint32_t a, jm_kval point) {
  jm_kloop loop;
  const int64_t size = r->axes.sizes[a];
  const jm_kval lower = jm_kbuild_index(l->b, 0), upper = jm_kbuild_index(l->b, size);
  const bool is_last = a + 1 == r->axes.n;
  jm_launch_loop(l, is_last ? jm_launch_width(l, size) : 1, lower, upper, NULL, 0, &loop);
  r->x[a] = loop.index;
  point = jm_launch_add(l, jm_launch_scale(l, point, size), loop.index);
  if (is_last)
    join(l, r, point);
  else
    join_row(l, r, a + 1, point);
  jm_kbuild_loop_end(l->b, &loop, NULL);
}

/* x as an i64, in [0, count). */
static jm_kval number(jm_launch_builder *l, jm_kval x, int64_t count) {
  x = jm_k_smax(l->b, jm_k_sext(l->b, JM_KT_i64, x), jm_kbuild_index(l->b, 0));
  return jm_k_smin(l->b, x, jm_kbuild_index(l->b, count - 1));
}

/* The list is as long as all rows are many, so that it is known how much work they are. */
static jm_error *build_rows(jm_scheduler *s, rows *r) {
  const int64_t n = r->type->count / r->row;
  const jm_value indices = r->op->operands[1];
  const jm_type *type = jm_module_typeof(s->m, indices);
  jm_kval index[JM_CLUSTER_RANK];
  jm_launch_builder l;
  jm_kloop chunk;
  JM_TRY(jm_launch_begin(s, &l));
  jm_launch_pull(&l, (jm_value[]){r->updates, indices}, 2);
  const uint32_t list = jm_launch_rows(&l, n);
  r->result = jm_launch_result(&l, 0);
  jm_kbuild_chunk_begin(l.b, n, n, &chunk);
  const jm_kval from = number(&l, jm_kbuild_load(l.b, list, chunk.index), type->count);
  jm_emit_split(l.e, type, from, index);
  const jm_kval to = number(&l, jm_emit_value(l.e, indices, index).part[0],
                            jm_op_result_type(s->m, r->op, 0)->dims[0]);
  jm_axes_split(l.b, r->axes.sizes, r->first, from, r->x);
  join_row(&l, r, r->first, to);
  jm_kbuild_loop_end(l.b, &chunk, NULL);
  return jm_launch_end(&l);
}

/* The operand may be overwritten where nothing else reads it. */
static void reuse_operand(jm_scheduler *s, const jm_op *scatter) {
  const jm_value operand = scatter->operands[0];
  if (jm_module_definition(s->m, operand) || !s->target->may_alias) return;
  if (jm_region_count_uses(s->m, s->region, operand) == 1)
    s->schedule->reuse[operand - s->region->first_arg] = 0;
}

jm_error *jm_schedule_scatter(jm_scheduler *s, bool *fits) {
  const jm_module *m = s->m;
  if (!s->region->n_ops) return NULL;
  const jm_op_id id = s->region->ops[s->region->n_ops - 1];
  const jm_op *op = jm_module_op(m, id);
  if (!jm_scatter_takes_rows(s->target, m, op) || jm_emit_supports(m, op)) return NULL;
  rows r = {.op = op,
            .updates = op->operands[2],
            .type = jm_op_operand_type(m, op, 2),
            .row = row_size(m, op),
            .assigns = jm_body_assigns(m, op->first_region, 1)};
  *fits = true;
  s->schedule->scatter = id;
  find_axes(s, &r);
  reuse_operand(s, op);
  return build_rows(s, &r);
}
