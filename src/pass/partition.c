/* SPDX-License-Identifier: Apache-2.0
 * From a program on whole arrays to that of one of its partitions, where propagate.c has given
 * every value a sharding:
 *
 *   module "p" partitions=2 whole {
 *     (%x: f32[8,4] parts=[0,1,1,2], %w: f32[4,4] parts=[1,1,2,0]):
 *     %y: f32[8,4] = dot_general %x, %w lhs_contract=[1] rhs_contract=[0]
 *     return %y
 *   }
 *
 * becomes
 *
 *   module "p" partitions=2 {
 *     (%x: f32[8,2], %w: f32[2,4]):
 *     %p: f32[8,4] = dot_general %x, %w lhs_contract=[1] rhs_contract=[0]
 *     %y: f32[8,4] = all_reduce %p replica_groups=[0,1] group_size=2 {add}
 *     return %y
 *   }
 *
 * An op that has factors works on parts, as division.c chooses; any other works on whole arrays, on
 * every device. Either way its results are then brought to their shardings. */
#include "pass/partition.h"

#include <string.h>

#include "pass/pass.h"

typedef struct partitioner {
  jm_placement p;
  jm_value *local;       /* by value of the program on whole arrays: its part */
  uint32_t manual_depth; /* of regions in bodies written per device */
  const jm_pass_options *options;
} partitioner;

static jm_error *build_region(partitioner *t, jm_region_id from, jm_region_id to);

static const jm_type *whole_type(const partitioner *t, jm_value v) {
  return jm_module_typeof(t->p.m, v);
}

/* Each device computes it for itself. */
static bool is_manual(const partitioner *t, const jm_op *op) {
  bool manual = t->manual_depth > 0;
  for (uint32_t i = 0; i < op->n_operands; i++) manual |= t->p.manual[op->operands[i]];
  for (uint32_t i = 0; i < op->n_results; i++) manual |= t->p.manual[op->first_result + i];
  return manual;
}

/* A value's part in another sharding; what is manual is as it is. */
static jm_error *bring(partitioner *t, const jm_site *site, jm_value v, const jm_sharding *to,
                       jm_value *out) {
  *out = t->local[v];
  if (t->p.manual[v]) return NULL;
  return jm_reshard_build(site, whole_type(t, v), jm_placement_of(&t->p, v), to, *out, out);
}

/* A result in its own sharding, from the one that it was computed in. */
static jm_error *take(partitioner *t, const jm_site *site, jm_value v, const jm_sharding *from,
                      jm_value made) {
  t->local[v] = made;
  if (t->p.manual[v]) return NULL;
  return jm_reshard_build(site, whole_type(t, v), from, jm_placement_of(&t->p, v), made,
                          &t->local[v]);
}

/* -- one op */

/* Appends an op like the given one, which may be at other types. */
static jm_error *build_like(partitioner *t, const jm_site *site, const jm_op *op,
                            const jm_value *operands, const jm_type *const *types,
                            const void *attrs, jm_op_id *out) {
  jm_op_spec spec = jm_op_spec_like(op, operands, types);
  spec.attrs = attrs;
  return jm_build_op(t->p.m, site->region, &spec, out);
}

/* Regions whose arguments keep their types: bodies on scalars, and all regions of manual ops. */
static jm_error *build_regions(partitioner *t, const jm_op *op, jm_op_id made) {
  jm_module *m = t->p.m;
  for (uint32_t r = 0; r < op->n_regions; r++) {
    const jm_region_id from = op->first_region + r, to = m->ops[made].first_region + r;
    const jm_value first = m->regions[from].first_arg;
    const uint32_t n = m->regions[from].n_args;
    for (uint32_t i = 0; i < n; i++)
      JM_TRY(jm_build_arg(m, to, m->values[first + i].type, &t->local[first + i]));
    JM_TRY(build_region(t, from, to));
    const jm_region *region = jm_module_region(m, from);
    jm_value *results = jm_arena_alloc(&t->p.scratch, region->n_results, sizeof *results);
    if (!results) return jm_error_out_of_memory();
    for (uint32_t i = 0; i < region->n_results; i++) results[i] = t->local[region->results[i]];
    JM_TRY(jm_build_results(m, to, results, region->n_results));
  }
  return NULL;
}

