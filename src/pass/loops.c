/* SPDX-License-Identifier: Apache-2.0
 * Loops that are compiled as one kernel: a `while` whose iterations have less work than the steps
 * of a plan would cost becomes a fusion of its own (kernel/schedule/schedule.h decides). Nested
 * loops are tried where the outer one does not fit. */
#include "kernel/schedule/schedule.h"
#include "pass/rewrite.h"

typedef struct loops {
  jm_module *m;
  jm_region_id region, borrowed;
  jm_value *stands; /* per old value: its replacement */
} loops;

/* The ops of a list, to the end of the fusion's body. */
static jm_error *clone(loops *l, jm_op_id *ops, uint32_t n, jm_region_id body, jm_value *map) {
  jm_module_region(l->m, l->borrowed)->ops = ops;
  jm_module_region(l->m, l->borrowed)->n_ops = n;
  jm_error *error = jm_build_clone(l->m, l->borrowed, body, map);
  jm_module_region(l->m, l->borrowed)->n_ops = 0;
  jm_module_region(l->m, l->borrowed)->ops = NULL;
  return error;
}

/* Is it one number for all elements, of which no memory needs to be made? */
static bool is_splat(const jm_module *m, jm_value v) {
  const jm_constant_attrs *constant = jm_rewrite_constant(m, v);
  return constant && constant->value.splat;
}

/* The arguments of the fusion's body and in it the loop, with map from the values around it. ops:
 * the loop, behind constants that become a part of the body. */
static jm_error *build_body(loops *l, jm_op_id fusion, jm_op_id *ops, uint32_t n_ops,
                            const jm_value *inputs, uint32_t n_inputs, const uint32_t *wanted,
                            uint32_t n_wanted) {
  jm_module *m = l->m;
  const jm_region_id body = jm_module_op(m, fusion)->first_region;
  const jm_op_id loop = ops[n_ops - 1];
  const jm_value first = m->n_values;
  jm_value arg;
  for (uint32_t i = 0; i < n_inputs; i++)
    JM_TRY(jm_build_arg(m, body, jm_module_typeof(m, inputs[i]), &arg));
  jm_value *map = jm_alloc(m->n_values, sizeof *map);
  jm_value *results = jm_alloc(n_wanted, sizeof *results);
  jm_error *error = map && results ? NULL : jm_error_out_of_memory();
  if (!error) {
    for (uint32_t i = 0; i < n_inputs; i++) map[inputs[i]] = first + i;
    error = clone(l, ops, n_ops, body, map);
  }
  const jm_value old = jm_module_op(m, loop)->first_result;
  for (uint32_t i = 0; !error && i < n_wanted; i++) {
    results[i] = map[old + wanted[i]];
    l->stands[old + wanted[i]] = jm_module_op(m, fusion)->first_result + i;
  }
  if (!error) error = jm_build_results(m, body, results, n_wanted);
  jm_free(map);
  jm_free(results);
  return error;
}

/* Puts a fusion with the loop in it at place i of the region. */
static jm_error *wrap(loops *l, uint32_t i) {
  jm_module *m = l->m;
  const jm_op_id loop = jm_module_region(m, l->region)->ops[i];
  const jm_op *op = jm_module_op(m, loop);
  const uint32_t n_results = op->n_results;
  jm_value *inputs = jm_alloc(op->n_operands, sizeof *inputs);
  uint32_t *wanted = jm_alloc(n_results, sizeof *wanted);
  const jm_type **types = jm_alloc(n_results, sizeof *types);
  jm_op_id *ops = jm_alloc(op->n_operands + 1, sizeof *ops); /* splats, then the loop */
  jm_error *error = inputs && wanted && types && ops ? NULL : jm_error_out_of_memory();
  uint32_t n_inputs = 0, n_wanted = 0, n_ops = 0;
  for (uint32_t k = 0; !error && k < op->n_operands; k++) {
    uint32_t at = 0;
    if (is_splat(m, op->operands[k])) {
      const jm_op_id id = m->values[op->operands[k]].op;
      while (at < n_ops && ops[at] != id) at++;
      ops[at] = id;
      if (at == n_ops) n_ops++;
      continue;
    }
    while (at < n_inputs && inputs[at] != op->operands[k]) at++;
    inputs[at] = op->operands[k];
    if (at == n_inputs) n_inputs++;
  }
  for (uint32_t k = 0; !error && k < n_results; k++) {
    if (!jm_region_count_uses(m, jm_module_region(m, l->region), op->first_result + k)) continue;
    types[n_wanted] = jm_op_result_type(m, op, k);
    wanted[n_wanted++] = k;
  }
  if (!error && n_wanted) { /* else the loop is unused, and dce will remove it */
    const jm_op_spec spec = {.code = JM_OP_fusion,
                             .operands = inputs,
                             .n_operands = n_inputs,
                             .result_types = types,
                             .n_results = n_wanted,
                             .n_regions = 1,
                             .loc = op->loc};
    jm_op_id id;
    error = jm_build_op(m, l->region, &spec, &id);
    ops[n_ops++] = loop;
    if (!error) error = build_body(l, id, ops, n_ops, inputs, n_inputs, wanted, n_wanted);
    jm_region *region = jm_module_region(m, l->region);
    if (!error) {
      region->ops[i] = id;
      region->n_ops--; /* built at the end, stands here */
    }
  }
  jm_free(inputs);
  jm_free(wanted);
  jm_free(types);
  jm_free(ops);
  return error;
}

static jm_error *walk(jm_module *m, const jm_target *target, jm_region_id region,
                      jm_region_id borrowed) {
  const uint32_t n_values = m->n_values;
  loops l = {.m = m, .region = region, .borrowed = borrowed};
  l.stands = jm_alloc(n_values, sizeof *l.stands);
  jm_error *error = l.stands ? NULL : jm_error_out_of_memory();
  for (jm_value v = 0; !error && v < n_values; v++) l.stands[v] = v;
  for (uint32_t i = 0; !error && i < jm_module_region(m, region)->n_ops; i++) {
    const jm_op *op = jm_module_op(m, jm_module_region(m, region)->ops[i]);
    if (op->code != JM_OP_while && op->code != JM_OP_case) continue;
    bool fits = false;
    error = jm_schedule_loop_fits(target, m, op, &fits);
    if (error || fits) {
      if (!error) error = wrap(&l, i);
      continue;
    }
    const jm_region_id first = op->first_region;
    const uint32_t n = op->n_regions;
    for (uint32_t r = 0; !error && r < n; r++) error = walk(m, target, first + r, borrowed);
  }
  if (!error) jm_rewrite_uses(m, region, l.stands, n_values);
  jm_free(l.stands);
  return error;
}

jm_error *jm_pass_loops(jm_module *m, const jm_pass_options *options, bool *changed) {
  jm_region_id borrowed;
  JM_TRY(jm_build_region(m, &borrowed));
  const uint32_t n_ops = m->n_ops;
  JM_TRY(walk(m, options->target, m->entry, borrowed));
  *changed |= m->n_ops != n_ops;
  return NULL;
}
