/* SPDX-License-Identifier: Apache-2.0
 * Where the values of a loop kernel lie, and the small loops over their elements. */
#include "kernel/schedule/schedule_loop.h"

enum { SMALL_BYTES = 32 * 1024 }; /* scratch memory is for what stays in the cache */

void *jm_looper_take(jm_looper *l, size_t count, size_t size) {
  void *block = jm_arena_alloc(&l->arena, count, size);
  if (!block) jm_kbuilder_fail(l->b, jm_error_out_of_memory());
  return block;
}

/* ---- places */

static jm_kval linear_index(jm_emit *e, const jm_place *place, const jm_kval *index) {
  jm_kbuilder *b = jm_emit_builder(e);
  jm_kval linear;
  if (place->turned) {
    linear = index[place->turned - 1];
    for (uint32_t d = 0; d < place->type->rank; d++)
      if (d + 1 != place->turned)
        linear =
            jm_k_iadd(b, jm_k_imul(b, linear, jm_kbuild_index(b, place->type->dims[d])), index[d]);
  } else {
    linear = jm_emit_linear(e, place->type, index);
  }
  return place->offset == JM_KNONE ? linear : jm_k_iadd(b, place->offset, linear);
}

static jm_element find_register(jm_emit *e, const jm_place *place, const jm_kval *index) {
  jm_kbuilder *b = jm_emit_builder(e);
  jm_kval linear = jm_emit_linear(e, place->type, index);
  jm_element x = place->elements[0];
  for (int64_t i = 1; i < place->type->count; i++) {
    jm_kval here = jm_k_ieq(b, linear, jm_kbuild_index(b, i));
    jm_element y = place->elements[i];
    for (uint32_t part = 0; part < 2; part++)
      if (x.part[part] != JM_KNONE) x.part[part] = jm_k_select(b, here, y.part[part], x.part[part]);
  }
  return x;
}

static jm_element pull_place(void *context, jm_emit *e, const jm_kval *index) {
  const jm_place *place = context;
  if (place->kind == JM_PLACE_VALUE) return jm_emit_value(e, place->value, index);
  if (place->kind == JM_PLACE_REGISTERS) return find_register(e, place, index);
  return jm_emit_load(e, place->type->dtype, place->param, linear_index(e, place, index));
}

void jm_looper_place(jm_looper *l, jm_value v, const jm_place *place) {
  jm_place *copy = jm_looper_take(l, 1, sizeof *copy);
  if (!copy) return;
  *copy = *place;
  copy->type = jm_module_typeof(l->m, v);
  l->places[v] = copy;
  l->breaks[v] = copy->kind == JM_PLACE_VALUE ? l->breaks[copy->value] : 0;
  if (copy->turned) l->breaks[v] = (1u << copy->type->rank) - 1;
  if (copy->type->count == 1 && copy->kind == JM_PLACE_REGISTERS)
    jm_emit_leaf_element(l->e, v, copy->elements[0]);
  else
    jm_emit_leaf(l->e, v, pull_place, copy);
}

void jm_looper_forward(jm_looper *l, jm_value v, jm_value same) {
  const jm_place *place = l->places[same];
  if (place)
    jm_looper_place(l, v, place);
  else
    jm_looper_place(l, v, &(jm_place){.kind = JM_PLACE_VALUE, .value = same});
}

uint32_t jm_looper_argument(jm_looper *l, const jm_type *type, jm_launch_memory memory,
                            uint32_t index, bool written) {
  jm_launch_argument *grown = jm_arena_grow(&l->schedule->arena, l->arguments, l->n_arguments + 1,
                                            &l->arguments_capacity, sizeof *grown);
  if (!grown) {
    jm_kbuilder_fail(l->b, jm_error_out_of_memory());
    return 0;
  }
  l->arguments = grown;
  l->arguments[l->n_arguments++] = (jm_launch_argument){memory, index};
  return jm_emit_param(l->e, type, JM_SPACE_GLOBAL, written, 0);
}

