/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/execute.h"

#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "base/data.h"
#include "base/hash.h"
#include "base/settings.h"
#include "engine/host/library/library.h"
#include "engine/mlx/replay.h"
#include "ir/collective.h"
#include "plan/label.h"
#include "plan/peak.h"

enum {
  SMALL = 64, /* bytes: what the host computes faster than a launch takes */
  /* Ops in MLX's lazy graph before it is started: the device works while we go on building, and a
   * loop's graph stays bounded. */
  STARTED_AT = 256,
  MOST_RECORDED = 8192, /* ops of a recording: loops are unrolled */
};

typedef struct execution {
  const jm_mlx_api *api;
  jm_mlx_program *program;
  const jm_plan *plan;
  const jm_module *m;
  const jm_context *context;
  jm_mlx_value *values; /* one per value of the module */
  jm_lowering lowering;
  jm_lower_operand *operands; /* of the op at hand */
  jm_mlx_array **results;
  jm_tensor *tensors;  /* operands, then results, of a host op */
  uint32_t depth;      /* of the block that runs: 1 is the program's own */
  uint32_t unstarted;  /* ops in the graph that is being built */
  const jm_op *unmade; /* the last exchange in that graph over a group that the wire uses, too */
  jm_mlx_exchanges exchanges; /* of a recording */
  bool records;               /* nothing is started, nothing fetched: the graph is to be recorded */
  bool is_traced;             /* by a session of the timeline that was open at the start */
  jm_span_kind span;          /* where the last op ran */
  bool traces;                /* JAX_MPS_DEBUG=launches */
  jm_text calls;              /* of the op at hand */
} execution;

/* -- JAX_MPS_DEBUG=launches */

/* What the process counted so far of what an op's line tells. */
typedef struct counted {
  uint64_t launches, bytes, least;
} counted;

static counted counted_read(void) {
  return (counted){jm_counter_read(JM_COUNTER_device_launches),
                   jm_counter_read(JM_COUNTER_device_bytes),
                   jm_counter_read(JM_COUNTER_device_least_bytes)};
}

static void op_trace(execution *x, const jm_op *op, counted before) {
  const counted now = counted_read();
  jm_text line;
  jm_text_init(&line);
  jm_op_describe(x->m, op, &line);
  fprintf(stderr, "launches: %llu kernels, %llu bytes, at least %llu, calls:%s; of %s\n",
          (unsigned long long)(now.launches - before.launches),
          (unsigned long long)(now.bytes - before.bytes),
          (unsigned long long)(now.least - before.least), jm_text_bytes(&x->calls),
          jm_text_bytes(&line));
  jm_text_deinit(&line);
  jm_text_deinit(&x->calls);
  jm_text_init(&x->calls);
}

/* Counts what the arrays' graphs launch, and evaluates them. */
static jm_error *graph_trace(execution *x, jm_mlx_array *const *arrays, size_t n) {
  jm_mlx_census census = {0};
  if (!x->traces) return NULL;
  JM_TRY(x->api->graph_census(arrays, n, &census));
  jm_counter_add(JM_COUNTER_device_primitives, census.primitives);
  jm_counter_add(JM_COUNTER_device_views, census.views);
  jm_counter_add(JM_COUNTER_device_copies, census.copies);
  return NULL;
}

static jm_error *graph_start(execution *x, jm_mlx_array *const *arrays, size_t n) {
  JM_TRY(graph_trace(x, arrays, n));
  return x->api->arrays_start(arrays, n);
}

/* -- exchanges between processes */

static jm_error *processes_meet(const execution *x, const jm_op *op) {
  uint32_t least;
  return jm_mlx_link_meet(x->lowering.link, x->context, (uint32_t)(op - x->m->ops),
                          jm_op_facts[op->code].name, 0, &least);
}

/* Computes the exchanges in the graph, and waits for them, before the wire uses their group: for
 * exchanges of the host, for meetings, for the next launch. The processes meet first, because the
 * others would wait for one that failed meanwhile. Called at the same steps in all processes. */
