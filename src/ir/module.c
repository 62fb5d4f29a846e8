/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/module.h"

#include <stdio.h>
#include <string.h>

/* -- the table of ops */

/* Functions, because offsetof needs the struct's name, which ATTR(kind, field) lacks: each function
 * has its own typedef `self`. */
#define ATTR(kind, field) {#field, JM_ATTR_##kind, offsetof(self, field)},
#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary) \
  static const jm_attr_field *fields_of_##name(void) {                                            \
    typedef jm_##name##_attrs self;                                                               \
    static const jm_attr_field fields[] = {attrs{NULL, JM_ATTR_I64, offsetof(self, end)}};        \
    return fields;                                                                                \
  }
#include "base/hash.h"
#include "ir/ops.def"
#undef ATTR

#define ANY JM_ANY
#define P (1u << JM_CLASS_PRED)
#define I (1u << JM_CLASS_SINT | 1u << JM_CLASS_UINT)
#define F (1u << JM_CLASS_FLOAT)
#define C (1u << JM_CLASS_COMPLEX)
#define T (1u << JM_CLASS_TOKEN)
#define ALL (P | I | F | C)
#define E JM_TRAIT_ELEMENTWISE
#define K JM_TRAIT_COMMUTATIVE
#define S JM_TRAIT_EFFECT
const jm_op_fact jm_op_facts[JM_N_OPS] = {
#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary)  \
  {#name,  operands, results, regions, types, traits, fields_of_##name, sizeof(jm_##name##_attrs), \
   summary},
#include "ir/ops.def"
};

bool jm_op_from_name(const char *name, size_t size, jm_opcode *out) {
  for (int code = 0; code < JM_N_OPS; code++)
    if (strlen(jm_op_facts[code].name) == size && !memcmp(jm_op_facts[code].name, name, size)) {
      *out = (jm_opcode)code;
      return true;
    }
  return false;
}

/* -- life */

jm_error *jm_module_create(jm_module **out) {
  jm_module *module = jm_alloc(1, sizeof *module);
  if (!module) return jm_error_out_of_memory();
  jm_arena_init(&module->arena);
  module->name = "";
  module->entry = JM_NONE;
  module->n_replicas = module->n_partitions = 1;
  *out = module;
  return NULL;
}

void jm_module_destroy(jm_module *module) {
  if (!module) return;
  if (module->locate_free) module->locate_free(module->locate_context);
  jm_arena_deinit(&module->arena);
  jm_free(module);
}

/* -- types */

static uint32_t type_hash(jm_dtype dtype, uint32_t rank, const int64_t *dims) {
  uint64_t hash = jm_hash_mix(dtype, rank);
  for (uint32_t i = 0; i < rank; i++) hash = jm_hash_mix(hash, (uint64_t)dims[i]);
  return (uint32_t)(hash ^ hash >> 32);
}

static bool type_equal(const jm_type *type, jm_dtype dtype, uint32_t rank, const int64_t *dims) {
  return type->dtype == dtype && type->rank == rank &&
         (!rank || !memcmp(type->dims, dims, rank * sizeof *dims));
}

/* The slot that holds the type, or the empty one where it belongs. */
static const jm_type **type_slot(const jm_type **table, uint32_t capacity, jm_dtype dtype,
                                 uint32_t rank, const int64_t *dims) {
  uint32_t i = type_hash(dtype, rank, dims) & (capacity - 1);
  while (table[i] && !type_equal(table[i], dtype, rank, dims)) i = (i + 1) & (capacity - 1);
  return &table[i];
}

static jm_error *types_grow(jm_module *m) {
  uint32_t capacity = m->types_capacity ? m->types_capacity * 2 : 64;
  const jm_type **table = jm_arena_alloc(&m->arena, capacity, sizeof *table);
  if (!table) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < m->types_capacity; i++) {
    const jm_type *type = m->types[i];
    if (type) *type_slot(table, capacity, type->dtype, type->rank, type->dims) = type;
  }
  m->types = table;
  m->types_capacity = capacity;
  return NULL;
}

/* The number of elements; INVALID_ARGUMENT if their bytes would not fit half the address space. */
static jm_error *count_elements(jm_dtype dtype, uint32_t rank, const int64_t *dims, int64_t *out) {
  int64_t count = 1;
  bool empty = false, overflow = false;
  for (uint32_t i = 0; i < rank; i++) {
    if (dims[i] < 0)
      return jm_error_invalid("dimension %u has the negative size %lld", i, (long long)dims[i]);
    if (dims[i] == 0)
      empty = true;
    else
      overflow |= __builtin_mul_overflow(count, dims[i], &count);
  }
  int64_t bytes;
  /* The other sizes of an empty tensor are arbitrary sizes. */
  if (!empty &&
      (overflow || __builtin_mul_overflow(count, (int64_t)jm_dtype_bytes(dtype), &bytes) ||
       bytes > INT64_MAX / 4))
    return jm_error_invalid("a tensor of %s is too large: its bytes overflow",
                            jm_dtype_name(dtype));
  *out = empty ? 0 : count;
  return NULL;
}

jm_error *jm_module_type(jm_module *m, jm_dtype dtype, uint32_t rank, const int64_t *dims,
                         const jm_type **out) {
  if (m->n_types * 2 >= m->types_capacity) JM_TRY(types_grow(m));
  const jm_type **slot = type_slot(m->types, m->types_capacity, dtype, rank, dims);
  if (!*slot) {
    int64_t count = 0;
    JM_TRY(count_elements(dtype, rank, dims, &count));
    jm_type *type = jm_arena_alloc(&m->arena, 1, sizeof *type);
    int64_t *copy = jm_arena_copy(&m->arena, dims, rank, sizeof *dims);
    if (!type || !copy) return jm_error_out_of_memory();
    *type = (jm_type){dtype, rank, count, copy};
    *slot = type;
    m->n_types++;
  }
  *out = *slot;
  return NULL;
}

