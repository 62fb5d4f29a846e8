/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/gemm_amx.h"

#if defined(__x86_64__) && defined(__linux__) && \
    (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TARGET __attribute__((target("amx-tile,amx-bf16,amx-int8")))
#include "engine/host/library/gemm_amx_tile.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool permitted;

/* Older systems know no such request, and one whose signal stacks are too small for the tiles is
 * refused. */
static void ask(void) {
  enum { FEATURES = 1 << 22 | 1 << 24 | 1 << 25 }; /* of leaf 7: bf16, tiles, int8 */
  enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
  unsigned a, b, c, d;
  permitted = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & FEATURES) == FEATURES &&
              !syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA);
}

bool jm_gemm_amx_find(const jm_narrow_kernel *vector, jm_narrow_kernel *out) {
  pthread_once(&once, ask);
  if (permitted) adapt(vector, out);
  return permitted;
}
#else
bool jm_gemm_amx_find(const jm_narrow_kernel *vector, jm_narrow_kernel *out) {
  (void)vector, (void)out;
  return false;
}
#endif

jm_error *jm_gemm_amx_run(const jm_narrow_kernel *vector, const jm_gemm *g, jm_dtype result) {
  jm_narrow_kernel tiles;
  bool fits = !jm_gemm_narrow_is_in_place(vector, g) && jm_gemm_amx_find(vector, &tiles);
  return jm_gemm_narrow_run(fits ? &tiles : vector, g, result);
}
