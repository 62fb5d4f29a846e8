/* SPDX-License-Identifier: Apache-2.0
 * An optimistic fixed point: every small integer is a control value until something that it
 * depends on is not one. A loop's carry depends on its initial value and on the body's result, so
 * that a counter remains one:
 *
 *   while %zero, %x { (%i, %y) %c = compare %i, %ten  return %c }
 *                   { (%i, %y) %n = add %i, %one  ...  return %n, %z }
 *
 * %i, %n and %c are control values, %y is not. */
#include "pass/control.h"

#include "pass/rewrite.h"

bool jm_control_allows(const jm_module *m, const jm_op *op) {
  return !jm_rewrite_has_effect(m, op) && op->code != JM_OP_fusion && op->n_results;
}

static bool is_small(const jm_type *type) {
  return jm_type_bytes(type) <= JM_CONTROL_BYTES &&
         (jm_dtype_is_integer(type->dtype) || type->dtype == JM_DT_pred);
}

typedef struct search {
  const jm_module *m;
  bool *control, *decides;
  bool changed;
} search;

/* -- what decides where a program goes on: conditions, branches, and all that they depend on */

static void decide(search *s, jm_value v) {
  s->changed |= !s->decides[v];
  s->decides[v] = true;
}

static void decide_if(search *s, jm_value v, jm_value with) {
  if (s->decides[with]) decide(s, v);
}

static void decide_while(search *s, const jm_op *op) {
  const jm_region *body = jm_op_region(s->m, op, 1);
  decide(s, jm_op_region(s->m, op, 0)->results[0]);
  for (uint32_t i = 0; i < op->n_operands; i++)
    for (uint32_t r = 0; r < 2; r++) {
      const jm_value arg = jm_op_region(s->m, op, r)->first_arg + i;
      decide_if(s, op->operands[i], arg);
      if (i < op->n_results) decide_if(s, body->results[i], arg);
    }
  for (uint32_t i = 0; i < op->n_results; i++) {
    decide_if(s, op->operands[i], op->first_result + i);
    decide_if(s, body->results[i], op->first_result + i);
  }
}

static void decide_case(search *s, const jm_op *op) {
  decide(s, op->operands[0]);
  for (uint32_t r = 0; r < op->n_regions; r++) {
    const jm_region *branch = jm_op_region(s->m, op, r);
    for (uint32_t i = 0; i < branch->n_args; i++)
      decide_if(s, op->operands[i + 1], branch->first_arg + i);
    for (uint32_t i = 0; i < op->n_results; i++)
      decide_if(s, branch->results[i], op->first_result + i);
  }
}

static void decide_region(search *s, jm_region_id id) {
  const jm_region *region = jm_module_region(s->m, id);
  for (uint32_t k = region->n_ops; k--;) {
    const jm_op *op = jm_module_op(s->m, region->ops[k]);
    if (op->code == JM_OP_while)
      decide_while(s, op);
    else if (op->code == JM_OP_case)
      decide_case(s, op);
    else
      for (uint32_t r = 0; r < op->n_results; r++)
        for (uint32_t i = 0; i < op->n_operands; i++)
          decide_if(s, op->operands[i], op->first_result + r);
  }
}

/* -- what the host computes */

/* v is a control value only if `with` is. */
static void follow(search *s, jm_value v, jm_value with) {
  if (!s->control[v] || s->control[with]) return;
  s->control[v] = false;
  s->changed = true;
}

static void refuse(search *s, jm_value v) {
  s->changed |= s->control[v];
  s->control[v] = false;
}

/* Argument i of the loop's regions, operand i: carries come back, captures don't. */
static void visit_while(search *s, const jm_op *op) {
  const jm_region *body = jm_op_region(s->m, op, 1);
  for (uint32_t i = 0; i < op->n_operands; i++)
    for (uint32_t r = 0; r < 2; r++) {
      const jm_value arg = jm_op_region(s->m, op, r)->first_arg + i;
      follow(s, arg, op->operands[i]);
      if (i < op->n_results) follow(s, arg, body->results[i]);
    }
  for (uint32_t i = 0; i < op->n_results; i++) {
    follow(s, op->first_result + i, op->operands[i]);
    follow(s, op->first_result + i, body->results[i]);
  }
}