static jm_error *allocate_lists(partitioner *t, const jm_op *op, jm_value **operands,
                                const jm_type ***types) {
  *operands = jm_arena_alloc(&t->p.scratch, op->n_operands, sizeof **operands);
  *types = jm_arena_alloc(&t->p.scratch, op->n_results, sizeof **types);
  return *operands && *types ? NULL : jm_error_out_of_memory();
}

/* On whole arrays, or in a body written per device on what that has. */
static jm_error *build_whole(partitioner *t, const jm_site *site, const jm_op *op) {
  jm_value *operands;
  const jm_type **types;
  jm_op_id made;
  JM_TRY(allocate_lists(t, op, &operands, &types));
  for (uint32_t i = 0; i < op->n_operands; i++)
    JM_TRY(bring(t, site, op->operands[i], NULL, &operands[i]));
  for (uint32_t i = 0; i < op->n_results; i++) types[i] = whole_type(t, op->first_result + i);
  JM_TRY(build_like(t, site, op, operands, types, op->attrs, &made));
  const bool manual = is_manual(t, op);
  t->manual_depth += manual;
  JM_TRY(build_regions(t, op, made));
  t->manual_depth -= manual;
  for (uint32_t i = 0; i < op->n_results; i++)
    JM_TRY(take(t, site, op->first_result + i, NULL, t->p.m->ops[made].first_result + i));
  return NULL;
}

/* -- what a partitioner of the call's own says that one device runs; in a body written per device
   it is told that what each device has is whole there, and has to leave that so */

static jm_error *build_partitioned(partitioner *t, const jm_site *site, const jm_op *op) {
  jm_module *m = t->p.m;
  jm_value *operands, *results = jm_arena_alloc(&t->p.scratch, op->n_results, sizeof *results);
  const jm_type **types;
  jm_call_parts parts;
  if (!results) return jm_error_out_of_memory();
  if (!t->options->join) return jm_error_unimplemented("calls with a partitioner of their own");
  JM_TRY(allocate_lists(t, op, &operands, &types));
  JM_TRY(jm_call_partition(&t->p, op, is_manual(t, op), &parts));
  for (uint32_t i = 0; i < op->n_operands; i++)
    JM_TRY(bring(t, site, op->operands[i], parts.operands[i], &operands[i]));
  JM_TRY(t->options->join(parts.program.bytes, parts.program.size, m, site->region, op->loc,
                          operands, op->n_operands, results, op->n_results));
  for (uint32_t i = 0; i < op->n_results; i++) {
    const jm_value v = op->first_result + i;
    JM_TRY(jm_build_part_type(m, parts.results[i], whole_type(t, v), &types[i]));
    if (jm_module_typeof(m, results[i]) != types[i])
      return jm_error_invalid("result %u of the partitioner's program is not of its part", i);
    JM_TRY(take(t, site, v, parts.results[i], results[i]));
  }
  return NULL;
}

/* A callback on what each device has. */
static jm_error *build_on_parts(partitioner *t, const jm_site *site, const jm_op *op) {
  jm_value *parts;
  const jm_type **unused;
  jm_op_id made;
  JM_TRY(allocate_lists(t, op, &parts, &unused));
  for (uint32_t i = 0; i < op->n_operands; i++) parts[i] = t->local[op->operands[i]];
  JM_TRY(jm_call_build_on_parts(&t->p, site, op, parts, &made));
  for (uint32_t i = 0; i < op->n_results; i++)
    t->local[op->first_result + i] = t->p.m->ops[made].first_result + i;
  return NULL;
}

/* -- what is to happen once: on device 0, whose results the others are told

   %0: u32[] = partition_id
   %1: pred[] = compare %0, 0 direction=EQ
   %2: f32[4] = case<2> %1 | %x { return 0 }, { return custom_call %x }
   %3: f32[4] = collective_broadcast %2                                                        */

