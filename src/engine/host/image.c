/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/image.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/host/elf.h"

#if defined(__APPLE__) && defined(__aarch64__)
#define JM_MAP_JIT 1
#include <libkern/OSCacheControl.h>
#include <pthread.h>
#else
#define JM_MAP_JIT 0
#endif

/* -- memory: written by map and before protect, executable after it */

static size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

static size_t page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

#if JM_MAP_JIT
/* Apple's processors switch such memory between writing and running for each thread. */
static void *map(size_t n) {
  void *bytes = mmap(NULL, n, PROT_READ | PROT_WRITE | PROT_EXEC,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_JIT, -1, 0);
  if (bytes != MAP_FAILED) pthread_jit_write_protect_np(false);
  return bytes;
}

static bool protect(const jm_image *image) {
  pthread_jit_write_protect_np(true);
  sys_icache_invalidate(image->bytes, image->n_bytes);
  return true;
}
#else
static void *map(size_t n) {
  return mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static bool protect(const jm_image *image) {
  char *code = image->bytes + image->code_at, *end = image->bytes + image->n_bytes;
  if (mprotect(image->bytes, image->code_at, PROT_READ)) return false;
  if (mprotect(code, (size_t)(end - code), PROT_READ | PROT_EXEC)) return false;
  __builtin___clear_cache(code, end);
  return true;
}
#endif

static jm_error *map_image(size_t n_bytes, size_t code_at, jm_image *out) {
  void *bytes = map(n_bytes);
  if (bytes == MAP_FAILED) return jm_error_out_of_memory();
  *out = (jm_image){bytes, n_bytes, code_at};
  memcpy(bytes, jm_kcall_functions, JM_IMAGE_TABLE);
  return NULL;
}

/* Ends the writing, that of an image that came to nothing, too: it is unmapped then. */
static jm_error *finish(jm_image *image, jm_error *error) {
  if (!protect(image) && !error)
    error = jm_error_create(JM_PERMISSION_DENIED, "memory can't be made executable here");
  if (error) jm_image_unmap(image);
  return error;
}

jm_error *jm_image_load(const void *bytes, size_t n_bytes, size_t code_at, jm_image *out) {
  if (code_at >= n_bytes || !code_at || code_at % page_bytes())
    return jm_error_invalid("machine code from byte %zu of %zu on", code_at, n_bytes);
  JM_TRY(map_image(n_bytes, code_at, out));
  memcpy(out->bytes + JM_IMAGE_TABLE, (const char *)bytes + JM_IMAGE_TABLE,
         n_bytes - JM_IMAGE_TABLE);
  return finish(out, NULL);
}

void jm_image_unmap(jm_image *image) {
  if (image->bytes) munmap(image->bytes, image->n_bytes);
  *image = (jm_image){0};
}

/* -- linking */

/* Where the sections lie in the image: behind the table constants, then, from a new page on,
 * instructions. */
static jm_error *lay_out(const jm_elf *elf, uint64_t *places, size_t *n_bytes, size_t *code_at) {
  size_t at = JM_IMAGE_TABLE;
  for (int executable = 0; executable < 2; executable++) {
    if (executable) *code_at = at = round_up(at, page_bytes());
    for (uint32_t i = 0; i < elf->n_sections; i++) {
      jm_elf_section section;
      JM_TRY(jm_elf_read_section(elf, i, &section));
      places[i] = executable ? places[i] : JM_ELF_UNPLACED;
      if (!section.loaded || section.executable != executable) continue;
      if (section.alignment > page_bytes())
        return jm_error_internal("an object's section is aligned to %llu bytes",
                                 (unsigned long long)section.alignment);
      places[i] = at = round_up(at, section.alignment ? section.alignment : 1);
      at += section.size;
    }
  }
  *n_bytes = at;
  return *code_at < at ? NULL : jm_error_internal("an object without code");
}

static jm_error *fill(const jm_elf *elf, const uint64_t *places, const jm_image *image) {
  for (uint32_t i = 0; i < elf->n_sections; i++) {
    if (places[i] == JM_ELF_UNPLACED) continue;
    jm_elf_section section;
    JM_TRY(jm_elf_read_section(elf, i, &section));
    memcpy(image->bytes + places[i], section.bytes, section.size);
  }
  return jm_elf_relocate(elf, places, image->bytes, image->n_bytes);
}

static jm_error *find_symbols(const jm_elf *elf, const uint64_t *places, const jm_image *image,
                              const char *const *symbols, uint32_t n_symbols, uint64_t *offsets) {
  for (uint32_t i = 0; i < n_symbols; i++) {
    JM_TRY(jm_elf_find_symbol(elf, symbols[i], places, &offsets[i]));
    if (offsets[i] < image->code_at || offsets[i] >= image->n_bytes)
      return jm_error_internal("an object's symbol %s is no function", symbols[i]);
  }
  return NULL;
}

jm_error *jm_image_link(const void *object, size_t n_object, const char *const *symbols,
                        uint32_t n_symbols, uint64_t *offsets, jm_image *out) {
  jm_elf elf;
  JM_TRY(jm_elf_open(object, n_object, &elf));
  uint64_t *places = jm_alloc(elf.n_sections, sizeof *places);
  if (!places) return jm_error_out_of_memory();
  size_t n_bytes, code_at;
  jm_error *error = lay_out(&elf, places, &n_bytes, &code_at);
  if (!error) error = map_image(n_bytes, code_at, out);
  if (!error) {
    error = fill(&elf, places, out);
    if (!error) error = find_symbols(&elf, places, out, symbols, n_symbols, offsets);
    error = finish(out, error);
  }
  jm_free(places);
  return error;
}
