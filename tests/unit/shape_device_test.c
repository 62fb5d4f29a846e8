/* SPDX-License-Identifier: Apache-2.0
 * The schedules for GPUs over the shapes of shape_cases.h: run by the interpreter, whose race
 * detector watches the threads of a group, against the oracle. The last chunks run
 * first. */
#include "kernel/schedule/schedule.h"
#include "pass/pass.h"
#include "unit/shape_trial.h"
#include "unit/test_target.h"

enum { MOST_POINTS = 100000, MOST_BUFFERS = 64 };

static jm_target target;
static int n_groups[N_SHAPE_ROWS];

static void run_launch(const jm_launch *launch, void *const *buffers) {
  const jm_kernel *k = launch->kernel;
  void *scratch = jm_alloc_data(jm_kernel_scratch_bytes(k) + 1);
  const int64_t half = k->chunks / 2;
  CHECK(jm_kernel_scratch_bytes(k) <= target.scratch_bytes);
  CHECK_OK(jm_kernel_interpret(k, buffers, scratch, half, k->chunks, NULL));
  if (half) CHECK_OK(jm_kernel_interpret(k, buffers, scratch, 0, half, NULL));
  jm_free(scratch);
}

static void run_schedule(const jm_schedule *s, const jm_op *op, void *const *values) {
  void *temporaries[MOST_BUFFERS], *buffers[MOST_BUFFERS];
  for (uint32_t i = 0; i < s->n_temporaries; i++) {
    temporaries[i] = jm_alloc_data(s->temporary_bytes[i]);
    memset(temporaries[i], 0x5a, s->temporary_bytes[i]);
  }
  for (uint32_t l = 0; l < s->n_launches; l++) {
    uint32_t n = 0;
    for (uint32_t p = 0; p < s->launches[l].kernel->n_params; p++) {
      if (s->launches[l].kernel->params[p].space != JM_SPACE_GLOBAL) continue;
      const jm_launch_argument *a = &s->launches[l].arguments[n];
      buffers[n++] = a->memory == JM_LAUNCH_OPERAND  ? values[op->operands[a->index]]
                     : a->memory == JM_LAUNCH_RESULT ? values[op->first_result + a->index]
                                                     : temporaries[a->index];
    }
    run_launch(&s->launches[l], buffers);
  }
  for (uint32_t i = 0; i < s->n_temporaries; i++) jm_free(temporaries[i]);
}

static void run_op(const trial *t, const jm_module *m, const jm_op *op, void **values) {
  jm_tensor in[MOST_TENSORS], out[MOST_TENSORS];
  jm_schedule *schedule = NULL;
  for (uint32_t i = 0; i < op->n_operands; i++)
    in[i] = (jm_tensor){jm_op_operand_type(m, op, i), values[op->operands[i]]};
  for (uint32_t i = 0; i < op->n_results; i++) {
    const jm_type *type = jm_op_result_type(m, op, i);
    out[i] = (jm_tensor){type, jm_alloc_data(jm_type_bytes(type) + 1)};
    memset(out[i].data, 0xa5, jm_type_bytes(type));
    values[op->first_result + i] = out[i].data;
  }
  if (op->code != JM_OP_fusion) {
    CHECK_OK(jm_ref_fns[op->code](&(jm_call){m, op, in, out, NULL}));
    return;
  }
  CHECK_OK(jm_schedule_build(m, op, &target, &schedule));
  if (schedule) run_schedule(schedule, op, values);
  if (schedule && !strcmp(schedule->name, t->row->schedule)) n_groups[t->row - shape_rows]++;
  jm_schedule_destroy(schedule);
}

static void run_program(trial *t, jm_module *m) {
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = &target}));
  CHECK_OK(jm_module_verify(m));
  const jm_region *entry = jm_module_region(m, m->entry);
  void **values = jm_alloc(m->n_values, sizeof *values);
  for (uint32_t i = 0; i < t->n_in; i++) values[entry->first_arg + i] = t->in[i];
  for (uint32_t i = 0; i < entry->n_ops; i++) run_op(t, m, jm_module_op(m, entry->ops[i]), values);
  for (uint32_t i = 0; i < t->n_out; i++)
    memcpy(t->have[i], values[entry->results[i]], jm_type_bytes(t->types_out[i]));
  for (uint32_t i = 0; i < entry->n_ops; i++) {
    const jm_op *op = jm_module_op(m, entry->ops[i]);
    for (uint32_t k = 0; k < op->n_results; k++) jm_free(values[op->first_result + k]);
  }
  jm_free(values);
  compare(t, target.name);
}

static void run_trial(const shape_row *row, jm_dtype dtype, const shape *s, uint64_t number) {
  trial t = {.row = row, .dtype = dtype, .shape = s, .seed = number};
  const bool kernel = strcmp(row->schedule, "step") && strcmp(row->schedule, "loop");
  if (!kernel || (int64_t)s->a * s->b > MOST_POINTS || !jm_target_holds(&target, dtype)) return;
  jm_module *m = read_program(row, dtype, s);
  if (!m) return;
  begin_trial(&t, m);
  evaluate(&t, m);
  run_program(&t, m);
  end_trial(&t);
  jm_module_destroy(m);
}

static void test_target_named(const char *name) {
  target = test_target(name);
  memset(n_groups, 0, sizeof n_groups);
  each_program(run_trial);
  for (int r = 0; r < N_SHAPE_ROWS; r++) {
    const bool kernel =
        strcmp(shape_rows[r].schedule, "step") && strcmp(shape_rows[r].schedule, "loop");
    CHECK(!kernel || n_groups[r] >= 10 || getenv("JM_TEST_SHAPES"));
    if (kernel) printf("%-6s %-20s %4d groups\n", name, shape_rows[r].name, n_groups[r]);
  }
}

static void test_cuda(void) { test_target_named("cuda"); }
static void test_metal(void) { test_target_named("metal"); }

TEST_MAIN(test_cuda, test_metal)