static jm_error *build_is_first(partitioner *t, const jm_site *site, jm_value *out) {
  static const uint32_t zero = 0;
  const jm_compare_attrs attrs = {.direction = JM_COMPARE_EQ, .order = JM_ORDER_UNSIGNED};
  jm_module *m = t->p.m;
  const jm_type *id, *pred;
  jm_value operands[2];
  jm_op_id op;
  JM_TRY(jm_module_type(m, JM_DT_u32, 0, NULL, &id));
  JM_TRY(jm_module_type(m, JM_DT_pred, 0, NULL, &pred));
  jm_op_spec spec = {
      .code = JM_OP_partition_id, .result_types = &id, .n_results = 1, .loc = site->loc};
  JM_TRY(jm_build_op(m, site->region, &spec, &op));
  operands[0] = m->ops[op].first_result;
  JM_TRY(jm_build_splat(m, site->region, id, &zero, site->loc, &operands[1]));
  spec.code = JM_OP_compare;
  spec.operands = operands;
  spec.n_operands = 2;
  spec.result_types = &pred;
  spec.attrs = &attrs;
  JM_TRY(jm_build_op(m, site->region, &spec, &op));
  *out = m->ops[op].first_result;
  return NULL;
}

/* The branch of the other devices: zeros. */
static jm_error *build_nothing(partitioner *t, const jm_op *op, const jm_type *const *types,
                               jm_region_id region, jm_value *results) {
  static const char zero[16];
  jm_module *m = t->p.m;
  for (uint32_t i = 0; i < op->n_results; i++) {
    const jm_op_spec token = {
        .code = JM_OP_create_token, .result_types = &types[i], .n_results = 1, .loc = op->loc};
    jm_op_id id;
    if (types[i]->dtype != JM_DT_token) {
      JM_TRY(jm_build_splat(m, region, types[i], zero, op->loc, &results[i]));
      continue;
    }
    JM_TRY(jm_build_op(m, region, &token, &id));
    results[i] = m->ops[id].first_result;
  }
  return jm_build_results(m, region, results, op->n_results);
}

static jm_error *build_branches(partitioner *t, const jm_op *op, const jm_type *const *types,
                                jm_op_id chosen) {
  jm_module *m = t->p.m;
  jm_value *args, *results = jm_arena_alloc(&t->p.scratch, op->n_results, sizeof *results);
  const jm_type **unused;
  jm_op_id made;
  if (!results) return jm_error_out_of_memory();
  JM_TRY(allocate_lists(t, op, &args, &unused));
  for (uint32_t r = 0; r < 2; r++) {
    const jm_region_id region = m->ops[chosen].first_region + r;
    const jm_site site = {m, region, op->loc};
    for (uint32_t i = 0; i < op->n_operands; i++)
      JM_TRY(jm_build_arg(m, region, whole_type(t, op->operands[i]), &args[i]));
    if (!r) {
      JM_TRY(build_nothing(t, op, types, region, results));
      continue;
    }
    JM_TRY(build_like(t, &site, op, args, types, op->attrs, &made));
    for (uint32_t i = 0; i < op->n_results; i++) results[i] = m->ops[made].first_result + i;
    JM_TRY(jm_build_results(m, region, results, op->n_results));
  }
  return NULL;
}

static jm_error *build_told(partitioner *t, const jm_site *site, jm_value *value) {
  jm_module *m = t->p.m;
  const jm_type *type = jm_module_typeof(m, *value);
  const jm_collective_broadcast_attrs attrs = {.channel = 1};
  const jm_op_spec spec = {.code = JM_OP_collective_broadcast,
                           .operands = value,
                           .n_operands = 1,
                           .result_types = &type,
                           .n_results = 1,
                           .attrs = &attrs,
                           .loc = site->loc};
  jm_op_id id;
  if (type->dtype == JM_DT_token) return NULL;
  JM_TRY(jm_build_op(m, site->region, &spec, &id));
  *value = m->ops[id].first_result;
  return NULL;
}

static jm_error *build_once(partitioner *t, const jm_site *site, const jm_op *op) {
  jm_module *m = t->p.m;
  jm_value *operands, *all = jm_arena_alloc(&t->p.scratch, 1 + (size_t)op->n_operands, sizeof *all);
  const jm_type **types;
  jm_op_id chosen;
  if (!all) return jm_error_out_of_memory();
  JM_TRY(allocate_lists(t, op, &operands, &types));
  JM_TRY(build_is_first(t, site, &all[0]));
  for (uint32_t i = 0; i < op->n_operands; i++)
    JM_TRY(bring(t, site, op->operands[i], NULL, &all[1 + i]));
  for (uint32_t i = 0; i < op->n_results; i++) types[i] = whole_type(t, op->first_result + i);
  const jm_op_spec spec = {.code = JM_OP_case,
                           .operands = all,
                           .n_operands = 1 + op->n_operands,
                           .n_captures = op->n_operands,
                           .result_types = types,
                           .n_results = op->n_results,
                           .n_regions = 2,
                           .loc = op->loc};
  JM_TRY(jm_build_op(m, site->region, &spec, &chosen));
  JM_TRY(build_branches(t, op, types, chosen));
  for (uint32_t i = 0; i < op->n_results; i++) {
    jm_value told = m->ops[chosen].first_result + i;
    JM_TRY(build_told(t, site, &told));
    JM_TRY(take(t, site, op->first_result + i, NULL, told));
  }
  return NULL;
}

