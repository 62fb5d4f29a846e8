/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/rules.h"

#include <string.h>

bool jm_rule_same_shape(const jm_type *a, const jm_type *b) {
  return a == b ||
         (a->rank == b->rank && (!a->rank || !memcmp(a->dims, b->dims, a->rank * sizeof *a->dims)));
}

bool jm_rule_list(jm_i64s list, uint32_t n, int64_t low, int64_t high) {
  if (list.n != n) return false;
  for (uint32_t i = 0; i < n; i++)
    if (list.data[i] < low || list.data[i] > high) return false;
  return true;
}

bool jm_rule_dims(jm_i64s dims, uint32_t rank, bool sorted) {
  if (dims.n > rank) return false; /* so the square below is bounded by the rank's limit */
  for (uint32_t i = 0; i < dims.n; i++) {
    if (dims.data[i] < 0 || dims.data[i] >= rank) return false;
    if (sorted && i && dims.data[i - 1] >= dims.data[i]) return false;
    for (uint32_t j = 0; j < i; j++)
      if (dims.data[j] == dims.data[i]) return false;
  }
  return true;
}

bool jm_rule_dims2(jm_i64s a, jm_i64s b, uint32_t rank) {
  if (!jm_rule_dims(a, rank, false) || !jm_rule_dims(b, rank, false)) return false;
  for (uint32_t i = 0; i < a.n; i++)
    if (jm_i64s_contains(b, a.data[i])) return false;
  return true;
}

bool jm_rule_window_count(const jm_rule_window *w, int64_t *out) {
  const int64_t limit = INT64_C(1) << 62;
  if (w->base_dilation < 1 || w->dilation < 1 || w->stride < 1 || w->size < 0) return false;
  int64_t padded = 0, window = 0;
  if (w->input && (__builtin_mul_overflow(w->input - 1, w->base_dilation, &padded) ||
                   __builtin_add_overflow(padded, 1, &padded)))
    return false;
  if (__builtin_add_overflow(padded, w->low, &padded) ||
      __builtin_add_overflow(padded, w->high, &padded))
    return false;
  if (w->size && (__builtin_mul_overflow(w->size - 1, w->dilation, &window) ||
                  __builtin_add_overflow(window, 1, &window)))
    return false;
  if (padded > limit || window > limit || w->stride > limit || w->low > limit || w->low < -limit ||
      w->high > limit || w->high < -limit)
    return false;
  /* Negative padding may crop more than the size: then no window fits either. */
  *out = padded <= 0 || window > padded ? 0 : (padded - window) / w->stride + 1;
  return true;
}

jm_error *jm_rule_region(const jm_module *m, const jm_op *op, uint32_t i, uint32_t n_args,
                         uint32_t n_results) {
  const jm_region *region = jm_op_region(m, op, i);
  if (region->n_args - op->n_captures != n_args)
    return jm_rule_error(m, op, "region %u has %u arguments instead of %u", i,
                         region->n_args - op->n_captures, n_args);
  if (region->n_results != n_results)
    return jm_rule_error(m, op, "region %u returns %u values instead of %u", i, region->n_results,
                         n_results);
  return NULL;
}

jm_error *jm_rule_reducer(const jm_module *m, const jm_op *op, uint32_t i, uint32_t n) {
  JM_TRY(jm_rule_region(m, op, i, 2 * n, n));
  const jm_region *region = jm_op_region(m, op, i);
  for (uint32_t k = 0; k < 2 * n; k++)
    if (!jm_rule_scalar(jm_rule_arg(m, region, k), jm_op_operand_type(m, op, k % n)->dtype))
      return jm_rule_error(m, op,
                           "argument %u of region %u is not a scalar of operand %u's element "
                           "type",
                           k, i, k % n);
  for (uint32_t k = 0; k < n; k++)
    if (!jm_rule_scalar(jm_rule_result(m, region, k), jm_op_operand_type(m, op, k)->dtype))
      return jm_rule_error(m, op,
                           "result %u of region %u is not a scalar of operand %u's element "
                           "type",
                           k, i, k);
  return NULL;
}
