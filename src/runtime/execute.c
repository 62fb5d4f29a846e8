/* SPDX-License-Identifier: Apache-2.0
 * One execution: check, take references and donations, run when the inputs are there, publish. */
#include <string.h>

#include "base/float_state.h"
#include "runtime/executable.h"
#include "runtime/task.h"

typedef struct execution {
  jm_task task;
  jm_executable *executable;
  const jm_prepared *prepared;
  jm_engine *engine; /* of the device; the client is retained */
  jm_client *client;
  jm_context context;
  jm_event *done; /* of all outputs */
  jm_storage **inputs, **outputs;
  jm_engine_value *input_values, *output_values;
  bool *donated; /* per input */
} execution;

static void execution_destroy(execution *run) {
  const jm_program_facts *facts = run->executable->facts;
  for (uint32_t i = 0; i < facts->n_parameters; i++) jm_storage_release(run->inputs[i]);
  for (uint32_t i = 0; i < facts->n_outputs; i++) jm_storage_release(run->outputs[i]);
  jm_event_release(run->done);
  jm_executable_release(run->executable);
  jm_client_release(run->client);
  jm_task_deinit(&run->task);
  jm_free(run);
}

/* The execution and its arrays in one block. */
static jm_error *execution_create(jm_executable *executable, const jm_prepared *prepared,
                                  jm_device *device, jm_task_run *run, execution **out) {
  uint32_t n_in = executable->facts->n_parameters, n_out = executable->facts->n_outputs;
  size_t n = (size_t)n_in + n_out;
  execution *fresh =
      jm_alloc(1, sizeof *fresh + n * (sizeof(jm_engine_value) + sizeof(jm_storage *)) + n_in);
  if (!fresh) return jm_error_out_of_memory();
  fresh->input_values = (jm_engine_value *)(fresh + 1);
  fresh->output_values = fresh->input_values + n_in;
  fresh->inputs = (jm_storage **)(fresh->input_values + n);
  fresh->outputs = fresh->inputs + n_in;
  fresh->donated = (bool *)(fresh->inputs + n);
  fresh->prepared = prepared;
  fresh->engine = device->engine;
  fresh->executable = jm_executable_retain(executable);
  fresh->client = jm_client_retain(device->client);
  fresh->context = (jm_context){.cancelled = &fresh->client->stopping,
                                .device = (uint32_t)(device - fresh->client->devices)};
  jm_error *error = jm_event_create(&fresh->done);
  if (!error) {
    error = jm_task_init(&fresh->task, device->pool, run, n_in);
    if (!error) {
      *out = fresh;
      return NULL;
    }
  }
  execution_destroy(fresh);
  return error;
}

/* -- running. On the host's memory, values are where the storages have them */

/* Gives each output its memory: that of the argument donated to it if nobody else holds it. */
static jm_error *bind_memory(execution *run) {
  const jm_program_facts *facts = run->executable->facts;
  for (uint32_t i = 0; i < facts->n_parameters; i++) {
    JM_TRY(jm_storage_data(run->inputs[i], &run->input_values[i].host));
    int32_t alias = facts->parameters[i].alias;
    if (alias >= 0) jm_storage_move(run->inputs[i], run->outputs[alias]);
  }
  for (uint32_t i = 0; i < facts->n_outputs; i++)
    JM_TRY(jm_storage_data(run->outputs[i], &run->output_values[i].host));
  return NULL;
}

/* -- elsewhere, the engine brings the outputs */

static jm_type type_of(const jm_shape *shape) {
  jm_type type = {.dtype = shape->dtype, .rank = shape->rank, .count = 1, .dims = shape->dims};
  for (uint32_t i = 0; i < shape->rank; i++) type.count *= shape->dims[i];
  return type;
}

/* Small values that the host made stay there, where loop bounds and indices are wanted; so do
 * values that the device can't hold. Donated arrays are handed over. */
static jm_error *bind_array(execution *run, uint32_t i) {
  enum { SMALL = 64 };
  const jm_parameter *parameter = &run->executable->facts->parameters[i];
  const jm_type type = type_of(&parameter->shape);
  jm_storage *storage = run->inputs[i];
  jm_engine_value *out = &run->input_values[i];
  bool stays = parameter->shape.bytes <= SMALL || !run->engine->holds(&type);
  if (stays && jm_storage_on_host(storage)) return jm_storage_data(storage, &out->host);
  if (run->donated[i]) out->array = jm_storage_array_take(storage);
  return out->array ? NULL : jm_storage_array(storage, &type, &out->array);
}

