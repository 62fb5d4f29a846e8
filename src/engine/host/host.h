/* SPDX-License-Identifier: Apache-2.0
 * The host engine: the fusion ops of a module, scheduled and compiled, and how one is run. It plans
 * nothing and owns no tensor: memory comes from the plan. All else on the host runs through library
 * routines (library.h) or the reference engine. */
#ifndef JM_ENGINE_HOST_HOST_H
#define JM_ENGINE_HOST_HOST_H

#include "engine/host/jit.h"
#include "engine/ref/ref.h"
#include "kernel/schedule/schedule.h"

/* A compiled fusion op. */
typedef struct jm_host_group {
  jm_op_id op;
  jm_schedule *schedule;
  jm_jit_code **codes; /* one per launch */
} jm_host_group;

typedef struct jm_host_program {
  jm_host_group *groups; /* by op, ascending */
  uint32_t n_groups;
} jm_host_program;

/* Schedules and compiles every fusion op that the entry reaches. */
jm_error *jm_host_compile(const jm_module *module, const jm_target *target,
                          jm_host_program **out) JM_MUST_USE;
void jm_host_program_destroy(jm_host_program *program); /* NULL is allowed */

/* The group of a fusion op; NULL if it was not compiled. program may be NULL. */
const jm_host_group *jm_host_group_find(const jm_host_program *program, jm_op_id op);

/* Runs a group. temporaries: one address per schedule->n_temporaries, of as many bytes as it says,
 * aligned to JM_DATA_ALIGNMENT. */
jm_error *jm_host_group_run(const jm_host_group *group, const jm_ref_call *call,
                            void *const *temporaries) JM_MUST_USE;

#endif
