/* SPDX-License-Identifier: Apache-2.0
 * The custom call mps.callback: operands go to a callback of the process, which gives the results.
 * The number "id" of the call's configuration names the callback (base/callback.h). Tokens order
 * such calls and have no data. */
#ifndef JM_LIBRARY_CALLBACK_H
#define JM_LIBRARY_CALLBACK_H

#include "engine/call.h"

/* For custom_call.c's table. */
jm_error *jm_library_callback_check(const jm_module *module, const jm_op *op) JM_MUST_USE;
jm_error *jm_library_callback(const jm_call *call) JM_MUST_USE;

#endif
