/* SPDX-License-Identifier: Apache-2.0
 * Rules of ops that the IR has unchanged, and of those that reading removes: calls, tuples,
 * composites, casts, shardings. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "stablehlo/reader.h"

/* -- one to one */

/* The first n operands become those of the IR op; fields and regions are taken over. */
static jm_error *read_plain(jm_vhlo *v, const jm_wire_op *op, uint32_t n, bool reversed) {
  jm_opcode code = (jm_opcode)jm_vhlo_find_row(v, op)->op;
  jm_vhlo_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  jm_value *operands = NULL;
  if (op->n_operands < n) return jm_error_invalid("it has %u operands", op->n_operands);
  JM_TRY(jm_vhlo_fields(v, op, code, &attrs));
  JM_TRY(jm_vhlo_operands(v, op, &operands));
  return jm_vhlo_build(v, op, code, operands, n, &attrs, reversed);
}

jm_error *jm_vhlo_read_plain(jm_vhlo *v, const jm_wire_op *op) {
  return read_plain(v, op, op->n_operands, false);
}

/* The operands after the first repeat the (static) result type. */
jm_error *jm_vhlo_read_first_operand(jm_vhlo *v, const jm_wire_op *op) {
  return read_plain(v, op, 1, false);
}

jm_error *jm_vhlo_read_no_operand(jm_vhlo *v, const jm_wire_op *op) {
  return read_plain(v, op, 0, false);
}

/* a, b; the third is the shape */
jm_error *jm_vhlo_read_rng(jm_vhlo *v, const jm_wire_op *op) { return read_plain(v, op, 2, false); }

/* A case on pred, where branch 0 is the false one. */
jm_error *jm_vhlo_read_if(jm_vhlo *v, const jm_wire_op *op) {
  if (op->n_regions != 2) return jm_error_invalid("it has %u regions", op->n_regions);
  return read_plain(v, op, op->n_operands, true);
}

jm_error *jm_vhlo_read_constant(jm_vhlo *v, const jm_wire_op *op) {
  jm_constant_attrs attrs = {.value = {.splat = false}};
  const jm_type *type = NULL, *declared = NULL;
  uint32_t index;
  JM_TRY(jm_vhlo_arity(op, 0, 1, 0));
  JM_TRY(jm_bytecode_find_attr(v->b, op, "value", &index));
  if (index == JM_WIRE_NONE) return jm_error_invalid("it has no value");
  JM_TRY(jm_vhlo_data(v, index, &type, &attrs.value));
  JM_TRY(jm_vhlo_result_type(v, op, 0, &declared));
  if (type != declared) return jm_error_invalid("the value's type is not the result's");
  return jm_vhlo_build(v, op, JM_OP_constant, NULL, 0, &attrs, false);
}

/* Old artifacts leave the order of a comparison to the element type. */
jm_error *jm_vhlo_read_compare(jm_vhlo *v, const jm_wire_op *op) {
  static const jm_order orders[] = {
      [JM_CLASS_PRED] = JM_ORDER_UNSIGNED, [JM_CLASS_SINT] = JM_ORDER_SIGNED,
      [JM_CLASS_UINT] = JM_ORDER_UNSIGNED, [JM_CLASS_FLOAT] = JM_ORDER_FLOAT,
      [JM_CLASS_COMPLEX] = JM_ORDER_FLOAT, [JM_CLASS_TOKEN] = JM_ORDER_NOTYPE,
  };
  jm_compare_attrs attrs = {0};
  jm_value *operands = NULL;
  JM_TRY(jm_vhlo_arity(op, 2, 1, 0));
  JM_TRY(jm_vhlo_fields(v, op, JM_OP_compare, &attrs));
  JM_TRY(jm_vhlo_operands(v, op, &operands));
  if (attrs.order == JM_ORDER_NOTYPE)
    attrs.order = orders[jm_dtype_classof(jm_vhlo_typeof(v, operands[0])->dtype)];
  return jm_vhlo_build(v, op, JM_OP_compare, operands, 2, &attrs, false);
}

/* -- ops that must not occur */

jm_error *jm_vhlo_read_refused(jm_vhlo *v, const jm_wire_op *op) {
  (void)v, (void)op;
  return jm_error_unimplemented("the op is not supported");
}

jm_error *jm_vhlo_read_structure(jm_vhlo *v, const jm_wire_op *op) {
  (void)v, (void)op;
  return jm_error_invalid("it belongs to the top of a module");
}

/* -- what vanishes */

