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

/* A module of machine code for the machine at hand: a relocatable object file (ELF). */
typedef struct jm_llvm_object {
  const void *bytes;
  size_t n_bytes;
  void *buffer; /* LLVM's, which has the bytes */
} jm_llvm_object;
/* Compiles a module's text; quickly: with less care for the code's speed. INTERNAL if LLVM refuses
 * the text. Any thread. */
jm_error *jm_llvm_compile(const char *text, bool quickly, jm_llvm_object *out) JM_MUST_USE;
void jm_llvm_object_release(jm_llvm_object *object); /* one that is zero is allowed */

/* For tests: the module as an object file (or assembly) for any machine, not only this one. */
typedef struct jm_llvm_machine {
  const char *triple, *cpu, *features;
  bool assembly, quickly;
} jm_llvm_machine;
jm_error *jm_llvm_object_emit(const char *text, const jm_llvm_machine *machine,
                              jm_text *out) JM_MUST_USE;

#endif
