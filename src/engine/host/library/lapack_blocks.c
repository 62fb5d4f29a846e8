/* SPDX-License-Identifier: Apache-2.0
 * Each block is brought up to date by one product with all that was found before it, then solved.
 * The long sums of one product cost less than many short ones that update all that is left. */
#include "engine/host/library/lapack_blocks.h"

#include <stdatomic.h>

#include "base/loop.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/blas.h"
#include "engine/host/library/pack.h"

enum {
  BLOCK = 64,           /* rows and columns on the diagonal */
  LEAST = 160,          /* rows of a matrix that is worth it */
  PIECE_WORK = 1 << 18, /* multiplications of a solve that are worth a thread */
};

bool jm_blocks_fit(jm_dtype dtype, size_t n) {
  return n >= LEAST && (dtype == JM_DT_f32 || dtype == JM_DT_f64) && !jm_blas_is_plain();
}

#define DEFINE(T)                                                                                \
  JM_CLONES static void subtract_##T(size_t rows, size_t columns, T *y, size_t ld, const T *x) { \
    for (size_t i = 0; i < rows; i++)                                                            \
      JM_LOOP for (size_t j = 0; j < columns; j++) y[i * ld + j] -= x[i * columns + j];          \
  }
DEFINE(float)
DEFINE(double)

static size_t least(size_t x, size_t y) { return x < y ? x : y; }

/* c, whose rows are ldc apart, minus the product; `room` takes that. */
static jm_error *subtract_product(jm_gemm *g, void *c, size_t ldc, void *room) {
  g->c = room;
  g->ldc = g->n;
  JM_TRY(jm_gemm_run(g));
  if (g->dtype == JM_DT_f32)
    subtract_float(g->m, g->n, c, ldc, room);
  else
    subtract_double(g->m, g->n, c, ldc, room);
  return NULL;
}

/* -- solving with a block on the diagonal: vectors of the right side are apart from each other */

typedef struct pieces {
  const jm_lapack_triangular *problem;
  size_t n, each; /* vectors, and of a piece */
  jm_error *_Atomic error;
} pieces;

/* x op(a) = b as op(a)' x' = b': BLAS takes vectors that lie side by side three times as fast. */
static jm_error *solve_moved(const jm_lapack_triangular *p) {
  const size_t element = jm_dtype_bytes(p->dtype);
  void *room = jm_scratch_take(p->m * p->n * element);
  if (!room) return jm_error_out_of_memory();
  const ptrdiff_t ldb = (ptrdiff_t)p->ldb, count = (ptrdiff_t)p->m;
  const jm_pack_plane there = {element, p->n, p->m, 1, ldb, count, 1};
  const jm_pack_plane back = {element, p->m, p->n, 1, count, ldb, 1};
  jm_lapack_triangular moved = *p;
  moved.m = p->n, moved.n = p->m, moved.b = room, moved.ldb = p->m;
  moved.left = true;
  moved.transpose = p->transpose == JM_LAPACK_N ? JM_LAPACK_T : JM_LAPACK_N;
  jm_pack_run_plane(&there, p->b, room);
  jm_error *error = jm_lapack_solve(&moved);
  if (!error) jm_pack_run_plane(&back, room, p->b);
  jm_scratch_give(room);
  return error;
}

static void solve_pieces(void *context, size_t begin, size_t end) {
  pieces *p = context;
  for (size_t i = begin; i < end; i++) {
    jm_lapack_triangular part = *p->problem;
    const size_t first = i * p->each, n = least(p->n - first, p->each);
    part.b = (char *)part.b + first * (part.left ? 1 : part.ldb) * jm_dtype_bytes(part.dtype);
    *(part.left ? &part.n : &part.m) = n;
    jm_error *error = part.left || n == 1 ? jm_lapack_solve(&part) : solve_moved(&part);
    if (error) jm_error_destroy(atomic_exchange(&p->error, error));
  }
}

static jm_error *solve_block(const jm_lapack_triangular *problem) {
  const size_t order = problem->left ? problem->m : problem->n;
  pieces p = {.problem = problem, .n = problem->left ? problem->n : problem->m};
  p.each = (PIECE_WORK / (order * order / 2) + 15) / 16 * 16;
  jm_parallel_for((p.n + p.each - 1) / p.each, 1, solve_pieces, &p);
  return atomic_load(&p.error);
}

/* -- triangular_solve */

/* Element (i, j) of op(a). */
static const char *at(const jm_lapack_triangular *p, size_t i, size_t j) {
  const size_t row = p->transpose == JM_LAPACK_N ? i : j, column = i + j - row;
  return (const char *)p->a + (row * p->lda + column) * jm_dtype_bytes(p->dtype);
}