static bool happens_once(const jm_op *op) {
  int64_t callback;
  return op->code == JM_OP_custom_call &&
         (jm_op_callback_find(op, &callback) ||
          ((const jm_custom_call_attrs *)op->attrs)->has_side_effect);
}

/* -- attributes that name sizes */

static jm_error *copy_list(jm_module *m, jm_i64s list, int64_t **data, jm_i64s *out) {
  *data = jm_arena_copy(&m->arena, list.data, list.n, sizeof **data);
  if (!*data) return jm_error_out_of_memory();
  *out = (jm_i64s){*data, list.n};
  return NULL;
}

/* Dimensions that are divided are taken whole, so that their limit or size is the part's. */
static jm_error *localize_slice(jm_module *m, jm_slice_attrs *a, const jm_type *whole,
                                const jm_type *part) {
  int64_t *limit;
  JM_TRY(copy_list(m, a->limit, &limit, &a->limit));
  for (uint32_t d = 0; d < part->rank; d++)
    if (whole->dims[d] != part->dims[d]) limit[d] = part->dims[d];
  return NULL;
}

static jm_error *localize_sizes(jm_module *m, jm_i64s *sizes, const jm_type *whole,
                                const jm_type *part) {
  int64_t *size;
  JM_TRY(copy_list(m, *sizes, &size, sizes));
  for (uint32_t d = 0; d < part->rank; d++)
    if (whole->dims[d] != part->dims[d]) size[d] = part->dims[d];
  return NULL;
}

/* The windows of a gather that take a divided dimension whole; those of batched dimensions have
 * size 1 all the same. */
static jm_error *localize_gather(jm_module *m, jm_gather_attrs *a, const jm_type *whole,
                                 const jm_type *part) {
  int64_t *size;
  JM_TRY(copy_list(m, a->slice_sizes, &size, &a->slice_sizes));
  for (uint32_t d = 0; d < part->rank; d++)
    if (!jm_i64s_contains(a->operand_batching_dims, d) &&
        !jm_i64s_contains(a->collapsed_slice_dims, d) && whole->dims[d] != part->dims[d])
      size[d] = part->dims[d];
  return NULL;
}

typedef union any_attrs {
#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary) \
  jm_##name##_attrs of_##name;
#include "ir/ops.def"
} any_attrs;

static jm_error *localize(jm_module *m, const jm_op *op, const jm_value *operands,
                          any_attrs *attrs) {
  memcpy(attrs, op->attrs, jm_op_facts[op->code].attrs_size);
  if (!op->n_operands) return NULL;
  const jm_type *whole = jm_op_operand_type(m, op, 0), *part = jm_module_typeof(m, operands[0]);
  switch (op->code) {
    case JM_OP_slice:
      return localize_slice(m, &attrs->of_slice, whole, part);
    case JM_OP_dynamic_slice:
      return localize_sizes(m, &attrs->of_dynamic_slice.sizes, whole, part);
    case JM_OP_gather:
      return localize_gather(m, &attrs->of_gather, whole, part);
    default:
      return NULL;
  }
}

/* -- an op on parts */

/* An iota along a divided dimension counts on from where the device's part begins: of floats, whose
 * sums round, in integers. */
