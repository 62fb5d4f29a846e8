/* SPDX-License-Identifier: Apache-2.0
 * The interpreter of whole regions: op by op, a buffer per value, freed after its last use. */
#include "engine/evaluate.h"

#include <string.h>

#include "engine/slices.h"

typedef struct value_slot {
  jm_tensor tensor;
  uint32_t uses; /* still to come */
  bool owned;
} value_slot;

typedef struct frame {
  const jm_module *module;
  const jm_region *region;
  const jm_context *context;
  jm_call_fn *run; /* what is not control */
  jm_value base;   /* the region's own values are [base, base + n) */
  uint32_t n;
  value_slot *values;
  jm_tensor *in, *out; /* of the op at hand */
} frame;

static jm_error *check_cancelled(const jm_context *context) {
  if (jm_context_is_cancelled(context))
    return jm_error_create(JM_CANCELLED, "the execution was cancelled");
  return NULL;
}

/* Buffers for the results of an op (or a region); on failure none stays allocated. */
static jm_error *tensors_alloc(jm_tensor *tensors, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    tensors[i].data = jm_alloc_data(jm_type_bytes(tensors[i].type));
    if (tensors[i].data) continue;
    while (i--) jm_free(tensors[i].data);
    return jm_error_out_of_memory();
  }
  return NULL;
}

static void tensors_free(jm_tensor *tensors, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) jm_free(tensors[i].data);
}

static jm_error *run_case(const jm_call *call, jm_call_fn *run) {
  const jm_op *op = call->op;
  const uint32_t branch = jm_case_branch(call->in[0], op->n_regions);
  return jm_evaluate(call->module, op->first_region + branch, call->in + 1, call->out,
                     call->context, run);
}

/* args: the current carries, then the captures; next: the body's results. */
static jm_error *while_loop(const jm_call *call, jm_call_fn *run, jm_tensor *args,
                            jm_tensor *next) {
  const jm_op *op = call->op;
  uint32_t n = op->n_operands - op->n_captures;
  uint8_t proceed;
  const jm_type *pred =
      jm_module_typeof(call->module, jm_op_region(call->module, op, 0)->results[0]);
  for (;;) {
    JM_TRY(jm_evaluate(call->module, op->first_region, args, &(jm_tensor){pred, &proceed},
                       call->context, run));
    if (!proceed) return NULL;
    JM_TRY(jm_evaluate(call->module, op->first_region + 1, args, next, call->context, run));
    for (uint32_t i = 0; i < n; i++) {
      void *data = args[i].data;
      args[i].data = next[i].data;
      next[i].data = data;
    }
  }
}

static jm_error *run_while(const jm_call *call, jm_call_fn *run) {
  const jm_op *op = call->op;
  const jm_tensor *in = call->in, *out = call->out;
  uint32_t n = op->n_operands - op->n_captures;
  jm_tensor *args = jm_alloc(op->n_operands, sizeof *args), *next = jm_alloc(n, sizeof *next);
  jm_error *error = args && next ? NULL : jm_error_out_of_memory();
  if (!error) {
    memcpy(args, in, op->n_operands * sizeof *args);
    memcpy(next, in, n * sizeof *next);
    error = tensors_alloc(args, n);
  }
  if (!error) {
    error = tensors_alloc(next, n);
    if (!error) {
      for (uint32_t i = 0; i < n; i++) memcpy(args[i].data, in[i].data, jm_type_bytes(in[i].type));
      error = while_loop(call, run, args, next);
      for (uint32_t i = 0; !error && i < n; i++)
        memcpy(out[i].data, args[i].data, jm_type_bytes(out[i].type));
      tensors_free(next, n);
    }
    tensors_free(args, n);
  }
  jm_free(args);
  jm_free(next);
  return error;
}

/* Buffers for one slice of each operand and result. */
static jm_error *run_slices(const jm_call *call, jm_call_fn *run, jm_tensor *parts) {
  const jm_op *op = call->op;
  const uint32_t n = op->n_operands;
  jm_tensor *results = parts + n;
  for (int64_t i = 0; i < jm_slices_count(op); i++) {
    for (uint32_t t = 0; t < n; t++) {
      const jm_type *whole = call->in[t].type;
      const size_t start = (size_t)jm_slices_start(op, t, whole, i) * jm_dtype_bytes(whole->dtype);
      jm_slice_take(whole, (const char *)call->in[t].data + start, &parts[t]);
    }
    JM_TRY(jm_evaluate(call->module, op->first_region, parts, results, call->context, run));
    for (uint32_t t = 0; t < op->n_results; t++) {
      const jm_type *whole = call->out[t].type;
      const int64_t first = jm_slices_start(op, n + t, whole, i);
      const size_t start = (size_t)first * jm_dtype_bytes(whole->dtype);
      jm_slice_put(whole, (char *)call->out[t].data + start, &results[t]);
    }
  }
  return NULL;
}

