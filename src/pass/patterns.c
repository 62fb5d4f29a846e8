/* SPDX-License-Identifier: Apache-2.0
 * Groups of ops that a library does in one call become `fusion` ops with a kind, for engines that
 * take the kind. The body holds the original ops, so that it also runs op by op.
 *
 *   %m = reduce %x, -inf dims=[1] { maximum }      %e: f32[4,9] = exponential (subtract %x, %m)
 *   %s = reduce %e, 0 dims=[1] { add }             %y = divide %e, %s
 * becomes
 *   %y: f32[4,9] = fusion %x kind="softmax" { (%x): the same ops }
 *
 * The kinds, with their operands and what their config says:
 *   softmax    x: along the last dimension
 *   logistic   x: 1 / (1 + exp(-x)), as it is spelled out
 *   attention  q, k, v, mask: see patterns_attention.c
 *   layer_norm, rms_norm  x, weight, bias: see patterns_norm.c
 *   product_bias  lhs, rhs, bias: [..., k] by [k, n], plus a vector of n
 * Ops between the operands and the result have no other users. Numbers (a scale, the start of a
 * sum) are constants of the body. A later pattern wins over an earlier one that is a part of it, if
 * the engine takes it. */
#include "pass/patterns.h"

#include <math.h>
#include <string.h>

#include "base/number.h"
#include "ir/body.h"

/* -- matching */

const jm_op *jm_pattern_inner(jm_pattern *p, jm_value v, jm_opcode code, uint32_t uses) {
  const jm_op *op = jm_module_definition(p->m, v);
  if (!op || op->code != code || p->uses[v] != uses || p->n_ops == JM_PATTERN_OPS) return NULL;
  p->ops[p->n_ops++] = p->m->values[v].op;
  return op;
}

bool jm_pattern_is_number(const jm_pattern *p, jm_value v, double *out) {
  const void *bytes = jm_module_element(p->m, v);
  jm_dtype dtype = jm_module_typeof(p->m, v)->dtype;
  float narrow;
  if (!bytes || !jm_dtype_is_float(dtype)) return false;
  if (dtype == JM_DT_f64) {
    memcpy(out, bytes, sizeof *out);
    return true;
  }
  if (dtype == JM_DT_f32)
    memcpy(&narrow, bytes, sizeof narrow);
  else
    jm_number_widen(dtype, bytes, &narrow, 1);
  *out = (double)narrow;
  return true;
}

bool jm_pattern_is(const jm_pattern *p, jm_value v, double wanted) {
  double number;
  return jm_pattern_is_number(p, v, &number) && number == wanted;
}

const jm_op *jm_pattern_reduces_last(jm_pattern *p, jm_value v, jm_opcode code, double start) {
  const jm_op *op = jm_pattern_inner(p, v, JM_OP_reduce, 1);
  if (!op || op->n_results != 1 || op->n_captures) return NULL;
  const jm_reduce_attrs *attrs = op->attrs;
  jm_opcode body;
  if (attrs->dims.n != 1 ||
      attrs->dims.data[0] != (int64_t)jm_op_operand_type(p->m, op, 0)->rank - 1 ||
      !jm_body_binary(p->m, op->first_region, &body) || body != code ||
      !jm_pattern_is(p, op->operands[1], start))
    return NULL;
  return op;
}

/* The value that is repeated along the last dimension. */
static jm_value repeated(jm_pattern *p, jm_value v) {
  const jm_op *op = jm_pattern_inner(p, v, JM_OP_broadcast_in_dim, 1);
  if (!op || jm_op_operand_type(p->m, op, 0)->rank + 1 != jm_module_typeof(p->m, v)->rank)
    return JM_NONE;
  const jm_broadcast_in_dim_attrs *attrs = op->attrs;
  for (uint32_t i = 0; i < attrs->dims.n; i++)
    if (attrs->dims.data[i] != i ||
        jm_op_operand_type(p->m, op, 0)->dims[i] != jm_module_typeof(p->m, v)->dims[i])
      return JM_NONE;
  return op->operands[0];
}

jm_value jm_pattern_repeated_vector(const jm_pattern *p, jm_value v) {
  const jm_op *op = jm_module_definition(p->m, v);
  if (!op || op->code != JM_OP_broadcast_in_dim || jm_op_operand_type(p->m, op, 0)->rank != 1)
    return JM_NONE;
  const jm_broadcast_in_dim_attrs *attrs = op->attrs;
  const jm_type *type = jm_module_typeof(p->m, v);
  return attrs->dims.data[0] == (int64_t)type->rank - 1 &&
                 jm_op_operand_type(p->m, op, 0)->dims[0] == type->dims[type->rank - 1]
             ? op->operands[0]
             : JM_NONE;
}

