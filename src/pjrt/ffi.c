/* SPDX-License-Identifier: Apache-2.0
 * Our own extension of the C API: jaxlib registers handlers per platform and does not know ours, so
 * that Python hands them over. */
#include "ffi/ffi.h"

#include <stdio.h>
#include <string.h>

#include "pjrt/extensions.h"

static int answer(jm_error *error, char *text, size_t size) {
  if (!error) return 0;
  snprintf(text, size, "%s: %s", jm_code_name(jm_error_code(error)), jm_error_message(error));
  jm_error_destroy(error);
  return 1;
}

static int register_target(const char *name, void *const *handlers, char *text, size_t size) {
  jm_ffi_bundle bundle;
  memcpy(bundle.stages, handlers, sizeof bundle.stages);
  return answer(jm_ffi_register(name, &bundle), text, size);
}

static int register_type(const char *name, void *type_id, const void *type_info, char *text,
                         size_t size) {
  return answer(jm_ffi_register_type(name, type_id, type_info), text, size);
}

jm_ffi_extension_type jm_ffi_extension = {
    {sizeof(jm_ffi_extension_type), JM_EXTENSION_FFI, &jm_counters_extension.base},
    register_target,
    register_type,
    jm_ffi_resolve_with,
};
