/* SPDX-License-Identifier: Apache-2.0
 * Between the C API and the runtime: the functions that slots.def binds, the casts between the
 * API's opaque objects and ours, and the struct_size discipline. No behaviour: each object's file
 * has that. */
#ifndef JM_PJRT_PJRT_H
#define JM_PJRT_PJRT_H

#include "pjrt/pjrt_abi.h"
#include "runtime/executable.h"

/* jm_slot_<name> for each REAL row; plugin.c puts a check of the block before it. */
#define JM_SLOT_ERROR_REAL(name) jm_error *jm_slot_##name(PJRT_##name##_Args *args) JM_MUST_USE;
#define JM_SLOT_ERROR_STUB(name)
#define JM_SLOT_NONE_REAL(name) void jm_slot_##name(PJRT_##name##_Args *args);
#define SLOT(name, result, binding, first, required) JM_SLOT_##result##_##binding(name)
#include "pjrt/slots.def"

/* Is this field inside the block that the caller knows? */
#define JM_HAS(args, field) \
  ((args)->struct_size >= offsetof(__typeof__(*(args)), field) + sizeof((args)->field))
/* Writes a field that the caller may not know. */
#define JM_SET(args, field, value)                    \
  do {                                                \
    if (JM_HAS(args, field)) (args)->field = (value); \
  } while (0)

/* The API's objects that are ours under another name: in() and out(). */
#define JM_OBJECTS(X)                                    \
  X(PJRT_Error, jm_error, error)                         \
  X(PJRT_Event, jm_event, event)                         \
  X(PJRT_Client, jm_client, client)                      \
  X(PJRT_Device, jm_device, device)                      \
  X(PJRT_DeviceDescription, jm_description, description) \
  X(PJRT_Memory, jm_memory, memory)                      \
  X(PJRT_TopologyDescription, jm_topology, topology)     \
  X(PJRT_Buffer, jm_buffer, buffer)
#define JM_CASTS(theirs, ours, name)                                                  \
  static inline ours *jm_##name##_in(const theirs *object) { return (ours *)object; } \
  static inline theirs *jm_##name##_out(const ours *object) { return (theirs *)object; }
JM_OBJECTS(JM_CASTS)

/* The type of a PJRT_Buffer_Type; INVALID_ARGUMENT if it isn't one of ours. */
jm_error *jm_dtype_read_pjrt(PJRT_Buffer_Type type, jm_dtype *out) JM_MUST_USE;

/* The memory that a call names: memory if it is given, else the device's default, else the default
 * of the client's first device. INVALID_ARGUMENT if it is another client's. */
jm_error *jm_memory_read(jm_client *client, const PJRT_Memory *memory, const PJRT_Device *device,
                         jm_memory **out) JM_MUST_USE;

/* The key-value store that the caller of PJRT_Client_Create gives to a process of several; valid as
 * long as the caller's client. */
jm_error *jm_store_create(const PJRT_Client_Create_Args *args, jm_store **out) JM_MUST_USE;

/* INVALID_ARGUMENT for a device of another process. */
jm_error *jm_device_check_local(const jm_device *device) JM_MUST_USE;

/* Byte strides that a layout means for a shape. NULL: dense row-major. */
jm_error *jm_layout_read(const PJRT_Buffer_MemoryLayout *layout, jm_dtype dtype, uint32_t rank,
                         const int64_t *dims, int64_t *strides) JM_MUST_USE;

/* Our buffers have one layout: refuses any other. */
jm_error *jm_layout_check(const PJRT_Buffer_MemoryLayout *layout, jm_dtype dtype, size_t rank,
                          const int64_t *dims) JM_MUST_USE;

/* An error that the caller describes; NULL for OK. */
jm_error *jm_error_read(PJRT_Error_Code code, const char *message, size_t size) JM_MUST_USE;

/* Decodes the fields of CompileOptionsProto that we support. */
jm_error *jm_compile_options_read(const void *bytes, size_t size,
                                  jm_compile_options *out) JM_MUST_USE;

#endif
