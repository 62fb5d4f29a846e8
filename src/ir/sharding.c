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
  if (!sharding->ids) return partition;
  uint32_t position = 0;
  while (jm_sharding_partition(sharding, position) != partition) position++;
  return position;
}

bool jm_sharding_equal(const jm_sharding *a, const jm_sharding *b) {
  if (!a || !b || a == b) return a == b;
  if (a->rank != b->rank || a->n_devices != b->n_devices) return false;
  for (uint32_t d = 0; d < a->rank; d++) {
    if (a->dims[d].n_parts != b->dims[d].n_parts) return false;
    if (a->dims[d].n_parts == 1) continue;
    for (uint32_t p = 0; p < a->n_devices; p++)
      if (jm_sharding_part(a, d, position_of(a, p)) != jm_sharding_part(b, d, position_of(b, p)))
        return false;
  }
  return true;
}

/* -- the canonical form */

/* The axis of the partitions that follows this axis of the mesh's positions; false: none does. */
static bool follow_ids(const jm_sharding *s, jm_sharding_axis *axis) {
  if (!s->ids) return true;
  const int64_t stride = s->ids[axis->stride] - s->ids[0];
  if (stride < 1) return false;
  for (uint32_t p = 0; p < s->n_devices; p++)
    if (s->ids[p] / stride % axis->size != p / axis->stride % axis->size) return false;
  axis->stride = stride;
  return true;
}

static int64_t smallest_factor(int64_t n) {
  for (int64_t f = 2; f * f <= n; f++)
    if (n % f == 0) return f;
  return n;
}

/* Appends the prime factors of an axis, from major to minor. */
static bool append_factors(const jm_sharding *s, jm_sharding_axis axis, jm_sharding_axis *out,
                           uint32_t *n) {
  while (axis.size > 1) {
    const int64_t factor = smallest_factor(axis.size);
    axis.size /= factor;
    jm_sharding_axis part = {axis.stride * axis.size, factor};
    if (!follow_ids(s, &part) || *n == JM_SHARDING_AXES) return false;
    out[(*n)++] = part;
  }
  return true;
}

jm_error *jm_sharding_canonicalize(jm_arena *arena, const jm_sharding *sharding,
                                   const jm_sharding **out) {
  *out = sharding;
  if (!sharding) return NULL;
  jm_sharding *canonical = jm_arena_copy(arena, sharding, 1, sizeof *sharding);
  jm_sharding_dim *dims = jm_arena_alloc(arena, sharding->rank, sizeof *dims);
  if (!canonical || !dims) return jm_error_out_of_memory();
  for (uint32_t d = 0; d < sharding->rank; d++) {
    const jm_sharding_dim *from = &sharding->dims[d];
    jm_sharding_axis axes[JM_SHARDING_AXES];
    uint32_t n = 0;
    for (uint32_t i = 0; i < from->n_axes; i++)
      if (!append_factors(sharding, from->axes[i], axes, &n)) return NULL;
    dims[d] = (jm_sharding_dim){jm_arena_copy(arena, axes, n, sizeof *axes), n, from->n_parts};
    if (!dims[d].axes) return jm_error_out_of_memory();
  }
  canonical->ids = NULL;
  canonical->dims = dims;
  *out = canonical;
  return NULL;
}

bool jm_sharding_overlaps(jm_sharding_axis a, jm_sharding_axis b) {
  return !(b.stride % (a.stride * a.size) == 0 || a.stride % (b.stride * b.size) == 0);
}

/* -- as lists */

jm_error *jm_sharding_encode(jm_arena *arena, const jm_sharding *sharding, jm_i64s *parts,
                             jm_i64s *ids) {
  *parts = *ids = (jm_i64s){NULL, 0};
  if (!sharding) return NULL;
  uint32_t n = sharding->rank;
  for (uint32_t d = 0; d < sharding->rank; d++) n += 2 * sharding->dims[d].n_axes;
  int64_t *list = jm_arena_alloc(arena, n, sizeof *list);
  if (!list) return jm_error_out_of_memory();
  *parts = (jm_i64s){list, n};
  for (uint32_t d = 0; d < sharding->rank; d++) {
    const jm_sharding_dim *dim = &sharding->dims[d];
    *list++ = dim->n_axes;
    for (uint32_t i = 0; i < dim->n_axes; i++) {
      *list++ = dim->axes[i].stride;
      *list++ = dim->axes[i].size;
    }
  }
  if (sharding->ids) *ids = (jm_i64s){sharding->ids, sharding->n_devices};
  return NULL;
}

static jm_error *decode_dim(jm_arena *arena, jm_i64s parts, uint32_t *at, int64_t n_devices,
                            jm_sharding_dim *out) {
  const int64_t left = (int64_t)parts.n - *at - 1;
  const int64_t n = left < 0 ? -1 : parts.data[(*at)++];
  if (n < 0 || n > JM_SHARDING_AXES || 2 * n > left)
    return jm_error_invalid("a sharding of fewer dimensions or axes than it says");
  jm_sharding_axis *axes = jm_arena_alloc(arena, (size_t)n, sizeof *axes);
  if (!axes) return jm_error_out_of_memory();
  *out = (jm_sharding_dim){axes, (uint32_t)n, 1};
  for (int64_t i = 0; i < n; i++) {
    axes[i] = (jm_sharding_axis){parts.data[*at], parts.data[*at + 1]};
    *at += 2;
    const jm_sharding_axis axis = axes[i];
    if (axis.stride < 1 || axis.size < 2 || axis.stride > n_devices ||
        axis.size > n_devices / axis.stride || axis.size > n_devices / out->n_parts)
      return jm_error_invalid("a sharding has an axis that %lld devices don't have",
                              (long long)n_devices);
    out->n_parts *= axis.size;
  }
  return NULL;
}

