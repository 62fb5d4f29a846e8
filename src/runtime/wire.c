/* SPDX-License-Identifier: Apache-2.0
 * The wire's thread serves the launch at the head of the list alone. It tells the others where it
 * is (a header, gathered from all), and all draw the same conclusion from the same headers:
 *
 *   all equal               the data follows
 *   different launches      those of the lowest number fail their launch, the others tell again
 *   otherwise               all fail their launch
 *
 * so that they stay in step whatever went wrong. */
#include "runtime/wire.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/settings.h"
#include "base/text.h"

enum { NAME_BYTES = 48, POLL_NANOSECONDS = 50000000, CHUNK_BYTES = 32 << 20 };

typedef struct header {
  uint64_t launch, hash, participant;
  uint32_t step, op, failed, number;
  char name[NAME_BYTES]; /* of the program */
  char op_name[NAME_BYTES];
} header;

typedef enum state { WAITS, RUNS, DONE, ABANDONED } state;

/* A step that was asked for. The thread's while it runs, else the asker's. */
typedef struct request {
  jm_wire_step step;
  state state;
  pthread_cond_t changed; /* for its asker alone: hundreds of launches may wait for their turn */
  struct timespec since;  /* when it began to run, or last got data */
  void *out;
  uint32_t least; /* of the processes' numbers */
  jm_error *error;
} request;

struct jm_launch {
  jm_launch *next;
  uint64_t number, hash;
  uint32_t n_steps;
  char name[NAME_BYTES];
  request *asked;
  bool left;       /* no step will come */
  bool failed;     /* here, and the others are to be told */
  jm_error *error; /* what its steps fail with: the processes disagreed */
};

struct jm_wire {
  atomic_int refs; /* the owner and the thread */
  pthread_mutex_t lock;
  pthread_cond_t work; /* for the thread */
  pthread_t thread;
  bool has_thread, is_open, is_inside; /* of the transport */
  atomic_bool stopping;
  uint32_t self, n_processes;
  int64_t seconds;
  jm_transport_open *open;
  void *context;
  jm_transport *transport; /* the thread's */
  uint64_t n_launches;
  jm_launch *first, **end;
  jm_error *broken; /* for good */
};

/* -- life */

static void wire_destroy(jm_wire *w) {
  while (w->first) {
    jm_launch *next = w->first->next;
    jm_error_destroy(w->first->error);
    jm_free(w->first);
    w->first = next;
  }
  jm_error_destroy(w->broken);
  pthread_cond_destroy(&w->work);
  pthread_mutex_destroy(&w->lock);
  jm_free(w);
}

void jm_wire_release(jm_wire *w) {
  if (w && atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) == 1) wire_destroy(w);
}

jm_error *jm_wire_create_over(uint32_t self, uint32_t n_processes, jm_transport_open *open,
                              void *context, jm_wire **out) {
  int64_t seconds;
  JM_TRY(jm_collective_seconds(&seconds));
  jm_wire *w = jm_alloc(1, sizeof *w);
  if (!w) return jm_error_out_of_memory();
  atomic_init(&w->refs, 1);
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->work, NULL);
  w->self = self;
  w->n_processes = n_processes;
  w->seconds = seconds;
  w->open = open;
  w->context = context;
  w->end = &w->first;
  *out = w;
  return NULL;
}

/* Under the lock. Takes the error. */
static void end_wire(jm_wire *w, jm_error *error) {
  if (w->broken)
    jm_error_destroy(error);
  else
    w->broken = error;
  pthread_cond_signal(&w->work);
  for (const jm_launch *l = w->first; l; l = l->next)
    if (l->asked) pthread_cond_signal(&l->asked->changed);
}

/* -- the thread */

/* Under the lock. */
static void pop_launch(jm_wire *w) {
  jm_launch *head = w->first;
  w->first = head->next;
  if (!w->first) w->end = &w->first;
  jm_error_destroy(head->error);
  jm_free(head);
}

/* Under the lock: waits for the next thing to do; the launch that it is of, NULL at the end. */
static jm_launch *await_work(jm_wire *w) {
  for (;;) {
    jm_launch *head = w->first;
    if (atomic_load(&w->stopping) || w->broken) return NULL;
    if (head && head->left && !head->failed) {
      pop_launch(w);
      continue;
    }
    if (head && (head->left || (head->asked && head->asked->state == WAITS))) return head;
    pthread_cond_wait(&w->work, &w->lock);
  }
}

