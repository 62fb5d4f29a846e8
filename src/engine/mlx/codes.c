/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/codes.h"

#include <string.h>

#include "engine/host/library/library.h"
#include "engine/mlx/device_code.h"
#include "engine/mlx/kernels.h"
#include "engine/mlx/user_kernels.h"
#include "engine/user_kernel.h"
#include "ir/collective.h"
#include "ir/print.h"

/* Does MLX make a new array of the result's size, whatever its operands are? */
static bool makes_array(const jm_op *op) {
  return op->code == JM_OP_dot_general || op->code == JM_OP_convolution;
}

static jm_error *code_build(const jm_module *m, const jm_op *op, const jm_group_code *group,
                            jm_mlx_code *code) {
  code->group = group;
  if (group) {
    code->lower = jm_lower_kernels;
    code->base.place = "kernels of ours";
    code->base.name = group->schedule->name;
    code->base.n_kernels = group->schedule->n_launches;
    code->base.allocates = true;
    return NULL;
  }
  if (jm_op_is_user_kernel(op)) {
    code->lower = jm_lower_user_kernel;
    code->device_only = true;
    code->base.place = "kernels of the user's";
    code->base.n_kernels = 1;
    code->base.allocates = true;
    return NULL;
  }
  code->lower = jm_lower_find(m, op);
  code->is_collective = jm_op_is_collective(op);
  code->base.place = code->lower && !code->is_collective ? "MLX" : "the host";
  if (code->is_collective && m->n_replicas * m->n_partitions > 1)
    code->base.place = "the processes";
  code->base.allocates = code->lower && makes_array(op);
  if (!code->lower || code->is_collective) JM_TRY(jm_library_check(m, op));
  if (op->code == JM_OP_fusion) code->base.name = ((const jm_fusion_attrs *)op->attrs)->kind.bytes;
  return NULL;
}

jm_error *jm_mlx_codes_build(const jm_module *m, const jm_groups *groups, jm_arena *arena,
                             jm_mlx_code **out) {
  *out = jm_arena_alloc(arena, m->n_ops, sizeof **out);
  if (!*out) return jm_error_out_of_memory();
  for (jm_op_id id = 0; id < m->n_ops; id++)
    JM_TRY(code_build(m, jm_module_op(m, id), jm_groups_find(groups, id), &(*out)[id]));
  return NULL;
}

/* -- for people */

/* A text's lines, indented. */
static void print_lines(const char *at, uint32_t depth, jm_text *text) {
  while (*at) {
    const size_t size = strcspn(at, "\n");
    jm_text_printf(text, "%*s", 2 * (int)depth, "");
    jm_text_append(text, at, size);
    jm_text_append(text, "\n", 1);
    at += size + (at[size] == '\n');
  }
}

/* "in0 is %5, out0 is temporary 0": what a launch's buffers are. */
static void print_buffers(const jm_module *m, const jm_op *op, const jm_launch *launch,
                          jm_text *text) {
  uint32_t n = 0, of[2] = {0};
  for (uint32_t i = 0; i < launch->kernel->n_params; i++) {
    const jm_kparam *param = &launch->kernel->params[i];
    if (param->space != JM_SPACE_GLOBAL) continue;
    const jm_launch_argument *argument = &launch->arguments[n++];
    jm_text_printf(text, "%s%s%u is ", n > 1 ? ", " : "", param->written ? "out" : "in",
                   of[param->written]++);
    if (argument->memory == JM_LAUNCH_TEMPORARY)
      jm_text_printf(text, "temporary %u", argument->index);
    else if (argument->memory == JM_LAUNCH_RESULT)
      jm_text_printf(text, "%%%u", op->first_result + argument->index);
    else
      jm_values_print(m, &op->operands[argument->index], 1, text);
  }
}

static void print_launch(const jm_mlx_code *code, uint32_t i, const jm_c_dialect *dialect,
                         const jm_module *m, const jm_op *op, uint32_t depth, jm_text *text) {
  const jm_launch *launch = &code->group->schedule->launches[i];
  const jm_kernel *kernel = launch->kernel;
  size_t bytes[2] = {0};
  for (uint32_t p = 0; p < kernel->n_params; p++)
    if (kernel->params[p].space == JM_SPACE_GLOBAL)
      bytes[kernel->params[p].written] +=
          (size_t)kernel->params[p].elements * jm_ktype_bytes[kernel->params[p].element];
  jm_text_printf(text,
                 "%*slaunch %u of %u, %s: groups %lld, threads of each %u, shared bytes %zu; ",
                 2 * (int)depth, "", i + 1, code->base.n_kernels, code->base.name,
                 (long long)kernel->chunks, jm_c_threads(kernel), jm_c_shared_bytes(kernel));
  jm_text_printf(text, "buffers of %zu bytes read, of %zu written\n%*s", bytes[0], bytes[1],
                 2 * (int)depth + 2, "");
  print_buffers(m, op, launch, text);
  jm_text_printf(text, "\n");
  jm_text source;
  jm_text_init(&source);
  jm_error *error = jm_device_code_print(dialect, kernel, &source);
  if (!error) error = jm_text_error(&source);
  print_lines(error ? jm_error_message(error) : jm_text_bytes(&source), depth + 1, text);
  jm_error_destroy(error);
  jm_text_deinit(&source);
}

static void print_user_kernel(const jm_c_dialect *dialect, const jm_module *m, const jm_op *op,
                              uint32_t depth, jm_text *text) {
  jm_user_kernel kernel;
  jm_arena arena;
  jm_arena_init(&arena);
  jm_error *error = jm_user_kernel_read(m, op, &arena, &kernel);
  const jm_user_language language = dialect == &jm_c_cuda ? JM_USER_CUDA : JM_USER_METAL;
  if (error) {
    print_lines(jm_error_message(error), depth, text);
  } else {
    jm_text_printf(text,
                   "%*slaunch 1 of 1, kernel %s: threads %u x %u x %u, of a group %u x %u x %u\n",
                   2 * (int)depth, "", kernel.name, kernel.grid[0], kernel.grid[1], kernel.grid[2],
                   kernel.group[0], kernel.group[1], kernel.group[2]);
    print_lines(kernel.headers[language].size ? kernel.headers[language].bytes : "", depth + 1,
                text);
    print_lines(kernel.sources[language].bytes, depth + 1, text);
  }
  jm_error_destroy(error);
  jm_arena_deinit(&arena);
}

void jm_mlx_code_print(const jm_mlx_code *code, const jm_c_dialect *dialect, const jm_module *m,
                       const jm_op *op, uint32_t depth, jm_text *text) {
  if (code->device_only) print_user_kernel(dialect, m, op, depth, text);
  for (uint32_t i = 0; code->group && i < code->base.n_kernels; i++)
    print_launch(code, i, dialect, m, op, depth, text);
}
