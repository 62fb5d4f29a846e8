/* SPDX-License-Identifier: Apache-2.0
 * A tensor in memory, as code that runs ops takes it. Owns nothing. */
#ifndef JM_IR_TENSOR_H
#define JM_IR_TENSOR_H

#include <string.h>

#include "ir/module.h"

typedef struct jm_tensor {
  const jm_type *type;
  void *data;
} jm_tensor;

/* The branch that `case` takes with this index, a pred or an s32: the last one, if the index names
 * none. */
static inline uint32_t jm_case_branch(jm_tensor index, uint32_t n_branches) {
  int32_t branch;
  if (index.type->dtype == JM_DT_pred)
    branch = *(const uint8_t *)index.data != 0;
  else
    memcpy(&branch, index.data, sizeof branch);
  return branch < 0 || (uint32_t)branch >= n_branches ? n_branches - 1 : (uint32_t)branch;
}

#endif
