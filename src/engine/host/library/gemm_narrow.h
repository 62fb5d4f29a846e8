/* SPDX-License-Identifier: Apache-2.0
 * Matrix products of narrow operands (bf16, int8) by instructions that multiply and add neighbours
 * along k, as many as fit 32 bits (a group: a pair of bf16, four bytes), into 32-bit lanes. One
 * driver cuts, packs and spreads them over the threads; a kernel is what it needs to know about an
 * instruction. The order of additions depends on the sizes alone. */
#ifndef JM_LIBRARY_GEMM_NARROW_H
#define JM_LIBRARY_GEMM_NARROW_H

#include <stdint.h>

#include "engine/host/library/blas.h"

enum { JM_NARROW_LANES = 16, JM_NARROW_GROUP_BYTES = 4 };

/* What a kernel multiplies at once: c (rows x width lanes) gets, or is added, a times b. */
typedef struct jm_narrow_block {
  const void *a; /* rows of consecutive elements, padded with 0 to the kernel's unit */
  ptrdiff_t a_row;
  const void *b; /* a packed panel: the line that sums start at, if the kernel has one, then groups;
                    in place: rows of consecutive elements */
  ptrdiff_t b_row;
  bool b_in_place;
  size_t depth, rows, width, columns; /* width: columns, padded to whole vectors */
  void *c;
  ptrdiff_t c_row; /* strides between rows are in bytes */
  bool add;
  size_t state; /* the kernel's own; 0 at first */
} jm_narrow_block;

typedef struct jm_narrow_kernel {
  const char *name;
  size_t element;                 /* bytes */
  size_t unit;                    /* elements of depth that it takes at once: whole groups */
  size_t rows, panel;             /* of the largest block */
  size_t depth;                   /* of the largest block, whole units */
  size_t most_rows, most_columns; /* of a task: its blocks of a and c stay in the second cache */
  size_t few_rows;                /* with no more than so many it takes b in place */
  size_t least_task;              /* multiplications that are worth a thread */
  void (*multiply)(jm_narrow_block *block);
  void (*release)(void); /* after a thread's last block, NULL if there is nothing to release */
  /* Rows of b, `row` elements apart, each of consecutive columns, become lines of `width` groups;
   * what pads the columns and the last group is 0. */
  void (*interleave)(const void *from, ptrdiff_t row, size_t rows, size_t columns, size_t width,
                     void *to);
  bool copies_a; /* even where its rows lie as they should: closer together they miss less */
  /* NULL, or changes the copies of a's rows; copies_a is set then. */
  void (*convert)(void *rows, size_t bytes);
  /* NULL, or finds the line that the sums of a panel of that many groups start at, before it. */
  void (*find_start)(size_t groups, size_t width, void *panel);
  /* Sums, padded to whole vectors, to n elements of a result narrower than they are. */
  void (*narrow)(const void *sums, size_t n, void *to);
} jm_narrow_kernel;

/* gemm's dtype is the kernel's, that of its c is `result`; it doesn't accumulate. */
jm_error *jm_gemm_narrow_run(const jm_narrow_kernel *kernel, const jm_gemm *gemm,
                             jm_dtype result) JM_MUST_USE;

/* Whether a product of the kernel reads b where it lies. */
bool jm_gemm_narrow_is_in_place(const jm_narrow_kernel *kernel, const jm_gemm *gemm);

#endif
