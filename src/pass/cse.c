/* SPDX-License-Identifier: Apache-2.0
 * Common subexpressions: an op is replaced by an earlier one of its region with the same code,
 * operands, types, attributes and (compared op by op) regions. Not merged: ops with effects, tokens
 * and optimization_barrier, which exists to keep a recomputation apart (jax.checkpoint). */
#include <string.h>

#include "base/hash.h"
#include "pass/rewrite.h"

typedef struct entry {
  uint64_t hash;
  jm_region_id region;
  jm_op_id op; /* JM_NONE: empty */
} entry;

typedef struct table {
  entry *entries; /* open addressing */
  uint32_t n, capacity;
  jm_value *map; /* while two regions are compared: the value of b that matches one of a */
} table;

/* -- attributes, by the tables of their fields */

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size) {
  enum { SAMPLE = 256 }; /* of a large constant: equality looks at all of it */
  hash = jm_hash_mix(hash, size);
  for (size_t i = 0; i < size && i < SAMPLE; i++)
    hash = jm_hash_mix(hash, ((const uint8_t *)bytes)[i]);
  return hash;
}

static size_t data_bytes(const jm_data *data, const jm_type *type) {
  return data->splat ? jm_dtype_bytes(type->dtype) : jm_type_bytes(type);
}

static uint64_t hash_field(uint64_t hash, const jm_attr_field *field, const void *at,
                           const jm_type *type) {
  switch (field->kind) {
    case JM_ATTR_I64:
      return jm_hash_mix(hash, (uint64_t)*(const int64_t *)at);
    case JM_ATTR_BOOL:
      return jm_hash_mix(hash, *(const bool *)at);
    case JM_ATTR_I64S: {
      const jm_i64s *list = at;
      return hash_bytes(hash, list->data, list->n * sizeof *list->data);
    }
    case JM_ATTR_STR:
      return hash_bytes(hash, ((const jm_str *)at)->bytes, ((const jm_str *)at)->size);
    case JM_ATTR_DATA: {
      const jm_data *data = at;
      return hash_bytes(jm_hash_mix(hash, data->splat), data->bytes, data_bytes(data, type));
    }
    case JM_ATTR_DICT:
      return jm_hash_mix(hash, ((const jm_dict *)at)->n);
    default:
      return jm_hash_mix(hash, *(const unsigned *)at);
  }
}

/* -- ops */

/* Compares code, counts, types and attributes; the caller compares the operands. */
static bool same_op(const jm_module *m, const jm_op *a, const jm_op *b) {
  if (a->code != b->code || a->n_operands != b->n_operands || a->n_captures != b->n_captures ||
      a->n_results != b->n_results || a->n_regions != b->n_regions)
    return false;
  for (uint32_t i = 0; i < a->n_results; i++)
    if (jm_op_result_type(m, a, i) != jm_op_result_type(m, b, i)) return false;
  const jm_type *type = a->n_results ? jm_op_result_type(m, a, 0) : NULL;
  return jm_attrs_equal(a->code, a->attrs, b->attrs, type);
}

static bool same_regions(const jm_module *m, const jm_op *a, const jm_op *b, jm_value *map);

static bool same_region(const jm_module *m, const jm_region *a, const jm_region *b, jm_value *map) {
  if (a->n_args != b->n_args || a->n_ops != b->n_ops || a->n_results != b->n_results) return false;
  for (uint32_t i = 0; i < a->n_args; i++) {
    if (jm_module_typeof(m, a->first_arg + i) != jm_module_typeof(m, b->first_arg + i))
      return false;
    map[a->first_arg + i] = b->first_arg + i;
  }
  for (uint32_t i = 0; i < a->n_ops; i++) {
    const jm_op *x = jm_module_op(m, a->ops[i]), *y = jm_module_op(m, b->ops[i]);
    if (!same_op(m, x, y)) return false;
    for (uint32_t k = 0; k < x->n_operands; k++)
      if (map[x->operands[k]] != y->operands[k]) return false;
    if (!same_regions(m, x, y, map)) return false;
    for (uint32_t k = 0; k < x->n_results; k++) map[x->first_result + k] = y->first_result + k;
  }
  for (uint32_t i = 0; i < a->n_results; i++)
    if (map[a->results[i]] != b->results[i]) return false;
  return true;
}

