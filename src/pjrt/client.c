/* SPDX-License-Identifier: Apache-2.0
 * The client: its creation from options, and its attributes. */
#include <stdio.h>
#include <string.h>

#include "base/settings.h"
#include "pjrt/pjrt.h"

/* Options are settings under another name; the environment takes precedence. */
static jm_error *read_option(const PJRT_NamedValue *option) {
  int shown = option->name_size > 200 ? 200 : (int)option->name_size;
  jm_setting setting;
  if (!option->name || !jm_setting_from_option(option->name, option->name_size, &setting))
    return jm_error_invalid("PJRT_Client_Create: unknown option '%.*s'", option->name ? shown : 0,
                            option->name ? option->name : "");
  char number[32];
  switch (option->type) {
    case PJRT_NamedValue_kString:
      return jm_setting_override(setting, option->string_value, option->value_size);
    case PJRT_NamedValue_kInt64:
      snprintf(number, sizeof number, "%lld", (long long)option->int64_value);
      return jm_setting_override(setting, number, strlen(number));
    default:
      return jm_error_invalid("PJRT_Client_Create: option '%.*s' must be a string or a number",
                              shown, option->name);
  }
}

jm_error *jm_slot_Client_Create(PJRT_Client_Create_Args *args) {
  for (size_t i = 0; i < args->num_options; i++) JM_TRY(read_option(&args->create_options[i]));
  jm_client *client;
  JM_TRY(jm_client_create(&client));
  args->client = jm_client_out(client);
  return NULL;
}

jm_error *jm_slot_Client_Destroy(PJRT_Client_Destroy_Args *args) {
  jm_client *client = jm_client_in(args->client);
  if (!client) return NULL;
  jm_client_shutdown(client);
  jm_client_release(client);
  return NULL;
}

jm_error *jm_slot_Client_PlatformName(PJRT_Client_PlatformName_Args *args) {
  args->platform_name = JM_PLATFORM;
  args->platform_name_size = strlen(JM_PLATFORM);
  return NULL;
}

jm_error *jm_slot_Client_ProcessIndex(PJRT_Client_ProcessIndex_Args *args) {
  args->process_index = 0;
  return NULL;
}

jm_error *jm_slot_Client_PlatformVersion(PJRT_Client_PlatformVersion_Args *args) {
  args->platform_version = jm_client_in(args->client)->topology.platform_version;
  args->platform_version_size = strlen(args->platform_version);
  return NULL;
}

jm_error *jm_slot_Client_TopologyDescription(PJRT_Client_TopologyDescription_Args *args) {
  args->topology = jm_topology_out(&jm_client_in(args->client)->topology);
  return NULL;
}

jm_error *jm_slot_Client_Devices(PJRT_Client_Devices_Args *args) {
  jm_client *client = jm_client_in(args->client);
  args->devices = (PJRT_Device *const *)client->device_list;
  args->num_devices = client->topology.n_devices;
  return NULL;
}

jm_error *jm_slot_Client_AddressableDevices(PJRT_Client_AddressableDevices_Args *args) {
  jm_client *client = jm_client_in(args->client);
  args->addressable_devices = (PJRT_Device *const *)client->device_list;
  args->num_addressable_devices = client->topology.n_devices;
  return NULL;
}

static jm_error *find_device(jm_client *client, int id, PJRT_Device **out) {
  jm_device *device = jm_client_find_device(client, id);
  if (!device)
    return jm_error_invalid("there is no device %d, the client has %u", id,
                            client->topology.n_devices);
  *out = jm_device_out(device);
  return NULL;
}

jm_error *jm_slot_Client_LookupDevice(PJRT_Client_LookupDevice_Args *args) {
  return find_device(jm_client_in(args->client), args->id, &args->device);
}

jm_error *jm_slot_Client_LookupAddressableDevice(PJRT_Client_LookupAddressableDevice_Args *args) {
  return find_device(jm_client_in(args->client), args->local_hardware_id,
                     &args->addressable_device);
}

jm_error *jm_slot_Client_AddressableMemories(PJRT_Client_AddressableMemories_Args *args) {
  jm_client *client = jm_client_in(args->client);
  args->addressable_memories = (PJRT_Memory *const *)client->memory_list;
  args->num_addressable_memories = (size_t)client->topology.n_devices * JM_N_MEMORY_KINDS;
  return NULL;
}

/* Replica r of partition p is on device r * n_partitions + p. */
jm_error *jm_slot_Client_DefaultDeviceAssignment(PJRT_Client_DefaultDeviceAssignment_Args *args) {
  jm_client *client = jm_client_in(args->client);
  int64_t n = (int64_t)args->num_replicas * args->num_partitions;
  if (args->num_replicas < 1 || args->num_partitions < 1 || n > client->topology.n_devices)
    return jm_error_invalid("%d replicas and %d partitions need other than the client's %u devices",
                            args->num_replicas, args->num_partitions, client->topology.n_devices);
  if (!args->default_assignment || args->default_assignment_size < (size_t)n)
    return jm_error_invalid("the device assignment has space for %zu devices, %lld are needed",
                            args->default_assignment_size, (long long)n);
  for (int64_t i = 0; i < n; i++) args->default_assignment[i] = (int)i;
  return NULL;
}
