/* SPDX-License-Identifier: Apache-2.0
 * Rules of control flow, tokens, calls, random bits and ops of several participants. */
#include "ir/factors.h"
#include "ir/rules.h"
#include "ir/slices.h"

jm_error *jm_verify_while(const jm_module *m, const jm_op *op) {
  uint32_t n = jm_rule_inputs(op);
  if (op->n_results != n) return jm_rule_error(m, op, "needs as many operands as results");
  JM_TRY(jm_rule_region(m, op, 0, n, 1)); /* (C1) */
  JM_TRY(jm_rule_region(m, op, 1, n, n)); /* (C2) */
  const jm_region *cond = jm_op_region(m, op, 0), *body = jm_op_region(m, op, 1);
  if (!jm_rule_scalar(jm_rule_result(m, cond, 0), JM_DT_pred))
    return jm_rule_error(m, op, "the condition does not return a pred");
  for (uint32_t i = 0; i < n; i++) { /* (C1)-(C3) */
    const jm_type *type = jm_op_operand_type(m, op, i);
    if (jm_op_result_type(m, op, i) != type || jm_rule_arg(m, cond, i) != type ||
        jm_rule_arg(m, body, i) != type || jm_rule_result(m, body, i) != type)
      return jm_rule_error(m, op, "carry %u has not one type throughout", i);
  }
  return NULL;
}

jm_error *jm_verify_case(const jm_module *m, const jm_op *op) {
  const jm_type *index = jm_op_operand_type(m, op, 0);
  if (!op->n_regions) return jm_rule_error(m, op, "no branch"); /* (C1) */
  if (!jm_rule_scalar(index, JM_DT_s32) && !jm_rule_scalar(index, JM_DT_pred))
    return jm_rule_error(m, op, "the index is neither an s32 nor a pred");
  if (index->dtype == JM_DT_pred && op->n_regions != 2)
    return jm_rule_error(m, op, "%u branches for a pred", op->n_regions);
  for (uint32_t r = 0; r < op->n_regions; r++) { /* (C2)-(C4) */
    JM_TRY(jm_rule_region(m, op, r, 0, op->n_results));
    for (uint32_t i = 0; i < op->n_results; i++)
      if (jm_rule_result(m, jm_op_region(m, op, r), i) != jm_op_result_type(m, op, i))
        return jm_rule_error(m, op, "result %u of branch %u has another type", i, r);
  }
  return NULL;
}

jm_error *jm_verify_fusion(const jm_module *m, const jm_op *op) {
  uint32_t n = op->n_operands;
  if (op->n_captures) return jm_rule_error(m, op, "operands are arguments, none is a capture");
  JM_TRY(jm_rule_region(m, op, 0, n, op->n_results));
  const jm_region *region = jm_op_region(m, op, 0);
  for (uint32_t i = 0; i < n; i++)
    if (jm_rule_arg(m, region, i) != jm_op_operand_type(m, op, i))
      return jm_rule_error(m, op, "operand %u and its argument differ in type", i);
  for (uint32_t i = 0; i < op->n_results; i++)
    if (jm_rule_result(m, region, i) != jm_op_result_type(m, op, i))
      return jm_rule_error(m, op, "result %u differs in type from what the region returns", i);
  return NULL;
}

/* Whether the part is a slice of the whole. */
static bool is_slice(const jm_op *op, uint32_t tensor, const jm_type *whole, const jm_type *part) {
  int64_t n_parts[JM_RANK_MAX];
  if (part->dtype != whole->dtype || part->rank != whole->rank) return false;
  jm_slices_parts(op, tensor, whole, n_parts);
  for (uint32_t d = 0; d < whole->rank; d++)
    if (whole->dims[d] % n_parts[d] || part->dims[d] != whole->dims[d] / n_parts[d]) return false;
  return true;
}

