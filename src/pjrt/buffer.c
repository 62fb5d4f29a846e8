/* SPDX-License-Identifier: Apache-2.0
 * Buffers: their attributes, and moving them between devices and host. */
#include "pjrt/pjrt.h"

jm_error *jm_slot_Buffer_Destroy(PJRT_Buffer_Destroy_Args *args) {
  jm_buffer *buffer = jm_buffer_in(args->buffer);
  if (!buffer) return NULL;
  jm_buffer_delete(buffer);
  jm_buffer_release(buffer);
  return NULL;
}

jm_error *jm_slot_Buffer_ElementType(PJRT_Buffer_ElementType_Args *args) {
  args->type = (PJRT_Buffer_Type)jm_dtype_facts[jm_buffer_in(args->buffer)->dtype].pjrt;
  return NULL;
}

jm_error *jm_slot_Buffer_Dimensions(PJRT_Buffer_Dimensions_Args *args) {
  args->dims = jm_buffer_in(args->buffer)->dims;
  args->num_dims = jm_buffer_in(args->buffer)->rank;
  return NULL;
}

jm_error *jm_slot_Buffer_UnpaddedDimensions(PJRT_Buffer_UnpaddedDimensions_Args *args) {
  args->unpadded_dims = jm_buffer_in(args->buffer)->dims;
  args->num_dims = jm_buffer_in(args->buffer)->rank;
  return NULL;
}

jm_error *jm_slot_Buffer_DynamicDimensionIndices(PJRT_Buffer_DynamicDimensionIndices_Args *args) {
  args->dynamic_dim_indices = NULL; /* shapes are static */
  args->num_dynamic_dims = 0;
  return NULL;
}

/* Row-major for any rank: the list ends at index 0, so a shorter one is its tail. */
static const int64_t *row_major(uint32_t rank) {
  static const int64_t descending[JM_RANK_MAX] = {
      63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42,
      41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20,
      19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9,  8,  7,  6,  5,  4,  3,  2,  1,  0};
  return descending + JM_RANK_MAX - rank;
}

jm_error *jm_slot_Buffer_GetMemoryLayout(PJRT_Buffer_GetMemoryLayout_Args *args) {
  const jm_buffer *buffer = jm_buffer_in(args->buffer);
  const int64_t *minor_to_major = buffer->minor_to_major;
  args->layout = (PJRT_Buffer_MemoryLayout){
      .struct_size = JM_ABI_END(PJRT_Buffer_MemoryLayout, type),
      .tiled = {.struct_size = sizeof(PJRT_Buffer_MemoryLayout_Tiled),
                .minor_to_major = minor_to_major ? minor_to_major : row_major(buffer->rank),
                .minor_to_major_size = buffer->rank},
      .type = PJRT_Buffer_MemoryLayout_Type_Tiled,
  };
  return NULL;
}

jm_error *jm_slot_Buffer_OnDeviceSizeInBytes(PJRT_Buffer_OnDeviceSizeInBytes_Args *args) {
  args->on_device_size_in_bytes = jm_buffer_in(args->buffer)->n_bytes;
  return NULL;
}

jm_error *jm_slot_Buffer_Device(PJRT_Buffer_Device_Args *args) {
  args->device = jm_device_out(jm_buffer_in(args->buffer)->memory->device);
  return NULL;
}

jm_error *jm_slot_Buffer_Memory(PJRT_Buffer_Memory_Args *args) {
  args->memory = jm_memory_out(jm_buffer_in(args->buffer)->memory);
  return NULL;
}

jm_error *jm_slot_Buffer_Delete(PJRT_Buffer_Delete_Args *args) {
  jm_buffer_delete(jm_buffer_in(args->buffer));
  return NULL;
}

jm_error *jm_slot_Buffer_IsDeleted(PJRT_Buffer_IsDeleted_Args *args) {
  args->is_deleted = jm_buffer_deleted(jm_buffer_in(args->buffer));
  return NULL;
}

/* The host reads our memory as it is. */
jm_error *jm_slot_Buffer_IsOnCpu(PJRT_Buffer_IsOnCpu_Args *args) {
  args->is_on_cpu = jm_buffer_in(args->buffer)->memory->device->engine->fact.is_host_memory;
  return NULL;
}

jm_error *jm_slot_Buffer_ReadyEvent(PJRT_Buffer_ReadyEvent_Args *args) {
  jm_buffer *buffer = jm_buffer_in(args->buffer);
  jm_event *event;
  if (!jm_buffer_deleted(buffer)) {
    event = jm_event_retain(buffer->ready);
  } else {
    JM_TRY(jm_event_create(&event));
    jm_event_fire(event, jm_error_invalid("Buffer has been deleted or donated."));
  }
  args->event = jm_event_out(event);
  return NULL;
}

jm_error *jm_slot_Buffer_UnsafePointer(PJRT_Buffer_UnsafePointer_Args *args) {
  void *data;
  JM_TRY(jm_buffer_data(jm_buffer_in(args->buffer), &data));
  args->buffer_pointer = (uintptr_t)data;
  return NULL;
}

jm_error *jm_slot_Buffer_OpaqueDeviceMemoryDataPointer(
    PJRT_Buffer_OpaqueDeviceMemoryDataPointer_Args *args) {
  return jm_buffer_data(jm_buffer_in(args->buffer), &args->device_memory_ptr);
}

jm_error *jm_slot_Buffer_IncreaseExternalReferenceCount(
    PJRT_Buffer_IncreaseExternalReferenceCount_Args *args) {
  return jm_buffer_pin(jm_buffer_in(args->buffer));
}

jm_error *jm_slot_Buffer_DecreaseExternalReferenceCount(
    PJRT_Buffer_DecreaseExternalReferenceCount_Args *args) {
  return jm_buffer_unpin(jm_buffer_in(args->buffer));
}

