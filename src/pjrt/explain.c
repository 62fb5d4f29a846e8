/* SPDX-License-Identifier: Apache-2.0
 * Our own extension of the C API: explanations of plans, for `explain` of the Python package. */
#include "base/text.h"
#include "pjrt/extensions.h"
#include "runtime/executable.h"

static int explain_program(const void *bytes, size_t n_bytes, const char *device,
                           jm_explanation *out) {
  *out = (jm_explanation){NULL, NULL};
  jm_error *error = jm_explain(bytes, n_bytes, device, out);
  if (!error) return 0;
  jm_text text;
  jm_text_init(&text);
  jm_text_printf(&text, "%s", jm_error_message(error));
  out->text = text.bytes; /* NULL: there is not even memory for this */
  jm_error_destroy(error);
  return 1;
}

static void record(int on) { jm_program_record(on != 0); }

static int take(jm_explanation *out) { return jm_program_take_record(out); }

jm_explain_extension_type jm_explain_extension = {
    {sizeof(jm_explain_extension_type), JM_EXTENSION_EXPLAIN, &jm_ffi_extension.base},
    explain_program,
    record,
    take,
    jm_explanation_deinit,
};
