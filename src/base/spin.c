/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spin.h"

#include <sched.h>
#include <stdint.h>
#include <time.h>

enum {
  SPIN_NS = 100000,
  CHECKS = 32, /* between two readings of the clock */
};

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static inline void pause_core(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

bool jm_spin_wait(jm_spin_fn *is_over, const void *context) {
  int64_t end = now() + SPIN_NS;
  do {
    for (int i = 0; i < CHECKS; i++) {
      if (is_over(context)) return true;
      pause_core();
    }
    sched_yield();
  } while (now() < end);
  return false;
}