static jm_error *exchanges_make(execution *x) {
  const jm_op *op = x->unmade;
  if (!op) return NULL;
  x->unmade = NULL;
  JM_TRY(processes_meet(x, op));
  return x->api->arrays_wait(&x->lowering.exchanged, 1);
}

void jm_mlx_exchanges_count(const jm_mlx_exchanges *e) {
  jm_counter_add(JM_COUNTER_collectives, e->n);
  jm_counter_add(JM_COUNTER_device_collectives, e->n);
  jm_counter_add(JM_COUNTER_collective_bytes, e->bytes);
}

/* Those that are recorded count when they are launched. */
static void exchange_count(execution *x, const jm_op *op) {
  const jm_mlx_exchanges one = {1, (uint64_t)jm_collective_bytes(x->m, op), 0};
  if (!x->records) {
    jm_mlx_exchanges_count(&one);
    return;
  }
  x->exchanges.n++;
  x->exchanges.bytes += one.bytes;
  x->exchanges.hash = jm_hash_mix(x->exchanges.hash, (uint64_t)(op - x->m->ops));
}

/* -- making a module ready */

jm_error *jm_mlx_program_create(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                                const jm_target *target, const jm_module *module,
                                jm_mlx_program **out) {
  jm_mlx_program *program = jm_alloc(1, sizeof *program);
  if (!program) return jm_error_out_of_memory();
  jm_arena_init(&program->arena);
  program->module = module;
  program->constants = jm_arena_alloc(&program->arena, module->n_ops, sizeof *program->constants);
  jm_error *error = NULL;
  if (!program->constants) error = jm_error_out_of_memory();
  if (!error && target->has_kernels)
    error = jm_mlx_kernels_create(api, device, target, module, &program->kernels);
  if (!error) error = jm_mlx_user_kernels_create(api, device, module, &program->user_kernels);
  if (!error)
    error = jm_mlx_codes_build(module, jm_mlx_kernels_groups(program->kernels), &program->arena,
                               &program->codes);
  if (!error) error = jm_mlx_replay_create(api, device, module, &program->replay);
  if (error) {
    jm_mlx_program_destroy(NULL, program);
    return error;
  }
  *out = program;
  return NULL;
}

void jm_mlx_program_destroy(const jm_mlx_api *api, jm_mlx_program *program) {
  if (!program) return;
  for (uint32_t i = 0; api && i < program->module->n_ops; i++)
    jm_mlx_value_drop(api, &program->constants[i]);
  if (api) jm_lower_scalars_release(api, &program->scalars);
  jm_mlx_kernels_destroy(program->kernels);
  jm_mlx_user_kernels_destroy(program->user_kernels);
  jm_mlx_replay_destroy(program->replay);
  jm_arena_deinit(&program->arena);
  jm_free(program);
}

/* -- the timeline */

static uint32_t device_of(const execution *x) { return x->context ? x->context->device : 0; }

static void span_end(const execution *x, jm_step *step, int64_t start) {
  const bool is_op = step->kind == JM_STEP_OP || step->kind == JM_STEP_CONSTANT;
  jm_timeline_end(is_op ? x->span : jm_step_span_kind(step), device_of(x),
                  jm_step_label(x->plan, step), 0, start);
}

/* -- values */

static jm_mlx_value *value_at(execution *x, jm_value v) { return &x->values[v]; }

/* Fresh memory of the host. */
static jm_error *block_create(execution *x, const jm_type *type, jm_mlx_block **out) {
  JM_TRY(x->api->bytes_check("a value on the host", jm_type_bytes(type)));
  return jm_mlx_block_create(NULL, jm_type_bytes(type), out);
}

