/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/print.h"

#include <inttypes.h>
#include <string.h>

#include "ir/element.h"

enum { DECIMALS = 1024 }; /* a constant of more elements is printed as its bytes */

typedef struct printer {
  const jm_module *m;
  jm_text *text;
  uint32_t *number; /* per value: what it is called; NULL: by its index in the module */
  uint32_t next;
  bool located;
  bool brief; /* for people: a constant stands where it is used */
  bool views; /* so do views (reshape, bitcast): plans have no step for them */
} printer;

/* -- attributes */

static void print_i64s(jm_text *text, const jm_i64s *list) {
  jm_text_append(text, "[", 1);
  for (uint32_t i = 0; i < list->n; i++)
    jm_text_printf(text, "%s%" PRId64, i ? "," : "", list->data[i]);
  jm_text_append(text, "]", 1);
}

static void print_data(jm_text *text, const jm_data *data, const jm_type *type) {
  const char *bytes = data->bytes;
  size_t size = jm_dtype_bytes(type->dtype);
  if (data->splat) {
    jm_element_print(type->dtype, bytes, text);
  } else if (type->count > DECIMALS) {
    jm_text_append(text, "bytes\"", 6);
    for (size_t i = 0, n = jm_type_bytes(type); i < n; i++) {
      static const char digits[] = "0123456789abcdef";
      const char pair[] = {digits[(uint8_t)bytes[i] >> 4], digits[bytes[i] & 15]};
      jm_text_append(text, pair, 2);
    }
    jm_text_append(text, "\"", 1);
  } else {
    jm_text_append(text, "[", 1);
    for (int64_t i = 0; i < type->count; i++) {
      if (i) jm_text_append(text, ",", 1);
      jm_element_print(type->dtype, bytes + (size_t)i * size, text);
    }
    jm_text_append(text, "]", 1);
  }
}

static void print_typed(jm_text *text, const jm_dict_entry *entry) {
  bool list = entry->i64 >= 0;
  int64_t n = list ? entry->i64 : 1;
  size_t size = jm_dtype_bytes(entry->dtype);
  jm_text_printf(text, "%s%c", jm_dtype_name(entry->dtype), list ? '[' : '(');
  for (int64_t i = 0; i < n; i++) {
    if (i) jm_text_append(text, ",", 1);
    jm_element_print(entry->dtype, entry->str.bytes + (size_t)i * size, text);
  }
  jm_text_append(text, list ? "]" : ")", 1);
}

static void print_dict(jm_text *text, const jm_dict *dict) {
  jm_text_append(text, "{", 1);
  for (uint32_t i = 0; i < dict->n; i++) {
    const jm_dict_entry *entry = &dict->entries[i];
    if (i) jm_text_append(text, ", ", 2);
    jm_text_quote(text, entry->key.bytes, entry->key.size);
    jm_text_append(text, ": ", 2);
    switch (entry->kind) {
      case JM_DICT_I64:
        jm_text_printf(text, "%" PRId64, entry->i64);
        break;
      case JM_DICT_BOOL:
        jm_text_printf(text, entry->i64 ? "true" : "false");
        break;
      case JM_DICT_STR:
        jm_text_quote(text, entry->str.bytes, entry->str.size);
        break;
      case JM_DICT_I64S:
        print_i64s(text, &entry->i64s);
        break;
      case JM_DICT_F64:
        jm_text_append(text, "f64(", 4);
        jm_element_print(JM_DT_f64, &entry->f64, text);
        jm_text_append(text, ")", 1);
        break;
      case JM_DICT_DATA:
        print_typed(text, entry);
        break;
    }
  }
  jm_text_append(text, "}", 1);
}

/* A field that is zero is omitted; an enumeration never is. */
static bool field_is_shown(const jm_attr_field *field, const void *at) {
  switch (field->kind) {
    case JM_ATTR_I64:
      return *(const int64_t *)at != 0;
    case JM_ATTR_BOOL:
      return *(const bool *)at;
    case JM_ATTR_I64S:
      return ((const jm_i64s *)at)->n != 0;
    case JM_ATTR_STR:
      return ((const jm_str *)at)->size != 0;
    case JM_ATTR_DICT:
      return ((const jm_dict *)at)->n != 0;
    default:
      return true;
  }
}

static void print_attrs(printer *p, const jm_op *op) {
  jm_text *text = p->text;
  for (const jm_attr_field *field = jm_op_facts[op->code].attrs(); field->name; field++) {
    const void *at = (const char *)op->attrs + field->offset;
    if (!field_is_shown(field, at)) continue;
    jm_text_printf(text, " %s=", field->name);
    switch (field->kind) {
      case JM_ATTR_I64:
        jm_text_printf(text, "%" PRId64, *(const int64_t *)at);
        break;
      case JM_ATTR_BOOL:
        jm_text_append(text, "true", 4);
        break;
      case JM_ATTR_I64S:
        print_i64s(text, at);
        break;
      case JM_ATTR_STR:
        jm_text_quote(text, ((const jm_str *)at)->bytes, ((const jm_str *)at)->size);
        break;
      case JM_ATTR_DATA:
        print_data(text, at, jm_op_result_type(p->m, op, 0));
        break;
      case JM_ATTR_DICT:
        print_dict(text, at);
        break;
      default:
        jm_text_printf(text, "%s", jm_attr_spellings(field->kind)[*(const unsigned *)at]);
        break;
    }
  }
}

