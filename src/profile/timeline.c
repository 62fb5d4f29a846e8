/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/timeline.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

enum { MOST_SPANS = 1 << 20 }; /* 32 MiB: some seconds of the smallest steps */

const jm_span_fact jm_span_facts[JM_N_SPANS] = {
#define SPAN(id, line, name, value) {JM_LINE_##line, name, JM_VALUE_##value},
#include "profile/spans.def"
};

const char *const jm_line_names[JM_N_LINES] = {
#define LINE(id, name) name,
#include "profile/spans.def"
};

/* A session is a range of the recorder's spans, which go when the last session does. */
struct jm_timeline_session {
  size_t first, last; /* last: once it is closed */
  uint64_t lost_before, lost_after;
  bool is_open;
};

atomic_int jm_timeline_n_open;

static struct {
  pthread_mutex_t lock;
  jm_span *spans;
  size_t n, capacity;
  uint64_t n_lost;
  uint32_t n_sessions; /* that were not destroyed */
  jm_arena arena;      /* of the labels */
  jm_span_label **labels;
  uint32_t n_labels, labels_capacity;
} recorder = {.lock = PTHREAD_MUTEX_INITIALIZER};

int64_t jm_timeline_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* -- recording */

/* Under the lock: space for one more span. */
static bool make_space(void) {
  if (recorder.n < recorder.capacity) return true;
  if (recorder.n >= MOST_SPANS) return false;
  const size_t capacity = recorder.capacity ? 2 * recorder.capacity : 1024;
  jm_span *grown = jm_realloc(recorder.spans, capacity, sizeof *grown);
  if (!grown) return false;
  recorder.spans = grown;
  recorder.capacity = capacity;
  return true;
}

void jm_timeline_add(jm_span_kind kind, uint32_t device, uint32_t label, uint64_t value,
                     int64_t start) {
  const int64_t end = jm_timeline_now(); /* the clock may have been set back meanwhile */
  pthread_mutex_lock(&recorder.lock);
  if (atomic_load_explicit(&jm_timeline_n_open, memory_order_relaxed)) {
    if (make_space())
      recorder.spans[recorder.n++] = (jm_span){.start = start,
                                               .end = end > start ? end : start,
                                               .value = value,
                                               .label = label,
                                               .kind = (uint8_t)kind,
                                               .device = (uint8_t)device};
    else
      recorder.n_lost++;
  }
  pthread_mutex_unlock(&recorder.lock);
}

/* -- labels */

/* Under the lock. */
static jm_span_label *copy_label(const jm_span_label *label) {
  const char *const texts[] = {label->name, label->program, label->op, label->scope, label->source};
  const char *copies[5];
  for (int i = 0; i < 5; i++) {
    copies[i] = jm_arena_string(&recorder.arena, texts[i], strlen(texts[i]));
    if (!copies[i]) return NULL;
  }
  const jm_span_label copy = {copies[0], copies[1],    copies[2],   copies[3],
                              copies[4], label->flops, label->bytes};
  return jm_arena_copy(&recorder.arena, &copy, 1, sizeof copy);
}

uint32_t jm_timeline_add_label(const jm_span_label *label) {
  uint32_t number = 0;
  pthread_mutex_lock(&recorder.lock);
  jm_span_label *copy = copy_label(label);
  jm_span_label **labels =
      copy ? jm_arena_grow(&recorder.arena, recorder.labels, recorder.n_labels + 1,
                           &recorder.labels_capacity, sizeof *labels)
           : NULL;
  if (labels) {
    recorder.labels = labels;
    recorder.labels[recorder.n_labels++] = copy;
    number = recorder.n_labels;
  }
  pthread_mutex_unlock(&recorder.lock);
  return number;
}

const jm_span_label *jm_timeline_label(uint32_t number) {
  pthread_mutex_lock(&recorder.lock);
  const jm_span_label *label = recorder.labels[number - 1];
  pthread_mutex_unlock(&recorder.lock);
  return label;
}

/* -- sessions */

jm_error *jm_timeline_open(jm_timeline_session **out) {
  jm_timeline_session *session = jm_alloc(1, sizeof *session);
  if (!session) return jm_error_out_of_memory();
  pthread_mutex_lock(&recorder.lock);
  recorder.n_sessions++;
  session->first = recorder.n;
  session->lost_before = recorder.n_lost;
  session->is_open = true;
  atomic_fetch_add_explicit(&jm_timeline_n_open, 1, memory_order_relaxed);
  pthread_mutex_unlock(&recorder.lock);
  *out = session;
  return NULL;
}

void jm_timeline_close(jm_timeline_session *session) {
  pthread_mutex_lock(&recorder.lock);
  if (session->is_open) {
    session->last = recorder.n;
    session->lost_after = recorder.n_lost;
    session->is_open = false;
    atomic_fetch_sub_explicit(&jm_timeline_n_open, 1, memory_order_relaxed);
  }
  pthread_mutex_unlock(&recorder.lock);
}

void jm_timeline_destroy(jm_timeline_session *session) {
  if (!session) return;
  jm_timeline_close(session);
  pthread_mutex_lock(&recorder.lock);
  if (!--recorder.n_sessions) {
    jm_free(recorder.spans);
    recorder.spans = NULL;
    recorder.n = recorder.capacity = 0;
  }
  pthread_mutex_unlock(&recorder.lock);
  jm_free(session);
}

jm_error *jm_timeline_read(jm_timeline_session *session, jm_span **spans, size_t *n,
                           uint64_t *n_lost) {
  pthread_mutex_lock(&recorder.lock);
  const size_t last = session->is_open ? recorder.n : session->last;
  const uint64_t lost = session->is_open ? recorder.n_lost : session->lost_after;
  jm_span *copy = jm_alloc(last - session->first, sizeof *copy);
  if (copy && last > session->first)
    memcpy(copy, recorder.spans + session->first, (last - session->first) * sizeof *copy);
  *n = last - session->first;
  *n_lost = lost - session->lost_before;
  pthread_mutex_unlock(&recorder.lock);
  *spans = copy;
  return copy ? NULL : jm_error_out_of_memory();
}
