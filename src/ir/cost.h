/* SPDX-License-Identifier: Apache-2.0
 * Estimates of a program's work: for cost analysis, for the choice to run inline, and for the
 * timeline of a profile. */
#ifndef JM_IR_COST_H
#define JM_IR_COST_H

#include "ir/module.h"

typedef struct jm_cost {
  double flops;                /* arithmetic operations; a loop's body is counted once */
  double bytes;                /* read and written by ops, before fusion */
  bool has_loop, has_callback; /* a while, a callback: their time is unknown */
} jm_cost;

/* Arithmetic operations of one op; of a fusion, those of all its ops. */
double jm_op_count_flops(const jm_module *module, const jm_op *op);

jm_cost jm_cost_estimate(const jm_module *module);

#endif
