/* SPDX-License-Identifier: Apache-2.0
 * Kernels that users wrote (jax_mps_c.kernel): a custom call "mps.kernel" whose configuration has
 * the source for some kinds of GPU. What the call says is read and checked here, for every engine;
 * compiling and launching the source is an engine's. docs/EXPORT.md lists the configuration. */
#ifndef JM_ENGINE_USER_KERNEL_H
#define JM_ENGINE_USER_KERNEL_H

#include "ir/module.h"

/* Languages of sources, in the order of jm_user_languages. */
typedef enum jm_user_language { JM_USER_METAL, JM_USER_CUDA, JM_N_USER_LANGUAGES } jm_user_language;
extern const char *const jm_user_languages[JM_N_USER_LANGUAGES]; /* "metal", "cuda" */

typedef struct jm_user_kernel {
  const char *name;                    /* an identifier */
  jm_str sources[JM_N_USER_LANGUAGES]; /* of the body; no bytes: there is none */
  jm_str headers[JM_N_USER_LANGUAGES]; /* what stands before the function */
  const char *const *in, *const *out;  /* names of operands and of results */
  uint32_t grid[3], group[3];          /* threads of a launch, of a group */
} jm_user_kernel;

enum { JM_USER_KERNEL_BUFFERS = 31, JM_USER_KERNEL_THREADS = 1024 }; /* at most; Metal's limits */

bool jm_op_is_user_kernel(const jm_op *op);

/* What the call says; lists are in the arena. INVALID_ARGUMENT: the configuration is malformed or
 * does not fit the operands and results. */
jm_error *jm_user_kernel_read(const jm_module *module, const jm_op *op, jm_arena *arena,
                              jm_user_kernel *out) JM_MUST_USE;

/* NULL if the call is well formed. */
jm_error *jm_user_kernel_verify(const jm_module *module, const jm_op *op) JM_MUST_USE;

/* UNIMPLEMENTED: the kernel has no source for the device; names both, and the sources that there
 * are. */
jm_error *jm_user_kernel_refuse(const jm_module *module, const jm_op *op,
                                const char *device) JM_MUST_USE;

#endif
