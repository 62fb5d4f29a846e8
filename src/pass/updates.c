/* SPDX-License-Identifier: Apache-2.0
 * The group that computes a scatter's updates becomes one with the scatter, which then computes
 * rows of updates where it adds them: they are never in memory as a whole.
 *
 *   %u: f32[65536,32] = fusion %x, %i { (%x, %i): gathered rows, scaled }
 *   %y: f32[4096,32] = scatter %zero, %j, %u
 * becomes
 *   %y: f32[4096,32] = fusion %x, %i, %j { (%x, %i, %j): the same, %zero, the scatter }
 *
 * A row goes to one place, whose thread computes it: nothing is computed twice. */
#include "kernel/schedule/scatter.h"
#include "pass/rewrite.h"

/* The operands of the group, each once. */
typedef struct inputs {
  jm_value *values;
  uint32_t n;
} inputs;

static uint32_t input_add(inputs *in, jm_value v) {
  uint32_t i = 0;
  while (i < in->n && in->values[i] != v) i++;
  in->values[i] = v;
  in->n += i == in->n;
  return i;
}

static bool is_splat(const jm_module *m, jm_value v) {
  const jm_constant_attrs *constant = jm_rewrite_constant(m, v);
  return constant && constant->value.splat;
}

/* The group that computes the scatter's updates for it alone, JM_NONE: there is none. */
static jm_op_id find_group(const jm_rewrite *rw, const jm_op *scatter) {
  const uint32_t *n_uses = rw->context;
  const jm_value updates = scatter->operands[2];
  const jm_op *op = jm_module_definition(rw->m, updates);
  if (updates >= rw->n_map || !op || op->code != JM_OP_fusion ||
      ((const jm_fusion_attrs *)op->attrs)->kind.size || n_uses[updates] != 1 ||
      op->n_operands + 4 > rw->options->target->group.max_buffers ||
      !jm_scatter_takes_group(rw->options->target, rw->m, op))
    return JM_NONE;
  return rw->m->values[updates].op;
}

/* Clones the ops to the end of the body. */
static jm_error *clone_ops(jm_module *m, jm_op_id *ops, uint32_t n, jm_region_id body,
                           jm_value *map) {
  jm_region_id borrowed;
  JM_TRY(jm_build_region(m, &borrowed));
  jm_module_region(m, borrowed)->ops = ops;
  jm_module_region(m, borrowed)->n_ops = n;
  jm_error *error = jm_build_clone(m, borrowed, body, map);
  jm_module_region(m, borrowed)->ops = NULL;
  jm_module_region(m, borrowed)->n_ops = 0;
  return error;
}

/* The group's ops and the scatter, behind its operand if that is one number. */
static jm_error *build_body(jm_module *m, jm_op_id to, jm_op_id from, jm_op_id scatter,
                            const inputs *in) {
  const jm_region_id body = jm_module_op(m, to)->first_region;
  const jm_value first = m->n_values;
  jm_value arg;
  for (uint32_t i = 0; i < in->n; i++)
    JM_TRY(jm_build_arg(m, body, jm_module_typeof(m, in->values[i]), &arg));
  const jm_op group = *jm_module_op(m, from), op = *jm_module_op(m, scatter);
  jm_value *map = jm_arena_alloc(&m->arena, m->n_values, sizeof *map);
  if (!map) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < in->n; i++) map[in->values[i]] = first + i;
  inputs all = *in;
  for (uint32_t i = 0; i < group.n_operands; i++)
    map[jm_op_region(m, &group, 0)->first_arg + i] = first + input_add(&all, group.operands[i]);
  JM_TRY(jm_build_clone(m, group.first_region, body, map));
  map[op.operands[2]] = map[jm_op_region(m, &group, 0)->results[0]];
  jm_op_id ops[2], n = 0;
  if (is_splat(m, op.operands[0])) ops[n++] = m->values[op.operands[0]].op;
  ops[n++] = scatter;
  JM_TRY(clone_ops(m, ops, n, body, map));
  return jm_build_results(m, body, &map[op.first_result], 1);
}

static jm_error *visit(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  jm_module *m = rw->m;
  const jm_op op = *jm_module_op(m, id); /* building moves the ops */
  if (!jm_scatter_takes_rows(rw->options->target, m, &op)) return NULL;
  const jm_op_id group = find_group(rw, &op);
  if (group == JM_NONE) return NULL;
  const jm_op from = *jm_module_op(m, group);
  inputs in = {jm_arena_alloc(&m->arena, from.n_operands + 2, sizeof *in.values), 0};
  if (!in.values) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < from.n_operands; i++) input_add(&in, from.operands[i]);
  if (!is_splat(m, op.operands[0])) input_add(&in, op.operands[0]);
  input_add(&in, op.operands[1]);
  const jm_type *type = jm_op_result_type(m, &op, 0);
  const jm_op_spec spec = {.code = JM_OP_fusion,
                           .operands = in.values,
                           .n_operands = in.n,
                           .result_types = &type,
                           .n_results = 1,
                           .n_regions = 1,
                           .loc = op.loc};
  jm_op_id fusion;
  JM_TRY(jm_build_op(m, region, &spec, &fusion));
  JM_TRY(build_body(m, fusion, group, id, &in));
  jm_rewrite_replace(rw, op.first_result, jm_module_op(m, fusion)->first_result);
  rw->drop = true;
  return NULL;
}

jm_error *jm_pass_updates(jm_module *m, const jm_pass_options *options, bool *changed) {
  return jm_rewrite_run_counted(m, options, visit, changed);
}
