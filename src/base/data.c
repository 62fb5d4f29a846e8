/* SPDX-License-Identifier: Apache-2.0 */
#include "base/data.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "base/scratch.h"

enum {
  SMALLEST_KEPT = 1 << 20, /* below, malloc's own heap is as fast */
  MAX_KEPT = 64,
  LEAST_HUGE = 4 << 20,
};
static const size_t kept_limit = (size_t)1 << 30;

typedef struct block {
  void *data;
  size_t bytes;
} block;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static block kept[MAX_KEPT]; /* oldest first */
static size_t n_kept, kept_bytes;

/* Rounded up by at most an eighth, so that nearly equal sizes share blocks. */
static size_t class_of(size_t bytes) {
  size_t step = (size_t)1 << (60 - __builtin_clzll(bytes));
  return bytes > SIZE_MAX - step ? bytes : (bytes + step - 1) & ~(step - 1);
}

static void kept_remove(size_t i) {
  kept_bytes -= kept[i].bytes;
  n_kept--;
  memmove(kept + i, kept + i + 1, (n_kept - i) * sizeof *kept);
}

static void *kept_find(size_t bytes) {
  void *data = NULL;
  pthread_mutex_lock(&lock);
  for (size_t i = n_kept; i-- > 0 && !data;)
    if (kept[i].bytes == bytes) {
      data = kept[i].data;
      kept_remove(i);
    }
  pthread_mutex_unlock(&lock);
  return data;
}

/* Asks for large pages, where the system grants them on request: fewer page faults and TLB misses.
 */
void *jm_data_alloc(size_t bytes) {
  void *data = jm_alloc_data(bytes);
#ifdef MADV_HUGEPAGE
  if (data && bytes >= LEAST_HUGE) {
    uintptr_t page = 4096, begin = ((uintptr_t)data + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)data + bytes) & ~(page - 1);
    (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE); /* a hint: failure is harmless */
  }
#endif
  return data;
}

void *jm_data_take(size_t bytes) {
  if (bytes < SMALLEST_KEPT) return jm_alloc_data(bytes);
  bytes = class_of(bytes);
  void *data = kept_find(bytes);
  if (!data) data = jm_data_alloc(bytes);
  if (data) return data;
  jm_data_trim();
  jm_scratch_trim();
  return jm_data_alloc(bytes);
}

void jm_data_give(void *data, size_t bytes) {
  if (!data || bytes < SMALLEST_KEPT) {
    jm_free(data);
    return;
  }
  bytes = class_of(bytes);
  void *dropped[MAX_KEPT + 1];
  size_t n_dropped = 0;
  pthread_mutex_lock(&lock);
  while (n_kept && (n_kept == MAX_KEPT || kept_bytes + bytes > kept_limit)) {
    dropped[n_dropped++] = kept[0].data;
    kept_remove(0);
  }
  if (bytes > kept_limit) {
    dropped[n_dropped++] = data;
  } else {
    kept[n_kept++] = (block){data, bytes};
    kept_bytes += bytes;
  }
  pthread_mutex_unlock(&lock);
  for (size_t i = 0; i < n_dropped; i++) jm_free(dropped[i]);
}

size_t jm_data_kept(void) {
  pthread_mutex_lock(&lock);
  size_t bytes = kept_bytes;
  pthread_mutex_unlock(&lock);
  return bytes;
}

void jm_data_trim(void) {
  block dropped[MAX_KEPT];
  pthread_mutex_lock(&lock);
  size_t n = n_kept;
  memcpy(dropped, kept, n * sizeof *kept);
  n_kept = kept_bytes = 0;
  pthread_mutex_unlock(&lock);
  for (size_t i = 0; i < n; i++) jm_free(dropped[i].data);
}