/* The block of unknowns [begin, end), when [known, known + n) are found. */
static jm_error *solve_next(const jm_lapack_triangular *p, size_t begin, size_t end, size_t known,
                            size_t n, void *room) {
  const size_t element = jm_dtype_bytes(p->dtype), size = end - begin;
  const bool moved = p->transpose != JM_LAPACK_N;
  const ptrdiff_t row = moved ? 1 : (ptrdiff_t)p->lda, column = moved ? (ptrdiff_t)p->lda : 1;
  jm_lapack_triangular next = *p;
  next.a = at(p, begin, begin);
  next.b = (char *)p->b + begin * (p->left ? p->ldb : 1) * element;
  *(p->left ? &next.m : &next.n) = size;
  const void *found = (char *)p->b + known * (p->left ? p->ldb : 1) * element;
  const ptrdiff_t ldb = (ptrdiff_t)p->ldb;
  jm_gemm g = {.dtype = p->dtype, .m = next.m, .n = next.n, .k = n};
  if (p->left) {
    g.a = at(p, begin, known), g.a_row = row, g.a_col = column;
    g.b = found, g.b_row = ldb, g.b_col = 1;
  } else {
    g.a = found, g.a_row = ldb, g.a_col = 1;
    g.b = at(p, known, begin), g.b_row = row, g.b_col = column;
  }
  if (n) JM_TRY(subtract_product(&g, next.b, p->ldb, room));
  return solve_block(&next);
}

jm_error *jm_blocks_solve(const jm_lapack_triangular *p) {
  const size_t order = p->left ? p->m : p->n, count = p->left ? p->n : p->m;
  const bool is_lower = p->lower == (p->transpose == JM_LAPACK_N), forward = is_lower == p->left;
  void *room = jm_scratch_take(BLOCK * count * jm_dtype_bytes(p->dtype));
  if (!room) return jm_error_out_of_memory();
  jm_error *error = NULL;
  jm_blas_enter_single();
  for (size_t done = 0; done < order && !error; done += BLOCK) {
    const size_t size = least(order - done, BLOCK), begin = forward ? done : order - done - size;
    error = solve_next(p, begin, begin + size, forward ? 0 : begin + size, done, room);
  }
  jm_blas_leave_single();
  jm_scratch_give(room);
  return error;
}

/* -- cholesky */

/* Of the factor L (the conjugate transpose of which an upper one is), the columns [j, j + size):
 * those before them are found. */
static jm_error *factor_next(jm_dtype dtype, size_t n, bool lower, char *a, size_t lda, size_t j,
                             void *room, bool *positive) {
  const size_t element = jm_dtype_bytes(dtype), size = least(n - j, BLOCK), rest = n - j;
  const size_t row = lower ? lda : 1, column = lower ? 1 : lda; /* of L */
  char *block = a + j * (lda + 1) * element, *below = block + size * row * element;
  const char *before = a + j * row * element; /* the rows from j on of what is found */
  jm_gemm g = {.dtype = dtype, .m = lower ? rest : size, .n = lower ? size : rest, .k = j};
  g.a = g.b = before;
  g.a_row = g.b_col = (ptrdiff_t)row, g.a_col = g.b_row = (ptrdiff_t)column;
  if (j) JM_TRY(subtract_product(&g, block, lda, room));
  JM_TRY(jm_lapack_cholesky(dtype, size, lower, block, lda, positive));
  if (!*positive || rest == size) return NULL;
  const jm_lapack_triangular problem = {.dtype = dtype,
                                        .m = lower ? rest - size : size,
                                        .n = lower ? size : rest - size,
                                        .left = !lower,
                                        .lower = lower,
                                        .transpose = JM_LAPACK_T,
                                        .a = block,
                                        .lda = lda,
                                        .b = below,
                                        .ldb = lda};
  return solve_block(&problem);
}

jm_error *jm_blocks_cholesky(jm_dtype dtype, size_t n, bool lower, void *a, size_t lda,
                             bool *positive) {
  void *room = jm_scratch_take(BLOCK * n * jm_dtype_bytes(dtype));
  if (!room) return jm_error_out_of_memory();
  jm_error *error = NULL;
  jm_blas_enter_single();
  for (size_t j = 0; j < n && *positive && !error; j += BLOCK)
    error = factor_next(dtype, n, lower, a, lda, j, room, positive);
  jm_blas_leave_single();
  jm_scratch_give(room);
  return error;
}
