/* SPDX-License-Identifier: Apache-2.0
 * A checksum around bytes that leave the process and come back (a serialized executable in a
 * cache): a file that was cut, or in which a bit changed, is refused and never read. It finds
 * damage, it is no signature: whoever can write the file can write its checksum, too. */
#ifndef JM_BASE_SEAL_H
#define JM_BASE_SEAL_H

#include <stddef.h>

#include "base/error.h"

/* The seal's bytes before the content: magic, number of the content's bytes, checksum. */
enum { JM_SEAL_BYTES = 24 };

/* Seals the n bytes that stand at sealed + JM_SEAL_BYTES by writing those before them. */
void jm_seal_write(char *sealed, size_t n);

/* The content of what jm_seal_write made, in the memory of `sealed`. INVALID_ARGUMENT names `what`
 * was read, and says whether it is something else, cut, or damaged. */
jm_error *jm_seal_read(const char *what, const char *sealed, size_t n_sealed, const char **content,
                       size_t *n) JM_MUST_USE;

#endif
