/* SPDX-License-Identifier: Apache-2.0
 * The wire between the processes of a job: all that they exchange while programs run goes over it,
 * on one thread of its own, in the order in which the programs were launched. Before any data the
 * processes tell each other which step of which launch of which program comes next, so that
 * processes that disagree get an error that says so, and none is left waiting in the middle.
 *
 *   launch    a program that was started on all processes; counted alike in each
 *   step      one collective of a launch
 *
 * A launch that fails in one process fails in all at their next step of it, and the wire serves the
 * launches behind it. A process that is gone, or does not come in time, ends the wire: every step
 * from then on fails with the same error. Not a group: that is peers.h's. */
#ifndef JM_RUNTIME_WIRE_H
#define JM_RUNTIME_WIRE_H

#include "engine/transport.h"
#include "runtime/processes.h"

typedef struct jm_wire jm_wire;
typedef struct jm_launch jm_launch;

/* The transport is the setting COLLECTIVES'; it is opened for the first step. The processes must
 * outlive the wire. */
jm_error *jm_wire_create(jm_processes *processes, jm_wire **out) JM_MUST_USE;

/* The same over any transport: open runs on the wire's thread. */
typedef jm_error *jm_transport_open(void *context, const atomic_bool *cancelled,
                                    jm_transport **out);
jm_error *jm_wire_create_over(uint32_t self, uint32_t n_processes, jm_transport_open *open,
                              void *context, jm_wire **out) JM_MUST_USE;

/* Fails all steps. The thread ends; one that waits for another process inside of the transport is
 * left to itself. NULL is allowed. */
void jm_wire_shutdown(jm_wire *wire);
void jm_wire_release(jm_wire *wire); /* NULL is allowed */

/* Another process has ended, or is about to be ended: nobody waits for it any more. */
void jm_wire_lose(jm_wire *wire, uint32_t process, const char *why);

/* Why programs over these processes can't run here at all; NULL: they can, as far as is known
 * before the first exchange. */
jm_error *jm_wire_check(const jm_processes *processes) JM_MUST_USE;

/* Enters a launch behind those before it. The hash is the program's, the same in all processes; the
 * name, copied, is for messages. */
jm_error *jm_wire_enter(jm_wire *wire, uint64_t hash, const char *name,
                        jm_launch **out) JM_MUST_USE;

typedef struct jm_wire_step {
  uint32_t op;          /* of the program */
  const char *name;     /* of the op, for messages */
  uint64_t participant; /* bytes that each participant brings: equal in all processes */
  size_t n;             /* bytes of each process; 0: the processes meet, *out is NULL */
  void *bytes;          /* taken over, to be freed with jm_free, also on an error; NULL: none */
  uint32_t number;      /* of this process, told to the others with the step, */
  uint32_t *least;      /* which gets the least of all processes' numbers; NULL: nobody asks */
} jm_wire_step;

/* One step. *out gets the bytes of all processes in their order, to be freed with jm_free. One
 * thread at a time for each launch. */
jm_error *jm_wire_exchange(jm_wire *wire, jm_launch *launch, const jm_wire_step *step,
                           const atomic_bool *cancelled, void **out) JM_MUST_USE;

/* The launch has no further step in this process; failed: why, NULL if all is well. */
void jm_wire_leave(jm_wire *wire, jm_launch *launch, const jm_error *failed);

#endif
