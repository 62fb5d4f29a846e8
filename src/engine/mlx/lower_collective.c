/* SPDX-License-Identifier: Apache-2.0
 * Collectives between processes over MLX's group, on the device: sums of all participants and
 * gathered operands, from which the others are composed:
 *
 *   all_reduce          the sum of all; else the gathered operands, combined in the group's order
 *   reduce_scatter      the scattered sum, or a slice of an all_reduce
 *   all_gather          the gathered operands of the group's members
 *   all_to_all          a slice of each of them
 *   collective_permute  one of them, as in collective_broadcast
 *
 * All participants take part in each exchange, whatever group of the op they are in, because MLX's
 * groups are all the processes. Where there is no such group the host runs these ops, by the same
 * rules (engine/host/library/collective.c). */
#include <string.h>

#include "engine/mlx/distributed.h"
#include "engine/mlx/lower_rules.h"
#include "ir/collective.h"

typedef jm_mlx_array *A;

/* -- the order of exchanges. MLX computes the nodes of a graph in an order of its own, and its
 * exchanges have no tags: each depends on the one before, so that all processes make them in the
 * order of the plan. */

static A behind_last(jm_lowering *l, A a) {
  return l->exchanged ? jm_mlx_depends(l, a, l->exchanged) : a;
}

static A keep_last(jm_lowering *l, A result) {
  if (!result) return NULL;
  l->api->array_release(l->exchanged);
  l->exchanged = l->api->array_retain(result);
  return result;
}

static A sum_all(jm_lowering *l, A a) {
  return keep_last(l, jm_mlx_all_sum(l, l->link->group, behind_last(l, a)));
}

/* -- pieces */

static A reshape(jm_lowering *l, A a, const int64_t *dims, uint32_t rank) {
  return jm_mlx_reshape(l, a, jm_lower_ints(l, dims, rank), (int)rank);
}

/* Elements from .. to of one dimension. */
static A slice_along(jm_lowering *l, A a, const int64_t *dims, uint32_t rank, uint32_t d,
                     int64_t from, int64_t to) {
  int32_t *start = jm_lower_scratch(l, rank), *stop = jm_lower_scratch(l, rank);
  int32_t *strides = jm_lower_scratch(l, rank);
  if (!start || !stop || !strides) return NULL;
  for (uint32_t i = 0; i < rank; i++) {
    start[i] = i == d ? (int32_t)from : 0;
    stop[i] = i == d ? (int32_t)to : (int32_t)dims[i];
    strides[i] = 1;
  }
  return jm_mlx_slice(l, a, start, stop, strides, (int)rank);
}

/* NCCL moves no 16-bit integers, booleans nor complex numbers: they travel as another type of the
 * same bits. */
static jm_dtype carrier_of(jm_dtype dtype) {
  switch (dtype) {
    case JM_DT_pred:
      return JM_DT_u8;
    case JM_DT_s16:
    case JM_DT_u16:
      return JM_DT_f16;
    case JM_DT_c64:
      return JM_DT_f32;
    default:
      return dtype;
  }
}

/* The operand of every participant: [n, count], by participant. */
static A gather(jm_lowering *l, uint32_t i) {
  const jm_type *type = jm_lower_type(l, i);
  const jm_dtype carrier = carrier_of(type->dtype);
  A a = jm_lower_shaped(l, i, (int64_t[]){1, type->count}, 2);
  if (carrier != type->dtype) a = jm_mlx_view(l, a, carrier);
  a = keep_last(l, jm_mlx_all_gather(l, l->link->group, behind_last(l, a)));
  return carrier != type->dtype ? jm_mlx_view(l, a, type->dtype) : a;
}

/* All participants, each in its place. */
static bool is_in_order(const jm_lowering *l, const jm_members *members) {
  if (members->n != l->link->size) return false;
  for (uint32_t k = 0; k < members->n; k++)
    if (members->ids[k] != k) return false;
  return true;
}

/* The rows of the group's members, in its order: [members, count]. */
static A gather_members(jm_lowering *l, uint32_t i, const jm_members *members) {
  const int64_t dims[] = {l->link->size, jm_lower_type(l, i)->count};
  A all = gather(l, i), rows[JM_MAX_PARTICIPANTS];
  if (is_in_order(l, members)) return all;
  for (uint32_t k = 0; k < members->n; k++)
    rows[k] = slice_along(l, all, dims, 2, 0, members->ids[k], members->ids[k] + 1);
  return jm_mlx_concatenate(l, rows, (int)members->n, 0);
}

