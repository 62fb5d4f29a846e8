/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/offline.h"

#include <stdio.h>
#include <string.h>

#include "base/settings.h"
#include "engine/mlx/codes.h"
#include "engine/mlx/planning.h"

typedef struct offline_program {
  jm_arena arena;
  jm_groups *groups;
  jm_mlx_code *codes;
} offline_program;

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
  jm_arena_init(&program->arena);
  jm_error *error =
      jm_groups_schedule(module, &((const jm_mlx_device *)engine)->target, &program->groups);
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

static const jm_backend backend = {
    .expands = true,
    .find_target = jm_mlx_find_target,
    .describe_compiler = jm_mlx_describe_compiler,
    .takes_pattern = jm_mlx_takes_pattern,
    .check_kernel = jm_mlx_check_kernel,
    .compile = compile,
    .compiled_destroy = compiled_destroy,
    .bind = bind,
    .print_code = jm_mlx_print_code,
};

static void destroy(jm_engine *engine) { jm_free(engine); }

/* The devices that can be asked for. */
static const struct {
  const char *backend, *kind, *version;
  const jm_target *target;
} devices[] = {
    {"metal", "an Apple GPU", "none here, planned for an Apple GPU (metal)", &jm_target_metal},
    {"cuda", "an NVIDIA GPU", "none here, planned for an NVIDIA GPU (cuda)", &jm_target_cuda},
};

jm_error *jm_mlx_offline_create(const char *name, jm_engine **out) {
  size_t i = 0;
  while (i < sizeof devices / sizeof *devices && strcmp(devices[i].backend, name)) i++;
  if (i == sizeof devices / sizeof *devices)
    return jm_error_invalid("\"%.40s\" is no device to explain for: there are metal and cuda",
                            name);
  jm_mlx_device *e = jm_alloc(1, sizeof *e);
  if (!e) return jm_error_out_of_memory();
  e->base = (jm_engine){
      .fact = {.name = "mlx", .device_kind = devices[i].kind, .version = devices[i].version},
      .backend = &backend,
      .destroy = destroy};
  e->fact.is_gpu = true;
  e->fact.rounds_to_tf32 =
      devices[i].target == &jm_target_cuda && !jm_setting_has_word(JM_SETTING_TF32, "0");
  snprintf(e->fact.kind, sizeof e->fact.kind, "%s", devices[i].kind);
  snprintf(e->fact.backend, sizeof e->fact.backend, "%s", name);
  e->target = *devices[i].target;
  e->target.rounds_to_tf32 = e->fact.rounds_to_tf32;
  *out = &e->base;
  return NULL;
}
