/* SPDX-License-Identifier: Apache-2.0
 * Layouts that the caller has for its arrays. Every value of the IR is row-major, so that the entry
 * takes and returns the arrays as they lie in memory, and transposes are what the layouts cost:
 *
 *   module logical {(%x: f32[2,3] layout=[0,1]):
 *     %y: f32[2,3] = negate %x
 *     return %y layout=[0,1]}
 * becomes
 *   module {(%m: f32[3,2] layout=[0,1]):
 *     %x: f32[2,3] = transpose %m permutation=[1,0]
 *     %y: f32[2,3] = negate %x
 *     %r: f32[3,2] = transpose %y permutation=[1,0]
 *     return %r layout=[0,1]}
 */
#include "pass/rewrite.h"

/* order: which dimension of the array each dimension of its memory is; place: the inverse. */
static jm_error *read_order(jm_module *m, jm_i64s layout, jm_i64s *order, jm_i64s *place) {
  int64_t *to = jm_arena_alloc(&m->arena, layout.n, sizeof *to);
  int64_t *from = jm_arena_alloc(&m->arena, layout.n, sizeof *from);
  if (!to || !from) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < layout.n; i++) {
    to[i] = layout.data[layout.n - 1 - i];
    from[to[i]] = i;
  }
  *order = (jm_i64s){to, layout.n};
  *place = (jm_i64s){from, layout.n};
  return NULL;
}

static jm_error *transpose(jm_module *m, jm_region_id region, jm_value value, jm_i64s permutation,
                           jm_value *out) {
  const jm_type *from = jm_module_typeof(m, value), *type;
  const jm_transpose_attrs attrs = {.permutation = permutation};
  int64_t dims[JM_RANK_MAX];
  for (uint32_t d = 0; d < from->rank; d++) dims[d] = from->dims[permutation.data[d]];
  JM_TRY(jm_module_type(m, from->dtype, from->rank, dims, &type));
  return jm_build_one(m, region, JM_OP_transpose, &value, 1, &attrs, type, JM_NONE, out);
}

/* The type of an array as it lies in memory. */
static jm_error *stored_type(jm_module *m, const jm_type *type, jm_i64s layout,
                             const jm_type **out) {
  int64_t dims[JM_RANK_MAX];
  *out = type;
  if (!layout.n) return NULL;
  for (uint32_t i = 0; i < type->rank; i++) dims[i] = type->dims[layout.data[type->rank - 1 - i]];
  return jm_module_type(m, type->dtype, type->rank, dims, out);
}

static jm_error *build_arguments(jm_module *m, jm_region_id from, jm_region_id to, jm_value *map) {
  const jm_value first = jm_module_region(m, from)->first_arg;
  const uint32_t n = jm_module_region(m, from)->n_args;
  const jm_type *type;
  jm_i64s order, place;
  for (uint32_t i = 0; i < n; i++) {
    JM_TRY(stored_type(m, jm_module_typeof(m, first + i), m->arguments[i].layout, &type));
    JM_TRY(jm_build_arg(m, to, type, &map[first + i]));
  }
  for (uint32_t i = 0; i < n; i++) {
    if (!m->arguments[i].layout.n) continue;
    JM_TRY(read_order(m, m->arguments[i].layout, &order, &place));
    JM_TRY(transpose(m, to, map[first + i], place, &map[first + i]));
  }
  return NULL;
}

/* Where the caller leaves the choice, the layout in which a transpose that makes the result moves
 * nothing: what is transposed lies in memory as it is. */
static jm_error *choose_layout(jm_module *m, jm_value result, jm_i64s *out) {
  const jm_op *op = jm_module_definition(m, result);
  if (!op || op->code != JM_OP_transpose) return NULL;
  const jm_i64s permutation = ((const jm_transpose_attrs *)op->attrs)->permutation;
  int64_t *layout = jm_arena_alloc(&m->arena, permutation.n, sizeof *layout);
  if (!layout) return jm_error_out_of_memory();
  for (uint32_t d = 0; d < permutation.n; d++) layout[permutation.n - 1 - permutation.data[d]] = d;
  *out = (jm_i64s){layout, permutation.n};
  return NULL;
}

static jm_error *build_results(jm_module *m, jm_region_id from, jm_region_id to,
                               const jm_value *map) {
  const uint32_t n = jm_module_region(m, from)->n_results;
  jm_value *results = jm_arena_alloc(&m->arena, n, sizeof *results);
  jm_i64s order, place;
  if (!results) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) {
    const jm_value result = jm_module_region(m, from)->results[i];
    results[i] = map[result];
    if (m->results[i].any_layout) JM_TRY(choose_layout(m, result, &m->results[i].layout));
    m->results[i].any_layout = false;
    if (!m->results[i].layout.n) continue;
    JM_TRY(read_order(m, m->results[i].layout, &order, &place));
    JM_TRY(transpose(m, to, results[i], order, &results[i]));
  }
  return jm_build_results(m, to, results, n);
}

jm_error *jm_pass_entry(jm_module *m, const jm_pass_options *options, bool *changed) {
  (void)options;
  if (!m->logical) return NULL;
  if (m->whole) return jm_error_invalid("layouts are those of parts: partition comes first");
  const jm_region_id from = m->entry;
  jm_region_id to;
  jm_value *map = jm_alloc(m->n_values, sizeof *map);
  if (!map) return jm_error_out_of_memory();
  jm_error *error = jm_build_region(m, &to);
  if (!error) error = build_arguments(m, from, to, map);
  if (!error) error = jm_build_clone(m, from, to, map);
  if (!error) error = build_results(m, from, to, map);
  jm_free(map);
  m->entry = to;
  m->logical = false;
  *changed = true;
  return error;
}
