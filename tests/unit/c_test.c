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

static void begin(void) {
  target = test_target_with("x86-64-v2", 64 << 10);
  add_printed_cases(&target);
}

static void end(void) { destroy_cases(); }

TEST_MAIN(begin, test_host, end)
