/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/kernels.h"

#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "base/settings.h"
#include "engine/host/jit.h"
#include "engine/mlx/compare.h"
#include "engine/mlx/device_code.h"
#include "engine/mlx/lower_rules.h"
#include "engine/mlx/nvrtc.h"
#include "kernel/print/c.h"
#include "kernel/schedule/traffic.h"

enum { MOST_ARRAYS = 64 }; /* of a group, and of a launch: grouping stays far below */

/* A launch: which arrays go into MLX's kernel, inputs before outputs. */
typedef struct launch {
  jm_mlx_kernel *kernel;
  const jm_launch_argument **in, **out;
  bool *shaped; /* per output: somebody asked for its shape */
  uint32_t n_in, n_out;
} launch;

struct jm_mlx_kernels {
  const jm_mlx_api *api;
  const jm_module *module;
  const jm_target *target;
  jm_arena arena;
  jm_groups *groups;
  launch **launches;   /* per group: of its schedule */
  jm_traffic *traffic; /* per group */
  bool on_host;        /* codes are jm_jit_code, not jm_device_code */
  bool compares;       /* JAX_MPS_DEBUG=compare */
  bool flushes;        /* the device may take subnormal numbers for zero */
};

/* -- the target */

jm_target jm_mlx_kernels_target(const jm_mlx_device_fact *device, const char **why) {
  const char *name = device->backend;
  if (!device->is_gpu) name = jm_setting_has_word(JM_SETTING_KERNELS, "cuda") ? "cuda" : "metal";
  jm_target target = strcmp(name, "cuda") ? jm_target_metal : jm_target_cuda;
  target.rounds_to_tf32 = device->rounds_to_tf32;
  target.may_alias = !device->is_gpu; /* a launch of the CPU device is a primitive of ours */
  *why = "JAX_MPS_KERNELS=0";
  if (jm_setting_has_word(JM_SETTING_KERNELS, "0"))
    target.has_kernels = false;
  else if (!strcmp(name, "cuda") && device->is_gpu)
    target.has_kernels = jm_nvrtc_load(why);
  else if (!device->is_gpu)
    target.has_kernels = jm_jit_find_target(why) != NULL;
  return target;
}

/* -- MLX's CPU device: compiled code of the host, run on MLX's thread */

typedef struct host_launch {
  jm_jit_code *code;
  int64_t chunks, grain;
  size_t scratch_bytes;
  uint32_t n_buffers;
  uint32_t *place; /* per GLOBAL parameter: among MLX's buffers, inputs before outputs */
} host_launch;

typedef struct host_run {
  const host_launch *launch;
  jm_kernel_fn *function;
  void **buffers;
  atomic_bool out_of_memory;
} host_run;

static void host_range(void *context, size_t begin, size_t end) {
  host_run *run = context;
  void *scratch = NULL;
  if (run->launch->scratch_bytes && !(scratch = jm_scratch_take(run->launch->scratch_bytes))) {
    atomic_store_explicit(&run->out_of_memory, true, memory_order_relaxed);
    return;
  }
  run->function(run->buffers, scratch, (int64_t)begin, (int64_t)end, NULL);
  jm_scratch_give(scratch);
}

static jm_error *host_launch_run(void *context, void *const *given) {
  const host_launch *launch = context;
  host_run run = {.launch = launch,
                  .function = jm_jit_code_function(launch->code),
                  .buffers = jm_alloc(launch->n_buffers, sizeof *run.buffers)};
  if (!run.buffers) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < launch->n_buffers; i++) run.buffers[i] = given[launch->place[i]];
  jm_parallel_for((size_t)launch->chunks, (size_t)launch->grain, host_range, &run);
  jm_free(run.buffers);
  return run.out_of_memory ? jm_error_out_of_memory() : NULL;
}

static void host_launch_release(void *context) {
  host_launch *launch = context;
  if (!launch) return;
  jm_jit_code_release(launch->code);
  jm_free(launch->place);
  jm_free(launch);
}

