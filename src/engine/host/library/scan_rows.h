/* SPDX-License-Identifier: Apache-2.0
 * Scans along consecutive elements, several rows at once, a lane each: sums and products. */
#ifndef JM_LIBRARY_SCAN_ROWS_H
#define JM_LIBRARY_SCAN_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/dtype.h"
#include "ir/module.h"

enum { JM_SCAN_LINE = 64 };

/* to[r][i] = code(to[r][i - 1], x[r][i]), with *init in place of to[r][-1]: rows of n elements; or
 * reverse, from the last element on. `to` may be x. */
typedef void jm_scan_rows(void *to, const void *x, const void *init, size_t rows, size_t n);

/* streams: lines go past the caches, if the processor can; rows then begin and end with lines of
 * JM_SCAN_LINE bytes. NULL: there is none for this op and type. */
jm_scan_rows *jm_scan_rows_find(jm_opcode code, jm_dtype dtype, bool reverse, bool streams);

#endif