/* Result i is operand i: casts between type systems, hints for sharding. */
jm_error *jm_vhlo_read_identity(jm_vhlo *v, const jm_wire_op *op) {
  if (op->n_operands < op->n_results)
    return jm_error_invalid("it has %u operands for %u results", op->n_operands, op->n_results);
  for (uint32_t i = 0; i < op->n_results; i++) {
    jm_value value = JM_NONE;
    JM_TRY(jm_vhlo_operand(v, op, i, &value));
    jm_vhlo_define(v, op, i, value);
  }
  return NULL;
}

/* Operands for a body of calls: tuples may pass. */
static jm_error *find_arguments(jm_vhlo *v, const jm_wire_op *op, jm_value **out) {
  *out = jm_arena_alloc(&v->scratch, op->n_operands, sizeof **out);
  if (!*out) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < op->n_operands; i++)
    JM_TRY(jm_vhlo_value(v, op->operands[i], &(*out)[i]));
  return NULL;
}

static void define_all(jm_vhlo *v, const jm_wire_op *op, const jm_value *values) {
  for (uint32_t i = 0; i < op->n_results; i++) jm_vhlo_define(v, op, i, values[i]);
}

/* Reads the function that the attribute names into the current region. */
static jm_error *inline_named(jm_vhlo *v, const jm_wire_op *op, const char *attribute,
                              const jm_value *arguments, jm_value **results) {
  const jm_wire_attr *name;
  JM_TRY(jm_vhlo_find(v, op, attribute, &name));
  if (name && name->kind == JM_WIRE_SYMBOL)
    JM_TRY(jm_bytecode_read_attr(v->b, name->attrs[0], &name));
  if (!name || name->kind != JM_WIRE_STRING)
    return jm_error_invalid("attribute %s names no function", attribute);
  return jm_vhlo_inline_function(v, name->bytes, name->n_bytes, arguments, op->n_operands,
                                 op->n_results, results);
}

static jm_error *call(jm_vhlo *v, const jm_wire_op *op, const char *attribute) {
  jm_value *arguments = NULL, *results = NULL;
  JM_TRY(find_arguments(v, op, &arguments));
  JM_TRY(inline_named(v, op, attribute, arguments, &results));
  define_all(v, op, results);
  return NULL;
}

jm_error *jm_vhlo_read_call(jm_vhlo *v, const jm_wire_op *op) { return call(v, op, "callee"); }

jm_error *jm_vhlo_read_inlined(jm_vhlo *v, const jm_wire_op *op) {
  jm_value *arguments = NULL, *results = NULL;
  const jm_wire_block *block = NULL;
  if (op->n_regions != 1) return jm_error_invalid("it has %u regions", op->n_regions);
  JM_TRY(jm_vhlo_block(&op->regions[0], &block));
  JM_TRY(find_arguments(v, op, &arguments));
  JM_TRY(jm_vhlo_inline_block(v, block, arguments, op->n_operands, op->n_results, &results));
  define_all(v, op, results);
  return NULL;
}

/* The shardings of a manual computation's operands or results. */
static jm_error *find_shardings(jm_vhlo *v, const jm_wire_op *op, const char *name, uint32_t n,
                                const jm_wire_attr **out) {
  JM_TRY(jm_vhlo_find(v, op, name, out));
  if (!*out || (*out)->n_attrs != n) return jm_error_invalid("%s are not %u shardings", name, n);
  return NULL;
}

/* Written per device: on one device the body is the program; on several it is, too, with parts of
 * the operands along the manual axes. */
