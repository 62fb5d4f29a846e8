/* SPDX-License-Identifier: Apache-2.0
 * Memory that an op needs while it runs: packed operands, tiles, rows being sorted. Memory that
 * outlives the op comes from base/data.h. A returned block serves any later request that it is
 * large enough for, so that a program with ops of many sizes holds a few blocks, not one for each
 * size. The kept blocks are bounded, and released when memory runs out. Thread-safe. */
#ifndef JM_BASE_SCRATCH_H
#define JM_BASE_SCRATCH_H

#include <stddef.h>

/* Uninitialised memory aligned to JM_DATA_ALIGNMENT; NULL without memory. */
void *jm_scratch_take(size_t bytes);
/* NULL is allowed. */
void jm_scratch_give(void *data);
/* Bytes that are kept for reuse now. */
size_t jm_scratch_kept(void);
/* Frees what is kept. */
void jm_scratch_trim(void);

#endif
