/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/body.h"

#include <math.h>
#include <string.h>

#include "base/number.h"

/* The op of this code that defines a value, else NULL. */
static const jm_op *find_op(const jm_module *m, jm_value v, jm_opcode code) {
  const jm_op *op = jm_module_definition(m, v);
  return op && op->code == code ? op : NULL;
}

/* -- regions of two arguments */

bool jm_body_binary(const jm_module *m, jm_region_id id, jm_opcode *code) {
  const jm_region *region = jm_module_region(m, id);
  if (region->n_args != 2 || region->n_ops != 1 || region->n_results != 1) return false;
  const jm_op *op = jm_module_op(m, region->ops[0]);
  const jm_op_fact *fact = &jm_op_facts[op->code];
  if (op->n_operands != 2 || region->results[0] != op->first_result ||
      !(fact->traits & JM_TRAIT_ELEMENTWISE) || op->n_regions || fact->attrs()->name)
    return false;
  jm_value a = region->first_arg, b = a + 1;
  jm_dtype dtype = jm_module_typeof(m, a)->dtype;
  if (jm_module_typeof(m, b)->dtype != dtype || jm_op_result_type(m, op, 0)->dtype != dtype)
    return false;
  bool swapped = op->operands[0] == b && op->operands[1] == a;
  if (!(op->operands[0] == a && op->operands[1] == b) &&
      !(swapped && (fact->traits & JM_TRAIT_COMMUTATIVE)))
    return false;
  *code = op->code;
  return true;
}

bool jm_body_assigns(const jm_module *m, jm_region_id id, uint32_t n) {
  const jm_region *region = jm_module_region(m, id);
  if (region->n_results != n || region->n_args < 2 * n) return false;
  for (uint32_t i = 0; i < n; i++)
    if (region->results[i] != region->first_arg + n + i) return false;
  return true;
}

const jm_compare_attrs *jm_body_compare(const jm_module *m, jm_region_id id) {
  const jm_region *region = jm_module_region(m, id);
  if (region->n_args != 2 || region->n_results != 1) return NULL;
  const jm_op *op = find_op(m, region->results[0], JM_OP_compare);
  if (!op || op->operands[0] != region->first_arg || op->operands[1] != region->first_arg + 1)
    return NULL;
  const jm_compare_attrs *attrs = op->attrs;
  return attrs->order == JM_ORDER_TOTAL ? NULL : attrs;
}

/* The difference of equal infinities is NaN; JAX then takes the sum. */
bool jm_body_log_add_exp(const jm_module *m, jm_region_id id) {
  static const struct {
    jm_opcode code;
    int operands[3]; /* earlier steps; -1 and -2 are the arguments */
  } steps[] = {
      {JM_OP_select, {1, 3, 4}}, {JM_OP_compare, {2, 2}},  {JM_OP_subtract, {-1, -2}},
      {JM_OP_add, {-1, -2}},     {JM_OP_add, {5, 6}},      {JM_OP_maximum, {-1, -2}},
      {JM_OP_log_plus_one, {7}}, {JM_OP_exponential, {8}}, {JM_OP_negate, {9}},
      {JM_OP_abs, {2}},
  };
  enum { N_STEPS = sizeof steps / sizeof *steps };
  const jm_region *region = jm_module_region(m, id);
  if (region->n_args != 2 || region->n_results != 1) return false;
  jm_value values[N_STEPS];
  for (int i = 0; i < N_STEPS; i++) values[i] = JM_NONE;
  values[0] = region->results[0];
  for (int at = 0; at < N_STEPS; at++) { /* a step's users come before it */
    const jm_op *op = values[at] == JM_NONE ? NULL : find_op(m, values[at], steps[at].code);
    if (!op || (op->code == JM_OP_compare &&
                ((const jm_compare_attrs *)op->attrs)->direction != JM_COMPARE_NE))
      return false;
    for (uint32_t k = 0; k < op->n_operands; k++) {
      int from = steps[at].operands[k];
      jm_value want = from < 0 ? region->first_arg + (jm_value)(-from - 1) : values[from];
      if (from >= 0 && want == JM_NONE) want = values[from] = op->operands[k];
      if (op->operands[k] != want) return false;
    }
  }
  return true;
}

