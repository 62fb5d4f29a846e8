/* SPDX-License-Identifier: Apache-2.0
 * Shardings of programs over several partitions: of arguments and results, constraints inside, and
 * where bodies written per device begin and end. What is read is the program on whole arrays; the
 * pass partition makes the program of one device of it. */
#include <string.h>

#include "stablehlo/reader.h"

/* -- reading */

jm_error *jm_vhlo_axis_listed(jm_vhlo *v, const jm_wire_attr *names, const jm_vhlo_axis *axis,
                              bool *out) {
  *out = false;
  for (uint32_t i = 0; i < names->n_attrs && !*out; i++) {
    const jm_wire_attr *name;
    JM_TRY(jm_bytecode_read_attr(v->b, names->attrs[i], &name));
    *out = name->n_bytes == axis->name_size && !memcmp(name->bytes, axis->name, axis->name_size);
  }
  return NULL;
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
    bool counts = true;
    JM_TRY(jm_vhlo_mesh_axis(v, mesh, attr->attrs[i], &axis));
    if (manual) JM_TRY(jm_vhlo_axis_listed(v, manual, &axis, &counts));
    if (!counts || axis.size == 1) continue;
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
  JM_TRY(jm_vhlo_charge(v, n / JM_VHLO_PER_ITEMS));
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
  if (attr->dialect != JM_WIRE_SDY ||
      (attr->code != JM_WIRE_SDY_SHARDING && attr->code != JM_WIRE_SDY_UNREDUCED_1 &&
       attr->code != JM_WIRE_SDY_UNREDUCED_2))
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

/* -- ops */

/* Dimensions that a constraint leaves to propagation, beyond the axes that it names. */
static jm_error *read_open(jm_vhlo *v, uint32_t index, uint32_t rank, jm_i64s *out) {
  const jm_wire_attr *attr, *dim;
  int64_t *list;
  uint32_t n = 0;
  JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
  JM_TRY(jm_vhlo_make_list(v, rank, &list));
  for (uint32_t d = 0; d < rank; d++) {
    JM_TRY(jm_bytecode_read_attr(v->b, attr->attrs[1 + d], &dim));
    if (!dim->ints[0]) list[n++] = d;
  }
  *out = (jm_i64s){list, n};
  return NULL;
}

jm_error *jm_vhlo_read_sharding_constraint(jm_vhlo *v, const jm_wire_op *op) {
  if (v->m->n_partitions == 1 || v->manual_depth) return jm_vhlo_read_identity(v, op);
  jm_sharding_constraint_attrs attrs = {.open = {0}};
  const jm_sharding *sharding;
  jm_value value = JM_NONE;
  uint32_t index;
  JM_TRY(jm_vhlo_arity(op, 1, 1, 0));
  JM_TRY(jm_vhlo_operand(v, op, 0, &value));
  JM_TRY(jm_bytecode_find_attr(v->b, op, "sharding", &index));
  if (index == JM_WIRE_NONE) return jm_error_invalid("it has no sharding");
  const jm_type *type = jm_vhlo_typeof(v, value);
  JM_TRY(jm_vhlo_sharding(v, index, type, NULL, &sharding));
  JM_TRY(read_open(v, index, type->rank, &attrs.open));
  JM_TRY(jm_sharding_encode(&v->m->arena, sharding, &attrs.parts, &attrs.ids));
  return jm_vhlo_build(v, op, JM_OP_sharding_constraint, &value, 1, &attrs, false);
}

/* The op has no result; which uses of its operand are those of the group is for the pass. */
jm_error *jm_vhlo_read_sharding_group(jm_vhlo *v, const jm_wire_op *op) {
  jm_sharding_group_attrs attrs = {0};
  jm_value value = JM_NONE;
  JM_TRY(jm_vhlo_arity(op, 1, 0, 0));
  if (v->m->n_partitions == 1 || v->manual_depth) return NULL;
  JM_TRY(jm_vhlo_operand(v, op, 0, &value));
  JM_TRY(jm_vhlo_i64(v, op, "group_id", &attrs.group));
  return jm_vhlo_emit(v, op, JM_OP_sharding_group, &value, 1, &attrs, jm_vhlo_typeof(v, value),
                      &value);
}

/* Into a body written per device, or out of it. */
jm_error *jm_vhlo_enter_shard(jm_vhlo *v, const jm_wire_op *op, const jm_sharding *sharding,
                              jm_value *value) {
  jm_full_to_shard_attrs attrs = {.nested = v->manual_depth > 0};
  const jm_type *part;
  JM_TRY(jm_build_part_type(v->m, sharding, jm_vhlo_typeof(v, *value), &part));
  JM_TRY(jm_sharding_encode(&v->m->arena, sharding, &attrs.parts, &attrs.ids));
  return jm_vhlo_emit(v, op, JM_OP_full_to_shard, value, 1, &attrs, part, value);
}

jm_error *jm_vhlo_leave_shard(jm_vhlo *v, const jm_wire_op *op, const jm_sharding *sharding,
                              const jm_type *whole, jm_value *value) {
  jm_shard_to_full_attrs attrs = {.nested = v->manual_depth > 0};
  JM_TRY(jm_sharding_encode(&v->m->arena, sharding, &attrs.parts, &attrs.ids));
  return jm_vhlo_emit(v, op, JM_OP_shard_to_full, value, 1, &attrs, whole, value);
}