static jm_error *host_launch_create(const jm_kernel *kernel, jm_jit_code *code, host_launch **out) {
  host_launch *launch = jm_alloc(1, sizeof *launch);
  uint32_t *place = jm_alloc(kernel->n_params, sizeof *place);
  if (!launch || !place) {
    jm_free(launch);
    jm_free(place);
    return jm_error_out_of_memory();
  }
  *launch = (host_launch){.code = code,
                          .chunks = kernel->chunks,
                          .grain = kernel->grain,
                          .scratch_bytes = jm_kernel_scratch_bytes(kernel),
                          .place = place};
  uint32_t n_in = 0, in = 0, written = 0;
  for (uint32_t i = 0; i < kernel->n_params; i++)
    n_in += kernel->params[i].space == JM_SPACE_GLOBAL && !kernel->params[i].written;
  for (uint32_t i = 0; i < kernel->n_params; i++) {
    if (kernel->params[i].space != JM_SPACE_GLOBAL) continue;
    place[launch->n_buffers++] = kernel->params[i].written ? n_in + written++ : in++;
  }
  *out = launch;
  return NULL;
}

/* -- launches */

/* The array type of a parameter that is not a result of the op: words, as the kernel sees them. */
static jm_dtype word_dtype(jm_ktype type) {
  static const jm_dtype words[JM_N_KTYPES] = {
      [JM_KT_i8] = JM_DT_u8,   [JM_KT_i16] = JM_DT_u16, [JM_KT_i32] = JM_DT_s32,
      [JM_KT_i64] = JM_DT_s64, [JM_KT_f32] = JM_DT_f32, [JM_KT_f64] = JM_DT_f64};
  return words[type];
}

static jm_error *buffer_describe(jm_mlx_kernels *k, const jm_op *op, const jm_kparam *param,
                                 const jm_launch_argument *argument, jm_mlx_buffer *out) {
  const bool result = argument->memory == JM_LAUNCH_RESULT;
  const jm_type *type = result ? jm_op_result_type(k->module, op, argument->index) : NULL;
  const uint32_t rank = result ? type->rank : 1;
  int32_t *shape = jm_arena_alloc(&k->arena, rank ? rank : 1, sizeof *shape);
  if (!shape) return jm_error_out_of_memory();
  for (uint32_t d = 0; d < rank; d++) {
    const int64_t size = result ? type->dims[d] : param->elements;
    if (size > INT32_MAX)
      return jm_op_error(k->module, op, JM_UNIMPLEMENTED,
                         "a buffer with a dimension of %lld, MLX counts in 32 bits",
                         (long long)size);
    shape[d] = (int32_t)size;
  }
  *out = (jm_mlx_buffer){result ? type->dtype : word_dtype(param->element), shape, (int)rank};
  return NULL;
}

/* The input of the same alias class as a written parameter, -1: none. */
static int32_t find_reuse(const jm_kernel *kernel, const jm_kparam *written) {
  int32_t in = 0;
  for (uint32_t i = 0; written->alias && i < kernel->n_params; i++) {
    const jm_kparam *param = &kernel->params[i];
    if (param->space != JM_SPACE_GLOBAL || param->written) continue;
    if (param->alias == written->alias) return in;
    in++;
  }
  return -1;
}

/* Parameters in order, the unwritten ones first. */
static jm_error *arguments_sort(jm_mlx_kernels *k, const jm_op *op, const jm_launch *from,
                                launch *to, jm_mlx_buffer **outputs, int32_t **reuse) {
  const jm_kernel *kernel = from->kernel;
  to->in = jm_arena_alloc(&k->arena, kernel->n_params, sizeof *to->in);
  to->out = jm_arena_alloc(&k->arena, kernel->n_params, sizeof *to->out);
  to->shaped = jm_arena_alloc(&k->arena, kernel->n_params, sizeof *to->shaped);
  *outputs = jm_arena_alloc(&k->arena, kernel->n_params, sizeof **outputs);
  *reuse = jm_arena_alloc(&k->arena, kernel->n_params, sizeof **reuse);
  if (!to->in || !to->out || !to->shaped || !*outputs || !*reuse) return jm_error_out_of_memory();
  uint32_t n = 0;
  for (uint32_t i = 0; i < kernel->n_params; i++) {
    const jm_kparam *param = &kernel->params[i];
    if (param->space != JM_SPACE_GLOBAL) continue;
    const jm_launch_argument *argument = &from->arguments[n++];
    if (param->written) {
      JM_TRY(buffer_describe(k, op, param, argument, &(*outputs)[to->n_out]));
      (*reuse)[to->n_out] = find_reuse(kernel, param);
      to->out[to->n_out++] = argument;
    } else {
      to->in[to->n_in++] = argument;
    }
  }
  return NULL;
}

