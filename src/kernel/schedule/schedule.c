/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/schedule/schedule.h"

#include "kernel/schedule/scheduler.h"

/* The first schedule that fits is taken: special ones come before general ones. The map fits any
 * group (with a launch for each shape among its results). */
static const struct {
  const char *name;
  jm_schedule_fn *build;
} schedules[] = {
    {"scatter", jm_schedule_scatter},
    {"loop", jm_schedule_loop},
    {"row", jm_schedule_row},
    {"reduce", jm_schedule_reduce},
    {"transpose", jm_schedule_transpose},
    {"map", jm_schedule_map},
};

void jm_schedule_destroy(jm_schedule *schedule) {
  if (!schedule) return;
  for (uint32_t i = 0; i < schedule->n_launches; i++)
    jm_kernel_destroy(schedule->launches[i].kernel);
  jm_arena_deinit(&schedule->arena);
  jm_free(schedule);
}

/* -- operands whose memory a result may reuse */

/* Every use must read element i of the operand where element i of the roots is computed. */
static void find_identities(const jm_scheduler *s, uint8_t *moved) {
  bool rows = s->cluster.kind == JM_CLUSTER_ROW;
  for (uint32_t i = s->region->n_ops; i--;) {
    const jm_op *op = jm_module_op(s->m, s->region->ops[i]);
    bool kept = jm_cluster_is_pointwise(s->m, op), is_moved = false;
    jm_space space;
    bool anchor = jm_cluster_find_anchor(s->target, s->m, op, &space);
    for (uint32_t k = 0; k < op->n_results; k++) is_moved |= moved[op->first_result + k];
    for (uint32_t k = 0; k < op->n_operands; k++) {
      const jm_type *from = jm_op_operand_type(s->m, op, k);
      bool updated = op->code == JM_OP_dynamic_update_slice && !k;
      bool same = kept || updated
                      ? from->count == jm_op_result_type(s->m, op, 0)->count
                      : rows && anchor && from->count == jm_space_points(s->cluster.space);
      if (!same || (is_moved && !anchor)) moved[op->operands[k]] = 1;
    }
  }
}

/* Is operand k a parameter of the program that is donated to the output that result i is? */
static bool is_donated(const jm_scheduler *s, uint32_t k, uint32_t i) {
  const jm_region *entry = jm_module_region(s->m, s->m->entry);
  jm_value operand = s->fusion->operands[k];
  if (operand < entry->first_arg || operand - entry->first_arg >= entry->n_args) return false;
  int32_t alias = s->m->arguments[operand - entry->first_arg].alias;
  return alias >= 0 && (uint32_t)alias < entry->n_results &&
         entry->results[alias] == s->fusion->first_result + i;
}

/* Pairs results with operands whose memory they may take; donated: only as the program asks. */
static void pair_results(jm_scheduler *s, const uint8_t *moved, uint8_t *paired, bool donated) {
  for (uint32_t i = 0; i < s->region->n_results; i++) {
    if (paired[i]) continue;
    const jm_type *type = jm_module_typeof(s->m, s->region->results[i]);
    jm_dtype dtype = type->dtype;
    for (uint32_t k = 0; k < s->region->n_args; k++) {
      jm_value arg = s->region->first_arg + k;
      const jm_type *from = jm_module_typeof(s->m, arg);
      if (donated && !is_donated(s, k, i)) continue;
      if (moved[arg] || s->alias[k] != JM_NONE || from->count != type->count ||
          jm_dtype_bytes(from->dtype) != jm_dtype_bytes(dtype) ||
          jm_emit_storage(from->dtype) != jm_emit_storage(dtype))
        continue;
      s->alias[k] = s->schedule->reuse[k] = i;
      paired[i] = 1;
      break;
    }
  }
}

void jm_scheduler_reuse(jm_scheduler *s) {
  if (!s->target->may_alias) return;
  uint8_t *moved = jm_arena_alloc(&s->scratch, s->m->n_values, 1);
  uint8_t *paired = jm_arena_alloc(&s->scratch, s->region->n_results, 1);
  if (!moved || !paired) return; /* a missed optimization, not an error */
  find_identities(s, moved);
  pair_results(s, moved, paired, true);
  pair_results(s, moved, paired, false);
}

