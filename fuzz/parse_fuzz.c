/* SPDX-License-Identifier: Apache-2.0
 * The text form: whatever is read prints, and reads back to the same print; what verifies survives
 * every pass (which are verified in turn). Seeds: tests/golden. */
#include <stdlib.h>

#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "pass/pass.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(jm_error *error) {
  if (error) abort();
}

static void check_round_trip(const jm_module *m) {
  jm_text first, second;
  jm_text_init(&first);
  jm_text_init(&second);
  jm_module_print_located(m, &first);
  jm_module *again = NULL;
  require(jm_module_parse(jm_text_bytes(&first), first.size, &again));
  jm_module_print_located(again, &second);
  if (first.size != second.size ||
      __builtin_memcmp(jm_text_bytes(&first), jm_text_bytes(&second), first.size) != 0)
    abort();
  jm_module_destroy(again);
  jm_text_deinit(&second);
  jm_text_deinit(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  jm_module *m = NULL;
  jm_error *error = jm_module_parse((const char *)data, size, &m);
  if (!error) error = jm_module_verify(m);
  if (!error) {
    check_round_trip(m);
    const jm_pass_options options = {.verify = true};
    require(jm_pass_optimize(m, &options));
    check_round_trip(m);
  }
  jm_error_destroy(error);
  jm_module_destroy(m);
  return 0;
}
