/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/executable.h"

#include <string.h>

#include "base/float_state.h"
#include "engine/host/engine.h"
#include "engine/mlx/offline.h"
#include "runtime/link.h"

static void *copy_bytes(const void *bytes, size_t size) {
  void *copy = jm_alloc(size, 1);
  if (copy && size) memcpy(copy, bytes, size);
  return copy;
}

static jm_error *check_options(const jm_compile_options *options) {
  if (options->tupled_arguments)
    return jm_error_unimplemented("parameter_is_tupled_arguments: arguments as one tuple");
  if (options->n_replicas < 1 || options->n_partitions < 1)
    return jm_error_invalid("compile options ask for %lld replicas and %lld partitions",
                            (long long)options->n_replicas, (long long)options->n_partitions);
  return NULL;
}

jm_error *jm_executable_compile(const void *code, size_t n_code, const void *option_bytes,
                                size_t n_option_bytes, const jm_compile_options *options,
                                jm_executable **out) {
  JM_TRY(check_options(options));
  jm_executable *executable = jm_alloc(1, sizeof *executable);
  if (!executable) return jm_error_out_of_memory();
  atomic_init(&executable->refs, 1);
  pthread_mutex_init(&executable->lock, NULL);
  executable->options = *options;
  executable->n_code = n_code;
  executable->n_options = n_option_bytes;
  executable->code = copy_bytes(code, n_code);
  executable->option_bytes = copy_bytes(option_bytes, n_option_bytes);
  jm_float_state state = jm_float_state_enter(); /* constants are folded */
  jm_error *error = !executable->code || !executable->option_bytes
                        ? jm_error_out_of_memory()
                        : jm_program_compile(code, n_code, &executable->program);
  jm_float_state_leave(state);
  if (error) {
    jm_executable_release(executable);
    return error;
  }
  executable->facts = jm_program_describe(executable->program);
  *out = executable;
  return NULL;
}

jm_executable *jm_executable_retain(jm_executable *executable) {
  atomic_fetch_add_explicit(&executable->refs, 1, memory_order_relaxed);
  return executable;
}

