/* SPDX-License-Identifier: Apache-2.0
 * One execution: checks arguments, takes references and donations, runs when the inputs are ready,
 * and publishes the outputs. On an engine with fences a run returns once its work is submitted:
 * runs that take its outputs may follow at once, and all other users wait for its end (inflight.h).
 */
#include <stddef.h>
#include <string.h>

#include "base/float_state.h"
#include "profile/timeline.h"
#include "runtime/executable.h"
#include "runtime/link.h"
#include "runtime/peers.h"
#include "runtime/task.h"

typedef struct execution {
  jm_task task;
  jm_executable *executable;
  const jm_prepared *prepared;
  jm_device *device;
  jm_client *client; /* the device's, retained */
  jm_context context;
  jm_peers *peers; /* of a program on several devices */
  uint32_t participant;
  /* Of a program over several processes on an engine that is bound to one thread: fires when the
   * program has run, so that the next one of these runs behind it. All processes run them in the
   * order of their launches, and the thread would wait for the others in a later one first. */
  jm_event *turn, *previous_turn;
  jm_event *done; /* of all outputs */
  int64_t start;  /* on the timeline, 0: no session was open */
  uint64_t flow;  /* from the call of the C API that asked for it, in JAX's own trace */
  /* With fences: */
  jm_flight flight;
  jm_event *submitted;
  jm_event **awaited; /* the ends of unfinished runs whose outputs this one takes */
  uint32_t n_awaited;
  jm_storage **inputs, **outputs;
  jm_engine_value *input_values, *output_values;
  bool *donated; /* per input */
} execution;

static void storages_release(execution *run) {
  const jm_program_facts *facts = run->executable->facts;
  for (uint32_t i = 0; i < facts->n_parameters; i++) jm_storage_release(run->inputs[i]);
  for (uint32_t i = 0; i < facts->n_outputs; i++) jm_storage_release(run->outputs[i]);
  memset(run->inputs, 0, facts->n_parameters * sizeof *run->inputs);
  memset(run->outputs, 0, facts->n_outputs * sizeof *run->outputs);
}

static void execution_destroy(execution *run) {
  storages_release(run);
  for (uint32_t i = 0; i < run->n_awaited; i++) jm_event_release(run->awaited[i]);
  jm_event_release(run->submitted);
  jm_event_release(run->turn);
  jm_event_release(run->previous_turn);
  jm_event_release(run->done);
  jm_peers_release(run->peers);
  jm_executable_release(run->executable);
  jm_client_release(run->client);
  jm_task_deinit(&run->task);
  jm_free(run);
}

/* The execution and its arrays in one block. */
static jm_error *execution_create(jm_executable *executable, const jm_prepared *prepared,
                                  jm_device *device, jm_task_run *run, execution **out) {
  uint32_t n_in = executable->facts->n_parameters, n_out = executable->facts->n_outputs;
  size_t n = (size_t)n_in + n_out + 1; /* values; the events of the inputs and a turn fit there */
  execution *fresh =
      jm_alloc(1, sizeof *fresh + n * (sizeof(jm_engine_value) + sizeof(jm_storage *)) +
                      n_in * (sizeof(jm_event *) + 1));
  if (!fresh) return jm_error_out_of_memory();
  fresh->input_values = (jm_engine_value *)(fresh + 1);
  fresh->output_values = fresh->input_values + n_in;
  fresh->inputs = (jm_storage **)(fresh->input_values + n);
  fresh->outputs = fresh->inputs + n_in;
  fresh->awaited = (jm_event **)(fresh->inputs + n);
  fresh->donated = (bool *)(fresh->awaited + n_in);
  fresh->prepared = prepared;
  fresh->device = device;
  fresh->executable = jm_executable_retain(executable);
  fresh->client = jm_client_retain(device->client);
  fresh->context =
      (jm_context){.cancelled = &fresh->client->stopping, .device = jm_device_index(device)};
  jm_error *error = jm_event_create(&fresh->done);
  if (!error && device->inflight) error = jm_event_create(&fresh->submitted);
  if (!error) {
    error = jm_task_init(&fresh->task, device->pool, run, n_in + 1);
    if (!error) {
      *out = fresh;
      return NULL;
    }
  }
  execution_destroy(fresh);
  return error;
}

