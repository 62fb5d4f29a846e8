/* SPDX-License-Identifier: Apache-2.0
 * The wire's protocol, between processes that are threads of this one: they agree, they disagree,
 * one fails, one is silent. */
#include "runtime/wire.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/settings.h"
#include "unit/check.h"

enum { N = 3, MOST = 4096 };

/* -- a transport in memory: a barrier around a copy */

typedef struct hub {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  const void *bytes[N];
  size_t n[N];
  int n_arrived, n_left;
  bool is_leaving, is_down;
} hub;

typedef struct port {
  jm_transport base;
  hub *hub;
} port;

static jm_error *error_down(hub *h) {
  pthread_mutex_unlock(&h->lock);
  return jm_error_create(JM_UNAVAILABLE, "the hub is down");
}

static jm_error *gather(jm_transport *transport, const void *bytes, size_t n, void *out) {
  const port *p = (port *)transport;
  hub *h = p->hub;
  pthread_mutex_lock(&h->lock);
  while (h->is_leaving && !h->is_down) pthread_cond_wait(&h->changed, &h->lock);
  h->bytes[p->base.rank] = bytes;
  h->n[p->base.rank] = n;
  if (++h->n_arrived == N) {
    h->is_leaving = true;
    pthread_cond_broadcast(&h->changed);
  }
  while (!h->is_leaving && !h->is_down) pthread_cond_wait(&h->changed, &h->lock);
  if (h->is_down) return error_down(h);
  for (int i = 0; i < N; i++) {
    CHECK(h->n[i] == n); /* or the processes were out of step */
    if (h->n[i] == n) memcpy((char *)out + i * n, h->bytes[i], n);
  }
  if (++h->n_left == N) {
    h->n_arrived = h->n_left = 0;
    h->is_leaving = false;
  }
  pthread_cond_broadcast(&h->changed);
  while (h->n_left && h->is_leaving && !h->is_down) pthread_cond_wait(&h->changed, &h->lock);
  pthread_mutex_unlock(&h->lock);
  return NULL;
}

static void destroy(jm_transport *transport) { jm_free(transport); }

typedef struct process {
  uint32_t rank;
  hub *hub;
  jm_wire *wire;
  pthread_t thread;
  void (*run)(struct process *process);
} process;

static jm_error *open_port(void *context, const atomic_bool *cancelled, jm_transport **out) {
  const process *p = context;
  (void)cancelled;
  port *made = jm_alloc(1, sizeof *made);
  if (!made) return jm_error_out_of_memory();
  *made = (port){{p->rank, N, gather, destroy}, p->hub};
  *out = &made->base;
  return NULL;
}

static void *process_main(void *argument) {
  process *p = argument;
  CHECK_OK(jm_wire_create_over(p->rank, N, open_port, p, &p->wire));
  p->run(p);
  jm_wire_shutdown(p->wire);
  jm_wire_release(p->wire);
  return NULL;
}

static void run_all(void (*run)(process *p)) {
  hub h = {.n_arrived = 0};
  process processes[N];
  pthread_mutex_init(&h.lock, NULL);
  pthread_cond_init(&h.changed, NULL);
  for (uint32_t i = 0; i < N; i++) {
    processes[i] = (process){.rank = i, .hub = &h, .run = run};
    CHECK(!pthread_create(&processes[i].thread, NULL, process_main, &processes[i]));
  }
  for (uint32_t i = 0; i < N; i++) pthread_join(processes[i].thread, NULL);
  pthread_cond_destroy(&h.changed);
  pthread_mutex_destroy(&h.lock);
}

/* -- programs */

static jm_launch *enter(process *p, uint64_t hash) {
  jm_launch *launch = NULL;
  CHECK_OK(jm_wire_enter(p->wire, hash, "program", &launch));
  return launch;
}

/* One step in which each process brings its rank, and its value n times. */
static jm_error *step(process *p, jm_launch *launch, uint32_t op, uint32_t value) {
  const size_t n = 17;
  uint32_t *bytes = jm_alloc(n, sizeof *bytes);
  void *out = NULL;
  for (size_t i = 0; i < n; i++) bytes[i] = 1000 * p->rank + value;
  const jm_wire_step s = {
      .op = op, .name = "all_reduce", .participant = n * 4, .n = n * 4, .bytes = bytes};
  JM_TRY(jm_wire_exchange(p->wire, launch, &s, NULL, &out));
  for (uint32_t i = 0; i < N; i++)
    for (size_t k = 0; k < n; k++) CHECK(((uint32_t *)out)[i * n + k] == 1000 * i + value);
  jm_free(out);
  return NULL;
}

static void run_one(process *p, uint64_t hash, uint32_t n_steps) {
  jm_launch *launch = enter(p, hash);
  for (uint32_t i = 0; i < n_steps; i++) CHECK_OK(step(p, launch, i, 7 * i));
  jm_wire_leave(p->wire, launch, NULL);
}