/* "raw_in0", "raw_in1", ...: see jm_device_code_print. */
static jm_error *names_create(jm_mlx_kernels *k, const char *prefix, uint32_t n,
                              const char *const **out) {
  enum { SIZE = 24 };
  const char **names = jm_arena_alloc(&k->arena, n + 1u, sizeof *names);
  char *bytes = jm_arena_alloc(&k->arena, n + 1u, SIZE);
  if (!names || !bytes) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) {
    snprintf(bytes + (size_t)i * SIZE, SIZE, "%s%u", prefix, i);
    names[i] = bytes + (size_t)i * SIZE;
  }
  *out = names;
  return NULL;
}

/* The code's reference goes to the launch where that runs on the host. */
static jm_error *launch_create(jm_mlx_kernels *k, const jm_op *op, const jm_launch *from,
                               void **code, launch *to) {
  jm_mlx_buffer *outputs;
  int32_t *reuse;
  const uint32_t threads = jm_kernel_threads(from->kernel), lanes = threads ? threads : 1;
  const int64_t chunks = from->kernel->chunks, most = k->target->max_groups;
  JM_TRY(arguments_sort(k, op, from, to, &outputs, &reuse));
  jm_mlx_kernel_spec spec = {.n_in = to->n_in,
                             .n_out = to->n_out,
                             .outputs = outputs,
                             .reuse = reuse,
                             .grid = {(uint32_t)(chunks < most ? chunks : most) * lanes, 1, 1},
                             .group = {lanes, 1, 1}};
  if (k->on_host) {
    host_launch *host;
    JM_TRY(host_launch_create(from->kernel, *code, &host));
    *code = NULL;
    spec.name = "jm_host";
    spec.run = host_launch_run;
    spec.context_release = host_launch_release;
    spec.context = host;
  } else {
    const jm_device_code *device = *code;
    spec.name = device->name;
    spec.code = device->code ? device->code : device->text;
    spec.code_bytes = device->code ? device->code_bytes : strlen(device->text);
    spec.is_text = !device->code;
    spec.header = device->code ? NULL : jm_c_metal.prelude;
    JM_TRY(names_create(k, "raw_in", to->n_in, &spec.in));
    JM_TRY(names_create(k, "raw_out", to->n_out, &spec.out));
  }
  return k->api->kernel_create(&spec, &to->kernel);
}

/* No output is written by two launches, because MLX's arrays are immutable. */
static jm_error *group_check(const jm_mlx_kernels *k, const jm_group_code *group) {
  const jm_op *op = jm_module_op(k->module, group->op);
  const jm_schedule *schedule = group->schedule;
  bool results[MOST_ARRAYS] = {false}, temporaries[MOST_ARRAYS] = {false};
  if (op->n_operands > MOST_ARRAYS || op->n_results > MOST_ARRAYS ||
      schedule->n_temporaries > MOST_ARRAYS)
    return jm_op_error(k->module, op, JM_INTERNAL, "a group of more than %d arrays", MOST_ARRAYS);
  for (uint32_t i = 0; i < schedule->n_launches; i++) {
    const jm_kernel *kernel = schedule->launches[i].kernel;
    for (uint32_t p = 0, n = 0; p < kernel->n_params; p++) {
      if (kernel->params[p].space != JM_SPACE_GLOBAL) continue;
      const jm_launch_argument *argument = &schedule->launches[i].arguments[n++];
      if (!kernel->params[p].written) continue;
      bool *written = argument->memory == JM_LAUNCH_RESULT ? results : temporaries;
      if (argument->memory == JM_LAUNCH_OPERAND || written[argument->index])
        return jm_op_error(k->module, op, JM_INTERNAL, "launch %u of schedule %s writes again", i,
                           schedule->name);
      written[argument->index] = true;
    }
  }
  return NULL;
}