/* -- callbacks */

bool jm_op_callback_find(const jm_op *op, int64_t *id) {
  if (op->code != JM_OP_custom_call) return false;
  const jm_custom_call_attrs *attrs = op->attrs;
  return attrs->target.size && !strcmp(attrs->target.bytes, "mps.callback") &&
         jm_call_id_find(attrs, id);
}

bool jm_call_id_find(const jm_custom_call_attrs *attrs, int64_t *id) {
  for (uint32_t i = 0; i < attrs->config.n; i++) {
    const jm_dict_entry *entry = &attrs->config.entries[i];
    if (entry->kind != JM_DICT_I64 || strcmp(entry->key.bytes, "id")) continue;
    *id = entry->i64;
    return true;
  }
  return false;
}

/* -- texts */

void jm_type_print(const jm_type *type, jm_text *text) {
  jm_text_printf(text, "%s[", jm_dtype_name(type->dtype));
  for (uint32_t i = 0; i < type->rank; i++)
    jm_text_printf(text, "%s%lld", i ? "," : "", (long long)type->dims[i]);
  jm_text_printf(text, "]");
}

void jm_op_describe(const jm_module *m, const jm_op *op, jm_text *text) {
  enum { SHOWN = 8 }; /* the `while` of a training step has hundreds of operands */
  jm_text_printf(text, "%s", jm_op_facts[op->code].name);
  if (op->code == JM_OP_custom_call) {
    const jm_custom_call_attrs *attrs = op->attrs;
    jm_text_printf(text, " @%s", attrs->target.size ? attrs->target.bytes : "");
  }
  jm_text_printf(text, "(");
  for (uint32_t i = 0; i < op->n_operands && i < SHOWN; i++) {
    if (i) jm_text_printf(text, ", ");
    jm_type_print(jm_op_operand_type(m, op, i), text);
  }
  jm_text_printf(text, "%s) -> ", op->n_operands > SHOWN ? ", ..." : "");
  for (uint32_t i = 0; i < op->n_results && i < SHOWN; i++) {
    if (i) jm_text_printf(text, ", ");
    jm_type_print(jm_op_result_type(m, op, i), text);
  }
  if (op->n_results > SHOWN) jm_text_printf(text, ", ...");
  if (!m->locate || op->loc == JM_NONE) return;
  size_t before = text->size;
  jm_text_printf(text, " at ");
  jm_error *error = m->locate(m->locate_context, op->loc, text);
  if (error && text->bytes) { /* an unreadable location must not hide the error that it is for */
    text->size = before;
    text->bytes[before] = 0;
  }
  jm_error_destroy(error);
}

jm_error *jm_op_error(const jm_module *m, const jm_op *op, jm_code code, const char *format, ...) {
  char what[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  jm_text text;
  jm_text_init(&text);
  jm_op_describe(m, op, &text);
  jm_error *error = jm_error_create(code, "%s: %s", what, jm_text_bytes(&text));
  jm_text_deinit(&text);
  return error;
}

const jm_op *jm_module_source(const jm_module *m, jm_value v) {
  for (;;) {
    const jm_op *op = jm_module_definition(m, v);
    if (op) return op;
    const jm_region *region = jm_module_region(m, m->values[v].region);
    if (region->parent == JM_NONE) return NULL;
    const jm_op *parent = jm_module_op(m, region->parent);
    uint32_t from_end = region->n_args - (v - region->first_arg);
    if (from_end > parent->n_captures) return NULL;
    v = parent->operands[parent->n_operands - from_end];
  }
}

static bool expands(const jm_module *m, const jm_expansion *e, const jm_op *op) {
  const jm_region *region = jm_module_region(m, e->region);
  if (e->code != op->code || region->n_args != op->n_operands || region->n_results != op->n_results)
    return false;
  if (e->attrs && !jm_attrs_equal(op->code, e->attrs, op->attrs, NULL)) return false;
  bool same = true;
  for (uint32_t i = 0; i < op->n_operands; i++)
    same &= jm_module_typeof(m, region->first_arg + i) == jm_op_operand_type(m, op, i);
  for (uint32_t i = 0; i < op->n_results; i++)
    same &= jm_module_typeof(m, region->results[i]) == jm_op_result_type(m, op, i);
  return same;
}

const jm_expansion *jm_module_expansion_find(const jm_module *m, const jm_op *op) {
  for (uint32_t i = 0; i < m->n_expansions; i++)
    if (expands(m, &m->expansions[i], op)) return &m->expansions[i];
  return NULL;
}

const void *jm_module_element(const jm_module *m, jm_value v) {
  const jm_op *op = jm_module_source(m, v);
  while (op && (op->code == JM_OP_broadcast_in_dim || op->code == JM_OP_reshape))
    op = jm_module_source(m, op->operands[0]);
  if (!op || op->code != JM_OP_constant) return NULL;
  const jm_constant_attrs *attrs = op->attrs;
  return attrs->value.splat || jm_op_result_type(m, op, 0)->count == 1 ? attrs->value.bytes : NULL;
}

uint32_t jm_region_count_uses(const jm_module *m, const jm_region *region, jm_value v) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    for (uint32_t k = 0; k < op->n_operands; k++) n += op->operands[k] == v;
  }
  for (uint32_t i = 0; i < region->n_results; i++) n += region->results[i] == v;
  return n;
}
