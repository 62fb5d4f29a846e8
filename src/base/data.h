/* SPDX-License-Identifier: Apache-2.0
 * Memory for tensor data. Large blocks are kept for reuse when they are given back: a fresh one
 * costs a page fault every 4 KiB, which takes as long as computing on it. The kept blocks are
 * bounded, and released when memory runs out. A large fresh block replaces smaller ones: a
 * program's memory is not needed in addition to what earlier arrays left. Thread-safe. */
#ifndef JM_BASE_DATA_H
#define JM_BASE_DATA_H

#include <stddef.h>

/* A new block, in large pages if it is large; freed with jm_free. */
void *jm_data_alloc(size_t bytes);
/* Uninitialised memory aligned to JM_DATA_ALIGNMENT; NULL without memory. */
void *jm_data_take(size_t bytes);
/* Returns a block; bytes: the size that it was taken with. NULL is allowed. */
void jm_data_give(void *data, size_t bytes);
/* Bytes that are kept for reuse now. */
size_t jm_data_kept(void);
/* Frees what is kept. */
void jm_data_trim(void);

#endif
