/* SPDX-License-Identifier: Apache-2.0
 * How well a kernel is compiled, and when. Quick compilation takes a third of the time of good
 * compilation, and its code more time per instruction. Most kernels run for less time in a first
 * call than good compilation would take: they are compiled quickly, and once more, well, in the
 * background when they have run often. Nothing here depends on a clock. */
#ifndef JM_ENGINE_HOST_EFFORT_H
#define JM_ENGINE_HOST_EFFORT_H

#include "kernel/ir/kernel.h"

typedef enum jm_effort {
  JM_EFFORT_ESTIMATED, /* as the kernel's estimated work says */
  JM_EFFORT_QUICK,     /* quickly, and not again */
  JM_EFFORT_GOOD,
} jm_effort;

/* Whether a kernel is compiled quickly; then *launches is the number of launches after which it is
 * to be compiled well, 0: never. */
bool jm_effort_is_quick(const jm_kernel *kernel, uint32_t *launches);

/* For tests: the effort for kernels that are compiled from now on. */
void jm_effort_force(jm_effort effort);

#endif
