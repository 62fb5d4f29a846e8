/* SPDX-License-Identifier: Apache-2.0
 * Factorisations and solves by what they must satisfy, both through the library and in own loops;
 * custom calls; what is refused. Everything is compared in complex double. */
#include <complex.h>
#include <math.h>

#include "engine/host/library/functions.h"
#include "engine/host/library/lapack.h"
#include "engine/host/library/lapack_loops.h"
#include "engine/host/library/linalg.h"
#include "ir/build.h"
#include "unit/product.h"

typedef double _Complex number;

static const jm_dtype types[] = {JM_DT_f32, JM_DT_f64, JM_DT_c64, JM_DT_c128};
enum { N_TYPES = sizeof types / sizeof *types };

static number random_number(jm_dtype d) {
  double re = (double)random_below(2001) / 1000 - 1, im = (double)random_below(2001) / 1000 - 1;
  return jm_dtype_is_complex(d) ? re + im * I : re;
}

static number load(jm_dtype d, const void *data, size_t i) {
  switch (d) {
    case JM_DT_f32:
      return ((const float *)data)[i];
    case JM_DT_f64:
      return ((const double *)data)[i];
    case JM_DT_c64:
      return ((const float _Complex *)data)[i];
    default:
      return ((const number *)data)[i];
  }
}

static void store(jm_dtype d, void *data, size_t i, number x) {
  switch (d) {
    case JM_DT_f32:
      ((float *)data)[i] = (float)creal(x);
      break;
    case JM_DT_f64:
      ((double *)data)[i] = creal(x);
      break;
    case JM_DT_c64:
      ((float _Complex *)data)[i] = (float _Complex)x;
      break;
    default:
      ((number *)data)[i] = x;
  }
}

static double tolerance(jm_dtype d) { return jm_dtype_real(d) == JM_DT_f32 ? 2e-4 : 1e-11; }
static bool near(number x, number y, double scale) { return cabs(x - y) <= scale; }

enum { MOST = 170 };
static number a[MOST * MOST], q[MOST * MOST];
static number given[MOST * MOST], factor[MOST * MOST];

static void load_all(jm_dtype d, const void *data, size_t n, number *out) {
  for (size_t i = 0; i < n; i++) out[i] = load(d, data, i);
}

/* given = x x^H + n I, rounded; data gets one triangle of it and NaN elsewhere. */
static void make_positive(jm_dtype d, size_t n, bool lower, void *data) {
  for (size_t i = 0; i < n * n; i++) a[i] = random_number(d);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      number sum = i == j ? (double)n : 0;
      for (size_t l = 0; l < n; l++) sum += a[i * n + l] * conj(a[j * n + l]);
      given[i * n + j] = sum;
      store(d, data, i * n + j, (lower ? j <= i : j >= i) ? sum : NAN);
    }
}

/* Whether factor is triangular, and times its conjugate transpose gives what was given. */
static bool is_factor(jm_dtype d, size_t n, bool lower) {
  bool right = true;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      number sum = 0;
      for (size_t l = 0; l < n; l++)
        sum += lower ? factor[i * n + l] * conj(factor[j * n + l])
                     : conj(factor[l * n + i]) * factor[l * n + j];
      right &= near(sum, given[i * n + j], tolerance(d) * (double)(n + 1));
      if (lower ? j > i : j < i) right &= factor[i * n + j] == 0;
    }
  return right;
}

static jm_tensor tensor(jm_type *type, jm_dtype d, uint32_t rank, const int64_t *dims, void *data) {
  *type = (jm_type){.dtype = d, .rank = rank, .count = 1, .dims = dims};
  for (uint32_t i = 0; i < rank; i++) type->count *= dims[i];
  return (jm_tensor){type, data};
}

