/* SPDX-License-Identifier: Apache-2.0
 * Worker threads that run jobs in the order of their submission: the queue of a device. Threads are
 * started when there is work for them, have 8 MiB stacks and block signals. A job that blocks
 * (base/blocking.h) does not stall the queue. task.h orders jobs that depend on each other.
 *
 * Threads don't survive fork: in the child a pool accepts jobs and never runs them, as with JAX's
 * own threads. A program that forks must do so before its first use of the client. */
#ifndef JM_RUNTIME_POOL_H
#define JM_RUNTIME_POOL_H

#include <stdbool.h>

#include "base/alloc.h"

typedef struct jm_pool jm_pool;

/* Embedded in the submitter's struct. run owns the job. */
typedef struct jm_job {
  struct jm_job *next;
  void (*run)(struct jm_job *job);
} jm_job;

jm_error *jm_pool_create(uint32_t n_threads, jm_pool **out) JM_MUST_USE;

/* A pool of a single thread, which owns the objects that its jobs use. */
jm_error *jm_pool_create_owner(jm_pool **out) JM_MUST_USE;

/* Called between jobs on the thread of such a pool; is_idle: no job is left. Returns whether to
 * call it again instead of sleeping. */
typedef bool jm_pool_between(void *context, bool is_idle);
void jm_pool_set_between(jm_pool *pool, jm_pool_between *between, void *context);

/* Is this thread a worker of the pool? */
bool jm_pool_is_here(const jm_pool *pool);

/* Runs the job later on a worker; on this thread if no worker can be started or after shutdown. */
void jm_pool_submit(jm_pool *pool, jm_job *job);

/* Runs a function on a worker and waits for it; on this thread if it is a worker of the pool, or
 * if none can be started. */
void jm_pool_call(jm_pool *pool, void (*run)(void *argument), void *argument);

/* Runs the submitted jobs, then ends the threads. May be called by a worker, which then ends on its
 * own. */
void jm_pool_shutdown(jm_pool *pool);
void jm_pool_destroy(jm_pool *pool); /* after shutdown; NULL is allowed */

#endif