/* -- ops and regions */

static void print_region(printer *p, jm_region_id id, unsigned depth);

static void indent(printer *p, unsigned depth) {
  for (unsigned i = 0; i < depth; i++) jm_text_append(p->text, "  ", 2);
}

static void print_definition(printer *p, jm_value value) {
  if (p->number) p->number[value] = p->next++;
  jm_text_printf(p->text, "%%%u: ", p->number ? p->number[value] : value);
  jm_type_print(jm_module_typeof(p->m, value), p->text);
}

static bool is_folded(const printer *p, const jm_op *op) {
  return p->brief && op->code == JM_OP_constant;
}

static bool is_view(const jm_op *op) {
  return op->code == JM_OP_reshape || op->code == JM_OP_bitcast_convert ||
         op->code == JM_OP_optimization_barrier;
}

static void print_use(printer *p, jm_value value) {
  enum { SHOWN = 8 };
  const jm_op *op = jm_module_definition(p->m, value);
  if (op && p->views && is_view(op)) {
    jm_text_printf(p->text, "%s(", jm_op_facts[op->code].name);
    print_use(p, op->operands[value - op->first_result]);
    jm_text_append(p->text, ")", 1);
    return;
  }
  if (!op || !is_folded(p, op)) {
    jm_text_printf(p->text, "%%%u", p->number ? p->number[value] : value);
    return;
  }
  const jm_data *data = &((const jm_constant_attrs *)op->attrs)->value;
  const jm_type *type = jm_module_typeof(p->m, value);
  if (data->splat || type->count <= SHOWN)
    print_data(p->text, data, type);
  else
    jm_text_printf(p->text, "constant");
}

/* A region of one op on the region's own arguments, as most reductions have it, is printed as the
 * op's name. */
static const jm_op *single_op(const printer *p, const jm_region *region) {
  if (!p->brief || region->n_ops != 1) return NULL;
  const jm_op *op = jm_module_op(p->m, region->ops[0]);
  if (op->n_operands != region->n_args || op->n_results != region->n_results || op->n_regions)
    return NULL;
  for (uint32_t i = 0; i < op->n_operands; i++)
    if (op->operands[i] != region->first_arg + i) return NULL;
  for (uint32_t i = 0; i < op->n_results; i++)
    if (region->results[i] != op->first_result + i) return NULL;
  return op;
}

void jm_location_print(const jm_module *m, const jm_op *op, jm_text *text) {
  if (!m->locate || op->loc == JM_NONE) return;
  jm_text location;
  jm_text_init(&location);
  jm_error *error = m->locate(m->locate_context, op->loc, &location);
  if (!error && !location.failed) jm_text_append(text, jm_text_bytes(&location), location.size);
  jm_error_destroy(error); /* an unreadable location counts as unknown */
  jm_text_deinit(&location);
}

static void print_location(printer *p, const jm_op *op) {
  if (!p->located) return;
  jm_text location;
  jm_text_init(&location);
  jm_location_print(p->m, op, &location);
  if (location.size && p->brief) {
    jm_text_printf(p->text, "  # %s", location.bytes);
  } else if (location.size) {
    jm_text_append(p->text, " loc(", 5);
    jm_text_quote(p->text, location.bytes, location.size);
    jm_text_append(p->text, ")", 1);
  }
  jm_text_deinit(&location);
}

static void print_regions(printer *p, const jm_op *op, unsigned depth) {
  for (uint32_t i = 0; i < op->n_regions; i++) {
    const jm_op *single = single_op(p, jm_op_region(p->m, op, i));
    jm_text_append(p->text, i ? ", {" : " {", i ? 3 : 2);
    if (single) {
      jm_text_printf(p->text, "%s", jm_op_facts[single->code].name);
      print_attrs(p, single);
    } else {
      jm_text_append(p->text, "\n", 1);
      print_region(p, op->first_region + i, depth + 1);
      indent(p, depth);
    }
    jm_text_append(p->text, "}", 1);
  }
}

/* Without the regions and without the end of the line. */
static void print_head(printer *p, const jm_op *op) {
  for (uint32_t i = 0; i < op->n_results; i++) {
    if (i) jm_text_append(p->text, ", ", 2);
    print_definition(p, op->first_result + i);
  }
  const jm_op_fact *fact = &jm_op_facts[op->code];
  jm_text_printf(p->text, "%s%s", op->n_results ? " = " : "", fact->name);
  if (fact->regions == JM_ANY) jm_text_printf(p->text, "<%u>", op->n_regions);
  for (uint32_t i = 0; i < op->n_operands; i++) {
    bool first_capture = i == op->n_operands - op->n_captures;
    jm_text_printf(p->text, first_capture ? " | " : i ? ", " : " ");
    print_use(p, op->operands[i]);
  }
  print_attrs(p, op);
}

