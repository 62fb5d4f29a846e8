/* SPDX-License-Identifier: Apache-2.0
 * dot_general as MLX's batched matrix product, on transposed views; and the Fourier transforms.
 * MLX multiplies floats only. Products of integers are computed in f32, which is exact while their
 * sums stay below 2^24, in pieces if necessary; small products of any integers are multiplied and
 * summed. */
#include "engine/mlx/lower_rules.h"
#include "engine/mlx/product.h"

typedef jm_mlx_array *A;

enum {
  EXACT = 1 << 24, /* integers up to here are exact in f32 */
  MAX_PIECES = 64,
  SPREAD_MAX = 1 << 22, /* elements of a product that is multiplied and summed */
};

static int64_t magnitude_of(jm_dtype dtype) {
  switch (dtype) {
    case JM_DT_pred:
      return 1;
    case JM_DT_s8:
      return 128;
    case JM_DT_u8:
      return 255;
    default:
      return 2 * EXACT; /* never */
  }
}

int64_t jm_lower_exact_terms(jm_dtype lhs, jm_dtype rhs) {
  return EXACT / (magnitude_of(lhs) * magnitude_of(rhs));
}

bool jm_lower_product_dtype(const jm_module *m, const jm_op *op, jm_dtype *out) {
  jm_dtype lhs = jm_op_operand_type(m, op, 0)->dtype, rhs = jm_op_operand_type(m, op, 1)->dtype;
  jm_dtype to = jm_op_result_type(m, op, 0)->dtype;
  if (!jm_dtype_of_product(lhs, rhs, to, out)) return false;
  /* MLX accumulates narrow floats in f32, too. */
  if (jm_dtype_is_float(to) && lhs == to && rhs == to) *out = to;
  return true;
}

A jm_lower_product_integer(jm_lowering *l, A a, jm_dtype to) {
  if (to == JM_DT_pred) return jm_mlx_not_equal(l, a, jm_lower_i64(l, JM_DT_f32, 0));
  return jm_mlx_astype(l, jm_mlx_astype(l, a, JM_DT_s32), to);
}

/* -- dot_general */

typedef struct operand {
  int64_t *axes, *dims; /* batch, then rows, then columns; sizes in that order */
  uint32_t n_batch, n_rows, n_columns;
  int64_t rows, columns; /* products of sizes */
} operand;

static void add_axis(operand *o, const jm_type *type, int64_t d, uint32_t *n, int64_t *size) {
  uint32_t at = o->n_batch + o->n_rows + o->n_columns;
  o->axes[at] = d;
  o->dims[at] = type->dims[d];
  (*n)++;
  if (size) *size *= type->dims[d];
}

/* The contracted dimensions are the columns of lhs and the rows of rhs. */
static bool operand_init(jm_lowering *l, operand *o, const jm_type *type, jm_i64s batch,
                         jm_i64s contract, bool is_rhs) {
  *o = (operand){.rows = 1, .columns = 1};
  o->axes = jm_arena_alloc(&l->scratch, type->rank + 1, sizeof *o->axes);
  o->dims = jm_arena_alloc(&l->scratch, type->rank + 1, sizeof *o->dims);
  if (!o->axes || !o->dims) {
    jm_lower_fail(l, jm_error_out_of_memory());
    return false;
  }
  for (uint32_t i = 0; i < batch.n; i++) add_axis(o, type, batch.data[i], &o->n_batch, NULL);
  for (uint32_t i = 0; is_rhs && i < contract.n; i++)
    add_axis(o, type, contract.data[i], &o->n_rows, &o->rows);
  for (uint32_t d = 0; d < type->rank; d++)
    if (!jm_i64s_contains(batch, d) && !jm_i64s_contains(contract, d))
      add_axis(o, type, d, is_rhs ? &o->n_columns : &o->n_rows, is_rhs ? &o->columns : &o->rows);
  for (uint32_t i = 0; !is_rhs && i < contract.n; i++)
    add_axis(o, type, contract.data[i], &o->n_columns, &o->columns);
  return true;
}

/* Each call costs the host's time, also one that changes nothing. */
static A converted(jm_lowering *l, A a, jm_dtype from, jm_dtype to) {
  return from == to ? a : jm_mlx_astype(l, a, to);
}

static A reshaped(jm_lowering *l, A a, const int64_t *dims, uint32_t rank) {
  if (l->error || l->api->array_has_shape(a, dims, rank)) return a;
  return jm_mlx_reshape(l, a, jm_lower_ints(l, dims, rank), (int)rank);
}

/* Dimensions of the operand that stay side by side are moved as one: [t, b, h, d] with batch b,
 * rows t and columns h and d is transposed as [t, b, h d]. */
typedef struct runs {
  int64_t *dims, *axes; /* sizes in the operand's order; the transpose's permutation */
  uint32_t n;
} runs;

