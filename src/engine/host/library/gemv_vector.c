/* SPDX-License-Identifier: Apache-2.0
 * Such a product is bound by the memory bandwidth for the matrix. If the dimension of the result is
 * contiguous in the matrix, rows are added up in registers; if the summed dimension is, each line
 * is a dot product. The latter serves a few vectors at a time, too: a tile would need the matrix
 * transposed. */
#include "engine/host/library/gemv_vector.h"

#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/pack.h"

enum {
  UNIT = 64,            /* results that stay together: whole cache lines, and whole tiles */
  PIECE = 3 << 14,      /* elements of the matrix that are worth a thread */
  MOST_PIECES = 256,    /* more only cost */
  LONGEST_CHAIN = 1024, /* additions to one number in a row: their rounding errors add up, too */
  ON_STACK = 1024,      /* elements of vectors that aren't consecutive */
  MOST_VECTORS = 8,     /* for which the matrix isn't worth being transposed */
  MANY_LINES = 128,
};

typedef struct loops {
  size_t element, lanes;
  void (*columns)(const void *x, const void *matrix, ptrdiff_t row, size_t k, void *y, size_t n,
                  bool add);
  void (*lines)(const void *x, ptrdiff_t x_across, size_t vectors, const void *matrix,
                ptrdiff_t row, size_t k, void *y, ptrdiff_t step, ptrdiff_t y_across, size_t n,
                bool add);
} loops;

enum { AHEAD = 6 }; /* rows that are prefetched */

#define TEMPLATE "engine/host/library/gemv_lines.h"
#include "engine/host/library/float_vectors.h"
FIND_TABLE(loops, tables)

static const loops *find_loops(jm_dtype dtype) { return find_tables(dtype, JM_CPU_AVX512); }

/* y = matrix x for each of a few x, whichever side of the product the matrix is on. */
typedef struct product {
  const loops *loops;
  const char *matrix, *x;
  char *y;
  ptrdiff_t across, along; /* strides of the matrix: to the next result, to the next summand */
  ptrdiff_t x_step, y_step;
  ptrdiff_t x_across, y_across; /* from vector to vector */
  size_t n, k, vectors;
  bool add;
} product;

static product view(const jm_gemm *g) {
  product p = {.loops = find_loops(g->dtype), .y = g->c, .k = g->k, .add = g->accumulate};
  if (g->m == 1 || (g->n > 1 && g->m <= g->n)) {
    p.matrix = g->b, p.across = g->b_col, p.along = g->b_row, p.n = g->n;
    p.x = g->a, p.x_step = g->a_col, p.x_across = g->a_row, p.vectors = g->m;
    p.y_step = 1, p.y_across = (ptrdiff_t)g->ldc;
  } else {
    p.matrix = g->a, p.across = g->a_row, p.along = g->a_col, p.n = g->m;
    p.x = g->b, p.x_step = g->b_row, p.x_across = g->b_col, p.vectors = g->n;
    p.y_step = (ptrdiff_t)g->ldc, p.y_across = 1;
  }
  return p;
}

/* Rows are added up where the results, too, are consecutive. A single result of consecutive
 * summands is a line, whatever the stride between results may be. */
static bool adds_rows(const product *p) {
  return p->vectors == 1 && p->across == 1 && p->y_step == 1 && (p->n > 1 || p->along != 1);
}

/* Whether the x are worth being copied so that their elements are consecutive: tiles of the shorter
 * vectors would have half of their lanes empty. */
static bool is_worth_copying(const product *p) {
  return p->vectors * 4 <= p->loops->lanes && p->n >= MANY_LINES;
}

/* Whether lines are long enough for vectors. */
static bool is_few_lines(const product *p) {
  return p->vectors <= MOST_VECTORS && p->along == 1 && p->k >= p->loops->lanes &&
         (p->x_step == 1 || is_worth_copying(p));
}

bool jm_gemv_vector_is_lines(const jm_gemm *g) {
  if (!find_loops(g->dtype)) return false;
  product p = view(g);
  return is_few_lines(&p);
}

bool jm_gemv_vector_fits(const jm_gemm *g) {
  if ((g->m != 1 && g->n != 1) || !find_loops(g->dtype)) return false;
  product p = view(g);
  return p.along == 1 || p.k == 1 || adds_rows(&p);
}

static void run_units(void *context, size_t begin, size_t end) {
  const product *p = context;
  ptrdiff_t element = (ptrdiff_t)p->loops->element;
  size_t first = begin * UNIT, last = end * UNIT < p->n ? end * UNIT : p->n;
  const char *matrix = p->matrix + (ptrdiff_t)first * p->across * element;
  char *y = p->y + (ptrdiff_t)first * p->y_step * element;
  bool rows = adds_rows(p);
  size_t depth = rows ? LONGEST_CHAIN : LONGEST_CHAIN * 2 * p->loops->lanes;
  for (size_t l = 0; l < p->k; l += depth) {
    const char *x = p->x + l * p->loops->element;
    const char *part = matrix + (ptrdiff_t)l * p->along * element;
    size_t k = p->k - l < depth ? p->k - l : depth;
    if (rows)
      p->loops->columns(x, part, p->along, k, y, last - first, p->add || l);
    else
      p->loops->lines(x, p->x_across, p->vectors, part, p->across, k, y, p->y_step, p->y_across,
                      last - first, p->add || l);
  }
}

jm_error *jm_gemv_vector_run(const jm_gemm *g) {
  product p = view(g);
  size_t element = p.loops->element;
  double on_stack[ON_STACK];
  char *x = NULL;
  if (p.x_step != 1 && p.k > 1) {
    const size_t count = p.k * p.vectors;
    x = count <= ON_STACK ? (char *)on_stack : jm_scratch_take(count * element);
    if (!x) return jm_error_out_of_memory();
    const jm_pack_plane plane = {element, p.vectors, p.k, p.x_across, p.x_step, (ptrdiff_t)p.k, 1};
    jm_pack_run_plane(&plane, p.x, x);
    p.x = x, p.x_across = (ptrdiff_t)p.k;
  }
  size_t units = (p.n + UNIT - 1) / UNIT, grain = PIECE / (p.k * UNIT * p.vectors) + 1;
  if (grain < units / MOST_PIECES) grain = units / MOST_PIECES;
  jm_parallel_for(units, g->one_thread ? units : grain, run_units, &p);
  if (x != (char *)on_stack) jm_scratch_give(x);
  return NULL;
}
