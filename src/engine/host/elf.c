/* SPDX-License-Identifier: Apache-2.0
 * Numbers are those of the ELF specification and of its supplements for x86-64 (System V ABI, AMD64
 * supplement, table 4.9) and arm64 (ELF for the Arm 64-bit Architecture, section 5.7). */
#include "engine/host/elf.h"

#include <string.h>

enum {
  HEADER_BYTES = 64,
  SECTION_BYTES = 64,
  SYMBOL_BYTES = 24,
  RELA_BYTES = 24,
  /* types of sections */
  SECTION_SYMBOLS = 2,
  SECTION_RELA = 4,
  SECTION_EMPTY = 8,
  SECTION_REL = 9,
  /* flags of sections */
  FLAG_WRITE = 1,
  FLAG_LOAD = 2,
  FLAG_EXECUTE = 4,
  UNDEFINED = 0,
};

static uint64_t read_number(const char *bytes, int size) {
  uint64_t value = 0;
  for (int i = 0; i < size; i++) value |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
  return value;
}

static jm_error *damaged(void) {
  return jm_error_internal("an object file is not as LLVM makes it");
}

static bool holds(const jm_elf *elf, uint64_t at, uint64_t size) {
  return at <= elf->n_bytes && size <= elf->n_bytes - at;
}

jm_error *jm_elf_open(const void *bytes, size_t n_bytes, jm_elf *out) {
  static const char start[] = {0x7f, 'E', 'L', 'F', 2, 1}; /* of 64 bits, little-endian */
  *out = (jm_elf){.bytes = bytes, .n_bytes = n_bytes};
  if (n_bytes < HEADER_BYTES || memcmp(bytes, start, sizeof start)) return damaged();
  out->machine = (uint32_t)read_number(out->bytes + 18, 2);
  out->section_table = read_number(out->bytes + 40, 8);
  out->n_sections = (uint32_t)read_number(out->bytes + 60, 2);
  if (read_number(out->bytes + 58, 2) != SECTION_BYTES ||
      !holds(out, out->section_table, (uint64_t)out->n_sections * SECTION_BYTES))
    return damaged();
  return NULL;
}

/* -- sections */

typedef struct raw_section {
  uint64_t name, type, flags, at, size, link, info, alignment;
} raw_section;

static jm_error *read_raw(const jm_elf *elf, uint64_t index, raw_section *out) {
  if (index >= elf->n_sections) return damaged();
  const char *s = elf->bytes + elf->section_table + index * SECTION_BYTES;
  *out = (raw_section){.name = read_number(s, 4),
                       .type = read_number(s + 4, 4),
                       .flags = read_number(s + 8, 8),
                       .at = read_number(s + 24, 8),
                       .size = read_number(s + 32, 8),
                       .link = read_number(s + 40, 4),
                       .info = read_number(s + 44, 4),
                       .alignment = read_number(s + 48, 8)};
  return out->type == SECTION_EMPTY || holds(elf, out->at, out->size) ? NULL : damaged();
}

/* A NUL-terminated string of a table. */
static jm_error *read_string(const jm_elf *elf, uint64_t table, uint64_t at, const char **out) {
  raw_section strings;
  JM_TRY(read_raw(elf, table, &strings));
  if (at >= strings.size || !memchr(elf->bytes + strings.at + at, 0, strings.size - at))
    return damaged();
  *out = elf->bytes + strings.at + at;
  return NULL;
}

jm_error *jm_elf_read_section(const jm_elf *elf, uint32_t index, jm_elf_section *out) {
  raw_section raw;
  JM_TRY(read_raw(elf, index, &raw));
  const bool loaded = (raw.flags & FLAG_LOAD) && raw.size;
  if (loaded && (raw.type == SECTION_EMPTY || (raw.flags & FLAG_WRITE)))
    return jm_error_internal("an object of kernels has memory of its own that is written");
  *out = (jm_elf_section){.bytes = elf->bytes + raw.at,
                          .size = raw.size,
                          .alignment = raw.alignment,
                          .loaded = loaded,
                          .executable = raw.flags & FLAG_EXECUTE};
  return NULL;
}

/* -- symbols */