/* The dimensions that are cut: each once, of a result all. */
static bool are_dimensions(const jm_op *op, uint32_t tensor, uint32_t rank) {
  uint64_t seen = 0;
  for (uint32_t j = 0; j < jm_slices_parts_of(op).n; j++) {
    const int64_t dim = jm_slices_dim(op, tensor, j);
    if (dim == -1 && tensor < op->n_operands) continue;
    if (dim < 0 || dim >= rank || seen >> dim & 1) return false;
    seen |= UINT64_C(1) << dim;
  }
  return true;
}

jm_error *jm_verify_sliced(const jm_module *m, const jm_op *op) {
  const jm_sliced_attrs *a = op->attrs;
  const uint32_t n = op->n_operands + op->n_results;
  if (op->n_captures) return jm_rule_error(m, op, "operands are arguments, none is a capture");
  JM_TRY(jm_rule_region(m, op, 0, op->n_operands, op->n_results));
  if (!jm_rule_list(a->parts, a->parts.n, 1, INT32_MAX) || a->parts.n > JM_RANK_MAX)
    return jm_rule_error(m, op, "parts are no list of numbers of parts");
  if (a->dims.n != a->parts.n * n) return jm_rule_error(m, op, "dims name too few dimensions");
  const jm_region *region = jm_op_region(m, op, 0);
  for (uint32_t t = 0; t < n; t++) {
    const bool reads = t < op->n_operands;
    const uint32_t r = t - op->n_operands;
    const jm_type *whole = reads ? jm_op_operand_type(m, op, t) : jm_op_result_type(m, op, r);
    const jm_type *part = reads ? jm_rule_arg(m, region, t) : jm_rule_result(m, region, r);
    if (!are_dimensions(op, t, whole->rank))
      return jm_rule_error(m, op, "dims of operand or result %u are not its own", t);
    if (!is_slice(op, t, whole, part))
      return jm_rule_error(m, op, "the region's slice of operand or result %u has another type", t);
  }
  return NULL;
}

jm_error *jm_verify_identity(const jm_module *m, const jm_op *op) {
  if (jm_rule_inputs(op) != op->n_results)
    return jm_rule_error(m, op, "needs as many operands as results");
  for (uint32_t i = 0; i < op->n_results; i++)
    if (jm_op_operand_type(m, op, i) != jm_op_result_type(m, op, i))
      return jm_rule_error(m, op, "operand %u and its result differ in type", i);
  return NULL;
}

jm_error *jm_verify_create_token(const jm_module *m, const jm_op *op) {
  (void)m, (void)op; /* the columns of ops.def suffice: no operand, one result, a token */
  return NULL;
}

jm_error *jm_verify_after_all(const jm_module *m, const jm_op *op) {
  for (uint32_t i = 0; i < jm_rule_inputs(op); i++)
    if (jm_op_operand_type(m, op, i)->dtype != JM_DT_token)
      return jm_rule_error(m, op, "operand %u is no token", i);
  if (jm_op_result_type(m, op, 0)->dtype != JM_DT_token)
    return jm_rule_error(m, op, "the result is no token");
  return NULL;
}

/* None, or for each operand and result its dimensions from the fastest in memory on. */
static jm_error *check_layouts(const jm_module *m, const jm_op *op, const jm_i64s *layouts) {
  uint32_t at = 0;
  if (!layouts->n) return NULL;
  for (uint32_t i = 0; i < op->n_operands + op->n_results; i++) {
    uint32_t rank = i < op->n_operands ? jm_op_operand_type(m, op, i)->rank
                                       : jm_op_result_type(m, op, i - op->n_operands)->rank;
    uint64_t seen = 0;
    for (uint32_t d = 0; d < rank && rank <= 64; d++, at++)
      if (at < layouts->n && (uint64_t)layouts->data[at] < rank)
        seen |= UINT64_C(1) << layouts->data[at];
    if (rank && seen != (rank < 64 ? (UINT64_C(1) << rank) - 1 : UINT64_MAX))
      return jm_rule_error(m, op, "layout %u is no permutation", i);
  }
  return at == layouts->n ? NULL : jm_rule_error(m, op, "layouts of other ranks");
}

