/* SPDX-License-Identifier: Apache-2.0
 * The table of functions and the plugin's attributes. Every function of the table checks its
 * argument block and then calls the function in its object's file. */
#include <string.h>

#include "pjrt/extensions.h"
#include "pjrt/pjrt.h"
#include "pjrt/profiler_abi.h"

/* The smallest block that a function can work with, and whether its first object may be NULL. */
static jm_error *check_block(const void *args, size_t required, bool object, const char *name) {
  if (!args) return jm_error_invalid("%s: the argument block is NULL", name);
  size_t struct_size;
  memcpy(&struct_size, args, sizeof struct_size);
  /* jaxlib 0.6 gives this block's size without its last field, which it has and reads. */
  if (!strcmp(name, "PJRT_Plugin_Attributes")) struct_size += sizeof(size_t);
  if (struct_size < required)
    return jm_error_invalid("%s: struct_size is %zu, at least %zu is needed", name, struct_size,
                            required);
  void *first = NULL;
  if (object) memcpy(&first, (const char *)args + 16, sizeof first);
  return object && !first ? jm_error_invalid("%s: its object is NULL", name) : NULL;
}

#define FIRST_OBJECT true
#define FIRST_ANY false
#define CALL_ERROR_REAL(name, first, required)                                                     \
  static PJRT_Error *call_##name(PJRT_##name##_Args *args) {                                       \
    jm_error *error =                                                                              \
        check_block(args, JM_ABI_END(PJRT_##name##_Args, required), FIRST_##first, "PJRT_" #name); \
    return jm_error_out(error ? error : jm_slot_##name(args));                                     \
  }
#define CALL_ERROR_STUB(name, first, required)                                      \
  static PJRT_Error *call_##name(PJRT_##name##_Args *args) {                        \
    (void)args;                                                                     \
    return jm_error_out(jm_error_unimplemented("PJRT_" #name " is not supported")); \
  }
#define CALL_NONE_REAL(name, first, required)                 \
  static void call_##name(PJRT_##name##_Args *args) {         \
    if (args && JM_HAS(args, required)) jm_slot_##name(args); \
  }
#define SLOT(name, result, binding, first, required) \
  CALL_##result##_##binding(name, first, required)
#include "pjrt/slots.def"

static const PJRT_Api api = {
    .struct_size = sizeof api,
    .extension_start = &jm_profiler_extension.base,
    .pjrt_api_version = {.struct_size = sizeof(PJRT_Api_Version),
                         .major_version = PJRT_API_MAJOR,
                         .minor_version = PJRT_API_MINOR},
#define SLOT(name, result, binding, first, required) .PJRT_##name = call_##name,
#include "pjrt/slots.def"
};

__attribute__((visibility("default"))) const PJRT_Api *GetPjrtApi(void);
const PJRT_Api *GetPjrtApi(void) { return &api; }

jm_error *jm_slot_Plugin_Initialize(PJRT_Plugin_Initialize_Args *args) {
  (void)args;
  return NULL;
}

/* JAX converts what it sends down to this version, so every jaxlib sends the same opset. */
static const int64_t stablehlo_current[] = {1, 15, 0}, stablehlo_minimum[] = {1, 0, 0};

#define NAMED(text, kind) \
  .struct_size = sizeof(PJRT_NamedValue), .name = text, .name_size = sizeof text - 1, .type = kind
static const PJRT_NamedValue attributes[] = {
    {NAMED("stablehlo_current_version", PJRT_NamedValue_kInt64List),
     .int64_array_value = stablehlo_current, .value_size = 3},
    {NAMED("stablehlo_minimum_version", PJRT_NamedValue_kInt64List),
     .int64_array_value = stablehlo_minimum, .value_size = 3},
    {NAMED("xla_version", PJRT_NamedValue_kInt64), .int64_value = 2, .value_size = 1},
};

jm_error *jm_slot_Plugin_Attributes(PJRT_Plugin_Attributes_Args *args) {
  args->attributes = attributes;
  args->num_attributes = sizeof attributes / sizeof *attributes;
  return NULL;
}