jm_place jm_looper_memory(jm_looper *l, const jm_type *type, uint32_t halves, int64_t *half) {
  const int64_t bytes =
      (int64_t)jm_ktype_bytes[jm_emit_storage(type->dtype)] * jm_emit_words(type->dtype);
  const int64_t line = JM_DATA_ALIGNMENT / bytes;
  *half = (type->count + line - 1) / line * line;
  const int64_t count = halves == 1 ? type->count : *half * halves;
  const jm_type whole = {.dtype = type->dtype, .rank = 1, .count = count, .dims = &count};
  const size_t size =
      ((size_t)(count * bytes) + JM_DATA_ALIGNMENT - 1) / JM_DATA_ALIGNMENT * JM_DATA_ALIGNMENT;
  jm_place place = {.kind = JM_PLACE_MEMORY, .type = type, .offset = JM_KNONE};
  if (size <= SMALL_BYTES && size <= l->scratch_left) {
    l->scratch_left -= size;
    place.param = jm_emit_param(l->e, &whole, JM_SPACE_SCRATCH, true, 0);
    return place;
  }
  jm_schedule *s = l->schedule;
  size_t *grown = jm_arena_grow(&s->arena, s->temporary_bytes, s->n_temporaries + 1,
                                &l->temporaries_capacity, sizeof *grown);
  if (!grown) {
    jm_kbuilder_fail(l->b, jm_error_out_of_memory());
    return place;
  }
  s->temporary_bytes = grown;
  s->temporary_bytes[s->n_temporaries] = size;
  place.param = jm_looper_argument(l, &whole, JM_LAUNCH_TEMPORARY, s->n_temporaries++, true);
  return place;
}

/* ---- loops */

uint32_t jm_looper_width(const jm_looper *l, jm_dtype dtype, int64_t n) {
  uint32_t bytes = jm_ktype_bytes[jm_element_type(dtype)];
  uint32_t width = l->target->vector_bytes / bytes;
  while (width > 1 && width > n) width /= 2;
  uint32_t exact = width;
  while (exact > 4 && n % exact && n < 8 * (int64_t)width) exact /= 2;
  return n % exact ? width : exact;
}

/* Nested loops over axes. The ranges of an axis may be split where what is pulled changes its form
 * (a concatenation, padding): within such a part the builder's ranges decide every comparison. */
enum { MAX_SPLITS = 4, MAX_PARTS = 16 };

typedef struct splits {
  int64_t at[MAX_SPLITS]; /* ascending, inside of (0, size) */
  uint32_t n;
} splits;

typedef struct nest {
  jm_looper *l;
  uint32_t n;
  const int64_t *sizes;
  const splits *splits; /* per axis; NULL: none */
  jm_dtype dtype;       /* decides the lanes of the last axis */
  jm_kval x[2 * JM_CLUSTER_RANK];
  void (*body)(void *context, jm_looper *l, const jm_kval *x);
  void *context;
} nest;

static void run_nest(nest *s, uint32_t depth);

static void run_range(nest *s, uint32_t depth, int64_t lower, int64_t upper, uint32_t width) {
  jm_kbuilder *b = s->l->b;
  jm_kloop loop;
  jm_kval from = jm_kbuild_index(b, lower), to = jm_kbuild_index(b, upper);
  if (lower == upper || jm_kbuilder_failed(b)) return;
  jm_kbuild_loop_begin(b, width > 1 ? JM_BIND_VECTOR : JM_BIND_SERIAL, width > 1 ? width : 0, from,
                       to, NULL, 0, &loop);
  s->x[depth] = loop.index;
  run_nest(s, depth + 1);
  jm_kbuild_loop_end(b, &loop, NULL);
}

/* What is left over after whole vectors is done by one more vector that overlaps them: nothing
 * that these loops write is read by them. */
