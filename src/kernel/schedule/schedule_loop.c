/* SPDX-License-Identifier: Apache-2.0
 * A whole `while` with little work per iteration as one kernel, including nested loops. Each carry
 * is stored where it is cheapest (loop.h): in registers; double-buffered in memory, so that no
 * write affects a read of the same iteration; or in place, if the body only replaces a slice, which
 * is written last, after all reads of the old contents. These writes pull the values of the body,
 * except for those that the plan stores. */
#include <string.h>

#include "ir/overwritten.h"
#include "kernel/schedule/rows.h"
#include "kernel/schedule/schedule_loop.h"

typedef struct carry {
  jm_carry_kind kind;
  const jm_type *type;
  jm_value init, next;
  uint32_t first, n; /* carried values of the kernel's while */
  jm_place memory;
  int64_t half;
  jm_kval slice[JM_LOOP_RANK]; /* IN_PLACE: where this iteration's slice starts */
  jm_value update;
} carry;

typedef struct loop_state {
  const jm_op *op;
  carry *carries;
  uint32_t n, n_values;
  bool has_halves; /* then the first carried value says which half is read: 0 or 1 */
} loop_state;

static void build_region(jm_looper *l, const jm_region *region);

/* ---- small things */

static uint32_t parts_of(const jm_type *type) {
  return (uint32_t)type->count * jm_emit_words(type->dtype);
}

static jm_place registers_of(const jm_type *type, const jm_kval *parts) {
  jm_place place = {.kind = JM_PLACE_REGISTERS, .type = type};
  const uint32_t words = jm_emit_words(type->dtype);
  for (int64_t i = 0; i < type->count; i++)
    place.elements[i] =
        words == 2 ? jm_element_pair(parts[2 * i], parts[2 * i + 1]) : jm_element_of(parts[i]);
  return place;
}

static void parts_to(jm_looper *l, jm_value v, jm_kval *parts) {
  jm_element elements[JM_LOOP_REGISTERS];
  const jm_type *type = jm_module_typeof(l->m, v);
  const uint32_t words = jm_emit_words(type->dtype);
  jm_looper_elements(l, v, elements);
  for (int64_t i = 0; i < type->count; i++)
    for (uint32_t w = 0; w < words; w++) parts[words * i + w] = elements[i].part[w];
}

static jm_place half_of(jm_looper *l, const carry *c, jm_kval half) {
  jm_kbuilder *b = l->b;
  jm_place place = c->memory;
  place.offset = jm_k_imul(b, half, jm_kbuild_index(b, c->half));
  if (c->memory.offset != JM_KNONE) place.offset = jm_k_iadd(b, c->memory.offset, place.offset);
  return place;
}

/* Values of a region, written together to places of their own. */
typedef struct store_list {
  jm_value *values;
  jm_place **to;
  uint32_t n;
} store_list;

static bool list_init(jm_looper *l, store_list *list, uint32_t capacity) {
  list->values = jm_looper_take(l, capacity, sizeof *list->values);
  list->to = jm_looper_take(l, capacity, sizeof(jm_place *));
  list->n = 0;
  return list->values && list->to;
}

static void list_add(jm_looper *l, store_list *list, jm_value v, const jm_place *to) {
  jm_place *copy = jm_looper_take(l, 1, sizeof *copy);
  if (!copy) return;
  *copy = *to;
  list->values[list->n] = v;
  list->to[list->n++] = copy;
}

/* ---- while */

static void classify(jm_looper *l, loop_state *s) {
  s->n_values = 0;
  for (uint32_t i = 0; i < s->n; i++)
    s->has_halves = s->has_halves || jm_loop_carry_kind(l->m, s->op, i) == JM_CARRY_DOUBLE_BUFFERED;
  if (s->has_halves) s->n_values = 1;
  for (uint32_t i = 0; i < s->n; i++) {
    carry *c = &s->carries[i];
    c->kind = jm_loop_carry_kind(l->m, s->op, i);
    c->type = jm_op_result_type(l->m, s->op, i);
    c->init = s->op->operands[i];
    c->next = jm_op_region(l->m, s->op, 1)->results[i];
    c->first = s->n_values;
    c->n = c->kind == JM_CARRY_REGISTERS ? parts_of(c->type) : 0;
    s->n_values += c->n;
    if (c->kind == JM_CARRY_IN_PLACE) c->update = jm_loop_update(l->m, s->op, i)->operands[1];
  }
}

