/* SPDX-License-Identifier: Apache-2.0 */
#include "abi/abi.h"

#include <stdlib.h>

const PJRT_Api *api;
PJRT_Client *client;
PJRT_Device *device;
int check_count, check_failures;
bool full_blocks, is_fake;

enum {
#define SLOT(name, result, binding, first, required) INDEX_##name,
#include "pjrt/slots.def"
  N_SLOTS
};

static bool called[N_SLOTS];

static void destroy_error(PJRT_Error *error) {
  PJRT_Error_Destroy_Args args = {.struct_size = sizeof args, .error = error};
  api->PJRT_Error_Destroy(&args);
}

static const char *message_of(PJRT_Error *error) {
  PJRT_Error_Message_Args args = {.struct_size = sizeof args, .error = error};
  api->PJRT_Error_Message(&args);
  static char text[512];
  snprintf(text, sizeof text, "%.*s", (int)args.message_size, args.message);
  return text;
}

static int code_of(PJRT_Error *error) {
  PJRT_Error_GetCode_Args args = {.struct_size = JM_ABI_END(PJRT_Error_GetCode_Args, code),
                                  .error = error};
  CHECK(!api->PJRT_Error_GetCode(&args));
  return (int)args.code;
}

bool check_ok(PJRT_Error *error, const char *file, int line, const char *what) {
  check_count++;
  if (!error) return true;
  check_failures++;
  fprintf(stderr, "%s:%d: %s: error %d: %s\n", file, line, what, code_of(error), message_of(error));
  destroy_error(error);
  return false;
}

void check_fails(PJRT_Error *error, int code, const char *text, const char *file, int line,
                 const char *what) {
  check_count++;
  int have = error ? code_of(error) : 0;
  if (have != code || !strstr(error ? message_of(error) : "", text)) {
    check_failures++;
    fprintf(stderr, "%s:%d: %s gave %d: %s\n", file, line, what, have,
            error ? message_of(error) : "success");
  }
  destroy_error(error);
}

/* A block of its own, at the end of its memory, between guards. */
enum { GUARD = 64, GUARD_BYTE = 0xA5 };

static void *guard(const void *args, size_t size) {
  char *block = malloc(size + 2 * GUARD);
  memset(block, GUARD_BYTE, size + 2 * GUARD);
  memcpy(block + GUARD, args, size);
  memcpy(block + GUARD, &size, sizeof size);
  return block + GUARD;
}

static void unguard(void *args, void *copy, size_t size, const char *name) {
  char *block = (char *)copy - GUARD;
  bool whole = true;
  for (size_t i = 0; i < GUARD; i++)
    whole &= (unsigned char)block[i] == GUARD_BYTE &&
             (unsigned char)block[GUARD + size + i] == GUARD_BYTE;
  check_count++;
  if (!whole) {
    check_failures++;
    fprintf(stderr, "PJRT_%s wrote outside of its %zu bytes\n", name, size);
  }
  memcpy(args, copy, size);
  free(block);
}

