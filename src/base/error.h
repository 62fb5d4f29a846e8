/* SPDX-License-Identifier: Apache-2.0
 * Errors as values: a function that can fail returns jm_error *, NULL is success. The codes are
 * those of PJRT (and absl), so that an error crosses the C API unchanged. Making an error cannot
 * fail: without memory it becomes the static out-of-memory error. Nothing here exits or prints. */
#ifndef JM_BASE_ERROR_H
#define JM_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum jm_code {
  JM_OK = 0,
  JM_CANCELLED = 1,
  JM_UNKNOWN = 2,
  JM_INVALID_ARGUMENT = 3,
  JM_DEADLINE_EXCEEDED = 4,
  JM_NOT_FOUND = 5,
  JM_ALREADY_EXISTS = 6,
  JM_PERMISSION_DENIED = 7,
  JM_RESOURCE_EXHAUSTED = 8,
  JM_FAILED_PRECONDITION = 9,
  JM_ABORTED = 10,
  JM_OUT_OF_RANGE = 11,
  JM_UNIMPLEMENTED = 12,
  JM_INTERNAL = 13,
  JM_UNAVAILABLE = 14,
  JM_DATA_LOSS = 15,
  JM_UNAUTHENTICATED = 16,
} jm_code;

typedef struct jm_error jm_error;

#define JM_MUST_USE __attribute__((warn_unused_result))
#define JM_NONNULL __attribute__((returns_nonnull))
#define JM_PRINTF(text, first) __attribute__((format(printf, text, first)))

/* The only macro that returns. */
#define JM_TRY(expr)                       \
  do {                                     \
    jm_error *jm_try_error = (expr);       \
    if (jm_try_error) return jm_try_error; \
  } while (0)

/* A new error; the caller owns it. */
jm_error *jm_error_create(jm_code code, const char *format, ...)
    JM_PRINTF(2, 3) JM_MUST_USE JM_NONNULL;
#define jm_error_invalid(...) jm_error_create(JM_INVALID_ARGUMENT, __VA_ARGS__)
#define jm_error_unimplemented(...) jm_error_create(JM_UNIMPLEMENTED, __VA_ARGS__)
#define jm_error_internal(...) jm_error_create(JM_INTERNAL, __VA_ARGS__)

/* The static RESOURCE_EXHAUSTED error; destroying it does nothing. */
jm_error *jm_error_out_of_memory(void) JM_MUST_USE JM_NONNULL;

/* Adds context on the way up: the text becomes "<old>; <note>". Takes and returns the error (NULL
 * stays NULL). */
jm_error *jm_error_note(jm_error *error, const char *format, ...) JM_PRINTF(2, 3) JM_MUST_USE;

/* A copy with a life of its own, for errors reported at several values. */
jm_error *jm_error_clone(const jm_error *error) JM_MUST_USE;

void jm_error_destroy(jm_error *error);              /* NULL is allowed */
jm_code jm_error_code(const jm_error *error);        /* JM_OK for NULL */
const char *jm_error_message(const jm_error *error); /* "" for NULL; lives as long as the error */
const char *jm_code_name(jm_code code);              /* "INVALID_ARGUMENT" */

#endif
