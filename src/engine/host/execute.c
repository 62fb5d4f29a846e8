/* SPDX-License-Identifier: Apache-2.0
 * Runs a plan on the host: slots are resolved to addresses once, then the steps run on them. A
 * frame belongs to one execution, so that any number of them may run at once. */
#include <string.h>

#include "base/counters.h"
#include "base/data.h"
#include "engine/host/engine.h"
#include "engine/host/host.h"
#include "ir/print.h"
#include "plan/explain.h"
#include "plan/label.h"

typedef struct frame {
  const jm_plan *plan;
  const jm_context *context;
  jm_tensor *tensors; /* one per plan->operands */
  char *arena;
  uint64_t steps, kernels; /* that were run: by the library, compiled */
  bool is_traced;          /* by a session of the timeline that was open at the start */
} frame;

static jm_error *block_run(frame *f, uint32_t block);

/* An op that found no memory does not know what it is. */
static jm_error *op_note(const frame *f, const jm_op *op, jm_error *error) {
  if (!error || jm_error_code(error) != JM_RESOURCE_EXHAUSTED) return error;
  jm_text text;
  jm_text_init(&text);
  jm_op_print(f->plan->module, op, &text);
  jm_text_printf(&text, " ");
  jm_location_print(f->plan->module, op, &text);
  error = jm_error_note(error, "in %s", jm_text_bytes(&text));
  jm_text_deinit(&text);
  return error;
}

static jm_error *op_run(frame *f, const jm_step *step) {
  const jm_host_code *code = (const jm_host_code *)step->code;
  const jm_tensor *in = f->tensors + step->first_operand, *out = in + step->n_reads;
  const jm_call call = {f->plan->module, jm_module_op(f->plan->module, step->op), in, out,
                        f->context};
  if (code->run) {
    f->steps++;
    return op_note(f, call.op, code->run(&call));
  }
  f->kernels += code->base.n_kernels;
  return op_note(f, call.op, jm_host_group_run(code->group, &call, out + step->n_writes));
}

static jm_error *copy_run(frame *f, const jm_step *step) {
  const jm_tensor *from = f->tensors + step->first_operand, *to = from + 1;
  size_t bytes = jm_type_bytes(from->type);
  /* A donated parameter may be the output's very memory. */
  if (bytes && from->data != to->data) memcpy(to->data, from->data, bytes);
  return NULL;
}

static jm_error *window_run(frame *f, const jm_step *step) {
  const jm_tensor *of = f->tensors + step->first_operand, *start = of + 1;
  const jm_window *w = &f->plan->windows[step->window];
  const int64_t row = jm_index_clamp(jm_index_read(start->type->dtype, start->data, 0), 0, w->last);
  char *data = (char *)of->data + (size_t)row * w->row_bytes;
  const uint32_t *operands = f->plan->window_operands + w->first_operand;
  for (uint32_t i = 0; i < w->n_operands; i++) f->tensors[operands[i]].data = data;
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
  const uint32_t branch = jm_case_branch(f->tensors[step->first_operand], step->n_blocks);
  return block_run(f, step->first_block + branch);
}

static void span_end(const frame *f, jm_step *step, int64_t start) {
  jm_timeline_end(jm_step_span_kind(step), f->context ? f->context->device : 0,
                  jm_step_label(f->plan, step), 0, start);
}

static jm_error *block_run(frame *f, uint32_t index) {
  static jm_error *(*const run[])(frame *, const jm_step *) = {
      [JM_STEP_OP] = op_run,       [JM_STEP_COPY] = copy_run, [JM_STEP_WINDOW] = window_run,
      [JM_STEP_WHILE] = while_run, [JM_STEP_CASE] = case_run,
  };
  const jm_block *block = &f->plan->blocks[index];
  for (uint32_t i = 0; i < block->n_steps; i++) {
    jm_step *step = &block->steps[i];
    const int64_t start = f->is_traced ? jm_timeline_begin() : 0;
    JM_TRY(run[step->kind](f, step));
    if (start) span_end(f, step, start);
  }
  return NULL;
}

static void *slot_address(const frame *f, const jm_slot *slot, const jm_engine_run *run) {
  switch (slot->kind) {
    case JM_SLOT_PARAMETER:
      return run->inputs[slot->index].host;
    case JM_SLOT_OUTPUT:
      return run->outputs[slot->index].host;
    case JM_SLOT_CONSTANT:
      return (void *)slot->constant;
    case JM_SLOT_WINDOW:
      return NULL; /* its step finds it */
    case JM_SLOT_ARENA:
      break;
  }
  return f->arena + slot->offset;
}

static jm_error *arena_error(const jm_plan *plan) {
  jm_text text;
  jm_text_init(&text);
  jm_plan_print_largest(plan, &text);
  jm_error *error = jm_error_create(JM_RESOURCE_EXHAUSTED,
                                    "out of memory: %zu bytes for temporaries, the largest: %s",
                                    plan->arena_bytes, jm_text_bytes(&text));
  jm_text_deinit(&text);
  return error;
}

jm_error *jm_host_run(const jm_plan *plan, const jm_engine_run *run) {
  frame f = {.plan = plan, .context = run->context, .is_traced = jm_timeline_begin() != 0};
  f.tensors = jm_alloc(plan->n_operands, sizeof *f.tensors);
  f.arena = jm_data_take(plan->arena_bytes);
  jm_error *error = f.arena ? NULL : arena_error(plan);
  if (!error && !f.tensors) error = jm_error_out_of_memory();
  if (!error) {
    for (uint32_t i = 0; i < plan->n_operands; i++) {
      const jm_operand *operand = &plan->operands[i];
      void *data = slot_address(&f, &plan->slots[operand->slot], run);
      f.tensors[i] = (jm_tensor){operand->type, data};
    }
    error = block_run(&f, 0);
    jm_counter_add(JM_COUNTER_library_steps, f.steps);
    jm_counter_add(JM_COUNTER_kernel_runs, f.kernels);
  }
  jm_data_give(f.arena, plan->arena_bytes);
  jm_free(f.tensors);
  return error;
}
