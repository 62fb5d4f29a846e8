/* SPDX-License-Identifier: Apache-2.0
 * Events, errors, and the objects that live as long as the client. */
#include <pthread.h>
#include <stdlib.h>

#include "abi/abi.h"

/* What a callback saw. */
typedef struct seen {
  int calls;
  int code;
} seen;

static void on_ready(PJRT_Error *error, void *argument) {
  seen *s = argument;
  s->calls++;
  if (!error) return;
  PJRT_Error_GetCode_Args *code = ARGS(Error_GetCode, .error = error);
  OK(abi_Error_GetCode(code));
  s->code = (int)code->code;
  PJRT_Error_Message_Args *message = ARGS(Error_Message, .error = error);
  abi_Error_Message(message);
  CHECK(message->message_size > 0);
  OK(abi_Error_ForEachPayload(ARGS(Error_ForEachPayload, .error = error)));
  abi_Error_Destroy(ARGS(Error_Destroy, .error = error));
}

static PJRT_Event *create_event(void) {
  PJRT_Event_Create_Args *args = ARGS(Event_Create, .event = NULL);
  OK(abi_Event_Create(args));
  return args->event;
}

static PJRT_Error *set(PJRT_Event *event, int code, const char *text) {
  return abi_Event_Set(ARGS(Event_Set, .event = event, .error_code = (PJRT_Error_Code)code,
                            .error_message = text, .error_message_size = strlen(text)));
}

static PJRT_Error *subscribe(PJRT_Event *event, seen *s) {
  return abi_Event_OnReady(
      ARGS(Event_OnReady, .event = event, .callback = on_ready, .user_arg = s));
}

static void *set_later(void *event) { /* the guarded callers are for one thread */
  PJRT_Event_Set_Args args = {.struct_size = sizeof args, .event = event};
  return api->PJRT_Event_Set(&args);
}

void test_events(void) {
  seen good = {0, -1}, bad = {0, -1}, late = {0, -1}, lost = {0, -1};
  PJRT_Event *event = create_event();
  CHECK(!is_ready(event));
  FAILS(abi_Event_Error(ARGS(Event_Error, .event = event)), 9, "isn't ready");
  OK(subscribe(event, &good));
  OK(subscribe(event, &good));
  CHECK(good.calls == 0);
  OK(set(event, 0, ""));
  CHECK(good.calls == 2 && good.code == -1);
  FAILS(set(event, 0, ""), 9, "set before");
  CHECK(good.calls == 2);
  OK(subscribe(event, &late)); /* ready already: called at once */
  CHECK(late.calls == 1);
  await(event);

  event = create_event();
  OK(subscribe(event, &bad));
  OK(set(event, 13, "as the test wants"));
  CHECK(bad.calls == 1 && bad.code == 13);
  await_failure(event, 13, "as the test wants");

  event = create_event(); /* given up: who waits is told */
  OK(subscribe(event, &lost));
  destroy_event(event);
  CHECK(lost.calls == 1 && lost.code == 10);

  event = create_event();
  FAILS(abi_Event_OnReady(ARGS(Event_OnReady, .event = event)), 3, "callback");
  pthread_t thread;
  CHECK(!pthread_create(&thread, NULL, set_later, event));
  OK(abi_Event_Await(ARGS(Event_Await, .event = event)));
  void *failed = event;
  CHECK(!pthread_join(thread, &failed) && !failed);
  destroy_event(event);
  destroy_event(NULL);

  PJRT_Error_Message_Args *message = ARGS(Error_Message, .error = NULL);
  abi_Error_Message(message);
  CHECK(message->message_size == 0);
  abi_Error_Destroy(ARGS(Error_Destroy, .error = NULL));
}

static bool same_text(const char *bytes, size_t size, const char *text) {
  return size == strlen(text) && !memcmp(bytes, text, size);
}

