/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/client.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/settings.h"
#include "engine/host/engine.h"
#include "engine/mlx/engine.h"
#include "profile/trace_file.h"

enum { MAX_WORKERS = 4 }; /* concurrent programs; engines have further threads of their own */

const char *const jm_memory_kind_names[JM_N_MEMORY_KINDS] = {
    "device",
    "pinned_host",
    "unpinned_host",
};

static void topology_init(const jm_engine_fact *engine, jm_topology *out) {
  out->n_devices = 0;
  snprintf(out->platform_version, sizeof out->platform_version, "jax-mps-c " JM_VERSION "; %s",
           engine->version);
}

static void topology_add(jm_topology *out, uint32_t process, uint32_t n_devices, const char *kind) {
  for (uint32_t i = 0; i < n_devices; i++) {
    const uint32_t id = out->n_devices++;
    jm_description *device = &out->devices[id];
    *device =
        (jm_description){.id = (int)id, .local_id = (int)i, .process = (int)process, .kind = kind};
    snprintf(device->text, sizeof device->text, "MpsDevice(id=%u)", id);
    snprintf(device->debug_text, sizeof device->debug_text, "%s:%u, %s", JM_PLATFORM, id,
             device->kind);
    out->list[id] = device;
  }
}

void jm_topology_build(const jm_processes *processes, const jm_engine_fact *engine,
                       jm_topology *out) {
  topology_init(engine, out);
  for (uint32_t i = 0; i < processes->n; i++)
    topology_add(out, i, processes->list[i].n_devices, processes->list[i].kind);
}

void jm_topology_build_host(uint32_t n_processes, const uint32_t *n_devices, jm_topology *out) {
  const jm_engine_fact *engine = &jm_host_engine()->fact;
  topology_init(engine, out);
  for (uint32_t i = 0; i < n_processes; i++)
    topology_add(out, i, n_devices[i], engine->device_kind);
}

static jm_error *read_device_count(uint32_t *out) {
  int64_t n_devices;
  JM_TRY(jm_setting_read_number(JM_SETTING_NUM_DEVICES, 1, JM_MAX_DEVICES, 1, &n_devices));
  *out = (uint32_t)n_devices;
  return NULL;
}

jm_error *jm_topology_read(jm_topology *out) {
  uint32_t n_devices;
  JM_TRY(read_device_count(&n_devices));
  jm_topology_build_host(1, &n_devices, out);
  return NULL;
}

static uint32_t count_workers(void) {
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  return cores < 1 ? 1 : cores > MAX_WORKERS ? MAX_WORKERS : (uint32_t)cores;
}

/* -- the engine */

typedef enum choice { AUTO, GPU, MLX_CPU, HOST, N_CHOICES } choice;
static const char *const choice_names[N_CHOICES] = {"auto", "gpu", "mlx-cpu", "host"};

static jm_error *choice_read(choice *out) {
  const char *name = jm_setting_find(JM_SETTING_DEVICE);
  *out = AUTO;
  if (!name) return NULL;
  for (int i = 0; i < N_CHOICES; i++)
    if (!strcmp(name, choice_names[i])) {
      *out = (choice)i;
      return NULL;
    }
  return jm_error_invalid("JAX_MPS_DEVICE is '%.100s', it may be auto, gpu, mlx-cpu or host", name);
}

typedef struct opening {
  bool gpu;
  jm_engine *engine;
  jm_error *error;
} opening;

static void engine_open(void *argument) {
  opening *o = argument;
  o->error = jm_mlx_engine_create(o->gpu, &o->engine);
}

/* The device engine, with a pool of one thread that owns it. */
static jm_error *device_engine_start(bool gpu, jm_engine **engine, jm_pool **pool) {
  opening o = {.gpu = gpu};
  JM_TRY(jm_pool_create_owner(pool));
  jm_pool_call(*pool, engine_open, &o);
  if (o.error) {
    jm_pool_shutdown(*pool);
    jm_pool_destroy(*pool);
    *pool = NULL;
  }
  *engine = o.engine;
  return o.error;
}

