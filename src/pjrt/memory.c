/* SPDX-License-Identifier: Apache-2.0
 * Memory spaces. */
#include <string.h>

#include "pjrt/pjrt.h"

jm_error *jm_slot_Memory_Id(PJRT_Memory_Id_Args *args) {
  args->id = jm_memory_in(args->memory)->id;
  return NULL;
}

jm_error *jm_slot_Memory_Kind(PJRT_Memory_Kind_Args *args) {
  args->kind = jm_memory_kind_names[jm_memory_in(args->memory)->kind];
  args->kind_size = strlen(args->kind);
  return NULL;
}

jm_error *jm_slot_Memory_Kind_Id(PJRT_Memory_Kind_Id_Args *args) {
  args->kind_id = (int)jm_memory_in(args->memory)->kind;
  return NULL;
}

jm_error *jm_slot_Memory_DebugString(PJRT_Memory_DebugString_Args *args) {
  args->debug_string = jm_memory_in(args->memory)->debug_text;
  args->debug_string_size = strlen(args->debug_string);
  return NULL;
}

jm_error *jm_slot_Memory_ToString(PJRT_Memory_ToString_Args *args) {
  args->to_string = jm_memory_in(args->memory)->text;
  args->to_string_size = strlen(args->to_string);
  return NULL;
}

jm_error *jm_slot_Memory_AddressableByDevices(PJRT_Memory_AddressableByDevices_Args *args) {
  jm_device *device = jm_memory_in(args->memory)->device;
  args->devices = (PJRT_Device *const *)&device->client->local_list[device->description->local_id];
  args->num_devices = 1;
  return NULL;
}

jm_error *jm_memory_read(jm_client *client, const PJRT_Memory *memory, const PJRT_Device *device,
                         jm_memory **out) {
  if (memory) {
    *out = jm_memory_in(memory);
    if (!jm_client_owns_memory(client, *out))
      return jm_error_invalid("the memory space belongs to another client");
    return NULL;
  }
  jm_device *owner = device ? jm_device_in(device) : client->local_list[0];
  if (!jm_client_owns_device(client, owner))
    return jm_error_invalid("the device belongs to another client");
  JM_TRY(jm_device_check_local(owner));
  *out = jm_device_default_memory(owner);
  return NULL;
}
