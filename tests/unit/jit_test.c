/* SPDX-License-Identifier: Apache-2.0
 * Compiled kernels against the interpreter, bit for bit (a NaN is a NaN). Needs an LLVM:
 * JAX_MPS_LLVM; without one only its absence is tested. */
#include "engine/host/jit.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/kernel_memory.h"

static bool has_llvm;

/* Runs both; the first element of parameter 0 is n. */
static bool agrees(const jm_kernel *k, jm_kernel_fn *fn, int64_t n) {
  memory want, have;
  create_memory(k, &want, NULL);
  memcpy(want.buffers[0], &n, sizeof n);
  create_memory(k, &have, &want);
  void *scratch = jm_alloc_data(jm_kernel_scratch_bytes(k) + 64);
  CHECK_OK(jm_kernel_interpret(k, want.buffers, scratch, 0, k->chunks, NULL));
  int64_t half = k->chunks / 2;
  if (half) fn(have.buffers, scratch, 0, half, NULL);
  fn(have.buffers, scratch, half, k->chunks, NULL);
  bool same = compare_memory(k, &want, &have, n);
  jm_free(scratch);
  destroy_memory(k, &want);
  destroy_memory(k, &have);
  return same;
}

static uint32_t widest(const jm_kernel *k) {
  uint32_t width = 1;
  for (uint32_t i = 0; i < k->n_insts; i++)
    if (k->insts[i].code == JM_K_loop && k->insts[i].width > width) width = k->insts[i].width;
  return width;
}

static void run_cases(void) {
  jm_jit_code **codes = jm_alloc(n_cases, sizeof *codes);
  CHECK(n_cases);
  for (int quick = 0; quick < 2 && has_llvm; quick++) {
    jm_jit_limit_quick(quick ? INT64_MAX : 0);
    CHECK_OK(jm_jit_compile((const jm_kernel *const *)cases, n_cases, codes));
    for (uint32_t i = 0; i < n_cases && codes[i]; i++) {
      uint32_t w = widest(cases[i]);
      const int64_t sizes[] = {0, 1, w - 1, w, w + 1, 3 * w + 2};
      bool same = true;
      for (size_t j = 0; j < sizeof sizes / sizeof *sizes && same; j++)
        same = agrees(cases[i], jm_jit_code_function(codes[i]), sizes[j]);
      CHECK(same);
    }
    for (uint32_t i = 0; i < n_cases; i++) jm_jit_code_release(codes[i]);
  }
  jm_free(codes);
  destroy_cases();
}

static void find_llvm(void) {
  const char *why;
  has_llvm = jm_jit_find_target(&why);
  printf("%s\n", has_llvm ? jm_jit_version() : why);
  CHECK(has_llvm == !*why);
  CHECK(has_llvm == (*jm_jit_version() != 0));
  const char *wish = getenv("JAX_MPS_LLVM");
  if (wish && strcmp(wish, "none")) CHECK(has_llvm);
}

static void test_instructions(void) {
  add_inst_cases(JM_BIND_SERIAL, 0);
  run_cases();
  add_inst_cases(JM_BIND_VECTOR, 4);
  run_cases();
  add_inst_cases(JM_BIND_VECTOR, 16);
  run_cases();
}

static void test_memory(void) {
  add_memory_cases();
  run_cases();
}

static void test_loops(void) {
  add_loop_cases();
  run_cases();
}

static void test_random(void) {
  const char *wish = getenv("JM_RANDOM_KERNELS"); /* more, for a long run */
  long n = wish ? atol(wish) : 150;
  while (n > 0) {
    for (int i = 0; i < 50 && n > 0; i++, n--) add_random_case();
    run_cases();
  }
}

/* -- the table of compiled kernels */

/* z[i] = x[i] + number */
static jm_kernel *make_adder(const char *name, double number) {
  jm_kbuilder *b = begin_case(name);
  uint32_t x = case_param(b, JM_KT_f32, false, 0), z = case_param(b, JM_KT_f32, true, 0);
  jm_kloop loop;
  jm_kbuild_loop_begin(b, JM_BIND_VECTOR, 8, jm_kbuild_index(b, 0), case_count(b), NULL, 0, &loop);
  jm_kval v = jm_kbuild_load(b, x, loop.index);
  case_store(b, z, loop.index, jm_kbuild2(b, JM_K_fadd, v, jm_kbuild_float(b, JM_KT_f32, number)));
  jm_kbuild_loop_end(b, &loop, NULL);
  add_case(b);
  return cases[n_cases - 1];
}

