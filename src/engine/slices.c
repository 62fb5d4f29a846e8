/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/slices.h"

#include <string.h>

/* The runs of a slice in the order of its elements. */
typedef struct runs {
  const jm_type *whole, *part;
  size_t bytes;  /* of one */
  int64_t left;  /* still to come */
  uint32_t rank; /* dimensions outside of a run */
  int64_t at[JM_RANK_MAX], stride[JM_RANK_MAX];
  int64_t offset; /* elements, of the next */
} runs;

static runs runs_of(const jm_type *whole, const jm_type *part) {
  const int64_t run = jm_slices_run(whole, part);
  runs r = {.whole = whole, .part = part, .bytes = (size_t)run * jm_dtype_bytes(part->dtype)};
  r.left = run ? part->count / run : 0;
  int64_t inside = 1, stride = 1;
  for (uint32_t d = part->rank; d-- > 0; stride *= whole->dims[d]) {
    r.stride[d] = stride;
    if (inside < run)
      inside *= part->dims[d];
    else if (part->dims[d] > 1 && d >= r.rank)
      r.rank = d + 1;
  }
  return r;
}

static void runs_step(runs *r) {
  r->left--;
  for (uint32_t d = r->rank; d-- > 0;) {
    r->offset += r->stride[d];
    if (++r->at[d] < r->part->dims[d]) return;
    r->offset -= r->at[d] * r->stride[d];
    r->at[d] = 0;
  }
}

void jm_slice_take(const jm_type *whole, const void *start, const jm_tensor *part) {
  const size_t size = jm_dtype_bytes(whole->dtype);
  char *to = part->data;
  for (runs r = runs_of(whole, part->type); r.left; to += r.bytes, runs_step(&r))
    memcpy(to, (const char *)start + (size_t)r.offset * size, r.bytes);
}

void jm_slice_put(const jm_type *whole, void *start, const jm_tensor *part) {
  const size_t size = jm_dtype_bytes(whole->dtype);
  const char *from = part->data;
  for (runs r = runs_of(whole, part->type); r.left; from += r.bytes, runs_step(&r))
    memcpy((char *)start + (size_t)r.offset * size, from, r.bytes);
}
