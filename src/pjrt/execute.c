/* SPDX-License-Identifier: Apache-2.0
 * Loaded executables: their devices, and running them. */
#include <stdio.h>
#include <string.h>

#include "base/callback.h"
#include "pjrt/executable.h"
#include "pjrt/profiler_abi.h"

jm_error *jm_loaded_executable_wrap(jm_loaded_executable *loaded, PJRT_LoadedExecutable **out) {
  PJRT_LoadedExecutable *wrapped = jm_alloc(1, sizeof *wrapped);
  if (!wrapped) {
    jm_loaded_executable_release(loaded);
    return jm_error_out_of_memory();
  }
  wrapped->loaded = loaded;
  const uint32_t n_partitions = loaded->executable->facts->n_partitions;
  for (uint32_t i = 0; i < loaded->n_devices; i++) {
    wrapped->devices[i] = loaded->devices[i];
    const uint32_t participant = loaded->placement.local[i];
    wrapped->ids[i].replica = (int)(participant / n_partitions);
    wrapped->ids[i].partition = (int)(participant % n_partitions);
  }
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
  args->num_addressable_devices = args->executable->loaded->n_devices;
  return NULL;
}

jm_error *jm_slot_LoadedExecutable_AddressableDeviceLogicalIds(
    PJRT_LoadedExecutable_AddressableDeviceLogicalIds_Args *args) {
  args->addressable_device_logical_ids = args->executable->ids;
  args->num_addressable_device_logical_ids = args->executable->loaded->n_devices;
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

/* At most as many computations as devices, of four bytes and an id for each device. */
struct PJRT_DeviceAssignmentSerialized {
  char bytes[8 + 5 * JM_MAX_DEVICES];
};

static void delete_assignment(PJRT_DeviceAssignmentSerialized *assignment) { jm_free(assignment); }

/* DeviceAssignmentProto: the replicas of each partition. Numbers below 128 take one byte. */
jm_error *jm_slot_LoadedExecutable_GetDeviceAssignment(
    PJRT_LoadedExecutable_GetDeviceAssignment_Args *args) {
  _Static_assert(JM_MAX_DEVICES < 126, "ids and lengths take one byte");
  const jm_loaded_executable *loaded = args->executable->loaded;
  const uint32_t n_partitions = loaded->executable->facts->n_partitions;
  const uint32_t n_replicas = loaded->placement.n_participants / n_partitions;
  PJRT_DeviceAssignmentSerialized *assignment = jm_alloc(1, sizeof *assignment);
  if (!assignment) return jm_error_out_of_memory();
  char *to = assignment->bytes;
  *to++ = 0x08;
  *to++ = (char)n_replicas;
  *to++ = 0x10;
  *to++ = (char)n_partitions;
  for (uint32_t p = 0; p < n_partitions; p++) {
    const char head[] = {0x1a, (char)(n_replicas + 2), 0x0a, (char)n_replicas};
    memcpy(to, head, sizeof head);
    to += sizeof head;
    for (uint32_t r = 0; r < n_replicas; r++) *to++ = (char)loaded->ids[r * n_partitions + p];
  }
  args->serialized_bytes = assignment->bytes;
  args->serialized_bytes_size = (size_t)(to - assignment->bytes);
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
static jm_error *await(const jm_program_facts *facts, uint32_t n, jm_event *const *done,
                       jm_buffer **const *outputs) {
  const jm_error *failed = NULL;
  for (uint32_t i = 0; i < n; i++) {
    jm_event_wait(done[i]);
    if (!failed) failed = jm_event_error(done[i]);
  }
  if (!failed) return NULL;
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = 0; k < facts->n_outputs; k++) jm_buffer_release(outputs[i][k]);
  return jm_error_clone(failed);
}

/* The lists of each device; none is needed where there is nothing to list. */
static jm_error *read_lists(const PJRT_LoadedExecutable_Execute_Args *args,
                            const jm_program_facts *facts, jm_buffer *const **arguments,
                            jm_buffer ***outputs) {
  for (size_t i = 0; i < args->num_devices; i++) {
    if ((args->num_args && (!args->argument_lists || !args->argument_lists[i])) ||
        (facts->n_outputs && (!args->output_lists || !args->output_lists[i])))
      return jm_error_invalid("execution of '%s' without lists of arguments or outputs",
                              facts->name);
    arguments[i] = args->num_args ? (jm_buffer *const *)args->argument_lists[i] : NULL;
    outputs[i] = facts->n_outputs ? (jm_buffer **)args->output_lists[i] : NULL;
  }
  return NULL;
}

jm_error *jm_slot_LoadedExecutable_Execute(PJRT_LoadedExecutable_Execute_Args *args) {
  jm_loaded_executable *loaded = args->executable->loaded;
  const jm_program_facts *facts = loaded->executable->facts;
  const uint32_t n = loaded->n_devices;
  jm_execute_options options = {.flow = jm_profiler_find_flow(args->extension_start)};
  JM_TRY(read_options(args->options, &options));
  if (args->num_devices != n)
    return jm_error_invalid("'%s' runs on %u device%s, arguments for %zu were given", facts->name,
                            n, n == 1 ? "" : "s", args->num_devices);
  jm_buffer *const *arguments[JM_MAX_DEVICES];
  jm_buffer **outputs[JM_MAX_DEVICES];
  JM_TRY(read_lists(args, facts, arguments, outputs));
  if (args->execute_device) {
    options.device = jm_device_in(args->execute_device);
    if (!jm_client_owns_device(loaded->client, options.device))
      return jm_error_invalid("execute_device belongs to another client");
  }
  jm_event *done[JM_MAX_DEVICES];
  JM_TRY(jm_loaded_executable_launch(loaded, &options, arguments, args->num_args, outputs, done));
  jm_error *error = jm_callback_take_await() ? await(facts, n, done, outputs) : NULL;
  for (uint32_t i = 0; i < n; i++)
    if (!error && args->device_complete_events)
      args->device_complete_events[i] = jm_event_out(done[i]);
    else
      jm_event_release(done[i]);
  return error;
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
