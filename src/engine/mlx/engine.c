/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/settings.h"
#include "engine/mlx/device_check.h"
#include "engine/mlx/distributed.h"
#include "engine/mlx/execute.h"
#include "engine/mlx/library.h"
#include "engine/mlx/planning.h"

/* Blocking in CUDA's driver takes 20 to 60 us longer than polling, 1 % of this. */
enum { POLL_NS = 5000000 };

typedef struct mlx_engine {
  jm_mlx_device device; /* first: it is the jm_engine */
  const jm_mlx_api *api;
  jm_mlx_link link; /* to the other processes */
  char version[64];
} mlx_engine;

static mlx_engine *engine_of(jm_engine *engine) { return (mlx_engine *)engine; }

/* -- the backend */

static jm_error *compile(jm_engine *engine, const jm_module *module, jm_engine_code *code,
                         void **out) {
  (void)code;
  const mlx_engine *e = engine_of(engine);
  jm_mlx_program *program;
  JM_TRY(jm_mlx_program_create(e->api, &e->device.fact, &e->device.target, module, &program));
  *out = program;
  return NULL;
}

static void compiled_destroy(jm_engine *engine, void *compiled) {
  jm_mlx_program_destroy(engine_of(engine)->api, compiled);
}

static const jm_step_code *bind(void *compiled, jm_op_id op) {
  return &((const jm_mlx_program *)compiled)->codes[op].base;
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

/* -- the engine */

static jm_error *run(jm_engine *engine, void *compiled, const jm_plan *plan,
                     const jm_engine_run *run) {
  const mlx_engine *e = engine_of(engine);
  const bool is_joined = run->context && run->context->is_joined;
  return jm_mlx_program_run(e->api, is_joined ? &e->link : NULL, compiled, plan, run);
}

static jm_error *join(jm_engine *engine, uint32_t self, uint32_t n, const char *address) {
  mlx_engine *e = engine_of(engine);
  return jm_mlx_link_open(e->api, engine->fact.collectives, self, n, address, &e->link);
}

static bool fence_is_done(jm_engine *engine, jm_engine_fence *fence) {
  return engine_of(engine)->api->fence_is_done((jm_mlx_fence *)fence);
}

static jm_error *fence_wait(jm_engine *engine, jm_engine_fence *fence) {
  return engine_of(engine)->api->fence_wait((jm_mlx_fence *)fence);
}

static bool holds(const jm_type *type) { return jm_lower_type_supported(type); }

static jm_error *array_import(jm_engine *engine, const jm_type *type, const void *data,
                              jm_engine_array **out) {
  jm_mlx_array *array;
  JM_TRY(jm_lower_import(engine_of(engine)->api, type, data, &array));
  *out = (jm_engine_array *)array;
  return NULL;
}

static jm_error *array_export(jm_engine *engine, jm_engine_array *array, void *data,
                              size_t n_bytes) {
  return engine_of(engine)->api->array_export((jm_mlx_array *)array, data, n_bytes);
}

static jm_engine_array *array_retain(jm_engine *engine, jm_engine_array *array) {
  return (jm_engine_array *)engine_of(engine)->api->array_retain((jm_mlx_array *)array);
}

static void array_release(jm_engine *engine, jm_engine_array *array) {
  engine_of(engine)->api->array_release((jm_mlx_array *)array);
}

static void memory_read(jm_engine *engine, jm_engine_memory *out) {
  jm_mlx_memory memory;
  engine_of(engine)->api->memory_read(&memory);
  *out = (jm_engine_memory){memory.active, memory.peak, memory.cached};
}

static void destroy(jm_engine *engine) {
  mlx_engine *e = engine_of(engine);
  if (e->link.group) e->api->group_close(e->link.group);
  e->api->device_close();
  jm_free(e); /* the library stays loaded: MLX's own threads may still be in it */
}

static const jm_engine functions = {
    .backend = &backend,
    .run = run,
    .fence_is_done = fence_is_done,
    .fence_wait = fence_wait,
    .holds = holds,
    .array_import = array_import,
    .array_export = array_export,
    .array_retain = array_retain,
    .array_release = array_release,
    .join = join,
    .memory_read = memory_read,
    .destroy = destroy,
};

jm_error *jm_mlx_engine_create(bool gpu, jm_engine **out) {
  const jm_mlx_api *api;
  JM_TRY(jm_mlx_api_open(&api));
  mlx_engine *e = jm_alloc(1, sizeof *e);
  if (!e) return jm_error_out_of_memory();
  e->device.base = functions;
  e->api = api;
  const char *why, *tf32 = jm_setting_find(JM_SETTING_TF32);
  if (tf32) setenv("MLX_ENABLE_TF32", tf32, 1); /* MLX's own word for it */
  jm_error *error = api->device_open(gpu, &e->device.fact);
  if (error) {
    jm_free(e);
    return error;
  }
  e->device.target = jm_mlx_kernels_target(&e->device.fact, &why);
  if (e->device.fact.is_gpu && e->device.target.has_kernels && !jm_setting_find(JM_SETTING_KERNELS))
    e->device.target.has_kernels = jm_mlx_device_check(api, &e->device.fact, &e->device.target);
  const bool is_cuda = e->device.fact.is_gpu && !strcmp(e->device.fact.backend, "cuda");
  snprintf(e->version, sizeof e->version, "MLX %s (%s)", api->mlx_version, e->device.fact.backend);
  e->device.base.fact = (jm_engine_fact){.name = "mlx",
                                         .device_kind = e->device.fact.kind,
                                         .version = e->version,
                                         .collectives = jm_mlx_link_find(&e->device.fact),
                                         .identity = e->device.fact.identity,
                                         .memory_bytes = e->device.fact.memory_bytes,
                                         .poll_ns = is_cuda ? POLL_NS : 0};
  *out = &e->device.base;
  return NULL;
}
