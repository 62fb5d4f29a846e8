/* SPDX-License-Identifier: Apache-2.0
 * Writes the test kernels as an arm64 object, a table of their symbols in C, and what each must
 * make of some memory, as the interpreter has it: emit_kernels FOLDER. run_kernels.c tries them.
 * Kernels that call C functions by address are left out. */
#include "engine/host/llvm_library.h"
#include "unit/kernel_memory.h"

static bool has_call(const jm_kernel *k) {
  for (uint32_t i = 0; i < k->n_insts; i++)
    if (k->insts[i].code == JM_K_call) return true;
  return false;
}

static FILE *open_file(const char *folder, const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "wb");
  if (!file) perror(path);
  if (!file) exit(1);
  return file;
}

static void put(FILE *file, const void *bytes, size_t size) {
  if (fwrite(bytes, 1, size, file) != size) exit(1);
}

static void put_number(FILE *file, int64_t number) { put(file, &number, sizeof number); }

/* chunks, scratch bytes, buffers; of each its type, its size, what is in it and what must be. */
static void put_case(FILE *plan, const jm_kernel *k) {
  memory before, after;
  int64_t n = 71; /* neither few nor a multiple of any width */
  create_memory(k, &before, NULL);
  memcpy(before.buffers[0], &n, sizeof n);
  create_memory(k, &after, &before);
  size_t scratch_bytes = jm_kernel_scratch_bytes(k) + 64;
  void *scratch = jm_alloc_data(scratch_bytes);
  CHECK_OK(jm_kernel_interpret(k, after.buffers, scratch, 0, k->chunks, NULL));
  int64_t n_buffers = 0;
  for (uint32_t i = 0; i < k->n_params; i++) n_buffers += k->params[i].space == JM_SPACE_GLOBAL;
  put_number(plan, k->chunks);
  put_number(plan, (int64_t)scratch_bytes);
  put_number(plan, n_buffers);
  uint32_t at = 0;
  for (uint32_t i = 0; i < k->n_params; i++) {
    const jm_kparam *p = &k->params[i];
    if (p->space != JM_SPACE_GLOBAL) continue;
    put_number(plan, p->element == JM_KT_f32 ? 4 : p->element == JM_KT_f64 ? 8 : 0);
    put_number(plan, (int64_t)param_bytes(p));
    put(plan, before.buffers[at], param_bytes(p));
    put(plan, after.buffers[at++], param_bytes(p));
  }
  jm_free(scratch);
  destroy_memory(k, &before);
  destroy_memory(k, &after);
}

int main(int argc, char **argv) {
  const char *why;
  if (argc != 2 || !jm_llvm_library_load(&why)) {
    fprintf(stderr, "usage: emit_kernels FOLDER, with JAX_MPS_LLVM set\n");
    return 2;
  }
  add_inst_cases(JM_BIND_SERIAL, 0);
  add_inst_cases(JM_BIND_VECTOR, 16);
  add_memory_cases();
  add_loop_cases();
  for (int i = 0; i < 200; i++) add_random_case();
  FILE *plan = open_file(argv[1], "plan.bin"), *table = open_file(argv[1], "table.c");
  jm_target target = {.vector_bytes = 16, .fma = true};
  jm_llvm_module *module = NULL;
  CHECK_OK(jm_llvm_module_create(&target, &module));
  fprintf(table, "#include \"emulated/table.h\"\n");
  for (uint32_t i = 0; i < n_cases; i++) fprintf(table, "extern kernel_fn k%u;\n", (unsigned)i);
  fprintf(table, "const struct entry entries[] = {\n");
  for (uint32_t i = 0; i < n_cases; i++) {
    if (has_call(cases[i])) continue;
    char symbol[16];
    snprintf(symbol, sizeof symbol, "k%u", (unsigned)i);
    CHECK_OK(jm_llvm_module_add(module, cases[i], symbol));
    fprintf(table, "{%s, \"%s\"},\n", symbol, cases[i]->name);
    put_case(plan, cases[i]);
  }
  fprintf(table, "{0, 0}};\n");
  fclose(table);
  fclose(plan);
  const char *text;
  CHECK_OK(jm_llvm_module_finish(module, &text));
  jm_text object;
  jm_text_init(&object);
  jm_llvm_machine machine = {"aarch64-unknown-linux-gnu", "generic", "", false, false};
  CHECK_OK(jm_llvm_object_emit(text, &machine, &object));
  FILE *file = open_file(argv[1], "kernels.o");
  put(file, object.bytes, object.size);
  fclose(file);
  jm_text_deinit(&object);
  jm_llvm_module_destroy(module);
  destroy_cases();
  return check_failures != 0;
}
