/* SPDX-License-Identifier: Apache-2.0
 * Analyses of a kernel's values for printers: how they differ between the lanes of a vector loop,
 * and which i64 may be computed in 32 bits. */
#ifndef JM_KERNEL_PRINT_LANES_H
#define JM_KERNEL_PRINT_LANES_H

#include "kernel/ir/builder.h"

/* How the lanes of a value in a vector loop differ. */
typedef enum jm_lane_kind {
  JM_LANE_UNIFORM, /* not at all: kept as a scalar */
  JM_LANE_AFFINE,  /* lane i is lane 0 plus i * stride, modulo the type: kept as lane 0's scalar */
  JM_LANE_VARYING, /* a vector */
} jm_lane_kind;

typedef struct jm_lane {
  jm_lane_kind kind;
  uint64_t stride;
} jm_lane;

/* Finds how the values of a block (and of its loops) differ, given its arguments' entries in lanes.
 * false: the block has something that vector loops may not have. */
bool jm_lane_find(const jm_kernel *k, jm_kblock block, jm_lane *lanes) JM_MUST_USE;

/* Finds which i64 values always fit an i32: arithmetic on them takes half the registers, and
 * divisions by constants stay in vectors. Both arrays have an entry per value. */
void jm_lane_narrow(const jm_kernel *k, const jm_krange *ranges, bool *narrow);
/* May an instruction on i64 be done on i32, if its operands and its result fit? */
bool jm_lane_is_narrowable(jm_kopcode code);

#endif