static jm_error *run_program(execution *run) {
  const jm_program_facts *facts = run->executable->facts;
  const bool is_host_memory = run->engine->fact.is_host_memory;
  const jm_engine_run arguments = {run->input_values, run->output_values, &run->context};
  /* The values' memory served to start the task. */
  memset(run->input_values, 0, facts->n_parameters * sizeof *run->input_values);
  jm_error *error = is_host_memory ? bind_memory(run) : NULL;
  for (uint32_t i = 0; !error && !is_host_memory && i < facts->n_parameters; i++)
    error = bind_array(run, i);
  jm_float_state state = jm_float_state_enter();
  if (!error)
    error =
        jm_error_note(jm_prepared_run(run->prepared, &arguments), "while '%s' ran", facts->name);
  jm_float_state_leave(state);
  if (is_host_memory) return error;
  for (uint32_t i = 0; i < facts->n_parameters; i++) /* those that the engine didn't get to */
    if (run->input_values[i].array)
      run->engine->array_release(run->engine, run->input_values[i].array);
  for (uint32_t i = 0; !error && i < facts->n_outputs; i++)
    jm_storage_fill(run->outputs[i], run->output_values[i].array, run->output_values[i].host);
  return error;
}

static void execution_run(jm_task *task, const jm_error *failed) {
  execution *run = (execution *)task;
  jm_error *error = failed ? jm_error_clone(failed) : run_program(run);
  jm_event *done = jm_event_retain(run->done);
  execution_destroy(run); /* first: the next execution may then reuse what this one held */
  jm_event_fire(done, error);
  jm_event_release(done);
}

static jm_error *check_argument(const jm_program_facts *facts, uint32_t i, const jm_device *device,
                                jm_buffer *argument) {
  if (!argument) return jm_error_invalid("argument %u of '%s' is missing", i, facts->name);
  const jm_shape *wanted = &facts->parameters[i].shape;
  /* JAX brings tokens as empty arrays, pred[0]. */
  bool is_token =
      wanted->dtype == JM_DT_token && argument->dtype == JM_DT_pred && !argument->n_bytes;
  if (!is_token && (argument->dtype != wanted->dtype || argument->rank != wanted->rank ||
                    (wanted->rank &&
                     memcmp(argument->dims, wanted->dims, wanted->rank * sizeof *wanted->dims)))) {
    char have[256], want[256];
    return jm_error_invalid(
        "argument %u of '%s' is %s, the program takes %s", i, facts->name,
        jm_shape_print(argument->dtype, argument->rank, argument->dims, have, sizeof have),
        jm_shape_print(wanted->dtype, wanted->rank, wanted->dims, want, sizeof want));
  }
  if (argument->memory->device != device)
    return jm_error_invalid("argument %u of '%s' is on %s, the program runs on %s", i, facts->name,
                            argument->memory->device->description->text, device->description->text);
  if (jm_buffer_deleted(argument))
    return jm_error_invalid("argument %u of '%s': Buffer has been deleted or donated", i,
                            facts->name);
  return NULL;
}

static bool is_donated(const jm_program_facts *facts, const jm_execute_options *options,
                       uint32_t i) {
  if (facts->parameters[i].alias < 0 && !facts->parameters[i].donor) return false;
  for (size_t k = 0; k < options->n_kept; k++)
    if (options->kept[k] == (int64_t)i) return false;
  return true;
}

/* A donated buffer may be passed once: its old value would be read after it is gone. */
static jm_error *check_donations(const jm_program_facts *facts, const jm_execute_options *options,
                                 jm_buffer *const *arguments) {
  for (uint32_t i = 0; i < facts->n_parameters; i++) {
    if (!is_donated(facts, options, i)) continue;
    for (uint32_t j = 0; j < facts->n_parameters; j++)
      if (i != j && arguments[i] == arguments[j])
        return jm_error_invalid(
            "argument %u of '%s' is donated, and the same buffer is also "
            "argument %u",
            i, facts->name, j);
  }
  return NULL;
}

