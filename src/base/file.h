/* SPDX-License-Identifier: Apache-2.0
 * Files that a user asked for, where a failure is news; base/file_cache.h is for those that may be
 * missing. */
#ifndef JM_BASE_FILE_H
#define JM_BASE_FILE_H

#include <stddef.h>

#include "base/error.h"

/* Writes a whole file. FAILED_PRECONDITION names what asked for it, the path and the reason. */
jm_error *jm_file_write(const char *what, const char *path, const void *bytes,
                        size_t n_bytes) JM_MUST_USE;

#endif
