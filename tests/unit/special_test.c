/* SPDX-License-Identifier: Apache-2.0
 * Special functions of engine/elementwise against values that mpmath gave with 30 digits, and
 * threefry2x32 against the vectors that its authors published. */
#include <math.h>

#include "base/convert.h"
#include "unit/ref_case.h"

static const struct {
  jm_opcode code;
  uint32_t n;
  double in[3], expected;
} rows[] = {
    {JM_OP_lgamma, 1, {0.25}, 1.2880225246980774574},
    {JM_OP_lgamma, 1, {1.5}, -0.12078223763524522235},
    {JM_OP_lgamma, 1, {3.0}, 0.69314718055994530942},
    {JM_OP_lgamma, 1, {7.5}, 7.5343642367587329552},
    {JM_OP_lgamma, 1, {40.0}, 106.63176026064345913},
    {JM_OP_lgamma, 1, {-0.5}, 1.2655121234846453965},
    {JM_OP_lgamma, 1, {-2.25}, 0.55550154502064747059},
    {JM_OP_digamma, 1, {0.25}, -4.2274535333762654081},
    {JM_OP_digamma, 1, {1.0}, -0.57721566490153286061},
    {JM_OP_digamma, 1, {3.0}, 0.92278433509846713939},
    {JM_OP_digamma, 1, {40.0}, 3.6763273740348431259},
    {JM_OP_digamma, 1, {-0.75}, -2.8941202000429320748},
    {JM_OP_erf_inv, 1, {-0.5}, -0.47693627620446987338},
    {JM_OP_erf_inv, 1, {0.125}, 0.11123545184094995915},
    {JM_OP_erf_inv, 1, {0.984375}, 1.7094723742995114785},
    {JM_OP_erf_inv, 1, {0.9921875}, 1.8809517454731394206},
    {JM_OP_bessel_i0e, 1, {0.25}, 0.79101716213971936389},
    {JM_OP_bessel_i1e, 1, {0.25}, 0.098112628697368246674},
    {JM_OP_bessel_i0e, 1, {-7.0}, 0.15373774467288124815},
    {JM_OP_bessel_i1e, 1, {-7.0}, -0.14228923470959867444},
    {JM_OP_bessel_i0e, 1, {8.0}, 0.14343178185685031071},
    {JM_OP_bessel_i1e, 1, {8.0}, 0.13414249329269817831},
    {JM_OP_bessel_i0e, 1, {20.0}, 0.089780311884826021596},
    {JM_OP_bessel_i1e, 1, {20.0}, 0.087506222183288665356},
    {JM_OP_bessel_i0e, 1, {1000.0}, 0.012617240455891256586},
    {JM_OP_bessel_i1e, 1, {1000.0}, 0.01261093025692862947},
    {JM_OP_igamma, 2, {0.5, 0.25}, 0.52049987781304653768},
    {JM_OP_igammac, 2, {0.5, 0.25}, 0.47950012218695346232},
    {JM_OP_igamma_grad_a, 2, {0.5, 0.25}, -0.79794731678322294051},
    {JM_OP_igamma, 2, {0.5, 3.0}, 0.98569412156457036047},
    {JM_OP_igammac, 2, {0.5, 3.0}, 0.014305878435429639526},
    {JM_OP_igamma_grad_a, 2, {0.5, 3.0}, -0.047240326447973750916},
    {JM_OP_igamma, 2, {20.0, 16.0}, 0.18775147166316216584},
    {JM_OP_igammac, 2, {20.0, 16.0}, 0.81224852833683783416},
    {JM_OP_igamma_grad_a, 2, {20.0, 16.0}, -0.062911657985946408243},
    {JM_OP_igamma, 2, {20.0, 30.0}, 0.97812653155860914668},
    {JM_OP_igammac, 2, {20.0, 30.0}, 0.021873468441390853316},
    {JM_OP_igamma_grad_a, 2, {20.0, 30.0}, -0.010966166487459576204},
    {JM_OP_igamma, 2, {1000.0, 1008.0}, 0.60366493451881543584},
    {JM_OP_igammac, 2, {1000.0, 1008.0}, 0.39633506548118456416},
    {JM_OP_igamma_grad_a, 2, {1000.0, 1008.0}, -0.01217281712080395264},
    {JM_OP_zeta, 2, {1.5, 2.0}, 1.6123753486854883433},
    {JM_OP_zeta, 2, {2.0, 0.5}, 4.9348022005446793094},
    {JM_OP_zeta, 2, {4.0, -1.5}, 32.432379369864603737},
    {JM_OP_zeta, 2, {30.0, 1.0}, 1.0000000009313274324},
    {JM_OP_polygamma, 2, {0.0, 2.5}, 0.70315664064524318723},
    {JM_OP_polygamma, 2, {1.0, 0.5}, 4.9348022005446793094},
    {JM_OP_polygamma, 2, {2.0, 3.0}, -0.1541138063191885708},
    {JM_OP_polygamma, 2, {5.0, 10.0}, 0.00030594516211726820905},
    {JM_OP_regularized_incomplete_beta, 3, {2.0, 3.0, 0.25}, 0.26171875},
    {JM_OP_regularized_incomplete_beta, 3, {0.5, 0.5, 0.75}, 0.66666666666666666667},
    {JM_OP_regularized_incomplete_beta, 3, {40.0, 50.0, 0.5}, 0.85545195965196985532},
};

