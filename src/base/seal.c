/* SPDX-License-Identifier: Apache-2.0 */
#include "base/seal.h"

#include <stdint.h>
#include <string.h>

#include "base/hash.h"

static const char magic[8] = "jmseal01";
enum { AT_SIZE = 8, AT_CHECKSUM = 16 };

static void write_word(char *to, uint64_t value) {
  for (int i = 0; i < 8; i++) to[i] = (char)(value >> (8 * i));
}

static uint64_t read_word(const char *from) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value |= (uint64_t)(unsigned char)from[i] << (8 * i);
  return value;
}

/* Each step is one-to-one in the hash and in the word, so that contents of one length that differ
 * in one word never have the same checksum; others do by a chance of 2^-64. */
static uint64_t checksum(const char *bytes, size_t n) {
  uint64_t hash = jm_hash_mix(0, n);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) hash = jm_hash_mix(hash, read_word(bytes + i));
  char tail[8] = {0};
  memcpy(tail, bytes + i, n - i);
  return jm_hash_mix(hash, read_word(tail));
}

void jm_seal_write(char *sealed, size_t n) {
  memcpy(sealed, magic, sizeof magic);
  write_word(sealed + AT_SIZE, n);
  write_word(sealed + AT_CHECKSUM, checksum(sealed + JM_SEAL_BYTES, n));
}

jm_error *jm_seal_read(const char *what, const char *sealed, size_t n_sealed, const char **content,
                       size_t *n) {
  if (!sealed || n_sealed < JM_SEAL_BYTES || memcmp(sealed, magic, sizeof magic))
    return jm_error_invalid("the %s is not one of this version of the plugin", what);
  uint64_t size = read_word(sealed + AT_SIZE);
  if (size != n_sealed - JM_SEAL_BYTES)
    return jm_error_invalid("the %s is cut or damaged: %llu bytes in %zu", what,
                            (unsigned long long)size, n_sealed - JM_SEAL_BYTES);
  if (read_word(sealed + AT_CHECKSUM) != checksum(sealed + JM_SEAL_BYTES, size))
    return jm_error_invalid("the %s is damaged: its checksum differs", what);
  *content = sealed + JM_SEAL_BYTES;
  *n = size;
  return NULL;
}
