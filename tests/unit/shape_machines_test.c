/* SPDX-License-Identifier: Apache-2.0
 * Every schedule of shape_cases.h as code for machines that need not be at hand: LLVM takes it, and
 * the objects need nothing from outside. Needs an LLVM: JAX_MPS_LLVM. */
#include "kernel/schedule/schedule.h"
#include "pass/pass.h"
#include "unit/kernel_object.h"
#include "unit/shape_cases.h"

static jm_llvm_module *batch;
static const kernel_machine *machine; /* and the next one: the same, quickly */
static uint32_t n_batch, n_kernels;

static void flush_batch(void) {
  const char *text = "";
  if (n_batch) {
    CHECK_OK(jm_llvm_module_finish(batch, &text));
    kernel_object_check(text, &machine[n_kernels / 64 % 2]);
  }
  jm_llvm_module_destroy(batch);
  batch = NULL;
  n_batch = 0;
}

static void add_kernel(const jm_kernel *kernel) {
  char symbol[16];
  if (!batch) CHECK_OK(jm_llvm_module_create(&machine->target, &batch));
  snprintf(symbol, sizeof symbol, "k%u", (unsigned)n_batch++);
  CHECK_OK(jm_llvm_module_add(batch, kernel, symbol));
  n_kernels++;
  if (n_batch == 64) flush_batch();
}

static void schedule_program(const shape_row *row, jm_dtype dtype, const shape *s,
                             uint64_t number) {
  (void)number;
  jm_module *m = read_program(row, dtype, s);
  if (!m) return;
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = &machine->target}));
  for (jm_op_id id = 0; id < m->n_ops; id++) {
    const jm_op *op = jm_module_op(m, id);
    jm_schedule *schedule = NULL;
    if (op->code != JM_OP_fusion) continue;
    CHECK_OK(jm_schedule_build(m, op, &machine->target, &schedule));
    for (uint32_t l = 0; schedule && l < schedule->n_launches; l++)
      add_kernel(schedule->launches[l].kernel);
    jm_schedule_destroy(schedule);
  }
  jm_module_destroy(m);
}

static void test_machines(void) {
  const char *why = "";
  CHECK(jm_llvm_library_load(&why));
  if (check_failures) {
    fprintf(stderr, "JAX_MPS_LLVM: %s\n", why);
    return;
  }
  kernel_machines_find();
  for (size_t i = 0; i < N_KERNEL_MACHINES; i += 2) {
    machine = &kernel_machines[i];
    n_kernels = 0;
    each_program(schedule_program);
    flush_batch();
    printf("%s: %u kernels\n", machine->machine.cpu, (unsigned)n_kernels);
    CHECK(n_kernels > 1000 || getenv("JM_TEST_SHAPES"));
  }
}

TEST_MAIN(test_machines)
