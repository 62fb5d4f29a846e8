/* SPDX-License-Identifier: Apache-2.0
 * An engine library for tests: the real one ($JM_REAL_ENGINE), with primitives that fail, and one
 * that does what a GPU may do.
 *   sin      fails late, long after the call, on MLX's worker thread. A GPU looks at no index, so
 *            there, or if JM_FAULT_AT_WAIT is set, the next wait reports the error
 *   cos      fails at the call
 *   memory   the device says that it has $JM_FAULT_MEMORY bytes, if that is set
 *   scatter  one that overwrites does so in reverse order: on a GPU any order may come */
#include <stdlib.h>

#include "real_engine.h"

static bool at_wait;
static bool armed; /* the next wait fails */

static jm_error *device_open(bool gpu, jm_mlx_device_fact *out) {
  at_wait = gpu || getenv("JM_FAULT_AT_WAIT");
  jm_error *error = real->device_open(gpu, out);
  const char *memory = getenv("JM_FAULT_MEMORY");
  if (!error && memory) out->memory_bytes = atoll(memory);
  return error;
}

/* After the work itself, whose own error comes first. */
static jm_error *fault_take(jm_error *error) {
  if (error || !armed) return error;
  armed = false;
  return host->error_create(JM_INTERNAL, "sin fails late");
}

static jm_error *arrays_wait(jm_mlx_array *const *arrays, size_t n) {
  return fault_take(real->arrays_wait(arrays, n));
}

static jm_error *fence_wait(jm_mlx_fence *fence) { return fault_take(real->fence_wait(fence)); }

static jm_error *array_export(jm_mlx_array *a, void *data, size_t n_bytes) {
  return fault_take(real->array_export(a, data, n_bytes));
}

/* MLX looks at the indices' type when it computes: floats are none. */
static jm_error *sin_late(jm_mlx_array *a, jm_mlx_array **out) {
  if (at_wait) {
    armed = true;
    return real->sin(a, out);
  }
  jm_mlx_array *flat = NULL;
  jm_dtype dtype;
  int32_t shape[64];
  int rank;
  jm_error *error = real->array_describe(a, &dtype, shape, &rank);
  if (error) return error;
  int32_t count = 1;
  for (int i = 0; i < rank; i++) count *= shape[i];
  error = real->reshape(&flat, a, &count, 1);
  if (error) return error;
  jm_mlx_array *wrong = NULL;
  error = real->take_along_axis(&wrong, flat, flat, 0);
  real->array_release(flat);
  if (error) return error;
  error = real->reshape(out, wrong, shape, rank);
  real->array_release(wrong);
  return error;
}

static jm_error *cos_now(jm_mlx_array *a, jm_mlx_array **out) {
  (void)a, (void)out;
  return host->error_create(JM_INTERNAL, "cos fails at once");
}

/* `a` with its rows from the last to the first. */
static jm_error *reversed(jm_mlx_array *a, jm_mlx_array **out) {
  jm_dtype dtype;
  int32_t start[64] = {0}, stop[64], step[64];
  int rank;
  jm_error *error = real->array_describe(a, &dtype, stop, &rank);
  if (error) return error;
  for (int i = 0; i < rank; i++) step[i] = 1;
  start[0] = stop[0] - 1, stop[0] = -stop[0] - 1, step[0] = -1;
  return real->slice(out, a, start, stop, step, rank);
}

static jm_error *scatter_in_any_order(jm_mlx_array **out, jm_mlx_array *a, jm_mlx_array *indices,
                                      jm_mlx_array *updates, jm_mlx_fold mode) {
  if (mode != JM_MLX_REPLACE) return real->scatter_rows(out, a, indices, updates, mode);
  jm_mlx_array *places = NULL, *given = NULL;
  jm_error *error = reversed(indices, &places);
  if (!error) error = reversed(updates, &given);
  if (!error) error = real->scatter_rows(out, a, places, given, mode);
  real->array_release(places);
  real->array_release(given);
  return error;
}

__attribute__((visibility("default"))) jm_error *jm_mlx_api_find(const jm_mlx_host *given,
                                                                 const jm_mlx_api **out) {
  static jm_mlx_api changed;
  jm_error *error = real_engine_open(given, &changed);
  if (error) return error;
  changed.device_open = device_open;
  changed.arrays_wait = arrays_wait;
  changed.fence_wait = fence_wait;
  changed.array_export = array_export;
  changed.scatter_rows = scatter_in_any_order;
  changed.sin = sin_late;
  changed.cos = cos_now;
  *out = &changed;
  return NULL;
}
