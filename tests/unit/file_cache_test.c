/* SPDX-License-Identifier: Apache-2.0
 * The cache of compiled code on disk: what was kept is found, by its whole key; damaged files and
 * folders that can't be written are an empty cache. */
#include "base/file_cache.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "unit/check.h"

static char folder[256], inside[300];

static void make_folder(void) {
  snprintf(folder, sizeof folder, "/tmp/jm_file_cache_XXXXXX");
  CHECK(mkdtemp(folder));
  snprintf(inside, sizeof inside, "%s/a/b", folder);
}

static bool holds(const char *key, const char *expected, size_t n) {
  char *code = NULL;
  size_t size = 0;
  bool found = jm_file_cache_find(inside, key, &code, &size);
  bool equal = found && size == n && !memcmp(code, expected, n);
  CHECK(!found || equal);
  jm_free(code);
  return found;
}

/* The path of the only file. */
static void find_file(char *path, size_t size) {
  DIR *listing = opendir(inside);
  int n = 0;
  CHECK(listing);
  for (struct dirent *entry; (entry = readdir(listing));)
    if (entry->d_name[0] != '.') n++, snprintf(path, size, "%s/%s", inside, entry->d_name);
  closedir(listing);
  CHECK(n == 1);
}

static void kept_is_found(void) {
  make_folder();
  CHECK(!holds("key", "", 0));
  jm_file_cache_keep(inside, "key", "co\0de", 5);
  CHECK(holds("key", "co\0de", 5));
  CHECK(!holds("other", "", 0));
  jm_file_cache_keep(inside, "key", "new", 3);
  CHECK(holds("key", "new", 3));
  jm_file_cache_keep(inside, "empty", "", 0);
  CHECK(holds("empty", "", 0));
}

static void every_flipped_byte_is_seen(void) {
  char path[600], bytes[256];
  make_folder();
  jm_file_cache_keep(inside, "key", "the code", 8);
  find_file(path, sizeof path);
  FILE *file = fopen(path, "rb");
  size_t n = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  for (size_t i = 0; i <= n; i++) { /* i == n: cut short */
    bytes[i < n ? i : 0] ^= i < n;
    file = fopen(path, "wb");
    CHECK(fwrite(bytes, 1, i < n ? n : n - 1, file) == (i < n ? n : n - 1));
    fclose(file);
    CHECK(!holds("key", "", 0));
    bytes[i < n ? i : 0] ^= i < n;
  }
  jm_file_cache_keep(inside, "key", "the code", 8);
  CHECK(holds("key", "the code", 8));
}

static void what_cannot_be_written_is_empty(void) {
  jm_file_cache_keep("/proc/none/of/this", "key", "code", 4);
  char *code;
  size_t size;
  CHECK(!jm_file_cache_find("/proc/none/of/this", "key", &code, &size));
  jm_file_cache_keep("", "key", "code", 4);
  CHECK(!jm_file_cache_find("", "key", &code, &size));
}

static void none(void) {}

TEST_MAIN(none, kept_is_found, every_flipped_byte_is_seen, what_cannot_be_written_is_empty)