/* -- softmax */

/* Two transposes that are one: of x, and of x without its last dimension. */
static bool same_move(const jm_transpose_attrs *whole, const jm_transpose_attrs *reduced) {
  uint32_t n = reduced->permutation.n;
  for (uint32_t d = 0; d < n; d++)
    if (whole->permutation.data[d] != reduced->permutation.data[d]) return false;
  return whole->permutation.data[n] == n;
}

/* x - max(x): x. JAX takes the maximum with -inf, too. */
static jm_value less_its_maximum(jm_pattern *p, jm_value v, bool *moved) {
  const jm_op *less = jm_pattern_inner(p, v, JM_OP_subtract, 1), *move = NULL, *again = NULL;
  jm_value most = less ? repeated(p, less->operands[1]) : JM_NONE;
  if (most == JM_NONE) return JM_NONE;
  for (int i = 0; i < 2; i++) {
    const jm_op *op = jm_module_definition(p->m, most);
    if (op && op->code == JM_OP_maximum && !again) {
      bool first = jm_pattern_is(p, op->operands[0], -INFINITY);
      if ((!first && !jm_pattern_is(p, op->operands[1], -INFINITY)) ||
          !jm_pattern_inner(p, most, JM_OP_maximum, 1))
        return JM_NONE;
      again = op;
      most = op->operands[first];
    } else if (op && op->code == JM_OP_transpose && !move) {
      if (!(move = jm_pattern_inner(p, most, JM_OP_transpose, 1))) return JM_NONE;
      most = move->operands[0];
    }
  }
  const jm_op *fold = jm_pattern_reduces_last(p, most, JM_OP_maximum, -INFINITY);
  if (!fold) return JM_NONE;
  const jm_op *x = jm_module_definition(p->m, less->operands[0]);
  *moved = move != NULL;
  bool same = !move ? fold->operands[0] == less->operands[0]
                    : x && x->code == JM_OP_transpose && x->operands[0] == fold->operands[0] &&
                          same_move(x->attrs, move->attrs);
  return same ? less->operands[0] : JM_NONE;
}

jm_value jm_pattern_softmax(jm_pattern *p, const jm_op *divide, bool *moved) {
  if (divide->code != JM_OP_divide) return JM_NONE;
  const jm_op *top = jm_pattern_inner(p, divide->operands[0], JM_OP_exponential, 2);
  jm_value sum = top ? repeated(p, divide->operands[1]) : JM_NONE;
  const jm_op *fold = sum == JM_NONE ? NULL : jm_pattern_reduces_last(p, sum, JM_OP_add, 0);
  if (!fold || fold->operands[0] != divide->operands[0]) return JM_NONE;
  return less_its_maximum(p, top->operands[0], moved);
}

static jm_error *find_softmax(jm_pattern *p, const jm_op *last, bool *found) {
  bool moved;
  p->operands[0] = jm_pattern_softmax(p, last, &moved);
  /* The pattern also looks through a transpose at its operand. */
  *found = p->operands[0] != JM_NONE && !moved;
  if (p->operands[0] != JM_NONE && moved) {
    const jm_op *x = jm_pattern_inner(p, p->operands[0], JM_OP_transpose, 1);
    *found = x != NULL;
    if (x) {
      p->operands[0] = x->operands[0];
      JM_TRY(jm_pattern_set_i64s(p, "permutation",
                                 ((const jm_transpose_attrs *)x->attrs)->permutation.data,
                                 ((const jm_transpose_attrs *)x->attrs)->permutation.n));
    }
  }
  p->n_operands = 1;
  return NULL;
}

/* -- 1 / (1 + exp(-x)) */

static jm_error *find_logistic(jm_pattern *p, const jm_op *last, bool *found) {
  if (!jm_pattern_is(p, last->operands[0], 1)) return NULL;
  const jm_op *add = jm_pattern_inner(p, last->operands[1], JM_OP_add, 1);
  if (!add) return NULL;
  bool first = jm_pattern_is(p, add->operands[0], 1);
  if (!first && !jm_pattern_is(p, add->operands[1], 1)) return NULL;
  const jm_op *power = jm_pattern_inner(p, add->operands[first], JM_OP_exponential, 1);
  const jm_op *minus = power ? jm_pattern_inner(p, power->operands[0], JM_OP_negate, 1) : NULL;
  if (!minus) return NULL;
  p->operands[0] = minus->operands[0];
  p->n_operands = 1;
  *found = true;
  return NULL;
}