/* Allocates the carries' memory, and writes initial values that are read. */
static void start_carries(jm_looper *l, loop_state *s, jm_kval *initial) {
  store_list list;
  if (!list_init(l, &list, s->n)) return;
  if (s->has_halves) initial[0] = jm_kbuild_index(l->b, 0);
  for (uint32_t i = 0; i < s->n; i++) {
    carry *c = &s->carries[i];
    const jm_place *wanted = l->wanted[s->op->first_result + i];
    if (c->kind == JM_CARRY_REGISTERS) parts_to(l, c->init, initial + c->first);
    if (c->kind == JM_CARRY_DOUBLE_BUFFERED) c->memory = jm_looper_memory(l, c->type, 2, &c->half);
    if (c->kind == JM_CARRY_IN_PLACE)
      c->memory = wanted ? *wanted : jm_looper_memory(l, c->type, 1, &c->half);
    if (c->kind == JM_CARRY_DOUBLE_BUFFERED ||
        (c->kind == JM_CARRY_IN_PLACE && !jm_carry_is_overwritten(l->m, s->op, i)))
      list_add(l, &list, c->init, &c->memory);
  }
  jm_looper_store(l, list.values, list.to, list.n);
}

/* Places the carries as a region's arguments or, as results, after the loop. */
static void place_carries(jm_looper *l, const loop_state *s, jm_value first,
                          const jm_kval *values) {
  for (uint32_t i = 0; i < s->n; i++) {
    const carry *c = &s->carries[i];
    jm_place place = c->memory;
    if (c->kind == JM_CARRY_SAME) {
      jm_looper_forward(l, first + i, c->init);
      continue;
    }
    if (c->kind == JM_CARRY_REGISTERS) place = registers_of(c->type, values + c->first);
    if (c->kind == JM_CARRY_DOUBLE_BUFFERED) place = half_of(l, c, values[0]);
    jm_looper_place(l, first + i, &place);
  }
}

/* transposed: per capture, NULL entries for those that are what they are outside. */
static void place_captures(jm_looper *l, const jm_op *op, const jm_region *region,
                           jm_place *const *transposed) {
  const uint32_t n_own = region->n_args - op->n_captures;
  for (uint32_t i = 0; i < op->n_captures; i++) {
    const jm_value arg = region->first_arg + n_own + i;
    if (transposed && transposed[i])
      jm_looper_place(l, arg, transposed[i]);
    else
      jm_looper_forward(l, arg, op->operands[op->n_operands - op->n_captures + i]);
  }
}

/* A matrix that every iteration multiplies along its last dimension would be read with a stride by
 * the lanes along the result's last dimension: it is transposed once, before the loop. */
static bool is_strided(const jm_module *m, const jm_op *op, jm_value v) {
  if (op->code != JM_OP_dot_general || op->operands[0] == op->operands[1]) return false;
  const jm_dot_general_attrs *a = op->attrs;
  const uint32_t side = op->operands[0] == v ? 0 : 1;
  const jm_i64s contract = side ? a->rhs_contract : a->lhs_contract;
  const uint32_t rank = jm_module_typeof(m, v)->rank;
  return a->lhs_batch.n == 0 && contract.n == 1 && rank == 2 && contract.data[0] == 1 &&
         (side == 1 || jm_op_operand_type(m, op, 1)->rank == 1);
}