static void run_part(nest *s, uint32_t depth, int64_t lower, int64_t upper) {
  const int64_t n = upper - lower;
  const uint32_t width = depth + 1 == s->n ? jm_looper_width(s->l, s->dtype, n) : 1;
  const int64_t rest = n % width;
  run_range(s, depth, lower, upper - rest, width);
  if (rest < 3)
    run_range(s, depth, upper - rest, upper, 1);
  else
    run_range(s, depth, upper - width, upper, width);
}

static void run_nest(nest *s, uint32_t depth) {
  if (depth == s->n) {
    s->body(s->context, s->l, s->x);
    return;
  }
  int64_t lower = 0;
  for (uint32_t i = 0; s->splits && i < s->splits[depth].n; i++) {
    run_part(s, depth, lower, s->splits[depth].at[i]);
    lower = s->splits[depth].at[i];
  }
  run_part(s, depth, lower, s->sizes[depth]);
}

static jm_kval point_of(jm_kbuilder *b, const int64_t *sizes, const jm_kval *x, uint32_t n) {
  jm_kval point = jm_kbuild_index(b, 0);
  for (uint32_t d = 0; d < n; d++)
    point = jm_k_iadd(b, jm_k_imul(b, point, jm_kbuild_index(b, sizes[d])), x[d]);
  return point;
}

/* ---- where to split */

typedef struct split_search {
  jm_looper *l;
  const jm_type *shape;
  splits *splits;          /* per axis */
  const uint32_t *axis_of; /* per dimension */
  bool *seen;
} split_search;

static void add_split(split_search *s, uint32_t dim, int64_t at) {
  splits *list = &s->splits[s->axis_of[dim]];
  uint32_t i = 0;
  if (at <= 0 || at >= s->shape->dims[dim]) return;
  while (i < list->n && list->at[i] < at) i++;
  if ((i < list->n && list->at[i] == at) || list->n > MAX_SPLITS) return;
  if (list->n++ == MAX_SPLITS) return; /* too many: none */
  for (uint32_t k = list->n - 1; k > i; k--) list->at[k] = list->at[k - 1];
  list->at[i] = at;
}

static void search_op(split_search *s, const jm_op *op) {
  if (op->code == JM_OP_concatenate) {
    const uint32_t dim = (uint32_t)((const jm_concatenate_attrs *)op->attrs)->dim;
    int64_t at = 0;
    for (uint32_t k = 0; k < op->n_operands; k++)
      add_split(s, dim, at += jm_op_operand_type(s->l->m, op, k)->dims[dim]);
  }
  if (op->code == JM_OP_pad) {
    const jm_pad_attrs *a = op->attrs;
    for (uint32_t d = 0; d < s->shape->rank; d++) {
      if (a->interior.data[d]) continue;
      add_split(s, d, a->low.data[d]);
      add_split(s, d, s->shape->dims[d] - a->high.data[d]);
    }
  }
}

/* Looks at all that is pulled at the index of the loop itself. */
static void search_value(split_search *s, jm_value v, int depth) {
  const jm_type *type = jm_module_typeof(s->l->m, v);
  const jm_op *op = jm_module_definition(s->l->m, v);
  if (s->seen[v] || depth > 256 || type->rank != s->shape->rank) return;
  s->seen[v] = true;
  for (uint32_t d = 0; d < type->rank; d++)
    if (type->dims[d] != s->shape->dims[d]) return;
  if (s->l->places[v]) {
    if (s->l->places[v]->kind == JM_PLACE_VALUE) search_value(s, s->l->places[v]->value, depth + 1);
    return;
  }
  if (!op) return;
  search_op(s, op);
  if (jm_op_facts[op->code].traits & JM_TRAIT_ELEMENTWISE)
    for (uint32_t k = 0; k < op->n_operands; k++) search_value(s, op->operands[k], depth + 1);
}

