/* SPDX-License-Identifier: Apache-2.0
 * What an engine for a device of MLX says while programs are compiled for it, whether the device is
 * at hand (engine.c) or not (offline.c): these functions of its jm_backend. Running is not here. */
#ifndef JM_ENGINE_MLX_PLANNING_H
#define JM_ENGINE_MLX_PLANNING_H

#include "engine/engine.h"
#include "engine/mlx/bridge.h"
#include "kernel/ir/target.h"

/* The start of both engines. */
typedef struct jm_mlx_device {
  jm_engine base;
  jm_mlx_device_fact fact;
  jm_target target; /* that modules are lowered for */
} jm_mlx_device;

/* The members of jm_backend, for an engine that starts with a jm_mlx_device. */
const struct jm_target *jm_mlx_find_target(jm_engine *engine, const jm_engine_code *code);
const char *jm_mlx_describe_compiler(jm_engine *engine);
bool jm_mlx_takes_pattern(jm_engine *engine, const jm_module *module, const jm_op *fusion);
jm_error *jm_mlx_check_kernel(jm_engine *engine, const jm_module *module,
                              const jm_op *kernel) JM_MUST_USE;
void jm_mlx_print_code(jm_engine *engine, const jm_step_code *code, const jm_module *module,
                       const jm_op *op, uint32_t depth, jm_text *text);

#endif
