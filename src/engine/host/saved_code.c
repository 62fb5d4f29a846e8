/* SPDX-License-Identifier: Apache-2.0
 * The bytes, numbers of 8 bytes, little-endian:
 *   magic, SHA-256 of everything behind it, identity of the machine and the build,
 *   number of images, number of kernels,
 *   per image: its size, where its instructions start
 *   per kernel: SHA-256 of its text, its image, where in it it starts
 *   the images, zeros in the place of their tables of addresses */
#include "engine/host/saved_code.h"

#include <string.h>

#include "engine/host/machine.h"

static const char magic[8] = {'j', 'm', 'c', 'o', 'd', 'e', '0', '1'};

enum {
  AT_DIGEST = sizeof magic,
  AT_IDENTITY = AT_DIGEST + JM_SHA256_BYTES, /* the digest is of what begins here */
  AT_COUNTS = AT_IDENTITY + JM_SHA256_BYTES,
  AT_IMAGES = AT_COUNTS + 16,
  IMAGE_BYTES = 16,
  KERNEL_BYTES = JM_SHA256_BYTES + 16,
};

struct jm_saved_code {
  const char *bytes;
  uint32_t n_images, n_kernels;
  const char *kernels;  /* rows of KERNEL_BYTES */
  const char *images[]; /* n_images of them */
};

static void append_word(jm_text *out, uint64_t value) {
  char bytes[8];
  for (int i = 0; i < 8; i++) bytes[i] = (char)(value >> (8 * i));
  jm_text_append(out, bytes, sizeof bytes);
}

static uint64_t read_word(const char *from) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value |= (uint64_t)(unsigned char)from[i] << (8 * i);
  return value;
}

static void append_digest(jm_text *out, const unsigned char *digest) {
  jm_text_append(out, (const char *)digest, JM_SHA256_BYTES);
}

void jm_saved_code_write(const jm_image *const *images, uint32_t n_images,
                         const jm_saved_kernel *kernels, uint32_t n_kernels, jm_text *out) {
  const size_t start = out->size;
  unsigned char digest[JM_SHA256_BYTES] = {0};
  jm_text_append(out, magic, sizeof magic);
  append_digest(out, digest);
  append_digest(out, jm_machine_identity());
  append_word(out, n_images);
  append_word(out, n_kernels);
  for (uint32_t i = 0; i < n_images; i++) {
    append_word(out, images[i]->n_bytes);
    append_word(out, images[i]->code_at);
  }
  for (uint32_t i = 0; i < n_kernels; i++) {
    append_digest(out, kernels[i].digest);
    append_word(out, kernels[i].image);
    append_word(out, kernels[i].offset);
  }
  static const char no_table[JM_IMAGE_TABLE];
  for (uint32_t i = 0; i < n_images; i++) {
    jm_text_append(out, no_table, sizeof no_table);
    jm_text_append(out, images[i]->bytes + sizeof no_table, images[i]->n_bytes - sizeof no_table);
  }
  if (out->failed) return;
  char *bytes = out->bytes + start;
  jm_sha256_digest(bytes + AT_IDENTITY, out->size - start - AT_IDENTITY, digest);
  memcpy(bytes + AT_DIGEST, digest, sizeof digest);
}

/* -- reading */

static jm_error *damaged(void) {
  return jm_error_invalid("the machine code of a serialized executable is damaged");
}

static jm_error *read_tables(const char *bytes, size_t n_bytes, jm_saved_code *saved) {
  uint64_t at = AT_IMAGES + (uint64_t)saved->n_images * IMAGE_BYTES;
  saved->bytes = bytes;
  saved->kernels = bytes + at;
  at += (uint64_t)saved->n_kernels * KERNEL_BYTES;
  if (at > n_bytes) return damaged();
  for (uint32_t i = 0; i < saved->n_images; i++) {
    uint64_t size = read_word(bytes + AT_IMAGES + (uint64_t)i * IMAGE_BYTES);
    if (size > n_bytes - at) return damaged();
    saved->images[i] = bytes + at;
    at += size;
  }
  if (at != n_bytes) return damaged();
  for (uint32_t i = 0; i < saved->n_kernels; i++) {
    const char *row = saved->kernels + (uint64_t)i * KERNEL_BYTES + JM_SHA256_BYTES;
    uint64_t image = read_word(row), offset = read_word(row + 8);
    if (image >= saved->n_images) return damaged();
    const char *fact = bytes + AT_IMAGES + image * IMAGE_BYTES;
    if (offset < read_word(fact + 8) || offset >= read_word(fact)) return damaged();
  }
  return NULL;
}

jm_error *jm_saved_code_open(const void *start, size_t n_bytes, jm_saved_code **out) {
  const char *bytes = start;
  unsigned char digest[JM_SHA256_BYTES];
  *out = NULL;
  if (n_bytes < AT_IMAGES || memcmp(bytes, magic, sizeof magic)) return damaged();
  jm_sha256_digest(bytes + AT_IDENTITY, n_bytes - AT_IDENTITY, digest);
  if (memcmp(bytes + AT_DIGEST, digest, sizeof digest)) return damaged();
  if (memcmp(bytes + AT_IDENTITY, jm_machine_identity(), JM_SHA256_BYTES)) return NULL;
  uint64_t n_images = read_word(bytes + AT_COUNTS), n_kernels = read_word(bytes + AT_COUNTS + 8);
  if (n_images > n_bytes / IMAGE_BYTES || n_kernels > n_bytes / KERNEL_BYTES) return damaged();
  jm_saved_code *saved = jm_alloc(1, sizeof *saved + n_images * sizeof(char *));
  if (!saved) return jm_error_out_of_memory();
  saved->n_images = (uint32_t)n_images;
  saved->n_kernels = (uint32_t)n_kernels;
  jm_error *error = read_tables(bytes, n_bytes, saved);
  if (error)
    jm_saved_code_close(saved);
  else
    *out = saved;
  return error;
}

void jm_saved_code_close(jm_saved_code *saved) { jm_free(saved); }

bool jm_saved_code_find(const jm_saved_code *saved, const char *text, size_t n_text,
                        jm_saved_kernel *out) {
  jm_sha256_digest(text, n_text, out->digest);
  for (uint32_t i = 0; i < saved->n_kernels; i++) {
    const char *row = saved->kernels + (uint64_t)i * KERNEL_BYTES;
    if (memcmp(row, out->digest, sizeof out->digest)) continue;
    out->image = (uint32_t)read_word(row + JM_SHA256_BYTES);
    out->offset = read_word(row + JM_SHA256_BYTES + 8);
    return true;
  }
  return false;
}

uint32_t jm_saved_code_images(const jm_saved_code *saved) { return saved->n_images; }

jm_error *jm_saved_code_map(const jm_saved_code *saved, uint32_t image, jm_image *out) {
  const char *fact = saved->bytes + AT_IMAGES + (uint64_t)image * IMAGE_BYTES;
  return jm_image_load(saved->images[image], read_word(fact), read_word(fact + 8), out);
}