/* -- running. On the host's memory, values are where the storages have them */

/* Allocates each output: in the memory of the argument donated to it if there is no other
 * reference. */
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

/* -- running on other memory: the engine creates the outputs */

/* Small values from the host stay there, where loop bounds and indices are needed; so do values
 * that the device can't hold. Donated arrays are handed over. */
static jm_error *bind_array(execution *run, uint32_t i) {
  enum { SMALL = 64 };
  const jm_parameter *parameter = &run->executable->facts->parameters[i];
  const jm_type *type = parameter->shape.stored;
  jm_storage *storage = run->inputs[i];
  jm_engine_value *out = &run->input_values[i];
  bool stays = parameter->shape.bytes <= SMALL || !run->device->engine->holds(type);
  if (stays && jm_storage_on_host(storage)) return jm_storage_data(storage, &out->host);
  if (run->donated[i]) out->array = jm_storage_array_take(storage);
  return out->array ? NULL : jm_storage_array(storage, type, &out->array);
}

static jm_error *join(execution *run) {
  JM_TRY(jm_collective_seconds(&run->context.limit_seconds));
  run->flight.seconds = run->context.limit_seconds;
  return jm_link_join(run->client, &run->context);
}

static jm_error *run_program(execution *run) {
  const jm_program_facts *facts = run->executable->facts;
  jm_engine *engine = run->device->engine;
  const bool is_host_memory = engine->fact.is_host_memory;
  /* On another thread than the engine's, after a shutdown, a run is completed before it returns. */
  const bool submits = run->submitted && jm_pool_is_here(run->device->pool);
  const jm_engine_run arguments = {run->input_values, run->output_values, &run->context,
                                   submits ? &run->flight.fence : NULL};
  /* The memory of the values held the events until the task started. */
  memset(run->input_values, 0, facts->n_parameters * sizeof *run->input_values);
  jm_error *error = is_host_memory ? bind_memory(run) : NULL;
  for (uint32_t i = 0; !error && !is_host_memory && i < facts->n_parameters; i++)
    error = bind_array(run, i);
  if (!error && run->context.is_joined) error = join(run);
  jm_float_state state = jm_float_state_enter();
  if (!error) error = jm_prepared_run(run->prepared, &arguments);
  jm_float_state_leave(state);
  error = jm_error_note(error, "while '%s' ran", facts->name);
  if (is_host_memory) return error;
  for (uint32_t i = 0; i < facts->n_parameters; i++) /* those that the engine did not consume */
    if (run->input_values[i].array) engine->array_release(engine, run->input_values[i].array);
  for (uint32_t i = 0; !error && i < facts->n_outputs; i++)
    jm_storage_fill(run->outputs[i], run->output_values[i].array, run->output_values[i].host,
                    run->flight.fence ? run->done : NULL);
  return error;
}

/* The label of a program's runs, made at the first. */
static uint32_t label_of(jm_executable *executable) {
  uint32_t number = atomic_load_explicit(&executable->label, memory_order_relaxed);
  if (number) return number;
  const jm_program_facts *facts = executable->facts;
  const jm_span_label label = {.name = *facts->name ? facts->name : "a program",
                               .program = facts->name,
                               .op = "",
                               .scope = "",
                               .source = "",
                               .flops = facts->flops,
                               .bytes = facts->bytes_accessed};
  number = jm_timeline_add_label(&label);
  atomic_store_explicit(&executable->label, number, memory_order_relaxed);
  return number;
}