/* Under the lock. */
static void build_header(const jm_launch *launch, header *out) {
  *out = (header){.launch = launch->number, .hash = launch->hash, .step = launch->n_steps};
  memcpy(out->name, launch->name, sizeof out->name);
  if (launch->left) {
    out->failed = 1;
    return;
  }
  const jm_wire_step *step = &launch->asked->step;
  out->op = step->op;
  out->participant = step->participant;
  out->number = step->number;
  snprintf(out->op_name, sizeof out->op_name, "%s", step->name);
}

static void describe(jm_text *text, const header *all, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    const header *h = &all[i];
    jm_text_printf(text, "%sprocess %u is at launch %llu, '%.*s' (%016llx), ", i ? "; " : "", i,
                   (unsigned long long)h->launch, NAME_BYTES - 1, h->name,
                   (unsigned long long)h->hash);
    if (h->failed)
      jm_text_printf(text, "which failed there");
    else
      jm_text_printf(text, "step %u, op %u %.*s of %llu bytes", h->step, h->op, NAME_BYTES - 1,
                     h->op_name, (unsigned long long)h->participant);
  }
}

static jm_error *error_of_headers(const header *all, uint32_t n) {
  jm_text text;
  jm_text_init(&text);
  describe(&text, all, n);
  jm_error *error = jm_text_error(&text);
  bool failed = false;
  for (uint32_t i = 0; i < n; i++) failed |= all[i].failed;
  if (!error && failed)
    error = jm_error_create(JM_ABORTED, "the program failed in another process: %.2000s",
                            jm_text_bytes(&text));
  else if (!error)
    error = jm_error_create(JM_FAILED_PRECONDITION,
                            "the processes don't run the same programs in the same order: %.2000s",
                            jm_text_bytes(&text));
  jm_text_deinit(&text);
  return error;
}

typedef enum verdict { GO, AGAIN, FAIL } verdict;

static verdict judge(const header *all, uint32_t n, uint32_t self) {
  uint64_t lowest = all[0].launch;
  bool equal = true;
  for (uint32_t i = 0; i < n; i++) {
    const header *a = &all[i], *b = &all[0];
    if (a->launch < lowest) lowest = a->launch;
    equal &= a->launch == b->launch && a->hash == b->hash && a->step == b->step && a->op == b->op &&
             a->participant == b->participant && !a->failed;
  }
  if (equal) return GO;
  return all[self].launch > lowest ? AGAIN : FAIL;
}

static uint32_t least_number(const header *all, uint32_t n) {
  uint32_t least = all[0].number;
  for (uint32_t i = 1; i < n; i++)
    if (all[i].number < least) least = all[i].number;
  return least;
}

/* Gathers n bytes of each, in pieces, so that the transport needs little memory of its own and the
 * asker sees that data flows. */
static jm_error *gather_pieces(jm_wire *w, request *r) {
  const jm_wire_step *s = &r->step;
  const uint32_t n = w->n_processes;
  size_t total;
  char *out = jm_size_mul(s->n, n, &total) ? jm_alloc_data(total) : NULL;
  const size_t most = s->n < CHUNK_BYTES ? s->n : CHUNK_BYTES;
  char *piece = most < s->n ? jm_alloc_data(most * n) : NULL;
  jm_error *error = !out || (most < s->n && !piece) ? jm_error_out_of_memory() : NULL;
  for (size_t at = 0; !error && at < s->n; at += most) {
    const size_t some = s->n - at < most ? s->n - at : most;
    const char *from = (const char *)s->bytes + at;
    error = w->transport->gather(w->transport, from, some, piece ? piece : out);
    for (uint32_t i = 0; !error && piece && i < n; i++)
      memcpy(out + i * s->n + at, piece + i * some, some);
    pthread_mutex_lock(&w->lock);
    clock_gettime(CLOCK_MONOTONIC, &r->since);
    pthread_mutex_unlock(&w->lock);
  }
  jm_free(piece);
  if (error)
    jm_free(out);
  else
    r->out = out;
  return error;
}

