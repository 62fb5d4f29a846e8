/* SPDX-License-Identifier: Apache-2.0
 * A solve takes its vectors in panels, which threads share: a panel is copied to consecutive
 * memory, where its unknowns are rows and its vectors lanes, and every unknown subtracts what it
 * contributes from those behind it. Rows of solved unknowns are kept negated, so that tiles that
 * add serve.
 *
 * A Cholesky factorisation goes from block to block on the diagonal. The rows below a block are
 * solved for it, in pieces; such a piece is a panel, and that panel is also the right operand of
 * the products that bring the matrix behind it up to date. The next block is factored beside
 * them. */
#include "engine/host/library/lapack_panels.h"

#include <stdatomic.h>
#include <string.h>

#include "base/loop.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/blas.h"
#include "engine/host/library/cpu.h"
#include "engine/host/library/gemm_vector.h"
#include "engine/host/library/lapack_loops.h"
#include "engine/host/library/pack.h"

enum {
  FEW = JM_LOOPS_FEW,   /* rows that are factored without vectors */
  STEP = 6,             /* rows of a solve that are finished together: those of a tile */
  DEPTH = 128,          /* unknowns of a panel that stay in the first cache, */
  ROWS = 96,            /* and rows that are brought up to date with them at a time */
  BLOCK = 64,           /* on the diagonal, and rows of a piece below it */
  NARROW = 32,          /* vectors of a panel where there are few, */
  FEW_PANELS = 8,       /* that is, not so many wider ones */
  LEAST_PANEL = 8,      /* vectors that are worth it */
  PIECE_WORK = 1 << 18, /* multiplications that are worth a thread */
};

typedef struct kernels {
  size_t element, lanes;
  void (*finish)(const void *a, ptrdiff_t a_row, ptrdiff_t a_col, const void *scales, size_t rows,
                 void *y, size_t width);
  void (*invert)(size_t n, const void *a, ptrdiff_t step, void *scales);
  void (*negate)(size_t rows, size_t columns, void *data, size_t ld);
} kernels;

#define TEMPLATE "engine/host/library/lapack_tile.h"
#include "engine/host/library/float_vectors.h"
FIND_TABLE(kernels, tables)

static const kernels *find_kernels(jm_dtype dtype) { return find_tables(dtype, JM_CPU_AVX512); }

static size_t least(size_t x, size_t y) { return x < y ? x : y; }
static size_t round_up(size_t x, size_t step) { return (x + step - 1) / step * step; }

static const char *move(const void *data, ptrdiff_t elements, const kernels *k) {
  return (const char *)data + elements * (ptrdiff_t)k->element;
}

static char *move_to(void *data, ptrdiff_t elements, const kernels *k) {
  return (char *)data + elements * (ptrdiff_t)k->element;
}

/* -- a panel */

/* A lower triangle, whatever its strides: an upper one is walked from its other end. */
typedef struct triangle {
  const kernels *kernels;
  jm_dtype dtype;
  size_t n;
  const void *a, *scales; /* scales: -1 / diagonal */
  ptrdiff_t row, column;
} triangle;

/* rows x depth of it from (i, k): in place if rows are consecutive, else a copy. */
typedef struct view {
  const void *a;
  ptrdiff_t row, column;
} view;

static view take(const triangle *t, size_t i, size_t rows, size_t k, size_t depth, void *room) {
  const kernels *kernels = t->kernels;
  const view v = {move(t->a, (ptrdiff_t)i * t->row + (ptrdiff_t)k * t->column, kernels), t->row,
                  t->column};
  if (t->row != 1 && t->row != -1) return v;
  const ptrdiff_t last = (ptrdiff_t)rows - 1, to_row = t->row * (ptrdiff_t)depth;
  const bool back = t->row < 0;
  const jm_pack_plane plane = {kernels->element, rows, depth, 1, t->column, to_row, 1};
  jm_pack_run_plane(&plane, back ? move(v.a, -last, kernels) : v.a,
                    back ? move_to(room, last * (ptrdiff_t)depth, kernels) : room);
  return (view){room, (ptrdiff_t)depth, 1};
}

static jm_gemm product_of(const triangle *t, view a, const void *y, size_t width) {
  return (jm_gemm){.dtype = t->dtype,
                   .n = width,
                   .a = a.a,
                   .a_row = a.row,
                   .a_col = a.column,
                   .b = y,
                   .b_row = (ptrdiff_t)width,
                   .b_col = 1,
                   .ldc = width};
}

/* y: n rows of `width` lanes, a multiple of a vector's; what they become is negated. room: DEPTH x
 * DEPTH elements. */
