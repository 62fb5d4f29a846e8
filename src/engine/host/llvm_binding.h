/* SPDX-License-Identifier: Apache-2.0
 * The functions of LLVM that llvm_library.c needs, bound to either interface: llvmlite's own
 * functions (llvm_binding_llvmlite.c) or LLVM's C interface (llvm_binding_c.c). No policy is here.
 */
#ifndef JM_ENGINE_HOST_LLVM_BINDING_H
#define JM_ENGINE_HOST_LLVM_BINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct jm_llvm_host {
  const char *triple, *cpu, *features; /* for good */
} jm_llvm_host;

typedef struct jm_llvm_target_machine {
  const char *triple, *cpu, *features;
  int level; /* of code generation: 0, 1, 2 */
  bool jit;
} jm_llvm_target_machine;

/* Pointers are LLVM's objects. `words` of a function that failed: NULL, or LLVM's own, which
 * dispose_words takes back. */
typedef struct jm_llvm_binding {
  /* Finds the functions in a loaded library; false if one is missing. */
  bool (*bind)(void *library);
  void (*find_version)(unsigned version[3]);
  const unsigned *known_majors; /* that the tests were run with, up to a 0 */
  /* Code for the machine at hand, once; false if memory can't be made executable. */
  bool (*start)(jm_llvm_host *host);
  void (*start_all_targets)(void);
  void (*dispose_words)(const char *words);

  void *(*create_context)(void);
  void (*dispose_context)(void *context);
  void *(*parse)(void *context, const char *text, const char **words); /* a module, NULL */
  bool (*verify)(void *module, const char **words);                    /* is it wrong? */
  void (*dispose_module)(void *module);
  void *(*create_machine)(const jm_llvm_target_machine *wanted, const char **words);
  void (*dispose_machine)(void *machine);
  void *(*emit)(void *machine, void *module, bool object, const char **words); /* a buffer */
  const void *(*find_bytes)(void *buffer, size_t *size);
  void (*dispose_buffer)(void *buffer);
} jm_llvm_binding;

extern const jm_llvm_binding jm_llvm_binding_llvmlite, jm_llvm_binding_c;

#endif
