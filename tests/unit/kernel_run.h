/* SPDX-License-Identifier: Apache-2.0
 * Runs a kernel on buffers, compiled or by the interpreter. */
#ifndef JM_TESTS_KERNEL_RUN_H
#define JM_TESTS_KERNEL_RUN_H

#include "engine/host/jit.h"
#include "unit/check.h"

/* Of a kernel without chunks; destroys it. */
static inline void kernel_run(jm_kernel *kernel, bool compiled, void *const *buffers) {
  if (compiled) {
    const jm_kernel *kernels[1] = {kernel};
    jm_jit_code *code = NULL;
    CHECK_OK(jm_jit_compile(kernels, 1, NULL, &code));
    if (code) jm_jit_code_function(code)(buffers, NULL, 0, 1, NULL);
    jm_jit_code_release(code);
  } else {
    CHECK_OK(jm_kernel_interpret(kernel, buffers, NULL, 0, 1, NULL));
  }
  jm_kernel_destroy(kernel);
}

#endif
