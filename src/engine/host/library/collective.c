/* SPDX-License-Identifier: Apache-2.0
 * Collectives. With one participant each hands its operands through, but for a permutation that
 * does not name the participant, which gives zeros. With several, each participant computes its own
 * results from what the others brought, in the order of the group's members: all of them get the
 * same bits, and every run does. The members of an all_reduce divide the elements among them: each
 * folds a part, for all. */
#include <string.h>

#include "base/counters.h"
#include "engine/group.h"
#include "engine/host/library/copy.h"
#include "engine/host/library/cpu.h"
#include "engine/host/library/fold.h"
#include "engine/host/library/functions.h"
#include "ir/collective.h"

typedef struct exchange {
  const jm_call *call;
  uint32_t self; /* participant */
  jm_members members;
  bool past_caches; /* the members' results are larger than the last cache */
} exchange;

static void put(const exchange *e, void *to, const void *from, size_t bytes) {
  if (e->past_caches)
    jm_copy_past_caches(to, from, bytes);
  else if (bytes)
    memcpy(to, from, bytes);
}

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

static jm_error *take_gathered(void *argument, const jm_tensor *const *inputs,
                               const jm_tensor *const *outputs) {
  const exchange *e = argument;
  (void)outputs;
  const int64_t dim = ((const jm_all_gather_attrs *)e->call->op->attrs)->dim;
  for (uint32_t i = 0; i < e->call->op->n_results; i++) {
    const view part = view_of(inputs[0][i].type, dim);
    const size_t bytes = part.n * part.inner;
    char *to = e->call->out[i].data;
    for (size_t o = 0; o < part.outer; o++)
      for (uint32_t k = 0; k < e->members.n; k++, to += bytes)
        put(e, to, (const char *)inputs[k][i].data + o * bytes, bytes);
  }
  return NULL;
}

static jm_error *take_first(void *argument, const jm_tensor *const *inputs,
                            const jm_tensor *const *outputs) {
  const exchange *e = argument;
  (void)outputs;
  for (uint32_t i = 0; i < e->call->op->n_results; i++)
    put(e, e->call->out[i].data, inputs[0][i].data, jm_type_bytes(e->call->out[i].type));
  return NULL;
}

static jm_error *take_permuted(void *argument, const jm_tensor *const *inputs,
                               const jm_tensor *const *outputs) {
  const exchange *e = argument;
  (void)outputs;
  const jm_i64s pairs =
      ((const jm_collective_permute_attrs *)e->call->op->attrs)->source_target_pairs;
  zero(e->call);
  for (uint32_t i = 0; i + 1 < pairs.n; i += 2)
    if (pairs.data[i + 1] == (int64_t)e->self) /* the members are all participants, in order */
      put(e, e->call->out[0].data, inputs[pairs.data[i]][0].data,
          jm_type_bytes(e->call->out[0].type));
  return NULL;
}

/* Copies the member's own block of n along `split` to its position along `concat` of the result, in
 * which block k comes from member k. From the later of the two dimensions on, the elements of a
 * block are contiguous in both arrays. */
static void move_block(const exchange *e, const jm_tensor *from, const jm_tensor *to, uint32_t k) {
  const jm_all_to_all_attrs *attrs = e->call->op->attrs;
  const int64_t split = attrs->split_dim, concat = attrs->concat_dim;
  const uint32_t n = e->members.n, index = e->members.position;
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
    put(e, (char *)to->data + (size_t)target * size,
        (const char *)from->data + (size_t)source * size, bytes);
    for (uint32_t d = inner; d-- > 0;) {
      if (++at[d] < dims[d]) break;
      at[d] = 0;
    }
  }
}

static jm_error *take_exchanged(void *argument, const jm_tensor *const *inputs,
                                const jm_tensor *const *outputs) {
  const exchange *e = argument;
  (void)outputs;
  for (uint32_t i = 0; i < e->call->op->n_results; i++)
    for (uint32_t k = 0; k < e->members.n; k++) move_block(e, &inputs[k][i], &e->call->out[i], k);
  return NULL;
}

/* A reduction on its way: the elements of a block are folded in memory that stays in the cache. */
typedef struct folding {
  const exchange *e;
  const jm_tensor *const *inputs;
  const jm_tensor *const *outputs; /* of those who get what is folded */
  uint32_t n_outputs;
  jm_fold fold;
  void *block; /* of fold.lanes elements */
} folding;