/* false: no splits. splits: one per axis, zero. */
static bool find_splits(jm_looper *l, const jm_axes *axes, const jm_value *values,
                        const bool *taken, uint32_t n, splits *out) {
  split_search s = {.l = l, .splits = out};
  uint32_t axis_of[JM_LOOP_RANK];
  s.axis_of = axis_of;
  for (uint32_t i = 0; i < n && !s.shape; i++)
    if (taken[i]) s.shape = jm_module_typeof(l->m, values[i]);
  uint32_t axis = 0;
  for (uint32_t d = 0; d < s.shape->rank; d++) {
    axis_of[d] = axis;
    if (s.shape->dims[d] == 1) continue;
    if (axis >= axes->n || axes->sizes[axis] != s.shape->dims[d]) return false;
    axis++;
  }
  s.seen = jm_looper_take(l, l->m->n_values, sizeof *s.seen);
  if (axis != axes->n || !s.seen) return false;
  for (uint32_t i = 0; i < n; i++)
    if (taken[i]) search_value(&s, values[i], 0);
  uint32_t parts = 1;
  for (uint32_t a = 0; a < axes->n; a++) {
    if (out[a].n > MAX_SPLITS) return false;
    parts *= out[a].n + 1;
  }
  return parts > 1 && parts <= MAX_PARTS;
}

/* ---- stores */

typedef struct store_group {
  const jm_value *values;
  jm_place *const *to;
  bool *taken; /* of this group */
  uint32_t n;
  jm_axes axes;
  jm_element *elements;
} store_group;

static void store_point(void *context, jm_looper *l, const jm_kval *x) {
  const store_group *g = context;
  jm_kbuilder *b = l->b;
  jm_kval index[JM_LOOP_RANK], point = point_of(b, g->axes.sizes, x, g->axes.n);
  for (uint32_t i = 0; i < g->n; i++) {
    if (!g->taken[i]) continue;
    jm_axes_index(b, g->axes.sizes, x, g->axes.n, jm_module_typeof(l->m, g->values[i]), index);
    g->elements[i] = jm_emit_value(l->e, g->values[i], index);
  }
  for (uint32_t i = 0; i < g->n; i++) {
    if (!g->taken[i]) continue;
    const jm_place *to = g->to[i];
    jm_kval at = to->offset == JM_KNONE ? point : jm_k_iadd(b, to->offset, point);
    jm_emit_store(l->e, jm_module_typeof(l->m, g->values[i])->dtype, to->param, at, g->elements[i]);
  }
}

/* Takes value i and those after it whose elements correspond; the widest of their types. */
static jm_dtype form_group(jm_looper *l, store_group *g, uint32_t i, bool *done) {
  const jm_type *type = jm_module_typeof(l->m, g->values[i]);
  jm_dtype widest = type->dtype;
  jm_axes_init(&g->axes, type->count);
  for (uint32_t k = 0; k < g->n; k++) {
    const jm_type *other = jm_module_typeof(l->m, g->values[k]);
    jm_axes joined = g->axes;
    g->taken[k] = k >= i && !done[k] && other->count == type->count &&
                  jm_axes_add_value(&joined, other, l->breaks[g->values[k]]);
    if (!g->taken[k]) continue;
    done[k] = true;
    g->axes = joined;
    if (jm_dtype_bytes(other->dtype) > jm_dtype_bytes(widest)) widest = other->dtype;
  }
  jm_axes_finish(&g->axes);
  return widest;
}

void jm_looper_store(jm_looper *l, const jm_value *values, jm_place *const *to, uint32_t n) {
  bool *done = jm_looper_take(l, n, sizeof *done);
  store_group g = {.values = values, .to = to, .n = n};
  g.taken = jm_looper_take(l, n, sizeof *g.taken);
  g.elements = jm_looper_take(l, n, sizeof *g.elements);
  if (!done || !g.taken || !g.elements) return;
  for (uint32_t i = 0; i < n; i++) {
    if (done[i] || !jm_module_typeof(l->m, values[i])->count) continue;
    nest s = {.l = l, .body = store_point, .context = &g};
    s.dtype = form_group(l, &g, i, done);
    s.n = g.axes.n;
    s.sizes = g.axes.sizes;
    splits parts[2 * JM_CLUSTER_RANK] = {{.n = 0}};
    if (find_splits(l, &g.axes, values, g.taken, n, parts)) s.splits = parts;
    run_nest(&s, 0);
  }
}

