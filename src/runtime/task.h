/* SPDX-License-Identifier: Apache-2.0
 * A task is a job that waits for events, which is the only way to order work. Embed it as the first
 * member of the work's own struct. */
#ifndef JM_RUNTIME_TASK_H
#define JM_RUNTIME_TASK_H

#include <stdatomic.h>

#include "runtime/event.h"
#include "runtime/pool.h"

typedef struct jm_task jm_task;
typedef struct jm_task_wait jm_task_wait;

/* Called exactly once. failed: the error of a failed event, NULL if all succeeded; it lives until
 * jm_task_deinit. The function owns the task. */
typedef void jm_task_run(jm_task *task, const jm_error *failed);

struct jm_task {
  jm_job job;
  jm_task_run *run;
  jm_pool *pool;
  atomic_uint pending;
  _Atomic(jm_error *) failed;
  jm_task_wait *waits;
};

/* For at most n_events events. */
jm_error *jm_task_init(jm_task *task, jm_pool *pool, jm_task_run *run,
                       uint32_t n_events) JM_MUST_USE;
void jm_task_deinit(jm_task *task);

/* Runs the task once all events fired: on a worker, or on this thread if inline_if_ready and they
 * have all fired already. The task may have been freed when this returns. */
void jm_task_start(jm_task *task, jm_event *const *events, uint32_t n_events, bool inline_if_ready);

#endif
