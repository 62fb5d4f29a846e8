/* SPDX-License-Identifier: Apache-2.0
 * Memory that an op needs while it runs: packed operands, tiles, rows being sorted. It is not for
 * what outlives the op (base/data.h): a block that is given back serves any later need that it is
 * large enough for, so that a program of many ops of many sizes holds a few blocks, not one for
 * each size. What is kept is bounded, and given up when memory runs out. Thread-safe. */
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
