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
