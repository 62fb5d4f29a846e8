/* SPDX-License-Identifier: Apache-2.0
 * Moving an array from one sharding to another: which collectives that takes, what they cost, and
 * building them. Shardings are canonical (ir/sharding.h) but for those of a mesh in an order of its
 * own, which are gathered and cut whole. Not here: which sharding a value gets. */
#ifndef JM_PASS_RESHARD_H
#define JM_PASS_RESHARD_H

#include "ir/build.h"

/* A list of axes, from major to minor. */
typedef struct jm_axes {
  const jm_sharding_axis *list;
  uint32_t n;
} jm_axes;

/* The axes of a dimension; sharding may be NULL. */
jm_axes jm_axes_of(const jm_sharding *sharding, uint32_t dim);
int64_t jm_axes_count(jm_axes axes); /* the parts that they make */
bool jm_axes_overlap(jm_axes a, jm_axes b);
/* Whether the first n axes of both are the same, n being the length of the shorter one. */
bool jm_axes_agree(jm_axes a, jm_axes b);
/* As many of the first axes as divide the size. */
jm_axes jm_axes_dividing(jm_axes axes, int64_t size);

/* The sharding with other axes for one dimension, NULL if nothing is divided then; `sharding` may
 * be NULL. The axes are not copied. */
jm_error *jm_sharding_replace(jm_arena *arena, const jm_sharding *sharding, uint32_t rank,
                              uint32_t n_devices, uint32_t dim, jm_axes axes,
                              const jm_sharding **out) JM_MUST_USE;

/* Where ops are built. */
typedef struct jm_site {
  jm_module *m;
  jm_region_id region;
  uint32_t loc;
} jm_site;

/* Bytes that a device sends to move an array from one sharding to the other. */
double jm_reshard_cost(const jm_type *whole, const jm_sharding *from, const jm_sharding *to);

/* value is this device's part of an array in the sharding `from`; *out is the one in `to`. */
jm_error *jm_reshard_build(const jm_site *site, const jm_type *whole, const jm_sharding *from,
                           const jm_sharding *to, jm_value value, jm_value *out) JM_MUST_USE;

/* value is this device's part; *out is that of the device at the other end of all of the axes. */
jm_error *jm_reshard_mirror(const jm_site *site, const jm_sharding *sharding, jm_axes axes,
                            jm_value value, jm_value *out) JM_MUST_USE;

/* -- parts of sums: each device of a group along some axes has one */

typedef struct jm_partial {
  jm_axes axes;
  jm_opcode combine;
} jm_partial;

/* *scattered: the sharding that the complete array gets: `from` or, where `to` divides a dimension
 * further by some of the axes, with these, for which a reduce_scatter does. */
jm_error *jm_combine_plan(jm_arena *arena, const jm_type *whole, const jm_partial *partial,
                          const jm_sharding *from, const jm_sharding *to, uint32_t n_devices,
                          const jm_sharding **scattered, double *cost) JM_MUST_USE;
jm_error *jm_combine_build(const jm_site *site, const jm_partial *partial, uint32_t n_devices,
                           const jm_sharding *from, const jm_sharding *scattered, jm_value value,
                           jm_value *out) JM_MUST_USE;

/* A scalar that each device has its own of: table, which the module keeps, has one by partition. */
jm_error *jm_partition_lookup(const jm_site *site, jm_dtype dtype, const void *table,
                              jm_value *out) JM_MUST_USE;

/* The s64 scalar that tells each device where its part of a dimension begins, which parts of
 * `size` elements are made of by the axes. */
jm_error *jm_reshard_start(const jm_site *site, const jm_sharding *sharding, jm_axes axes,
                           int64_t size, jm_value *out) JM_MUST_USE;

#endif
