/* SPDX-License-Identifier: Apache-2.0
 * What collectives send, by their types and groups alone: the measure by which programs over
 * several devices are compared. Not here: how they are carried out
 * (engine/host/library/collective.c). */
#ifndef JM_IR_COLLECTIVE_H
#define JM_IR_COLLECTIVE_H

#include "ir/module.h"

/* The bytes that each participant of a group sends: of n participants 2 (n-1)/n of the array in an
 * all_reduce, (n-1)/n of the whole one in all_gather, reduce_scatter and all_to_all, all of it in
 * the others. 0 for other ops. */
uint64_t jm_collective_bytes(const jm_module *m, const jm_op *op);

#endif
