/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/buffer.h"

#include <stdio.h>
#include <string.h>

jm_error *jm_shape_read_bytes(jm_dtype dtype, uint32_t rank, const int64_t *dims, size_t *out) {
  if (rank > JM_RANK_MAX)
    return jm_error_invalid("rank %u is beyond the limit of %d", rank, JM_RANK_MAX);
  if (rank && !dims) return jm_error_invalid("a shape of rank %u has no dimensions", rank);
  bool fits = true, empty = false;
  size_t n_bytes = jm_dtype_bytes(dtype);
  for (uint32_t d = 0; d < rank; d++) {
    if (dims[d] < 0)
      return jm_error_invalid("dimension %u is negative: %lld", d, (long long)dims[d]);
    empty |= !dims[d];
    if (dims[d]) fits &= jm_size_mul(n_bytes, (size_t)dims[d], &n_bytes);
  }
  char text[256];
  if (!empty && (!fits || n_bytes > PTRDIFF_MAX))
    return jm_error_create(JM_RESOURCE_EXHAUSTED, "%s does not fit into memory",
                           jm_shape_print(dtype, rank, dims, text, sizeof text));
  *out = empty ? 0 : n_bytes;
  return NULL;
}

const char *jm_shape_print(jm_dtype dtype, uint32_t rank, const int64_t *dims, char *text,
                           size_t size) {
  int used = snprintf(text, size, "%s[", jm_dtype_name(dtype));
  for (uint32_t d = 0; d < rank && (size_t)used < size; d++)
    used += snprintf(text + used, size - (size_t)used, d ? ",%lld" : "%lld", (long long)dims[d]);
  if ((size_t)used < size) snprintf(text + used, size - (size_t)used, "]");
  return text;
}

const char *jm_layout_print(uint32_t rank, const int64_t *minor_to_major, char *text) {
  size_t at = 0;
  text[at++] = '{';
  for (uint32_t i = 0; i < rank; i++) {
    const int64_t d = minor_to_major ? minor_to_major[i] : rank - 1 - i;
    at += (size_t)snprintf(text + at, JM_LAYOUT_TEXT - at, i ? ",%d" : "%d", (int)d);
  }
  snprintf(text + at, JM_LAYOUT_TEXT - at, "}");
  return text;
}

jm_error *jm_buffer_create(jm_memory *memory, jm_dtype dtype, uint32_t rank, const int64_t *dims,
                           jm_storage *storage, jm_event *ready, jm_buffer **out) {
  size_t n_bytes;
  JM_TRY(jm_shape_read_bytes(dtype, rank, dims, &n_bytes));
  jm_buffer *buffer = jm_alloc(1, sizeof *buffer + 2 * rank * sizeof *dims);
  if (!buffer) return jm_error_out_of_memory();
  if (storage) {
    buffer->storage = jm_storage_retain(storage);
  } else {
    jm_error *error = jm_storage_create(memory, n_bytes, &buffer->storage);
    if (error) {
      jm_free(buffer);
      return error;
    }
  }
  atomic_init(&buffer->refs, 1);
  buffer->memory = memory;
  buffer->dtype = dtype;
  buffer->rank = rank;
  buffer->n_bytes = n_bytes;
  buffer->ready = jm_event_retain(ready);
  pthread_mutex_init(&buffer->lock, NULL);
  if (rank) memcpy(buffer->dims, dims, rank * sizeof *dims);
  jm_client_retain(memory->device->client);
  *out = buffer;
  return NULL;
}

void jm_buffer_set_layout(jm_buffer *buffer, const int64_t *minor_to_major) {
  if (!minor_to_major) return;
  memcpy(buffer->dims + buffer->rank, minor_to_major, buffer->rank * sizeof *minor_to_major);
  buffer->minor_to_major = buffer->dims + buffer->rank;
}

bool jm_buffer_has_layout(const jm_buffer *buffer, const int64_t *minor_to_major) {
  if (!buffer->minor_to_major || !minor_to_major) return buffer->minor_to_major == minor_to_major;
  return !memcmp(buffer->minor_to_major, minor_to_major, buffer->rank * sizeof *minor_to_major);
}

jm_error *jm_buffer_create_failed(jm_memory *memory, jm_dtype dtype, uint32_t rank,
                                  const int64_t *dims, jm_error *why, jm_buffer **out) {
  jm_event *ready;
  jm_error *error = jm_event_create(&ready);
  if (error) {
    jm_error_destroy(why);
    return error;
  }
  jm_event_fire(ready, why);
  error = jm_buffer_create(memory, dtype, rank, dims, NULL, ready, out);
  jm_event_release(ready);
  return error;
}

jm_buffer *jm_buffer_retain(jm_buffer *buffer) {
  atomic_fetch_add_explicit(&buffer->refs, 1, memory_order_relaxed);
  return buffer;
}

