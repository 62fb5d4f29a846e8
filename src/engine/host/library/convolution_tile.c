/* SPDX-License-Identifier: Apache-2.0
 * A convolution as a matrix product: out (positions x features) = gathered input (positions x
 * terms) times kernel (terms x features), where a position is an output index without its feature
 * and a term is an input feature with a tap. The gathered matrix is never whole in memory: tiles of
 * bounded size are filled by several threads and multiplied. Where it is a strided view of the
 * input (1x1 kernels, kernels as large as the input), it isn't gathered at all.
 *
 * Positions and terms are each a list of dimensions, and an axis has one in both: rows and columns
 * of a tile are described alike, so that one gather serves both storage orders, [position][term]
 * and [term][position]. The order is chosen whose innermost runs are consecutive in the input. */
#include <string.h>

#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/blas.h"
#include "engine/host/library/convolution.h"
#include "engine/host/library/pack.h"

enum {
  TILE_BYTES = 512 << 10, /* of one thread: fits its cache */
  LEAST_SIDE = 96,        /* positions of such a tile: fewer repack the kernel too often */
  LEAST_BLOCKS = 16,      /* positions in fewer tiles than this leave cores idle */
  SLICE_TERMS = 256,      /* of a tile that has some of the terms of its positions */
  LEAST_SLICES = 8,       /* of all terms: with fewer, a shared tile is as good */
  SHARED_BYTES = 8 << 20, /* of a tile that all threads work on */
  LEAST_POSITIONS = 1024, /* of a shared tile, at least: it has fewer terms instead */
  NARROW = 64,            /* columns of the result below which it is computed in one piece */
  GATHER_GRAIN = 1 << 16, /* bytes */
  NO_AXIS = -1,
};

typedef struct dimension {
  int64_t size;
  int axis;        /* whose coordinate it moves, NO_AXIS: batch or feature */
  int64_t step;    /* in input coordinates of the axis */
  ptrdiff_t lhs;   /* elements of the input between neighbours, inside the input */
  ptrdiff_t other; /* the same in the result (positions) or in the kernel (terms) */
} dimension;

typedef struct dimensions {
  uint32_t n;
  dimension of[JM_PACK_RANK];
  size_t count;
} dimensions;

static void add_dimension(dimensions *d, dimension dim) {
  d->of[d->n++] = dim;
  d->count *= (size_t)dim.size;
}

/* Memory order of the other side, largest stride first; dimensions of size 1 stay out of it. */
static void sort_dimensions(dimensions *d) {
  for (uint32_t i = 1; i < d->n; i++)
    for (uint32_t j = i; j && d->of[j - 1].other < d->of[j].other; j--) {
      dimension swap = d->of[j];
      d->of[j] = d->of[j - 1], d->of[j - 1] = swap;
    }
}

static void move_last(dimensions *d, uint32_t at) {
  dimension moved = d->of[at];
  memmove(&d->of[at], &d->of[at + 1], (d->n - 1 - at) * sizeof *d->of);
  d->of[d->n - 1] = moved;
}

/* So that the last dimension is one that runs are along, if there is any. */
static void put_units_first(dimensions *d) {
  dimensions sorted = {.count = d->count};
  for (int unit = 1; unit >= 0; unit--)
    for (uint32_t i = 0; i < d->n; i++)
      if ((d->of[i].size == 1) == unit) sorted.of[sorted.n++] = d->of[i];
  *d = sorted;
}

typedef enum side { LHS, OTHER } side;

/* The single stride of the last dimensions from `first` on. */
static bool find_stride(const dimensions *d, uint32_t first, side which, ptrdiff_t *out) {
  int64_t sizes[JM_PACK_RANK];
  ptrdiff_t strides[JM_PACK_RANK];
  for (uint32_t i = first; i < d->n; i++) {
    sizes[i] = d->of[i].size;
    strides[i] = which == LHS ? d->of[i].lhs : d->of[i].other;
  }
  return jm_pack_find_stride(d->n - first, sizes + first, strides + first, out);
}

