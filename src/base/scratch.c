/* SPDX-License-Identifier: Apache-2.0 */
#include "base/scratch.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/data.h"

enum {
  SMALLEST_KEPT = 1 << 20, /* below, malloc's own heap is as fast */
  MAX_KEPT = 64,
  MOST_TIMES = 8, /* a block serves requests of at least this fraction of its size */
};
static const size_t kept_limit = (size_t)1 << 30;

/* Before each block's data. */
typedef union header {
  size_t bytes; /* of the data */
  char alignment[JM_DATA_ALIGNMENT];
} header;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static header *kept[MAX_KEPT]; /* oldest first */
static size_t n_kept, kept_bytes;

/* Rounded up by at most an eighth: the next request may be slightly larger. */
static size_t class_of(size_t bytes) {
  if (bytes < SMALLEST_KEPT) return bytes;
  size_t step = (size_t)1 << (60 - __builtin_clzll(bytes));
  return bytes > SIZE_MAX - step ? bytes : (bytes + step - 1) & ~(step - 1);
}

static header *kept_remove(size_t i) {
  header *block = kept[i];
  kept_bytes -= block->bytes;
  n_kept--;
  memmove(kept + i, kept + i + 1, (n_kept - i) * sizeof *kept);
  return block;
}

/* The smallest kept block that is large enough. Without one a new block will be made, which can
 * also serve the requests of the largest smaller block: that one is superseded. */
static header *kept_find(size_t bytes, header **superseded) {
  size_t fit = MAX_KEPT, below = MAX_KEPT;
  for (size_t i = 0; i < n_kept; i++) {
    size_t have = kept[i]->bytes;
    if (have < bytes) {
      if (below == MAX_KEPT || have > kept[below]->bytes) below = i;
    } else if (have / MOST_TIMES <= bytes) {
      if (fit == MAX_KEPT || have < kept[fit]->bytes) fit = i;
    }
  }
  if (fit < MAX_KEPT) return kept_remove(fit);
  if (below < MAX_KEPT) *superseded = kept_remove(below);
  return NULL;
}

static header *block_make(size_t bytes) {
  size_t whole;
  if (!jm_size_add(bytes, sizeof(header), &whole)) return NULL;
  header *block = jm_data_alloc(whole);
  if (block) block->bytes = bytes;
  return block;
}

void *jm_scratch_take(size_t bytes) {
  header *block = NULL, *superseded = NULL;
  if (bytes >= SMALLEST_KEPT) {
    pthread_mutex_lock(&lock);
    block = kept_find(bytes, &superseded);
    pthread_mutex_unlock(&lock);
    jm_free(superseded);
  }
  if (!block) block = block_make(class_of(bytes));
  if (!block) {
    jm_data_trim();
    jm_scratch_trim();
    block = block_make(bytes);
  }
  return block ? block + 1 : NULL;
}

void jm_scratch_give(void *data) {
  if (!data) return;
  header *block = (header *)data - 1;
  if (block->bytes < SMALLEST_KEPT || block->bytes > kept_limit) {
    jm_free(block);
    return;
  }
  header *dropped[MAX_KEPT];
  size_t n_dropped = 0;
  pthread_mutex_lock(&lock);
  while (n_kept && (n_kept == MAX_KEPT || kept_bytes + block->bytes > kept_limit))
    dropped[n_dropped++] = kept_remove(0);
  kept[n_kept++] = block;
  kept_bytes += block->bytes;
  pthread_mutex_unlock(&lock);
  for (size_t i = 0; i < n_dropped; i++) jm_free(dropped[i]);
}

size_t jm_scratch_kept(void) {
  pthread_mutex_lock(&lock);
  size_t bytes = kept_bytes;
  pthread_mutex_unlock(&lock);
  return bytes;
}

void jm_scratch_trim(void) {
  header *dropped[MAX_KEPT];
  pthread_mutex_lock(&lock);
  size_t n = n_kept;
  memcpy(dropped, kept, n * sizeof *kept);
  n_kept = kept_bytes = 0;
  pthread_mutex_unlock(&lock);
  for (size_t i = 0; i < n; i++) jm_free(dropped[i]);
}
