/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/library.h"

#include <dlfcn.h>

#include "base/settings.h"

/* MLX first, by its path: the engine library then binds to it by its name, and a later
 * `import mlx.core` shares it. */
static jm_error *library_open(void **out) {
  const char *mlx = jm_setting_find(JM_SETTING_MLX_LIBRARY);
  const char *engine = jm_setting_find(JM_SETTING_MLX_ENGINE);
  if (!engine)
    return jm_error_create(JM_NOT_FOUND,
                           "no MLX engine: pip install mlx[cpu]==" JM_MLX_VERSION
                           " (an NVIDIA GPU: mlx[cuda13]==" JM_MLX_VERSION
                           ", a Mac: mlx==" JM_MLX_VERSION
                           ") and install jax-mps-c again, which then builds its engine; or set "
                           "JAX_MPS_MLX_ENGINE");
  if (mlx && !dlopen(mlx, RTLD_NOW | RTLD_LOCAL))
    return jm_error_create(JM_NOT_FOUND, "MLX could not be loaded: %s", dlerror());
  *out = dlopen(engine, RTLD_NOW | RTLD_LOCAL);
  if (!*out)
    return jm_error_create(JM_NOT_FOUND, "the MLX engine could not be loaded: %s", dlerror());
  return NULL;
}

jm_error *jm_mlx_api_open(const jm_mlx_api **out) {
  static const jm_mlx_host host = {JM_MLX_ABI, jm_error_create, jm_error_message, jm_error_destroy};
  void *library = NULL;
  JM_TRY(library_open(&library));
  jm_mlx_api_find_fn *find;
  *(void **)&find = dlsym(library, "jm_mlx_api_find");
  if (!find)
    return jm_error_create(JM_NOT_FOUND, "the MLX engine %s has no jm_mlx_api_find: it is none",
                           jm_setting_find(JM_SETTING_MLX_ENGINE));
  return find(&host, out);
}