/* Opens the engine and the pool of threads that runs its programs. All devices share one engine. */
static jm_error *engines_start(jm_client *client, choice wanted) {
  bool asked = wanted == GPU || wanted == MLX_CPU;
  client->n_engines = 1;
  if (asked || (wanted == AUTO && jm_setting_find(JM_SETTING_MLX_ENGINE))) {
    jm_error *error = device_engine_start(wanted != MLX_CPU, client->engines, client->pools);
    if (!error) {
      client->inflight[0].engine = client->engines[0];
      jm_pool_set_between(client->pools[0], jm_inflight_between, &client->inflight[0]);
      return NULL;
    }
    if (asked) return jm_error_note(error, "JAX_MPS_DEVICE is %s", choice_names[wanted]);
    jm_error_destroy(error); /* auto means: the GPU if there is one; doctor tells why not */
  }
  client->engines[0] = jm_host_engine();
  jm_host_engine_start();
  return jm_pool_create(count_workers(), client->pools);
}

/* What a device of this process has beyond its description. */
static void build_local_device(jm_client *client, jm_device *device) {
  const uint32_t index = (uint32_t)device->description->id;
  const uint32_t local = (uint32_t)device->description->local_id;
  device->engine = client->engines[local % client->n_engines];
  device->pool = client->pools[local % client->n_engines];
  if (device->engine->fence_wait) device->inflight = &client->inflight[local % client->n_engines];
  for (int kind = 0; kind < JM_N_MEMORY_KINDS; kind++) {
    jm_memory *memory = &device->memories[kind];
    memory->id = (int)index * JM_N_MEMORY_KINDS + kind; /* in the job */
    memory->kind = (jm_memory_kind)kind;
    memory->device = device;
    snprintf(memory->text, sizeof memory->text, "%s:%u %s", JM_PLATFORM, index,
             jm_memory_kind_names[kind]);
    snprintf(memory->debug_text, sizeof memory->debug_text, "memory %d: %s of %s", memory->id,
             jm_memory_kind_names[kind], device->description->text);
    device->memory_list[kind] = memory;
    client->memory_list[local * JM_N_MEMORY_KINDS + (uint32_t)kind] = memory;
  }
}

static void build_devices(jm_client *client) {
  const jm_process *self = jm_processes_self(&client->processes);
  jm_topology_build(&client->processes, &client->engines[0]->fact, &client->topology);
  for (uint32_t i = 0; i < client->topology.n_devices; i++) {
    jm_device *device = &client->devices[i];
    device->client = client;
    device->description = &client->topology.devices[i];
    pthread_mutex_init(&device->lock, NULL);
    client->device_list[i] = device;
    if (device->description->process == (int)client->processes.self)
      build_local_device(client, device);
  }
  client->n_local = self->n_devices;
  client->local_list = client->device_list + self->first_device;
}

/* -- the client */

static void engines_stop(jm_client *client) {
  for (uint32_t i = 0; i < client->n_engines; i++) {
    jm_pool_shutdown(client->pools[i]);
    jm_pool_destroy(client->pools[i]);
    if (!client->inflight[i].stuck_seconds) /* else it would wait for the device */
      client->engines[i]->destroy(client->engines[i]);
  }
}

/* Takes the job's store. */
static jm_error *join_job(jm_client *client, const jm_membership *job, uint32_t n_local) {
  const jm_engine_fact *fact = &client->engines[0]->fact;
  if (job->n_processes <= 1) {
    jm_processes_init_alone(&client->processes, n_local, fact->device_kind);
    return NULL;
  }
  jm_process own = {.n_devices = n_local};
  snprintf(own.kind, sizeof own.kind, "%s", fact->device_kind);
  snprintf(own.collectives, sizeof own.collectives, "%s",
           fact->collectives ? fact->collectives : "");
  snprintf(own.identity, sizeof own.identity, "%s", fact->identity ? fact->identity : "");
  JM_TRY(jm_processes_init_job(&client->processes, (uint32_t)job->self, (uint32_t)job->n_processes,
                               job->store, &own));
  jm_error *error = jm_wire_create(&client->processes, &client->wire);
  if (error) jm_processes_deinit(&client->processes);
  return error;
}

