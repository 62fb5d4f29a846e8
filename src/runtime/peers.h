/* SPDX-License-Identifier: Apache-2.0
 * The participants of one launch, as those of this process see them: they meet each other in memory
 * (rendezvous.h) and those of other processes over the wire. A group whose members are all here
 * needs no wire. Counted, one reference for each participant of this process. */
#ifndef JM_RUNTIME_PEERS_H
#define JM_RUNTIME_PEERS_H

#include "engine/group.h"
#include "runtime/wire.h"

typedef struct jm_peers jm_peers;

/* Where the participants of a program are; shared by its launches, which it outlives. */
typedef struct jm_placement {
  uint32_t n_participants, n_local;
  uint32_t local[JM_MAX_PARTICIPANTS];   /* participants of this process, ascending */
  uint32_t process[JM_MAX_PARTICIPANTS]; /* of each participant */
  uint32_t slot[JM_MAX_PARTICIPANTS];    /* of each, among its process's */
  uint32_t n_slots;                      /* the most of a process */
  bool spans;                            /* more than one process */
} jm_placement;

/* With n_local references. wire: of a program that spans processes and has collectives, else NULL;
 * hash and name are the program's. */
jm_error *jm_peers_create(const jm_placement *placement, jm_wire *wire, uint64_t hash,
                          const char *name, jm_peers **out) JM_MUST_USE;
void jm_peers_release(jm_peers *peers); /* NULL is allowed */
jm_group *jm_peers_group(jm_peers *peers);

/* A participant of this process will not come to any further collective: those that wait for it
 * fail with a copy of the error, here and in the other processes. */
void jm_peers_fail(jm_peers *peers, uint32_t participant, const jm_error *error);

#endif
