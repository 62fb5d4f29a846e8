/* SPDX-License-Identifier: Apache-2.0
 * When a loop of independent rows is one kernel. A group's iteration takes as long as the lanes
 * need one after the other, and all groups together as long as what they read takes to come: the
 * captured matrices of products once per row. The launches of the loop's ops take the host's time,
 * once per op that no group takes in. */
#include "kernel/emit/emit_rules.h"
#include "kernel/schedule/loop.h"
#include "kernel/schedule/rows.h"

typedef struct work {
  const jm_module *m;
  const jm_target *target;
  const jm_rows *rows;
  double lanes;    /* of a group */
  double lane_ops; /* operations of a lane, one after the other, in an iteration */
  double bytes;    /* that a row's products read */
  double launches; /* of the loop's ops if they are launched by themselves */
  uint32_t loops;  /* loops of lanes, with a barrier each */
  bool unfit;
} work;

static double count_of_row(const work *w, jm_value v) {
  const jm_type *type = jm_module_typeof(w->m, v);
  return (double)type->count / (w->rows->dims[v] == JM_NONE ? 1 : (double)w->rows->count);
}

static double turns(const work *w, double count) {
  return count <= w->lanes ? 1 : count / w->lanes;
}

/* As many as a group will have (jm_launch_threads): those of the widest value. */
static double lanes_find(const work *w, const jm_op *loop) {
  const jm_region *body = jm_op_region(w->m, loop, 1);
  double most = 1;
  for (uint32_t i = 0; i < body->n_ops; i++) {
    const jm_op *op = jm_module_op(w->m, body->ops[i]);
    if (op->n_results && op->code != JM_OP_dynamic_update_slice &&
        count_of_row(w, op->first_result) > most)
      most = count_of_row(w, op->first_result);
  }
  uint32_t lanes = w->target->least_threads;
  while (lanes < w->target->threads && lanes < most) lanes *= 2;
  return lanes;
}

static void op_weigh(work *w, const jm_op *op) {
  const jm_module *m = w->m;
  if (op->code == JM_OP_while || op->code == JM_OP_case) {
    w->unfit = true; /* how often an inner loop runs is another question */
    return;
  }
  const jm_value v = op->first_result;
  const jm_emit_cost cost = jm_emit_estimate(m, op);
  w->unfit = w->unfit || (op->code != JM_OP_optimization_barrier && !jm_emit_supports(m, op)) ||
             (!w->target->has_f64 && jm_emit_needs_f64(m, op));
  if (op->code == JM_OP_dot_general) {
    w->lane_ops += turns(w, count_of_row(w, v)) * cost.flops;
    for (uint32_t k = 0; k < 2; k++)
      w->bytes += count_of_row(w, op->operands[k]) *
                  (double)jm_dtype_bytes(jm_op_operand_type(m, op, k)->dtype);
    w->loops += 2;
    w->launches += 2; /* and what is made of it */
  } else if (op->code == JM_OP_reduce) {
    w->lane_ops += turns(w, count_of_row(w, op->operands[0])) * (1 + jm_emit_price_region(m, op));
    w->loops++;
    w->launches++;
  } else if (op->code == JM_OP_dynamic_update_slice) {
    w->lane_ops += turns(w, count_of_row(w, op->operands[1])) * cost.flops;
    w->launches++;
  } else {
    w->lane_ops += turns(w, count_of_row(w, v)) * cost.flops * (cost.loops ? 2 : 1);
  }
}

static void region_weigh(work *w, const jm_region *region) {
  for (uint32_t i = 0; i < region->n_ops; i++) op_weigh(w, jm_module_op(w->m, region->ops[i]));
}

/* An integer that is known. */
static bool number_find(const jm_module *m, jm_value v, int64_t *out) {
  const void *bytes = jm_module_element(m, v);
  const jm_dtype dtype = jm_module_typeof(m, v)->dtype;
  if (!bytes || (dtype != JM_DT_s32 && dtype != JM_DT_s64)) return false;
  *out = dtype == JM_DT_s32 ? *(const int32_t *)bytes : *(const int64_t *)bytes;
  return true;
}