static jm_error *finish_iota(partitioner *t, const jm_site *site, const jm_op *op,
                             const jm_sharding *sharding, jm_value *value) {
  jm_module *m = t->p.m;
  const uint32_t dim = (uint32_t)((const jm_iota_attrs *)op->attrs)->dim;
  const jm_axes axes = jm_axes_of(sharding, dim);
  const jm_type *type = jm_module_typeof(m, *value), *counts = type, *scalar;
  if (!axes.n) return NULL;
  if (jm_dtype_is_float(type->dtype)) {
    const jm_op_spec spec = {.code = JM_OP_iota,
                             .result_types = &counts,
                             .n_results = 1,
                             .attrs = op->attrs,
                             .loc = op->loc};
    jm_op_id id;
    JM_TRY(jm_module_type(m, JM_DT_s64, type->rank, type->dims, &counts));
    JM_TRY(jm_build_op(m, site->region, &spec, &id));
    *value = m->ops[id].first_result;
  }
  jm_value start, spread;
  JM_TRY(jm_module_type(m, counts->dtype, 0, NULL, &scalar));
  JM_TRY(jm_reshard_start(site, sharding, axes, type->dims[dim], &start));
  JM_TRY(jm_build_unary(m, site->region, JM_OP_convert, start, scalar, site->loc, &start));
  JM_TRY(jm_build_broadcast(m, site->region, start, NULL, 0, counts, site->loc, &spread));
  JM_TRY(jm_build_binary(m, site->region, JM_OP_add, *value, spread, counts, site->loc, value));
  if (counts == type) return NULL;
  return jm_build_unary(m, site->region, JM_OP_convert, *value, type, site->loc, value);
}

/* Each part is reversed; those of reversed dimensions are then those of the other end. */
static jm_error *finish_reverse(const jm_site *site, const jm_op *op, const jm_sharding *sharding,
                                jm_value *value) {
  const jm_i64s dims = ((const jm_reverse_attrs *)op->attrs)->dims;
  jm_sharding_axis list[JM_SHARDING_AXES];
  jm_axes axes = {list, 0};
  for (uint32_t i = 0; i < dims.n; i++) {
    const jm_axes own = jm_axes_of(sharding, (uint32_t)dims.data[i]);
    for (uint32_t k = 0; k < own.n; k++) list[axes.n++] = own.list[k];
  }
  return axes.n ? jm_reshard_mirror(site, sharding, axes, *value, value) : NULL;
}

static jm_error *finish_result(partitioner *t, const jm_site *site, const jm_op *op, uint32_t i,
                               const jm_sharding *sharding, const jm_partial *partial,
                               jm_value value) {
  const jm_value v = op->first_result + i;
  const uint32_t n = t->p.m->n_partitions;
  if (op->code == JM_OP_iota) JM_TRY(finish_iota(t, site, op, sharding, &value));
  if (op->code == JM_OP_reverse) JM_TRY(finish_reverse(site, op, sharding, &value));
  if (partial->axes.n) {
    const jm_sharding *complete;
    double cost;
    JM_TRY(jm_combine_plan(&t->p.m->arena, whole_type(t, v), partial, sharding,
                           jm_placement_of(&t->p, v), n, &complete, &cost));
    JM_TRY(jm_combine_build(site, partial, n, sharding, complete, value, &value));
    sharding = complete;
  }
  return take(t, site, v, sharding, value);
}

static jm_error *build_divided(partitioner *t, const jm_site *site, const jm_op *op,
                               const jm_factors *f, const jm_division *division) {
  jm_module *m = t->p.m;
  jm_value *operands;
  const jm_type **types;
  jm_op_id made;
  jm_partial partial;
  any_attrs attrs;
  const jm_sharding *sharding,
      **shardings = jm_arena_alloc(&t->p.scratch, op->n_results, sizeof *shardings);
  if (!shardings) return jm_error_out_of_memory();
  JM_TRY(allocate_lists(t, op, &operands, &types));
  for (uint32_t i = 0; i < op->n_operands; i++) {
    sharding = NULL;
    if (i < f->n_inputs) JM_TRY(jm_division_sharding(&t->p, op, f, division, i, &sharding));
    JM_TRY(bring(t, site, op->operands[i], sharding, &operands[i]));
  }
  for (uint32_t i = 0; i < op->n_results; i++) {
    JM_TRY(jm_division_sharding(&t->p, op, f, division, f->n_inputs + i, &shardings[i]));
    JM_TRY(jm_build_part_type(m, shardings[i], whole_type(t, op->first_result + i), &types[i]));
  }
  JM_TRY(jm_division_partial(&t->p, f, division, &partial));
  JM_TRY(localize(m, op, operands, &attrs));
  JM_TRY(build_like(t, site, op, operands, types, &attrs, &made));
  JM_TRY(build_regions(t, op, made));
  for (uint32_t i = 0; i < op->n_results; i++)
    JM_TRY(finish_result(t, site, op, i, shardings[i], &partial, m->ops[made].first_result + i));
  return NULL;
}

