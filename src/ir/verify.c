/* SPDX-License-Identifier: Apache-2.0
 * The verifier's loop over all ops: structure, the columns of ops.def, then the op's own rule. */
#include "ir/verify.h"

#include "ir/rules.h"

static jm_verify_fn *const rules[JM_N_OPS] = {
#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary) \
  jm_verify_##verify,
#include "ir/ops.def"
};

/* A walk over the regions that the entry reaches. As a region sees nothing but its own arguments
 * and values, each is checked by itself and a list of those still to do is enough. */
typedef struct walk {
  const jm_module *m;
  uint8_t *defined; /* per value: in scope of its region by now */
  uint16_t *depth;  /* per region: nesting + 1 once it is on the list */
  jm_region_id *todo;
  uint32_t n_todo;
} walk;

static jm_error *check_types(const jm_module *m) {
  for (uint32_t v = 0; v < m->n_values; v++) {
    const jm_type *type = m->values[v].type;
    if (!type) return jm_error_invalid("value %u has no type", v);
    if ((unsigned)type->dtype >= JM_N_DTYPES) return jm_error_invalid("value %u: element type", v);
    if (type->rank > JM_RANK_MAX)
      return jm_error_unimplemented("a tensor of rank %u; at most %d is supported", type->rank,
                                    JM_RANK_MAX);
    if (type->dtype == JM_DT_token && type->rank)
      return jm_error_invalid("value %u is a tensor of tokens", v);
  }
  return NULL;
}

/* Indices in range: after this the op can be described in an error. */
static jm_error *check_indices(const jm_module *m, jm_op_id id, jm_region_id region) {
  const jm_op *op = jm_module_op(m, id);
  if ((unsigned)op->code >= JM_N_OPS) return jm_error_invalid("op %u has opcode %d", id, op->code);
  const char *name = jm_op_facts[op->code].name;
  if (op->n_captures > op->n_operands || (op->n_operands && !op->operands) || !op->attrs)
    return jm_error_invalid("%s (op %u): operands or attributes are missing", name, id);
  for (uint32_t i = 0; i < op->n_operands; i++)
    if (op->operands[i] >= m->n_values)
      return jm_error_invalid("%s (op %u): operand %u names no value", name, id, i);
  if (op->n_results &&
      (op->first_result >= m->n_values || op->n_results > m->n_values - op->first_result))
    return jm_error_invalid("%s (op %u): results out of range", name, id);
  if (op->n_regions &&
      (op->first_region >= m->n_regions || op->n_regions > m->n_regions - op->first_region))
    return jm_error_invalid("%s (op %u): regions out of range", name, id);
  for (uint32_t i = 0; i < op->n_results; i++) {
    const jm_value_fact *fact = &m->values[op->first_result + i];
    if (fact->op != id || fact->region != region)
      return jm_error_invalid("%s (op %u): result %u belongs elsewhere", name, id, i);
  }
  return NULL;
}

static jm_error *check_count(const jm_module *m, const jm_op *op, const char *what, int want,
                             uint32_t got) {
  if (want == JM_ANY || (uint32_t)want == got) return NULL;
  return jm_rule_error(m, op, "%u %s instead of %d", got, what, want);
}

static uint32_t spelling_count(const char *const *spellings) {
  uint32_t n = 0;
  while (spellings[n]) n++;
  return n;
}

static jm_error *check_attrs(const jm_module *m, const jm_op *op) {
  for (const jm_attr_field *field = jm_op_facts[op->code].attrs(); field->name; field++) {
    const void *at = (const char *)op->attrs + field->offset;
    bool ok = true;
    if (field->kind == JM_ATTR_I64S) {
      const jm_i64s *list = at;
      ok = !list->n || list->data;
    } else if (field->kind == JM_ATTR_STR) {
      const jm_str *string = at;
      ok = !string->size || string->bytes;
    } else if (field->kind == JM_ATTR_DICT) {
      const jm_dict *dict = at;
      ok = !dict->n || dict->entries;
    } else if (jm_attr_spellings(field->kind)) {
      /* An enumeration's C type may be signed; its values start at 0. */
      ok = *(const unsigned *)at < spelling_count(jm_attr_spellings(field->kind));
    }
    if (!ok) return jm_rule_error(m, op, "attribute %s is malformed", field->name);
  }
  return NULL;
}