/* Takes the error. */
static void execution_finish(execution *run, jm_error *error) {
  if (error && run->peers) jm_peers_fail(run->peers, run->participant, error);
  if (run->start)
    jm_timeline_end(JM_SPAN_run, run->context.device, label_of(run->executable), run->flow,
                    run->start);
  jm_event *done = jm_event_retain(run->done);
  execution_destroy(run); /* first: the next execution may then reuse its memory */
  jm_event_fire(done, error);
  jm_event_release(done);
}

static execution *execution_of(jm_flight *flight) {
  return (execution *)((char *)flight - offsetof(execution, flight));
}

/* A run that took outputs of a failed one has failed, too, whatever its own fence says. The runs
 * that it depends on have landed by now: flights land in order. */
static void execution_land(jm_flight *flight, jm_error *error) {
  execution *run = execution_of(flight);
  error = jm_error_note(error, "while '%s' ran", run->executable->facts->name);
  for (uint32_t i = 0; i < run->n_awaited && !error; i++) {
    const jm_error *failed = jm_event_error(run->awaited[i]);
    if (failed) error = jm_error_clone(failed);
  }
  execution_finish(run, error);
}

/* The engine may report the error of a run in flight at the next use of its output, once: therefore
 * the runs that a failed one depends on share its error. A lack of memory is not shared. */
static void blame_awaited(const execution *run, const jm_error *error) {
  if (jm_error_code(error) != JM_INTERNAL) return;
  for (jm_flight *f = run->device->inflight->first; f; f = f->next)
    for (uint32_t i = 0; i < run->n_awaited && !f->fate; i++)
      if (execution_of(f)->done == run->awaited[i]) f->fate = jm_error_clone(error);
}

/* All steps between processes are made. They are left at once, and not when the device is done: the
 * next launch waits for that on the thread that would see the end. */
static void turn_end(execution *run, const jm_error *error) {
  if (!run->turn) return;
  if (error) jm_peers_fail(run->peers, run->participant, error);
  jm_peers_release(run->peers);
  run->peers = NULL;
  jm_event_fire(run->turn, NULL);
}

static void execution_run(jm_task *task, const jm_error *failed) {
  execution *run = (execution *)task;
  jm_inflight *inflight = run->device->inflight;
  if (inflight) jm_inflight_make_room(inflight, run->flight.bytes);
  run->start = jm_timeline_begin();
  jm_error *error = failed ? jm_error_clone(failed) : run_program(run);
  if (inflight) {
    if (error) blame_awaited(run, error);
    jm_event_fire(run->submitted, error ? jm_error_clone(error) : NULL);
  }
  turn_end(run, error);
  if (error || !run->flight.fence) {
    execution_finish(run, error);
    return;
  }
  storages_release(run); /* so that the next run may take their arrays */
  run->flight.land = execution_land;
  jm_inflight_add(inflight, &run->flight);
}

static jm_error *check_argument(const jm_program_facts *facts, uint32_t i, const jm_device *device,
                                jm_buffer *argument) {
  if (!argument) return jm_error_invalid("argument %u of '%s' is missing", i, facts->name);
  const jm_shape *wanted = &facts->parameters[i].shape;
  /* JAX passes tokens as empty arrays, pred[0]. */
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
  if (!is_token && !jm_buffer_has_layout(argument, wanted->minor_to_major)) {
    char have[JM_LAYOUT_TEXT], want[JM_LAYOUT_TEXT];
    return jm_error_invalid("argument %u of '%s' has the layout %s, the program takes %s", i,
                            facts->name,
                            jm_layout_print(argument->rank, argument->minor_to_major, have),
                            jm_layout_print(wanted->rank, wanted->minor_to_major, want));
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
    jm_buffer_set_layout(outputs[i], shape->minor_to_major);
    if (run->submitted) outputs[i]->submitted = jm_event_retain(run->submitted);
    run->outputs[i] = jm_storage_retain(outputs[i]->storage);
  }
  return NULL;
}

/* Takes the inputs' storages. This fails only if another thread deletes or donates a buffer
 * meanwhile; arguments that were already donated are then lost. */
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

/* The events that the run waits for: only those not ready or failed, for most arguments are ready.
 */
