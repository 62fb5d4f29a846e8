/* SPDX-License-Identifier: Apache-2.0 */
#include "base/data.h"

#include <stdint.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "base/block_cache.h"
#include "base/scratch.h"

enum { LARGE = 4 << 20 };

static jm_block_cache cache = JM_BLOCK_CACHE_EMPTY;

/* Asks for large pages, where the system grants them on request: fewer page faults and TLB misses.
 */
void *jm_data_alloc(size_t bytes) {
  void *data = jm_alloc_data(bytes);
#ifdef MADV_HUGEPAGE
  if (data && bytes >= LARGE) {
    uintptr_t page = 4096, begin = ((uintptr_t)data + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)data + bytes) & ~(page - 1);
    (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE); /* a hint: failure is harmless */
  }
#endif
  return data;
}

void *jm_data_take(size_t bytes) {
  if (bytes < JM_BLOCK_CACHE_LEAST) return jm_alloc_data(bytes);
  bytes = jm_block_class(bytes);
  void *data = jm_block_cache_find(&cache, bytes, bytes, false);
  if (data) return data;
  if (bytes >= LARGE) jm_block_cache_drop_below(&cache, bytes);
  data = jm_data_alloc(bytes);
  if (data) return data;
  jm_data_trim();
  jm_scratch_trim();
  return jm_data_alloc(bytes);
}

void jm_data_give(void *data, size_t bytes) {
  if (!data) return;
  jm_block_cache_add(&cache, data, bytes < JM_BLOCK_CACHE_LEAST ? bytes : jm_block_class(bytes));
}

size_t jm_data_kept(void) { return jm_block_cache_bytes(&cache); }

void jm_data_trim(void) { jm_block_cache_trim(&cache); }
