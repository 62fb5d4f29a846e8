/* SPDX-License-Identifier: Apache-2.0
 * Running out of memory: the n-th allocation and all after it fail, for every n. Each call then
 * either works or fails with RESOURCE_EXHAUSTED, nothing is lost, nothing crashes. */
#include "abi/abi.h"
#include "abi/program_fake.h"

void (*fail_after)(int64_t n);

static bool attempt(PJRT_Error *error) {
  if (!error) return true;
  FAILS(error, 8, "memory");
  return false;
}

static void drop(PJRT_Buffer *buffer) {
  PJRT_Buffer_Destroy_Args args = {sizeof args, NULL, buffer};
  CHECK(!api->PJRT_Buffer_Destroy(&args));
}

static void on_ready(PJRT_Error *error, void *argument) {
  (void)argument;
  PJRT_Error_Destroy_Args args = {sizeof args, NULL, error};
  api->PJRT_Error_Destroy(&args);
}

/* Waits, whatever comes of it, so that the next step starts in a quiet state. */
static void settle(PJRT_Event *event) {
  PJRT_Event_OnReady_Args call = {sizeof call, NULL, event, on_ready, NULL};
  (void)attempt(api->PJRT_Event_OnReady(&call));
  PJRT_Event_Await_Args wait = {sizeof wait, NULL, event};
  (void)attempt(api->PJRT_Event_Await(&wait));
  PJRT_Event_Destroy_Args end = {sizeof end, NULL, event};
  CHECK(!api->PJRT_Event_Destroy(&end));
}

static void use(PJRT_LoadedExecutable *executable, PJRT_Buffer *in) {
  PJRT_Buffer *out[2], **outputs = out, *const *inputs = &in;
  PJRT_Event *done;
  PJRT_ExecuteOptions options = {.struct_size = sizeof options};
  PJRT_LoadedExecutable_Execute_Args run = {sizeof run, NULL, executable, &options, &inputs,
                                            1,          1,    &outputs,   &done};
  if (!attempt(api->PJRT_LoadedExecutable_Execute(&run))) return;
  settle(done);
  float data[6];
  PJRT_Buffer_ToHostBuffer_Args get = {
      .struct_size = sizeof get, .src = out[0], .dst = data, .dst_size = sizeof data};
  if (attempt(api->PJRT_Buffer_ToHostBuffer(&get))) settle(get.event);
  PJRT_Buffer_CopyToDevice_Args copy = {sizeof copy, NULL, out[1], NULL};
  PJRT_Buffer_Device_Args of = {sizeof of, NULL, out[1]};
  CHECK(!api->PJRT_Buffer_Device(&of));
  copy.dst_device = of.device;
  if (attempt(api->PJRT_Buffer_CopyToDevice(&copy))) drop(copy.dst_buffer);
  drop(out[0]);
  drop(out[1]);
}

static void scenario(void) {
  PJRT_Client_Create_Args create = {.struct_size = sizeof create};
  if (!attempt(api->PJRT_Client_Create(&create))) return;
  fake_program fake = {
      .magic = "FAKE", .n_parameters = 1, .n_outputs = 2, .alias = 1, .n_partitions = 1};
  PJRT_Program program = {.struct_size = sizeof program,
                          .code = (char *)&fake,
                          .code_size = sizeof fake,
                          .format = "mlir",
                          .format_size = 4};
  PJRT_Client_Compile_Args compile = {
      .struct_size = sizeof compile, .client = create.client, .program = &program};
  if (attempt(api->PJRT_Client_Compile(&compile))) {
    PJRT_LoadedExecutable_GetExecutable_Args get = {sizeof get, NULL, compile.executable};
    if (attempt(api->PJRT_LoadedExecutable_GetExecutable(&get))) {
      PJRT_Executable_Serialize_Args bytes = {sizeof bytes, NULL, get.executable};
      if (attempt(api->PJRT_Executable_Serialize(&bytes)))
        bytes.serialized_executable_deleter(bytes.serialized_executable);
      PJRT_Executable_Destroy_Args end = {sizeof end, NULL, get.executable};
      CHECK(!api->PJRT_Executable_Destroy(&end));
    }
    float data[6] = {0};
    const int64_t dims[] = {2, 3};
    PJRT_Client_BufferFromHostBuffer_Args put = {.struct_size = sizeof put,
                                                 .client = create.client,
                                                 .data = data,
                                                 .type = PJRT_Buffer_Type_F32,
                                                 .dims = dims,
                                                 .num_dims = 2};
    if (attempt(api->PJRT_Client_BufferFromHostBuffer(&put))) {
      settle(put.done_with_host_buffer);
      use(compile.executable, put.buffer);
      drop(put.buffer);
    }
    PJRT_LoadedExecutable_Destroy_Args end = {sizeof end, NULL, compile.executable};
    CHECK(!api->PJRT_LoadedExecutable_Destroy(&end));
  }
  PJRT_Client_Destroy_Args end = {sizeof end, NULL, create.client};
  CHECK(!api->PJRT_Client_Destroy(&end));
}

void test_out_of_memory(void) {
  for (int n = 0; n < 60; n++) {
    fail_after(n);
    scenario();
  }
  fail_after(-1);
  scenario();
}