static void start(execution *run, jm_buffer *const *arguments) {
  const jm_program_facts *facts = run->executable->facts;
  jm_event **events = (jm_event **)run->input_values; /* free until the program runs */
  uint32_t n_events = 0;
  for (uint32_t i = 0; i < facts->n_parameters; i++) {
    jm_event *ready = arguments[i]->ready;
    if (jm_event_ready(ready) && !jm_event_error(ready)) continue;
    bool follows = run->submitted && arguments[i]->submitted && !jm_event_ready(ready);
    if (follows) run->awaited[run->n_awaited++] = jm_event_retain(ready);
    events[n_events++] = follows ? arguments[i]->submitted : ready;
  }
  if (run->previous_turn) events[n_events++] = run->previous_turn;
  bool may_run_here = facts->cheap && run->device->engine->fact.any_thread && !run->peers;
  jm_task_start(&run->task, events, n_events, may_run_here);
}

/* Prepares one participant of a launch, without starting it. */
static jm_error *participant_create(const jm_loaded_executable *loaded, const jm_prepared *prepared,
                                    const jm_execute_options *options, jm_device *device,
                                    jm_buffer *const *arguments, jm_buffer **outputs,
                                    execution **out) {
  const jm_program_facts *facts = loaded->executable->facts;
  execution *run = NULL;
  JM_TRY(execution_create(loaded->executable, prepared, device, execution_run, &run));
  run->flight.bytes = (size_t)facts->bytes_accessed;
  run->flight.device = run->context.device;
  run->flow = options->flow;
  jm_error *error = create_outputs(run, device, outputs);
  if (!error) {
    error = take_inputs(run, options, arguments);
    if (error)
      for (uint32_t i = 0; i < facts->n_outputs; i++) jm_buffer_release(outputs[i]);
  }
  if (error)
    execution_destroy(run);
  else
    *out = run;
  return error;
}

static void participant_discard(execution *run, jm_buffer **outputs) {
  const jm_program_facts *facts = run->executable->facts;
  for (uint32_t i = 0; i < facts->n_outputs; i++) jm_buffer_release(outputs[i]);
  execution_destroy(run);
}

/* What the launch needs to reach other processes; NULL: it does not need to. */
static jm_wire *find_wire(const jm_loaded_executable *loaded) {
  const bool needs = loaded->placement.spans && loaded->executable->facts->has_collectives;
  return needs ? loaded->client->wire : NULL;
}

/* Puts the run, which was entered into the wire, behind the one entered before. */
static void take_turn(jm_client *client, execution *run) {
  run->previous_turn = client->last_turn;
  client->last_turn = jm_event_retain(run->turn);
}

/* Tells the participants of each other. */
static jm_error *introduce(const jm_loaded_executable *loaded, execution **runs) {
  const jm_program_facts *facts = loaded->executable->facts;
  const jm_placement *placement = &loaded->placement;
  jm_client *client = loaded->client;
  jm_wire *wire = find_wire(loaded);
  if (placement->n_participants == 1) return NULL;
  if (wire && !runs[0]->device->engine->fact.any_thread) JM_TRY(jm_event_create(&runs[0]->turn));
  jm_peers *peers;
  pthread_mutex_lock(&client->turn_lock);
  jm_error *error = jm_peers_create(placement, wire, facts->agreement, facts->name, &peers);
  if (!error && runs[0]->turn) take_turn(client, runs[0]);
  pthread_mutex_unlock(&client->turn_lock);
  if (error) return error;
  for (uint32_t i = 0; i < placement->n_local; i++) {
    const uint32_t participant = placement->local[i];
    runs[i]->peers = peers;
    runs[i]->participant = participant;
    runs[i]->context.group = jm_peers_group(peers);
    runs[i]->context.replica = participant / facts->n_partitions;
    runs[i]->context.partition = participant % facts->n_partitions;
    runs[i]->context.is_joined = wire && jm_link_serves(client, placement);
  }
  return NULL;
}

