/* SPDX-License-Identifier: Apache-2.0
 * Windows sliding over an operand: for one position inside the window and a block of outputs, which
 * outputs have an element of the operand there (neither padding nor a hole of the dilation), and
 * which. They form a rectangle, so that all of them can be worked on at once. What is done with
 * them is the callers' business. */
#ifndef JM_LIBRARY_WINDOW_H
#define JM_LIBRARY_WINDOW_H

#include "engine/host/library/copy.h"

/* Output o has at position w the operand's element (o * stride + w * dilation - low) / base, if
 * that is a whole number and in range. */
typedef struct jm_window_dim {
  int64_t in, out, window, stride, base, dilation, low;
  int64_t in_stride, out_stride; /* elements between neighbours */
  int64_t begin, end;            /* the present block's outputs */
  int64_t position;              /* inside the window */
} jm_window_dim;

typedef struct jm_windows {
  jm_window_dim *dims;
  uint32_t rank, line;
  int64_t chunk; /* blocks take so much of dimension `line`, all of later ones, 1 of earlier ones */
} jm_windows;

/* base and dilation may have no entries: all 1. Blocks have at most `limit` outputs, if that is not
 * less than 1. Neither tensor is empty. */
jm_error *jm_windows_init(jm_windows *windows, jm_arena *arena, const jm_type *in,
                          const jm_type *out, const jm_i64s *window, const jm_i64s *strides,
                          const jm_i64s *base, const jm_i64s *dilation, const jm_i64s *padding,
                          int64_t limit) JM_MUST_USE;

/* Blocks of outputs in row-major order: starts at the first, then the next; false after the last.
 */
void jm_windows_first_block(jm_windows *windows);
bool jm_windows_next_block(jm_windows *windows);
int64_t jm_windows_block_start(const jm_windows *windows); /* as an output element */
int64_t jm_windows_block_count(const jm_windows *windows);

/* Positions inside the window, row-major; false after the last, which leaves it at the first. */
bool jm_windows_next_position(jm_windows *windows);

/* The block's outputs that have an element at the position: `to` strides are the outputs', `from`
 * the operand's, counted from the elements *to and *from. Normalised; may be empty. */
void jm_windows_rect(const jm_windows *windows, jm_rect *rect, int64_t *to, int64_t *from);

/* A windowed reduction of [outer, n, inner] that is a scan along n: windows as long as the
 * dimension, padded such that the k-th covers elements 0 to k (or, reversed, k to the last: right
 * only if the order of the operands is free). */
typedef struct jm_window_scan {
  int64_t outer, n, inner;
  bool reverse;
} jm_window_scan;

bool jm_window_scan_find(const jm_reduce_window_attrs *a, const jm_type *in, jm_window_scan *out);

#endif