static void check_cholesky(jm_dtype d, size_t n, bool lower) {
  static number in[3 * MOST * MOST], out[3 * MOST * MOST];
  size_t bytes = n * n * jm_dtype_bytes(d);
  for (size_t i = 0; i < 3; i++) make_positive(d, n, lower, (char *)in + i * bytes);
  store(d, (char *)in + bytes, (n - 1) * n + n - 1, -1); /* the second isn't positive definite */
  jm_cholesky_attrs attrs = {.lower = lower};
  jm_op op = {.code = JM_OP_cholesky, .n_operands = 1, .n_results = 1, .attrs = &attrs};
  int64_t dims[3] = {3, (int64_t)n, (int64_t)n};
  jm_type type;
  jm_tensor from = tensor(&type, d, 3, dims, in), to = tensor(&type, d, 3, dims, out);
  CHECK_OK(jm_library_cholesky(&(jm_call){.op = &op, .in = &from, .out = &to}));
  load_all(d, (char *)out + bytes, n * n, factor);
  bool all_nan = true;
  for (size_t i = 0; i < n * n; i++) all_nan &= isnan(creal(factor[i])) != 0;
  CHECK(all_nan);
  load_all(d, (char *)out + 2 * bytes, n * n, factor);
  CHECK(is_factor(d, n, lower));
  CHECK(jm_loops_find(d)->cholesky(n, lower, (char *)in + 2 * bytes, n));
  load_all(d, (char *)in + 2 * bytes, n * n, factor);
  for (size_t i = 0; i < n * n; i++)
    if (isnan(creal(factor[i]))) factor[i] = 0; /* the other triangle was left alone */
  CHECK(is_factor(d, n, lower));
  CHECK(!jm_loops_find(d)->cholesky(n, lower, (char *)in + bytes, n));
}

static void test_cholesky(void) {
  for (int t = 0; t < N_TYPES; t++)
    for (size_t n = 1; n < 34; n += n < 5 ? 1 : 13)
      for (int lower = 0; lower < 2; lower++) check_cholesky(types[t], n, lower);
  static const size_t sizes[] = {64, 65, 97, 135, 170}; /* blocks */
  for (int t = 0; t < N_TYPES; t++)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
      for (int lower = 0; lower < 2; lower++) check_cholesky(types[t], sizes[s], lower);
}

/* bf16 is computed in f32 and rounded once. */
static void test_cholesky_narrow(void) {
  uint16_t in[4] = {0x4080, 0x7fc0, 0x4000, 0x4040}, out[4]; /* 4 -; 2 3 */
  jm_cholesky_attrs attrs = {.lower = true};
  jm_op op = {.code = JM_OP_cholesky, .n_operands = 1, .n_results = 1, .attrs = &attrs};
  int64_t dims[2] = {2, 2};
  jm_type type;
  jm_tensor from = tensor(&type, JM_DT_bf16, 2, dims, in);
  jm_tensor to = tensor(&type, JM_DT_bf16, 2, dims, out);
  CHECK_OK(jm_library_cholesky(&(jm_call){.op = &op, .in = &from, .out = &to}));
  CHECK(out[0] == 0x4000 && out[1] == 0 && out[2] == 0x3f80 && out[3] == 0x3fb5);
}

static number op_element(size_t n, jm_lapack_transpose how, bool lower, bool unit, size_t i,
                         size_t j) {
  if (how != JM_LAPACK_N) {
    size_t swap = i;
    i = j, j = swap;
  }
  if (lower ? j > i : j < i) return 0;
  if (i == j && unit) return 1;
  return how == JM_LAPACK_C ? conj(a[i * n + j]) : a[i * n + j];
}

