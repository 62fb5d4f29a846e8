/* SPDX-License-Identifier: Apache-2.0
 * Runs a plan: slots become addresses, once; then the steps run over them. A frame belongs to one
 * execution, so that any number of them may run at once. */
#include <string.h>

#include "base/counters.h"
#include "base/data.h"
#include "plan/plan.h"

typedef struct frame {
  const jm_plan *plan;
  const jm_context *context;
  jm_tensor *tensors; /* one per plan->operands */
  char *arena;
  uint64_t steps, kernels; /* that were run: on the reference engine, compiled */
} frame;

static jm_error *block_run(frame *f, uint32_t block);

static jm_error *op_run(frame *f, const jm_step *step) {
  const jm_op *op = jm_module_op(f->plan->module, step->op);
  const jm_tensor *in = f->tensors + step->first_operand;
  const jm_ref_call call = {f->plan->module, op, in, in + op->n_operands, f->context};
  f->steps++;
  return step->run(&call);
}

static jm_error *group_run(frame *f, const jm_step *step) {
  enum { FEW = 16 };
  const jm_op *op = jm_module_op(f->plan->module, step->op);
  const jm_tensor *in = f->tensors + step->first_operand, *out = in + op->n_operands;
  const jm_ref_call call = {f->plan->module, op, in, out, f->context};
  uint32_t n = step->group->schedule->n_temporaries;
  void *few[FEW] = {NULL}, **temporaries = n <= FEW ? few : jm_alloc(n, sizeof *temporaries);
  if (!temporaries) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) temporaries[i] = out[op->n_results + i].data;
  f->kernels += step->group->schedule->n_launches;
  jm_error *error = jm_host_group_run(step->group, &call, temporaries);
  if (temporaries != few) jm_free(temporaries);
  return error;
}

static jm_error *copy_run(frame *f, const jm_step *step) {
  const jm_tensor *from = f->tensors + step->first_operand, *to = from + 1;
  size_t bytes = jm_type_bytes(from->type);
  /* A donated parameter may be the output's very memory. */
  if (bytes && from->data != to->data) memcpy(to->data, from->data, bytes);
  return NULL;
}

static jm_error *while_run(frame *f, const jm_step *step) {
  const uint8_t *go_on = f->tensors[step->first_operand].data;
  for (;;) {
    JM_TRY(block_run(f, step->first_block));
    if (!*go_on) return NULL;
    if (jm_context_is_cancelled(f->context))
      return jm_error_create(JM_CANCELLED, "the execution was cancelled in a loop");
    JM_TRY(block_run(f, step->first_block + 1));
  }
}

static jm_error *case_run(frame *f, const jm_step *step) {
  const jm_tensor *index = &f->tensors[step->first_operand];
  int64_t branch;
  if (index->type->dtype == JM_DT_pred) {
    branch = *(const uint8_t *)index->data != 0;
  } else {
    int32_t value;
    memcpy(&value, index->data, sizeof value);
    branch = value;
  }
  if (branch < 0 || branch >= step->n_blocks) branch = step->n_blocks - 1;
  return block_run(f, step->first_block + (uint32_t)branch);
}

static jm_error *block_run(frame *f, uint32_t index) {
  static jm_error *(*const run[])(frame *, const jm_step *) = {
      [JM_STEP_OP] = op_run,       [JM_STEP_GROUP] = group_run, [JM_STEP_COPY] = copy_run,
      [JM_STEP_WHILE] = while_run, [JM_STEP_CASE] = case_run,
  };
  const jm_block *block = &f->plan->blocks[index];
  for (uint32_t i = 0; i < block->n_steps; i++) {
    const jm_step *step = &block->steps[i];
    JM_TRY(run[step->kind](f, step));
  }
  return NULL;
}

static void *slot_address(const frame *f, const jm_slot *slot, const void *const *inputs,
                          void *const *outputs) {
  switch (slot->kind) {
    case JM_SLOT_PARAMETER:
      return (void *)inputs[slot->index];
    case JM_SLOT_OUTPUT:
      return outputs[slot->index];
    case JM_SLOT_CONSTANT:
      return (void *)slot->constant;
    case JM_SLOT_ARENA:
      break;
  }
  return f->arena + slot->offset;
}

jm_error *jm_plan_run(const jm_plan *plan, const void *const *inputs, void *const *outputs,
                      const jm_context *context) {
  frame f = {.plan = plan, .context = context};
  f.tensors = jm_alloc(plan->n_operands, sizeof *f.tensors);
  f.arena = jm_data_take(plan->arena_bytes);
  jm_error *error = f.tensors && f.arena ? NULL : jm_error_out_of_memory();
  if (!error) {
    for (uint32_t i = 0; i < plan->n_operands; i++) {
      const jm_operand *operand = &plan->operands[i];
      void *data = slot_address(&f, &plan->slots[operand->slot], inputs, outputs);
      f.tensors[i] = (jm_tensor){operand->type, data};
    }
    error = block_run(&f, 0);
    jm_counter_add(JM_COUNTER_ref_steps, f.steps);
    jm_counter_add(JM_COUNTER_kernel_runs, f.kernels);
  }
  jm_data_give(f.arena, plan->arena_bytes);
  jm_free(f.tensors);
  return error;
}
