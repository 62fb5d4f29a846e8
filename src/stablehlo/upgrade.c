/* SPDX-License-Identifier: Apache-2.0
 * Rules of ops that StableHLO keeps for old programs or for dynamic shapes: each is equivalent to
 * one or two other ops. */
#include <inttypes.h>
#include <string.h>

#include "stablehlo/reader.h"

static jm_error *make_range(jm_vhlo *v, int64_t from, uint32_t n, int64_t **out) {
  JM_TRY(jm_vhlo_make_list(v, n, out));
  for (uint32_t i = 0; i < n; i++) (*out)[i] = from + i;
  return NULL;
}

/* -- products */

/* New dimensions in front. */
jm_error *jm_vhlo_read_broadcast(jm_vhlo *v, const jm_wire_op *op) {
  jm_i64s sizes = {0};
  jm_value operand = JM_NONE;
  int64_t *dims = NULL;
  JM_TRY(jm_vhlo_arity(op, 1, 1, 0));
  JM_TRY(jm_vhlo_i64s(v, op, "broadcast_sizes", &sizes));
  JM_TRY(jm_vhlo_operand(v, op, 0, &operand));
  uint32_t rank = jm_vhlo_typeof(v, operand)->rank;
  JM_TRY(make_range(v, sizes.n, rank, &dims));
  jm_broadcast_in_dim_attrs attrs = {.dims = {dims, rank}};
  return jm_vhlo_build(v, op, JM_OP_broadcast_in_dim, &operand, 1, &attrs, false);
}

/* The last dimension of lhs with the first of rhs. */
jm_error *jm_vhlo_read_dot(jm_vhlo *v, const jm_wire_op *op) {
  jm_dot_general_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  jm_value *operands = NULL;
  int64_t *lhs = NULL, *rhs = NULL;
  JM_TRY(jm_vhlo_arity(op, 2, 1, 0));
  JM_TRY(jm_vhlo_fields(v, op, JM_OP_dot_general, &attrs));
  JM_TRY(jm_vhlo_operands(v, op, &operands));
  uint32_t rank = jm_vhlo_typeof(v, operands[0])->rank;
  if (!rank || !jm_vhlo_typeof(v, operands[1])->rank)
    return jm_error_invalid("an operand is a scalar");
  JM_TRY(make_range(v, rank - 1, 1, &lhs));
  JM_TRY(make_range(v, 0, 1, &rhs));
  attrs.lhs_contract = (jm_i64s){lhs, 1};
  attrs.rhs_contract = (jm_i64s){rhs, 1};
  return jm_vhlo_build(v, op, JM_OP_dot_general, operands, 2, &attrs, false);
}

enum { MAX_LABELS = 64 };

/* The labels of an operand or the result: one letter per dimension. */
typedef struct labels {
  char letters[MAX_LABELS];
  uint32_t n;
} labels;

