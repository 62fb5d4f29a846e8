/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/offsets.h"

#include <string.h>

void jm_offsets_init(jm_offsets *offsets) { *offsets = (jm_offsets){0}; }

void jm_offsets_deinit(jm_offsets *offsets) {
  jm_free(offsets->holes);
  *offsets = (jm_offsets){0};
}

static bool round_up(size_t bytes, size_t *out) {
  if (!jm_size_add(bytes, JM_DATA_ALIGNMENT - 1, out)) return false;
  *out &= ~(size_t)(JM_DATA_ALIGNMENT - 1);
  return true;
}

static void hole_remove(jm_offsets *o, uint32_t i) {
  memmove(o->holes + i, o->holes + i + 1, (o->n_holes - i - 1) * sizeof *o->holes);
  o->n_holes--;
}

jm_error *jm_offsets_take(jm_offsets *o, size_t bytes, size_t *out) {
  if (!round_up(bytes, &bytes)) return jm_error_out_of_memory();
  *out = 0;
  if (!bytes) return NULL;
  uint32_t best = o->n_holes;
  for (uint32_t i = 0; i < o->n_holes; i++)
    if (o->holes[i].bytes >= bytes &&
        (best == o->n_holes || o->holes[i].bytes < o->holes[best].bytes))
      best = i;
  if (best < o->n_holes) {
    jm_hole *hole = &o->holes[best];
    *out = hole->offset;
    hole->offset += bytes;
    hole->bytes -= bytes;
    if (!hole->bytes) hole_remove(o, best);
    return NULL;
  }
  *out = o->end;
  if (!jm_size_add(o->end, bytes, &o->end)) return jm_error_out_of_memory();
  return NULL;
}

jm_error *jm_offsets_give(jm_offsets *o, size_t offset, size_t bytes) {
  if (!round_up(bytes, &bytes)) return jm_error_internal("a range larger than any taken");
  if (!bytes) return NULL;
  uint32_t i = 0; /* the first hole after the range */
  while (i < o->n_holes && o->holes[i].offset < offset) i++;
  bool joins_before = i && o->holes[i - 1].offset + o->holes[i - 1].bytes == offset;
  bool joins_after = i < o->n_holes && offset + bytes == o->holes[i].offset;
  if (joins_before) {
    o->holes[i - 1].bytes += bytes;
    if (joins_after) {
      o->holes[i - 1].bytes += o->holes[i].bytes;
      hole_remove(o, i);
    }
    return NULL;
  }
  if (joins_after) {
    o->holes[i].offset = offset;
    o->holes[i].bytes += bytes;
    return NULL;
  }
  if (o->n_holes == o->capacity) {
    uint32_t capacity = o->capacity ? o->capacity * 2 : 32;
    jm_hole *holes = jm_realloc(o->holes, capacity, sizeof *holes);
    if (!holes) return jm_error_out_of_memory();
    o->holes = holes;
    o->capacity = capacity;
  }
  memmove(o->holes + i + 1, o->holes + i, (o->n_holes - i) * sizeof *o->holes);
  o->holes[i] = (jm_hole){offset, bytes};
  o->n_holes++;
  return NULL;
}
