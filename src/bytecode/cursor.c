/* SPDX-License-Identifier: Apache-2.0 */
#include "bytecode/cursor.h"

void jm_cursor_fail(jm_cursor *c, const char *what) {
  if (!c->error)
    c->error = jm_error_invalid("malformed MLIR bytecode: %s at byte %zu", what,
                                (size_t)(c->at - c->file));
  c->at = c->end;
}

void jm_cursor_fail_number(jm_cursor *c, const char *what, uint64_t number) {
  if (!c->error)
    c->error = jm_error_invalid("malformed MLIR bytecode: %s %llu at byte %zu", what,
                                (unsigned long long)number, (size_t)(c->at - c->file));
  c->at = c->end;
}

jm_error *jm_cursor_finish(jm_cursor *c, const char *what) {
  if (!c->error && c->at != c->end)
    c->error = jm_error_invalid("malformed MLIR bytecode: %zu bytes too many in %s at byte %zu",
                                jm_cursor_left(c), what, (size_t)(c->at - c->file));
  jm_error *error = c->error;
  c->error = NULL;
  return error;
}

uint64_t jm_cursor_long_varint(jm_cursor *c, uint8_t first) {
  unsigned more = first ? (unsigned)__builtin_ctz(first) : 8;
  const uint8_t *bytes = jm_cursor_bytes(c, more);
  if (c->error) return 0;
  uint64_t v = 0;
  for (unsigned i = more; i-- > 0;) v = v << 8 | bytes[i];
  if (!first) return v;
  return v << (7 - more) | (uint64_t)first >> (more + 1);
}

uint8_t jm_cursor_section(jm_cursor *c, jm_cursor *content) {
  enum { HAS_ALIGNMENT = 0x80, PADDING = 0xCB };
  uint8_t id = jm_cursor_byte(c);
  uint64_t size = jm_cursor_varint(c);
  if (id & HAS_ALIGNMENT) {
    uint64_t alignment = jm_cursor_varint(c);
    if (!alignment) jm_cursor_fail(c, "alignment 0");
    while (!c->error && (uint64_t)(c->at - c->file) % alignment)
      if (jm_cursor_byte(c) != PADDING) jm_cursor_fail(c, "bad padding");
  }
  if (!c->error && size > jm_cursor_left(c))
    jm_cursor_fail_number(c, "section past the end, of size", size);
  const uint8_t *start = jm_cursor_bytes(c, c->error ? 0 : size);
  *content = (jm_cursor){start, c->at, c->file, NULL};
  return id & (HAS_ALIGNMENT - 1);
}