/* -- a product and a vector along its last dimension */

static bool is_plain_product(const jm_pattern *p, const jm_op *product) {
  const jm_dot_general_attrs *a = product->attrs;
  const jm_type *lhs = jm_op_operand_type(p->m, product, 0);
  const jm_type *rhs = jm_op_operand_type(p->m, product, 1);
  return !a->lhs_batch.n && a->lhs_contract.n == 1 && rhs->rank == 2 && lhs->rank &&
         a->lhs_contract.data[0] == (int64_t)lhs->rank - 1 && a->rhs_contract.data[0] == 0 &&
         a->lhs_precision == JM_PRECISION_DEFAULT && a->rhs_precision == JM_PRECISION_DEFAULT;
}

static jm_error *find_product_bias(jm_pattern *p, const jm_op *last, bool *found) {
  for (uint32_t i = 0; i < 2 && !*found; i++) {
    const jm_op *product = jm_module_definition(p->m, last->operands[i]);
    if (!product || product->code != JM_OP_dot_general || !is_plain_product(p, product)) continue;
    p->n_ops = 0;
    p->operands[2] = jm_pattern_repeated_vector(p, last->operands[1 - i]);
    if (p->operands[2] == JM_NONE ||
        !jm_pattern_inner(p, last->operands[i], JM_OP_dot_general, 1) ||
        !jm_pattern_inner(p, last->operands[1 - i], JM_OP_broadcast_in_dim, 1))
      continue;
    p->operands[0] = product->operands[0];
    p->operands[1] = product->operands[1];
    p->n_operands = 3;
    *found = true;
  }
  return NULL;
}

/* -- the config */

static jm_dict_entry *config_add(jm_pattern *p, const char *key, jm_dict_kind kind) {
  jm_dict_entry *entry = &p->config[p->n_config++];
  *entry = (jm_dict_entry){.key = {key, (uint32_t)strlen(key)}, .kind = kind};
  return entry;
}

void jm_pattern_set_bool(jm_pattern *p, const char *key, bool value) {
  if (value) config_add(p, key, JM_DICT_BOOL)->i64 = 1;
}

void jm_pattern_set_i64(jm_pattern *p, const char *key, int64_t value) {
  config_add(p, key, JM_DICT_I64)->i64 = value;
}

void jm_pattern_set_f64(jm_pattern *p, const char *key, double value) {
  config_add(p, key, JM_DICT_F64)->f64 = value;
}

jm_error *jm_pattern_set_i64s(jm_pattern *p, const char *key, const int64_t *values, uint32_t n) {
  int64_t *copy = jm_arena_copy(&p->m->arena, values, n, sizeof *copy);
  if (!copy) return jm_error_out_of_memory();
  config_add(p, key, JM_DICT_I64S)->i64s = (jm_i64s){copy, n};
  return NULL;
}

/* -- building. Regions are searched from their last op on, so that a pattern is found before those
 * that are a part of it. */

static const struct {
  jm_opcode last;
  const char *kind;
  jm_pattern_fn *find;
} kinds[] = {
    {JM_OP_dot_general, "attention", jm_pattern_find_attention},
    {JM_OP_divide, "softmax", find_softmax},
    {JM_OP_divide, "logistic", find_logistic},
    {JM_OP_add, "layer_norm", jm_pattern_find_layer_norm},
    {JM_OP_multiply, "layer_norm", jm_pattern_find_layer_norm},
    {JM_OP_divide, "layer_norm", jm_pattern_find_layer_norm},
    {JM_OP_multiply, "rms_norm", jm_pattern_find_rms_norm},
    {JM_OP_divide, "rms_norm", jm_pattern_find_rms_norm},
    {JM_OP_add, "product_bias", find_product_bias},
};

typedef struct finder {
  jm_module *m;
  const jm_pass_options *options;
  uint32_t n_ops, n_values; /* when the search began */
  uint32_t *uses;           /* per value */
  jm_value *stands;         /* per value: the result of a fusion that stands for it */
  bool *gone;               /* per op: in a pattern, but not its last */
  jm_op_id *fusion;         /* per op: the fusion that stands for it and what it ends; JM_NONE */
} finder;

/* The fusion op that the pattern would become, without its region. */
static jm_error *fusion_attrs(const jm_pattern *p, const char *kind, jm_fusion_attrs *out) {
  jm_dict_entry *entries = jm_arena_copy(&p->m->arena, p->config, p->n_config, sizeof *entries);
  if (!entries) return jm_error_out_of_memory();
  *out =
      (jm_fusion_attrs){.kind = {kind, (uint32_t)strlen(kind)}, .config = {entries, p->n_config}};
  return NULL;
}