static jm_error *copy_to(jm_buffer *buffer, jm_memory *memory, PJRT_Buffer **out) {
  if (memory->device->client != buffer->memory->device->client)
    return jm_error_unimplemented("a copy to another client");
  jm_buffer *copy;
  JM_TRY(jm_buffer_copy(buffer, memory, &copy));
  *out = jm_buffer_out(copy);
  return NULL;
}

jm_error *jm_slot_Buffer_CopyToDevice(PJRT_Buffer_CopyToDevice_Args *args) {
  if (!args->dst_device) return jm_error_invalid("PJRT_Buffer_CopyToDevice: dst_device is NULL");
  return copy_to(jm_buffer_in(args->buffer),
                 jm_device_default_memory(jm_device_in(args->dst_device)), &args->dst_buffer);
}

jm_error *jm_slot_Buffer_CopyToMemory(PJRT_Buffer_CopyToMemory_Args *args) {
  if (!args->dst_memory) return jm_error_invalid("PJRT_Buffer_CopyToMemory: dst_memory is NULL");
  return copy_to(jm_buffer_in(args->buffer), jm_memory_in(args->dst_memory), &args->dst_buffer);
}

jm_error *jm_slot_Buffer_Bitcast(PJRT_Buffer_Bitcast_Args *args) {
  jm_dtype dtype;
  JM_TRY(jm_dtype_read_pjrt(args->element_type, &dtype));
  JM_TRY(jm_layout_check(args->device_layout, dtype, args->num_dims, args->dims));
  jm_buffer *cast;
  JM_TRY(jm_buffer_bitcast(jm_buffer_in(args->buffer), dtype, (uint32_t)args->num_dims, args->dims,
                           &cast));
  args->out_buffer = jm_buffer_out(cast);
  return NULL;
}

jm_error *jm_slot_Buffer_ToHostBuffer(PJRT_Buffer_ToHostBuffer_Args *args) {
  jm_buffer *buffer = jm_buffer_in(args->src);
  int64_t strides[JM_RANK_MAX];
  JM_TRY(jm_layout_read(args->host_layout, buffer->dtype, buffer->rank, buffer->dims, strides));
  if (!args->dst) {
    args->dst_size = buffer->n_bytes;
    args->event = NULL;
    return NULL;
  }
  if (args->dst_size < buffer->n_bytes)
    return jm_error_invalid("the host's space has %zu bytes, the buffer has %zu", args->dst_size,
                            buffer->n_bytes);
  /* Arbitrary strides may leave the caller's memory; permutations of a dense layout can't. */
  if (args->host_layout && args->host_layout->type == PJRT_Buffer_MemoryLayout_Type_Strides &&
      buffer->n_bytes) {
    uint64_t last = jm_dtype_bytes(buffer->dtype);
    for (uint32_t d = 0; d < buffer->rank; d++) {
      uint64_t reach;
      if (strides[d] < 0 ||
          __builtin_mul_overflow((uint64_t)strides[d], (uint64_t)buffer->dims[d] - 1, &reach) ||
          __builtin_add_overflow(last, reach, &last) || last > args->dst_size)
        return jm_error_invalid("the strides of the host's layout leave its %zu bytes",
                                args->dst_size);
    }
  }
  jm_event *done;
  JM_TRY(jm_buffer_to_host(buffer, args->dst, strides, &done));
  args->event = jm_event_out(done);
  return NULL;
}

jm_error *jm_slot_Buffer_CopyRawToHost(PJRT_Buffer_CopyRawToHost_Args *args) {
  if (args->offset < 0 || args->transfer_size < 0)
    return jm_error_invalid("PJRT_Buffer_CopyRawToHost: %lld bytes at %lld",
                            (long long)args->transfer_size, (long long)args->offset);
  if (!args->dst && args->transfer_size)
    return jm_error_invalid("PJRT_Buffer_CopyRawToHost: dst is NULL");
  jm_event *done;
  jm_transfer *transfer;
  JM_TRY(jm_buffer_read(jm_buffer_in(args->buffer), (size_t)args->offset,
                        (size_t)args->transfer_size, &transfer, &done));
  jm_transfer_start(transfer, args->dst);
  args->event = jm_event_out(done);
  return NULL;
}

jm_error *jm_slot_Client_BufferFromHostBuffer(PJRT_Client_BufferFromHostBuffer_Args *args) {
  jm_dtype dtype;
  JM_TRY(jm_dtype_read_pjrt(args->type, &dtype));
  jm_memory *memory;
  JM_TRY(jm_memory_read(jm_client_in(args->client), args->memory, args->device, &memory));
  JM_TRY(jm_layout_check(args->device_layout, dtype, args->num_dims, args->dims));
  bool strided = args->byte_strides && args->num_byte_strides;
  if (strided && args->num_byte_strides != args->num_dims)
    return jm_error_invalid("the host's array has %zu dimensions and %zu strides", args->num_dims,
                            args->num_byte_strides);
  if ((unsigned)args->host_buffer_semantics > PJRT_HostBufferSemantics_kMutableZeroCopy)
    return jm_error_invalid("unknown host_buffer_semantics %d", (int)args->host_buffer_semantics);
  jm_event *done;
  jm_buffer *buffer;
  JM_TRY(jm_buffer_from_host(memory, args->data, dtype, (uint32_t)args->num_dims, args->dims,
                             strided ? args->byte_strides : NULL,
                             (jm_host_semantics)args->host_buffer_semantics, &done, &buffer));
  args->done_with_host_buffer = jm_event_out(done);
  args->buffer = jm_buffer_out(buffer);
  return NULL;
}
