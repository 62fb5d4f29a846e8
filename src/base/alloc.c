/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int64_t allocations_left = -1;
static _Atomic uint64_t allocation_count;

static bool allowed(void) {
  atomic_fetch_add_explicit(&allocation_count, 1, memory_order_relaxed);
  if (atomic_load_explicit(&allocations_left, memory_order_relaxed) < 0) return true;
  int64_t left = atomic_load(&allocations_left);
  while (left > 0)
    if (atomic_compare_exchange_weak(&allocations_left, &left, left - 1)) return true;
  return left < 0;
}

void jm_alloc_fail_after(int64_t n) { atomic_store(&allocations_left, n); }

uint64_t jm_alloc_count(void) { return atomic_load(&allocation_count); }

void *jm_alloc(size_t count, size_t size) {
  if (!allowed()) return NULL;
  return calloc(count ? count : 1, size ? size : 1);
}

void *jm_alloc_data(size_t size_bytes) {
  if (!allowed()) return NULL;
  void *block = NULL;
  if (posix_memalign(&block, JM_DATA_ALIGNMENT, size_bytes ? size_bytes : 1)) return NULL;
  return block;
}

void *jm_realloc(void *block, size_t count, size_t size) {
  size_t bytes;
  if (!allowed() || !jm_size_mul(count, size, &bytes)) return NULL;
  return realloc(block, bytes ? bytes : 1);
}

void jm_free(void *block) { free(block); }

#if defined(__SANITIZE_ADDRESS__)
#define JM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define JM_ASAN 1
#endif
#endif
#ifdef JM_ASAN
/* Each block is followed by a poisoned gap, so that an overrun inside a chunk is seen. */
#include <sanitizer/asan_interface.h>
enum { GAP = 16 };
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
enum { GAP = 0 };
#define POISON(p, n) ((void)0)
#define UNPOISON(p, n) ((void)0)
#endif

enum { ALIGNMENT = 16, FIRST_CHUNK = 4096, LARGEST_CHUNK = 1 << 20 };

struct jm_arena_chunk {
  jm_arena_chunk *next;
  size_t used, capacity; /* of the bytes that follow the header */
};

enum { CHUNK_HEADER = (sizeof(jm_arena_chunk) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT };

static char *chunk_data(jm_arena_chunk *chunk) { return (char *)chunk + CHUNK_HEADER; }

void jm_arena_init(jm_arena *arena) { *arena = (jm_arena){0}; }

void jm_arena_deinit(jm_arena *arena) {
  for (jm_arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
    next = chunk->next;
    UNPOISON(chunk_data(chunk), chunk->capacity);
    jm_free(chunk);
  }
  *arena = (jm_arena){0};
}

void *jm_arena_alloc(jm_arena *arena, size_t count, size_t size) {
  size_t bytes;
  if (!jm_size_mul(count, size, &bytes) || bytes > SIZE_MAX / 2) return NULL;
  bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + GAP;
  jm_arena_chunk *chunk = arena->chunks;
  if (!chunk || chunk->capacity - chunk->used < bytes) {
    size_t capacity = chunk ? chunk->capacity * 2 : FIRST_CHUNK;
    if (capacity > LARGEST_CHUNK) capacity = LARGEST_CHUNK;
    if (capacity < bytes) capacity = bytes;
    jm_arena_chunk *fresh = jm_alloc(1, CHUNK_HEADER + capacity);
    if (!fresh) return NULL;
    fresh->capacity = capacity;
    fresh->next = chunk;
    arena->chunks = chunk = fresh;
    arena->bytes += capacity;
    POISON(chunk_data(chunk), capacity);
  }
  char *block = chunk_data(chunk) + chunk->used;
  chunk->used += bytes;
  UNPOISON(block, bytes - GAP);
  return block; /* zeroed: chunks come zeroed and are never reused */
}

void *jm_arena_copy(jm_arena *arena, const void *source, size_t count, size_t size) {
  void *copy = jm_arena_alloc(arena, count, size);
  if (copy && count && size) memcpy(copy, source, count * size);
  return copy;
}

char *jm_arena_string(jm_arena *arena, const char *bytes, size_t size) {
  if (size == SIZE_MAX) return NULL;
  char *copy = jm_arena_alloc(arena, size + 1, 1);
  if (copy && size) memcpy(copy, bytes, size);
  return copy;
}

void *jm_arena_grow(jm_arena *arena, void *array, uint32_t count, uint32_t *capacity, size_t size) {
  if (count <= *capacity && array) return array;
  uint32_t wanted = *capacity > UINT32_MAX / 2 ? UINT32_MAX : *capacity * 2;
  if (wanted < count) wanted = count;
  if (wanted < 8) wanted = 8;
  void *grown = jm_arena_alloc(arena, wanted, size);
  if (!grown) return NULL;
  if (*capacity) memcpy(grown, array, *capacity * size);
  *capacity = wanted;
  return grown;
}
