/* SPDX-License-Identifier: Apache-2.0
 * Patterns that MLX has one function for: `fusion` ops with a kind (pass/patterns.c says what each
 * means and what its config holds). An engine takes a pattern only where MLX rounds as the ops do,
 * or better. */
#include <math.h>
#include <string.h>

#include "engine/mlx/lower_rules.h"

typedef jm_mlx_array *A;

/* -- the config */

static const jm_dict_entry *entry_find(const jm_op *op, const char *key) {
  const jm_dict *config = &((const jm_fusion_attrs *)op->attrs)->config;
  for (uint32_t i = 0; i < config->n; i++)
    if (!strcmp(config->entries[i].key.bytes, key)) return &config->entries[i];
  return NULL;
}

static double number_of(const jm_op *op, const char *key) {
  const jm_dict_entry *entry = entry_find(op, key);
  return entry ? entry->f64 : 0;
}

static jm_i64s list_of(const jm_op *op, const char *key) {
  const jm_dict_entry *entry = entry_find(op, key);
  return entry ? entry->i64s : (jm_i64s){NULL, 0};
}

/* -- softmax and logistic. Narrow floats are rounded after every op, which MLX's functions don't */

static bool takes_f32(const jm_module *m, const jm_op *op, const jm_mlx_device_fact *device) {
  (void)device;
  return jm_op_result_type(m, op, 0)->dtype == JM_DT_f32;
}

static void lower_softmax(jm_lowering *l) {
  const jm_i64s axes = list_of(l->op, "permutation");
  const uint32_t rank = jm_lower_type(l, 0)->rank;
  A x = jm_lower_array(l, 0);
  if (axes.n) x = jm_mlx_transpose(l, x, jm_lower_ints(l, axes.data, axes.n), (int)axes.n);
  l->out[0] = jm_mlx_softmax(l, x, (int)rank - 1);
}

static void lower_logistic(jm_lowering *l) { l->out[0] = jm_mlx_sigmoid(l, jm_lower_array(l, 0)); }

/* -- attention */

/* As [batch, heads, rows, columns] of dimensions in this order; the rows are all but the batch and
 * the last one; with one batch dimension it is the first, of one head each. */
static A as_heads(jm_lowering *l, A a, const jm_type *type, const int64_t *axes, uint32_t n_batch) {
  uint32_t n = type->rank;
  int64_t shape[4] = {1, 1, 1, 1};
  bool moves = false;
  for (uint32_t d = 0; d < n; d++) {
    moves |= axes[d] != d;
    shape[d < n_batch ? d : d + 1 == n ? 3 : 2] *= type->dims[axes[d]];
  }
  if (moves) a = jm_mlx_transpose(l, a, jm_lower_ints(l, axes, n), (int)n);
  if (l->error || l->api->array_has_shape(a, shape, 4)) return a;
  return jm_mlx_reshape(l, a, jm_lower_ints(l, shape, 4), 4);
}

/* The summand of the products: 0, or the substitute for them where the mask is false. Not MLX's
 * own masks of pred: those make numbers of a row that is all -inf. */
static A added_mask(jm_lowering *l, jm_dtype dtype, uint32_t n_batch) {
  A mask = jm_lower_array(l, 3);
  if (entry_find(l->op, "other")) {
    double other = number_of(l->op, "other");
    if (isfinite(other) && other < -3e38) other = -3e38; /* finite as bf16 */
    mask = jm_mlx_where(l, mask, jm_lower_f64(l, dtype, 0), jm_lower_f64(l, dtype, other));
  }
  if (!entry_find(l->op, "other") && jm_lower_dtype(l, 3) != dtype)
    mask = jm_mlx_astype(l, mask, dtype);
  return as_heads(l, mask, jm_lower_type(l, 3), list_of(l->op, "mask").data, n_batch);
}

static void lower_attention(jm_lowering *l) {
  static const char *const keys[3] = {"q", "k", "v"};
  const jm_type *to = jm_lower_result(l, 0);
  const uint32_t n_batch = (uint32_t)entry_find(l->op, "batch")->i64;
  A qkv[3], mask = NULL;
  if (l->op->n_operands == 4) mask = added_mask(l, jm_lower_dtype(l, 0), n_batch);
  for (uint32_t i = 0; i < 3; i++)
    qkv[i] = as_heads(l, jm_lower_array(l, i), jm_lower_type(l, i), list_of(l->op, keys[i]).data,
                      n_batch);
  A out = jm_mlx_attention(l, qkv[0], qkv[1], qkv[2], (float)number_of(l->op, "scale"), mask);
  if (entry_find(l->op, "transposed")) {
    static const int32_t swapped[4] = {0, 1, 3, 2};
    out = jm_mlx_transpose(l, out, swapped, 4);
  }
  l->out[0] = jm_lower_dtype(l, 0) == to->dtype ? out : jm_mlx_astype(l, out, to->dtype);
}

/* The size of the last of operand i's dimensions in the order of a list. */
static int64_t depth_of(const jm_module *m, const jm_op *op, const char *list, uint32_t i) {
  const jm_i64s axes = list_of(op, list);
  return jm_op_operand_type(m, op, i)->dims[axes.data[axes.n - 1]];
}

/* For narrow floats, MLX's fused kernel keeps the products in f32, as JAX does; without a fused
 * kernel (on its CPU device, for other sizes) MLX rounds them first, and the separate ops are more
 * precise. */
