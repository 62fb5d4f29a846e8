/* SPDX-License-Identifier: Apache-2.0
 * The batches: a matrix at a time, several threads over the matrices. Floats narrower than f32 are
 * computed in f32 and rounded once. */
#include "engine/host/library/linalg.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "engine/host/library/blas.h"
#include "engine/host/library/functions.h"
#include "engine/host/library/lapack.h"
#include "engine/host/library/lapack_loops.h"

enum {
  GRAIN_WORK = 1 << 15,
  COPY_BYTES = 1 << 17, /* of a matrix that are worth a thread */
  LEAST_LANES = 8,      /* solves that take as long in lanes as one by one, */
  MOST_VECTORS = 8,     /* of such a solve: more of them are lanes by themselves */
  LANES_FASTER = 2,     /* and so many times less where there are many */
  LARGE_WORK = 1 << 27  /* from here on a matrix alone may have the library's own threads */
};

static jm_dtype computed_as(jm_dtype dtype) {
  return jm_dtype_is_float(dtype) && dtype != JM_DT_f64 ? JM_DT_f32 : dtype;
}

jm_error *jm_linalg_check(const jm_module *m, const jm_op *op) {
  if (jm_lapack_supports(computed_as(jm_op_operand_type(m, op, 0)->dtype))) return NULL;
  return jm_op_error(m, op, JM_UNIMPLEMENTED, "matrices of this element type");
}

/* One tensor of the call as matrices of the computed type; a copy if that is another type. */
typedef struct matrices {
  char *data;
  void *copy;
  size_t rows, cols, bytes; /* bytes: of one matrix */
} matrices;

typedef struct batch batch;
typedef jm_error *matrix_fn(const batch *b, size_t index);
struct batch {
  const jm_call *call;
  jm_dtype dtype;
  matrix_fn *run;
  matrices in[2], out[2];
  jm_error *_Atomic error;
};

static jm_error *take(const jm_tensor *t, jm_dtype dtype, bool read, matrices *out) {
  uint32_t rank = t->type->rank;
  *out = (matrices){.data = t->data, .rows = 1, .cols = 1};
  if (rank) out->cols = (size_t)t->type->dims[rank - 1];
  if (rank > 1) out->rows = (size_t)t->type->dims[rank - 2];
  out->bytes = out->rows * out->cols * jm_dtype_bytes(dtype);
  if (t->type->dtype == dtype) return NULL;
  size_t count = (size_t)t->type->count;
  out->data = out->copy = jm_alloc_data(count * jm_dtype_bytes(dtype));
  if (!out->copy) return jm_error_out_of_memory();
  return read ? jm_convert_run(t->type->dtype, dtype, t->data, out->data, count) : NULL;
}

static char *matrix(const matrices *m, size_t index) { return m->data + index * m->bytes; }

static void run_matrices(void *context, size_t begin, size_t end) {
  batch *b = context;
  for (size_t i = begin; i < end; i++) {
    jm_error *error = jm_context_is_cancelled(b->call->context)
                          ? jm_error_create(JM_CANCELLED, "cancelled")
                          : b->run(b, i);
    if (error) jm_error_destroy(atomic_exchange(&b->error, error));
  }
}

/* n matrices, each of about `work` multiplications. */
static jm_error *run_batch(const jm_call *call, matrix_fn *run, size_t n, size_t work) {
  batch b = {.call = call, .dtype = computed_as(call->in[0].type->dtype), .run = run};
  jm_error *error = NULL;
  uint32_t n_in = call->op->n_operands, n_out = call->op->n_results;
  for (uint32_t i = 0; i < n_in && !error; i++) error = take(&call->in[i], b.dtype, true, &b.in[i]);
  for (uint32_t i = 0; i < n_out && !error; i++)
    error = take(&call->out[i], b.dtype, false, &b.out[i]);
  if (!error) {
    bool single = n > 1 || work < LARGE_WORK;
    if (single) jm_blas_enter_single();
    jm_parallel_for(n, GRAIN_WORK / (work + 1) + 1, run_matrices, &b);
    if (single) jm_blas_leave_single();
    error = atomic_load(&b.error);
  }
  for (uint32_t i = 0; i < n_out && !error; i++)
    if (b.out[i].copy)
      error = jm_convert_run(b.dtype, call->out[i].type->dtype, b.out[i].data, call->out[i].data,
                             (size_t)call->out[i].type->count);
  for (int i = 0; i < 2; i++) {
    jm_free(b.in[i].copy);
    jm_free(b.out[i].copy);
  }
  return error;
}

