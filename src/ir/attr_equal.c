/* SPDX-License-Identifier: Apache-2.0
 * Whether two attribute structs of an op say the same, by the table of their fields. */
#include <string.h>

#include "ir/module.h"

static bool same_bytes(const void *a, const void *b, size_t size) {
  return !size || !memcmp(a, b, size);
}

static bool same_str(const jm_str *a, const jm_str *b) {
  return a->size == b->size && same_bytes(a->bytes, b->bytes, a->size);
}

static bool same_i64s(const jm_i64s *a, const jm_i64s *b) {
  return a->n == b->n && same_bytes(a->data, b->data, a->n * sizeof *a->data);
}

static bool same_dict(const jm_dict *a, const jm_dict *b) {
  if (a->n != b->n) return false;
  for (uint32_t i = 0; i < a->n; i++) {
    const jm_dict_entry *x = &a->entries[i], *y = &b->entries[i];
    if (x->kind != y->kind || x->dtype != y->dtype || x->i64 != y->i64 ||
        !same_str(&x->key, &y->key) || !same_str(&x->str, &y->str) ||
        !same_i64s(&x->i64s, &y->i64s) || memcmp(&x->f64, &y->f64, sizeof x->f64) != 0)
      return false;
  }
  return true;
}

static bool same_field(const jm_attr_field *field, const void *a, const void *b,
                       const jm_type *type) {
  switch (field->kind) {
    case JM_ATTR_I64:
      return *(const int64_t *)a == *(const int64_t *)b;
    case JM_ATTR_BOOL:
      return *(const bool *)a == *(const bool *)b;
    case JM_ATTR_I64S:
      return same_i64s(a, b);
    case JM_ATTR_STR:
      return same_str(a, b);
    case JM_ATTR_DATA: {
      const jm_data *x = a, *y = b;
      return x->splat == y->splat &&
             same_bytes(x->bytes, y->bytes,
                        x->splat ? jm_dtype_bytes(type->dtype) : jm_type_bytes(type));
    }
    case JM_ATTR_DICT:
      return same_dict(a, b);
    default:
      return *(const unsigned *)a == *(const unsigned *)b;
  }
}

bool jm_attrs_equal(jm_opcode code, const void *a, const void *b, const jm_type *type) {
  for (const jm_attr_field *field = jm_op_facts[code].attrs(); field->name; field++)
    if (!same_field(field, (const char *)a + field->offset, (const char *)b + field->offset, type))
      return false;
  return true;
}
