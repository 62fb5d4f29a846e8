/* SPDX-License-Identifier: Apache-2.0
 * Collectives: which participants meet, and what they send, by their types and groups alone: the
 * measure by which programs over several devices are compared. Not here: how they are carried out
 * (engine/host/library/collective.c, engine/mlx/lower_collective.c). */
#ifndef JM_IR_COLLECTIVE_H
#define JM_IR_COLLECTIVE_H

#include "ir/module.h"

enum { JM_MAX_PARTICIPANTS = 64 };

/* The bytes that each participant of a group sends: of n participants 2 (n-1)/n of the array in an
 * all_reduce, (n-1)/n of the whole one in all_gather, reduce_scatter and all_to_all, all of it in
 * the others. 0 for other ops. */
uint64_t jm_collective_bytes(const jm_module *m, const jm_op *op);

/* The group of an op that a participant is in, in the group's order, which is that of reductions.
 */
typedef struct jm_members {
  uint32_t ids[JM_MAX_PARTICIPANTS], n; /* participants; n 0: it is in none of the groups */
  uint32_t position;                    /* of the participant among them */
  jm_i64s groups;                       /* all of the op, group_size ids each, -1 for none; empty:
                                           one group of all participants */
  int64_t group_size;
} jm_members;
void jm_collective_members(const jm_op *op, uint32_t self, uint32_t n_participants,
                           jm_members *out);

/* Do participants exchange data in it? */
static inline bool jm_op_is_collective(const jm_op *op) {
  switch (op->code) {
    case JM_OP_all_gather:
    case JM_OP_all_reduce:
    case JM_OP_all_to_all:
    case JM_OP_collective_broadcast:
    case JM_OP_collective_permute:
    case JM_OP_reduce_scatter:
      return true;
    default:
      return false;
  }
}

#endif