/* -- control */

/* Arguments of a region in their own shardings. */
static jm_error *build_args(partitioner *t, jm_region_id from, jm_region_id to) {
  jm_module *m = t->p.m;
  const jm_value first = m->regions[from].first_arg;
  const uint32_t n = m->regions[from].n_args;
  for (uint32_t i = 0; i < n; i++) {
    const jm_type *type;
    JM_TRY(
        jm_build_part_type(m, jm_placement_of(&t->p, first + i), whole_type(t, first + i), &type));
    JM_TRY(jm_build_arg(m, to, type, &t->local[first + i]));
  }
  return NULL;
}

/* What a region returns, in the shardings of the values `like`; JM_NONE: whole. */
static jm_error *build_returns(partitioner *t, jm_region_id from, jm_region_id to, jm_value like,
                               uint32_t loc) {
  const jm_site site = {t->p.m, to, loc};
  const uint32_t n = jm_module_region(t->p.m, from)->n_results;
  jm_value *results = jm_arena_alloc(&t->p.scratch, n, sizeof *results);
  if (!results) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) {
    const jm_sharding *wanted = like == JM_NONE ? NULL : jm_placement_of(&t->p, like + i);
    JM_TRY(bring(t, &site, jm_module_region(t->p.m, from)->results[i], wanted, &results[i]));
  }
  return jm_build_results(t->p.m, to, results, n);
}

/* `while` and `case`: operand i goes to where the value `into` + i - first is. */
static jm_error *bring_all(partitioner *t, const jm_site *site, const jm_op *op, uint32_t first,
                           uint32_t end, jm_value into, jm_value *operands) {
  for (uint32_t i = first; i < end; i++)
    JM_TRY(bring(t, site, op->operands[i], jm_placement_of(&t->p, into + i - first), &operands[i]));
  return NULL;
}

static jm_error *build_control(partitioner *t, const jm_site *site, const jm_op *op) {
  jm_module *m = t->p.m;
  const bool loops = op->code == JM_OP_while;
  jm_value *operands;
  const jm_type **types;
  jm_op_id made;
  JM_TRY(allocate_lists(t, op, &operands, &types));
  for (uint32_t i = 0; i < op->n_results; i++) {
    const jm_value v = op->first_result + i;
    JM_TRY(jm_build_part_type(m, jm_placement_of(&t->p, v), whole_type(t, v), &types[i]));
  }
  const uint32_t first = loops ? 0 : 1; /* the index of a case is whole */
  if (!loops) JM_TRY(bring(t, site, op->operands[0], NULL, &operands[0]));
  JM_TRY(bring_all(t, site, op, first, op->n_operands,
                   jm_op_region(m, op, op->n_regions - 1)->first_arg, operands));
  JM_TRY(build_like(t, site, op, operands, types, op->attrs, &made));
  for (uint32_t r = 0; r < op->n_regions; r++) {
    const jm_region_id from = op->first_region + r, to = m->ops[made].first_region + r;
    JM_TRY(build_args(t, from, to));
    JM_TRY(build_region(t, from, to));
    JM_TRY(build_returns(t, from, to, loops && !r ? JM_NONE : op->first_result, op->loc));
  }
  for (uint32_t i = 0; i < op->n_results; i++)
    t->local[op->first_result + i] = m->ops[made].first_result + i;
  return NULL;
}

/* -- edges of bodies written per device */

static jm_error *build_edge(partitioner *t, const jm_site *site, const jm_op *op) {
  const jm_value v = op->operands[0], result = op->first_result;
  const bool enters = op->code == JM_OP_full_to_shard;
  const jm_type *whole = whole_type(t, enters ? v : result);
  const jm_sharding *named;
  JM_TRY(jm_placement_named(&t->p, op, whole->rank, &named));
  if (enters) {
    const jm_sharding *from = t->p.manual[v] ? NULL : jm_placement_of(&t->p, v);
    return jm_reshard_build(site, whole, from, named, t->local[v], &t->local[result]);
  }
  jm_value part;
  JM_TRY(bring(t, site, v, NULL, &part)); /* a constant of the body is what every device has */
  const jm_sharding *to = t->p.manual[result] ? NULL : jm_placement_of(&t->p, result);
  return jm_reshard_build(site, whole, named, to, part, &t->local[result]);
}

