/* SPDX-License-Identifier: Apache-2.0
 * A scatter of rows whose updates are computed where they join the result
 * (kernel/schedule/scatter.h says which may be). */
#ifndef JM_LIBRARY_SCATTER_H
#define JM_LIBRARY_SCATTER_H

#include "engine/call.h"

typedef struct jm_scatter_updates {
  const void *fill; /* every element of the operand; NULL: call->in[0] has them */
  /* Computes rows of the updates and joins them to the result in this order, at call->in[1]'s rows,
   * which are valid. false: there is no memory. Called by several threads. */
  bool (*join)(void *context, const int32_t *rows, size_t n);
  void *context;
} jm_scatter_updates;

/* call->in[2].data is not read. */
jm_error *jm_library_scatter_updates(const jm_call *call,
                                     const jm_scatter_updates *updates) JM_MUST_USE;

#endif
