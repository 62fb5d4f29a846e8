/* SPDX-License-Identifier: Apache-2.0
 * Every form of convolution as plain windows. Layouts are strides; reversal is a negative step;
 * feature groups and batch groups are two ways to place groups. A dilated input (the gradient of a
 * strided convolution) is split by residues: outputs whose index is the same modulo the dilation
 * meet the same subset of taps, and together they are a convolution without dilation. So no zero is
 * ever multiplied. */
#include "engine/host/library/convolution.h"
#include "engine/host/library/product.h"

typedef struct strides {
  ptrdiff_t of[JM_PACK_RANK];
} strides;

static strides dense(const jm_type *type) {
  strides s;
  ptrdiff_t stride = 1;
  for (uint32_t d = type->rank; d-- > 0; stride *= (ptrdiff_t)type->dims[d]) s.of[d] = stride;
  return s;
}

static int64_t gcd(int64_t a, int64_t b) {
  while (b) {
    int64_t rest = a % b;
    a = b, b = rest;
  }
  return a;
}

/* The part of a dilated axis whose outputs are r modulo the period (jm_axis.start is then in
 * dilated coordinates). Offsets of its first output and tap, in elements, are added up. */
static jm_axis take_residue(const jm_axis *axis, int64_t dilation, int64_t period, int64_t r,
                            ptrdiff_t *out_offset, ptrdiff_t *tap_offset) {
  jm_axis part = *axis;
  int64_t tap_period = dilation / gcd(axis->tap_step, dilation), first = 0;
  int64_t start = axis->start + r * axis->out_step;
  while (first < tap_period && (start + first * axis->tap_step) % dilation) first++;
  bool none = first == tap_period || first >= axis->n_tap;
  if (none) first = 0;
  part.n_out = (axis->n_out - r + period - 1) / period;
  part.n_tap = none ? 0 : (axis->n_tap - first + tap_period - 1) / tap_period;
  part.start = none ? 0 : (start + first * axis->tap_step) / dilation;
  part.out_step = period * axis->out_step / dilation;
  part.tap_step = tap_period * axis->tap_step / dilation;
  part.out_stride = (ptrdiff_t)period * axis->out_stride;
  part.tap_stride = (ptrdiff_t)tap_period * axis->tap_stride;
  *out_offset += (ptrdiff_t)r * axis->out_stride;
  *tap_offset += (ptrdiff_t)first * axis->tap_stride;
  return part;
}

/* Taps are walked in the kernel's memory order, so that a reversed kernel needs no copy. */
static void reverse_axis(jm_axis *axis) {
  axis->start += (axis->n_tap - 1) * axis->tap_step;
  axis->tap_step = -axis->tap_step;
}

static jm_error *run_window(const jm_window *w) {
  if (jm_window_is_rows(w)) return jm_window_run_rows(w);
  if (jm_window_is_filter(w)) return jm_window_run_filter(w);
  if (!jm_window_is_direct(w)) return jm_window_run_tiled(w);
  jm_window_run_direct(w);
  return NULL;
}

/* All combinations of residues of the axes; without dilation there is one. */
static jm_error *run_residues(const jm_window *whole, const jm_convolution_attrs *attrs) {
  int64_t periods[JM_WINDOW_AXES], index[JM_WINDOW_AXES] = {0};
  for (uint32_t a = 0; a < whole->n_axes; a++)
    periods[a] =
        attrs->lhs_dilation.data[a] / gcd(whole->axes[a].out_step, attrs->lhs_dilation.data[a]);
  ptrdiff_t element = (ptrdiff_t)jm_dtype_bytes(whole->dtype);
  for (;;) {
    jm_window w = *whole;
    ptrdiff_t out_offset = 0, tap_offset = 0;
    for (uint32_t a = 0; a < w.n_axes; a++) {
      w.axes[a] = take_residue(&whole->axes[a], attrs->lhs_dilation.data[a], periods[a], index[a],
                               &out_offset, &tap_offset);
      if (w.axes[a].tap_stride < 0 && w.axes[a].n_tap) {
        tap_offset += (ptrdiff_t)(w.axes[a].n_tap - 1) * w.axes[a].tap_stride;
        w.axes[a].tap_stride = -w.axes[a].tap_stride;
        reverse_axis(&w.axes[a]);
      }
    }
    w.out += out_offset * element;
    w.rhs += tap_offset * element;
    JM_TRY(run_window(&w));
    uint32_t a = w.n_axes;
    while (a && (++index[a - 1] == periods[a - 1] || index[a - 1] >= whole->axes[a - 1].n_out))
      index[--a] = 0;
    if (!a) return NULL;
  }
}

