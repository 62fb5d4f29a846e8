/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/executable.h"

#include <string.h>

#include "base/float_state.h"
#include "engine/host/engine.h"

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

static jm_error *check_memory_kinds(const jm_program_facts *facts, jm_device *device) {
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

/* The devices of the participants in their order, and how many there are. */
static jm_error *find_devices(const jm_program_facts *facts, const jm_compile_options *options,
                              jm_client *client, jm_device **out, uint32_t *n_out) {
  uint32_t n, n_devices = client->topology.n_devices;
  JM_TRY(count_devices(facts, options, client, &n));
  if (n > 1 && options->n_device_ids && options->n_device_ids != n)
    return jm_error_invalid("'%s' needs %u devices, the device assignment has %u", facts->name, n,
                            options->n_device_ids);
  for (uint32_t i = 0; i < n; i++) {
    int64_t id = options->n_device_ids ? options->device_ids[i] : (int64_t)i;
    out[i] = jm_client_find_device(client, id);
    if (!out[i])
      return jm_error_invalid("'%s' is assigned to device %lld, the client has %u device%s",
                              facts->name, (long long)id, n_devices, n_devices == 1 ? "" : "s");
    for (uint32_t k = 0; k < i; k++)
      if (out[k] == out[i])
        return jm_error_invalid("'%s' is assigned to device %lld twice", facts->name,
                                (long long)id);
    JM_TRY(check_memory_kinds(facts, out[i]));
    if (n > 1 && (!out[i]->engine->fact.is_host_memory || out[i]->engine != out[0]->engine))
      return jm_error_unimplemented(
          "'%s' is a program over %u devices; only those of the host run "
          "such programs, with JAX_MPS_DEVICE=host",
          facts->name, n);
  }
  *n_out = n;
  return NULL;
}

/* Under the lock. Engines that clients share serve any client; an engine of one client must live as
 * long as programs that are prepared for it, so that the executable retains the client. */
static jm_error *prepare(jm_executable *executable, jm_device *device, const jm_prepared **out) {
  jm_client *first = executable->client;
  if (first && first != device->client && first->engines[0] != device->engine)
    return jm_error_invalid("'%s' was compiled for another client's processor",
                            executable->facts->name);
  JM_TRY(jm_program_prepare(executable->program, device->engine, out));
  if (!first) executable->client = jm_client_retain(device->client);
  return NULL;
}

jm_error *jm_executable_prepare(jm_executable *executable, jm_device *device,
                                const jm_prepared **out) {
  pthread_mutex_lock(&executable->lock);
  jm_float_state state = jm_float_state_enter();
  jm_error *error = prepare(executable, device, out);
  jm_float_state_leave(state);
  pthread_mutex_unlock(&executable->lock);
  return error;
}

jm_error *jm_explain_on_host(const void *code, size_t n_code, jm_explanation *out) {
  jm_program *program;
  const jm_prepared *prepared;
  JM_TRY(jm_program_compile(code, n_code, &program));
  jm_error *error = jm_program_prepare(program, jm_host_engine(), &prepared);
  if (!error) error = jm_prepared_explain(prepared, out);
  jm_program_destroy(program);
  return error;
}

jm_error *jm_executable_load(jm_executable *executable, const jm_compile_options *options,
                             jm_client *client, jm_loaded_executable **out) {
  if (!options) options = &executable->options;
  JM_TRY(check_options(options));
  jm_device *devices[JM_MAX_DEVICES];
  uint32_t n_devices;
  const jm_prepared *prepared;
  JM_TRY(find_devices(executable->facts, options, client, devices, &n_devices));
  JM_TRY(jm_executable_prepare(executable, devices[0], &prepared));
  jm_loaded_executable *loaded = jm_alloc(1, sizeof *loaded);
  if (!loaded) return jm_error_out_of_memory();
  atomic_init(&loaded->refs, 1);
  loaded->executable = jm_executable_retain(executable);
  loaded->device = devices[0];
  loaded->n_devices = n_devices;
  memcpy(loaded->devices, devices, n_devices * sizeof *devices);
  loaded->prepared = prepared;
  jm_client_retain(client);
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
  jm_client_release(loaded->device->client);
  jm_free(loaded);
}
