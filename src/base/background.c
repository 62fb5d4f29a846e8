/* SPDX-License-Identifier: Apache-2.0 */
#include "base/background.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/float_state.h"
#include "base/parallel.h"
#include "base/thread.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static jm_background_job *first, *last;
static size_t n_threads, n_running; /* those of them that are in a job */
static size_t n_forks;              /* that wait, or are under way */
static bool prepared, closed;

/* -- under the lock */

static jm_background_job *take(void) {
  jm_background_job *job = first;
  if (!job) return NULL;
  first = job->next;
  if (!first) last = NULL;
  return job;
}

static void *work(void *unused) {
  (void)unused;
  (void)jm_float_state_enter(); /* else the mode is that of the thread that started this one */
  pthread_mutex_lock(&lock);
  for (;;) {
    while (n_forks && !closed) pthread_cond_wait(&changed, &lock);
    jm_background_job *job = closed ? NULL : take();
    if (!job) break;
    n_running++;
    pthread_mutex_unlock(&lock);
    job->run(job);
    pthread_mutex_lock(&lock);
    n_running--;
    pthread_cond_broadcast(&changed);
  }
  n_threads--;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return NULL;
}

/* Half of the cores at most: the others go on with what is in the foreground. */
static void start_thread(void) {
  if (n_threads >= (jm_parallel_threads() + 1) / 2) return;
  pthread_t thread;
  if (!jm_thread_start(work, NULL, &thread)) return;
  pthread_detach(thread);
  n_threads++;
}

/* -- forks, exit */

static void before_fork(void) {
  pthread_mutex_lock(&lock);
  n_forks++;
  while (n_running) pthread_cond_wait(&changed, &lock);
}

static void after_fork_parent(void) {
  n_forks--;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

/* The child has no thread yet: the next job starts one, which does the earlier ones, too. */
static void after_fork_child(void) {
  n_forks = n_threads = 0;
  pthread_cond_init(&changed, NULL);
  pthread_mutex_unlock(&lock);
}

static void close_queue(void) {
  pthread_mutex_lock(&lock);
  closed = true;
  pthread_cond_broadcast(&changed);
  while (n_threads) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
}

static void prepare(void) {
  prepared = true;
  pthread_atfork(before_fork, after_fork_parent, after_fork_child);
  if (atexit(close_queue)) closed = true;
}

bool jm_background_add(jm_background_job *job) {
  pthread_mutex_lock(&lock);
  if (!prepared) prepare();
  if (!closed) start_thread();
  const bool added = !closed && n_threads;
  if (added) {
    job->next = NULL;
    if (last)
      last->next = job;
    else
      first = job;
    last = job;
  }
  pthread_mutex_unlock(&lock);
  return added;
}

void jm_background_wait(void) {
  pthread_mutex_lock(&lock);
  while (n_threads) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
}
