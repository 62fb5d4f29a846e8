/* SPDX-License-Identifier: Apache-2.0
 * Runs in flight: submitted to a device engine and not done yet, oldest first. The engine's thread
 * encodes the next run meanwhile; between jobs it checks which runs have ended, and without a job
 * it waits for the oldest: it polls for as long as the engine says, then blocks. Bounded by bytes
 * and by number, so that a program that dispatches faster than the device computes does not fill
 * its memory. Used by the engine's thread alone. */
#ifndef JM_RUNTIME_INFLIGHT_H
#define JM_RUNTIME_INFLIGHT_H

#include "engine/engine.h"

/* Embedded in the struct of a run. */
typedef struct jm_flight {
  struct jm_flight *next;
  jm_engine_fence *fence;
  size_t bytes;    /* that the run holds, an estimate */
  uint32_t device; /* whose timeline shows that it is waited for */
  int64_t seconds; /* how long it may take: the device waits for other processes; 0: any time */
  jm_error *fate;  /* what it fails with though its fence may know of nothing; NULL: nothing */
  /* The run has ended; takes the error and owns the flight. */
  void (*land)(struct jm_flight *flight, jm_error *error);
} jm_flight;

typedef struct jm_inflight {
  jm_engine *engine; /* with fences */
  jm_flight *first, *last;
  uint32_t n;
  size_t bytes;
  int64_t idle_since; /* since when it polls the oldest run, of CLOCK_MONOTONIC; 0: it does not */
  int64_t stuck_seconds; /* 0, or how long a run took too long: the device does not come back */
} jm_inflight;

void jm_inflight_add(jm_inflight *inflight, jm_flight *flight);

/* Waits for the oldest runs until another run of this many bytes may be submitted. */
void jm_inflight_make_room(jm_inflight *inflight, size_t bytes);

/* A jm_pool_between: lands runs that have ended; if idle, waits for the oldest. */
bool jm_inflight_between(void *inflight, bool is_idle);

#endif