/* -- monoids */

/* idempotent: of real numbers. grouped: not of complex ones, where a product with infinities, and a
 * maximum with NaN, depends on the grouping. */
static const struct {
  jm_opcode code, of_pred;
  bool idempotent, complex_grouped;
} monoids[] = {
    {JM_OP_add, JM_OP_or, false, true},     {JM_OP_multiply, JM_OP_and, false, false},
    {JM_OP_maximum, JM_OP_or, true, false}, {JM_OP_minimum, JM_OP_and, true, false},
    {JM_OP_and, JM_OP_and, true, false},    {JM_OP_or, JM_OP_or, true, false},
    {JM_OP_xor, JM_OP_xor, false, false},
};
enum { N_MONOIDS = sizeof monoids / sizeof *monoids };

bool jm_monoid_find(jm_opcode code, jm_dtype dtype, jm_monoid *out) {
  bool is_pred = dtype == JM_DT_pred, is_complex = jm_dtype_is_complex(dtype);
  bool is_logical = code == JM_OP_and || code == JM_OP_or || code == JM_OP_xor;
  for (int i = 0; i < N_MONOIDS; i++) {
    if (monoids[i].code != code) continue;
    if (is_logical && !is_pred && !jm_dtype_is_integer(dtype)) return false;
    bool rounds =
        (is_complex || jm_dtype_is_float(dtype)) && (code == JM_OP_add || code == JM_OP_multiply);
    *out = (jm_monoid){
        .code = is_pred ? monoids[i].of_pred : code,
        .dtype = dtype,
        .accumulator = rounds && jm_number_is_narrow(dtype) ? JM_DT_f32 : dtype,
        .rounds = rounds,
        .grouped = !is_complex || monoids[i].complex_grouped,
        .idempotent =
            is_pred ? monoids[i].of_pred != JM_OP_xor : !is_complex && monoids[i].idempotent,
    };
    return true;
  }
  return false;
}

bool jm_body_monoid(const jm_module *m, jm_region_id region, jm_monoid *out) {
  jm_opcode code;
  return jm_body_binary(m, region, &code) &&
         jm_monoid_find(code, jm_module_typeof(m, jm_module_region(m, region)->first_arg)->dtype,
                        out);
}

static int64_t integer_identity(jm_opcode code, jm_dtype dtype) {
  uint32_t bits = jm_dtype_facts[dtype].bits;
  int64_t least = jm_dtype_classof(dtype) == JM_CLASS_SINT ? INT64_MIN >> (64 - bits) : 0;
  switch (code) {
    case JM_OP_multiply:
      return 1;
    case JM_OP_maximum:
      return least;
    case JM_OP_minimum:
      return least ? ~least : (int64_t)(UINT64_MAX >> (64 - bits));
    case JM_OP_and: /* elements of narrow types are sign-extended to a byte, those of pred are 1 */
      return dtype == JM_DT_pred ? 1 : least ? -1 : (int64_t)(UINT64_MAX >> (64 - bits));
    default:
      return 0;
  }
}

static double float_identity(jm_opcode code) {
  switch (code) {
    case JM_OP_multiply:
      return 1;
    case JM_OP_maximum:
      return -INFINITY;
    case JM_OP_minimum:
      return INFINITY;
    default:
      return -0.0;
  }
}

/* The largest number of a format of a byte, or the smallest: many such formats lack infinities. */
static uint8_t extreme_code(jm_dtype dtype, bool largest) {
  uint8_t found = 0;
  float extreme = largest ? -INFINITY : INFINITY;
  for (unsigned i = 0; i < 1u << jm_dtype_facts[dtype].bits; i++) {
    uint8_t code = (uint8_t)i;
    float x = NAN;
    (void)jm_number_widen(dtype, &code, &x, 1);
    if (largest ? x >= extreme : x <= extreme) extreme = x, found = code;
  }
  return found;
}

