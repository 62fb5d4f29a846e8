/* SPDX-License-Identifier: Apache-2.0
 * The loop of one row, as a module of its own:
 *
 *   (%h: f32[16,64], %w: f32[64,256])  %g = dot_general %h, %w  ->  f32[16,256]
 * becomes, for rows along dimension 0 of %h and %g,
 *   (%h: f32[1,64], %w: f32[64,256])  %g = dot_general %h, %w  ->  f32[1,256]
 */
#include "ir/build.h"
#include "ir/verify.h"
#include "kernel/schedule/rows.h"

typedef struct cloning {
  const jm_module *from;
  const jm_rows *rows;
  jm_module *to;
  jm_value *map; /* per value of from */
} cloning;

static jm_error *type_of_row(cloning *c, jm_value v, const jm_type **out) {
  const jm_type *type = jm_module_typeof(c->from, v);
  int64_t dims[JM_RANK_MAX];
  for (uint32_t d = 0; d < type->rank; d++) dims[d] = d == c->rows->dims[v] ? 1 : type->dims[d];
  return jm_module_type(c->to, type->dtype, type->rank, dims, out);
}

/* A list of attributes with 1 in one place. */
static jm_error *list_with_one(cloning *c, jm_i64s list, uint32_t d, jm_i64s *out) {
  int64_t *copy = jm_arena_copy(&c->to->arena, list.data, list.n, sizeof *copy);
  if (!copy) return jm_error_out_of_memory();
  copy[d] = 1;
  *out = (jm_i64s){copy, list.n};
  return NULL;
}

/* Only slices say sizes of dimensions in their attributes, and along rows they are whole. */
static jm_error *attrs_fit(cloning *c, const jm_op *op, void *attrs) {
  const uint32_t d = op->n_results ? c->rows->dims[op->first_result] : JM_NONE;
  if (d == JM_NONE) return NULL;
  if (op->code == JM_OP_slice) {
    jm_slice_attrs *a = attrs;
    return list_with_one(c, a->limit, d, &a->limit);
  }
  if (op->code == JM_OP_dynamic_slice) {
    jm_dynamic_slice_attrs *a = attrs;
    return list_with_one(c, a->sizes, d, &a->sizes);
  }
  return NULL;
}

static jm_error *clone_ops(cloning *c, const jm_region *from, jm_region_id to);

static jm_error *clone_region(cloning *c, const jm_region *from, jm_region_id to) {
  const jm_type *type;
  for (uint32_t i = 0; i < from->n_args; i++) {
    JM_TRY(type_of_row(c, from->first_arg + i, &type));
    JM_TRY(jm_build_arg(c->to, to, type, &c->map[from->first_arg + i]));
  }
  JM_TRY(clone_ops(c, from, to));
  jm_value *results = jm_arena_alloc(&c->to->arena, from->n_results, sizeof *results);
  if (!results) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < from->n_results; i++) results[i] = c->map[from->results[i]];
  return jm_build_results(c->to, to, results, from->n_results);
}

static jm_error *clone_op(cloning *c, const jm_op *op, jm_region_id to) {
  jm_arena *arena = &c->to->arena;
  jm_value *operands = jm_arena_alloc(arena, op->n_operands, sizeof *operands);
  const jm_type **types = jm_arena_alloc(arena, op->n_results, sizeof *types);
  void *attrs = jm_arena_copy(arena, op->attrs, 1, jm_op_facts[op->code].attrs_size);
  if (!operands || !types || !attrs) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < op->n_operands; i++) operands[i] = c->map[op->operands[i]];
  for (uint32_t i = 0; i < op->n_results; i++)
    JM_TRY(type_of_row(c, op->first_result + i, &types[i]));
  JM_TRY(attrs_fit(c, op, attrs));
  jm_op_spec spec = jm_op_spec_like(op, operands, types);
  spec.attrs = attrs;
  spec.loc = JM_NONE; /* locations are the other module's */
  jm_op_id id;
  JM_TRY(jm_build_op(c->to, to, &spec, &id));
  for (uint32_t i = 0; i < op->n_results; i++)
    c->map[op->first_result + i] = jm_module_op(c->to, id)->first_result + i;
  const jm_region_id first = jm_module_op(c->to, id)->first_region;
  for (uint32_t i = 0; i < op->n_regions; i++)
    JM_TRY(clone_region(c, jm_op_region(c->from, op, i), first + i));
  return NULL;
}

static jm_error *clone_ops(cloning *c, const jm_region *from, jm_region_id to) {
  for (uint32_t i = 0; i < from->n_ops; i++)
    JM_TRY(clone_op(c, jm_module_op(c->from, from->ops[i]), to));
  return NULL;
}

static jm_error *build(cloning *c, const jm_region *region) {
  jm_module *m = c->to;
  c->map = jm_arena_alloc(&m->arena, c->from->n_values, sizeof *c->map);
  m->arguments = jm_arena_alloc(&m->arena, region->n_args + 1, sizeof *m->arguments);
  m->results = jm_arena_alloc(&m->arena, region->n_results + 1, sizeof *m->results);
  if (!c->map || !m->arguments || !m->results) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < region->n_args; i++) m->arguments[i].alias = -1;
  JM_TRY(jm_build_region(m, &m->entry));
  JM_TRY(clone_region(c, region, m->entry));
  return jm_error_note(jm_module_verify(m), "in the loop of one row");
}

jm_error *jm_rows_build(const jm_module *m, const jm_region *region, const jm_rows *rows,
                        jm_module **out) {
  jm_module *one;
  JM_TRY(jm_module_create(&one));
  cloning c = {.from = m, .rows = rows, .to = one};
  jm_error *error = build(&c, region);
  if (error) {
    jm_module_destroy(one);
    return error;
  }
  *out = one;
  return NULL;
}
