/* SPDX-License-Identifier: Apache-2.0
 * Pooling: windowed reductions by one op whose innermost dimensions the window leaves alone
 * (channels last). An output's line of channels stays in the cache while the window's lines are
 * accumulated into it, in row-major order, as in the oracle. */
#include <string.h>

#include "base/loop.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/copy.h"
#include "engine/host/library/functions.h"
#include "engine/host/library/window.h"
#include "ir/body.h"

enum {
  MAX_RANK = 8,
  LEAST_LINE = 8, /* elements: with fewer, other loops are better */
  MOST_TAPS = 1024,
  GRAIN_WORK = 1 << 15,
};

typedef struct axis {
  int64_t out, in, window, stride, dilation, low;
  int64_t in_stride, out_stride; /* elements */
} axis;

/* Joins n elements of x at base plus each offset to the initial value. */
typedef void join_fn(const void *x, int64_t base, const int64_t *offsets, size_t taps,
                     const void *init, void *to, size_t n);

typedef struct pooling {
  const jm_call *call;
  jm_elementwise_kernel *kernel;
  join_fn *join; /* NULL: the kernel, line by line */
  axis axes[MAX_RANK];
  uint32_t n_axes;            /* without the line's */
  int64_t line;               /* elements */
  size_t bytes;               /* of an element */
  void *start;                /* a line of initial values */
  int64_t offsets[MOST_TAPS]; /* of the taps of a window inside the input */
  size_t taps;
} pooling;

/* -- sums, maxima and minima of f32, with the accumulators in registers: in memory, each tap would
 * wait for the store of the previous one */

enum { LANES = 8, CHUNK = 4 * LANES };
typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t masks __attribute__((vector_size(4 * LANES)));

#define PICK(first, y, x) ((lanes)(((first) & (masks)(y)) | (~(first) & (masks)(x))))
/* As the elementwise kernels': NaN wins, the first one; of zeros +0 or -0. Macros, because
 * compilers warn of functions that return vectors. */
#define JOIN_sum(y, x) ((y) + (x))
#define JOIN_maximum(y, x) \
  PICK((y) == (x), (lanes)((masks)(y) & (masks)(x)), PICK(((y) > (x)) | ((y) != (y)), y, x))
#define JOIN_minimum(y, x) \
  PICK((y) == (x), (lanes)((masks)(y) | (masks)(x)), PICK(((y) < (x)) | ((y) != (y)), y, x))

#define EACH _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++)
#define JOIN(name)                                                                           \
  JM_CLONES static void lines_##name(const void *from, int64_t base, const int64_t *offsets, \
                                     size_t taps, const void *init, void *to, size_t n) {    \
    for (size_t at = 0; at < n; at += CHUNK) {                                               \
      const float *x = (const float *)from + (base + (int64_t)at);                           \
      lanes acc[4], y;                                                                       \
      EACH memcpy(&acc[i], init, sizeof acc[i]);                                             \
      for (size_t t = 0; t < taps; t++) EACH {                                               \
          memcpy(&y, x + offsets[t] + i * LANES, sizeof y);                                  \
          acc[i] = JOIN_##name(acc[i], y);                                                   \
        }                                                                                    \
      EACH memcpy((float *)to + at + i * LANES, &acc[i], sizeof acc[i]);                     \
    }                                                                                        \
  }
JOIN(sum)
JOIN(maximum)
JOIN(minimum)

static join_fn *join_find(jm_opcode code, jm_dtype dtype, int64_t line) {
  if (dtype != JM_DT_f32 || line % CHUNK) return NULL;
  return code == JM_OP_add       ? lines_sum
         : code == JM_OP_maximum ? lines_maximum
         : code == JM_OP_minimum ? lines_minimum
                                 : NULL;
}

/* Fills in axes and line; false: the case is not supported. */
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

bool jm_library_pooling_supports(const jm_module *module, const jm_op *op) {
  pooling p;
  jm_monoid monoid;
  if (op->n_results != 1 || op->n_captures) return false;
  const jm_type *in = jm_op_operand_type(module, op, 0), *out = jm_op_result_type(module, op, 0);
  if (!in->count || !out->count || in->dtype != out->dtype) return false;
  jm_window_scan scan;
  if (!jm_body_monoid(module, op->first_region, &monoid) ||
      (jm_window_scan_find(op->attrs, in, &scan) && (!scan.reverse || monoid.grouped)))
    return false;
  return monoid.accumulator == monoid.dtype && jm_elementwise_find(monoid.code, in->dtype) &&
         find_axes(op->attrs, in, out, &p);
}

