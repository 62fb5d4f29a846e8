/* SPDX-License-Identifier: Apache-2.0
 * Finds races while a kernel with threads loops is interpreted: two lanes of a group that touch one
 * element between two barriers, or two chunk iterations that touch one element of GLOBAL memory,
 * where at least one of the accesses is a store. Only accesses that are really made are seen, each
 * element by itself; which barriers a kernel needs is for barriers.c to find. */
#ifndef JM_KERNEL_IR_RACES_H
#define JM_KERNEL_IR_RACES_H

#include "kernel/ir/kernel.h"

/* The lane of uniform code: all of them load, lane 0 stores. */
#define JM_LANE_ALL UINT32_MAX
/* The chunk of what stands outside of the chunk loop: every group runs it. */
#define JM_CHUNK_ALL (-1)

typedef struct jm_races jm_races;

/* memory: the address of each parameter. Parameters at one address are one memory. */
jm_error *jm_races_create(const jm_kernel *kernel, uint8_t *const *memory,
                          jm_races **out) JM_MUST_USE;
void jm_races_destroy(jm_races *races); /* NULL is allowed */

void jm_races_set_chunk(jm_races *races, int64_t chunk);
void jm_races_pass_barrier(jm_races *races, uint64_t scopes);

/* Records an access of an element that exists; INTERNAL, naming both sides, if it races. */
jm_error *jm_races_record(jm_races *races, const jm_kinst_fact *inst, int64_t index,
                          uint32_t lane) JM_MUST_USE;

#endif