/* Captures are the trailing arguments of every region. */
static jm_error *check_captures(const jm_module *m, const jm_op *op) {
  for (uint32_t i = 0; i < op->n_regions; i++) {
    const jm_region *region = jm_op_region(m, op, i);
    if (region->n_args < op->n_captures)
      return jm_rule_error(m, op, "region %u has %u arguments for %u captures", i, region->n_args,
                           op->n_captures);
    for (uint32_t k = 0; k < op->n_captures; k++) {
      const jm_type *type = jm_op_operand_type(m, op, jm_rule_inputs(op) + k);
      if (jm_rule_arg(m, region, region->n_args - op->n_captures + k) != type)
        return jm_rule_error(m, op, "capture %u has another type than region %u's argument", k, i);
    }
  }
  if (op->n_captures && !op->n_regions) return jm_rule_error(m, op, "captures without a region");
  return NULL;
}

static jm_error *check_op(const jm_module *m, const jm_op *op) {
  const jm_op_fact *fact = &jm_op_facts[op->code];
  JM_TRY(check_count(m, op, "operands", fact->operands, jm_rule_inputs(op)));
  JM_TRY(check_count(m, op, "results", fact->results, op->n_results));
  JM_TRY(check_count(m, op, "regions", fact->regions, op->n_regions));
  if (jm_rule_inputs(op) || op->n_results) {
    const jm_type *type =
        jm_rule_inputs(op) ? jm_op_operand_type(m, op, 0) : jm_op_result_type(m, op, 0);
    if (!(fact->types >> jm_dtype_classof(type->dtype) & 1))
      return jm_rule_error(m, op, "not defined for element type %s", jm_dtype_name(type->dtype));
  }
  /* Tokens pass through control and custom calls alone; rules derive results from operands. */
  if (!(fact->types >> JM_CLASS_TOKEN & 1))
    for (uint32_t i = 0; i < jm_rule_inputs(op); i++)
      if (jm_op_operand_type(m, op, i)->dtype == JM_DT_token)
        return jm_rule_error(m, op, "operand %u is a token", i);
  JM_TRY(check_attrs(m, op));
  JM_TRY(check_captures(m, op));
  return rules[op->code](m, op);
}

static jm_error *add_region(walk *w, jm_region_id id, jm_op_id parent, unsigned depth) {
  if (id >= w->m->n_regions) return jm_error_invalid("no region %u", id);
  const jm_region *region = jm_module_region(w->m, id);
  if (w->depth[id] || region->parent != parent)
    return jm_error_invalid("region %u is used twice or has another parent", id);
  if (depth > JM_DEPTH_MAX)
    return jm_error_unimplemented("regions nested more than %d deep", JM_DEPTH_MAX);
  if ((region->n_args && (region->first_arg >= w->m->n_values ||
                          region->n_args > w->m->n_values - region->first_arg)) ||
      (region->n_ops && !region->ops) || (region->n_results && !region->results))
    return jm_error_invalid("region %u is malformed", id);
  for (uint32_t i = 0; i < region->n_args; i++) {
    const jm_value_fact *fact = &w->m->values[region->first_arg + i];
    if (fact->op != JM_NONE || fact->region != id)
      return jm_error_invalid("argument %u of region %u belongs elsewhere", i, id);
    w->defined[region->first_arg + i] = 1;
  }
  for (uint32_t i = 0; i < region->n_results; i++)
    if (region->results[i] >= w->m->n_values)
      return jm_error_invalid("result %u of region %u names no value", i, id);
  w->depth[id] = (uint16_t)depth;
  w->todo[w->n_todo++] = id;
  return NULL;
}

static jm_error *check_region(walk *w, jm_region_id id) {
  const jm_module *m = w->m;
  const jm_region *region = jm_module_region(m, id);
  for (uint32_t i = 0; i < region->n_ops; i++) {
    jm_op_id op_id = region->ops[i];
    if (op_id >= m->n_ops) return jm_error_invalid("region %u lists no op %u", id, op_id);
    JM_TRY(check_indices(m, op_id, id));
    const jm_op *op = jm_module_op(m, op_id);
    for (uint32_t k = 0; k < op->n_operands; k++)
      if (m->values[op->operands[k]].region != id || !w->defined[op->operands[k]])
        return jm_rule_error(m, op, "operand %u is not defined before its use in this region", k);
    for (uint32_t k = 0; k < op->n_results; k++) {
      if (w->defined[op->first_result + k]) return jm_rule_error(m, op, "the op is listed twice");
      w->defined[op->first_result + k] = 1;
    }
    for (uint32_t k = 0; k < op->n_regions; k++)
      JM_TRY(add_region(w, op->first_region + k, op_id, w->depth[id] + 1u));
    JM_TRY(check_op(m, op));
  }
  for (uint32_t i = 0; i < region->n_results; i++)
    if (m->values[region->results[i]].region != id || !w->defined[region->results[i]])
      return jm_error_invalid("result %u of region %u is not defined in it", i, id);
  return NULL;
}

