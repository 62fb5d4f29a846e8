/* SPDX-License-Identifier: Apache-2.0
 * Work that may wait for other work of the same kind: a callback into a caller's program, which may
 * run programs and wait for them. A thread that others depend on declares who keeps their work
 * going meanwhile (a blocker); code that blocks says so and needn't know on what thread it is. Not
 * a scheduler: that is the blocker's business. */
#ifndef JM_BASE_BLOCKING_H
#define JM_BASE_BLOCKING_H

typedef void jm_blocking_fn(void *argument);

typedef struct jm_blocker {
  /* Runs the function to its end, on this thread or on another. */
  void (*run)(struct jm_blocker *blocker, jm_blocking_fn *function, void *argument);
} jm_blocker;

/* Of the calling thread; NULL: nobody depends on it. */
void jm_blocker_set(jm_blocker *blocker);

void jm_blocking_run(jm_blocking_fn *function, void *argument);

#endif
