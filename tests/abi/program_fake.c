/* SPDX-License-Identifier: Apache-2.0 */
#include "abi/program_fake.h"

#include <string.h>
#include <time.h>

#include "compile/program.h"
#include "engine/mlx/engine.h"

enum { MAX = 8, N_ELEMENTS = 6 };

struct jm_program {
  fake_program fake;
  jm_parameter parameters[MAX];
  jm_output outputs[MAX];
  jm_program_facts facts;
};

static const int64_t dims[] = {2, 3};

/* The tests' way to the allocator, which the plugin does not export. */
__attribute__((visibility("default"))) void fake_fail_after(int64_t n);
void fake_fail_after(int64_t n) { jm_alloc_fail_after(n); }

jm_error *jm_program_compile(const void *bytes, size_t n_bytes, bool decompose, jm_program **out) {
  (void)decompose;
  fake_program fake;
  if (n_bytes != sizeof fake || memcmp(bytes, FAKE_MAGIC, 4))
    return jm_error_invalid("byte 0: not a fake program");
  memcpy(&fake, bytes, sizeof fake);
  jm_program *program = jm_alloc(1, sizeof *program);
  if (!program) return jm_error_out_of_memory();
  program->fake = fake;
  jm_shape shape = {JM_DT_f32, 2, dims, N_ELEMENTS * sizeof(float)};
  for (int i = 0; i < MAX; i++) {
    program->parameters[i] = (jm_parameter){shape, i ? -1 : fake.alias, !i && fake.donor, NULL};
    program->outputs[i] = (jm_output){shape, NULL};
  }
  if (*fake.memory_kind) program->outputs[0].memory_kind = program->fake.memory_kind;
  program->facts = (jm_program_facts){
      .name = "fake",
      .n_parameters = (uint32_t)fake.n_parameters,
      .n_outputs = (uint32_t)fake.n_outputs,
      .parameters = program->parameters,
      .outputs = program->outputs,
      .n_replicas = 1,
      .n_partitions = (uint32_t)fake.n_partitions,
      .fingerprint = 0x1234,
      .flops = 6,
      .bytes_accessed = 48,
      .cheap = fake.cheap,
  };
  *out = program;
  return NULL;
}

void jm_program_destroy(jm_program *program) { jm_free(program); }

const jm_program_facts *jm_program_describe(const jm_program *program) { return &program->facts; }

jm_error *jm_program_print(const jm_program *program, char **text, size_t *size) {
  (void)program, (void)text, (void)size;
  return jm_error_unimplemented("text of a fake program");
}

jm_error *jm_program_plan(jm_program *program) {
  (void)program;
  return NULL;
}

jm_error *jm_program_explain(const jm_program *program, jm_explanation *out) {
  (void)program, (void)out;
  return jm_error_unimplemented("a fake program has no plan");
}

void jm_explanation_deinit(jm_explanation *explanation) {
  jm_free(explanation->text);
  jm_free(explanation->json);
}

void jm_program_record(bool on) { (void)on; }

bool jm_program_take_record(jm_explanation *out) {
  (void)out;
  return false;
}

jm_error *jm_program_run(const jm_program *program, const jm_run *run) {
  const fake_program *fake = &program->fake;
  struct timespec pause = {0, fake->delay_ms * 1000000L};
  if (fake->delay_ms) nanosleep(&pause, NULL);
  if (fake->fails) return jm_error_internal("the fake program fails as asked");
  for (int o = 0; o < fake->n_outputs; o++) {
    float *to = run->outputs[o];
    const float *from = fake->n_parameters ? run->inputs[o % fake->n_parameters] : NULL;
    for (int i = 0; i < N_ELEMENTS; i++) to[i] = (from ? from[i] : 0) + 1;
  }
  return NULL;
}

const struct jm_module *jm_program_module(const jm_program *program) {
  (void)program;
  return NULL; /* no device engine will ask */
}

jm_error *jm_mlx_engine_create(bool gpu, jm_engine **out) {
  (void)gpu, (void)out;
  return jm_error_unimplemented("the fake compiler has no device engine");
}
