/* SPDX-License-Identifier: Apache-2.0
 * A buffer: an array on a device, dense, whose value may not be ready yet. It combines a storage
 * with the event that fires when the bytes are valid; deleting or donating it removes the storage.
 * Accesses to the bytes are ordered by that event alone. Buffers are row-major, but for results of
 * programs whose caller asked for another layout. */
#ifndef JM_RUNTIME_BUFFER_H
#define JM_RUNTIME_BUFFER_H

#include "base/dtype.h"
#include "runtime/copy.h"
#include "runtime/event.h"
#include "runtime/storage.h"

typedef struct jm_buffer {
  atomic_int refs;
  jm_memory *memory; /* the client is retained */
  jm_dtype dtype;
  uint32_t rank;
  size_t n_bytes;
  jm_event *ready;
  jm_event *submitted;  /* the work that computes the value was submitted, so that further runs of
                           the device may be; NULL: only ready counts */
  pthread_mutex_t lock; /* of what follows */
  jm_storage *storage;  /* NULL: deleted or donated */
  jm_storage *pinned;   /* held by external references, also after deletion */
  int64_t n_external;
  const int64_t *minor_to_major; /* dimensions, that of adjacent elements first; NULL: row-major */
  int64_t dims[];                /* behind them, space for minor_to_major */
} jm_buffer;

/* The size of a shape: INVALID_ARGUMENT for a negative dimension, too high a rank or a size beyond
 * the address space. */
jm_error *jm_shape_read_bytes(jm_dtype dtype, uint32_t rank, const int64_t *dims,
                              size_t *out) JM_MUST_USE;

/* "f32[2,3]"; cut if it is longer than size. Returns text. */
const char *jm_shape_print(jm_dtype dtype, uint32_t rank, const int64_t *dims, char *text,
                           size_t size);

/* A layout as XLA writes it: "{0,1}", the dimension of adjacent elements first; NULL: row-major.
 * text has JM_LAYOUT_TEXT bytes. Returns it. */
enum { JM_LAYOUT_TEXT = 4 * JM_RANK_MAX };
const char *jm_layout_print(uint32_t rank, const int64_t *minor_to_major, char *text);

/* A buffer over this storage, NULL: a fresh one. References to storage and event are the buffer's
 * own. */
jm_error *jm_buffer_create(jm_memory *memory, jm_dtype dtype, uint32_t rank, const int64_t *dims,
                           jm_storage *storage, jm_event *ready, jm_buffer **out) JM_MUST_USE;

/* Names the layout of a buffer (copied; NULL: row-major) that nobody else knows yet. */
void jm_buffer_set_layout(jm_buffer *buffer, const int64_t *minor_to_major);
bool jm_buffer_has_layout(const jm_buffer *buffer, const int64_t *minor_to_major);

/* A buffer that will never have a value. Takes the error. */
jm_error *jm_buffer_create_failed(jm_memory *memory, jm_dtype dtype, uint32_t rank,
                                  const int64_t *dims, jm_error *why, jm_buffer **out) JM_MUST_USE;

jm_buffer *jm_buffer_retain(jm_buffer *buffer); /* returns it */
void jm_buffer_release(jm_buffer *buffer);      /* NULL is allowed */

/* Releases the storage; uses in progress keep their references. */
void jm_buffer_delete(jm_buffer *buffer);
bool jm_buffer_deleted(jm_buffer *buffer);

/* A reference to the storage, for a read; INVALID_ARGUMENT if the buffer is deleted. */
jm_error *jm_buffer_acquire(jm_buffer *buffer, jm_storage **out) JM_MUST_USE;

/* Takes the storage from the buffer, which thereby is deleted. */
jm_error *jm_buffer_take(jm_buffer *buffer, jm_storage **out) JM_MUST_USE;

/* External references keep the bytes in place, even if the buffer is deleted. */
jm_error *jm_buffer_pin(jm_buffer *buffer) JM_MUST_USE;
jm_error *jm_buffer_unpin(jm_buffer *buffer) JM_MUST_USE;

/* The address of the bytes, which may not be written yet. */
jm_error *jm_buffer_data(jm_buffer *buffer, void **out) JM_MUST_USE;

typedef enum jm_host_semantics { /* values of PJRT */
                                 JM_HOST_DURING_CALL,
                                 JM_HOST_UNTIL_TRANSFERRED,
                                 JM_HOST_ZERO_COPY,
                                 JM_HOST_MUTABLE_ZERO_COPY,
} jm_host_semantics;

/* An array of the host as a buffer; strides NULL: dense, row-major. Large dense data at an aligned
 * address whose ownership the caller hands over (mutable zero copy) is borrowed, everything else is
 * copied; done fires when the caller may reuse the host's memory. */
jm_error *jm_buffer_from_host(jm_memory *memory, const void *data, jm_dtype dtype, uint32_t rank,
                              const int64_t *dims, const int64_t *strides,
                              jm_host_semantics semantics, jm_event **done,
                              jm_buffer **out) JM_MUST_USE;

/* Writes the value to the host with these strides (NULL: dense, row-major) once it is ready; done
 * fires after it. */
jm_error *jm_buffer_to_host(jm_buffer *buffer, void *target, const int64_t *strides,
                            jm_event **done) JM_MUST_USE;

/* A read of the bytes [offset, offset + size) of our layout: it holds the bytes from its creation
 * on, runs once it is started, and then frees itself. done fires after it. */
typedef struct jm_transfer jm_transfer;
jm_error *jm_buffer_read(jm_buffer *buffer, size_t offset, size_t size, jm_transfer **out,
                         jm_event **done) JM_MUST_USE;
void jm_transfer_start(jm_transfer *transfer, void *target);
void jm_transfer_cancel(jm_transfer *transfer, jm_error *why); /* instead; takes the error */

/* A copy with storage of its own, in the same layout. */
jm_error *jm_buffer_copy(jm_buffer *buffer, jm_memory *memory, jm_buffer **out) JM_MUST_USE;

/* Writes the bytes of a buffer into a storage of the same size that is still unwritten, then fires
 * the event. */
jm_error *jm_buffer_copy_to(jm_buffer *buffer, jm_storage *target, jm_event *done) JM_MUST_USE;

/* The same bytes as another type and shape of the same size. */
jm_error *jm_buffer_bitcast(jm_buffer *buffer, jm_dtype dtype, uint32_t rank, const int64_t *dims,
                            jm_buffer **out) JM_MUST_USE;

#endif
