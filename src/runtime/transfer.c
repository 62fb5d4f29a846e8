/* SPDX-License-Identifier: Apache-2.0
 * Transfers between buffers and the host, and from buffer to buffer: each is a task that waits for
 * its source and holds its storage meanwhile. */
#include <string.h>

#include "profile/timeline.h"
#include "runtime/buffer.h"
#include "runtime/task.h"

/* Below this size a copy costs less than keeping the host's array alive. */
enum { SMALLEST_BORROWED = 4096 };
/* The alignment that malloc guarantees, which numpy's arrays have. Kernels may expect no more of
 * inputs. */
enum { BORROWED_ALIGNMENT = 16 };

struct jm_transfer {
  jm_task task;
  jm_storage *source;
  jm_storage *target_storage; /* NULL: target is the host's */
  void *target;
  size_t offset, n_bytes; /* of a plain copy */
  jm_event *done, *ready; /* of the transfer, of its source */
  bool strided;
  bool may_run_here; /* on the calling thread: not if an engine's thread owns the bytes */
  size_t element;
  uint32_t rank, device;                    /* device: of the source */
  int64_t *dims, *strides, *source_strides; /* in the same block */
};

static void transfer_destroy(jm_transfer *move) {
  jm_storage_release(move->source);
  jm_storage_release(move->target_storage);
  jm_event_release(move->done);
  jm_event_release(move->ready);
  jm_task_deinit(&move->task);
  jm_free(move);
}

static jm_error *move_bytes(jm_transfer *move) {
  void *source, *target = move->target;
  const int64_t start = jm_timeline_begin();
  JM_TRY(jm_storage_data(move->source, &source));
  if (move->target_storage) JM_TRY(jm_storage_data(move->target_storage, &target));
  if (move->strided) {
    jm_copy_strided(target, move->strides, source, move->source_strides, move->element, move->rank,
                    move->dims);
  } else if (move->n_bytes) {
    memcpy(target, (const char *)source + move->offset, move->n_bytes);
  }
  jm_timeline_end(move->target_storage ? JM_SPAN_copy_across : JM_SPAN_copy_out, move->device, 0,
                  move->n_bytes, start);
  return NULL;
}

static void transfer_run(jm_task *task, const jm_error *failed) {
  jm_transfer *move = (jm_transfer *)task;
  jm_error *error = failed ? jm_error_clone(failed) : move_bytes(move);
  jm_event *done = jm_event_retain(move->done);
  transfer_destroy(move); /* first: a waiter may donate the source */
  jm_event_fire(done, error);
  jm_event_release(done);
}

static jm_error *transfer_create(jm_buffer *buffer, jm_event *done, jm_transfer **out) {
  jm_transfer *move = jm_alloc(1, sizeof *move + 3 * buffer->rank * sizeof(int64_t));
  if (!move) return jm_error_out_of_memory();
  jm_error *error = jm_task_init(&move->task, buffer->memory->device->pool, transfer_run, 1);
  if (!error) error = jm_buffer_acquire(buffer, &move->source);
  if (error) {
    jm_task_deinit(&move->task);
    jm_free(move);
    return error;
  }
  move->done = jm_event_retain(done);
  move->ready = jm_event_retain(buffer->ready);
  move->may_run_here = buffer->memory->device->engine->fact.any_thread;
  move->element = jm_dtype_bytes(buffer->dtype);
  move->rank = buffer->rank;
  move->device = jm_device_index(buffer->memory->device);
  move->dims = (int64_t *)(move + 1);
  move->strides = move->dims + buffer->rank;
  move->source_strides = move->strides + buffer->rank;
  move->n_bytes = buffer->n_bytes;
  *out = move;
  return NULL;
}

/* A failed source is reported to the reader through the event, not by the call. */
static void start(jm_transfer *move) {
  jm_event *ready = jm_event_retain(move->ready); /* it may outlive the transfer */
  jm_task_start(&move->task, &ready, 1, move->may_run_here);
  jm_event_release(ready);
}

/* The same with a new event; done: the caller's reference. */
static jm_error *transfer_create_with_event(jm_buffer *buffer, jm_event **done, jm_transfer **out) {
  jm_event *event;
  JM_TRY(jm_event_create(&event));
  jm_error *error = transfer_create(buffer, event, out);
  if (error)
    jm_event_release(event);
  else
    *done = event;
  return error;
}

jm_error *jm_buffer_to_host(jm_buffer *buffer, void *target, const int64_t *strides,
                            jm_event **done) {
  jm_transfer *move;
  JM_TRY(transfer_create_with_event(buffer, done, &move));
  move->target = target;
  const bool wants_dense =
      !strides || jm_strides_are_dense(move->element, buffer->rank, buffer->dims, strides);
  move->strided = !wants_dense || buffer->minor_to_major;
  if (move->strided) {
    if (buffer->rank) memcpy(move->dims, buffer->dims, buffer->rank * sizeof *move->dims);
    jm_strides_dense(move->element, move->rank, move->dims, move->strides);
    if (!wants_dense) memcpy(move->strides, strides, buffer->rank * sizeof *strides);
    jm_strides_ordered(move->element, move->rank, move->dims, buffer->minor_to_major,
                       move->source_strides);
  }
  start(move);
  return NULL;
}

