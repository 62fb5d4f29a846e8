/* SPDX-License-Identifier: Apache-2.0
 * Callbacks from programs into the process that runs them. A program names a callback by an id;
 * only the function that the process registers (Python's, here) knows what an id means. This table
 * counts the references to each id, so that its owner can forget the unused ones. Its only foreign
 * pointer is that function. */
#ifndef JM_BASE_CALLBACK_H
#define JM_BASE_CALLBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Dense, row-major; part of the ABI between library and registered function. */
typedef struct jm_callback_array {
  void *data;
  int64_t n_bytes;
} jm_callback_array;

/* The registered function returns this when the results are written. It is not 0, because a foreign
 * function that is aborted leaves 0. On any other value, error has a NUL-terminated text. */
enum { JM_CALLBACK_DONE = 1 };
typedef int jm_callback_fn(int64_t id, int64_t n_in, const jm_callback_array *in, int64_t n_out,
                           const jm_callback_array *out, char *error, size_t error_size);

/* From now on ids are called through this function. */
void jm_callback_open(jm_callback_fn *function);

/* Nothing is called after this returns: later calls fail with CANCELLED, and running ones are
 * waited for, for some seconds. */
void jm_callback_close(void);

/* Calls an id; INTERNAL with the callback's own text if it fails. May block for as long as the
 * callback likes. */
jm_error *jm_callback_call(int64_t id, int64_t n_in, const jm_callback_array *in, int64_t n_out,
                           const jm_callback_array *out) JM_MUST_USE;

/* References to an id. After the last release nobody can call it any more. A release neither waits
 * nor calls anything, so that any thread may do it; the owner asks for released ids when it likes.
 */
jm_error *jm_callback_hold(int64_t id) JM_MUST_USE;
void jm_callback_release(int64_t id);

/* An id whose last reference was released; each is returned once. -1: none. */
int64_t jm_callback_take_dead(void);

/* The effects of callbacks (printing, raising) must be visible when JAX's call returns, as on its
 * CPU backend. JAX announces such a program before it starts it: the next one that this thread
 * starts is waited for. Taking the flag clears it. */
void jm_callback_await_next(void);
bool jm_callback_take_await(void);

#endif
