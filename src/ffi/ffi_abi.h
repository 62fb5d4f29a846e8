/* SPDX-License-Identifier: Apache-2.0
 * The structs of XLA's foreign function interface, as far as a runtime that calls handlers needs
 * them: LP64 layouts of API version 0.1 to 0.5 (jaxlib 0.4.38 to 0.12), checked by tests against
 * the headers that jaxlib ships. Declarations only; ffi.h says how we use them. */
#ifndef JM_FFI_ABI_H
#define JM_FFI_ABI_H

#include <stddef.h>
#include <stdint.h>

enum { XLA_FFI_Extension_Metadata = 1 };
enum { XLA_FFI_ArgType_BUFFER = 1 };
enum {
  XLA_FFI_AttrType_ARRAY = 1,
  XLA_FFI_AttrType_DICTIONARY = 2,
  XLA_FFI_AttrType_SCALAR = 3,
  XLA_FFI_AttrType_STRING = 4,
};
typedef enum XLA_FFI_ExecutionStage {
  XLA_FFI_ExecutionStage_INSTANTIATE,
  XLA_FFI_ExecutionStage_PREPARE,
  XLA_FFI_ExecutionStage_INITIALIZE,
  XLA_FFI_ExecutionStage_EXECUTE,
  XLA_FFI_STAGES,
} XLA_FFI_ExecutionStage;

typedef struct XLA_FFI_Extension_Base {
  size_t struct_size;
  int type;
  struct XLA_FFI_Extension_Base *next;
} XLA_FFI_Extension_Base;

/* The start of every struct of arguments. */
#define XLA_FFI_HEADER \
  size_t struct_size;  \
  XLA_FFI_Extension_Base *extension_start;

typedef struct XLA_FFI_Error XLA_FFI_Error;                       /* ours to define */
typedef struct XLA_FFI_Future XLA_FFI_Future;                     /* ours to define */
typedef struct XLA_FFI_ExecutionContext XLA_FFI_ExecutionContext; /* ours to define */

typedef struct XLA_FFI_Api_Version {
  XLA_FFI_HEADER int major_version, minor_version;
} XLA_FFI_Api_Version;

typedef struct XLA_FFI_ByteSpan {
  const char *ptr;
  size_t len;
} XLA_FFI_ByteSpan;

typedef struct XLA_FFI_TypeId {
  int64_t type_id; /* 0: not known yet */
} XLA_FFI_TypeId;

typedef struct XLA_FFI_TypeInfo {
  XLA_FFI_HEADER void (*deleter)(void *object);
} XLA_FFI_TypeInfo;

typedef struct XLA_FFI_Buffer {
  XLA_FFI_HEADER int dtype; /* XLA's number of an element type */
  void *data;
  int64_t rank;
  const int64_t *dims;
} XLA_FFI_Buffer;

typedef struct XLA_FFI_Scalar {
  int dtype;
  const void *value;
} XLA_FFI_Scalar;

typedef struct XLA_FFI_Array {
  int dtype;
  size_t size;
  const void *data;
} XLA_FFI_Array;

typedef struct XLA_FFI_Buffers { /* arguments, and results */
  XLA_FFI_HEADER int64_t size;
  const int *types;
  XLA_FFI_Buffer **buffers;
} XLA_FFI_Buffers;

typedef struct XLA_FFI_Attrs {
  XLA_FFI_HEADER int64_t size;
  const int *types;
  XLA_FFI_ByteSpan **names;
  void **attrs;
} XLA_FFI_Attrs;

typedef struct XLA_FFI_Api XLA_FFI_Api;
typedef struct XLA_FFI_CallFrame {
  XLA_FFI_HEADER const XLA_FFI_Api *api;
  XLA_FFI_ExecutionContext *ctx;
  XLA_FFI_ExecutionStage stage;
  XLA_FFI_Buffers args, rets;
  XLA_FFI_Attrs attrs;
  XLA_FFI_Future *future; /* out */
} XLA_FFI_CallFrame;

/* Handlers demand exactly this size; the future behind it is there all the same. */
#define XLA_FFI_CALL_FRAME_SIZE offsetof(XLA_FFI_CallFrame, future)

typedef XLA_FFI_Error *XLA_FFI_Handler(XLA_FFI_CallFrame *frame);

typedef struct XLA_FFI_Metadata {
  size_t struct_size;
  XLA_FFI_Api_Version api_version;
  uint32_t traits;
  XLA_FFI_TypeId state_type_id; /* from 0.2 on */
} XLA_FFI_Metadata;

typedef struct XLA_FFI_Metadata_Extension {
  XLA_FFI_Extension_Base base;
  XLA_FFI_Metadata *metadata;
} XLA_FFI_Metadata_Extension;

/* -- arguments of the functions that a handler may call */

