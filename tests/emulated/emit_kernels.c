/* SPDX-License-Identifier: Apache-2.0
 * Writes the test kernels as an object for a machine, a table of their symbols in C, and what each
 * must make of some memory, as the interpreter has it: emit_kernels FOLDER CPU, CPU being
 * x86-64-v2, -v3, -v4, or generic for arm64. run_kernels.c tries them. Kernels that call C
 * functions by address are left out. */
#include "unit/case_files.h"
#include "unit/kernel_object.h"

static const kernel_machine *machine;

static bool has_call(const jm_kernel *k) {
  bool fma = machine->target.fma; /* else it is C's */
  for (uint32_t i = 0; i < k->n_insts; i++)
    if (k->insts[i].code == JM_K_call || (k->insts[i].code == JM_K_fma && !fma) ||
        (k->insts[i].code == JM_K_fscale && !machine->target.scales))
      return true;
  return false;
}

static void put_case(FILE *plan, const jm_kernel *k, bool counted) {
  case_run run;
  interpret_case(k, 71, counted, &run); /* neither few nor a multiple of any width */
  put_number(plan, k->chunks);
  put_number(plan, (int64_t)jm_kernel_scratch_bytes(k) + 64);
  put_buffers(plan, k, &run);
  destroy_run(k, &run);
}

/* Fills the module, the table and the plan; kernels from first_program on have no count. */
static void put_cases(const char *folder, jm_llvm_module *module, uint32_t first_program) {
  FILE *plan = open_file(folder, "plan.bin"), *table = open_file(folder, "table.c");
  fprintf(table, "#include \"emulated/table.h\"\n");
  for (uint32_t i = 0; i < n_cases; i++) fprintf(table, "extern kernel_fn k%u;\n", (unsigned)i);
  fprintf(table, "const struct entry entries[] = {\n");
  for (uint32_t i = 0; i < n_cases; i++) {
    if (has_call(cases[i])) continue;
    char symbol[16];
    snprintf(symbol, sizeof symbol, "k%u", (unsigned)i);
    CHECK_OK(jm_llvm_module_add(module, cases[i], symbol));
    fprintf(table, "{%s, \"%s\"},\n", symbol, cases[i]->name);
    put_case(plan, cases[i], i < first_program);
  }
  fprintf(table, "{0, 0}};\n");
  fclose(table);
  fclose(plan);
}

int main(int argc, char **argv) {
  const char *why, *text;
  kernel_machines_find();
  for (int i = 0; argc == 3 && i < N_KERNEL_MACHINES; i++)
    if (!strcmp(kernel_machines[i].machine.cpu, argv[2]) && !kernel_machines[i].machine.quickly)
      machine = &kernel_machines[i];
  if (!machine || !jm_llvm_library_load(&why)) {
    fprintf(stderr, "usage: emit_kernels FOLDER CPU, with JAX_MPS_LLVM set\n");
    return 2;
  }
  add_inst_cases(JM_BIND_SERIAL, 0);
  add_inst_cases(JM_BIND_VECTOR, 16);
  add_memory_cases();
  add_loop_cases();
  for (int i = 0; i < 200; i++) add_random_case();
  uint32_t first_program = n_cases;
  program_target = &machine->target;
  each_program(add_program);
  jm_llvm_module *module = NULL;
  CHECK_OK(jm_llvm_module_create(&machine->target, &module));
  put_cases(argv[1], module, first_program);
  CHECK_OK(jm_llvm_module_finish(module, &text));
  jm_text object;
  jm_text_init(&object);
  CHECK_OK(jm_llvm_object_emit(text, &machine->machine, &object));
  FILE *file = open_file(argv[1], "kernels.o");
  put(file, object.bytes, object.size);
  fclose(file);
  jm_text_deinit(&object);
  jm_llvm_module_destroy(module);
  destroy_cases();
  return check_failures != 0;
}
