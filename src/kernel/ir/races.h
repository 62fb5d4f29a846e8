/* SPDX-License-Identifier: Apache-2.0
 * Finds races while a kernel with threads loops is interpreted: two lanes of a group that access
 * one element between two barriers, or two chunk iterations that access one element of GLOBAL
 * memory, where at least one access is a store. Only accesses that happen are seen, element by
 * element; barriers.c decides statically which barriers a kernel needs. */
#ifndef JM_KERNEL_IR_RACES_H
#define JM_KERNEL_IR_RACES_H

#include "kernel/ir/kernel.h"

/* The lane of uniform code: all of them load, lane 0 stores. */
#define JM_LANE_ALL UINT32_MAX
/* The chunk of code outside of the chunk loop, which every group runs. */
#define JM_CHUNK_ALL (-1)

typedef struct jm_races jm_races;

/* memory: the address of each parameter. Parameters at one address are one memory. */
jm_error *jm_races_create(const jm_kernel *kernel, uint8_t *const *memory,
                          jm_races **out) JM_MUST_USE;
void jm_races_destroy(jm_races *races); /* NULL is allowed */

void jm_races_set_chunk(jm_races *races, int64_t chunk);
void jm_races_pass_barrier(jm_races *races, uint64_t scopes);

/* Records an access that is in bounds; INTERNAL, naming both accesses, if it races. */
jm_error *jm_races_record(jm_races *races, const jm_kinst_fact *inst, int64_t index,
                          uint32_t lane) JM_MUST_USE;

#endif