/* Is every use of v in the region such a product? */
static bool wants_transposed(const jm_module *m, const jm_region *region, jm_value v, bool *any) {
  for (uint32_t i = 0; i < region->n_results; i++)
    if (region->results[i] == v) return false;
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    const uint32_t n_own = op->n_operands - op->n_captures;
    for (uint32_t k = 0; k < op->n_operands; k++) {
      if (op->operands[k] != v) continue;
      const bool inside = k >= n_own && (op->code == JM_OP_while || op->code == JM_OP_case);
      if (!inside && !is_strided(m, op, v)) return false;
      if (!inside) *any = true;
      for (uint32_t r = 0; inside && r < op->n_regions; r++) {
        const jm_region *inner = jm_op_region(m, op, r);
        const jm_value arg = inner->first_arg + inner->n_args - op->n_captures + (k - n_own);
        if (!wants_transposed(m, inner, arg, any)) return false;
      }
    }
  }
  return true;
}

static void transpose_captures(jm_looper *l, const jm_op *op, jm_place **transposed) {
  for (uint32_t i = 0; i < op->n_captures; i++) {
    const jm_value v = op->operands[op->n_operands - op->n_captures + i];
    const jm_type *type = jm_module_typeof(l->m, v);
    bool any = false, wanted = type->rank == 2 && type->count <= l->s->target->loop.transposed &&
                               !jm_loop_in_registers(type) &&
                               !(l->places[v] && l->places[v]->transposed);
    for (uint32_t r = 0; r < op->n_regions && wanted; r++) {
      const jm_region *region = jm_op_region(l->m, op, r);
      wanted = wants_transposed(l->m, region,
                                region->first_arg + region->n_args - op->n_captures + i, &any);
    }
    if (!wanted || !any) continue;
    int64_t half;
    jm_place *place = jm_looper_take(l, 1, sizeof *place);
    if (!place) return;
    *place = jm_looper_memory(l, type, 1, &half);
    place->transposed = 2;
    jm_looper_store_transposed(l, place, v);
    transposed[i] = place;
  }
}

/* Does pulling v read memory that is about to be written in place? seen: per value, whether it was
 * visited. */
static bool reads_in_place(const jm_looper *l, const loop_state *s, jm_value v, bool *seen) {
  const jm_region *body = jm_op_region(l->m, s->op, 1);
  const jm_place *place = l->places[v];
  if (seen[v]) return false;
  seen[v] = true;
  if (place && place->kind == JM_PLACE_REGISTERS) return false;
  if (v >= body->first_arg && v < body->first_arg + s->n)
    return s->carries[v - body->first_arg].kind == JM_CARRY_IN_PLACE;
  if (place && place->kind == JM_PLACE_VALUE) return reads_in_place(l, s, place->value, seen);
  if (place) return false; /* memory of its own, or of around the loop */
  const jm_op *op = jm_module_definition(l->m, v);
  for (uint32_t k = 0; op && k < op->n_operands; k++)
    if (reads_in_place(l, s, op->operands[k], seen)) return true;
  return false;
}

/* Computes the starts of the slices, and updates that read memory written in place, before the
 * first write. */
static void prepare_updates(jm_looper *l, loop_state *s) {
  store_list list;
  if (!list_init(l, &list, s->n)) return;
  for (uint32_t i = 0; i < s->n; i++) {
    carry *c = &s->carries[i];
    if (c->kind != JM_CARRY_IN_PLACE) continue;
    const jm_op *op = jm_loop_update(l->m, s->op, i);
    const jm_type *slice = jm_op_operand_type(l->m, op, 1);
    for (uint32_t d = 0; d < c->type->rank; d++)
      c->slice[d] = jm_looper_start(l, op->operands[2 + d], c->type->dims[d] - slice->dims[d]);
    bool *seen = jm_looper_take(l, l->m->n_values, sizeof *seen);
    if (!seen || !reads_in_place(l, s, c->update, seen)) continue;
    bool listed = false;
    for (uint32_t k = 0; k < list.n; k++) listed = listed || list.values[k] == c->update;
    int64_t half;
    jm_place copy = jm_looper_memory(l, slice, 1, &half);
    if (!listed) list_add(l, &list, c->update, &copy);
  }
  jm_looper_store(l, list.values, list.to, list.n);
  for (uint32_t i = 0; i < list.n; i++) jm_looper_place(l, list.values[i], list.to[i]);
}

