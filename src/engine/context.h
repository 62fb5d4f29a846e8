/* SPDX-License-Identifier: Apache-2.0
 * The context of one run of a program on one device: whether it was cancelled, which participant
 * it is, and its peers. Every engine passes it to the code of each op; a pointer to it may be NULL,
 * for a run that can't be cancelled and has no peers (constant folding, tests). It owns nothing,
 * and it outlives the run. */
#ifndef JM_ENGINE_CONTEXT_H
#define JM_ENGINE_CONTEXT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The group that collectives run on: the participants of this run, its id, and the operations
 * between them. Only declared here; engine/group.h defines it. */
struct jm_group;

typedef struct jm_context {
  const atomic_bool *cancelled; /* polled by loops and long ops; NULL: never */
  uint32_t device;              /* the device's index within its client */
  uint32_t replica, partition;  /* this participant's coordinates: the values of replica_id and
                                   partition_id */
  struct jm_group *group;       /* NULL: there are no peers */
  /* The device's own collectives serve: participant i is process i. They have neither names nor a
   * time limit, so that the engine has the group meet at the start of the run. */
  bool is_joined;
  int64_t limit_seconds; /* how long the device may wait for other processes; 0: there are none */
} jm_context;

/* The flag that compiled kernels poll; NULL: they need not. */
static inline const atomic_bool *jm_context_flag(const jm_context *context) {
  return context ? context->cancelled : NULL;
}

/* Any thread. */
static inline bool jm_context_is_cancelled(const jm_context *context) {
  const atomic_bool *flag = jm_context_flag(context);
  return flag && atomic_load_explicit(flag, memory_order_relaxed);
}

#endif