static void check_solve(jm_dtype d, size_t m, size_t n, unsigned flags, jm_lapack_transpose how) {
  bool left = flags & 1, lower = flags & 2, unit = flags & 4;
  size_t order = left ? m : n;
  static number matrix[MOST * MOST], b[MOST * MOST], x[MOST * MOST], results[2][MOST * MOST];
  for (size_t i = 0; i < order; i++)
    for (size_t j = 0; j < order; j++) {
      bool read = (lower ? j <= i : j >= i) && !(unit && i == j);
      number value = random_number(d) / (double)order + (i == j ? 2 : 0);
      store(d, matrix, i * order + j, read ? value : NAN);
      a[i * order + j] = load(d, matrix, i * order + j);
    }
  for (size_t i = 0; i < m * n; i++) {
    store(d, b, i, random_number(d));
    given[i] = load(d, b, i);
  }
  jm_triangular_solve_attrs attrs = {
      .left_side = left,
      .lower = lower,
      .unit_diagonal = unit,
      .transpose_a = (jm_transpose)(JM_TRANSPOSE_NO_TRANSPOSE + how)};
  jm_op op = {.code = JM_OP_triangular_solve, .n_operands = 2, .n_results = 1, .attrs = &attrs};
  int64_t a_dims[2] = {(int64_t)order, (int64_t)order}, b_dims[2] = {(int64_t)m, (int64_t)n};
  jm_type a_type, b_type;
  jm_tensor in[2] = {tensor(&a_type, d, 2, a_dims, matrix), tensor(&b_type, d, 2, b_dims, b)};
  jm_tensor out = tensor(&b_type, d, 2, b_dims, results[0]);
  CHECK_OK(jm_library_triangular_solve(&(jm_call){.op = &op, .in = in, .out = &out}));
  memcpy(results[1], b, sizeof b);
  jm_lapack_triangular problem = {d,   m,      n,     left,       lower, unit,
                                  how, matrix, order, results[1], n,     NULL};
  jm_loops_find(d)->solve(&problem);
  for (int r = 0; r < 2; r++) {
    load_all(d, results[r], m * n, x);
    bool right = true;
    for (size_t i = 0; i < m; i++)
      for (size_t j = 0; j < n; j++) {
        number sum = 0;
        for (size_t l = 0; l < order; l++)
          sum += left ? op_element(order, how, lower, unit, i, l) * x[l * n + j]
                      : x[i * n + l] * op_element(order, how, lower, unit, l, j);
        right &= near(sum, given[i * n + j], tolerance(d) * (double)order);
      }
    CHECK(right);
  }
}

static void test_triangular_solve(void) {
  for (int t = 0; t < N_TYPES; t++)
    for (unsigned flags = 0; flags < 8; flags++)
      for (int how = 0; how < 3; how++) {
        check_solve(types[t], 5, 3, flags, (jm_lapack_transpose)how);
        check_solve(types[t], 1, 17, flags, (jm_lapack_transpose)how);
        check_solve(types[t], 33, 20, flags, (jm_lapack_transpose)how);
        check_solve(types[t], 165, 165, flags, (jm_lapack_transpose)how); /* blocks */
        check_solve(types[t], 139, 9, flags, (jm_lapack_transpose)how);
        check_solve(types[t], 67, 70, flags, (jm_lapack_transpose)how);
        check_solve(types[t], 21, 131, flags, (jm_lapack_transpose)how);
      }
}

/* The unit matrix with a 0 as its last element; one vector has an infinity, one a NaN. Both stay
 * with their vector, from that unknown on. */
static void check_solve_special(jm_dtype d, size_t n, size_t vectors) {
  static number matrix[MOST * MOST], b[MOST * MOST], x[MOST * MOST];
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      store(d, matrix, i * n + j, j > i ? NAN : i == j && i + 1 < n ? 1 : 0);
  for (size_t i = 0; i < n * vectors; i++) store(d, b, i, 3);
  store(d, b, 2 * vectors + 1, INFINITY);
  store(d, b, 4 * vectors + 2, NAN);
  const jm_lapack_triangular problem = {d,           n,      vectors, true, true,    false,
                                        JM_LAPACK_N, matrix, n,       x,    vectors, b};
  CHECK_OK(jm_lapack_solve(&problem));
  bool right = true;
  for (size_t i = 0; i < n; i++)
    for (size_t v = 0; v < vectors; v++) {
      const double found = creal(load(d, x, i * vectors + v));
      const bool is_nan = (v == 1 && i > 2) || (v == 2 && i >= 4);
      const bool is_infinite = i + 1 == n || (v == 1 && i == 2);
      right &= is_nan ? isnan(found) != 0 : is_infinite ? isinf(found) != 0 : found == 3;
    }
  CHECK(right);
}