static void visit_case(search *s, const jm_op *op) {
  for (uint32_t r = 0; r < op->n_regions; r++) {
    const jm_region *branch = jm_op_region(s->m, op, r);
    for (uint32_t i = 0; i < branch->n_args; i++)
      follow(s, branch->first_arg + i, op->operands[i + 1]);
    for (uint32_t i = 0; i < op->n_results; i++) {
      follow(s, op->first_result + i, branch->results[i]);
      follow(s, op->first_result + i, op->operands[0]);
    }
  }
}

/* All or nothing: an op runs in one place. */
static void visit_op(search *s, const jm_op *op) {
  bool all = jm_control_allows(s->m, op);
  for (uint32_t i = 0; i < op->n_operands; i++) all = all && s->control[op->operands[i]];
  for (uint32_t i = 0; i < op->n_results; i++) all = all && s->control[op->first_result + i];
  for (uint32_t i = 0; !all && i < op->n_results; i++) refuse(s, op->first_result + i);
}

static void visit_region(search *s, jm_region_id id) {
  const jm_region *region = jm_module_region(s->m, id);
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(s->m, region->ops[i]);
    if (op->code == JM_OP_while)
      visit_while(s, op);
    else if (op->code == JM_OP_case)
      visit_case(s, op);
    else
      visit_op(s, op);
  }
}

/* The regions whose values the engine sees: not a reduction's body, nor a fusion's. */
static bool is_run(const jm_module *m, jm_region_id id) {
  const jm_op_id parent = jm_module_region(m, id)->parent;
  if (parent == JM_NONE) return true;
  const jm_opcode code = jm_module_op(m, parent)->code;
  return code == JM_OP_while || code == JM_OP_case;
}

static void start(search *s, jm_region_id id, bool all_arguments) {
  const jm_region *region = jm_module_region(s->m, id);
  const bool is_entry = id == s->m->entry;
  for (uint32_t a = 0; a < region->n_args; a++) {
    const jm_value v = region->first_arg + a;
    s->control[v] =
        is_small(jm_module_typeof(s->m, v)) && (!is_entry || all_arguments || s->decides[v]);
  }
  for (uint32_t k = 0; k < region->n_ops; k++) {
    const jm_op *op = jm_module_op(s->m, region->ops[k]);
    for (uint32_t r = 0; r < op->n_results; r++)
      s->control[op->first_result + r] = is_small(jm_op_result_type(s->m, op, r));
  }
}

/* To a fixed point. */
static void visit_all(search *s, const jm_region_id *regions, uint32_t n,
                      void (*visit)(search *, jm_region_id)) {
  do {
    s->changed = false;
    for (uint32_t i = 0; i < n; i++) visit(s, regions[i]);
  } while (s->changed);
}

jm_error *jm_control_find(const jm_module *m, bool all_arguments, bool *control) {
  jm_region_id *regions;
  uint32_t n, n_run = 0;
  JM_TRY(jm_rewrite_regions(m, &regions, &n));
  search s = {m, control, jm_alloc(m->n_values + 1u, sizeof *s.decides), false};
  if (!s.decides) {
    jm_free(regions);
    return jm_error_out_of_memory();
  }
  for (jm_value v = 0; v < m->n_values; v++) control[v] = false;
  for (uint32_t i = 0; i < n; i++)
    if (is_run(m, regions[i])) regions[n_run++] = regions[i];
  if (!all_arguments) visit_all(&s, regions, n_run, decide_region);
  for (uint32_t i = 0; i < n_run; i++) start(&s, regions[i], all_arguments);
  visit_all(&s, regions, n_run, visit_region);
  jm_free(s.decides);
  jm_free(regions);
  return NULL;
}
