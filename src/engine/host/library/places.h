/* SPDX-License-Identifier: Apache-2.0
 * Where gather and scatter go: the positions of the batch dimensions as one flat range, any part of
 * which turns into offsets of windows, many at a time. Immutable once made, so that threads share
 * one. What is moved is its users' business. */
#ifndef JM_LIBRARY_PLACES_H
#define JM_LIBRARY_PLACES_H

#include "engine/host/library/indexing.h"

enum { JM_PLACES_CHUNK = 512 };

typedef struct jm_places {
  jm_indexing x;
  const void *indices;
  bool scatters;      /* windows that do not fit are told, not moved */
  int64_t n, inner;   /* positions; those of the innermost dimension */
  int64_t window;     /* elements */
  bool is_contiguous; /* the window, on both sides */
} jm_places;

/* A run of at most JM_PLACES_CHUNK positions. */
typedef struct jm_place_run {
  int64_t n;
  int64_t batched, batched_step;    /* offsets of the windows in the batched tensor */
  int64_t operand[JM_PLACES_CHUNK]; /* and in the operand; -1: it does not fit */
} jm_place_run;

jm_error *jm_places_init(jm_places *places, jm_arena *arena, const jm_indexing_spec *spec,
                         const void *indices) JM_MUST_USE;
/* The run that starts at a position, before end. */
void jm_places_read(const jm_places *places, int64_t position, int64_t end, jm_place_run *run);

#endif
