/* SPDX-License-Identifier: Apache-2.0
 * Machine code in memory: a copy of the table of C functions that it calls (jm_kcall_functions),
 * constants, then instructions, in one block that is written, then made read-only and executable,
 * never both at once. Behind the table nothing is an absolute address, so these bytes are the same
 * in every process and need no linking there. Not here: what the code computes, and whether bytes
 * from elsewhere may be trusted. */
#ifndef JM_ENGINE_HOST_IMAGE_H
#define JM_ENGINE_HOST_IMAGE_H

#include <stdint.h>

#include "base/error.h"
#include "kernel/ir/kernel.h"

typedef struct jm_image {
  char *bytes; /* starts at a page, with a table of JM_IMAGE_TABLE bytes */
  size_t n_bytes;
  size_t code_at; /* instructions from here on; a multiple of a page */
} jm_image;

enum { JM_IMAGE_TABLE = sizeof jm_kcall_functions };

/* Links a relocatable ELF object. offsets[i]: where the function symbols[i] starts.
 * INTERNAL if the object is not as this plugin's kernels are: it has data that is written,
 * another undefined symbol, a relocation that needs an absolute address. */
jm_error *jm_image_link(const void *object, size_t n_bytes, const char *const *symbols,
                        uint32_t n_symbols, uint64_t *offsets, jm_image *out) JM_MUST_USE;

/* The block of another process: n_bytes that were an image's; the table is made anew. */
jm_error *jm_image_load(const void *bytes, size_t n_bytes, size_t code_at,
                        jm_image *out) JM_MUST_USE;

void jm_image_unmap(jm_image *image); /* one that is zero is allowed */

#endif
