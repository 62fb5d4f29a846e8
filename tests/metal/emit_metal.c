/* SPDX-License-Identifier: Apache-2.0
 * Writes kernels as Metal source, with inputs and what the interpreter makes of them, into a
 * folder for run.py: kernels.metal; data, the memory of all runs; runs, a line for each:
 *   name of the kernel in the source, threads of a group, chunks, name for people in quotes
 *   then for each buffer: element type, elements, its offset in data before and after */
#include "kernel/print/c.h"
#include "unit/case_files.h"
#include "unit/printed_cases.h"
#include "unit/test_target.h"

static jm_target target;

/* The kernel's function; false: Metal has none of it. */
static bool print_case(uint32_t number, FILE *source) {
  char symbol[16];
  snprintf(symbol, sizeof symbol, "k%u", (unsigned)number);
  jm_text text;
  jm_text_init(&text);
  jm_error *error = jm_c_print_function(cases[number], &jm_c_metal, symbol, &text);
  CHECK(!error || jm_error_code(error) == JM_UNIMPLEMENTED);
  if (!error) put(source, text.bytes, text.size);
  jm_text_deinit(&text);
  bool printed = !error;
  jm_error_destroy(error);
  return printed;
}

static long write_bytes(FILE *data, const void *bytes, size_t size) {
  long at = ftell(data);
  put(data, bytes, size);
  return at;
}

static void write_run(uint32_t number, int64_t n, bool counted, FILE *runs, FILE *data) {
  const jm_kernel *k = cases[number];
  case_run run;
  interpret_case(k, n, counted, &run);
  const uint32_t threads = jm_kernel_threads(k);
  fprintf(runs, "k%u %u %d \"%s, n = %d\"", (unsigned)number, (unsigned)(threads ? threads : 1),
          (int)k->chunks, k->name, (int)n);
  uint32_t at = 0;
  for (uint32_t i = 0; i < k->n_params; i++) {
    const jm_kparam *p = &k->params[i];
    if (p->space != JM_SPACE_GLOBAL) continue;
    long first = write_bytes(data, run.before.buffers[at], param_bytes(p));
    long second = write_bytes(data, run.after.buffers[at++], param_bytes(p));
    fprintf(runs, " %s %d %ld %ld", jm_ktype_names[p->element], (int)p->elements, first, second);
  }
  fprintf(runs, "\n");
  destroy_run(k, &run);
}

int main(int argc, char **argv) {
  static const int64_t counts[] = {0, 1, 37, 100};
  if (argc != 3) return fprintf(stderr, "emit_metal FOLDER EVERY\n"), 2;
  FILE *source = open_file(argv[1], "kernels.metal"), *data = open_file(argv[1], "data");
  FILE *runs = open_file(argv[1], "runs");
  fputs(jm_c_metal.prelude, source);
  target = test_target_with("x86-64-v2", 32 << 10);
  add_printed_cases(&target);
  for (uint32_t i = 0; i < n_cases; i++) {
    const bool counted = i < first_program, threads = jm_kernel_threads(cases[i]) != 0;
    if (!threads && i % (uint32_t)atoi(argv[2])) continue;
    if (!print_case(i, source)) continue;
    for (size_t c = 0; c < (counted ? sizeof counts / sizeof *counts : 1); c++)
      write_run(i, counts[c], counted, runs, data);
  }
  destroy_cases();
  bool failed = fclose(source) | fclose(data) | fclose(runs);
  return failed || check_failures;
}