static jm_error *client_init(jm_client *client, const jm_membership *job) {
  uint32_t n_local;
  choice wanted;
  jm_error *error = read_device_count(&n_local);
  if (!error) error = jm_trace_file_start();
  if (!error) error = choice_read(&wanted);
  if (!error) error = engines_start(client, wanted);
  if (error) {
    if (job->store) job->store->destroy(job->store);
    return error;
  }
  error = join_job(client, job, n_local);
  if (error)
    engines_stop(client);
  else
    build_devices(client);
  return error;
}

jm_error *jm_client_create(const jm_membership *job, jm_client **out) {
  jm_client *client = jm_alloc(1, sizeof *client + JM_MAX_DEVICES * sizeof *client->devices);
  if (!client) {
    if (job->store) job->store->destroy(job->store);
    return jm_error_out_of_memory();
  }
  atomic_init(&client->refs, 1);
  pthread_mutex_init(&client->turn_lock, NULL);
  jm_error *error = client_init(client, job);
  if (error) {
    pthread_mutex_destroy(&client->turn_lock);
    jm_free(client);
  } else {
    *out = client;
  }
  return error;
}

jm_client *jm_client_retain(jm_client *client) {
  atomic_fetch_add_explicit(&client->refs, 1, memory_order_relaxed);
  return client;
}

void jm_client_release(jm_client *client) {
  if (!client || atomic_fetch_sub_explicit(&client->refs, 1, memory_order_acq_rel) != 1) return;
  jm_client_shutdown(client);
  for (uint32_t i = 0; i < client->topology.n_devices; i++)
    pthread_mutex_destroy(&client->devices[i].lock);
  engines_stop(client);
  jm_event_release(client->last_turn);
  jm_error_destroy(client->join_error);
  pthread_mutex_destroy(&client->turn_lock);
  jm_wire_release(client->wire);
  jm_processes_deinit(&client->processes);
  jm_free(client);
}

void jm_client_shutdown(jm_client *client) {
  atomic_store(&client->stopping, true);
  for (uint32_t i = 0; i < client->n_engines; i++) jm_pool_shutdown(client->pools[i]);
  jm_wire_shutdown(client->wire);
}

jm_device *jm_client_find_device(jm_client *client, int64_t id) {
  if (id < 0 || id >= client->topology.n_devices) return NULL;
  return &client->devices[id];
}

jm_device *jm_client_find_local_device(jm_client *client, int64_t local_id) {
  if (local_id < 0 || local_id >= client->n_local) return NULL;
  return client->local_list[local_id];
}

bool jm_client_owns_device(const jm_client *client, const jm_device *device) {
  for (uint32_t i = 0; i < client->topology.n_devices; i++)
    if (client->device_list[i] == device) return true;
  return false;
}

bool jm_client_owns_memory(const jm_client *client, const jm_memory *memory) {
  for (uint32_t i = 0; i < client->n_local * JM_N_MEMORY_KINDS; i++)
    if (client->memory_list[i] == memory) return true;
  return false;
}

jm_memory *jm_device_find_memory(const jm_device *device, const char *kind) {
  for (int k = 0; k < JM_N_MEMORY_KINDS; k++)
    if (!strcmp(jm_memory_kind_names[k], kind)) return device->memory_list[k];
  return NULL;
}

void jm_device_call(jm_device *device, void (*run)(void *argument), void *argument) {
  if (device->engine->fact.any_thread)
    run(argument);
  else
    jm_pool_call(device->pool, run, argument);
}

void jm_device_count(jm_device *device, int64_t bytes) {
  pthread_mutex_lock(&device->lock);
  jm_memory_stats *stats = &device->stats;
  stats->bytes_in_use += bytes;
  if (bytes > 0) {
    stats->n_allocations++;
    if (stats->bytes_in_use > stats->peak_bytes_in_use)
      stats->peak_bytes_in_use = stats->bytes_in_use;
    if (bytes > stats->largest_allocation) stats->largest_allocation = bytes;
  }
  pthread_mutex_unlock(&device->lock);
}

void jm_device_read_stats(jm_device *device, jm_memory_stats *out) {
  pthread_mutex_lock(&device->lock);
  *out = device->stats;
  pthread_mutex_unlock(&device->lock);
  jm_engine_memory memory; /* in addition to the host's memory */
  device->engine->memory_read(device->engine, &memory);
  out->bytes_in_use += memory.in_use;
  out->peak_bytes_in_use += memory.peak;
}
