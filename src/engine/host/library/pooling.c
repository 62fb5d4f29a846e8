/* SPDX-License-Identifier: Apache-2.0
 * Pooling: windowed reductions by one op, in lines of consecutive elements. Where the window leaves
 * the innermost dimensions alone (channels last), a line is their elements; else it is a block of
 * outputs along the last axis, whose elements come from the operand as it is, or from copies of its
 * rows that padding surrounds and that are split by the stride. A line stays in the cache while the
 * window's lines are accumulated into it, in row-major order, as in the oracle. */
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
  MOST_BLOCK = 512,       /* outputs of a block */
  BLOCK_STEP = 32,        /* they are a multiple of it */
  COPY_BYTES = 32 * 1024, /* of the copies of the rows that a block needs */
  GRAIN_WORK = 1 << 15,
};

typedef struct axis {
  int64_t out, in, window, stride, dilation, low;
  int64_t in_stride, out_stride; /* elements */
} axis;

/* Joins n elements of x at base plus each offset to the initial value. */
typedef void join_fn(const void *x, int64_t base, const int64_t *offsets, size_t taps,
                     const void *init, void *to, size_t n);

/* Every stride-th of a row's `size` elements from index `at` on, n of them; `rest` where the index
 * is not in the row. */
typedef void split_fn(const void *row, int64_t size, int64_t at, int64_t stride, const void *rest,
                      void *to, int64_t n);

typedef struct pooling {
  const jm_call *call;
  jm_elementwise_kernel *kernel;
  join_fn *join; /* NULL: the kernel, line by line */
  axis axes[MAX_RANK];
  uint32_t n_axes;            /* without the line's */
  int64_t line;               /* elements, or outputs of a block */
  size_t bytes;               /* of an element */
  void *start;                /* a line of initial values */
  int64_t offsets[MOST_TAPS]; /* of the taps of a window inside the input */
  size_t taps;
  /* of blocks: */
  bool blocked;
  axis last;
  int64_t blocks; /* of a row */
  int64_t phases; /* parts of a row, by the stride, that windows see */
  int64_t length; /* elements of the copy of a part */
  split_fn *split;
  int64_t sees[MOST_TAPS]; /* by tap: the element of a row's copy that the first output sees */
  int64_t part[MOST_TAPS]; /* by part: the tap's distance, less whole strides */
  uint64_t nothing;        /* the identity */
} pooling;

/* -- sums, maxima and minima, with the accumulators in registers: in memory, each tap would wait
 * for the store of the previous one */

enum { VECTOR = 32 }; /* bytes */
#define VECTORS(dtype, element, mask)                                 \
  typedef element lanes_##dtype __attribute__((vector_size(VECTOR))); \
  typedef mask masks_##dtype __attribute__((vector_size(VECTOR)));
VECTORS(f32, float, int32_t)
VECTORS(f64, double, int64_t)
VECTORS(s32, int32_t, int32_t)

#define PICK(T, first, y, x) ((lanes_##T)(((first) & (masks_##T)(y)) | (~(first) & (masks_##T)(x))))
/* As the elementwise kernels': NaN wins, the first one; of zeros +0 or -0. Macros, because
 * compilers warn of functions that return vectors. */