static void test_solve_special(void) {
  for (int t = 0; t < 2; t++) {
    check_solve_special(types[t], 18, 8);
    check_solve_special(types[t], 75, 40);
    check_solve_special(types[t], 169, 33);
  }
}

/* A NaN wherever it is in the triangle that is read, or an infinity below the diagonal. */
static void test_cholesky_special(void) {
  static number matrix[MOST * MOST];
  static const size_t places[][2] = {{0, 0}, {80, 80}, {133, 2}, {133, 131}, {70, 65}};
  for (int t = 0; t < 2; t++)
    for (size_t p = 0; p < 2 * sizeof places / sizeof *places; p++) {
      const size_t n = 134, i = places[p / 2][0], j = places[p / 2][1];
      bool positive = true;
      make_positive(types[t], n, true, matrix);
      store(types[t], matrix, i * n + j, p % 2 && i != j ? INFINITY : NAN);
      CHECK_OK(jm_lapack_cholesky(types[t], n, true, matrix, n, &positive));
      CHECK(!positive);
    }
}

/* Whether q (m x n, from the product of reflectors) has orthonormal columns and q r is what was
 * given (m x cols); r: the upper triangle of factor. */
static bool is_qr(jm_dtype d, size_t m, size_t cols, size_t n) {
  bool right = true;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      number sum = 0;
      for (size_t l = 0; l < m; l++) sum += conj(q[l * n + i]) * q[l * n + j];
      right &= near(sum, i == j, tolerance(d));
    }
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < cols; j++) {
      number sum = 0;
      for (size_t l = 0; l < n && l <= j; l++) sum += q[i * n + l] * factor[l * cols + j];
      right &= near(sum, given[i * cols + j], tolerance(d) * (double)m);
    }
  return right;
}

/* The first min(m, cols) columns of the factored matrix, as JAX cuts them for householder_product.
 */
static void take_columns(jm_dtype d, size_t m, size_t cols, size_t n, void *out) {
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++) store(d, out, i * n + j, factor[i * cols + j]);
}

static void check_qr(jm_dtype d, size_t m, size_t cols) {
  static number in[2 * MOST * MOST], out[2 * MOST * MOST], tau[2 * MOST], part[2 * MOST * MOST];
  size_t n = m < cols ? m : cols, bytes = m * cols * jm_dtype_bytes(d);
  for (size_t i = 0; i < 2 * m * cols; i++) store(d, in, i, random_number(d));
  load_all(d, (char *)in + bytes, m * cols, given);
  int64_t dims[3] = {2, (int64_t)m, (int64_t)cols}, tau_dims[2] = {2, (int64_t)n};
  int64_t q_dims[3] = {2, (int64_t)m, (int64_t)n};
  jm_type type, tau_type, q_type;
  jm_op op = {.code = JM_OP_custom_call, .n_operands = 1, .n_results = 2};
  jm_tensor from = tensor(&type, d, 3, dims, in);
  jm_tensor to[2] = {tensor(&type, d, 3, dims, out), tensor(&tau_type, d, 2, tau_dims, tau)};
  CHECK_OK(jm_qr_run(&(jm_call){.op = &op, .in = &from, .out = to}));
  size_t q_bytes = m * n * jm_dtype_bytes(d);
  for (size_t i = 0; i < 2; i++) {
    load_all(d, (char *)out + i * bytes, m * cols, factor);
    take_columns(d, m, cols, n, (char *)part + i * q_bytes);
  }
  op = (jm_op){.code = JM_OP_custom_call, .n_operands = 2, .n_results = 1};
  jm_tensor pair[2] = {tensor(&q_type, d, 3, q_dims, part), to[1]};
  jm_tensor product = tensor(&q_type, d, 3, q_dims, in);
  CHECK_OK(jm_householder_run(&(jm_call){.op = &op, .in = pair, .out = &product}));
  load_all(d, (char *)in + q_bytes, m * n, q);
  CHECK(is_qr(d, m, cols, n));
  for (size_t i = 0; i < m * cols; i++) store(d, out, i, given[i]);
  CHECK_OK(jm_loops_find(d)->qr(m, cols, out, tau));
  load_all(d, out, m * cols, factor);
  take_columns(d, m, cols, n, part);
  CHECK_OK(jm_loops_find(d)->householder(m, n, n, part, tau));
  load_all(d, part, m * n, q);
  CHECK(is_qr(d, m, cols, n));
}

