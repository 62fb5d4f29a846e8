/* SPDX-License-Identifier: Apache-2.0
 * The custom calls that the library supports, by name. Others are UNIMPLEMENTED at compile time. */
#ifndef JM_LIBRARY_CUSTOM_CALL_H
#define JM_LIBRARY_CUSTOM_CALL_H

#include "engine/call.h"

typedef struct jm_custom_call {
  const char *target;
  jm_call_fn *run;
  /* NULL if run can take this op; else UNIMPLEMENTED or INVALID_ARGUMENT naming it. After it, run
   * may trust the operands' and results' types. */
  jm_error *(*check)(const jm_module *module, const jm_op *op);
} jm_custom_call;

/* NULL if nobody knows the target. */
const jm_custom_call *jm_custom_call_find(jm_str target);

#endif