static jm_error *launches_create(jm_mlx_kernels *k) {
  k->launches = jm_arena_alloc(&k->arena, k->groups->n_groups, sizeof *k->launches);
  k->traffic = jm_arena_alloc(&k->arena, k->groups->n_groups, sizeof *k->traffic);
  if (!k->launches || !k->traffic) return jm_error_out_of_memory();
  for (uint32_t g = 0; g < k->groups->n_groups; g++) {
    const jm_group_code *group = &k->groups->groups[g];
    const uint32_t n = group->schedule->n_launches;
    JM_TRY(group_check(k, group));
    JM_TRY(jm_traffic_count(jm_module_op(k->module, group->op), group->schedule, &k->traffic[g]));
    k->launches[g] = jm_arena_alloc(&k->arena, n, sizeof *k->launches[g]);
    if (!k->launches[g]) return jm_error_out_of_memory();
    for (uint32_t i = 0; i < n; i++)
      JM_TRY(launch_create(k, jm_module_op(k->module, group->op), &group->schedule->launches[i],
                           &group->codes[i], &k->launches[g][i]));
  }
  return NULL;
}

/* -- programs */

static jm_error *compile_for_host(void *context, const jm_kernel *const *kernels, uint32_t n,
                                  void **codes) {
  (void)context;
  return jm_jit_compile(kernels, n, NULL, (jm_jit_code **)codes);
}

static jm_error *compile_for_device(void *context, const jm_kernel *const *kernels, uint32_t n,
                                    void **codes) {
  return jm_device_code_create(context, kernels, n, (jm_device_code **)codes);
}

static void host_code_release(void *code) { jm_jit_code_release(code); }
static void device_code_release(void *code) { jm_device_code_release(code); }

static jm_error *build(jm_mlx_kernels *k, const jm_mlx_device_fact *device) {
  JM_TRY(jm_groups_schedule(k->module, k->target, &k->groups));
  JM_TRY(jm_groups_compile(k->groups, k->on_host ? compile_for_host : compile_for_device,
                           (void *)device));
  return launches_create(k);
}

jm_error *jm_mlx_kernels_create(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                                const jm_target *target, const jm_module *module,
                                jm_mlx_kernels **out) {
  jm_mlx_kernels *k = jm_alloc(1, sizeof *k);
  if (!k) return jm_error_out_of_memory();
  *k = (jm_mlx_kernels){.api = api,
                        .module = module,
                        .target = target,
                        .on_host = !device->is_gpu,
                        .compares = jm_setting_has_word(JM_SETTING_DEBUG, "compare"),
                        .flushes = !strcmp(device->backend, "metal")};
  jm_arena_init(&k->arena);
  jm_error *error = build(k, device);
  if (error) {
    jm_mlx_kernels_destroy(k);
    return error;
  }
  *out = k;
  return NULL;
}

void jm_mlx_kernels_destroy(jm_mlx_kernels *k) {
  if (!k) return;
  for (uint32_t g = 0; k->launches && g < k->groups->n_groups; g++)
    for (uint32_t i = 0; k->launches[g] && i < k->groups->groups[g].schedule->n_launches; i++)
      if (k->launches[g][i].kernel) k->api->kernel_release(k->launches[g][i].kernel);
  jm_groups_destroy(k->groups, k->on_host ? host_code_release : device_code_release);
  jm_arena_deinit(&k->arena);
  jm_free(k);
}

const jm_groups *jm_mlx_kernels_groups(const jm_mlx_kernels *kernels) {
  return kernels ? kernels->groups : NULL;
}

/* -- shapes */

static void output_shape(jm_mlx_kernels *k, launch *l, uint32_t result, const int64_t *dims,
                         uint32_t rank) {
  int32_t shape[JM_RANK_MAX];
  for (uint32_t d = 0; d < rank; d++) shape[d] = (int32_t)dims[d];
  for (uint32_t i = 0; i < l->n_out; i++) {
    if (l->out[i]->memory != JM_LAUNCH_RESULT || l->out[i]->index != result || l->shaped[i])
      continue;
    l->shaped[i] = true;
    k->api->kernel_shape(l->kernel, i, shape, (int)rank);
  }
}