/* How often a loop runs that counts up in steps of 1 from a number to another one. */
static bool trips_find(const jm_module *m, const jm_op *loop, double *out) {
  const jm_region *cond = jm_op_region(m, loop, 0), *body = jm_op_region(m, loop, 1);
  const jm_op *test = jm_module_definition(m, cond->results[0]);
  if (!test || test->code != JM_OP_compare ||
      ((const jm_compare_attrs *)test->attrs)->direction != JM_COMPARE_LT)
    return false;
  const jm_value counter = test->operands[0];
  if (counter < cond->first_arg || counter >= cond->first_arg + loop->n_results) return false;
  const uint32_t i = counter - cond->first_arg;
  const jm_op *next = jm_module_definition(m, body->results[i]);
  int64_t first, last, step = 0;
  if (!next || next->code != JM_OP_add) return false;
  for (uint32_t k = 0; k < 2; k++)
    if (next->operands[k] == body->first_arg + i && !number_find(m, next->operands[1 - k], &step))
      return false;
  if (step != 1 || !number_find(m, loop->operands[i], &first) ||
      !number_find(m, test->operands[1], &last))
    return false;
  *out = last > first ? (double)last - (double)first : 0;
  return true;
}

/* The rows of a loop of which nobody needs the results that nobody uses. */
static jm_error *rows_find(const jm_module *m, const jm_op *loop, jm_arena *arena, jm_rows *out) {
  const jm_op_id id = (jm_op_id)(loop - m->ops);
  const jm_region *around = jm_module_region(m, m->values[loop->first_result].region);
  jm_value *used = jm_arena_alloc(arena, loop->n_results, sizeof *used);
  uint32_t n = 0;
  if (!used) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < loop->n_results; i++)
    if (jm_region_count_uses(m, around, loop->first_result + i)) used[n++] = loop->first_result + i;
  return jm_rows_find(m, &id, 1, used, n, arena, out);
}

/* Nanoseconds of an iteration of all rows. */
static double iteration_ns(const work *w) {
  const jm_target *t = w->target;
  const double rows = (double)w->rows->count, resident = (double)t->loop.resident;
  const double waves = rows * w->lanes <= resident ? 1 : rows * w->lanes / resident;
  const double lanes_ns =
      waves * (w->lane_ops * t->loop.lane_ns + (2 + w->loops) * t->loop.barrier_ns);
  const double read_ns = w->bytes * rows * t->loop.read_ns;
  return lanes_ns > read_ns ? lanes_ns : read_ns;
}

jm_error *jm_rows_fit(const jm_target *target, const jm_module *m, const jm_op *loop, bool *fits) {
  const jm_target *t = target;
  jm_arena arena;
  jm_rows rows;
  double trips;
  *fits = false;
  if (!t->loop.resident || !loop->n_results || !trips_find(m, loop, &trips)) return NULL;
  for (uint32_t k = 0; k < loop->n_operands; k++) {
    const jm_type *type = jm_op_operand_type(m, loop, k);
    if (type->rank > JM_LOOP_RANK || !jm_target_holds(t, type->dtype)) return NULL;
  }
  if (loop->n_operands + loop->n_results > t->group.max_buffers) return NULL;
  jm_arena_init(&arena);
  jm_error *error = rows_find(m, loop, &arena, &rows);
  if (!error && rows.count) {
    work w = {.m = m, .target = t, .rows = &rows, .launches = 1};
    w.lanes = lanes_find(&w, loop);
    region_weigh(&w, jm_op_region(m, loop, 1));
    region_weigh(&w, jm_op_region(m, loop, 0));
    const double ns = iteration_ns(&w);
    *fits = !w.unfit && ns <= w.launches * t->cost.launch_ns && ns * trips <= t->loop.max_ns;
  }
  jm_arena_deinit(&arena);
  return error;
}
