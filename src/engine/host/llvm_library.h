/* SPDX-License-Identifier: Apache-2.0
 * LLVM, loaded at run time: the library that JAX_MPS_LLVM names, the one inside the llvmlite wheel
 * (the Python package says where), or a system's libLLVM. Their functions' names are confined to
 * llvm_binding_*.c. Text in, machine code out; jit.c decides what is compiled, and caches it. */
#ifndef JM_ENGINE_HOST_LLVM_LIBRARY_H
#define JM_ENGINE_HOST_LLVM_LIBRARY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

/* Loads the library once per process. false: *why says what was tried and why it failed (static
 * memory). Everything below may be called only after it returned true. */
bool jm_llvm_library_load(const char **why);
const char *jm_llvm_library_version(void); /* "LLVM 20.1.8" */

/* Does this machine have this feature, by LLVM's name ("avx2")? */
bool jm_llvm_host_has(const char *feature);
const char *jm_llvm_host_name(void); /* "znver5" */

/* Machine code of one module, ready to be called. */
typedef struct jm_llvm_code jm_llvm_code;
/* Compiles a module's text for this machine; quickly: with fewer optimizations.
 * INTERNAL if LLVM refuses the text. Any thread. Symbols must be unique in the process. */
jm_error *jm_llvm_code_create(const char *text, bool quickly, jm_llvm_code **out) JM_MUST_USE;
void jm_llvm_code_destroy(jm_llvm_code *code); /* NULL is allowed */
/* The address of a function of the module, NULL if there is none. */
void *jm_llvm_code_find(jm_llvm_code *code, const char *symbol);

/* For tests: the module as an object file (or assembly) for any machine, not only this one. */
typedef struct jm_llvm_machine {
  const char *triple, *cpu, *features;
  bool assembly, quickly;
} jm_llvm_machine;
jm_error *jm_llvm_object_emit(const char *text, const jm_llvm_machine *machine,
                              jm_text *out) JM_MUST_USE;

#endif
