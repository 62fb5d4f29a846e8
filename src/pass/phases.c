/* SPDX-License-Identifier: Apache-2.0
 * A convolution with a dilated input (the gradient of a strided convolution) becomes one plain
 * convolution per phase: outputs whose index is the same modulo the dilation d meet the same taps
 * of the kernel, k0, k0 + d, ..., and together they are a convolution without dilation. For targets
 * whose library multiplies the zeros between the elements.
 *
 *   %y: f32[1,8,1] = convolution %x, %w lhs_dilation=[2] ...      // %x: f32[1,4,1], %w: f32[3,1,1]
 * becomes
 *   %w0 = slice %w start=[1] strides=[2]
 *   %y0: f32[1,4,1] = convolution %x, %w0 ...                     // y[0], y[2], y[4], y[6]
 *   %w1 = slice %w start=[0] strides=[2]
 *   %y1: f32[1,4,1] = convolution %x, %w1 ...                     // y[1], y[3], y[5], y[7]
 *   %y = reshape (concatenate (reshape %y0), (reshape %y1) dim=2)
 *
 * One spatial dimension at a time, the others by recursion. Dimensions with a stride or a dilated
 * kernel stay (JAX makes none with a dilated input). No element is multiplied by an inserted zero,
 * so that an infinity of the kernel does not become NaN there; the library agrees. */
#include <string.h>

#include "pass/rewrite.h"

enum {
  MOST_RANK = 8,
  /* Products of a convolution below which further launches cost more than they save. */
  LEAST_PRODUCTS = 1 << 16,
};

/* A convolution that is being built: not yet an op. */
typedef struct convolution {
  jm_value input, kernel;
  const jm_type *type; /* of the result */
  jm_convolution_attrs attrs;
  uint32_t loc;
} convolution;

/* -- shapes */

static jm_error *retype(jm_rewrite *rw, const jm_type *type, int64_t dim, int64_t size,
                        const jm_type **out) {
  int64_t dims[MOST_RANK];
  memcpy(dims, type->dims, type->rank * sizeof *dims);
  dims[dim] = size;
  return jm_module_type(rw->m, type->dtype, type->rank, dims, out);
}

static jm_error *set_value(jm_rewrite *rw, jm_i64s *list, uint32_t i, int64_t value) {
  int64_t *data = jm_arena_copy(&rw->m->arena, list->data, list->n, sizeof *data);
  if (!data) return jm_error_out_of_memory();
  data[i] = value;
  list->data = data;
  return NULL;
}

/* -- one phase */

/* The `count` taps first, first + d, ... of the kernel along one of its dimensions. */
static jm_error *slice_kernel(jm_rewrite *rw, jm_region_id region, const convolution *c,
                              int64_t dim, int64_t first, int64_t d, int64_t count, bool reversed,
                              jm_value *out) {
  const jm_type *from = jm_module_typeof(rw->m, c->kernel), *type;
  int64_t *lists = jm_arena_alloc(&rw->m->arena, 3 * (size_t)from->rank, sizeof *lists);
  if (!lists) return jm_error_out_of_memory();
  int64_t *start = lists, *limit = lists + from->rank, *strides = lists + 2 * from->rank;
  for (uint32_t i = 0; i < from->rank; i++) limit[i] = from->dims[i], strides[i] = 1;
  const int64_t last = first + (count - 1) * d;
  start[dim] = reversed ? from->dims[dim] - 1 - last : first;
  limit[dim] = start[dim] + last - first + 1;
  strides[dim] = d;
  JM_TRY(retype(rw, from, dim, count, &type));
  const jm_slice_attrs attrs = {
      .start = {start, from->rank}, .limit = {limit, from->rank}, .stride = {strides, from->rank}};
  return jm_build_one(rw->m, region, JM_OP_slice, &c->kernel, 1, &attrs, type, c->loc, out);
}

