/* SPDX-License-Identifier: Apache-2.0
 * Folding of contiguous rows for the commonest bodies and element types. Everything else that
 * reduces goes through fold.h. */
#ifndef JM_LIBRARY_REDUCE_H
#define JM_LIBRARY_REDUCE_H

#include "engine/call.h"

/* *out = x[0] op x[1] op ... of n >= 1 elements. */
typedef void jm_reduce_row(const void *x, size_t n, void *out);

/* NULL: no such loop. */
jm_reduce_row *jm_reduce_row_find(jm_opcode code, jm_dtype dtype);

#endif