static jm_error *read_labels(const char **at, const char *end, labels *out) {
  const char *start = *at;
  size_t n = 0;
  while (start + n < end && start[n] != ',' && start[n] != '-') n++;
  if (n > MAX_LABELS) return jm_error_unimplemented("an einsum of more than %d labels", MAX_LABELS);
  for (size_t i = 0; i < n; i++) {
    char c = start[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
      return jm_error_unimplemented("the einsum label '%c'", c);
    if (memchr(start, c, i)) return jm_error_unimplemented("an einsum's diagonal");
    out->letters[i] = c;
  }
  out->n = (uint32_t)n;
  *at = start + n;
  return NULL;
}

static jm_error *read_einsum(jm_vhlo *v, const jm_wire_op *op, uint32_t n, labels *operands,
                             labels *result) {
  jm_str config = {0};
  JM_TRY(jm_vhlo_string(v, op, "einsum_config", &config));
  const char *at = config.bytes, *end = at + config.size;
  for (uint32_t i = 0; i < n; i++) {
    JM_TRY(read_labels(&at, end, &operands[i]));
    const char *next = i + 1 < n ? "," : "->";
    if ((size_t)(end - at) < strlen(next) || memcmp(at, next, strlen(next)))
      return jm_error_invalid("einsum_config '%.64s' is malformed", config.bytes);
    at += strlen(next);
  }
  JM_TRY(read_labels(&at, end, result));
  if (at != end) return jm_error_invalid("einsum_config '%.64s' is malformed", config.bytes);
  return NULL;
}

static int64_t find_label(const labels *in, char letter) {
  const char *at = memchr(in->letters, letter, in->n);
  return at ? at - in->letters : -1;
}

/* A transpose from dimensions with these labels to the result's. */
static jm_error *order(jm_vhlo *v, const jm_wire_op *op, jm_value value, const labels *from,
                       const labels *to) {
  int64_t *permutation = NULL;
  if (from->n != to->n) return jm_error_invalid("an einsum's result has a label of no operand");
  JM_TRY(jm_vhlo_make_list(v, to->n, &permutation));
  for (uint32_t i = 0; i < to->n; i++)
    if ((permutation[i] = find_label(from, to->letters[i])) < 0)
      return jm_error_invalid("an einsum's result has a label of no operand");
  const jm_transpose_attrs attrs = {.permutation = {permutation, to->n}};
  return jm_vhlo_build(v, op, JM_OP_transpose, &value, 1, &attrs, false);
}

typedef struct product {
  int64_t lhs_batch[MAX_LABELS], rhs_batch[MAX_LABELS], lhs_contract[MAX_LABELS],
      rhs_contract[MAX_LABELS];
  uint32_t n_batch, n_contract;
  labels order;                  /* of the dot's result */
  int64_t sizes[2 * MAX_LABELS]; /* of those */
} product;

static jm_error *add_label(product *p, char letter, int64_t size) {
  if (p->order.n == MAX_LABELS)
    return jm_error_unimplemented("an einsum of more than %d labels", MAX_LABELS);
  p->sizes[p->order.n] = size;
  p->order.letters[p->order.n++] = letter;
  return NULL;
}

static jm_error *plan_product(const labels *in, const labels *result, const jm_type *const *types,
                              product *p) {
  *p = (product){.n_batch = 0};
  for (uint32_t i = 0; i < in[0].n; i++) {
    char c = in[0].letters[i];
    int64_t k = find_label(&in[1], c);
    if (k < 0) continue;
    if (find_label(result, c) < 0) {
      p->lhs_contract[p->n_contract] = i;
      p->rhs_contract[p->n_contract++] = k;
      continue;
    }
    p->lhs_batch[p->n_batch] = i;
    p->rhs_batch[p->n_batch++] = k;
    JM_TRY(add_label(p, c, types[0]->dims[i]));
  }
  for (uint32_t side = 0; side < 2; side++)
    for (uint32_t i = 0; i < in[side].n; i++) {
      char c = in[side].letters[i];
      if (find_label(&in[1 - side], c) >= 0) continue;
      if (find_label(result, c) < 0)
        return jm_error_unimplemented("an einsum that sums operand %u", side);
      JM_TRY(add_label(p, c, types[side]->dims[i]));
    }
  return NULL;
}

static jm_error *copy_list(jm_vhlo *v, const int64_t *list, uint32_t n, jm_i64s *out) {
  int64_t *copy = NULL;
  JM_TRY(jm_vhlo_make_list(v, n, &copy));
  if (n) memcpy(copy, list, n * sizeof *list);
  *out = (jm_i64s){copy, n};
  return NULL;
}

jm_error *jm_vhlo_read_einsum(jm_vhlo *v, const jm_wire_op *op) {
  labels in[2], result;
  product p;
  jm_value *operands = NULL, dot = JM_NONE;
  const jm_type *types[2], *declared = NULL, *type = NULL;
  JM_TRY(jm_vhlo_arity(op, 2, 1, 0));
  JM_TRY(read_einsum(v, op, 2, in, &result));
  JM_TRY(jm_vhlo_operands(v, op, &operands));
  JM_TRY(jm_vhlo_result_type(v, op, 0, &declared));
  for (uint32_t i = 0; i < 2; i++) {
    types[i] = jm_vhlo_typeof(v, operands[i]);
    if (types[i]->rank != in[i].n) return jm_error_invalid("einsum_config has another rank");
  }
  JM_TRY(plan_product(in, &result, types, &p));
  jm_dot_general_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  JM_TRY(copy_list(v, p.lhs_batch, p.n_batch, &attrs.lhs_batch));
  JM_TRY(copy_list(v, p.rhs_batch, p.n_batch, &attrs.rhs_batch));
  JM_TRY(copy_list(v, p.lhs_contract, p.n_contract, &attrs.lhs_contract));
  JM_TRY(copy_list(v, p.rhs_contract, p.n_contract, &attrs.rhs_contract));
  JM_TRY(jm_module_type(v->m, declared->dtype, p.order.n, p.sizes, &type));
  JM_TRY(jm_vhlo_emit(v, op, JM_OP_dot_general, operands, 2, &attrs, type, &dot));
  return order(v, op, dot, &p.order, &result);
}

jm_error *jm_vhlo_read_unary_einsum(jm_vhlo *v, const jm_wire_op *op) {
  labels in, result, kept = {.n = 0};
  jm_value operand = JM_NONE, sum = JM_NONE;
  int64_t *dims = NULL;
  uint32_t n = 0;
  JM_TRY(jm_vhlo_arity(op, 1, 1, 0));
  JM_TRY(read_einsum(v, op, 1, &in, &result));
  JM_TRY(jm_vhlo_operand(v, op, 0, &operand));
  if (jm_vhlo_typeof(v, operand)->rank != in.n)
    return jm_error_invalid("einsum_config has another rank");
  JM_TRY(jm_vhlo_make_list(v, in.n, &dims));
  for (uint32_t i = 0; i < in.n; i++)
    if (find_label(&result, in.letters[i]) < 0)
      dims[n++] = i;
    else
      kept.letters[kept.n++] = in.letters[i];
  sum = operand;
  if (n) JM_TRY(jm_vhlo_sum(v, op, operand, (jm_i64s){dims, n}, &sum));
  return order(v, op, sum, &kept, &result);
}

/* -- a gather along one dimension */

jm_error *jm_vhlo_read_torch_index_select(jm_vhlo *v, const jm_wire_op *op) {
  int64_t dim = 0, batch = 0, *batching = NULL, *offset = NULL, *sizes = NULL, *map = NULL;
  jm_value *operands = NULL;
  JM_TRY(jm_vhlo_arity(op, 2, 1, 0));
  JM_TRY(jm_vhlo_i64(v, op, "dim", &dim));
  JM_TRY(jm_vhlo_i64(v, op, "batch_dims", &batch));
  JM_TRY(jm_vhlo_operands(v, op, &operands));
  const jm_type *from = jm_vhlo_typeof(v, operands[0]), *index = jm_vhlo_typeof(v, operands[1]);
  if (dim < 0) dim += from->rank;
  if (batch < 0) batch += index->rank;
  if (dim < 0 || dim >= from->rank || batch < 0 || batch > index->rank || batch > dim)
    return jm_error_invalid("dim %" PRId64 " or batch_dims %" PRId64 " is out of range", dim,
                            batch);
  uint32_t n_batch = (uint32_t)batch, n_offset = 0;
  JM_TRY(make_range(v, 0, n_batch, &batching));
  JM_TRY(make_range(v, dim, 1, &map));
  JM_TRY(jm_vhlo_make_list(v, from->rank, &offset));
  JM_TRY(jm_vhlo_make_list(v, from->rank, &sizes));
  for (uint32_t d = 0; d < from->rank; d++) {
    bool whole = d >= n_batch && d != dim;
    sizes[d] = whole ? from->dims[d] : 1;
    /* The indices' own dimensions stand where dim was. */
    if (whole) offset[n_offset++] = d < dim ? d : d - 1 + (int64_t)(index->rank - n_batch);
  }
  const jm_gather_attrs attrs = {.offset_dims = {offset, n_offset},
                                 .collapsed_slice_dims = {map, 1},
                                 .operand_batching_dims = {batching, n_batch},
                                 .start_indices_batching_dims = {batching, n_batch},
                                 .start_index_map = {map, 1},
                                 .index_vector_dim = index->rank,
                                 .slice_sizes = {sizes, from->rank}};
  return jm_vhlo_build(v, op, JM_OP_gather, operands, 2, &attrs, false);
}

/* -- operands that must be constants */

jm_error *jm_vhlo_read_dynamic_gather(jm_vhlo *v, const jm_wire_op *op) {
  jm_gather_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  jm_value *operands = NULL;
  JM_TRY(jm_vhlo_arity(op, 3, 1, 0));
  JM_TRY(jm_vhlo_fields(v, op, JM_OP_gather, &attrs));
  JM_TRY(jm_vhlo_constant_operand(v, op, 2, &attrs.slice_sizes));
  JM_TRY(jm_vhlo_operands(v, op, &operands));
  return jm_vhlo_build(v, op, JM_OP_gather, operands, 2, &attrs, false);
}

jm_error *jm_vhlo_read_dynamic_conv(jm_vhlo *v, const jm_wire_op *op) {
  jm_convolution_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  jm_value *operands = NULL;
  JM_TRY(jm_vhlo_arity(op, 3, 1, 0));
  JM_TRY(jm_vhlo_fields(v, op, JM_OP_convolution, &attrs));
  JM_TRY(jm_vhlo_constant_operand(v, op, 2, &attrs.padding));
  JM_TRY(jm_vhlo_operands(v, op, &operands));
  return jm_vhlo_build(v, op, JM_OP_convolution, operands, 2, &attrs, false);
}

jm_error *jm_vhlo_read_dynamic_pad(jm_vhlo *v, const jm_wire_op *op) {
  jm_pad_attrs attrs = {.low = {0}};
  jm_value *operands = NULL;
  JM_TRY(jm_vhlo_arity(op, 5, 1, 0));
  JM_TRY(jm_vhlo_constant_operand(v, op, 2, &attrs.low));
  JM_TRY(jm_vhlo_constant_operand(v, op, 3, &attrs.high));
  JM_TRY(jm_vhlo_constant_operand(v, op, 4, &attrs.interior));
  JM_TRY(jm_vhlo_operands(v, op, &operands));
  return jm_vhlo_build(v, op, JM_OP_pad, operands, 2, &attrs, false);
}

jm_error *jm_vhlo_read_real_dynamic_slice(jm_vhlo *v, const jm_wire_op *op) {
  jm_slice_attrs attrs = {.start = {0}};
  jm_value operand = JM_NONE;
  JM_TRY(jm_vhlo_arity(op, 4, 1, 0));
  JM_TRY(jm_vhlo_constant_operand(v, op, 1, &attrs.start));
  JM_TRY(jm_vhlo_constant_operand(v, op, 2, &attrs.limit));
  JM_TRY(jm_vhlo_constant_operand(v, op, 3, &attrs.stride));
  JM_TRY(jm_vhlo_operand(v, op, 0, &operand));
  return jm_vhlo_build(v, op, JM_OP_slice, &operand, 1, &attrs, false);
}

/* -- sizes, which are all static */

static jm_error *find_size(jm_vhlo *v, const jm_wire_op *op, int64_t *out) {
  int64_t dim = 0;
  jm_value operand = JM_NONE;
  JM_TRY(jm_vhlo_i64(v, op, "dimension", &dim));
  JM_TRY(jm_vhlo_operand(v, op, 0, &operand));
  const jm_type *type = jm_vhlo_typeof(v, operand);
  if (dim < 0 || dim >= type->rank) return jm_error_invalid("there is no dimension %" PRId64, dim);
  *out = type->dims[dim];
  return NULL;
}

jm_error *jm_vhlo_read_get_dimension_size(jm_vhlo *v, const jm_wire_op *op) {
  int64_t size = 0;
  const jm_type *type = NULL;
  jm_value value = JM_NONE;
  JM_TRY(jm_vhlo_arity(op, 1, 1, 0));
  JM_TRY(find_size(v, op, &size));
  JM_TRY(jm_vhlo_result_type(v, op, 0, &type));
  if (type->dtype != JM_DT_s32 || type->rank || size > INT32_MAX)
    return jm_error_invalid("a size of %" PRId64 " as another type than s32[]", size);
  int32_t narrow = (int32_t)size;
  JM_TRY(jm_build_splat(v->m, v->region, type, &narrow, jm_vhlo_location(v, op), &value));
  jm_vhlo_define(v, op, 0, value);
  return NULL;
}

/* Only to its own size. */
jm_error *jm_vhlo_read_set_dimension_size(jm_vhlo *v, const jm_wire_op *op) {
  int64_t size = 0;
  jm_i64s wanted = {0};
  JM_TRY(jm_vhlo_arity(op, 2, 1, 0));
  JM_TRY(find_size(v, op, &size));
  JM_TRY(jm_vhlo_constant_operand(v, op, 1, &wanted));
  if (wanted.n != 1 || wanted.data[0] != size)
    return jm_error_unimplemented("a dimension of %" PRId64 " made dynamic", size);
  return jm_vhlo_read_identity(v, op);
}