/* The place of a symbol in the image. */
static jm_error *read_symbol(const jm_elf *elf, const raw_section *table, uint64_t index,
                             const uint64_t *places, uint64_t *out) {
  if (index >= table->size / SYMBOL_BYTES) return damaged();
  const char *symbol = elf->bytes + table->at + index * SYMBOL_BYTES;
  uint64_t section = read_number(symbol + 6, 2);
  if (section == UNDEFINED || section >= elf->n_sections || places[section] == JM_ELF_UNPLACED) {
    const char *name;
    JM_TRY(read_string(elf, table->link, read_number(symbol, 4), &name));
    *out = 0;
    if (section == UNDEFINED && !strcmp(name, JM_ELF_OUTSIDE)) return NULL;
    return jm_error_internal("an object of kernels needs the symbol '%s' from outside", name);
  }
  *out = places[section] + read_number(symbol + 8, 8);
  return NULL;
}

static jm_error *find_in_table(const jm_elf *elf, const raw_section *table, const char *name,
                               uint64_t *index) {
  for (*index = 0; *index < table->size / SYMBOL_BYTES; ++*index) {
    const char *found;
    uint64_t at = read_number(elf->bytes + table->at + *index * SYMBOL_BYTES, 4);
    JM_TRY(read_string(elf, table->link, at, &found));
    if (!strcmp(found, name)) return NULL;
  }
  return jm_error_internal("LLVM lost the function %s", name);
}

jm_error *jm_elf_find_symbol(const jm_elf *elf, const char *name, const uint64_t *places,
                             uint64_t *out) {
  for (uint32_t i = 0; i < elf->n_sections; i++) {
    raw_section table;
    uint64_t index;
    JM_TRY(read_raw(elf, i, &table));
    if (table.type != SECTION_SYMBOLS) continue;
    JM_TRY(find_in_table(elf, &table, name, &index));
    return read_symbol(elf, &table, index, places, out);
  }
  return damaged();
}

/* -- relocations: one is a row, "field of the place = bits [from, from + n) of the value" */

typedef enum value_kind {
  TO_PLACE, /* S + A - P */
  TO_PAGE,  /* page of S + A - page of P, pages of 4 KiB */
  IN_PAGE,  /* S + A within its page */
} value_kind;

typedef struct relocation {
  uint32_t machine, type;
  value_kind kind;
  int bytes;          /* of the place */
  int from, n, field; /* n bits go to bit `field`; n == 8 * bytes: the whole place */
  bool checked;       /* the value has no more bits, but for its sign */
} relocation;

enum { ADR_LO21 = 274, ADR_PAGE_HI21 = 275 }; /* of arm64: their bits lie in two fields */

static const relocation relocations[] = {
    {JM_ELF_X86_64, 2, TO_PLACE, 4, 0, 32, 0, true},   /* PC32 */
    {JM_ELF_X86_64, 4, TO_PLACE, 4, 0, 32, 0, true},   /* PLT32, to a function of the object */
    {JM_ELF_X86_64, 24, TO_PLACE, 8, 0, 64, 0, false}, /* PC64 */
    {JM_ELF_ARM64, 260, TO_PLACE, 8, 0, 64, 0, false}, /* PREL64 */
    {JM_ELF_ARM64, 261, TO_PLACE, 4, 0, 32, 0, true},  /* PREL32 */
    {JM_ELF_ARM64, ADR_LO21, TO_PLACE, 4, 2, 19, 5, true},
    {JM_ELF_ARM64, ADR_PAGE_HI21, TO_PAGE, 4, 2, 19, 5, true},
    {JM_ELF_ARM64, 277, IN_PAGE, 4, 0, 12, 10, false}, /* ADD_ABS_LO12_NC */
    {JM_ELF_ARM64, 278, IN_PAGE, 4, 0, 12, 10, false}, /* LDST8_ABS_LO12_NC */
    {JM_ELF_ARM64, 279, TO_PLACE, 4, 2, 14, 5, true},  /* TSTBR14 */
    {JM_ELF_ARM64, 280, TO_PLACE, 4, 2, 19, 5, true},  /* CONDBR19 */
    {JM_ELF_ARM64, 282, TO_PLACE, 4, 2, 26, 0, true},  /* JUMP26 */
    {JM_ELF_ARM64, 283, TO_PLACE, 4, 2, 26, 0, true},  /* CALL26 */
    {JM_ELF_ARM64, 284, IN_PAGE, 4, 1, 11, 10, false}, /* LDST16_ABS_LO12_NC */
    {JM_ELF_ARM64, 285, IN_PAGE, 4, 2, 10, 10, false}, /* LDST32_ABS_LO12_NC */
    {JM_ELF_ARM64, 286, IN_PAGE, 4, 3, 9, 10, false},  /* LDST64_ABS_LO12_NC */
    {JM_ELF_ARM64, 299, IN_PAGE, 4, 4, 8, 10, false},  /* LDST128_ABS_LO12_NC */
};

