/* SPDX-License-Identifier: Apache-2.0
 * One-shot events, which fire with success or an error. They are reference-counted: the party that
 * will fire an event holds a reference, so that the others may release theirs first. Every waiter
 * runs exactly once, never under a lock. Not a queue and not a lock: an event is never reset. */
#ifndef JM_RUNTIME_EVENT_H
#define JM_RUNTIME_EVENT_H

#include "base/alloc.h"

typedef struct jm_event jm_event;

/* Embedded in the struct of the waiting party, so that waiting needs no allocation. It must live
 * until run was called; the error (NULL: success) lives only during the call. */
typedef struct jm_waiter {
  struct jm_waiter *next;
  void (*run)(struct jm_waiter *waiter, const jm_error *error);
} jm_waiter;

jm_error *jm_event_create(jm_event **out) JM_MUST_USE;
jm_event *jm_event_retain(jm_event *event); /* returns it */

/* If the last reference goes before the event fired, its waiters run with ABORTED. */
void jm_event_release(jm_event *event); /* NULL is allowed */

/* A static event that is ready; retaining and releasing it does nothing. */
jm_event *jm_event_always(void);

/* Takes the error. false, and the error is dropped, if the event had fired already. */
bool jm_event_fire(jm_event *event, jm_error *error);

bool jm_event_ready(const jm_event *event);
const jm_error *jm_event_error(const jm_event *event); /* NULL: success or not ready */
void jm_event_wait(jm_event *event);

/* Runs the waiter when the event fires: now, on this thread, if it has. */
void jm_event_subscribe(jm_event *event, jm_waiter *waiter);

#endif