static void test_qr(void) {
  static const size_t sizes[][2] = {{1, 1}, {4, 4}, {7, 3}, {3, 7}, {1, 5}, {5, 1}, {37, 21}};
  for (int t = 0; t < N_TYPES; t++)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
      check_qr(types[t], sizes[s][0], sizes[s][1]);
}

static void test_permute(void) {
  float in[2] = {3, 4}, out[2];
  int64_t dims[1] = {2}, self[2] = {0, 0};
  jm_type type;
  jm_tensor from = tensor(&type, JM_DT_f32, 1, dims, in),
            to = tensor(&type, JM_DT_f32, 1, dims, out);
  jm_collective_permute_attrs attrs = {.source_target_pairs = {self, 2}};
  jm_op op = {.code = JM_OP_collective_permute, .n_operands = 1, .n_results = 1, .attrs = &attrs};
  const jm_module alone = {.n_replicas = 1, .n_partitions = 1};
  const jm_call call = {.module = &alone, .op = &op, .in = &from, .out = &to};
  CHECK_OK(jm_library_collective(&call));
  CHECK(out[0] == 3 && out[1] == 4);
  attrs.source_target_pairs.n = 0;
  CHECK_OK(jm_library_collective(&call));
  CHECK(out[0] == 0 && out[1] == 0);
}

/* -- symmetric eigenproblems in own loops */

typedef enum symmetric_kind { RANDOM, ZERO, UNIT, HOLLOW, RANK_ONE, GRADED, PATH, KINDS } kind_of;

static double symmetric_element(kind_of kind, size_t n, size_t i, size_t j) {
  double x = (double)random_below(2001) / 1000 - 1, apart = (double)(i > j ? i - j : j - i);
  switch (kind) {
    case ZERO:
      return 0;
    case UNIT:
      return i == j;
    case HOLLOW: /* zeros on the diagonal */
      return i == j ? 0 : x;
    case RANK_ONE: /* all eigenvalues but one are zero */
      return (double)((i + 1) * (j + 1)) / (double)(n * n);
    case GRADED:
      return x * pow(0.1, (double)(i + j));
    case PATH: /* pairs of eigenvalues of opposite signs, and zero */
      return apart == 1;
    default:
      return x;
  }
}

/* A V = V W and V^T V = 1, of the triangle that is there; the other one has NaN. */
static void check_eigh(jm_dtype d, kind_of kind, size_t n, bool lower, double scale) {
  double want[JM_LOOPS_FEW * JM_LOOPS_FEW], w[JM_LOOPS_FEW], data[JM_LOOPS_FEW * JM_LOOPS_FEW];
  const double unit = (d == JM_DT_f32 ? 1.2e-7 : 2.3e-16) * 8 * (double)n;
  for (size_t j = 0; j < n; j++)
    for (size_t i = j; i < n; i++) {
      size_t here = lower ? j * n + i : i * n + j, there = lower ? i * n + j : j * n + i;
      store(d, data, there, NAN);
      store(d, data, here, symmetric_element(kind, n, i, j) * scale);
      want[i * n + j] = want[j * n + i] = creal(load(d, data, here)) / scale;
    }
  CHECK(jm_loops_eigh(d, n, lower, data, w));
  for (size_t j = 0; j < n; j++) {
    double value = creal(load(d, w, j)) / scale;
    CHECK(!j || creal(load(d, w, j - 1)) / scale <= value);
    for (size_t i = 0; i < n; i++) {
      double product = 0, dot = 0, v = creal(load(d, data, j * n + i));
      for (size_t k = 0; k < n; k++) {
        product += want[i * n + k] * creal(load(d, data, j * n + k));
        dot += creal(load(d, data, i * n + k)) * creal(load(d, data, j * n + k));
      }
      CHECK(fabs(product - value * v) <= unit && fabs(dot - (i == j)) <= unit);
    }
  }
}

