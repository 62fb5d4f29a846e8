/* SPDX-License-Identifier: Apache-2.0 */
#include "base/scratch.h"

#include <stdint.h>

#include "base/alloc.h"
#include "base/block_cache.h"
#include "base/data.h"

enum { MOST_TIMES = 8 }; /* a block serves requests of at least this fraction of its size */

/* Before each block's data. */
typedef union header {
  size_t bytes; /* of the data */
  char alignment[JM_DATA_ALIGNMENT];
} header;

static jm_block_cache cache = JM_BLOCK_CACHE_EMPTY;

static header *block_alloc(size_t bytes) {
  size_t whole;
  if (!jm_size_add(bytes, sizeof(header), &whole)) return NULL;
  header *block = jm_data_alloc(whole);
  if (block) block->bytes = bytes;
  return block;
}

void *jm_scratch_take(size_t bytes) {
  header *block = NULL;
  bool large = bytes >= JM_BLOCK_CACHE_LEAST;
  if (large) {
    size_t most = bytes > SIZE_MAX / MOST_TIMES ? SIZE_MAX : bytes * MOST_TIMES;
    block = jm_block_cache_find(&cache, bytes, most, true);
  }
  /* Rounded up: the next request may be slightly larger. */
  if (!block) block = block_alloc(large ? jm_block_class(bytes) : bytes);
  if (!block) {
    jm_data_trim();
    jm_scratch_trim();
    block = block_alloc(bytes);
  }
  return block ? block + 1 : NULL;
}

void jm_scratch_give(void *data) {
  if (!data) return;
  header *block = (header *)data - 1;
  jm_block_cache_add(&cache, block, block->bytes);
}

size_t jm_scratch_kept(void) { return jm_block_cache_bytes(&cache); }

void jm_scratch_trim(void) { jm_block_cache_trim(&cache); }