static jm_error *find_target(const jm_loaded_executable *loaded, const jm_execute_options *options,
                             jm_device **out) {
  const jm_program_facts *facts = loaded->executable->facts;
  if (atomic_load(&loaded->deleted))
    return jm_error_invalid("the executable '%s' has been deleted", facts->name);
  *out = options->device ? options->device : loaded->device;
  if (*out == loaded->device) return NULL;
  if (loaded->placement.n_participants > 1)
    return jm_error_invalid("'%s' runs on %u devices, not on %s alone", facts->name,
                            loaded->placement.n_participants, (*out)->description->text);
  if (!loaded->executable->options.portable)
    return jm_error_invalid("'%s' was compiled for %s and can't run on %s", facts->name,
                            loaded->device->description->text, (*out)->description->text);
  return NULL;
}

/* Participants that wait for each other keep no worker of the pool (base/blocking.h), so that it
 * doesn't matter in which order the participants of several launches come to run. */
static jm_error *launch(const jm_loaded_executable *loaded, const jm_execute_options *options,
                        jm_buffer *const *const *arguments, size_t n_arguments,
                        jm_buffer **const *outputs, jm_event **done) {
  jm_executable *executable = loaded->executable;
  const uint32_t n = loaded->n_devices;
  jm_device *first;
  JM_TRY(find_target(loaded, options, &first));
  for (uint32_t i = 0; i < n; i++)
    JM_TRY(check_arguments(executable->facts, options, i ? loaded->devices[i] : first, arguments[i],
                           n_arguments));
  const jm_prepared *prepared = loaded->prepared;
  if (first->engine != loaded->device->engine)
    JM_TRY(jm_executable_prepare(executable, first, NULL, &prepared));
  execution *runs[JM_MAX_DEVICES];
  uint32_t n_made = 0;
  jm_error *error = NULL;
  for (; !error && n_made < n; n_made += !error)
    error = participant_create(loaded, prepared, options, n_made ? loaded->devices[n_made] : first,
                               arguments[n_made], outputs[n_made], &runs[n_made]);
  if (!error) error = introduce(loaded, runs);
  if (error) {
    while (n_made-- > 0) participant_discard(runs[n_made], outputs[n_made]);
    return error;
  }
  for (uint32_t i = 0; i < n; i++) done[i] = jm_event_retain(runs[i]->done);
  for (uint32_t i = 0; i < n; i++) start(runs[i], arguments[i]);
  return NULL;
}

/* A launch that is refused here may have started in other processes, which count it and wait for
 * it: it is entered and left. */
static void report_refusal(const jm_loaded_executable *loaded, const jm_error *error) {
  const jm_program_facts *facts = loaded->executable->facts;
  jm_wire *wire = find_wire(loaded);
  jm_launch *refused;
  if (!wire) return;
  jm_error *broken = jm_wire_enter(wire, facts->agreement, facts->name, &refused);
  if (broken)
    jm_error_destroy(broken); /* then the others know */
  else
    jm_wire_leave(wire, refused, error);
}

jm_error *jm_loaded_executable_launch(jm_loaded_executable *loaded,
                                      const jm_execute_options *options,
                                      jm_buffer *const *const *arguments, size_t n_arguments,
                                      jm_buffer **const *outputs, jm_event **done) {
  if (!loaded->n_devices) return NULL;
  jm_error *error = launch(loaded, options, arguments, n_arguments, outputs, done);
  if (error) report_refusal(loaded, error);
  return error;
}

jm_error *jm_loaded_executable_execute(jm_loaded_executable *loaded,
                                       const jm_execute_options *options,
                                       jm_buffer *const *arguments, size_t n_arguments,
                                       jm_buffer **outputs, jm_event **done) {
  if (loaded->n_devices != 1)
    return jm_error_invalid("'%s' runs on %u devices, arguments for one were given",
                            loaded->executable->facts->name, loaded->n_devices);
  return jm_loaded_executable_launch(loaded, options, &arguments, n_arguments, &outputs, done);
}