/* A window of one group, prepared. */
typedef struct plan {
  const jm_window *w;
  size_t element;
  dimensions positions, terms;
  ptrdiff_t features_out, features_rhs; /* strides between output features */
  const char *lhs, *rhs;
  char *out;
  ptrdiff_t rhs_term; /* stride between terms in the kernel */
  void *packed_rhs, *whole_out;
} plan;

static void init_dimensions(plan *p) {
  const jm_window *w = p->w;
  p->positions.count = p->terms.count = 1;
  add_dimension(&p->positions, (dimension){w->batch, NO_AXIS, 0, w->lhs_batch, w->out_batch});
  add_dimension(&p->terms, (dimension){w->in_features, NO_AXIS, 0, w->lhs_feature, w->rhs_in});
  for (uint32_t i = 0; i < w->n_axes; i++) {
    const jm_axis *a = &w->axes[i];
    add_dimension(&p->positions, (dimension){a->n_out, (int)i, a->out_step,
                                             (ptrdiff_t)a->out_step * a->in_stride, a->out_stride});
    add_dimension(&p->terms, (dimension){a->n_tap, (int)i, a->tap_step,
                                         (ptrdiff_t)a->tap_step * a->in_stride, a->tap_stride});
  }
  sort_dimensions(&p->positions);
  sort_dimensions(&p->terms);
  if (w->lhs_feature == 1 && w->in_features > 1)
    for (uint32_t i = 0; i < p->terms.n; i++)
      if (p->terms.of[i].axis == NO_AXIS) {
        move_last(&p->terms, i);
        break;
      }
  put_units_first(&p->positions);
  put_units_first(&p->terms);
}

/* The kernel as a matrix (terms x features): packed unless its terms are evenly spaced. */
static jm_error *init_kernel(plan *p) {
  const dimensions *terms = &p->terms;
  if (find_stride(terms, 0, OTHER, &p->rhs_term)) return NULL;
  size_t features = (size_t)p->w->out_features;
  p->packed_rhs = jm_scratch_take(terms->count * features * p->element);
  if (!p->packed_rhs) return jm_error_out_of_memory();
  int64_t sizes[JM_PACK_RANK];
  ptrdiff_t from[JM_PACK_RANK], to[JM_PACK_RANK], stride = (ptrdiff_t)features;
  for (uint32_t i = terms->n; i-- > 0; stride *= (ptrdiff_t)terms->of[i].size) {
    sizes[i] = terms->of[i].size;
    from[i] = terms->of[i].other;
    to[i] = stride;
  }
  sizes[terms->n] = p->w->out_features;
  from[terms->n] = p->features_rhs;
  to[terms->n] = 1;
  jm_pack_run(p->element, terms->n + 1, sizes, from, p->rhs, to, p->packed_rhs);
  p->rhs = p->packed_rhs;
  p->rhs_term = (ptrdiff_t)features;
  p->features_rhs = 1;
  return NULL;
}

/* -- gathering */

/* A run: consecutive columns along the last column dimension. */
typedef struct run {
  size_t column; /* where it starts in the tile */
  int64_t length;
  ptrdiff_t lhs;              /* offset from the row's element */
  int64_t at[JM_WINDOW_AXES]; /* what the columns add to each axis's coordinate, at its start */
} run;

typedef struct gather {
  const plan *p;
  char *tile;
  const dimensions *rows, *columns;
  size_t first_row, row_stride; /* row_stride: of the tile, in elements */
  run *runs, *joined; /* joined: for rows inside the input, runs that follow each other as one */
  size_t n_runs, n_joined;
  int64_t least[JM_WINDOW_AXES], most[JM_WINDOW_AXES]; /* of what columns add */
  int axis;                                            /* of the last column dimension */
  int64_t step;
  ptrdiff_t stride;
} gather;

/* An index of a list of dimensions: in each of them, its coordinates, and its offset. */
typedef struct place {
  int64_t index[JM_PACK_RANK], coordinates[JM_WINDOW_AXES];
  ptrdiff_t offset;
} place;