/* Tells the others, hears them, and exchanges the data if all agree. An error is the wire's end. */
static jm_error *serve(jm_wire *w, const header *mine, request *r, header *all, verdict *out) {
  if (!w->transport) {
    JM_TRY(w->open(w->context, &w->stopping, &w->transport));
    pthread_mutex_lock(&w->lock);
    w->is_open = true;
    if (r) clock_gettime(CLOCK_MONOTONIC, &r->since);
    pthread_mutex_unlock(&w->lock);
  }
  JM_TRY(w->transport->gather(w->transport, mine, sizeof *mine, all));
  *out = judge(all, w->n_processes, w->self);
  if (r) r->least = least_number(all, w->n_processes);
  return *out == GO && r->step.n ? gather_pieces(w, r) : NULL; /* without bytes: they have met */
}

static void request_destroy(request *r) {
  pthread_cond_destroy(&r->changed);
  jm_free(r->step.bytes);
  jm_free(r->out);
  jm_error_destroy(r->error);
  jm_free(r);
}

/* Under the lock: the asker may have gone meanwhile. */
static void request_finish(jm_launch *launch, request *r, jm_error *error) {
  if (r->state == ABANDONED) {
    jm_error_destroy(error);
    request_destroy(r);
    return;
  }
  r->state = DONE;
  r->error = error;
  if (!error) launch->n_steps++;
  pthread_cond_signal(&r->changed);
}

/* Under the lock. */
static void serve_launch(jm_wire *w, jm_launch *launch, header *all) {
  header mine;
  verdict verdict = AGAIN;
  request *r = launch->left ? NULL : launch->asked;
  build_header(launch, &mine);
  if (r) {
    r->state = RUNS;
    clock_gettime(CLOCK_MONOTONIC, &r->since);
  }
  w->is_inside = true;
  pthread_mutex_unlock(&w->lock);
  jm_error *error = serve(w, &mine, r, all, &verdict);
  pthread_mutex_lock(&w->lock);
  w->is_inside = false;
  if (error) {
    end_wire(w, jm_error_clone(error));
    if (r)
      request_finish(launch, r, error);
    else
      jm_error_destroy(error);
    return;
  }
  if (verdict == AGAIN) {
    if (r && r->state == ABANDONED) request_destroy(r);
    if (r && r->state == RUNS) r->state = WAITS;
    return;
  }
  if (verdict == FAIL) {
    if (!launch->error && r) launch->error = error_of_headers(all, w->n_processes);
    error = jm_error_clone(launch->error);
    launch->failed = false; /* all know */
  }
  if (r) request_finish(launch, r, error);
}

static void *thread_run(void *argument) {
  jm_wire *w = argument;
  header *all = jm_alloc(w->n_processes, sizeof *all);
  pthread_mutex_lock(&w->lock);
  if (!all) end_wire(w, jm_error_out_of_memory());
  for (jm_launch *launch; (launch = await_work(w));) serve_launch(w, launch, all);
  pthread_mutex_unlock(&w->lock);
  if (w->transport) w->transport->destroy(w->transport);
  jm_free(all);
  jm_wire_release(w);
  return NULL;
}

/* Under the lock: at the first launch. */
static jm_error *start_thread(jm_wire *w) {
  if (w->has_thread) return NULL;
  atomic_fetch_add(&w->refs, 1);
  if (pthread_create(&w->thread, NULL, thread_run, w)) {
    atomic_fetch_sub(&w->refs, 1);
    return jm_error_create(JM_RESOURCE_EXHAUSTED, "no thread for the exchange between processes");
  }
  w->has_thread = true;
  return NULL;
}

void jm_wire_shutdown(jm_wire *w) {
  if (!w) return;
  pthread_mutex_lock(&w->lock);
  atomic_store(&w->stopping, true);
  end_wire(w, jm_error_create(JM_CANCELLED, "the client was closed"));
  const bool joins = w->has_thread && !w->is_inside, leaves = w->has_thread && w->is_inside;
  w->has_thread = false;
  pthread_mutex_unlock(&w->lock);
  if (joins) pthread_join(w->thread, NULL);
  if (leaves) pthread_detach(w->thread);
}