/* Writes everything that the next iteration needs; next: the carried values. */
static void end_iteration(jm_looper *l, loop_state *s, const jm_kval *values, jm_kval *next) {
  jm_kbuilder *b = l->b;
  store_list list;
  if (!list_init(l, &list, s->n)) return;
  if (s->has_halves) next[0] = jm_k_isub(b, jm_kbuild_index(b, 1), values[0]);
  for (uint32_t i = 0; i < s->n; i++) {
    const carry *c = &s->carries[i];
    if (c->kind != JM_CARRY_DOUBLE_BUFFERED) continue;
    const jm_place *place = l->places[c->next];
    jm_place to = half_of(l, c, next[0]);
    if (place && place->kind == JM_PLACE_MEMORY && place->param == to.param &&
        place->offset == to.offset)
      continue; /* its op has written it there */
    list_add(l, &list, c->next, &to);
  }
  jm_looper_store(l, list.values, list.to, list.n);
  /* reductions of values that were just stored may read them, but would recompute others */
  for (uint32_t i = 0; i < s->n; i++)
    if (s->carries[i].kind == JM_CARRY_REGISTERS)
      parts_to(l, s->carries[i].next, next + s->carries[i].first);
  prepare_updates(l, s);
  for (uint32_t i = 0; i < s->n; i++)
    if (s->carries[i].kind == JM_CARRY_IN_PLACE)
      jm_looper_store_slice(l, &s->carries[i].memory, s->carries[i].update, s->carries[i].slice);
}

/* Values that become the contents of another half are written there by their own op. */
static void want_halves(jm_looper *l, const loop_state *s, jm_kval other) {
  for (uint32_t i = 0; i < s->n; i++) {
    const carry *c = &s->carries[i];
    if (c->kind != JM_CARRY_DOUBLE_BUFFERED || !l->stored[c->next] || l->wanted[c->next]) continue;
    jm_place *to = jm_looper_take(l, 1, sizeof *to);
    if (!to) return;
    *to = half_of(l, c, other);
    l->wanted[c->next] = to;
  }
}

static void build_while(jm_looper *l, const jm_op *op) {
  jm_kbuilder *b = l->b;
  const jm_region *condition = jm_op_region(l->m, op, 0), *body = jm_op_region(l->m, op, 1);
  loop_state s = {.op = op, .n = op->n_results};
  s.carries = jm_looper_take(l, s.n, sizeof *s.carries);
  if (!s.carries) return;
  classify(l, &s);
  jm_kval *initial = jm_looper_take(l, s.n_values, sizeof *initial);
  jm_kval *values = jm_looper_take(l, s.n_values, sizeof *values);
  jm_kval *next = jm_looper_take(l, s.n_values, sizeof *next);
  if (!initial || !values || !next) return;
  start_carries(l, &s, initial);
  jm_place **transposed = jm_looper_take(l, op->n_captures, sizeof(jm_place *));
  if (!transposed) return;
  transpose_captures(l, op, transposed);
  jm_kinst inst = jm_kbuild_while_begin(b, initial, s.n_values, values);
  place_carries(l, &s, condition->first_arg, values);
  place_captures(l, op, condition, transposed);
  build_region(l, condition);
  jm_kval holds = jm_emit_value(l->e, condition->results[0], NULL).part[0];
  jm_kbuild_while_body(b, inst, holds, values);
  if (jm_kbuilder_failed(b)) return;
  place_carries(l, &s, body->first_arg, values);
  place_captures(l, op, body, transposed);
  if (s.has_halves) want_halves(l, &s, jm_k_isub(b, jm_kbuild_index(b, 1), values[0]));
  build_region(l, body);
  end_iteration(l, &s, values, next);
  jm_kbuild_while_end(b, inst, next, values);
  if (jm_kbuilder_failed(b)) return;
  place_carries(l, &s, op->first_result, values);
}

