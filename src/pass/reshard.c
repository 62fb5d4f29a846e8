/* SPDX-License-Identifier: Apache-2.0
 * Resharding in steps, of which a plan is a list:
 *
 *   exchange  axes move from one dimension to another: an all_to_all along them
 *   cut       a dimension gets further axes: a slice by the device's coordinates, which sends
 * nothing gather    a dimension loses axes: an all_gather along them
 *
 * Exchanges come first, for they keep parts small; then cuts that need no axis that is still in
 * use, so that less is gathered; the remaining cuts come last. */
#include "pass/reshard.h"

#include <string.h>

/* -- lists of axes */

jm_axes jm_axes_of(const jm_sharding *sharding, uint32_t dim) {
  if (!sharding) return (jm_axes){NULL, 0};
  return (jm_axes){sharding->dims[dim].axes, sharding->dims[dim].n_axes};
}

int64_t jm_axes_count(jm_axes axes) {
  int64_t n = 1;
  for (uint32_t i = 0; i < axes.n; i++) n *= axes.list[i].size;
  return n;
}

bool jm_axes_overlap(jm_axes a, jm_axes b) {
  for (uint32_t i = 0; i < a.n; i++)
    for (uint32_t k = 0; k < b.n; k++)
      if (jm_sharding_overlaps(a.list[i], b.list[k])) return true;
  return false;
}

static bool same_axis(jm_sharding_axis a, jm_sharding_axis b) {
  return a.stride == b.stride && a.size == b.size;
}

static uint32_t common_prefix(jm_axes a, jm_axes b) {
  uint32_t n = 0;
  while (n < a.n && n < b.n && same_axis(a.list[n], b.list[n])) n++;
  return n;
}

bool jm_axes_agree(jm_axes a, jm_axes b) {
  const uint32_t n = common_prefix(a, b);
  return n == a.n || n == b.n;
}

static jm_axes first_axes(jm_axes axes, uint32_t n) { return (jm_axes){axes.list, n}; }
static jm_axes axes_from(jm_axes axes, uint32_t n) {
  return n == axes.n ? (jm_axes){NULL, 0} : (jm_axes){axes.list + n, axes.n - n};
}

jm_axes jm_axes_dividing(jm_axes axes, int64_t size) {
  uint32_t n = 0;
  for (int64_t parts = 1; n < axes.n && size % (parts * axes.list[n].size) == 0; n++)
    parts *= axes.list[n].size;
  return first_axes(axes, n);
}

/* -- shardings */

jm_error *jm_sharding_replace(jm_arena *arena, const jm_sharding *sharding, uint32_t rank,
                              uint32_t n_devices, uint32_t dim, jm_axes axes,
                              const jm_sharding **out) {
  jm_sharding_dim *dims = jm_arena_alloc(arena, rank, sizeof *dims);
  jm_sharding *made = jm_arena_alloc(arena, 1, sizeof *made);
  if (!dims || !made) return jm_error_out_of_memory();
  bool divides = false;
  for (uint32_t d = 0; d < rank; d++) {
    const jm_axes list = d == dim ? axes : jm_axes_of(sharding, d);
    dims[d] = (jm_sharding_dim){list.list, list.n, jm_axes_count(list)};
    divides |= list.n > 0;
  }
  *made = (jm_sharding){.n_devices = n_devices, .rank = rank, .dims = dims};
  *out = divides ? made : NULL;
  return NULL;
}

/* -- plans */

typedef enum step_kind { EXCHANGE, CUT, GATHER } step_kind;

typedef struct step {
  step_kind kind;
  uint32_t dim; /* that loses the axes or, of a cut, gets them */
  uint32_t to;  /* of an exchange: the dimension that gets them */
  jm_axes axes;
} step;

enum { MOST_STEPS = 3 * JM_SHARDING_AXES }; /* of each kind at most one an axis */

typedef struct plan {
  step steps[MOST_STEPS];
  uint32_t n;
} plan;

static void add_step(plan *p, step_kind kind, uint32_t dim, uint32_t to, jm_axes axes) {
  p->steps[p->n++] = (step){kind, dim, to, axes};
}

