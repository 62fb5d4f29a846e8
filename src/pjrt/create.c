/* SPDX-License-Identifier: Apache-2.0
 * Buffers that come neither from the host's arrays nor from programs: uninitialised, failed,
 * borrowed, promised, and those that wait for an event of the caller. */
#include "pjrt/pjrt.h"

jm_error *jm_slot_Client_CreateUninitializedBuffer(
    PJRT_Client_CreateUninitializedBuffer_Args *args) {
  jm_dtype dtype;
  JM_TRY(jm_dtype_read_pjrt(args->shape_element_type, &dtype));
  JM_TRY(jm_layout_check(args->shape_layout, dtype, args->shape_num_dims, args->shape_dims));
  jm_memory *memory;
  JM_TRY(jm_memory_read(jm_client_in(args->client), args->memory, args->device, &memory));
  jm_buffer *buffer;
  JM_TRY(jm_buffer_create(memory, dtype, (uint32_t)args->shape_num_dims, args->shape_dims, NULL,
                          jm_event_always(), &buffer));
  args->buffer = jm_buffer_out(buffer);
  return NULL;
}

jm_error *jm_slot_Client_CreateErrorBuffer(PJRT_Client_CreateErrorBuffer_Args *args) {
  jm_dtype dtype;
  JM_TRY(jm_dtype_read_pjrt(args->shape_element_type, &dtype));
  JM_TRY(jm_layout_check(args->shape_layout, dtype, args->shape_num_dims, args->shape_dims));
  jm_memory *memory;
  JM_TRY(jm_memory_read(jm_client_in(args->client), args->memory, NULL, &memory));
  jm_error *why = jm_error_read(args->error_code, args->error_message, args->error_message_size);
  if (!why) return jm_error_invalid("PJRT_Client_CreateErrorBuffer: the error code is OK");
  jm_buffer *buffer;
  JM_TRY(jm_buffer_create_failed(memory, dtype, (uint32_t)args->shape_num_dims, args->shape_dims,
                                 why, &buffer));
  args->buffer = jm_buffer_out(buffer);
  return NULL;
}

/* The caller's callback for the end of a view. */
typedef struct view {
  void (*function)(void *device_buffer_ptr, void *user_arg);
  void *argument;
} view;

static void view_died(void *data, void *argument) {
  view *call = argument;
  if (call->function) call->function(data, call->argument);
  jm_free(call);
}

jm_error *jm_slot_Client_CreateViewOfDeviceBuffer(PJRT_Client_CreateViewOfDeviceBuffer_Args *args) {
  jm_dtype dtype;
  JM_TRY(jm_dtype_read_pjrt(args->element_type, &dtype));
  JM_TRY(jm_layout_check(args->layout, dtype, args->num_dims, args->dims));
  jm_memory *memory;
  JM_TRY(jm_memory_read(jm_client_in(args->client), JM_HAS(args, memory) ? args->memory : NULL,
                        args->device, &memory));
  uint32_t rank = (uint32_t)args->num_dims;
  size_t n_bytes, element = jm_dtype_bytes(dtype);
  JM_TRY(jm_shape_read_bytes(dtype, rank, args->dims, &n_bytes));
  if (n_bytes && (!args->device_buffer_ptr || (uintptr_t)args->device_buffer_ptr % element))
    return jm_error_invalid("a view of %p: %s needs an address that is a multiple of %zu",
                            args->device_buffer_ptr, jm_dtype_name(dtype), element);
  view *call = jm_alloc(1, sizeof *call);
  if (!call) return jm_error_out_of_memory();
  jm_storage *storage;
  jm_error *error =
      jm_storage_borrow(memory, args->device_buffer_ptr, n_bytes, view_died, call, &storage);
  if (error) {
    jm_free(call);
    return error;
  }
  jm_buffer *buffer;
  error = jm_buffer_create(memory, dtype, rank, args->dims, storage, jm_event_always(), &buffer);
  if (!error) {
    *call = (view){args->on_delete_callback, args->on_delete_callback_arg};
    args->buffer = jm_buffer_out(buffer);
  } /* else the caller keeps its memory, without a callback */
  jm_storage_release(storage);
  return error;
}

/* A buffer that will get its value from another one. */
struct PJRT_FulfillAliasBufferCallback {
  jm_buffer *buffer;
  jm_storage *storage; /* of its own: the buffer may be deleted while others wait for the value */
  jm_event *ready;
};

jm_error *jm_slot_Client_CreateAliasBuffer(PJRT_Client_CreateAliasBuffer_Args *args) {
  jm_dtype dtype;
  JM_TRY(jm_dtype_read_pjrt(args->shape_element_type, &dtype));
  JM_TRY(jm_layout_check(args->shape_layout, dtype, args->shape_num_dims, args->shape_dims));
  jm_memory *memory;
  JM_TRY(jm_memory_read(jm_client_in(args->client), args->memory, NULL, &memory));
  PJRT_FulfillAliasBufferCallback *promise = jm_alloc(1, sizeof *promise);
  if (!promise) return jm_error_out_of_memory();
  jm_error *error = jm_event_create(&promise->ready);
  if (!error)
    error = jm_buffer_create(memory, dtype, (uint32_t)args->shape_num_dims, args->shape_dims, NULL,
                             promise->ready, &promise->buffer);
  if (error) {
    jm_event_release(promise->ready);
    jm_free(promise);
    return error;
  }
  promise->storage = jm_storage_retain(promise->buffer->storage);
  args->alias_buffer = jm_buffer_out(jm_buffer_retain(promise->buffer));
  args->fulfill_alias_buffer_cb = promise;
  return NULL;
}

