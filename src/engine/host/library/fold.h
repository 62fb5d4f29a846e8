/* SPDX-License-Identifier: Apache-2.0
 * The body of reduce, reduce_window, scatter and the like, ready to run on many lanes:
 * acc[i] = body(acc[i], x[i]), with one or several accumulators a lane. It chooses between a copy,
 * a kernel and a region, and knows which bodies may be reassociated. Its users decide which
 * elements are folded into which accumulators. */
#ifndef JM_LIBRARY_FOLD_H
#define JM_LIBRARY_FOLD_H

#include "engine/elementwise/elementwise.h"
#include "engine/host/library/copy.h"
#include "engine/host/library/region.h"
#include "ir/body.h"

typedef struct jm_fold {
  uint32_t n;       /* accumulators a lane */
  jm_dtype *dtypes; /* of each accumulator */
  size_t *bytes;    /* of an element of each */
  size_t lanes;     /* most that one run takes; scratch has as many */
  bool assign;      /* the body returns x */
  bool associative, commutative;
  jm_opcode code;                /* of the kernel */
  jm_elementwise_kernel *kernel; /* NULL: region */
  jm_library_region *region;
  const jm_call *call;
  const void **args;                                 /* region's: n accumulators, n elements */
  void **acc_scratch, **x_scratch, **acc_at, **x_at; /* of jm_fold_rect */
  int64_t until_poll;
  jm_arena arena;
} jm_fold;

/* The region's first n arguments are the accumulators, the next n the elements, the rest captures.
 * dtype: of the one accumulator if it is not the region's (a wider sum), else JM_N_DTYPES. */
jm_error *jm_fold_init(jm_fold *fold, const jm_call *call, jm_region_id region, uint32_t n,
                       jm_dtype dtype, int64_t max_lanes) JM_MUST_USE;
void jm_fold_deinit(jm_fold *fold); /* also after a failed init */

/* count <= lanes; x may not overlap acc */
jm_error *jm_fold_run(jm_fold *fold, void *const *acc, const void *const *x,
                      int64_t count) JM_MUST_USE;

/* Over a normalised rectangle, strides in elements: acc lies with `to`, x with `from`. */
jm_error *jm_fold_rect(jm_fold *fold, const jm_rect *rect, void *const *acc,
                       const void *const *x) JM_MUST_USE;

/* CANCELLED if the call was cancelled; checks at the first call, then about every million elements.
 */
jm_error *jm_fold_poll(jm_fold *fold, int64_t elements) JM_MUST_USE;

#endif