static void print_op(printer *p, const jm_op *op, unsigned depth) {
  if (is_folded(p, op)) return;
  indent(p, depth);
  print_head(p, op);
  print_regions(p, op, depth);
  print_location(p, op);
  jm_text_append(p->text, "\n", 1);
}

static void print_fact(printer *p, const char *name, const char *value) {
  if (!value) return;
  jm_text_printf(p->text, " %s=", name);
  jm_text_quote(p->text, value, strlen(value));
}

static void print_parts(printer *p, const jm_sharding *sharding) {
  if (!sharding) return;
  jm_arena arena;
  jm_i64s parts, ids;
  jm_arena_init(&arena);
  jm_error *error = jm_sharding_encode(&arena, sharding, &parts, &ids);
  if (!error) {
    jm_text_printf(p->text, " parts=");
    print_i64s(p->text, &parts);
    if (ids.n) jm_text_printf(p->text, " ids=");
    if (ids.n) print_i64s(p->text, &ids);
  }
  p->text->failed |= error != NULL;
  jm_error_destroy(error);
  jm_arena_deinit(&arena);
}

static void print_layout(printer *p, jm_i64s layout) {
  if (!layout.n) return;
  jm_text_printf(p->text, " layout=");
  print_i64s(p->text, &layout);
}

static void print_argument_facts(printer *p, const jm_argument_fact *fact) {
  if (fact->alias >= 0) jm_text_printf(p->text, " alias=%d", fact->alias);
  if (fact->donor) jm_text_append(p->text, " donor", 6);
  print_fact(p, "memory_kind", fact->memory_kind);
  print_fact(p, "sharding", fact->sharding);
  print_parts(p, fact->parts);
  print_layout(p, fact->layout);
}

static void print_region(printer *p, jm_region_id id, unsigned depth) {
  const jm_module *m = p->m;
  const jm_region *region = jm_module_region(m, id);
  indent(p, depth);
  jm_text_append(p->text, "(", 1);
  for (uint32_t i = 0; i < region->n_args; i++) {
    if (i) jm_text_append(p->text, ", ", 2);
    print_definition(p, region->first_arg + i);
    if (id == m->entry && m->arguments) print_argument_facts(p, &m->arguments[i]);
  }
  jm_text_append(p->text, "):\n", 3);
  for (uint32_t i = 0; i < region->n_ops; i++) print_op(p, jm_module_op(m, region->ops[i]), depth);
  indent(p, depth);
  jm_text_append(p->text, "return", 6);
  for (uint32_t i = 0; i < region->n_results; i++) {
    jm_text_printf(p->text, i ? ", " : " ");
    print_use(p, region->results[i]);
    if (id == m->entry && m->results) {
      print_fact(p, "memory_kind", m->results[i].memory_kind);
      print_fact(p, "sharding", m->results[i].sharding);
      print_parts(p, m->results[i].parts);
      print_layout(p, m->results[i].layout);
      if (m->results[i].any_layout) jm_text_append(p->text, " any_layout", 11);
    }
  }
  jm_text_append(p->text, "\n", 1);
}

static void print_module(const jm_module *m, bool located, jm_text *text) {
  printer p = {.m = m, .text = text, .located = located};
  p.number = jm_alloc(m->n_values, sizeof *p.number);
  if (!p.number) {
    text->failed = true;
    return;
  }
  jm_text_append(text, "module ", 7);
  jm_text_quote(text, m->name, strlen(m->name));
  if (m->n_replicas != 1) jm_text_printf(text, " replicas=%u", m->n_replicas);
  if (m->n_partitions != 1) jm_text_printf(text, " partitions=%u", m->n_partitions);
  if (m->whole) jm_text_append(text, " whole", 6);
  if (m->logical) jm_text_append(text, " logical", 8);
  jm_text_append(text, " {\n", 3);
  print_region(&p, m->entry, 1);
  jm_text_append(text, "}\n", 2);
  jm_free(p.number);
}

void jm_module_print(const jm_module *module, jm_text *text) { print_module(module, false, text); }

void jm_module_print_located(const jm_module *module, jm_text *text) {
  print_module(module, true, text);
}

void jm_values_print(const jm_module *module, const jm_value *values, uint32_t n, jm_text *text) {
  printer p = {.m = module, .text = text, .brief = true, .views = true};
  for (uint32_t i = 0; i < n; i++) {
    if (i) jm_text_append(text, ", ", 2);
    print_use(&p, values[i]);
  }
}

void jm_op_print(const jm_module *module, const jm_op *op, jm_text *text) {
  printer p = {.m = module, .text = text, .brief = true, .views = true};
  print_head(&p, op);
}

void jm_region_print(const jm_module *module, jm_region_id region, uint32_t depth, jm_text *text) {
  printer p = {.m = module, .text = text, .brief = true, .located = true};
  print_region(&p, region, depth);
}
