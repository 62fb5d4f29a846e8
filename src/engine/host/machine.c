/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/machine.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#endif

#include "engine/host/library/cpu.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool found;
static jm_target target;
static const char *reason = "";
static unsigned char identity[JM_SHA256_BYTES];

/* Of the second cache of a core. */
static size_t cache_bytes(void) {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (bytes > 0) return (size_t)bytes;
#endif
  return 2 * jm_target_host.scratch_bytes;
}

static void add_word(jm_sha256 *sha, uint64_t word) { jm_sha256_add(sha, &word, sizeof word); }

#if defined(__x86_64__)
/* Wide registers pay where using them does not slow the clock down: not on Skylake-X, Cascade Lake
 * and Cooper Lake (family 6, model 85), nor on Cannon Lake (102). */
static bool has_fast_avx512(void) {
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
    return false;
  unsigned a = 0, b, c, d;
  __get_cpuid(1, &a, &b, &c, &d);
  unsigned family = a >> 8 & 15, model = (a >> 4 & 15) | (a >> 12 & 0xf0);
  return family != 6 || (model != 85 && model != 102);
}

static bool find_machine(void) {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("sse4.1")) { /* rounding would need library calls */
    reason = "no LLVM: the processor lacks SSE 4.1";
    return false;
  }
  target.scales = has_fast_avx512();
  target.vector_bytes = target.scales ? 64 : __builtin_cpu_supports("avx2") ? 32 : 16;
  target.fma = __builtin_cpu_supports("fma");
  target.stream_bytes = jm_cpu_find_cache_bytes();
  return true;
}

/* Of the registers of a leaf those that say features; EBX of leaf 1 has the number of the core. */
static void add_features(jm_sha256 *sha) {
  static const struct {
    unsigned leaf, subleaf;
    bool registers[4];
  } leaves[] = {{0, 0, {1, 1, 1, 1}}, {1, 0, {1, 0, 1, 1}},   {7, 0, {0, 1, 1, 1}},
                {7, 1, {1, 1, 1, 1}}, {0xd, 1, {1, 0, 0, 0}}, {0x80000001, 0, {0, 0, 1, 1}}};
  for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
    unsigned r[4] = {0};
    __get_cpuid_count(leaves[i].leaf, leaves[i].subleaf, &r[0], &r[1], &r[2], &r[3]);
    for (int k = 0; k < 4; k++) add_word(sha, leaves[i].registers[k] ? r[k] : 0);
  }
  /* The registers that the system saves; compilers ask the same way. */
  add_word(sha, (uint64_t)!!__builtin_cpu_supports("avx2") << 1 |
                    (uint64_t)!!__builtin_cpu_supports("avx512f"));
}
#elif defined(__aarch64__)
static bool find_machine(void) {
  target.vector_bytes = 16;
  target.stream_bytes = jm_cpu_find_cache_bytes();
  target.fma = true;
  return true;
}

static void add_features(jm_sha256 *sha) {
#if defined(__APPLE__)
  uint32_t family = 0;
  size_t size = sizeof family;
  sysctlbyname("hw.cpufamily", &family, &size, NULL, 0);
  add_word(sha, family);
#elif defined(__linux__)
  add_word(sha, getauxval(AT_HWCAP));
  add_word(sha, getauxval(AT_HWCAP2));
#endif
}
#else
static bool find_machine(void) {
  reason = "no LLVM: only x86-64 and arm64 are known";
  return false;
}

static void add_features(jm_sha256 *sha) { (void)sha; }
#endif

static const char architecture[] =
#if defined(__x86_64__)
    "x86-64";
#elif defined(__aarch64__)
    "arm64";
#else
    "unknown";
#endif

static void find(void) {
  target = jm_target_host;
  found = find_machine();
  target.scratch_bytes = target.kept_bytes = cache_bytes() / 2;
  jm_sha256 sha;
  jm_sha256_init(&sha);
  jm_sha256_add(&sha, jm_build_id, strlen(jm_build_id));
  jm_sha256_add(&sha, architecture, sizeof architecture);
  add_features(&sha);
  add_word(&sha, (uint64_t)sysconf(_SC_PAGESIZE));
  jm_sha256_finish(&sha, identity);
}

const jm_target *jm_machine_find_target(const char **why) {
  pthread_once(&once, find);
  *why = reason;
  return found ? &target : NULL;
}

void jm_machine_force_stream_bytes(size_t bytes) {
  pthread_once(&once, find);
  target.stream_bytes = bytes;
}

const unsigned char *jm_machine_identity(void) {
  pthread_once(&once, find);
  return identity;
}
