/* SPDX-License-Identifier: Apache-2.0
 * A region run many times on single elements: the body of a reduction, a scatter, a sort. Memory
 * for its values is allocated once. */
#ifndef JM_ENGINE_REF_BODY_H
#define JM_ENGINE_REF_BODY_H

#include "engine/call.h"

typedef struct jm_ref_body {
  const jm_call *call;
  const jm_region *region;
  jm_value base;     /* the region's values are [base, base + n) */
  jm_tensor *values; /* of each: its memory; an argument's is given with each run */
  jm_tensor *in;     /* of the op at hand */
  jm_arena arena;
} jm_ref_body;

/* Region i of the call's op; its captures are the call's. */
jm_error *jm_ref_body_init(jm_ref_body *body, const jm_call *call, uint32_t region) JM_MUST_USE;
void jm_ref_body_deinit(jm_ref_body *body); /* also after a failed init */

/* args: an element for each of the arguments but captures. The results, which may lie where the
 * arguments do. */
jm_error *jm_ref_body_run(jm_ref_body *body, const void *const *args,
                          void *const *results) JM_MUST_USE;

#endif
