/* SPDX-License-Identifier: Apache-2.0
 * Declarations that the files of the container's reader share. Private to bytecode/. */
#ifndef JM_BYTECODE_READER_H
#define JM_BYTECODE_READER_H

#include "bytecode/cursor.h"

/* The position of an attribute's or type's encoding. */
typedef struct jm_wire_entry {
  uint32_t offset, size; /* in the input */
  uint8_t dialect;       /* jm_wire_dialect */
  bool coded;            /* false: assembly text */
} jm_wire_entry;

/* Growing lists that an entry's fields are collected in, reused from entry to entry. */
typedef struct jm_wire_lists {
  uint32_t *refs; /* attributes of an attribute, types of a type */
  int64_t *ints;
  uint32_t n_refs, n_ints, refs_capacity, ints_capacity;
} jm_wire_lists;

/* The slices of the properties section. */
typedef struct jm_wire_properties {
  uint32_t n;
  uint32_t *offsets, *sizes;
} jm_wire_properties;

/* Reads the IR section into bytecode->top. */
jm_error *jm_bytecode_read_ir(jm_bytecode *bytecode, jm_cursor section,
                              const jm_wire_properties *properties) JM_MUST_USE;

static inline jm_cursor jm_bytecode_cursor(const jm_bytecode *b, uint32_t offset, uint32_t size) {
  return (jm_cursor){b->file + offset, b->file + offset + size, b->file, NULL};
}

#endif
