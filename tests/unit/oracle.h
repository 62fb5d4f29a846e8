/* SPDX-License-Identifier: Apache-2.0
 * Judges a routine of the library by the oracle: after the routine ran, the oracle runs the same
 * call, and the results are compared. Integers must be equal; floats to within some units in the
 * last place of the tensor's largest number, for sums are added up in other orders. */
#ifndef JM_TESTS_ORACLE_H
#define JM_TESTS_ORACLE_H

#include <math.h>
#include <stdlib.h>

#include "base/number.h"
#include "engine/elementwise/elementwise.h"
#include "engine/ref/ref.h"
#include "unit/check.h"

/* Of a unit in the last place at 1. */
static inline double oracle_epsilon(jm_dtype dtype) {
  switch (jm_dtype_real(dtype)) {
    case JM_DT_f64:
      return 0x1p-52;
    case JM_DT_f32:
      return 0x1p-23;
    case JM_DT_f16:
      return 0x1p-10;
    case JM_DT_bf16:
      return 0x1p-7;
    default: /* of at most 8 bits */
      return 0.5;
  }
}

/* The float parts of n elements as doubles. */
static inline double *oracle_numbers(jm_dtype dtype, const void *data, size_t n) {
  jm_dtype real = jm_dtype_real(dtype);
  double *out = calloc(n + 1, sizeof *out);
  if (out) CHECK_OK(jm_convert_run(real, JM_DT_f64, data, out, n));
  return out;
}

static inline bool oracle_close(jm_dtype dtype, const void *got, const void *want, int64_t count,
                                double ulps) {
  size_t n = (size_t)count * (jm_dtype_is_complex(dtype) ? 2 : 1);
  if (!jm_dtype_is_complex(dtype) && !jm_dtype_is_float(dtype))
    return !memcmp(got, want, n * jm_dtype_bytes(dtype));
  double *x = oracle_numbers(dtype, got, n), *y = oracle_numbers(dtype, want, n), largest = 0;
  bool close = x && y;
  for (size_t i = 0; close && i < n; i++)
    if (isfinite(y[i]) && fabs(y[i]) > largest) largest = fabs(y[i]);
  for (size_t i = 0; close && i < n; i++)
    close = x[i] == y[i] || (isnan(x[i]) && isnan(y[i])) ||
            fabs(x[i] - y[i]) <= ulps * oracle_epsilon(dtype) * largest;
  free(x);
  free(y);
  return close;
}

/* ulps 0: to the bit. Ops without an oracle pass. */
static inline void check_oracle(const jm_call *call, double ulps) {
  enum { MOST = 8 };
  jm_tensor out[MOST];
  uint32_t n = call->op->n_results;
  CHECK(n <= MOST);
  for (uint32_t i = 0; i < n; i++)
    out[i] = (jm_tensor){call->out[i].type, jm_alloc_data(jm_type_bytes(call->out[i].type))};
  jm_call again = *call;
  again.out = out;
  again.context = NULL;
  jm_error *error = jm_ref_fns[call->op->code](&again);
  bool has_oracle = jm_error_code(error) != JM_UNIMPLEMENTED;
  if (has_oracle) CHECK_OK(error);
  for (uint32_t i = 0; i < n; i++) {
    const jm_type *type = out[i].type;
    bool same = ulps > 0
                    ? oracle_close(type->dtype, call->out[i].data, out[i].data, type->count, ulps)
                    : !memcmp(call->out[i].data, out[i].data, jm_type_bytes(type));
    CHECK(same || !has_oracle);
    if (!same && has_oracle)
      fprintf(stderr, "%s of %s is not the oracle's\n", jm_op_facts[call->op->code].name,
              jm_dtype_name(type->dtype));
    jm_free(out[i].data);
  }
  if (!has_oracle) jm_error_destroy(error);
}

#endif
