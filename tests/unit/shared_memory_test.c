/* SPDX-License-Identifier: Apache-2.0
 * Rounds between processes over a file that they map: sizes below and above a piece, many rounds, a
 * process that ends, one that is told to stop, files that are not the job's. */
#include "runtime/shared_memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "unit/check.h"

enum { N = 3, LARGE = 600000, ROUNDS = 3000 };

static unsigned char value_of(uint32_t rank, size_t i, int round) {
  return (unsigned char)(31 * rank + 7 * i + (size_t)round);
}

/* Whether a round of n bytes brings what each process has. */
static bool round_works(jm_transport *t, size_t n, int round) {
  unsigned char *mine = malloc(n), *all = malloc(N * n);
  bool works = mine && all;
  for (size_t i = 0; works && i < n; i++) mine[i] = value_of(t->rank, i, round);
  jm_error *error = works ? t->gather(t, mine, n, all) : NULL;
  works &= !error;
  jm_error_destroy(error);
  for (uint32_t k = 0; works && k < N; k++)
    for (size_t i = 0; works && i < n; i++) works = all[k * n + i] == value_of(k, i, round);
  free(mine);
  free(all);
  return works;
}

static jm_code fails_with(jm_transport *t, const char *text) {
  char all[N], mine = 1;
  jm_error *error = t->gather(t, &mine, 1, all);
  const jm_code code =
      error && strstr(jm_error_message(error), text) ? jm_error_code(error) : JM_OK;
  jm_error_destroy(error);
  return code;
}

/* One process of the job; its exit status is the number of the step that went wrong. */
static int run(const char *name, uint32_t self) {
  jm_transport *t = NULL;
  atomic_bool stopped;
  atomic_init(&stopped, false);
  if (jm_shared_memory_open(name, self, N, &stopped, &t)) return 1;
  static const size_t sizes[] = {1, 100, LARGE, 262144, 262145, 0, 17};
  for (int i = 0; i < 7; i++)
    if (!round_works(t, sizes[i], i)) return 2;
  for (int i = 0; i < ROUNDS; i++)
    if (!round_works(t, 8, i)) return 3;
  if (self == 1) _exit(0); /* without a word */
  if (self == 2) {         /* while the others sleep */
    nanosleep(&(struct timespec){0, 60000000}, NULL);
    if (fails_with(t, "process 1") != JM_UNAVAILABLE) return 4;
  } else {
    if (fails_with(t, "process 1") != JM_UNAVAILABLE) return 5;
    atomic_store(&stopped, true);
    if (fails_with(t, "closed") != JM_CANCELLED) return 6;
  }
  t->destroy(t);
  return 0;
}

static void test_job(void) {
  char name[JM_SHARED_NAME];
  pid_t children[N];
  CHECK_OK(jm_shared_memory_create(N, name));
  for (uint32_t i = 0; i < N; i++)
    if (!(children[i] = fork())) _exit(run(name, i));
  for (uint32_t i = 0; i < N; i++) {
    int status = -1;
    CHECK(children[i] > 0 && waitpid(children[i], &status, 0) == children[i]);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  jm_shared_memory_remove(name);
}

static void test_other_files(void) {
  char name[JM_SHARED_NAME], changed[JM_SHARED_NAME];
  jm_transport *t = NULL;
  CHECK_OK(jm_shared_memory_create(2, name));
  memcpy(changed, name, sizeof name);
  changed[0] = changed[0] == '0' ? '1' : '0';
  CHECK_FAILS(jm_shared_memory_open(changed, 0, 2, NULL, &t), JM_UNAVAILABLE, "another file");
  CHECK_FAILS(jm_shared_memory_open(name, 0, 3, NULL, &t), JM_UNAVAILABLE, "another file");
  CHECK_FAILS(jm_shared_memory_open("none", 0, 2, NULL, &t), JM_UNAVAILABLE, "can't be opened");
  FILE *file = fopen(strchr(name, ' ') + 1, "r+b"); /* as if it came from another host */
  CHECK(file && !fseek(file, 32, SEEK_SET) && fputc('?', file) == '?' && !fclose(file));
  CHECK_FAILS(jm_shared_memory_open(name, 0, 2, NULL, &t), JM_UNAVAILABLE, "another file");
  jm_shared_memory_remove(name);
  CHECK_FAILS(jm_shared_memory_open(name, 0, 2, NULL, &t), JM_UNAVAILABLE, "can't be opened");
}

TEST_MAIN(test_job, test_other_files)
