/* SPDX-License-Identifier: Apache-2.0
 * The processor's floating-point mode while a program runs and while it is compiled: round to
 * nearest, keep subnormals, no traps, whatever the thread's owner had set. Results then don't
 * depend on the thread. */
#ifndef JM_BASE_FLOAT_STATE_H
#define JM_BASE_FLOAT_STATE_H

#include <stdint.h>

#if defined(__x86_64__) || defined(__i386__)
typedef unsigned int jm_float_state;
static inline jm_float_state jm_float_state_enter(void) {
  jm_float_state before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(0x1f80); /* the state at process start */
  return before;
}
static inline void jm_float_state_leave(jm_float_state before) { __builtin_ia32_ldmxcsr(before); }
#elif defined(__aarch64__)
typedef uint64_t jm_float_state;
static inline jm_float_state jm_float_state_enter(void) {
  jm_float_state before;
  __asm__ volatile("mrs %0, fpcr" : "=r"(before));
  __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
  return before;
}
static inline void jm_float_state_leave(jm_float_state before) {
  __asm__ volatile("msr fpcr, %0" : : "r"(before));
}
#else
typedef int jm_float_state; /* other processors have one mode that matters */
static inline jm_float_state jm_float_state_enter(void) { return 0; }
static inline void jm_float_state_leave(jm_float_state before) { (void)before; }
#endif

#endif
