/* SPDX-License-Identifier: Apache-2.0
 * dot_general and convolution: sums of products, in double precision for floats and modulo 2^64 for
 * integers, rounded or wrapped once. */
#include <string.h>

#include "engine/ref/functions.h"

/* The types that sums are kept in. */
typedef union number {
  double parts[2];
  int64_t integer;
} number;

typedef struct product {
  jm_dtype dtype; /* c128, f64 or s64 */
  number *lhs, *rhs;
} product;

static jm_error *widen(const jm_tensor *t, jm_dtype dtype, number **out) {
  size_t bytes = jm_dtype_bytes(t->type->dtype);
  *out = jm_alloc((size_t)t->type->count, sizeof **out);
  if (!*out) return jm_error_out_of_memory();
  for (int64_t i = 0; i < t->type->count; i++)
    JM_TRY(
        jm_convert_run(t->type->dtype, dtype, (char *)t->data + i * (int64_t)bytes, &(*out)[i], 1));
  return NULL;
}

static jm_error *product_init(const jm_call *call, product *p) {
  jm_dtype sum;
  *p = (product){0};
  if (!jm_dtype_of_product(call->in[0].type->dtype, call->in[1].type->dtype,
                           call->out[0].type->dtype, &sum))
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "products of these types");
  p->dtype = jm_dtype_is_complex(sum) ? JM_DT_c128 : jm_dtype_is_float(sum) ? JM_DT_f64 : JM_DT_s64;
  JM_TRY(widen(&call->in[0], p->dtype, &p->lhs));
  return widen(&call->in[1], p->dtype, &p->rhs);
}

static void product_deinit(product *p) {
  jm_free(p->lhs);
  jm_free(p->rhs);
}

static void add(const product *p, number *sum, const number *a, const number *b) {
  if (p->dtype == JM_DT_s64) {
    sum->integer = (int64_t)((uint64_t)sum->integer + (uint64_t)a->integer * (uint64_t)b->integer);
  } else if (p->dtype == JM_DT_f64) {
    sum->parts[0] += a->parts[0] * b->parts[0];
  } else {
    sum->parts[0] += a->parts[0] * b->parts[0] - a->parts[1] * b->parts[1];
    sum->parts[1] += a->parts[0] * b->parts[1] + a->parts[1] * b->parts[0];
  }
}

static int64_t offset_of(const jm_type *type, const int64_t *at) {
  int64_t i = 0;
  for (uint32_t d = 0; d < type->rank; d++) i = i * type->dims[d] + at[d];
  return i;
}

/* -- dot_general: the result's dimensions are the batch, the rest of lhs, the rest of rhs */

/* Where a sum of so many products begins. One product is the result, even if it is -0, as in XLA
 * (and see pass/products.c). */
static number first_sum(const product *p, int64_t terms) {
  if (terms == 1 && p->dtype != JM_DT_s64) return (number){{-0.0, -0.0}};
  return (number){{0, 0}};
}

static uint32_t place_rest(const jm_type *type, jm_i64s batch, jm_i64s contract, const int64_t *to,
                           uint32_t k, int64_t *at) {
  for (uint32_t i = 0; i < batch.n; i++) at[batch.data[i]] = to[i];
  for (uint32_t d = 0; d < type->rank; d++)
    if (!jm_i64s_contains(batch, d) && !jm_i64s_contains(contract, d)) at[d] = to[k++];
  return k;
}

static jm_error *dot_general(const jm_call *call, const product *p) {
  const jm_dot_general_attrs *a = call->op->attrs;
  const jm_type *lhs = call->in[0].type, *rhs = call->in[1].type, *out = call->out[0].type;
  int64_t to[JM_RANK_MAX] = {0}, sizes[JM_RANK_MAX], x[JM_RANK_MAX], y[JM_RANK_MAX];
  int64_t terms = 1;
  for (uint32_t i = 0; i < a->lhs_contract.n; i++)
    terms *= sizes[i] = lhs->dims[a->lhs_contract.data[i]];
  do {
    int64_t inside[JM_RANK_MAX] = {0};
    number sum = first_sum(p, terms);
    uint32_t k = place_rest(lhs, a->lhs_batch, a->lhs_contract, to, a->lhs_batch.n, x);
    place_rest(rhs, a->rhs_batch, a->rhs_contract, to, k, y);
    if (lhs->count) do {
        for (uint32_t i = 0; i < a->lhs_contract.n; i++) {
          x[a->lhs_contract.data[i]] = inside[i];
          y[a->rhs_contract.data[i]] = inside[i];
        }
        add(p, &sum, &p->lhs[offset_of(lhs, x)], &p->rhs[offset_of(rhs, y)]);
      } while (jm_ref_next(sizes, a->lhs_contract.n, inside));
    JM_TRY(jm_convert_run(p->dtype, out->dtype, &sum, jm_ref_at(&call->out[0], to), 1));
  } while (jm_ref_next(out->dims, out->rank, to));
  return NULL;
}