jm_error *jm_vhlo_read_manual_computation(jm_vhlo *v, const jm_wire_op *op) {
  if (jm_vhlo_one_device(v)) return jm_vhlo_read_inlined(v, op);
  const jm_wire_attr *manual, *in, *out;
  const jm_wire_block *block = NULL;
  jm_value *values = NULL, *results = NULL;
  if (op->n_regions != 1) return jm_error_invalid("it has %u regions", op->n_regions);
  JM_TRY(find_shardings(v, op, "in_shardings", op->n_operands, &in));
  JM_TRY(find_shardings(v, op, "out_shardings", op->n_results, &out));
  JM_TRY(jm_vhlo_find(v, op, "manual_axes", &manual));
  if (!manual) return jm_error_invalid("it names no manual axes");
  JM_TRY(jm_vhlo_block(&op->regions[0], &block));
  JM_TRY(find_arguments(v, op, &values));
  const jm_sharding *sharding;
  jm_sharding_sums sum;
  for (uint32_t i = 0; i < op->n_operands; i++) {
    if (values[i] & JM_VHLO_TUPLE) return jm_error_invalid("an operand is a tuple");
    JM_TRY(jm_vhlo_sharding(v, in->attrs[i], jm_vhlo_typeof(v, values[i]), manual, &sharding));
    JM_TRY(jm_error_note(jm_vhlo_enter_shard(v, op, sharding, &values[i]), "of operand %u", i));
    JM_TRY(jm_vhlo_unreduced_read(v, in->attrs[i], manual, &sum));
    JM_TRY(jm_vhlo_unreduced_divide(v, op, &sum, &values[i]));
  }
  v->manual_depth++;
  JM_TRY(jm_vhlo_inline_block(v, block, values, op->n_operands, op->n_results, &results));
  v->manual_depth--;
  for (uint32_t i = 0; i < op->n_results; i++) {
    const jm_type *whole, *part;
    JM_TRY(jm_vhlo_result_type(v, op, i, &whole));
    JM_TRY(jm_vhlo_sharding(v, out->attrs[i], whole, manual, &sharding));
    JM_TRY(jm_build_part_type(v->m, sharding, whole, &part));
    if ((results[i] & JM_VHLO_TUPLE) || jm_vhlo_typeof(v, results[i]) != part)
      return jm_error_invalid("result %u of the body is not a part of the result", i);
    JM_TRY(jm_vhlo_unreduced_read(v, out->attrs[i], manual, &sum));
    JM_TRY(jm_vhlo_unreduced_complete(v, op, &sum, &results[i]));
    JM_TRY(jm_vhlo_leave_shard(v, op, sharding, whole, &results[i]));
  }
  define_all(v, op, results);
  return NULL;
}

/* -- tuples */

jm_error *jm_vhlo_read_tuple(jm_vhlo *v, const jm_wire_op *op) {
  jm_value *elements = NULL;
  if (op->n_results != 1) return jm_error_invalid("it has %u results", op->n_results);
  JM_TRY(find_arguments(v, op, &elements));
  v->tuples = jm_arena_grow(&v->scratch, v->tuples, v->n_tuples + 1, &v->tuples_capacity,
                            sizeof *v->tuples);
  if (!v->tuples) return jm_error_out_of_memory();
  v->tuples[v->n_tuples] = (jm_vhlo_tuple){op->n_operands, elements};
  jm_vhlo_define(v, op, 0, JM_VHLO_TUPLE | v->n_tuples++);
  return NULL;
}

jm_error *jm_vhlo_read_get_tuple_element(jm_vhlo *v, const jm_wire_op *op) {
  int64_t index = 0;
  JM_TRY(jm_vhlo_arity(op, 1, 1, 0));
  JM_TRY(jm_vhlo_i64(v, op, "index", &index));
  jm_value value = JM_NONE;
  JM_TRY(jm_vhlo_value(v, op->operands[0], &value));
  if (!(value & JM_VHLO_TUPLE)) return jm_error_invalid("the operand is not a tuple");
  const jm_vhlo_tuple *tuple = &v->tuples[value & ~JM_VHLO_TUPLE];
  if (index < 0 || index >= tuple->n)
    return jm_error_invalid("there is no element %" PRId64 " in a tuple of %u", index, tuple->n);
  jm_vhlo_define(v, op, 0, tuple->elements[index]);
  return NULL;
}

/* -- composites */

typedef struct function {
  const char *name;
  jm_opcode code;
} function;

static const function functions[] = {
    {"chlo.acos", JM_OP_acos},      {"chlo.acosh", JM_OP_acosh}, {"chlo.asin", JM_OP_asin},
    {"chlo.asinh", JM_OP_asinh},    {"chlo.atanh", JM_OP_atanh}, {"chlo.cosh", JM_OP_cosh},
    {"chlo.sinh", JM_OP_sinh},      {"chlo.erf", JM_OP_erf},     {"chlo.erfc", JM_OP_erfc},
    {"mps.erf_inv", JM_OP_erf_inv},
};

/* Composites of our own, whose decompositions are kept for engines that have no such op (the pass
 * expand); every engine has mps.erf_inv. */
#define ROW(op) {"mps." #op, JM_OP_##op}
static const function special_functions[] = {
    ROW(bessel_i0e),   ROW(bessel_i1e),
    ROW(digamma),      ROW(igamma),
    ROW(igammac),      ROW(igamma_grad_a),
    ROW(lgamma),       ROW(polygamma),
    ROW(zeta),         ROW(regularized_incomplete_beta),
    ROW(threefry2x32),
};
#undef ROW