/* ---- case */

typedef struct branches {
  const jm_op *op;
  jm_kval index;    /* i64, or the i1 of a pred */
  jm_place *memory; /* per result that is not in registers */
  uint32_t n_values;
} branches;

static void build_branch(jm_looper *l, const branches *c, uint32_t r, jm_kval *values) {
  const jm_region *region = jm_op_region(l->m, c->op, r);
  store_list list;
  if (!list_init(l, &list, c->op->n_results)) return;
  place_captures(l, c->op, region, NULL);
  build_region(l, region);
  for (uint32_t i = 0, at = 0; i < c->op->n_results; i++) {
    const jm_type *type = jm_op_result_type(l->m, c->op, i);
    if (jm_loop_in_registers(type)) {
      parts_to(l, region->results[i], values + at);
      at += parts_of(type);
    } else {
      list_add(l, &list, region->results[i], &c->memory[i]);
    }
  }
  jm_looper_store(l, list.values, list.to, list.n);
}

/* Branches from r on; values: what they yield. */
static void build_branches(jm_looper *l, const branches *c, uint32_t r, jm_kval *values) {
  jm_kbuilder *b = l->b;
  const bool is_pred = jm_kbuild_type(b, c->index) == JM_KT_i1;
  if (jm_kbuilder_failed(b)) return;
  if (r + 1 == c->op->n_regions) {
    build_branch(l, c, r, values);
    return;
  }
  jm_kval here = is_pred ? jm_k_xor(b, c->index, jm_kbuild_int(b, JM_KT_i1, 1))
                         : jm_k_ieq(b, c->index, jm_kbuild_index(b, r));
  jm_kval *other = jm_looper_take(l, c->n_values, sizeof *other);
  jm_kinst inst = jm_kbuild_if_begin(b, here);
  build_branch(l, c, r, values);
  jm_kbuild_if_else(b, inst, values, c->n_values);
  if (!other || jm_kbuilder_failed(b)) return;
  build_branches(l, c, r + 1, other);
  jm_kbuild_if_end(b, inst, other, values);
}

static void build_case(jm_looper *l, const jm_op *op) {
  jm_kbuilder *b = l->b;
  branches c = {.op = op};
  c.memory = jm_looper_take(l, op->n_results, sizeof *c.memory);
  if (!c.memory) return;
  for (uint32_t i = 0; i < op->n_results; i++) {
    const jm_type *type = jm_op_result_type(l->m, op, i);
    int64_t half;
    if (jm_loop_in_registers(type))
      c.n_values += parts_of(type);
    else
      c.memory[i] = jm_looper_memory(l, type, 1, &half);
  }
  jm_kval *values = jm_looper_take(l, c.n_values, sizeof *values);
  if (!values) return;
  jm_dtype dtype = jm_op_operand_type(l->m, op, 0)->dtype;
  jm_element index = jm_emit_value(l->e, op->operands[0], NULL);
  c.index =
      dtype == JM_DT_pred ? index.part[0] : jm_element_convert(b, dtype, JM_DT_s64, index).part[0];
  build_branches(l, &c, 0, values);
  if (jm_kbuilder_failed(b)) return;
  for (uint32_t i = 0, at = 0; i < op->n_results; i++) {
    const jm_type *type = jm_op_result_type(l->m, op, i);
    jm_place place = c.memory[i];
    if (jm_loop_in_registers(type)) {
      place = registers_of(type, values + at);
      at += parts_of(type);
    }
    jm_looper_place(l, op->first_result + i, &place);
  }
}

/* ---- regions */

