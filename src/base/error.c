/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

struct jm_error {
  jm_code code;
  char *message; /* owned, except for the static error */
};

static jm_error out_of_memory = {JM_RESOURCE_EXHAUSTED, (char *)"out of memory"};

jm_error *jm_error_out_of_memory(void) { return &out_of_memory; }

static char *format_text(const char *prefix, const char *format, va_list args) {
  va_list copy;
  va_copy(copy, args);
  int n = vsnprintf(NULL, 0, format, copy);
  va_end(copy);
  if (n < 0) return NULL;
  size_t prefix_size = strlen(prefix);
  char *text = jm_alloc(prefix_size + (size_t)n + 1, 1);
  if (!text) return NULL;
  memcpy(text, prefix, prefix_size);
  vsnprintf(text + prefix_size, (size_t)n + 1, format, args);
  return text;
}

jm_error *jm_error_create(jm_code code, const char *format, ...) {
  jm_error *error = jm_alloc(1, sizeof *error);
  if (!error) return &out_of_memory;
  va_list args;
  va_start(args, format);
  error->code = code;
  error->message = format_text("", format, args);
  va_end(args);
  if (!error->message) {
    jm_free(error);
    return &out_of_memory;
  }
  return error;
}

jm_error *jm_error_note(jm_error *error, const char *format, ...) {
  if (error == &out_of_memory) error = jm_error_create(error->code, "%s", error->message);
  if (!error || error == &out_of_memory) return error;
  size_t size = strlen(error->message); /* a callback's text is long, and its end says the most */
  char *prefix = jm_alloc(size + 3, 1);
  if (!prefix) return error;
  memcpy(prefix, error->message, size);
  memcpy(prefix + size, "; ", 3);
  va_list args;
  va_start(args, format);
  char *text = format_text(prefix, format, args);
  va_end(args);
  jm_free(prefix);
  if (text) {
    jm_free(error->message);
    error->message = text;
  }
  return error; /* without memory the note is lost, the error is not */
}

jm_error *jm_error_clone(const jm_error *error) {
  if (!error) return NULL;
  if (error == &out_of_memory) return &out_of_memory;
  return jm_error_create(error->code, "%s", error->message);
}

void jm_error_destroy(jm_error *error) {
  if (!error || error == &out_of_memory) return;
  jm_free(error->message);
  jm_free(error);
}

jm_code jm_error_code(const jm_error *error) { return error ? error->code : JM_OK; }

const char *jm_error_message(const jm_error *error) { return error ? error->message : ""; }

const char *jm_code_name(jm_code code) {
  static const char *const names[] = {
      "OK",
      "CANCELLED",
      "UNKNOWN",
      "INVALID_ARGUMENT",
      "DEADLINE_EXCEEDED",
      "NOT_FOUND",
      "ALREADY_EXISTS",
      "PERMISSION_DENIED",
      "RESOURCE_EXHAUSTED",
      "FAILED_PRECONDITION",
      "ABORTED",
      "OUT_OF_RANGE",
      "UNIMPLEMENTED",
      "INTERNAL",
      "UNAVAILABLE",
      "DATA_LOSS",
      "UNAUTHENTICATED",
  };
  return (size_t)code < sizeof names / sizeof *names ? names[code] : "UNKNOWN";
}
