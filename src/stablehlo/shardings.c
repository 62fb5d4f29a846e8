/* SPDX-License-Identifier: Apache-2.0
 * Programs over several partitions, as each device runs them: parts of arguments are gathered where
 * the whole is needed, everything outside of manual computations works on whole arrays, and results
 * are sliced into parts. Every op can run this way. Propagating shardings, so that ops work on
 * parts, is not done here. */
#include <string.h>

#include "stablehlo/reader.h"

struct jm_vhlo_part {
  jm_value whole, part;
  const jm_sharding *sharding;
};

/* -- reading */

static bool is_listed(jm_vhlo *v, const jm_wire_attr *names, const jm_vhlo_axis *axis,
                      jm_error **error) {
  for (uint32_t i = 0; i < names->n_attrs && !*error; i++) {
    const jm_wire_attr *name;
    *error = jm_bytecode_read_attr(v->b, names->attrs[i], &name);
    if (!*error && name->n_bytes == axis->name_size &&
        !memcmp(name->bytes, axis->name, axis->name_size))
      return true;
  }
  return false;
}

static jm_error *read_dim(jm_vhlo *v, const jm_vhlo_mesh *mesh, uint32_t index,
                          const jm_wire_attr *manual, jm_sharding_dim *out) {
  const jm_wire_attr *attr;
  JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
  if (attr->dialect != JM_WIRE_SDY || attr->code != JM_WIRE_SDY_DIM)
    return jm_error_invalid("a sharding's dimension is not one");
  jm_sharding_axis *axes = jm_arena_alloc(&v->m->arena, attr->n_attrs, sizeof *axes);
  if (!axes) return jm_error_out_of_memory();
  *out = (jm_sharding_dim){axes, 0, 1};
  for (uint32_t i = 0; i < attr->n_attrs; i++) {
    jm_vhlo_axis axis;
    jm_error *error = NULL;
    JM_TRY(jm_vhlo_mesh_axis(v, mesh, attr->attrs[i], &axis));
    const bool counts = axis.size > 1 && (!manual || is_listed(v, manual, &axis, &error));
    if (error) return error;
    if (!counts) continue;
    axes[out->n_axes++] = (jm_sharding_axis){axis.stride, axis.size};
    if (axis.size > mesh->n_devices / out->n_parts)
      return jm_error_invalid("a sharding names an axis twice");
    out->n_parts *= axis.size;
  }
  return NULL;
}

/* The mesh's positions are the program's partitions, each once. */
static jm_error *read_devices(jm_vhlo *v, const jm_vhlo_mesh *mesh, jm_sharding *out) {
  const uint32_t n = v->m->n_partitions;
  if (mesh->n_devices != n)
    return jm_error_unimplemented("a mesh of %lld devices in a program of %u partitions",
                                  (long long)mesh->n_devices, n);
  out->n_devices = n;
  if (!mesh->ids.n) return NULL;
  int64_t *ids;
  JM_TRY(jm_vhlo_make_list(v, n, &ids));
  bool *seen = jm_arena_alloc(&v->scratch, n, sizeof *seen);
  if (!seen) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) {
    ids[i] = mesh->ids.data[i];
    if (ids[i] < 0 || ids[i] >= n || seen[ids[i]])
      return jm_error_invalid("the devices of a mesh are not those of the program");
    seen[ids[i]] = true;
  }
  out->ids = ids;
  return NULL;
}

jm_error *jm_vhlo_sharding(jm_vhlo *v, uint32_t index, const jm_type *type,
                           const jm_wire_attr *manual, const jm_sharding **out) {
  const jm_wire_attr *attr;
  JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
  *out = NULL;
  if (attr->dialect != JM_WIRE_SDY || attr->code != JM_WIRE_SDY_SHARDING)
    return jm_error_unimplemented("this kind of sharding");
  const uint32_t rank = (uint32_t)attr->ints[0];
  if (rank != type->rank)
    return jm_error_invalid("a sharding of %u dimensions for %u", rank, type->rank);
  jm_vhlo_mesh mesh = {.n = 0};
  JM_TRY(jm_vhlo_mesh_read(v, attr->attrs[0], &mesh));
  if (!mesh.n && mesh.ids.n) return jm_error_unimplemented("a sharding onto one device of several");
  jm_sharding_dim *dims = jm_arena_alloc(&v->m->arena, rank, sizeof *dims);
  jm_sharding *sharding = jm_arena_alloc(&v->m->arena, 1, sizeof *sharding);
  if (!dims || !sharding) return jm_error_out_of_memory();
  int64_t n_parts = 1;
  for (uint32_t d = 0; d < rank; d++) {
    JM_TRY(read_dim(v, &mesh, attr->attrs[1 + d], manual, &dims[d]));
    if (dims[d].n_parts > mesh.n_devices / n_parts)
      return jm_error_invalid("a sharding names an axis twice");
    n_parts *= dims[d].n_parts;
  }
  if (n_parts == 1) return NULL;
  *sharding = (jm_sharding){.rank = rank, .dims = dims};
  *out = sharding;
  return read_devices(v, &mesh, sharding);
}

