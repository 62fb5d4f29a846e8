/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/user_kernels.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "base/hash.h"
#include "engine/mlx/lower_rules.h"
#include "engine/user_kernel.h"

typedef struct entry {
  jm_op_id op;
  jm_mlx_kernel *kernel;
} entry;

struct jm_mlx_user_kernels {
  const jm_mlx_api *api;
  jm_arena arena;
  entry *entries; /* in the order of ops */
  uint32_t n;
};

/* The language of a GPU's sources. */
static uint32_t language_of(const jm_mlx_device_fact *device) {
  uint32_t i = 0;
  while (i < JM_N_USER_LANGUAGES && strcmp(jm_user_languages[i], device->backend)) i++;
  return device->is_gpu ? i : JM_N_USER_LANGUAGES;
}

static jm_error *check_types(const jm_module *m, const jm_op *op, const char *name,
                             const char *device) {
  for (uint32_t i = 0; i < op->n_operands + op->n_results; i++) {
    const bool in = i < op->n_operands;
    const uint32_t n = in ? i : i - op->n_operands;
    if (jm_lower_type_supported(in ? jm_op_operand_type(m, op, n) : jm_op_result_type(m, op, n)))
      continue;
    return jm_op_error(m, op, JM_UNIMPLEMENTED,
                       "kernel \"%s\": the type of %s %u, or no elements, on the device \"%s\"",
                       name, in ? "operand" : "result", n, device);
  }
  return NULL;
}

jm_error *jm_mlx_user_kernel_check(const jm_mlx_device_fact *device, const jm_module *m,
                                   const jm_op *call) {
  const uint32_t language = language_of(device);
  jm_user_kernel kernel;
  jm_arena arena;
  jm_arena_init(&arena);
  jm_error *error = jm_user_kernel_read(m, call, &arena, &kernel);
  if (!error && (language == JM_N_USER_LANGUAGES || !kernel.sources[language].size))
    error = jm_user_kernel_refuse(m, call, device->kind);
  if (!error) error = check_types(m, call, kernel.name, device->kind);
  jm_arena_deinit(&arena);
  return error;
}

/* Of all that the function's text depends on: MLX and the driver cache by name. */
static uint64_t hash_kernel(const jm_module *m, const jm_op *op, const jm_user_kernel *kernel,
                            uint32_t language) {
  uint64_t hash = jm_hash_bytes(kernel->sources[language].bytes, kernel->sources[language].size);
  const jm_str *header = &kernel->headers[language];
  if (header->size) hash = jm_hash_mix(hash, jm_hash_bytes(header->bytes, header->size));
  for (uint32_t i = 0; i < op->n_operands + op->n_results; i++) {
    const bool in = i < op->n_operands;
    const uint32_t n = in ? i : i - op->n_operands;
    const jm_type *type = in ? jm_op_operand_type(m, op, n) : jm_op_result_type(m, op, n);
    const char *name = in ? kernel->in[n] : kernel->out[n];
    hash = jm_hash_mix(hash, jm_hash_bytes(name, strlen(name)));
    hash = jm_hash_mix(jm_hash_mix(hash, type->dtype), type->rank);
    for (uint32_t d = 0; d < type->rank; d++) hash = jm_hash_mix(hash, (uint64_t)type->dims[d]);
  }
  return hash;
}

static jm_error *describe_outputs(jm_arena *arena, const jm_module *m, const jm_op *op,
                                  jm_mlx_buffer **out) {
  *out = jm_arena_alloc(arena, op->n_results, sizeof **out);
  if (!*out) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < op->n_results; i++) {
    const jm_type *type = jm_op_result_type(m, op, i);
    int32_t *shape = jm_arena_alloc(arena, type->rank + 1u, sizeof *shape);
    if (!shape) return jm_error_out_of_memory();
    for (uint32_t d = 0; d < type->rank; d++) shape[d] = (int32_t)type->dims[d];
    (*out)[i] = (jm_mlx_buffer){type->dtype, shape, (int)type->rank};
  }
  return NULL;
}

