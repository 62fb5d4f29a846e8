/* SPDX-License-Identifier: Apache-2.0
 * Work that is split into tasks, which may fail, over the process's
 * threads. The split depends on sizes alone, so results don't depend on the number of threads. */
#ifndef JM_LIBRARY_TASKS_H
#define JM_LIBRARY_TASKS_H

#include "engine/call.h"

typedef jm_error *jm_task_fn(void *context, size_t task);

/* Runs tasks [0, n); the error is that of the first task that failed. */
jm_error *jm_tasks_run(size_t n, jm_task_fn *fn, void *context) JM_MUST_USE;

/* For an op that treats each index of dimension 0 of its operands and results by itself: runs fn on
 * calls that each have a range of that dimension, if the op is large enough. Scalar operands and
 * captures are passed on. */
jm_error *jm_tasks_run_batch(const jm_call *call, jm_call_fn *fn) JM_MUST_USE;

#endif
