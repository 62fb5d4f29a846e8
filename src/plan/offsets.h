/* SPDX-License-Identifier: Apache-2.0
 * Hands out ranges of an address space that doesn't exist yet: the arena of one execution. Best fit
 * over a sorted list of holes; freeing merges neighbours. */
#ifndef JM_PLAN_OFFSETS_H
#define JM_PLAN_OFFSETS_H

#include "base/alloc.h"

typedef struct jm_hole {
  size_t offset, bytes;
} jm_hole;

typedef struct jm_offsets {
  jm_hole *holes; /* sorted by offset, never adjacent */
  uint32_t n_holes, capacity;
  size_t end; /* everything from here on is free and was never used */
} jm_offsets;

void jm_offsets_init(jm_offsets *offsets);
void jm_offsets_deinit(jm_offsets *offsets);
/* Rounds bytes up to JM_DATA_ALIGNMENT. */
jm_error *jm_offsets_take(jm_offsets *offsets, size_t bytes, size_t *out) JM_MUST_USE;
jm_error *jm_offsets_give(jm_offsets *offsets, size_t offset, size_t bytes) JM_MUST_USE;

#endif
