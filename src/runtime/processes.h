/* SPDX-License-Identifier: Apache-2.0
 * The processes of one job (jax.distributed): which devices each has and where it is reached, as
 * they tell each other through the caller's key-value store when their clients start. A process on
 * its own is a job of one. Not how they exchange data: that is wire.h's. */
#ifndef JM_RUNTIME_PROCESSES_H
#define JM_RUNTIME_PROCESSES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum {
  JM_MAX_DEVICES = 64
}; /* of a job, and so of its processes, each of which has one at least */

/* A store that all processes of the job see. Any thread may call it. */
typedef struct jm_store jm_store;
struct jm_store {
  jm_error *(*put)(jm_store *store, const char *key, const char *value, size_t size);
  /* Waits for the key. NOT_FOUND or DEADLINE_EXCEEDED if it does not come in time. The value ends
   * with a NUL and is freed with jm_free. */
  jm_error *(*get)(jm_store *store, const char *key, int milliseconds, char **out);
  void (*destroy)(jm_store *store);
};

typedef struct jm_process {
  uint32_t n_devices;
  uint32_t first_device; /* ids are consecutive, process by process */
  char kind[128];        /* of its devices */
  char collectives[16];  /* of its engine (jm_engine_fact), "": none */
  char identity[48];     /* of its device; "": any number of processes may share it */
  char address[128];     /* "host:port": where its neighbours connect */
} jm_process;

typedef struct jm_processes {
  uint32_t n, self;
  uint32_t n_devices;  /* of all */
  uint32_t generation; /* how many clients of such a job this process made before */
  jm_store *store;     /* owned; NULL: one process */
  int port;            /* the socket that keeps this process's port for it, -1: none */
  jm_process list[JM_MAX_DEVICES];
} jm_processes;

/* A process on its own. */
void jm_processes_init_alone(jm_processes *processes, uint32_t n_devices, const char *kind);

/* Meets the others: returns once all n have told what they have: own says what this one has, but
 * for its address. Takes the store, also when it fails. DEADLINE_EXCEEDED names the processes that
 * did not come within COLLECTIVE_TIMEOUT. */
jm_error *jm_processes_init_job(jm_processes *processes, uint32_t self, uint32_t n, jm_store *store,
                                const jm_process *own) JM_MUST_USE;
void jm_processes_deinit(jm_processes *processes);

/* Returns once all processes have come to the point of this name. CANCELLED when the flag is set.
 */
jm_error *jm_processes_meet(const jm_processes *processes, const char *point,
                            const atomic_bool *cancelled) JM_MUST_USE;

/* The same, and whether all said yes. */
jm_error *jm_processes_agree(const jm_processes *processes, const char *point, bool yes,
                             const atomic_bool *cancelled, bool *all) JM_MUST_USE;

/* text becomes what process 0 has in it, in all processes. CANCELLED when the flag is set. */
jm_error *jm_processes_hear_first(const jm_processes *processes, const char *what,
                                  const atomic_bool *cancelled, char *text,
                                  size_t size) JM_MUST_USE;

/* An address of process 0, "host:port", with a free port; the same in all processes, which have all
 * come to the point of this name when it returns. CANCELLED when the flag is set. */
jm_error *jm_processes_find_address(const jm_processes *processes, const char *point,
                                    const atomic_bool *cancelled, char *out,
                                    size_t size) JM_MUST_USE;

/* Gives the port up, for somebody else who listens on it. */
void jm_processes_release_port(jm_processes *processes);

static inline const jm_process *jm_processes_self(const jm_processes *processes) {
  return &processes->list[processes->self];
}

/* The process that has a device. */
uint32_t jm_processes_find(const jm_processes *processes, uint32_t device);

/* The setting COLLECTIVE_TIMEOUT. */
jm_error *jm_collective_seconds(int64_t *out) JM_MUST_USE;

#endif
