/* SPDX-License-Identifier: Apache-2.0
 * Pooling: windowed reductions by one op whose innermost dimensions the window leaves alone
 * (channels last). An output's line of channels stays in the cache while the window's lines are
 * joined to it, in row-major order, as the reference engine does. */
#include <string.h>

#include "base/parallel.h"
#include "engine/host/library.h"
#include "engine/ref/fold.h"

jm_ref_fn jm_ref_reduce_window;

enum {
  MAX_RANK = 8,
  LEAST_LINE = 8,   /* elements: with fewer, other loops are better */
  MOST_TAPS = 1024, /* cumulative sums are windows, too */
  GRAIN_WORK = 1 << 15,
};

typedef struct axis {
  int64_t out, in, window, stride, dilation, low;
  int64_t in_stride, out_stride; /* elements */
} axis;

typedef struct pooling {
  const jm_ref_call *call;
  jm_ref_kernel *kernel;
  axis axes[MAX_RANK];
  uint32_t n_axes; /* without the line's */
  int64_t line;    /* elements */
  size_t bytes;    /* of an element */
} pooling;

/* Axes and line; false: not a case for it. */
static bool find_axes(const jm_reduce_window_attrs *a, const jm_type *in, const jm_type *out,
                      pooling *p) {
  uint32_t rank = in->rank;
  int64_t taps = 1;
  if (!rank || rank > MAX_RANK) return false;
  p->n_axes = rank;
  p->line = 1;
  for (uint32_t d = rank; d--;) {
    if (a->base_dilations.n && a->base_dilations.data[d] != 1) return false;
    p->axes[d] = (axis){.out = out->dims[d],
                        .in = in->dims[d],
                        .window = a->window.data[d],
                        .stride = a->strides.data[d],
                        .dilation = a->window_dilations.n ? a->window_dilations.data[d] : 1,
                        .low = a->padding.data[2 * d],
                        .in_stride = jm_type_stride(in, d),
                        .out_stride = jm_type_stride(out, d)};
    taps = taps > MOST_TAPS ? taps : taps * a->window.data[d];
    bool whole = a->window.data[d] == 1 && a->strides.data[d] == 1 && !a->padding.data[2 * d] &&
                 !a->padding.data[2 * d + 1];
    if (d + 1 == p->n_axes && whole) {
      p->n_axes = d;
      p->line *= in->dims[d];
    }
  }
  return p->line >= LEAST_LINE && taps <= MOST_TAPS;
}

bool jm_library_window_supports(const jm_module *module, const jm_op *op) {
  pooling p;
  jm_opcode code;
  if (op->n_results != 1 || op->n_captures) return false;
  const jm_type *in = jm_op_operand_type(module, op, 0), *out = jm_op_result_type(module, op, 0);
  if (!in->count || !out->count || in->dtype != out->dtype) return false;
  if (!jm_ref_region_is_binary(module, op->first_region, &code)) return false;
  jm_dtype dtype = in->dtype;
  bool widens = jm_dtype_is_float(dtype) && jm_dtype_bytes(dtype) < 4; /* summed in f32 */
  return (jm_op_facts[code].traits & JM_TRAIT_COMMUTATIVE) && !widens &&
         jm_ref_kernel_find(code, dtype) && find_axes(op->attrs, in, out, &p);
}

/* The taps of an axis that meet the input for output o. */
static void clip(const axis *a, int64_t o, int64_t *first, int64_t *last) {
  int64_t start = o * a->stride - a->low;
  *first = start < 0 ? (-start + a->dilation - 1) / a->dilation : 0;
  int64_t beyond = a->in - start; /* taps t with t * dilation < beyond */
  *last = beyond <= 0 ? 0 : (beyond + a->dilation - 1) / a->dilation;
  if (*last > a->window) *last = a->window;
}

static void run_output(const pooling *p, const int64_t *at) {
  int64_t first[MAX_RANK], last[MAX_RANK], tap[MAX_RANK], out = 0, in = 0;
  int64_t element = (int64_t)p->bytes;
  bool none = false;
  for (uint32_t d = 0; d < p->n_axes; d++) {
    const axis *a = &p->axes[d];
    clip(a, at[d], &first[d], &last[d]);
    none |= first[d] >= last[d];
    tap[d] = first[d];
    out += at[d] * a->out_stride;
    in += (at[d] * a->stride - a->low + first[d] * a->dilation) * a->in_stride;
  }
  int64_t offsets[MOST_TAPS];
  size_t taps = 0;
  while (!none) {
    offsets[taps++] = in;
    uint32_t d = p->n_axes;
    for (; d; d--) {
      const axis *a = &p->axes[d - 1];
      int64_t step = a->dilation * a->in_stride;
      in += step;
      if (++tap[d - 1] < last[d - 1]) break;
      in -= (tap[d - 1] - first[d - 1]) * step;
      tap[d - 1] = first[d - 1];
    }
    none = !d;
  }
  const char *x = p->call->in[0].data;
  char *to = (char *)p->call->out[0].data + out * element;
  jm_copy_fill(to, p->call->in[1].data, p->bytes, p->line);
  for (size_t t = 0; t < taps; t++) {
    const void *operands[] = {to, x + offsets[t] * element};
    p->kernel(operands, to, (size_t)p->line);
  }
}

static void run_outputs(void *context, size_t begin, size_t end) {
  const pooling *p = context;
  const atomic_bool *cancelled = p->call->cancelled;
  int64_t at[MAX_RANK] = {0};
  size_t rest = begin;
  for (uint32_t d = p->n_axes; d--; rest /= (size_t)p->axes[d].out)
    at[d] = (int64_t)(rest % (size_t)p->axes[d].out);
  for (size_t i = begin; i < end; i++) {
    if (cancelled && atomic_load_explicit(cancelled, memory_order_relaxed)) return;
    run_output(p, at);
    for (uint32_t d = p->n_axes; d && ++at[d - 1] == p->axes[d - 1].out; d--) at[d - 1] = 0;
  }
}

jm_error *jm_library_window(const jm_ref_call *call) {
  pooling p = {.call = call, .bytes = jm_dtype_bytes(call->in[0].type->dtype)};
  jm_opcode code = JM_N_OPS;
  if (!find_axes(call->op->attrs, call->in[0].type, call->out[0].type, &p) ||
      !jm_ref_region_is_binary(call->module, call->op->first_region, &code))
    return jm_ref_reduce_window(call);
  p.kernel = jm_ref_kernel_find(code, call->in[0].type->dtype);
  size_t outputs = 1, work = (size_t)p.line;
  for (uint32_t d = 0; d < p.n_axes; d++) {
    outputs *= (size_t)p.axes[d].out;
    work *= (size_t)p.axes[d].window;
  }
  jm_parallel_for(outputs, GRAIN_WORK / work + 1, run_outputs, &p);
  if (call->cancelled && atomic_load_explicit(call->cancelled, memory_order_relaxed))
    return jm_error_create(JM_CANCELLED, "the execution was cancelled");
  return NULL;
}
