/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/sharding.h"

#include <stddef.h>

int64_t jm_sharding_part(const jm_sharding *sharding, uint32_t dim, uint32_t position) {
  const jm_sharding_dim *d = &sharding->dims[dim];
  int64_t part = 0;
  for (uint32_t i = 0; i < d->n_axes; i++)
    part = part * d->axes[i].size + (int64_t)position / d->axes[i].stride % d->axes[i].size;
  return part;
}

uint32_t jm_sharding_partition(const jm_sharding *sharding, uint32_t position) {
  return sharding->ids ? (uint32_t)sharding->ids[position] : position;
}

static uint32_t position_of(const jm_sharding *sharding, uint32_t partition) {
  uint32_t position = 0;
  while (jm_sharding_partition(sharding, position) != partition) position++;
  return position;
}

bool jm_sharding_equal(const jm_sharding *a, const jm_sharding *b) {
  if (!a || !b) return a == b;
  if (a->rank != b->rank || a->n_devices != b->n_devices) return false;
  for (uint32_t d = 0; d < a->rank; d++) {
    if (a->dims[d].n_parts != b->dims[d].n_parts) return false;
    for (uint32_t p = 0; p < a->n_devices; p++)
      if (jm_sharding_part(a, d, position_of(a, p)) != jm_sharding_part(b, d, position_of(b, p)))
        return false;
  }
  return true;
}
