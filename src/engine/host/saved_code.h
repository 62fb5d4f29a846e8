/* SPDX-License-Identifier: Apache-2.0
 * Machine code of kernels as bytes that leave the process and come back in another one, within a
 * serialized executable. Written by the jit, which alone runs it. The bytes say for what machine
 * and build they are and carry a SHA-256 digest of all that they hold: code of another machine
 * counts as none, damaged code is an error, and neither is ever mapped. */
#ifndef JM_ENGINE_HOST_SAVED_CODE_H
#define JM_ENGINE_HOST_SAVED_CODE_H

#include "base/sha256.h"
#include "base/text.h"
#include "engine/host/image.h"

/* A kernel's code: a function of an image. */
typedef struct jm_saved_kernel {
  unsigned char digest[JM_SHA256_BYTES]; /* of the kernel's text */
  uint32_t image;
  uint64_t offset;
} jm_saved_kernel;

/* Appends the bytes of what is given. */
void jm_saved_code_write(const jm_image *const *images, uint32_t n_images,
                         const jm_saved_kernel *kernels, uint32_t n_kernels, jm_text *out);

typedef struct jm_saved_code jm_saved_code;

/* Reads such bytes, which must outlive *out. *out is NULL if they are for another machine or build.
 * INVALID_ARGUMENT if they are damaged. */
jm_error *jm_saved_code_open(const void *bytes, size_t n_bytes, jm_saved_code **out) JM_MUST_USE;
void jm_saved_code_close(jm_saved_code *saved); /* NULL is allowed */

/* The kernel with this text; false if there is none. */
bool jm_saved_code_find(const jm_saved_code *saved, const char *text, size_t n_text,
                        jm_saved_kernel *out);

uint32_t jm_saved_code_images(const jm_saved_code *saved);
jm_error *jm_saved_code_map(const jm_saved_code *saved, uint32_t image, jm_image *out) JM_MUST_USE;

#endif
