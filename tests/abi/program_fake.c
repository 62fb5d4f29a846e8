/* SPDX-License-Identifier: Apache-2.0 */
#include "abi/program_fake.h"

#include <string.h>
#include <time.h>

#include "compile/program.h"
#include "engine/host/engine.h"
#include "engine/mlx/distributed.h"
#include "engine/mlx/engine.h"
#include "engine/mlx/offline.h"
#include "ffi/ffi.h"

enum { MAX = 8, N_ELEMENTS = 6 };

struct jm_program {
  fake_program fake;
  jm_parameter parameters[MAX];
  jm_output outputs[MAX];
  jm_program_facts facts;
};

static const int64_t dims[] = {2, 3}, reversed_dims[] = {3, 2}, column_major[] = {0, 1};
static const jm_type stored = {JM_DT_f32, 2, N_ELEMENTS, dims};
static const jm_type reversed = {JM_DT_f32, 2, N_ELEMENTS, reversed_dims};

/* The tests' way to the allocator, which the plugin does not export. */
__attribute__((visibility("default"))) void fake_fail_after(int64_t n);
void fake_fail_after(int64_t n) { jm_alloc_fail_after(n); }

jm_error *jm_program_compile(const void *bytes, size_t n_bytes, jm_program **out) {
  fake_program fake;
  if (n_bytes != sizeof fake || memcmp(bytes, FAKE_MAGIC, 4))
    return jm_error_invalid("byte 0: not a fake program");
  memcpy(&fake, bytes, sizeof fake);
  jm_program *program = jm_alloc(1, sizeof *program);
  if (!program) return jm_error_out_of_memory();
  program->fake = fake;
  const jm_shape shape = {JM_DT_f32, 2, dims, NULL, &stored, N_ELEMENTS * sizeof(float)};
  const jm_shape other = {JM_DT_f32, 2, dims, column_major, &reversed, N_ELEMENTS * sizeof(float)};
  for (int i = 0; i < MAX; i++) {
    program->parameters[i] =
        (jm_parameter){.shape = shape, .alias = i ? -1 : fake.alias, .donor = !i && fake.donor};
    program->outputs[i] = (jm_output){.shape = fake.column_major ? other : shape};
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

/* Prepared, a program is itself. */
jm_error *jm_program_prepare(jm_program *program, jm_engine *engine, const jm_saved *saved,
                             const jm_prepared **out) {
  (void)engine, (void)saved;
  *out = (const jm_prepared *)program;
  return NULL;
}

jm_error *jm_program_save(const jm_program *program, jm_text *out) {
  (void)program, (void)out;
  return NULL;
}

jm_error *jm_prepared_explain(const jm_prepared *prepared, jm_explanation *out) {
  (void)prepared, (void)out;
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

jm_error *jm_prepared_run(const jm_prepared *prepared, const jm_engine_run *run) {
  const fake_program *fake = &((const jm_program *)prepared)->fake;
  struct timespec pause = {0, fake->delay_ms * 1000000L};
  if (fake->delay_ms) nanosleep(&pause, NULL);
  if (fake->fails) return jm_error_internal("the fake program fails as asked");
  for (int o = 0; o < fake->n_outputs; o++) {
    float *to = run->outputs[o].host;
    const float *from = fake->n_parameters ? run->inputs[o % fake->n_parameters].host : NULL;
    for (int i = 0; i < N_ELEMENTS; i++) to[i] = (from ? from[i] : 0) + 1;
  }
  return NULL;
}

static bool holds(const jm_type *type) {
  (void)type;
  return true;
}

static void memory_read(jm_engine *engine, jm_engine_memory *out) {
  (void)engine;
  *out = (jm_engine_memory){0};
}

static void destroy(jm_engine *engine) { (void)engine; }

/* The host's, but for what compiles and runs: that is all above. */
jm_engine *jm_host_engine(void) {
  static jm_engine host = {.fact = {.name = "host",
                                    .device_kind = "host (CPU)",
                                    .version = "host engine",
                                    .memory_bytes = INT64_C(1) << 32,
                                    .is_host_memory = true,
                                    .any_thread = true},
                           .holds = holds,
                           .memory_read = memory_read,
                           .destroy = destroy};
  return &host;
}

void jm_host_engine_start(void) {}

jm_error *jm_mlx_engine_create(bool gpu, jm_engine **out) {
  (void)gpu, (void)out;
  return jm_error_unimplemented("the fake compiler has no device engine");
}

jm_error *jm_mlx_transport_check(void) {
  return jm_error_unimplemented("the fake compiler has no transport");
}

jm_error *jm_mlx_transport_open(uint32_t self, uint32_t n, const char *const *addresses,
                                jm_transport **out) {
  (void)self, (void)n, (void)addresses, (void)out;
  return jm_mlx_transport_check();
}

bool jm_mlx_link_shares_group(const char *collectives) {
  (void)collectives;
  return false;
}

jm_error *jm_mlx_offline_create(const char *backend, jm_engine **out) {
  (void)out;
  return jm_error_unimplemented("the fake compiler has no engine for %s", backend);
}

/* Handlers of jax.ffi belong to programs that are none of these. */
jm_error *jm_ffi_register(const char *name, const jm_ffi_bundle *bundle) {
  (void)name, (void)bundle;
  return jm_error_unimplemented("a fake has no handlers");
}

jm_error *jm_ffi_register_type(const char *name, XLA_FFI_TypeId *id, const XLA_FFI_TypeInfo *info) {
  (void)name, (void)id, (void)info;
  return jm_error_unimplemented("a fake has no handlers");
}

void jm_ffi_resolve_with(jm_ffi_resolver *resolver) { (void)resolver; }