static void test_eigh(void) {
  for (size_t n = 0; n <= JM_LOOPS_FEW; n++)
    for (kind_of kind = RANDOM; kind < KINDS; kind++) {
      check_eigh(JM_DT_f32, kind, n, true, 1);
      check_eigh(JM_DT_f64, kind, n, false, 1);
      check_eigh(JM_DT_f64, kind, n, true, 0x1p-1000);
      check_eigh(JM_DT_f64, kind, n, true, 0x1p1019);
    }
  check_eigh(JM_DT_f32, RANDOM, 8, false, 0x1p-110);
  check_eigh(JM_DT_f32, RANDOM, 8, true, 0x1p123);
}

/* Matrices in lanes have the bits that one alone has: random ones, ones whose columns depend on
 * each other, and some with NaN or zeros. */
static void check_lu_lanes(jm_dtype d, size_t m, size_t n, size_t count) {
  enum { LANES = JM_LOOPS_LANES, FEW = JM_LOOPS_FEW };
  static double in[LANES * FEW * FEW], out[LANES * FEW * FEW], alone[FEW * FEW];
  int32_t pivots[LANES * FEW], orders[LANES * FEW], want[FEW] = {0};
  const size_t size = m * n, k = m < n ? m : n;
  for (size_t l = 0; l < count; l++)
    for (size_t e = 0; e < size; e++) {
      number x = l % 5 == 1 ? (double)(e / n * (e % n)) : l % 5 == 2 ? 0 : random_number(d);
      store(d, in, l * size + e, l % 5 == 3 && e == size / 2 ? NAN : x);
    }
  jm_loops_find_lu_lanes(d)(m, n, count, in, out, pivots, orders);
  for (size_t l = 0; l < count; l++) {
    for (size_t e = 0; e < size; e++) store(d, alone, e % n * m + e / n, load(d, in, l * size + e));
    jm_loops_find(d)->lu(m, n, alone, want);
    CHECK(!memcmp(want, pivots + l * k, k * sizeof *want));
    for (size_t e = 0; e < size; e++) {
      double x = creal(load(d, alone, e % n * m + e / n)), y = creal(load(d, out, l * size + e));
      CHECK(x == y || (isnan(x) && isnan(y)));
    }
    for (size_t i = 0; i < m; i++) want[i] = (int32_t)i;
    for (size_t j = 0; j < k; j++) {
      int32_t *other = &want[pivots[l * k + j]], row = want[j];
      want[j] = *other;
      *other = row;
    }
    CHECK(!memcmp(want, orders + l * m, m * sizeof *want));
  }
}

static void test_lu_lanes(void) {
  for (size_t m = 0; m <= JM_LOOPS_FEW; m += m < 5 ? 1 : 3)
    for (size_t n = 0; n <= JM_LOOPS_FEW; n += n < 5 ? 1 : 3) {
      check_lu_lanes(JM_DT_f32, m, n, JM_LOOPS_LANES);
      check_lu_lanes(JM_DT_f64, m, n, 5);
    }
}

/* The same of triangular solves, for which the triangle that isn't read holds NaN. */
static void check_solve_lanes(jm_dtype d, size_t m, size_t n, unsigned flags, size_t count) {
  enum { LANES = JM_LOOPS_LANES, MOST_ELEMENTS = JM_LOOPS_FEW * JM_LOOPS_FEW };
  static double matrices[LANES * MOST_ELEMENTS], b[LANES * MOST_ELEMENTS];
  static double x[LANES * MOST_ELEMENTS];
  const bool left = flags & 1, lower = flags & 2, unit = flags & 4;
  const size_t order = left ? m : n, bytes = jm_dtype_bytes(d);
  for (size_t l = 0; l < count; l++)
    for (size_t i = 0; i < order * order; i++) {
      bool read = lower ? i % order <= i / order : i % order >= i / order;
      store(d, matrices, l * order * order + i, read ? random_number(d) : NAN);
    }
  for (size_t i = 0; i < count * m * n; i++) store(d, b, i, i % 61 ? random_number(d) : 0);
  memcpy(x, b, sizeof b);
  jm_lapack_triangular p = {
      d,        m,     n, left, lower, unit, flags & 8 ? JM_LAPACK_T : JM_LAPACK_N,
      matrices, order, x, n,    NULL};
  jm_loops_find_solve_lanes(d)(&p, count);
  for (size_t l = 0; l < count; l++) {
    p.a = (const char *)matrices + l * order * order * bytes;
    p.b = (char *)b + l * m * n * bytes;
    jm_loops_find(d)->solve(&p);
  }
  CHECK(!memcmp(x, b, count * m * n * bytes));
}