static jm_error *check_arguments(const jm_program_facts *facts, const jm_execute_options *options,
                                 const jm_device *device, jm_buffer *const *arguments,
                                 size_t n_arguments) {
  if (n_arguments != facts->n_parameters)
    return jm_error_invalid("'%s' takes %u arguments, %zu were given", facts->name,
                            facts->n_parameters, n_arguments);
  for (uint32_t i = 0; i < facts->n_parameters; i++)
    JM_TRY(check_argument(facts, i, device, arguments[i]));
  return check_donations(facts, options, arguments);
}

static jm_error *create_outputs(const execution *run, jm_device *device, jm_buffer **outputs) {
  const jm_program_facts *facts = run->executable->facts;
  for (uint32_t i = 0; i < facts->n_outputs; i++) {
    const jm_shape *shape = &facts->outputs[i].shape;
    const char *kind = facts->outputs[i].memory_kind;
    jm_memory *memory =
        kind ? jm_device_find_memory(device, kind) : jm_device_default_memory(device);
    jm_error *error = jm_buffer_create(memory, shape->dtype, shape->rank, shape->dims, NULL,
                                       run->done, &outputs[i]);
    if (error) {
      while (i-- > 0) jm_buffer_release(outputs[i]);
      return error;
    }
    run->outputs[i] = jm_storage_retain(outputs[i]->storage);
  }
  return NULL;
}

/* Takes the inputs' storages. Only a buffer that another thread deletes or donates meanwhile can
 * make this fail; then what was taken by donation is lost with it. */
static jm_error *take_inputs(const execution *run, const jm_execute_options *options,
                             jm_buffer *const *arguments) {
  const jm_program_facts *facts = run->executable->facts;
  for (uint32_t i = 0; i < facts->n_parameters; i++) {
    run->donated[i] = is_donated(facts, options, i);
    JM_TRY(run->donated[i] ? jm_buffer_take(arguments[i], &run->inputs[i])
                           : jm_buffer_acquire(arguments[i], &run->inputs[i]));
  }
  return NULL;
}

static void start(execution *run, jm_buffer *const *arguments) {
  const jm_program_facts *facts = run->executable->facts;
  /* Only events that may delay or fail: most arguments are plainly there. */
  jm_event **events = (jm_event **)run->input_values; /* free until the program runs */
  uint32_t n_events = 0;
  for (uint32_t i = 0; i < facts->n_parameters; i++) {
    jm_event *ready = arguments[i]->ready;
    if (!jm_event_ready(ready) || jm_event_error(ready)) events[n_events++] = ready;
  }
  bool may_run_here = facts->cheap && run->engine->fact.any_thread;
  jm_task_start(&run->task, events, n_events, may_run_here);
}

jm_error *jm_loaded_executable_execute(jm_loaded_executable *loaded,
                                       const jm_execute_options *options,
                                       jm_buffer *const *arguments, size_t n_arguments,
                                       jm_buffer **outputs, jm_event **done) {
  jm_executable *executable = loaded->executable;
  const jm_program_facts *facts = executable->facts;
  if (atomic_load(&loaded->deleted))
    return jm_error_invalid("the executable '%s' has been deleted", facts->name);
  jm_device *device = options->device ? options->device : loaded->device;
  if (device != loaded->device && !executable->options.portable)
    return jm_error_invalid("'%s' was compiled for %s and can't run on %s", facts->name,
                            loaded->device->description->text, device->description->text);
  JM_TRY(check_arguments(facts, options, device, arguments, n_arguments));
  const jm_prepared *prepared = loaded->prepared;
  if (device->engine != loaded->device->engine)
    JM_TRY(jm_executable_prepare(executable, device, &prepared));
  execution *run = NULL;
  JM_TRY(execution_create(executable, prepared, device, execution_run, &run));
  jm_error *error = create_outputs(run, device, outputs);
  if (!error) {
    error = take_inputs(run, options, arguments);
    if (error)
      for (uint32_t i = 0; i < facts->n_outputs; i++) jm_buffer_release(outputs[i]);
  }
  if (error) {
    execution_destroy(run);
    return error;
  }
  *done = jm_event_retain(run->done);
  start(run, arguments);
  return NULL;
}
