/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/storage.h"

#include <stddef.h>

#include "base/data.h"

struct jm_storage {
  atomic_int refs, pins;
  bool borrowed;
  jm_memory *memory; /* the client is retained */
  size_t n_bytes;
  pthread_mutex_t lock;   /* of the allocation, and of array */
  _Atomic(void *) data;   /* NULL: not yet allocated */
  jm_engine_array *array; /* the value on the device; NULL: it isn't there */
  jm_event *ready;        /* of the array; NULL: it is there */
  jm_waiter waiter;       /* for it, once nobody holds the storage */
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

static void storage_destroy(jm_storage *storage) {
  jm_device *device = storage->memory->device;
  void *data = atomic_load(&storage->data);
  if (storage->array) device->engine->array_release(device->engine, storage->array);
  if (storage->borrowed) {
    if (storage->death) storage->death(data, storage->argument);
  } else if (data) {
    jm_data_give(data, storage->n_bytes);
    jm_device_count(device, -(int64_t)storage->n_bytes);
  }
  jm_event_release(storage->ready);
  pthread_mutex_destroy(&storage->lock);
  jm_free(storage);
  jm_client_release(device->client);
}

static void array_is_ready(jm_waiter *waiter, const jm_error *error) {
  (void)error;
  storage_destroy((jm_storage *)((char *)waiter - offsetof(jm_storage, waiter)));
}

void jm_storage_release(jm_storage *storage) {
  if (!storage || atomic_fetch_sub_explicit(&storage->refs, 1, memory_order_acq_rel) != 1) return;
  if (storage->array && storage->ready && !jm_event_ready(storage->ready)) {
    jm_event *ready = jm_event_retain(storage->ready); /* it may outlive the storage */
    storage->waiter.run = array_is_ready;
    jm_event_subscribe(ready, &storage->waiter);
    jm_event_release(ready);
  } else {
    storage_destroy(storage);
  }
}

static jm_error *out_of_memory(const jm_storage *storage) {
  return jm_error_create(JM_RESOURCE_EXHAUSTED, "out of memory: a buffer of %zu bytes on %s",
                         storage->n_bytes, storage->memory->text);
}

/* Under the lock: the host's memory, with the value if the device has it. */
static jm_error *data_make(jm_storage *storage) {
  if (atomic_load(&storage->data)) return NULL;
  void *data = jm_data_take(storage->n_bytes);
  if (!data) return out_of_memory(storage);
  jm_engine *engine = storage->memory->device->engine;
  if (storage->array) {
    jm_error *error = engine->array_export(engine, storage->array, data, storage->n_bytes);
    if (error) {
      jm_data_give(data, storage->n_bytes);
      return error;
    }
  }
  atomic_store_explicit(&storage->data, data, memory_order_release);
  jm_device_count(storage->memory->device, (int64_t)storage->n_bytes);
  return NULL;
}

typedef struct making {
  jm_storage *storage;
  jm_error *error;
} making;

static void data_make_locked(void *argument) {
  making *m = argument;
  pthread_mutex_lock(&m->storage->lock);
  m->error = data_make(m->storage);
  pthread_mutex_unlock(&m->storage->lock);
}

jm_error *jm_storage_data(jm_storage *storage, void **out) {
  *out = atomic_load_explicit(&storage->data, memory_order_acquire);
  if (*out || storage->borrowed) return NULL;
  making m = {storage, NULL};
  jm_device_call(storage->memory->device, data_make_locked, &m);
  *out = atomic_load_explicit(&storage->data, memory_order_acquire);
  return m.error;
}

jm_error *jm_storage_array(jm_storage *storage, const jm_type *type, jm_engine_array **out) {
  jm_device *device = storage->memory->device;
  jm_engine *engine = device->engine;
  void *freed = NULL;
  jm_error *error = NULL;
  pthread_mutex_lock(&storage->lock);
  if (!storage->array) error = data_make(storage); /* uninitialised, if nothing was written */
  if (!error && !storage->array) {
    error = engine->array_import(engine, type, atomic_load(&storage->data), &storage->array);
    if (!error && !storage->borrowed && !atomic_load(&storage->pins)) {
      freed = atomic_load(&storage->data);
      atomic_store(&storage->data, NULL);
    }
  }
  if (!error) *out = engine->array_retain(engine, storage->array);
  pthread_mutex_unlock(&storage->lock);
  if (freed) {
    jm_data_give(freed, storage->n_bytes);
    jm_device_count(device, -(int64_t)storage->n_bytes);
  }
  return error;
}

jm_engine_array *jm_storage_array_take(jm_storage *storage) {
  if (atomic_load(&storage->refs) != 1 || atomic_load(&storage->pins)) return NULL;
  pthread_mutex_lock(&storage->lock);
  jm_engine_array *array = storage->array;
  storage->array = NULL;
  pthread_mutex_unlock(&storage->lock);
  return array;
}

bool jm_storage_on_host(jm_storage *storage) {
  pthread_mutex_lock(&storage->lock);
  bool on_host = !storage->array;
  pthread_mutex_unlock(&storage->lock);
  return on_host;
}

void jm_storage_fill(jm_storage *storage, jm_engine_array *array, void *data, jm_event *ready) {
  pthread_mutex_lock(&storage->lock);
  if (array && ready) storage->ready = jm_event_retain(ready);
  storage->array = array;
  atomic_store_explicit(&storage->data, data, memory_order_release);
  pthread_mutex_unlock(&storage->lock);
  if (data) jm_device_count(storage->memory->device, (int64_t)storage->n_bytes);
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
