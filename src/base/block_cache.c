/* SPDX-License-Identifier: Apache-2.0 */
#include "base/block_cache.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

static const size_t limit = (size_t)1 << 30; /* bytes that a cache keeps */

size_t jm_block_class(size_t bytes) {
  size_t step = (size_t)1 << (60 - __builtin_clzll(bytes));
  return bytes > SIZE_MAX - step ? bytes : (bytes + step - 1) & ~(step - 1);
}

/* Under the lock. */
static void *remove_block(jm_block_cache *cache, size_t i) {
  void *memory = cache->blocks[i].memory;
  cache->bytes -= cache->blocks[i].bytes;
  cache->n--;
  memmove(cache->blocks + i, cache->blocks + i + 1, (cache->n - i) * sizeof *cache->blocks);
  return memory;
}

void *jm_block_cache_find(jm_block_cache *cache, size_t least, size_t most, bool supersede) {
  void *found = NULL, *superseded = NULL;
  size_t fit = JM_BLOCK_CACHE_BLOCKS, below = JM_BLOCK_CACHE_BLOCKS;
  pthread_mutex_lock(&cache->lock);
  const jm_block *blocks = cache->blocks;
  for (size_t i = cache->n; i-- > 0;) {
    size_t bytes = blocks[i].bytes;
    if (bytes < least) {
      if (below == JM_BLOCK_CACHE_BLOCKS || bytes > blocks[below].bytes) below = i;
    } else if (bytes <= most) {
      if (fit == JM_BLOCK_CACHE_BLOCKS || bytes < blocks[fit].bytes) fit = i;
    }
  }
  if (fit < JM_BLOCK_CACHE_BLOCKS)
    found = remove_block(cache, fit);
  else if (supersede && below < JM_BLOCK_CACHE_BLOCKS)
    superseded = remove_block(cache, below);
  pthread_mutex_unlock(&cache->lock);
  jm_free(superseded);
  return found;
}

void jm_block_cache_add(jm_block_cache *cache, void *memory, size_t bytes) {
  if (bytes < JM_BLOCK_CACHE_LEAST || bytes > limit) {
    jm_free(memory);
    return;
  }
  void *dropped[JM_BLOCK_CACHE_BLOCKS];
  size_t n_dropped = 0;
  pthread_mutex_lock(&cache->lock);
  while (cache->n == JM_BLOCK_CACHE_BLOCKS || cache->bytes + bytes > limit)
    dropped[n_dropped++] = remove_block(cache, 0);
  cache->blocks[cache->n++] = (jm_block){memory, bytes};
  cache->bytes += bytes;
  pthread_mutex_unlock(&cache->lock);
  for (size_t i = 0; i < n_dropped; i++) jm_free(dropped[i]);
}

void jm_block_cache_drop_below(jm_block_cache *cache, size_t bytes) {
  void *dropped[JM_BLOCK_CACHE_BLOCKS];
  size_t n_dropped = 0, left = bytes;
  pthread_mutex_lock(&cache->lock);
  for (size_t i = 0; i < cache->n;) {
    const size_t size = cache->blocks[i].bytes;
    if (size < bytes && size <= left) {
      left -= size;
      dropped[n_dropped++] = remove_block(cache, i);
    } else {
      i++;
    }
  }
  pthread_mutex_unlock(&cache->lock);
  for (size_t i = 0; i < n_dropped; i++) jm_free(dropped[i]);
}

size_t jm_block_cache_bytes(jm_block_cache *cache) {
  pthread_mutex_lock(&cache->lock);
  size_t bytes = cache->bytes;
  pthread_mutex_unlock(&cache->lock);
  return bytes;
}

void jm_block_cache_trim(jm_block_cache *cache) {
  jm_block dropped[JM_BLOCK_CACHE_BLOCKS];
  pthread_mutex_lock(&cache->lock);
  size_t n = cache->n;
  memcpy(dropped, cache->blocks, n * sizeof *dropped);
  cache->n = cache->bytes = 0;
  pthread_mutex_unlock(&cache->lock);
  for (size_t i = 0; i < n; i++) jm_free(dropped[i].memory);
}