/* Copies values to the host, waiting for the device once, however many there are. */
static jm_error *values_fetch(execution *x, const jm_value *values, uint32_t n) {
  bool waited = false;
  const int64_t start = jm_timeline_begin();
  for (uint32_t i = 0; i < n; i++) {
    jm_mlx_value *value = value_at(x, values[i]);
    if (value->block) continue;
    if (x->records)
      return jm_error_create(JM_FAILED_PRECONDITION, "the host needs a value of the device");
    if (!waited) jm_counter_add(JM_COUNTER_device_waits, 1);
    waited = true;
    size_t bytes = jm_type_bytes(value->type);
    JM_TRY(block_create(x, value->type, &value->block));
    jm_error *error = graph_trace(x, &value->array, 1);
    if (!error) error = x->api->array_export(value->array, value->block->data, bytes);
    if (error) {
      jm_mlx_block_release(value->block);
      value->block = NULL;
      return error;
    }
  }
  if (waited) {
    x->unstarted = 0;
    jm_timeline_end(JM_SPAN_wait_values, device_of(x), 0, 0, start);
  }
  return NULL;
}

static bool is_small_integer(const jm_type *type) {
  return jm_type_bytes(type) <= SMALL &&
         (jm_dtype_is_integer(type->dtype) || type->dtype == JM_DT_pred);
}

/* All operands are on the host already, and the op is too small to be worth a launch. */
static bool belongs_on_host(execution *x, const jm_op *op) {
  if (!op->n_operands) {
    for (uint32_t i = 0; i < op->n_results; i++)
      if (!is_small_integer(jm_op_result_type(x->m, op, i))) return false;
    return jm_library_find(x->m, op) != NULL;
  }
  for (uint32_t i = 0; i < op->n_operands; i++) {
    const jm_mlx_value *value = value_at(x, op->operands[i]);
    if (!value->block || !is_small_integer(value->type)) return false;
  }
  for (uint32_t i = 0; i < op->n_results; i++)
    if (!is_small_integer(jm_op_result_type(x->m, op, i))) return false;
  return jm_library_find(x->m, op) != NULL;
}

/* Drops operands at their last use, and unused results. */
static void dead_drop(execution *x, const jm_step *step) {
  const jm_operand *operands = jm_step_reads(x->plan, step);
  for (uint32_t i = 0; i < step->n_reads + step->n_writes; i++)
    if (operands[i].last) jm_mlx_value_drop(x->api, value_at(x, operands[i].value));
}

/* -- ops on the host */

static jm_error *run_on_host(execution *x, const jm_op *op) {
  x->span = JM_SPAN_library;
  JM_TRY(values_fetch(x, op->operands, op->n_operands));
  jm_tensor *in = x->tensors, *out = in + op->n_operands;
  for (uint32_t i = 0; i < op->n_operands; i++) {
    const jm_mlx_value *value = value_at(x, op->operands[i]);
    in[i] = (jm_tensor){value->type, value->block->data};
  }
  for (uint32_t i = 0; i < op->n_results; i++) {
    jm_mlx_value *value = value_at(x, op->first_result + i);
    value->type = jm_op_result_type(x->m, op, i);
    JM_TRY(block_create(x, value->type, &value->block));
    out[i] = (jm_tensor){value->type, value->block->data};
  }
  const jm_call call = {x->m, op, in, out, x->context};
  jm_counter_add(JM_COUNTER_host_ops, 1);
  return jm_library_find(x->m, op)(&call);
}

/* -- ops on the device */

static void scope_release(jm_lowering *l) {
  for (uint32_t i = 0; i < l->n_scope; i++) l->api->array_release(l->scope[i]);
  l->n_scope = 0;
  if (l->scratch.chunks) jm_arena_deinit(&l->scratch);
}

static jm_error *results_take(execution *x, const jm_op *op) {
  for (uint32_t i = 0; i < op->n_results; i++) {
    if (!x->results[i])
      return jm_op_error(x->m, op, JM_INTERNAL, "the lowering gave no result %u", i);
    *value_at(x, op->first_result + i) =
        (jm_mlx_value){jm_op_result_type(x->m, op, i), x->api->array_retain(x->results[i]), NULL};
  }
  return NULL;
}