/* Drops ops that no result needs: a schedule would allocate memory for values that are never
 * pulled. */
static jm_error *drop_dead(jm_scheduler *s) {
  const jm_region *all = s->region;
  uint8_t *used = jm_arena_alloc(&s->scratch, s->m->n_values, 1);
  s->live = *all;
  s->live.ops = jm_arena_alloc(&s->scratch, all->n_ops + 1, sizeof *s->live.ops);
  if (!used || !s->live.ops) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < all->n_results; i++) used[all->results[i]] = 1;
  uint32_t first = all->n_ops;
  for (uint32_t i = all->n_ops; i--;) {
    const jm_op *op = jm_module_op(s->m, all->ops[i]);
    bool live = false;
    for (uint32_t k = 0; k < op->n_results; k++) live |= used[op->first_result + k];
    for (uint32_t k = 0; k < op->n_operands && live; k++) used[op->operands[k]] = 1;
    if (live) s->live.ops[--first] = all->ops[i];
  }
  s->live.ops += first;
  s->live.n_ops -= first;
  s->region = &s->live;
  return NULL;
}

static jm_error *build(jm_scheduler *s) {
  const jm_module *m = s->m;
  JM_TRY(drop_dead(s));
  s->cluster = (jm_cluster){.m = m,
                            .target = s->target,
                            .ops = s->region->ops,
                            .n_ops = s->region->n_ops,
                            .roots = s->region->results,
                            .n_roots = s->region->n_results};
  s->cluster.relation = jm_arena_alloc(&s->scratch, m->n_values, 1);
  s->cluster.level = jm_arena_alloc(&s->scratch, m->n_values, 1);
  s->pulled = jm_arena_alloc(&s->scratch, m->n_values, sizeof *s->pulled);
  s->seen = jm_arena_alloc(&s->scratch, m->n_values, sizeof *s->seen);
  s->breaks = jm_arena_alloc(&s->scratch, m->n_values, sizeof *s->breaks);
  s->alias = jm_arena_alloc(&s->scratch, s->region->n_args + 1, sizeof *s->alias);
  s->schedule->reuse =
      jm_arena_alloc(&s->schedule->arena, s->region->n_args + 1, sizeof *s->schedule->reuse);
  if (!s->cluster.relation || !s->cluster.level || !s->pulled || !s->seen || !s->breaks ||
      !s->alias || !s->schedule->reuse)
    return jm_error_out_of_memory();
  for (uint32_t i = 0; i < s->region->n_args; i++) s->alias[i] = s->schedule->reuse[i] = JM_NONE;
  bool fits = false;
  jm_cluster_analyse(&s->cluster);
  for (uint32_t i = 0; i < s->region->n_ops; i++)
    jm_axes_propagate(m, jm_module_op(m, s->region->ops[i]), s->breaks);
  for (size_t i = 0; i < sizeof schedules / sizeof *schedules && !fits; i++) {
    s->schedule->name = schedules[i].name;
    JM_TRY(schedules[i].build(s, &fits));
  }
  if (!fits) return jm_error_internal("no schedule fits the group");
  return NULL;
}

jm_error *jm_schedule_build(const jm_module *module, const jm_op *fusion, const jm_target *target,
                            jm_schedule **out) {
  jm_schedule *schedule = jm_alloc(1, sizeof *schedule);
  if (!schedule) return jm_error_out_of_memory();
  jm_arena_init(&schedule->arena);
  schedule->scatter = JM_NONE;
  jm_scheduler s = {.m = module,
                    .whole = module,
                    .fusion = fusion,
                    .region = jm_op_region(module, fusion, 0),
                    .target = target,
                    .schedule = schedule};
  jm_arena_init(&s.scratch);
  jm_error *error = build(&s);
  jm_arena_deinit(&s.scratch);
  if (error) {
    jm_schedule_destroy(schedule);
    return jm_error_note(error, "while scheduling a group of %u ops", s.region->n_ops);
  }
  *out = schedule;
  return NULL;
}
