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

typedef struct change {
  const atomic_size_t *number;
  size_t seen;
} change;

static bool has_changed(const void *context) {
  const change *c = context;
  return atomic_load_explicit(c->number, memory_order_acquire) != c->seen;
}

bool jm_spin_change(const atomic_size_t *number, size_t seen) {
  return jm_spin_wait(has_changed, &(change){number, seen});
}
