/* SPDX-License-Identifier: Apache-2.0
 * Where the values of a loop kernel lie, and the small loops over their elements. */
#include "kernel/reduction.h"
#include "kernel/schedule_loop.h"

enum { SMALL_BYTES = 32 * 1024 }; /* scratch memory is for what stays in the cache */

void *jm_looper_take(jm_looper *l, size_t count, size_t size) {
  void *block = jm_arena_alloc(&l->arena, count, size);
  if (!block) jm_kbuilder_fail(l->b, jm_error_out_of_memory());
  return block;
}

/* ---- places */

static jm_kval linear_index(jm_emit *e, const jm_place *place, const jm_kval *index) {
  jm_kbuilder *b = jm_emit_builder(e);
  jm_kval linear = jm_emit_linear(e, place->type, index);
  return place->offset == JM_KNONE ? linear : IADD(place->offset, linear);
}

static jm_element find_register(jm_emit *e, const jm_place *place, const jm_kval *index) {
  jm_kbuilder *b = jm_emit_builder(e);
  jm_kval linear = jm_emit_linear(e, place->type, index);
  jm_element x = place->elements[0];
  for (int64_t i = 1; i < place->type->count; i++) {
    jm_kval here = IEQ(linear, jm_kbuild_index(b, i));
    jm_element y = place->elements[i];
    for (uint32_t part = 0; part < 2; part++)
      if (x.part[part] != JM_KNONE) x.part[part] = SELECT(here, y.part[part], x.part[part]);
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

/* Lanes for a loop of n iterations on elements of this type: at best a divisor of n. */
static uint32_t find_width(const jm_looper *l, jm_dtype dtype, int64_t n) {
  uint32_t bytes = jm_ktype_bytes[jm_element_type(dtype)];
  uint32_t width = l->target->vector_bytes / bytes;
  while (width > 1 && width > n) width /= 2;
  uint32_t exact = width;
  while (exact > 4 && n % exact && n < 16 * (int64_t)width) exact /= 2;
  return n % exact ? width : exact;
}

typedef void point_fn(void *context, jm_looper *l, const jm_kval *x);

/* Runs body for all positions of n nested axes, the last one in lanes. */
static void nest(jm_looper *l, const int64_t *sizes, uint32_t n, uint32_t width, uint32_t depth,
                 jm_kval *x, point_fn *body, void *context) {
  if (depth == n || jm_kbuilder_failed(l->b)) {
    body(context, l, x);
    return;
  }
  jm_kloop loop;
  const bool lanes = depth + 1 == n && width > 1;
  jm_kval lower = jm_kbuild_index(l->b, 0), upper = jm_kbuild_index(l->b, sizes[depth]);
  jm_kbuild_loop_begin(l->b, lanes ? JM_BIND_VECTOR : JM_BIND_SERIAL, lanes ? width : 0, lower,
                       upper, NULL, 0, &loop);
  x[depth] = loop.index;
  nest(l, sizes, n, width, depth + 1, x, body, context);
  jm_kbuild_loop_end(l->b, &loop, NULL);
}

static jm_kval point_of(jm_kbuilder *b, const int64_t *sizes, const jm_kval *x, uint32_t n) {
  jm_kval point = jm_kbuild_index(b, 0);
  for (uint32_t d = 0; d < n; d++) point = IADD(IMUL(point, jm_kbuild_index(b, sizes[d])), x[d]);
  return point;
}

typedef struct store_group {
  const jm_value *values;
  jm_place *const *to;
  const bool *taken; /* of this group */
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
    jm_kval at = to->offset == JM_KNONE ? point : IADD(to->offset, point);
    jm_emit_store(l->e, jm_module_typeof(l->m, g->values[i])->dtype, to->param, at, g->elements[i]);
  }
}

void jm_looper_store(jm_looper *l, const jm_value *values, jm_place *const *to, uint32_t n) {
  bool *done = jm_looper_take(l, n, sizeof *done), *taken = jm_looper_take(l, n, sizeof *taken);
  store_group g = {.values = values, .to = to, .taken = taken, .n = n};
  g.elements = jm_looper_take(l, n, sizeof *g.elements);
  if (!done || !taken || !g.elements) return;
  for (uint32_t i = 0; i < n; i++) {
    const jm_type *type = jm_module_typeof(l->m, values[i]);
    if (done[i] || !type->count) continue;
    jm_dtype widest = type->dtype;
    jm_axes_init(&g.axes, type->count);
    for (uint32_t k = i; k < n; k++) {
      const jm_type *other = jm_module_typeof(l->m, values[k]);
      jm_axes joined = g.axes;
      taken[k] = !done[k] && other->count == type->count &&
                 jm_axes_add_value(&joined, other, l->breaks[values[k]]);
      if (!taken[k]) continue;
      done[k] = true;
      g.axes = joined;
      if (jm_dtype_bytes(other->dtype) > jm_dtype_bytes(widest)) widest = other->dtype;
    }
    jm_axes_finish(&g.axes);
    jm_kval x[2 * JM_CLUSTER_RANK];
    uint32_t last = g.axes.n ? g.axes.n - 1 : 0;
    uint32_t width = g.axes.n ? find_width(l, widest, g.axes.sizes[last]) : 1;
    nest(l, g.axes.sizes, g.axes.n, width, 0, x, store_point, &g);
    for (uint32_t k = 0; k < n; k++) taken[k] = false;
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
  for (uint32_t d = 0; d < type->rank; d++) at[d] = IADD(s->start[d], x[d]);
  jm_element element = jm_emit_value(l->e, s->update, x);
  jm_emit_store(l->e, type->dtype, s->to->param, linear_index(l->e, s->to, at), element);
}

void jm_looper_store_slice(jm_looper *l, const jm_place *to, jm_value update,
                           const jm_kval *start) {
  const jm_type *type = jm_module_typeof(l->m, update);
  if (!type->count) return;
  slice_store s = {to, update, start};
  jm_kval x[JM_LOOP_RANK];
  uint32_t width = type->rank ? find_width(l, type->dtype, type->dims[type->rank - 1]) : 1;
  nest(l, type->dims, type->rank, width, 0, x, store_slice_point, &s);
}

jm_kval jm_looper_start(jm_looper *l, jm_value v, int64_t last) {
  jm_kbuilder *b = l->b;
  const jm_ktype it = JM_KT_i64;
  if (last <= 0) return I(0);
  jm_dtype dtype = jm_module_typeof(l->m, v)->dtype;
  jm_element x = jm_emit_value(l->e, v, NULL);
  if (jm_dtype_classof(dtype) == JM_CLASS_UINT)
    return UMIN(jm_element_convert(b, dtype, JM_DT_u64, x).part[0], I(last));
  return SMIN(SMAX(jm_element_convert(b, dtype, JM_DT_s64, x).part[0], I(0)), I(last));
}

/* ---- reductions of everything */

typedef struct fold {
  jm_looper *l;
  jm_reduction r;
  jm_axes axes;
  uint32_t width;
} fold;

static void combine(void *context, jm_kbuilder *b, const jm_kval *lower, const jm_kval *upper,
                    jm_kval *out) {
  (void)b;
  const fold *f = context;
  jm_element x[JM_REDUCTION_RESULTS], y[JM_REDUCTION_RESULTS];
  jm_reduction_unpack(&f->r, lower, x);
  jm_reduction_unpack(&f->r, upper, y);
  jm_reduction_step(&f->r, f->l->e, x, y, x);
  jm_reduction_pack(&f->r, x, out);
}

/* acc becomes acc and all points below x on the axes from depth on. */
static void fold_axes(fold *f, uint32_t depth, jm_kval *x, jm_element *acc) {
  jm_looper *l = f->l;
  jm_element element[JM_REDUCTION_RESULTS];
  if (depth == f->axes.n) {
    for (uint32_t k = 0; k < f->r.n; k++) {
      jm_kval index[JM_LOOP_RANK];
      const jm_type *type = jm_op_operand_type(l->m, f->r.op, k);
      jm_axes_index(l->b, f->axes.sizes, x, f->axes.n, type, index);
      element[k] = jm_emit_value(l->e, f->r.op->operands[k], index);
    }
    jm_reduction_step(&f->r, l->e, acc, element, acc);
    return;
  }
  const bool lanes = depth + 1 == f->axes.n && f->width > 1;
  jm_kval parts[16];
  jm_element inner[JM_REDUCTION_RESULTS];
  jm_kloop loop;
  if (lanes) jm_reduction_start(&f->r, l->e, inner); /* what w lanes may start from */
  uint32_t n = jm_reduction_pack(&f->r, lanes ? inner : acc, parts);
  jm_kval lower = jm_kbuild_index(l->b, 0), upper = jm_kbuild_index(l->b, f->axes.sizes[depth]);
  jm_kbuild_loop_begin(l->b, lanes ? JM_BIND_VECTOR : JM_BIND_SERIAL, lanes ? f->width : 0, lower,
                       upper, parts, n, &loop);
  x[depth] = loop.index;
  jm_reduction_unpack(&f->r, loop.carries, inner);
  fold_axes(f, depth + 1, x, inner);
  jm_reduction_pack(&f->r, inner, parts);
  if (!lanes) {
    jm_kbuild_loop_end(l->b, &loop, parts);
    jm_reduction_unpack(&f->r, loop.carries, acc);
    return;
  }
  jm_kbuild_loop_end_combine(l->b, &loop, parts, combine, f);
  jm_reduction_unpack(&f->r, loop.carries, inner);
  jm_reduction_step(&f->r, l->e, acc, inner, acc);
}

bool jm_looper_reduce(jm_looper *l, const jm_op *op, jm_element *out) {
  if (op->code != JM_OP_reduce || jm_op_result_type(l->m, op, 0)->count != 1) return false;
  const jm_type *type = jm_op_operand_type(l->m, op, 0);
  fold f = {.l = l};
  if (type->count < 2 || op->n_results > JM_REDUCTION_RESULTS) return false;
  jm_reduction_init(l->m, op, &f.r);
  if (!f.r.grouped) return false;
  jm_axes_init(&f.axes, type->count);
  jm_dtype widest = JM_DT_s8;
  for (uint32_t k = 0; k < f.r.n; k++) {
    if (!jm_axes_add_value(&f.axes, jm_op_operand_type(l->m, op, k), l->breaks[op->operands[k]]))
      return false;
    if (jm_dtype_bytes(f.r.dtypes[k]) > jm_dtype_bytes(widest)) widest = f.r.dtypes[k];
  }
  jm_axes_finish(&f.axes);
  f.width = f.axes.n ? find_width(l, widest, f.axes.sizes[f.axes.n - 1]) : 1;
  jm_element acc[JM_REDUCTION_RESULTS];
  jm_kval x[2 * JM_CLUSTER_RANK];
  jm_reduction_start(&f.r, l->e, acc);
  fold_axes(&f, 0, x, acc);
  jm_reduction_finish(&f.r, l->e, acc, out);
  return true;
}
