/* SPDX-License-Identifier: Apache-2.0
 * The C tests' harness: CHECK counts and reports, TEST_MAIN runs the listed functions. */
#ifndef JM_TESTS_CHECK_H
#define JM_TESTS_CHECK_H

#include <stdio.h>
#include <string.h>

#include "base/error.h"

static _Atomic int check_count, check_failures; /* some tests have threads */

#define CHECK(condition)                                                            \
  do {                                                                              \
    check_count++;                                                                  \
    if (!(condition)) {                                                             \
      check_failures++;                                                             \
      fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition); \
    }                                                                               \
  } while (0)

#define CHECK_OK(expr)                                                                  \
  do {                                                                                  \
    jm_error *check_error = (expr);                                                     \
    check_count++;                                                                      \
    if (check_error) {                                                                  \
      check_failures++;                                                                 \
      fprintf(stderr, "%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #expr,                 \
              jm_code_name(jm_error_code(check_error)), jm_error_message(check_error)); \
      jm_error_destroy(check_error);                                                    \
    }                                                                                   \
  } while (0)

/* The expression must fail with this code and a message that contains the text. */
#define CHECK_FAILS(expr, code, text)                                                             \
  do {                                                                                            \
    jm_error *check_error = (expr);                                                               \
    check_count++;                                                                                \
    if (jm_error_code(check_error) != (code) || !strstr(jm_error_message(check_error), (text))) { \
      check_failures++;                                                                           \
      fprintf(stderr, "%s:%d: %s gave %s: %s\n", __FILE__, __LINE__, #expr,                       \
              jm_code_name(jm_error_code(check_error)), jm_error_message(check_error));           \
    }                                                                                             \
    jm_error_destroy(check_error);                                                                \
  } while (0)

#define TEST_MAIN(...)                                                    \
  int main(void) {                                                        \
    void (*const tests[])(void) = {__VA_ARGS__};                          \
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) tests[i](); \
    printf("%d checks, %d failed\n", check_count, check_failures);        \
    return check_failures || !check_count;                                \
  }

#endif
