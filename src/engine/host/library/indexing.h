/* SPDX-License-Identifier: Apache-2.0
 * Shared by gather and scatter: index vectors. Each gives the start, in the operand, of the window
 * for one position of the batch dimensions of the result (of the updates). */
#ifndef JM_LIBRARY_INDEXING_H
#define JM_LIBRARY_INDEXING_H

#include "engine/host/library/copy.h"

typedef struct jm_indexing_spec {
  const jm_type *operand, *indices;
  const jm_type *batched; /* gather's result, scatter's updates; none of the three is empty */
  jm_i64s window_dims;    /* of batched; the others are batch dimensions */
  jm_i64s collapsed_dims, operand_batch_dims, indices_batch_dims, start_map;
  int64_t index_vector_dim;
  bool scatters; /* the window goes to the operand, not to batched */
} jm_indexing_spec;

typedef struct jm_index_start {
  int64_t stride; /* of the operand's dimension */
  int64_t last;   /* start at which the window still fits */
} jm_index_start;

typedef struct jm_index_batch {
  int64_t size, index, batched, operand; /* and the strides in each */
} jm_index_batch;

typedef struct jm_indexing {
  jm_dtype dtype;
  uint32_t n_starts, n_batch;
  int64_t vector_stride;
  jm_index_start *starts;
  jm_index_batch *batch;
  jm_rect window; /* normalised, in elements */
  /* the present position */
  int64_t *counters, index, batched, operand;
} jm_indexing;

/* Fills it from the attributes and tensors of a gather or a scatter. */
jm_indexing_spec jm_indexing_of_gather(const jm_call *call);
jm_indexing_spec jm_indexing_of_scatter(const jm_call *call);

jm_error *jm_indexing_init(jm_indexing *indexing, jm_arena *arena,
                           const jm_indexing_spec *spec) JM_MUST_USE;
/* Batch positions in row-major order; false after the last. */
bool jm_indexing_next(jm_indexing *indexing);
/* The start of the window in the operand: clamped so that it fits, */
int64_t jm_indexing_clamped(const jm_indexing *indexing, const void *indices);
/* or false if it does not. */
bool jm_indexing_fits(const jm_indexing *indexing, const void *indices, int64_t *offset);

#endif
