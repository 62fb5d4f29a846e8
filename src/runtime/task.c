/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/task.h"

struct jm_task_wait {
  jm_waiter waiter; /* first: the waiter is the wait */
  jm_task *task;
};

static void run_job(jm_job *job) {
  jm_task *task = (jm_task *)job;
  task->run(task, atomic_load(&task->failed));
}

jm_error *jm_task_init(jm_task *task, jm_pool *pool, jm_task_run *run, uint32_t n_events) {
  *task = (jm_task){.job.run = run_job, .run = run, .pool = pool};
  if (!n_events) return NULL;
  task->waits = jm_alloc(n_events, sizeof *task->waits);
  return task->waits ? NULL : jm_error_out_of_memory();
}

void jm_task_deinit(jm_task *task) {
  jm_error_destroy(atomic_load(&task->failed));
  jm_free(task->waits);
}

static void event_fired(jm_waiter *waiter, const jm_error *error) {
  jm_task *task = ((jm_task_wait *)waiter)->task;
  if (error) {
    jm_error *first = NULL, *copy = jm_error_clone(error);
    if (!atomic_compare_exchange_strong(&task->failed, &first, copy)) jm_error_destroy(copy);
  }
  if (atomic_fetch_sub(&task->pending, 1) == 1) jm_pool_submit(task->pool, &task->job);
}

void jm_task_start(jm_task *task, jm_event *const *events, uint32_t n_events,
                   bool inline_if_ready) {
  atomic_store(&task->pending, n_events + 1);
  for (uint32_t i = 0; i < n_events; i++) {
    task->waits[i] = (jm_task_wait){{.run = event_fired}, task};
    jm_event_subscribe(events[i], &task->waits[i].waiter);
  }
  if (atomic_fetch_sub(&task->pending, 1) != 1) return;
  if (inline_if_ready)
    run_job(&task->job);
  else
    jm_pool_submit(task->pool, &task->job);
}