static jm_error *check_axes(const jm_sharding *s) {
  jm_sharding_axis all[JM_SHARDING_AXES];
  uint32_t n = 0;
  for (uint32_t d = 0; d < s->rank; d++)
    for (uint32_t i = 0; i < s->dims[d].n_axes; i++) {
      for (uint32_t k = 0; k < n; k++)
        if (jm_sharding_overlaps(all[k], s->dims[d].axes[i]))
          return jm_error_invalid("a sharding names an axis twice");
      if (n == JM_SHARDING_AXES) return jm_error_invalid("a sharding names an axis twice");
      all[n++] = s->dims[d].axes[i];
    }
  return NULL;
}

static jm_error *check_ids(jm_arena *arena, jm_i64s ids, uint32_t n_devices) {
  if (!ids.n) return NULL;
  bool *seen = jm_arena_alloc(arena, ids.n, sizeof *seen);
  if (!seen) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < ids.n; i++) {
    const int64_t id = ids.data[i];
    if (ids.n != n_devices || id < 0 || id >= n_devices || seen[id])
      return jm_error_invalid("the devices of a sharding are not those of the program");
    seen[id] = true;
  }
  return NULL;
}

jm_error *jm_sharding_decode(jm_arena *arena, jm_i64s parts, jm_i64s ids, uint32_t rank,
                             uint32_t n_devices, const jm_sharding **out) {
  *out = NULL;
  if (!parts.n) return NULL;
  jm_sharding_dim *dims = jm_arena_alloc(arena, rank, sizeof *dims);
  jm_sharding *sharding = jm_arena_alloc(arena, 1, sizeof *sharding);
  if (!dims || !sharding) return jm_error_out_of_memory();
  uint32_t at = 0;
  int64_t n_parts = 1;
  for (uint32_t d = 0; d < rank; d++) {
    JM_TRY(decode_dim(arena, parts, &at, n_devices, &dims[d]));
    if (dims[d].n_parts > n_devices / n_parts)
      return jm_error_invalid("a sharding names an axis twice");
    n_parts *= dims[d].n_parts;
  }
  if (at != parts.n) return jm_error_invalid("a sharding of more dimensions than its array");
  JM_TRY(check_ids(arena, ids, n_devices));
  *sharding = (jm_sharding){n_devices, ids.n ? ids.data : NULL, rank, dims};
  JM_TRY(check_axes(sharding));
  if (n_parts > 1) *out = sharding;
  return NULL;
}

/* -- as tiles */

static bool has_product(jm_i64s sizes, int64_t product) {
  for (uint32_t i = 0; i < sizes.n; i++) {
    if (sizes.data[i] < 1 || product % sizes.data[i]) return false;
    product /= sizes.data[i];
  }
  return product == 1;
}

jm_error *jm_sharding_number_devices(jm_i64s sizes, jm_i64s order, uint32_t n_devices,
                                     int64_t *ids) {
  enum { MOST_DIMS = 64 };
  int64_t strides[MOST_DIMS], stride = 1;
  if (sizes.n > MOST_DIMS || !has_product(sizes, n_devices))
    return jm_error_invalid("the devices of a sharding are not those of the program");
  for (uint32_t i = sizes.n; i-- > 0; stride *= sizes.data[i]) strides[i] = stride;
  for (uint32_t i = 0; i < order.n; i++)
    if (order.n != sizes.n || order.data[i] < 0 || order.data[i] >= sizes.n)
      return jm_error_invalid("the order of a sharding's devices is no permutation");
  for (uint32_t p = 0; p < n_devices; p++) {
    int64_t left = p, id = 0;
    for (uint32_t i = sizes.n; i-- > 0;) {
      const int64_t dim = order.n ? order.data[i] : i;
      id += left % sizes.data[dim] * strides[dim];
      left /= sizes.data[dim];
    }
    ids[p] = id;
  }
  return NULL;
}

/* The mesh's axes are the grid's dimensions. */
jm_error *jm_sharding_from_tiles(jm_arena *arena, jm_i64s tiles, jm_i64s ids, uint32_t rank,
                                 uint32_t n_devices, const jm_sharding **out) {
  int64_t *parts = jm_arena_alloc(arena, 3 * (size_t)rank, sizeof *parts);
  if (!parts) return jm_error_out_of_memory();
  if (tiles.n < rank || ids.n != n_devices || !has_product(tiles, n_devices))
    return jm_error_invalid("the devices of a sharding are not those of the program");
  int64_t stride = n_devices;
  uint32_t at = 0;
  for (uint32_t d = 0; d < rank; d++) {
    stride /= tiles.data[d];
    parts[at++] = tiles.data[d] > 1;
    if (tiles.data[d] == 1) continue;
    parts[at++] = stride;
    parts[at++] = tiles.data[d];
  }
  return jm_sharding_decode(arena, (jm_i64s){parts, at}, ids, rank, n_devices, out);
}
