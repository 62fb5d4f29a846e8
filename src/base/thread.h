/* SPDX-License-Identifier: Apache-2.0
 * Threads of ours inside an application. */
#ifndef JM_BASE_THREAD_H
#define JM_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* Starts a thread with a stack of 8 MiB. Signals are left to the application's threads, except for
 * faults of its own. The caller joins or detaches it. False: there is none. */
bool jm_thread_start(void *(*run)(void *), void *argument, pthread_t *out);

#endif