jm_error *jm_vhlo_part_type(jm_vhlo *v, const jm_sharding *sharding, const jm_type *whole,
                            const jm_type **out) {
  int64_t dims[JM_RANK_MAX];
  *out = whole;
  if (!sharding) return NULL;
  for (uint32_t d = 0; d < whole->rank; d++) {
    const int64_t n = sharding->dims[d].n_parts;
    if (whole->dims[d] % n)
      return jm_error_invalid("dimension %u of size %lld is not a multiple of its %lld parts", d,
                              (long long)whole->dims[d], (long long)n);
    dims[d] = whole->dims[d] / n;
  }
  return jm_module_type(v->m, whole->dtype, whole->rank, dims, out);
}

/* -- gathering */

static jm_error *build_op(jm_vhlo *v, jm_opcode code, const jm_value *operands, uint32_t n,
                          const void *attrs, const jm_type *type, jm_value *out) {
  JM_TRY(jm_vhlo_charge(v, 1));
  return jm_build_one(v->m, v->region, code, operands, n, attrs, type, JM_NONE, out);
}

/* The positions that differ from `position` in the dimension's axes alone, by their part. */
static void list_group(const jm_sharding *sharding, uint32_t dim, uint32_t position, int64_t *out) {
  const jm_sharding_dim *d = &sharding->dims[dim];
  int64_t leader = position;
  for (uint32_t i = 0; i < d->n_axes; i++)
    leader -= leader / d->axes[i].stride % d->axes[i].size * d->axes[i].stride;
  for (int64_t part = 0; part < d->n_parts; part++) {
    int64_t at = leader, rest = part;
    for (uint32_t i = d->n_axes; i-- > 0; rest /= d->axes[i].size)
      at += rest % d->axes[i].size * d->axes[i].stride;
    out[part] = jm_sharding_partition(sharding, (uint32_t)at);
  }
}

static jm_error *gather_dim(jm_vhlo *v, const jm_sharding *sharding, uint32_t dim,
                            jm_value *value) {
  const jm_type *from = jm_vhlo_typeof(v, *value), *to = NULL;
  const int64_t n_parts = sharding->dims[dim].n_parts;
  int64_t *groups, dims[JM_RANK_MAX];
  JM_TRY(jm_vhlo_charge(v, sharding->n_devices));
  JM_TRY(jm_vhlo_make_list(v, sharding->n_devices, &groups));
  uint32_t n = 0;
  for (uint32_t p = 0; p < sharding->n_devices; p++)
    if (!jm_sharding_part(sharding, dim, p)) {
      list_group(sharding, dim, p, groups + n);
      n += (uint32_t)n_parts;
    }
  memcpy(dims, from->dims, from->rank * sizeof *dims);
  dims[dim] *= n_parts;
  JM_TRY(jm_module_type(v->m, from->dtype, from->rank, dims, &to));
  const jm_all_gather_attrs attrs = {.dim = dim,
                                     .replica_groups = {groups, n},
                                     .group_size = n_parts,
                                     .channel = 1,
                                     .use_global_device_ids = true};
  return build_op(v, JM_OP_all_gather, value, 1, &attrs, to, value);
}

jm_error *jm_vhlo_gather(jm_vhlo *v, const jm_sharding *sharding, jm_value part,
                         const jm_type *whole, jm_value *out) {
  *out = part;
  if (!sharding) return NULL;
  for (uint32_t d = whole->rank;
       d-- > 0;) /* the last dimension first: then most data moves in long rows */
    if (sharding->dims[d].n_parts > 1) JM_TRY(gather_dim(v, sharding, d, out));
  v->parts =
      jm_arena_grow(&v->scratch, v->parts, v->n_parts + 1, &v->parts_capacity, sizeof *v->parts);
  if (!v->parts) return jm_error_out_of_memory();
  v->parts[v->n_parts++] = (struct jm_vhlo_part){*out, part, sharding};
  return NULL;
}