jm_error *jm_buffer_read(jm_buffer *buffer, size_t offset, size_t size, jm_transfer **out,
                         jm_event **done) {
  if (offset > buffer->n_bytes || size > buffer->n_bytes - offset)
    return jm_error_create(JM_OUT_OF_RANGE, "read of %zu bytes at %zu of a buffer of %zu", size,
                           offset, buffer->n_bytes);
  jm_transfer *move;
  JM_TRY(transfer_create_with_event(buffer, done, &move));
  move->offset = offset;
  move->n_bytes = size;
  *out = move;
  return NULL;
}

void jm_transfer_start(jm_transfer *move, void *target) {
  move->target = target;
  start(move);
}

void jm_transfer_cancel(jm_transfer *move, jm_error *why) {
  jm_event *done = jm_event_retain(move->done);
  transfer_destroy(move);
  jm_event_fire(done, why);
  jm_event_release(done);
}

jm_error *jm_buffer_copy_to(jm_buffer *buffer, jm_storage *target, jm_event *done) {
  jm_transfer *move;
  JM_TRY(transfer_create(buffer, done, &move));
  move->target_storage = jm_storage_retain(target);
  start(move);
  return NULL;
}

jm_error *jm_buffer_copy(jm_buffer *buffer, jm_memory *memory, jm_buffer **out) {
  jm_event *done;
  JM_TRY(jm_event_create(&done));
  jm_buffer *copy = NULL;
  jm_error *error =
      jm_buffer_create(memory, buffer->dtype, buffer->rank, buffer->dims, NULL, done, &copy);
  if (!error) {
    jm_buffer_set_layout(copy, buffer->minor_to_major);
    error = jm_buffer_copy_to(buffer, copy->storage, done);
  }
  jm_event_release(done);
  if (error)
    jm_buffer_release(copy);
  else
    *out = copy;
  return error;
}

static void borrowed_died(void *data, void *argument) {
  (void)data;
  jm_event *done = argument;
  jm_event_fire(done, NULL);
  jm_event_release(done);
}

static jm_error *borrow_host(jm_memory *memory, const void *data, jm_dtype dtype, uint32_t rank,
                             const int64_t *dims, size_t n_bytes, jm_event **done,
                             jm_buffer **out) {
  jm_event *event;
  JM_TRY(jm_event_create(&event));
  jm_storage *storage;
  jm_event *of_storage = jm_event_retain(event);
  jm_error *error =
      jm_storage_borrow(memory, (void *)data, n_bytes, borrowed_died, of_storage, &storage);
  if (error) {
    jm_event_release(of_storage);
    jm_event_release(event);
    return error;
  }
  error = jm_buffer_create(memory, dtype, rank, dims, storage, jm_event_always(), out);
  jm_storage_release(storage);
  if (error)
    jm_event_release(event);
  else
    *done = event;
  return error;
}

jm_error *jm_buffer_from_host(jm_memory *memory, const void *data, jm_dtype dtype, uint32_t rank,
                              const int64_t *dims, const int64_t *strides,
                              jm_host_semantics semantics, jm_event **done, jm_buffer **out) {
  size_t n_bytes, element = jm_dtype_bytes(dtype);
  JM_TRY(jm_shape_read_bytes(dtype, rank, dims, &n_bytes));
  if (n_bytes && !data) return jm_error_invalid("the host's array has no data");
  bool dense = !n_bytes || !strides || jm_strides_are_dense(element, rank, dims, strides);
  /* JAX promises for every NumPy array that it is immutable (JM_HOST_ZERO_COPY), and its owner may
   * change it as soon as the call has returned: only an array whose ownership is handed over is
   * borrowed. */
  if (dense && semantics == JM_HOST_MUTABLE_ZERO_COPY && n_bytes >= SMALLEST_BORROWED &&
      (uintptr_t)data % BORROWED_ALIGNMENT == 0)
    return borrow_host(memory, data, dtype, rank, dims, n_bytes, done, out);
  jm_buffer *buffer;
  JM_TRY(jm_buffer_create(memory, dtype, rank, dims, NULL, jm_event_always(), &buffer));
  void *target;
  const int64_t start = jm_timeline_begin();
  jm_error *error = jm_storage_data(buffer->storage, &target);
  if (error) {
    jm_buffer_release(buffer);
    return error;
  }
  if (dense) {
    if (n_bytes) memcpy(target, data, n_bytes);
  } else {
    int64_t target_strides[JM_RANK_MAX];
    jm_strides_dense(element, rank, dims, target_strides);
    jm_copy_strided(target, target_strides, data, strides, element, rank, dims);
  }
  jm_timeline_end(JM_SPAN_copy_in, jm_device_index(memory->device), 0, n_bytes, start);
  *done = jm_event_always();
  *out = buffer;
  return NULL;
}
