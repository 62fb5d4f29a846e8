/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/client.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/settings.h"
#include "engine/host/engine.h"
#include "engine/mlx/engine.h"

enum { MAX_WORKERS = 4 }; /* concurrent programs; engines have further threads of their own */

const char *const jm_memory_kind_names[JM_N_MEMORY_KINDS] = {
    "device",
    "pinned_host",
    "unpinned_host",
};

void jm_topology_build(uint32_t n_devices, const jm_engine_fact *engine, jm_topology *out) {
  out->n_devices = n_devices;
  snprintf(out->platform_version, sizeof out->platform_version, "jax-mps-c " JM_VERSION "; %s",
           engine->version);
  for (uint32_t i = 0; i < n_devices; i++) {
    jm_description *device = &out->devices[i];
    *device = (jm_description){.id = (int)i, .kind = engine->device_kind};
    snprintf(device->text, sizeof device->text, "MpsDevice(id=%u)", i);
    snprintf(device->debug_text, sizeof device->debug_text, "%s:%u, %s", JM_PLATFORM, i,
             device->kind);
    out->list[i] = device;
  }
}

void jm_topology_build_host(uint32_t n_devices, jm_topology *out) {
  jm_topology_build(n_devices, &jm_host_engine()->fact, out);
}

jm_error *jm_topology_read(jm_topology *out) {
  int64_t n_devices;
  JM_TRY(jm_setting_read_number(JM_SETTING_NUM_DEVICES, 1, JM_MAX_DEVICES, 1, &n_devices));
  jm_topology_build_host((uint32_t)n_devices, out);
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
  return jm_pool_create(count_workers(), client->pools);
}

static void build_device(jm_client *client, uint32_t index) {
  jm_device *device = &client->devices[index];
  device->client = client;
  device->description = &client->topology.devices[index];
  device->engine = client->engines[index % client->n_engines];
  device->pool = client->pools[index % client->n_engines];
  if (device->engine->fence_wait) device->inflight = &client->inflight[index % client->n_engines];
  pthread_mutex_init(&device->lock, NULL);
  for (int kind = 0; kind < JM_N_MEMORY_KINDS; kind++) {
    jm_memory *memory = &device->memories[kind];
    memory->id = (int)index * JM_N_MEMORY_KINDS + kind;
    memory->kind = (jm_memory_kind)kind;
    memory->device = device;
    snprintf(memory->text, sizeof memory->text, "%s:%u %s", JM_PLATFORM, index,
             jm_memory_kind_names[kind]);
    snprintf(memory->debug_text, sizeof memory->debug_text, "memory %d: %s of %s", memory->id,
             jm_memory_kind_names[kind], device->description->text);
    device->memory_list[kind] = memory;
    client->memory_list[memory->id] = memory;
  }
  client->device_list[index] = device;
}

jm_error *jm_client_create(jm_client **out) {
  jm_topology topology;
  JM_TRY(jm_topology_read(&topology));
  jm_client *client = jm_alloc(1, sizeof *client + topology.n_devices * sizeof *client->devices);
  if (!client) return jm_error_out_of_memory();
  choice wanted;
  jm_error *error = choice_read(&wanted);
  if (!error) error = engines_start(client, wanted);
  if (error) {
    jm_free(client);
    return error;
  }
  atomic_init(&client->refs, 1);
  jm_topology_build(topology.n_devices, &client->engines[0]->fact, &client->topology);
  for (uint32_t i = 0; i < topology.n_devices; i++) build_device(client, i);
  *out = client;
  return NULL;
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
  for (uint32_t i = 0; i < client->n_engines; i++) {
    jm_pool_destroy(client->pools[i]);
    client->engines[i]->destroy(client->engines[i]);
  }
  jm_free(client);
}

void jm_client_shutdown(jm_client *client) {
  atomic_store(&client->stopping, true);
  for (uint32_t i = 0; i < client->n_engines; i++) jm_pool_shutdown(client->pools[i]);
}

jm_device *jm_client_find_device(jm_client *client, int64_t id) {
  if (id < 0 || id >= client->topology.n_devices) return NULL;
  return &client->devices[id];
}

bool jm_client_owns_device(const jm_client *client, const jm_device *device) {
  for (uint32_t i = 0; i < client->topology.n_devices; i++)
    if (client->device_list[i] == device) return true;
  return false;
}

bool jm_client_owns_memory(const jm_client *client, const jm_memory *memory) {
  for (uint32_t i = 0; i < client->topology.n_devices * JM_N_MEMORY_KINDS; i++)
    if (client->memory_list[i] == memory) return true;
  return false;
}

jm_memory *jm_device_find_memory(jm_device *device, const char *kind) {
  for (int k = 0; k < JM_N_MEMORY_KINDS; k++)
    if (!strcmp(jm_memory_kind_names[k], kind)) return &device->memories[k];
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
