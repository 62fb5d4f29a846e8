/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 (FIPS 180-4), for what must not be confused by chance or by damage: machine code that is
 * loaded again. It is no signature: whoever writes the code can write its digest, too. */
#ifndef JM_BASE_SHA256_H
#define JM_BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JM_SHA256_BYTES = 32 };

typedef struct jm_sha256 {
  uint32_t state[8];
  uint64_t n_bytes;          /* so far */
  unsigned char pending[64]; /* the first n_bytes % 64 of a block */
} jm_sha256;

void jm_sha256_init(jm_sha256 *sha);
void jm_sha256_add(jm_sha256 *sha, const void *bytes, size_t n);
/* The digest of all that was added; the state is used up. */
void jm_sha256_finish(jm_sha256 *sha, unsigned char digest[JM_SHA256_BYTES]);

/* Of one piece. */
void jm_sha256_digest(const void *bytes, size_t n, unsigned char digest[JM_SHA256_BYTES]);

/* For tests: without the processor's instructions for it. */
void jm_sha256_force_portable(bool portable);

#endif
