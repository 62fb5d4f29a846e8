/* SPDX-License-Identifier: Apache-2.0
 * Compiles kernels to machine code at run time, through LLVM, which is loaded at run time and never
 * linked (llvm_library.h). Without LLVM programs run, but slower: jm_jit_find_target gives the
 * reason. */
#ifndef JM_ENGINE_HOST_JIT_H
#define JM_ENGINE_HOST_JIT_H

#include "engine/host/saved_code.h"
#include "kernel/ir/target.h"

/* The target of this machine, if there is an LLVM that passes a probe; else NULL, and *why is a
 * line that says what was tried (static memory). Decided once per process, thread safe. */
const jm_target *jm_jit_find_target(const char **why);
/* "LLVM 20.1.8" or so; "" without. */
const char *jm_jit_version(void);

/* Registers the fork handlers, once. Compiling does, too; but whoever adds jobs to
 * base/background.h has to do it earlier, for jobs of the jit take its locks. */
void jm_jit_guard_forks(void);

/* Compiled code, counted; equal kernels of a process share it. */
typedef struct jm_jit_code jm_jit_code;
/* Its function at present: to be asked for at each launch, which is counted (effort.h). */
jm_kernel_fn *jm_jit_code_function(jm_jit_code *code);
void jm_jit_code_release(jm_jit_code *code); /* NULL is allowed */

/* Compiles n kernels, split over the cores, but for those that the process has compiled already and
 * those in the saved code (NULL: none), which need no LLVM; codes[i] is kernels[i]'s, held for the
 * caller. On an error none is held; without LLVM it is UNIMPLEMENTED. */
jm_error *jm_jit_compile(const jm_kernel *const *kernels, uint32_t n, const jm_saved_code *saved,
                         jm_jit_code **codes) JM_MUST_USE;

/* Appends the machine code of kernels, equal ones once: jm_saved_code_open reads it. */
jm_error *jm_jit_save(jm_jit_code *const *codes, uint32_t n, jm_text *out) JM_MUST_USE;

#endif
