/* SPDX-License-Identifier: Apache-2.0
 * Devices and their descriptions. */
#include <string.h>

#include "pjrt/pjrt.h"

/* Which engine runs the programs: visible to Python as an attribute of the device. */
static const PJRT_NamedValue attributes[] = {
    {.struct_size = sizeof(PJRT_NamedValue),
     .name = "engine",
     .name_size = 6,
     .type = PJRT_NamedValue_kString,
     .string_value = "host",
     .value_size = 4},
};
enum { N_ATTRIBUTES = sizeof attributes / sizeof *attributes };

jm_error *jm_device_check_local(const jm_device *device) {
  if (jm_device_is_local(device)) return NULL;
  return jm_error_invalid("%s belongs to process %d, this is process %u", device->description->text,
                          device->description->process, device->client->processes.self);
}

jm_error *jm_slot_DeviceDescription_Id(PJRT_DeviceDescription_Id_Args *args) {
  args->id = jm_description_in(args->device_description)->id;
  return NULL;
}

jm_error *jm_slot_DeviceDescription_ProcessIndex(PJRT_DeviceDescription_ProcessIndex_Args *args) {
  args->process_index = jm_description_in(args->device_description)->process;
  return NULL;
}

jm_error *jm_slot_DeviceDescription_Attributes(PJRT_DeviceDescription_Attributes_Args *args) {
  args->attributes = attributes;
  args->num_attributes = N_ATTRIBUTES;
  return NULL;
}

jm_error *jm_slot_DeviceDescription_Kind(PJRT_DeviceDescription_Kind_Args *args) {
  args->device_kind = jm_description_in(args->device_description)->kind;
  args->device_kind_size = strlen(args->device_kind);
  return NULL;
}

jm_error *jm_slot_DeviceDescription_DebugString(PJRT_DeviceDescription_DebugString_Args *args) {
  args->debug_string = jm_description_in(args->device_description)->debug_text;
  args->debug_string_size = strlen(args->debug_string);
  return NULL;
}

jm_error *jm_slot_DeviceDescription_ToString(PJRT_DeviceDescription_ToString_Args *args) {
  args->to_string = jm_description_in(args->device_description)->text;
  args->to_string_size = strlen(args->to_string);
  return NULL;
}

jm_error *jm_slot_Device_GetDescription(PJRT_Device_GetDescription_Args *args) {
  args->device_description = jm_description_out(jm_device_in(args->device)->description);
  return NULL;
}

jm_error *jm_slot_Device_IsAddressable(PJRT_Device_IsAddressable_Args *args) {
  args->is_addressable = jm_device_is_local(jm_device_in(args->device));
  return NULL;
}

jm_error *jm_slot_Device_LocalHardwareId(PJRT_Device_LocalHardwareId_Args *args) {
  const jm_device *device = jm_device_in(args->device);
  args->local_hardware_id = jm_device_is_local(device) ? device->description->local_id : -1;
  return NULL;
}

jm_error *jm_slot_Device_AddressableMemories(PJRT_Device_AddressableMemories_Args *args) {
  const jm_device *device = jm_device_in(args->device);
  args->memories = (PJRT_Memory *const *)device->memory_list;
  args->num_memories = jm_device_is_local(device) ? JM_N_MEMORY_KINDS : 0;
  return NULL;
}

jm_error *jm_slot_Device_DefaultMemory(PJRT_Device_DefaultMemory_Args *args) {
  jm_device *device = jm_device_in(args->device);
  JM_TRY(jm_device_check_local(device));
  args->memory = jm_memory_out(jm_device_default_memory(device));
  return NULL;
}

/* An optional number and the flag that says whether it was written. */
#define STAT(field, known, number)               \
  do {                                           \
    JM_SET(args, field, (known) ? (number) : 0); \
    JM_SET(args, field##_is_set, known);         \
  } while (0)

jm_error *jm_slot_Device_MemoryStats(PJRT_Device_MemoryStats_Args *args) {
  jm_device *device = jm_device_in(args->device);
  jm_memory_stats stats;
  JM_TRY(jm_device_check_local(device));
  jm_device_read_stats(device, &stats);
  args->bytes_in_use = stats.bytes_in_use;
  STAT(peak_bytes_in_use, true, stats.peak_bytes_in_use);
  STAT(num_allocs, true, stats.n_allocations);
  STAT(largest_alloc_size, true, stats.largest_allocation);
  STAT(bytes_limit, device->engine->fact.memory_bytes > 0, device->engine->fact.memory_bytes);
  STAT(bytes_reserved, false, 0);
  STAT(peak_bytes_reserved, false, 0);
  STAT(bytes_reservable_limit, false, 0);
  STAT(largest_free_block_bytes, false, 0);
  STAT(pool_bytes, false, 0);
  STAT(peak_pool_bytes, false, 0);
  STAT(peak_allocated_bytes, false, 0);
  return NULL;
}

static void delete_attributes(PJRT_Device_Attributes *owner) { (void)owner; /* static */ }

jm_error *jm_slot_Device_GetAttributes(PJRT_Device_GetAttributes_Args *args) {
  args->attributes = attributes;
  args->num_attributes = N_ATTRIBUTES;
  args->device_attributes = NULL;
  args->attributes_deleter = delete_attributes;
  return NULL;
}

struct PJRT_AsyncTrackingEvent {
  char description[1];
};

/* A mark that the caller holds during its own asynchronous work; nothing reads it yet. */
jm_error *jm_slot_Device_CreateAsyncTrackingEvent(PJRT_Device_CreateAsyncTrackingEvent_Args *args) {
  size_t size = args->description ? args->description_size : 0;
  PJRT_AsyncTrackingEvent *event = size < SIZE_MAX ? jm_alloc(size + 1, 1) : NULL;
  if (!event) return jm_error_out_of_memory();
  if (size) memcpy(event, args->description, size);
  args->event = event;
  return NULL;
}

jm_error *jm_slot_AsyncTrackingEvent_Destroy(PJRT_AsyncTrackingEvent_Destroy_Args *args) {
  jm_free(args->event);
  return NULL;
}
