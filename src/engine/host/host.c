/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/host.h"

#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/library.h"
#include "engine/host/library/scatter.h"

/* -- compiling */

/* context: the saved code, or NULL */
static jm_error *kernels_compile(void *context, const jm_kernel *const *kernels, uint32_t n,
                                 void **codes) {
  jm_jit_code **compiled = jm_alloc(n, sizeof *compiled);
  if (!compiled) return jm_error_out_of_memory();
  jm_error *error = jm_jit_compile(kernels, n, context, compiled);
  for (uint32_t i = 0; !error && i < n; i++) codes[i] = compiled[i];
  jm_free(compiled);
  return error;
}

static void code_release(void *code) { jm_jit_code_release(code); }

static jm_host_code code_make(const jm_module *m, const jm_op *op, const jm_group_code *group) {
  if (!group) {
    return (jm_host_code){.run = jm_library_find(m, op)};
  }
  const jm_schedule *schedule = group->schedule;
  return (jm_host_code){.base = {.name = schedule->name,
                                 .n_kernels = schedule->n_launches,
                                 .temporary_bytes = schedule->temporary_bytes,
                                 .n_temporaries = schedule->n_temporaries,
                                 .overwrites = schedule->reuse},
                        .group = group};
}

/* Code was saved that lacks a kernel, and there is no LLVM to compile it: no group is compiled. */
static jm_error *give_up_groups(jm_groups **groups, jm_error *error) {
  const char *why;
  if (!error || jm_jit_find_target(&why)) return error;
  jm_error_destroy(error);
  jm_groups_destroy(*groups, code_release);
  *groups = NULL;
  return NULL;
}

jm_error *jm_host_compile(const jm_module *m, const jm_target *target, jm_saved_code *saved,
                          jm_host_program **out) {
  jm_host_program *program = jm_alloc(1, sizeof *program);
  if (!program) return jm_error_out_of_memory();
  program->codes = jm_alloc(m->n_ops, sizeof *program->codes);
  jm_error *error = program->codes ? NULL : jm_error_out_of_memory();
  if (!error && target) error = jm_groups_schedule(m, target, &program->groups);
  if (!error && target) error = jm_groups_compile(program->groups, kernels_compile, saved);
  if (saved) error = give_up_groups(&program->groups, error);
  if (error) {
    jm_host_program_destroy(program);
    return error;
  }
  for (jm_op_id id = 0; id < m->n_ops; id++)
    program->codes[id] = code_make(m, jm_module_op(m, id), jm_groups_find(program->groups, id));
  *out = program;
  return NULL;
}

jm_error *jm_host_save(const jm_host_program *program, jm_text *out) {
  const jm_groups *groups = program->groups;
  if (!groups) return NULL;
  jm_jit_code **codes = jm_alloc(groups->n_launches, sizeof *codes);
  if (!codes) return jm_error_out_of_memory();
  uint32_t n = 0;
  for (uint32_t i = 0; i < groups->n_groups; i++)
    for (uint32_t l = 0; l < groups->groups[i].schedule->n_launches; l++)
      codes[n++] = groups->groups[i].codes[l];
  jm_error *error = jm_jit_save(codes, n, out);
  jm_free(codes);
  return error;
}

void jm_host_program_destroy(jm_host_program *program) {
  if (!program) return;
  jm_groups_destroy(program->groups, code_release);
  jm_free(program->codes);
  jm_free(program);
}

/* -- running */

enum {
  STACK_SCRATCH = 64 << 10, /* our threads' stacks are 8 MiB */
  STACK_BUFFERS = 64,
};

typedef struct launch {
  jm_kernel_fn *fn;
  void *const *buffers;
  size_t scratch_bytes;
  const atomic_bool *cancelled;
  atomic_bool out_of_memory;
} launch;

static void run_on_stack(launch *l, size_t begin, size_t end) {
  _Alignas(64) char scratch[STACK_SCRATCH];
  l->fn(l->buffers, scratch, (int64_t)begin, (int64_t)end, l->cancelled);
}

static void run_range(void *context, size_t begin, size_t end) {
  launch *l = context;
  if (!l->scratch_bytes) {
    l->fn(l->buffers, NULL, (int64_t)begin, (int64_t)end, l->cancelled);
  } else if (l->scratch_bytes <= STACK_SCRATCH) {
    run_on_stack(l, begin, end);
  } else {
    void *scratch = jm_scratch_take(l->scratch_bytes);
    if (scratch)
      l->fn(l->buffers, scratch, (int64_t)begin, (int64_t)end, l->cancelled);
    else
      atomic_store_explicit(&l->out_of_memory, true, memory_order_relaxed);
    jm_scratch_give(scratch);
  }
}

static void *argument_address(const jm_launch_argument *argument, const jm_call *call,
                              const jm_tensor *temporaries) {
  switch (argument->memory) {
    case JM_LAUNCH_OPERAND:
      return call->in[argument->index].data;
    case JM_LAUNCH_RESULT:
      return call->out[argument->index].data;
    case JM_LAUNCH_TEMPORARY:
      return temporaries[argument->index].data;
    case JM_LAUNCH_ROWS:
      break;
  }
  return NULL; /* of each call */
}

