/* SPDX-License-Identifier: Apache-2.0
 * The inside of convolution: a `window` is a plain strided convolution, to which every StableHLO
 * form is reduced first (convolution.c); it is then run as matrix products over gathered tiles
 * (convolution_tile.c), over views of the input (convolution_rows.c, convolution_filter.c), or
 * directly (convolution_direct.c). Private to convolution. */
#ifndef JM_LIBRARY_CONVOLUTION_H
#define JM_LIBRARY_CONVOLUTION_H

#include "engine/call.h"
#include "engine/host/library/pack.h"

enum { JM_WINDOW_AXES = JM_PACK_RANK - 2 };

/* A spatial dimension. Output o and tap t meet at input start + o * out_step + t * tap_step, and
 * contribute nothing where that is outside [0, n_in). Strides are in elements. */
typedef struct jm_axis {
  int64_t n_out, n_tap, n_in;
  int64_t start, out_step, tap_step;
  ptrdiff_t in_stride, tap_stride, out_stride;
} jm_axis;

/* out[b, g, f, o...] = sum over c, t... of lhs[b, g, c, ...] * rhs[g, f, c, t...] for b < batch,
 * g < groups, f < out_features, c < in_features. */
typedef struct jm_window {
  jm_dtype dtype; /* of all three; one of jm_gemm_supports */
  uint32_t n_axes;
  jm_axis axes[JM_WINDOW_AXES];
  int64_t batch, groups, in_features, out_features;
  ptrdiff_t lhs_batch, lhs_group, lhs_feature; /* strides */
  ptrdiff_t rhs_group, rhs_in, rhs_out;
  ptrdiff_t out_batch, out_group, out_feature;
  const char *lhs, *rhs;
  char *out;
  const jm_context *context;
} jm_window;

/* One group at a time as matrix products. */
jm_error *jm_window_run_tiled(const jm_window *window) JM_MUST_USE;

/* Channels last, at least a few outputs in a row: the products read the input in place; false: the
 * case is not supported. */
bool jm_window_is_rows(const jm_window *window);
jm_error *jm_window_run_rows(const jm_window *window) JM_MUST_USE;

/* The gradient of a filter, channels last: sums over long rows of pixels, both operands read in
 * place; false: the case is not supported. */
bool jm_window_is_filter(const jm_window *window);
jm_error *jm_window_run_filter(const jm_window *window) JM_MUST_USE;

/* Of one or two axes: the index of that along which neighbours are nearest, and the other one (of
 * one row, if there is none). */
uint32_t jm_window_find_wide(const jm_window *window);
const jm_axis *jm_window_find_tall(const jm_window *window, uint32_t wide);

/* Many small groups side by side (depthwise convolution); false: the case is not supported. */
bool jm_window_is_direct(const jm_window *window);
void jm_window_run_direct(const jm_window *window);

#endif
