/* SPDX-License-Identifier: Apache-2.0
 * The level of vector instructions of this machine, among those that the library has code for, and
 * its caches. Compiled kernels use all of the machine's features (engine/host/jit.c). */
#ifndef JM_LIBRARY_CPU_H
#define JM_LIBRARY_CPU_H

#include <stddef.h>

typedef enum jm_cpu_level {
  JM_CPU_BASE,   /* what the compiler assumes */
  JM_CPU_AVX2,   /* with FMA */
  JM_CPU_AVX512, /* F */
} jm_cpu_level;

static inline jm_cpu_level jm_cpu_find_level(void) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (__builtin_cpu_supports("avx512f")) return JM_CPU_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return JM_CPU_AVX2;
#endif
  return JM_CPU_BASE;
}

/* Of the last cache: results that are larger are better written past it. 0: nobody measured that on
 * such a processor. Any thread. */
size_t jm_cpu_find_cache_bytes(void);

#endif