static void test_solve_lanes(void) {
  static const size_t sizes[][2] = {{4, 1}, {1, 4}, {5, 3}, {3, 5}, {16, 16}, {2, 16}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (unsigned flags = 0; flags < 16; flags++) {
      check_solve_lanes(JM_DT_f32, sizes[i][0], sizes[i][1], flags, JM_LOOPS_LANES);
      check_solve_lanes(JM_DT_f64, sizes[i][0], sizes[i][1], flags, 7);
    }
}

/* An op of one f32[2,2] operand and result in a module of its own. */
static jm_error *check_op(jm_opcode code, const void *attrs, jm_dtype dtype,
                          uint32_t participants) {
  jm_module *m;
  JM_TRY(jm_module_create(&m));
  m->n_replicas = participants, m->n_partitions = 1;
  const jm_type *type;
  jm_region_id region;
  jm_value operands[2];
  jm_op_id id;
  CHECK_OK(jm_module_type(m, dtype, 2, (int64_t[]){2, 2}, &type));
  CHECK_OK(jm_build_region(m, &region));
  for (int i = 0; i < 2; i++) CHECK_OK(jm_build_arg(m, region, type, &operands[i]));
  int arity = jm_op_facts[code].operands;
  jm_op_spec spec = {.code = code,
                     .operands = operands,
                     .n_operands = arity < 0 ? 1 : (uint32_t)arity,
                     .result_types = &type,
                     .n_results = 1,
                     .attrs = attrs,
                     .loc = JM_NONE};
  CHECK_OK(jm_build_op(m, region, &spec, &id));
  jm_error *error = jm_library_check(m, jm_module_op(m, id));
  jm_module_destroy(m);
  return error;
}

static void test_check(void) {
  jm_custom_call_attrs sharding = {.target = {"Sharding", 8}}, unknown = {.target = {"Magic", 5}};
  jm_custom_call_attrs qr = {.target = {"Qr", 2}};
  CHECK_OK(check_op(JM_OP_custom_call, &sharding, JM_DT_f32, 1));
  CHECK_FAILS(check_op(JM_OP_custom_call, &unknown, JM_DT_f32, 1), JM_UNIMPLEMENTED, "Magic");
  CHECK_FAILS(check_op(JM_OP_custom_call, &qr, JM_DT_f32, 1), JM_INVALID_ARGUMENT, "custom_call");
  CHECK_OK(check_op(JM_OP_cholesky, NULL, JM_DT_bf16, 1));
  CHECK_OK(check_op(JM_OP_all_gather, NULL, JM_DT_f32, 1));
  CHECK_OK(check_op(JM_OP_all_gather, NULL, JM_DT_f32, 4));
  CHECK_FAILS(check_op(JM_OP_all_gather, NULL, JM_DT_f32, 65), JM_UNIMPLEMENTED, "participants");
  CHECK_OK(check_op(JM_OP_dot_general, NULL, JM_DT_pred, 1));
  CHECK_OK(check_op(JM_OP_add, NULL, JM_DT_bf16, 1));
  CHECK_OK(check_op(JM_OP_convert, NULL, JM_DT_f8e4m3fn, 1));
}

TEST_MAIN(test_cholesky, test_cholesky_narrow, test_cholesky_special, test_triangular_solve,
          test_solve_special, test_qr, test_eigh, test_lu_lanes, test_solve_lanes, test_permute,
          test_check)
