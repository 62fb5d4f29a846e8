/* SPDX-License-Identifier: Apache-2.0
 * Spinning for a moment before sleeping. Waking a thread takes as long as many steps of a program
 * (tens of microseconds on virtual cores), so that a thread which expects work soon polls for a
 * while first. It yields the core to any other thread that wants it. There is no lock and no
 * guarantee: a wait on a condition variable follows. */
#ifndef JM_BASE_SPIN_H
#define JM_BASE_SPIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether the wait is over; reads atomics alone. */
typedef bool jm_spin_fn(const void *context);

/* Polls for several times the duration of a wake-up; returns whether the wait is over. */
bool jm_spin_wait(jm_spin_fn *is_over, const void *context);

/* The same until a number is no longer the one that was seen. */
bool jm_spin_change(const atomic_size_t *number, size_t seen);

#endif
