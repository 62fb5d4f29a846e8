/* SPDX-License-Identifier: Apache-2.0
 * Collectives. With one participant each hands its operands through, but for a permutation that
 * does not name the participant, which gives zeros. With several, each participant computes its own
 * results from what the others brought, in the order of the group's members: all of them get the
 * same bits, and every run does. */
#include <string.h>

#include "base/counters.h"
#include "engine/group.h"
#include "engine/host/library/functions.h"
#include "engine/host/library/region.h"
#include "ir/collective.h"

typedef struct exchange {
  const jm_call *call;
  uint32_t self; /* participant */
  jm_members members;
} exchange;

static void zero(const jm_call *call) {
  for (uint32_t i = 0; i < call->op->n_results; i++)
    memset(call->out[i].data, 0, jm_type_bytes(call->out[i].type));
}

/* -- what each op makes of its members' operands */

/* An array seen as [outer, n, inner] around one dimension; inner in bytes. */
typedef struct view {
  size_t outer, n, inner;
} view;

static view view_of(const jm_type *type, int64_t dim) {
  view v = {1, (size_t)type->dims[dim], jm_dtype_bytes(type->dtype)};
  for (uint32_t d = 0; d < type->rank; d++)
    if (d < dim)
      v.outer *= (size_t)type->dims[d];
    else if (d > dim)
      v.inner *= (size_t)type->dims[d];
  return v;
}

static jm_error *take_gathered(void *argument, const jm_tensor *const *inputs) {
  const exchange *e = argument;
  const int64_t dim = ((const jm_all_gather_attrs *)e->call->op->attrs)->dim;
  for (uint32_t i = 0; i < e->call->op->n_results; i++) {
    const view part = view_of(inputs[0][i].type, dim);
    const size_t bytes = part.n * part.inner;
    char *to = e->call->out[i].data;
    for (size_t o = 0; o < part.outer; o++)
      for (uint32_t k = 0; k < e->members.n; k++, to += bytes)
        if (bytes) memcpy(to, (const char *)inputs[k][i].data + o * bytes, bytes);
  }
  return NULL;
}

static jm_error *take_first(void *argument, const jm_tensor *const *inputs) {
  const exchange *e = argument;
  for (uint32_t i = 0; i < e->call->op->n_results; i++)
    memcpy(e->call->out[i].data, inputs[0][i].data, jm_type_bytes(e->call->out[i].type));
  return NULL;
}

static jm_error *take_permuted(void *argument, const jm_tensor *const *inputs) {
  const exchange *e = argument;
  const jm_i64s pairs =
      ((const jm_collective_permute_attrs *)e->call->op->attrs)->source_target_pairs;
  zero(e->call);
  for (uint32_t i = 0; i + 1 < pairs.n; i += 2)
    if (pairs.data[i + 1] == (int64_t)e->self) /* the members are all participants, in order */
      memcpy(e->call->out[0].data, inputs[pairs.data[i]][0].data,
             jm_type_bytes(e->call->out[0].type));
  return NULL;
}

/* Copies block `index` of n along `split` to its position along `concat` of the result, in
 * which block k comes from member k. From the later of the two dimensions on, the elements of a
 * block are contiguous in both arrays. */
static void move_block(const jm_tensor *from, const jm_tensor *to, int64_t split, int64_t concat,
                       uint32_t n, uint32_t index, uint32_t k) {
  int64_t at[JM_RANK_MAX] = {0}, dims[JM_RANK_MAX];
  const uint32_t rank = from->type->rank, inner = (uint32_t)(split > concat ? split : concat);
  int64_t count = 1, run = 1;
  for (uint32_t d = 0; d < rank; d++) {
    dims[d] = from->type->dims[d] / (d == split ? (int64_t)n : 1);
    *(d < inner ? &count : &run) *= dims[d];
  }
  const size_t size = jm_dtype_bytes(from->type->dtype), bytes = (size_t)run * size;
  for (int64_t i = 0; bytes && i < count; i++) {
    int64_t source = 0, target = 0;
    for (uint32_t d = 0; d < rank; d++) {
      source = source * from->type->dims[d] + at[d] + (d == split ? index * dims[d] : 0);
      target = target * to->type->dims[d] + at[d] + (d == concat ? k * dims[d] : 0);
    }
    memcpy((char *)to->data + (size_t)target * size,
           (const char *)from->data + (size_t)source * size, bytes);
    for (uint32_t d = inner; d-- > 0;) {
      if (++at[d] < dims[d]) break;
      at[d] = 0;
    }
  }
}

