/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/lex.h"

#include <stdio.h>
#include <string.h>

#include "ir/element.h"

static void place(const jm_lexer *lexer, const jm_token *token, unsigned *line, unsigned *column) {
  *line = *column = 1;
  for (const char *c = lexer->text; c < token->bytes; c++) {
    if (*c == '\n') ++*line;
    *column = *c == '\n' ? 1 : *column + 1;
  }
}

jm_error *jm_lex_error(const jm_lexer *lexer, const jm_token *token, const char *format, ...) {
  char what[256];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  unsigned line, column;
  place(lexer, token, &line, &column);
  return jm_error_invalid("line %u, column %u: %s", line, column, what);
}

jm_error *jm_lex_locate(const jm_lexer *lexer, const jm_token *token, jm_error *error) {
  unsigned line, column;
  if (!error) return NULL;
  place(lexer, token, &line, &column);
  return jm_error_note(error, "line %u, column %u", line, column);
}

static void skip(jm_lexer *lexer) {
  const char *text = lexer->text;
  while (lexer->at < lexer->size) {
    char c = text[lexer->at];
    if (c == '/' && lexer->size - lexer->at > 1 && text[lexer->at + 1] == '/') {
      const char *end = memchr(text + lexer->at, '\n', lexer->size - lexer->at);
      lexer->at = end ? (size_t)(end - text) : lexer->size;
    } else if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
      lexer->at++;
    } else {
      return;
    }
  }
}

static bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The characters from here on that satisfy the test. */
static jm_token take(jm_lexer *lexer, bool (*test)(char)) {
  size_t start = lexer->at;
  while (lexer->at < lexer->size && test(lexer->text[lexer->at]) && lexer->at - start < UINT32_MAX)
    lexer->at++;
  return (jm_token){lexer->text + start, (uint32_t)(lexer->at - start)};
}

jm_token jm_lex_here(jm_lexer *lexer) {
  skip(lexer);
  return (jm_token){lexer->text + lexer->at, 0};
}

char jm_lex_peek(jm_lexer *lexer) {
  skip(lexer);
  return lexer->at < lexer->size ? lexer->text[lexer->at] : 0;
}

bool jm_lex_accept(jm_lexer *lexer, const char *punctuation) {
  if (jm_lex_peek(lexer) != *punctuation) return false;
  lexer->at++;
  return true;
}

jm_error *jm_lex_expect(jm_lexer *lexer, const char *punctuation) {
  if (jm_lex_accept(lexer, punctuation)) return NULL;
  const jm_token at = jm_lex_here(lexer);
  return jm_lex_error(lexer, &at, "%s is missing", punctuation);
}

bool jm_lex_accept_word(jm_lexer *lexer, const char *word) {
  skip(lexer);
  size_t start = lexer->at;
  const jm_token token = take(lexer, is_word);
  if (token.size == strlen(word) && !memcmp(token.bytes, word, token.size)) return true;
  lexer->at = start;
  return false;
}

bool jm_lex_key(jm_lexer *lexer, jm_token *out) {
  skip(lexer);
  size_t start = lexer->at;
  *out = take(lexer, is_word);
  if (out->size && jm_lex_accept(lexer, "=")) return true;
  lexer->at = start;
  return false;
}

bool jm_lex_defines(jm_lexer *lexer) {
  skip(lexer);
  size_t start = lexer->at;
  jm_lex_accept(lexer, "%");
  take(lexer, is_word);
  bool defines = jm_lex_peek(lexer) == ':';
  lexer->at = start;
  return defines;
}

jm_error *jm_lex_word(jm_lexer *lexer, jm_token *out) {
  *out = jm_lex_here(lexer);
  *out = take(lexer, is_word);
  return out->size ? NULL : jm_lex_error(lexer, out, "a word is missing");
}

jm_error *jm_lex_value(jm_lexer *lexer, jm_token *out) {
  *out = jm_lex_here(lexer);
  if (jm_lex_accept(lexer, "%")) {
    const jm_token name = take(lexer, is_word);
    if (name.size) {
      *out = name;
      return NULL;
    }
  }
  return jm_lex_error(lexer, out, "a %%value is missing");
}

static bool is_number(char c) { return is_word(c) || c == '-' || c == '+' || c == '.'; }

jm_error *jm_lex_element(jm_lexer *lexer, jm_dtype dtype, void *out) {
  skip(lexer);
  const jm_token token = take(lexer, is_number);
  if (jm_element_read(dtype, token.bytes, token.size, out)) return NULL;
  return jm_lex_error(lexer, &token, "%.*s is no %s", (int)(token.size < 64 ? token.size : 64),
                      token.bytes, jm_dtype_name(dtype));
}

jm_error *jm_lex_integer(jm_lexer *lexer, int64_t *out) {
  return jm_lex_element(lexer, JM_DT_s64, out);
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* Two digits at this place; -1 if they aren't or if the text ends. */
static int hex_pair(const jm_lexer *lexer, size_t at) {
  if (lexer->size - at < 2) return -1;
  int high = hex_digit(lexer->text[at]), low = hex_digit(lexer->text[at + 1]);
  return high < 0 || low < 0 ? -1 : high << 4 | low;
}

jm_error *jm_lex_string(jm_lexer *lexer, jm_arena *arena, jm_str *out) {
  const jm_token at = jm_lex_here(lexer);
  if (!jm_lex_accept(lexer, "\"")) return jm_lex_error(lexer, &at, "a string is missing");
  const char *start = lexer->text + lexer->at;
  const char *end = memchr(start, '"', lexer->size - lexer->at); /* a quote inside is \22 */
  if (!end) return jm_lex_error(lexer, &at, "the string has no end");
  size_t longest = (size_t)(end - start), n = 0;
  if (longest > UINT32_MAX) return jm_lex_error(lexer, &at, "the string is too long");
  char *bytes = jm_arena_alloc(arena, longest + 1, 1);
  if (!bytes) return jm_error_out_of_memory();
  for (size_t i = lexer->at, stop = i + longest; i < stop; n++) {
    if (lexer->text[i] != '\\') {
      bytes[n] = lexer->text[i++];
      continue;
    }
    int byte = hex_pair(lexer, i + 1); /* the quote that ends the string is no digit */
    if (byte < 0) return jm_lex_error(lexer, &at, "two hexadecimal digits must follow \\");
    bytes[n] = (char)byte;
    i += 3;
  }
  lexer->at += longest + 1;
  *out = (jm_str){bytes, (uint32_t)n};
  return NULL;
}

jm_error *jm_lex_bytes(jm_lexer *lexer, jm_arena *arena, size_t size, const void **out) {
  const jm_token at = jm_lex_here(lexer);
  JM_TRY(jm_lex_expect(lexer, "\""));
  if (size > (lexer->size - lexer->at) / 2)
    return jm_lex_error(lexer, &at, "fewer bytes than the type has");
  char *bytes = jm_arena_alloc(arena, size, 1);
  if (!bytes) return jm_error_out_of_memory();
  for (size_t i = 0; i < size; i++, lexer->at += 2) {
    int byte = hex_pair(lexer, lexer->at);
    if (byte < 0) return jm_lex_error(lexer, &at, "%zu bytes in hexadecimal must follow", size);
    bytes[i] = (char)byte;
  }
  *out = bytes;
  return jm_lex_expect(lexer, "\"");
}
