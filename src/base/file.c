/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

jm_error *jm_file_write(const char *what, const char *path, const void *bytes, size_t n_bytes) {
  FILE *file = fopen(path, "wb");
  bool written = file && fwrite(bytes, 1, n_bytes, file) == n_bytes;
  int failure = errno;
  if (file && fclose(file)) {
    written = false;
    failure = errno;
  }
  if (written) return NULL;
  return jm_error_create(JM_FAILED_PRECONDITION, "%s: %s: %s", what, path, strerror(failure));
}
