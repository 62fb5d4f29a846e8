/* SPDX-License-Identifier: Apache-2.0
 * Our own declarations of the C API by which XLA's profiler asks a plugin for its timeline. It is
 * no part of PJRT's table: blocks have no extensions, and errors are objects of its own. */
#ifndef JM_PJRT_PROFILER_ABI_H
#define JM_PJRT_PROFILER_ABI_H

#include "pjrt/pjrt_abi.h"

enum { PJRT_Extension_Type_Profiler = 1 };

typedef struct PLUGIN_Profiler PLUGIN_Profiler;
typedef struct PLUGIN_Profiler_Error PLUGIN_Profiler_Error;

typedef struct PLUGIN_Profiler_Error_Destroy_Args {
  size_t struct_size;
  void *priv;
  PLUGIN_Profiler_Error *error;
} PLUGIN_Profiler_Error_Destroy_Args;
JM_ABI_SIZE(PLUGIN_Profiler_Error_Destroy_Args, error, 24);

typedef struct PLUGIN_Profiler_Error_Message_Args {
  size_t struct_size;
  void *priv;
  const PLUGIN_Profiler_Error *error;
  const char *message; /* out, as the next */
  size_t message_size;
} PLUGIN_Profiler_Error_Message_Args;
JM_ABI_SIZE(PLUGIN_Profiler_Error_Message_Args, message_size, 40);

typedef struct PLUGIN_Profiler_Error_GetCode_Args {
  size_t struct_size;
  void *priv;
  const PLUGIN_Profiler_Error *error;
  int code; /* out */
} PLUGIN_Profiler_Error_GetCode_Args;
JM_ABI_SIZE(PLUGIN_Profiler_Error_GetCode_Args, code, 28);

typedef struct PLUGIN_Profiler_Create_Args {
  size_t struct_size;
  const char *options; /* a serialized tensorflow.ProfileOptions */
  size_t options_size;
  PLUGIN_Profiler *profiler; /* out */
} PLUGIN_Profiler_Create_Args;
JM_ABI_SIZE(PLUGIN_Profiler_Create_Args, profiler, 32);

/* Of Destroy, Start and Stop. */
typedef struct PLUGIN_Profiler_Args {
  size_t struct_size;
  PLUGIN_Profiler *profiler;
} PLUGIN_Profiler_Args;
JM_ABI_SIZE(PLUGIN_Profiler_Args, profiler, 16);

/* buffer NULL: out, memory of the profiler's own that lives as long as it does. */
typedef struct PLUGIN_Profiler_CollectData_Args {
  size_t struct_size;
  PLUGIN_Profiler *profiler;
  uint8_t *buffer;
  size_t buffer_size_in_bytes; /* out */
} PLUGIN_Profiler_CollectData_Args;
JM_ABI_SIZE(PLUGIN_Profiler_CollectData_Args, buffer_size_in_bytes, 32);

typedef struct PLUGIN_Profiler_Api {
  size_t struct_size;
  void *priv;
  void (*error_destroy)(PLUGIN_Profiler_Error_Destroy_Args *args);
  void (*error_message)(PLUGIN_Profiler_Error_Message_Args *args);
  PLUGIN_Profiler_Error *(*error_get_code)(PLUGIN_Profiler_Error_GetCode_Args *args);
  PLUGIN_Profiler_Error *(*create)(PLUGIN_Profiler_Create_Args *args);
  PLUGIN_Profiler_Error *(*destroy)(PLUGIN_Profiler_Args *args);
  PLUGIN_Profiler_Error *(*start)(PLUGIN_Profiler_Args *args);
  PLUGIN_Profiler_Error *(*stop)(PLUGIN_Profiler_Args *args);
  PLUGIN_Profiler_Error *(*collect_data)(PLUGIN_Profiler_CollectData_Args *args);
} PLUGIN_Profiler_Api;
JM_ABI_SIZE(PLUGIN_Profiler_Api, collect_data, 80);

/* The plugin's has the functions; those behind arguments of calls have the number of the call in
 * JAX's own trace. */
typedef struct PJRT_Profiler_Extension {
  PJRT_Extension_Base base;
  const PLUGIN_Profiler_Api *profiler_api;
  int64_t traceme_context_id;
} PJRT_Profiler_Extension;
JM_ABI_SIZE(PJRT_Profiler_Extension, traceme_context_id, 40);

extern PJRT_Profiler_Extension jm_profiler_extension;

/* The number of the call that these extensions belong to; 0: there is none. */
uint64_t jm_profiler_find_flow(const PJRT_Extension_Base *extensions);

#endif
