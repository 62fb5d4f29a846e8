/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a program: reading ends, in an error or in a module that verification accepts or
 * refuses, within bounds and without leaks. Seeds: tests/golden/artifacts, tests/golden/bad. */
#include "ir/print.h"
#include "ir/verify.h"
#include "stablehlo/read.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  jm_module *module;
  jm_error *error = jm_stablehlo_read(bytes, size, &module);
  if (!error) {
    error = jm_module_verify(module);
    jm_text text;
    jm_text_init(&text);
    if (!error) jm_module_print(module, &text);
    jm_text_deinit(&text);
    jm_module_destroy(module);
  }
  jm_error_destroy(error);
  return 0;
}
