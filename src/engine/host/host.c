/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/host.h"

#include "base/parallel.h"
#include "base/scratch.h"

/* -- compiling */

static uint32_t fusions_count(const jm_module *m) {
  uint32_t n = 0;
  for (jm_op_id id = 0; id < m->n_ops; id++) n += jm_module_op(m, id)->code == JM_OP_fusion;
  return n;
}

static uint32_t launches_count(const jm_host_program *program) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < program->n_groups; i++) n += program->groups[i].schedule->n_launches;
  return n;
}

static jm_error *groups_schedule(const jm_module *m, const jm_target *target,
                                 jm_host_program *program) {
  for (jm_op_id id = 0; id < m->n_ops; id++) {
    const jm_op *op = jm_module_op(m, id);
    if (op->code != JM_OP_fusion) continue;
    jm_host_group *group = &program->groups[program->n_groups];
    group->op = id;
    JM_TRY(jm_schedule_build(m, op, target, &group->schedule));
    program->n_groups++;
    group->codes = jm_alloc(group->schedule->n_launches, sizeof *group->codes);
    if (!group->codes) return jm_error_out_of_memory();
  }
  return NULL;
}

/* All kernels in one go: the compiler splits them over the cores and makes equal ones once. */
static jm_error *groups_compile(jm_host_program *program) {
  uint32_t n = launches_count(program), k = 0;
  const jm_kernel **kernels = jm_alloc(n, sizeof *kernels);
  jm_jit_code **codes = jm_alloc(n, sizeof *codes);
  jm_error *error = kernels && codes ? NULL : jm_error_out_of_memory();
  for (uint32_t i = 0; !error && i < program->n_groups; i++)
    for (uint32_t l = 0; l < program->groups[i].schedule->n_launches; l++)
      kernels[k++] = program->groups[i].schedule->launches[l].kernel;
  if (!error) error = jm_jit_compile(kernels, n, codes);
  k = 0;
  for (uint32_t i = 0; !error && i < program->n_groups; i++)
    for (uint32_t l = 0; l < program->groups[i].schedule->n_launches; l++)
      program->groups[i].codes[l] = codes[k++];
  jm_free(codes);
  jm_free(kernels);
  return error;
}

jm_error *jm_host_compile(const jm_module *module, const jm_target *target, jm_host_program **out) {
  jm_host_program *program = jm_alloc(1, sizeof *program);
  if (!program) return jm_error_out_of_memory();
  program->groups = jm_alloc(fusions_count(module), sizeof *program->groups);
  jm_error *error = program->groups ? NULL : jm_error_out_of_memory();
  if (!error) error = groups_schedule(module, target, program);
  if (!error) error = groups_compile(program);
  if (error) {
    jm_host_program_destroy(program);
    return error;
  }
  *out = program;
  return NULL;
}

void jm_host_program_destroy(jm_host_program *program) {
  if (!program) return;
  for (uint32_t i = 0; i < program->n_groups; i++) {
    jm_host_group *group = &program->groups[i];
    for (uint32_t l = 0; group->codes && l < group->schedule->n_launches; l++)
      jm_jit_code_release(group->codes[l]);
    jm_free(group->codes);
    jm_schedule_destroy(group->schedule);
  }
  jm_free(program->groups);
  jm_free(program);
}

const jm_host_group *jm_host_group_find(const jm_host_program *program, jm_op_id op) {
  uint32_t low = 0, high = program ? program->n_groups : 0;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (program->groups[middle].op < op)
      low = middle + 1;
    else
      high = middle;
  }
  return program && low < program->n_groups && program->groups[low].op == op ? &program->groups[low]
                                                                             : NULL;
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

static void *argument_address(const jm_launch_argument *argument, const jm_ref_call *call,
                              void *const *temporaries) {
  switch (argument->memory) {
    case JM_LAUNCH_OPERAND:
      return call->in[argument->index].data;
    case JM_LAUNCH_RESULT:
      return call->out[argument->index].data;
    case JM_LAUNCH_TEMPORARY:
      break;
  }
  return temporaries[argument->index];
}

static jm_error *launch_run(const jm_launch *what, jm_kernel_fn *fn, const jm_ref_call *call,
                            void *const *temporaries, void **buffers) {
  const jm_kernel *kernel = what->kernel;
  uint32_t n = 0;
  for (uint32_t i = 0; i < kernel->n_params; i++)
    if (kernel->params[i].space == JM_SPACE_GLOBAL) {
      buffers[n] = argument_address(&what->arguments[n], call, temporaries);
      n++;
    }
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

jm_error *jm_host_group_run(const jm_host_group *group, const jm_ref_call *call,
                            void *const *temporaries) {
  const jm_schedule *schedule = group->schedule;
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
