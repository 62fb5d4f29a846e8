/* SPDX-License-Identifier: Apache-2.0
 * Builds the attributes of an IR op from those on the wire: the row of vhlo.def says which
 * attribute goes to which field, and the field's kind how to convert it. */
#include <inttypes.h>
#include <string.h>

#include "stablehlo/reader.h"

typedef struct target {
  const jm_attr_field *fields;
  char *attrs;
} target;

static const jm_attr_field *find_field(const jm_attr_field *fields, const char *name, size_t size) {
  for (; fields->name; fields++)
    if (strlen(fields->name) == size && !memcmp(fields->name, name, size)) return fields;
  return NULL;
}

static jm_error *set(const target *t, const char *name, size_t size, jm_attr_kind kind,
                     const void *value, size_t value_size) {
  const jm_attr_field *field = find_field(t->fields, name, size);
  if (!field || field->kind != kind)
    return jm_error_internal("the op has no field %.*s of that kind", (int)size, name);
  memcpy(t->attrs + field->offset, value, value_size);
  return NULL;
}

static jm_error *set_precision(jm_vhlo *v, const jm_wire_attr *attr, const target *t) {
  static const char *const names[] = {"lhs_precision", "rhs_precision"};
  if (attr->kind != JM_WIRE_ARRAY || attr->n_attrs > 2)
    return jm_error_invalid("precision_config is not one precision per operand");
  for (uint32_t i = 0; i < attr->n_attrs; i++) {
    const jm_wire_attr *item;
    JM_TRY(jm_bytecode_read_attr(v->b, attr->attrs[i], &item));
    if (item->kind != JM_WIRE_ENUM || item->code != JM_WIRE_VHLO_PRECISION ||
        (uint64_t)item->ints[0] > JM_PRECISION_HIGHEST)
      return jm_error_invalid("precision_config is not one precision per operand");
    jm_precision p = (jm_precision)item->ints[0];
    JM_TRY(set(t, names[i], strlen(names[i]), JM_ATTR_PRECISION, &p, sizeof p));
  }
  return NULL;
}

static jm_error *check_accuracy(jm_vhlo *v, const jm_wire_attr *attr) {
  enum { TOLERANCE = 2 };
  const jm_wire_attr *mode;
  if (attr->dialect != JM_WIRE_VHLO || attr->code != JM_WIRE_VHLO_ACCURACY)
    return jm_error_invalid("result_accuracy is not an accuracy");
  JM_TRY(jm_bytecode_read_attr(v->b, attr->attrs[0], &mode));
  if (mode->kind != JM_WIRE_ENUM || mode->code != JM_WIRE_VHLO_ACCURACY_MODE)
    return jm_error_invalid("result_accuracy has no mode");
  if ((uint64_t)mode->ints[0] >= TOLERANCE)
    return jm_error_unimplemented("a result accuracy given as a tolerance");
  return NULL;
}

static jm_error *set_groups(jm_vhlo *v, uint32_t index, const target *t) {
  jm_i64s groups = {0};
  int64_t size = 0;
  JM_TRY(jm_vhlo_groups(v, index, &groups, &size));
  JM_TRY(set(t, "replica_groups", strlen("replica_groups"), JM_ATTR_I64S, &groups, sizeof groups));
  return set(t, "group_size", strlen("group_size"), JM_ATTR_I64, &size, sizeof size);
}

static jm_error *set_special(jm_vhlo *v, uint32_t index, const jm_wire_attr *attr,
                             const char *field, size_t size, const target *t) {
  if (size == 10 && !memcmp(field, "@precision", size)) return set_precision(v, attr, t);
  if (size == 9 && !memcmp(field, "@accuracy", size)) return check_accuracy(v, attr);
  if (size == 7 && !memcmp(field, "@groups", size)) return set_groups(v, index, t);
  if (attr->kind != JM_WIRE_BOOL) return jm_error_invalid("expected a bool");
  return attr->ints[0] ? jm_error_unimplemented("it must be false") : NULL;
}

/* A type as an attribute's value: the none type counts as absent, an element type is given by its
 * name. */
static jm_error *set_type(jm_vhlo *v, const jm_wire_attr *attr, const char *name, size_t size,
                          const target *t) {
  const jm_wire_type *type;
  JM_TRY(jm_bytecode_read_type(v->b, attr->type, &type));
  if (type->kind == JM_WIRE_T_NONE) return NULL;
  const char *text = type->kind == JM_WIRE_T_SCALAR ? jm_dtype_name(type->dtype) : type->name;
  if (!text) return jm_error_unimplemented("the type of %.*s", (int)size, name);
  const jm_attr_field *field = find_field(t->fields, name, size);
  if (!field || field->kind != JM_ATTR_STR) return jm_error_invalid("it has the wrong kind");
  jm_str str = {text, (uint32_t)strlen(text)};
  return set(t, name, size, JM_ATTR_STR, &str, sizeof str);
}

static uint32_t count_spellings(jm_attr_kind kind) {
  const char *const *spellings = jm_attr_spellings(kind);
  uint32_t n = 0;
  while (spellings && spellings[n]) n++;
  return n;
}

static jm_error *set_field(jm_vhlo *v, uint32_t index, const char *name, size_t size,
                           const target *t) {
  const jm_wire_attr *attr;
  JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
  if (*name == '-') return NULL;
  if (*name == '@') return set_special(v, index, attr, name, size, t);
  if (attr->kind == JM_WIRE_TYPE) return set_type(v, attr, name, size, t);
  const jm_attr_field *field = find_field(t->fields, name, size);
  if (!field) return jm_error_internal("the op has no field %.*s", (int)size, name);
  void *at = t->attrs + field->offset;
  if (field->kind == JM_ATTR_I64S) return jm_vhlo_list(v, index, at);
  uint32_t n = count_spellings(field->kind);
  if (field->kind == JM_ATTR_I64 && attr->kind == JM_WIRE_INTEGER)
    memcpy(at, attr->ints, sizeof(int64_t));
  else if (field->kind == JM_ATTR_BOOL && attr->kind == JM_WIRE_BOOL)
    *(bool *)at = attr->ints[0] != 0;
  else if (n && attr->kind == JM_WIRE_ENUM && (uint64_t)attr->ints[0] < n)
    *(unsigned *)at = (unsigned)attr->ints[0]; /* enums without negative values are unsigned */
  else
    return jm_error_invalid("it has the wrong kind");
  return NULL;
}

jm_error *jm_vhlo_fields(jm_vhlo *v, const jm_wire_op *op, jm_opcode code, void *attrs) {
  const jm_vhlo_row *row = jm_vhlo_find_row(v, op);
  target t = {jm_op_facts[code].attrs(), attrs};
  const char *name = row->attributes, *field = row->fields;
  for (uint32_t i = 0; *field; i++) {
    size_t name_size = strcspn(name, ","), field_size = strcspn(field, ",");
    uint32_t index = JM_WIRE_NONE;
    if (op->properties) {
      index = op->properties[i];
    } else { /* before version 5 of the container */
      char text[64];
      memcpy(text, name, name_size);
      text[name_size] = 0;
      JM_TRY(jm_bytecode_find_entry(v->b, op->dictionary, text, &index));
    }
    if (index == JM_WIRE_NONE)
      return jm_error_invalid("attribute %.*s is missing", (int)name_size, name);
    JM_TRY(jm_error_note(set_field(v, index, field, field_size, &t), "in attribute %.*s",
                         (int)name_size, name));
    name += name_size + (name[name_size] == ',');
    field += field_size + (field[field_size] == ',');
  }
  return NULL;
}
