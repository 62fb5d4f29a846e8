/* SPDX-License-Identifier: Apache-2.0
 * Every schedule and the library, as a plan runs them, over shapes that straddle the edges of
 * vectors, tiles, blocks and chunks, and every element type they take: against the reference
 * engine, fused against unfused, and the same bits for 1, 2 and 4 threads (each number in a process
 * of its own, because the pool is made once), with every chunk handed out by itself. Kernels are
 * compiled for machines that need not be at hand, too. Needs an LLVM: JAX_MPS_LLVM; without one
 * everything is a step. */
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/host/engine.h"
#include "engine/host/host.h"
#include "engine/host/llvm_library.h"
#include "pass/pass.h"
#include "unit/kernel_object.h"
#include "unit/shape_cases.h"

enum { MOST_TENSORS = 8 };

/* -- one program */

typedef struct trial {
  const shape_row *row;
  jm_dtype dtype;
  const shape *shape;
  uint64_t seed;
  uint32_t n_in, n_out;
  const jm_type *types_in[MOST_TENSORS], *types_out[MOST_TENSORS];
  void *in[MOST_TENSORS], *want[MOST_TENSORS], *have[MOST_TENSORS];
} trial;

static void complain(const trial *t, const char *what) {
  fprintf(stderr, "%s, %s, a %d, b %d: %s\n", t->row->name, jm_dtype_name(t->dtype), t->shape->a,
          t->shape->b, what);
}