static bool has_narrow_kernel(const jm_module *m, const jm_op *op) {
  const jm_type *k = jm_op_operand_type(m, op, 1);
  const jm_i64s axes = list_of(op, "k");
  const int64_t depth = depth_of(m, op, "q", 0);
  return (depth == 64 || depth == 128) && k->dims[axes.data[axes.n - 2]] % 8 == 0 &&
         depth_of(m, op, "v", 2) == depth;
}

/* For f32 on CUDA it has one for few queries without a mask; otherwise it takes an op after the
 * other, where a group of ours does all between the products. */
static bool has_f32_kernel(const jm_module *m, const jm_op *op) {
  const jm_type *q = jm_op_operand_type(m, op, 0);
  const int64_t depth = depth_of(m, op, "q", 0), n_batch = entry_find(op, "batch")->i64;
  const jm_i64s axes = list_of(op, "q");
  int64_t queries = 1;
  for (int64_t d = n_batch; d + 1 < axes.n; d++) queries *= q->dims[axes.data[d]];
  return op->n_operands == 3 && queries < 4 && (depth == 64 || depth == 96 || depth == 128) &&
         depth_of(m, op, "v", 2) == depth;
}

static bool takes_attention(const jm_module *m, const jm_op *op, const jm_mlx_device_fact *device) {
  jm_dtype dtype = jm_op_operand_type(m, op, 0)->dtype;
  if (dtype == JM_DT_f32) return strcmp(device->backend, "cuda") || has_f32_kernel(m, op);
  /* As f16, the large numbers of masks would be infinite. */
  bool is_narrow = dtype == JM_DT_bf16 || (dtype == JM_DT_f16 && op->n_operands == 3);
  return is_narrow && device->is_gpu && has_narrow_kernel(m, op);
}

/* -- norms: MLX computes them in f32 with two passes, better than the difference of means */

static void lower_norm(jm_lowering *l) {
  const float epsilon = (float)number_of(l->op, "epsilon");
  uint32_t next = 1;
  A weight = NULL, bias = NULL;
  if (entry_find(l->op, "weight")) weight = jm_lower_array(l, next++);
  if (entry_find(l->op, "bias")) bias = jm_lower_array(l, next);
  l->out[0] = jm_mlx_layer_norm(l, jm_lower_array(l, 0), weight, bias, epsilon);
}

static void lower_rms_norm(jm_lowering *l) {
  A weight = entry_find(l->op, "weight") ? jm_lower_array(l, 1) : NULL;
  l->out[0] = jm_mlx_rms_norm(l, jm_lower_array(l, 0), weight, (float)number_of(l->op, "epsilon"));
}

/* -- a product and a vector */

static void lower_product_bias(jm_lowering *l) {
  l->out[0] = jm_mlx_addmm(l, jm_lower_array(l, 2), jm_lower_array(l, 0), jm_lower_array(l, 1));
}

/* A product of one row is an inner product to MLX, which gives it one dimension fewer. */
static bool takes_product_bias(const jm_module *m, const jm_op *op,
                               const jm_mlx_device_fact *device) {
  return takes_f32(m, op, device) && jm_op_operand_type(m, op, 0)->dtype == JM_DT_f32 &&
         jm_op_operand_type(m, op, 1)->dtype == JM_DT_f32 &&
         jm_op_operand_type(m, op, 0)->rank >= 2;
}

/* -- all of them */

static const struct {
  const char *kind;
  bool (*takes)(const jm_module *m, const jm_op *op, const jm_mlx_device_fact *device);
  jm_lower_fn *lower;
  bool is_one_kernel; /* grouping makes one of it, with what stands around it */
} patterns[] = {
    {"softmax", takes_f32, lower_softmax, true},
    {"logistic", takes_f32, lower_logistic, true},
    {"attention", takes_attention, lower_attention, false},
    {"layer_norm", takes_f32, lower_norm, true},
    {"rms_norm", takes_f32, lower_rms_norm, true},
    {"product_bias", takes_product_bias, lower_product_bias, true},
};
enum { N_PATTERNS = sizeof patterns / sizeof *patterns };

static size_t pattern_find(const jm_op *op) {
  const jm_str *kind = &((const jm_fusion_attrs *)op->attrs)->kind;
  size_t i = 0;
  while (i < N_PATTERNS && (!kind->size || strcmp(patterns[i].kind, kind->bytes))) i++;
  return i;
}

static bool is_pattern(const jm_module *m, const jm_op *op) {
  (void)m;
  return pattern_find(op) < N_PATTERNS;
}

bool jm_lower_takes_pattern(const jm_module *m, const jm_op *fusion,
                            const jm_mlx_device_fact *device, bool has_kernels) {
  size_t i = pattern_find(fusion);
  for (uint32_t k = 0; k < fusion->n_operands; k++)
    if (!jm_lower_type_supported(jm_op_operand_type(m, fusion, k))) return false;
  return i < N_PATTERNS && jm_lower_type_supported(jm_op_result_type(m, fusion, 0)) &&
         !(has_kernels && patterns[i].is_one_kernel) &&
         /* pass/precision.c, which sees ops, makes such products from several. */
         !(device->rounds_to_tf32 && entry_find(fusion, "precise")) &&
         patterns[i].takes(m, fusion, device);
}

static void lower_pattern(jm_lowering *l) { patterns[pattern_find(l->op)].lower(l); }

const jm_lower_rule jm_lower_pattern_rules[] = {
    {JM_OP_fusion, lower_pattern, is_pattern},
    {JM_N_OPS, NULL, NULL},
};
