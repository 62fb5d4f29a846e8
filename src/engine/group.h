/* SPDX-License-Identifier: Apache-2.0
 * The participants of one launch of a program on several devices, for collectives. One operation
 * serves every collective: the members of a group meet at an op (a rendezvous), and each reads the
 * operands of the others. engine/host/library/collective.c computes the collectives from that. */
#ifndef JM_ENGINE_GROUP_H
#define JM_ENGINE_GROUP_H

#include <stdatomic.h>

#include "base/error.h"
#include "ir/collective.h"
#include "ir/tensor.h"

/* Makes the results of a member from the operands of all: inputs[i] and outputs[i] are
 * members[i]'s. Of results that are the same for all members it may make a part, in the memory of
 * each of them; outputs is NULL where members have other memory, and then it makes all of its own.
 */
typedef jm_error *jm_exchange_fn(void *argument, const jm_tensor *const *inputs,
                                 const jm_tensor *const *outputs);

typedef struct jm_exchange {
  uint32_t op;             /* the op at which they meet: the same op of the same module for all */
  const char *name;        /* of the op, for messages */
  uint32_t device;         /* the caller's, whose timeline shows that it waits */
  uint32_t self;           /* the participant that calls, one of the members */
  const uint32_t *members; /* participants, replica * partitions + partition; for all members in the
                              same order, which is that of reductions */
  uint32_t n_members;
  jm_i64s groups; /* all groups of the op, group_size ids each, -1 for none; empty: one */
  uint32_t group_size;
  const jm_tensor *inputs; /* what the caller brings; unchanged until the exchange returns */
  uint32_t n_inputs;
  const jm_tensor *outputs; /* the caller's results; NULL: nobody else can write them */
  jm_exchange_fn *take;
  void *argument;
  const atomic_bool *cancelled; /* NULL: never */
} jm_exchange;

/* Where all participants of a launch meet without bringing operands. */
typedef struct jm_meeting {
  uint32_t op;                  /* the same for all; JM_NONE: at none */
  const char *name;             /* of the op or the occasion, for messages */
  uint32_t number;              /* the caller's */
  const atomic_bool *cancelled; /* NULL: never */
} jm_meeting;

typedef struct jm_group jm_group;
struct jm_group {
  uint32_t n_participants;
  /* Returns when every member has taken. An error if a member failed, was cancelled
   * or did not arrive within the time limit. */
  jm_error *(*exchange)(jm_group *group, const jm_exchange *exchange);
  /* Of participants in a process each; NULL: they are not. Returns when all have come; *least is
   * the least of their numbers. Errors as those of exchange. */
  jm_error *(*meet)(jm_group *group, const jm_meeting *meeting, uint32_t *least);
};

#endif
