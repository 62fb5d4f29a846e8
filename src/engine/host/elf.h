/* SPDX-License-Identifier: Apache-2.0
 * Relocatable ELF objects of 64 bits as LLVM makes them of kernels, for x86-64 and arm64: their
 * sections, symbols and relocations. No linker: an object may refer to one symbol outside of
 * itself, JM_ELF_OUTSIDE. The object is LLVM's and of this process, but every offset is checked all
 * the same. */
#ifndef JM_ENGINE_HOST_ELF_H
#define JM_ENGINE_HOST_ELF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "kernel/ir/kernel.h"

#define JM_ELF_UNPLACED UINT64_MAX
#define JM_ELF_OUTSIDE JM_KCALL_TABLE /* lies where the image starts */

typedef struct jm_elf {
  const char *bytes;
  size_t n_bytes;
  uint64_t section_table;
  uint32_t n_sections;
  uint32_t machine; /* as ELF numbers them: JM_ELF_X86_64, JM_ELF_ARM64 */
} jm_elf;

enum { JM_ELF_X86_64 = 62, JM_ELF_ARM64 = 183 };

typedef struct jm_elf_section {
  const char *bytes;
  uint64_t size, alignment;
  bool loaded, executable;
} jm_elf_section;

jm_error *jm_elf_open(const void *bytes, size_t n_bytes, jm_elf *out) JM_MUST_USE;

jm_error *jm_elf_read_section(const jm_elf *elf, uint32_t index, jm_elf_section *out) JM_MUST_USE;

/* Applies the relocations of all sections that lie in the image, places[i] bytes behind its start
 * (a page's), or nowhere: JM_ELF_UNPLACED. */
jm_error *jm_elf_relocate(const jm_elf *elf, const uint64_t *places, char *image,
                          size_t n_bytes) JM_MUST_USE;

/* Where a symbol lies in the image. */
jm_error *jm_elf_find_symbol(const jm_elf *elf, const char *name, const uint64_t *places,
                             uint64_t *out) JM_MUST_USE;

#endif