/* None, or for each result the operand whose memory it has, -1 for its own. */
static jm_error *check_aliases(const jm_module *m, const jm_op *op, const jm_i64s *aliases) {
  if (aliases->n && aliases->n != op->n_results) return jm_rule_error(m, op, "too few aliases");
  for (uint32_t i = 0; i < aliases->n; i++) {
    int64_t from = aliases->data[i];
    if (from < -1 || from >= op->n_operands ||
        (from >= 0 && jm_op_operand_type(m, op, (uint32_t)from) != jm_op_result_type(m, op, i)))
      return jm_rule_error(m, op, "result %u can't have the memory of operand %lld", i,
                           (long long)from);
  }
  return NULL;
}

jm_error *jm_verify_custom_call(const jm_module *m, const jm_op *op) {
  const jm_custom_call_attrs *a = op->attrs;
  if (!a->target.size) return jm_rule_error(m, op, "no target");
  JM_TRY(check_layouts(m, op, &a->layouts));
  JM_TRY(check_aliases(m, op, &a->aliases));
  if (!jm_factors_listed(m, op, a->factors))
    return jm_rule_error(m, op, "factors is not a list of its dimensions' factors");
  for (uint32_t i = 0; i < a->config.n; i++) {
    const jm_dict_entry *entry = &a->config.entries[i];
    if ((unsigned)entry->kind > JM_DICT_DATA || !entry->key.bytes ||
        (entry->str.size && !entry->str.bytes) || (entry->i64s.n && !entry->i64s.data))
      return jm_rule_error(m, op, "entry %u of config is malformed", i);
    if (entry->kind == JM_DICT_DATA &&
        ((unsigned)entry->dtype >= JM_N_DTYPES || entry->i64 < -1 || entry->i64 > INT32_MAX ||
         entry->str.size !=
             (size_t)(entry->i64 < 0 ? 1 : entry->i64) * jm_dtype_bytes(entry->dtype)))
      return jm_rule_error(m, op, "entry %u of config has other bytes than its type", i);
  }
  return NULL;
}

/* -- random numbers */

jm_error *jm_verify_rng_bit_generator(const jm_module *m, const jm_op *op) {
  const jm_rng_bit_generator_attrs *a = op->attrs;
  const jm_type *state = jm_op_operand_type(m, op, 0), *bits = jm_op_result_type(m, op, 1);
  if (jm_op_result_type(m, op, 0) != state) /* (C1) */
    return jm_rule_error(m, op, "the state changes its type");
  /* (C2), where XLA counts u64: two for THREE_FRY, two or three for PHILOX and DEFAULT */
  size_t bytes = jm_type_bytes(state);
  if (state->rank != 1 || (state->dtype != JM_DT_u64 && state->dtype != JM_DT_u32) ||
      (bytes != 16 && (bytes != 24 || a->algorithm == JM_RNG_THREE_FRY)))
    return jm_rule_error(m, op, "the state is not of this algorithm's size");
  if (!jm_dtype_is_integer(bits->dtype) && !jm_dtype_is_float(bits->dtype))
    return jm_rule_error(m, op, "bits are neither integers nor floating point");
  return NULL;
}

jm_error *jm_verify_rng(const jm_module *m, const jm_op *op) {
  const jm_rng_attrs *a = op->attrs;
  jm_dtype dtype = jm_op_result_type(m, op, 0)->dtype;
  for (uint32_t i = 0; i < 2; i++)
    if (!jm_rule_scalar(jm_op_operand_type(m, op, i), dtype)) /* (C1) */
      return jm_rule_error(m, op, "operand %u is not a scalar of the result's element type", i);
  if (a->distribution == JM_DISTRIBUTION_INVALID ||
      (a->distribution == JM_DISTRIBUTION_NORMAL && !jm_dtype_is_float(dtype))) /* (C2) */
    return jm_rule_error(m, op, "no such distribution for this element type");
  return NULL;
}

/* -- several participants */