static place locate(const dimensions *d, size_t at) {
  place found = {.offset = 0};
  for (uint32_t i = d->n; i-- > 0;) {
    int64_t index = (int64_t)(at % (size_t)d->of[i].size);
    at /= (size_t)d->of[i].size;
    found.index[i] = index;
    if (d->of[i].axis != NO_AXIS) found.coordinates[d->of[i].axis] += index * d->of[i].step;
    found.offset += (ptrdiff_t)index * d->of[i].lhs;
  }
  return found;
}

/* To the next index; behind the last one it begins anew. */
static void advance(const dimensions *d, place *at) {
  for (uint32_t i = d->n; i-- > 0;) {
    const dimension *dim = &d->of[i];
    const bool carry = ++at->index[i] == dim->size;
    const int64_t moved = carry ? 1 - dim->size : 1;
    if (dim->axis != NO_AXIS) at->coordinates[dim->axis] += moved * dim->step;
    at->offset += (ptrdiff_t)moved * dim->lhs;
    if (!carry) return;
    at->index[i] = 0;
  }
}

static jm_error *init_runs(gather *g, size_t begin, size_t end) {
  const dimension *last = &g->columns->of[g->columns->n - 1];
  size_t length = (size_t)last->size, most = (end - begin) / length + 2;
  uint32_t n_axes = g->p->w->n_axes;
  g->axis = last->axis, g->step = last->step, g->stride = last->lhs;
  g->runs = jm_alloc(most, 2 * sizeof *g->runs);
  if (!g->runs) return jm_error_out_of_memory();
  g->joined = g->runs + most;
  for (size_t column = begin; column < end; g->n_runs++) {
    size_t left = length - column % length;
    run *r = &g->runs[g->n_runs];
    r->column = column - begin;
    r->length = (int64_t)(left < end - column ? left : end - column);
    place at = locate(g->columns, column);
    memcpy(r->at, at.coordinates, sizeof r->at);
    r->lhs = at.offset;
    for (uint32_t a = 0; a < n_axes; a++) {
      int64_t low = r->at[a], high = low;
      int64_t span = (int)a == g->axis ? (r->length - 1) * g->step : 0;
      *(span < 0 ? &low : &high) += span;
      if (!g->n_runs || low < g->least[a]) g->least[a] = low;
      if (!g->n_runs || high > g->most[a]) g->most[a] = high;
    }
    column += (size_t)r->length;
  }
  for (size_t i = 0; i < g->n_runs; i++) {
    run *last = g->n_joined ? &g->joined[g->n_joined - 1] : NULL;
    if (last && g->runs[i].lhs == last->lhs + (ptrdiff_t)last->length * g->stride)
      last->length += g->runs[i].length;
    else
      g->joined[g->n_joined++] = g->runs[i];
  }
  return NULL;
}

static void copy_run(size_t element, const char *from, ptrdiff_t stride, char *to, size_t n) {
  if (stride == 1)
    memcpy(to, from, n * element);
  else
    jm_pack_run_line(element, stride, n, from, to);
}

/* A run that may leave the input: zeros where it does. x: the row's coordinates. */
static void copy_clipped(const gather *g, const run *r, const int64_t *x, ptrdiff_t offset,
                         char *to) {
  const jm_window *w = g->p->w;
  size_t element = g->p->element;
  int64_t first = 0, last = r->length;
  for (uint32_t a = 0; a < w->n_axes; a++) {
    int64_t at = x[a] + r->at[a], n_in = w->axes[a].n_in;
    if ((int)a != g->axis) {
      if (at < 0 || at >= n_in) first = last;
      continue;
    }
    int64_t end = at + (r->length - 1) * g->step;
    if (at >= 0 && at < n_in && end >= 0 && end < n_in) continue;
    while (first < last && (at + first * g->step < 0 || at + first * g->step >= n_in)) first++;
    while (last > first && (at + (last - 1) * g->step < 0 || at + (last - 1) * g->step >= n_in))
      last--;
  }
  if (last < first) last = first;
  memset(to, 0, (size_t)first * element);
  if (last > first)
    copy_run(element,
             g->p->lhs + (offset + r->lhs + (ptrdiff_t)first * g->stride) * (ptrdiff_t)element,
             g->stride, to + (size_t)first * element, (size_t)(last - first));
  memset(to + (size_t)last * element, 0, (size_t)(r->length - last) * element);
}