/* Keeps uploaded arrays with their values; those of constants for all later runs. */
static void uploaded_keep(execution *x, jm_value v, jm_mlx_array *array) {
  jm_mlx_value *value = value_at(x, v);
  if (array == value->array) return;
  if (value->array) { /* uploaded twice: the value is another operand, too */
    x->api->array_release(array);
    return;
  }
  value->array = array;
  const jm_op *definition = jm_module_definition(x->m, v);
  if (definition && definition->code == JM_OP_constant) {
    jm_mlx_value *kept = &x->program->constants[x->m->values[v].op];
    if (!kept->array) kept->array = x->api->array_retain(array);
  }
}

static jm_error *run_on_device(execution *x, const jm_op *op, jm_lower_fn *lower) {
  x->span = JM_SPAN_encode;
  jm_lowering *l = &x->lowering;
  l->op = op;
  l->in = x->operands;
  l->out = x->results;
  for (uint32_t i = 0; i < op->n_operands; i++) {
    const jm_mlx_value *value = value_at(x, op->operands[i]);
    l->in[i] =
        (jm_lower_operand){value->type, value->array, value->block ? value->block->data : NULL};
  }
  memset(x->results, 0, op->n_results * sizeof *x->results);
  const counted before = x->traces ? counted_read() : (counted){0};
  lower(l);
  if (x->traces) op_trace(x, op, before);
  for (uint32_t i = 0; i < op->n_operands; i++) uploaded_keep(x, op->operands[i], l->in[i].array);
  jm_error *error = l->error;
  l->error = NULL;
  if (!error) error = results_take(x, op);
  scope_release(l);
  jm_counter_add(JM_COUNTER_device_ops, 1);
  jm_counter_add(JM_COUNTER_device_calls, l->n_calls);
  l->n_calls = 0;
  if (!error && ++x->unstarted >= (x->records ? MOST_RECORDED : STARTED_AT)) {
    if (x->records) return jm_error_create(JM_FAILED_PRECONDITION, "more ops than are recorded");
    x->unstarted = 0;
    jm_mlx_array *last = value_at(x, op->first_result)->array;
    if (op->n_results && !x->unmade) error = graph_start(x, &last, 1);
  }
  return error;
}

/* -- constants */

static jm_error *run_constant(execution *x, const jm_step *step) {
  const jm_op *op = jm_module_op(x->m, step->op);
  jm_lower_fn *lower = ((const jm_mlx_code *)step->code)->lower;
  jm_mlx_value *kept = &x->program->constants[step->op];
  const jm_constant_attrs *attrs = op->attrs;
  const jm_type *type = jm_op_result_type(x->m, op, 0);
  if (!kept->type) {
    bool whole = !attrs->value.splat || type->count == 1;
    jm_mlx_block *block;
    if (!whole && jm_type_bytes(type) > SMALL && lower) {
      JM_TRY(run_on_device(x, op, lower));
      *kept = jm_mlx_value_share(x->api, value_at(x, op->first_result));
      return NULL;
    }
    if (whole) {
      JM_TRY(jm_mlx_block_create((void *)attrs->value.bytes, jm_type_bytes(type), &block));
    } else {
      JM_TRY(block_create(x, type, &block));
      size_t size = jm_dtype_bytes(type->dtype);
      for (int64_t i = 0; i < type->count; i++)
        memcpy((char *)block->data + (size_t)i * size, attrs->value.bytes, size);
    }
    *kept = (jm_mlx_value){type, NULL, block};
  }
  *value_at(x, op->first_result) = jm_mlx_value_share(x->api, kept);
  return NULL;
}

/* -- control */

static jm_error *run_block(execution *x, uint32_t block);

static jm_error *check_cancelled(const execution *x) {
  if (jm_context_is_cancelled(x->context))
    return jm_error_create(JM_CANCELLED, "the execution was cancelled in a loop");
  return NULL;
}

/* Gives a region its arguments: `given` are moved in, operands from `from` on are shared. */
static void region_enter(execution *x, const jm_region *region, const jm_op *op, uint32_t n_own,
                         uint32_t from) {
  for (uint32_t i = n_own; i < region->n_args; i++)
    *value_at(x, region->first_arg + i) =
        jm_mlx_value_share(x->api, value_at(x, op->operands[from + i - n_own]));
}