static void build_registers(jm_looper *l, const jm_op *op) {
  jm_element single[JM_LOOP_REDUCED];
  if (op->n_results <= JM_LOOP_REDUCED && jm_looper_reduce(l, op, single)) {
    for (uint32_t i = 0; i < op->n_results; i++) {
      jm_place place = {.kind = JM_PLACE_REGISTERS, .elements = {single[i]}};
      jm_looper_place(l, op->first_result + i, &place);
    }
    return;
  }
  for (uint32_t i = 0; i < op->n_results; i++) {
    jm_place place = {.kind = JM_PLACE_REGISTERS};
    jm_looper_elements(l, op->first_result + i, place.elements);
    jm_looper_place(l, op->first_result + i, &place);
  }
}

static void build_constant_registers(jm_looper *l, const jm_op *op) {
  const jm_constant_attrs *a = op->attrs;
  const jm_type *type = jm_op_result_type(l->m, op, 0);
  jm_place place = {.kind = JM_PLACE_REGISTERS};
  for (int64_t i = 0; i < type->count; i++) {
    size_t at = a->value.splat ? 0 : (size_t)i * jm_dtype_bytes(type->dtype);
    place.elements[i] = jm_emit_constant(l->e, type->dtype, (const char *)a->value.bytes + at);
  }
  jm_looper_place(l, op->first_result, &place);
}

static void build_stored(jm_looper *l, const jm_op *op) {
  store_list list;
  if (!list_init(l, &list, op->n_results)) return;
  for (uint32_t i = 0; i < op->n_results; i++) {
    int64_t half;
    const jm_value v = op->first_result + i;
    jm_place place =
        l->wanted[v] ? *l->wanted[v] : jm_looper_memory(l, jm_module_typeof(l->m, v), 1, &half);
    list_add(l, &list, v, &place);
  }
  if (jm_loop_reduces_rows(l->s->target, l->m, op))
    jm_looper_reduce_rows(l, op, list.to);
  else
    jm_looper_store(l, list.values, list.to, list.n);
  for (uint32_t i = 0; i < list.n; i++) jm_looper_place(l, list.values[i], list.to[i]);
}

static void build_op(jm_looper *l, const jm_op *op) {
  const jm_type *type = jm_op_result_type(l->m, op, 0);
  if (op->code == JM_OP_while) {
    build_while(l, op);
  } else if (op->code == JM_OP_case) {
    build_case(l, op);
  } else if (op->code == JM_OP_optimization_barrier) {
    for (uint32_t i = 0; i < op->n_results; i++)
      jm_looper_forward(l, op->first_result + i, op->operands[i]);
  } else if (op->code == JM_OP_constant) {
    if (jm_loop_in_registers(type)) build_constant_registers(l, op);
  } else {
    jm_axes_propagate(l->m, op, l->s->breaks);
    if (jm_loop_in_registers(type))
      build_registers(l, op);
    else if (l->stored[op->first_result])
      build_stored(l, op);
  }
}

static void build_region(jm_looper *l, const jm_region *region) {
  for (uint32_t i = 0; i < region->n_ops && !jm_kbuilder_failed(l->b); i++) {
    const jm_op *op = jm_module_op(l->m, region->ops[i]);
    if (op->n_results) build_op(l, op);
  }
}

/* Constants that are neither splats nor small are written to memory once, at the start. */
static void build_constants(jm_looper *l, const jm_region *region) {
  for (uint32_t i = 0; i < region->n_ops && !jm_kbuilder_failed(l->b); i++) {
    const jm_op *op = jm_module_op(l->m, region->ops[i]);
    if (op->code == JM_OP_while || op->code == JM_OP_case)
      for (uint32_t r = 0; r < op->n_regions; r++) build_constants(l, jm_op_region(l->m, op, r));
    if (op->code != JM_OP_constant) continue;
    const jm_constant_attrs *a = op->attrs;
    const jm_type *type = jm_op_result_type(l->m, op, 0);
    if (a->value.splat || jm_loop_in_registers(type)) continue;
    int64_t half;
    jm_place place = jm_looper_memory(l, type, 1, &half);
    for (int64_t k = 0; k < type->count; k++) {
      const char *bytes = (const char *)a->value.bytes + (size_t)k * jm_dtype_bytes(type->dtype);
      jm_emit_store(l->e, type->dtype, place.param, jm_kbuild_index(l->b, k),
                    jm_emit_constant(l->e, type->dtype, bytes));
    }
    jm_looper_place(l, op->first_result, &place);
  }
}

