/* SPDX-License-Identifier: Apache-2.0
 * Convolution in all of StableHLO's forms as MLX's: layouts are transposed views (N..C and O..I);
 * batch groups become feature groups; cases that MLX gets wrong or refuses are composed: negative
 * padding with a dilated input, a kernel reversed along some dimensions only, groups in three
 * dimensions.
 */
#include "engine/mlx/lower_rules.h"
#include "engine/mlx/product.h"

typedef jm_mlx_array *A;

enum {
  SPATIAL = 3, /* that MLX has */
  RANK = SPATIAL + 2,
  MAX_SPLIT = 64, /* groups that are worth a convolution each */
};

/* The convolution at hand; arrays are [N, spatial..., C] and [O, spatial..., I]. */
typedef struct convolution {
  const jm_convolution_attrs *attrs;
  uint32_t n; /* spatial dimensions: at least 1, of size 1 if there is none */
  int64_t input[RANK], kernel[RANK];
  int32_t stride[SPATIAL], low[SPATIAL], high[SPATIAL];
  int32_t kernel_dilation[SPATIAL], input_dilation[SPATIAL];
  int groups;
  bool flip;
} convolution;

/* A layout as first, spatial..., last; sizes go to dims. */
static A standard(jm_lowering *l, A a, const jm_type *type, int64_t first, jm_i64s spatial,
                  int64_t last, int64_t *dims) {
  int32_t axes[RANK];
  uint32_t n = spatial.n;
  axes[0] = (int32_t)first;
  for (uint32_t i = 0; i < n; i++) axes[i + 1] = (int32_t)spatial.data[i];
  axes[n + 1] = (int32_t)last;
  for (uint32_t i = 0; i < n + 2; i++) dims[i] = type->dims[axes[i]];
  a = jm_mlx_transpose(l, a, axes, (int)n + 2);
  if (n) return a;
  dims[2] = dims[1];
  dims[1] = 1;
  return jm_mlx_reshape(l, a, jm_lower_ints(l, dims, 3), 3);
}

static void convolution_init(convolution *c, const jm_convolution_attrs *attrs) {
  uint32_t n = attrs->input_spatial.n;
  *c = (convolution){.attrs = attrs,
                     .n = n ? n : 1,
                     .groups = (int)attrs->feature_groups,
                     .stride = {1},
                     .kernel_dilation = {1},
                     .input_dilation = {1},
                     .flip = n > 0};
  for (uint32_t i = 0; i < n; i++) {
    c->stride[i] = (int32_t)attrs->strides.data[i];
    c->low[i] = (int32_t)attrs->padding.data[2 * i];
    c->high[i] = (int32_t)attrs->padding.data[2 * i + 1];
    c->kernel_dilation[i] = (int32_t)attrs->rhs_dilation.data[i];
    c->input_dilation[i] = (int32_t)attrs->lhs_dilation.data[i];
    c->flip &= attrs->reversal.data[i] != 0;
  }
}

/* Group g of the output features sees the g-th part of the batch: as if those were features. */
static A batch_groups_as_features(jm_lowering *l, convolution *c, A a) {
  int64_t groups = c->attrs->batch_groups, split[RANK + 1];
  if (groups == 1) return a;
  uint32_t n = c->n + 2;
  int32_t axes[RANK + 1];
  c->input[0] /= groups;
  split[0] = groups;
  for (uint32_t i = 0; i < n; i++) split[i + 1] = c->input[i];
  for (uint32_t i = 0; i + 1 < n; i++) axes[i] = (int32_t)i + 1;
  axes[n - 1] = 0; /* before the features */
  axes[n] = (int32_t)n;
  a = jm_mlx_reshape(l, a, jm_lower_ints(l, split, n + 1), (int)n + 1);
  a = jm_mlx_transpose(l, a, axes, (int)n + 1);
  c->input[n - 1] *= groups;
  c->groups = (int)groups;
  return jm_mlx_reshape(l, a, jm_lower_ints(l, c->input, n), (int)n);
}

