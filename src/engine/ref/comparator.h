/* SPDX-License-Identifier: Apache-2.0
 * Recognises a sort's comparator that compares keys in total orders, one after another: what JAX
 * writes. How such keys are sorted is the engines' business; other comparators have to be run. */
#ifndef JM_ENGINE_REF_COMPARATOR_H
#define JM_ENGINE_REF_COMPARATOR_H

#include "engine/ref/order.h"
#include "ir/tensor.h"

typedef struct jm_ref_key {
  uint32_t operand;
  int part;     /* 0: the element or its real part, 1: imaginary part */
  bool partial; /* compared in order FLOAT, which is this order only while there is no NaN */
  jm_ref_order order;
} jm_ref_key;

/* The keys of a sort, most significant first; false: another comparator, or more than max_keys (2
 * per operand are enough). in: the op's operands, for the values of captured scalars; NULL: only
 * those that are constants are known. */
bool jm_ref_comparator_match(const jm_module *module, const jm_op *op, const jm_tensor *in,
                             jm_ref_key *keys, uint32_t max_keys, uint32_t *n_keys);

#endif