jm_error *jm_verify_device_id(const jm_module *m, const jm_op *op) {
  if (!jm_rule_scalar(jm_op_result_type(m, op, 0), JM_DT_u32))
    return jm_rule_error(m, op, "the result is not a u32");
  return NULL;
}

/* The ops of several participants carry their fields under the same names. */
typedef struct collective {
  jm_i64s replica_groups;
  int64_t group_size, grow, shrink, split; /* dimensions that grow and shrink by the group; -1 */
} collective;

static collective describe(const jm_op *op) {
#define GROUPS(a) .replica_groups = (a)->replica_groups, .group_size = (a)->group_size
  switch (op->code) {
    case JM_OP_all_gather: {
      const jm_all_gather_attrs *a = op->attrs;
      return (collective){GROUPS(a), .grow = a->dim, .shrink = -1};
    }
    case JM_OP_reduce_scatter: {
      const jm_reduce_scatter_attrs *a = op->attrs;
      return (collective){GROUPS(a), .grow = -1, .shrink = a->dim};
    }
    case JM_OP_all_to_all: {
      const jm_all_to_all_attrs *a = op->attrs;
      return (collective){GROUPS(a), .grow = a->concat_dim, .shrink = a->split_dim,
                          .split = a->split_count};
    }
    case JM_OP_all_reduce: {
      const jm_all_reduce_attrs *a = op->attrs;
      return (collective){GROUPS(a), .grow = -1, .shrink = -1};
    }
    default: {
      const jm_collective_broadcast_attrs *a = op->attrs;
      return (collective){GROUPS(a), .grow = -1, .shrink = -1};
    }
  }
#undef GROUPS
}

static jm_error *check_groups(const jm_module *m, const jm_op *op, const collective *c,
                              int64_t *participants) {
  int64_t world;
  if (__builtin_mul_overflow((int64_t)m->n_replicas, (int64_t)m->n_partitions, &world) || world < 1)
    world = 1;
  if (!c->replica_groups.n) {
    *participants = world;
    return NULL;
  }
  if (c->group_size < 1 || c->replica_groups.n % (uint64_t)c->group_size)
    return jm_rule_error(m, op, "group_size does not divide the list of groups");
  for (uint32_t i = 0; i < c->replica_groups.n; i++) /* -1 fills groups of unequal size */
    if (c->replica_groups.data[i] < -1 || c->replica_groups.data[i] >= world)
      return jm_rule_error(m, op, "participant %lld of %lld", (long long)c->replica_groups.data[i],
                           (long long)world);
  *participants = c->group_size;
  return NULL;
}

/* (C6) of all_gather, (C8) of reduce_scatter, (C9) of all_to_all */
static bool sizes_match(const jm_type *from, const jm_type *to, const collective *c,
                        int64_t participants) {
  if (from->dtype != to->dtype || from->rank != to->rank) return false;
  if (c->grow >= from->rank || c->shrink >= from->rank) return false;
  for (uint32_t d = 0; d < from->rank; d++) {
    int64_t want = from->dims[d];
    if (c->grow != c->shrink) {
      if (d == c->grow && __builtin_mul_overflow(want, participants, &want)) return false;
      if (d == c->shrink && want % participants) return false;
      if (d == c->shrink) want /= participants;
    } else if (d == c->grow && want % participants) {
      return false;
    }
    if (to->dims[d] != want) return false;
  }
  return true;
}

