/* SPDX-License-Identifier: Apache-2.0
 * Our own extension of the C API: the process registers, once and outside of any program, the one
 * function through which programs call back, and retains and releases the ids of callbacks. */
#include "base/callback.h"

#include "pjrt/extensions.h"

static int hold(int64_t id) {
  jm_error *error = jm_callback_hold(id);
  jm_error_destroy(error);
  return error != NULL;
}

jm_callbacks_extension_type jm_callbacks_extension = {
    {sizeof(jm_callbacks_extension_type), JM_EXTENSION_CALLBACKS, &jm_layouts_extension.base},
    jm_callback_open,
    jm_callback_close,
    hold,
    jm_callback_release,
    jm_callback_take_dead,
    jm_callback_await_next,
};
