/* SPDX-License-Identifier: Apache-2.0
 * AsyncHostToDeviceTransferManager: buffers that exist immediately and are filled piece by piece.
 * Each piece is copied during its call; a buffer is ready after the call with its last piece. */
#include <string.h>

#include "pjrt/pjrt.h"

typedef struct slot {
  jm_buffer *buffer;
  jm_storage *storage; /* of its own: the buffer may be deleted before it is complete */
  jm_event *ready;
  atomic_bool retrieved;
} slot;

struct PJRT_AsyncHostToDeviceTransferManager {
  jm_memory *memory; /* the client is retained */
  size_t n_slots;
  slot slots[];
};
typedef PJRT_AsyncHostToDeviceTransferManager manager;

static void manager_destroy(manager *m) {
  for (size_t i = 0; i < m->n_slots; i++) {
    if (m->slots[i].ready && !jm_event_ready(m->slots[i].ready))
      jm_event_fire(m->slots[i].ready, jm_error_create(JM_ABORTED,
                                                       "the transfer manager was destroyed before "
                                                       "buffer %zu was complete",
                                                       i));
    jm_storage_release(m->slots[i].storage);
    jm_buffer_release(m->slots[i].buffer);
    jm_event_release(m->slots[i].ready);
  }
  jm_client_release(m->memory->device->client);
  jm_free(m);
}

static jm_error *build_slot(manager *m, const PJRT_ShapeSpec *spec,
                            const PJRT_Buffer_MemoryLayout *layout, slot *out) {
  jm_dtype dtype;
  JM_TRY(jm_dtype_read_pjrt(spec->element_type, &dtype));
  JM_TRY(jm_layout_check(layout, dtype, spec->num_dims, spec->dims));
  JM_TRY(jm_event_create(&out->ready));
  JM_TRY(jm_buffer_create(m->memory, dtype, (uint32_t)spec->num_dims, spec->dims, NULL, out->ready,
                          &out->buffer));
  out->storage = jm_storage_retain(out->buffer->storage);
  return NULL;
}

jm_error *jm_slot_Client_CreateBuffersForAsyncHostToDevice(
    PJRT_Client_CreateBuffersForAsyncHostToDevice_Args *args) {
  jm_client *client = jm_client_in(args->client);
  jm_memory *memory;
  JM_TRY(jm_memory_read(client, args->memory, NULL, &memory));
  size_t n = args->num_shape_specs, n_bytes;
  if (args->device_layouts && args->num_device_layouts && args->num_device_layouts != n)
    return jm_error_invalid("%zu shapes and %zu layouts", n, args->num_device_layouts);
  manager *m = NULL;
  if (jm_size_mul(n, sizeof *m->slots, &n_bytes) && jm_size_add(n_bytes, sizeof *m, &n_bytes))
    m = jm_alloc(1, n_bytes);
  if (!m) return jm_error_out_of_memory();
  m->memory = memory;
  m->n_slots = n;
  jm_client_retain(client);
  for (size_t i = 0; i < n; i++) {
    bool has_layout = args->device_layouts && args->num_device_layouts;
    jm_error *error = build_slot(m, &args->shape_specs[i],
                                 has_layout ? args->device_layouts[i] : NULL, &m->slots[i]);
    if (error) {
      manager_destroy(m);
      return jm_error_note(error, "shape %zu", i);
    }
  }
  args->transfer_manager = m;
  return NULL;
}

jm_error *jm_slot_AsyncHostToDeviceTransferManager_Destroy(
    PJRT_AsyncHostToDeviceTransferManager_Destroy_Args *args) {
  if (args->transfer_manager) manager_destroy(args->transfer_manager);
  return NULL;
}

static jm_error *find_slot(manager *m, int index, slot **out) {
  if (index < 0 || (size_t)index >= m->n_slots)
    return jm_error_invalid("buffer index %d, the transfer manager has %zu", index, m->n_slots);
  *out = &m->slots[index];
  return NULL;
}

/* The destination of an unfinished buffer's bytes. */
static jm_error *find_target(slot *s, void **data) {
  if (jm_event_ready(s->ready))
    return jm_error_create(JM_FAILED_PRECONDITION, "the buffer is complete already");
  return jm_storage_data(s->storage, data);
}