static void region_leave(execution *x, const jm_region *region) {
  for (uint32_t i = 0; i < region->n_args; i++)
    jm_mlx_value_drop(x->api, value_at(x, region->first_arg + i));
}

/* Shares the region's results into `out`, then drops what the region holds. */
static void results_collect(execution *x, const jm_region *region, jm_mlx_value *out) {
  for (uint32_t i = 0; i < region->n_results; i++)
    out[i] = jm_mlx_value_share(x->api, value_at(x, region->results[i]));
  for (uint32_t i = 0; i < region->n_results; i++)
    jm_mlx_value_drop(x->api, value_at(x, region->results[i]));
  region_leave(x, region);
}

/* Starts a loop's carries every few iterations: the graph of many iterations costs memory, and none
 * of it would run before the loop ends. All carries at once, because each start is a launch. */
static jm_error *carries_start(execution *x, const jm_mlx_value *carries, uint32_t n) {
  if (x->records || x->unstarted < STARTED_AT / 4) return NULL;
  x->unstarted = 0;
  jm_mlx_array **arrays = jm_alloc(n, sizeof *arrays);
  if (!arrays) return jm_error_out_of_memory();
  uint32_t n_arrays = 0;
  for (uint32_t i = 0; i < n; i++)
    if (carries[i].array) arrays[n_arrays++] = carries[i].array;
  jm_error *error = n_arrays ? graph_start(x, arrays, n_arrays) : NULL;
  jm_free(arrays);
  return error;
}

static jm_error *condition_read(execution *x, const jm_step *step, const jm_mlx_value *carries,
                                uint32_t n, bool *go_on) {
  const jm_op *op = jm_module_op(x->m, step->op);
  const jm_region *cond = jm_op_region(x->m, op, 0);
  for (uint32_t i = 0; i < n; i++)
    *value_at(x, cond->first_arg + i) = jm_mlx_value_share(x->api, &carries[i]);
  region_enter(x, cond, op, n, n);
  jm_error *error = run_block(x, step->first_block);
  if (!error) error = values_fetch(x, cond->results, 1);
  if (!error) *go_on = *(const uint8_t *)value_at(x, cond->results[0])->block->data;
  jm_mlx_value_drop(x->api, value_at(x, cond->results[0]));
  region_leave(x, cond);
  return error;
}

static jm_error *while_loop(execution *x, const jm_step *step, jm_mlx_value *carries, uint32_t n) {
  const jm_op *op = jm_module_op(x->m, step->op);
  const jm_region *body = jm_op_region(x->m, op, 1);
  for (;;) {
    bool go_on = false;
    JM_TRY(check_cancelled(x));
    JM_TRY(condition_read(x, step, carries, n, &go_on));
    if (!go_on) return NULL;
    for (uint32_t i = 0; i < n; i++) { /* moved: the body may reuse a carry's memory */
      *value_at(x, body->first_arg + i) = carries[i];
      carries[i] = (jm_mlx_value){0};
    }
    region_enter(x, body, op, n, n);
    JM_TRY(run_block(x, step->first_block + 1));
    results_collect(x, body, carries);
    JM_TRY(carries_start(x, carries, n));
  }
}

static jm_error *run_while(execution *x, const jm_step *step) {
  const jm_op *op = jm_module_op(x->m, step->op);
  const jm_operand *reads = jm_step_reads(x->plan, step);
  uint32_t n = step->n_writes;
  JM_TRY(exchanges_make(x));
  jm_mlx_value *carries = jm_alloc(n, sizeof *carries);
  if (!carries) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++)
    carries[i] = jm_mlx_value_share(x->api, value_at(x, op->operands[i]));
  for (uint32_t i = 0; i < n; i++) /* captures are dropped after the loop, initial values now */
    if (reads[i].last) jm_mlx_value_drop(x->api, value_at(x, reads[i].value));
  jm_error *error = while_loop(x, step, carries, n);
  for (uint32_t i = 0; i < n; i++) {
    if (error)
      jm_mlx_value_drop(x->api, &carries[i]);
    else
      *value_at(x, op->first_result + i) = carries[i];
  }
  jm_free(carries);
  return error;
}