/* [n, ..., size, ...] -> [..., n * size, ...]: dims are those of one. */
static A join_along(jm_lowering *l, A a, const int64_t *dims, uint32_t rank, uint32_t d,
                    uint32_t n) {
  int32_t *axes = jm_lower_scratch(l, rank + 1), *joined = jm_lower_scratch(l, rank);
  if (!axes || !joined) return NULL;
  for (uint32_t i = 0; i < rank; i++) {
    axes[i < d ? i : i + 1] = (int32_t)i + 1;
    joined[i] = (int32_t)dims[i] * (i == d ? (int32_t)n : 1);
  }
  axes[d] = 0;
  return jm_mlx_reshape(l, jm_mlx_transpose(l, a, axes, (int)rank + 1), joined, (int)rank);
}

/* [n, count] -> [n, dims...] */
static A rows_shaped(jm_lowering *l, A a, uint32_t n, const jm_type *type) {
  int32_t *dims = jm_lower_scratch(l, type->rank + 1);
  if (!dims) return NULL;
  dims[0] = (int32_t)n;
  for (uint32_t i = 0; i < type->rank; i++) dims[i + 1] = (int32_t)type->dims[i];
  return jm_mlx_reshape(l, a, dims, (int)type->rank + 1);
}

/* -- reductions */

/* Every participant, each once: then the group's order does not matter to a sum of all. */
static bool is_everybody(const jm_lowering *l, const jm_members *members) {
  return members->n == l->link->size;
}

/* Does MLX's group compute it exactly as the op says? NCCL's maximum of floats drops NaN. */
static bool is_summed(const jm_lower_monoid *monoid, jm_dtype dtype) {
  return monoid->is.code == JM_OP_add && carrier_of(dtype) == dtype;
}

/* The members' operands combined in the group's order: rows [n, count] -> [count]. */
static A combine_rows(jm_lowering *l, const jm_lower_monoid *monoid, A rows, uint32_t n,
                      int64_t count) {
  const int64_t dims[] = {n, count};
  A sum = slice_along(l, rows, dims, 2, 0, 0, 1);
  for (uint32_t k = 1; k < n; k++)
    sum = monoid->combine(l, sum, slice_along(l, rows, dims, 2, 0, k, k + 1));
  return sum;
}

static A reduce_all(jm_lowering *l, uint32_t i, const jm_lower_monoid *monoid,
                    const jm_members *members) {
  const jm_type *type = jm_lower_type(l, i);
  if (is_everybody(l, members) && is_summed(monoid, type->dtype))
    return sum_all(l, jm_lower_array(l, i));
  A rows = gather_members(l, i, members);
  return reshape(l, combine_rows(l, monoid, rows, members->n, type->count), type->dims, type->rank);
}

/* [before, n, part, after] -> [n, before, part, after], whose first dimension is scattered. */
static A sum_scatter(jm_lowering *l, uint32_t i, uint32_t d) {
  static const int32_t axes[] = {1, 0, 2, 3};
  const jm_type *type = jm_lower_type(l, i), *to = jm_lower_result(l, i);
  int64_t split[4] = {1, l->link->size, to->dims[d], 1};
  for (uint32_t k = 0; k < type->rank; k++)
    if (k != d) split[k < d ? 0 : 3] *= type->dims[k];
  A a = jm_mlx_transpose(l, jm_lower_shaped(l, i, split, 4), axes, 4);
  a = keep_last(l, jm_mlx_sum_scatter(l, l->link->group, behind_last(l, a)));
  return reshape(l, a, to->dims, to->rank);
}

static A reduce_part(jm_lowering *l, uint32_t i, const jm_lower_monoid *monoid,
                     const jm_members *members) {
  const uint32_t d = (uint32_t)((const jm_reduce_scatter_attrs *)l->op->attrs)->dim;
  const jm_type *type = jm_lower_type(l, i);
  const int64_t part = jm_lower_result(l, i)->dims[d], from = members->position * part;
  if (l->link->scatters && is_in_order(l, members) && is_summed(monoid, type->dtype))
    return sum_scatter(l, i, d);
  A all = reduce_all(l, i, monoid, members);
  return slice_along(l, all, type->dims, type->rank, d, from, from + part);
}

/* One sum of all operands, one behind the other. */
static void lower_sums(jm_lowering *l) {
  const uint32_t n = l->op->n_results;
  A *parts = jm_arena_alloc(&l->scratch, n, sizeof *parts);
  int64_t count = 0, at = 0;
  if (!parts) {
    jm_lower_fail(l, jm_error_out_of_memory());
    return;
  }
  for (uint32_t i = 0; i < n; i++) {
    parts[i] = jm_lower_shaped(l, i, &jm_lower_type(l, i)->count, 1);
    count += jm_lower_type(l, i)->count;
  }
  A all = sum_all(l, jm_mlx_concatenate(l, parts, (int)n, 0));
  for (uint32_t i = 0; i < n; i++) {
    const jm_type *type = jm_lower_type(l, i);
    A part = slice_along(l, all, &count, 1, 0, at, at + type->count);
    l->out[i] = reshape(l, part, type->dims, type->rank);
    at += type->count;
  }
}