/* -- regions */

static jm_error *build_op(partitioner *t, jm_op_id id, jm_region_id region) {
  const jm_op op = *jm_module_op(t->p.m, id); /* a copy: building moves the ops */
  const jm_site site = {t->p.m, region, op.loc};
  if (op.code == JM_OP_full_to_shard || op.code == JM_OP_shard_to_full)
    return build_edge(t, &site, &op);
  if (op.code == JM_OP_unreduce)
    return jm_unreduce_build(&t->p, &site, op.attrs, t->local[op.operands[0]],
                             &t->local[op.first_result]);
  if (op.code == JM_OP_sharding_group && is_manual(t, &op)) {
    t->local[op.first_result] = t->local[op.operands[0]];
    return NULL;
  }
  int64_t callback;
  if (jm_call_inspects(&op, &callback)) return jm_call_inspect(&t->p, &op, callback);
  if (jm_call_takes_parts(&op)) return build_on_parts(t, &site, &op);
  if (jm_call_is_partitioned(&op)) return build_partitioned(t, &site, &op);
  if (is_manual(t, &op)) return build_whole(t, &site, &op);
  if (happens_once(&op)) return build_once(t, &site, &op);
  if (op.code == JM_OP_sharding_constraint || op.code == JM_OP_sharding_group) {
    const jm_value v = op.operands[0], result = op.first_result;
    return jm_reshard_build(&site, whole_type(t, v), jm_placement_of(&t->p, v),
                            jm_placement_of(&t->p, result), t->local[v], &t->local[result]);
  }
  if (op.code == JM_OP_while || op.code == JM_OP_case) return build_control(t, &site, &op);
  const jm_factors *f = t->p.factors[id];
  jm_division division;
  bool divided = false;
  double cost;
  if (f) JM_TRY(jm_division_choose(&t->p, &op, f, &division, &divided, &cost));
  return divided ? build_divided(t, &site, &op, f, &division) : build_whole(t, &site, &op);
}

static jm_error *build_region(partitioner *t, jm_region_id from, jm_region_id to) {
  const uint32_t n = jm_module_region(t->p.m, from)->n_ops;
  for (uint32_t i = 0; i < n; i++) {
    const jm_op_id id = jm_module_region(t->p.m, from)->ops[i];
    jm_error *error = build_op(t, id, to);
    if (!error) continue;
    jm_text text;
    jm_text_init(&text);
    jm_op_describe(t->p.m, jm_module_op(t->p.m, id), &text);
    error = jm_error_note(error, "partitioning %.400s", jm_text_bytes(&text));
    jm_text_deinit(&text);
    return error;
  }
  return NULL;
}

/* -- the entry */

static jm_error *build_arguments(partitioner *t, jm_region_id from, jm_region_id to) {
  jm_module *m = t->p.m;
  const jm_value first = m->regions[from].first_arg;
  const uint32_t n = m->regions[from].n_args;
  const jm_site site = {m, to, JM_NONE};
  for (uint32_t i = 0; i < n; i++) {
    const jm_type *type;
    JM_TRY(
        jm_error_note(jm_build_part_type(m, m->arguments[i].parts, whole_type(t, first + i), &type),
                      "of argument %u", i));
    JM_TRY(jm_build_arg(m, to, type, &t->local[first + i]));
  }
  for (uint32_t i = 0; i < n; i++)
    JM_TRY(jm_reshard_build(&site, whole_type(t, first + i), m->arguments[i].parts,
                            jm_placement_of(&t->p, first + i), t->local[first + i],
                            &t->local[first + i]));
  return NULL;
}

/* A result that the caller wants nothing of keeps its sharding, which is reported. */
static jm_error *build_results(partitioner *t, jm_region_id from, jm_region_id to) {
  jm_module *m = t->p.m;
  const jm_site site = {m, to, JM_NONE};
  const uint32_t n = m->regions[from].n_results;
  jm_value *results = jm_arena_alloc(&t->p.scratch, n, sizeof *results);
  if (!results) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) {
    const jm_value v = m->regions[from].results[i];
    jm_result_fact *fact = &m->results[i];
    if (t->p.manual[v])
      return jm_error_invalid("result %u is computed by each device for itself", i);
    if (!fact->divided)
      JM_TRY(jm_placement_nameable(&t->p, jm_placement_of(&t->p, v), &fact->parts));
    JM_TRY(bring(t, &site, v, fact->parts, &results[i]));
  }
  return jm_build_results(m, to, results, n);
}

