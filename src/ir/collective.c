/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/collective.h"

static uint64_t bytes_of(const jm_module *m, jm_value first, uint32_t n) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < n; i++) bytes += jm_type_bytes(jm_module_typeof(m, first + i));
  return bytes;
}

/* times (n-1)/n of the bytes, n being the members of a group; without groups all participants. */
static uint64_t share(const jm_module *m, uint64_t bytes, uint64_t times, jm_i64s groups,
                      int64_t group_size) {
  const uint64_t all = (uint64_t)m->n_replicas * m->n_partitions;
  const uint64_t n = groups.n && group_size > 0 ? (uint64_t)group_size : all;
  return n ? bytes / n * (n - 1) * times + bytes % n * (n - 1) * times / n : 0;
}

static bool moves(jm_i64s pairs) {
  for (uint32_t i = 0; i + 1 < pairs.n; i += 2)
    if (pairs.data[i] != pairs.data[i + 1]) return true;
  return false;
}

uint64_t jm_collective_bytes(const jm_module *m, const jm_op *op) {
  const uint64_t results = bytes_of(m, op->first_result, op->n_results);
#define SHARE(code, bytes, times)                                    \
  case JM_OP_##code: {                                               \
    const jm_##code##_attrs *a = op->attrs;                          \
    return share(m, bytes, times, a->replica_groups, a->group_size); \
  }
  switch (op->code) {
    SHARE(all_reduce, results, 2)
    SHARE(all_gather, results, 1)
    SHARE(all_to_all, results, 1)
    SHARE(reduce_scatter, jm_type_bytes(jm_op_operand_type(m, op, 0)), 1)
    case JM_OP_collective_permute:
      return moves(((const jm_collective_permute_attrs *)op->attrs)->source_target_pairs) ? results
                                                                                          : 0;
    case JM_OP_collective_broadcast:
      return results;
    default:
      return 0;
  }
#undef SHARE
}

static jm_i64s groups_of(const jm_op *op, int64_t *size) {
  switch (op->code) {
#define GROUPS(code)                            \
  case JM_OP_##code: {                          \
    const jm_##code##_attrs *attrs = op->attrs; \
    *size = attrs->group_size;                  \
    return attrs->replica_groups;               \
  }
    GROUPS(all_gather)
    GROUPS(all_reduce)
    GROUPS(all_to_all)
    GROUPS(collective_broadcast)
    GROUPS(reduce_scatter)
#undef GROUPS
    default:
      *size = 0;
      return (jm_i64s){0};
  }
}

/* Writes the members of the group that starts there; false: the participant is not among them. */
static bool read_group(const int64_t *group, int64_t size, uint32_t self, jm_members *out) {
  bool found = false;
  out->n = 0;
  for (int64_t i = 0; i < size; i++) { /* -1 fills a group of fewer members */
    if (group[i] < 0) continue;
    if (group[i] == (int64_t)self) {
      found = true;
      out->position = out->n;
    }
    out->ids[out->n++] = (uint32_t)group[i];
  }
  return found;
}

void jm_collective_members(const jm_op *op, uint32_t self, uint32_t n_participants,
                           jm_members *out) {
  out->groups = groups_of(op, &out->group_size);
  if (!out->groups.n) {
    for (uint32_t i = 0; i < n_participants; i++) out->ids[i] = i;
    out->n = n_participants;
    out->position = self;
    return;
  }
  for (uint32_t at = 0; at < out->groups.n; at += (uint32_t)out->group_size)
    if (read_group(out->groups.data + at, out->group_size, self, out)) return;
  out->n = 0;
}