static void init_axes(const jm_call *call, const strides *lhs, const strides *rhs,
                      const strides *out, jm_window *w) {
  const jm_convolution_attrs *attrs = call->op->attrs;
  w->n_axes = attrs->input_spatial.n;
  for (uint32_t a = 0; a < w->n_axes; a++) {
    int64_t in = attrs->input_spatial.data[a], tap = attrs->kernel_spatial.data[a];
    int64_t to = attrs->output_spatial.data[a];
    w->axes[a] = (jm_axis){.n_out = call->out[0].type->dims[to],
                           .n_tap = call->in[1].type->dims[tap],
                           .n_in = call->in[0].type->dims[in],
                           .start = -attrs->padding.data[2 * a],
                           .out_step = attrs->strides.data[a],
                           .tap_step = attrs->rhs_dilation.data[a],
                           .in_stride = lhs->of[in],
                           .tap_stride = rhs->of[tap],
                           .out_stride = out->of[to]};
    if (!attrs->reversal.data[a] || !w->axes[a].n_tap) continue;
    w->rhs += (ptrdiff_t)(w->axes[a].n_tap - 1) * w->axes[a].tap_stride *
              (ptrdiff_t)jm_dtype_bytes(w->dtype);
    w->axes[a].tap_stride = -w->axes[a].tap_stride;
  }
}

static jm_window build_window(const jm_call *call, const jm_product *product) {
  const jm_convolution_attrs *attrs = call->op->attrs;
  const jm_type *lhs = call->in[0].type, *rhs = call->in[1].type;
  strides ls = dense(lhs), rs = dense(rhs), os = dense(call->out[0].type);
  int64_t groups = attrs->feature_groups * attrs->batch_groups;
  jm_window w = {.dtype = product->dtype,
                 .batch = lhs->dims[attrs->input_batch] / attrs->batch_groups,
                 .groups = groups,
                 .in_features = rhs->dims[attrs->kernel_input_feature],
                 .out_features = rhs->dims[attrs->kernel_output_feature] / groups,
                 .lhs_batch = ls.of[attrs->input_batch],
                 .lhs_feature = ls.of[attrs->input_feature],
                 .rhs_in = rs.of[attrs->kernel_input_feature],
                 .rhs_out = rs.of[attrs->kernel_output_feature],
                 .out_batch = os.of[attrs->output_batch],
                 .out_feature = os.of[attrs->output_feature],
                 .lhs = product->lhs,
                 .rhs = product->rhs,
                 .out = product->out,
                 .context = call->context};
  w.lhs_group = attrs->batch_groups > 1 ? (ptrdiff_t)w.batch * w.lhs_batch
                                        : (ptrdiff_t)w.in_features * w.lhs_feature;
  w.rhs_group = (ptrdiff_t)w.out_features * w.rhs_out;
  w.out_group = (ptrdiff_t)w.out_features * w.out_feature;
  init_axes(call, &ls, &rs, &os, &w);
  return w;
}

jm_error *jm_library_convolution(const jm_call *call) {
  if (!call->out[0].type->count) return NULL;
  if (call->in[0].type->rank > JM_PACK_RANK)
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "more than %d dimensions",
                       (int)JM_PACK_RANK);
  jm_product product;
  JM_TRY(jm_product_init(call, 0, &product));
  jm_window w = build_window(call, &product);
  jm_error *error = run_residues(&w, call->op->attrs);
  if (!error) error = jm_product_store(call, &product);
  jm_product_deinit(&product);
  return error;
}