/* Matrices in the leading dimensions of a type. */
static size_t count_matrices(const jm_type *type, uint32_t matrix_rank) {
  size_t n = 1;
  for (uint32_t d = 0; d + matrix_rank < type->rank; d++) n *= (size_t)type->dims[d];
  return n;
}

static void fill_nan(jm_dtype dtype, void *data, size_t bytes) {
  bool is_f32 = jm_dtype_real(dtype) == JM_DT_f32;
  size_t n = bytes / jm_dtype_bytes(jm_dtype_real(dtype));
  for (size_t i = 0; i < n; i++)
    if (is_f32)
      ((float *)data)[i] = NAN;
    else
      ((double *)data)[i] = NAN;
}

/* Two triangles of a matrix of n rows: one of them with the diagonal. */
typedef struct triangles {
  const char *from;
  char *to;
  size_t n, element;
  bool lower;
} triangles;

static void copy_triangle(void *context, size_t begin, size_t end) {
  const triangles *t = context;
  for (size_t i = begin; i < end; i++) {
    const size_t at = (i * t->n + (t->lower ? 0 : i)) * t->element;
    memmove(t->to + at, t->from + at, (t->lower ? i + 1 : t->n - i) * t->element);
  }
}

static void clear_other(void *context, size_t begin, size_t end) {
  const triangles *t = context;
  for (size_t i = begin; i < end; i++)
    memset(t->to + (i * t->n + (t->lower ? i + 1 : 0)) * t->element, 0,
           (t->lower ? t->n - i - 1 : i) * t->element);
}

static jm_error *cholesky(const batch *b, size_t index) {
  const bool lower = ((const jm_cholesky_attrs *)b->call->op->attrs)->lower;
  const size_t n = b->in[0].rows, row = n * jm_dtype_bytes(b->dtype);
  const bool is_large = n * row > COPY_BYTES;
  char *out = matrix(&b->out[0], index);
  triangles t = {matrix(&b->in[0], index), out, n, jm_dtype_bytes(b->dtype), lower};
  bool positive;
  if (is_large)
    jm_parallel_for(n, COPY_BYTES / row + 1, copy_triangle, &t);
  else
    memmove(out, t.from, n * row);
  JM_TRY(jm_lapack_cholesky(b->dtype, n, lower, out, n, &positive));
  if (!positive)
    fill_nan(b->dtype, out, b->out[0].bytes);
  else if (is_large)
    jm_parallel_for(n, COPY_BYTES / row + 1, clear_other, &t);
  else
    clear_other(&t, 0, n);
  return NULL;
}

jm_error *jm_library_cholesky(const jm_call *call) {
  const jm_type *type = call->in[0].type;
  size_t n = (size_t)type->dims[type->rank - 1];
  return type->count ? run_batch(call, cholesky, count_matrices(type, 2), n * n * n / 3) : NULL;
}

static jm_lapack_triangular triangular_at(const batch *b, size_t index) {
  const jm_triangular_solve_attrs *attrs = b->call->op->attrs;
  static const jm_lapack_transpose transposes[] = {[JM_TRANSPOSE_NO_TRANSPOSE] = JM_LAPACK_N,
                                                   [JM_TRANSPOSE_TRANSPOSE] = JM_LAPACK_T,
                                                   [JM_TRANSPOSE_ADJOINT] = JM_LAPACK_C};
  return (jm_lapack_triangular){.dtype = b->dtype,
                                .m = b->in[1].rows,
                                .n = b->in[1].cols,
                                .left = attrs->left_side,
                                .lower = attrs->lower,
                                .unit_diagonal = attrs->unit_diagonal,
                                .transpose = transposes[attrs->transpose_a],
                                .a = matrix(&b->in[0], index),
                                .lda = b->in[0].cols,
                                .b = matrix(&b->out[0], index),
                                .ldb = b->in[1].cols,
                                .given = matrix(&b->in[1], index)};
}

static jm_error *triangular_solve(const batch *b, size_t index) {
  const jm_lapack_triangular problem = triangular_at(b, index);
  return jm_lapack_solve(&problem);
}

static jm_error *triangular_solve_lanes(const batch *b, size_t group) {
  const size_t first = group * JM_LOOPS_LANES;
  const size_t left = count_matrices(b->call->in[1].type, 2) - first;
  const size_t count = left < JM_LOOPS_LANES ? left : JM_LOOPS_LANES;
  const jm_lapack_triangular problem = triangular_at(b, first);
  memmove(problem.b, problem.given, count * b->in[1].bytes);
  jm_loops_find_solve_lanes(b->dtype)(&problem, count);
  return NULL;
}

