/* SPDX-License-Identifier: Apache-2.0
 * fft of the library against the definition, summed in long double. */
#include <complex.h>
#include <math.h>
#include <stdlib.h>

#include "engine/host/library/library.h"
#include "unit/check.h"
#include "unit/oracle.h"

jm_call_fn jm_library_fft;

static const jm_type *type_of(jm_module *m, jm_dtype dtype, uint32_t rank, const int64_t *dims) {
  const jm_type *type = NULL;
  CHECK_OK(jm_module_type(m, dtype, rank, dims, &type));
  return type;
}

static bool has_nan(const jm_tensor *t) {
  size_t n = (size_t)t->type->count * (jm_dtype_is_complex(t->type->dtype) ? 2 : 1);
  double *x = oracle_numbers(t->type->dtype, t->data, n);
  bool found = false;
  for (size_t i = 0; x && i < n; i++) found |= isnan(x[i]);
  free(x);
  return found;
}

static void fft(jm_fft_kind kind, bool is_double, uint32_t rank, const int64_t *dims,
                uint32_t n_length, const int64_t *length, void *in, void *out) {
  jm_module *m;
  CHECK_OK(jm_module_create(&m));
  jm_fft_attrs attrs = {.kind = kind, .length = {length, n_length}};
  jm_op op = {.code = JM_OP_fft, .n_operands = 1, .n_results = 1, .attrs = &attrs};
  jm_dtype real = is_double ? JM_DT_f64 : JM_DT_f32;
  jm_dtype complex_of = is_double ? JM_DT_c128 : JM_DT_c64;
  int64_t in_dims[4], out_dims[4];
  memcpy(in_dims, dims, rank * sizeof *dims);
  memcpy(out_dims, dims, rank * sizeof *dims);
  int64_t last = length[n_length - 1];
  if (kind == JM_FFT_RFFT) out_dims[rank - 1] = last ? last / 2 + 1 : 0;
  if (kind == JM_FFT_IRFFT) in_dims[rank - 1] = last / 2 + 1, out_dims[rank - 1] = last;
  jm_tensor source = {type_of(m, kind == JM_FFT_RFFT ? real : complex_of, rank, in_dims), in};
  jm_tensor target = {type_of(m, kind == JM_FFT_IRFFT ? real : complex_of, rank, out_dims), out};
  const jm_call call = {m, &op, &source, &target, NULL};
  CHECK_OK(jm_library_fft(&call));
  /* The imaginary part at frequency 0 of a real line with a NaN is 0 to one, NaN to the other. */
  if (target.type->count < 512 && !has_nan(&source)) check_oracle(&call, 256);
  jm_module_destroy(m);
}

static double random_unit(void) {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(state >> 11) * 0x1p-53 - 0.5;
}

/* exp(sign 2 pi i k / n) for all k */
static void roots(size_t n, double sign, double complex *out) {
  for (size_t k = 0; k < n; k++) {
    long double angle = sign * 2 * 3.14159265358979323846264338327950288L * k / n;
    out[k] = (double)cosl(angle) + I * (double)sinl(angle);
  }
}

static void naive(const double complex *in, size_t n, double sign, double complex *out) {
  double complex *w = calloc(n, sizeof *w);
  roots(n, sign, w);
  for (size_t k = 0; k < n; k++) {
    double complex sum = 0;
    for (size_t j = 0; j < n; j++) sum += in[j] * w[j * k % n];
    out[k] = sum;
  }
  free(w);
}

static double distance(const double complex *a, const double complex *b, size_t n) {
  double worst = 0, size = 0;
  for (size_t i = 0; i < n; i++) {
    if (!(cabs(a[i] - b[i]) <= worst)) worst = cabs(a[i] - b[i]);
    if (cabs(b[i]) > size) size = cabs(b[i]);
  }
  return size > 0 ? worst / size : worst;
}

enum { MAX = 1100 };