/* A region that lists the pattern's ops in order, so that they can be cloned. */
static jm_error *ops_borrow(finder *f, const jm_pattern *p, jm_region_id from, jm_op_id last,
                            jm_region_id *out) {
  jm_module *m = f->m;
  JM_TRY(jm_build_region(m, out));
  jm_op_id *list = jm_arena_alloc(&m->arena, p->n_ops + 1, sizeof *list);
  if (!list) return jm_error_out_of_memory();
  uint32_t n = 0;
  const jm_region *region = jm_module_region(m, from);
  for (uint32_t i = 0; i < region->n_ops; i++) {
    bool listed = region->ops[i] == last;
    for (uint32_t k = 0; k < p->n_ops && !listed; k++) listed = region->ops[i] == p->ops[k];
    if (listed) list[n++] = region->ops[i];
  }
  jm_module_region(m, *out)->ops = list;
  jm_module_region(m, *out)->n_ops = n;
  return NULL;
}

/* The value in the body for an operand that none of the pattern's ops defines: an argument, or a
 * copy of the constant. */
static jm_error *number_build(finder *f, jm_region_id body, jm_value v, uint32_t loc,
                              jm_value *out) {
  const void *bytes = jm_module_element(f->m, v);
  if (!bytes) return jm_error_internal("a pattern reads what is neither operand nor number");
  return jm_build_splat(f->m, body, jm_module_typeof(f->m, v), bytes, loc, out);
}

static bool is_made_in(const finder *f, const jm_region *ops, jm_value v) {
  for (uint32_t i = 0; i < ops->n_ops; i++)
    if (ops->ops[i] == f->m->values[v].op) return true;
  return false;
}

/* The body's numbers, and the map from the values outside. */
static jm_error *body_fill(finder *f, const jm_pattern *p, jm_region_id body, jm_region_id borrowed,
                           uint32_t loc, jm_value *map) {
  jm_module *m = f->m;
  for (uint32_t i = 0; i < f->n_values; i++) map[i] = JM_NONE;
  for (uint32_t i = 0; i < p->n_operands; i++)
    map[p->operands[i]] = jm_module_region(m, body)->first_arg + i;
  for (uint32_t i = 0; i < jm_module_region(m, borrowed)->n_ops; i++) {
    const jm_op_id id = jm_module_region(m, borrowed)->ops[i];
    for (uint32_t k = 0; k < jm_module_op(m, id)->n_operands; k++) {
      jm_value v = jm_module_op(m, id)->operands[k];
      if (map[v] == JM_NONE && !is_made_in(f, jm_module_region(m, borrowed), v))
        JM_TRY(number_build(f, body, v, loc, &map[v]));
    }
  }
  return NULL;
}

static jm_error *body_build(finder *f, const jm_pattern *p, jm_region_id body,
                            jm_region_id borrowed, jm_op_id last) {
  enum { NUMBERS = 4 * JM_PATTERN_OPS }; /* more than a body can need */
  jm_module *m = f->m;
  for (uint32_t i = 0; i < p->n_operands; i++) {
    jm_value argument;
    JM_TRY(jm_build_arg(m, body, jm_module_typeof(m, p->operands[i]), &argument));
  }
  jm_value *map = jm_alloc((size_t)m->n_values + NUMBERS, sizeof *map);
  if (!map) return jm_error_out_of_memory();
  jm_error *error = body_fill(f, p, body, borrowed, jm_module_op(m, last)->loc, map);
  if (!error) error = jm_build_clone(m, borrowed, body, map);
  if (!error) error = jm_build_results(m, body, &map[jm_module_op(m, last)->first_result], 1);
  jm_free(map);
  return error;
}

static jm_error *fusion_build(finder *f, const jm_pattern *p, const jm_fusion_attrs *attrs,
                              jm_region_id region, jm_op_id last) {
  jm_module *m = f->m;
  jm_region_id borrowed;
  JM_TRY(ops_borrow(f, p, region, last, &borrowed));
  const jm_type *type = jm_op_result_type(m, jm_module_op(m, last), 0);
  const jm_op_spec spec = {.code = JM_OP_fusion,
                           .operands = p->operands,
                           .n_operands = p->n_operands,
                           .result_types = &type,
                           .n_results = 1,
                           .attrs = attrs,
                           .n_regions = 1,
                           .loc = jm_module_op(m, last)->loc};
  JM_TRY(jm_build_op(m, region, &spec, &f->fusion[last]));
  jm_module_region(m, region)->n_ops--; /* it is listed where the last op stands */
  jm_op_id id = f->fusion[last];
  JM_TRY(body_build(f, p, jm_module_op(m, id)->first_region, borrowed, last));
  f->stands[jm_module_op(m, last)->first_result] = jm_module_op(m, id)->first_result;
  for (uint32_t i = 0; i < p->n_ops; i++) f->gone[p->ops[i]] = true;
  return NULL;
}