static bool takes_lanes(const jm_call *call) {
  const jm_type *a = call->in[0].type, *b = call->in[1].type;
  const bool left = ((const jm_triangular_solve_attrs *)call->op->attrs)->left_side;
  return a->dims[a->rank - 1] <= JM_LOOPS_FEW &&
         b->dims[left ? b->rank - 1 : b->rank - 2] <= MOST_VECTORS &&
         count_matrices(b, 2) >= LEAST_LANES && jm_loops_find_solve_lanes(computed_as(a->dtype));
}

jm_error *jm_library_triangular_solve(const jm_call *call) {
  const jm_type *a = call->in[0].type, *b = call->in[1].type;
  size_t n = (size_t)a->dims[a->rank - 1], m = (size_t)b->dims[b->rank - 1];
  size_t k = (size_t)b->dims[b->rank - 2], count = count_matrices(b, 2), work = n * m * k / 2;
  if (!b->count) return NULL;
  if (!takes_lanes(call)) return run_batch(call, triangular_solve, count, work);
  return run_batch(call, triangular_solve_lanes, (count + JM_LOOPS_LANES - 1) / JM_LOOPS_LANES,
                   work * JM_LOOPS_LANES / LANES_FASTER);
}

static jm_error *qr(const batch *b, size_t index) {
  char *out = matrix(&b->out[0], index);
  size_t rows = b->in[0].rows, cols = b->in[0].cols, n_tau = rows < cols ? rows : cols;
  memmove(out, matrix(&b->in[0], index), b->in[0].bytes);
  return jm_lapack_qr(b->dtype, rows, cols, out,
                      b->out[1].data + index * n_tau * jm_dtype_bytes(b->dtype));
}

jm_error *jm_qr_run(const jm_call *call) {
  const jm_type *type = call->in[0].type;
  size_t m = (size_t)type->dims[type->rank - 2], n = (size_t)type->dims[type->rank - 1];
  return type->count ? run_batch(call, qr, count_matrices(type, 2), m * n * (m < n ? m : n)) : NULL;
}

static jm_error *householder(const batch *b, size_t index) {
  char *out = matrix(&b->out[0], index);
  size_t k = b->in[1].cols;
  memmove(out, matrix(&b->in[0], index), b->in[0].bytes);
  return jm_lapack_householder(b->dtype, b->in[0].rows, b->in[0].cols, k, out,
                               b->in[1].data + index * k * jm_dtype_bytes(b->dtype));
}

jm_error *jm_householder_run(const jm_call *call) {
  const jm_type *type = call->in[0].type;
  size_t m = (size_t)type->dims[type->rank - 2], n = (size_t)type->dims[type->rank - 1];
  return type->count ? run_batch(call, householder, count_matrices(type, 2), m * n * n) : NULL;
}

static jm_error *check_shapes(const jm_module *m, const jm_op *op, bool right) {
  return right ? jm_linalg_check(m, op)
               : jm_op_error(m, op, JM_INVALID_ARGUMENT,
                             "operands or results that this target doesn't have");
}

/* Whether scales belong to matrices: the same batch, element type, and `most` of them at most. */
static bool are_scales(const jm_type *scales, const jm_type *a, int64_t least, int64_t most) {
  if (scales->rank + 1 != a->rank || scales->dtype != a->dtype) return false;
  for (uint32_t d = 0; d + 2 < a->rank; d++)
    if (scales->dims[d] != a->dims[d]) return false;
  int64_t n = scales->dims[scales->rank - 1];
  return n >= least && n <= most;
}

jm_error *jm_qr_check(const jm_module *m, const jm_op *op) {
  if (op->n_operands != 1 || op->n_results != 2) return check_shapes(m, op, false);
  const jm_type *a = jm_op_operand_type(m, op, 0);
  if (a->rank < 2 || jm_op_result_type(m, op, 0) != a) return check_shapes(m, op, false);
  int64_t rows = a->dims[a->rank - 2], cols = a->dims[a->rank - 1];
  int64_t n = rows < cols ? rows : cols;
  return check_shapes(m, op, are_scales(jm_op_result_type(m, op, 1), a, n, n));
}

jm_error *jm_householder_check(const jm_module *m, const jm_op *op) {
  if (op->n_operands != 2 || op->n_results != 1) return check_shapes(m, op, false);
  const jm_type *a = jm_op_operand_type(m, op, 0);
  if (a->rank < 2 || jm_op_result_type(m, op, 0) != a) return check_shapes(m, op, false);
  int64_t rows = a->dims[a->rank - 2], cols = a->dims[a->rank - 1];
  bool right = rows >= cols && are_scales(jm_op_operand_type(m, op, 1), a, 0, cols);
  return check_shapes(m, op, right);
}
