/* SPDX-License-Identifier: Apache-2.0
 * Kernels printed as C, CUDA and Metal. Those in C are compiled by the compiler of this test and
 * run against the interpreter, bit for bit: JM_TEST_CC="cc -fsanitize=undefined" takes another one,
 * and JM_TEST_KEEP keeps the text. */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/print/c.h"
#include "unit/printed_cases.h"
#include "unit/test_target.h"

static jm_target target;

/* -- C, compiled */

enum { PARTS = 2 }; /* compilers that run at a time */

static void write_sources(const char *folder) {
  char path[512];
  for (uint32_t part = 0; part < PARTS; part++) {
    jm_text text;
    jm_text_init(&text);
    jm_text_printf(&text, "%s", jm_c_host.prelude);
    for (uint32_t i = part; i < n_cases; i += PARTS) {
      char symbol[16];
      snprintf(symbol, sizeof symbol, "k%u", (unsigned)i);
      CHECK_OK(jm_c_print_function(cases[i], &jm_c_host, symbol, &text));
    }
    CHECK_OK(jm_text_error(&text));
    snprintf(path, sizeof path, "%s/part%u.c", folder, (unsigned)part);
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(text.bytes, 1, text.size, file) == text.size);
    if (file) fclose(file);
    jm_text_deinit(&text);
  }
}

static bool compile_sources(const char *folder) {
  char command[2048];
  const char *own = getenv("JM_TEST_CC"), *cc = own ? own : JM_TEST_CC;
  snprintf(command, sizeof command,
           "cd '%s' && for i in 0 1; do %s -std=c11 -O1 -w -fPIC -ffp-contract=off "
           "-fno-strict-aliasing -fno-math-errno -c part$i.c & done; wait; "
           "%s -shared -o kernels.so part0.o part1.o -lm",
           folder, cc, cc);
  return system(command) == 0;
}

static void run_case(const jm_kernel *k, jm_kernel_fn *fn, int64_t n, bool counted) {
  memory want, have;
  create_memory(k, &want, NULL);
  if (counted)
    memcpy(want.buffers[0], &n, sizeof n);
  else
    tame_memory(k, &want);
  create_memory(k, &have, &want);
  void *scratch = jm_alloc_data(jm_kernel_scratch_bytes(k) + 64);
  memset(scratch, 0x5a, jm_kernel_scratch_bytes(k));
  CHECK_OK(jm_kernel_interpret(k, want.buffers, scratch, 0, k->chunks, NULL));
  memset(scratch, 0xa5, jm_kernel_scratch_bytes(k));
  int64_t half = k->chunks / 2; /* in two parts */
  fn(have.buffers, scratch, half, k->chunks, NULL);
  if (half) fn(have.buffers, scratch, 0, half, NULL);
  CHECK(compare_memory(k, &want, &have, n));
  jm_free(scratch);
  destroy_memory(k, &want);
  destroy_memory(k, &have);
}

static void run_cases(void *library) {
  static const int64_t counts[] = {0, 1, 37, 100};
  for (uint32_t i = 0; i < n_cases && check_failures < 10; i++) {
    char symbol[16];
    snprintf(symbol, sizeof symbol, "k%u", (unsigned)i);
    jm_kernel_fn *fn = NULL;
    *(void **)&fn = dlsym(library, symbol);
    CHECK(fn);
    const bool counted = i < first_program;
    for (size_t c = 0; fn && c < (counted ? sizeof counts / sizeof *counts : 1); c++)
      run_case(cases[i], fn, counts[c], counted);
  }
}

static void test_host(void) {
  char folder[] = "/tmp/jm_c_test_XXXXXX", path[64], command[64];
  const char *keep = getenv("JM_TEST_KEEP");
  CHECK(mkdtemp(folder));
  write_sources(folder);
  CHECK(compile_sources(folder));
  snprintf(path, sizeof path, "%s/kernels.so", folder);
  void *library = dlopen(path, RTLD_NOW);
  if (!library) fprintf(stderr, "%s\n", dlerror());
  CHECK(library);
  if (library) run_cases(library);
  if (library) dlclose(library);
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  if (keep)
    fprintf(stderr, "%s: %u kernels\n", folder, (unsigned)n_cases);
  else
    CHECK(system(command) == 0);
}

/* -- what dialects lack, and bodies */

static void refused(const jm_kernel *k, const jm_c_dialect *dialect, const char *why) {
  jm_text text;
  jm_text_init(&text);
  CHECK_FAILS(jm_c_print_function(k, dialect, "k", &text), JM_UNIMPLEMENTED, why);
  jm_text_deinit(&text);
}

