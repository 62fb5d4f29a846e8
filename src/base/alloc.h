/* SPDX-License-Identifier: Apache-2.0
 * All heap memory of the project comes from here, so that sizes are checked in one place and tests
 * can make the n-th allocation fail. Arenas give a lifetime to many small blocks at once. */
#ifndef JM_BASE_ALLOC_H
#define JM_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Tensor data starts at a multiple of this many bytes (a cache line, and AVX-512's width). */
#define JM_DATA_ALIGNMENT 64
/* bytes, rounded up to whole units of it: where the next array may begin. */
static inline size_t jm_alloc_lines(size_t bytes) {
  return (bytes + JM_DATA_ALIGNMENT - 1) / JM_DATA_ALIGNMENT * JM_DATA_ALIGNMENT;
}

/* false on overflow */
static inline bool jm_size_mul(size_t a, size_t b, size_t *out) {
  return !__builtin_mul_overflow(a, b, out);
}
static inline bool jm_size_add(size_t a, size_t b, size_t *out) {
  return !__builtin_add_overflow(a, b, out);
}

/* Zeroed memory for count elements of size bytes; NULL on overflow or without memory. A count or
 * size of 0 still gives a unique pointer. */
void *jm_alloc(size_t count, size_t size);

/* Uninitialised memory aligned to JM_DATA_ALIGNMENT, for tensor data. Freed with jm_free. */
void *jm_alloc_data(size_t size_bytes);

/* Resizes an array of jm_alloc; new bytes are uninitialised. NULL leaves the old block as it was.
 */
void *jm_realloc(void *block, size_t count, size_t size);

void jm_free(void *block); /* NULL is allowed */

/* For tests: let n more allocations of this process succeed, then fail every one until called
 * again. A negative n means never fail. */
void jm_alloc_fail_after(int64_t n);

/* How many allocations were asked for since the start of the process. */
uint64_t jm_alloc_count(void);

/* An arena: blocks that die together. Not thread-safe. */
typedef struct jm_arena_chunk jm_arena_chunk;
typedef struct jm_arena {
  jm_arena_chunk *chunks; /* newest first */
  size_t bytes;           /* asked from the heap so far */
} jm_arena;

void jm_arena_init(jm_arena *arena);
void jm_arena_deinit(jm_arena *arena);

/* Zeroed, 16-byte-aligned memory; NULL on overflow or without memory. */
void *jm_arena_alloc(jm_arena *arena, size_t count, size_t size);

/* A copy of count elements; NULL without memory. */
void *jm_arena_copy(jm_arena *arena, const void *source, size_t count, size_t size);

/* A NUL-terminated copy of size bytes; NULL without memory. */
char *jm_arena_string(jm_arena *arena, const char *bytes, size_t size);

/* Grows an arena array geometrically so that it holds at least count elements: returns it (moved or
 * not) and updates *capacity; NULL without memory. New elements are zeroed. */
void *jm_arena_grow(jm_arena *arena, void *array, uint32_t count, uint32_t *capacity, size_t size);

#endif