static bool runs_find(jm_lowering *l, const operand *o, runs *r) {
  const uint32_t rank = o->n_batch + o->n_rows + o->n_columns;
  int64_t *place = jm_arena_alloc(&l->scratch, rank + 1, sizeof *place);
  uint32_t *run = jm_arena_alloc(&l->scratch, rank + 1, sizeof *run);
  *r = (runs){jm_arena_alloc(&l->scratch, rank + 1, sizeof *r->dims),
              jm_arena_alloc(&l->scratch, rank + 1, sizeof *r->axes), 0};
  if (!place || !run || !r->dims || !r->axes) {
    jm_lower_fail(l, jm_error_out_of_memory());
    return false;
  }
  for (uint32_t i = 0; i < rank; i++) place[o->axes[i]] = i;
  for (uint32_t d = 0; d < rank; d++) { /* of the operand, in order */
    const int64_t i = place[d];
    const bool first = i <= o->n_batch || i == (int64_t)o->n_batch + o->n_rows;
    const bool goes_on = d && place[d - 1] == i - 1 && !first;
    if (!goes_on) r->dims[r->n++] = 1;
    run[i] = r->n - 1;
    r->dims[r->n - 1] *= o->dims[i];
  }
  for (uint32_t i = 0, n = 0; i < rank; i++)
    if (!i || run[i] != run[i - 1]) r->axes[n++] = run[i];
  return true;
}

/* As [batch..., rows, columns]: a view wherever the layout allows. */
static A matrices(jm_lowering *l, uint32_t which, const operand *o, jm_dtype dtype) {
  runs r;
  if (!runs_find(l, o, &r)) return NULL;
  bool moves = false;
  for (uint32_t i = 0; i < r.n; i++) moves |= r.axes[i] != i;
  int64_t *shape = jm_arena_alloc(&l->scratch, o->n_batch + 2, sizeof *shape);
  if (!shape) {
    jm_lower_fail(l, jm_error_out_of_memory());
    return NULL;
  }
  for (uint32_t i = 0; i < o->n_batch; i++) shape[i] = o->dims[i];
  shape[o->n_batch] = o->rows;
  shape[o->n_batch + 1] = o->columns;
  A a = moves ? jm_lower_shaped(l, which, r.dims, r.n)
              : jm_lower_shaped(l, which, shape, o->n_batch + 2);
  a = converted(l, a, jm_lower_dtype(l, which), dtype); /* before it is a view of another order */
  if (moves) a = jm_mlx_transpose(l, a, jm_lower_ints(l, r.axes, r.n), (int)r.n);
  return reshaped(l, a, shape, o->n_batch + 2);
}

/* Columns (or rows) from `start` on. */
static A piece(jm_lowering *l, A a, const operand *o, bool of_rows, int64_t start, int64_t size) {
  uint32_t n = o->n_batch + 2;
  int32_t *from = jm_lower_scratch(l, n), *stop = jm_lower_scratch(l, n);
  int32_t *step = jm_lower_scratch(l, n);
  if (!from || !stop || !step) return NULL;
  for (uint32_t i = 0; i < o->n_batch; i++) from[i] = 0, stop[i] = (int32_t)o->dims[i];
  for (uint32_t i = 0; i < n; i++) step[i] = 1;
  from[n - 2] = from[n - 1] = 0;
  stop[n - 2] = (int32_t)o->rows, stop[n - 1] = (int32_t)o->columns;
  uint32_t cut = of_rows ? n - 2 : n - 1;
  from[cut] = (int32_t)start;
  stop[cut] = (int32_t)(start + size);
  return jm_mlx_slice(l, a, from, stop, step, (int)n);
}

/* In f32, in pieces whose sums are exact. Zeros and ones alone need no pieces: nothing cancels. */
static A product_in_pieces(jm_lowering *l, A a, A b, const operand *lhs, const operand *rhs,
                           jm_dtype to) {
  int64_t length = jm_lower_exact_terms(jm_lower_dtype(l, 0), jm_lower_dtype(l, 1));
  a = jm_mlx_astype(l, a, JM_DT_f32);
  b = jm_mlx_astype(l, b, JM_DT_f32);
  if (to == JM_DT_pred || length >= lhs->columns)
    return jm_lower_product_integer(l, jm_mlx_matmul(l, a, b), to);
  A sum = NULL;
  for (int64_t start = 0; start < lhs->columns; start += length) {
    int64_t size = lhs->columns - start < length ? lhs->columns - start : length;
    A part =
        jm_mlx_matmul(l, piece(l, a, lhs, false, start, size), piece(l, b, rhs, true, start, size));
    part = jm_lower_product_integer(l, part, to);
    sum = sum ? jm_mlx_add(l, sum, part) : part;
  }
  return sum;
}

