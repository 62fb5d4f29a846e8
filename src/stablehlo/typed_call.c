/* SPDX-License-Identifier: Apache-2.0
 * Custom calls with layouts and shared memory. In the IR every value is row-major: an operand that
 * a call requires in another order is transposed before the call, a result after it, and the call
 * keeps the order so that its handler gets the right dimensions.
 *
 *   c = custom_call a, layouts of a and c column-major
 *   t = transpose a;  u = custom_call t layouts=[0,1,0,1];  c = transpose u */
#include <string.h>

#include "stablehlo/reader.h"

typedef struct layouts {
  int64_t *order; /* of each value, its dimensions from the fastest on */
  uint32_t n;
  bool row_major;
} layouts;

/* The layouts of n values; absent ones are row-major. */
static jm_error *read_layouts(jm_vhlo *v, const jm_wire_op *op, const char *name,
                              const jm_type *const *types, uint32_t n, layouts *out) {
  const jm_wire_attr *list;
  JM_TRY(jm_vhlo_find(v, op, name, &list));
  if (list && list->kind != JM_WIRE_ARRAY) return jm_error_invalid("%s is not a list", name);
  if (list && !list->n_attrs) list = NULL; /* how its absence is written */
  if (list && list->n_attrs != n)
    return jm_error_invalid("%s has %u entries for %u values", name, list->n_attrs, n);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t rank = types[i]->rank;
    const jm_wire_attr *layout = NULL;
    if (list) JM_TRY(jm_bytecode_read_attr(v->b, list->attrs[i], &layout));
    if (layout && layout->kind != JM_WIRE_TENSOR)
      return jm_error_invalid("a layout is not a tensor");
    if (layout && layout->n_bytes != 8 * (size_t)rank && !(layout->n_bytes == 0 && rank == 0))
      return jm_error_invalid("a layout of %s has another rank than its value", name);
    uint64_t seen = 0;
    for (uint32_t k = 0; k < rank; k++) {
      int64_t dim = rank - 1 - k;
      if (layout) memcpy(&dim, layout->bytes + 8 * (size_t)k, sizeof dim);
      if (dim < 0 || dim >= rank || dim >= 64 || seen >> dim & 1)
        return jm_error_invalid("a layout of %s is no permutation", name);
      seen |= UINT64_C(1) << dim;
      out->row_major &= dim == (int64_t)(rank - 1 - k);
      out->order[out->n++] = dim;
    }
  }
  return NULL;
}

/* From the dimensions of a value to those of its memory, slowest first; or back. */
static jm_error *permute(jm_vhlo *v, const jm_wire_op *op, jm_value value, const int64_t *order,
                         const jm_type *to, bool back, jm_value *out) {
  int64_t *permutation = NULL;
  uint32_t rank = to->rank;
  JM_TRY(jm_vhlo_make_list(v, rank, &permutation));
  for (uint32_t k = 0; k < rank; k++) {
    int64_t dim = order[rank - 1 - k];
    if (back)
      permutation[dim] = k;
    else
      permutation[k] = dim;
  }
  const jm_transpose_attrs attrs = {.permutation = {permutation, rank}};
  return jm_vhlo_emit(v, op, JM_OP_transpose, &value, 1, &attrs, to, out);
}

static jm_error *memory_type(jm_vhlo *v, const jm_type *type, const int64_t *order,
                             const jm_type **out) {
  int64_t *dims = NULL;
  JM_TRY(jm_vhlo_make_list(v, type->rank, &dims));
  for (uint32_t k = 0; k < type->rank; k++) dims[k] = type->dims[order[type->rank - 1 - k]];
  return jm_module_type(v->m, type->dtype, type->rank, dims, out);
}