/* ---- the whole */

/* The memory of an argument or a result of the group, whose value in the fusion is v. */
static jm_place memory_of(const jm_looper *l, const jm_rows *rows, jm_value v, uint32_t param) {
  jm_place place = {.kind = JM_PLACE_MEMORY, .offset = JM_KNONE, .param = param};
  if (!rows || rows->dims[v] == JM_NONE) return place;
  place.whole = jm_module_typeof(l->s->whole, v);
  place.row_dim = rows->dims[v];
  place.row = l->row;
  return place;
}

/* rows: of the fusion's region, of one row of which the looper's is; NULL: it is that itself. A
 * result of the group that is a carry updated in place is updated where it will be read. */
static void build_group(jm_looper *l, const jm_rows *rows) {
  const jm_region *region = l->s->region, *fused = jm_op_region(l->s->whole, l->s->fusion, 0);
  for (uint32_t i = 0; i < region->n_args; i++) {
    const jm_value v = region->first_arg + i;
    if (!jm_region_count_uses(l->m, region, v)) continue;
    const uint32_t param = jm_launch_operand(&l->launch, i);
    const jm_place place = memory_of(l, rows, fused->first_arg + i, param);
    jm_looper_place(l, v, &place);
  }
  store_list list;
  jm_place *results = jm_looper_take(l, region->n_results, sizeof *results);
  if (!results || !list_init(l, &list, region->n_results)) return;
  for (uint32_t i = 0; i < region->n_results; i++) {
    const jm_value v = region->results[i];
    const uint32_t param = jm_launch_result(&l->launch, i);
    results[i] = memory_of(l, rows, fused->results[i], param);
    results[i].type = jm_module_typeof(l->m, v);
    if (!l->wanted[v]) l->wanted[v] = &results[i];
  }
  build_constants(l, region);
  build_region(l, region);
  for (uint32_t i = 0; i < region->n_results; i++) {
    const jm_place *place = l->places[region->results[i]];
    if (!place || place->kind != JM_PLACE_MEMORY || place->param != results[i].param)
      list_add(l, &list, region->results[i], &results[i]);
  }
  jm_looper_store(l, list.values, list.to, list.n);
}

static jm_error *prepare(jm_looper *l) {
  jm_scheduler *s = l->s;
  const uint32_t n = s->m->n_values;
  jm_loop_plan plan = {.m = s->m, .target = s->target};
  plan.stored = l->stored = jm_arena_alloc(&s->scratch, n, sizeof *plan.stored);
  plan.cost = jm_arena_alloc(&s->scratch, n, sizeof *plan.cost);
  plan.since = jm_arena_alloc(&s->scratch, n, sizeof *plan.since);
  plan.demand = jm_arena_alloc(&s->scratch, n, sizeof *plan.demand);
  l->places = jm_arena_alloc(&s->scratch, n, sizeof(jm_place *));
  l->wanted = jm_arena_alloc(&s->scratch, n, sizeof(jm_place *));
  if (!l->stored || !plan.cost || !plan.since || !plan.demand || !l->places || !l->wanted)
    return jm_error_out_of_memory();
  jm_loop_plan_region(&plan, s->region);
  return NULL;
}

