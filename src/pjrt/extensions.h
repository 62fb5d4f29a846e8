/* SPDX-License-Identifier: Apache-2.0
 * The extensions of the C API that the plugin offers: layouts and shardings, for which JAX
 * otherwise fetches and converts the whole program, several times for each compilation; and
 * counters, callbacks and explanations, our own. */
#ifndef JM_PJRT_EXTENSIONS_H
#define JM_PJRT_EXTENSIONS_H

#include "base/callback.h"
#include "pjrt/pjrt_abi.h"
#include "runtime/executable.h"

enum { PJRT_Extension_Type_Layouts = 4, PJRT_Extension_Type_Shardings = 19 };

typedef struct PJRT_Layouts_MemoryLayout PJRT_Layouts_MemoryLayout;
typedef struct PJRT_Layouts_SerializedLayout PJRT_Layouts_SerializedLayout;

/* clang-format off */
JM_ARGS(PJRT_Layouts_MemoryLayout_Destroy)
  PJRT_Layouts_MemoryLayout *layout;
JM_ARGS_END(PJRT_Layouts_MemoryLayout_Destroy, layout, 24)
JM_ARGS(PJRT_Layouts_MemoryLayout_Serialize)
  PJRT_Layouts_MemoryLayout *layout;
  const char *serialized_bytes; size_t serialized_bytes_size; /* out */
  PJRT_Layouts_SerializedLayout *serialized_layout; /* out */
  void (*serialized_layout_deleter)(PJRT_Layouts_SerializedLayout *layout); /* out */
JM_ARGS_END(PJRT_Layouts_MemoryLayout_Serialize, serialized_layout_deleter, 56)
JM_ARGS(PJRT_Layouts_Client_GetDefaultLayout)
  PJRT_Client *client;
  PJRT_Buffer_Type type; const int64_t *dims; size_t num_dims;
  PJRT_Layouts_MemoryLayout *layout; /* out */
JM_ARGS_END(PJRT_Layouts_Client_GetDefaultLayout, layout, 56)
JM_ARGS(PJRT_Layouts_Buffer_MemoryLayout)
  PJRT_Buffer *buffer;
  PJRT_Layouts_MemoryLayout *layout; /* out */
JM_ARGS_END(PJRT_Layouts_Buffer_MemoryLayout, layout, 32)
JM_ARGS(PJRT_Layouts_Topology_GetDefaultLayout)
  PJRT_TopologyDescription *topology;
  PJRT_Buffer_Type type; const int64_t *dims; size_t num_dims;
  PJRT_Layouts_MemoryLayout *layout; /* out */
JM_ARGS_END(PJRT_Layouts_Topology_GetDefaultLayout, layout, 56)
JM_ARGS(PJRT_Layouts_Executable_GetLayouts) /* of outputs or of parameters */
  PJRT_Executable *executable;
  size_t num_layouts; PJRT_Layouts_MemoryLayout **layouts; /* out */
JM_ARGS_END(PJRT_Layouts_Executable_GetLayouts, layouts, 40)
JM_ARGS(PJRT_Shardings_Executable_GetShardings) /* of parameters or of outputs */
  PJRT_Executable *executable;
  size_t num_shardings; const char *const *shardings; const size_t *sharding_sizes; /* out */
JM_ARGS_END(PJRT_Shardings_Executable_GetShardings, sharding_sizes, 48)
/* clang-format on */

typedef struct PJRT_Layouts_Extension {
  PJRT_Extension_Base base;
  PJRT_Error *(*MemoryLayout_Destroy)(PJRT_Layouts_MemoryLayout_Destroy_Args *args);
  PJRT_Error *(*MemoryLayout_Serialize)(PJRT_Layouts_MemoryLayout_Serialize_Args *args);
  PJRT_Error *(*Client_GetDefaultLayout)(PJRT_Layouts_Client_GetDefaultLayout_Args *args);
  PJRT_Error *(*Buffer_MemoryLayout)(PJRT_Layouts_Buffer_MemoryLayout_Args *args);
  PJRT_Error *(*Topology_GetDefaultLayout)(PJRT_Layouts_Topology_GetDefaultLayout_Args *args);
  PJRT_Error *(*Executable_GetOutputLayouts)(PJRT_Layouts_Executable_GetLayouts_Args *args);
  PJRT_Error *(*Executable_GetParameterLayouts)(PJRT_Layouts_Executable_GetLayouts_Args *args);
} PJRT_Layouts_Extension;
JM_ABI_SIZE(PJRT_Layouts_Extension, Executable_GetParameterLayouts, 80);

typedef struct PJRT_Shardings_Extension {
  PJRT_Extension_Base base;
  PJRT_Error *(*Executable_ParameterShardings)(PJRT_Shardings_Executable_GetShardings_Args *args);
  PJRT_Error *(*Executable_OutputShardings)(PJRT_Shardings_Executable_GetShardings_Args *args);
} PJRT_Shardings_Extension;
JM_ABI_SIZE(PJRT_Shardings_Extension, Executable_OutputShardings, 40);

/* The first of the chain. */
extern PJRT_Layouts_Extension jm_layouts_extension;

/* Ours: the process's counters (base/counters.def). A type far from PJRT's own, which JAX skips. */
enum { JM_EXTENSION_COUNTERS = 0x6a6d };
typedef struct jm_counters_extension_type {
  PJRT_Extension_Base base;
  /* Fills up to capacity names and values; returns how many there are. */
  size_t (*read)(const char **names, uint64_t *values, size_t capacity);
} jm_counters_extension_type;
extern jm_counters_extension_type jm_counters_extension;

/* Ours: the process's callbacks (base/callback.h). */
enum { JM_EXTENSION_CALLBACKS = 0x6a6e };
typedef struct jm_callbacks_extension_type {
  PJRT_Extension_Base base;
  void (*open)(jm_callback_fn *function);
  void (*close)(void);
  int (*hold)(int64_t id); /* 0: held */
  void (*release)(int64_t id);
  int64_t (*take_dead)(void);
  void (*await_next)(void);
} jm_callbacks_extension_type;
extern jm_callbacks_extension_type jm_callbacks_extension;

/* Ours: handlers of jax.ffi (ffi/ffi.h), which Python hands over as they are registered. */
enum { JM_EXTENSION_FFI = 0x6a70 };
typedef struct jm_ffi_extension_type {
  PJRT_Extension_Base base;
  /* 0: done; else text says why not. handlers: of the four stages, the first three may be NULL. */
  int (*register_target)(const char *name, void *const *handlers, char *text, size_t size);
  int (*register_type)(const char *name, void *type_id, const void *type_info, char *text,
                       size_t size);
  void (*resolve_with)(void (*resolver)(const char *name));
} jm_ffi_extension_type;
extern jm_ffi_extension_type jm_ffi_extension;

/* Ours: what plans do (compile/program.h). */
enum { JM_EXTENSION_EXPLAIN = 0x6a6f };
typedef struct jm_explain_extension_type {
  PJRT_Extension_Base base;
  /* Plans a portable artifact for a device, "metal" or "cuda"; NULL: for the host. 0: out is its
   * explanation; else out->text is why not. */
  int (*explain)(const void *bytes, size_t n_bytes, const char *device, jm_explanation *out);
  void (*record)(int on);
  int (*take)(jm_explanation *out); /* 0: there is none */
  void (*release)(jm_explanation *explanation);
} jm_explain_extension_type;
extern jm_explain_extension_type jm_explain_extension;

#endif