/* The padding that is left to MLX, and what is cropped before; with a crop, dilation comes first,
 * because MLX crops what isn't dilated yet. */
static bool crop_of(const convolution *c, int64_t *low, int64_t *high, int64_t *interior) {
  bool crops = false;
  for (uint32_t i = 0; i < c->n; i++) crops |= c->low[i] < 0 || c->high[i] < 0;
  for (uint32_t d = 0; d < c->n + 2; d++) {
    bool spatial = d > 0 && d <= c->n;
    low[d] = spatial && c->low[d - 1] < 0 ? c->low[d - 1] : 0;
    high[d] = spatial && c->high[d - 1] < 0 ? c->high[d - 1] : 0;
    interior[d] = spatial ? c->input_dilation[d - 1] - 1 : 0;
  }
  return crops;
}

static A crop(jm_lowering *l, convolution *c, A a, jm_dtype dtype) {
  int64_t low[RANK], high[RANK], interior[RANK];
  if (!crop_of(c, low, high, interior)) return a;
  const jm_lower_padding padding = {low, high, interior};
  a = jm_lower_pad(l, a, c->input, &padding, c->n + 2, jm_lower_i64(l, dtype, 0));
  for (uint32_t i = 0; i < c->n; i++) {
    c->input[i + 1] += (c->input[i + 1] - 1) * interior[i + 1] + low[i + 1] + high[i + 1];
    c->input_dilation[i] = 1;
    if (c->low[i] < 0) c->low[i] = 0;
    if (c->high[i] < 0) c->high[i] = 0;
  }
  return a;
}

/* MLX reverses all dimensions or none. */
static A reversed(jm_lowering *l, const convolution *c, A kernel) {
  int32_t start[RANK], stop[RANK], step[RANK];
  bool any = false;
  for (uint32_t d = 0; d < c->n + 2; d++) {
    bool here = !c->flip && d > 0 && d <= c->attrs->reversal.n && c->attrs->reversal.data[d - 1];
    int32_t size = (int32_t)c->kernel[d];
    start[d] = here ? size - 1 : 0;
    stop[d] = here ? -size - 1 : size;
    step[d] = here ? -1 : 1;
    any |= here;
  }
  return any ? jm_mlx_slice(l, kernel, start, stop, step, (int)c->n + 2) : kernel;
}

static A run(jm_lowering *l, const convolution *c, A input, A kernel, int groups) {
  return jm_mlx_convolution(l, input, kernel, c->stride, c->low, c->high, c->kernel_dilation,
                            c->input_dilation, (int)c->n, groups, c->flip);
}

/* `size` elements from `start` on along dimension d. */
static A part(jm_lowering *l, A a, const int64_t *dims, uint32_t n, uint32_t d, int64_t start,
              int64_t size) {
  int32_t from[RANK], stop[RANK], step[RANK];
  for (uint32_t i = 0; i < n; i++) from[i] = 0, stop[i] = (int32_t)dims[i], step[i] = 1;
  from[d] = (int32_t)start;
  stop[d] = (int32_t)(start + size);
  return jm_mlx_slice(l, a, from, stop, step, (int)n);
}

/* MLX refuses groups in three dimensions. */
static A run_groups(jm_lowering *l, const convolution *c, A input, A kernel) {
  if (c->groups == 1 || c->n < 3) return run(l, c, input, kernel, c->groups);
  A parts[MAX_SPLIT];
  uint32_t n = c->n + 2;
  int64_t features = c->input[n - 1] / c->groups, outputs = c->kernel[0] / c->groups;
  for (int g = 0; g < c->groups; g++)
    parts[g] = run(l, c, part(l, input, c->input, n, n - 1, g * features, features),
                   part(l, kernel, c->kernel, n, 0, g * outputs, outputs), 1);
  return jm_mlx_concatenate(l, parts, c->groups, (int)n - 1);
}