static bool same_regions(const jm_module *m, const jm_op *a, const jm_op *b, jm_value *map) {
  for (uint32_t i = 0; i < a->n_regions; i++)
    if (!same_region(m, jm_op_region(m, a, i), jm_op_region(m, b, i), map)) return false;
  return true;
}

static uint64_t hash_op(const jm_module *m, const jm_op *op, jm_region_id region) {
  uint64_t hash = jm_hash_mix(jm_hash_mix(0, op->code), region);
  for (uint32_t i = 0; i < op->n_operands; i++) hash = jm_hash_mix(hash, op->operands[i]);
  for (uint32_t i = 0; i < op->n_results; i++)
    hash = jm_hash_mix(hash, (uintptr_t)jm_op_result_type(m, op, i));
  const jm_type *type = op->n_results ? jm_op_result_type(m, op, 0) : NULL;
  for (const jm_attr_field *field = jm_op_facts[op->code].attrs(); field->name; field++)
    hash = hash_field(hash, field, (const char *)op->attrs + field->offset, type);
  return hash;
}

static bool same(const jm_module *m, const jm_op *a, const jm_op *b, jm_value *map) {
  return same_op(m, a, b) &&
         (!a->n_operands || !memcmp(a->operands, b->operands, a->n_operands * sizeof(jm_value))) &&
         same_regions(m, a, b, map);
}

static jm_error *table_grow(table *t) {
  uint32_t capacity = t->capacity ? t->capacity * 2 : 256;
  entry *grown = jm_alloc(capacity, sizeof *grown);
  if (!grown) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < capacity; i++) grown[i].op = JM_NONE;
  for (uint32_t i = 0; i < t->capacity; i++) {
    if (t->entries[i].op == JM_NONE) continue;
    uint32_t k = (uint32_t)t->entries[i].hash & (capacity - 1);
    while (grown[k].op != JM_NONE) k = (k + 1) & (capacity - 1);
    grown[k] = t->entries[i];
  }
  jm_free(t->entries);
  t->entries = grown;
  t->capacity = capacity;
  return NULL;
}

static jm_error *visit(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  table *t = rw->context;
  const jm_module *m = rw->m;
  const jm_op *op = jm_module_op(m, id);
  if (op->code == JM_OP_optimization_barrier || !op->n_results || jm_rewrite_has_token(m, op) ||
      jm_rewrite_has_effect(m, op))
    return NULL;
  if (t->n * 2 >= t->capacity) JM_TRY(table_grow(t));
  uint64_t hash = hash_op(m, op, region);
  uint32_t k = (uint32_t)hash & (t->capacity - 1);
  for (; t->entries[k].op != JM_NONE; k = (k + 1) & (t->capacity - 1)) {
    if (t->entries[k].hash != hash || t->entries[k].region != region) continue;
    const jm_op *earlier = jm_module_op(m, t->entries[k].op);
    if (!same(m, earlier, op, t->map)) continue;
    for (uint32_t i = 0; i < op->n_results; i++)
      jm_rewrite_replace(rw, op->first_result + i, earlier->first_result + i);
    rw->drop = true;
    return NULL;
  }
  t->entries[k] = (entry){hash, region, id};
  t->n++;
  return NULL;
}

jm_error *jm_pass_cse(jm_module *m, const jm_pass_options *options, bool *changed) {
  table t = {.map = jm_alloc(m->n_values, sizeof *t.map)};
  jm_error *error =
      t.map ? jm_rewrite_run(m, options, visit, &t, changed) : jm_error_out_of_memory();
  jm_free(t.entries);
  jm_free(t.map);
  return error;
}
