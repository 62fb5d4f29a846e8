/* SPDX-License-Identifier: Apache-2.0
 * The places of a loop kernel's values, and the small loops over their elements. */
#include "kernel/schedule/cuts.h"
#include "kernel/schedule/schedule_loop.h"

void *jm_looper_take(jm_looper *l, size_t count, size_t size) {
  void *block = jm_arena_alloc(&l->s->scratch, count, size);
  if (!block) jm_kbuilder_fail(l->b, jm_error_out_of_memory());
  return block;
}

/* ---- places */

/* Dimensions that don't run on from those before them (axes.h). A row's elements are apart if
 * something lies outside of the dimension that counts rows. */
static uint32_t breaks_of(const jm_place *place) {
  const uint32_t all = (1u << place->type->rank) - 1;
  if (place->kind != JM_PLACE_MEMORY) return 0;
  for (uint32_t d = 0; place->whole && d < place->row_dim; d++)
    if (place->whole->dims[d] != 1) return all;
  return place->transposed ? all : 0;
}

/* Row-major in the memory of all rows. */
static jm_kval whole_index(jm_kbuilder *b, const jm_place *place, const jm_kval *index) {
  jm_kval linear = jm_kbuild_index(b, 0);
  for (uint32_t d = 0; d < place->whole->rank; d++) {
    linear = jm_k_imul(b, linear, jm_kbuild_index(b, place->whole->dims[d]));
    linear = jm_k_iadd(b, linear, d == place->row_dim ? place->row : index[d]);
  }
  return linear;
}

