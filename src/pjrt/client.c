/* SPDX-License-Identifier: Apache-2.0
 * The client: its creation from options, and its attributes. */
#include <stdio.h>
#include <string.h>

#include "base/settings.h"
#include "pjrt/pjrt.h"

/* What JAX adds for a process of several (jax.distributed): which one it is. */
static bool read_job_option(const PJRT_NamedValue *option, jm_membership *job) {
  const struct {
    const char *name;
    int64_t *number;
  } known[] = {{"node_id", &job->self}, {"num_nodes", &job->n_processes}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (option->name && option->type == PJRT_NamedValue_kInt64 &&
        option->name_size == strlen(known[i].name) &&
        !memcmp(option->name, known[i].name, option->name_size)) {
      *known[i].number = option->int64_value;
      return true;
    }
  return false;
}

/* Other options are settings under another name; the user's environment wins over them. */
static jm_error *read_option(const PJRT_NamedValue *option, jm_membership *job) {
  int shown = option->name_size > 200 ? 200 : (int)option->name_size;
  jm_setting setting;
  if (read_job_option(option, job)) return NULL;
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
  jm_membership job = {0};
  for (size_t i = 0; i < args->num_options; i++)
    JM_TRY(read_option(&args->create_options[i], &job));
  if (job.n_processes > 1) JM_TRY(jm_store_create(args, &job.store));
  jm_client *client;
  JM_TRY(jm_client_create(&job, &client));
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

/* The caller's service sees processes come and go. Before it has seen one, "disconnected" says that
 * it has not come yet. */
jm_error *jm_slot_Client_UpdateGlobalProcessInfo(PJRT_Client_UpdateGlobalProcessInfo_Args *args) {
  jm_client *client = jm_client_in(args->client);
  for (size_t i = 0; i < args->num_process_infos; i++) {
    const PJRT_ProcessInfo *info = &args->process_infos[i];
    if (!client->wire || info->task_id < 0 || info->task_id >= (int)client->processes.n) continue;
    atomic_bool *connected = &client->connected[info->task_id];
    if (info->state == PJRT_ProcessState_kConnected)
      atomic_store(connected, true);
    else if (info->state == PJRT_ProcessState_kError)
      jm_wire_lose(client->wire, (uint32_t)info->task_id, "has failed or does not answer");
    else if (info->state == PJRT_ProcessState_kDisconnected && atomic_load(connected))
      jm_wire_lose(client->wire, (uint32_t)info->task_id, "has ended");
  }
  return NULL;
}

jm_error *jm_slot_Client_PlatformName(PJRT_Client_PlatformName_Args *args) {
  args->platform_name = JM_PLATFORM;
  args->platform_name_size = strlen(JM_PLATFORM);
  return NULL;
}

jm_error *jm_slot_Client_ProcessIndex(PJRT_Client_ProcessIndex_Args *args) {
  args->process_index = (int)jm_client_in(args->client)->processes.self;
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
  args->addressable_devices = (PJRT_Device *const *)client->local_list;
  args->num_addressable_devices = client->n_local;
  return NULL;
}

jm_error *jm_slot_Client_LookupDevice(PJRT_Client_LookupDevice_Args *args) {
  jm_client *client = jm_client_in(args->client);
  jm_device *device = jm_client_find_device(client, args->id);
  if (!device)
    return jm_error_invalid("there is no device %d, the client has %u", args->id,
                            client->topology.n_devices);
  args->device = jm_device_out(device);
  return NULL;
}

jm_error *jm_slot_Client_LookupAddressableDevice(PJRT_Client_LookupAddressableDevice_Args *args) {
  jm_client *client = jm_client_in(args->client);
  jm_device *device = jm_client_find_local_device(client, args->local_hardware_id);
  if (!device)
    return jm_error_invalid("there is no device %d in this process, it has %u",
                            args->local_hardware_id, client->n_local);
  args->addressable_device = jm_device_out(device);
  return NULL;
}

jm_error *jm_slot_Client_AddressableMemories(PJRT_Client_AddressableMemories_Args *args) {
  jm_client *client = jm_client_in(args->client);
  args->addressable_memories = (PJRT_Memory *const *)client->memory_list;
  args->num_addressable_memories = (size_t)client->n_local * JM_N_MEMORY_KINDS;
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