static void write_float(jm_dtype dtype, double x, void *bytes) {
  float single = (float)x;
  if (isinf(x) && jm_dtype_bytes(dtype) == 1)
    *(uint8_t *)bytes = extreme_code(dtype, x > 0);
  else if (dtype == JM_DT_f64)
    memcpy(bytes, &x, sizeof x);
  else if (!jm_number_narrow(dtype, &single, bytes, 1))
    memcpy(bytes, &single, sizeof single);
}

void jm_monoid_identity(const jm_monoid *monoid, jm_dtype as, void *bytes) {
  jm_dtype real = jm_dtype_real(as);
  if (jm_dtype_is_float(real)) {
    write_float(real, float_identity(monoid->code), bytes);
    if (real != as)
      write_float(real, monoid->code == JM_OP_multiply ? 0 : float_identity(monoid->code),
                  (char *)bytes + jm_dtype_bytes(real));
  } else {
    int64_t value = integer_identity(monoid->code, as);
    memcpy(bytes, &value, jm_dtype_bytes(as)); /* little-endian */
  }
}

bool jm_monoid_is_identity(const jm_monoid *monoid, const void *bytes) {
  static const char zeros[16];
  char identity[16];
  size_t size = jm_dtype_bytes(monoid->dtype);
  jm_monoid_identity(monoid, monoid->dtype, identity);
  return !memcmp(bytes, identity, size) ||
         (monoid->code == JM_OP_add && !memcmp(bytes, zeros, size));
}

/* -- argmax and argmin */

static bool is_compare(const jm_module *m, jm_value v, jm_direction direction, jm_value a,
                       jm_value b) {
  const jm_op *op = find_op(m, v, JM_OP_compare);
  if (!op || op->operands[0] != a || op->operands[1] != b) return false;
  const jm_compare_attrs *attrs = op->attrs;
  return attrs->direction == direction && attrs->order != JM_ORDER_TOTAL;
}

/* x > y (*largest) or x < y; or x is NaN, a test that is required if the type has NaN: without it
 * the body is not associative. */
static bool is_better(const jm_module *m, jm_value v, jm_value x, jm_value y, bool *largest) {
  bool asks = !jm_dtype_is_float(jm_module_typeof(m, x)->dtype);
  const jm_op *either = find_op(m, v, JM_OP_or);
  for (uint32_t i = 0; either && i < 2; i++)
    if (is_compare(m, either->operands[i], JM_COMPARE_NE, x, x)) {
      asks = true;
      v = either->operands[1 - i];
      break;
    }
  *largest = is_compare(m, v, JM_COMPARE_GT, x, y);
  return asks && (*largest || is_compare(m, v, JM_COMPARE_LT, x, y));
}

/* x == y and i < j, in either order */
static bool is_tie(const jm_module *m, jm_value v, jm_value x) {
  const jm_op *both = find_op(m, v, JM_OP_and);
  for (uint32_t i = 0; both && i < 2; i++)
    if (is_compare(m, both->operands[i], JM_COMPARE_EQ, x, x + 2) &&
        is_compare(m, both->operands[1 - i], JM_COMPARE_LT, x + 1, x + 3))
      return true;
  return false;
}

bool jm_body_argmax(const jm_module *m, jm_region_id id, bool *largest) {
  const jm_region *region = jm_module_region(m, id);
  if (region->n_args != 4 || region->n_results != 2) return false;
  jm_value x = region->first_arg, i = x + 1, y = x + 2, j = x + 3;
  if (jm_dtype_is_complex(jm_module_typeof(m, x)->dtype) ||
      !jm_dtype_is_integer(jm_module_typeof(m, i)->dtype))
    return false;
  const jm_op *value = find_op(m, region->results[0], JM_OP_select);
  const jm_op *index = find_op(m, region->results[1], JM_OP_select);
  if (!value || !index || value->operands[1] != x || value->operands[2] != y ||
      index->operands[1] != i || index->operands[2] != j ||
      !is_better(m, value->operands[0], x, y, largest))
    return false;
  const jm_op *either = find_op(m, index->operands[0], JM_OP_or);
  for (uint32_t k = 0; either && k < 2; k++)
    if (either->operands[1 - k] == value->operands[0] && is_tie(m, either->operands[k], x))
      return true;
  return false;
}
