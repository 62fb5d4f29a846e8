/* SPDX-License-Identifier: Apache-2.0
 * Runs a plan on the host: slots are resolved to addresses once, then the steps run on them. A
 * frame belongs to one execution, so that any number of them may run at once. */
#include <string.h>

#include "base/counters.h"
#include "base/data.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/engine.h"
#include "engine/host/host.h"
#include "engine/slices.h"
#include "ir/print.h"
#include "plan/explain.h"
#include "plan/label.h"

typedef struct frame {
  const jm_plan *plan;
  const jm_context *context;
  jm_tensor *tensors; /* one per plan->operands, from number `first` on */
  uint32_t first;
  char *arena;
  uint64_t steps, kernels; /* that were run: by the library, compiled */
  bool is_traced;          /* by a session of the timeline that was open at the start */
} frame;

static jm_error *block_run(frame *f, uint32_t block);

static jm_tensor *operands_of(const frame *f, const jm_step *step) {
  return f->tensors + (step->first_operand - f->first);
}

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
  const jm_tensor *in = operands_of(f, step), *out = in + step->n_reads;
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
  const jm_tensor *from = operands_of(f, step), *to = from + 1;
  size_t bytes = jm_type_bytes(from->type);
  /* A donated parameter may be the output's very memory. */
  if (bytes && from->data != to->data) memcpy(to->data, from->data, bytes);
  return NULL;
}

static jm_error *window_run(frame *f, const jm_step *step) {
  const jm_tensor *of = operands_of(f, step), *start = of + 1;
  const jm_window *w = &f->plan->windows[step->window];
  const int64_t row = jm_index_clamp(jm_index_read(start->type->dtype, start->data, 0), 0, w->last);
  char *data = (char *)of->data + (size_t)row * w->row_bytes;
  const uint32_t *operands = f->plan->window_operands + w->first_operand;
  for (uint32_t i = 0; i < w->n_operands; i++) f->tensors[operands[i] - f->first].data = data;
  return NULL;
}

static jm_error *while_run(frame *f, const jm_step *step) {
  const uint8_t *go_on = operands_of(f, step)->data;
  for (;;) {
    JM_TRY(block_run(f, step->first_block));
    if (!*go_on) return NULL;
    if (jm_context_is_cancelled(f->context))
      return jm_error_create(JM_CANCELLED, "the execution was cancelled in a loop");
    JM_TRY(block_run(f, step->first_block + 1));
  }
}

static jm_error *case_run(frame *f, const jm_step *step) {
  const uint32_t branch = jm_case_branch(*operands_of(f, step), step->n_blocks);
  return block_run(f, step->first_block + branch);
}

/* -- slices: each is one thread's, from the first step to the last */

typedef struct slices {
  const frame *whole;
  const jm_step *step;
  const jm_op *op;
  int64_t n,
      grain; /* so many consecutive ones are taken together: they may share operands' slices */
  _Atomic int64_t next;            /* that no thread has taken yet */
  _Atomic uint64_t steps, kernels; /* that were run */
  _Atomic(jm_error *) error;       /* the first */
} slices;

/* What a thread has. */
typedef struct slice {
  frame frame;
  jm_tensor *parts;    /* of the op's operands and results */
  const char **copied; /* where those of operands begin that are copied, NULL: none yet */
  char *memory;        /* for the block, then for slices that don't lie together */
} slice;

/* A slice of an operand or result, number `tensor`. */
static const jm_type *part_type(const slices *s, uint32_t tensor) {
  const jm_module *m = s->whole->plan->module;
  const jm_region *region = jm_op_region(m, s->op, 0);
  const uint32_t n = s->op->n_operands;
  return jm_module_typeof(m, tensor < n ? region->first_arg + tensor : region->results[tensor - n]);
}

static bool lies_together(const jm_type *whole, const jm_type *part) {
  return jm_slices_run(whole, part) == part->count;
}

/* Lays the slices that don't lie together out behind the block's memory; how much all takes. */
static size_t parts_place(const slices *s, jm_tensor *parts, char *memory) {
  const jm_tensor *wholes = operands_of(s->whole, s->step);
  size_t bytes = s->step->thread_bytes;
  for (uint32_t t = 0; t < s->step->n_reads + s->step->n_writes; t++) {
    const jm_type *type = part_type(s, t);
    const bool is_copied = !lies_together(wholes[t].type, type);
    if (parts) parts[t] = (jm_tensor){type, is_copied ? memory + bytes : NULL};
    if (is_copied)
      bytes +=
          (jm_type_bytes(type) + JM_DATA_ALIGNMENT - 1) / JM_DATA_ALIGNMENT * JM_DATA_ALIGNMENT;
  }
  return bytes;
}

static char *slice_start(const slices *s, uint32_t tensor, int64_t i) {
  const jm_tensor *whole = operands_of(s->whole, s->step) + tensor;
  const int64_t first = jm_slices_start(s->op, tensor, whole->type, i);
  return (char *)whole->data + (size_t)first * jm_dtype_bytes(whole->type->dtype);
}

