/* SPDX-License-Identifier: Apache-2.0
 * Compiled kernels against the interpreter, bit for bit (a NaN is a NaN). Needs an LLVM:
 * JAX_MPS_LLVM; without one only its absence is tested. */
#include "engine/host/jit.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/background.h"
#include "base/counters.h"
#include "engine/host/effort.h"
#include "engine/host/machine.h"
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

/* How cases are compiled, and run. */
static const struct {
  jm_effort effort;
  bool streams, aligned;
} ways[] = {{JM_EFFORT_GOOD, false, false},
            {JM_EFFORT_QUICK, false, false},
            {JM_EFFORT_GOOD, true, true},
            {JM_EFFORT_GOOD, true, false}};

static void take_way(size_t i) {
  jm_effort_force(ways[i].effort);
  jm_machine_force_stream_bytes(ways[i].streams); /* all kernels, or none */
  aligns_memory = ways[i].aligned;
}

static void run_cases(void) {
  jm_jit_code **codes = jm_alloc(n_cases, sizeof *codes);
  CHECK(n_cases);
  for (size_t way = 0; way < sizeof ways / sizeof *ways && has_llvm; way++) {
    take_way(way);
    CHECK_OK(jm_jit_compile((const jm_kernel *const *)cases, n_cases, NULL, codes));
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
  take_way(0);
  jm_effort_force(JM_EFFORT_ESTIMATED);
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
  CHECK_OK(jm_jit_compile(kernels, 3, NULL, first));
  CHECK(first[0] && first[0] == first[2] && first[0] != first[1]);
  CHECK_OK(jm_jit_compile(kernels, 4, NULL, second));
  CHECK(second[0] == first[0] && second[1] == first[1] && second[2] == first[0]);
  CHECK(second[3] && second[3] != first[0] && second[3] != first[1]);
  for (int i = 0; i < 3; i++) jm_jit_code_release(first[i]);
  for (int i = 0; i < 4; i++)
    CHECK(agrees(kernels[i], jm_jit_code_function(second[i]), 100)); /* still held */
  for (int i = 0; i < 4; i++) jm_jit_code_release(second[i]);
  jm_jit_code_release(NULL);
  destroy_cases();
}

/* In the operand's memory the result is written by ordinary stores, whatever the alignment. */
static void test_in_place(void) {
  if (!has_llvm) return;
  jm_kbuilder *b = begin_case("in place");
  uint32_t x = case_param(b, JM_KT_f32, false, 1), z = case_param(b, JM_KT_f32, true, 1);
  jm_kloop loop;
  jm_kbuild_loop_begin(b, JM_BIND_VECTOR, 8, jm_kbuild_index(b, 0), case_count(b), NULL, 0, &loop);
  jm_kval v = jm_kbuild_load(b, x, loop.index);
  case_store(b, z, loop.index, jm_kbuild2(b, JM_K_fadd, v, v));
  jm_kbuild_loop_end(b, &loop, NULL);
  add_case(b);
  const jm_kernel *k = cases[0];
  jm_jit_code *code = NULL;
  take_way(2);
  CHECK_OK(jm_jit_compile(&k, 1, NULL, &code));
  memory m;
  create_memory(k, &m, NULL);
  float *data = m.buffers[1];
  m.buffers[2] = data;
  for (int i = 0; i < 32; i++) data[i] = (float)i;
  memcpy(m.buffers[0], &(int64_t){32}, sizeof(int64_t));
  jm_jit_code_function(code)(m.buffers, NULL, 0, 1, NULL);
  for (int i = 0; i < 32; i++) CHECK(data[i] == 2 * (float)i);
  take_way(0);
  jm_effort_force(JM_EFFORT_ESTIMATED);
  jm_jit_code_release(code);
  destroy_memory(k, &m);
  destroy_cases();
}

static void *compile_some(void *context) {
  const jm_kernel *const *kernels = context;
  for (int round = 0; round < 20; round++) {
    jm_jit_code *codes[4] = {0};
    jm_error *error = jm_jit_compile(kernels, 4, NULL, codes);
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
  CHECK_OK(jm_jit_compile(kernels, 1, NULL, codes));
  pid_t child = fork();
  if (!child) {
    bool ok = agrees(kernels[0], jm_jit_code_function(codes[0]), 9);
    jm_error *error = jm_jit_compile(kernels + 1, 1, NULL, codes + 1);
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
    error = jm_jit_compile(kernels, 2, NULL, codes);
    jm_alloc_fail_after(-1);
    if (error) CHECK(jm_error_code(error) == JM_RESOURCE_EXHAUSTED && !codes[0] && !codes[1]);
    jm_error_destroy(error);
  } while (error && n < 1000);
  CHECK(!error && n > 10);
  jm_jit_code_release(codes[0]);
  jm_jit_code_release(codes[1]);
  destroy_cases();
}

/* -- saved code */

/* z[i] = fmod(x[i], y[i]), which calls C. */
static jm_kernel *make_caller(void) {
  jm_kbuilder *b = begin_case("caller");
  uint32_t x = case_param(b, JM_KT_f32, false, 0), y = case_param(b, JM_KT_f32, false, 0),
           z = case_param(b, JM_KT_f32, true, 0);
  jm_kloop loop;
  jm_kbuild_loop_begin(b, JM_BIND_VECTOR, 8, jm_kbuild_index(b, 0), case_count(b), NULL, 0, &loop);
  jm_kval operands[2] = {jm_kbuild_load(b, x, loop.index), jm_kbuild_load(b, y, loop.index)};
  case_store(b, z, loop.index, jm_kbuild_call(b, JM_KCALL_fmod, operands));
  jm_kbuild_loop_end(b, &loop, NULL);
  add_case(b);
  return cases[n_cases - 1];
}

/* Of n kernels, that nobody holds any more: what is loaded was not in the table. */
static void save_kernels(const jm_kernel *const *kernels, uint32_t n, jm_text *out) {
  jm_jit_code *codes[4] = {0};
  jm_text_init(out);
  CHECK_OK(jm_jit_compile(kernels, n, NULL, codes));
  CHECK_OK(jm_jit_save(codes, n, out));
  for (uint32_t i = 0; i < n; i++) jm_jit_code_release(codes[i]);
}

static uint64_t n_compiled(void) { return jm_counter_read(JM_COUNTER_host_kernels_compiled); }
static uint64_t n_loaded(void) { return jm_counter_read(JM_COUNTER_host_kernels_loaded); }

static void test_saving(void) {
  if (!has_llvm) return;
  const jm_kernel *kernels[4] = {make_adder("a", 11), make_caller(), make_adder("b", 11),
                                 make_adder("c", 12)};
  jm_text bytes;
  save_kernels(kernels, 3, &bytes); /* two of which are equal */
  jm_saved_code *saved = NULL;
  CHECK_OK(jm_saved_code_open(bytes.bytes, bytes.size, &saved));
  CHECK(saved);
  uint64_t compiled = n_compiled(), loaded = n_loaded();
  jm_jit_code *codes[4] = {0};
  CHECK_OK(jm_jit_compile(kernels, 3, saved, codes));
  CHECK(n_compiled() == compiled && n_loaded() == loaded + 2);
  CHECK(codes[0] == codes[2] && codes[0] != codes[1]);
  for (int i = 0; i < 3; i++) CHECK(agrees(kernels[i], jm_jit_code_function(codes[i]), 100));
  for (int i = 0; i < 3; i++) jm_jit_code_release(codes[i]);
  CHECK_OK(jm_jit_compile(kernels, 4, saved, codes)); /* the last one is not in it */
  CHECK(n_compiled() == compiled + 1 && n_loaded() == loaded + 4);
  jm_saved_code_close(saved);
  jm_text again;
  jm_text_init(&again);
  CHECK_OK(jm_jit_save(codes, 4, &again)); /* code that was itself loaded, and new code */
  CHECK_OK(jm_saved_code_open(again.bytes, again.size, &saved));
  CHECK(saved && jm_saved_code_images(saved) > 1);
  for (int i = 0; i < 4; i++) CHECK(agrees(kernels[i], jm_jit_code_function(codes[i]), 100));
  for (int i = 0; i < 4; i++) jm_jit_code_release(codes[i]);
  CHECK_OK(jm_jit_compile(kernels, 4, saved, codes));
  CHECK(n_compiled() == compiled + 1);
  jm_saved_code_close(saved);
  jm_text_deinit(&bytes);
  jm_text_deinit(&again);
  for (int i = 0; i < 4; i++) CHECK(agrees(kernels[i], jm_jit_code_function(codes[i]), 100));
  for (int i = 0; i < 4; i++) jm_jit_code_release(codes[i]);
  destroy_cases();
}

/* -- compiling once more */

static uint64_t n_improved(void) { return jm_counter_read(JM_COUNTER_host_kernels_improved); }

/* Launches it as often as it takes. */
static jm_kernel_fn *launch_often(jm_jit_code *code) {
  const uint64_t before = n_improved();
  jm_kernel_fn *function = jm_jit_code_function(code);
  for (int i = 0; i < 1 << 20 && n_improved() == before; i++) {
    function = jm_jit_code_function(code);
    if (i % 1024 == 1023) jm_background_wait();
  }
  CHECK(n_improved() == before + 1);
  return function;
}

static void test_improving(void) {
  if (!has_llvm) return;
  const jm_kernel *kernels[2] = {make_adder("kept", 41), make_adder("dropped", 42)};
  jm_jit_code *codes[2] = {0};
  CHECK_OK(jm_jit_compile(kernels, 2, NULL, codes));
  jm_kernel_fn *quick = jm_jit_code_function(codes[0]);
  (void)launch_often(codes[0]);
  jm_kernel_fn *good = jm_jit_code_function(codes[0]);
  CHECK(good != quick);
  CHECK(agrees(kernels[0], good, 100) &&
        agrees(kernels[0], quick, 100)); /* a thread may be in it */
  const uint64_t before = n_improved();
  bool same = true;
  for (int i = 0; i < 1 << 20; i++) same &= jm_jit_code_function(codes[0]) == good;
  CHECK(same);
  jm_background_wait();
  CHECK(n_improved() == before);
  (void)launch_often(codes[1]);
  for (int i = 0; i < 2; i++) jm_jit_code_release(codes[i]);
  jm_background_wait();
  destroy_cases();
}

/* The job holds the code, and needs nothing of whoever had it compiled. */
static void test_improving_released(void) {
  if (!has_llvm) return;
  for (int round = 0; round < 20; round++) {
    const jm_kernel *kernels[1] = {make_adder("released", 51)};
    jm_jit_code *codes[1] = {0};
    CHECK_OK(jm_jit_compile(kernels, 1, NULL, codes));
    const uint64_t before = n_improved();
    for (int i = 0; i < (1 << 14) + round && n_improved() == before; i++)
      (void)jm_jit_code_function(codes[0]);
    jm_jit_code_release(codes[0]);
    destroy_cases();
  }
  jm_background_wait();
}

/* Code is saved as good code. */
static void test_saving_quick(void) {
  if (!has_llvm) return;
  const jm_kernel *kernels[2] = {make_adder("a", 61), make_adder("b", 61)};
  const uint64_t before = n_improved();
  jm_text bytes;
  save_kernels(kernels, 2, &bytes); /* which are equal */
  CHECK(n_improved() == before + 1);
  jm_saved_code *saved = NULL;
  CHECK_OK(jm_saved_code_open(bytes.bytes, bytes.size, &saved));
  CHECK(saved && jm_saved_code_images(saved) == 1);
  jm_jit_code *codes[1] = {0};
  CHECK_OK(jm_jit_compile(kernels, 1, saved, codes));
  jm_kernel_fn *good = jm_jit_code_function(codes[0]);
  CHECK(agrees(kernels[0], good, 100));
  bool same = true;
  for (int i = 0; i < 1 << 20; i++) same &= jm_jit_code_function(codes[0]) == good;
  CHECK(same);
  jm_background_wait();
  CHECK(n_improved() == before + 1);
  jm_jit_code_release(codes[0]);
  jm_saved_code_close(saved);
  jm_text_deinit(&bytes);
  destroy_cases();
}

/* What a run is estimated to execute decides. */
static void test_effort(void) {
  uint32_t few, many;
  for (int long_loop = 0; long_loop < 2; long_loop++) {
    jm_kbuilder *b = begin_case("effort");
    uint32_t z = case_param(b, JM_KT_i64, true, 0);
    jm_kloop loop;
    jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, jm_kbuild_index(b, 0),
                         jm_kbuild_index(b, long_loop ? INT64_C(1) << 30 : 1000), NULL, 0, &loop);
    case_store(b, z, jm_kbuild_index(b, 0), loop.index);
    jm_kbuild_loop_end(b, &loop, NULL);
    add_case(b);
  }
  CHECK(jm_effort_is_quick(cases[0], &many) && many > 1);
  CHECK(!jm_effort_is_quick(cases[1], &few) && !few);
  jm_effort_force(JM_EFFORT_QUICK);
  CHECK(jm_effort_is_quick(cases[1], &few) && !few);
  jm_effort_force(JM_EFFORT_GOOD);
  CHECK(!jm_effort_is_quick(cases[0], &many) && !many);
  jm_effort_force(JM_EFFORT_ESTIMATED);
  destroy_cases();
}

/* No bit may change unseen, nor may the bytes be cut. */
static void test_damaged_code(void) {
  if (!has_llvm) return;
  const jm_kernel *kernels[1] = {make_adder("a", 21)};
  jm_text bytes;
  save_kernels(kernels, 1, &bytes);
  jm_saved_code *saved = NULL;
  for (size_t i = 0; i < bytes.size; i++) {
    bytes.bytes[i] ^= (char)(1 << i % 8);
    CHECK_FAILS(jm_saved_code_open(bytes.bytes, bytes.size, &saved), JM_INVALID_ARGUMENT,
                "damaged");
    bytes.bytes[i] ^= (char)(1 << i % 8);
  }
  for (size_t n = 0; n < bytes.size; n += 1 + n / 16)
    CHECK_FAILS(jm_saved_code_open(bytes.bytes, n, &saved), JM_INVALID_ARGUMENT, "damaged");
  CHECK(!saved);
  CHECK_OK(jm_saved_code_open(bytes.bytes, bytes.size, &saved));
  CHECK(saved);
  jm_saved_code_close(saved);
  jm_text_deinit(&bytes);
  destroy_cases();
}

/* Sound bytes of another machine or build are none. */
static void test_foreign_code(void) {
  if (!has_llvm) return;
  enum { AT_DIGEST = 8, AT_IDENTITY = AT_DIGEST + JM_SHA256_BYTES };
  const jm_kernel *kernels[1] = {make_adder("a", 31)};
  jm_text bytes;
  save_kernels(kernels, 1, &bytes);
  bytes.bytes[AT_IDENTITY] ^= 1;
  jm_sha256_digest(bytes.bytes + AT_IDENTITY, bytes.size - AT_IDENTITY,
                   (unsigned char *)bytes.bytes + AT_DIGEST);
  jm_saved_code *saved = NULL;
  CHECK_OK(jm_saved_code_open(bytes.bytes, bytes.size, &saved));
  CHECK(!saved);
  jm_text_deinit(&bytes);
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
  CHECK_OK(jm_jit_compile((const jm_kernel *const *)cases, 2, NULL, codes));
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
          test_in_place, test_threads, test_fork, test_without_memory, test_saving, test_effort,
          test_improving, test_improving_released, test_saving_quick, test_damaged_code,
          test_foreign_code, test_cancelling)