static jm_error *run_case(execution *x, const jm_step *step) {
  const jm_op *op = jm_module_op(x->m, step->op);
  JM_TRY(exchanges_make(x));
  JM_TRY(values_fetch(x, op->operands, 1));
  const jm_mlx_value *index = value_at(x, op->operands[0]);
  const uint32_t branch =
      jm_case_branch((jm_tensor){index->type, index->block->data}, step->n_blocks);
  const jm_region *region = jm_op_region(x->m, op, branch);
  region_enter(x, region, op, 0, 1);
  JM_TRY(run_block(x, step->first_block + branch));
  /* The op's results are values of their own: nothing of the region is among them. */
  results_collect(x, region, value_at(x, op->first_result));
  return NULL;
}

/* In a loop or a branch the processes meet before each exchange, because the device's collectives
 * would take one of another round, or of the next launch, for this one; other exchanges are nodes
 * of the graph, in the order of the plan. */
static jm_error *run_exchange(execution *x, const jm_op *op, jm_lower_fn *lower) {
  const bool is_shared = x->lowering.link->is_shared, is_nested = x->depth > 1 && !x->records;
  if (is_nested && !is_shared) JM_TRY(processes_meet(x, op));
  if (is_shared) x->unmade = op;
  JM_TRY(run_on_device(x, op, lower));
  exchange_count(x, op);
  if (!is_nested) return NULL;
  return is_shared ? exchanges_make(x) : graph_start(x, &x->lowering.exchanged, 1);
}

static jm_error *run_plain(execution *x, const jm_step *step) {
  const jm_op *op = jm_module_op(x->m, step->op);
  const jm_mlx_code *code = (const jm_mlx_code *)step->code;
  if (code->is_collective && code->lower && x->lowering.link)
    return run_exchange(x, op, code->lower);
  const bool is_lowered = code->lower && !code->is_collective;
  if (!is_lowered) JM_TRY(exchanges_make(x)); /* the host fetches its operands */
  const bool on_device = code->device_only || (is_lowered && !belongs_on_host(x, op));
  return on_device ? run_on_device(x, op, code->lower) : run_on_host(x, op);
}

static jm_error *run_block(execution *x, uint32_t index) {
  static jm_error *(*const run[])(execution *, const jm_step *) = {
      [JM_STEP_OP] = run_plain,
      [JM_STEP_CONSTANT] = run_constant,
      [JM_STEP_WHILE] = run_while,
      [JM_STEP_CASE] = run_case,
  };
  const jm_block *block = &x->plan->blocks[index];
  x->depth++;
  for (uint32_t i = 0; i < block->n_steps; i++) {
    jm_step *step = &block->steps[i];
    const int64_t start = x->is_traced ? jm_timeline_begin() : 0;
    JM_TRY(run[step->kind](x, step));
    if (start) span_end(x, step, start);
    dead_drop(x, step);
  }
  x->depth--;
  return NULL;
}

/* -- a run */

static jm_error *execution_init(execution *x) {
  const uint32_t operands = x->plan->most_reads, results = x->plan->most_writes;
  x->values = jm_alloc(x->m->n_values, sizeof *x->values);
  x->operands = jm_alloc(operands, sizeof *x->operands);
  x->results = jm_alloc(results, sizeof *x->results);
  x->tensors = jm_alloc((size_t)operands + results, sizeof *x->tensors);
  x->lowering.api = x->api;
  x->lowering.module = x->m;
  x->lowering.scalars = &x->program->scalars;
  x->lowering.kernels = x->program->kernels;
  x->lowering.user_kernels = x->program->user_kernels;
  x->traces = jm_setting_has_word(JM_SETTING_DEBUG, "launches");
  jm_text_init(&x->calls);
  if (x->traces) x->lowering.calls = &x->calls;
  return x->values && x->operands && x->results && x->tensors ? NULL : jm_error_out_of_memory();
}

