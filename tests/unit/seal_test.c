/* SPDX-License-Identifier: Apache-2.0
 * Sealed bytes: contents of all small lengths come back; one changed bit, or one byte less or more,
 * is refused. */
#include "base/seal.h"

#include <string.h>

#include "unit/check.h"

enum { LONGEST = 19 };

static jm_code read_code(const char *sealed, size_t n) {
  const char *content;
  size_t size;
  jm_error *error = jm_seal_read("file", sealed, n, &content, &size);
  jm_code code = jm_error_code(error);
  CHECK(!error || strstr(jm_error_message(error), "the file is"));
  jm_error_destroy(error);
  return code;
}

static void content_comes_back(size_t n) {
  char sealed[JM_SEAL_BYTES + LONGEST + 1];
  for (size_t i = 0; i < n; i++) sealed[JM_SEAL_BYTES + i] = (char)(7 * i + n);
  jm_seal_write(sealed, n);
  const char *content = NULL;
  size_t size = 0;
  CHECK_OK(jm_seal_read("file", sealed, JM_SEAL_BYTES + n, &content, &size));
  CHECK(content == sealed + JM_SEAL_BYTES && size == n);
  for (size_t bit = 0; bit < 8 * (JM_SEAL_BYTES + n); bit++) {
    sealed[bit / 8] ^= (char)(1 << bit % 8);
    CHECK(read_code(sealed, JM_SEAL_BYTES + n) == JM_INVALID_ARGUMENT);
    sealed[bit / 8] ^= (char)(1 << bit % 8);
  }
  for (size_t cut = 0; cut < JM_SEAL_BYTES + n; cut++)
    CHECK(read_code(sealed, cut) == JM_INVALID_ARGUMENT);
  sealed[JM_SEAL_BYTES + n] = 0;
  CHECK(read_code(sealed, JM_SEAL_BYTES + n + 1) == JM_INVALID_ARGUMENT);
}

static void all_contents(void) {
  for (size_t n = 0; n <= LONGEST; n++) content_comes_back(n);
  CHECK(read_code(NULL, 0) == JM_INVALID_ARGUMENT);
}

static void none(void) {}

TEST_MAIN(none, all_contents)
