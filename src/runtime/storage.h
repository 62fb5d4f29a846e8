/* SPDX-License-Identifier: Apache-2.0
 * Storage: the bytes behind buffers, counted. It exists before its bytes do, so that a queue of
 * executions takes no memory before it runs and donation is decided when the bytes are needed. It
 * doesn't know what is in it nor when it is valid: that is the buffer's. */
#ifndef JM_RUNTIME_STORAGE_H
#define JM_RUNTIME_STORAGE_H

#include "runtime/client.h"
#include "runtime/event.h"

typedef struct jm_storage jm_storage;

/* Called once when borrowed memory is no longer needed, on any thread, under no lock. */
typedef void jm_storage_death(void *data, void *argument);

/* Memory of ours, allocated when it is asked for. */
jm_error *jm_storage_create(jm_memory *memory, size_t n_bytes, jm_storage **out) JM_MUST_USE;

/* Memory of somebody else, never written and never donated. death may be NULL. */
jm_error *jm_storage_borrow(jm_memory *memory, void *data, size_t n_bytes, jm_storage_death *death,
                            void *argument, jm_storage **out) JM_MUST_USE;

jm_storage *jm_storage_retain(jm_storage *storage); /* returns it */
void jm_storage_release(jm_storage *storage);       /* NULL is allowed */

/* Where the bytes are on the host; allocates them at the first call, and brings them from the
 * device if they are only there. They stay until the storage dies or is moved from; but memory of
 * ours that is not pinned goes when the value moves to the device (jm_storage_array), on the
 * engine's thread. */
jm_error *jm_storage_data(jm_storage *storage, void **out) JM_MUST_USE;

/* -- on a device whose memory is not the host's: the engine's thread only */

/* The value as an array of the device, a reference of the caller's; brings it there at the first
 * call. */
jm_error *jm_storage_array(jm_storage *storage, const jm_type *type,
                           jm_engine_array **out) JM_MUST_USE;
/* Takes the array away, by the rule of jm_storage_move; NULL: it may not be. */
jm_engine_array *jm_storage_array_take(jm_storage *storage);
/* Is the value on the host alone? */
bool jm_storage_on_host(jm_storage *storage);
/* Gives a storage that has nothing its value; takes the reference, or the memory of jm_data_take.
 * ready: fires when the array's work is done; until then the array is kept, whoever lets go of the
 * storage, for its memory must not serve the host while the device still writes to it. */
void jm_storage_fill(jm_storage *storage, jm_engine_array *array, void *data, jm_event *ready);
size_t jm_storage_bytes(const jm_storage *storage);

/* Pins say that somebody outside reads the bytes: pinned storage is not donated. */
void jm_storage_pin(jm_storage *storage);
void jm_storage_unpin(jm_storage *storage);

/* Gives the bytes of a donated storage to another of the same size that has none yet. Only if they
 * are ours, nobody pinned them and the caller's reference is the only one; otherwise false, and
 * nothing changed. */
bool jm_storage_move(jm_storage *from, jm_storage *to);

#endif
