/* SPDX-License-Identifier: Apache-2.0
 * Work that may wait for other work of the same kind: a callback into a caller's program, which may
 * run programs and wait for them. A thread that others depend on declares a blocker, which keeps
 * their work going meanwhile; code that may block announces it and need not know on which thread it
 * runs. Not a scheduler: a blocker decides where the work goes. */
#ifndef JM_BASE_BLOCKING_H
#define JM_BASE_BLOCKING_H

typedef void jm_blocking_fn(void *argument);

typedef struct jm_blocker {
  /* Runs the function to its end, on this thread or on another. */
  void (*run)(struct jm_blocker *blocker, jm_blocking_fn *function, void *argument);
} jm_blocker;

/* The calling thread's blocker; NULL: no other work depends on this thread. */
void jm_blocker_set(jm_blocker *blocker);

void jm_blocking_run(jm_blocking_fn *function, void *argument);

#endif