/* Of each divided dimension: axes that it loses and gets, after those that it keeps. */
typedef struct change {
  uint32_t dim;
  jm_axes lost, gained;
} change;

static uint32_t find_changes(uint32_t rank, const jm_sharding *from, const jm_sharding *to,
                             change *changes) {
  uint32_t n = 0;
  for (uint32_t d = 0; d < rank; d++) {
    const jm_axes a = jm_axes_of(from, d), b = jm_axes_of(to, d);
    if (!a.n && !b.n) continue;
    const uint32_t kept = common_prefix(a, b);
    changes[n++] = (change){d, axes_from(a, kept), axes_from(b, kept)};
  }
  return n;
}

/* The last axes that one dimension loses may be the first that another, which loses none, gets. */
static bool exchange(plan *p, change *a, change *b) {
  if (b->lost.n) return false;
  uint32_t n = a->lost.n < b->gained.n ? a->lost.n : b->gained.n;
  for (; n; n--) {
    const jm_axes moved = axes_from(a->lost, a->lost.n - n);
    if (common_prefix(moved, b->gained) == n) break;
  }
  if (!n) return false;
  add_step(p, EXCHANGE, a->dim, b->dim, axes_from(a->lost, a->lost.n - n));
  a->lost.n -= n;
  b->gained = axes_from(b->gained, n);
  return true;
}

static bool in_use(const change *changes, uint32_t n, jm_axes axes) {
  for (uint32_t i = 0; i < n; i++)
    if (jm_axes_overlap(changes[i].lost, axes)) return true;
  return false;
}

/* The changes' number is bounded by that of axes, which both shardings have each once. */
static void plan_steps(uint32_t rank, const jm_sharding *from, const jm_sharding *to, plan *p) {
  change changes[2 * JM_SHARDING_AXES];
  const uint32_t n = find_changes(rank, from, to, changes);
  p->n = 0;
  for (bool again = true; again;) {
    again = false;
    for (uint32_t i = 0; i < n; i++)
      for (uint32_t k = 0; k < n; k++)
        if (i != k) again |= exchange(p, &changes[i], &changes[k]);
  }
  for (uint32_t i = 0; i < n; i++) {
    change *c = &changes[i];
    if (c->lost.n || !c->gained.n || in_use(changes, n, c->gained)) continue;
    add_step(p, CUT, c->dim, 0, c->gained);
    c->gained.n = 0;
  }
  for (uint32_t i = 0; i < n; i++)
    if (changes[i].lost.n) add_step(p, GATHER, changes[i].dim, 0, changes[i].lost);
  for (uint32_t i = 0; i < n; i++)
    if (changes[i].gained.n) add_step(p, CUT, changes[i].dim, 0, changes[i].gained);
}

/* -- cost */

static double part_bytes(const jm_type *whole, const jm_sharding *sharding) {
  double bytes = (double)jm_type_bytes(whole);
  for (uint32_t d = 0; sharding && d < whole->rank; d++) bytes /= (double)sharding->dims[d].n_parts;
  return bytes;
}

double jm_reshard_cost(const jm_type *whole, const jm_sharding *from, const jm_sharding *to) {
  if (!jm_sharding_is_canonical(from) || !jm_sharding_is_canonical(to))
    return jm_sharding_equal(from, to) ? 0 : (double)jm_type_bytes(whole);
  plan p;
  plan_steps(whole->rank, from, to, &p);
  double bytes = part_bytes(whole, from), sent = 0;
  for (uint32_t i = 0; i < p.n; i++) {
    const double n = (double)jm_axes_count(p.steps[i].axes);
    switch (p.steps[i].kind) {
      case EXCHANGE:
        sent += bytes * (n - 1) / n;
        break;
      case CUT:
        bytes /= n;
        break;
      case GATHER:
        sent += bytes * (n - 1);
        bytes *= n;
        break;
    }
  }
  return sent;
}

/* -- building */

