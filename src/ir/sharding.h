/* SPDX-License-Identifier: Apache-2.0
 * How an array is divided among the partitions of a program: each dimension into equal parts, by
 * axes of a mesh. A dimension without axes is whole on every device, and devices that differ only
 * in axes that no dimension has hold the same part. Not here: reading shardings (stablehlo/) and
 * moving data between them. */
#ifndef JM_IR_SHARDING_H
#define JM_IR_SHARDING_H

#include <stdbool.h>
#include <stdint.h>

/* An axis of a mesh, or a factor of one: at the position p of the mesh, the coordinate along it is
 * p / stride % size. */
typedef struct jm_sharding_axis {
  int64_t stride, size;
} jm_sharding_axis;

typedef struct jm_sharding_dim {
  const jm_sharding_axis *axes; /* from major to minor */
  uint32_t n_axes;
  int64_t n_parts; /* the product of their sizes */
} jm_sharding_dim;

typedef struct jm_sharding {
  uint32_t n_devices; /* of the mesh: all partitions of the program */
  const int64_t *ids; /* the partition at each position of the mesh; NULL: the position itself */
  uint32_t rank;
  const jm_sharding_dim *dims;
} jm_sharding;

/* The index of the part that the position of the mesh has along a dimension. */
int64_t jm_sharding_part(const jm_sharding *sharding, uint32_t dim, uint32_t position);
uint32_t jm_sharding_partition(const jm_sharding *sharding, uint32_t position);

/* Do all partitions have the same parts? NULL is a sharding that divides nothing. */
bool jm_sharding_equal(const jm_sharding *a, const jm_sharding *b);

#endif
