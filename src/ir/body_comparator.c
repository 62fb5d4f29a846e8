/* SPDX-License-Identifier: Apache-2.0
 * Comparators of sort that compare keys in total orders, one after another: what JAX writes. */
#include <string.h>

#include "base/number.h"
#include "ir/body.h"

/* A value of the comparator that is recognised: an element (or its real or imaginary part) of one
 * side of an operand, perhaps with canonical zeros and NaNs. */
typedef struct term {
  uint32_t operand;
  bool rhs; /* the second of the two elements */
  int part; /* 0: the element or its real part, 1: imaginary part */
  bool zero, nan;
  uint64_t nan_bits;
} term;

typedef struct matcher {
  const jm_module *module;
  const jm_op *op;
  const jm_tensor *in; /* the op's operands, NULL: unknown */
  const jm_region *region;
  uint32_t n_inputs;
} matcher;

static const jm_op *definition(const matcher *m, jm_value value, jm_opcode code) {
  const jm_op *op = jm_module_definition(m->module, value);
  return op && op->code == code ? op : NULL;
}

static jm_dtype dtype_of(const matcher *m, jm_value value) {
  return jm_module_typeof(m->module, value)->dtype;
}

/* A captured scalar: its data, or that of the constant that it is; NULL: unknown. */
static const void *captured(const matcher *m, uint32_t capture) {
  uint32_t operand = m->n_inputs + capture;
  if (m->in) return m->in[operand].data;
  const jm_op *op = definition(m, m->op->operands[operand], JM_OP_constant);
  return op ? ((const jm_constant_attrs *)op->attrs)->value.bytes : NULL;
}

/* The bits of a scalar that is known: a constant of the region or a captured scalar. */
static bool match_bits(const matcher *m, jm_value value, uint64_t *bits) {
  const jm_type *type = jm_module_typeof(m->module, value);
  size_t bytes = jm_dtype_bytes(type->dtype);
  if (type->count != 1 || bytes > sizeof *bits) return false;
  const void *data;
  const jm_op *op = definition(m, value, JM_OP_constant);
  uint32_t arg = value - m->region->first_arg;
  if (op)
    data = ((const jm_constant_attrs *)op->attrs)->value.bytes;
  else if (value >= m->region->first_arg && arg >= 2 * m->n_inputs && arg < m->region->n_args)
    data = captured(m, arg - 2 * m->n_inputs);
  else
    return false;
  if (!data) return false;
  *bits = 0;
  memcpy((unsigned char *)bits, data, bytes); /* little-endian */
  return true;
}

static bool same_element(const term *a, const term *b) {
  return a->operand == b->operand && a->rhs == b->rhs && a->part == b->part;
}

static bool match_element(const matcher *m, jm_value value, term *out) {
  const jm_op *op = jm_module_definition(m->module, value);
  *out = (term){0};
  if (op) {
    if (op->code != JM_OP_real && op->code != JM_OP_imag) return false;
    out->part = op->code == JM_OP_imag;
    value = op->operands[0];
    if (!jm_dtype_is_complex(dtype_of(m, value)) || jm_module_definition(m->module, value))
      return false;
  }
  uint32_t arg = value - m->region->first_arg;
  if (value < m->region->first_arg || arg >= 2 * m->n_inputs) return false;
  out->operand = arg / 2;
  out->rhs = arg % 2;
  return true;
}