static jm_error *kernel_create(jm_mlx_user_kernels *k, uint32_t language, const jm_module *m,
                               const jm_op *op, jm_mlx_kernel **out) {
  jm_user_kernel kernel;
  jm_mlx_buffer *outputs;
  char name[192]; /* an identifier of at most 128 characters, and a hash */
  JM_TRY(jm_user_kernel_read(m, op, &k->arena, &kernel));
  JM_TRY(describe_outputs(&k->arena, m, op, &outputs));
  snprintf(name, sizeof name, "user_%s_%016" PRIx64, kernel.name,
           hash_kernel(m, op, &kernel, language));
  jm_mlx_kernel_spec spec = {.name = name,
                             .code = kernel.sources[language].bytes,
                             .code_bytes = kernel.sources[language].size,
                             .is_text = true,
                             .header = kernel.headers[language].bytes,
                             .in = kernel.in,
                             .out = kernel.out,
                             .n_in = op->n_operands,
                             .n_out = op->n_results,
                             .outputs = outputs};
  memcpy(spec.grid, kernel.grid, sizeof spec.grid);
  memcpy(spec.group, kernel.group, sizeof spec.group);
  return k->api->kernel_create(&spec, out);
}

static jm_error *fill(jm_mlx_user_kernels *k, const jm_mlx_device_fact *device,
                      const jm_module *m) {
  uint32_t n = 0;
  for (jm_op_id id = 0; id < m->n_ops; id++) n += jm_op_is_user_kernel(jm_module_op(m, id));
  k->entries = jm_arena_alloc(&k->arena, n, sizeof *k->entries);
  if (!k->entries) return jm_error_out_of_memory();
  for (jm_op_id id = 0; id < m->n_ops; id++) {
    const jm_op *op = jm_module_op(m, id);
    if (!jm_op_is_user_kernel(op)) continue;
    JM_TRY(jm_mlx_user_kernel_check(device, m, op));
    k->entries[k->n].op = id;
    JM_TRY(kernel_create(k, language_of(device), m, op, &k->entries[k->n].kernel));
    k->n++;
  }
  return NULL;
}

jm_error *jm_mlx_user_kernels_create(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                                     const jm_module *m, jm_mlx_user_kernels **out) {
  *out = NULL;
  jm_op_id id = 0;
  while (id < m->n_ops && !jm_op_is_user_kernel(jm_module_op(m, id))) id++;
  if (id == m->n_ops) return NULL;
  jm_mlx_user_kernels *k = jm_alloc(1, sizeof *k);
  if (!k) return jm_error_out_of_memory();
  k->api = api;
  jm_arena_init(&k->arena);
  jm_error *error = fill(k, device, m);
  if (error) {
    jm_mlx_user_kernels_destroy(k);
    return error;
  }
  *out = k;
  return NULL;
}

void jm_mlx_user_kernels_destroy(jm_mlx_user_kernels *k) {
  if (!k) return;
  for (uint32_t i = 0; i < k->n; i++) k->api->kernel_release(k->entries[i].kernel);
  jm_arena_deinit(&k->arena);
  jm_free(k);
}

static jm_mlx_kernel *find(const jm_mlx_user_kernels *k, jm_op_id op) {
  uint32_t low = 0, high = k->n;
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    *(k->entries[middle].op <= op ? &low : &high) = middle;
  }
  return k->entries[low].kernel;
}

void jm_lower_user_kernel(jm_lowering *l) {
  jm_mlx_array *in[JM_USER_KERNEL_BUFFERS];
  for (uint32_t i = 0; i < l->op->n_operands; i++) in[i] = jm_lower_array(l, i);
  if (l->error) return;
  jm_counter_add(JM_COUNTER_device_launches, 1);
  jm_lower_fail(l, l->api->kernel_launch(find(l->user_kernels, (jm_op_id)(l->op - l->module->ops)),
                                         in, l->out));
  for (uint32_t i = 0; i < l->op->n_results; i++)
    if (l->out[i]) jm_lower_keep(l, l->out[i]);
}