static void solve_panel(const triangle *t, void *y, size_t width, void *room) {
  const kernels *kernels = t->kernels;
  const ptrdiff_t line = (ptrdiff_t)width;
  for (size_t k = 0; k < t->n; k += DEPTH) {
    const size_t depth = least(t->n - k, DEPTH);
    char *solved = move_to(y, (ptrdiff_t)k * line, kernels);
    const view block = take(t, k, depth, k, depth, room);
    for (size_t i = 0; i < depth; i += STEP) {
      const ptrdiff_t at = (ptrdiff_t)i;
      jm_gemm g = product_of(t, block, solved, width);
      g.m = least(depth - i, STEP), g.k = i;
      g.a = move(block.a, at * block.row, kernels), g.c = move_to(solved, at * line, kernels);
      jm_gemm_vector_add(&g);
      kernels->finish(move(block.a, at * (block.row + block.column), kernels), block.row,
                      block.column, move(t->scales, (ptrdiff_t)(k + i), kernels), g.m, g.c, width);
    }
    for (size_t i = k + depth; i < t->n; i += ROWS) {
      jm_gemm g = product_of(t, (view){0}, solved, width);
      g.m = least(t->n - i, ROWS), g.k = depth;
      const view below = take(t, i, g.m, k, depth, room);
      g.a = below.a, g.a_row = below.row, g.a_col = below.column;
      g.c = move_to(y, (ptrdiff_t)i * line, kernels);
      jm_gemm_vector_add(&g);
    }
  }
}

/* -- solves */

typedef struct solve {
  const jm_lapack_triangular *problem;
  triangle triangle;
  bool is_backward;
  size_t vectors, width; /* width: vectors of a panel */
  _Atomic bool failed;   /* no memory */
} solve;

/* Vectors [first, first + n) to or from a panel. */
static void move_vectors(const solve *s, size_t first, size_t n, size_t width, void *y, bool back) {
  const jm_lapack_triangular *p = s->problem;
  const kernels *kernels = s->triangle.kernels;
  const ptrdiff_t ldb = (ptrdiff_t)p->ldb, last = (ptrdiff_t)(s->triangle.n - 1);
  const ptrdiff_t row = p->left ? ldb : 1, column = p->left ? 1 : ldb;
  const ptrdiff_t line = s->is_backward ? -(ptrdiff_t)width : (ptrdiff_t)width;
  const ptrdiff_t begin = (ptrdiff_t)first * column;
  void *b = move_to(p->b, begin, kernels);
  void *panel = s->is_backward ? move_to(y, last * (ptrdiff_t)width, kernels) : y;
  jm_pack_plane plane = {kernels->element, s->triangle.n, n, row, column, line, 1};
  if (!back) {
    if (n < width) memset(y, 0, s->triangle.n * width * kernels->element);
    jm_pack_run_plane(&plane, p->given ? move(p->given, begin, kernels) : b, panel);
    return;
  }
  if (p->left)
    plane = (jm_pack_plane){kernels->element, s->triangle.n, n, line, 1, row, 1};
  else
    plane = (jm_pack_plane){kernels->element, n, s->triangle.n, 1, line, column, 1};
  jm_pack_run_plane(&plane, panel, b);
  kernels->negate(plane.rows, plane.columns, b, p->ldb);
}

static void run_panels(void *context, size_t begin, size_t end) {
  solve *s = context;
  const kernels *kernels = s->triangle.kernels;
  const size_t n = s->triangle.n;
  void *y = jm_scratch_take((n * s->width + DEPTH * DEPTH) * kernels->element);
  if (!y) s->failed = true;
  for (size_t i = begin; y && i < end; i++) {
    const size_t first = i * s->width, count = least(s->vectors - first, s->width);
    const size_t width = round_up(count, kernels->lanes);
    move_vectors(s, first, count, width, y, false);
    solve_panel(&s->triangle, y, width, move_to(y, (ptrdiff_t)(n * s->width), kernels));
    move_vectors(s, first, count, width, y, true);
  }
  jm_scratch_give(y);
}

static triangle triangle_of(const jm_lapack_triangular *p, bool is_backward) {
  const kernels *kernels = find_kernels(p->dtype);
  const bool swap = (p->transpose != JM_LAPACK_N) != !p->left;
  triangle t = {kernels, p->dtype, p->left ? p->m : p->n, p->a, NULL, 0, 0};
  t.row = swap ? 1 : (ptrdiff_t)p->lda, t.column = swap ? (ptrdiff_t)p->lda : 1;
  if (is_backward) {
    t.a = move(p->a, (ptrdiff_t)(t.n - 1) * (t.row + t.column), kernels);
    t.row = -t.row, t.column = -t.column;
  }
  return t;
}

