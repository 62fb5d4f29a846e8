/* SPDX-License-Identifier: Apache-2.0
 * The fusion ops of a module, each with its schedule: shared by the engines that compile kernels.
 * An engine stores what it compiles for each launch (machine code, a kernel of a GPU library) in
 * `codes`, which is opaque here. */
#ifndef JM_KERNEL_SCHEDULE_GROUPS_H
#define JM_KERNEL_SCHEDULE_GROUPS_H

#include "kernel/schedule/schedule.h"

typedef struct jm_group_code {
  jm_op_id op;
  jm_schedule *schedule;
  void **codes; /* one per launch, the engine's; NULL until it sets them */
} jm_group_code;

typedef struct jm_groups {
  jm_group_code *groups; /* by op, ascending */
  uint32_t n_groups, n_launches;
} jm_groups;

/* Schedules every fusion op of the module that has no kind. The module outlives the result. */
jm_error *jm_groups_schedule(const jm_module *module, const jm_target *target,
                             jm_groups **out) JM_MUST_USE;

/* Frees the schedules; release is called for every code that was set. NULL is allowed. */
void jm_groups_destroy(jm_groups *groups, void (*release)(void *code));

/* The group of a fusion op; NULL if there is none. groups may be NULL. */
const jm_group_code *jm_groups_find(const jm_groups *groups, jm_op_id op);

/* Calls compile with all kernels at once (engines compile in parallel, and equal ones once) and
 * stores the codes that it makes. */
typedef jm_error *jm_groups_compile_fn(void *context, const jm_kernel *const *kernels, uint32_t n,
                                       void **codes);
jm_error *jm_groups_compile(jm_groups *groups, jm_groups_compile_fn *compile,
                            void *context) JM_MUST_USE;

#endif