/* They meet, and each hears the least of their numbers. */
static void meet(process *p) {
  jm_launch *launch = enter(p, 1);
  for (uint32_t i = 0; i < 2 * N; i++) {
    uint32_t least = 0;
    void *nothing = p;
    const jm_wire_step s = {
        .op = i, .name = "here", .number = 10 + (p->rank + i) % N * i, .least = &least};
    CHECK_OK(jm_wire_exchange(p->wire, launch, &s, NULL, &nothing));
    CHECK(least == 10 && !nothing);
  }
  jm_wire_leave(p->wire, launch, NULL);
}

static void agree(process *p) {
  for (uint32_t i = 0; i < 50; i++) {
    if (p->rank == i % N) usleep(500);
    run_one(p, i, i % 4); /* some have no step at all */
  }
}

/* The second launch asks before the first has ended: it waits for its turn. */
static void *run_second(void *argument) {
  void **both = argument;
  CHECK_OK(step(both[0], both[1], 0, 5));
  jm_wire_leave(((process *)both[0])->wire, both[1], NULL);
  return NULL;
}

static void overlap(process *p) {
  jm_launch *first = enter(p, 1), *second = enter(p, 2);
  void *both[] = {p, second};
  pthread_t thread;
  CHECK(!pthread_create(&thread, NULL, run_second, both));
  usleep(1000 * p->rank);
  for (uint32_t i = 0; i < 5; i++) CHECK_OK(step(p, first, i, i));
  jm_wire_leave(p->wire, first, NULL);
  pthread_join(thread, NULL);
}

static void disagree(process *p) {
  run_one(p, 1, 1);
  jm_launch *launch = enter(p, p->rank ? 2 : 3);
  jm_error *error = step(p, launch, 0, 0);
  CHECK(jm_error_code(error) == JM_FAILED_PRECONDITION);
  CHECK(strstr(jm_error_message(error), "process 0 is at launch 2"));
  jm_wire_leave(p->wire, launch, error);
  jm_error_destroy(error);
  run_one(p, 4, 3);
}

/* Process 1 fails before its second step, while the others come to it early or late. */
static void fail_one(process *p) {
  for (int late = 0; late < 2; late++) {
    jm_launch *launch = enter(p, 1);
    CHECK_OK(step(p, launch, 0, 1));
    if (p->rank == 1) {
      jm_error *own = jm_error_internal("its own");
      jm_wire_leave(p->wire, launch, own);
      jm_error_destroy(own);
    } else {
      if (late) usleep(20000);
      jm_error *error = step(p, launch, 1, 1);
      CHECK(jm_error_code(error) == JM_ABORTED || jm_error_code(error) == JM_FAILED_PRECONDITION);
      CHECK(strstr(jm_error_message(error), "process 1"));
      jm_wire_leave(p->wire, launch, error);
      jm_error_destroy(error);
    }
    run_one(p, 2, 2);
  }
}

/* Process 2 stays away; the others end at the time limit, and so do their later launches. */
static void stay_away(process *p) {
  run_one(p, 1, 1);
  if (p->rank == 2) {
    sleep(3);
    pthread_mutex_lock(&p->hub->lock); /* lets go of the threads that were left inside */
    p->hub->is_down = true;
    pthread_cond_broadcast(&p->hub->changed);
    pthread_mutex_unlock(&p->hub->lock);
    return;
  }
  jm_launch *launch = enter(p, 2);
  CHECK_FAILS(step(p, launch, 0, 0), JM_DEADLINE_EXCEEDED, "JAX_MPS_COLLECTIVE_TIMEOUT");
  CHECK_FAILS(step(p, launch, 1, 0), JM_DEADLINE_EXCEEDED, "JAX_MPS_COLLECTIVE_TIMEOUT");
  jm_wire_leave(p->wire, launch, NULL);
  CHECK_FAILS(jm_wire_enter(p->wire, 3, "next", &launch), JM_DEADLINE_EXCEEDED, "still waits");
  sleep(3);
}

static void lose(process *p) {
  run_one(p, 1, 1);
  if (p->rank == 2) {
    usleep(200000);
    pthread_mutex_lock(&p->hub->lock);
    p->hub->is_down = true;
    pthread_cond_broadcast(&p->hub->changed);
    pthread_mutex_unlock(&p->hub->lock);
    return;
  }
  jm_launch *launch = enter(p, 2);
  if (p->rank) jm_wire_lose(p->wire, 2, "has ended");
  CHECK_FAILS(step(p, launch, 0, 0), JM_UNAVAILABLE, p->rank ? "process 2" : "hub");
  jm_wire_leave(p->wire, launch, NULL);
  usleep(400000);
}

static void test_agreement(void) {
  run_all(agree);
  run_all(overlap);
  run_all(meet);
}

static void test_disagreement(void) {
  run_all(disagree);
  run_all(fail_one);
}

static void test_lost(void) {
  CHECK_OK(jm_setting_override(JM_SETTING_COLLECTIVE_TIMEOUT, "1", 1));
  run_all(stay_away);
  run_all(lose);
}

TEST_MAIN(test_agreement, test_disagreement, test_lost)