static void gather_rows(void *context, size_t begin, size_t end) {
  const gather *g = context;
  const plan *p = g->p;
  const jm_window *w = p->w;
  place at = locate(g->rows, g->first_row + begin);
  for (uint32_t a = 0; a < w->n_axes; a++) {
    at.coordinates[a] += w->axes[a].start;
    at.offset += (ptrdiff_t)w->axes[a].start * w->axes[a].in_stride;
  }
  for (size_t row = begin; row < end; row++, advance(g->rows, &at)) {
    const int64_t *x = at.coordinates;
    const ptrdiff_t offset = at.offset;
    bool inside = true;
    for (uint32_t a = 0; a < w->n_axes; a++)
      inside &= x[a] + g->least[a] >= 0 && x[a] + g->most[a] < w->axes[a].n_in;
    char *to = g->tile + row * g->row_stride * p->element;
    for (size_t i = 0; inside && i < g->n_joined; i++) {
      const run *r = &g->joined[i];
      copy_run(p->element, p->lhs + (offset + r->lhs) * (ptrdiff_t)p->element, g->stride,
               to + r->column * p->element, (size_t)r->length);
    }
    for (size_t i = 0; !inside && i < g->n_runs; i++)
      copy_clipped(g, &g->runs[i], x, offset, to + g->runs[i].column * p->element);
  }
}

/* Fills a tile with rows [r0, r1) and columns [c0, c1). */
static jm_error *fill_tile(const plan *p, const dimensions *rows, const dimensions *columns,
                           size_t r0, size_t r1, size_t c0, size_t c1, char *tile,
                           bool one_thread) {
  gather g = {.p = p,
              .tile = tile,
              .rows = rows,
              .columns = columns,
              .first_row = r0,
              .row_stride = c1 - c0};
  size_t grain = one_thread ? r1 - r0 : GATHER_GRAIN / ((c1 - c0) * p->element) + 1;
  jm_error *error = init_runs(&g, c0, c1);
  if (!error) jm_parallel_for(r1 - r0, grain, gather_rows, &g);
  jm_free(g.runs);
  return error;
}

/* -- multiplying */

/* Where the result of positions goes: row-major (positions x features), or its transpose. */
typedef struct target {
  char *data;
  bool transposed;
  size_t ld;
} target;

static jm_error *multiply(const plan *p, const void *a, ptrdiff_t a_position, ptrdiff_t a_term,
                          size_t n_positions, size_t term, size_t n_terms, bool one_thread,
                          const target *to) {
  const char *b = p->rhs + (ptrdiff_t)term * p->rhs_term * (ptrdiff_t)p->element;
  size_t features = (size_t)p->w->out_features;
  jm_gemm g = {.dtype = p->w->dtype,
               .k = n_terms,
               .c = to->data,
               .ldc = to->ld,
               .accumulate = term > 0,
               .one_thread = one_thread};
  if (to->transposed) {
    g.m = features, g.a = b, g.a_row = p->features_rhs, g.a_col = p->rhs_term;
    g.n = n_positions, g.b = a, g.b_row = a_term, g.b_col = a_position;
  } else {
    g.m = n_positions, g.a = a, g.a_row = a_position, g.a_col = a_term;
    g.n = features, g.b = b, g.b_row = p->rhs_term, g.b_col = p->features_rhs;
  }
  return jm_gemm_run(&g);
}

/* How good the runs are that gathering along the last dimension has: long, better if consecutive.
 */
static int64_t run_value(const dimensions *d) {
  const dimension *last = &d->of[d->n - 1];
  return last->lhs == 1 ? last->size * 4 : last->size;
}

typedef struct tiles {
  const plan *p;
  bool by_position, one_thread; /* one_thread: each tile; several tiles at a time */
  size_t begin, end, block, block_terms;
  const target *to;
  jm_error *_Atomic error;
} tiles;