static jm_error *take_exchanged(void *argument, const jm_tensor *const *inputs) {
  const exchange *e = argument;
  const jm_all_to_all_attrs *attrs = e->call->op->attrs;
  for (uint32_t i = 0; i < e->call->op->n_results; i++)
    for (uint32_t k = 0; k < e->members.n; k++)
      move_block(&inputs[k][i], &e->call->out[i], attrs->split_dim, attrs->concat_dim, e->members.n,
                 e->members.position, k);
  return NULL;
}

/* Folds n elements, at the same offset in bytes of each member's operand i, into `to`. */
static jm_error *fold(const exchange *e, jm_library_region *region, const jm_tensor *const *inputs,
                      uint32_t i, size_t offset, size_t n, char *to) {
  const size_t lanes = jm_library_region_lanes(region);
  const size_t size = jm_dtype_bytes(e->call->out[i].type->dtype);
  for (size_t at = 0; at < n; at += lanes) { /* the sums of a block stay in the cache */
    const size_t some = n - at < lanes ? n - at : lanes;
    char *sum = to + at * size;
    memcpy(sum, (const char *)inputs[0][i].data + offset + at * size, some * size);
    for (uint32_t k = 1; k < e->members.n; k++) {
      const void *args[] = {sum, (const char *)inputs[k][i].data + offset + at * size};
      void *results[] = {sum};
      JM_TRY(jm_library_region_run(region, args, results, some));
    }
  }
  return NULL;
}

/* Where the part of an all_reduce's result i begins that member k makes. */
static size_t part_start(const exchange *e, uint32_t i, uint32_t k) {
  const size_t count = (size_t)e->call->out[i].type->count, n = e->members.n;
  return count / n * k + count % n * k / n;
}

/* all: the whole of the results of an all_reduce, not the member's part of them. */
static jm_error *fold_all(const exchange *e, jm_library_region *region,
                          const jm_tensor *const *inputs, bool all) {
  const jm_op *op = e->call->op;
  for (uint32_t i = 0; i < op->n_results; i++) {
    const jm_tensor *out = &e->call->out[i];
    const size_t size = jm_dtype_bytes(out->type->dtype);
    if (op->code == JM_OP_all_reduce) {
      const size_t start = all ? 0 : part_start(e, i, e->members.position);
      const size_t end = all ? (size_t)out->type->count : part_start(e, i, e->members.position + 1);
      JM_TRY(
          fold(e, region, inputs, i, start * size, end - start, (char *)out->data + start * size));
      continue;
    }
    const view part = view_of(out->type, ((const jm_reduce_scatter_attrs *)op->attrs)->dim);
    const size_t bytes = part.n * part.inner;
    for (size_t o = 0; o < part.outer; o++)
      JM_TRY(fold(e, region, inputs, i, (o * e->members.n + e->members.position) * bytes,
                  bytes / size, (char *)out->data + o * bytes));
  }
  return NULL;
}

static jm_error *reduce(const exchange *e, const jm_tensor *const *inputs, bool all) {
  enum { LANES = 1024 };
  const jm_op *op = e->call->op;
  const uint32_t n_inputs = op->n_operands - op->n_captures;
  jm_library_region *region;
  JM_TRY(jm_library_region_create(e->call->module, op->first_region, e->call->in + n_inputs,
                                  op->n_captures, LANES, &region));
  jm_error *error = fold_all(e, region, inputs, all);
  jm_library_region_destroy(region);
  return error;
}

static jm_error *take_reduced(void *argument, const jm_tensor *const *inputs) {
  return reduce(argument, inputs, true);
}

static jm_error *take_part(void *argument, const jm_tensor *const *inputs) {
  return reduce(argument, inputs, false);
}

