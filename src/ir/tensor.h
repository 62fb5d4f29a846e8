/* SPDX-License-Identifier: Apache-2.0
 * A tensor in memory: what evaluators of ops take and give. Owns nothing. */
#ifndef JM_IR_TENSOR_H
#define JM_IR_TENSOR_H

#include "ir/module.h"

typedef struct jm_tensor {
  const jm_type *type;
  void *data;
} jm_tensor;

#endif