static jm_error *inputs_enter(execution *x, const jm_engine_run *run) {
  const jm_region *entry = jm_module_region(x->m, x->m->entry);
  for (uint32_t i = 0; i < entry->n_args; i++) {
    jm_engine_value *given = &run->inputs[i];
    jm_mlx_value *value = value_at(x, entry->first_arg + i);
    value->type = jm_module_typeof(x->m, entry->first_arg + i);
    value->array = (jm_mlx_array *)given->array;
    given->array = NULL;
    if (given->host)
      JM_TRY(jm_mlx_block_create(given->host, jm_type_bytes(value->type), &value->block));
  }
  return NULL;
}

/* A result on the host is copied: there may be other references, and large ones are rare. */
jm_error *jm_mlx_host_output(const jm_mlx_value *value, jm_engine_value *out) {
  size_t bytes = jm_type_bytes(value->type);
  out->host = jm_data_take(bytes);
  if (!out->host) return jm_error_out_of_memory();
  memcpy(out->host, value->block->data, bytes);
  return NULL;
}

static jm_error *arrays_await(const execution *x, jm_mlx_array **arrays, uint32_t n) {
  const int64_t start = jm_timeline_begin();
  jm_error *error = x->api->arrays_wait(arrays, n);
  jm_timeline_end(JM_SPAN_wait_end, device_of(x), 0, 0, start);
  return error;
}

static jm_error *outputs_leave(execution *x, const jm_engine_run *run) {
  const jm_region *entry = jm_module_region(x->m, x->m->entry);
  uint32_t n = entry->n_results, n_arrays = 0;
  jm_mlx_array **arrays = jm_alloc(n + 1, sizeof *arrays);
  if (!arrays) return jm_error_out_of_memory();
  jm_error *error = NULL;
  for (uint32_t i = 0; !error && i < n; i++) {
    jm_mlx_value *value = value_at(x, entry->results[i]);
    jm_mlx_array *dense = NULL;
    if (!value->array) {
      error = jm_mlx_host_output(value, &run->outputs[i]);
      continue;
    }
    error = x->api->contiguous(&dense, value->array);
    run->outputs[i].array = (jm_engine_array *)dense;
    if (dense) arrays[n_arrays++] = dense;
  }
  /* The inputs are dropped here, before the graph runs, so that MLX may reuse their memory. */
  for (uint32_t i = 0; i < x->m->n_values; i++) jm_mlx_value_drop(x->api, value_at(x, i));
  if (!error) error = exchanges_make(x);
  /* All exchanges are made, whoever needs them, because the other processes make them, too. */
  if (x->lowering.exchanged) arrays[n_arrays++] = x->lowering.exchanged;
  if (!error) error = graph_trace(x, arrays, n_arrays);
  if (!error && run->fence)
    error = x->api->arrays_submit(arrays, n_arrays, (jm_mlx_fence **)run->fence);
  else if (!error)
    error = arrays_await(x, arrays, n_arrays);
  jm_free(arrays);
  return error;
}

static void execution_deinit(execution *x) {
  for (uint32_t i = 0; x->values && i < x->m->n_values; i++)
    jm_mlx_value_drop(x->api, value_at(x, i));
  jm_free(x->values);
  jm_free(x->operands);
  jm_free(x->results);
  jm_free(x->tensors);
  jm_free(x->lowering.scope);
  x->api->array_release(x->lowering.exchanged);
  jm_text_deinit(&x->calls);
}

static jm_error *walk(execution *x, const jm_engine_run *run) {
  JM_TRY(execution_init(x));
  JM_TRY(inputs_enter(x, run));
  JM_TRY(run_block(x, 0));
  return outputs_leave(x, run);
}

/* Refuses a run that needs more memory than there is, before it launches anything. */
static jm_error *memory_check(const jm_mlx_api *api, const jm_plan *plan,
                              const jm_engine_run *run) {
  const uint32_t n = jm_module_region(plan->module, plan->module->entry)->n_args;
  size_t bytes = 0;
  uint32_t n_arrays = 0;
  if (!plan->peak.can_exceed) return NULL;
  jm_mlx_array **arrays = jm_alloc(n, sizeof *arrays);
  if (!arrays) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++)
    if (run->inputs[i].array) arrays[n_arrays++] = (jm_mlx_array *)run->inputs[i].array;
  jm_error *error = api->arrays_bytes(arrays, n_arrays, &bytes);
  jm_free(arrays);
  return error ? error : jm_plan_check_peak(plan, (int64_t)bytes);
}