static void bind_buffers(const jm_launch *what, const jm_call *call, const jm_tensor *temporaries,
                         void **buffers) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < what->kernel->n_params; i++)
    if (what->kernel->params[i].space == JM_SPACE_GLOBAL) {
      buffers[n] = argument_address(&what->arguments[n], call, temporaries);
      n++;
    }
}

static jm_error *launch_run(const jm_launch *what, jm_kernel_fn *fn, const jm_call *call,
                            const jm_tensor *temporaries, void **buffers) {
  const jm_kernel *kernel = what->kernel;
  bind_buffers(what, call, temporaries, buffers);
  launch l = {.fn = fn,
              .buffers = buffers,
              .scratch_bytes = jm_kernel_scratch_bytes(kernel),
              .cancelled = jm_context_flag(call->context)};
  jm_parallel_for((size_t)kernel->chunks, (size_t)kernel->grain, run_range, &l);
  if (atomic_load_explicit(&l.out_of_memory, memory_order_relaxed)) return jm_error_out_of_memory();
  if (jm_context_is_cancelled(call->context))
    return jm_error_create(JM_CANCELLED, "the execution was cancelled");
  return NULL;
}

/* -- scatters that ask for their updates */

typedef struct updates {
  const jm_launch *what;
  const launch *launch;
} updates;

static bool join_rows(void *context, const int32_t *rows, size_t n) {
  const updates *u = context;
  void *buffers[STACK_BUFFERS];
  launch l = {.fn = u->launch->fn,
              .buffers = buffers,
              .scratch_bytes = u->launch->scratch_bytes,
              .cancelled = u->launch->cancelled};
  uint32_t at = 0;
  for (uint32_t i = 0; i < u->what->kernel->n_params; i++) {
    if (u->what->kernel->params[i].space != JM_SPACE_GLOBAL) continue;
    const bool is_list = u->what->arguments[at].memory == JM_LAUNCH_ROWS;
    buffers[at] = is_list ? (void *)rows : u->launch->buffers[at];
    at++;
  }
  run_range(&l, 0, n);
  return !atomic_load_explicit(&l.out_of_memory, memory_order_relaxed);
}

/* What the scatter in the group is called with: arguments of the region are the group's operands,
 * another operand is one number. */
static jm_error *scatter_run(const jm_group_code *group, const jm_call *call) {
  const jm_schedule *schedule = group->schedule;
  const jm_module *m = call->module;
  const jm_op *op = jm_module_op(m, schedule->scatter), *fill;
  const jm_region *region = jm_op_region(m, call->op, 0);
  const jm_launch *what = schedule->launches;
  void *buffers[STACK_BUFFERS];
  if (what->kernel->n_params > STACK_BUFFERS)
    return jm_error_internal("a scatter of %u buffers", what->kernel->n_params);
  bind_buffers(what, call, NULL, buffers);
  const launch l = {.fn = jm_jit_code_function(group->codes[0]),
                    .buffers = buffers,
                    .scratch_bytes = jm_kernel_scratch_bytes(what->kernel),
                    .cancelled = jm_context_flag(call->context)};
  updates u = {what, &l};
  jm_scatter_updates of = {.join = join_rows, .context = &u};
  jm_tensor in[3];
  for (uint32_t i = 0; i < 3; i++) {
    const jm_value v = op->operands[i];
    in[i] = (jm_tensor){jm_module_typeof(m, v), NULL};
    if (!jm_module_definition(m, v)) in[i].data = call->in[v - region->first_arg].data;
  }
  if ((fill = jm_module_definition(m, op->operands[0])))
    of.fill = ((const jm_constant_attrs *)fill->attrs)->value.bytes;
  return jm_library_scatter_updates(&(jm_call){m, op, in, call->out, call->context}, &of);
}

jm_error *jm_host_group_run(const jm_group_code *group, const jm_call *call,
                            const jm_tensor *temporaries) {
  const jm_schedule *schedule = group->schedule;
  if (schedule->scatter != JM_NONE) return scatter_run(group, call);
  for (uint32_t i = 0; i < schedule->n_launches; i++) {
    const jm_launch *launch = &schedule->launches[i];
    jm_kernel_fn *fn = jm_jit_code_function(group->codes[i]);
    void *on_stack[STACK_BUFFERS], **buffers = on_stack;
    if (launch->kernel->n_params > STACK_BUFFERS) {
      buffers = jm_alloc(launch->kernel->n_params, sizeof *buffers);
      if (!buffers) return jm_error_out_of_memory();
    }
    jm_error *error = launch_run(launch, fn, call, temporaries, buffers);
    if (buffers != on_stack) jm_free(buffers);
    if (error) return error;
  }
  return NULL;
}