static jm_error *build(jm_rewrite *rw, jm_region_id region, const convolution *c, jm_value *out);

static jm_error *build_zeros(jm_rewrite *rw, jm_region_id region, const jm_type *type, uint32_t loc,
                             jm_value *out) {
  static const uint8_t zero[16];
  return jm_build_splat(rw->m, region, type, zero, loc, out);
}

/* The `count` outputs p, p + d, ... along spatial dimension s; the last may be beyond the end. */
static jm_error *build_phase(jm_rewrite *rw, jm_region_id region, const convolution *c, uint32_t s,
                             int64_t p, int64_t count, jm_value *out) {
  const jm_convolution_attrs *a = &c->attrs;
  const int64_t d = a->lhs_dilation.data[s], low = a->padding.data[2 * s];
  const int64_t kernel_dim = a->kernel_spatial.data[s];
  const int64_t taps = jm_module_typeof(rw->m, c->kernel)->dims[kernel_dim];
  const int64_t size = jm_module_typeof(rw->m, c->input)->dims[a->input_spatial.data[s]];
  const int64_t first = ((low - p) % d + d) % d; /* the tap that meets an element at output p */
  const int64_t n = first < taps ? (taps - first + d - 1) / d : 0;
  convolution phase = *c;
  JM_TRY(retype(rw, c->type, a->output_spatial.data[s], count, &phase.type));
  if (!n) return build_zeros(rw, region, phase.type, c->loc, out);
  JM_TRY(slice_kernel(rw, region, c, kernel_dim, first, d, n, a->reversal.data[s], &phase.kernel));
  const int64_t before = (low - p - first) / d; /* exact */
  JM_TRY(set_value(rw, &phase.attrs.lhs_dilation, s, 1));
  JM_TRY(set_value(rw, &phase.attrs.padding, 2 * s, before));
  JM_TRY(set_value(rw, &phase.attrs.padding, 2 * s + 1, count + n - 1 - size - before));
  return build(rw, region, &phase, out);
}

/* -- all phases of a dimension */

/* A phase with a dimension of size 1 inserted after the one that has phases. */
static jm_error *reshape_phase(jm_rewrite *rw, jm_region_id region, jm_value v, int64_t dim,
                               uint32_t loc, jm_value *out) {
  const jm_type *from = jm_module_typeof(rw->m, v), *type;
  int64_t dims[MOST_RANK + 1];
  for (uint32_t i = 0, k = 0; i < from->rank; i++) {
    dims[k++] = from->dims[i];
    if (i == dim) dims[k++] = 1;
  }
  JM_TRY(jm_module_type(rw->m, from->dtype, from->rank + 1, dims, &type));
  return jm_build_one(rw->m, region, JM_OP_reshape, &v, 1, NULL, type, loc, out);
}

/* Concatenates [.., count, 1, ..] of each phase to [.., count * d, ..] and slices off the outputs
 * beyond the end. */
static jm_error *interleave(jm_rewrite *rw, jm_region_id region, const convolution *c, int64_t dim,
                            const jm_value *phases, uint32_t d, jm_value *out) {
  const jm_type *one = jm_module_typeof(rw->m, phases[0]), *joined, *flat;
  int64_t dims[MOST_RANK + 1];
  memcpy(dims, one->dims, one->rank * sizeof *dims);
  dims[dim + 1] = d;
  JM_TRY(jm_module_type(rw->m, one->dtype, one->rank, dims, &joined));
  const jm_concatenate_attrs attrs = {.dim = dim + 1};
  JM_TRY(jm_build_one(rw->m, region, JM_OP_concatenate, phases, d, &attrs, joined, c->loc, out));
  const int64_t size = one->dims[dim] * d;
  JM_TRY(retype(rw, c->type, dim, size, &flat));
  JM_TRY(jm_build_one(rw->m, region, JM_OP_reshape, out, 1, NULL, flat, c->loc, out));
  if (size == c->type->dims[dim]) return NULL;
  const uint32_t rank = c->type->rank;
  int64_t *lists = jm_arena_alloc(&rw->m->arena, 3 * (size_t)rank, sizeof *lists);
  if (!lists) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < rank; i++) lists[rank + i] = c->type->dims[i], lists[2 * rank + i] = 1;
  const jm_slice_attrs slice = {
      .start = {lists, rank}, .limit = {lists + rank, rank}, .stride = {lists + 2 * rank, rank}};
  return jm_build_one(rw->m, region, JM_OP_slice, out, 1, &slice, c->type, c->loc, out);
}

