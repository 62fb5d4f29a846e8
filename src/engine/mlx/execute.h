/* SPDX-License-Identifier: Apache-2.0
 * Runs a plan on the MLX engine: walks its steps, builds MLX's lazy graph op by op, and places on
 * the host what belongs there. The place of a value is decided at run time, because a program's
 * arguments may be in either place: an op runs on the host if MLX can't do it, or if it is a small
 * integer computation all of whose operands are on the host already (loop counters, bounds, slice
 * starts, conditions), so that counted loops never wait for the device. */
#ifndef JM_ENGINE_MLX_EXECUTE_H
#define JM_ENGINE_MLX_EXECUTE_H

#include "engine/mlx/codes.h"
#include "engine/mlx/kernels.h"
#include "engine/mlx/lower.h"
#include "engine/mlx/user_kernels.h"
#include "engine/mlx/values.h"
#include "plan/plan.h"

/* A module made ready. */
typedef struct jm_mlx_program {
  const jm_module *module;
  jm_arena arena;
  jm_mlx_code *codes;      /* per op */
  jm_mlx_value *constants; /* per op: a constant's value, made at its first use */
  jm_lower_scalars scalars;
  jm_mlx_kernels *kernels;           /* of the groups; NULL: the target has none */
  jm_mlx_user_kernels *user_kernels; /* NULL: there are none */
} jm_mlx_program;

/* target: that the module was lowered for. UNIMPLEMENTED if an op can run neither on MLX nor on the
 * host. */
jm_error *jm_mlx_program_create(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                                const jm_target *target, const jm_module *module,
                                jm_mlx_program **out) JM_MUST_USE;
void jm_mlx_program_destroy(const jm_mlx_api *api, jm_mlx_program *program);

/* See jm_engine_run. */
jm_error *jm_mlx_program_run(const jm_mlx_api *api, jm_mlx_program *program, const jm_plan *plan,
                             const jm_engine_run *run) JM_MUST_USE;

#endif
