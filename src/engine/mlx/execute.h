/* SPDX-License-Identifier: Apache-2.0
 * Runs a plan on the MLX engine: walks its steps, builds MLX's lazy graph op by op, and places on
 * the host what belongs there. The place of a value is decided at run time, because a program's
 * arguments may be in either place: an op runs on the host if MLX can't do it, or if it is a small
 * integer computation all of whose operands are on the host already (loop counters, bounds, slice
 * starts, conditions), so that counted loops never wait for the device. */
#ifndef JM_ENGINE_MLX_EXECUTE_H
#define JM_ENGINE_MLX_EXECUTE_H

#include "engine/mlx/codes.h"
#include "engine/mlx/distributed.h"
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
  struct jm_mlx_replay *replay;      /* NULL: every run walks the plan */
} jm_mlx_program;

/* target: that the module was lowered for. UNIMPLEMENTED if an op can run neither on MLX nor on the
 * host. */
jm_error *jm_mlx_program_create(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                                const jm_target *target, const jm_module *module,
                                jm_mlx_program **out) JM_MUST_USE;
void jm_mlx_program_destroy(const jm_mlx_api *api, jm_mlx_program *program);

/* See jm_engine_run. link: to the other processes of the run, NULL: the context's group serves. */
jm_error *jm_mlx_program_run(const jm_mlx_api *api, const jm_mlx_link *link,
                             jm_mlx_program *program, const jm_plan *plan,
                             const jm_engine_run *run) JM_MUST_USE;

/* Exchanges between processes over a device's link. */
typedef struct jm_mlx_exchanges {
  uint64_t n, bytes; /* for the counters */
  uint64_t hash;     /* of which ones, in their order */
} jm_mlx_exchanges;

void jm_mlx_exchanges_count(const jm_mlx_exchanges *e);

/* Builds the graph of a run without starting any of it. inputs: one per argument, shared; results:
 * one per result, the caller's to drop, dense arrays or, if it depends on constants alone, values
 * on the host. FAILED_PRECONDITION if the host had to see a value that the device computes, or if
 * the graph is too large. */
jm_error *jm_mlx_program_trace(const jm_mlx_api *api, const jm_mlx_link *link,
                               jm_mlx_program *program, const jm_plan *plan,
                               const jm_context *context, const jm_mlx_value *inputs,
                               jm_mlx_value *results, jm_mlx_exchanges *exchanges) JM_MUST_USE;

/* A copy of a value on the host as an output of a run. */
jm_error *jm_mlx_host_output(const jm_mlx_value *value, jm_engine_value *out) JM_MUST_USE;

#endif