/* All four kinds of one length, in both precisions, three lines at once. */
static void check_length(size_t n) {
  static double complex in[3 * MAX], out[3 * MAX], expected[3 * MAX];
  static float complex in32[3 * MAX], out32[3 * MAX];
  static double reals[3 * MAX];
  int64_t dims[] = {3, (int64_t)n}, length = (int64_t)n;
  size_t half = n / 2 + 1;
  for (size_t i = 0; i < 3 * n; i++) in[i] = random_unit() + I * random_unit(), in32[i] = in[i];
  for (size_t l = 0; l < 3; l++) naive(in + l * n, n, -1, expected + l * n);
  fft(JM_FFT_FFT, true, 2, dims, 1, &length, in, out);
  CHECK(distance(out, expected, 3 * n) < 2e-14);
  fft(JM_FFT_IFFT, true, 2, dims, 1, &length, out, expected);
  CHECK(distance(expected, in, 3 * n) < 2e-14);
  fft(JM_FFT_FFT, false, 2, dims, 1, &length, in32, out32);
  for (size_t i = 0; i < 3 * n; i++) expected[i] = out32[i];
  CHECK(distance(expected, out, 3 * n) < 3e-7);

  for (size_t i = 0; i < 3 * n; i++) reals[i] = creal(in[i]), in[i] = reals[i];
  for (size_t l = 0; l < 3; l++) {
    static double complex whole[MAX];
    naive(in + l * n, n, -1, whole);
    memcpy(expected + l * half, whole, half * sizeof *whole);
  }
  fft(JM_FFT_RFFT, true, 2, dims, 1, &length, reals, out);
  CHECK(distance(out, expected, 3 * half) < 2e-14);
  /* What must be real is taken for real. */
  for (size_t l = 0; l < 3; l++) {
    out[l * half] += 17 * I;
    if (n % 2 == 0) out[l * half + half - 1] += 17 * I;
  }
  fft(JM_FFT_IRFFT, true, 2, dims, 1, &length, out, reals);
  for (size_t i = 0; i < 3 * n; i++) expected[i] = reals[i];
  CHECK(distance(expected, in, 3 * n) < 2e-14);
}

static void test_lengths(void) {
  static const size_t others[] = {49,  53,  64,  97,  121, 128,  243,
                                  256, 257, 360, 529, 625, 1009, 1024};
  for (size_t n = 1; n <= 48; n++) check_length(n);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) check_length(others[i]);
}

/* Three dimensions of four: separable, so one dimension after another by the definition. */
static void test_dimensions(void) {
  enum { A = 2, B = 3, C = 5, D = 6, N = A * B * C * D, HALF = D / 2 + 1 };
  static double complex in[N], out[N], expected[N], line[D], result[D];
  static double reals[N], back[N];
  int64_t dims[] = {A, B, C, D}, length[] = {B, C, D};
  size_t sizes[] = {B, C, D}, strides[] = {C * D, D, 1};
  for (size_t i = 0; i < N; i++) expected[i] = in[i] = random_unit() + I * random_unit();
  for (size_t d = 0; d < 3; d++)
    for (size_t i = 0; i < N; i++) {
      if (i / strides[d] % sizes[d]) continue; /* i starts a line */
      for (size_t k = 0; k < sizes[d]; k++) line[k] = expected[i + k * strides[d]];
      naive(line, sizes[d], -1, result);
      for (size_t k = 0; k < sizes[d]; k++) expected[i + k * strides[d]] = result[k];
    }
  fft(JM_FFT_FFT, true, 4, dims, 3, length, in, out);
  CHECK(distance(out, expected, N) < 1e-14);
  fft(JM_FFT_IFFT, true, 4, dims, 3, length, out, expected);
  CHECK(distance(expected, in, N) < 1e-14);

  for (size_t i = 0; i < N; i++) reals[i] = creal(in[i]), in[i] = reals[i];
  static double complex half[A * B * C * HALF];
  fft(JM_FFT_FFT, true, 4, dims, 3, length, in, out);
  fft(JM_FFT_RFFT, true, 4, dims, 3, length, reals, half);
  size_t wrong = 0;
  for (size_t i = 0; i < A * B * C * HALF; i++)
    wrong += cabs(half[i] - out[i / HALF * D + i % HALF]) > 1e-13;
  CHECK(wrong == 0);
  fft(JM_FFT_IRFFT, true, 4, dims, 3, length, half, back);
  for (size_t i = 0; i < N; i++) wrong += fabs(back[i] - reals[i]) > 1e-14;
  CHECK(wrong == 0);
}

/* Lines don't touch each other: a NaN stays in its own. */
static void test_separate(void) {
  enum { LINES = 20, N = 12 };
  static double reals[LINES * N], back[LINES * N];
  static double complex half[LINES * (N / 2 + 1)];
  int64_t dims[] = {LINES, N}, length = N;
  for (size_t i = 0; i < LINES * N; i++) reals[i] = i / N == 7 ? NAN : random_unit();
  fft(JM_FFT_RFFT, true, 2, dims, 1, &length, reals, half);
  fft(JM_FFT_IRFFT, true, 2, dims, 1, &length, half, back);
  size_t wrong = 0;
  for (size_t i = 0; i < LINES * N; i++)
    wrong += i / N == 7 ? !isnan(back[i]) : !(fabs(back[i] - reals[i]) < 1e-14);
  CHECK(wrong == 0);
}

