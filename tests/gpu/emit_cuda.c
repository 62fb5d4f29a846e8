/* SPDX-License-Identifier: Apache-2.0
 * Writes the test kernels as CUDA, and what each must make of some memory, as the interpreter has
 * it: emit_cuda FOLDER [EVERY]. EVERY n takes each n-th kernel alone. kernels.cu has all of them
 * and a table, plan.bin the memory, in order; run_cuda.cu is the other half. */
#include "kernel/print/c.h"
#include "unit/printed_cases.h"
#include "unit/test_target.h"

static jm_target target;

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

/* Functions of the device's library give other bits than the C library. */
static bool calls_functions(const jm_kernel *k) {
  for (uint32_t i = 0; i < k->n_insts; i++)
    if (k->insts[i].code == JM_K_call && k->insts[i].imm != JM_KCALL_fmod) return true;
  return false;
}

/* number, chunks, threads, does it call functions, buffers; of each its type, its size, what is in
 * it and what must be. */
static void put_case(FILE *plan, uint32_t number) {
  const jm_kernel *k = cases[number];
  memory before, after;
  int64_t n = 71; /* neither few nor a multiple of any width */
  create_memory(k, &before, NULL);
  if (number < first_program)
    memcpy(before.buffers[0], &n, sizeof n);
  else
    tame_memory(k, &before);
  create_memory(k, &after, &before);
  void *scratch = jm_alloc_data(jm_kernel_scratch_bytes(k) + 64);
  CHECK_OK(jm_kernel_interpret(k, after.buffers, scratch, 0, k->chunks, NULL));
  int64_t n_buffers = 0;
  for (uint32_t i = 0; i < k->n_params; i++) n_buffers += k->params[i].space == JM_SPACE_GLOBAL;
  put_number(plan, number);
  put_number(plan, k->chunks);
  put_number(plan, jm_c_threads(k));
  put_number(plan, calls_functions(k));
  put_number(plan, n_buffers);
  uint32_t at = 0;
  for (uint32_t i = 0; i < k->n_params; i++) {
    const jm_kparam *p = &k->params[i];
    if (p->space != JM_SPACE_GLOBAL) continue;
    put_number(plan, p->element);
    put_number(plan, (int64_t)param_bytes(p));
    put(plan, before.buffers[at], param_bytes(p));
    put(plan, after.buffers[at++], param_bytes(p));
  }
  jm_free(scratch);
  destroy_memory(k, &before);
  destroy_memory(k, &after);
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