jm_error *jm_ref_dot_general(const jm_call *call) {
  product p;
  if (!call->out[0].type->count) return NULL;
  jm_error *error = product_init(call, &p);
  if (!error) error = dot_general(call, &p);
  product_deinit(&p);
  return error;
}

/* -- convolution */

/* The input's element under a tap of the kernel for output o; false: padding, or a hole of the
 * input's dilation. */
static bool input_at(const jm_convolution_attrs *a, uint32_t axis, int64_t o, int64_t tap,
                     int64_t size, int64_t *at) {
  int64_t base = size > 1 ? a->lhs_dilation.data[axis] : 1;
  int64_t i =
      o * a->strides.data[axis] + tap * a->rhs_dilation.data[axis] - a->padding.data[2 * axis];
  if (i < 0 || i % base || i / base >= size) return false;
  *at = i / base;
  return true;
}

/* One element: over the kernel's input features and taps. x, y and to: indices of lhs, rhs and the
 * result, of which the batch and feature are set but for the feature in the group. */
static number convolve(const jm_call *call, const product *p, const int64_t *to, int64_t *x,
                       int64_t *y, int64_t first_feature) {
  const jm_convolution_attrs *a = call->op->attrs;
  const jm_type *lhs = call->in[0].type, *rhs = call->in[1].type;
  uint32_t n_axes = a->input_spatial.n;
  int64_t taps[JM_RANK_MAX], tap[JM_RANK_MAX] = {0};
  number sum = {{0, 0}};
  for (uint32_t i = 0; i < n_axes; i++) taps[i] = rhs->dims[a->kernel_spatial.data[i]];
  taps[n_axes] = rhs->dims[a->kernel_input_feature];
  if (lhs->count && rhs->count) do {
      bool inside = true;
      for (uint32_t i = 0; i < n_axes && inside; i++) {
        int64_t k = a->kernel_spatial.data[i], in = a->input_spatial.data[i];
        inside = input_at(a, i, to[a->output_spatial.data[i]], tap[i], lhs->dims[in], &x[in]);
        y[k] = a->reversal.data[i] ? taps[i] - 1 - tap[i] : tap[i];
      }
      if (!inside) continue;
      x[a->input_feature] = first_feature + tap[n_axes];
      y[a->kernel_input_feature] = tap[n_axes];
      add(p, &sum, &p->lhs[offset_of(lhs, x)], &p->rhs[offset_of(rhs, y)]);
    } while (jm_ref_next(taps, n_axes + 1, tap));
  return sum;
}

/* Features of the result in equal groups: group g sees the g-th part of the input's features
 * (feature_groups) or of its batch (batch_groups). */
static jm_error *convolution(const jm_call *call, const product *p) {
  const jm_convolution_attrs *a = call->op->attrs;
  const jm_type *lhs = call->in[0].type, *rhs = call->in[1].type, *out = call->out[0].type;
  int64_t to[JM_RANK_MAX] = {0}, x[JM_RANK_MAX], y[JM_RANK_MAX];
  int64_t features = rhs->dims[a->kernel_output_feature];
  int64_t groups = a->feature_groups * a->batch_groups;
  do {
    int64_t feature = to[a->output_feature], group = feature / (features / groups);
    x[a->input_batch] = to[a->output_batch];
    if (a->batch_groups > 1) x[a->input_batch] += group * (lhs->dims[a->input_batch] / groups);
    y[a->kernel_output_feature] = feature;
    int64_t first = a->feature_groups > 1 ? group * rhs->dims[a->kernel_input_feature] : 0;
    number sum = convolve(call, p, to, x, y, first);
    JM_TRY(jm_convert_run(p->dtype, out->dtype, &sum, jm_ref_at(&call->out[0], to), 1));
  } while (jm_ref_next(out->dims, out->rank, to));
  return NULL;
}

jm_error *jm_ref_convolution(const jm_call *call) {
  product p;
  if (!call->out[0].type->count) return NULL;
  jm_error *error = product_init(call, &p);
  if (!error) error = convolution(call, &p);
  product_deinit(&p);
  return error;
}