/* A line's bits are the same alone, among lines that are transformed together, and as a column. */
static void test_together(void) {
  enum { LINES = 21, LONGEST = 4500 }; /* 16 and 5; 8, 8 and 5 */
  static const size_t lengths[] = {6, 49, 67, 106, 256, 1000, 1024, 3721, 4096, LONGEST};
  static double complex in[LINES * LONGEST], out[LINES * LONGEST], line[LONGEST];
  static float complex in32[LINES * LONGEST], out32[LINES * LONGEST], line32[LONGEST];
  static float complex turned32[LINES * LONGEST], column32[LONGEST];
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    size_t n = lengths[i], wrong = 0;
    int64_t rows[] = {LINES, (int64_t)n}, columns[] = {(int64_t)n, LINES}, one[] = {1, rows[1]};
    for (size_t k = 0; k < LINES * n; k++) in32[k] = in[k] = random_unit() + I * random_unit();
    fft(JM_FFT_FFT, true, 2, rows, 1, rows + 1, in, out);
    fft(JM_FFT_FFT, false, 2, rows, 1, rows + 1, in32, out32);
    for (size_t l = 0; l < LINES; l++) {
      fft(JM_FFT_FFT, true, 2, one, 1, one + 1, in + l * n, line);
      fft(JM_FFT_FFT, false, 2, one, 1, one + 1, in32 + l * n, line32);
      wrong += memcmp(line, out + l * n, n * sizeof *line) != 0;
      wrong += memcmp(line32, out32 + l * n, n * sizeof *line32) != 0;
    }
    /* Rows of the transposed, then columns. */
    for (size_t k = 0; k < n; k++)
      for (size_t l = 0; l < LINES; l++) turned32[k * LINES + l] = in32[l * n + k];
    fft(JM_FFT_FFT, false, 2, columns, 1, columns + 1, turned32, in32);
    fft(JM_FFT_FFT, false, 2, columns, 2, columns, turned32, out32);
    for (size_t l = 0; l < LINES; l++) {
      for (size_t k = 0; k < n; k++) column32[k] = in32[k * LINES + l];
      fft(JM_FFT_FFT, false, 2, one, 1, one + 1, column32, line32);
      for (size_t k = 0; k < n; k++)
        wrong += memcmp(&line32[k], &out32[k * LINES + l], sizeof *line32) != 0;
    }
    CHECK(wrong == 0);
  }
}

/* Every allocation that fails is an error; 26 goes by half, 67 by Bluestein. */
static void test_no_memory(void) {
  for (int64_t n = 26; n <= 67; n += 41) {
    jm_module *m;
    CHECK_OK(jm_module_create(&m));
    static double in[67], out[68];
    int64_t half = n / 2 + 1;
    jm_fft_attrs attrs = {.kind = JM_FFT_RFFT, .length = {&n, 1}};
    jm_op op = {.code = JM_OP_fft, .n_operands = 1, .n_results = 1, .attrs = &attrs};
    jm_tensor source = {type_of(m, JM_DT_f64, 1, &n), in};
    jm_tensor target = {type_of(m, JM_DT_c128, 1, &half), out};
    int64_t after = 0;
    for (; after < 100; after++) {
      jm_alloc_fail_after(after);
      jm_error *error = jm_library_fft(&(jm_call){m, &op, &source, &target, NULL});
      jm_alloc_fail_after(-1);
      if (!error) break;
      CHECK(jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
      jm_error_destroy(error);
    }
    CHECK(after > 3 && after < 100);
    jm_module_destroy(m);
  }
}

static void test_empty(void) {
  double in[2] = {1, 2}, out[2] = {3, 4};
  fft(JM_FFT_FFT, true, 2, (int64_t[]){0, 4}, 1, (int64_t[]){4}, in, out);
  fft(JM_FFT_FFT, true, 2, (int64_t[]){4, 0}, 1, (int64_t[]){0}, in, out);
  fft(JM_FFT_RFFT, true, 2, (int64_t[]){4, 0}, 1, (int64_t[]){0}, in, out);
  CHECK(out[0] == 3 && out[1] == 4);
}

TEST_MAIN(test_lengths, test_dimensions, test_separate, test_together, test_no_memory, test_empty)
