/* SPDX-License-Identifier: Apache-2.0
 * Estimates of a program's work, for cost analysis and for the choice to run inline. */
#ifndef JM_COMPILE_COST_H
#define JM_COMPILE_COST_H

#include "ir/module.h"

typedef struct jm_cost {
  double flops;                /* arithmetic operations; a loop's body is counted once */
  double bytes;                /* read and written by ops, before fusion */
  bool has_loop, has_callback; /* a while, a callback: their time is unknown */
} jm_cost;

jm_cost jm_cost_estimate(const jm_module *module);

#endif