static const jm_type *argument_type(const jm_module *m, uint32_t i) {
  return jm_module_typeof(m, jm_module_region(m, m->entry)->first_arg + i);
}
static const jm_type *result_type(const jm_module *m, uint32_t i) {
  return jm_module_typeof(m, jm_module_region(m, m->entry)->results[i]);
}

/* The first result of the argument's type, or of as many bytes, that no argument is donated to. */
static int32_t find_recipient(const jm_module *m, uint32_t argument, const bool *taken,
                              bool by_bytes) {
  const jm_type *mine = argument_type(m, argument);
  for (uint32_t i = 0; i < jm_module_region(m, m->entry)->n_results; i++) {
    const jm_type *type = result_type(m, i);
    if (taken[i]) continue;
    if (by_bytes ? jm_type_bytes(type) == jm_type_bytes(mine) : type == mine) return (int32_t)i;
  }
  return -1;
}

/* Which result an argument is donated to depends on their parts: JAX names it for whole arrays, or
 * leaves it to the compiler. Of another shape with as many bytes, the argument's memory is freed;
 * an argument that fits no result stays the caller's. */
static jm_error *donate(partitioner *t) {
  jm_module *m = t->p.m;
  const jm_region *entry = jm_module_region(m, m->entry);
  bool *taken = jm_arena_alloc(&t->p.scratch, entry->n_results, sizeof *taken);
  if (!taken) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < entry->n_args; i++) {
    jm_argument_fact *fact = &m->arguments[i];
    if (fact->alias < 0) continue;
    fact->donor = argument_type(m, i) != result_type(m, (uint32_t)fact->alias);
    if (fact->donor)
      fact->alias = -1;
    else
      taken[fact->alias] = true;
  }
  for (uint32_t i = 0; i < entry->n_args; i++) {
    jm_argument_fact *fact = &m->arguments[i];
    if (!fact->donor || fact->alias >= 0) continue;
    fact->alias = find_recipient(m, i, taken, false);
    if (fact->alias >= 0) taken[fact->alias] = true;
  }
  for (uint32_t i = 0; i < entry->n_args; i++) {
    jm_argument_fact *fact = &m->arguments[i];
    if (!fact->donor || fact->alias >= 0) continue;
    const int32_t recipient = find_recipient(m, i, taken, true);
    fact->donor = recipient >= 0;
    if (fact->donor) taken[recipient] = true;
  }
  return NULL;
}

static jm_error *partition(partitioner *t) {
  jm_module *m = t->p.m;
  jm_region_id entry;
  JM_TRY(jm_placement_find(&t->p));
  t->local = jm_arena_alloc(&t->p.scratch, t->p.n_values, sizeof *t->local);
  if (!t->local) return jm_error_out_of_memory();
  JM_TRY(jm_build_region(m, &entry));
  JM_TRY(build_arguments(t, m->entry, entry));
  JM_TRY(build_region(t, m->entry, entry));
  JM_TRY(build_results(t, m->entry, entry));
  m->entry = entry;
  m->whole = false;
  return donate(t);
}

jm_error *jm_pass_partition(jm_module *m, const jm_pass_options *options, bool *changed) {
  enum { MOST_PARTITIONS = 4096 }; /* each collective lists all of them */
  if (!m->whole) return NULL;
  if (m->n_partitions > MOST_PARTITIONS)
    return jm_error_unimplemented("a program over %u partitions; at most %d are supported",
                                  m->n_partitions, MOST_PARTITIONS);
  if (m->n_replicas > 1 && m->n_partitions > 1)
    return jm_error_unimplemented("a program of %u replicas of %u partitions", m->n_replicas,
                                  m->n_partitions);
  partitioner t = {.p = {.m = m}, .options = options};
  jm_arena_init(&t.p.scratch);
  jm_error *error = partition(&t);
  jm_arena_deinit(&t.p.scratch);
  *changed = true;
  return error;
}