void jm_mlx_kernels_shape(jm_mlx_kernels *k, jm_value result, const int64_t *dims, uint32_t rank) {
  const jm_op *op = k ? jm_module_definition(k->module, result) : NULL;
  while (op && op->code == JM_OP_reshape) { /* gives its operand's array */
    result = op->operands[0];
    op = jm_module_definition(k->module, result);
  }
  const jm_group_code *group =
      op ? jm_groups_find(k->groups, (jm_op_id)(op - k->module->ops)) : NULL;
  for (uint32_t i = 0; group && rank <= JM_RANK_MAX && i < group->schedule->n_launches; i++)
    output_shape(k, &k->launches[group - k->groups->groups][i], result - op->first_result, dims,
                 rank);
}

/* -- launching */

/* The arrays of one run of a group. */
typedef struct arrays {
  jm_mlx_array *const *operands;
  jm_mlx_array **results, **temporaries;
} arrays;

static jm_mlx_array **place_of(const arrays *a, const jm_launch_argument *argument) {
  return argument->memory == JM_LAUNCH_RESULT ? &a->results[argument->index]
                                              : &a->temporaries[argument->index];
}

static jm_error *launch_run(const jm_mlx_kernels *k, const launch *l, const arrays *a,
                            jm_mlx_array **in, jm_mlx_array **out) {
  for (uint32_t i = 0; i < l->n_in; i++)
    in[i] = l->in[i]->memory == JM_LAUNCH_OPERAND ? a->operands[l->in[i]->index]
                                                  : *place_of(a, l->in[i]);
  jm_counter_add(JM_COUNTER_device_launches, 1);
  JM_TRY(k->api->kernel_launch(l->kernel, in, out));
  for (uint32_t i = 0; i < l->n_out; i++) *place_of(a, l->out[i]) = out[i];
  return NULL;
}

jm_error *jm_mlx_group_run(jm_mlx_kernels *k, jm_op_id op, jm_mlx_array *const *operands,
                           jm_mlx_array **results) {
  const jm_group_code *group = jm_groups_find(k->groups, op);
  const jm_schedule *schedule = group->schedule;
  const launch *launches = k->launches[group - k->groups->groups];
  const jm_traffic *traffic = &k->traffic[group - k->groups->groups];
  jm_mlx_array *read[MOST_ARRAYS], *written[MOST_ARRAYS], *temporaries[MOST_ARRAYS] = {NULL};
  const arrays a = {operands, results, temporaries};
  jm_error *error = NULL;
  for (uint32_t i = 0; !error && i < schedule->n_launches; i++)
    error = launch_run(k, &launches[i], &a, read, written);
  jm_counter_add(JM_COUNTER_device_bytes, traffic->moved);
  jm_counter_add(JM_COUNTER_device_least_bytes, traffic->least);
  for (uint32_t i = 0; i < schedule->n_temporaries; i++) k->api->array_release(temporaries[i]);
  return error;
}

static jm_error *group_lower(jm_mlx_kernels *k, jm_op_id op, jm_mlx_array *const *operands,
                             jm_mlx_array **results) {
  JM_TRY(jm_mlx_group_run(k, op, operands, results));
  return k->compares ? jm_mlx_compare(k->api, k->flushes, k->module, jm_groups_find(k->groups, op),
                                      operands, results)
                     : NULL;
}

void jm_lower_kernels(jm_lowering *l) {
  const jm_op_id id = (jm_op_id)(l->op - l->module->ops);
  jm_mlx_array *operands[MOST_ARRAYS];
  for (uint32_t i = 0; i < l->op->n_operands; i++) operands[i] = jm_lower_elements(l, i);
  if (l->error) return;
  jm_lower_fail(l, group_lower(l->kernels, id, operands, l->out));
  for (uint32_t i = 0; i < l->op->n_results; i++)
    if (l->out[i]) jm_lower_keep(l, l->out[i]);
}
