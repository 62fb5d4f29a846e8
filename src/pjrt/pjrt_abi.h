/* SPDX-License-Identifier: Apache-2.0
 * Our own declarations of the PJRT C API at version 0.104: the layouts that JAX and the plugin
 * agree on. Nothing is implemented here, and nothing outside src/pjrt, its tests and the examples
 * includes it. From 0.105 on PJRT_Memory and later PJRT_Error start with a table of functions; this
 * version has neither, so all objects are opaque.
 *
 * Conventions: struct_size is the offset of the last field that the writer knows plus its size,
 * without tail padding. A reader looks at no field past it and writes none. Blocks are not zeroed
 * by the caller: fields marked "out" and optional callbacks hold garbage. Strings are pointer and
 * size. */
#ifndef JM_PJRT_PJRT_ABI_H
#define JM_PJRT_PJRT_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PJRT_API_MAJOR 0
#define PJRT_API_MINOR 104

#define JM_ABI_END(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))
#define JM_ABI_SIZE(type, last, size) \
  _Static_assert(JM_ABI_END(type, last) == (size), "layout of " #type)

/* Opaque objects */
typedef struct PJRT_AsyncHostToDeviceTransferManager PJRT_AsyncHostToDeviceTransferManager;
typedef struct PJRT_AsyncTrackingEvent PJRT_AsyncTrackingEvent;
typedef struct PJRT_Buffer PJRT_Buffer;
typedef struct PJRT_Client PJRT_Client;
typedef struct PJRT_CopyToDeviceStream PJRT_CopyToDeviceStream;
typedef struct PJRT_Device PJRT_Device;
typedef struct PJRT_DeviceAssignmentSerialized PJRT_DeviceAssignmentSerialized;
typedef struct PJRT_DeviceDescription PJRT_DeviceDescription;
typedef struct PJRT_Device_Attributes PJRT_Device_Attributes;
typedef struct PJRT_Error PJRT_Error;
typedef struct PJRT_Event PJRT_Event;
typedef struct PJRT_Executable PJRT_Executable;
typedef struct PJRT_ExecuteContext PJRT_ExecuteContext;
typedef struct PJRT_FulfillAliasBufferCallback PJRT_FulfillAliasBufferCallback;
typedef struct PJRT_LoadedExecutable PJRT_LoadedExecutable;
typedef struct PJRT_Memory PJRT_Memory;
typedef struct PJRT_MultiSlice_Config PJRT_MultiSlice_Config;
typedef struct PJRT_SerializedCompileOptions PJRT_SerializedCompileOptions;
typedef struct PJRT_SerializedExecutable PJRT_SerializedExecutable;
typedef struct PJRT_SerializedTopology PJRT_SerializedTopology;
typedef struct PJRT_TopologyDescription PJRT_TopologyDescription;

/* The codes are those of base/error.h. */
typedef enum PJRT_Error_Code {
  PJRT_Error_Code_OK = 0,
  PJRT_Error_Code_INVALID_ARGUMENT = 3,
  PJRT_Error_Code_NOT_FOUND = 5,
  PJRT_Error_Code_FAILED_PRECONDITION = 9,
  PJRT_Error_Code_UNIMPLEMENTED = 12,
  PJRT_Error_Code_INTERNAL = 13,
  PJRT_Error_Code_UNAUTHENTICATED = 16,
} PJRT_Error_Code;

/* The values are in base/dtype.def; two are named here for the layers above. */
typedef enum PJRT_Buffer_Type {
  PJRT_Buffer_Type_INVALID = 0,
  PJRT_Buffer_Type_PRED = 1,
  PJRT_Buffer_Type_S32 = 4,
  PJRT_Buffer_Type_U8 = 6,
  PJRT_Buffer_Type_F32 = 11,
  PJRT_Buffer_Type_TOKEN = 23,
  PJRT_Buffer_Type_S1 = 30, /* no JAX type and none of ours */
  PJRT_Buffer_Type_U1 = 31,
  PJRT_Buffer_Type_F6E3M2FN = 33,
} PJRT_Buffer_Type;

typedef enum PJRT_HostBufferSemantics {
  PJRT_HostBufferSemantics_kImmutableOnlyDuringCall = 0,
  PJRT_HostBufferSemantics_kImmutableUntilTransferCompletes = 1,
  PJRT_HostBufferSemantics_kImmutableZeroCopy = 2,
  PJRT_HostBufferSemantics_kMutableZeroCopy = 3,
} PJRT_HostBufferSemantics;

typedef enum PJRT_NamedValue_Type {
  PJRT_NamedValue_kString = 0,
  PJRT_NamedValue_kInt64 = 1,
  PJRT_NamedValue_kInt64List = 2,
  PJRT_NamedValue_kFloat = 3,
  PJRT_NamedValue_kBool = 4,
} PJRT_NamedValue_Type;

typedef enum PJRT_Buffer_MemoryLayout_Type {
  PJRT_Buffer_MemoryLayout_Type_Tiled = 0,
  PJRT_Buffer_MemoryLayout_Type_Strides = 1,
} PJRT_Buffer_MemoryLayout_Type;

typedef struct PJRT_Extension_Base {
  size_t struct_size;
  int type;
  struct PJRT_Extension_Base *next;
} PJRT_Extension_Base;
JM_ABI_SIZE(PJRT_Extension_Base, next, 24);

#define JM_ARGS_HEAD  \
  size_t struct_size; \
  PJRT_Extension_Base *extension_start;

typedef struct PJRT_Api_Version {
  JM_ARGS_HEAD
  int major_version;
  int minor_version;
} PJRT_Api_Version;
JM_ABI_SIZE(PJRT_Api_Version, minor_version, 24);

typedef struct PJRT_NamedValue {
  JM_ARGS_HEAD
  const char *name;
  size_t name_size;
  PJRT_NamedValue_Type type;
  union {
    const char *string_value;
    int64_t int64_value;
    const int64_t *int64_array_value;
    float float_value;
    bool bool_value;
  };
  size_t value_size; /* elements of a list, bytes of a string, 1 for a scalar */
} PJRT_NamedValue;
JM_ABI_SIZE(PJRT_NamedValue, value_size, 56);

typedef struct PJRT_Program {
  JM_ARGS_HEAD
  char *code; /* in, or the caller's space for an out program */
  size_t code_size;
  const char *format;
  size_t format_size;
} PJRT_Program;
JM_ABI_SIZE(PJRT_Program, format_size, 48);

typedef struct PJRT_Buffer_MemoryLayout_Tiled {
  JM_ARGS_HEAD
  const int64_t *minor_to_major;
  size_t minor_to_major_size;
  const int64_t *tile_dims;
  const size_t *tile_dim_sizes;
  size_t num_tiles;
} PJRT_Buffer_MemoryLayout_Tiled;
JM_ABI_SIZE(PJRT_Buffer_MemoryLayout_Tiled, num_tiles, 56);

typedef struct PJRT_Buffer_MemoryLayout_Strides {
  JM_ARGS_HEAD
  const int64_t *byte_strides;
  size_t num_byte_strides;
} PJRT_Buffer_MemoryLayout_Strides;
JM_ABI_SIZE(PJRT_Buffer_MemoryLayout_Strides, num_byte_strides, 32);

typedef struct PJRT_Buffer_MemoryLayout {
  JM_ARGS_HEAD
  union {
    PJRT_Buffer_MemoryLayout_Tiled tiled;
    PJRT_Buffer_MemoryLayout_Strides strides;
  };
  PJRT_Buffer_MemoryLayout_Type type;
} PJRT_Buffer_MemoryLayout;
JM_ABI_SIZE(PJRT_Buffer_MemoryLayout, type, 76);

typedef struct PJRT_ShapeSpec {
  JM_ARGS_HEAD
  const int64_t *dims;
  size_t num_dims;
  PJRT_Buffer_Type element_type;
} PJRT_ShapeSpec;
JM_ABI_SIZE(PJRT_ShapeSpec, element_type, 36);

typedef struct PJRT_LogicalDeviceIds {
  int replica;
  int partition;
} PJRT_LogicalDeviceIds;
JM_ABI_SIZE(PJRT_LogicalDeviceIds, partition, 8);

typedef enum PJRT_ProcessState {
  PJRT_ProcessState_kUnspecified = 0,
  PJRT_ProcessState_kUninitialized = 1,
  PJRT_ProcessState_kDisconnected = 2,
  PJRT_ProcessState_kConnected = 3,
  PJRT_ProcessState_kError = 4,
} PJRT_ProcessState;

typedef struct PJRT_ProcessInfo {
  size_t struct_size;
  int task_id;
  uint64_t incarnation_id;
  PJRT_ProcessState state;
  int error_code;
  const char *error_message;
  size_t error_message_size;
} PJRT_ProcessInfo;
JM_ABI_SIZE(PJRT_ProcessInfo, error_message_size, 48);

typedef struct PJRT_SendCallbackInfo PJRT_SendCallbackInfo; /* send and recv ops: unused here */
typedef struct PJRT_RecvCallbackInfo PJRT_RecvCallbackInfo;
typedef struct PJRT_HloOutputCallbackInfo PJRT_HloOutputCallbackInfo;

typedef struct PJRT_Chunk {
  void *data;
  size_t size;
  void (*deleter)(void *data, void *deleter_arg);
  void *deleter_arg;
} PJRT_Chunk;
JM_ABI_SIZE(PJRT_Chunk, deleter_arg, 32);

typedef struct PJRT_ExecuteOptions {
  JM_ARGS_HEAD
  PJRT_SendCallbackInfo **send_callbacks;
  PJRT_RecvCallbackInfo **recv_callbacks;
  size_t num_send_ops;
  size_t num_recv_ops;
  int launch_id;
  const int64_t *non_donatable_input_indices;
  size_t num_non_donatable_input_indices;
  PJRT_ExecuteContext *context;
  const char *call_location;
  size_t num_tasks;
  int *task_ids;
  int64_t *incarnation_ids;
  PJRT_MultiSlice_Config *multi_slice_config;
  bool use_major_to_minor_data_layout_for_callbacks;
  PJRT_HloOutputCallbackInfo *hlo_output_callbacks; /* since 0.111 */
  size_t num_hlo_output_callbacks;
} PJRT_ExecuteOptions;
JM_ABI_SIZE(PJRT_ExecuteOptions, num_hlo_output_callbacks, 144);

typedef struct PJRT_LoadOptions {
  size_t struct_size;
  const int32_t *computation_origin;
  size_t computation_origin_size;
  PJRT_MultiSlice_Config *multi_slice_config;
} PJRT_LoadOptions;
JM_ABI_SIZE(PJRT_LoadOptions, multi_slice_config, 32);

typedef struct PJRT_Buffer_CopyRawToHostFuture_Callback_Args {
  size_t struct_size;
  void *callback_data;
  PJRT_Error_Code error_code;
  const char *error_message;
  size_t error_message_size;
  void *dst;
} PJRT_Buffer_CopyRawToHostFuture_Callback_Args;
JM_ABI_SIZE(PJRT_Buffer_CopyRawToHostFuture_Callback_Args, dst, 48);

typedef struct PJRT_Buffer_DonateWithControlDependency_Callback_Args {
  size_t struct_size;
  void *callback_data;
  PJRT_Error_Code error_code;
  const char *error_message;
  size_t error_message_size;
} PJRT_Buffer_DonateWithControlDependency_Callback_Args;
JM_ABI_SIZE(PJRT_Buffer_DonateWithControlDependency_Callback_Args, error_message_size, 40);

typedef void (*PJRT_Event_OnReadyCallback)(PJRT_Error *error, void *user_arg);
typedef void (*PJRT_Error_PayloadVisitor)(const char *key, size_t key_size, const char *value,
                                          size_t value_size, void *user_arg);
/* Only multi-process clients may call these; in a single process the fields are uninitialised. */
typedef PJRT_Error *(*PJRT_CallbackError)(PJRT_Error_Code code, const char *message,
                                          size_t message_size);
typedef void (*PJRT_KeyValueGetCallback_ValueDeleter)(char *value);
typedef struct PJRT_KeyValueGetCallback_Args {
  JM_ARGS_HEAD
  const char *key;
  size_t key_size;
  int timeout_in_ms;
  PJRT_CallbackError *callback_error; /* with which the callee makes its errors */
  void *user_arg;
  char *value; /* out, and to be given to the deleter */
  size_t value_size;
  PJRT_KeyValueGetCallback_ValueDeleter value_deleter_callback;
} PJRT_KeyValueGetCallback_Args;
JM_ABI_SIZE(PJRT_KeyValueGetCallback_Args, value_deleter_callback, 80);
typedef struct PJRT_KeyValuePutCallback_Args {
  JM_ARGS_HEAD
  const char *key;
  size_t key_size;
  const char *value;
  size_t value_size;
  PJRT_CallbackError *callback_error;
  void *user_arg;
} PJRT_KeyValuePutCallback_Args;
JM_ABI_SIZE(PJRT_KeyValuePutCallback_Args, user_arg, 64);
typedef PJRT_Error *(*PJRT_KeyValueGetCallback)(PJRT_KeyValueGetCallback_Args *args);
typedef PJRT_Error *(*PJRT_KeyValuePutCallback)(PJRT_KeyValuePutCallback_Args *args);
typedef void (*PJRT_KeyValueTryGetCallback)(void); /* not called */

#include "pjrt/pjrt_args.h"

/* The table of functions, one pointer per row of slots.def. */
#define PJRT_RESULT_ERROR PJRT_Error *
#define PJRT_RESULT_NONE void
typedef struct PJRT_Api {
  JM_ARGS_HEAD
  PJRT_Api_Version pjrt_api_version;
#define SLOT(name, result, binding, first, required) \
  PJRT_RESULT_##result (*PJRT_##name)(PJRT_##name##_Args * args);
#include "pjrt/slots.def"
} PJRT_Api;
JM_ABI_SIZE(PJRT_Api, PJRT_Executable_ParameterMemoryKinds, 1120);
_Static_assert(offsetof(PJRT_Api, PJRT_Error_Destroy) == 40, "layout of PJRT_Api");
_Static_assert(offsetof(PJRT_Api, PJRT_Client_BufferFromHostBuffer) == 216, "layout of PJRT_Api");
_Static_assert(offsetof(PJRT_Api, PJRT_LoadedExecutable_Execute) == 480, "layout of PJRT_Api");
_Static_assert(offsetof(PJRT_Api, PJRT_Buffer_CopyToMemory) == 776, "layout of PJRT_Api");

#endif