void jm_looper_elements(jm_looper *l, jm_value v, jm_element *out) {
  const jm_type *type = jm_module_typeof(l->m, v);
  for (int64_t i = 0; i < type->count; i++) {
    jm_kval index[JM_LOOP_RANK];
    int64_t rest = i;
    for (uint32_t d = type->rank; d--;) {
      index[d] = jm_kbuild_index(l->b, rest % type->dims[d]);
      rest /= type->dims[d];
    }
    out[i] = jm_emit_value(l->e, v, index);
  }
}

typedef struct slice_store {
  const jm_place *to;
  jm_value update;
  const jm_kval *start;
} slice_store;

static void store_slice_point(void *context, jm_looper *l, const jm_kval *x) {
  const slice_store *s = context;
  jm_kbuilder *b = l->b;
  const jm_type *type = s->to->type;
  jm_kval at[JM_LOOP_RANK];
  for (uint32_t d = 0; d < type->rank; d++) at[d] = jm_k_iadd(b, s->start[d], x[d]);
  jm_element element = jm_emit_value(l->e, s->update, x);
  jm_emit_store(l->e, type->dtype, s->to->param, linear_index(l->e, s->to, at), element);
}

void jm_looper_store_slice(jm_looper *l, const jm_place *to, jm_value update,
                           const jm_kval *start) {
  const jm_type *type = jm_module_typeof(l->m, update);
  if (!type->count) return;
  slice_store slice = {to, update, start};
  nest s = {.l = l, .n = type->rank, .sizes = type->dims, .dtype = type->dtype};
  s.body = store_slice_point;
  s.context = &slice;
  run_nest(&s, 0);
}

static void store_turned_point(void *context, jm_looper *l, const jm_kval *x) {
  const slice_store *s = context;
  const jm_type *type = s->to->type;
  jm_kval index[JM_LOOP_RANK];
  uint32_t outermost = s->to->turned - 1, k = 1;
  index[outermost] = x[0];
  for (uint32_t d = 0; d < type->rank; d++)
    if (d != outermost) index[d] = x[k++];
  jm_element element = jm_emit_value(l->e, s->update, index);
  jm_emit_store(l->e, type->dtype, s->to->param, linear_index(l->e, s->to, index), element);
}

void jm_looper_store_turned(jm_looper *l, const jm_place *to, jm_value v) {
  int64_t sizes[JM_LOOP_RANK] = {to->type->dims[to->turned - 1]};
  uint32_t k = 1;
  for (uint32_t d = 0; d < to->type->rank; d++)
    if (d + 1 != to->turned) sizes[k++] = to->type->dims[d];
  slice_store slice = {to, v, NULL};
  nest s = {.l = l, .n = k, .sizes = sizes, .dtype = to->type->dtype};
  s.body = store_turned_point;
  s.context = &slice;
  run_nest(&s, 0);
}

jm_kval jm_looper_start(jm_looper *l, jm_value v, int64_t last) {
  jm_kbuilder *b = l->b;
  const jm_ktype it = JM_KT_i64;
  if (last <= 0) return jm_k_int(b, it, 0);
  jm_dtype dtype = jm_module_typeof(l->m, v)->dtype;
  jm_element x = jm_emit_value(l->e, v, NULL);
  if (jm_dtype_classof(dtype) == JM_CLASS_UINT)
    return jm_k_umin(b, jm_element_convert(b, dtype, JM_DT_u64, x).part[0], jm_k_int(b, it, last));
  return jm_k_smin(
      b, jm_k_smax(b, jm_element_convert(b, dtype, JM_DT_s64, x).part[0], jm_k_int(b, it, 0)),
      jm_k_int(b, it, last));
}