static void test_plugin(void) {
  PJRT_Plugin_Initialize_Args none = {0};
  OK(abi_Plugin_Initialize(&none));
  PJRT_Plugin_Attributes_Args *args = ARGS(Plugin_Attributes, .num_attributes = 0);
  OK(abi_Plugin_Attributes(args));
  bool current = false;
  for (size_t i = 0; i < args->num_attributes; i++) {
    const PJRT_NamedValue *value = &args->attributes[i];
    if (!same_text(value->name, value->name_size, "stablehlo_current_version")) continue;
    current = value->type == PJRT_NamedValue_kInt64List && value->value_size == 3 &&
              value->int64_array_value[0] == 1 && value->int64_array_value[1] == 15;
  }
  CHECK(current);
}

static void test_description(PJRT_DeviceDescription *description) {
  PJRT_DeviceDescription_Id_Args *id = ARGS(DeviceDescription_Id, description);
  OK(abi_DeviceDescription_Id(id));
  CHECK(id->id == 0);
  PJRT_DeviceDescription_ProcessIndex_Args *process =
      ARGS(DeviceDescription_ProcessIndex, description);
  OK(abi_DeviceDescription_ProcessIndex(process));
  CHECK(process->process_index == 0);
  PJRT_DeviceDescription_Attributes_Args *attributes =
      ARGS(DeviceDescription_Attributes, description);
  OK(abi_DeviceDescription_Attributes(attributes));
  CHECK(!attributes->num_attributes || attributes->attributes);
  PJRT_DeviceDescription_Kind_Args *kind = ARGS(DeviceDescription_Kind, description);
  OK(abi_DeviceDescription_Kind(kind));
  CHECK(kind->device_kind_size > 0);
  PJRT_DeviceDescription_DebugString_Args *debug = ARGS(DeviceDescription_DebugString, description);
  OK(abi_DeviceDescription_DebugString(debug));
  CHECK(debug->debug_string_size > 0);
  PJRT_DeviceDescription_ToString_Args *text = ARGS(DeviceDescription_ToString, description);
  OK(abi_DeviceDescription_ToString(text));
  CHECK(text->to_string_size > 0);
}

static void test_topology(PJRT_TopologyDescription *topology) {
  PJRT_TopologyDescription_PlatformName_Args *name =
      ARGS(TopologyDescription_PlatformName, topology);
  OK(abi_TopologyDescription_PlatformName(name));
  CHECK(same_text(name->platform_name, name->platform_name_size, "mps"));
  PJRT_TopologyDescription_PlatformVersion_Args *version =
      ARGS(TopologyDescription_PlatformVersion, topology);
  OK(abi_TopologyDescription_PlatformVersion(version));
  CHECK(version->platform_version_size > 0);
  PJRT_TopologyDescription_Attributes_Args *attributes =
      ARGS(TopologyDescription_Attributes, topology);
  OK(abi_TopologyDescription_Attributes(attributes));
  CHECK(attributes->num_attributes == 0);
  PJRT_TopologyDescription_GetDeviceDescriptions_Args *devices =
      ARGS(TopologyDescription_GetDeviceDescriptions, topology);
  OK(abi_TopologyDescription_GetDeviceDescriptions(devices));
  CHECK(devices->num_descriptions >= 1);
  test_description(devices->descriptions[0]);
}