static void lower_reductions(jm_lowering *l) {
  jm_members members;
  jm_lower_monoid monoid;
  jm_lower_monoid_find(l->module, l->op->first_region, &monoid); /* as supports_reduction saw */
  jm_collective_members(l->op, l->link->self, l->link->size, &members);
  if (!members.n) {
    jm_lower_fail(l, jm_op_error(l->module, l->op, JM_INVALID_ARGUMENT,
                                 "participant %u is in none of the groups", l->link->self));
    return;
  }
  if (l->op->code == JM_OP_all_reduce && l->op->n_results > 1 && is_everybody(l, &members) &&
      is_summed(&monoid, jm_lower_dtype(l, 0))) {
    lower_sums(l);
    return;
  }
  for (uint32_t i = 0; i < l->op->n_results; i++)
    l->out[i] = l->op->code == JM_OP_all_reduce ? reduce_all(l, i, &monoid, &members)
                                                : reduce_part(l, i, &monoid, &members);
}

static bool supports_reduction(const jm_module *m, const jm_op *op) {
  jm_lower_monoid monoid;
  return !op->n_captures && jm_lower_monoid_find(m, op->first_region, &monoid);
}

/* -- data movement */

static void lower_all_gather(jm_lowering *l) {
  const uint32_t d = (uint32_t)((const jm_all_gather_attrs *)l->op->attrs)->dim;
  jm_members members;
  jm_collective_members(l->op, l->link->self, l->link->size, &members);
  for (uint32_t i = 0; i < l->op->n_results; i++) {
    const jm_type *type = jm_lower_type(l, i);
    A rows = rows_shaped(l, gather_members(l, i, &members), members.n, type);
    l->out[i] = join_along(l, rows, type->dims, type->rank, d, members.n);
  }
}

static void lower_all_to_all(jm_lowering *l) {
  const jm_all_to_all_attrs *attrs = l->op->attrs;
  const uint32_t split = (uint32_t)attrs->split_dim;
  jm_members members;
  jm_collective_members(l->op, l->link->self, l->link->size, &members);
  for (uint32_t i = 0; i < l->op->n_results; i++) {
    const jm_type *type = jm_lower_type(l, i);
    int64_t dims[JM_RANK_MAX + 1] = {members.n};
    memcpy(dims + 1, type->dims, type->rank * sizeof *dims);
    const int64_t part = type->dims[split] / members.n, from = members.position * part;
    A rows = rows_shaped(l, gather_members(l, i, &members), members.n, type);
    rows = slice_along(l, rows, dims, type->rank + 1, split + 1, from, from + part);
    dims[split + 1] = part;
    l->out[i] = join_along(l, rows, dims + 1, type->rank, (uint32_t)attrs->concat_dim, members.n);
  }
}

/* Of one participant, JM_NONE: zeros. */
static A take_from(jm_lowering *l, uint32_t i, uint32_t source) {
  const jm_type *type = jm_lower_type(l, i);
  const int64_t dims[] = {l->link->size, type->count};
  const uint32_t row = source == JM_NONE ? l->link->self : source;
  A a = slice_along(l, gather(l, i), dims, 2, 0, row, row + 1);
  if (source == JM_NONE) { /* all take part: what is not used is not computed */
    const A never = jm_lower_i64(l, JM_DT_pred, 0), zero = jm_lower_i64(l, type->dtype, 0);
    a = jm_mlx_where(l, never, a, zero);
  }
  return reshape(l, a, type->dims, type->rank);
}

static void lower_permute(jm_lowering *l) {
  const jm_i64s pairs = ((const jm_collective_permute_attrs *)l->op->attrs)->source_target_pairs;
  uint32_t source = JM_NONE;
  for (uint32_t i = 0; i + 1 < pairs.n; i += 2)
    if (pairs.data[i + 1] == (int64_t)l->link->self) source = (uint32_t)pairs.data[i];
  for (uint32_t i = 0; i < l->op->n_results; i++) l->out[i] = take_from(l, i, source);
}

static void lower_broadcast(jm_lowering *l) {
  jm_members members;
  jm_collective_members(l->op, l->link->self, l->link->size, &members);
  for (uint32_t i = 0; i < l->op->n_results; i++)
    l->out[i] = take_from(l, i, members.n ? members.ids[0] : JM_NONE);
}

const jm_lower_rule jm_lower_collective_rules[] = {
    {JM_OP_all_gather, lower_all_gather, NULL},
    {JM_OP_all_reduce, lower_reductions, supports_reduction},
    {JM_OP_all_to_all, lower_all_to_all, NULL},
    {JM_OP_collective_broadcast, lower_broadcast, NULL},
    {JM_OP_collective_permute, lower_permute, NULL},
    {JM_OP_reduce_scatter, lower_reductions, supports_reduction},
    {JM_N_OPS, NULL, NULL},
};