jm_error *jm_slot_AsyncHostToDeviceTransferManager_TransferData(
    PJRT_AsyncHostToDeviceTransferManager_TransferData_Args *args) {
  slot *s;
  JM_TRY(find_slot(args->transfer_manager, args->buffer_index, &s));
  size_t n_bytes = s->buffer->n_bytes;
  if (args->offset < 0 || args->transfer_size < 0 || (size_t)args->offset > n_bytes ||
      (size_t)args->transfer_size > n_bytes - (size_t)args->offset)
    return jm_error_create(JM_OUT_OF_RANGE, "transfer of %lld bytes at %lld to a buffer of %zu",
                           (long long)args->transfer_size, (long long)args->offset, n_bytes);
  if (args->transfer_size && !args->data) return jm_error_invalid("transfer of no data");
  void *data;
  JM_TRY(find_target(s, &data));
  if (args->transfer_size)
    memcpy((char *)data + args->offset, args->data, (size_t)args->transfer_size);
  if (args->is_last_transfer) jm_event_fire(s->ready, NULL);
  args->done_with_h2d_transfer = jm_event_out(jm_event_always());
  return NULL;
}

jm_error *jm_slot_AsyncHostToDeviceTransferManager_TransferLiteral(
    PJRT_AsyncHostToDeviceTransferManager_TransferLiteral_Args *args) {
  slot *s;
  JM_TRY(find_slot(args->transfer_manager, args->buffer_index, &s));
  jm_buffer *buffer = s->buffer;
  jm_dtype dtype;
  JM_TRY(jm_dtype_read_pjrt(args->shape_element_type, &dtype));
  bool same = dtype == buffer->dtype && args->shape_num_dims == buffer->rank;
  for (uint32_t d = 0; same && d < buffer->rank; d++)
    same = args->shape_dims && args->shape_dims[d] == buffer->dims[d];
  if (!same)
    return jm_error_invalid("the literal's shape is not that of buffer %d", args->buffer_index);
  if (buffer->n_bytes && !args->data) return jm_error_invalid("transfer of no data");
  int64_t from[JM_RANK_MAX], to[JM_RANK_MAX];
  JM_TRY(jm_layout_read(args->shape_layout, dtype, buffer->rank, buffer->dims, from));
  jm_strides_dense(jm_dtype_bytes(dtype), buffer->rank, buffer->dims, to);
  void *data;
  JM_TRY(find_target(s, &data));
  jm_copy_strided(data, to, args->data, from, jm_dtype_bytes(dtype), buffer->rank, buffer->dims);
  jm_event_fire(s->ready, NULL);
  args->done_with_h2d_transfer = jm_event_out(jm_event_always());
  return NULL;
}

jm_error *jm_slot_AsyncHostToDeviceTransferManager_RetrieveBuffer(
    PJRT_AsyncHostToDeviceTransferManager_RetrieveBuffer_Args *args) {
  slot *s;
  JM_TRY(find_slot(args->transfer_manager, args->buffer_index, &s));
  if (atomic_exchange(&s->retrieved, true))
    return jm_error_create(JM_FAILED_PRECONDITION, "buffer %d was retrieved before",
                           args->buffer_index);
  args->buffer_out = jm_buffer_out(jm_buffer_retain(s->buffer));
  return NULL;
}

jm_error *jm_slot_AsyncHostToDeviceTransferManager_Device(
    PJRT_AsyncHostToDeviceTransferManager_Device_Args *args) {
  args->device_out = jm_device_out(args->transfer_manager->memory->device);
  return NULL;
}

jm_error *jm_slot_AsyncHostToDeviceTransferManager_BufferCount(
    PJRT_AsyncHostToDeviceTransferManager_BufferCount_Args *args) {
  args->buffer_count = args->transfer_manager->n_slots;
  return NULL;
}

jm_error *jm_slot_AsyncHostToDeviceTransferManager_BufferSize(
    PJRT_AsyncHostToDeviceTransferManager_BufferSize_Args *args) {
  slot *s;
  JM_TRY(find_slot(args->transfer_manager, args->buffer_index, &s));
  args->buffer_size = s->buffer->n_bytes;
  return NULL;
}

jm_error *jm_slot_AsyncHostToDeviceTransferManager_SetBufferError(
    PJRT_AsyncHostToDeviceTransferManager_SetBufferError_Args *args) {
  slot *s;
  JM_TRY(find_slot(args->transfer_manager, args->buffer_index, &s));
  jm_error *why = jm_error_read(args->error_code, args->error_message, args->error_message_size);
  if (!why) return jm_error_invalid("SetBufferError: the error code is OK");
  if (jm_event_fire(s->ready, why)) return NULL;
  return jm_error_create(JM_FAILED_PRECONDITION, "the buffer is complete already");
}

/* Annotations for a profiler; none reads them. */
jm_error *jm_slot_AsyncHostToDeviceTransferManager_AddMetadata(
    PJRT_AsyncHostToDeviceTransferManager_AddMetadata_Args *args) {
  (void)args;
  return NULL;
}
