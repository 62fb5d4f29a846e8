/* SPDX-License-Identifier: Apache-2.0
 * A device's part of a sum that all devices of its group have:
 *
 *   %s: f32[4] = all_reduce %p replica_groups=[0,1] group_size=2 {add}
 *   %u: f32[4] = unreduce %s replica_groups=[0,1] group_size=2
 *
 * %u is %p, and the all_reduce is left to dce. That is what a body per device whose result is
 * declared as a part of a sum computed, and what a product of divided factors is before its sum. Of
 * an all_gather each device keeps its own part, zeros around it. Any other operand is the part of
 * the first device of each group; the others have zeros. */
#include <string.h>

#include "ir/body.h"
#include "pass/partition.h"

/* The group of each participant, as its lowest member; -1: it is in none. */
static int64_t *find_groups(jm_placement *p, jm_i64s groups, int64_t group_size) {
  const uint32_t n = p->m->n_partitions;
  int64_t *lowest = jm_arena_alloc(&p->scratch, n, sizeof *lowest);
  if (!lowest) return NULL;
  for (uint32_t i = 0; i < n; i++) lowest[i] = groups.n ? -1 : 0;
  for (uint32_t at = 0; at < groups.n; at += (uint32_t)group_size) {
    const int64_t *group = groups.data + at;
    int64_t low = group[0];
    for (int64_t k = 1; k < group_size; k++)
      if (group[k] < low) low = group[k];
    for (int64_t k = 0; k < group_size; k++)
      if (group[k] >= 0) lowest[group[k]] = low;
  }
  return lowest;
}

static jm_error *match_groups(jm_placement *p, const jm_unreduce_attrs *a, jm_i64s groups,
                              int64_t group_size, bool *equal) {
  const int64_t *mine = find_groups(p, a->replica_groups, a->group_size);
  const int64_t *others = find_groups(p, groups, group_size);
  if (!mine || !others) return jm_error_out_of_memory();
  *equal = !memcmp(mine, others, p->m->n_partitions * sizeof *mine);
  return NULL;
}

/* The summand, if the op adds over these groups, or JM_NONE. */
static jm_error *find_summand(jm_placement *p, const jm_unreduce_attrs *attrs, jm_value value,
                              jm_value *out) {
  const jm_op *op = jm_module_definition(p->m, value);
  const jm_all_reduce_attrs *a = op->attrs;
  jm_opcode combine;
  bool equal;
  *out = JM_NONE;
  if (!a->use_global_device_ids || !jm_body_binary(p->m, op->first_region, &combine) ||
      combine != JM_OP_add)
    return NULL;
  JM_TRY(match_groups(p, attrs, a->replica_groups, a->group_size, &equal));
  if (equal) *out = op->operands[value - op->first_result];
  return NULL;
}

static jm_error *build_zeros(const jm_site *site, const jm_type *type, jm_value *out) {
  static const char zero[16];
  return jm_build_splat(site->m, site->region, type, zero, site->loc, out);
}

/* The part that this device gives to an all_gather over these groups, zeros around it; JM_NONE if
 * it is over others. */
static jm_error *build_padded(jm_placement *p, const jm_site *site, const jm_unreduce_attrs *attrs,
                              jm_value value, jm_value *out) {
  jm_module *m = p->m;
  const jm_op *op = jm_module_definition(m, value);
  const jm_all_gather_attrs *a = op->attrs;
  const jm_value part = op->operands[value - op->first_result];
  const jm_type *type = jm_module_typeof(m, value), *scalar;
  bool equal;
  *out = JM_NONE;
  if (!a->use_global_device_ids || !a->replica_groups.n) return NULL;
  JM_TRY(match_groups(p, attrs, a->replica_groups, a->group_size, &equal));
  if (!equal) return NULL;
  int64_t *starts = jm_arena_alloc(&m->arena, m->n_partitions, sizeof *starts);
  if (!starts) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < a->replica_groups.n; i++)
    if (a->replica_groups.data[i] >= 0) /* -1 fills groups */
      starts[a->replica_groups.data[i]] =
          i % a->group_size * jm_module_typeof(m, part)->dims[a->dim];
  jm_value operands[2 + JM_RANK_MAX] = {JM_NONE, part}, zero, start;
  JM_TRY(jm_module_type(m, JM_DT_s64, 0, NULL, &scalar));
  JM_TRY(build_zeros(site, scalar, &zero));
  JM_TRY(build_zeros(site, type, &operands[0]));
  const int64_t dim = a->dim;
  JM_TRY(jm_partition_lookup(site, JM_DT_s64, starts, &start));
  for (uint32_t d = 0; d < type->rank; d++) operands[2 + d] = d == dim ? start : zero;
  return jm_build_one(m, site->region, JM_OP_dynamic_update_slice, operands, 2 + type->rank, NULL,
                      type, site->loc, out);
}

/* All of it in the lowest device of each group. */
static jm_error *build_first(jm_placement *p, const jm_site *site, const jm_unreduce_attrs *attrs,
                             jm_value value, jm_value *out) {
  jm_module *m = p->m;
  const jm_type *type = jm_module_typeof(m, value);
  const int64_t *lowest = find_groups(p, attrs->replica_groups, attrs->group_size);
  uint8_t *leads = jm_arena_alloc(&m->arena, m->n_partitions, 1);
  if (!lowest || !leads) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < m->n_partitions; i++) leads[i] = lowest[i] == i;
  jm_value operands[3] = {JM_NONE, value, JM_NONE};
  JM_TRY(jm_partition_lookup(site, JM_DT_pred, leads, &operands[0]));
  JM_TRY(build_zeros(site, type, &operands[2]));
  return jm_build_one(m, site->region, JM_OP_select, operands, 3, NULL, type, site->loc, out);
}

jm_error *jm_unreduce_build(jm_placement *p, const jm_site *site, const jm_unreduce_attrs *attrs,
                            jm_value value, jm_value *out) {
  const jm_op *op = jm_module_definition(p->m, value);
  *out = JM_NONE;
  if (op && op->code == JM_OP_all_reduce) JM_TRY(find_summand(p, attrs, value, out));
  if (op && op->code == JM_OP_all_gather) JM_TRY(build_padded(p, site, attrs, value, out));
  return *out == JM_NONE ? build_first(p, site, attrs, value, out) : NULL;
}
