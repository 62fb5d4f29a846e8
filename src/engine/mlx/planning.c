/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/planning.h"

#include <string.h>

#include "engine/mlx/codes.h"
#include "engine/mlx/user_kernels.h"

static const jm_mlx_device *device_of(jm_engine *engine) { return (const jm_mlx_device *)engine; }

const struct jm_target *jm_mlx_find_target(jm_engine *engine, const jm_engine_code *code) {
  (void)code;
  return &device_of(engine)->target;
}

const char *jm_mlx_describe_compiler(jm_engine *engine) { return engine->fact.version; }

bool jm_mlx_takes_pattern(jm_engine *engine, const jm_module *module, const jm_op *fusion) {
  const jm_mlx_device *d = device_of(engine);
  return jm_lower_takes_pattern(module, fusion, &d->fact, d->target.has_kernels);
}

jm_error *jm_mlx_check_kernel(jm_engine *engine, const jm_module *module, const jm_op *kernel) {
  return jm_mlx_user_kernel_check(&device_of(engine)->fact, module, kernel);
}

/* MLX's CPU device runs the kernels of either kind of GPU. */
void jm_mlx_print_code(jm_engine *engine, const jm_step_code *code, const jm_module *module,
                       const jm_op *op, uint32_t depth, jm_text *text) {
  const bool is_cuda = !strcmp(device_of(engine)->target.name, jm_target_cuda.name);
  jm_mlx_code_print((const jm_mlx_code *)code, is_cuda ? &jm_c_cuda : &jm_c_metal, module, op,
                    depth, text);
}