static bool is_layout(jm_i64s layout, uint32_t rank) {
  uint64_t seen = 0;
  if (layout.n != rank) return !layout.n;
  for (uint32_t i = 0; i < rank; i++) {
    const int64_t d = layout.data[i];
    if (d < 0 || d >= rank || seen >> d & 1) return false;
    seen |= (uint64_t)1 << d;
  }
  return true;
}

static jm_error *check_layouts(const jm_module *m, const jm_region *entry) {
  for (uint32_t i = 0; i < entry->n_args; i++)
    if (!is_layout(m->arguments[i].layout, jm_rule_arg(m, entry, i)->rank))
      return jm_error_invalid("the layout of argument %u is no permutation of its dimensions", i);
  for (uint32_t i = 0; i < entry->n_results; i++)
    if (!is_layout(m->results[i].layout, jm_rule_result(m, entry, i)->rank))
      return jm_error_invalid("the layout of result %u is no permutation of its dimensions", i);
  return NULL;
}

/* Donation hands an argument's memory to a result: the bytes must fit, and only once. Those of
 * whole arrays need not: their parts do. */
static jm_error *check_entry(const jm_module *m) {
  const jm_region *entry = jm_module_region(m, m->entry);
  if ((entry->n_args && !m->arguments) || (entry->n_results && !m->results))
    return jm_error_invalid("the module has no facts of its arguments or results");
  JM_TRY(check_layouts(m, entry));
  for (uint32_t i = 0; i < entry->n_args; i++) {
    int32_t alias = m->arguments[i].alias;
    if (alias == -1) continue;
    if (alias < 0 || (uint32_t)alias >= entry->n_results)
      return jm_error_invalid("argument %u is donated to result %d of %u", i, alias,
                              entry->n_results);
    if (!m->whole && jm_type_bytes(jm_rule_arg(m, entry, i)) !=
                         jm_type_bytes(jm_rule_result(m, entry, (uint32_t)alias)))
      return jm_error_invalid("argument %u is donated to result %d of another size", i, alias);
  }
  return NULL;
}

static jm_error *check_aliases(const jm_module *m, uint8_t *taken) {
  const jm_region *entry = jm_module_region(m, m->entry);
  for (uint32_t i = 0; i < entry->n_args; i++) {
    int32_t alias = m->arguments[i].alias;
    if (alias >= 0 && taken[alias]++)
      return jm_error_invalid("two arguments are donated to result %d", alias);
  }
  return NULL;
}

static jm_error *verify(walk *w) {
  const jm_module *m = w->m;
  JM_TRY(check_types(m));
  JM_TRY(add_region(w, m->entry, JM_NONE, 1));
  for (uint32_t i = 0; i < m->n_expansions; i++)
    JM_TRY(add_region(w, m->expansions[i].region, JM_NONE, 1));
  for (uint32_t i = 0; i < w->n_todo; i++) JM_TRY(check_region(w, w->todo[i]));
  JM_TRY(check_entry(m));
  uint8_t *taken = jm_alloc(jm_module_region(m, m->entry)->n_results, 1);
  if (!taken) return jm_error_out_of_memory();
  jm_error *error = check_aliases(m, taken);
  jm_free(taken);
  return error;
}

jm_error *jm_module_verify(const jm_module *module) {
  walk w = {.m = module,
            .defined = jm_alloc(module->n_values, 1),
            .depth = jm_alloc(module->n_regions, sizeof(uint16_t)),
            .todo = jm_alloc(module->n_regions, sizeof(jm_region_id))};
  jm_error *error = w.defined && w.depth && w.todo ? verify(&w) : jm_error_out_of_memory();
  jm_free(w.defined);
  jm_free(w.depth);
  jm_free(w.todo);
  return error;
}
