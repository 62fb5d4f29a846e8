/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/build.h"

#include <string.h>

jm_error *jm_build_region(jm_module *m, jm_region_id *out) {
  if (m->n_regions == JM_NONE - 1) return jm_error_invalid("too many regions");
  /* The module stays valid when memory runs out: errors on the way up describe its ops. */
  void *regions = jm_arena_grow(&m->arena, m->regions, m->n_regions + 1, &m->regions_capacity,
                                sizeof *m->regions);
  if (!regions) return jm_error_out_of_memory();
  m->regions = regions;
  m->regions[m->n_regions] = (jm_region){.first_arg = m->n_values, .parent = JM_NONE};
  *out = m->n_regions++;
  return NULL;
}

static jm_error *value_add(jm_module *m, const jm_type *type, jm_op_id op, jm_region_id region) {
  if (m->n_values == JM_NONE - 1) return jm_error_invalid("too many values");
  void *values =
      jm_arena_grow(&m->arena, m->values, m->n_values + 1, &m->values_capacity, sizeof *m->values);
  if (!values) return jm_error_out_of_memory();
  m->values = values;
  m->values[m->n_values++] = (jm_value_fact){type, op, region};
  return NULL;
}

jm_error *jm_build_arg(jm_module *m, jm_region_id region, const jm_type *type, jm_value *out) {
  jm_region *r = &m->regions[region];
  if (!r->n_args) r->first_arg = m->n_values;
  if (r->first_arg + r->n_args != m->n_values)
    return jm_error_internal("arguments of a region must be built one after another");
  JM_TRY(value_add(m, type, JM_NONE, region));
  r->n_args++;
  *out = m->n_values - 1;
  return NULL;
}

jm_error *jm_build_op(jm_module *m, jm_region_id region, const jm_op_spec *spec, jm_op_id *out) {
  if (m->n_ops == JM_NONE - 1) return jm_error_invalid("too many ops");
  void *ops = jm_arena_grow(&m->arena, m->ops, m->n_ops + 1, &m->ops_capacity, sizeof *m->ops);
  if (!ops) return jm_error_out_of_memory();
  m->ops = ops;
  const jm_op_fact *fact = &jm_op_facts[spec->code];
  jm_op_id id = m->n_ops;
  jm_op op = {.code = spec->code,
              .n_operands = spec->n_operands,
              .n_captures = spec->n_captures,
              .n_results = spec->n_results,
              .n_regions = spec->n_regions,
              .first_result = m->n_values,
              .first_region = m->n_regions,
              .loc = spec->loc};
  op.operands = jm_arena_copy(&m->arena, spec->operands, spec->n_operands, sizeof *spec->operands);
  op.attrs = spec->attrs ? jm_arena_copy(&m->arena, spec->attrs, 1, fact->attrs_size)
                         : jm_arena_alloc(&m->arena, 1, fact->attrs_size);
  if (!op.operands || !op.attrs) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < spec->n_results; i++)
    JM_TRY(value_add(m, spec->result_types[i], id, region));
  for (uint32_t i = 0; i < spec->n_regions; i++) {
    jm_region_id child;
    JM_TRY(jm_build_region(m, &child));
    m->regions[child].parent = id;
  }
  jm_region *r = &m->regions[region];
  ops = jm_arena_grow(&m->arena, r->ops, r->n_ops + 1, &r->ops_capacity, sizeof *r->ops);
  if (!ops) return jm_error_out_of_memory();
  r->ops = ops;
  r->ops[r->n_ops++] = id;
  m->ops[id] = op;
  m->n_ops++;
  *out = id;
  return NULL;
}

jm_op_spec jm_op_spec_like(const jm_op *op, const jm_value *operands,
                           const jm_type *const *result_types) {
  return (jm_op_spec){.code = op->code,
                      .operands = operands,
                      .n_operands = op->n_operands,
                      .n_captures = op->n_captures,
                      .result_types = result_types,
                      .n_results = op->n_results,
                      .attrs = op->attrs,
                      .n_regions = op->n_regions,
                      .loc = op->loc};
}

jm_error *jm_build_results(jm_module *m, jm_region_id region, const jm_value *values, uint32_t n) {
  jm_value *copy = jm_arena_copy(&m->arena, values, n, sizeof *values);
  if (!copy) return jm_error_out_of_memory();
  m->regions[region].results = copy;
  m->regions[region].n_results = n;
  return NULL;
}

jm_error *jm_build_captures(jm_module *m, jm_op_id id, const jm_value *values, uint32_t n) {
  jm_op *op = &m->ops[id];
  jm_value *operands = jm_arena_alloc(&m->arena, (size_t)op->n_operands + n, sizeof *operands);
  if (!operands) return jm_error_out_of_memory();
  if (op->n_operands) memcpy(operands, op->operands, op->n_operands * sizeof *operands);
  if (n) memcpy(operands + op->n_operands, values, n * sizeof *operands);
  op->operands = operands;
  op->n_operands += n;
  op->n_captures += n;
  return NULL;
}