#define JOIN_sum(T, y, x) ((y) + (x))
#define JOIN_maximum(T, y, x)                                       \
  PICK(T, (y) == (x), (lanes_##T)((masks_##T)(y) & (masks_##T)(x)), \
       PICK(T, ((y) > (x)) | ((y) != (y)), y, x))
#define JOIN_minimum(T, y, x)                                       \
  PICK(T, (y) == (x), (lanes_##T)((masks_##T)(y) | (masks_##T)(x)), \
       PICK(T, ((y) < (x)) | ((y) != (y)), y, x))

#define EACH _Pragma("GCC unroll 4") for (size_t i = 0; i < 4; i++)
/* Operands are readable in whole vectors. */
#define JOIN(name, T, element)                                                             \
  JM_CLONES static void name##_##T(const void *from, int64_t base, const int64_t *offsets, \
                                   size_t taps, const void *init, void *to, size_t n) {    \
    enum { LANES = VECTOR / sizeof(element) };                                             \
    const element *x = (const element *)from + base;                                       \
    element *out = to;                                                                     \
    lanes_##T acc[4], y;                                                                   \
    size_t at = 0;                                                                         \
    for (; at + 4 * LANES <= n; at += 4 * LANES) {                                         \
      EACH memcpy(&acc[i], init, VECTOR);                                                  \
      for (size_t t = 0; t < taps; t++) EACH {                                             \
          memcpy(&y, x + (offsets[t] + (int64_t)(at + i * LANES)), VECTOR);                \
          acc[i] = JOIN_##name(T, acc[i], y);                                              \
        }                                                                                  \
      EACH memcpy(out + at + i * LANES, &acc[i], VECTOR);                                  \
    }                                                                                      \
    for (; at < n; at += LANES) {                                                          \
      memcpy(&acc[0], init, VECTOR);                                                       \
      for (size_t t = 0; t < taps; t++) {                                                  \
        memcpy(&y, x + (offsets[t] + (int64_t)at), VECTOR);                                \
        acc[0] = JOIN_##name(T, acc[0], y);                                                \
      }                                                                                    \
      memcpy(out + at, &acc[0], n - at < LANES ? (n - at) * sizeof(element) : VECTOR);     \
    }                                                                                      \
  }
JOIN(sum, f32, float)
JOIN(sum, f64, double)
JOIN(maximum, f32, float)
JOIN(maximum, f64, double)
JOIN(maximum, s32, int32_t)
JOIN(minimum, f32, float)
JOIN(minimum, f64, double)
JOIN(minimum, s32, int32_t)

static join_fn *join_find(jm_opcode code, jm_dtype dtype) {
  static const struct {
    jm_opcode code;
    jm_dtype dtype;
    join_fn *join;
  } rows[] = {{JM_OP_add, JM_DT_f32, sum_f32},         {JM_OP_add, JM_DT_f64, sum_f64},
              {JM_OP_maximum, JM_DT_f32, maximum_f32}, {JM_OP_maximum, JM_DT_f64, maximum_f64},
              {JM_OP_minimum, JM_DT_f32, minimum_f32}, {JM_OP_minimum, JM_DT_f64, minimum_f64},
              {JM_OP_maximum, JM_DT_s32, maximum_s32}, {JM_OP_minimum, JM_DT_s32, minimum_s32}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].code == code && rows[i].dtype == dtype) return rows[i].join;
  return NULL;
}

/* -- copies of rows */

#define COPY(step) \
  for (int64_t i = first; i < last; i++) y[i] = x[at + i * (step)]
/* Every other element, as a half of a pair: such loops run in vectors, without elements left over
 * at the end of a row, if the pairs begin with the element before. */
#define HALVES(bits, pair)                                              \
  const bool high = at + 2 * first > 0;                                 \
  const int64_t beyond = last > first && !high && at + 2 * last > size; \
  for (int64_t i = first; i < last - beyond; i++) {                     \
    pair both;                                                          \
    memcpy(&both, x + (at + 2 * i - high), sizeof both);                \
    y[i] = (uint##bits##_t)(both >> (high ? bits : 0));                 \
  }                                                                     \
  if (beyond) y[last - 1] = x[at + 2 * (last - 1)];
#define SPLIT(bits, every_other)                                                                \
  JM_CLONES static void split_##bits(const void *row, int64_t size, int64_t at, int64_t stride, \
                                     const void *rest, void *to, int64_t n) {                   \
    const uint##bits##_t *x = row;                                                              \
    uint##bits##_t *y = to, nothing;                                                            \
    int64_t first = at < 0 ? (-at + stride - 1) / stride : 0;                                   \
    int64_t last = at < size ? (size - at + stride - 1) / stride : 0;                           \
    if (first > n) first = n;                                                                   \
    if (last > n) last = n;                                                                     \
    if (last < first) last = first;                                                             \
    memcpy(&nothing, rest, sizeof nothing);                                                     \
    for (int64_t i = 0; i < first; i++) y[i] = nothing;                                         \
    if (stride == 1) {                                                                          \
      COPY(1);                                                                                  \
    } else if (stride == 2) {                                                                   \
      every_other;                                                                              \
    } else {                                                                                    \
      COPY(stride);                                                                             \
    }                                                                                           \
    for (int64_t i = last; i < n; i++) y[i] = nothing;                                          \
  }
