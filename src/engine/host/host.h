/* SPDX-License-Identifier: Apache-2.0
 * The host engine's code of a module: compiled kernels for its fusion ops, routines of the library
 * (library/library.h) for other ops, and the functions that run them. It plans nothing and owns no
 * tensor: memory comes from the plan. */
#ifndef JM_ENGINE_HOST_HOST_H
#define JM_ENGINE_HOST_HOST_H

#include "engine/call.h"
#include "engine/engine.h"
#include "engine/host/jit.h"
#include "kernel/schedule/groups.h"

/* The code of one op. */
typedef struct jm_host_code {
  jm_step_code base;
  jm_call_fn *run;            /* NULL: a group */
  const jm_group_code *group; /* codes: jm_jit_code */
} jm_host_code;

typedef struct jm_host_program {
  jm_groups *groups;   /* NULL: nothing was compiled */
  jm_host_code *codes; /* per op of the module; control has neither */
} jm_host_program;

/* Schedules and compiles every fusion op that the entry reaches, for the target, with the code that
 * was saved (NULL: none); target NULL: fusion ops run op by op in the library. */
jm_error *jm_host_compile(const jm_module *module, const jm_target *target, jm_saved_code *saved,
                          jm_host_program **out) JM_MUST_USE;
/* Appends the machine code of its kernels; nothing if no op was compiled. */
jm_error *jm_host_save(const jm_host_program *program, jm_text *out) JM_MUST_USE;
void jm_host_program_destroy(jm_host_program *program); /* NULL is allowed */

/* Runs a group. temporaries: one per schedule->n_temporaries, of as many bytes as it says, aligned
 * to JM_DATA_ALIGNMENT. */
jm_error *jm_host_group_run(const jm_group_code *group, const jm_call *call,
                            const jm_tensor *temporaries) JM_MUST_USE;

#endif