/* The first kind that matches at this op and that the engine takes. */
static jm_error *find_at(finder *f, jm_region_id region, jm_op_id id) {
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    const jm_op *last = jm_module_op(f->m, id);
    jm_pattern p = {.m = f->m, .uses = f->uses};
    jm_fusion_attrs attrs;
    bool found = false;
    if (kinds[k].last != last->code) continue;
    JM_TRY(kinds[k].find(&p, last, &found));
    if (!found) continue;
    JM_TRY(fusion_attrs(&p, kinds[k].kind, &attrs));
    jm_op fusion = {.code = JM_OP_fusion,
                    .n_operands = p.n_operands,
                    .n_results = 1,
                    .operands = p.operands,
                    .first_result = last->first_result,
                    .attrs = &attrs};
    if (!f->options->takes_pattern || f->options->takes_pattern(f->options->engine, f->m, &fusion))
      return fusion_build(f, &p, &attrs, region, id);
  }
  return NULL;
}

static jm_error *find_in(finder *f, jm_region_id id) {
  jm_module *m = f->m;
  uint32_t n = 0, built = 0;
  for (uint32_t i = jm_module_region(m, id)->n_ops; i--;) {
    jm_op_id op = jm_module_region(m, id)->ops[i];
    if (!f->gone[op]) JM_TRY(find_at(f, id, op));
    built += f->fusion[op] != JM_NONE;
  }
  if (!built) return NULL;
  jm_region *region = jm_module_region(m, id);
  for (uint32_t i = 0; i < region->n_ops; i++) {
    jm_op_id op = region->ops[i];
    if (!f->gone[op]) region->ops[n++] = f->fusion[op] == JM_NONE ? op : f->fusion[op];
  }
  region->n_ops = n;
  jm_rewrite_uses(m, id, f->stands, f->n_values);
  return NULL;
}

static void uses_count(finder *f) {
  const jm_module *m = f->m;
  for (uint32_t r = 0; r < m->n_regions; r++) {
    const jm_region *region = jm_module_region(m, r);
    for (uint32_t i = 0; i < region->n_ops; i++) {
      const jm_op *op = jm_module_op(m, region->ops[i]);
      for (uint32_t k = 0; k < op->n_operands; k++) f->uses[op->operands[k]]++;
    }
    for (uint32_t i = 0; i < region->n_results; i++) f->uses[region->results[i]]++;
  }
}

static bool is_walked(const jm_module *m, jm_region_id region) {
  jm_op_id parent = jm_module_region(m, region)->parent;
  jm_opcode code = parent == JM_NONE ? JM_OP_while : jm_module_op(m, parent)->code;
  return code == JM_OP_while || code == JM_OP_case;
}

jm_error *jm_pass_patterns(jm_module *m, const jm_pass_options *options, bool *changed) {
  finder f = {.m = m, .options = options, .n_ops = m->n_ops, .n_values = m->n_values};
  jm_region_id *regions = NULL;
  uint32_t n = 0;
  f.uses = jm_alloc(f.n_values, sizeof *f.uses);
  f.stands = jm_alloc(f.n_values, sizeof *f.stands);
  f.gone = jm_alloc(f.n_ops, sizeof *f.gone);
  f.fusion = jm_alloc(f.n_ops, sizeof *f.fusion);
  jm_error *error = f.uses && f.stands && f.gone && f.fusion ? jm_rewrite_regions(m, &regions, &n)
                                                             : jm_error_out_of_memory();
  if (!error) {
    uses_count(&f);
    for (uint32_t i = 0; i < f.n_values; i++) f.stands[i] = i;
    for (uint32_t i = 0; i < f.n_ops; i++) f.fusion[i] = JM_NONE;
  }
  for (uint32_t i = 0; i < n && !error; i++)
    if (is_walked(m, regions[i])) error = find_in(&f, regions[i]);
  *changed |= m->n_ops != f.n_ops;
  jm_free(regions);
  jm_free(f.fusion);
  jm_free(f.gone);
  jm_free(f.stands);
  jm_free(f.uses);
  return error;
}
