/* SPDX-License-Identifier: Apache-2.0
 * Sorts whose comparator compares keys in total orders, as JAX's do: integer keys of the same
 * order, MLX's stable argsort of them, and the operands permuted by it. The host runs other
 * comparators. */
#include <math.h>

#include "engine/mlx/lower_rules.h"
#include "ir/body.h"

typedef jm_mlx_array *A;

enum { MAX_KEYS = 8 };

/* An array of the key's own order; descending orders are ascending ones of the complement. */
static A key_of(jm_lowering *l, A a, const jm_key_order *order) {
  jm_dtype dtype = order->dtype;
  if (order->zero) {
    A zero = jm_lower_i64(l, dtype, 0);
    a = jm_mlx_where(l, jm_mlx_equal(l, a, zero), zero, a);
  }
  if (order->nan)
    a = jm_mlx_where(l, jm_mlx_not_equal(l, a, a), jm_lower_scalar(l, dtype, &order->nan_bits), a);
  a = jm_lower_order_key(l, a, dtype);
  return order->descending ? jm_mlx_bitwise_not(l, a) : a;
}

static A operand_key(jm_lowering *l, const jm_sort_key *key) {
  A a = jm_lower_array(l, key->operand);
  if (jm_dtype_is_complex(jm_lower_dtype(l, key->operand)))
    a = key->part ? jm_mlx_imag(l, a) : jm_mlx_real(l, a);
  return key_of(l, a, &key->order);
}

/* A single operand that its keys determine: MLX's sort needs no indices. Of floats it is
 * stable, takes the zeros for equal and all NaNs for equal and largest: JAX's order, no other. */
static bool sorts_directly(const jm_module *m, const jm_op *op, const jm_sort_key *keys,
                           uint32_t n_keys) {
  const jm_key_order *order = &keys->order;
  if (op->n_results != 1 || n_keys != 1) return false;
  if (jm_dtype_is_float(order->dtype))
    return order->zero && order->nan && !order->descending &&
           !jm_dtype_is_complex(jm_op_operand_type(m, op, 0)->dtype);
  return true;
}

static A sort_directly(jm_lowering *l, const jm_key_order *order, int axis) {
  A a = jm_lower_array(l, 0);
  if (jm_dtype_is_float(order->dtype)) return jm_mlx_sort(l, a, axis);
  a = jm_mlx_sort(l, key_of(l, a, order), axis);
  if (order->descending) a = jm_mlx_bitwise_not(l, a);
  return jm_mlx_astype(l, a, order->dtype);
}

/* Does operand i count along the dimension? Then its sorted form is the order itself. */
static bool counts(const jm_lowering *l, uint32_t i, int64_t dim) {
  const jm_op *op = jm_module_source(l->module, l->op->operands[i]);
  return op && op->code == JM_OP_iota && ((const jm_iota_attrs *)op->attrs)->dim == dim &&
         jm_dtype_is_integer(jm_lower_dtype(l, i)) &&
         jm_dtype_facts[jm_lower_dtype(l, i)].bits >= 32;
}

static void lower_sort(jm_lowering *l) {
  const jm_sort_attrs *attrs = l->op->attrs;
  int axis = (int)attrs->dim;
  jm_sort_key keys[MAX_KEYS];
  uint32_t n_keys;
  if (!jm_body_comparator(l->module, l->op, NULL, keys, MAX_KEYS, &n_keys)) {
    jm_lower_fail(l, jm_error_internal("sort: the comparator"));
    return;
  }
  if (sorts_directly(l->module, l->op, keys, n_keys)) {
    l->out[0] = sort_directly(l, &keys[0].order, axis);
    return;
  }
  A order = NULL;
  for (uint32_t k = n_keys; k-- > 0;) { /* stable passes from the last key on */
    A key = operand_key(l, &keys[k]);
    if (order) key = jm_mlx_take_along_axis(l, key, order, axis);
    A pass = jm_mlx_argsort(l, key, axis);
    order = order ? jm_mlx_take_along_axis(l, order, pass, axis) : pass;
  }
  for (uint32_t i = 0; i < l->op->n_results; i++)
    l->out[i] = counts(l, i, attrs->dim)
                    ? jm_mlx_astype(l, order, jm_lower_dtype(l, i))
                    : jm_mlx_take_along_axis(l, jm_lower_array(l, i), order, axis);
}

/* Floats in partial order have to be looked at for NaN first. */
static bool supports_sort(const jm_module *m, const jm_op *op) {
  jm_sort_key keys[MAX_KEYS];
  uint32_t n_keys;
  if (!op->n_results || !jm_op_operand_type(m, op, 0)->rank ||
      !jm_body_comparator(m, op, NULL, keys, MAX_KEYS, &n_keys))
    return false;
  for (uint32_t k = 0; k < n_keys; k++)
    if (keys[k].partial) return false;
  return true;
}

static void lower_top_k(jm_lowering *l) {
  const jm_top_k_attrs *attrs = l->op->attrs;
  const jm_type *type = jm_lower_type(l, 0), *to = jm_lower_result(l, 0);
  int n = (int)type->rank;
  const jm_key_order by = {.dtype = type->dtype, .descending = !attrs->smallest};
  int32_t *start = jm_lower_scratch(l, type->rank), *step = jm_lower_scratch(l, type->rank);
  if (!start || !step) return;
  for (int d = 0; d < n; d++) start[d] = 0, step[d] = 1;
  A a = jm_lower_array(l, 0), order = jm_mlx_argsort(l, key_of(l, a, &by), n - 1);
  order = jm_mlx_slice(l, order, start, jm_lower_shape(l, to), step, n);
  l->out[0] = jm_mlx_take_along_axis(l, a, order, n - 1);
  l->out[1] = jm_mlx_astype(l, order, JM_DT_s32);
}

const jm_lower_rule jm_lower_sort_rules[] = {
    {JM_OP_sort, lower_sort, supports_sort},
    {JM_OP_top_k, lower_top_k, NULL},
    {JM_N_OPS, NULL, NULL},
};