/* The block's operands in the thread's memory; those that are slices come with each. */
static void slice_bind(const slices *s, slice *of) {
  const jm_plan *plan = s->whole->plan;
  for (uint32_t i = of->frame.first; i < s->step->end_operand; i++) {
    const jm_slot *slot = &plan->slots[plan->operands[i].slot];
    jm_tensor *tensor = &of->frame.tensors[i - of->frame.first];
    *tensor = (jm_tensor){plan->operands[i].type, NULL};
    if (slot->kind == JM_SLOT_CONSTANT) tensor->data = (void *)slot->constant;
    if (slot->kind == JM_SLOT_THREAD) tensor->data = of->memory + slot->offset;
  }
}

static jm_error *slice_run(const slices *s, slice *of, int64_t i) {
  const jm_plan *plan = s->whole->plan;
  const jm_tensor *wholes = operands_of(s->whole, s->step);
  const uint32_t n_reads = s->step->n_reads, n = n_reads + s->step->n_writes;
  for (uint32_t t = 0; t < n; t++) {
    char *start = slice_start(s, t, i);
    if (lies_together(wholes[t].type, of->parts[t].type)) {
      of->parts[t].data = start;
    } else if (t < n_reads && of->copied[t] != start) {
      jm_slice_take(wholes[t].type, start, &of->parts[t]);
      of->copied[t] = start;
    }
  }
  for (uint32_t k = of->frame.first; k < s->step->end_operand; k++) {
    const jm_slot *slot = &plan->slots[plan->operands[k].slot];
    if (slot->kind == JM_SLOT_SLICE)
      of->frame.tensors[k - of->frame.first].data = of->parts[slot->index].data;
  }
  JM_TRY(block_run(&of->frame, s->step->first_block));
  for (uint32_t t = n_reads; t < n; t++)
    if (!lies_together(wholes[t].type, of->parts[t].type))
      jm_slice_put(wholes[t].type, slice_start(s, t, i), &of->parts[t]);
  return NULL;
}

static jm_error *slices_run(slices *s, slice *of) {
  for (;;) {
    const int64_t begin = atomic_fetch_add(&s->next, s->grain);
    for (int64_t i = begin; i < begin + s->grain; i++) {
      if (i >= s->n) return NULL;
      if (jm_context_is_cancelled(of->frame.context))
        return jm_error_create(JM_CANCELLED, "the execution was cancelled");
      JM_TRY(slice_run(s, of, i));
    }
  }
}

static jm_error *slices_take(slices *s) {
  const uint32_t n = s->step->n_reads + s->step->n_writes;
  slice of = {.frame = *s->whole};
  of.frame.first = s->step->first_operand + n;
  of.frame.steps = of.frame.kernels = 0;
  of.frame.tensors = jm_alloc(s->step->end_operand - of.frame.first, sizeof *of.frame.tensors);
  of.parts = jm_alloc(n, sizeof *of.parts);
  of.copied = jm_alloc(n, sizeof *of.copied);
  of.memory = jm_scratch_take(parts_place(s, NULL, NULL));
  jm_error *error =
      of.frame.tensors && of.parts && of.copied && of.memory ? NULL : jm_error_out_of_memory();
  if (!error) {
    (void)parts_place(s, of.parts, of.memory);
    slice_bind(s, &of);
    error = slices_run(s, &of);
    atomic_fetch_add(&s->steps, of.frame.steps);
    atomic_fetch_add(&s->kernels, of.frame.kernels);
  }
  jm_scratch_give(of.memory);
  jm_free(of.copied);
  jm_free(of.parts);
  jm_free(of.frame.tensors);
  return error;
}

static void slices_work(void *context, size_t begin, size_t end) {
  (void)begin, (void)end;
  slices *s = context;
  const bool alone = jm_parallel_alone(true);
  jm_error *error = slices_take(s), *none = NULL;
  (void)jm_parallel_alone(alone);
  if (!error) return;
  atomic_store(&s->next, s->n); /* the others need not go on */
  if (!atomic_compare_exchange_strong(&s->error, &none, error)) jm_error_destroy(error);
}

static jm_error *sliced_run(frame *f, const jm_step *step) {
  const jm_op *op = jm_module_op(f->plan->module, step->op);
  enum { TURNS = 4 }; /* of a thread: none waits long for the last */
  slices s = {.whole = f, .step = step, .op = op, .n = jm_slices_count(op)};
  const int64_t threads = (int64_t)jm_parallel_threads();
  s.grain = s.n / (threads * TURNS) + 1;
  jm_parallel_for((size_t)(s.n < threads ? s.n : threads), 1, slices_work, &s);
  f->steps += s.steps;
  f->kernels += s.kernels;
  return op_note(f, op, s.error);
}

static void span_end(const frame *f, jm_step *step, int64_t start) {
  jm_timeline_end(jm_step_span_kind(step), f->context ? f->context->device : 0,
                  jm_step_label(f->plan, step), 0, start);
}

static jm_error *block_run(frame *f, uint32_t index) {
  static jm_error *(*const run[])(frame *, const jm_step *) = {
      [JM_STEP_OP] = op_run,       [JM_STEP_COPY] = copy_run, [JM_STEP_WINDOW] = window_run,
      [JM_STEP_WHILE] = while_run, [JM_STEP_CASE] = case_run, [JM_STEP_SLICED] = sliced_run,
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
    case JM_SLOT_SLICE:
    case JM_SLOT_THREAD:
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
