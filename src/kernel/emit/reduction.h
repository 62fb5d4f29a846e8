/* SPDX-License-Identifier: Apache-2.0
 * The bodies of reductions for schedules: whether they may be reassociated, the initial values of
 * lanes and blocks, the combination of two partial results, and the application of the init at the
 * end, exactly once. Bodies that are not known to be associative run in order from the init. */
#ifndef JM_KERNEL_EMIT_REDUCTION_H
#define JM_KERNEL_EMIT_REDUCTION_H

#include "ir/body.h"
#include "kernel/emit/emit.h"

enum { JM_REDUCTION_RESULTS = 4, JM_REDUCTION_PARTS = 2 * JM_REDUCTION_RESULTS };

typedef struct jm_reduction {
  const jm_op *op;
  uint32_t n;                            /* accumulators: results of the op */
  uint32_t parts;                        /* values in registers that they take */
  jm_dtype dtypes[JM_REDUCTION_RESULTS]; /* of the accumulators; float sums are at least f32 */
  bool grouped;                          /* may be regrouped */
  bool idempotent; /* x op x = x: the init may be applied any number of times */
  bool argument;   /* of the largest or smallest: (value, index), the lower index of equal values */
  bool largest;
  bool keyed;       /* of the largest or smallest float: accumulators are integers in that order */
  bool paired;      /* of an argument: one accumulator of 64 bits, the value's key and the index */
  jm_monoid monoid; /* of a body that is one; else its code is JM_N_OPS */
} jm_reduction;

void jm_reduction_init(const jm_module *m, const jm_op *op, jm_reduction *out);

/* For lanes of a CPU: an argument of f32 or s32 with an index of s32 becomes paired, so that a step
 * is one instruction. The caller promises that nobody uses the value itself. */
void jm_reduction_pair(jm_reduction *r);

/* The initial value of a lane, a block or the whole. */
void jm_reduction_start(const jm_reduction *r, jm_emit *e, jm_element *out);
/* Converts elements to the types of the accumulators. */
void jm_reduction_lift(const jm_reduction *r, jm_emit *e, jm_element *elements);
/* a and then b, either one lifted element or a partial result. out may be a. */
void jm_reduction_step(const jm_reduction *r, jm_emit *e, const jm_element *a, const jm_element *b,
                       jm_element *out);
/* The op's results from its accumulators. */
void jm_reduction_finish(const jm_reduction *r, jm_emit *e, const jm_element *acc, jm_element *out);

/* Elements as consecutive values and back; both return how many values that is. */
uint32_t jm_reduction_pack(const jm_reduction *r, const jm_element *acc, jm_kval *parts);
uint32_t jm_reduction_unpack(const jm_reduction *r, const jm_kval *parts, jm_element *acc);

#endif