/* Folds n elements of result i, from the element `from` of each member's operand on, and puts them
 * to the element `to` on. */
static jm_error *fold_run(folding *f, uint32_t i, size_t from, size_t to, size_t n) {
  const size_t size = f->fold.bytes[0];
  for (size_t at = 0; at < n; at += f->fold.lanes) {
    const size_t some = n - at < f->fold.lanes ? n - at : f->fold.lanes;
    const size_t offset = (from + at) * size;
    memcpy(f->block, (const char *)f->inputs[0][i].data + offset, some * size);
    for (uint32_t k = 1; k < f->e->members.n; k++) {
      const void *x = (const char *)f->inputs[k][i].data + offset;
      JM_TRY(jm_fold_run(&f->fold, &f->block, &x, (int64_t)some));
    }
    for (uint32_t k = 0; k < f->n_outputs; k++)
      put(f->e, (char *)f->outputs[k][i].data + (to + at) * size, f->block, some * size);
  }
  return NULL;
}

/* Where the part of `count` elements begins that member k of n folds for all; members write no line
 * of a cache in turns. */
static size_t part_start(size_t count, size_t n, size_t k) {
  enum { LINE = 64 }; /* elements, of a byte or more */
  const size_t lines = (count + LINE - 1) / LINE;
  const size_t start = (lines / n * k + lines % n * k / n) * LINE;
  return start < count ? start : count;
}

static jm_error *fold_all(folding *f, bool divided) {
  const exchange *e = f->e;
  const jm_op *op = e->call->op;
  for (uint32_t i = 0; i < op->n_results; i++) {
    const jm_type *type = e->call->out[i].type;
    if (op->code == JM_OP_all_reduce) {
      const size_t count = (size_t)type->count, n = divided ? e->members.n : 1;
      const size_t k = divided ? e->members.position : 0, start = part_start(count, n, k);
      JM_TRY(fold_run(f, i, start, start, part_start(count, n, k + 1) - start));
      continue;
    }
    const view part = view_of(type, ((const jm_reduce_scatter_attrs *)op->attrs)->dim);
    const size_t row = part.n * part.inner / jm_dtype_bytes(type->dtype);
    for (size_t o = 0; o < part.outer; o++)
      JM_TRY(fold_run(f, i, (o * e->members.n + e->members.position) * row, o * row, row));
  }
  return NULL;
}

static jm_error *take_reduced(void *argument, const jm_tensor *const *inputs,
                              const jm_tensor *const *outputs) {
  const exchange *e = argument;
  const jm_tensor *own = e->call->out;
  const bool divided = outputs && e->call->op->code == JM_OP_all_reduce;
  folding f = {.e = e, .inputs = inputs, .outputs = divided ? outputs : &own};
  f.n_outputs = divided ? e->members.n : 1;
  int64_t most = 1;
  for (uint32_t i = 0; i < e->call->op->n_results; i++)
    if (own[i].type->count > most) most = own[i].type->count;
  jm_error *error = jm_fold_init(&f.fold, e->call, e->call->op->first_region, 1, JM_N_DTYPES, most);
  if (!error) {
    f.block = jm_arena_alloc(&f.fold.arena, f.fold.lanes, f.fold.bytes[0]);
    error = f.block ? fold_all(&f, divided) : jm_error_out_of_memory();
  }
  jm_fold_deinit(&f.fold);
  return error;
}

/* -- who meets */

static jm_exchange_fn *const takes[JM_N_OPS] = {
    [JM_OP_all_gather] = take_gathered,         [JM_OP_all_reduce] = take_reduced,
    [JM_OP_all_to_all] = take_exchanged,        [JM_OP_collective_broadcast] = take_first,
    [JM_OP_collective_permute] = take_permuted, [JM_OP_reduce_scatter] = take_reduced,
};

static bool is_past_caches(const exchange *e) {
  const size_t cache = jm_cpu_find_cache_bytes();
  size_t bytes = 0;
  for (uint32_t i = 0; i < e->call->op->n_results; i++)
    bytes += jm_type_bytes(e->call->out[i].type);
  return cache && bytes * e->members.n >= cache;
}

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
  e.past_caches = is_past_caches(&e);
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