/* Whether the op takes these types; those of operands and results are the same but for rank. */
static jm_error *check_function(jm_vhlo *v, const jm_wire_op *op, jm_opcode code,
                                const jm_value *operands, bool *fits) {
  const jm_op_fact *facts = &jm_op_facts[code];
  const jm_type *type = NULL, *result = NULL;
  *fits = (int)op->n_operands == facts->operands && (int)op->n_results == facts->results;
  if (!*fits) return NULL;
  JM_TRY(jm_vhlo_result_type(v, op, 0, &type));
  for (uint32_t i = 0; i < op->n_results; i++) {
    JM_TRY(jm_vhlo_result_type(v, op, i, &result));
    *fits &= result == type;
  }
  bool scalars = code == JM_OP_threefry2x32;
  for (uint32_t i = 0; i < op->n_operands; i++) {
    const jm_type *operand = jm_vhlo_typeof(v, operands[i]);
    *fits &= operand == type || (scalars && !operand->rank && operand->dtype == type->dtype);
  }
  *fits &= facts->types >> jm_dtype_classof(type->dtype) & 1;
  *fits &= !scalars || type->dtype == JM_DT_u32;
  return NULL;
}

/* *done: the composite became an op of the IR, which takes these types. */
static jm_error *read_function(jm_vhlo *v, const jm_wire_op *op, const char *name,
                               const function *table, size_t n, bool *done) {
  for (size_t i = 0; i < n; i++) {
    if (strcmp(table[i].name, name)) continue;
    jm_value *operands = NULL;
    JM_TRY(jm_vhlo_operands(v, op, &operands));
    JM_TRY(check_function(v, op, table[i].code, operands, done));
    return *done ? jm_vhlo_build(v, op, table[i].code, operands, op->n_operands, NULL, false)
                 : NULL;
  }
  return NULL;
}

/* Keeps the composite's decomposition as the expansion of its op, unless there is one for these
 * types. */
static jm_error *keep_decomposition(jm_vhlo *v, const jm_wire_op *op, const jm_op *read) {
  jm_module *m = v->m;
  if (jm_module_expansion_find(m, read)) return NULL;
  const jm_op like = *read; /* building moves the ops */
  const jm_region_id outer = v->region;
  jm_value *arguments = jm_arena_alloc(&v->scratch, like.n_operands, sizeof *arguments);
  jm_value *results = NULL;
  jm_region_id region;
  if (!arguments) return jm_error_out_of_memory();
  JM_TRY(jm_build_region(m, &region));
  for (uint32_t i = 0; i < like.n_operands; i++)
    JM_TRY(jm_build_arg(m, region, jm_op_operand_type(m, &like, i), &arguments[i]));
  v->region = region;
  JM_TRY(inline_named(v, op, "decomposition", arguments, &results));
  v->region = outer;
  JM_TRY(jm_build_results(m, region, results, like.n_results));
  /* Reading the decomposition may have added the same expansion; that one is kept, for this one
   * would use itself. */
  if (jm_module_expansion_find(m, &like)) return NULL;
  m->expansions = jm_arena_grow(&m->arena, m->expansions, m->n_expansions + 1,
                                &m->expansions_capacity, sizeof *m->expansions);
  if (!m->expansions) return jm_error_out_of_memory();
  m->expansions[m->n_expansions++] =
      (jm_expansion){like.code, region, like.code == JM_OP_custom_call ? like.attrs : NULL};
  return NULL;
}

/* Of the op that was built last. */
static jm_error *keep_last(jm_vhlo *v, const jm_wire_op *op) {
  const jm_region *region = jm_module_region(v->m, v->region);
  return keep_decomposition(v, op, jm_module_op(v->m, region->ops[region->n_ops - 1]));
}

static jm_error *read_special(jm_vhlo *v, const jm_wire_op *op, const char *name, bool *done) {
  JM_TRY(read_function(v, op, name, special_functions,
                       sizeof special_functions / sizeof *special_functions, done));
  return *done ? keep_last(v, op) : NULL;
}

/* A kernel of the user's with its reference. */
static jm_error *read_kernel(jm_vhlo *v, const jm_wire_op *op, bool *done) {
  jm_custom_call_attrs attrs;
  const jm_wire_attr *dictionary;
  jm_value *operands = NULL;
  memset(&attrs, 0, sizeof attrs);
  JM_TRY(jm_vhlo_find(v, op, "composite_attributes", &dictionary));
  if (!dictionary || dictionary->kind != JM_WIRE_DICTIONARY) return NULL;
  JM_TRY(jm_vhlo_operands(v, op, &operands));
  JM_TRY(jm_vhlo_make_string(v, "mps.kernel", sizeof "mps.kernel" - 1, &attrs.target.bytes));
  attrs.target.size = sizeof "mps.kernel" - 1;
  JM_TRY(jm_vhlo_read_config(v, dictionary, &attrs.config));
  JM_TRY(jm_vhlo_build(v, op, JM_OP_custom_call, operands, op->n_operands, &attrs, false));
  *done = true;
  return keep_last(v, op);
}