static jm_error *build_one(const jm_site *site, jm_opcode code, const jm_value *operands,
                           uint32_t n, const void *attrs, const jm_type *type, jm_value *out) {
  return jm_build_one(site->m, site->region, code, operands, n, attrs, type, site->loc, out);
}

/* A collective with an empty region for the function that it combines by. */
static jm_error *build_combining(const jm_site *site, jm_opcode code, jm_value operand,
                                 const void *attrs, const jm_type *type, jm_op_id *out) {
  const jm_op_spec spec = {.code = code,
                           .operands = &operand,
                           .n_operands = 1,
                           .result_types = &type,
                           .n_results = 1,
                           .attrs = attrs,
                           .n_regions = 1,
                           .loc = site->loc};
  return jm_build_op(site->m, site->region, &spec, out);
}

/* The groups of partitions that differ along the axes alone, each in the order of its members'
 * coordinates. */
static jm_error *list_groups(jm_module *m, const jm_sharding *sharding, jm_axes axes,
                             jm_i64s *out) {
  int64_t *list = jm_arena_alloc(&m->arena, sharding->n_devices, sizeof *list);
  if (!list) return jm_error_out_of_memory();
  const int64_t size = jm_axes_count(axes);
  uint32_t n = 0;
  for (uint32_t position = 0; position < sharding->n_devices; position++) {
    bool leads = true;
    for (uint32_t i = 0; i < axes.n; i++)
      leads &= position / axes.list[i].stride % axes.list[i].size == 0;
    for (int64_t member = 0; leads && member < size; member++) {
      int64_t at = position, left = member;
      for (uint32_t i = axes.n; i-- > 0; left /= axes.list[i].size)
        at += left % axes.list[i].size * axes.list[i].stride;
      list[n++] = jm_sharding_partition(sharding, (uint32_t)at);
    }
  }
  *out = (jm_i64s){list, n};
  return NULL;
}

/* The type with some dimensions' sizes changed. */
static jm_error *scaled_type(jm_module *m, const jm_type *type, uint32_t dim, int64_t times,
                             uint32_t other, int64_t parts, const jm_type **out) {
  int64_t dims[JM_RANK_MAX];
  memcpy(dims, type->dims, type->rank * sizeof *dims);
  dims[dim] *= times;
  dims[other] /= parts;
  return jm_module_type(m, type->dtype, type->rank, dims, out);
}

static jm_error *build_gather(const jm_site *site, const jm_sharding *sharding, uint32_t dim,
                              jm_axes axes, jm_value *value) {
  const jm_type *type;
  jm_all_gather_attrs attrs = {
      .dim = dim, .group_size = jm_axes_count(axes), .channel = 1, .use_global_device_ids = true};
  JM_TRY(list_groups(site->m, sharding, axes, &attrs.replica_groups));
  JM_TRY(scaled_type(site->m, jm_module_typeof(site->m, *value), dim, attrs.group_size, dim, 1,
                     &type));
  return build_one(site, JM_OP_all_gather, value, 1, &attrs, type, value);
}

static jm_error *build_exchange(const jm_site *site, const jm_sharding *sharding, const step *s,
                                jm_value *value) {
  const int64_t n = jm_axes_count(s->axes);
  const jm_type *type;
  jm_all_to_all_attrs attrs = {
      .split_dim = s->to, .concat_dim = s->dim, .split_count = n, .group_size = n, .channel = 1};
  JM_TRY(list_groups(site->m, sharding, s->axes, &attrs.replica_groups));
  JM_TRY(scaled_type(site->m, jm_module_typeof(site->m, *value), s->dim, n, s->to, n, &type));
  return build_one(site, JM_OP_all_to_all, value, 1, &attrs, type, value);
}