static jm_error *build_permuted(jm_vhlo *v, const jm_wire_op *op, jm_value *operands,
                                const jm_type *const *types, const layouts *all,
                                const jm_custom_call_attrs *attrs) {
  uint32_t n = op->n_operands;
  const int64_t *order = all->order;
  for (uint32_t i = 0; i < n; order += types[i++]->rank) {
    const jm_type *type = NULL;
    JM_TRY(memory_type(v, types[i], order, &type));
    if (types[i]->rank > 1) JM_TRY(permute(v, op, operands[i], order, type, false, &operands[i]));
  }
  const jm_type **results = jm_arena_alloc(&v->scratch, op->n_results + 1u, sizeof *results);
  if (!results) return jm_error_out_of_memory();
  const int64_t *of_results = order;
  for (uint32_t i = 0; i < op->n_results; order += types[n + i++]->rank)
    JM_TRY(memory_type(v, types[n + i], order, &results[i]));
  const jm_op_spec spec = {.code = JM_OP_custom_call,
                           .operands = operands,
                           .n_operands = n,
                           .result_types = results,
                           .n_results = op->n_results,
                           .attrs = attrs,
                           .loc = jm_vhlo_location(v, op)};
  jm_op_id id = JM_NONE;
  JM_TRY(jm_build_op(v->m, v->region, &spec, &id));
  order = of_results;
  for (uint32_t i = 0; i < op->n_results; order += types[n + i++]->rank) {
    jm_value value = v->m->ops[id].first_result + i;
    if (types[n + i]->rank > 1) JM_TRY(permute(v, op, value, order, types[n + i], true, &value));
    jm_vhlo_define(v, op, i, value);
  }
  return NULL;
}

/* The operand that each result shares memory with: only whole values, no elements of tuples. */
static jm_error *read_aliases(jm_vhlo *v, const jm_wire_op *op, jm_i64s *out) {
  const jm_wire_attr *list, *alias;
  JM_TRY(jm_vhlo_find(v, op, "output_operand_aliases", &list));
  if (!list || (list->kind == JM_WIRE_ARRAY && !list->n_attrs)) return NULL;
  if (list->kind != JM_WIRE_ARRAY) return jm_error_invalid("output_operand_aliases is no list");
  int64_t *from = NULL;
  JM_TRY(jm_vhlo_make_list(v, op->n_results, &from));
  for (uint32_t i = 0; i < op->n_results; i++) from[i] = -1;
  for (uint32_t i = 0; i < list->n_attrs; i++) {
    JM_TRY(jm_bytecode_read_attr(v->b, list->attrs[i], &alias));
    if (alias->kind != JM_WIRE_RECORD || alias->code != JM_WIRE_VHLO_OUTPUT_ALIAS ||
        alias->n_ints < 3)
      return jm_error_invalid("an entry of output_operand_aliases is none");
    int64_t n = alias->ints[0], result = n == 1 ? alias->ints[1] : 0;
    if (n < 0 || n > 1 || alias->n_ints != n + 3 || alias->ints[n + 2] != 0)
      return jm_error_unimplemented("output_operand_aliases of nested tuples");
    if (result < 0 || result >= op->n_results)
      return jm_error_invalid("output_operand_aliases names no result");
    from[result] = alias->ints[n + 1];
  }
  *out = (jm_i64s){from, op->n_results};
  return NULL;
}

jm_error *jm_vhlo_build_typed_call(jm_vhlo *v, const jm_wire_op *op, jm_value *operands,
                                   jm_custom_call_attrs *attrs) {
  uint32_t n = op->n_operands + op->n_results, total = 0;
  const jm_type **types = jm_arena_alloc(&v->scratch, n + 1u, sizeof *types);
  if (!types) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) {
    if (i < op->n_operands)
      types[i] = jm_vhlo_typeof(v, operands[i]);
    else
      JM_TRY(jm_vhlo_result_type(v, op, i - op->n_operands, &types[i]));
    total += types[i]->rank;
  }
  JM_TRY(jm_vhlo_charge(v, n + total / JM_VHLO_PER_ITEMS));
  layouts all = {.row_major = true};
  JM_TRY(jm_vhlo_make_list(v, total, &all.order));
  JM_TRY(read_layouts(v, op, "operand_layouts", types, op->n_operands, &all));
  JM_TRY(read_layouts(v, op, "result_layouts", types + op->n_operands, op->n_results, &all));
  JM_TRY(read_aliases(v, op, &attrs->aliases));
  if (all.row_major)
    return jm_vhlo_build(v, op, JM_OP_custom_call, operands, op->n_operands, attrs, false);
  attrs->layouts = (jm_i64s){all.order, all.n};
  return build_permuted(v, op, operands, types, &all, attrs);
}