static jm_kernel *finish(jm_kbuilder *b) {
  jm_kernel *k = NULL;
  CHECK_OK(jm_kbuilder_finish(b, &k));
  jm_kbuilder_destroy(b);
  return k;
}

/* n buffers, SCRATCH of some bytes, and a wide product in between. */
static jm_kernel *build_large(uint32_t n, int64_t bytes, bool wide) {
  jm_kbuilder *b = begin_case("large");
  const jm_kval zero = jm_kbuild_index(b, 0);
  const uint32_t kept = jm_kbuild_param(b, JM_SPACE_SCRATCH, JM_KT_i8, bytes, true, 0);
  jm_kbuild_store(b, kept, zero, jm_kbuild_int(b, JM_KT_i8, 1));
  for (uint32_t i = 1; i < n; i++)
    jm_kbuild_store(b, case_param(b, JM_KT_f32, true, 0), zero, jm_kbuild_float(b, JM_KT_f32, i));
  jm_kval x = jm_kbuild_load(b, case_param(b, JM_KT_f32, false, 0), zero);
  if (wide) {
    x = jm_k_fpext(b, JM_KT_f64, x);
    x = jm_k_fptrunc(b, JM_KT_f32, jm_k_fmul(b, x, x));
  }
  jm_kbuild_store(b, case_param(b, JM_KT_f32, true, 0), zero, x);
  return finish(b);
}

static void test_refusals(void) {
  jm_kernel *k = build_large(40, 100, false);
  refused(k, &jm_c_metal, "42 buffers in Metal, which has 31");
  jm_kernel_destroy(k);
  k = build_large(1, 40000, false);
  refused(k, &jm_c_metal, "bytes of shared memory in Metal, which has 32768");
  jm_kernel_destroy(k);
  k = build_large(1, 60000, false);
  refused(k, &jm_c_cuda, "bytes of shared memory in CUDA, which has 49152");
  jm_kernel_destroy(k);
  k = build_large(1, 100, true);
  refused(k, &jm_c_metal, "fpext of f32 to f64 in Metal");
  jm_kernel_destroy(k);
}

/* A body of MLX's kernels: buffers by what is done to them, uniform stores by one lane. */
static void test_body(void) {
  jm_kbuilder *b = begin_case("body");
  const uint32_t x = case_param(b, JM_KT_f32, false, 0), z = case_param(b, JM_KT_f32, true, 0);
  const jm_kval n = case_count(b), zero = jm_kbuild_float(b, JM_KT_f32, 0);
  jm_kloop loop;
  jm_kbuild_loop_begin(b, JM_BIND_THREADS, 8, jm_kbuild_index(b, 0), n, &zero, 1, &loop);
  const jm_kval next = jm_k_fadd(b, loop.carries[0], jm_kbuild_load(b, x, loop.index));
  jm_kbuild_loop_end_combine(b, &loop, &next, combine_sum, NULL);
  jm_kbuild_store(b, z, jm_kbuild_index(b, 3), loop.carries[0]);
  jm_kernel *k = finish(b);
  jm_text text;
  jm_text_init(&text);
  CHECK_OK(jm_c_print_body(k, &jm_c_cuda, &text));
  static const char body[] =
      "const int jm_lane = (int)threadIdx.x;\n"
      "unsigned long long v1 = in0[0];\n"
      "float v2 = 0.0f;\n"
      "for (long long i3 = 0 + jm_lane; i3 < (long long)v1; i3 += 8) {\n"
      "  unsigned long long v3 = (unsigned long long)i3;\n"
      "  float v4 = in1[v3];\n"
      "  float v5 = __fadd_rn(v2, v4);\n"
      "  v2 = v5;\n"
      "}\n"
      "for (int step = 4; step > 0; step /= 2) {\n"
      "  float v6 = jm_shuffle_down(v2, step, 255u);\n"
      "  float v7 = __fadd_rn(v2, v6);\n"
      "  v2 = v7;\n"
      "}\n"
      "v2 = jm_first_lane(v2, 255u);\n"
      "if (jm_lane == 0) out0[3] = v2;\n";
  CHECK(!strcmp(jm_text_bytes(&text), body));
  if (strcmp(jm_text_bytes(&text), body)) fprintf(stderr, "%s", jm_text_bytes(&text));
  CHECK(jm_c_threads(k) == 8 && jm_c_shared_bytes(k) == 0);
  jm_text_deinit(&text);
  jm_kernel_destroy(k);
}

static void begin(void) {
  target = test_target_with("x86-64-v2", 64 << 10);
  add_printed_cases(&target);
}

static void end(void) { destroy_cases(); }

TEST_MAIN(test_refusals, test_body, begin, test_host, end)