void jm_executable_release(jm_executable *executable) {
  if (!executable || atomic_fetch_sub_explicit(&executable->refs, 1, memory_order_acq_rel) != 1)
    return;
  jm_program_destroy(executable->program); /* before its engines go with the client */
  jm_client_release(executable->client);
  pthread_mutex_destroy(&executable->lock);
  jm_free(executable->code);
  jm_free(executable->option_bytes);
  jm_free(executable);
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* How many devices the program needs, all of which the client has. */
static jm_error *count_devices(const jm_program_facts *facts, const jm_compile_options *options,
                               const jm_client *client, uint32_t *out) {
  int64_t n_replicas = larger(options->n_replicas, facts->n_replicas);
  int64_t n_partitions = larger(options->n_partitions, facts->n_partitions);
  uint32_t n_devices = client->topology.n_devices;
  if (n_replicas > n_devices || n_partitions > n_devices || n_replicas * n_partitions > n_devices)
    return jm_error_invalid(
        "'%s' is a program for %lld replicas and %lld partitions, the client "
        "has %u device%s",
        facts->name, (long long)n_replicas, (long long)n_partitions, n_devices,
        n_devices == 1 ? "" : "s");
  if (n_replicas != facts->n_replicas || n_partitions != facts->n_partitions)
    return jm_error_unimplemented(
        "'%s' is written for %u replicas and %u partitions, the compile options ask for %lld and "
        "%lld",
        facts->name, facts->n_replicas, facts->n_partitions, (long long)n_replicas,
        (long long)n_partitions);
  *out = (uint32_t)(n_replicas * n_partitions);
  return NULL;
}

static jm_error *check_memory_kinds(const jm_program_facts *facts, const jm_device *device) {
  for (uint32_t i = 0; i < facts->n_outputs; i++) {
    const char *kind = facts->outputs[i].memory_kind;
    if (kind && !jm_device_find_memory(device, kind))
      return jm_error_invalid(
          "output %u of '%s' is to be in memory '%s', %s has device, "
          "pinned_host and unpinned_host",
          i, facts->name, kind, device->description->text);
  }
  return NULL;
}

static jm_error *find_device(const jm_program_facts *facts, const jm_compile_options *options,
                             jm_client *client, uint32_t i, jm_device **out) {
  const uint32_t n = client->topology.n_devices;
  const int64_t id = options->n_device_ids ? options->device_ids[i] : (int64_t)i;
  *out = jm_client_find_device(client, id);
  if (*out) return NULL;
  return jm_error_invalid("'%s' is assigned to device %lld, the client has %u device%s",
                          facts->name, (long long)id, n, n == 1 ? "" : "s");
}

static jm_error *check_device(const jm_program_facts *facts, const jm_loaded_executable *loaded,
                              const jm_device *device) {
  JM_TRY(check_memory_kinds(facts, device));
  if (loaded->n_devices > 1 && !device->engine->fact.any_thread)
    return jm_error_unimplemented(
        "'%s' is a program over %u devices, %u of them of this process, whose %s engine runs one "
        "at a time; a process each (jax.distributed) can run it, or JAX_MPS_DEVICE=host",
        facts->name, loaded->placement.n_participants, loaded->n_devices,
        device->engine->fact.name);
  return NULL;
}

/* Adds the next participant. */
static jm_error *place(const jm_program_facts *facts, jm_device *device,
                       jm_loaded_executable *loaded) {
  jm_placement *p = &loaded->placement;
  const uint32_t participant = p->n_participants;
  const uint32_t process = (uint32_t)device->description->process;
  for (uint32_t k = 0; k < participant; k++) {
    if (loaded->ids[k] == device->description->id)
      return jm_error_invalid("'%s' is assigned to device %d twice", facts->name, loaded->ids[k]);
    p->slot[participant] += p->process[k] == process;
    p->spans |= p->process[k] != process;
  }
  loaded->ids[participant] = device->description->id;
  p->process[participant] = process;
  if (p->slot[participant] >= p->n_slots) p->n_slots = p->slot[participant] + 1;
  p->n_participants++;
  if (!jm_device_is_local(device)) return NULL;
  p->local[p->n_local++] = participant;
  loaded->devices[loaded->n_devices++] = device;
  return NULL;
}

/* What carries a program's data between processes has no part of them. */
static jm_error *check_processes(const jm_program_facts *facts, const jm_placement *p,
                                 const jm_client *client) {
  const jm_processes *all = &client->processes;
  bool takes_part[JM_MAX_DEVICES] = {false};
  uint32_t n = 0;
  if (!p->spans || !facts->has_collectives) return NULL;
  for (uint32_t i = 0; i < p->n_participants; i++) {
    n += !takes_part[p->process[i]];
    takes_part[p->process[i]] = true;
  }
  if (n < all->n)
    return jm_error_unimplemented(
        "'%s' has collectives between %u of the job's %u processes; all or one can take part",
        facts->name, n, all->n);
  JM_TRY(jm_error_note(jm_link_check(client, p), "'%s'", facts->name));
  return jm_wire_check(all);
}

/* Where the participants are. */
static jm_error *find_devices(const jm_program_facts *facts, const jm_compile_options *options,
                              jm_client *client, jm_loaded_executable *loaded) {
  uint32_t n;
  JM_TRY(count_devices(facts, options, client, &n));
  if (n > 1 && options->n_device_ids && options->n_device_ids != n)
    return jm_error_invalid("'%s' needs %u devices, the device assignment has %u", facts->name, n,
                            options->n_device_ids);
  for (uint32_t i = 0; i < n; i++) {
    jm_device *device;
    JM_TRY(find_device(facts, options, client, i, &device));
    JM_TRY(place(facts, device, loaded));
  }
  for (uint32_t i = 0; i < loaded->n_devices; i++)
    JM_TRY(check_device(facts, loaded, loaded->devices[i]));
  return check_processes(facts, &loaded->placement, client);
}

/* Under the lock. Engines that clients share serve any client; those of one alone must live as long
 * as what was prepared for them, so that the executable keeps their client. */
static jm_error *prepare(jm_executable *executable, jm_device *device, const jm_saved *saved,
                         const jm_prepared **out) {
  jm_client *first = executable->client;
  if (first && first != device->client && first->engines[0] != device->engine)
    return jm_error_invalid("'%s' was compiled for another client's processor",
                            executable->facts->name);
  JM_TRY(jm_program_prepare(executable->program, device->engine, saved, out));
  if (!first) executable->client = jm_client_retain(device->client);
  return NULL;
}

jm_error *jm_executable_prepare(jm_executable *executable, jm_device *device, const jm_saved *saved,
                                const jm_prepared **out) {
  pthread_mutex_lock(&executable->lock);
  jm_float_state state = jm_float_state_enter();
  jm_error *error = prepare(executable, device, saved, out);
  jm_float_state_leave(state);
  pthread_mutex_unlock(&executable->lock);
  return error;
}

jm_error *jm_executable_save(jm_executable *executable, jm_text *out) {
  pthread_mutex_lock(&executable->lock);
  jm_error *error = jm_program_save(executable->program, out);
  pthread_mutex_unlock(&executable->lock);
  return error;
}

static jm_error *explain_for(const void *code, size_t n_code, jm_engine *engine,
                             jm_explanation *out) {
  jm_program *program;
  const jm_prepared *prepared;
  JM_TRY(jm_program_compile(code, n_code, &program));
  jm_error *error = jm_program_prepare(program, engine, NULL, &prepared);
  if (!error) error = jm_prepared_explain(prepared, out);
  jm_program_destroy(program);
  return error;
}

jm_error *jm_explain(const void *code, size_t n_code, const char *device, jm_explanation *out) {
  jm_engine *engine = jm_host_engine();
  if (device) JM_TRY(jm_mlx_offline_create(device, &engine));
  jm_error *error = explain_for(code, n_code, engine, out);
  engine->destroy(engine);
  return error;
}

jm_error *jm_executable_load(jm_executable *executable, const jm_compile_options *options,
                             const jm_saved *saved, jm_client *client, jm_loaded_executable **out) {
  if (!options) options = &executable->options;
  JM_TRY(check_options(options));
  jm_loaded_executable *loaded = jm_alloc(1, sizeof *loaded);
  if (!loaded) return jm_error_out_of_memory();
  jm_error *error = find_devices(executable->facts, options, client, loaded);
  if (!error && loaded->n_devices)
    error = jm_executable_prepare(executable, loaded->devices[0], saved, &loaded->prepared);
  if (error) {
    jm_free(loaded);
    return error;
  }
  atomic_init(&loaded->refs, 1);
  loaded->executable = jm_executable_retain(executable);
  loaded->device = loaded->devices[0];
  loaded->client = jm_client_retain(client);
  *out = loaded;
  return NULL;
}

jm_loaded_executable *jm_loaded_executable_retain(jm_loaded_executable *loaded) {
  atomic_fetch_add_explicit(&loaded->refs, 1, memory_order_relaxed);
  return loaded;
}

void jm_loaded_executable_release(jm_loaded_executable *loaded) {
  if (!loaded || atomic_fetch_sub_explicit(&loaded->refs, 1, memory_order_acq_rel) != 1) return;
  jm_executable_release(loaded->executable);
  jm_client_release(loaded->client);
  jm_free(loaded);
}