jm_error *jm_verify_collective(const jm_module *m, const jm_op *op) {
  const collective c = describe(op);
  int64_t participants = 1;
  JM_TRY(check_groups(m, op, &c, &participants));
  if (op->code == JM_OP_all_to_all && c.split != participants)
    return jm_rule_error(m, op, "split_count is not the number of participants"); /* (C8) */
  bool sized = op->code == JM_OP_all_gather || op->code == JM_OP_all_to_all;
  if ((sized && c.grow < 0) ||
      (c.shrink < 0 && (op->code == JM_OP_all_to_all || op->code == JM_OP_reduce_scatter)))
    return jm_rule_error(m, op, "dim out of range");
  if (jm_rule_inputs(op) != op->n_results || !op->n_results)
    return jm_rule_error(m, op, "needs as many operands as results");
  for (uint32_t i = 0; i < op->n_results; i++)
    if (!sizes_match(jm_op_operand_type(m, op, i), jm_op_result_type(m, op, i), &c, participants))
      return jm_rule_error(m, op, "operand %u and its result don't fit this exchange", i);
  if (!op->n_regions) return NULL;
  for (uint32_t i = 1; i < op->n_results; i++)
    if (jm_op_operand_type(m, op, i)->dtype != jm_op_operand_type(m, op, 0)->dtype)
      return jm_rule_error(m, op, "operand %u has another element type than operand 0", i);
  return jm_rule_reducer(m, op, 0, 1);
}

jm_error *jm_verify_collective_permute(const jm_module *m, const jm_op *op) {
  const jm_collective_permute_attrs *a = op->attrs;
  if (a->source_target_pairs.n % 2)
    return jm_rule_error(m, op, "a source without a target"); /* (C1) */
  const collective c = {.replica_groups = a->source_target_pairs, .group_size = 2};
  int64_t pair;
  JM_TRY(check_groups(m, op, &c, &pair)); /* (C4) */
  return jm_verify_same(m, op);           /* (C5) */
}

/* One value cannot be a part of the sums of several groups. */
static jm_error *check_disjoint(const jm_module *m, const jm_op *op, jm_i64s groups) {
  bool *seen = jm_alloc((size_t)m->n_replicas * m->n_partitions, sizeof *seen), good = groups.n;
  if (!seen) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < groups.n && good; i++) {
    good = groups.data[i] >= 0 && !seen[groups.data[i]];
    if (good) seen[groups.data[i]] = true;
  }
  jm_free(seen);
  return good ? NULL : jm_rule_error(m, op, "a participant is not in exactly one group");
}

jm_error *jm_verify_unreduce(const jm_module *m, const jm_op *op) {
  const jm_unreduce_attrs *a = op->attrs;
  const collective c = {.replica_groups = a->replica_groups, .group_size = a->group_size};
  int64_t participants;
  JM_TRY(check_groups(m, op, &c, &participants));
  JM_TRY(check_disjoint(m, op, a->replica_groups));
  return jm_verify_same(m, op);
}

/* -- shardings */

static jm_error *check_divided(const jm_module *m, const jm_op *op, const jm_sharding *sharding,
                               const jm_type *whole, const jm_type *part) {
  bool fits = whole->dtype == part->dtype && whole->rank == part->rank;
  for (uint32_t d = 0; fits && d < whole->rank; d++) {
    const int64_t n = sharding ? sharding->dims[d].n_parts : 1;
    fits = whole->dims[d] % n == 0 && whole->dims[d] / n == part->dims[d];
  }
  return fits ? NULL : jm_rule_error(m, op, "a part has another type than the sharding says");
}

static jm_error *check_sharding(const jm_module *m, const jm_op *op, jm_arena *arena) {
  const jm_sharding_constraint_attrs *a = op->attrs; /* the others begin with the same fields */
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  const jm_sharding *sharding;
  JM_TRY(jm_sharding_decode(arena, a->parts, a->ids, from->rank, m->n_partitions, &sharding));
  if (op->code == JM_OP_full_to_shard) return check_divided(m, op, sharding, from, to);
  if (op->code == JM_OP_shard_to_full) return check_divided(m, op, sharding, to, from);
  if (!jm_rule_dims(a->open, from->rank, true))
    return jm_rule_error(m, op, "open dimensions that are not in ascending order or out of range");
  return jm_verify_same(m, op);
}

jm_error *jm_verify_sharding(const jm_module *m, const jm_op *op) {
  jm_arena arena;
  jm_arena_init(&arena);
  jm_error *error = check_sharding(m, op, &arena);
  jm_arena_deinit(&arena);
  return error;
}
