/* SPDX-License-Identifier: Apache-2.0
 * Writes kernels as Metal source, with inputs and what the interpreter makes of them, into a
 * folder for run.py: each as a function (k0, k1, ...) and as a body between what MLX's custom
 * kernels put around it (b0, b1, ...). Files: kernels.metal; data, the memory of all runs; runs, a
 * line for each:
 *   name of the kernel in the source, threads of a group, chunks, name for people in quotes
 *   then for each buffer: element type, elements, its offset in data before and after */
#include "kernel/print/c.h"
#include "unit/printed_cases.h"

static const jm_target target = {
    .vector_bytes = 16, .fma = true, .l1_bytes = 32 << 10, .scratch_bytes = 32 << 10};

static FILE *open_file(const char *folder, const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "wb");
  if (!file) fprintf(stderr, "%s cannot be written\n", path);
  return file;
}

/* MLX puts what the kernel only reads first, and calls buffers by their place among these. */
static uint32_t order_buffers(const jm_kernel *k, bool body, uint32_t *order) {
  uint32_t n = 0;
  for (int pass = 0; pass < (body ? 2 : 1); pass++)
    for (uint32_t i = 0; i < k->n_params; i++)
      if (k->params[i].space == JM_SPACE_GLOBAL && (!body || k->params[i].written == (pass == 1)))
        order[n++] = i;
  return n;
}

/* Inputs of fewer than 8 elements are constant memory; integers are signed. */
static void print_signature(const jm_kernel *k, uint32_t number, jm_text *text) {
  static const char *const types[JM_N_KTYPES] = {"",        "int8_t", "int16_t", "int32_t",
                                                 "int64_t", "float",  ""};
  uint32_t order[MAX_PARAMS], n = order_buffers(k, true, order), n_in = 0;
  jm_text_printf(text, "[[kernel]] void b%u(\n", (unsigned)number);
  for (uint32_t i = 0; i < n; i++) {
    const jm_kparam *p = &k->params[order[i]];
    if (p->written)
      jm_text_printf(text, "  device %s* out%u [[buffer(%u)]],\n", types[p->element],
                     (unsigned)(i - n_in), (unsigned)i);
    else
      jm_text_printf(text, "  const %s %s* in%u [[buffer(%u)]],\n",
                     p->elements < 8 ? "constant" : "device", types[p->element], (unsigned)n_in++,
                     (unsigned)i);
  }
  jm_text_printf(text, "%s) {\n", strchr(jm_c_metal.more_parameters, '\n'));
}

/* The kernel as a function, or its body; false: Metal has none of it. */
static bool print_case(uint32_t number, bool body, FILE *source) {
  char symbol[16];
  snprintf(symbol, sizeof symbol, "k%u", (unsigned)number);
  jm_text text;
  jm_text_init(&text);
  if (body) print_signature(cases[number], number, &text);
  jm_error *error = body ? jm_c_print_body(cases[number], &jm_c_metal, &text)
                         : jm_c_print_function(cases[number], &jm_c_metal, symbol, &text);
  CHECK(!error || jm_error_code(error) == JM_UNIMPLEMENTED);
  CHECK_OK(jm_text_error(&text));
  if (body) jm_text_printf(&text, "}\n");
  if (!error) fwrite(text.bytes, 1, text.size, source);
  jm_text_deinit(&text);
  bool printed = !error;
  jm_error_destroy(error);
  return printed;
}

static long write_bytes(FILE *data, const void *bytes, size_t size) {
  long at = ftell(data);
  fwrite(bytes, 1, size, data);
  return at;
}

static void write_run(uint32_t number, bool body, int64_t n, bool counted, FILE *runs, FILE *data) {
  const jm_kernel *k = cases[number];
  memory before, after;
  create_memory(k, &before, NULL);
  if (counted)
    memcpy(before.buffers[0], &n, sizeof n);
  else
    tame_memory(k, &before);
  create_memory(k, &after, &before);
  void *scratch = jm_alloc_data(jm_kernel_scratch_bytes(k) + 64);
  memset(scratch, 0x5a, jm_kernel_scratch_bytes(k));
  CHECK_OK(jm_kernel_interpret(k, after.buffers, scratch, 0, k->chunks, NULL));
  const uint32_t threads = jm_kernel_threads(k);
  fprintf(runs, "%c%u %u %d \"%s, n = %d\"", body ? 'b' : 'k', (unsigned)number,
          (unsigned)(threads ? threads : 1), (int)k->chunks, k->name, (int)n);
  uint32_t plain[MAX_PARAMS], order[MAX_PARAMS], place[MAX_PARAMS];
  const uint32_t n_buffers = order_buffers(k, false, plain);
  for (uint32_t i = 0; i < n_buffers; i++) place[plain[i]] = i;
  order_buffers(k, body, order);
  for (uint32_t i = 0; i < n_buffers; i++) {
    const jm_kparam *p = &k->params[order[i]];
    const uint32_t at = place[order[i]];
    long first = write_bytes(data, before.buffers[at], param_bytes(p));
    long second = write_bytes(data, after.buffers[at], param_bytes(p));
    fprintf(runs, " %s %d %ld %ld", jm_ktype_names[p->element], (int)p->elements, first, second);
  }
  fprintf(runs, "\n");
  jm_free(scratch);
  destroy_memory(k, &before);
  destroy_memory(k, &after);
}

int main(int argc, char **argv) {
  static const int64_t counts[] = {0, 1, 37, 100};
  if (argc != 3) return fprintf(stderr, "emit_metal FOLDER EVERY\n"), 2;
  FILE *source = open_file(argv[1], "kernels.metal"), *data = open_file(argv[1], "data");
  FILE *runs = open_file(argv[1], "runs");
  if (!source || !data || !runs) return 1;
  fputs(jm_c_metal.prelude, source);
  add_printed_cases(&target);
  for (uint32_t i = 0; i < n_cases; i++) {
    const bool counted = i < first_program, threads = jm_kernel_threads(cases[i]) != 0;
    if (!threads && i % (uint32_t)atoi(argv[2])) continue;
    for (int body = 0; body < 2; body++) {
      if (!print_case(i, body, source)) continue;
      for (size_t c = 0; c < (counted ? sizeof counts / sizeof *counts : 1); c++)
        write_run(i, body, counts[c], counted, runs, data);
    }
  }
  destroy_cases();
  bool failed = fclose(source) | fclose(data) | fclose(runs);
  return failed || check_failures;
}
