/* SPDX-License-Identifier: Apache-2.0
 * The words of the IR's text form (docs/IR.md): a bounded cursor over untrusted text. Each function
 * skips white space and comments first. Errors are INVALID_ARGUMENT with line and column. */
#ifndef JM_IR_LEX_H
#define JM_IR_LEX_H

#include "base/alloc.h"
#include "base/dtype.h"
#include "ir/attr.h"

typedef struct jm_lexer {
  const char *text;
  size_t size, at;
} jm_lexer;

typedef struct jm_token {
  const char *bytes; /* in the text */
  uint32_t size;
} jm_token;

/* "line 3, column 14: ..." at a token of the text */
jm_error *jm_lex_error(const jm_lexer *lexer, const jm_token *token, const char *format, ...)
    JM_PRINTF(3, 4) JM_MUST_USE;
/* Adds the place to an error that was made elsewhere; NULL stays NULL. */
jm_error *jm_lex_locate(const jm_lexer *lexer, const jm_token *token, jm_error *error) JM_MUST_USE;

/* The place of the next token. */
jm_token jm_lex_here(jm_lexer *lexer);
/* The next character, 0 at the end (and for a zero byte, which nothing accepts). */
char jm_lex_peek(jm_lexer *lexer);
/* Takes this punctuation, or this whole word, if it comes next. */
bool jm_lex_accept(jm_lexer *lexer, const char *punctuation);
bool jm_lex_accept_word(jm_lexer *lexer, const char *word);
jm_error *jm_lex_expect(jm_lexer *lexer, const char *punctuation) JM_MUST_USE;
/* Takes `word=` if it comes next. */
bool jm_lex_key(jm_lexer *lexer, jm_token *out);
/* Whether `%name:` comes next; takes nothing. */
bool jm_lex_defines(jm_lexer *lexer);

jm_error *jm_lex_word(jm_lexer *lexer, jm_token *out) JM_MUST_USE;
/* %name, without the % */
jm_error *jm_lex_value(jm_lexer *lexer, jm_token *out) JM_MUST_USE;
jm_error *jm_lex_integer(jm_lexer *lexer, int64_t *out) JM_MUST_USE;
/* An element of this type (ir/element.h), not complex. */
jm_error *jm_lex_element(jm_lexer *lexer, jm_dtype dtype, void *out) JM_MUST_USE;
/* "..." with \XX for any byte; NUL-terminated, in the arena */
jm_error *jm_lex_string(jm_lexer *lexer, jm_arena *arena, jm_str *out) JM_MUST_USE;
/* "..." of exactly 2 * size hexadecimal digits */
jm_error *jm_lex_bytes(jm_lexer *lexer, jm_arena *arena, size_t size, const void **out) JM_MUST_USE;

#endif