static jm_error *build_phases(jm_rewrite *rw, jm_region_id region, const convolution *c, uint32_t s,
                              jm_value *out) {
  const uint32_t d = (uint32_t)c->attrs.lhs_dilation.data[s];
  const int64_t dim = c->attrs.output_spatial.data[s];
  const int64_t count = (c->type->dims[dim] + d - 1) / d;
  jm_value *phases = jm_arena_alloc(&rw->m->arena, d, sizeof *phases);
  if (!phases) return jm_error_out_of_memory();
  for (uint32_t p = 0; p < d; p++) {
    JM_TRY(build_phase(rw, region, c, s, p, count, &phases[p]));
    JM_TRY(reshape_phase(rw, region, phases[p], dim, c->loc, &phases[p]));
  }
  return interleave(rw, region, c, dim, phases, d, out);
}

/* The first spatial dimension with phases, attrs->lhs_dilation.n if there is none. */
static uint32_t find_dilated(const jm_convolution_attrs *a) {
  uint32_t s = 0;
  while (s < a->lhs_dilation.n &&
         (a->lhs_dilation.data[s] == 1 || a->strides.data[s] != 1 || a->rhs_dilation.data[s] != 1))
    s++;
  return s;
}

static jm_error *build(jm_rewrite *rw, jm_region_id region, const convolution *c, jm_value *out) {
  const uint32_t s = find_dilated(&c->attrs);
  if (s < c->attrs.lhs_dilation.n) return build_phases(rw, region, c, s, out);
  const jm_value operands[] = {c->input, c->kernel};
  return jm_build_one(rw->m, region, JM_OP_convolution, operands, 2, &c->attrs, c->type, c->loc,
                      out);
}

/* Are there outputs and taps for each phase, and enough work? */
static bool pays(const jm_module *m, const jm_op *op) {
  const jm_convolution_attrs *a = op->attrs;
  const jm_type *kernel = jm_op_operand_type(m, op, 1), *result = jm_op_result_type(m, op, 0);
  if (result->rank > MOST_RANK || !result->count || !kernel->count) return false;
  const int64_t outputs_of_kernel = kernel->dims[a->kernel_output_feature];
  if (!outputs_of_kernel) return false;
  for (uint32_t s = 0; s < a->lhs_dilation.n; s++)
    if (a->lhs_dilation.data[s] > result->dims[a->output_spatial.data[s]]) return false;
  return (double)result->count * (double)(kernel->count / outputs_of_kernel) >= LEAST_PRODUCTS;
}

static jm_error *visit(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  const jm_op *op = jm_module_op(rw->m, id);
  if (op->code != JM_OP_convolution) return NULL;
  const jm_convolution_attrs *a = op->attrs;
  if (find_dilated(a) == a->lhs_dilation.n || !pays(rw->m, op)) return NULL;
  const convolution c = {op->operands[0], op->operands[1], jm_op_result_type(rw->m, op, 0), *a,
                         op->loc};
  const jm_value result = op->first_result;
  jm_value out;
  JM_TRY(build(rw, region, &c, &out));
  jm_rewrite_replace(rw, result, out);
  rw->drop = true;
  return NULL;
}

jm_error *jm_pass_phases(jm_module *m, const jm_pass_options *options, bool *changed) {
  return jm_rewrite_run(m, options, visit, NULL, changed);
}