/* All processes of the run meet here, before the first of the device's exchanges, and go the same
 * way from here on. */
static jm_error *way_agree(const execution *x, const jm_engine_run *run, jm_way *out) {
  uint32_t way = JM_WAY_NEVER;
  if (x->program->replay)
    way = x->is_traced ? JM_WAY_WALK
                       : jm_mlx_replay_choose(x->program->replay, x->lowering.link, x->plan, run);
  JM_TRY(jm_mlx_link_meet(x->lowering.link, x->context, JM_NONE, "the start", way, &way));
  *out = (jm_way)way;
  return NULL;
}

jm_error *jm_mlx_program_run(const jm_mlx_api *api, const jm_mlx_link *link,
                             jm_mlx_program *program, const jm_plan *plan,
                             const jm_engine_run *run) {
  execution x = {.api = api,
                 .lowering.link = link,
                 .program = program,
                 .plan = plan,
                 .m = program->module,
                 .context = run->context,
                 .is_traced = jm_timeline_begin() != 0};
  const jm_region *entry = jm_module_region(x.m, x.m->entry);
  for (uint32_t i = 0; i < entry->n_results; i++) run->outputs[i] = (jm_engine_value){0};
  jm_counter_add(JM_COUNTER_device_runs, 1);
  bool is_done = false;
  jm_way way = JM_WAY_NEVER;
  jm_error *error = memory_check(api, plan, run);
  if (!error) error = way_agree(&x, run, &way);
  if (!error && program->replay) error = jm_mlx_replay_run(program, link, plan, run, way, &is_done);
  if (!error && !is_done) {
    error = walk(&x, run);
    execution_deinit(&x);
  }
  for (uint32_t i = 0; error && i < entry->n_results; i++) {
    api->array_release((jm_mlx_array *)run->outputs[i].array);
    if (run->outputs[i].host)
      jm_data_give(run->outputs[i].host, jm_type_bytes(jm_module_typeof(x.m, entry->results[i])));
    run->outputs[i] = (jm_engine_value){0};
  }
  return error;
}

/* The results as a recording needs them. */
static jm_error *results_take_dense(execution *x, jm_mlx_value *results) {
  const jm_region *entry = jm_module_region(x->m, x->m->entry);
  for (uint32_t i = 0; i < entry->n_results; i++) {
    const jm_mlx_value *value = value_at(x, entry->results[i]);
    if (!value->array) {
      results[i] = jm_mlx_value_share(x->api, value);
      continue;
    }
    results[i].type = value->type;
    JM_TRY(x->api->contiguous(&results[i].array, value->array));
  }
  return NULL;
}

jm_error *jm_mlx_program_trace(const jm_mlx_api *api, const jm_mlx_link *link,
                               jm_mlx_program *program, const jm_plan *plan,
                               const jm_context *context, const jm_mlx_value *inputs,
                               jm_mlx_value *results, jm_mlx_exchanges *exchanges) {
  execution x = {.api = api,
                 .lowering.link = link,
                 .program = program,
                 .plan = plan,
                 .m = program->module,
                 .context = context,
                 .records = true};
  const jm_region *entry = jm_module_region(x.m, x.m->entry);
  jm_error *error = execution_init(&x);
  for (uint32_t i = 0; !error && i < entry->n_args; i++)
    *value_at(&x, entry->first_arg + i) = jm_mlx_value_share(api, &inputs[i]);
  if (!error) error = run_block(&x, 0);
  if (!error) error = results_take_dense(&x, results);
  *exchanges = x.exchanges;
  execution_deinit(&x);
  for (uint32_t i = 0; error && i < entry->n_results; i++) jm_mlx_value_drop(api, &results[i]);
  return error;
}
