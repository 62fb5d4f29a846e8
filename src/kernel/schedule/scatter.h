/* SPDX-License-Identifier: Apache-2.0
 * Scatters in groups. A group whose last op is a scatter of rows is run by the engine's library,
 * which calls the group's kernel for those rows of updates that a thread is to join. */
#ifndef JM_KERNEL_SCHEDULE_SCATTER_H
#define JM_KERNEL_SCHEDULE_SCATTER_H

#include "ir/module.h"
#include "kernel/ir/target.h"

/* Does the scatter replace or combine whole rows of its operand, by their numbers, and are the rows
 * of its updates worth computing one by one? */
bool jm_scatter_takes_rows(const jm_target *target, const jm_module *m, const jm_op *op);
/* Can the only result of this group be computed row by row? */
bool jm_scatter_takes_group(const jm_target *target, const jm_module *m, const jm_op *fusion);

#endif
