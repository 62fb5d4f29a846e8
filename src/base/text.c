/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdio.h>
#include <string.h>

void jm_text_init(jm_text *text) { *text = (jm_text){0}; }

void jm_text_deinit(jm_text *text) {
  jm_free(text->bytes);
  *text = (jm_text){0};
}

static bool reserve(jm_text *text, size_t more) {
  if (text->failed) return false;
  size_t needed;
  if (!jm_size_add(text->size, more, &needed) || !jm_size_add(needed, 1, &needed)) {
    text->failed = true;
    return false;
  }
  if (needed <= text->capacity) return true;
  size_t capacity = text->capacity * 2 > needed ? text->capacity * 2 : needed + 64;
  char *bytes = jm_realloc(text->bytes, capacity, 1);
  if (!bytes) {
    text->failed = true;
    return false;
  }
  text->bytes = bytes;
  text->capacity = capacity;
  return true;
}

void jm_text_append(jm_text *text, const char *bytes, size_t size) {
  if (!reserve(text, size)) return;
  if (size) memcpy(text->bytes + text->size, bytes, size);
  text->size += size;
  text->bytes[text->size] = 0;
}

void jm_text_printf(jm_text *text, const char *format, ...) {
  va_list args, copy;
  va_start(args, format);
  va_copy(copy, args);
  int n = vsnprintf(NULL, 0, format, copy);
  va_end(copy);
  if (n >= 0 && reserve(text, (size_t)n)) {
    vsnprintf(text->bytes + text->size, (size_t)n + 1, format, args);
    text->size += (size_t)n;
  }
  va_end(args);
}

void jm_text_quote(jm_text *text, const char *bytes, size_t size) {
  jm_text_append(text, "\"", 1);
  for (size_t i = 0; i < size; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (c == '"' || c == '\\' || c < 0x20 || c > 0x7e)
      jm_text_printf(text, "\\%02X", c);
    else
      jm_text_append(text, bytes + i, 1);
  }
  jm_text_append(text, "\"", 1);
}

void jm_text_quote_json(jm_text *text, const char *bytes, size_t size) {
  jm_text_append(text, "\"", 1);
  for (size_t i = 0; i < size; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (c < 0x20)
      jm_text_printf(text, "\\u%04x", c);
    else if (c == '"' || c == '\\')
      jm_text_printf(text, "\\%c", c);
    else
      jm_text_append(text, bytes + i, 1);
  }
  jm_text_append(text, "\"", 1);
}

const char *jm_text_bytes(const jm_text *text) { return text->bytes ? text->bytes : ""; }

jm_error *jm_text_error(const jm_text *text) {
  return text->failed ? jm_error_out_of_memory() : NULL;
}
