/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static size_t cache_bytes;

/* As the leaf says that describes one cache in each of its subleaves. (The C library multiplies the
 * size by a number of cores of AMD's processors.) In a virtual machine the host answers, which
 * takes some ten microseconds. */
static void find_cache(void) {
  enum { USUAL_BYTES = 32 << 20 };
  static const unsigned leaves[] = {4, 0x8000001d}; /* of Intel, of AMD */
  for (size_t i = 0; i < 2 && !cache_bytes; i++)
    for (unsigned sub = 0, a, b, c, d; sub < 8; sub++) {
      if (!__get_cpuid_count(leaves[i], sub, &a, &b, &c, &d) || !(a & 31)) break;
      if ((a >> 5 & 7) < 3) continue; /* the level */
      cache_bytes =
          (size_t)((b >> 22) + 1) * ((b >> 12 & 1023) + 1) * ((b & 4095) + 1) * ((size_t)c + 1);
    }
  if (!cache_bytes) cache_bytes = USUAL_BYTES;
}

size_t jm_cpu_find_cache_bytes(void) {
  pthread_once(&once, find_cache);
  return cache_bytes;
}
#else
size_t jm_cpu_find_cache_bytes(void) { return 0; }
#endif