static jm_error *run_sliced(const jm_call *call, jm_call_fn *run) {
  const jm_op *op = call->op;
  const jm_region *region = jm_op_region(call->module, op, 0);
  const uint32_t n = op->n_operands + op->n_results;
  jm_tensor *parts = jm_alloc(n, sizeof *parts);
  if (!parts) return jm_error_out_of_memory();
  for (uint32_t t = 0; t < n; t++) {
    const jm_value v =
        t < op->n_operands ? region->first_arg + t : region->results[t - op->n_operands];
    parts[t].type = jm_module_typeof(call->module, v);
  }
  jm_error *error = tensors_alloc(parts, n);
  if (!error) {
    error = run_slices(call, run, parts);
    tensors_free(parts, n);
  }
  jm_free(parts);
  return error;
}

jm_error *jm_evaluate_op(const jm_call *call, jm_call_fn *run) {
  if (call->op->code == JM_OP_sliced) return run_sliced(call, run);
  if (call->op->code == JM_OP_while) return run_while(call, run);
  if (call->op->code == JM_OP_case) return run_case(call, run);
  return run(call);
}

static void release(frame *f, jm_value v) {
  value_slot *slot = &f->values[v - f->base];
  if (--slot->uses || !slot->owned) return;
  jm_free(slot->tensor.data);
  slot->owned = false;
}

static jm_error *run_op(frame *f, const jm_op *op) {
  JM_TRY(check_cancelled(f->context));
  for (uint32_t i = 0; i < op->n_operands; i++)
    f->in[i] = f->values[op->operands[i] - f->base].tensor;
  for (uint32_t i = 0; i < op->n_results; i++) f->out[i].type = jm_op_result_type(f->module, op, i);
  JM_TRY(tensors_alloc(f->out, op->n_results));
  for (uint32_t i = 0; i < op->n_results; i++)
    f->values[op->first_result + i - f->base] =
        (value_slot){f->out[i], f->values[op->first_result + i - f->base].uses, true};
  JM_TRY(jm_evaluate_op(&(jm_call){f->module, op, f->in, f->out, f->context}, f->run));
  for (uint32_t i = 0; i < op->n_operands; i++) release(f, op->operands[i]);
  for (uint32_t i = 0; i < op->n_results; i++) { /* unused results: one use, here */
    value_slot *slot = &f->values[op->first_result + i - f->base];
    slot->uses++;
    release(f, op->first_result + i);
  }
  return NULL;
}

static jm_error *frame_init(frame *f) {
  const jm_region *region = f->region;
  jm_value begin = region->n_args ? region->first_arg : JM_NONE;
  jm_value end = region->n_args ? region->first_arg + region->n_args : 0;
  uint32_t operands = 1, results = 1;
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(f->module, region->ops[i]);
    if (op->n_results && op->first_result < begin) begin = op->first_result;
    if (op->n_results && op->first_result + op->n_results > end)
      end = op->first_result + op->n_results;
    if (op->n_operands > operands) operands = op->n_operands;
    if (op->n_results > results) results = op->n_results;
  }
  f->base = begin;
  f->n = begin < end ? end - begin : 0;
  f->values = jm_alloc(f->n, sizeof *f->values);
  f->in = jm_alloc(operands, sizeof *f->in);
  f->out = jm_alloc(results, sizeof *f->out);
  if (!f->values || !f->in || !f->out) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(f->module, region->ops[i]);
    for (uint32_t j = 0; j < op->n_operands; j++) f->values[op->operands[j] - f->base].uses++;
  }
  for (uint32_t i = 0; i < region->n_results; i++) f->values[region->results[i] - f->base].uses++;
  return NULL;
}

jm_error *jm_evaluate(const jm_module *module, jm_region_id id, const jm_tensor *args,
                      const jm_tensor *results, const jm_context *context, jm_call_fn *run) {
  frame f = {
      .module = module, .region = jm_module_region(module, id), .context = context, .run = run};
  jm_error *error = check_cancelled(context);
  if (!error) error = frame_init(&f);
  for (uint32_t i = 0; !error && i < f.region->n_args; i++)
    f.values[f.region->first_arg + i - f.base].tensor = args[i];
  for (uint32_t i = 0; !error && i < f.region->n_ops; i++)
    error = run_op(&f, jm_module_op(module, f.region->ops[i]));
  for (uint32_t i = 0; !error && i < f.region->n_results; i++)
    memcpy(results[i].data, f.values[f.region->results[i] - f.base].tensor.data,
           jm_type_bytes(results[i].type));
  for (uint32_t i = 0; f.values && i < f.n; i++)
    if (f.values[i].owned) jm_free(f.values[i].tensor.data);
  jm_free(f.values);
  jm_free(f.in);
  jm_free(f.out);
  return error;
}
