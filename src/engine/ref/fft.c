/* SPDX-License-Identifier: Apache-2.0
 * fft by the definition, one dimension after another, in double precision: x[k] is the sum over j
 * of exp(-2 pi i j k / n) x[j], of the inverse exp(2 pi i j k / n) x[j] / n. */
#include <math.h>
#include <string.h>

#include "engine/ref/functions.h"

/* A tensor of c128 that changes its last dimension on the way. */
typedef struct grid {
  uint32_t rank;
  int64_t dims[JM_RANK_MAX];
  double *data;
} grid;

static int64_t count(const grid *g) {
  int64_t n = 1;
  for (uint32_t d = 0; d < g->rank; d++) n *= g->dims[d];
  return n;
}

static double *at(const grid *g, const int64_t *index) {
  int64_t i = 0;
  for (uint32_t d = 0; d < g->rank; d++) i = i * g->dims[d] + index[d];
  return g->data + 2 * i;
}

/* Every line along dim; n values of each are read, the rest are 0. */
static jm_error *transform(grid *g, uint32_t dim, bool inverse) {
  int64_t n = g->dims[dim], index[JM_RANK_MAX] = {0}, dims[JM_RANK_MAX];
  double *line = jm_alloc((size_t)n, 2 * sizeof *line);
  if (!line) return jm_error_out_of_memory();
  memcpy(dims, g->dims, sizeof dims);
  dims[dim] = 1;
  do {
    for (int64_t j = 0; j < n; j++) {
      index[dim] = j;
      memcpy(line + 2 * j, at(g, index), 2 * sizeof *line);
    }
    for (int64_t k = 0; k < n; k++) {
      double re = 0, im = 0, scale = inverse ? 1 / (double)n : 1;
      for (int64_t j = 0; j < n; j++) {
        double angle =
            (inverse ? 2 : -2) * 3.14159265358979323846 * (double)(j * k % n) / (double)n;
        double c = cos(angle), s = sin(angle);
        re += c * line[2 * j] - s * line[2 * j + 1];
        im += c * line[2 * j + 1] + s * line[2 * j];
      }
      index[dim] = k;
      at(g, index)[0] = re * scale;
      at(g, index)[1] = im * scale;
    }
    index[dim] = 0;
  } while (jm_ref_next(dims, g->rank, index));
  jm_free(line);
  return NULL;
}

/* IRFFT: the upper half of the last dimension is the conjugate of the lower half, all dimensions
 * that are transformed later being untouched by then. */
static void mirror(grid *g, int64_t given) {
  uint32_t last = g->rank - 1;
  int64_t index[JM_RANK_MAX] = {0};
  do {
    int64_t k = index[last], other[JM_RANK_MAX];
    if (k < given) continue;
    memcpy(other, index, sizeof other);
    other[last] = g->dims[last] - k;
    at(g, index)[0] = at(g, other)[0];
    at(g, index)[1] = -at(g, other)[1];
  } while (jm_ref_next(g->dims, g->rank, index));
}

/* Of the part of the grid that both have. */
static jm_error *copy(const jm_tensor *t, const grid *g, bool in) {
  int64_t index[JM_RANK_MAX] = {0}, dims[JM_RANK_MAX];
  for (uint32_t d = 0; d < g->rank; d++)
    dims[d] = t->type->dims[d] < g->dims[d] ? t->type->dims[d] : g->dims[d];
  do {
    jm_error *error =
        in ? jm_convert_run(t->type->dtype, JM_DT_c128, jm_ref_at(t, index), at(g, index), 1)
           : jm_convert_run(JM_DT_c128, t->type->dtype, at(g, index), jm_ref_at(t, index), 1);
    JM_TRY(error);
  } while (jm_ref_next(dims, g->rank, index));
  return NULL;
}

static jm_error *run(const jm_call *call, grid *g) {
  const jm_fft_attrs *attrs = call->op->attrs;
  bool to_real = attrs->kind == JM_FFT_IRFFT;
  bool inverse = to_real || attrs->kind == JM_FFT_IFFT;
  uint32_t first = g->rank - attrs->length.n, last = g->rank - 1;
  JM_TRY(copy(&call->in[0], g, true));
  if (to_real) { /* the other dimensions first: the last one's lines then have real results */
    for (uint32_t d = first; d < last; d++) JM_TRY(transform(g, d, true));
    mirror(g, g->dims[last] / 2 + 1);
    return transform(g, last, true);
  }
  for (uint32_t d = first; d <= last; d++) JM_TRY(transform(g, d, inverse));
  return NULL;
}

jm_error *jm_ref_fft(const jm_call *call) {
  const jm_fft_attrs *attrs = call->op->attrs;
  const jm_type *in = call->in[0].type, *out = call->out[0].type;
  grid g = {.rank = in->rank};
  if (!out->count) return NULL;
  if (!attrs->length.n) return jm_ref_identity(call);
  for (uint32_t d = 0; d < in->rank; d++)
    g.dims[d] = in->dims[d] > out->dims[d] ? in->dims[d] : out->dims[d];
  g.dims[in->rank - 1] = attrs->length.data[attrs->length.n - 1];
  g.data = jm_alloc((size_t)count(&g), 2 * sizeof *g.data);
  jm_error *error = g.data ? run(call, &g) : jm_error_out_of_memory();
  if (!error) error = copy(&call->out[0], &g, false);
  jm_free(g.data);
  return error;
}
