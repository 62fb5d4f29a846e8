/* SPDX-License-Identifier: Apache-2.0
 * Compiled code on disk, a file per key, shared by processes. A file says what key it was written
 * for and carries a checksum: a damaged or foreign one counts as missing. Files appear whole (they
 * are renamed into place), so that writers need no lock. Nothing here is an error: a cache that
 * can't be read or written is a cache that is empty. */
#ifndef JM_BASE_FILE_CACHE_H
#define JM_BASE_FILE_CACHE_H

#include <stdbool.h>
#include <stddef.h>

/* The code kept for key (a NUL-terminated text of any length, compared whole) in this folder, to be
 * freed with jm_free; false if there is none. */
bool jm_file_cache_find(const char *folder, const char *key, char **code, size_t *size);

/* Keeps code for key; makes the folder if it is missing. */
void jm_file_cache_keep(const char *folder, const char *key, const void *code, size_t size);

#endif