jm_error *jm_partition_lookup(const jm_site *site, jm_dtype dtype, const void *table,
                              jm_value *out) {
  jm_module *m = site->m;
  const int64_t n = m->n_partitions, one = 1;
  const jm_type *list, *element, *scalar, *id;
  JM_TRY(jm_module_type(m, dtype, 1, &n, &list));
  JM_TRY(jm_module_type(m, dtype, 1, &one, &element));
  JM_TRY(jm_module_type(m, dtype, 0, NULL, &scalar));
  JM_TRY(jm_module_type(m, JM_DT_u32, 0, NULL, &id));
  int64_t *sizes = jm_arena_copy(&m->arena, &one, 1, sizeof one);
  if (!sizes) return jm_error_out_of_memory();
  const jm_constant_attrs constant = {.value = {table, false}};
  const jm_dynamic_slice_attrs slice = {.sizes = {sizes, 1}};
  jm_value operands[2], row;
  JM_TRY(build_one(site, JM_OP_constant, NULL, 0, &constant, list, &operands[0]));
  JM_TRY(build_one(site, JM_OP_partition_id, NULL, 0, NULL, id, &operands[1]));
  JM_TRY(build_one(site, JM_OP_dynamic_slice, operands, 2, &slice, element, &row));
  return build_one(site, JM_OP_reshape, &row, 1, NULL, scalar, out);
}

jm_error *jm_reshard_start(const jm_site *site, const jm_sharding *sharding, jm_axes axes,
                           int64_t size, jm_value *out) {
  const uint32_t n = site->m->n_partitions;
  int64_t *starts = jm_arena_alloc(&site->m->arena, n, sizeof *starts);
  if (!starts) return jm_error_out_of_memory();
  for (uint32_t position = 0; position < n; position++) {
    int64_t part = 0;
    for (uint32_t i = 0; i < axes.n; i++)
      part = part * axes.list[i].size + position / axes.list[i].stride % axes.list[i].size;
    starts[jm_sharding_partition(sharding, position)] = part * size;
  }
  return jm_partition_lookup(site, JM_DT_s64, starts, out);
}

jm_error *jm_reshard_mirror(const jm_site *site, const jm_sharding *sharding, jm_axes axes,
                            jm_value value, jm_value *out) {
  jm_module *m = site->m;
  int64_t *pairs = jm_arena_alloc(&m->arena, 2 * (size_t)sharding->n_devices, sizeof *pairs);
  if (!pairs) return jm_error_out_of_memory();
  for (uint32_t position = 0; position < sharding->n_devices; position++) {
    int64_t other = position;
    for (uint32_t i = 0; i < axes.n; i++) {
      const int64_t at = position / axes.list[i].stride % axes.list[i].size;
      other += (axes.list[i].size - 1 - 2 * at) * axes.list[i].stride;
    }
    pairs[2 * position] = jm_sharding_partition(sharding, position);
    pairs[2 * position + 1] = jm_sharding_partition(sharding, (uint32_t)other);
  }
  const jm_collective_permute_attrs attrs = {
      .source_target_pairs = {pairs, 2 * sharding->n_devices}, .channel = 1};
  return build_one(site, JM_OP_collective_permute, &value, 1, &attrs, jm_module_typeof(m, value),
                   out);
}

static jm_error *build_zero(const jm_site *site, jm_value *out) {
  static const int64_t zero = 0;
  const jm_type *scalar;
  JM_TRY(jm_module_type(site->m, JM_DT_s64, 0, NULL, &scalar));
  return jm_build_splat(site->m, site->region, scalar, &zero, site->loc, out);
}

/* Cuts dimensions one after another in one slice: axes[d] may be empty. */
static jm_error *build_cut(const jm_site *site, const jm_sharding *sharding, const jm_axes *axes,
                           jm_value *value) {
  jm_module *m = site->m;
  const jm_type *from = jm_module_typeof(m, *value), *to;
  int64_t *sizes = jm_arena_alloc(&m->arena, from->rank, sizeof *sizes);
  if (!sizes) return jm_error_out_of_memory();
  jm_value zero, operands[1 + JM_RANK_MAX] = {*value};
  JM_TRY(build_zero(site, &zero));
  for (uint32_t d = 0; d < from->rank; d++) {
    sizes[d] = from->dims[d] / jm_axes_count(axes[d]);
    operands[1 + d] = zero;
    if (axes[d].n) JM_TRY(jm_reshard_start(site, sharding, axes[d], sizes[d], &operands[1 + d]));
  }
  JM_TRY(jm_module_type(m, from->dtype, from->rank, sizes, &to));
  const jm_dynamic_slice_attrs attrs = {.sizes = {sizes, from->rank}};
  return build_one(site, JM_OP_dynamic_slice, operands, 1 + from->rank, &attrs, to, value);
}