SPLIT(8, HALVES(8, uint16_t))
SPLIT(16, HALVES(16, uint32_t))
SPLIT(32, HALVES(32, uint64_t))
SPLIT(64, COPY(2))

static split_fn *split_find(size_t bytes) {
  static split_fn *const of[] = {[1] = split_8, [2] = split_16, [4] = split_32, [8] = split_64};
  return bytes < sizeof of / sizeof *of ? of[bytes] : NULL;
}

/* -- which cases */

/* Blocks of outputs along the last axis, as large as the copies allow. */
static bool find_blocks(pooling *p, int64_t taps, size_t bytes) {
  if (p->line != 1 || !p->n_axes) return false;
  const axis *a = &p->axes[p->n_axes - 1];
  p->split = split_find(bytes);
  if (!p->split || a->out < LEAST_LINE) return false;
  p->blocked = true;
  p->last = *a;
  p->n_axes--;
  p->phases = a->stride < a->window ? a->stride : a->window;
  if (a->dilation >= COPY_BYTES / a->window) return false;
  const int64_t reach = (a->window - 1) * a->dilation / a->stride + 1;
  const int64_t room = COPY_BYTES / ((int64_t)bytes * taps / a->window * p->phases) - reach;
  p->line = room < MOST_BLOCK ? room / BLOCK_STEP * BLOCK_STEP : MOST_BLOCK;
  if (p->line <= 0) return false;
  p->length = p->line + reach;
  p->blocks = (a->out + p->line - 1) / p->line;
  for (int64_t t = 0, far = 0; t < a->window; t++, far += a->dilation) {
    if (t < p->phases) p->part[t] = far % a->stride;
    /* taps as many steps apart as there are parts see the same part */
    p->sees[t] = t % p->phases * p->length + far / a->stride;
  }
  return true;
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
  if (taps > MOST_TAPS) return false;
  return p->line >= LEAST_LINE || find_blocks(p, taps, jm_dtype_bytes(in->dtype));
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

/* The taps of the output at `at` of the axes that are inside the input: returns their offsets from
 * the element *in (p's, or those in `clipped`). */
static const int64_t *find_taps(const pooling *p, const int64_t *at, int64_t *clipped, int64_t *in,
                                int64_t *out, size_t *taps) {
  bool inside = true;
  *in = *out = 0;
  for (uint32_t d = 0; d < p->n_axes; d++) {
    const axis *a = &p->axes[d];
    int64_t start = at[d] * a->stride - a->low;
    inside &= start >= 0 && start + (a->window - 1) * a->dilation < a->in;
    *out += at[d] * a->out_stride;
    *in += start * a->in_stride;
  }
  *taps = p->taps;
  if (inside) return p->offsets;
  int64_t first[MAX_RANK], last[MAX_RANK];
  for (uint32_t d = 0; d < p->n_axes; d++) clip(&p->axes[d], at[d], &first[d], &last[d]);
  *taps = list_taps(p, first, last, clipped);
  return clipped;
}

static void join_lines(const pooling *p, const void *x, int64_t base, const int64_t *offsets,
                       size_t taps, void *to, size_t n) {
  if (p->join) {
    p->join(x, base, offsets, taps, p->start, to, n);
    return;
  }
  if (!taps) memcpy(to, p->start, n * p->bytes);
  for (size_t t = 0; t < taps; t++) {
    const void *operands[] = {t ? to : p->start,
                              (const char *)x + (base + offsets[t]) * (int64_t)p->bytes};
    p->kernel(operands, to, n);
  }
}

static void run_line(const pooling *p, const int64_t *at) {
  int64_t clipped[MOST_TAPS], in, out;
  size_t taps;
  const int64_t *offsets = find_taps(p, at, clipped, &in, &out, &taps);
  char *to = (char *)p->call->out[0].data + out * (int64_t)p->bytes;
  join_lines(p, p->call->in[0].data, in, offsets, taps, to, (size_t)p->line);
}

/* Writes the parts of a row, from index `start` on, with n elements each for the first tap. */
static void copy_row(const pooling *p, int64_t row, int64_t start, int64_t n, char *to) {
  const int64_t bytes = (int64_t)p->bytes;
  for (int64_t k = 0; k < p->phases; k++, to += p->length * bytes) {
    p->split((const char *)p->call->in[0].data + row * bytes, p->last.in, start + p->part[k],
             p->last.stride, &p->nothing, to, n + p->length - p->line);
  }
}

static void run_block(const pooling *p, const int64_t *at, int64_t block) {
  _Alignas(VECTOR) char copies[COPY_BYTES];
  int64_t clipped[MOST_TAPS], all[MOST_TAPS], in, out;
  size_t rows, taps = 0;
  const int64_t *offsets = find_taps(p, at, clipped, &in, &out, &rows);
  const axis *a = &p->last;
  const int64_t bytes = (int64_t)p->bytes, first = block * p->line, lanes = VECTOR / bytes;
  const int64_t n = a->out - first < p->line ? a->out - first : p->line;
  const int64_t whole = (n + lanes - 1) / lanes * lanes, start = first * a->stride - a->low;
  const bool direct =
      a->stride == 1 && start >= 0 && start + whole + (a->window - 1) * a->dilation <= a->in;
  for (size_t r = 0; r < rows; r++) {
    const int64_t copy = (int64_t)r * p->phases * p->length;
    if (!direct) copy_row(p, in + offsets[r], start, whole, copies + copy * bytes);
    for (int64_t t = 0; t < a->window; t++)
      all[taps++] = direct ? offsets[r] + t * a->dilation : copy + p->sees[t];
  }
  char *to = (char *)p->call->out[0].data + (out + first) * bytes;
  join_lines(p, direct ? p->call->in[0].data : copies, direct ? in + start : 0, all, taps, to,
             (size_t)n);
}

static void run_outputs(void *context, size_t begin, size_t end) {
  const pooling *p = context;
  int64_t at[MAX_RANK] = {0}, block = 0;
  size_t rest = begin;
  if (p->blocked) block = (int64_t)(rest % (size_t)p->blocks), rest /= (size_t)p->blocks;
  for (uint32_t d = p->n_axes; d--; rest /= (size_t)p->axes[d].out)
    at[d] = (int64_t)(rest % (size_t)p->axes[d].out);
  for (size_t i = begin; i < end; i++) {
    if (jm_context_is_cancelled(p->call->context)) return;
    if (p->blocked) {
      run_block(p, at, block);
      if (++block < p->blocks) continue;
      block = 0;
    } else {
      run_line(p, at);
    }
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
  if (p.blocked || p.line * (int64_t)p.bytes % VECTOR == 0)
    p.join = join_find(monoid.code, call->in[0].type->dtype);
  if (p.blocked) jm_monoid_identity(&monoid, monoid.dtype, &p.nothing);
  p.start = jm_scratch_take((size_t)p.line * p.bytes);
  if (!p.start) return jm_error_out_of_memory();
  jm_copy_fill(p.start, call->in[1].data, p.bytes, p.line);
  int64_t first[MAX_RANK] = {0}, last[MAX_RANK] = {0};
  for (uint32_t d = 0; d < p.n_axes; d++) last[d] = p.axes[d].window;
  p.taps = list_taps(&p, first, last, p.offsets);
  size_t outputs = 1, work = (size_t)p.line;
  if (p.blocked) outputs = (size_t)p.blocks, work *= (size_t)p.last.window;
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
