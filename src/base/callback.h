/* SPDX-License-Identifier: Apache-2.0
 * Callbacks from programs into the process that runs them. A program names a callback by an id;
 * what an id means is known to the one function that the process registers (of Python, here). This
 * table counts who may still call an id, so that its owner can forget it; it holds no pointer of
 * anybody's but that function. */
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

/* What the registered function returns when the results are written. Not 0, which is what is left
 * when a foreign function is broken off. Otherwise error has a text that ends with NUL. */
enum { JM_CALLBACK_DONE = 1 };
typedef int jm_callback_fn(int64_t id, int64_t n_in, const jm_callback_array *in, int64_t n_out,
                           const jm_callback_array *out, char *error, size_t error_size);

/* From now on ids are called through this function. */
void jm_callback_open(jm_callback_fn *function);

/* Nothing is called after this returns, and calls fail with CANCELLED. Calls that run already are
 * waited for, for some seconds. */
void jm_callback_close(void);

/* Calls an id; INTERNAL with the callback's own text if it fails. May block for as long as the
 * callback likes. */
jm_error *jm_callback_call(int64_t id, int64_t n_in, const jm_callback_array *in, int64_t n_out,
                           const jm_callback_array *out) JM_MUST_USE;

/* Claims on an id. The last release makes it one that nobody can call any more; releasing neither
 * waits nor calls anything, so that any thread may do it, and the owner asks for such ids when it
 * likes. */
jm_error *jm_callback_hold(int64_t id) JM_MUST_USE;
void jm_callback_release(int64_t id);

/* An id that was held and isn't any more, each told once; -1: none. */
int64_t jm_callback_take_dead(void);

/* What callbacks do, printing or raising, has to be seen when JAX's call returns, as on its CPU
 * backend. JAX says so before it starts such a program: the next one that this thread starts is
 * waited for. Taking it forgets it. */
void jm_callback_await_next(void);
bool jm_callback_take_await(void);

#endif