static void test_topologies(void) {
  PJRT_Client_TopologyDescription_Args *of_client = ARGS(Client_TopologyDescription, client);
  OK(abi_Client_TopologyDescription(of_client));
  test_topology(of_client->topology);
  PJRT_TopologyDescription_Create_Args *created =
      ARGS(TopologyDescription_Create, .num_options = 0);
  OK(abi_TopologyDescription_Create(created));
  test_topology(created->topology);
  PJRT_TopologyDescription_Fingerprint_Args *one =
      ARGS(TopologyDescription_Fingerprint, created->topology);
  OK(abi_TopologyDescription_Fingerprint(one));
  PJRT_TopologyDescription_Serialize_Args *bytes =
      ARGS(TopologyDescription_Serialize, created->topology);
  OK(abi_TopologyDescription_Serialize(bytes));
  PJRT_TopologyDescription_Deserialize_Args *again =
      ARGS(TopologyDescription_Deserialize, .serialized_topology = bytes->serialized_bytes,
           .serialized_topology_size = bytes->serialized_bytes_size);
  OK(abi_TopologyDescription_Deserialize(again));
  PJRT_TopologyDescription_Fingerprint_Args *two =
      ARGS(TopologyDescription_Fingerprint, again->topology);
  OK(abi_TopologyDescription_Fingerprint(two));
  CHECK(one->fingerprint == two->fingerprint);
  test_topology(again->topology);
  OK(abi_TopologyDescription_Destroy(ARGS(TopologyDescription_Destroy, again->topology)));
  for (size_t cut = 0; cut < bytes->serialized_bytes_size; cut++) {
    again->serialized_topology_size = cut;
    FAILS(abi_TopologyDescription_Deserialize(again), 3, "topology");
  }
  bytes->serialized_topology_deleter(bytes->serialized_topology);
  OK(abi_TopologyDescription_Destroy(ARGS(TopologyDescription_Destroy, created->topology)));
  PJRT_NamedValue option = {.struct_size = sizeof option, .name = "x", .name_size = 1};
  created->create_options = &option;
  created->num_options = 1;
  FAILS(abi_TopologyDescription_Create(created), 3, "options");
}

static void test_device(void) {
  PJRT_Device_GetDescription_Args *description = ARGS(Device_GetDescription, device);
  OK(abi_Device_GetDescription(description));
  test_description(description->device_description);
  PJRT_Device_IsAddressable_Args *addressable = ARGS(Device_IsAddressable, device);
  OK(abi_Device_IsAddressable(addressable));
  CHECK(addressable->is_addressable);
  PJRT_Device_LocalHardwareId_Args *id = ARGS(Device_LocalHardwareId, device);
  OK(abi_Device_LocalHardwareId(id));
  CHECK(id->local_hardware_id == 0);
  PJRT_Device_MemoryStats_Args *stats = ARGS(Device_MemoryStats, device);
  OK(abi_Device_MemoryStats(stats));
  CHECK(stats->bytes_in_use >= 0);
  if (full_blocks) CHECK(stats->bytes_limit_is_set && stats->bytes_limit > 0);
  if (full_blocks) CHECK(!stats->pool_bytes_is_set);
  PJRT_Device_GetAttributes_Args *attributes = ARGS(Device_GetAttributes, device);
  OK(abi_Device_GetAttributes(attributes));
  attributes->attributes_deleter(attributes->device_attributes);
  PJRT_Device_CreateAsyncTrackingEvent_Args *tracking =
      ARGS(Device_CreateAsyncTrackingEvent, device, .description = "x", .description_size = 1);
  OK(abi_Device_CreateAsyncTrackingEvent(tracking));
  OK(abi_AsyncTrackingEvent_Destroy(ARGS(AsyncTrackingEvent_Destroy, tracking->event)));
}

static void test_memory(PJRT_Memory *memory, const char *kind) {
  PJRT_Memory_Kind_Args *name = ARGS(Memory_Kind, memory);
  OK(abi_Memory_Kind(name));
  CHECK(!kind || same_text(name->kind, name->kind_size, kind));
  PJRT_Memory_Id_Args *id = ARGS(Memory_Id, memory);
  OK(abi_Memory_Id(id));
  PJRT_Memory_Kind_Id_Args *kind_id = ARGS(Memory_Kind_Id, memory);
  OK(abi_Memory_Kind_Id(kind_id));
  PJRT_Memory_DebugString_Args *debug = ARGS(Memory_DebugString, memory);
  OK(abi_Memory_DebugString(debug));
  CHECK(debug->debug_string_size > 0);
  PJRT_Memory_ToString_Args *text = ARGS(Memory_ToString, memory);
  OK(abi_Memory_ToString(text));
  CHECK(text->to_string_size > 0);
  PJRT_Memory_AddressableByDevices_Args *devices = ARGS(Memory_AddressableByDevices, memory);
  OK(abi_Memory_AddressableByDevices(devices));
  CHECK(devices->num_devices == 1 && devices->devices[0] == device);
}