/* Of a value that an op inside of the loop makes. */
static int64_t most_elements(const jm_scheduler *s) {
  int64_t most = 1;
  for (jm_value v = 0; v < s->m->n_values; v++) {
    const jm_op *op = jm_module_definition(s->m, v);
    if (op && s->m->values[v].region != s->m->entry && op->code != JM_OP_while &&
        op->code != JM_OP_dynamic_update_slice && jm_module_typeof(s->m, v)->count > most)
      most = jm_module_typeof(s->m, v)->count;
  }
  return most;
}

static jm_error *build(jm_scheduler *s, const jm_rows *rows) {
  jm_looper l = {.s = s, .m = s->m, .n_rows = rows ? rows->count : 1};
  jm_launch_chunks chunks = {0};
  JM_TRY(prepare(&l));
  JM_TRY(jm_launch_begin(s, &l.launch));
  l.b = l.launch.b;
  l.e = l.launch.e;
  l.launch.exact = true;
  if (rows) {
    jm_launch_threads(&l.launch, most_elements(s), 1);
    l.row = jm_launch_chunk(&l.launch, rows->count, 1, &chunks);
  }
  build_group(&l, rows);
  if (rows) jm_launch_chunk_end(&l.launch, &chunks);
  return jm_launch_end(&l.launch);
}

static bool has_loop(const jm_scheduler *s) {
  for (uint32_t i = 0; i < s->region->n_ops; i++)
    if (jm_module_op(s->m, s->region->ops[i])->code == JM_OP_while) return true;
  return false;
}

/* The same scheduler for the loop of one row, whose launches are the group's. */
static jm_error *build_one(jm_scheduler *s, const jm_rows *rows, const jm_module *one) {
  jm_scheduler inner = *s;
  inner.m = one;
  inner.region = jm_module_region(one, one->entry);
  inner.pulled = jm_arena_alloc(&inner.scratch, one->n_values, sizeof *inner.pulled);
  inner.seen = jm_arena_alloc(&inner.scratch, one->n_values, sizeof *inner.seen);
  inner.breaks = jm_arena_alloc(&inner.scratch, one->n_values, sizeof *inner.breaks);
  if (!inner.pulled || !inner.seen || !inner.breaks) return jm_error_out_of_memory();
  jm_error *error = build(&inner, rows);
  s->scratch = inner.scratch;
  s->launches_capacity = inner.launches_capacity;
  s->temporaries_capacity = inner.temporaries_capacity;
  return error;
}

static jm_error *build_rows(jm_scheduler *s, bool *fits) {
  const jm_region *region = s->region;
  jm_rows rows;
  jm_module *one;
  JM_TRY(jm_rows_find(s->m, region->ops, region->n_ops, region->results, region->n_results,
                      &s->scratch, &rows));
  *fits = rows.count > 0;
  if (!*fits) return NULL;
  JM_TRY(jm_rows_build(s->m, s->region, &rows, &one));
  jm_error *error = build_one(s, &rows, one);
  jm_module_destroy(one);
  return error;
}

jm_error *jm_schedule_loop(jm_scheduler *s, bool *fits) {
  if (!has_loop(s)) return NULL;
  if (s->target->lanes == JM_BIND_THREADS) return build_rows(s, fits);
  *fits = s->target->has_loops && jm_loop_region_fits(s->target, s->m, s->region);
  return *fits ? build(s, NULL) : NULL;
}

jm_error *jm_schedule_loop_fits(const jm_target *target, const jm_module *module, const jm_op *op,
                                bool *fits) {
  *fits = false;
  if (op->code != JM_OP_while) return NULL;
  if (target->lanes == JM_BIND_THREADS) return jm_rows_fit(target, module, op, fits);
  if (!target->has_loops) return NULL;
  for (uint32_t r = 0; r < op->n_regions; r++)
    if (!jm_loop_region_fits(target, module, jm_op_region(module, op, r))) return NULL;
  for (uint32_t k = 0; k < op->n_operands; k++) {
    const jm_type *type = jm_op_operand_type(module, op, k);
    if (type->rank > JM_LOOP_RANK || type->dtype == JM_DT_token) return NULL;
  }
  *fits = true;
  return NULL;
}