static void test_sharing(void) {
  if (!has_llvm) return;
  const jm_kernel *kernels[4] = {make_adder("a", 1), make_adder("b", 2), make_adder("c", 1),
                                 make_adder("d", 3)};
  jm_jit_code *first[4] = {0}, *second[4] = {0};
  CHECK_OK(jm_jit_compile(kernels, 3, first));
  CHECK(first[0] && first[0] == first[2] && first[0] != first[1]);
  CHECK_OK(jm_jit_compile(kernels, 4, second));
  CHECK(second[0] == first[0] && second[1] == first[1] && second[2] == first[0]);
  CHECK(second[3] && second[3] != first[0] && second[3] != first[1]);
  for (int i = 0; i < 3; i++) jm_jit_code_release(first[i]);
  for (int i = 0; i < 4; i++)
    CHECK(agrees(kernels[i], jm_jit_code_function(second[i]), 100)); /* still held */
  for (int i = 0; i < 4; i++) jm_jit_code_release(second[i]);
  jm_jit_code_release(NULL);
  destroy_cases();
}

static void *compile_some(void *context) {
  const jm_kernel *const *kernels = context;
  for (int round = 0; round < 20; round++) {
    jm_jit_code *codes[4] = {0};
    jm_error *error = jm_jit_compile(kernels, 4, codes);
    if (error) return error;
    for (int i = 0; i < 4; i++) jm_jit_code_release(codes[i]);
  }
  return NULL;
}

static void test_threads(void) {
  if (!has_llvm) return;
  const jm_kernel *kernels[4];
  for (int i = 0; i < 4; i++) kernels[i] = make_adder("thread", i);
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) CHECK(!pthread_create(&threads[i], NULL, compile_some, kernels));
  for (int i = 0; i < 3; i++) {
    void *error;
    CHECK(!pthread_join(threads[i], &error) && !error);
  }
  destroy_cases();
}

/* The child has the table and can add to it. */
static void test_fork(void) {
  if (!has_llvm) return;
  const jm_kernel *kernels[2] = {make_adder("parent", 5), make_adder("child", 6)};
  jm_jit_code *codes[2] = {0};
  CHECK_OK(jm_jit_compile(kernels, 1, codes));
  pid_t child = fork();
  if (!child) {
    bool ok = agrees(kernels[0], jm_jit_code_function(codes[0]), 9);
    jm_error *error = jm_jit_compile(kernels + 1, 1, codes + 1);
    ok = ok && !error && agrees(kernels[1], jm_jit_code_function(codes[1]), 9);
    _exit(ok ? 0 : 1);
  }
  int status = 1;
  CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
  jm_jit_code_release(codes[0]);
  destroy_cases();
}

static void test_without_memory(void) {
  if (!has_llvm) return;
  const jm_kernel *kernels[2] = {make_adder("memory", 7), make_adder("memory", 8)};
  jm_jit_code *codes[2];
  jm_error *error;
  int64_t n = 0;
  do {
    jm_alloc_fail_after(n++);
    error = jm_jit_compile(kernels, 2, codes);
    jm_alloc_fail_after(-1);
    if (error) CHECK(jm_error_code(error) == JM_RESOURCE_EXHAUSTED && !codes[0] && !codes[1]);
    jm_error_destroy(error);
  } while (error && n < 1000);
  CHECK(!error && n > 10);
  jm_jit_code_release(codes[0]);
  jm_jit_code_release(codes[1]);
  destroy_cases();
}

/* Loops that would run on look at the flag. */
static void test_cancelling(void) {
  if (!has_llvm) return;
  jm_kbuilder *b = begin_case("endless");
  uint32_t z = case_param(b, JM_KT_i64, true, 0);
  jm_kloop outer;
  jm_kval zero = jm_kbuild_index(b, 0), one = jm_kbuild_index(b, 1), carries[1], results[1];
  jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, zero, jm_kbuild_index(b, INT64_MAX), NULL, 0, &outer);
  jm_kinst loop = jm_kbuild_while_begin(b, &one, 1, carries);
  jm_kbuild_while_body(b, loop, jm_kbuild2(b, JM_K_ine, carries[0], zero), carries);
  jm_kval next = jm_kbuild2(b, JM_K_or, carries[0], outer.index);
  jm_kbuild_while_end(b, loop, &next, results);
  case_store(b, z, zero, results[0]);
  jm_kbuild_loop_end(b, &outer, NULL);
  add_case(b);
  b = begin_case("long");
  z = case_param(b, JM_KT_i64, true, 0);
  jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, zero = jm_kbuild_index(b, 0),
                       jm_kbuild_index(b, INT64_MAX), NULL, 0, &outer);
  case_store(b, z, zero, outer.index);
  jm_kbuild_loop_end(b, &outer, NULL);
  add_case(b);
  jm_jit_code *codes[2] = {0};
  CHECK_OK(jm_jit_compile((const jm_kernel *const *)cases, 2, codes));
  for (int i = 0; i < 2 && codes[i]; i++) {
    memory m;
    create_memory(cases[i], &m, NULL);
    atomic_bool cancelled = true;
    jm_jit_code_function(codes[i])(m.buffers, NULL, 0, 1, &cancelled); /* must come back */
    CHECK(codes[i]);
    destroy_memory(cases[i], &m);
    jm_jit_code_release(codes[i]);
  }
  destroy_cases();
}

TEST_MAIN(find_llvm, test_instructions, test_memory, test_loops, test_random, test_sharing,
          test_threads, test_fork, test_without_memory, test_cancelling)
