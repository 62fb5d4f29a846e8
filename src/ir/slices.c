/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/slices.h"

int64_t jm_slices_count(const jm_op *op) {
  const jm_i64s parts = jm_slices_parts_of(op);
  int64_t n = 1;
  for (uint32_t j = 0; j < parts.n; j++) n *= parts.data[j];
  return n;
}

void jm_slices_parts(const jm_op *op, uint32_t tensor, const jm_type *whole, int64_t *n_parts) {
  const jm_i64s parts = jm_slices_parts_of(op);
  for (uint32_t d = 0; d < whole->rank; d++) n_parts[d] = 1;
  for (uint32_t j = 0; j < parts.n; j++) {
    const int64_t dim = jm_slices_dim(op, tensor, j);
    if (dim >= 0) n_parts[dim] = parts.data[j];
  }
}

int64_t jm_slices_start(const jm_op *op, uint32_t tensor, const jm_type *whole, int64_t i) {
  const jm_i64s parts = jm_slices_parts_of(op);
  int64_t start = 0;
  for (uint32_t j = parts.n; j-- > 0; i /= parts.data[j]) {
    const int64_t dim = jm_slices_dim(op, tensor, j);
    if (dim < 0) continue;
    int64_t stride = whole->dims[dim] / parts.data[j];
    for (uint32_t d = (uint32_t)dim + 1; d < whole->rank; d++) stride *= whole->dims[d];
    start += i % parts.data[j] * stride;
  }
  return start;
}

int64_t jm_slices_run(const jm_type *whole, const jm_type *part) {
  int64_t run = 1;
  for (uint32_t d = whole->rank; d-- > 0;) {
    run *= part->dims[d];
    if (part->dims[d] != whole->dims[d]) break;
  }
  return run;
}
