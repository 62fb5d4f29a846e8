/* SPDX-License-Identifier: Apache-2.0
 * An engine library for tests: the real one, with primitives that fail. sin fails on MLX's worker
 * thread, long after the call; cos fails at the call; the real library is $JM_REAL_ENGINE. */
#include <dlfcn.h>
#include <stdlib.h>

#include "engine/mlx/bridge.h"

static const jm_mlx_api *real;
static const jm_mlx_host *host;

/* MLX looks at the indices' type when it computes: floats are none. */
static jm_error *sin_late(jm_mlx_array *a, jm_mlx_array **out) {
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

__attribute__((visibility("default"))) jm_error *jm_mlx_api_find(const jm_mlx_host *given,
                                                                 const jm_mlx_api **out) {
  host = given;
  const char *path = getenv("JM_REAL_ENGINE");
  void *library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!library) return given->error_create(JM_NOT_FOUND, "JM_REAL_ENGINE names no library");
  jm_mlx_api_find_fn *find;
  *(void **)&find = dlsym(library, "jm_mlx_api_find");
  jm_error *error = find(given, &real);
  if (error) return error;
  static jm_mlx_api changed;
  changed = *real;
  changed.sin = sin_late;
  changed.cos = cos_now;
  *out = &changed;
  return NULL;
}
