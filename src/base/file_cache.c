/* SPDX-License-Identifier: Apache-2.0
 * A file is header, key, code. Its name is the key's hash, and the key in it is compared in full.
 */
#include "base/file_cache.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/hash.h"

typedef struct header {
  char magic[8];
  uint64_t key_bytes, code_bytes, checksum; /* of key and code */
} header;

static const char magic[8] = "jmcache1";

enum { PATH_BYTES = 4096 };

static uint64_t hash_of(const char *key, const void *code, size_t size) {
  return jm_hash_append(jm_hash_bytes(key, strlen(key)), code, size);
}

static bool path_of(const char *folder, const char *key, char *path) {
  int n = snprintf(path, PATH_BYTES, "%s/%016" PRIx64 ".bin", folder, hash_of(key, "", 0));
  return n > 0 && n < PATH_BYTES;
}

static bool read_code(FILE *file, const char *key, char **code, size_t *size) {
  header h;
  const size_t key_bytes = strlen(key);
  struct stat fact;
  if (fread(&h, sizeof h, 1, file) != 1 || memcmp(h.magic, magic, sizeof magic)) return false;
  if (fstat(fileno(file), &fact) || h.key_bytes != key_bytes || h.code_bytes > INT64_MAX / 2 ||
      (uint64_t)fact.st_size != sizeof h + h.key_bytes + h.code_bytes)
    return false;
  char *bytes = jm_alloc(key_bytes + h.code_bytes, 1);
  if (!bytes) return false;
  bool good = fread(bytes, 1, key_bytes + h.code_bytes, file) == key_bytes + h.code_bytes &&
              !memcmp(bytes, key, key_bytes) &&
              h.checksum == hash_of(key, bytes + key_bytes, h.code_bytes);
  if (!good) {
    jm_free(bytes);
    return false;
  }
  memmove(bytes, bytes + key_bytes, h.code_bytes);
  *code = bytes;
  *size = h.code_bytes;
  return true;
}

bool jm_file_cache_find(const char *folder, const char *key, char **code, size_t *size) {
  char path[PATH_BYTES];
  FILE *file = path_of(folder, key, path) ? fopen(path, "rb") : NULL;
  if (!file) return false;
  bool found = read_code(file, key, code, size);
  fclose(file);
  return found;
}

/* Makes the folder and its parents. */
static bool folder_make(const char *folder) {
  char path[PATH_BYTES];
  size_t n = strlen(folder);
  if (!n || n >= PATH_BYTES) return false;
  memcpy(path, folder, n + 1);
  for (size_t i = 1; i <= n; i++) {
    if (path[i] != '/' && path[i]) continue;
    const char kept = path[i];
    path[i] = 0;
    if (mkdir(path, 0700) && errno != EEXIST) return false;
    path[i] = kept;
  }
  return true;
}

static bool write_all(const char *path, const char *key, const void *code, size_t size) {
  header h = {.key_bytes = strlen(key), .code_bytes = size, .checksum = hash_of(key, code, size)};
  memcpy(h.magic, magic, sizeof magic);
  FILE *file = fopen(path, "wb");
  if (!file) return false;
  bool written = fwrite(&h, sizeof h, 1, file) == 1 &&
                 fwrite(key, 1, h.key_bytes, file) == h.key_bytes &&
                 fwrite(code, 1, size, file) == size;
  return !fclose(file) && written;
}

void jm_file_cache_keep(const char *folder, const char *key, const void *code, size_t size) {
  static atomic_uint serial;
  char path[PATH_BYTES], written[PATH_BYTES + 64];
  if (!path_of(folder, key, path) || !folder_make(folder)) return;
  snprintf(written, sizeof written, "%s.%ld.%u", path, (long)getpid(),
           atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed));
  if (!write_all(written, key, code, size) || rename(written, path)) unlink(written);
}
