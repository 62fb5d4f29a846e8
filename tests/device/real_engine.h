/* SPDX-License-Identifier: Apache-2.0
 * The engine that an engine library for tests stands before: $JM_REAL_ENGINE names its library. */
#ifndef JM_TESTS_REAL_ENGINE_H
#define JM_TESTS_REAL_ENGINE_H

#include <dlfcn.h>
#include <stdlib.h>

#include "engine/mlx/bridge.h"

static const jm_mlx_api *real;
static const jm_mlx_host *host;

/* Opens it for this host: *changed is a copy of its functions, for the caller to replace some. */
static jm_error *real_engine_open(const jm_mlx_host *given, jm_mlx_api *changed) {
  host = given;
  const char *path = getenv("JM_REAL_ENGINE");
  void *library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!library) return given->error_create(JM_NOT_FOUND, "JM_REAL_ENGINE names no library");
  jm_mlx_api_find_fn *find;
  *(void **)&find = dlsym(library, "jm_mlx_api_find");
  jm_error *error = find(given, &real);
  if (!error) *changed = *real;
  return error;
}

#endif
