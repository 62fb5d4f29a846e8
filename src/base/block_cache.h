/* SPDX-License-Identifier: Apache-2.0
 * A bounded cache of freed blocks of memory, behind base/data.h and base/scratch.h. It knows sizes
 * alone: its owner decides which sizes it allocates and which kept block may serve a request.
 * Thread-safe. */
#ifndef JM_BASE_BLOCK_CACHE_H
#define JM_BASE_BLOCK_CACHE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum {
  JM_BLOCK_CACHE_LEAST = 1 << 20, /* smaller blocks are not kept: malloc's own heap is as fast */
  JM_BLOCK_CACHE_BLOCKS = 64,
};

typedef struct jm_block {
  void *memory; /* of jm_alloc, freed with jm_free */
  size_t bytes; /* as its owner counts them */
} jm_block;

/* Static storage, initialised to JM_BLOCK_CACHE_EMPTY. */
typedef struct jm_block_cache {
  pthread_mutex_t lock;
  jm_block blocks[JM_BLOCK_CACHE_BLOCKS]; /* oldest first */
  size_t n, bytes;
} jm_block_cache;
#define JM_BLOCK_CACHE_EMPTY {.lock = PTHREAD_MUTEX_INITIALIZER}

/* A size rounded up by at most an eighth, so that nearly equal sizes share blocks; at least
 * JM_BLOCK_CACHE_LEAST bytes are asked for. */
size_t jm_block_class(size_t bytes);

/* Removes and returns the smallest block of least to most bytes; NULL if there is none. With
 * supersede the largest of the smaller blocks is then freed: a block that the caller allocates
 * instead will serve the requests of that one, too. */
void *jm_block_cache_find(jm_block_cache *cache, size_t least, size_t most, bool supersede);

/* Keeps a block, or frees it if it is too small or too large to be kept; the oldest ones are freed
 * to make room. */
void jm_block_cache_add(jm_block_cache *cache, void *memory, size_t bytes);

/* Frees blocks of fewer bytes, the oldest first, as long as they are no more bytes in all. */
void jm_block_cache_drop_below(jm_block_cache *cache, size_t bytes);

size_t jm_block_cache_bytes(jm_block_cache *cache);
void jm_block_cache_trim(jm_block_cache *cache); /* frees all blocks */

#endif