jm_error *jm_build_part_type(jm_module *m, const jm_sharding *sharding, const jm_type *whole,
                             const jm_type **out) {
  int64_t dims[JM_RANK_MAX];
  *out = whole;
  if (!sharding) return NULL;
  for (uint32_t d = 0; d < whole->rank; d++) {
    const int64_t n = sharding->dims[d].n_parts;
    if (whole->dims[d] % n)
      return jm_error_invalid("dimension %u of size %lld is not a multiple of its %lld parts", d,
                              (long long)whole->dims[d], (long long)n);
    dims[d] = whole->dims[d] / n;
  }
  return jm_module_type(m, whole->dtype, whole->rank, dims, out);
}

jm_error *jm_build_one(jm_module *m, jm_region_id region, jm_opcode code, const jm_value *operands,
                       uint32_t n, const void *attrs, const jm_type *type, uint32_t loc,
                       jm_value *out) {
  const jm_op_spec spec = {.code = code,
                           .operands = operands,
                           .n_operands = n,
                           .result_types = &type,
                           .n_results = 1,
                           .attrs = attrs,
                           .loc = loc};
  jm_op_id id;
  JM_TRY(jm_build_op(m, region, &spec, &id));
  *out = m->ops[id].first_result;
  return NULL;
}

jm_error *jm_build_unary(jm_module *m, jm_region_id region, jm_opcode code, jm_value operand,
                         const jm_type *type, uint32_t loc, jm_value *out) {
  return jm_build_one(m, region, code, &operand, 1, NULL, type, loc, out);
}

jm_error *jm_build_binary(jm_module *m, jm_region_id region, jm_opcode code, jm_value lhs,
                          jm_value rhs, const jm_type *type, uint32_t loc, jm_value *out) {
  const jm_value operands[] = {lhs, rhs};
  return jm_build_one(m, region, code, operands, 2, NULL, type, loc, out);
}

jm_error *jm_build_splat(jm_module *m, jm_region_id region, const jm_type *type, const void *value,
                         uint32_t loc, jm_value *out) {
  jm_constant_attrs attrs = {.value = {.splat = true}};
  attrs.value.bytes = jm_arena_copy(&m->arena, value, 1, jm_dtype_bytes(type->dtype));
  if (!attrs.value.bytes) return jm_error_out_of_memory();
  return jm_build_one(m, region, JM_OP_constant, NULL, 0, &attrs, type, loc, out);
}

jm_error *jm_build_broadcast(jm_module *m, jm_region_id region, jm_value operand,
                             const int64_t *dims, uint32_t n_dims, const jm_type *type,
                             uint32_t loc, jm_value *out) {
  jm_broadcast_in_dim_attrs attrs = {.dims = {.n = n_dims}};
  attrs.dims.data = jm_arena_copy(&m->arena, dims, n_dims, sizeof *dims);
  if (!attrs.dims.data) return jm_error_out_of_memory();
  return jm_build_one(m, region, JM_OP_broadcast_in_dim, &operand, 1, &attrs, type, loc, out);
}

/* A child region is isolated: its arguments and inner values are new, nothing outside is used. */
static jm_error *clone_child(jm_module *m, jm_region_id from, jm_region_id to, jm_value *map) {
  uint32_t n_args = m->regions[from].n_args;
  jm_value first = m->regions[from].first_arg;
  for (uint32_t i = 0; i < n_args; i++)
    JM_TRY(jm_build_arg(m, to, m->values[first + i].type, &map[first + i]));
  JM_TRY(jm_build_clone(m, from, to, map));
  uint32_t n = m->regions[from].n_results;
  jm_value *results = jm_arena_alloc(&m->arena, n, sizeof *results);
  if (!results) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) results[i] = map[m->regions[from].results[i]];
  m->regions[to].results = results;
  m->regions[to].n_results = n;
  return NULL;
}

static jm_error *clone_op(jm_module *m, jm_op_id id, jm_region_id to, jm_value *map) {
  const jm_op op = m->ops[id]; /* a copy: the array may move */
  jm_value *operands = jm_arena_alloc(&m->arena, op.n_operands, sizeof *operands);
  const jm_type **types = jm_arena_alloc(&m->arena, op.n_results, sizeof *types);
  if (!operands || !types) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < op.n_operands; i++) operands[i] = map[op.operands[i]];
  for (uint32_t i = 0; i < op.n_results; i++) types[i] = m->values[op.first_result + i].type;
  const jm_op_spec spec = jm_op_spec_like(&op, operands, types);
  jm_op_id copy;
  JM_TRY(jm_build_op(m, to, &spec, &copy));
  for (uint32_t i = 0; i < op.n_results; i++)
    map[op.first_result + i] = m->ops[copy].first_result + i;
  jm_region_id first = m->ops[copy].first_region;
  for (uint32_t i = 0; i < op.n_regions; i++)
    JM_TRY(clone_child(m, op.first_region + i, first + i, map));
  return NULL;
}

jm_error *jm_build_clone(jm_module *m, jm_region_id from, jm_region_id to, jm_value *map) {
  uint32_t n = m->regions[from].n_ops; /* before: from may be to's ancestor, never to itself */
  for (uint32_t i = 0; i < n; i++) JM_TRY(clone_op(m, m->regions[from].ops[i], to, map));
  return NULL;
}

jm_error *jm_build_clone_region(jm_module *m, jm_region_id from, jm_region_id to) {
  jm_value *map = jm_alloc(m->n_values, sizeof *map);
  if (!map) return jm_error_out_of_memory();
  jm_error *error = clone_child(m, from, to, map);
  jm_free(map);
  return error;
}
