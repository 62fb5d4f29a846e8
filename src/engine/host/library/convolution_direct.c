/* SPDX-License-Identifier: Apache-2.0
 * Depthwise convolution and its gradients: a matrix product per group would be a few numbers wide,
 * so the inner loop runs over groups, which these layouts have next to each other. */
#include <string.h>

#include "base/parallel.h"
#include "engine/host/library/convolution.h"

enum {
  CHUNK = 64,        /* groups per inner loop */
  FLUSH = 256,       /* terms summed before they join the total: keeps long sums accurate */
  MOST_FEATURES = 8, /* of a group; beyond it products are better */
  GRAIN_WORK = 1 << 15,
};

bool jm_window_is_direct(const jm_window *w) {
  return (w->dtype == JM_DT_f32 || w->dtype == JM_DT_f64) && w->groups >= 4 &&
         w->out_features <= MOST_FEATURES && w->lhs_group <= MOST_FEATURES &&
         w->rhs_group <= MOST_FEATURES;
}

/* The taps that meet the input for an output: bounds per axis, and where the first is. */
typedef struct reach {
  int64_t n_tap[JM_WINDOW_AXES];
  const char *lhs, *rhs;
} reach;

/* The first and the number of taps of an axis inside the input for output o. */
static int64_t clip(const jm_axis *a, int64_t o, int64_t *count) {
  int64_t x = a->start + o * a->out_step, first = 0, last = a->n_tap;
  while (first < last && (x + first * a->tap_step < 0 || x + first * a->tap_step >= a->n_in))
    first++;
  while (last > first &&
         (x + (last - 1) * a->tap_step < 0 || x + (last - 1) * a->tap_step >= a->n_in))
    last--;
  *count = last - first;
  return first;
}

#define DEFINE(T)                                                                                 \
  static void add_##T(const T *x, ptrdiff_t xs, const T *y, ptrdiff_t ys, T *acc, size_t n) {     \
    if (xs == 1 && ys == 1)                                                                       \
      for (size_t i = 0; i < n; i++) acc[i] += x[i] * y[i];                                       \
    else                                                                                          \
      for (size_t i = 0; i < n; i++) acc[i] += x[(ptrdiff_t)i * xs] * y[(ptrdiff_t)i * ys];       \
  }                                                                                               \
  static void run_##T(const jm_window *w, const reach *r, int64_t f, size_t group, size_t n,      \
                      T *out) {                                                                   \
    T acc[CHUNK] = {0}, total[CHUNK] = {0};                                                       \
    int64_t index[JM_WINDOW_AXES] = {0};                                                          \
    const T *x = (const T *)r->lhs + (ptrdiff_t)group * w->lhs_group;                             \
    const T *y = (const T *)r->rhs + (ptrdiff_t)group * w->rhs_group + (ptrdiff_t)f * w->rhs_out; \
    unsigned terms = 0;                                                                           \
    for (;;) {                                                                                    \
      for (int64_t c = 0; c < w->in_features; c++) {                                              \
        add_##T(x + (ptrdiff_t)c * w->lhs_feature, w->lhs_group, y + (ptrdiff_t)c * w->rhs_in,    \
                w->rhs_group, acc, n);                                                            \
        if (++terms % FLUSH) continue;                                                            \
        for (size_t i = 0; i < n; i++) total[i] += acc[i], acc[i] = 0;                            \
      }                                                                                           \
      uint32_t a = w->n_axes;                                                                     \
      for (; a; a--) {                                                                            \
        const jm_axis *axis = &w->axes[a - 1];                                                    \
        ptrdiff_t step = (ptrdiff_t)axis->tap_step * axis->in_stride;                             \
        if (++index[a - 1] < r->n_tap[a - 1]) {                                                   \
          x += step, y += axis->tap_stride;                                                       \
          break;                                                                                  \
        }                                                                                         \
        x -= (ptrdiff_t)(index[a - 1] - 1) * step;                                                \
        y -= (ptrdiff_t)(index[a - 1] - 1) * axis->tap_stride;                                    \
        index[a - 1] = 0;                                                                         \
      }                                                                                           \
      if (!a) break;                                                                              \
    }                                                                                             \
    for (size_t i = 0; i < n; i++) out[(ptrdiff_t)i * w->out_group] = total[i] + acc[i];          \
  }
DEFINE(float)
DEFINE(double)

/* Items are (output, chunk of groups). */
static void run_items(void *context, size_t begin, size_t end) {
  const jm_window *w = context;
  size_t groups = (size_t)w->groups, chunks = (groups + CHUNK - 1) / CHUNK;
  ptrdiff_t element = (ptrdiff_t)jm_dtype_bytes(w->dtype);
  for (size_t item = begin; item < end; item++) {
    size_t group = item % chunks * CHUNK, rest = item / chunks;
    size_t n = groups - group < CHUNK ? groups - group : CHUNK;
    ptrdiff_t lhs = 0, rhs = 0, out = (ptrdiff_t)group * w->out_group;
    reach r;
    bool none = !w->in_features;
    for (uint32_t a = w->n_axes; a-- > 0;) {
      const jm_axis *axis = &w->axes[a];
      int64_t o = (int64_t)(rest % (size_t)axis->n_out), first = clip(axis, o, &r.n_tap[a]);
      rest /= (size_t)axis->n_out;
      none |= !r.n_tap[a];
      lhs +=
          (ptrdiff_t)(axis->start + o * axis->out_step + first * axis->tap_step) * axis->in_stride;
      rhs += (ptrdiff_t)first * axis->tap_stride;
      out += (ptrdiff_t)o * axis->out_stride;
    }
    lhs += (ptrdiff_t)rest * w->lhs_batch;
    out += (ptrdiff_t)rest * w->out_batch;
    r.lhs = w->lhs + (none ? 0 : lhs * element);
    r.rhs = w->rhs + (none ? 0 : rhs * element);
    for (int64_t f = 0; f < w->out_features; f++) {
      char *to = w->out + (out + (ptrdiff_t)f * w->out_feature) * element;
      if (none) /* +0 is all zero bits */
        for (size_t i = 0; i < n; i++)
          memset(to + (ptrdiff_t)i * w->out_group * element, 0, (size_t)element);
      else if (w->dtype == JM_DT_f32)
        run_float(w, &r, f, group, n, (float *)to);
      else
        run_double(w, &r, f, group, n, (double *)to);
    }
  }
}

void jm_window_run_direct(const jm_window *w) {
  size_t items = (size_t)w->batch * (((size_t)w->groups + CHUNK - 1) / CHUNK), work = CHUNK;
  for (uint32_t a = 0; a < w->n_axes; a++) {
    items *= (size_t)w->axes[a].n_out;
    work *= (size_t)w->axes[a].n_tap;
  }
  work *= (size_t)(w->in_features * w->out_features);
  jm_parallel_for(items, GRAIN_WORK / (work + 1) + 1, run_items, (void *)w);
}
