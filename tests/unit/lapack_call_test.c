/* SPDX-License-Identifier: Apache-2.0
 * Calls of LAPACK by hand-made programs: what is refused, and results where a library is there
 * (values against JAX CPU: tests/jax/test_linalg.py). */
#include <math.h>

#include "engine/host/library/custom_call.h"
#include "engine/host/library/lapack_call.h"
#include "unit/ref_case.h"

#define STR(text) {text, sizeof text - 1}

typedef struct shape {
  jm_dtype dtype;
  uint32_t rank;
  int64_t dims[3];
} shape;

static const jm_dict_entry lower = {.key = STR("lower"), .kind = JM_DICT_BOOL, .i64 = 1};
static const jm_dict_entry upper_text = {.key = STR("lower"), .kind = JM_DICT_STR};

/* A case with one operand and up to three results; data of the operand may be NULL. */
static void make(ref_case *c, const char *target, const jm_dict_entry *entries, uint32_t n_entries,
                 shape in, const void *data, const shape *out, uint32_t n_out) {
  case_begin(c);
  case_in(c, in.dtype, in.rank, in.dims, data);
  for (uint32_t i = 0; i < n_out; i++) case_out(c, out[i].dtype, out[i].rank, out[i].dims);
  jm_custom_call_attrs attrs = {.target = {target, (uint32_t)strlen(target)},
                                .config = {entries, n_entries}};
  case_op(c, JM_OP_custom_call, &attrs, 0);
}

static jm_error *check(ref_case *c) { return jm_library_check(c->m, jm_module_op(c->m, c->op)); }

static const shape square = {JM_DT_f32, 3, {2, 3, 3}}, flat = {JM_DT_f32, 2, {3, 3}};
static const shape vector = {JM_DT_f32, 2, {2, 3}}, shorter = {JM_DT_f32, 2, {2, 2}};
static const shape ints = {JM_DT_s32, 2, {2, 3}}, wide = {JM_DT_f64, 3, {2, 3, 3}};
static const shape whole = {JM_DT_s32, 3, {2, 3, 3}}, scalar = {JM_DT_f32, 0, {0}};

static void refuse(const char *target, const jm_dict_entry *entries, uint32_t n_entries, shape in,
                   const shape *out, uint32_t n_out, jm_code code, const char *text) {
  ref_case c;
  make(&c, target, entries, n_entries, in, NULL, out, n_out);
  CHECK_FAILS(check(&c), code, text);
  case_end(&c);
}

static void test_refusals(void) {
  const shape lu[] = {square, ints, ints}, few[] = {square, ints},
              longer[] = {square, ints, vector};
  const shape form[] = {square, vector, shorter, shorter},
              wrong[] = {square, vector, vector, shorter};
  const shape other[] = {wide, ints, ints}, unbatched[] = {flat, ints, ints};
  static const char unfit[] = "operands or results that this target doesn't have";
  refuse("mps.lu", NULL, 0, square, few, 2, JM_INVALID_ARGUMENT, unfit);
  refuse("mps.lu", NULL, 0, square, longer, 3, JM_INVALID_ARGUMENT, unfit);
  refuse("mps.lu", NULL, 0, square, other, 3, JM_INVALID_ARGUMENT, unfit);
  refuse("mps.lu", NULL, 0, square, unbatched, 3, JM_INVALID_ARGUMENT, unfit);
  refuse("mps.lu", NULL, 0, scalar, lu, 3, JM_INVALID_ARGUMENT, unfit);
  refuse("mps.lu", NULL, 0, whole, lu, 3, JM_UNIMPLEMENTED, "element type");
  refuse("mps.lu", &lower, 1, square, lu, 3, JM_INVALID_ARGUMENT, "unknown configuration");
  refuse("mps.tridiagonal", &lower, 1, square, wrong, 4, JM_INVALID_ARGUMENT, unfit);
  refuse("mps.tridiagonal", NULL, 0, square, form, 4, JM_INVALID_ARGUMENT, "no number \"lower\"");
  refuse("mps.tridiagonal", &upper_text, 1, square, form, 4, JM_INVALID_ARGUMENT,
         "no number \"lower\"");
  refuse("mps.cholesky", NULL, 0, square, lu, 3, JM_UNIMPLEMENTED, "unknown target");
}

/* A range of eigenvalues must be as long as the results, and inside. */
static void test_range(void) {
  jm_dict_entry entries[] = {lower,
                             {.key = STR("low"), .kind = JM_DICT_I64, .i64 = 1},
                             {.key = STR("high"), .kind = JM_DICT_I64, .i64 = 2}};
  const shape out[] = {{JM_DT_f32, 3, {2, 3, 2}}, shorter};
  refuse("mps.eigh", entries, 3, square, out, 2, JM_INVALID_ARGUMENT, "sizes that don't fit");
  entries[1].i64 = 2, entries[2].i64 = 4;
  refuse("mps.eigh", entries, 3, square, out, 2, JM_INVALID_ARGUMENT, "sizes that don't fit");
  entries[1].i64 = -1, entries[2].i64 = 1;
  refuse("mps.eigh", entries, 3, square, out, 2, JM_INVALID_ARGUMENT, "sizes that don't fit");
}

/* Two matrices: one that needs exchanges, one that is singular. bf16 is computed in f32. */
static void test_lu(void) {
  static const float a[] = {0, 2, 1, 4, 2, 2, 2, 2, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  static const float factors[] = {4, 2, 2, 0, 2, 1, 0.5f, 0.5f, 3.5f};
  const shape out[] = {square, ints, ints};
  ref_case c;
  make(&c, "mps.lu", NULL, 0, square, a, out, 3);
  if (!jm_blas_find("sgetrf")) {
    CHECK_FAILS(check(&c), JM_UNIMPLEMENTED, "sgetrf");
  } else {
    CHECK_OK(check(&c));
    CHECK_OK(case_run(&c));
    const float *lu = c.out[0].data;
    const int32_t *pivots = c.out[1].data, *order = c.out[2].data;
    for (int i = 0; i < 9; i++) CHECK(fabsf(lu[i] - factors[i]) < 1e-6f && lu[9 + i] == 0);
    CHECK(pivots[0] == 1 && pivots[1] == 1 && pivots[2] == 2);
    CHECK(order[0] == 1 && order[1] == 0 && order[2] == 2);
    CHECK(order[3] == 0 && order[4] == 1 && order[5] == 2);
  }
  case_end(&c);
}

/* NaN in one matrix of two: results NaN there and nowhere else. */
static void test_nan(void) {
  float a[18] = {2, 0, 0, 0, 3, 0, 0, 0, 4, 1, 2, 3, 4, NAN, 6, 7, 8, 9};
  static const jm_dict_entry entries[] = {{.key = STR("left"), .kind = JM_DICT_BOOL},
                                          {.key = STR("right"), .kind = JM_DICT_BOOL}};
  const shape out[] = {{JM_DT_c64, 2, {2, 3}}};
  ref_case c;
  make(&c, "mps.eig", entries, 2, square, a, out, 1);
  if (jm_blas_find("sgeev")) {
    CHECK_OK(check(&c));
    CHECK_OK(case_run(&c));
    const float *w = c.out[0].data;
    CHECK(w[0] == 2 && w[1] == 0 && w[2] == 3 && w[4] == 4);
    for (int i = 6; i < 12; i++) CHECK(isnan(w[i]));
  }
  case_end(&c);
}

TEST_MAIN(test_refusals, test_range, test_lu, test_nan)
