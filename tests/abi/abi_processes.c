/* SPDX-License-Identifier: Apache-2.0
 * A client that is process 1 of 2, with a key-value store in which process 0 has been before. */
#include <stdlib.h>

#include "abi/abi.h"

typedef struct store {
  const char *other; /* what process 0 told; NULL: it fails */
  char own[512];
  size_t own_size;
  int puts;
} store;

static PJRT_Error *store_put(PJRT_KeyValuePutCallback_Args *args) {
  store *s = args->user_arg;
  s->puts++;
  s->own_size = args->value_size < sizeof s->own ? args->value_size : 0;
  memcpy(s->own, args->value, s->own_size);
  return NULL;
}

static void delete_value(char *value) { free(value); }

static PJRT_Error *store_get(PJRT_KeyValueGetCallback_Args *args) {
  const store *s = args->user_arg;
  const bool is_own = args->key_size && args->key[args->key_size - 1] == '1';
  CHECK(args->timeout_in_ms > 0);
  if (!is_own && !s->other) return (*args->callback_error)(PJRT_Error_Code_INTERNAL, "no store", 8);
  args->value_size = is_own ? s->own_size : strlen(s->other);
  args->value = malloc(args->value_size + 1);
  memcpy(args->value, is_own ? s->own : s->other, args->value_size);
  args->value_deleter_callback = delete_value;
  return NULL;
}

static int id_of(PJRT_Device *of, int *process) {
  PJRT_Device_GetDescription_Args *description = ARGS(Device_GetDescription, of);
  OK(abi_Device_GetDescription(description));
  PJRT_DeviceDescription_Id_Args *id = ARGS(DeviceDescription_Id, description->device_description);
  OK(abi_DeviceDescription_Id(id));
  PJRT_DeviceDescription_ProcessIndex_Args *index =
      ARGS(DeviceDescription_ProcessIndex, description->device_description);
  OK(abi_DeviceDescription_ProcessIndex(index));
  *process = index->process_index;
  return id->id;
}

static void check_remote(PJRT_Device *remote) {
  PJRT_Device_IsAddressable_Args *addressable = ARGS(Device_IsAddressable, remote);
  OK(abi_Device_IsAddressable(addressable));
  CHECK(!addressable->is_addressable);
  PJRT_Device_AddressableMemories_Args *memories = ARGS(Device_AddressableMemories, remote);
  OK(abi_Device_AddressableMemories(memories));
  CHECK(memories->num_memories == 0);
  PJRT_Device_LocalHardwareId_Args *id = ARGS(Device_LocalHardwareId, remote);
  OK(abi_Device_LocalHardwareId(id));
  CHECK(id->local_hardware_id == -1);
  FAILS(abi_Device_DefaultMemory(ARGS(Device_DefaultMemory, remote)), 3, "process 0");
  FAILS(abi_Device_MemoryStats(ARGS(Device_MemoryStats, remote)), 3, "process 0");
}

static void check_job(PJRT_Client *job) {
  PJRT_Client_ProcessIndex_Args *index = ARGS(Client_ProcessIndex, job);
  OK(abi_Client_ProcessIndex(index));
  CHECK(index->process_index == 1);
  PJRT_Client_Devices_Args *all = ARGS(Client_Devices, job);
  OK(abi_Client_Devices(all));
  CHECK(all->num_devices == 4);
  PJRT_Client_AddressableDevices_Args *own = ARGS(Client_AddressableDevices, job);
  OK(abi_Client_AddressableDevices(own));
  CHECK(own->num_addressable_devices == 1 && own->addressable_devices[0] == all->devices[3]);
  for (int i = 0; i < 4; i++) {
    int process;
    CHECK(id_of(all->devices[i], &process) == i && process == (i == 3));
  }
  check_remote(all->devices[1]);
  PJRT_Client_LookupAddressableDevice_Args *lookup = ARGS(Client_LookupAddressableDevice, job);
  OK(abi_Client_LookupAddressableDevice(lookup));
  CHECK(lookup->addressable_device == all->devices[3]);
  PJRT_ProcessInfo infos[] = {
      {.struct_size = sizeof *infos, .task_id = 0, .state = PJRT_ProcessState_kConnected},
      {.struct_size = sizeof *infos, .task_id = 0, .state = PJRT_ProcessState_kDisconnected},
      {.struct_size = sizeof *infos, .task_id = 7, .state = PJRT_ProcessState_kError},
  };
  OK(abi_Client_UpdateGlobalProcessInfo(
      ARGS(Client_UpdateGlobalProcessInfo, job, infos, sizeof infos / sizeof *infos)));
}

void test_processes(void) {
  store s = {.other = "jax-mps-c processes 2\n3\n127.0.0.1:9\na processor\n\n\n"};
  PJRT_NamedValue options[] = {{.struct_size = sizeof *options,
                                .name = "node_id",
                                .name_size = 7,
                                .type = PJRT_NamedValue_kInt64,
                                .int64_value = 1},
                               {.struct_size = sizeof *options,
                                .name = "num_nodes",
                                .name_size = 9,
                                .type = PJRT_NamedValue_kInt64,
                                .int64_value = 2}};
  PJRT_Client_Create_Args *create =
      ARGS(Client_Create, .create_options = options, .num_options = 2, .kv_get_callback = store_get,
           .kv_get_user_arg = &s, .kv_put_callback = store_put, .kv_put_user_arg = &s);
  OK(abi_Client_Create(create));
  CHECK(s.puts == 1);
  check_job(create->client);
  OK(abi_Client_Destroy(ARGS(Client_Destroy, create->client)));
  s.other = NULL;
  FAILS(abi_Client_Create(create), 13, "no store; waiting for process 0");
  static const char *const bad[] = {"", "jax-mps-c processes 2\n3\n127.0.0.1:9\n",
                                    "jax-mps-c processes 2\n0\n127.0.0.1:9\nx\n\n\n",
                                    "jax-mps-c processes 2\n64\n127.0.0.1:9\nx\n\n\n",
                                    "jax-mps-c processes 2\n3x\n127.0.0.1:9\nx\n\n\nx"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    s.other = bad[i];
    FAILS(abi_Client_Create(create), i ? 3 : 9, "process");
  }
  options[0].int64_value = 2;
  FAILS(abi_Client_Create(create), 3, "process 2 of 2");
  options[0].int64_value = 1;
  create->kv_get_callback = NULL;
  FAILS(abi_Client_Create(create), 9, "key-value store");
}
