/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/trace_file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/settings.h"
#include "profile/report.h"

static struct {
  pthread_mutex_t lock;
  jm_timeline_session *session;
  char *path;
  pid_t process;
} trace = {.lock = PTHREAD_MUTEX_INITIALIZER};

static jm_error *write_report(jm_timeline_session *session, const char *path) {
  jm_report report;
  JM_TRY(jm_report_build(session, &report));
  jm_text text;
  jm_text_init(&text);
  jm_report_write_chrome(&report, &text);
  jm_report_deinit(&report);
  jm_error *error = jm_text_error(&text);
  if (!error) error = jm_file_write("JAX_MPS_DEBUG=trace", path, text.bytes, text.size);
  jm_text_deinit(&text);
  return error;
}

/* At exit there is nobody left to give an error to. */
static void finish(void) {
  if (getpid() != trace.process) return;
  jm_timeline_close(trace.session);
  jm_error *error = write_report(trace.session, trace.path);
  if (error) fprintf(stderr, "jax-mps: %s\n", jm_error_message(error));
  jm_error_destroy(error);
  jm_timeline_destroy(trace.session);
  jm_free(trace.path);
}

/* Under the lock. */
static jm_error *start(const char *path, size_t size) {
  trace.path = jm_alloc(size + 1, 1);
  if (!trace.path) return jm_error_out_of_memory();
  memcpy(trace.path, path, size);
  trace.process = getpid();
  /* An empty file now: whoever asked for it wants to know at once if it can't be made. */
  jm_error *error = jm_file_write("JAX_MPS_DEBUG=trace", trace.path, "", 0);
  if (!error) error = jm_timeline_open(&trace.session);
  if (!error && atexit(finish))
    error = jm_error_internal("JAX_MPS_DEBUG=trace: nothing can be registered for the exit");
  if (error) {
    jm_timeline_destroy(trace.session);
    jm_free(trace.path);
    trace.session = NULL;
    trace.path = NULL;
  }
  return error;
}

jm_error *jm_trace_file_start(void) {
  size_t size;
  const char *path = jm_setting_find_argument(JM_SETTING_DEBUG, "trace", &size);
  if (!path) return NULL;
  pthread_mutex_lock(&trace.lock);
  jm_error *error = trace.session ? NULL : start(path, size);
  pthread_mutex_unlock(&trace.lock);
  return error;
}