bool jm_panels_fit_solve(const jm_lapack_triangular *p) {
  return (p->left ? p->m : p->n) > FEW && (p->left ? p->n : p->m) >= LEAST_PANEL &&
         find_kernels(p->dtype) && !jm_blas_is_plain();
}

jm_error *jm_panels_solve(const jm_lapack_triangular *p) {
  /* x op(a) = b is op(a)' x' = b', with the vectors of x and b as they lie. */
  const bool is_lower = p->lower == (p->transpose == JM_LAPACK_N);
  solve s = {.problem = p, .is_backward = is_lower != p->left};
  s.triangle = triangle_of(p, s.is_backward);
  s.vectors = p->left ? p->n : p->m;
  const kernels *kernels = s.triangle.kernels;
  const size_t n = s.triangle.n;
  s.width =
      least(s.vectors <= NARROW * FEW_PANELS ? NARROW : BLOCK, round_up(s.vectors, kernels->lanes));
  char *scales = jm_scratch_take(n * kernels->element);
  if (!scales) return jm_error_out_of_memory();
  if (p->unit_diagonal) {
    const double one_f64 = 1;
    const float one_f32 = 1;
    kernels->invert(n, p->dtype == JM_DT_f32 ? (const void *)&one_f32 : &one_f64, 0, scales);
  } else {
    kernels->invert(n, s.triangle.a, s.triangle.row + s.triangle.column, scales);
  }
  s.triangle.scales = scales;
  const size_t grain = PIECE_WORK / (n * n / 2 * s.width) + 1;
  jm_parallel_for((s.vectors + s.width - 1) / s.width, grain, run_panels, &s);
  jm_scratch_give(scales);
  return s.failed ? jm_error_out_of_memory() : NULL;
}

/* -- cholesky */

/* The factor of a lower triangle while the block at `at` is being eliminated. */
typedef struct factor {
  const kernels *kernels;
  jm_dtype dtype;
  size_t n, lda, at, block; /* block: its rows */
  void *a;
  void *panels; /* of each piece below, as solve_panel leaves it */
  void *scales; /* of the block */
  void *room;   /* for the next block's panel and scales */
  bool is_positive;
} factor;

static void *element_at(const factor *f, size_t i, size_t j) {
  return move_to(f->a, (ptrdiff_t)(i * f->lda + j), f->kernels);
}

/* Some rows below the block, and their panel. */
typedef struct piece {
  size_t begin, rows, width;
  void *panel;
} piece;

static piece piece_at(const factor *f, size_t i) {
  piece p = {.begin = f->at + f->block + i * BLOCK};
  p.rows = least(f->n - p.begin, BLOCK);
  p.width = round_up(p.rows, f->kernels->lanes);
  p.panel = move_to(f->panels, (ptrdiff_t)(i * f->block * BLOCK), f->kernels);
  return p;
}

static size_t count_pieces(const factor *f) {
  return (f->n - f->at - f->block + BLOCK - 1) / BLOCK;
}

static void solve_pieces(void *context, size_t begin, size_t end) {
  const factor *f = context;
  const kernels *k = f->kernels;
  const ptrdiff_t lda = (ptrdiff_t)f->lda;
  const triangle t = {k, f->dtype, f->block, element_at(f, f->at, f->at), f->scales, lda, 1};
  for (size_t i = begin; i < end; i++) {
    const piece p = piece_at(f, i);
    const ptrdiff_t line = (ptrdiff_t)p.width;
    void *x = element_at(f, p.begin, f->at);
    if (p.rows < p.width) memset(p.panel, 0, f->block * p.width * k->element);
    jm_pack_run_plane(&(jm_pack_plane){k->element, f->block, p.rows, 1, lda, line, 1}, x, p.panel);
    solve_panel(&t, p.panel, p.width, NULL);
    jm_pack_run_plane(&(jm_pack_plane){k->element, p.rows, f->block, 1, line, lda, 1}, p.panel, x);
    k->negate(p.rows, f->block, x, f->lda);
  }
}

/* Rows [first, first + rows) of a piece, as far as the columns of another one, or the `columns`
 * first of them. */
