/* SPDX-License-Identifier: Apache-2.0
 * The slices of a `sliced` op: what its attributes say of each operand and result (a tensor:
 * results are counted behind the operands). Slice i of n is the i-th in the order of `parts`, the
 * last of which counts fastest. */
#ifndef JM_IR_SLICES_H
#define JM_IR_SLICES_H

#include "ir/module.h"

static inline jm_i64s jm_slices_parts_of(const jm_op *op) {
  return ((const jm_sliced_attrs *)op->attrs)->parts;
}

/* The dimension of the tensor that is cut into parts.data[j]; -1: none. */
static inline int64_t jm_slices_dim(const jm_op *op, uint32_t tensor, uint32_t j) {
  const jm_sliced_attrs *a = op->attrs;
  return a->dims.data[tensor * a->parts.n + j];
}

/* How many slices there are. */
int64_t jm_slices_count(const jm_op *op);

/* Into how many parts each dimension of the tensor is cut. */
void jm_slices_parts(const jm_op *op, uint32_t tensor, const jm_type *whole, int64_t *n_parts);

/* The first element of slice i. */
int64_t jm_slices_start(const jm_op *op, uint32_t tensor, const jm_type *whole, int64_t i);

/* How many consecutive elements of a part lie together in the whole. */
int64_t jm_slices_run(const jm_type *whole, const jm_type *part);

#endif