static jm_error *fulfill(const PJRT_FulfillAliasBufferCallback *promise, jm_buffer *source) {
  const jm_buffer *target = promise->buffer;
  char have[256], want[256];
  if (source->dtype != target->dtype || source->n_bytes != target->n_bytes)
    return jm_error_invalid(
        "an alias of %s was given %s",
        jm_shape_print(target->dtype, target->rank, target->dims, want, sizeof want),
        jm_shape_print(source->dtype, source->rank, source->dims, have, sizeof have));
  if (!jm_buffer_has_layout(source, target->minor_to_major))
    return jm_error_unimplemented("an alias given an array in another layout than row-major");
  return jm_buffer_copy_to(source, promise->storage, promise->ready);
}

jm_error *jm_slot_Client_FulfillAliasBuffer(PJRT_Client_FulfillAliasBuffer_Args *args) {
  PJRT_FulfillAliasBufferCallback *promise = args->fulfill_alias_buffer_cb;
  if (!promise) return jm_error_invalid("PJRT_Client_FulfillAliasBuffer: nothing to fulfill");
  jm_error *why = jm_error_read(args->status_code, args->error_message, args->error_message_size);
  if (!why && !args->buffer)
    why = jm_error_invalid("PJRT_Client_FulfillAliasBuffer: neither a buffer nor an error");
  jm_error *error = NULL;
  if (!why) {
    error = fulfill(promise, jm_buffer_in(args->buffer));
    why = jm_error_clone(error);
  }
  if (why) jm_event_fire(promise->ready, why);
  jm_storage_release(promise->storage);
  jm_buffer_release(promise->buffer);
  jm_event_release(promise->ready);
  jm_free(promise);
  return error;
}

/* A donation that takes effect once the caller confirms it and the source is ready. */
typedef struct dependency {
  jm_waiter waiter; /* first: of the source */
  jm_event *source, *ready;
} dependency;

static void source_ready(jm_waiter *waiter, const jm_error *error) {
  dependency *wait = (dependency *)waiter;
  jm_event_fire(wait->ready, jm_error_clone(error));
  jm_event_release(wait->ready);
  jm_event_release(wait->source);
  jm_free(wait);
}

static void dependency_ready(PJRT_Buffer_DonateWithControlDependency_Callback_Args *args) {
  dependency *wait = args->callback_data;
  jm_error *error = jm_error_read(args->error_code, args->error_message, args->error_message_size);
  if (error) {
    source_ready(&wait->waiter, error);
    jm_error_destroy(error);
  } else {
    jm_event *source = jm_event_retain(wait->source); /* alive while subscribing */
    jm_event_subscribe(source, &wait->waiter);
    jm_event_release(source);
  }
}

jm_error *jm_slot_Buffer_DonateWithControlDependency(
    PJRT_Buffer_DonateWithControlDependency_Args *args) {
  jm_buffer *buffer = jm_buffer_in(args->buffer), *fresh;
  dependency *wait = jm_alloc(1, sizeof *wait);
  if (!wait) return jm_error_out_of_memory();
  jm_storage *storage = NULL;
  jm_error *error = jm_event_create(&wait->ready);
  if (!error) error = jm_buffer_take(buffer, &storage);
  if (!error)
    error = jm_buffer_create(buffer->memory, buffer->dtype, buffer->rank, buffer->dims, storage,
                             wait->ready, &fresh);
  jm_storage_release(storage);
  if (!error) jm_buffer_set_layout(fresh, buffer->minor_to_major);
  if (error) {
    jm_event_release(wait->ready);
    jm_free(wait);
    return error;
  }
  wait->waiter.run = source_ready;
  wait->source = jm_event_retain(buffer->ready);
  args->callback_data = wait;
  args->dependency_ready_callback = dependency_ready;
  args->out_buffer = jm_buffer_out(fresh);
  return NULL;
}

/* The caller provides the destination of the bytes later. */
static void target_known(PJRT_Buffer_CopyRawToHostFuture_Callback_Args *args) {
  jm_transfer *transfer = args->callback_data;
  jm_error *error = jm_error_read(args->error_code, args->error_message, args->error_message_size);
  if (!error && !args->dst)
    error = jm_error_invalid("PJRT_Buffer_CopyRawToHostFuture: dst is NULL");
  if (error)
    jm_transfer_cancel(transfer, error);
  else
    jm_transfer_start(transfer, args->dst);
}

jm_error *jm_slot_Buffer_CopyRawToHostFuture(PJRT_Buffer_CopyRawToHostFuture_Args *args) {
  if (args->offset < 0 || args->transfer_size < 0)
    return jm_error_invalid("PJRT_Buffer_CopyRawToHostFuture: %lld bytes at %lld",
                            (long long)args->transfer_size, (long long)args->offset);
  jm_transfer *transfer;
  jm_event *done;
  JM_TRY(jm_buffer_read(jm_buffer_in(args->buffer), (size_t)args->offset,
                        (size_t)args->transfer_size, &transfer, &done));
  args->event = jm_event_out(done);
  args->callback_data = transfer;
  args->future_ready_callback = target_known;
  return NULL;
}