/* The cuts that follow one another from step i on, together; returns the step after them. */
static jm_error *build_cuts(const jm_site *site, const jm_sharding *sharding, const plan *p,
                            uint32_t *i, jm_value *value) {
  jm_axes axes[JM_RANK_MAX];
  memset(axes, 0, sizeof axes);
  for (; *i < p->n && p->steps[*i].kind == CUT; ++*i) axes[p->steps[*i].dim] = p->steps[*i].axes;
  return build_cut(site, sharding, axes, value);
}

static jm_error *build_plan(const jm_site *site, const jm_sharding *like, const plan *p,
                            jm_value *value) {
  for (uint32_t i = 0; i < p->n;) {
    const step *s = &p->steps[i];
    if (s->kind == CUT) {
      JM_TRY(build_cuts(site, like, p, &i, value));
      continue;
    }
    if (s->kind == GATHER)
      JM_TRY(build_gather(site, like, s->dim, s->axes, value));
    else
      JM_TRY(build_exchange(site, like, s, value));
    i++;
  }
  return NULL;
}

/* Of shardings in an order of their own: last dimension first, so that most moves in long rows. */
static jm_error *gather_all(const jm_site *site, const jm_sharding *sharding, jm_value *value) {
  for (uint32_t d = sharding->rank; d-- > 0;)
    if (sharding->dims[d].n_axes)
      JM_TRY(build_gather(site, sharding, d, jm_axes_of(sharding, d), value));
  return NULL;
}

static jm_error *cut_all(const jm_site *site, const jm_sharding *sharding, jm_value *value) {
  jm_axes axes[JM_RANK_MAX];
  for (uint32_t d = 0; d < sharding->rank; d++) axes[d] = jm_axes_of(sharding, d);
  return build_cut(site, sharding, axes, value);
}

jm_error *jm_reshard_build(const jm_site *site, const jm_type *whole, const jm_sharding *from,
                           const jm_sharding *to, jm_value value, jm_value *out) {
  *out = value;
  if (jm_sharding_equal(from, to)) return NULL;
  if (!jm_sharding_is_canonical(from) || !jm_sharding_is_canonical(to)) {
    if (from) JM_TRY(gather_all(site, from, out));
    return to ? cut_all(site, to, out) : NULL;
  }
  plan p;
  plan_steps(whole->rank, from, to, &p);
  return build_plan(site, from ? from : to, &p, out);
}

/* -- parts of sums */

/* How many axes of `more` the sums are scattered along: those of the partial ones. */
static uint32_t count_scattered(jm_axes more, jm_axes partial) {
  uint32_t n = 0;
  for (; n < more.n; n++) {
    bool found = false;
    for (uint32_t i = 0; i < partial.n; i++) found |= same_axis(more.list[n], partial.list[i]);
    if (!found) break;
  }
  return n;
}

/* The dimension that a reduce_scatter divides further, and by which axes; no axes: none. */
static jm_axes find_scattered(uint32_t rank, const jm_partial *partial, const jm_sharding *from,
                              const jm_sharding *to, uint32_t *dim) {
  jm_axes best = {NULL, 0};
  for (uint32_t d = 0; d < rank; d++) {
    const jm_axes a = jm_axes_of(from, d), b = jm_axes_of(to, d);
    if (common_prefix(a, b) < a.n) continue;
    const jm_axes more = axes_from(b, a.n);
    const uint32_t n = count_scattered(more, partial->axes);
    if (n <= best.n) continue;
    best = first_axes(more, n);
    *dim = d;
  }
  return best;
}