/* The taps of an axis that meet the input for output o. */
static void clip(const axis *a, int64_t o, int64_t *first, int64_t *last) {
  int64_t start = o * a->stride - a->low;
  *first = start < 0 ? (-start + a->dilation - 1) / a->dilation : 0;
  int64_t beyond = a->in - start; /* taps t with t * dilation < beyond */
  *last = beyond <= 0 ? 0 : (beyond + a->dilation - 1) / a->dilation;
  if (*last > a->window) *last = a->window;
}

/* Offsets of the taps from `first` up to `last` of each axis; returns how many there are. */
static size_t list_taps(const pooling *p, const int64_t *first, const int64_t *last,
                        int64_t *offsets) {
  int64_t tap[MAX_RANK], at = 0;
  for (uint32_t d = 0; d < p->n_axes; d++) {
    if (first[d] >= last[d]) return 0;
    tap[d] = first[d];
    at += first[d] * p->axes[d].dilation * p->axes[d].in_stride;
  }
  for (size_t taps = 0;;) {
    offsets[taps++] = at;
    uint32_t d = p->n_axes;
    for (; d; d--) {
      int64_t step = p->axes[d - 1].dilation * p->axes[d - 1].in_stride;
      at += step;
      if (++tap[d - 1] < last[d - 1]) break;
      at -= (tap[d - 1] - first[d - 1]) * step;
      tap[d - 1] = first[d - 1];
    }
    if (!d) return taps;
  }
}

static void run_output(const pooling *p, const int64_t *at) {
  int64_t out = 0, in = 0, element = (int64_t)p->bytes, clipped[MOST_TAPS];
  bool inside = true;
  for (uint32_t d = 0; d < p->n_axes; d++) {
    const axis *a = &p->axes[d];
    int64_t start = at[d] * a->stride - a->low;
    inside &= start >= 0 && start + (a->window - 1) * a->dilation < a->in;
    out += at[d] * a->out_stride;
    in += start * a->in_stride;
  }
  const int64_t *offsets = p->offsets;
  size_t taps = p->taps;
  if (!inside) {
    int64_t first[MAX_RANK], last[MAX_RANK];
    for (uint32_t d = 0; d < p->n_axes; d++) clip(&p->axes[d], at[d], &first[d], &last[d]);
    taps = list_taps(p, first, last, clipped);
    offsets = clipped;
  }
  const char *x = p->call->in[0].data;
  char *to = (char *)p->call->out[0].data + out * element;
  if (p->join) {
    p->join(x, in, offsets, taps, p->start, to, (size_t)p->line);
    return;
  }
  if (!taps) memcpy(to, p->start, (size_t)(p->line * element));
  for (size_t t = 0; t < taps; t++) {
    const void *operands[] = {t ? to : p->start, x + (in + offsets[t]) * element};
    p->kernel(operands, to, (size_t)p->line);
  }
}

static void run_outputs(void *context, size_t begin, size_t end) {
  const pooling *p = context;
  int64_t at[MAX_RANK] = {0};
  size_t rest = begin;
  for (uint32_t d = p->n_axes; d--; rest /= (size_t)p->axes[d].out)
    at[d] = (int64_t)(rest % (size_t)p->axes[d].out);
  for (size_t i = begin; i < end; i++) {
    if (jm_context_is_cancelled(p->call->context)) return;
    run_output(p, at);
    for (uint32_t d = p->n_axes; d && ++at[d - 1] == p->axes[d - 1].out; d--) at[d - 1] = 0;
  }
}

jm_error *jm_library_pooling(const jm_call *call) {
  pooling p = {.call = call, .bytes = jm_dtype_bytes(call->in[0].type->dtype)};
  jm_monoid monoid;
  if (!find_axes(call->op->attrs, call->in[0].type, call->out[0].type, &p) ||
      !jm_body_monoid(call->module, call->op->first_region, &monoid))
    return jm_library_reduce_window(call);
  p.kernel = jm_elementwise_find(monoid.code, call->in[0].type->dtype);
  p.join = join_find(monoid.code, call->in[0].type->dtype, p.line);
  p.start = jm_scratch_take((size_t)p.line * p.bytes);
  if (!p.start) return jm_error_out_of_memory();
  jm_copy_fill(p.start, call->in[1].data, p.bytes, p.line);
  int64_t first[MAX_RANK] = {0}, last[MAX_RANK] = {0};
  for (uint32_t d = 0; d < p.n_axes; d++) last[d] = p.axes[d].window;
  p.taps = list_taps(&p, first, last, p.offsets);
  size_t outputs = 1, work = (size_t)p.line;
  for (uint32_t d = 0; d < p.n_axes; d++) {
    outputs *= (size_t)p.axes[d].out;
    work *= (size_t)p.axes[d].window;
  }
  jm_parallel_for(outputs, GRAIN_WORK / work + 1, run_outputs, &p);
  jm_scratch_give(p.start);
  if (jm_context_is_cancelled(call->context))
    return jm_error_create(JM_CANCELLED, "the execution was cancelled");
  return NULL;
}
