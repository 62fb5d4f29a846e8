/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/debug.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/settings.h"
#include "ir/print.h"
#include "plan/explain.h"

static jm_error *dump(const jm_module *module, const void *bytes, size_t n_bytes,
                      uint64_t fingerprint, const jm_text *text) {
  size_t size;
  const char *folder = jm_setting_find_argument(JM_SETTING_DEBUG, "dump", &size);
  if (!folder) return NULL;
  char base[1024], path[1100];
  snprintf(base, sizeof base, "%.*s/%.100s-%016llx", (int)size, folder,
           *module->name && !strchr(module->name, '/') ? module->name : "program",
           (unsigned long long)fingerprint);
  snprintf(path, sizeof path, "%s.mlirbc", base);
  JM_TRY(jm_file_write("JAX_MPS_DEBUG=dump", path, bytes, n_bytes));
  snprintf(path, sizeof path, "%s.ir", base);
  return jm_file_write("JAX_MPS_DEBUG=dump", path, jm_text_bytes(text), text->size);
}

jm_error *jm_debug_show(const jm_module *module, const void *bytes, size_t n_bytes,
                        uint64_t fingerprint) {
  if (!jm_setting_find(JM_SETTING_DEBUG)) return NULL;
  jm_text text;
  jm_text_init(&text);
  jm_module_print(module, &text);
  jm_error *error = jm_text_error(&text);
  if (!error && jm_setting_has_word(JM_SETTING_DEBUG, "print")) fputs(jm_text_bytes(&text), stderr);
  if (!error) error = dump(module, bytes, n_bytes, fingerprint, &text);
  jm_text_deinit(&text);
  return error;
}

jm_error *jm_debug_explain(const jm_plan *plan) {
  if (!jm_setting_has_word(JM_SETTING_DEBUG, "explain")) return NULL;
  jm_text text;
  jm_text_init(&text);
  jm_plan_explain(plan, &text);
  jm_error *error = jm_text_error(&text);
  if (!error) fputs(jm_text_bytes(&text), stderr);
  jm_text_deinit(&text);
  return error;
}
