/* SPDX-License-Identifier: Apache-2.0
 * Waiting awake for a moment. Waking a thread that sleeps takes as long as many steps of a program
 * do (tens of microseconds where cores are virtual), so who expects to go on soon looks around for
 * a while before it sleeps. It yields, so that whoever else wants the core has it. No lock and no
 * promise: after it comes the wait on a condition. */
#ifndef JM_BASE_AWAKE_H
#define JM_BASE_AWAKE_H

#include <stdbool.h>

/* Whether what is waited for is there; reads atomics alone. */
typedef bool jm_awake_fn(const void *context);

/* Until it is there, or for as long as waking would take, several times over: whether it is. */
bool jm_awake_wait(jm_awake_fn *there, const void *context);

#endif
