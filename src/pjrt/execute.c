/* SPDX-License-Identifier: Apache-2.0
 * Loaded executables: where they run, and running them. */
#include <stdio.h>
#include <string.h>

#include "base/callback.h"
#include "pjrt/executable.h"

jm_error *jm_loaded_executable_wrap(jm_loaded_executable *loaded, PJRT_LoadedExecutable **out) {
  PJRT_LoadedExecutable *wrapped = jm_alloc(1, sizeof *wrapped);
  if (!wrapped) {
    jm_loaded_executable_release(loaded);
    return jm_error_out_of_memory();
  }
  wrapped->loaded = loaded;
  wrapped->devices[0] = loaded->device;
  snprintf(wrapped->fingerprint, sizeof wrapped->fingerprint, "%016llx",
           (unsigned long long)loaded->executable->facts->fingerprint);
  *out = wrapped;
  return NULL;
}

jm_error *jm_slot_LoadedExecutable_Destroy(PJRT_LoadedExecutable_Destroy_Args *args) {
  if (!args->executable) return NULL;
  jm_loaded_executable_release(args->executable->loaded);
  jm_free(args->executable);
  return NULL;
}

jm_error *jm_slot_LoadedExecutable_GetExecutable(PJRT_LoadedExecutable_GetExecutable_Args *args) {
  return jm_executable_wrap(jm_executable_retain(args->loaded_executable->loaded->executable),
                            &args->executable);
}

jm_error *jm_slot_LoadedExecutable_AddressableDevices(
    PJRT_LoadedExecutable_AddressableDevices_Args *args) {
  args->addressable_devices = (PJRT_Device *const *)args->executable->devices;
  args->num_addressable_devices = 1;
  return NULL;
}

jm_error *jm_slot_LoadedExecutable_AddressableDeviceLogicalIds(
    PJRT_LoadedExecutable_AddressableDeviceLogicalIds_Args *args) {
  args->addressable_device_logical_ids = args->executable->ids;
  args->num_addressable_device_logical_ids = 1;
  return NULL;
}

jm_error *jm_slot_LoadedExecutable_Delete(PJRT_LoadedExecutable_Delete_Args *args) {
  atomic_store(&args->executable->loaded->deleted, true);
  return NULL;
}

jm_error *jm_slot_LoadedExecutable_IsDeleted(PJRT_LoadedExecutable_IsDeleted_Args *args) {
  args->is_deleted = atomic_load(&args->executable->loaded->deleted);
  return NULL;
}

jm_error *jm_slot_LoadedExecutable_Fingerprint(PJRT_LoadedExecutable_Fingerprint_Args *args) {
  args->executable_fingerprint = args->executable->fingerprint;
  args->executable_fingerprint_size = strlen(args->executable->fingerprint);
  return NULL;
}

struct PJRT_DeviceAssignmentSerialized {
  char bytes[16];
};

static void delete_assignment(PJRT_DeviceAssignmentSerialized *assignment) { jm_free(assignment); }

/* DeviceAssignmentProto of one replica and one partition; ids below 128 take one byte. */
jm_error *jm_slot_LoadedExecutable_GetDeviceAssignment(
    PJRT_LoadedExecutable_GetDeviceAssignment_Args *args) {
  _Static_assert(JM_MAX_DEVICES <= 128, "the id takes one byte");
  char id = (char)args->executable->loaded->device->description->id;
  const char bytes[] = {0x08, 1, 0x10, 1, 0x1a, 3, 0x0a, 1, id};
  PJRT_DeviceAssignmentSerialized *assignment = jm_alloc(1, sizeof *assignment);
  if (!assignment) return jm_error_out_of_memory();
  memcpy(assignment->bytes, bytes, sizeof bytes);
  args->serialized_bytes = assignment->bytes;
  args->serialized_bytes_size = sizeof bytes;
  args->serialized_device_assignment = assignment;
  args->serialized_device_assignment_deleter = delete_assignment;
  return NULL;
}

static jm_error *read_options(const PJRT_ExecuteOptions *options, jm_execute_options *out) {
  if (!options) return NULL;
  if (options->num_send_ops || options->num_recv_ops)
    return jm_error_unimplemented("execution with %zu send and %zu recv callbacks",
                                  options->num_send_ops, options->num_recv_ops);
  if (JM_HAS(options, num_hlo_output_callbacks) && options->num_hlo_output_callbacks)
    return jm_error_unimplemented("execution with %zu output callbacks",
                                  options->num_hlo_output_callbacks);
  out->kept = options->non_donatable_input_indices;
  out->n_kept = out->kept ? options->num_non_donatable_input_indices : 0;
  return NULL;
}

/* The run's error is the call's: no output has it, and no token keeps it for a later barrier. */
static jm_error *await(const jm_program_facts *facts, jm_event *done, jm_buffer **outputs) {
  jm_event_wait(done);
  const jm_error *failed = jm_event_error(done);
  if (!failed) return NULL;
  for (uint32_t i = 0; i < facts->n_outputs; i++) jm_buffer_release(outputs[i]);
  return jm_error_clone(failed);
}

jm_error *jm_slot_LoadedExecutable_Execute(PJRT_LoadedExecutable_Execute_Args *args) {
  jm_loaded_executable *loaded = args->executable->loaded;
  const jm_program_facts *facts = loaded->executable->facts;
  jm_execute_options options = {0};
  JM_TRY(read_options(args->options, &options));
  if (args->num_devices != 1)
    return jm_error_invalid("'%s' runs on 1 device, arguments for %zu were given", facts->name,
                            args->num_devices);
  if ((args->num_args && (!args->argument_lists || !args->argument_lists[0])) ||
      (facts->n_outputs && (!args->output_lists || !args->output_lists[0])))
    return jm_error_invalid("execution of '%s' without lists of arguments or outputs", facts->name);
  if (args->execute_device) {
    options.device = jm_device_in(args->execute_device);
    if (!jm_client_owns_device(loaded->device->client, options.device))
      return jm_error_invalid("execute_device belongs to another client");
  }
  jm_event *done;
  jm_buffer **outputs = facts->n_outputs ? (jm_buffer **)args->output_lists[0] : NULL;
  JM_TRY(jm_loaded_executable_execute(
      loaded, &options, args->num_args ? (jm_buffer *const *)args->argument_lists[0] : NULL,
      args->num_args, outputs, &done));
  jm_error *error = jm_callback_take_await() ? await(facts, done, outputs) : NULL;
  if (error) {
    jm_event_release(done);
    return error;
  }
  if (args->device_complete_events)
    args->device_complete_events[0] = jm_event_out(done);
  else
    jm_event_release(done);
  return NULL;
}

struct PJRT_ExecuteContext {
  char unused; /* user data for FFI handlers would hang here */
};

jm_error *jm_slot_ExecuteContext_Create(PJRT_ExecuteContext_Create_Args *args) {
  args->context = jm_alloc(1, sizeof *args->context);
  return args->context ? NULL : jm_error_out_of_memory();
}

jm_error *jm_slot_ExecuteContext_Destroy(PJRT_ExecuteContext_Destroy_Args *args) {
  jm_free(args->context);
  return NULL;
}
