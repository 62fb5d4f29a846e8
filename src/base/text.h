/* SPDX-License-Identifier: Apache-2.0
 * A growing piece of text. Lack of memory is recorded and reported once, at the end, so that
 * printers need no checks in between. */
#ifndef JM_BASE_TEXT_H
#define JM_BASE_TEXT_H

#include "base/alloc.h"

typedef struct jm_text {
  char *bytes; /* NUL-terminated once something was added */
  size_t size, capacity;
  bool failed;
} jm_text;

void jm_text_init(jm_text *text);
void jm_text_deinit(jm_text *text);
void jm_text_append(jm_text *text, const char *bytes, size_t size);
void jm_text_printf(jm_text *text, const char *format, ...) JM_PRINTF(2, 3);
/* "…" with quotes, backslashes and bytes outside printable ASCII escaped as \XX */
void jm_text_quote(jm_text *text, const char *bytes, size_t size);
/* The same as a JSON string. Bytes that aren't ASCII pass: names in sources are UTF-8. */
void jm_text_quote_json(jm_text *text, const char *bytes, size_t size);
/* The bytes so far, never NULL. */
const char *jm_text_bytes(const jm_text *text);
jm_error *jm_text_error(const jm_text *text) JM_MUST_USE;

#endif
