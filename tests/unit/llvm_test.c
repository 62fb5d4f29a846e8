/* SPDX-License-Identifier: Apache-2.0
 * Kernels' LLVM text, compiled for machines that need not be at hand: LLVM takes it, and the object
 * needs nothing from outside but the table of C functions. Needs an LLVM: JAX_MPS_LLVM; without one
 * the text alone is made. */
#include "engine/host/llvm_library.h"
#include "unit/kernel_cases.h"
#include "unit/kernel_object.h"
#include "unit/threads_cases.h"

static bool has_llvm;

static void find_llvm(void) {
  kernel_machines_find();
  const char *why;
  has_llvm = jm_llvm_library_load(&why);
  printf("%s\n", has_llvm ? jm_llvm_library_version() : why);
  const char *wish = getenv("JAX_MPS_LLVM");
  if (wish && strcmp(wish, "none")) CHECK(has_llvm);
}

/* One module with every case. */
static void emit_for(const kernel_machine *m) {
  jm_llvm_module *module = NULL;
  const char *text = "";
  CHECK_OK(jm_llvm_module_create(&m->target, &module));
  for (uint32_t i = 0; i < n_cases; i++) {
    char symbol[16];
    snprintf(symbol, sizeof symbol, "k%u", (unsigned)i);
    CHECK_OK(jm_llvm_module_add(module, cases[i], symbol));
  }
  CHECK_OK(jm_llvm_module_finish(module, &text));
  CHECK(strlen(text) > 100);
  if (has_llvm) kernel_object_check(text, m);
  jm_llvm_module_destroy(module);
}

static void emit_cases(void) {
  CHECK(n_cases);
  for (int i = 0; i < N_KERNEL_MACHINES; i++) emit_for(&kernel_machines[i]);
  destroy_cases();
}

static void test_instructions(void) {
  add_inst_cases(JM_BIND_SERIAL, 0);
  emit_cases();
  add_inst_cases(JM_BIND_VECTOR, 16);
  emit_cases();
}

static void test_memory(void) {
  add_memory_cases();
  emit_cases();
}

static void test_loops(void) {
  add_loop_cases();
  emit_cases();
}

static void test_threads(void) {
  static const uint32_t widths[] = {1, 4, 32, 256};
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) add_threads_cases(widths[i]);
  emit_cases();
}

static void test_random(void) {
  for (int i = 0; i < 40; i++) add_random_case();
  emit_cases();
}

TEST_MAIN(find_llvm, test_instructions, test_memory, test_loops, test_threads, test_random)
