/* SPDX-License-Identifier: Apache-2.0
 * How an array is divided among the partitions of a program: each dimension into equal parts, by
 * axes of a mesh. A dimension without axes is whole on every device, and devices that differ only
 * in axes that no dimension has hold the same part. Not here: reading shardings (stablehlo/), which
 * sharding a value gets (pass/propagate.c) and what moves data between shardings (pass/reshard.c).
 */
#ifndef JM_IR_SHARDING_H
#define JM_IR_SHARDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "ir/attr.h"

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

/* Groups of partitions each of which has a part of a sum: an array that is unreduced along axes. */
typedef struct jm_sharding_sums {
  jm_i64s groups; /* one after another; empty: there are no sums */
  int64_t group_size;
} jm_sharding_sums;

enum { JM_SHARDING_AXES = 32 }; /* more factors than a number of partitions has */

/* The index of the part that the position of the mesh has along a dimension. */
int64_t jm_sharding_part(const jm_sharding *sharding, uint32_t dim, uint32_t position);
uint32_t jm_sharding_partition(const jm_sharding *sharding, uint32_t position);

/* Do all partitions have the same parts? NULL is a sharding that divides nothing. */
bool jm_sharding_equal(const jm_sharding *a, const jm_sharding *b);

/* -- the canonical form: positions are partitions and the size of each axis is prime, so that
 * dimensions divided alike have equal lists of axes */

static inline bool jm_sharding_is_canonical(const jm_sharding *sharding) {
  return !sharding || !sharding->ids;
}

/* The sharding in canonical form; in its own if the devices of its mesh are in an order that axes
 * can't express. */
jm_error *jm_sharding_canonicalize(jm_arena *arena, const jm_sharding *sharding,
                                   const jm_sharding **out) JM_MUST_USE;

/* Of canonical shardings: whether two axes share coordinates. */
bool jm_sharding_overlaps(jm_sharding_axis a, jm_sharding_axis b);

/* -- as tiles, XLA's form: sizes of a grid of devices, row-major, whose first dimensions are the
 * array's and the others of devices with equal parts */

/* Devices counted in a grid of these sizes whose dimensions are then permuted; order may be empty.
 */
jm_error *jm_sharding_number_devices(jm_i64s sizes, jm_i64s order, uint32_t n_devices,
                                     int64_t *ids) JM_MUST_USE;
/* INVALID_ARGUMENT for tiles or ids that are not those of n_devices. */
jm_error *jm_sharding_from_tiles(jm_arena *arena, jm_i64s tiles, jm_i64s ids, uint32_t rank,
                                 uint32_t n_devices, const jm_sharding **out) JM_MUST_USE;

/* -- as lists of integers: an attribute of ops, and the text form */

/* parts: for each dimension the number of its axes, then each one's stride and size. Empty lists
 * are the sharding that divides nothing. The lists live in the arena. */
jm_error *jm_sharding_encode(jm_arena *arena, const jm_sharding *sharding, jm_i64s *parts,
                             jm_i64s *ids) JM_MUST_USE;
/* INVALID_ARGUMENT for lists that are no sharding of this rank over n_devices. */
jm_error *jm_sharding_decode(jm_arena *arena, jm_i64s parts, jm_i64s ids, uint32_t rank,
                             uint32_t n_devices, const jm_sharding **out) JM_MUST_USE;

#endif