static const relocation *find_relocation(uint32_t machine, uint64_t type) {
  for (size_t i = 0; i < sizeof relocations / sizeof *relocations; i++)
    if (relocations[i].machine == machine && relocations[i].type == type) return &relocations[i];
  return NULL;
}

static void write_bits(char *place, int bytes, uint64_t value, int n, int field) {
  const uint64_t mask = (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << field;
  uint64_t word = (read_number(place, bytes) & ~mask) | (value << field & mask);
  for (int i = 0; i < bytes; i++) place[i] = (char)(word >> (8 * i));
}

static int64_t find_value(value_kind kind, uint64_t target, uint64_t place) {
  switch (kind) {
    case TO_PLACE:
      return (int64_t)(target - place);
    case TO_PAGE:
      return (int64_t)((target >> 12) - (place >> 12));
    case IN_PAGE:
      return (int64_t)(target & 4095);
  }
  return 0;
}

static bool fits(int64_t value, int bits) {
  return value >= -(INT64_C(1) << (bits - 1)) && value < INT64_C(1) << (bits - 1);
}

/* target and place: bytes from the image's start. */
static jm_error *relocate(uint32_t machine, uint64_t type, uint64_t target, uint64_t place,
                          char *image, size_t n_bytes) {
  const relocation *r = find_relocation(machine, type);
  if (!r)
    return jm_error_internal("an object of kernels has relocation %llu of machine %u",
                             (unsigned long long)type, (unsigned)machine);
  if (n_bytes < (size_t)r->bytes || place > n_bytes - (size_t)r->bytes) return damaged();
  int64_t value = find_value(r->kind, target, place);
  if (r->checked && !fits(value, r->n + r->from))
    return jm_error_internal("relocation %llu of an object does not reach",
                             (unsigned long long)type);
  write_bits(image + place, r->bytes, (uint64_t)(value >> r->from), r->n, r->field);
  if (machine == JM_ELF_ARM64 && (type == ADR_LO21 || type == ADR_PAGE_HI21))
    write_bits(image + place, r->bytes, (uint64_t)value, 2, 29);
  return NULL;
}

static jm_error *relocate_section(const jm_elf *elf, const raw_section *list,
                                  const uint64_t *places, char *image, size_t n_bytes) {
  raw_section symbols;
  JM_TRY(read_raw(elf, list->link, &symbols));
  for (uint64_t i = 0; i < list->size / RELA_BYTES; i++) {
    const char *entry = elf->bytes + list->at + i * RELA_BYTES;
    uint64_t info = read_number(entry + 8, 8), target;
    JM_TRY(read_symbol(elf, &symbols, info >> 32, places, &target));
    JM_TRY(relocate(elf->machine, info & UINT32_MAX, target + read_number(entry + 16, 8),
                    places[list->info] + read_number(entry, 8), image, n_bytes));
  }
  return NULL;
}

jm_error *jm_elf_relocate(const jm_elf *elf, const uint64_t *places, char *image, size_t n_bytes) {
  for (uint32_t i = 0; i < elf->n_sections; i++) {
    raw_section list;
    JM_TRY(read_raw(elf, i, &list));
    if (list.type != SECTION_RELA && list.type != SECTION_REL) continue;
    if (list.info >= elf->n_sections) return damaged();
    if (places[list.info] == JM_ELF_UNPLACED) continue;
    if (list.type == SECTION_REL) return damaged(); /* neither machine has them */
    JM_TRY(relocate_section(elf, &list, places, image, n_bytes));
  }
  return NULL;
}
