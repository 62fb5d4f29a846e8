/* SPDX-License-Identifier: Apache-2.0 */
#include "base/background.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/check.h"

enum { N_JOBS = 50 };

typedef struct numbered {
  jm_background_job job; /* first */
  int more;              /* jobs that it adds itself */
} numbered;

static numbered jobs[N_JOBS];
static atomic_int n_done;

static void run(jm_background_job *job) {
  numbered *n = (numbered *)job;
  usleep(100);
  atomic_fetch_add(&n_done, 1);
  if (n->more-- > 0 && !jm_background_add(job)) abort();
}

static void add_jobs(int more) {
  atomic_store(&n_done, 0);
  for (int i = 0; i < N_JOBS; i++) {
    jobs[i] = (numbered){.job = {.run = run}, .more = more};
    CHECK(jm_background_add(&jobs[i].job));
  }
}

static void test_all_run(void) {
  jm_background_wait();
  for (int round = 0; round < 3; round++) {
    add_jobs(round);
    jm_background_wait();
    CHECK(atomic_load(&n_done) == N_JOBS * (1 + round));
  }
}

static bool ended_well(pid_t child) {
  int status = 1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* No job is lost or done twice in either process. */
static void test_fork(void) {
  if (getenv("JM_EMULATED")) return; /* qemu 7.2 cannot start threads in a child */
  for (int round = 0; round < 20; round++) {
    add_jobs(0);
    usleep((useconds_t)(round * 100));
    pid_t child = fork();
    if (!child) {
      numbered last = {.job = {.run = run}}; /* starts a thread for those before */
      bool added = jm_background_add(&last.job);
      jm_background_wait();
      _exit(added && atomic_load(&n_done) == N_JOBS + 1 ? 0 : 1);
    }
    jm_background_wait();
    CHECK(atomic_load(&n_done) == N_JOBS);
    CHECK(ended_well(child));
  }
}

static atomic_bool inside;

static void run_slowly(jm_background_job *job) {
  (void)job;
  atomic_store(&inside, true);
  usleep(20000);
  atomic_store(&inside, false);
}

/* Called behind the queue's own handler, which was registered later. */
static void look_inside(void) {
  if (atomic_load(&inside)) _exit(2);
}

/* exit() waits for the job that has begun, and drops the others. */
static void test_exit(void) {
  if (getenv("JM_EMULATED")) return; /* as above */
  jm_background_wait();
  pid_t child = fork();
  if (!child) {
    static jm_background_job slow[100];
    for (int i = 0; i < 100; i++) {
      slow[i].run = run_slowly;
      if (!jm_background_add(&slow[i])) _exit(3);
    }
    while (!atomic_load(&inside)) usleep(100);
    exit(0);
  }
  CHECK(ended_well(child));
}

static void watch_exit(void) { CHECK(!atexit(look_inside)); }

TEST_MAIN(watch_exit, test_all_run, test_fork, test_exit)