/* A block of positions: all its terms, tile after tile. */
static jm_error *run_block(const tiles *t, size_t begin, size_t end, char *tile) {
  const plan *p = t->p;
  target to = *t->to;
  to.data += (begin - t->begin) * (to.transposed ? 1 : to.ld) * p->element;
  for (size_t k = 0; k < p->terms.count; k += t->block_terms) {
    size_t left = p->terms.count - k, n = left < t->block_terms ? left : t->block_terms;
    if (jm_context_is_cancelled(p->w->context))
      return jm_error_create(JM_CANCELLED, "convolution was cancelled");
    if (t->by_position) {
      JM_TRY(fill_tile(p, &p->positions, &p->terms, begin, end, k, k + n, tile, t->one_thread));
      JM_TRY(multiply(p, tile, (ptrdiff_t)n, 1, end - begin, k, n, t->one_thread, &to));
    } else {
      JM_TRY(fill_tile(p, &p->terms, &p->positions, k, k + n, begin, end, tile, t->one_thread));
      JM_TRY(multiply(p, tile, 1, (ptrdiff_t)(end - begin), end - begin, k, n, t->one_thread, &to));
    }
  }
  return NULL;
}

static void run_blocks(void *context, size_t begin, size_t end) {
  tiles *t = context;
  char *tile = jm_scratch_take(t->block * t->block_terms * t->p->element);
  for (size_t i = begin; i < end; i++) {
    size_t from = t->begin + i * t->block;
    size_t to = t->end - from < t->block ? t->end : from + t->block;
    jm_error *error = tile ? run_block(t, from, to, tile) : jm_error_out_of_memory();
    if (error) jm_error_destroy(atomic_exchange(&t->error, error));
  }
  jm_scratch_give(tile);
}

/* The sizes of tiles for n positions, by these sizes alone. */
static void cut(tiles *t, size_t n) {
  const size_t terms = t->p->terms.count, element = t->p->element;
  const size_t room = TILE_BYTES / element, shared = SHARED_BYTES / element;
  t->one_thread = true;
  t->block_terms = terms;
  if (n / LEAST_BLOCKS >= LEAST_SIDE && room / LEAST_SIDE >= terms) {
    t->block = room / terms < n / LEAST_BLOCKS ? room / terms : n / LEAST_BLOCKS;
    return;
  }
  if (!t->by_position && n > 2 * LEAST_SIDE && terms >= LEAST_SLICES * SLICE_TERMS) {
    t->block = LEAST_SIDE;
    t->block_terms = SLICE_TERMS;
    return;
  }
  t->one_thread = false;
  t->block = shared / terms > LEAST_POSITIONS ? shared / terms : LEAST_POSITIONS;
  size_t blocks = (n + t->block - 1) / t->block;
  t->block = (n + blocks - 1) / blocks;
  if (shared / t->block < terms) t->block_terms = shared / t->block;
}

/* Positions [begin, end) in tiles. Many narrow ones at a time, each in its thread's cache: with all
 * terms, or, where there are many (a filter's gradient, whose terms are the pixels of a batch),
 * with some after the other. Or, where there are few positions, large ones that all threads fill
 * and multiply together. */
static jm_error *multiply_gathered(const plan *p, size_t begin, size_t end, const target *to) {
  tiles t = {.p = p, .begin = begin, .end = end, .to = to};
  t.by_position = run_value(&p->terms) >= run_value(&p->positions);
  size_t n = end - begin;
  cut(&t, n);
  size_t blocks = (n + t.block - 1) / t.block;
  jm_parallel_for(blocks, t.one_thread ? 1 : blocks, run_blocks, &t);
  return atomic_load(&t.error);
}

/* Whether the gathered matrix is a view of the input: evenly spaced and never outside. */
static bool find_view(const plan *p, ptrdiff_t *position, ptrdiff_t *term, ptrdiff_t *offset) {
  if (!find_stride(&p->positions, 0, LHS, position) || !find_stride(&p->terms, 0, LHS, term))
    return false;
  *offset = 0;
  for (uint32_t i = 0; i < p->w->n_axes; i++) {
    const jm_axis *a = &p->w->axes[i];
    int64_t taps = (a->n_tap - 1) * a->tap_step, low = a->start, high = a->start;
    high += (a->n_out - 1) * a->out_step;
    *(taps < 0 ? &low : &high) += taps;
    if (low < 0 || high >= a->n_in) return false;
    *offset += (ptrdiff_t)a->start * a->in_stride;
  }
  return true;
}