static jm_error *copy_parts(void *argument, const jm_tensor *const *outputs) {
  const exchange *e = argument;
  for (uint32_t i = 0; i < e->call->op->n_results; i++) {
    const size_t size = jm_dtype_bytes(e->call->out[i].type->dtype);
    for (uint32_t k = 0; k < e->members.n; k++) {
      const size_t start = part_start(e, i, k) * size, end = part_start(e, i, k + 1) * size;
      if (k != e->members.position && end > start)
        memcpy((char *)e->call->out[i].data + start, (const char *)outputs[k][i].data + start,
               end - start);
    }
  }
  return NULL;
}

/* Does it take less time that members divide the sums among themselves, although they wait for each
 * other once more? */
static bool pays_parts(const jm_call *call) {
  enum { LEAST_BYTES = 64 << 10 };
  size_t bytes = 0;
  if (call->op->code != JM_OP_all_reduce) return false;
  for (uint32_t i = 0; i < call->op->n_results; i++) bytes += jm_type_bytes(call->out[i].type);
  return bytes >= LEAST_BYTES;
}

/* -- who meets */

static jm_exchange_fn *const takes[JM_N_OPS] = {
    [JM_OP_all_gather] = take_gathered,         [JM_OP_all_reduce] = take_reduced,
    [JM_OP_all_to_all] = take_exchanged,        [JM_OP_collective_broadcast] = take_first,
    [JM_OP_collective_permute] = take_permuted, [JM_OP_reduce_scatter] = take_reduced,
};

static jm_error *exchange_run(const jm_call *call) {
  const jm_context *context = call->context;
  const jm_module *m = call->module;
  exchange e = {.call = call, .self = context->replica * m->n_partitions + context->partition};
  jm_collective_members(call->op, e.self, context->group->n_participants, &e.members);
  if (!e.members.n && call->op->code == JM_OP_collective_broadcast) {
    zero(call);
    return NULL;
  }
  if (!e.members.n)
    return jm_op_error(m, call->op, JM_INVALID_ARGUMENT, "participant %u is in none of the groups",
                       e.self);
  jm_counter_add(JM_COUNTER_collectives, 1);
  jm_counter_add(JM_COUNTER_collective_bytes, jm_collective_bytes(m, call->op));
  const bool in_parts = e.members.n > 1 && pays_parts(call);
  const jm_exchange arguments = {
      .op = (uint32_t)(call->op - m->ops),
      .name = jm_op_facts[call->op->code].name,
      .device = context->device,
      .self = e.self,
      .members = e.members.ids,
      .n_members = e.members.n,
      .groups = e.members.groups,
      .group_size = (uint32_t)e.members.group_size,
      .inputs = call->in,
      .n_inputs = call->op->n_operands - call->op->n_captures,
      .take = takes[call->op->code],
      .take_part = in_parts ? take_part : NULL,
      .copy_parts = in_parts ? copy_parts : NULL,
      .outputs = call->out,
      .argument = &e,
      .cancelled = context->cancelled,
  };
  return context->group->exchange(context->group, &arguments);
}

/* -- one participant */

static jm_error *permute_alone(const jm_call *call) {
  const jm_collective_permute_attrs *attrs = call->op->attrs;
  for (uint32_t i = 0; i + 1 < attrs->source_target_pairs.n; i += 2)
    if (!attrs->source_target_pairs.data[i] && !attrs->source_target_pairs.data[i + 1])
      return jm_library_identity(call);
  zero(call);
  return NULL;
}

jm_error *jm_library_collective(const jm_call *call) {
  const jm_module *m = call->module;
  if (call->context && call->context->group) return exchange_run(call);
  if (m->n_replicas * m->n_partitions > 1)
    return jm_op_error(m, call->op, JM_INTERNAL, "a collective runs without its participants");
  if (call->op->code == JM_OP_collective_permute) return permute_alone(call);
  return jm_library_identity(call);
}

/* With several participants the pass partition has replaced it. */
jm_error *jm_library_sharding(const jm_call *call) {
  const jm_module *m = call->module;
  if (m->n_replicas * m->n_partitions > 1)
    return jm_op_error(m, call->op, JM_INTERNAL, "a sharding is left in a program that runs");
  return jm_library_identity(call);
}

jm_error *jm_library_device_id(const jm_call *call) {
  const jm_context *context = call->context;
  uint32_t id = 0;
  if (context) id = call->op->code == JM_OP_partition_id ? context->partition : context->replica;
  memcpy(call->out[0].data, &id, sizeof id);
  return NULL;
}
