/* SPDX-License-Identifier: Apache-2.0
 * Every schedule and the library, as a plan runs them, over shapes that straddle the edges of
 * vectors, tiles, blocks and chunks, and every element type they take: against the reference
 * engine, fused against unfused, and the same bits for 1, 2 and 4 threads (each number in a process
 * of its own, because the pool is made once), with every chunk handed out by itself. The first
 * process compiles the kernels; the others load its machine code, as a program from JAX's cache
 * does. Needs an LLVM: JAX_MPS_LLVM; without one everything is a step. */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/convert.h"
#include "base/counters.h"
#include "engine/host/engine.h"
#include "engine/host/host.h"
#include "engine/host/library/library.h"
#include "pass/pass.h"
#include "unit/shape_trial.h"

/* -- plans, in a process with some number of threads */

/* What the process with one thread made of all programs, which the others must make, too. */
static char *kept;
static size_t at;
/* The machine code that it compiled: of each program the size, then that many bytes. */
static char *code;
static size_t code_at;
enum { KEPT_BYTES = 1 << 30 };

static bool keeps; /* this is that process */
static int n_groups[N_SHAPE_ROWS], n_split[N_SHAPE_ROWS], n_plans;

static void keep_or_compare(const trial *t, const char *what) {
  for (uint32_t i = 0; i < t->n_out; i++) {
    size_t bytes = jm_type_bytes(t->types_out[i]);
    CHECK(at + bytes <= KEPT_BYTES);
    if (keeps) memcpy(kept + at, t->have[i], bytes);
    bool same = !memcmp(kept + at, t->have[i], bytes);
    CHECK(same);
    if (!same) complain(t, what);
    at += bytes;
  }
}

static void run_plan(trial *t, const jm_module *m, jm_host_program *host, const char *what) {
  jm_plan *plan = NULL;
  for (uint32_t i = 0; i < t->n_out; i++) memset(t->have[i], 0xa5, jm_type_bytes(t->types_out[i]));
  CHECK_OK(jm_plan_build(m, jm_host_engine(), host, &plan));
  jm_engine_value in[MOST_TENSORS], have[MOST_TENSORS];
  for (uint32_t i = 0; i < t->n_in; i++) in[i] = (jm_engine_value){.host = t->in[i]};
  for (uint32_t i = 0; i < t->n_out; i++) have[i] = (jm_engine_value){.host = t->have[i]};
  if (plan) CHECK_OK(jm_host_run(plan, &(jm_engine_run){.inputs = in, .outputs = have}));
  jm_plan_destroy(plan);
  if (keeps) compare(t, what);
  n_plans++;
}

/* Every chunk by itself: as many ranges for the threads as there can be. */
static bool split_groups(const jm_host_program *host) {
  bool split = false;
  for (uint32_t i = 0; i < host->groups->n_groups; i++)
    for (uint32_t l = 0; l < host->groups->groups[i].schedule->n_launches; l++) {
      jm_kernel *kernel = host->groups->groups[i].schedule->launches[l].kernel;
      kernel->grain = 1;
      split |= kernel->chunks >= 4;
    }
  return split;
}

static void check_schedule(const trial *t, const jm_host_program *host) {
  const shape_row *r = t->row;
  int64_t a = t->shape->a, b = t->shape->b;
  bool found = !host->groups->n_groups && !strcmp(r->schedule, "step");
  for (uint32_t i = 0; i < host->groups->n_groups; i++)
    found |= !strcmp(host->groups->groups[i].schedule->name, r->schedule);
  n_groups[r - shape_rows] += found;
  if (found || a < r->least_a || b < r->least_b || a * b < r->least) return;
  CHECK(found);
  complain(t, host->groups->n_groups ? host->groups->groups[0].schedule->name : "no group");
}

static void keep_code(const jm_host_program *host) {
  jm_text text;
  jm_text_init(&text);
  CHECK_OK(jm_host_save(host, &text));
  CHECK_OK(jm_text_error(&text));
  const size_t end = code_at + sizeof text.size + text.size;
  CHECK(end <= KEPT_BYTES);
  if (end <= KEPT_BYTES) {
    memcpy(code + code_at, &text.size, sizeof text.size);
    memcpy(code + code_at + sizeof text.size, jm_text_bytes(&text), text.size);
    code_at = end;
  }
  jm_text_deinit(&text);
}