void jm_wire_lose(jm_wire *w, uint32_t process, const char *why) {
  pthread_mutex_lock(&w->lock);
  end_wire(w, jm_error_create(JM_UNAVAILABLE, "process %u of the job %.400s", process, why));
  pthread_mutex_unlock(&w->lock);
}

/* -- launches and their steps */

jm_error *jm_wire_enter(jm_wire *w, uint64_t hash, const char *name, jm_launch **out) {
  jm_launch *launch = jm_alloc(1, sizeof *launch);
  if (!launch) return jm_error_out_of_memory();
  snprintf(launch->name, sizeof launch->name, "%s", name);
  launch->hash = hash;
  pthread_mutex_lock(&w->lock);
  jm_error *error = w->broken ? jm_error_clone(w->broken) : start_thread(w);
  if (!error) {
    launch->number = ++w->n_launches;
    *w->end = launch;
    w->end = &launch->next;
  }
  pthread_mutex_unlock(&w->lock);
  if (error)
    jm_free(launch);
  else
    *out = launch;
  return error;
}

void jm_wire_leave(jm_wire *w, jm_launch *launch, const jm_error *failed) {
  pthread_mutex_lock(&w->lock);
  launch->left = true;
  launch->failed = failed && !launch->error;
  pthread_cond_signal(&w->work);
  pthread_mutex_unlock(&w->lock);
}

static jm_error *error_late(const jm_wire *w, const jm_launch *launch, const request *r) {
  return jm_error_create(
      JM_DEADLINE_EXCEEDED,
      "%s of '%s' (launch %llu): after %lld s (JAX_MPS_COLLECTIVE_TIMEOUT) process %u still waits "
      "for the others; this process can run no further programs over several processes",
      r->step.name, launch->name, (unsigned long long)launch->number, (long long)w->seconds,
      w->self);
}

/* Under the lock. */
static void check_request(jm_wire *w, const jm_launch *launch, const request *r,
                          const atomic_bool *cancelled) {
  struct timespec now;
  /* To open the transport is to meet first, which has a time limit of its own and names who is
   * missing. */
  const int64_t most = w->is_open ? w->seconds : 2 * w->seconds;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (cancelled && atomic_load(cancelled))
    end_wire(w, jm_error_create(JM_CANCELLED, "the execution was cancelled in %s", r->step.name));
  else if (r->state == RUNS && now.tv_sec - r->since.tv_sec >= most)
    end_wire(w, error_late(w, launch, r));
}

/* Under the lock. */
static void await_request(jm_wire *w, const jm_launch *launch, request *r,
                          const atomic_bool *cancelled) {
  while (r->state != DONE && !w->broken) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += POLL_NANOSECONDS;
    if (until.tv_nsec >= 1000000000) {
      until.tv_nsec -= 1000000000;
      until.tv_sec++;
    }
    pthread_cond_timedwait(&r->changed, &w->lock, &until);
    if (r->state != DONE) check_request(w, launch, r, cancelled);
  }
}

jm_error *jm_wire_exchange(jm_wire *w, jm_launch *launch, const jm_wire_step *step,
                           const atomic_bool *cancelled, void **out) {
  request *r = jm_alloc(1, sizeof *r);
  if (!r) {
    jm_free(step->bytes);
    return jm_error_out_of_memory();
  }
  r->step = *step;
  pthread_cond_init(&r->changed, NULL);
  pthread_mutex_lock(&w->lock);
  jm_error *error = jm_error_clone(w->broken ? w->broken : launch->error);
  if (!error) {
    launch->asked = r;
    pthread_cond_signal(&w->work);
    await_request(w, launch, r, cancelled);
    launch->asked = NULL;
    if (r->state == RUNS) {
      r->state = ABANDONED; /* the thread's from now on */
      error = jm_error_clone(w->broken);
      r = NULL;
    } else if (r->state == DONE) {
      error = jm_error_clone(r->error);
    } else {
      error = jm_error_clone(w->broken);
    }
  }
  pthread_mutex_unlock(&w->lock);
  if (!error) {
    *out = r->out;
    r->out = NULL;
    if (step->least) *step->least = r->least;
  }
  if (r) request_destroy(r);
  return error;
}
