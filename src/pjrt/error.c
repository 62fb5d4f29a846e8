/* SPDX-License-Identifier: Apache-2.0
 * PJRT_Error is a jm_error. NULL means success everywhere and is accepted everywhere. */
#include <string.h>

#include "pjrt/pjrt.h"

void jm_slot_Error_Destroy(PJRT_Error_Destroy_Args *args) {
  jm_error_destroy(jm_error_in(args->error));
}

void jm_slot_Error_Message(PJRT_Error_Message_Args *args) {
  args->message = jm_error_message(jm_error_in(args->error));
  args->message_size = strlen(args->message);
}

jm_error *jm_slot_Error_GetCode(PJRT_Error_GetCode_Args *args) {
  args->code = (PJRT_Error_Code)jm_error_code(jm_error_in(args->error));
  return NULL;
}

/* Our errors carry no payloads. */
jm_error *jm_slot_Error_ForEachPayload(PJRT_Error_ForEachPayload_Args *args) {
  (void)args;
  return NULL;
}

jm_error *jm_error_read(PJRT_Error_Code code, const char *message, size_t size) {
  if (code == PJRT_Error_Code_OK) return NULL;
  if (size > 1 << 20) size = 1 << 20;
  jm_code known = (unsigned)code <= JM_UNAUTHENTICATED ? (jm_code)code : JM_UNKNOWN;
  return jm_error_create(known, "%.*s", message ? (int)size : 0, message ? message : "");
}
