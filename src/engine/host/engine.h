/* SPDX-License-Identifier: Apache-2.0
 * The host as an engine: programs run on the CPU, on the runtime's own memory. */
#ifndef JM_ENGINE_HOST_ENGINE_H
#define JM_ENGINE_HOST_ENGINE_H

#include "plan/plan.h"

/* The one host engine of the process, which all host devices of all clients share. It has no state:
 * destroying it does nothing. */
jm_engine *jm_host_engine(void);

/* Begins in the background what the first programs need: loads the BLAS library. */
void jm_host_engine_start(void);

/* Runs a plan for the host; see jm_engine_run for the rules of the memory. Any number of runs at
 * once. */
jm_error *jm_host_run(const jm_plan *plan, const jm_engine_run *run) JM_MUST_USE;

#endif
