/* SPDX-License-Identifier: Apache-2.0
 * A parallel for over one lazily started pool of threads for the whole process. It is made for
 * loops that take at least tens of microseconds. It is not a task queue: the caller works too, and
 * returns when all items are done. Calls may nest and may come from many threads at once. */
#ifndef JM_BASE_PARALLEL_H
#define JM_BASE_PARALLEL_H

#include <stdbool.h>
#include <stddef.h>

/* Does the work of items [begin, end). */
typedef void jm_parallel_fn(void *context, size_t begin, size_t end);

/* Calls fn on consecutive ranges of at most grain items (0 means 1) that together cover [0, n), in
 * no particular order. The ranges depend on n and grain alone, never on the number of threads.
 * Without threads (none could be started) the caller does everything. */
void jm_parallel_for(size_t n, size_t grain, jm_parallel_fn *fn, void *context);

/* The same, but no thread is woken: those that spin since a loop before this one take part. For
 * loops of a few microseconds, which are done by the time that a thread has woken. */
void jm_parallel_share(size_t n, size_t grain, jm_parallel_fn *fn, void *context);

/* Until the matching call with false the calling thread runs loops by itself: it is one of several
 * that each have a part of the work. Returns what was set before. */
bool jm_parallel_alone(bool alone);

/* How many threads may work on one loop, the caller included: JAX_MPS_NUM_THREADS, else the cores
 * that this process may use. */
size_t jm_parallel_threads(void);

#endif