jm_kval jm_looper_linear(jm_emit *e, const jm_place *place, const jm_kval *index) {
  jm_kbuilder *b = jm_emit_builder(e);
  jm_kval linear;
  if (place->whole) return whole_index(b, place, index);
  if (place->transposed) {
    linear = index[place->transposed - 1];
    for (uint32_t d = 0; d < place->type->rank; d++)
      if (d + 1 != place->transposed)
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
  return jm_emit_load(e, place->type->dtype, place->param, jm_looper_linear(e, place, index));
}

void jm_looper_place(jm_looper *l, jm_value v, const jm_place *place) {
  jm_place *copy = jm_looper_take(l, 1, sizeof *copy);
  if (!copy) return;
  *copy = *place;
  copy->type = jm_module_typeof(l->m, v);
  l->places[v] = copy;
  l->s->breaks[v] = copy->kind == JM_PLACE_VALUE ? l->s->breaks[copy->value] : breaks_of(copy);
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

jm_place jm_looper_memory(jm_looper *l, const jm_type *type, uint32_t halves, int64_t *half) {
  const int64_t bytes =
      (int64_t)jm_ktype_bytes[jm_emit_storage(type->dtype)] * jm_emit_words(type->dtype);
  const int64_t line = JM_DATA_ALIGNMENT / bytes;
  *half = (type->count + line - 1) / line * line;
  const int64_t count = halves == 1 ? type->count : *half * halves;
  const size_t size = jm_launch_scratch_bytes(type->dtype, count);
  const jm_target *target = l->s->target;
  jm_place place = {.kind = JM_PLACE_MEMORY, .type = type, .offset = JM_KNONE};
  if (size <= target->loop.scratch_bytes && l->launch.scratch_bytes + size <= target->kept_bytes) {
    place.param = jm_launch_scratch(&l->launch, type->dtype, count);
    return place;
  }
  uint32_t temporary = 0;
  jm_error *error = jm_scheduler_temporary(l->s, type->dtype, count * l->n_rows, &temporary);
  if (error) jm_kbuilder_fail(l->b, error);
  place.param = jm_launch_temporary(&l->launch, temporary, type->dtype, count * l->n_rows, true);
  if (l->n_rows > 1) place.offset = jm_k_imul(l->b, l->row, jm_kbuild_index(l->b, count));
  return place;
}

/* ---- loops */

void jm_looper_shape(jm_looper *l, jm_dtype dtype) {
  l->launch.element_bytes = jm_ktype_bytes[jm_element_type(dtype)];
}

/* Nested loops over axes. They may be cut where pulling changes (concatenation, padding): within
 * such a piece the builder's ranges decide every comparison. */
typedef struct nest {
  jm_looper *l;
  uint32_t n;
  const int64_t *sizes;
  const jm_cuts *cuts; /* per axis; NULL: none */
  jm_kval x[2 * JM_CLUSTER_RANK];
  void (*body)(void *context, jm_looper *l, const jm_kval *x);
  void *context;
} nest;

static void run_nest(nest *s, uint32_t depth);

static void run_range(nest *s, uint32_t depth, int64_t lower, int64_t upper, uint32_t width) {
  jm_kbuilder *b = s->l->b;
  jm_kloop loop;
  if (lower == upper || jm_kbuilder_failed(b)) return;
  jm_launch_loop(&s->l->launch, width, jm_kbuild_index(b, lower), jm_kbuild_index(b, upper), NULL,
                 0, &loop);
  s->x[depth] = loop.index;
  run_nest(s, depth + 1);
  jm_kbuild_loop_end(b, &loop, NULL);
}

/* Threads take the points of all axes, so that none is idle on short ones. */
static void run_points(nest *s) {
  jm_kbuilder *b = s->l->b;
  int64_t count = 1;
  jm_kloop loop;
  for (uint32_t d = 0; d < s->n; d++) count *= s->sizes[d];
  jm_launch_lanes(&s->l->launch, jm_kbuild_index(b, 0), jm_kbuild_index(b, count), count, NULL, 0,
                  &loop);
  jm_axes_split(b, s->sizes, s->n, loop.index, s->x);
  s->body(s->context, s->l, s->x);
  jm_kbuild_loop_end(b, &loop, NULL);
}

/* What is left over after whole vectors is done by one more vector that overlaps them: nothing
 * that these loops write is read by them. */
static void run_piece(nest *s, uint32_t depth, int64_t lower, int64_t upper) {
  const int64_t n = upper - lower;
  const uint32_t width = depth + 1 == s->n ? jm_launch_width(&s->l->launch, n) : 1;
  const int64_t rest = n % width;
  run_range(s, depth, lower, upper - rest, width);
  if (rest < s->l->s->target->vector.least_overlap)
    run_range(s, depth, upper - rest, upper, 1);
  else
    run_range(s, depth, upper - width, upper, width);
}

static void run_nest(nest *s, uint32_t depth) {
  if (depth == s->n) {
    s->body(s->context, s->l, s->x);
    return;
  }
  if (!s->cuts) run_piece(s, depth, 0, s->sizes[depth]);
  for (uint32_t i = 0; s->cuts && i + 1 < s->cuts[depth].n; i++)
    run_piece(s, depth, s->cuts[depth].at[i], s->cuts[depth].at[i + 1]);
}

static void run(nest *s) {
  if (s->l->s->target->lanes == JM_BIND_THREADS)
    run_points(s);
  else
    run_nest(s, 0);
}

static jm_kval point_of(jm_kbuilder *b, const int64_t *sizes, const jm_kval *x, uint32_t n) {
  jm_kval point = jm_kbuild_index(b, 0);
  for (uint32_t d = 0; d < n; d++)
    point = jm_k_iadd(b, jm_k_imul(b, point, jm_kbuild_index(b, sizes[d])), x[d]);
  return point;
}

/* Placed values are in memory or registers, unless their place is that of another value. */
static jm_value resolve(const void *context, jm_value v) {
  const jm_looper *l = context;
  while (l->places[v]) {
    if (l->places[v]->kind != JM_PLACE_VALUE) return JM_NONE;
    v = l->places[v]->value;
  }
  return v;
}

/* Where to cut loops over the axes that store the taken values; false: nowhere, or that would make
 * too much code. */
static bool find_cuts(jm_looper *l, const jm_axes *axes, const jm_value *values, const bool *taken,
                      uint32_t n, jm_cuts *out) {
  const jm_target *target = l->s->target;
  uint32_t pieces = 1;
  for (uint32_t a = 0; a < axes->n; a++) {
    jm_cuts_init(&out[a], axes->sizes[a]);
    for (uint32_t i = 0; i < n; i++)
      if (taken[i]) jm_cuts_find(l->s, axes, a, values[i], resolve, l, &out[a]);
    if (out[a].n > target->loop.max_cuts + 2) return false;
    pieces *= out[a].n - 1;
  }
  return pieces > 1 && pieces <= target->loop.max_pieces;
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
    if (to->whole) {
      jm_axes_index(b, g->axes.sizes, x, g->axes.n, jm_module_typeof(l->m, g->values[i]), index);
      at = jm_looper_linear(l->e, to, index);
    }
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
    g->taken[k] =
        k >= i && !done[k] && other->count == type->count &&
        jm_axes_add_value(&joined, other, l->s->breaks[g->values[k]] | breaks_of(g->to[k]));
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
    jm_looper_shape(l, form_group(l, &g, i, done));
    s.n = g.axes.n;
    s.sizes = g.axes.sizes;
    jm_cuts cuts[2 * JM_CLUSTER_RANK];
    if (find_cuts(l, &g.axes, values, g.taken, n, cuts)) s.cuts = cuts;
    run(&s);
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
  jm_emit_store(l->e, type->dtype, s->to->param, jm_looper_linear(l->e, s->to, at), element);
}

void jm_looper_store_slice(jm_looper *l, const jm_place *to, jm_value update,
                           const jm_kval *start) {
  const jm_type *type = jm_module_typeof(l->m, update);
  if (!type->count) return;
  slice_store slice = {to, update, start};
  nest s = {.l = l, .n = type->rank, .sizes = type->dims};
  jm_looper_shape(l, type->dtype);
  s.body = store_slice_point;
  s.context = &slice;
  run(&s);
}

static void store_transposed_point(void *context, jm_looper *l, const jm_kval *x) {
  const slice_store *s = context;
  const jm_type *type = s->to->type;
  jm_kval index[JM_LOOP_RANK];
  uint32_t outermost = s->to->transposed - 1, k = 1;
  index[outermost] = x[0];
  for (uint32_t d = 0; d < type->rank; d++)
    if (d != outermost) index[d] = x[k++];
  jm_element element = jm_emit_value(l->e, s->update, index);
  jm_emit_store(l->e, type->dtype, s->to->param, jm_looper_linear(l->e, s->to, index), element);
}

void jm_looper_store_transposed(jm_looper *l, const jm_place *to, jm_value v) {
  int64_t sizes[JM_LOOP_RANK] = {to->type->dims[to->transposed - 1]};
  uint32_t k = 1;
  for (uint32_t d = 0; d < to->type->rank; d++)
    if (d + 1 != to->transposed) sizes[k++] = to->type->dims[d];
  slice_store slice = {to, v, NULL};
  nest s = {.l = l, .n = k, .sizes = sizes};
  jm_looper_shape(l, to->type->dtype);
  s.body = store_transposed_point;
  s.context = &slice;
  run(&s);
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