void jm_buffer_release(jm_buffer *buffer) {
  if (!buffer || atomic_fetch_sub_explicit(&buffer->refs, 1, memory_order_acq_rel) != 1) return;
  jm_storage_release(buffer->storage);
  jm_event_release(buffer->ready);
  jm_event_release(buffer->submitted);
  pthread_mutex_destroy(&buffer->lock);
  jm_client *client = buffer->memory->device->client;
  jm_free(buffer);
  jm_client_release(client);
}

void jm_buffer_delete(jm_buffer *buffer) {
  pthread_mutex_lock(&buffer->lock);
  jm_storage *storage = buffer->storage;
  buffer->storage = NULL;
  pthread_mutex_unlock(&buffer->lock);
  jm_storage_release(storage); /* may call the owner of borrowed memory: not under the lock */
}

bool jm_buffer_deleted(jm_buffer *buffer) {
  pthread_mutex_lock(&buffer->lock);
  bool deleted = !buffer->storage;
  pthread_mutex_unlock(&buffer->lock);
  return deleted;
}

static jm_error *error_deleted(const jm_buffer *buffer) {
  char text[256];
  return jm_error_invalid(
      "Buffer has been deleted or donated: %s",
      jm_shape_print(buffer->dtype, buffer->rank, buffer->dims, text, sizeof text));
}

jm_error *jm_buffer_acquire(jm_buffer *buffer, jm_storage **out) {
  pthread_mutex_lock(&buffer->lock);
  *out = buffer->storage ? jm_storage_retain(buffer->storage) : NULL;
  pthread_mutex_unlock(&buffer->lock);
  return *out ? NULL : error_deleted(buffer);
}

jm_error *jm_buffer_take(jm_buffer *buffer, jm_storage **out) {
  pthread_mutex_lock(&buffer->lock);
  *out = buffer->storage;
  buffer->storage = NULL;
  pthread_mutex_unlock(&buffer->lock);
  return *out ? NULL : error_deleted(buffer);
}

/* The buffer object is retained too: an external reference may be released after the buffer. */
jm_error *jm_buffer_pin(jm_buffer *buffer) {
  pthread_mutex_lock(&buffer->lock);
  if (!buffer->pinned && buffer->storage) {
    buffer->pinned = jm_storage_retain(buffer->storage);
    jm_storage_pin(buffer->pinned);
  }
  bool pinned = buffer->pinned;
  if (pinned) buffer->n_external++;
  pthread_mutex_unlock(&buffer->lock);
  if (!pinned) return error_deleted(buffer);
  jm_buffer_retain(buffer);
  return NULL;
}

jm_error *jm_buffer_unpin(jm_buffer *buffer) {
  jm_storage *unpinned = NULL;
  pthread_mutex_lock(&buffer->lock);
  bool held = buffer->n_external > 0;
  if (held && !--buffer->n_external) {
    unpinned = buffer->pinned;
    buffer->pinned = NULL;
  }
  pthread_mutex_unlock(&buffer->lock);
  if (!held)
    return jm_error_create(JM_FAILED_PRECONDITION, "the buffer has no external reference to drop");
  if (unpinned) {
    jm_storage_unpin(unpinned);
    jm_storage_release(unpinned);
  }
  jm_buffer_release(buffer);
  return NULL;
}

jm_error *jm_buffer_data(jm_buffer *buffer, void **out) {
  pthread_mutex_lock(&buffer->lock);
  jm_storage *storage = buffer->pinned ? buffer->pinned : buffer->storage;
  if (storage) jm_storage_retain(storage);
  pthread_mutex_unlock(&buffer->lock);
  if (!storage) return error_deleted(buffer);
  jm_error *error = jm_storage_data(storage, out);
  jm_storage_release(storage);
  return error;
}

jm_error *jm_buffer_bitcast(jm_buffer *buffer, jm_dtype dtype, uint32_t rank, const int64_t *dims,
                            jm_buffer **out) {
  size_t n_bytes;
  JM_TRY(jm_shape_read_bytes(dtype, rank, dims, &n_bytes));
  char from[256], to[256];
  if (n_bytes != buffer->n_bytes)
    return jm_error_invalid(
        "bitcast of %s (%zu bytes) to %s (%zu bytes)",
        jm_shape_print(buffer->dtype, buffer->rank, buffer->dims, from, sizeof from),
        buffer->n_bytes, jm_shape_print(dtype, rank, dims, to, sizeof to), n_bytes);
  char layout[JM_LAYOUT_TEXT];
  if (buffer->minor_to_major)
    return jm_error_unimplemented("bitcast of an array in the layout %s",
                                  jm_layout_print(buffer->rank, buffer->minor_to_major, layout));
  jm_storage *storage;
  JM_TRY(jm_buffer_acquire(buffer, &storage));
  jm_error *error =
      jm_buffer_create(buffer->memory, dtype, rank, dims, storage, buffer->ready, out);
  jm_storage_release(storage);
  return error;
}
