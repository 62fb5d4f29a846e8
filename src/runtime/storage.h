/* SPDX-License-Identifier: Apache-2.0
 * Storage: the reference-counted bytes behind buffers. They are allocated lazily, so that queued
 * executions take no memory before they run, and donation is decided when the bytes are needed. Its
 * contents, and when they are valid, are known to the buffer alone. */
#ifndef JM_RUNTIME_STORAGE_H
#define JM_RUNTIME_STORAGE_H

#include "runtime/client.h"
#include "runtime/event.h"

typedef struct jm_storage jm_storage;

/* Called once when borrowed memory is no longer needed, on any thread, under no lock. */
typedef void jm_storage_death(void *data, void *argument);

/* Memory of ours, allocated at its first use. */
jm_error *jm_storage_create(jm_memory *memory, size_t n_bytes, jm_storage **out) JM_MUST_USE;

/* Borrowed memory, never written and never donated. death may be NULL. */
jm_error *jm_storage_borrow(jm_memory *memory, void *data, size_t n_bytes, jm_storage_death *death,
                            void *argument, jm_storage **out) JM_MUST_USE;

jm_storage *jm_storage_retain(jm_storage *storage); /* returns it */
void jm_storage_release(jm_storage *storage);       /* NULL is allowed */

/* The address of the bytes on the host; allocates them at the first call, and copies them from the
 * device if they are only there. It is valid until the storage is destroyed or moved from; memory
 * of ours that is not pinned is also freed when the value moves to the device (jm_storage_array),
 * on the engine's thread. */
jm_error *jm_storage_data(jm_storage *storage, void **out) JM_MUST_USE;

/* -- on a device whose memory is not the host's: the engine's thread only */

/* The value as an array of the device, with a reference for the caller; copies it to the device at
 * the first call. */
jm_error *jm_storage_array(jm_storage *storage, const jm_type *type,
                           jm_engine_array **out) JM_MUST_USE;
/* Takes the array out of the storage, under the conditions of jm_storage_move; NULL if they don't
 * hold. */
jm_engine_array *jm_storage_array_take(jm_storage *storage);
/* Is the value on the host alone? */
bool jm_storage_on_host(jm_storage *storage);
/* Sets the value of an empty storage; takes over the reference, or the memory from jm_data_take.
 * ready: fires when the array's work is done; until then the array is kept even if the storage is
 * released, because its memory must not be reused while the device still writes to it. */
void jm_storage_fill(jm_storage *storage, jm_engine_array *array, void *data, jm_event *ready);
size_t jm_storage_bytes(const jm_storage *storage);

/* A pin marks an external reader of the bytes: pinned storage is not donated. */
void jm_storage_pin(jm_storage *storage);
void jm_storage_unpin(jm_storage *storage);

/* Moves the bytes of a donated storage to another of the same size that has none yet, if they are
 * ours, not pinned, and the caller's reference is the only one; otherwise returns false and changes
 * nothing. */
bool jm_storage_move(jm_storage *from, jm_storage *to);

#endif
