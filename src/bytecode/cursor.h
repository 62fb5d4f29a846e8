/* SPDX-License-Identifier: Apache-2.0
 * A bounded cursor over untrusted bytes with a sticky error: after the first failure every read
 * gives 0 and the cursor is empty, so that readers check once, at the end. It reads the primitive
 * encodings of MLIR bytecode. It knows no sections and allocates nothing but the error. */
#ifndef JM_BYTECODE_CURSOR_H
#define JM_BYTECODE_CURSOR_H

#include <string.h>

#include "base/error.h"
#include "bytecode/bytecode.h"

typedef struct jm_cursor {
  const uint8_t *at, *end;
  const uint8_t *file; /* start of the input: errors give offsets from here */
  jm_error *error;     /* the first one */
} jm_cursor;

static inline size_t jm_cursor_left(const jm_cursor *c) { return (size_t)(c->end - c->at); }

/* Records the error unless there is one already, and empties the cursor. */
void jm_cursor_fail(jm_cursor *c, const char *what);
/* The same with a number: the text is "<what> <number>". */
void jm_cursor_fail_number(jm_cursor *c, const char *what, uint64_t number);

/* Takes the error out; bytes that were left unread are one. */
jm_error *jm_cursor_finish(jm_cursor *c, const char *what) JM_MUST_USE;

uint64_t jm_cursor_long_varint(jm_cursor *c, uint8_t first);

static inline uint8_t jm_cursor_byte(jm_cursor *c) {
  if (c->at == c->end) {
    jm_cursor_fail(c, "unexpected end");
    return 0;
  }
  return *c->at++;
}

/* The count of trailing zero bits of the first byte is the number of bytes that follow it. */
static inline uint64_t jm_cursor_varint(jm_cursor *c) {
  uint8_t first = jm_cursor_byte(c);
  if (first & 1) return first >> 1;
  return c->error ? 0 : jm_cursor_long_varint(c, first);
}

static inline int64_t jm_cursor_svarint(jm_cursor *c) {
  uint64_t v = jm_cursor_varint(c);
  return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

static inline uint64_t jm_cursor_varint_flag(jm_cursor *c, bool *flag) {
  uint64_t v = jm_cursor_varint(c);
  *flag = v & 1;
  return v >> 1;
}

static inline const uint8_t *jm_cursor_bytes(jm_cursor *c, uint64_t n) {
  if (n > jm_cursor_left(c)) {
    jm_cursor_fail(c, "unexpected end");
    return c->at;
  }
  const uint8_t *bytes = c->at;
  c->at += n;
  return bytes;
}

/* A count of items that take at least one byte each: more than the bytes left is an error. */
static inline uint32_t jm_cursor_count(jm_cursor *c, uint64_t n) {
  if (n > jm_cursor_left(c)) {
    jm_cursor_fail_number(c, "there are too few bytes for a count of", n);
    return 0;
  }
  return (uint32_t)n; /* inputs are shorter than 4 GiB */
}

/* An index into a table of n entries. */
static inline uint32_t jm_cursor_index(jm_cursor *c, uint64_t index, uint32_t n, const char *what) {
  if (index >= n) {
    jm_cursor_fail_number(c, what, index);
    return 0;
  }
  return (uint32_t)index;
}

/* Reads a section's header: its id, and a cursor over its content. */
uint8_t jm_cursor_section(jm_cursor *c, jm_cursor *content);

#endif
