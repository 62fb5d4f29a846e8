/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/offline.h"

#include <stdio.h>
#include <string.h>

#include "base/settings.h"
#include "engine/mlx/codes.h"
#include "engine/mlx/user_kernels.h"
#include "kernel/ir/target.h"

typedef struct offline_engine {
  jm_engine base;
  jm_mlx_device_fact device;
  jm_target target;
  const jm_c_dialect *dialect;
} offline_engine;

typedef struct offline_program {
  const offline_engine *engine;
  jm_arena arena;
  jm_groups *groups;
  jm_mlx_code *codes;
} offline_program;

static offline_engine *engine_of(jm_engine *engine) { return (offline_engine *)engine; }

static const struct jm_target *find_target(jm_engine *engine, const jm_engine_code *code) {
  (void)code;
  return &engine_of(engine)->target;
}

static const char *describe_compiler(jm_engine *engine) { return engine->fact.version; }

static bool takes_pattern(jm_engine *engine, const jm_module *module, const jm_op *fusion) {
  return jm_lower_takes_pattern(module, fusion, &engine_of(engine)->device, true);
}

static jm_error *check_kernel(jm_engine *engine, const jm_module *module, const jm_op *kernel) {
  return jm_mlx_user_kernel_check(&engine_of(engine)->device, module, kernel);
}

static void release_none(void *code) { (void)code; }

static void compiled_destroy(jm_engine *engine, void *compiled) {
  offline_program *program = compiled;
  (void)engine;
  if (!program) return;
  jm_groups_destroy(program->groups, release_none);
  jm_arena_deinit(&program->arena);
  jm_free(program);
}

static jm_error *compile(jm_engine *engine, const jm_module *module, jm_engine_code *code,
                         void **out) {
  (void)code;
  offline_program *program = jm_alloc(1, sizeof *program);
  if (!program) return jm_error_out_of_memory();
  program->engine = engine_of(engine);
  jm_arena_init(&program->arena);
  jm_error *error = jm_groups_schedule(module, &program->engine->target, &program->groups);
  if (!error) error = jm_mlx_codes_build(module, program->groups, &program->arena, &program->codes);
  if (error) {
    compiled_destroy(engine, program);
    return error;
  }
  *out = program;
  return NULL;
}

static const jm_step_code *bind(void *compiled, jm_op_id op) {
  return &((const offline_program *)compiled)->codes[op].base;
}

static void print_code(jm_engine *engine, const jm_step_code *code, const jm_module *module,
                       const jm_op *op, uint32_t depth, jm_text *text) {
  jm_mlx_code_print((const jm_mlx_code *)code, engine_of(engine)->dialect, module, op, depth, text);
}

static const jm_backend backend = {
    .expands = true,
    .find_target = find_target,
    .describe_compiler = describe_compiler,
    .takes_pattern = takes_pattern,
    .check_kernel = check_kernel,
    .compile = compile,
    .compiled_destroy = compiled_destroy,
    .bind = bind,
    .print_code = print_code,
};

static void destroy(jm_engine *engine) { jm_free(engine); }

/* The devices that can be asked for. */
static const struct {
  const char *backend, *kind, *version;
  const jm_target *target;
  const jm_c_dialect *dialect;
} devices[] = {
    {"metal", "an Apple GPU", "none here, planned for an Apple GPU (metal)", &jm_target_metal,
     &jm_c_metal},
    {"cuda", "an NVIDIA GPU", "none here, planned for an NVIDIA GPU (cuda)", &jm_target_cuda,
     &jm_c_cuda},
};

jm_error *jm_mlx_offline_create(const char *name, jm_engine **out) {
  size_t i = 0;
  while (i < sizeof devices / sizeof *devices && strcmp(devices[i].backend, name)) i++;
  if (i == sizeof devices / sizeof *devices)
    return jm_error_invalid("\"%.40s\" is no device to explain for: there are metal and cuda",
                            name);
  offline_engine *e = jm_alloc(1, sizeof *e);
  if (!e) return jm_error_out_of_memory();
  e->base = (jm_engine){
      .fact = {.name = "mlx", .device_kind = devices[i].kind, .version = devices[i].version},
      .backend = &backend,
      .destroy = destroy};
  e->device.is_gpu = true;
  e->device.rounds_to_tf32 =
      devices[i].target == &jm_target_cuda && !jm_setting_has_word(JM_SETTING_TF32, "0");
  snprintf(e->device.kind, sizeof e->device.kind, "%s", devices[i].kind);
  snprintf(e->device.backend, sizeof e->device.backend, "%s", name);
  e->target = *devices[i].target;
  e->target.rounds_to_tf32 = e->device.rounds_to_tf32;
  e->dialect = devices[i].dialect;
  *out = &e->base;
  return NULL;
}
