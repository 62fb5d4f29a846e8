/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdarg.h>
#include <stdint.h>
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

/* -- formats

   Kernels are printed to find their code, with LLVM to compile it: a hundred thousand short pieces.
   The C library's printf, asked for the size first, took as long as everything else that a start
   from a cache does. What is not in write_piece goes to it. */

static void append_number(jm_text *text, uint64_t value, unsigned base, bool negative) {
  char digits[24], *at = digits + sizeof digits;
  do {
    *--at = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  if (negative) *--at = '-';
  jm_text_append(text, at, (size_t)(digits + sizeof digits - at));
}

static void append_signed(jm_text *text, int64_t value) {
  append_number(text, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, value < 0);
}

/* The integer that a conversion takes: none, l, ll and z before it. */
typedef enum size_of { OF_INT, OF_LONG, OF_LONG_LONG, OF_SIZE } size_of;

static size_of read_size(const char **format) {
  const char *at = *format;
  size_of size = OF_INT;
  if (*at == 'z') {
    size = OF_SIZE;
    at++;
  } else {
    for (; *at == 'l' && size < OF_LONG_LONG; at++) size++;
  }
  *format = at;
  return size;
}

typedef struct arguments {
  va_list list;
} arguments;

static uint64_t take_unsigned(arguments *a, size_of size) {
  switch (size) {
    case OF_INT:
      return va_arg(a->list, unsigned);
    case OF_LONG:
      return va_arg(a->list, unsigned long);
    case OF_LONG_LONG:
      return va_arg(a->list, unsigned long long);
    case OF_SIZE:
      break;
  }
  return va_arg(a->list, size_t);
}

static int64_t take_signed(arguments *a, size_of size) {
  switch (size) {
    case OF_INT:
      return va_arg(a->list, int);
    case OF_LONG:
      return va_arg(a->list, long);
    case OF_LONG_LONG:
      return va_arg(a->list, long long);
    case OF_SIZE:
      break;
  }
  return (int64_t)va_arg(a->list, size_t);
}

/* One conversion, behind its '%'; false: it is for the C library. */
static bool write_piece(jm_text *text, const char **format, arguments *a) {
  const size_of size = read_size(format);
  const char *word;
  switch (*(*format)++) {
    case 'u':
      append_number(text, take_unsigned(a, size), 10, false);
      return true;
    case 'x':
      append_number(text, take_unsigned(a, size), 16, false);
      return true;
    case 'd':
      append_signed(text, take_signed(a, size));
      return true;
    case 's':
      if (size != OF_INT) return false;
      word = va_arg(a->list, const char *);
      if (!word) return false;
      jm_text_append(text, word, strlen(word));
      return true;
    case '%':
      if (size != OF_INT) return false;
      jm_text_append(text, "%", 1);
      return true;
    default:
      return false;
  }
}

static bool write_simply(jm_text *text, const char *format, arguments *a) {
  for (;;) {
    const char *end = format;
    while (*end && *end != '%') end++;
    jm_text_append(text, format, (size_t)(end - format));
    if (!*end) return true;
    format = end + 1;
    if (!write_piece(text, &format, a)) return false;
  }
}

void jm_text_printf(jm_text *text, const char *format, ...) {
  const size_t start = text->size;
  arguments args;
  va_start(args.list, format);
  const bool written = write_simply(text, format, &args);
  va_end(args.list);
  if (written) return;
  text->size = start;
  va_list list;
  va_start(list, format);
  int n = vsnprintf(NULL, 0, format, list);
  va_end(list);
  va_start(list, format);
  if (n >= 0 && reserve(text, (size_t)n)) {
    vsnprintf(text->bytes + text->size, (size_t)n + 1, format, list);
    text->size += (size_t)n;
  }
  va_end(list);
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
