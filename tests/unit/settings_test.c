/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/settings.h"
#include "unit/check.h"

static bool is(const char *value, const char *text) { return value && !strcmp(value, text); }

/* The environment is read once and wins over options. */
static void test_precedence(void) {
  CHECK(is(jm_setting_find(JM_SETTING_BLAS), "from the environment"));
  CHECK_OK(jm_setting_override(JM_SETTING_BLAS, "from an option", 14));
  CHECK(is(jm_setting_find(JM_SETTING_BLAS), "from the environment"));
  setenv("JAX_MPS_LLVM", "too late", 1);
  CHECK(!jm_setting_find(JM_SETTING_LLVM));
  CHECK_OK(jm_setting_override(JM_SETTING_LLVM, "first, cut", 5));
  const char *first = jm_setting_find(JM_SETTING_LLVM);
  CHECK(is(first, "first"));
  CHECK_OK(jm_setting_override(JM_SETTING_LLVM, "second", 6));
  CHECK(is(jm_setting_find(JM_SETTING_LLVM), "second") && is(first, "first"));
  CHECK_OK(jm_setting_override(JM_SETTING_LLVM, "", 0)); /* empty is not set */
  CHECK(!jm_setting_find(JM_SETTING_LLVM));
}

static void test_numbers(void) {
  int64_t number = 0;
  CHECK_OK(jm_setting_read_number(JM_SETTING_NUM_DEVICES, 1, 64, 7, &number));
  CHECK(number == 7);
  static const char *const bad[] = {"0", "65", "2x", "x", "-1", "99999999999999999999"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CHECK_OK(jm_setting_override(JM_SETTING_NUM_DEVICES, bad[i], strlen(bad[i])));
    CHECK_FAILS(jm_setting_read_number(JM_SETTING_NUM_DEVICES, 1, 64, 7, &number),
                JM_INVALID_ARGUMENT, "JAX_MPS_NUM_DEVICES is '");
  }
  CHECK_OK(jm_setting_override(JM_SETTING_NUM_DEVICES, "64", 2));
  CHECK_OK(jm_setting_read_number(JM_SETTING_NUM_DEVICES, 1, 64, 7, &number));
  CHECK(number == 64);
}

static void test_words(void) {
  CHECK(jm_setting_has_word(JM_SETTING_DEBUG, "verify"));
  CHECK(jm_setting_has_word(JM_SETTING_DEBUG, "trace"));
  CHECK(!jm_setting_has_word(JM_SETTING_DEBUG, "trac"));
  CHECK(!jm_setting_has_word(JM_SETTING_DEBUG, "verif"));
  CHECK(!jm_setting_has_word(JM_SETTING_LLVM, "x"));
}

static void test_options(void) {
  jm_setting setting;
  CHECK(jm_setting_from_option("blas_library", 12, &setting) && setting == JM_SETTING_BLAS);
  CHECK(!jm_setting_from_option("blas_librar", 11, &setting));
  CHECK(!jm_setting_from_option("", 0, &setting)); /* settings without an option have this name */
  for (int s = 0; s < JM_N_SETTINGS; s++) {
    CHECK(!strncmp(jm_setting_facts[s].variable, "JAX_MPS_", 8));
    CHECK(*jm_setting_facts[s].doc);
  }
}

static void set_environment(void) {
  setenv("JAX_MPS_BLAS", "from the environment", 1);
  setenv("JAX_MPS_DEBUG", "verify,trace", 1);
  setenv("JAX_MPS_NUM_DEVICES", "", 1);
  unsetenv("JAX_MPS_LLVM");
}

TEST_MAIN(set_environment, test_precedence, test_numbers, test_words, test_options)