jm_error *jm_combine_plan(jm_arena *arena, const jm_type *whole, const jm_partial *partial,
                          const jm_sharding *from, const jm_sharding *to, uint32_t n_devices,
                          const jm_sharding **scattered, double *cost) {
  uint32_t dim = 0;
  const jm_axes axes = find_scattered(whole->rank, partial, from, to, &dim);
  double bytes = part_bytes(whole, from);
  *scattered = from;
  *cost = 0;
  if (axes.n) {
    const double n = (double)jm_axes_count(axes);
    JM_TRY(jm_sharding_replace(arena, from, whole->rank, n_devices, dim,
                               first_axes(jm_axes_of(to, dim), jm_axes_of(from, dim).n + axes.n),
                               scattered));
    *cost += bytes * (n - 1) / n;
    bytes /= n;
  }
  const double left = (double)(jm_axes_count(partial->axes) / jm_axes_count(axes));
  *cost += 2 * bytes * (left - 1) / left;
  return NULL;
}

/* The region that combines two elements. */
static jm_error *build_body(const jm_site *site, jm_op_id id, jm_opcode combine, jm_dtype dtype) {
  jm_module *m = site->m;
  const jm_region_id region = m->ops[id].first_region;
  const jm_type *scalar;
  jm_value args[2], sum;
  JM_TRY(jm_module_type(m, dtype, 0, NULL, &scalar));
  JM_TRY(jm_build_arg(m, region, scalar, &args[0]));
  JM_TRY(jm_build_arg(m, region, scalar, &args[1]));
  JM_TRY(jm_build_binary(m, region, combine, args[0], args[1], scalar, site->loc, &sum));
  return jm_build_results(m, region, &sum, 1);
}

static jm_error *build_scatter(const jm_site *site, const jm_partial *partial,
                               const jm_sharding *like, uint32_t dim, jm_axes axes,
                               jm_value *value) {
  const jm_type *from = jm_module_typeof(site->m, *value), *to;
  jm_reduce_scatter_attrs attrs = {
      .dim = dim, .group_size = jm_axes_count(axes), .channel = 1, .use_global_device_ids = true};
  jm_op_id id;
  JM_TRY(list_groups(site->m, like, axes, &attrs.replica_groups));
  JM_TRY(scaled_type(site->m, from, dim, 1, dim, attrs.group_size, &to));
  JM_TRY(build_combining(site, JM_OP_reduce_scatter, *value, &attrs, to, &id));
  *value = site->m->ops[id].first_result;
  return build_body(site, id, partial->combine, from->dtype);
}

static jm_error *build_reduce(const jm_site *site, const jm_partial *partial,
                              const jm_sharding *like, jm_axes axes, jm_value *value) {
  const jm_type *type = jm_module_typeof(site->m, *value);
  jm_all_reduce_attrs attrs = {
      .group_size = jm_axes_count(axes), .channel = 1, .use_global_device_ids = true};
  jm_op_id id;
  JM_TRY(list_groups(site->m, like, axes, &attrs.replica_groups));
  JM_TRY(build_combining(site, JM_OP_all_reduce, *value, &attrs, type, &id));
  *value = site->m->ops[id].first_result;
  return build_body(site, id, partial->combine, type->dtype);
}

jm_error *jm_combine_build(const jm_site *site, const jm_partial *partial, uint32_t n_devices,
                           const jm_sharding *from, const jm_sharding *scattered, jm_value value,
                           jm_value *out) {
  const jm_sharding like = {.n_devices = n_devices};
  const uint32_t rank = jm_module_typeof(site->m, value)->rank;
  jm_sharding_axis left[JM_SHARDING_AXES];
  uint32_t n_left = 0;
  jm_axes axes = {NULL, 0};
  *out = value;
  for (uint32_t d = 0; d < rank; d++) {
    const jm_axes more = axes_from(jm_axes_of(scattered, d), jm_axes_of(from, d).n);
    if (!more.n) continue;
    axes = more;
    JM_TRY(build_scatter(site, partial, &like, d, axes, out));
  }
  for (uint32_t i = 0; i < partial->axes.n; i++)
    if (!count_scattered(first_axes(axes_from(partial->axes, i), 1), axes))
      left[n_left++] = partial->axes.list[i];
  return n_left ? build_reduce(site, partial, &like, (jm_axes){left, n_left}, out) : NULL;
}