#define CALLER_ERROR(name, required)                                                     \
  PJRT_Error *abi_##name(PJRT_##name##_Args *args) {                                     \
    size_t size = full_blocks ? sizeof *args : JM_ABI_END(PJRT_##name##_Args, required); \
    void *copy = guard(args, size);                                                      \
    PJRT_Error *error = api->PJRT_##name(copy);                                          \
    unguard(args, copy, size, #name);                                                    \
    if (!error) called[INDEX_##name] = true;                                             \
    return error;                                                                        \
  }
#define CALLER_NONE(name, required)                         \
  void abi_##name(PJRT_##name##_Args *args) {               \
    size_t size = JM_ABI_END(PJRT_##name##_Args, required); \
    void *copy = guard(args, size);                         \
    api->PJRT_##name(copy);                                 \
    unguard(args, copy, size, #name);                       \
    called[INDEX_##name] = true;                            \
  }
#define SLOT(name, result, binding, first, required) CALLER_##result(name, required)
#include "pjrt/slots.def"

void check_all_called(void) {
  static const struct {
    const char *name;
    bool real;
  } slots[] = {
#define IS_REAL true
#define IS_STUB false
#define SLOT(name, result, binding, first, required) {#name, IS_##binding},
#include "pjrt/slots.def"
  };
  for (int i = 0; i < N_SLOTS; i++) {
    check_count++;
    if (called[i] == slots[i].real) continue;
    check_failures++;
    fprintf(stderr, "PJRT_%s: %s\n", slots[i].name,
            called[i] ? "is no stub" : "no call of it succeeded");
  }
}

#define BAD_NONE(name, binding, first) CHECK(api->PJRT_##name);
#define BAD_ERROR(name, binding, first)                                                       \
  do {                                                                                        \
    CHECK(api->PJRT_##name);                                                                  \
    PJRT_##name##_Args args;                                                                  \
    memset(&args, 0, sizeof args);                                                            \
    args.struct_size = 8;                                                                     \
    check_fails(api->PJRT_##name(&args), CODE_##binding, "PJRT_" #name, __FILE__, __LINE__,   \
                #name);                                                                       \
    args.struct_size = sizeof args;                                                           \
    if (MUST_##first)                                                                         \
      check_fails(api->PJRT_##name(&args), CODE_##binding, "PJRT_" #name, __FILE__, __LINE__, \
                  #name);                                                                     \
  } while (0);
#define CODE_REAL PJRT_Error_Code_INVALID_ARGUMENT
#define CODE_STUB PJRT_Error_Code_UNIMPLEMENTED
#define MUST_OBJECT true
#define MUST_ANY false

void check_bad_blocks(void) {
#define SLOT(name, result, binding, first, required) BAD_##result(name, binding, first)
#include "pjrt/slots.def"
}

bool is_ready(PJRT_Event *event) {
  PJRT_Event_IsReady_Args *args = ARGS(Event_IsReady, .event = event);
  OK(abi_Event_IsReady(args));
  return args->is_ready;
}

void destroy_event(PJRT_Event *event) {
  OK(abi_Event_Destroy(ARGS(Event_Destroy, .event = event)));
}

void await(PJRT_Event *event) {
  OK(abi_Event_Await(ARGS(Event_Await, .event = event)));
  CHECK(is_ready(event));
  OK(abi_Event_Error(ARGS(Event_Error, .event = event)));
  destroy_event(event);
}

void await_failure(PJRT_Event *event, int code, const char *text) {
  FAILS(abi_Event_Await(ARGS(Event_Await, .event = event)), code, text);
  FAILS(abi_Event_Error(ARGS(Event_Error, .event = event)), code, text);
  destroy_event(event);
}

PJRT_Buffer *put(const void *data, PJRT_Buffer_Type type, const int64_t *dims, size_t n_dims,
                 const int64_t *strides, PJRT_HostBufferSemantics semantics, PJRT_Event **done) {
  PJRT_Client_BufferFromHostBuffer_Args *args =
      ARGS(Client_BufferFromHostBuffer, .client = client, .data = data, .type = type, .dims = dims,
           .num_dims = n_dims, .byte_strides = strides, .num_byte_strides = strides ? n_dims : 0,
           .host_buffer_semantics = semantics, .device = device);
  if (!OK(abi_Client_BufferFromHostBuffer(args))) exit(1);
  if (done)
    *done = args->done_with_host_buffer;
  else
    await(args->done_with_host_buffer);
  return args->buffer;
}

static const int64_t dims_2x3[] = {2, 3};

PJRT_Buffer *put_floats(float first) {
  float data[6];
  for (int i = 0; i < 6; i++) data[i] = first + (float)i;
  return put(data, PJRT_Buffer_Type_F32, dims_2x3, 2, NULL,
             PJRT_HostBufferSemantics_kImmutableOnlyDuringCall, NULL);
}

void get(PJRT_Buffer *buffer, void *data, size_t size) {
  PJRT_Buffer_ToHostBuffer_Args *args =
      ARGS(Buffer_ToHostBuffer, .src = buffer, .dst = data, .dst_size = size);
  if (OK(abi_Buffer_ToHostBuffer(args))) await(args->event);
}

bool holds_floats(PJRT_Buffer *buffer, float first) {
  float data[6];
  get(buffer, data, sizeof data);
  bool same = true;
  for (int i = 0; i < 6; i++) same &= data[i] == first + (float)i;
  return same;
}

PJRT_Event *ready_event(PJRT_Buffer *buffer) {
  PJRT_Buffer_ReadyEvent_Args *args = ARGS(Buffer_ReadyEvent, .buffer = buffer);
  OK(abi_Buffer_ReadyEvent(args));
  return args->event;
}

bool is_deleted(PJRT_Buffer *buffer) {
  PJRT_Buffer_IsDeleted_Args *args = ARGS(Buffer_IsDeleted, .buffer = buffer);
  OK(abi_Buffer_IsDeleted(args));
  return args->is_deleted;
}

void *data_of(PJRT_Buffer *buffer) {
  PJRT_Buffer_OpaqueDeviceMemoryDataPointer_Args *args =
      ARGS(Buffer_OpaqueDeviceMemoryDataPointer, .buffer = buffer);
  OK(abi_Buffer_OpaqueDeviceMemoryDataPointer(args));
  return args->device_memory_ptr;
}

void destroy_buffer(PJRT_Buffer *buffer) {
  OK(abi_Buffer_Destroy(ARGS(Buffer_Destroy, .buffer = buffer)));
}

int64_t bytes_in_use(void) {
  PJRT_Device_MemoryStats_Args *args = ARGS(Device_MemoryStats, .device = device);
  OK(abi_Device_MemoryStats(args));
  return args->bytes_in_use;
}