static void test_memories(void) {
  PJRT_Device_DefaultMemory_Args *memory = ARGS(Device_DefaultMemory, device);
  OK(abi_Device_DefaultMemory(memory));
  test_memory(memory->memory, "device");
  PJRT_Device_AddressableMemories_Args *of_device = ARGS(Device_AddressableMemories, device);
  OK(abi_Device_AddressableMemories(of_device));
  CHECK(of_device->num_memories >= 1);
  for (size_t i = 0; i < of_device->num_memories; i++) test_memory(of_device->memories[i], NULL);
  PJRT_Client_AddressableMemories_Args *of_client = ARGS(Client_AddressableMemories, client);
  OK(abi_Client_AddressableMemories(of_client));
  CHECK(of_client->num_addressable_memories >= of_device->num_memories);
}

static void test_creation(void) {
  PJRT_NamedValue option = {.struct_size = sizeof option, .name = "nonsense", .name_size = 8};
  PJRT_Client_Create_Args *create =
      ARGS(Client_Create, .create_options = &option, .num_options = 1);
  FAILS(abi_Client_Create(create), 3, "'nonsense'");
  option = (PJRT_NamedValue){.struct_size = sizeof option,
                             .name = "num_devices",
                             .name_size = 11,
                             .type = PJRT_NamedValue_kString,
                             .string_value = "0",
                             .value_size = 1};
  FAILS(abi_Client_Create(create), 3, "JAX_MPS_NUM_DEVICES");
  option.type = PJRT_NamedValue_kInt64;
  option.int64_value = 3;
  OK(abi_Client_Create(create));
  PJRT_Client_Devices_Args *devices = ARGS(Client_Devices, create->client);
  OK(abi_Client_Devices(devices));
  CHECK(devices->num_devices == 3);
  OK(abi_Client_Destroy(ARGS(Client_Destroy, create->client)));
  option.int64_value = 1;
  OK(abi_Client_Create(create));
  OK(abi_Client_Destroy(ARGS(Client_Destroy, create->client)));
}

void test_client(void) {
  test_plugin();
  PJRT_Client_PlatformName_Args *name = ARGS(Client_PlatformName, client);
  OK(abi_Client_PlatformName(name));
  CHECK(same_text(name->platform_name, name->platform_name_size, "mps"));
  PJRT_Client_PlatformVersion_Args *version = ARGS(Client_PlatformVersion, client);
  OK(abi_Client_PlatformVersion(version));
  CHECK(version->platform_version_size > 9 && !memcmp(version->platform_version, "jax-mps-c", 9));
  PJRT_Client_ProcessIndex_Args *process = ARGS(Client_ProcessIndex, client);
  OK(abi_Client_ProcessIndex(process));
  CHECK(process->process_index == 0);
  PJRT_Client_Devices_Args *devices = ARGS(Client_Devices, client);
  OK(abi_Client_Devices(devices));
  CHECK(devices->num_devices == 1 && devices->devices[0] == device);
  PJRT_Client_AddressableDevices_Args *addressable = ARGS(Client_AddressableDevices, client);
  OK(abi_Client_AddressableDevices(addressable));
  CHECK(addressable->num_addressable_devices == 1);
  PJRT_Client_LookupAddressableDevice_Args *lookup = ARGS(Client_LookupAddressableDevice, client);
  OK(abi_Client_LookupAddressableDevice(lookup));
  CHECK(lookup->addressable_device == device);
  lookup->local_hardware_id = 7;
  FAILS(abi_Client_LookupAddressableDevice(lookup), 3, "no device 7");
  FAILS(abi_Client_LookupDevice(ARGS(Client_LookupDevice, client, .id = -1)), 3, "no device -1");
  int ids[1] = {-1};
  PJRT_Client_DefaultDeviceAssignment_Args *assignment =
      ARGS(Client_DefaultDeviceAssignment, client, .num_replicas = 1, .num_partitions = 1,
           .default_assignment_size = 1, .default_assignment = ids);
  OK(abi_Client_DefaultDeviceAssignment(assignment));
  CHECK(ids[0] == 0);
  assignment->num_partitions = 2;
  FAILS(abi_Client_DefaultDeviceAssignment(assignment), 3, "devices");
  test_topologies();
  test_device();
  test_memories();
  test_creation();
}
