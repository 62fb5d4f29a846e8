/* SPDX-License-Identifier: Apache-2.0
 * The factors of an op: which dimensions of its operands and results can be divided together, so
 * that the op on parts gives parts of its results. A factor of a product's contracted dimensions is
 * reduced: each device computes a part of a sum, which an all_reduce completes. Each op's rule is a
 * column of ops.def. Not here: who divides what (pass/propagate.c, pass/partition.c). */
#ifndef JM_IR_FACTORS_H
#define JM_IR_FACTORS_H

#include "ir/module.h"

enum { JM_NO_FACTOR = -1 }; /* the dimension must be whole on every device */

typedef struct jm_factor {
  int64_t size; /* may be divided into n parts if it is a multiple of n */
  bool reduced; /* no result has it */
} jm_factor;

typedef struct jm_factors {
  uint32_t n, capacity;
  jm_factor *list;
  uint32_t n_inputs, n_tensors; /* operands without captures, then results */
  int32_t **of;                 /* of[tensor][dimension]: its factor, or JM_NO_FACTOR */
  bool passes;                  /* moves or maps elements: shardings flow through it first */
  jm_opcode combine;            /* what the parts of a reduced factor are combined with */
} jm_factors;

/* A custom_call lists its factors, as programs give them: how many; of each its size and 1 if it is
 * reduced; for each dimension of operands and results its factor, or JM_NO_FACTOR. False: the list
 * is not one of this op's. */
bool jm_factors_listed(const jm_module *m, const jm_op *op, jm_i64s list) JM_MUST_USE;

/* In the arena. *out is NULL if no dimension of the op can be divided. */
jm_error *jm_factors_find(const jm_module *m, const jm_op *op, jm_arena *arena,
                          jm_factors **out) JM_MUST_USE;

static inline const jm_type *jm_factors_type(const jm_module *m, const jm_op *op,
                                             const jm_factors *f, uint32_t tensor) {
  return tensor < f->n_inputs ? jm_op_operand_type(m, op, tensor)
                              : jm_op_result_type(m, op, tensor - f->n_inputs);
}

#endif
