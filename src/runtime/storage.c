/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/storage.h"

#include "base/data.h"

struct jm_storage {
  atomic_int refs, pins;
  bool borrowed;
  jm_memory *memory; /* the client is retained */
  size_t n_bytes;
  pthread_mutex_t lock; /* of the allocation */
  _Atomic(void *) data; /* NULL: not yet allocated */
  jm_storage_death *death;
  void *argument;
};

jm_error *jm_storage_create(jm_memory *memory, size_t n_bytes, jm_storage **out) {
  jm_storage *storage = jm_alloc(1, sizeof *storage);
  if (!storage) return jm_error_out_of_memory();
  atomic_init(&storage->refs, 1);
  storage->memory = memory;
  storage->n_bytes = n_bytes;
  pthread_mutex_init(&storage->lock, NULL);
  jm_client_retain(memory->device->client);
  *out = storage;
  return NULL;
}

jm_error *jm_storage_borrow(jm_memory *memory, void *data, size_t n_bytes, jm_storage_death *death,
                            void *argument, jm_storage **out) {
  jm_storage *storage;
  JM_TRY(jm_storage_create(memory, n_bytes, &storage));
  storage->borrowed = true;
  atomic_store(&storage->data, data);
  storage->death = death;
  storage->argument = argument;
  *out = storage;
  return NULL;
}

jm_storage *jm_storage_retain(jm_storage *storage) {
  atomic_fetch_add_explicit(&storage->refs, 1, memory_order_relaxed);
  return storage;
}

void jm_storage_release(jm_storage *storage) {
  if (!storage || atomic_fetch_sub_explicit(&storage->refs, 1, memory_order_acq_rel) != 1) return;
  jm_device *device = storage->memory->device;
  void *data = atomic_load(&storage->data);
  if (storage->borrowed) {
    if (storage->death) storage->death(data, storage->argument);
  } else if (data) {
    jm_data_give(data, storage->n_bytes);
    jm_device_count(device, -(int64_t)storage->n_bytes);
  }
  pthread_mutex_destroy(&storage->lock);
  jm_free(storage);
  jm_client_release(device->client);
}

jm_error *jm_storage_data(jm_storage *storage, void **out) {
  *out = atomic_load_explicit(&storage->data, memory_order_acquire);
  if (*out || storage->borrowed) return NULL;
  pthread_mutex_lock(&storage->lock);
  void *data = atomic_load(&storage->data);
  bool fresh = !data;
  if (fresh) {
    data = jm_data_take(storage->n_bytes);
    atomic_store_explicit(&storage->data, data, memory_order_release);
  }
  pthread_mutex_unlock(&storage->lock);
  if (!data)
    return jm_error_create(JM_RESOURCE_EXHAUSTED, "out of memory: a buffer of %zu bytes on %s",
                           storage->n_bytes, storage->memory->text);
  if (fresh) jm_device_count(storage->memory->device, (int64_t)storage->n_bytes);
  *out = data;
  return NULL;
}

size_t jm_storage_bytes(const jm_storage *storage) { return storage->n_bytes; }

void jm_storage_pin(jm_storage *storage) { atomic_fetch_add(&storage->pins, 1); }

void jm_storage_unpin(jm_storage *storage) { atomic_fetch_sub(&storage->pins, 1); }

bool jm_storage_move(jm_storage *from, jm_storage *to) {
  if (from->borrowed || atomic_load(&from->refs) != 1 || atomic_load(&from->pins) ||
      from->n_bytes != to->n_bytes || from->memory != to->memory)
    return false;
  void *data = atomic_load(&from->data);
  if (!data) return false;
  pthread_mutex_lock(&to->lock);
  bool moved = !atomic_load(&to->data) && !to->borrowed;
  if (moved) {
    atomic_store(&from->data, NULL);
    atomic_store_explicit(&to->data, data, memory_order_release);
  }
  pthread_mutex_unlock(&to->lock);
  return moved;
}