/* The next program's code; NULL: it has no kernels. */
static jm_saved_code *open_code(void) {
  size_t size;
  jm_saved_code *saved = NULL;
  memcpy(&size, code + code_at, sizeof size);
  const char *bytes = code + code_at + sizeof size;
  code_at += sizeof size + size;
  if (!size) return NULL;
  CHECK_OK(jm_saved_code_open(bytes, size, &saved));
  CHECK(saved);
  return saved;
}

static void run_fused(trial *t, uint32_t vector_bytes, const char *what) {
  const char *why;
  jm_target target = *jm_jit_find_target(&why);
  jm_host_program *host = NULL;
  jm_saved_code *saved = keeps ? NULL : open_code();
  jm_module *m = read_program(t->row, t->dtype, t->shape);
  if (!m) return;
  if (vector_bytes) target.vector_bytes = vector_bytes;
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = &target}));
  CHECK_OK(jm_module_verify(m));
  CHECK_OK(jm_host_compile(m, &target, saved, &host));
  jm_saved_code_close(saved);
  if (host) {
    if (keeps && !vector_bytes) keep_code(host);
    check_schedule(t, host);
    n_split[t->row - shape_rows] += split_groups(host);
    run_plan(t, m, host, what);
  }
  jm_host_program_destroy(host);
  jm_module_destroy(m);
}

static void run_trial(const shape_row *row, jm_dtype dtype, const shape *s, uint64_t number) {
  const char *why;
  trial it = {.row = row, .dtype = dtype, .shape = s, .seed = number}, *t = &it;
  jm_module *m = read_program(row, dtype, s);
  if (!m) return;
  const jm_region *entry = jm_module_region(m, m->entry);
  for (uint32_t i = 0; i < entry->n_ops; i++)
    CHECK_OK(jm_library_check(m, jm_module_op(m, entry->ops[i])));
  begin_trial(t, m);
  if (keeps) evaluate(t, m);
  jm_host_program *host = NULL;
  CHECK_OK(jm_host_compile(m, NULL, NULL, &host));
  if (host) run_plan(t, m, host, "unfused");
  jm_host_program_destroy(host);
  keep_or_compare(t, "unfused, the number of threads shows");
  if (jm_jit_find_target(&why)) {
    run_fused(t, 0, "fused");
    keep_or_compare(t, "fused, the number of threads shows");
    if (keeps && is_usual(t->dtype) && t->dtype != JM_DT_bf16) {
      run_fused(t, 16, "fused, vectors of 16 bytes");
      run_fused(t, 32, "fused, vectors of 32 bytes");
    }
  }
  end_trial(t);
  jm_module_destroy(m);
}

/* Schedules were met as often as the table promises, and what can be split was. */
static void check_counts(void) {
  const char *why;
  CHECK(keeps || !jm_counter_read(JM_COUNTER_host_kernels_compiled));
  if (!jm_jit_find_target(&why) || getenv("JM_TEST_SHAPES")) return;
  for (int r = 0; r < N_SHAPE_ROWS; r++) {
    bool step = !strcmp(shape_rows[r].schedule, "step"),
         loop = !strcmp(shape_rows[r].schedule, "loop");
    CHECK(n_groups[r] >= 10);
    CHECK(step || loop || n_split[r] >= 3);
    if (!keeps) continue;
    printf("%-20s %-10s %4d times, split %4d\n", shape_rows[r].name, shape_rows[r].schedule,
           n_groups[r], n_split[r]);
  }
}

static void run_with(const char *threads) {
  fflush(stdout);
  pid_t child = fork();
  CHECK(child >= 0);
  if (!child) {
    setenv("JAX_MPS_NUM_THREADS", threads, 1);
    check_count = check_failures = 0;
    keeps = atoi(threads) == 1;
    each_program(run_trial);
    check_counts();
    printf("%s threads: %d plans, %zu bytes of results, %d checks, %d failed\n", threads, n_plans,
           at, check_count, check_failures);
    fflush(stdout);
    _exit(check_failures || !check_count);
  }
  int status = 1;
  CHECK(waitpid(child, &status, 0) == child && !status);
}

static char *share_memory(void) {
  void *shared = mmap(NULL, KEPT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(shared != MAP_FAILED);
  return shared == MAP_FAILED ? NULL : shared;
}

static void test_threads(void) {
  kept = share_memory();
  code = share_memory();
  if (!kept || !code) return;
  run_with("1");
  if (!getenv("JM_EMULATED")) { /* qemu 7.2 cannot start threads in a child */
    run_with("2");
    run_with("4");
  }
  munmap(kept, KEPT_BYTES);
  munmap(code, KEPT_BYTES);
}

TEST_MAIN(test_threads)