/* select(x == 0, +0, x) and select(x != x, NaN, x), nested in either order. */
static bool match_term(const matcher *m, jm_value value, term *out) {
  bool zero = false, nan = false;
  uint64_t nan_bits = 0;
  term compared[2];
  uint32_t n_compared = 0;
  for (const jm_op *op; (op = definition(m, value, JM_OP_select)); value = op->operands[2]) {
    const jm_op *test = definition(m, op->operands[0], JM_OP_compare);
    uint64_t bits, other;
    if (!test || n_compared == 2 || !match_bits(m, op->operands[1], &bits)) return false;
    jm_direction direction = ((const jm_compare_attrs *)test->attrs)->direction;
    if (((const jm_compare_attrs *)test->attrs)->order == JM_ORDER_TOTAL) return false;
    if (!match_element(m, test->operands[0], &compared[n_compared++])) return false;
    if (!zero && direction == JM_COMPARE_EQ && bits == 0 &&
        match_bits(m, test->operands[1], &other) && other == 0) {
      zero = true;
    } else if (!nan && direction == JM_COMPARE_NE && test->operands[1] == test->operands[0] &&
               jm_number_is_nan(dtype_of(m, value), bits)) {
      nan = true;
      nan_bits = bits;
    } else {
      return false;
    }
  }
  if (!match_element(m, value, out) || jm_dtype_is_complex(dtype_of(m, value))) return false;
  for (uint32_t i = 0; i < n_compared; i++)
    if (!same_element(out, &compared[i])) return false;
  out->zero = zero;
  out->nan = nan;
  out->nan_bits = nan_bits;
  return true;
}

/* A comparison of the two sides of one key: EQ if `equal`, else LT or GT. */
static bool match_compare(const matcher *m, jm_value value, bool equal, jm_sort_key *out) {
  const jm_op *op = definition(m, value, JM_OP_compare);
  if (!op) return false;
  const jm_compare_attrs *attrs = op->attrs;
  jm_dtype dtype = dtype_of(m, op->operands[0]);
  term a, b;
  if (!match_term(m, op->operands[0], &a) || !match_term(m, op->operands[1], &b)) return false;
  if (a.operand != b.operand || a.part != b.part || a.rhs == b.rhs || a.zero != b.zero ||
      a.nan != b.nan || a.nan_bits != b.nan_bits)
    return false;
  if (equal != (attrs->direction == JM_COMPARE_EQ)) return false;
  if (!equal && attrs->direction != JM_COMPARE_LT && attrs->direction != JM_COMPARE_GT)
    return false;
  bool partial = jm_dtype_is_float(dtype) && attrs->order != JM_ORDER_TOTAL;
  *out = (jm_sort_key){a.operand,
                       a.part,
                       partial,
                       {.dtype = dtype,
                        .zero = a.zero || partial,
                        .nan = a.nan,
                        .nan_bits = a.nan_bits,
                        .descending = !equal && a.rhs != (attrs->direction == JM_COMPARE_GT)}};
  return true;
}

/* less(0) or (equal(0) and (less(1) or (equal(1) and ...))): the keys, most significant first. */
static bool match_keys(const matcher *m, jm_sort_key *keys, uint32_t max_keys, uint32_t *n_keys) {
  jm_value value = m->region->results[0];
  for (*n_keys = 0; *n_keys < max_keys;) {
    jm_sort_key *k = &keys[(*n_keys)++], equal;
    if (match_compare(m, value, false, k)) return true;
    const jm_op *either = definition(m, value, JM_OP_or), *both = NULL;
    if (!either) return false;
    int less = match_compare(m, either->operands[0], false, k) ? 0 : 1;
    if (less && !match_compare(m, either->operands[1], false, k)) return false;
    if (!(both = definition(m, either->operands[1 - less], JM_OP_and))) return false;
    int same = match_compare(m, both->operands[0], true, &equal) ? 0 : 1;
    if (same && !match_compare(m, both->operands[1], true, &equal)) return false;
    if (equal.operand != k->operand || equal.part != k->part || equal.partial != k->partial ||
        equal.order.zero != k->order.zero || equal.order.nan != k->order.nan ||
        equal.order.nan_bits != k->order.nan_bits)
      return false;
    value = both->operands[1 - same];
  }
  return false;
}

bool jm_body_comparator(const jm_module *module, const jm_op *op, const jm_tensor *in,
                        jm_sort_key *keys, uint32_t max_keys, uint32_t *n_keys) {
  matcher m = {module, op, in, jm_op_region(module, op, 0), op->n_operands - op->n_captures};
  return match_keys(&m, keys, max_keys, n_keys);
}