static double next_number(uint64_t *seed) { /* splitmix64 (Steele, Lea, Flood 2014): [0, 1) */
  uint64_t z = *seed += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

static void fill(trial *t, const jm_type *type, void *data) {
  jm_dtype real = jm_dtype_real(type->dtype);
  size_t n = jm_type_bytes(type) / jm_dtype_bytes(real);
  double *numbers = jm_alloc(n + 1, sizeof *numbers);
  for (size_t i = 0; i < n; i++) {
    double x = next_number(&t->seed);
    numbers[i] = jm_dtype_is_float(real) ? x * 4 - 2
                 : real == JM_DT_pred    ? x > 0.5
                                         : floor(x * 23) - 3;
  }
  CHECK_OK(jm_convert_run(JM_DT_f64, real, numbers, data, n));
  jm_free(numbers);
}

static void begin_trial(trial *t, const jm_module *m) {
  const jm_region *entry = jm_module_region(m, m->entry);
  t->n_in = entry->n_args;
  t->n_out = entry->n_results;
  CHECK(t->n_in <= MOST_TENSORS && t->n_out <= MOST_TENSORS);
  for (uint32_t i = 0; i < t->n_in; i++) {
    t->types_in[i] = jm_module_typeof(m, entry->first_arg + i);
    t->in[i] = jm_alloc_data(jm_type_bytes(t->types_in[i]) + 1);
    fill(t, t->types_in[i], t->in[i]);
  }
  for (uint32_t i = 0; i < t->n_out; i++) {
    t->types_out[i] = jm_module_typeof(m, entry->results[i]);
    t->want[i] = jm_alloc_data(jm_type_bytes(t->types_out[i]) + 1);
    t->have[i] = jm_alloc_data(jm_type_bytes(t->types_out[i]) + 1);
  }
}

static void end_trial(trial *t) {
  for (uint32_t i = 0; i < t->n_in; i++) jm_free(t->in[i]);
  for (uint32_t i = 0; i < t->n_out; i++) {
    jm_free(t->want[i]);
    jm_free(t->have[i]);
  }
}

static void evaluate(trial *t, const jm_module *m) {
  jm_tensor in[MOST_TENSORS], out[MOST_TENSORS];
  for (uint32_t i = 0; i < t->n_in; i++) in[i] = (jm_tensor){t->types_in[i], t->in[i]};
  for (uint32_t i = 0; i < t->n_out; i++) out[i] = (jm_tensor){t->types_out[i], t->want[i]};
  CHECK_OK(jm_ref_evaluate(m, m->entry, in, out, NULL));
}

static double tolerance(jm_dtype real) {
  return real == JM_DT_f64 ? 1e-12 : real == JM_DT_f32 ? 2e-5 : real == JM_DT_f16 ? 4e-3 : 3e-2;
}

/* A NaN is a NaN. Sums were added in another order: what is near 0 may have lost digits. */
static bool is_close(jm_dtype real, bool exact, const void *x, const void *y) {
  double a, b;
  if (!memcmp(x, y, jm_dtype_bytes(real))) return true;
  if (!jm_dtype_is_float(real)) return false;
  CHECK_OK(jm_convert_run(real, JM_DT_f64, x, &a, 1));
  CHECK_OK(jm_convert_run(real, JM_DT_f64, y, &b, 1));
  if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
  return !exact && (a == b || fabs(a - b) <= tolerance(real) * (fabs(a) + fabs(b) + 10));
}

static void compare(const trial *t, const char *what) {
  for (uint32_t i = 0; i < t->n_out; i++) {
    jm_dtype real = jm_dtype_real(t->types_out[i]->dtype);
    size_t bytes = jm_dtype_bytes(real), n = jm_type_bytes(t->types_out[i]) / bytes, wrong = 0;
    const char *x = t->want[i], *y = t->have[i];
    for (size_t k = 0; k < n; k++)
      wrong += !is_close(real, t->row->exact, x + k * bytes, y + k * bytes);
    CHECK(!wrong);
    if (wrong) complain(t, what);
  }
}

/* -- plans, in a process with some number of threads */

/* What the process with one thread made of all programs, which the others must make, too. */
static char *kept;
static size_t at;
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

static void run_fused(trial *t, uint32_t vector_bytes, const char *what) {
  const char *why;
  jm_target target = *jm_jit_find_target(&why);
  jm_host_program *host = NULL;
  jm_module *m = read_program(t->row, t->dtype, t->shape);
  if (!m) return;
  if (vector_bytes) target.vector_bytes = vector_bytes;
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = &target}));
  CHECK_OK(jm_module_verify(m));
  CHECK_OK(jm_host_compile(m, &target, &host));
  if (host) {
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
    CHECK_OK(jm_ref_check(m, jm_module_op(m, entry->ops[i])));
  begin_trial(t, m);
  if (keeps) evaluate(t, m);
  run_plan(t, m, NULL, "unfused");
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

static void test_threads(void) {
  kept = mmap(NULL, KEPT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(kept != MAP_FAILED);
  if (kept == MAP_FAILED) return;
  run_with("1");
  run_with("2");
  run_with("4");
  munmap(kept, KEPT_BYTES);
}

/* -- for machines that need not be at hand */

static jm_llvm_module *batch;
static const kernel_machine *machine; /* and the next one: the same, quickly */
static uint32_t n_batch, n_kernels;

static void flush_batch(void) {
  const char *text = "";
  if (n_batch) {
    CHECK_OK(jm_llvm_module_finish(batch, &text));
    kernel_object_check(text, &machine[n_kernels / 64 % 2]);
  }
  jm_llvm_module_destroy(batch);
  batch = NULL;
  n_batch = 0;
}

static void add_kernel(const jm_kernel *kernel) {
  char symbol[16];
  if (!batch) CHECK_OK(jm_llvm_module_create(&machine->target, &batch));
  snprintf(symbol, sizeof symbol, "k%u", (unsigned)n_batch++);
  CHECK_OK(jm_llvm_module_add(batch, kernel, symbol));
  n_kernels++;
  if (n_batch == 64) flush_batch();
}

static void schedule_program(const shape_row *row, jm_dtype dtype, const shape *s,
                             uint64_t number) {
  (void)number;
  jm_module *m = read_program(row, dtype, s);
  if (!m) return;
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = &machine->target}));
  for (jm_op_id id = 0; id < m->n_ops; id++) {
    const jm_op *op = jm_module_op(m, id);
    jm_schedule *schedule = NULL;
    if (op->code != JM_OP_fusion) continue;
    CHECK_OK(jm_schedule_build(m, op, &machine->target, &schedule));
    for (uint32_t l = 0; schedule && l < schedule->n_launches; l++)
      add_kernel(schedule->launches[l].kernel);
    jm_schedule_destroy(schedule);
  }
  jm_module_destroy(m);
}

static void test_machines(void) {
  const char *why;
  if (!jm_llvm_library_load(&why)) return;
  kernel_machines_find();
  for (size_t i = 0; i < N_KERNEL_MACHINES; i += 2) {
    machine = &kernel_machines[i];
    n_kernels = 0;
    each_program(schedule_program);
    flush_batch();
    printf("%s: %u kernels\n", machine->machine.cpu, (unsigned)n_kernels);
    CHECK(n_kernels > 1000 || getenv("JM_TEST_SHAPES"));
  }
}

TEST_MAIN(test_threads, test_machines)
