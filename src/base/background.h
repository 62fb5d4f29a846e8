/* SPDX-License-Identifier: Apache-2.0
 * Work that nobody waits for, in the order in which it was added, on threads of its own that end
 * when there is none left. At exit what has begun is finished, so that no thread is inside a
 * library whose destructors run, and the rest is dropped. A fork waits for what has begun; the
 * rest is done in the parent and in the child. */
#ifndef JM_BASE_BACKGROUND_H
#define JM_BASE_BACKGROUND_H

#include <stdbool.h>

typedef struct jm_background_job {
  void (*run)(struct jm_background_job *job); /* owns the job, which may end in it */
  struct jm_background_job *next;             /* the queue's */
} jm_background_job;

/* False if it can't be done: the job is still the caller's. Locks that jobs take and that a fork
 * handler holds need that handler to be registered before the first call. */
bool jm_background_add(jm_background_job *job);

/* For tests: waits until there is no job. */
void jm_background_wait(void);

#endif
