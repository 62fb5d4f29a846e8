/* SPDX-License-Identifier: Apache-2.0
 * Writes the test kernels as CUDA, with a table of them, and what each must make of some memory, as
 * the interpreter has it: emit_cuda FOLDER [EVERY], of which run_cuda.cu is the other half. EVERY n
 * takes each n-th kernel alone. */
#include "kernel/print/c.h"
#include "unit/printed_cases.h"

static const jm_target target = {16, true, 32 << 10, 256 << 10, 32 << 10};

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

/* chunks, threads, does it call functions, buffers; of each its type, its size, what is in it and
 * what must be. */
static void put_case(FILE *plan, const jm_kernel *k, bool counted) {
  memory before, after;
  int64_t n = 71; /* neither few nor a multiple of any width */
  create_memory(k, &before, NULL);
  if (counted)
    memcpy(before.buffers[0], &n, sizeof n);
  else
    tame_memory(k, &before);
  create_memory(k, &after, &before);
  void *scratch = jm_alloc_data(jm_kernel_scratch_bytes(k) + 64);
  CHECK_OK(jm_kernel_interpret(k, after.buffers, scratch, 0, k->chunks, NULL));
  int64_t n_buffers = 0;
  for (uint32_t i = 0; i < k->n_params; i++) n_buffers += k->params[i].space == JM_SPACE_GLOBAL;
  put_number(plan, k->chunks);
  put_number(plan, jm_kernel_threads(k));
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

int main(int argc, char **argv) {
  const uint32_t every = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
  if (argc < 2 || !every) {
    fprintf(stderr, "usage: emit_cuda FOLDER [EVERY]\n");
    return 2;
  }
  add_printed_cases(&target);
  FILE *source = open_file(argv[1], "kernels.cu"), *plan = open_file(argv[1], "plan.bin");
  jm_text text, table;
  jm_text_init(&text);
  jm_text_init(&table);
  jm_text_printf(&text, "#include \"gpu/table.h\"\n%s", jm_c_cuda.prelude);
  uint32_t n = 0, refused = 0;
  for (uint32_t i = 0; i < n_cases; i += every) {
    char symbol[16];
    snprintf(symbol, sizeof symbol, "k%u", (unsigned)i);
    const size_t before = text.size;
    jm_error *error = jm_c_print_function(cases[i], &jm_c_cuda, symbol, &text);
    if (error) { /* too much shared memory */
      CHECK(jm_error_code(error) == JM_UNIMPLEMENTED);
      jm_error_destroy(error);
      text.size = before;
      refused++;
      continue;
    }
    jm_text_printf(&table, "{(const void *)%s, \"%s\"},\n", symbol, cases[i]->name);
    put_case(plan, cases[i], i < first_program);
    n++;
  }
  jm_text_printf(&text, "const entry entries[] = {\n%s{0, 0}};\n", jm_text_bytes(&table));
  CHECK_OK(jm_text_error(&text));
  put(source, text.bytes, text.size);
  fclose(source);
  fclose(plan);
  jm_text_deinit(&text);
  jm_text_deinit(&table);
  destroy_cases();
  printf("%u kernels, %u refused\n", (unsigned)n, (unsigned)refused);
  return check_failures != 0;
}