static const struct jm_vhlo_part *find_gathered(const jm_vhlo *v, jm_value whole) {
  for (uint32_t i = v->n_parts; i-- > 0;)
    if (v->parts[i].whole == whole) return &v->parts[i];
  return NULL;
}

const jm_sharding *jm_vhlo_sharding_of(const jm_vhlo *v, jm_value whole) {
  const struct jm_vhlo_part *gathered = find_gathered(v, whole);
  return gathered ? gathered->sharding : NULL;
}

/* -- cutting */

/* The start of this device's part, from a table indexed by the partition. */
static jm_error *build_start(jm_vhlo *v, const jm_sharding *sharding, uint32_t dim, int64_t size,
                             jm_value partition, jm_value *out) {
  const int64_t n = sharding->n_devices, one = 1;
  const jm_type *list, *element, *scalar;
  JM_TRY(jm_module_type(v->m, JM_DT_s64, 1, &n, &list));
  JM_TRY(jm_module_type(v->m, JM_DT_s64, 1, &one, &element));
  JM_TRY(jm_module_type(v->m, JM_DT_s64, 0, NULL, &scalar));
  int64_t *starts;
  JM_TRY(jm_vhlo_charge(v, (uint64_t)n));
  JM_TRY(jm_vhlo_make_list(v, (uint32_t)n, &starts));
  for (uint32_t p = 0; p < n; p++)
    starts[jm_sharding_partition(sharding, p)] = jm_sharding_part(sharding, dim, p) * size;
  const jm_constant_attrs constant = {.value = {starts, false}};
  jm_value operands[2] = {JM_NONE, partition}, row;
  JM_TRY(build_op(v, JM_OP_constant, NULL, 0, &constant, list, &operands[0]));
  int64_t *sizes;
  JM_TRY(jm_vhlo_make_list(v, 1, &sizes));
  sizes[0] = 1;
  const jm_dynamic_slice_attrs slice = {.sizes = {sizes, 1}};
  JM_TRY(build_op(v, JM_OP_dynamic_slice, operands, 2, &slice, element, &row));
  return build_op(v, JM_OP_reshape, &row, 1, NULL, scalar, out);
}

jm_error *jm_vhlo_cut(jm_vhlo *v, const jm_sharding *sharding, jm_value whole, jm_value *out) {
  *out = whole;
  if (!sharding) return NULL;
  const struct jm_vhlo_part *gathered = find_gathered(v, whole);
  if (gathered && jm_sharding_equal(gathered->sharding, sharding)) {
    *out = gathered->part;
    return NULL;
  }
  const jm_type *from = jm_vhlo_typeof(v, whole), *to, *id, *scalar;
  JM_TRY(jm_vhlo_part_type(v, sharding, from, &to));
  JM_TRY(jm_module_type(v->m, JM_DT_u32, 0, NULL, &id));
  JM_TRY(jm_module_type(v->m, JM_DT_s64, 0, NULL, &scalar));
  jm_value partition, zero, operands[1 + JM_RANK_MAX] = {whole};
  const int64_t nothing = 0;
  JM_TRY(build_op(v, JM_OP_partition_id, NULL, 0, NULL, id, &partition));
  const int64_t *none = jm_arena_copy(&v->m->arena, &nothing, 1, sizeof nothing);
  if (!none) return jm_error_out_of_memory();
  JM_TRY(jm_build_splat(v->m, v->region, scalar, none, JM_NONE, &zero));
  int64_t *sizes;
  JM_TRY(jm_vhlo_make_list(v, from->rank, &sizes));
  for (uint32_t d = 0; d < from->rank; d++) {
    sizes[d] = to->dims[d];
    operands[1 + d] = zero;
    if (sharding->dims[d].n_parts > 1)
      JM_TRY(build_start(v, sharding, d, sizes[d], partition, &operands[1 + d]));
  }
  const jm_dynamic_slice_attrs attrs = {.sizes = {sizes, from->rank}};
  return build_op(v, JM_OP_dynamic_slice, operands, 1 + from->rank, &attrs, to, out);
}