static jm_error *multiply_positions(plan *p, size_t begin, size_t end, const target *to) {
  if (!p->terms.count) return multiply(p, p->lhs, 1, 1, end - begin, 0, 0, false, to);
  ptrdiff_t position, term, offset;
  if (!find_view(p, &position, &term, &offset)) return multiply_gathered(p, begin, end, to);
  offset += (ptrdiff_t)begin * position;
  return multiply(p, p->lhs + offset * (ptrdiff_t)p->element, position, term, end - begin, 0,
                  p->terms.count, false, to);
}

/* Result positions that are evenly spaced in memory, as few pieces as possible. Writes to the
 * result itself if each piece is a matrix there and wide enough; else to a copy, put in place
 * after. */
static jm_error *run_plan(plan *p) {
  const dimensions *d = &p->positions;
  size_t features = (size_t)p->w->out_features, piece = d->count;
  uint32_t split = 0;
  target to = {.data = p->out};
  ptrdiff_t stride;
  for (; !find_stride(d, split, OTHER, &stride); split++) piece /= (size_t)d->of[split].size;
  bool rows = (features == 1 || p->features_out == 1) && stride >= (ptrdiff_t)features;
  bool columns = (piece == 1 || stride == 1) && p->features_out >= (ptrdiff_t)piece;
  if ((rows || columns) && (piece == d->count || piece >= NARROW)) {
    to.transposed = !rows;
    to.ld = (size_t)(rows ? stride : p->features_out);
    for (size_t i = 0; i < d->count; i += piece) {
      ptrdiff_t offset = 0;
      size_t rest = i / piece;
      for (uint32_t j = split; j-- > 0; rest /= (size_t)d->of[j].size)
        offset += (ptrdiff_t)(rest % (size_t)d->of[j].size) * d->of[j].other;
      to.data = p->out + offset * (ptrdiff_t)p->element;
      JM_TRY(multiply_positions(p, i, i + piece, &to));
    }
    return NULL;
  }
  to.data = p->whole_out = jm_scratch_take(d->count * features * p->element);
  if (!to.data) return jm_error_out_of_memory();
  to.ld = features;
  JM_TRY(multiply_positions(p, 0, d->count, &to));
  int64_t sizes[JM_PACK_RANK];
  ptrdiff_t from[JM_PACK_RANK], into[JM_PACK_RANK], dense = (ptrdiff_t)features;
  for (uint32_t i = d->n; i-- > 0; dense *= (ptrdiff_t)d->of[i].size) {
    sizes[i] = d->of[i].size;
    from[i] = dense;
    into[i] = d->of[i].other;
  }
  sizes[d->n] = p->w->out_features, from[d->n] = 1, into[d->n] = p->features_out;
  jm_pack_run(p->element, d->n + 1, sizes, from, p->whole_out, into, p->out);
  return NULL;
}

typedef struct groups {
  const jm_window *w;
  jm_error *_Atomic error;
} groups;

static void run_groups(void *context, size_t begin, size_t end) {
  groups *g = context;
  const jm_window *w = g->w;
  for (size_t i = begin; i < end; i++) {
    ptrdiff_t element = (ptrdiff_t)jm_dtype_bytes(w->dtype), group = (ptrdiff_t)i;
    plan p = {.w = w,
              .element = (size_t)element,
              .features_out = w->out_feature,
              .features_rhs = w->rhs_out,
              .lhs = w->lhs + group * w->lhs_group * element,
              .rhs = w->rhs + group * w->rhs_group * element,
              .out = w->out + group * w->out_group * element};
    init_dimensions(&p);
    jm_error *error = p.terms.count ? init_kernel(&p) : NULL;
    if (!error) error = run_plan(&p);
    jm_scratch_give(p.packed_rhs);
    jm_scratch_give(p.whole_out);
    if (error) jm_error_destroy(atomic_exchange(&g->error, error));
  }
}

jm_error *jm_window_run_tiled(const jm_window *w) {
  groups g = {.w = w};
  jm_parallel_for((size_t)w->groups, 1, run_groups, &g);
  return atomic_load(&g.error);
}
