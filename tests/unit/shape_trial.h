/* SPDX-License-Identifier: Apache-2.0
 * A program of shape_cases.h with inputs, what the oracle makes of them, and what
 * somebody else does. */
#ifndef JM_TESTS_SHAPE_TRIAL_H
#define JM_TESTS_SHAPE_TRIAL_H

#include <math.h>

#include "base/convert.h"
#include "engine/ref/ref.h"
#include "unit/shape_cases.h"

enum { MOST_TENSORS = 8 };

typedef struct trial {
  const shape_row *row;
  jm_dtype dtype;
  const shape *shape;
  uint64_t seed;
  uint32_t n_in, n_out;
  const jm_type *types_in[MOST_TENSORS], *types_out[MOST_TENSORS];
  void *in[MOST_TENSORS], *want[MOST_TENSORS], *have[MOST_TENSORS];
} trial;

static void complain(const trial *t, const char *what) {
  fprintf(stderr, "%s, %s, a %d, b %d: %s\n", t->row->name, jm_dtype_name(t->dtype), t->shape->a,
          t->shape->b, what);
}

static double next_number(uint64_t *seed) { /* splitmix64 (Steele, Lea, Flood 2014): [0, 1) */
  uint64_t z = *seed += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

/* An integer of this type: few, so that equal ones meet. */
static double integer_at(jm_dtype dtype, double x) {
  const uint32_t bits = jm_dtype_facts[dtype].bits;
  if (bits >= 8) return floor(x * 23) - 3;
  const double n = 1u << bits;
  return floor(x * n) - (jm_dtype_classof(dtype) == JM_CLASS_SINT ? n / 2 : 0);
}

static void fill(trial *t, const jm_type *type, void *data) {
  jm_dtype real = jm_dtype_real(type->dtype);
  size_t n = jm_type_bytes(type) / jm_dtype_bytes(real);
  double *numbers = jm_alloc(n + 1, sizeof *numbers);
  for (size_t i = 0; i < n; i++) {
    double x = next_number(&t->seed);
    /* What is negative would be NaN in f8e8m0fnu, of which comparisons make no order. */
    numbers[i] = real == JM_DT_f8e8m0fnu   ? x * 4
                 : jm_dtype_is_float(real) ? x * 4 - 2
                 : real == JM_DT_pred      ? x > 0.5
                                           : integer_at(real, x);
  }
  CHECK_OK(jm_convert_run(JM_DT_f64, real, numbers, data, n));
  jm_free(numbers);
}

static void begin_trial(trial *t, const jm_module *m) {
  const jm_region *entry = jm_module_region(m, m->entry);
  t->n_in = entry->n_args;
  t->n_out = entry->n_results;
  CHECK(t->n_in <= MOST_TENSORS && t->n_out <= MOST_TENSORS);
  for (uint32_t i = 0; i < t->n_in; i++) {
    t->types_in[i] = jm_module_typeof(m, entry->first_arg + i);
    t->in[i] = jm_alloc_data(jm_type_bytes(t->types_in[i]) + 1);
    fill(t, t->types_in[i], t->in[i]);
  }
  for (uint32_t i = 0; i < t->n_out; i++) {
    t->types_out[i] = jm_module_typeof(m, entry->results[i]);
    t->want[i] = jm_alloc_data(jm_type_bytes(t->types_out[i]) + 1);
    t->have[i] = jm_alloc_data(jm_type_bytes(t->types_out[i]) + 1);
  }
}

static void end_trial(trial *t) {
  for (uint32_t i = 0; i < t->n_in; i++) jm_free(t->in[i]);
  for (uint32_t i = 0; i < t->n_out; i++) {
    jm_free(t->want[i]);
    jm_free(t->have[i]);
  }
}

static void evaluate(trial *t, const jm_module *m) {
  jm_tensor in[MOST_TENSORS], out[MOST_TENSORS];
  for (uint32_t i = 0; i < t->n_in; i++) in[i] = (jm_tensor){t->types_in[i], t->in[i]};
  for (uint32_t i = 0; i < t->n_out; i++) out[i] = (jm_tensor){t->types_out[i], t->want[i]};
  CHECK_OK(jm_ref_evaluate(m, m->entry, in, out, NULL));
}

static double tolerance(jm_dtype real) {
  return real == JM_DT_f64 ? 1e-12 : real == JM_DT_f32 ? 2e-5 : real == JM_DT_f16 ? 4e-3 : 3e-2;
}

/* A NaN is a NaN. Sums were added in another order: what is near 0 may have lost digits. */
static bool is_close(jm_dtype real, bool exact, const void *x, const void *y) {
  double a, b;
  if (!memcmp(x, y, jm_dtype_bytes(real))) return true;
  if (!jm_dtype_is_float(real)) return false;
  CHECK_OK(jm_convert_run(real, JM_DT_f64, x, &a, 1));
  CHECK_OK(jm_convert_run(real, JM_DT_f64, y, &b, 1));
  if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
  return !exact && (a == b || fabs(a - b) <= tolerance(real) * (fabs(a) + fabs(b) + 10));
}

static void compare(const trial *t, const char *what) {
  for (uint32_t i = 0; i < t->n_out; i++) {
    jm_dtype real = jm_dtype_real(t->types_out[i]->dtype);
    size_t bytes = jm_dtype_bytes(real), n = jm_type_bytes(t->types_out[i]) / bytes, wrong = 0;
    const char *x = t->want[i], *y = t->have[i];
    for (size_t k = 0; k < n; k++)
      wrong += !is_close(real, t->row->exact, x + k * bytes, y + k * bytes);
    CHECK(!wrong);
    if (wrong) complain(t, what);
  }
}

#endif
