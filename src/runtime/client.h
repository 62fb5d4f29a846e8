/* SPDX-License-Identifier: Apache-2.0
 * The client with its topology, devices and memories, which live as long as the client. Clients are
 * reference-counted, because buffers and executables may outlive the caller's client. There is no
 * global device: every object belongs to the client that created it. */
#ifndef JM_RUNTIME_CLIENT_H
#define JM_RUNTIME_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/engine.h"
#include "runtime/event.h"
#include "runtime/inflight.h"
#include "runtime/pool.h"
#include "runtime/processes.h"
#include "runtime/wire.h"

#define JM_VERSION "0.1.0"
#define JM_PLATFORM "mps"

typedef struct jm_client jm_client;
typedef struct jm_device jm_device;
typedef struct jm_memory jm_memory;

/* All three are the host's memory: on the host engine they differ by name alone, so that programs
 * that name them run, and a copy between them is a copy. */
typedef enum jm_memory_kind {
  JM_MEMORY_DEVICE, /* the default */
  JM_MEMORY_PINNED_HOST,
  JM_MEMORY_UNPINNED_HOST,
  JM_N_MEMORY_KINDS
} jm_memory_kind;

extern const char *const jm_memory_kind_names[JM_N_MEMORY_KINDS];

/* The description of a device, which exists without a client. */
typedef struct jm_description {
  int id;       /* in the job */
  int local_id; /* in its process */
  int process;
  const char *kind;
  char text[32];
  char debug_text[96];
} jm_description;

typedef struct jm_topology {
  uint32_t n_devices; /* of all processes; a device's id is its index */
  char platform_version[128];
  jm_description *list[JM_MAX_DEVICES];
  jm_description devices[JM_MAX_DEVICES];
} jm_topology;

struct jm_memory {
  int id;
  jm_memory_kind kind;
  jm_device *device;
  char text[48];
  char debug_text[96];
};

typedef struct jm_memory_stats {
  int64_t bytes_in_use, peak_bytes_in_use, n_allocations, largest_allocation;
} jm_memory_stats;

/* Another process's device is a client and a description: it has no engine, pool nor memories. */
struct jm_device {
  jm_client *client;
  jm_description *description;
  /* Of the client, which may share them among its devices. An engine that is bound to a thread has
   * the pool's only one. */
  jm_engine *engine;
  jm_pool *pool;         /* runs the device's work */
  jm_inflight *inflight; /* of an engine whose runs return before they are done; else NULL */
  jm_memory memories[JM_N_MEMORY_KINDS];
  jm_memory *memory_list[JM_N_MEMORY_KINDS];
  pthread_mutex_t lock; /* of the stats */
  jm_memory_stats stats;
};

struct jm_client {
  atomic_int refs;
  atomic_bool stopping; /* cancels what runs */
  uint32_t n_engines;
  jm_engine *engines[JM_MAX_DEVICES];
  jm_pool *pools[JM_MAX_DEVICES]; /* of each engine */
  jm_inflight inflight[JM_MAX_DEVICES];
  jm_processes processes;
  jm_wire *wire;                         /* to the other processes; NULL: there are none */
  atomic_bool connected[JM_MAX_DEVICES]; /* processes that the caller has seen */
  bool is_joined;                        /* or failed to (link.h); the engine's thread's */
  jm_error *join_error;
  pthread_mutex_t turn_lock; /* held while a launch is entered into the wire */
  jm_event *last_turn;       /* of the launches that take turns (execute.c) */
  jm_topology topology;
  jm_device *device_list[JM_MAX_DEVICES]; /* by id */
  uint32_t n_local;                       /* devices of this process */
  jm_device **local_list;
  jm_memory *memory_list[JM_MAX_DEVICES * JM_N_MEMORY_KINDS]; /* of the local devices */
  jm_device devices[];
};

/* Fills a topology of the devices of these processes, whose kinds it refers to. */
void jm_topology_build(const jm_processes *processes, const jm_engine_fact *engine,
                       jm_topology *out);

/* Of processes on hosts like this one. */
void jm_topology_build_host(uint32_t n_processes, const uint32_t *n_devices, jm_topology *out);

/* As many devices of the host as the settings say, in one process. */
jm_error *jm_topology_read(jm_topology *out) JM_MUST_USE;

/* Which process of which job the client is in. */
typedef struct jm_membership {
  int64_t self, n_processes; /* n_processes 0 or 1: on its own */
  jm_store *store;           /* of several */
} jm_membership;

/* Takes the job's store, also when it fails. Returns once all processes of the job have come. */
jm_error *jm_client_create(const jm_membership *job, jm_client **out) JM_MUST_USE;
jm_client *jm_client_retain(jm_client *client);
void jm_client_release(jm_client *client);

/* Cancels running programs, finishes the queue, ends the threads. Buffers stay valid; later work
 * runs on the thread that asks for it. */
void jm_client_shutdown(jm_client *client);

jm_device *jm_client_find_device(jm_client *client, int64_t id);             /* NULL: none */
jm_device *jm_client_find_local_device(jm_client *client, int64_t local_id); /* NULL: none */
bool jm_client_owns_device(const jm_client *client, const jm_device *device);
bool jm_client_owns_memory(const jm_client *client, const jm_memory *memory);

/* Within its client. */
static inline uint32_t jm_device_index(const jm_device *device) {
  return (uint32_t)(device - device->client->devices);
}

static inline bool jm_device_is_local(const jm_device *device) { return device->engine; }

static inline jm_memory *jm_device_default_memory(jm_device *device) {
  return &device->memories[JM_MEMORY_DEVICE];
}
jm_memory *jm_device_find_memory(const jm_device *device, const char *kind); /* NULL: none */

/* Runs a function on a thread that the device's engine allows, and waits for it: this thread, or
 * the engine's own. */
void jm_device_call(jm_device *device, void (*run)(void *argument), void *argument);

/* Counts bytes that were allocated (positive) or freed (negative). */
void jm_device_count(jm_device *device, int64_t bytes);
void jm_device_read_stats(jm_device *device, jm_memory_stats *out);

#endif