/* [N, spatial..., O] in the result's layout. */
static A placed(jm_lowering *l, const convolution *c, A a, const jm_type *to) {
  const jm_convolution_attrs *attrs = c->attrs;
  int32_t axes[RANK];
  uint32_t n = attrs->output_spatial.n;
  if (!n) {
    const int64_t dims[] = {to->dims[attrs->output_batch], to->dims[attrs->output_feature]};
    a = jm_mlx_reshape(l, a, jm_lower_ints(l, dims, 2), 2);
  }
  axes[attrs->output_batch] = 0;
  axes[attrs->output_feature] = (int32_t)n + 1;
  for (uint32_t i = 0; i < n; i++) axes[attrs->output_spatial.data[i]] = (int32_t)i + 1;
  return jm_mlx_transpose(l, a, axes, (int)n + 2);
}

static void lower_convolution(jm_lowering *l) {
  const jm_convolution_attrs *attrs = l->op->attrs;
  const jm_type *to = jm_lower_result(l, 0);
  jm_dtype dtype;
  if (!jm_lower_product_dtype(l->module, l->op, &dtype)) return;
  bool is_integer = !jm_dtype_is_float(dtype);
  if (is_integer) dtype = JM_DT_f32;
  convolution c;
  convolution_init(&c, attrs);
  A input = jm_mlx_astype(l, jm_lower_array(l, 0), dtype);
  A kernel = jm_mlx_astype(l, jm_lower_array(l, 1), dtype);
  input = standard(l, input, jm_lower_type(l, 0), attrs->input_batch, attrs->input_spatial,
                   attrs->input_feature, c.input);
  kernel = standard(l, kernel, jm_lower_type(l, 1), attrs->kernel_output_feature,
                    attrs->kernel_spatial, attrs->kernel_input_feature, c.kernel);
  input = batch_groups_as_features(l, &c, input);
  input = crop(l, &c, input, dtype);
  A out = placed(l, &c, run_groups(l, &c, input, reversed(l, &c, kernel)), to);
  l->out[0] =
      is_integer ? jm_lower_product_integer(l, out, to->dtype) : jm_mlx_astype(l, out, to->dtype);
}

static bool supports_convolution(const jm_module *m, const jm_op *op) {
  const jm_convolution_attrs *attrs = op->attrs;
  const jm_type *input = jm_op_operand_type(m, op, 0), *kernel = jm_op_operand_type(m, op, 1);
  uint32_t n = attrs->input_spatial.n;
  int64_t dims[RANK] = {1, 1, 1, 1, 1}, low[RANK], high[RANK], interior[RANK];
  jm_dtype dtype;
  if (n > SPATIAL || !jm_lower_product_dtype(m, op, &dtype) || jm_dtype_is_complex(dtype))
    return false;
  if (!jm_dtype_is_float(dtype)) {
    int64_t terms = kernel->count / kernel->dims[attrs->kernel_output_feature];
    if (terms > jm_lower_exact_terms(input->dtype, kernel->dtype) ||
        (dtype == JM_DT_pred && (input->dtype != JM_DT_pred || kernel->dtype != JM_DT_pred)))
      return false;
  }
  int64_t groups = attrs->feature_groups * attrs->batch_groups;
  if (n == 3 && groups > MAX_SPLIT) return false;
  convolution c;
  convolution_init(&c, attrs);
  crop_of(&c, low, high, interior);
  for (uint32_t i = 0; i < n; i++) dims[i + 1] = input->dims[attrs->input_spatial.data[i]];
  const jm_lower_padding padding = {low, high, interior};
  return jm_lower_pad_supported(dims, &padding, c.n + 2);
}

const jm_lower_rule jm_lower_convolution_rules[] = {
    {JM_OP_convolution, lower_convolution, supports_convolution},
    {JM_N_OPS, NULL, NULL},
};
