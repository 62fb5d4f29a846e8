/* SPDX-License-Identifier: Apache-2.0
 * Kernels' LLVM text, compiled for machines that need not be at hand: LLVM takes it, and the object
 * needs nothing from outside, because a symbol that is missing when code is loaded ends the
 * process. Needs an LLVM: JAX_MPS_LLVM; without one the text alone is made. */
#include "engine/host/llvm_library.h"
#include "unit/kernel_cases.h"

static bool has_llvm;

static const struct {
  jm_llvm_machine machine;
  jm_target target;
} machines[] = {
    {{"x86_64-unknown-linux-gnu", "x86-64-v2", "", false, false}, {.vector_bytes = 16}},
    {{"x86_64-unknown-linux-gnu", "x86-64-v2", "", false, true}, {.vector_bytes = 16}},
    {{"x86_64-unknown-linux-gnu", "x86-64-v3", "", false, true}, {.vector_bytes = 32, .fma = true}},
    {{"x86_64-unknown-linux-gnu", "x86-64-v3", "", false, false},
     {.vector_bytes = 32, .fma = true}},
    {{"x86_64-unknown-linux-gnu", "x86-64-v4", "", false, false},
     {.vector_bytes = 64, .fma = true}},
    {{"x86_64-unknown-linux-gnu", "x86-64-v4", "", false, true}, {.vector_bytes = 32, .fma = true}},
    {{"aarch64-unknown-linux-gnu", "generic", "", false, false}, {.vector_bytes = 16, .fma = true}},
    {{"aarch64-unknown-linux-gnu", "generic", "", false, true}, {.vector_bytes = 16, .fma = true}},
};

static void find_llvm(void) {
  const char *why;
  has_llvm = jm_llvm_library_load(&why);
  printf("%s\n", has_llvm ? jm_llvm_library_version() : why);
  const char *wish = getenv("JAX_MPS_LLVM");
  if (wish && strcmp(wish, "none")) CHECK(has_llvm);
}

static uint64_t read_number(const char *bytes, size_t size) {
  uint64_t value = 0;
  memcpy(&value, bytes, size);
  return value;
}

/* The first undefined symbol of an ELF object of 64 bits; "" if there is none. */
static const char *find_undefined(const jm_text *object) {
  const char *bytes = object->bytes;
  CHECK(object->size > 64 && !memcmp(bytes, "\177ELF\2\1", 6));
  uint64_t sections = read_number(bytes + 40, 8), n = read_number(bytes + 60, 2);
  for (uint64_t i = 0; i < n; i++) {
    const char *section = bytes + sections + i * 64;
    if (read_number(section + 4, 4) != 2) continue; /* SHT_SYMTAB */
    const char *strings = bytes + sections + read_number(section + 40, 4) * 64;
    uint64_t names = read_number(strings + 24, 8), from = read_number(section + 24, 8);
    uint64_t size = read_number(section + 32, 8);
    for (uint64_t at = from + 24; at < from + size; at += 24)
      if (!read_number(bytes + at + 6, 2)) return bytes + names + read_number(bytes + at, 4);
  }
  return "";
}

/* One module with every case; the text lives until the module is destroyed. */
static jm_llvm_module *print_cases(const jm_target *target, const char **text) {
  jm_llvm_module *module = NULL;
  CHECK_OK(jm_llvm_module_create(target, &module));
  for (uint32_t i = 0; i < n_cases; i++) {
    char symbol[16];
    snprintf(symbol, sizeof symbol, "k%u", (unsigned)i);
    CHECK_OK(jm_llvm_module_add(module, cases[i], symbol));
  }
  CHECK_OK(jm_llvm_module_finish(module, text));
  return module;
}

static void emit_cases(void) {
  CHECK(n_cases);
  for (size_t m = 0; m < sizeof machines / sizeof *machines; m++) {
    const char *text;
    jm_llvm_module *module = print_cases(&machines[m].target, &text);
    CHECK(strlen(text) > 100);
    if (has_llvm) {
      jm_text object;
      jm_text_init(&object);
      CHECK_OK(jm_llvm_object_emit(text, &machines[m].machine, &object));
      const char *symbol = object.size ? find_undefined(&object) : "everything";
      if (*symbol) fprintf(stderr, "%s: %s is undefined\n", machines[m].machine.cpu, symbol);
      CHECK(!*symbol);
      jm_text_deinit(&object);
    }
    jm_llvm_module_destroy(module);
  }
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

static void test_random(void) {
  for (int i = 0; i < 40; i++) add_random_case();
  emit_cases();
}

TEST_MAIN(find_llvm, test_instructions, test_memory, test_loops, test_random)