static void update(const factor *f, const piece *at, size_t first, size_t rows, const piece *across,
                   size_t columns) {
  const size_t i = at->begin + first;
  const jm_gemm g = {.dtype = f->dtype,
                     .m = rows,
                     .n = columns,
                     .k = f->block,
                     .a = element_at(f, i, f->at),
                     .a_row = (ptrdiff_t)f->lda,
                     .a_col = 1,
                     .b = across->panel,
                     .b_row = (ptrdiff_t)across->width,
                     .b_col = 1,
                     .c = element_at(f, i, across->begin),
                     .ldc = f->lda};
  jm_gemm_vector_add(&g);
}

/* A piece's own columns, as far as the diagonal. */
static void update_own(const factor *f, const piece *p) {
  for (size_t i = 0; i < p->rows; i += FEW)
    update(f, p, i, least(p->rows - i, FEW), p, least(p->rows, i + FEW));
}

/* A block on the diagonal, by the calling thread. room: (FEW + 1) * BLOCK elements. */
static bool factor_block(const factor *whole, size_t at, size_t n, void *room) {
  factor f = *whole;
  f.n = n, f.a = element_at(whole, at, at);
  f.panels = room, f.scales = move_to(room, FEW * BLOCK, f.kernels);
  for (f.at = 0; f.at < n; f.at += f.block) {
    f.block = least(n - f.at, FEW);
    void *diagonal = element_at(&f, f.at, f.at);
    if (!jm_loops_find(f.dtype)->cholesky(f.block, true, diagonal, f.lda)) return false;
    f.kernels->invert(f.block, diagonal, (ptrdiff_t)f.lda + 1, f.scales);
    solve_pieces(&f, 0, count_pieces(&f));
    if (!count_pieces(&f)) continue;
    const piece p = piece_at(&f, 0);
    update_own(&f, &p);
  }
  return true;
}

/* Tile t of the lower triangle of pieces, row by row. The first is the next block. */
static void update_tiles(void *context, size_t begin, size_t end) {
  factor *f = context;
  for (size_t t = begin; t < end; t++) {
    size_t row = 0;
    while ((row + 1) * (row + 2) / 2 <= t) row++;
    const piece at = piece_at(f, row), across = piece_at(f, t - row * (row + 1) / 2);
    if (at.begin == across.begin)
      update_own(f, &at);
    else
      update(f, &at, 0, at.rows, &across, across.rows);
    if (!t) f->is_positive = factor_block(f, at.begin, at.rows, f->room);
  }
}

static void factor_lower(factor *f) {
  f->is_positive = factor_block(f, 0, least(f->n, BLOCK), f->room);
  for (f->at = 0; f->is_positive && f->at + BLOCK < f->n; f->at += BLOCK) {
    f->block = BLOCK;
    f->kernels->invert(BLOCK, element_at(f, f->at, f->at), (ptrdiff_t)f->lda + 1, f->scales);
    const size_t n = count_pieces(f);
    jm_parallel_for(n, PIECE_WORK / (BLOCK * BLOCK * BLOCK / 2) + 1, solve_pieces, f);
    jm_parallel_for(n * (n + 1) / 2, PIECE_WORK / (BLOCK * BLOCK * BLOCK), update_tiles, f);
  }
}

bool jm_panels_fit_cholesky(jm_dtype dtype, size_t n) {
  return n > FEW && find_kernels(dtype) && !jm_blas_is_plain();
}

/* The factor of an upper triangle is the transpose of that of the transpose. */
jm_error *jm_panels_cholesky(jm_dtype dtype, size_t n, bool lower, void *a, size_t lda,
                             bool *positive) {
  const kernels *k = find_kernels(dtype);
  const size_t panels = round_up(n, BLOCK) * BLOCK, room = (FEW + 1) * BLOCK;
  const ptrdiff_t from = (ptrdiff_t)lda, to = (ptrdiff_t)n;
  void *taken = jm_scratch_take((panels + BLOCK + room + (lower ? 0 : n * n)) * k->element);
  if (!taken) return jm_error_out_of_memory();
  factor f = {.kernels = k, .dtype = dtype, .n = n, .lda = lda, .a = a, .panels = taken};
  f.scales = move_to(taken, (ptrdiff_t)panels, k);
  f.room = move_to(f.scales, BLOCK, k);
  if (!lower) {
    f.a = move_to(f.room, (ptrdiff_t)room, k), f.lda = n;
    jm_pack_run_plane(&(jm_pack_plane){k->element, n, n, 1, from, to, 1}, a, f.a);
  }
  factor_lower(&f);
  if (!lower) jm_pack_run_plane(&(jm_pack_plane){k->element, n, n, 1, to, from, 1}, f.a, a);
  *positive = f.is_positive;
  jm_scratch_give(taken);
  return NULL;
}
