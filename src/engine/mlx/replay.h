/* SPDX-License-Identifier: Apache-2.0
 * Runs of a program as launches of a recording, a CUDA graph (bridge_recording.cc): to encode a
 * step of some hundred kernels anew costs more than the GPU needs to run it.
 *
 * A recording reads and writes at the addresses that it was made with. An argument that lies where
 * it lay in the runs before (parameters of an inference loop) is read in place, and compared at
 * every run. Another one (a batch, the state of a training step, a number on the host) is copied to
 * memory of the recording first, all of them by one launch; results are copied to fresh arrays
 * behind it by another. So a recording is made of programs of many small launches alone, whose
 * copies cost less than what they save, and whose temporary memory, which it keeps, is a small part
 * of the device's.
 *
 * A program's exchanges with other processes are part of its recording. All of them record, launch
 * their recordings, or walk their plans, together (way.h), because each waits for the others there.
 *
 * Not recorded: effects, and programs whose host has to see what the device computed. */
#ifndef JM_ENGINE_MLX_REPLAY_H
#define JM_ENGINE_MLX_REPLAY_H

#include "engine/engine.h"
#include "engine/mlx/execute.h"
#include "engine/mlx/way.h"

typedef struct jm_mlx_replay jm_mlx_replay;

/* *out NULL: this device, or this program, is not recorded. */
jm_error *jm_mlx_replay_create(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                               const jm_module *module, jm_mlx_replay **out) JM_MUST_USE;
void jm_mlx_replay_destroy(jm_mlx_replay *r); /* NULL is allowed; any thread */

/* Which way this process would have the run go. A recording that does not fit the run's arguments
 * is dropped. */
jm_way jm_mlx_replay_choose(jm_mlx_replay *r, const jm_mlx_link *link, const jm_plan *plan,
                            const jm_engine_run *run);

/* way: that all processes go. *is_done: the run was a launch of the program's recording, which may
 * have been made for it. Otherwise nothing happened to the run's arguments. */
jm_error *jm_mlx_replay_run(jm_mlx_program *program, const jm_mlx_link *link, const jm_plan *plan,
                            const jm_engine_run *run, jm_way way, bool *is_done) JM_MUST_USE;

#endif