typedef struct XLA_FFI_Error_Create_Args {
  XLA_FFI_HEADER const char *message;
  int code;
} XLA_FFI_Error_Create_Args;

typedef struct XLA_FFI_Error_GetDetails_Args {
  XLA_FFI_HEADER XLA_FFI_Error *error;
  const char *message; /* out */
  int code;            /* out; from 0.4 on: struct_size tells */
} XLA_FFI_Error_GetDetails_Args;

typedef struct XLA_FFI_Error_Destroy_Args {
  XLA_FFI_HEADER XLA_FFI_Error *error;
} XLA_FFI_Error_Destroy_Args;

typedef struct XLA_FFI_Type_Register_Args {
  XLA_FFI_HEADER XLA_FFI_ByteSpan name;
  XLA_FFI_TypeId *type_id;           /* in, out */
  const XLA_FFI_TypeInfo *type_info; /* from 0.2 on */
} XLA_FFI_Type_Register_Args;

/* Up to 0.2; in 0.1 the deleter follows, later it belongs to the type. */
typedef struct XLA_FFI_State_Args_1 {
  XLA_FFI_HEADER XLA_FFI_ExecutionContext *ctx;
  XLA_FFI_TypeId *type_id;
  void *state; /* of State_Get: out */
  void (*deleter)(void *state);
} XLA_FFI_State_Args_1;

typedef struct XLA_FFI_State_Args_3 {
  XLA_FFI_HEADER XLA_FFI_ExecutionContext *ctx;
  XLA_FFI_ExecutionStage stage;
  XLA_FFI_TypeId *type_id;
  void *state; /* of State_Get: out */
} XLA_FFI_State_Args_3;

/* A question about the execution with one answer: user data, a stream, an id, a number of threads,
 * options. */
typedef struct XLA_FFI_Context_Args {
  XLA_FFI_HEADER XLA_FFI_ExecutionContext *ctx;
  union {
    int64_t run_id;               /* out */
    int32_t device_ordinal;       /* out */
    int64_t *num_threads;         /* out */
    void *stream;                 /* out */
    const XLA_FFI_Attrs *options; /* out */
  };
} XLA_FFI_Context_Args;

typedef struct XLA_FFI_FindExtension_Args {
  XLA_FFI_HEADER XLA_FFI_ExecutionContext *ctx;
  int64_t extension_type;
  const void *extension; /* out; NULL: there is none of this type */
} XLA_FFI_FindExtension_Args;

typedef struct XLA_FFI_DeviceMemory_Args {
  XLA_FFI_HEADER XLA_FFI_ExecutionContext *ctx;
  size_t size;
  union {
    size_t alignment; /* Allocate */
    void *freed;      /* Free */
  };
  void *data; /* out of Allocate */
} XLA_FFI_DeviceMemory_Args;

typedef struct XLA_FFI_ThreadPool_Schedule_Args {
  XLA_FFI_HEADER XLA_FFI_ExecutionContext *ctx;
  void (*task)(void *data);
  void *data;
} XLA_FFI_ThreadPool_Schedule_Args;

typedef struct XLA_FFI_Future_Args {
  XLA_FFI_HEADER XLA_FFI_Future *future; /* of Create: out */
  XLA_FFI_Error *error;                  /* SetError alone: the runtime's from then on */
} XLA_FFI_Future_Args;

/* The functions, in the order that all versions have; a slot's argument type is void here because
 * it depends on the version. */
typedef XLA_FFI_Error *XLA_FFI_Function(void *args);
struct XLA_FFI_Api {
  XLA_FFI_HEADER XLA_FFI_Api_Version api_version;
  const void *internal_api;
  XLA_FFI_Function *Error_Create;
  void (*Error_GetDetails)(void *args); /* called GetMessage before 0.4 */
  void (*Error_Destroy)(void *args);
  XLA_FFI_Function *Handler_Register;
  XLA_FFI_Function *Stream_Get;
  XLA_FFI_Function *Type_Register;
  XLA_FFI_Function *ExecutionContext_Get;
  XLA_FFI_Function *State_Set;
  XLA_FFI_Function *State_Get;
  XLA_FFI_Function *DeviceMemory_Allocate;
  XLA_FFI_Function *DeviceMemory_Free;
  XLA_FFI_Function *ThreadPool_Schedule;
  XLA_FFI_Function *ThreadPool_NumThreads;
  XLA_FFI_Function *Future_Create;
  XLA_FFI_Function *Future_SetAvailable;
  XLA_FFI_Function *Future_SetError;
  XLA_FFI_Function *RunId_Get; /* from jaxlib 0.5 on */
  XLA_FFI_Function *DeviceOrdinal_Get;
  XLA_FFI_Function *FindExtension;     /* from 0.4 on */
  XLA_FFI_Function *CustomOptions_Get; /* from 0.5 on */
};

#endif