/* [rows, columns, 1] by [1, columns, rhs's columns], summed over the middle: wraps as it must. */
static A product_by_sum(jm_lowering *l, A a, A b, const operand *lhs, const operand *rhs,
                        jm_dtype to) {
  uint32_t n = lhs->n_batch + 3;
  int32_t *of_a = jm_lower_scratch(l, n), *of_b = jm_lower_scratch(l, n);
  if (!of_a || !of_b) return NULL;
  for (uint32_t i = 0; i < lhs->n_batch; i++) of_a[i] = of_b[i] = (int32_t)lhs->dims[i];
  of_a[n - 3] = (int32_t)lhs->rows, of_a[n - 2] = (int32_t)lhs->columns, of_a[n - 1] = 1;
  of_b[n - 3] = 1, of_b[n - 2] = (int32_t)lhs->columns, of_b[n - 1] = (int32_t)rhs->columns;
  a = jm_mlx_reshape(l, jm_mlx_astype(l, a, to), of_a, (int)n);
  b = jm_mlx_reshape(l, jm_mlx_astype(l, b, to), of_b, (int)n);
  const int32_t middle = (int32_t)n - 2;
  return jm_mlx_astype(l, jm_mlx_sum(l, jm_mlx_multiply(l, a, b), &middle, 1), to);
}

static bool is_exact(jm_dtype lhs, jm_dtype rhs, int64_t terms) {
  return jm_lower_exact_terms(lhs, rhs) * MAX_PIECES >= terms && jm_lower_exact_terms(lhs, rhs) > 1;
}

static void lower_dot_general(jm_lowering *l) {
  const jm_dot_general_attrs *attrs = l->op->attrs;
  const jm_type *to = jm_lower_result(l, 0);
  jm_dtype dtype;
  operand lhs, rhs;
  if (!jm_lower_product_dtype(l->module, l->op, &dtype)) return;
  if (!operand_init(l, &lhs, jm_lower_type(l, 0), attrs->lhs_batch, attrs->lhs_contract, false) ||
      !operand_init(l, &rhs, jm_lower_type(l, 1), attrs->rhs_batch, attrs->rhs_contract, true))
    return;
  bool is_number = jm_dtype_is_float(dtype) || jm_dtype_is_complex(dtype);
  A a = matrices(l, 0, &lhs, is_number ? dtype : jm_lower_dtype(l, 0));
  A b = matrices(l, 1, &rhs, is_number ? dtype : jm_lower_dtype(l, 1));
  A out;
  if (is_number)
    out = converted(l, jm_mlx_matmul(l, a, b), dtype, to->dtype);
  else if (is_exact(jm_lower_dtype(l, 0), jm_lower_dtype(l, 1), lhs.columns) ||
           to->dtype == JM_DT_pred)
    out = product_in_pieces(l, a, b, &lhs, &rhs, to->dtype);
  else
    out = product_by_sum(l, a, b, &lhs, &rhs, to->dtype);
  l->out[0] = out; /* [batch..., rows, columns]: the result's elements in order */
}

static bool supports_dot_general(const jm_module *m, const jm_op *op) {
  const jm_dot_general_attrs *attrs = op->attrs;
  const jm_type *lhs = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  jm_dtype rhs = jm_op_operand_type(m, op, 1)->dtype, dtype;
  if (!jm_lower_product_dtype(m, op, &dtype)) return false;
  if (jm_dtype_is_float(dtype) || jm_dtype_is_complex(dtype)) return true;
  if (dtype == JM_DT_pred) return lhs->dtype == JM_DT_pred && rhs == JM_DT_pred;
  int64_t terms = 1;
  for (uint32_t i = 0; i < attrs->lhs_contract.n; i++)
    terms *= lhs->dims[attrs->lhs_contract.data[i]];
  return is_exact(lhs->dtype, rhs, terms) || to->count <= SPREAD_MAX / terms;
}

/* -- Fourier transforms */

static void lower_fft(jm_lowering *l) {
  const jm_fft_attrs *attrs = l->op->attrs;
  uint32_t n = attrs->length.n, rank = jm_lower_type(l, 0)->rank;
  int32_t *axes = jm_lower_scratch(l, n);
  if (!axes) return;
  for (uint32_t i = 0; i < n; i++) axes[i] = (int32_t)(rank - n + i);
  l->out[0] = jm_mlx_fft(l, jm_lower_array(l, 0), attrs->kind,
                         jm_lower_ints(l, attrs->length.data, n), axes, (int)n);
}

static bool supports_fft(const jm_module *m, const jm_op *op) {
  return ((const jm_fft_attrs *)op->attrs)->length.n &&
         jm_dtype_real(jm_op_operand_type(m, op, 0)->dtype) == JM_DT_f32;
}

const jm_lower_rule jm_lower_product_rules[] = {
    {JM_OP_dot_general, lower_dot_general, supports_dot_general},
    {JM_OP_fft, lower_fft, supports_fft},
    {JM_N_OPS, NULL, NULL},
};
