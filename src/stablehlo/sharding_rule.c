/* SPDX-License-Identifier: Apache-2.0
 * The sharding rule that a program gives with a custom call, as the list of factors that ops of the
 * IR have (ir/factors.h):
 *
 *   #sdy.op_sharding_rule<([i, j])->([i, j]) {i=8, j=4}, custom>     2, 8 0, 4 0, 0 1, 0 1
 *
 * Of a dimension that several factors make, the first one counts, which is the major one. A factor
 * that must be whole, or along which nothing is to be propagated, is none. */
#include "ir/factors.h"
#include "stablehlo/reader.h"

/* The integers of the attribute, of which at least n are left. */
typedef struct numbers {
  const int64_t *at, *end;
} numbers;

static jm_error *take(numbers *from, int64_t n, jm_i64s *out) {
  if (n < 0 || n > from->end - from->at) return jm_error_invalid("a malformed sharding rule");
  *out = (jm_i64s){from->at, (uint32_t)n};
  from->at += n;
  return NULL;
}

static jm_error *take_list(numbers *from, jm_i64s *out) {
  JM_TRY(take(from, 1, out));
  return take(from, out->data[0], out);
}

typedef struct rule {
  const jm_wire_attr *attr;
  jm_i64s sizes, counts, reduced, whole, permuted, blocked; /* counts: operands, results */
} rule;

static jm_error *read_rule(jm_vhlo *v, uint32_t index, rule *out) {
  JM_TRY(jm_bytecode_read_attr(v->b, index, &out->attr));
  if (out->attr->dialect != JM_WIRE_SDY || out->attr->code != JM_WIRE_SDY_RULE)
    return jm_error_unimplemented("this kind of sharding rule");
  numbers left = {out->attr->ints, out->attr->ints + out->attr->n_ints};
  JM_TRY(take_list(&left, &out->sizes));
  JM_TRY(take(&left, 2, &out->counts));
  JM_TRY(take_list(&left, &out->reduced));
  JM_TRY(take_list(&left, &out->whole));
  JM_TRY(take_list(&left, &out->permuted));
  return take_list(&left, &out->blocked);
}

/* The factors of a tensor's dimensions are appended to the list. */
static jm_error *add_tensor(jm_vhlo *v, const rule *r, uint32_t index, uint32_t rank,
                            int64_t *list) {
  const jm_wire_attr *tensor, *dim;
  JM_TRY(jm_bytecode_read_attr(v->b, index, &tensor));
  if (tensor->dialect != JM_WIRE_SDY || tensor->code != JM_WIRE_SDY_TENSOR_FACTORS ||
      tensor->n_attrs != rank)
    return jm_error_invalid("a sharding rule of other ranks than those of the call");
  for (uint32_t d = 0; d < rank; d++) {
    JM_TRY(jm_bytecode_read_attr(v->b, tensor->attrs[d], &dim));
    if (dim->dialect != JM_WIRE_SDY || dim->code != JM_WIRE_SDY_DIM_FACTORS)
      return jm_error_invalid("a malformed sharding rule");
    const int64_t factor = dim->n_ints ? dim->ints[0] : JM_NO_FACTOR;
    if (factor >= r->sizes.n) return jm_error_invalid("a malformed sharding rule");
    const bool none = jm_i64s_contains(r->whole, factor) || jm_i64s_contains(r->blocked, factor);
    list[d] = none ? JM_NO_FACTOR : factor;
  }
  return NULL;
}

static jm_error *type_of(jm_vhlo *v, const jm_wire_op *op, const jm_value *operands, uint32_t t,
                         const jm_type **out) {
  if (t >= op->n_operands) return jm_vhlo_result_type(v, op, t - op->n_operands, out);
  *out = jm_vhlo_typeof(v, operands[t]);
  return NULL;
}

jm_error *jm_vhlo_sharding_rule(jm_vhlo *v, const jm_wire_op *op, const jm_value *operands,
                                jm_i64s *out) {
  rule r;
  uint32_t index, n = 1;
  int64_t *list;
  const jm_type *type;
  JM_TRY(jm_bytecode_find_attr(v->b, op, "sdy.sharding_rule", &index));
  if (index == JM_WIRE_NONE) return NULL;
  JM_TRY(read_rule(v, index, &r));
  if (r.counts.data[0] != op->n_operands || r.counts.data[1] != op->n_results ||
      r.attr->n_attrs != op->n_operands + op->n_results)
    return jm_error_invalid("a sharding rule of %u arrays for %u", r.attr->n_attrs,
                            op->n_operands + op->n_results);
  n += 2 * r.sizes.n;
  for (uint32_t t = 0; t < r.attr->n_attrs; t++) {
    JM_TRY(type_of(v, op, operands, t, &type));
    n += type->rank;
  }
  JM_TRY(jm_vhlo_make_list(v, n, &list));
  *out = (jm_i64s){list, n};
  *list++ = r.sizes.n;
  for (uint32_t k = 0; k < r.sizes.n; k++) {
    *list++ = r.sizes.data[k];
    *list++ = jm_i64s_contains(r.reduced, k);
  }
  for (uint32_t t = 0; t < r.attr->n_attrs; t++) {
    JM_TRY(type_of(v, op, operands, t, &type));
    JM_TRY(add_tensor(v, &r, r.attr->attrs[t], type->rank, list));
    list += type->rank;
  }
  return NULL;
}
