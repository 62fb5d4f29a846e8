/* SPDX-License-Identifier: Apache-2.0
 * Hashes for tables and keys. None is cryptographic: they do not authenticate code or data from
 * elsewhere. */
#ifndef JM_BASE_HASH_H
#define JM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* FNV-1a, 64 bits (Fowler, Noll, Vo): stable over processes, which a cache key must be. The hash
 * of some bytes, and of a sequence that has `hash` and continues with these bytes. */
static inline uint64_t jm_hash_append(uint64_t hash, const void *bytes, size_t n) {
  const unsigned char *p = bytes;
  for (size_t i = 0; i < n; i++) hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
  return hash;
}
static inline uint64_t jm_hash_bytes(const void *bytes, size_t n) {
  return jm_hash_append(UINT64_C(0xcbf29ce484222325), bytes, n);
}

/* The hash of a sequence, a word at a time. All bits of the result are well mixed. */
static inline uint64_t jm_hash_mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
  return hash ^ hash >> 29;
}

#endif
