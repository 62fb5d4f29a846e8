/* SPDX-License-Identifier: Apache-2.0
 * Writes the test kernels as CUDA, and what each must make of some memory, as the interpreter has
 * it: emit_cuda FOLDER [EVERY]. EVERY n takes each n-th kernel alone. kernels.cu has all of them
 * and a table, plan.bin the memory, in order; run_cuda.cu is the other half. */
#include "kernel/print/c.h"
#include "unit/case_files.h"
#include "unit/printed_cases.h"
#include "unit/test_target.h"

static jm_target target;

/* Functions of the device's library give other bits than the C library. */
static bool calls_functions(const jm_kernel *k) {
  for (uint32_t i = 0; i < k->n_insts; i++)
    if (k->insts[i].code == JM_K_call && k->insts[i].imm != JM_KCALL_fmod) return true;
  return false;
}

static void put_case(FILE *plan, uint32_t number) {
  const jm_kernel *k = cases[number];
  case_run run;
  interpret_case(k, 71, number < first_program, &run); /* neither few nor a multiple of any width */
  put_number(plan, number);
  put_number(plan, k->chunks);
  put_number(plan, jm_c_threads(k));
  put_number(plan, calls_functions(k));
  put_buffers(plan, k, &run);
  destroy_run(k, &run);
}

/* false: the kernel needs more than CUDA has. */
static bool print_case(uint32_t number, jm_text *text) {
  char symbol[16];
  const size_t before = text->size;
  snprintf(symbol, sizeof symbol, "k%u", (unsigned)number);
  jm_error *error = jm_c_print_function(cases[number], &jm_c_cuda, symbol, text);
  if (!error) return true;
  CHECK(jm_error_code(error) == JM_UNIMPLEMENTED);
  jm_error_destroy(error);
  text->size = before;
  return false;
}

static void put_text(const char *folder, const char *name, const jm_text *text) {
  FILE *file = open_file(folder, name);
  CHECK_OK(jm_text_error(text));
  put(file, text->bytes, text->size);
  fclose(file);
}

/* Returns how many kernels were written. */
static uint32_t put_cases(const char *folder, FILE *plan, uint32_t every) {
  uint32_t n = 0;
  jm_text text, table;
  jm_text_init(&text);
  jm_text_init(&table);
  jm_text_printf(&text, "#include \"gpu/table.h\"\n%s", jm_c_cuda.prelude);
  for (uint32_t i = 0; i < n_cases; i += every) {
    if (!print_case(i, &text)) continue;
    jm_text_printf(&table, "{(const void *)k%u, \"%s\"},\n", (unsigned)i, cases[i]->name);
    put_case(plan, i);
    n++;
  }
  jm_text_printf(&text, "const entry entries[] = {\n%s{0, 0}};\n", jm_text_bytes(&table));
  put_text(folder, "kernels.cu", &text);
  jm_text_deinit(&text);
  jm_text_deinit(&table);
  return n;
}

int main(int argc, char **argv) {
  const uint32_t every = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
  if (argc < 2 || !every) {
    fprintf(stderr, "usage: emit_cuda FOLDER [EVERY]\n");
    return 2;
  }
  target = test_target_with("x86-64-v2", 16 << 10);
  add_printed_cases(&target);
  FILE *plan = open_file(argv[1], "plan.bin");
  const uint32_t n = put_cases(argv[1], plan, every);
  fclose(plan);
  printf("%u kernels, %u refused\n", (unsigned)n, (unsigned)((n_cases + every - 1) / every - n));
  destroy_cases();
  return check_failures != 0;
}
