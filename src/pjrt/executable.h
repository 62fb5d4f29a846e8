/* SPDX-License-Identifier: Apache-2.0
 * The API's two objects around an executable, with the tables that it hands out: they live as long
 * as the object. Each call that returns one returns a new object around a counted reference. */
#ifndef JM_PJRT_EXECUTABLE_H
#define JM_PJRT_EXECUTABLE_H

#include "pjrt/pjrt.h"

enum { JM_N_COSTS = 2 };

typedef struct jm_kind_list {
  const char **names;
  size_t *sizes;
} jm_kind_list;

struct PJRT_Executable {
  jm_executable *executable;
  jm_arena arena; /* of the tables */
  PJRT_Buffer_Type *types;
  int64_t *dims; /* of all outputs, one after the other */
  size_t *ranks;
  jm_kind_list output_kinds, parameter_kinds;
  jm_kind_list output_shardings, parameter_shardings; /* of programs over several partitions */
  struct PJRT_Layouts_MemoryLayout **output_layouts, **parameter_layouts;
  PJRT_NamedValue costs[JM_N_COSTS];
  char fingerprint[17];
};

struct PJRT_LoadedExecutable {
  jm_loaded_executable *loaded;
  jm_device *devices[JM_MAX_DEVICES];
  PJRT_LogicalDeviceIds ids[JM_MAX_DEVICES];
  char fingerprint[17];
};

/* Both take the reference, also when they fail. */
jm_error *jm_executable_wrap(jm_executable *executable, PJRT_Executable **out) JM_MUST_USE;
jm_error *jm_loaded_executable_wrap(jm_loaded_executable *loaded,
                                    PJRT_LoadedExecutable **out) JM_MUST_USE;

/* The shardings of its tables: in shardings.c. */
jm_error *jm_shardings_build(PJRT_Executable *wrapped) JM_MUST_USE;

/* The layouts of its tables: in extensions.c. */
jm_error *jm_layouts_build(PJRT_Executable *wrapped) JM_MUST_USE;

#endif