static double run_one(jm_opcode code, jm_dtype dtype, const double *in, uint32_t n) {
  ref_case c;
  double result = 0;
  case_begin(&c);
  for (uint32_t i = 0; i < n; i++) {
    double value = 0;
    CHECK_OK(jm_convert_run(JM_DT_f64, dtype, &in[i], &value, 1));
    case_in(&c, dtype, 0, NULL, &value);
  }
  case_out(&c, dtype, 0, NULL);
  case_op(&c, code, NULL, 0);
  CHECK_OK(case_run(&c));
  CHECK_OK(jm_convert_run(dtype, JM_DT_f64, c.out[0].data, &result, 1));
  case_end(&c);
  return result;
}

static void test_values(void) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    double scale = fabs(rows[i].expected);
    double wide = run_one(rows[i].code, JM_DT_f64, rows[i].in, rows[i].n);
    double single = run_one(rows[i].code, JM_DT_f32, rows[i].in, rows[i].n);
    double half = run_one(rows[i].code, JM_DT_bf16, rows[i].in, rows[i].n);
    CHECK(fabs(wide - rows[i].expected) <= 4e-14 * scale);
    CHECK(fabs(single - rows[i].expected) <= 3e-7 * scale);
    CHECK(fabs(half - rows[i].expected) <= 4e-3 * scale);
  }
}

static void test_edges(void) {
  const double zero = 0, one = 1, minus = -1, infinite = INFINITY, two[] = {2, 0}, pole[] = {1, -3};
  const double infinities[] = {INFINITY, INFINITY};
  CHECK(isinf(run_one(JM_OP_lgamma, JM_DT_f32, &zero, 1)));
  CHECK(isinf(run_one(JM_OP_lgamma, JM_DT_f64, &minus, 1)));
  CHECK(run_one(JM_OP_lgamma, JM_DT_f32, &one, 1) == 0);
  CHECK(isnan(run_one(JM_OP_digamma, JM_DT_f64, &minus, 1)));
  CHECK(run_one(JM_OP_erf_inv, JM_DT_f32, &minus, 1) == -INFINITY);
  CHECK(isnan(run_one(JM_OP_erf_inv, JM_DT_f64, two, 1)));
  CHECK(run_one(JM_OP_bessel_i0e, JM_DT_f32, &infinite, 1) == 0);
  CHECK(run_one(JM_OP_igamma, JM_DT_f32, two, 2) == 0);
  CHECK(isnan(run_one(JM_OP_igamma, JM_DT_f32, infinities, 2)));
  CHECK(isnan(run_one(JM_OP_igammac, JM_DT_f64, infinities, 2)));
  CHECK(run_one(JM_OP_polygamma, JM_DT_f64, pole, 2) == INFINITY);
}

/* Arrays long enough for several threads and a vector's end. */
static void test_many(void) {
  enum { N = 40001 };
  const int64_t n = N;
  ref_case c;
  case_begin(&c);
  float *in = case_in(&c, JM_DT_f32, 1, &n, NULL), *out;
  for (int i = 0; i < N; i++) in[i] = (float)(i - N / 2) / (N / 2 + 1);
  out = case_out(&c, JM_DT_f32, 1, &n);
  case_op(&c, JM_OP_erf_inv, NULL, 0);
  CHECK_OK(case_run(&c));
  for (int i = 0; i < N; i++) CHECK(fabs(erf(out[i]) - in[i]) <= 1e-7);
  case_end(&c);
}

static void threefry(const uint32_t *key, const uint32_t *counter, uint32_t *out) {
  ref_case c;
  case_begin(&c);
  for (int i = 0; i < 2; i++) case_in(&c, JM_DT_u32, 0, NULL, &key[i]);
  for (int i = 0; i < 2; i++) case_in(&c, JM_DT_u32, 0, NULL, &counter[i]);
  const uint32_t *x = case_out(&c, JM_DT_u32, 0, NULL), *y = case_out(&c, JM_DT_u32, 0, NULL);
  case_op(&c, JM_OP_threefry2x32, NULL, 0);
  CHECK_OK(case_run(&c));
  out[0] = *x, out[1] = *y;
  case_end(&c);
}

static void test_threefry(void) {
  static const uint32_t vectors[][6] = {
      {0, 0, 0, 0, 0x6b200159, 0x99ba4efe},
      {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x1cb996fc, 0xbb002be7},
      {0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3, 0xc4923a9c, 0x483df7a0},
  };
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    uint32_t out[2];
    threefry(vectors[i], vectors[i] + 2, out);
    CHECK(out[0] == vectors[i][4] && out[1] == vectors[i][5]);
  }
}

/* One key for all, and a key for each: the same where they agree. */
static void test_threefry_keys(void) {
  const int64_t n = 100;
  uint32_t keys[2][100], counters[2][100], expected[2];
  for (uint32_t i = 0; i < 100; i++)
    keys[0][i] = 7, keys[1][i] = 9, counters[0][i] = i, counters[1][i] = ~i;
  for (uint32_t per_key = 0; per_key < 2; per_key++) {
    ref_case c;
    case_begin(&c);
    for (int i = 0; i < 2; i++) case_in(&c, JM_DT_u32, per_key, &n, keys[i]);
    for (int i = 0; i < 2; i++) case_in(&c, JM_DT_u32, 1, &n, counters[i]);
    const uint32_t *x = case_out(&c, JM_DT_u32, 1, &n), *y = case_out(&c, JM_DT_u32, 1, &n);
    case_op(&c, JM_OP_threefry2x32, NULL, 0);
    CHECK_OK(case_run(&c));
    for (uint32_t i = 0; i < 100; i++) {
      const uint32_t key[2] = {7, 9}, counter[2] = {i, ~i};
      threefry(key, counter, expected);
      CHECK(x[i] == expected[0] && y[i] == expected[1]);
    }
    case_end(&c);
  }
}

TEST_MAIN(test_values, test_edges, test_many, test_threefry, test_threefry_keys)