/* `attributes` names the dictionary with k. */
static jm_error *read_top_k(jm_vhlo *v, const jm_wire_op *op, const char *attributes, bool *done) {
  jm_top_k_attrs attrs = {0};
  const jm_wire_attr *dictionary, *key, *value;
  jm_value operand = JM_NONE;
  const jm_type *type = NULL, *indices = NULL;
  if (op->n_operands != 1 || op->n_results != 2) return NULL;
  JM_TRY(jm_vhlo_operand(v, op, 0, &operand));
  type = jm_vhlo_typeof(v, operand);
  JM_TRY(jm_vhlo_result_type(v, op, 1, &indices));
  if (!(jm_op_facts[JM_OP_top_k].types >> jm_dtype_classof(type->dtype) & 1) ||
      indices->dtype != JM_DT_s32)
    return NULL;
  JM_TRY(jm_vhlo_find(v, op, attributes, &dictionary));
  if (!dictionary || dictionary->kind != JM_WIRE_DICTIONARY) return NULL;
  JM_TRY(jm_vhlo_charge(v, dictionary->n_attrs / JM_VHLO_PER_ITEMS));
  bool has_k = false;
  for (uint32_t i = 0; i < dictionary->n_attrs; i += 2) {
    JM_TRY(jm_bytecode_read_attr(v->b, dictionary->attrs[i], &key));
    JM_TRY(jm_bytecode_read_attr(v->b, dictionary->attrs[i + 1], &value));
    if (key->kind != JM_WIRE_STRING) return NULL;
    if (!strcmp(key->bytes, "k") && value->kind == JM_WIRE_INTEGER)
      attrs.k = value->ints[0], has_k = true;
    else if (!strcmp(key->bytes, "largest") && value->kind == JM_WIRE_BOOL && value->ints[0])
      continue;                               /* the only order that JAX asks for */
    else if (strcmp(key->bytes, "is_stable")) /* ours always is */
      return NULL;
  }
  if (!has_k) return NULL;
  *done = true;
  return jm_vhlo_build(v, op, JM_OP_top_k, &operand, 1, &attrs, false);
}

/* Ops of CHLO, which newer versions send as composites: jaxlib before 0.7 sends them as custom
 * calls of MHLO. */
jm_error *jm_vhlo_read_mhlo_call(jm_vhlo *v, const jm_wire_op *op, const char *target, bool *done) {
  enum { PREFIX = sizeof "mhlo." - 1 };
  char name[sizeof "chlo." + 16];
  if (strncmp(target, "mhlo.", PREFIX)) return NULL;
  if (!strcmp(target, "mhlo.topk")) return read_top_k(v, op, "mhlo.attributes", done);
  if ((size_t)snprintf(name, sizeof name, "chlo.%s", target + PREFIX) >= sizeof name) return NULL;
  return read_function(v, op, name, functions, sizeof functions / sizeof *functions, done);
}

jm_error *jm_vhlo_read_composite(jm_vhlo *v, const jm_wire_op *op) {
  const jm_wire_attr *name;
  bool done = false;
  JM_TRY(jm_vhlo_find(v, op, "name", &name));
  if (!name || name->kind != JM_WIRE_STRING) return jm_error_invalid("it has no name");
  if (op->n_regions) return jm_error_unimplemented("the composite %s has regions", name->bytes);
  int64_t version = 0;
  JM_TRY(jm_vhlo_i64(v, op, "version", &version));
  if (version == 1)
    JM_TRY(
        read_function(v, op, name->bytes, functions, sizeof functions / sizeof *functions, &done));
  if (version == 1 && !done) JM_TRY(read_special(v, op, name->bytes, &done));
  if (version == 1 && !done && !strcmp(name->bytes, "mps.kernel"))
    JM_TRY(read_kernel(v, op, &done));
  if (version == 1 && !done && !strcmp(name->bytes, "chlo.top_k"))
    JM_TRY(read_top_k(v, op, "composite_attributes", &done));
  return done ? NULL : call(v, op, "decomposition");
}
