/* SPDX-License-Identifier: Apache-2.0
 * Writes the test kernels as an object for a machine, a table of their symbols in C, and what each
 * must make of some memory, as the interpreter has it: emit_kernels FOLDER CPU, CPU being
 * x86-64-v2, -v3, -v4, or generic for arm64. run_kernels.c tries them. Kernels that call C
 * functions by address are left out. */
#include "kernel/schedule/schedule.h"
#include "pass/pass.h"
#include "unit/kernel_memory.h"
#include "unit/kernel_object.h"
#include "unit/shape_cases.h"

static const kernel_machine *machine;

static bool has_call(const jm_kernel *k) {
  bool fma = machine->target.fma; /* else it is C's */
  for (uint32_t i = 0; i < k->n_insts; i++)
    if (k->insts[i].code == JM_K_call || (k->insts[i].code == JM_K_fma && !fma)) return true;
  return false;
}

enum { MOST_POINTS = 4096 }; /* the interpreter takes its time */

/* The kernels of the programs of shape_cases.def, of a few shapes. */
static void add_program(const shape_row *row, jm_dtype dtype, const shape *s, uint64_t number) {
  (void)number;
  bool taken = is_usual(dtype) && s - row->shapes < FEW && s->a * s->b <= MOST_POINTS;
  jm_module *m = taken ? read_program(row, dtype, s) : NULL;
  if (!m) return;
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = &machine->target}));
  for (jm_op_id id = 0; id < m->n_ops; id++) {
    jm_schedule *schedule = NULL;
    if (jm_module_op(m, id)->code != JM_OP_fusion) continue;
    CHECK_OK(jm_schedule_build(m, jm_module_op(m, id), &machine->target, &schedule));
    for (uint32_t l = 0; schedule && l < schedule->n_launches && n_cases < CASE_MOST; l++) {
      cases[n_cases] = schedule->launches[l].kernel;
      cases[n_cases++]->name = row->name;
      schedule->launches[l].kernel = NULL;
    }
    jm_schedule_destroy(schedule);
  }
  jm_module_destroy(m);
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

/* Memory of programs: loops do not start to count at any number, and what may be bf16 is no NaN, of
 * which nobody promises the bits. */
static void tame(const jm_kernel *k, const memory *m) {
  uint32_t at = 0;
  for (uint32_t i = 0; i < k->n_params; i++) {
    const jm_kparam *p = &k->params[i];
    if (p->space != JM_SPACE_GLOBAL) continue;
    char *data = m->buffers[at++];
    if (p->element == JM_KT_i32 && p->elements == 1) memset(data, 0, sizeof(int32_t));
    for (int64_t e = 0; p->element == JM_KT_i16 && e < p->elements; e++) {
      uint16_t bits;
      memcpy(&bits, data + e * 2, sizeof bits);
      bits &= 0xbfff;
      memcpy(data + e * 2, &bits, sizeof bits);
    }
  }
}

/* chunks, scratch bytes, buffers; of each its type, its size, what is in it and what must be. */
static void put_case(FILE *plan, const jm_kernel *k, bool counted) {
  memory before, after;
  int64_t n = 71; /* neither few nor a multiple of any width */
  create_memory(k, &before, NULL);
  if (counted)
    memcpy(before.buffers[0], &n, sizeof n);
  else
    tame(k, &before);
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
