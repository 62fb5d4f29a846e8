/* SPDX-License-Identifier: Apache-2.0
 * PJRT_Event is a reference to a jm_event: destroying it before it fires takes nothing from the
 * callbacks. */
#include "pjrt/pjrt.h"

jm_error *jm_slot_Event_Destroy(PJRT_Event_Destroy_Args *args) {
  jm_event_release(jm_event_in(args->event));
  return NULL;
}

jm_error *jm_slot_Event_IsReady(PJRT_Event_IsReady_Args *args) {
  args->is_ready = jm_event_ready(jm_event_in(args->event));
  return NULL;
}

jm_error *jm_slot_Event_Error(PJRT_Event_Error_Args *args) {
  jm_event *event = jm_event_in(args->event);
  if (!jm_event_ready(event))
    return jm_error_create(JM_FAILED_PRECONDITION, "PJRT_Event_Error: the event isn't ready");
  return jm_error_clone(jm_event_error(event));
}

jm_error *jm_slot_Event_Await(PJRT_Event_Await_Args *args) {
  jm_event *event = jm_event_in(args->event);
  jm_event_wait(event);
  return jm_error_clone(jm_event_error(event));
}

typedef struct callback {
  jm_waiter waiter; /* first: the waiter is the callback */
  PJRT_Event_OnReadyCallback function;
  void *argument;
} callback;

static void call_back(jm_waiter *waiter, const jm_error *error) {
  callback *call = (callback *)waiter;
  PJRT_Event_OnReadyCallback function = call->function;
  void *argument = call->argument;
  jm_free(call);
  function(jm_error_out(jm_error_clone(error)), argument); /* which owns the error */
}

jm_error *jm_slot_Event_OnReady(PJRT_Event_OnReady_Args *args) {
  if (!args->callback) return jm_error_invalid("PJRT_Event_OnReady: the callback is NULL");
  callback *call = jm_alloc(1, sizeof *call);
  if (!call) return jm_error_out_of_memory();
  *call = (callback){{.run = call_back}, args->callback, args->user_arg};
  jm_event_subscribe(jm_event_in(args->event), &call->waiter);
  return NULL;
}

jm_error *jm_slot_Event_Create(PJRT_Event_Create_Args *args) {
  jm_event *event;
  JM_TRY(jm_event_create(&event));
  args->event = jm_event_out(event);
  return NULL;
}

jm_error *jm_slot_Event_Set(PJRT_Event_Set_Args *args) {
  jm_error *error = jm_error_read(args->error_code, args->error_message, args->error_message_size);
  if (jm_event_fire(jm_event_in(args->event), error)) return NULL;
  return jm_error_create(JM_FAILED_PRECONDITION, "PJRT_Event_Set: the event was set before");
}
