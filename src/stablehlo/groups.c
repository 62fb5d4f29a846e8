/* SPDX-License-Identifier: Apache-2.0
 * replica_groups: lists of ids or, since StableHLO 1.16, the axes of a mesh in which the
 * participants of one group differ. */
#include <inttypes.h>
#include <string.h>

#include "stablehlo/reader.h"

enum { MAX_DEVICES = 1 << 20 };

static jm_error *find_mesh_op(jm_vhlo *v, const jm_wire_attr *name, const jm_wire_attr **out) {
  JM_TRY(jm_vhlo_charge(v, v->body->n_ops / JM_VHLO_PER_ITEMS));
  for (uint32_t i = 0; i < v->body->n_ops; i++) {
    const jm_wire_op *op = &v->body->ops[i];
    const jm_vhlo_row *row = jm_vhlo_find_row(v, op);
    if (!row || strcmp(row->spelling, "sdy.mesh")) continue;
    const jm_wire_attr *symbol;
    JM_TRY(jm_vhlo_find(v, op, "sym_name", &symbol));
    if (!symbol || symbol->kind != JM_WIRE_STRING || symbol->n_bytes != name->n_bytes ||
        memcmp(symbol->bytes, name->bytes, name->n_bytes))
      continue;
    return jm_vhlo_find(v, op, "mesh", out);
  }
  return jm_error_invalid("there is no mesh @%.*s", (int)(name->n_bytes & 0xFFFF), name->bytes);
}

static jm_error *read_axes(jm_vhlo *v, const uint32_t *attrs, uint32_t n, jm_vhlo_mesh *out) {
  if (n > JM_VHLO_MAX_AXES) return jm_error_unimplemented("a mesh of %u axes", n);
  out->n = n;
  for (uint32_t i = 0; i < n; i++) {
    const jm_wire_attr *a, *name;
    JM_TRY(jm_bytecode_read_attr(v->b, attrs[i], &a));
    if (a->kind != JM_WIRE_RECORD) return jm_error_invalid("a mesh's axis is not one");
    name = a;
    if (a->dialect == JM_WIRE_VHLO && a->code == JM_WIRE_VHLO_MESH_AXIS)
      JM_TRY(jm_bytecode_read_attr(v->b, a->attrs[0], &name));
    else if (a->dialect != JM_WIRE_SDY || a->code != JM_WIRE_SDY_MESH_AXIS)
      return jm_error_invalid("a mesh's axis is not one");
    out->axes[i] = (jm_vhlo_axis){name->bytes, name->n_bytes, a->ints[0], 0};
  }
  out->n_devices = 1;
  for (uint32_t i = n; i-- > 0;) {
    out->axes[i].stride = out->n_devices;
    if (out->axes[i].size < 1 || out->axes[i].size > MAX_DEVICES / out->n_devices)
      return jm_error_invalid("a mesh has an axis of size %" PRId64, out->axes[i].size);
    out->n_devices *= out->axes[i].size;
  }
  return NULL;
}

jm_error *jm_vhlo_mesh_read(jm_vhlo *v, uint32_t index, jm_vhlo_mesh *out) {
  const jm_wire_attr *attr;
  JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
  if (attr->kind == JM_WIRE_SYMBOL) JM_TRY(jm_bytecode_read_attr(v->b, attr->attrs[0], &attr));
  if (attr->kind == JM_WIRE_STRING) JM_TRY(find_mesh_op(v, attr, &attr));
  if (!attr || attr->kind != JM_WIRE_RECORD) return jm_error_invalid("no mesh where one is named");
  if (attr->dialect == JM_WIRE_SDY && attr->code == JM_WIRE_SDY_MESH) {
    out->ids = (jm_i64s){attr->ints, attr->n_ints};
    JM_TRY(read_axes(v, attr->attrs, attr->n_attrs, out));
  } else if (attr->dialect == JM_WIRE_VHLO && attr->code == JM_WIRE_VHLO_MESH) {
    const jm_wire_attr *axes;
    JM_TRY(jm_bytecode_read_attr(v->b, attr->attrs[0], &axes));
    if (axes->kind != JM_WIRE_ARRAY) return jm_error_invalid("a mesh's axes are not a list");
    out->ids = (jm_i64s){0};
    if (attr->attrs[1] != JM_WIRE_NONE) JM_TRY(jm_vhlo_list(v, attr->attrs[1], &out->ids));
    JM_TRY(read_axes(v, axes->attrs, axes->n_attrs, out));
  } else {
    return jm_error_invalid("no mesh where one is named");
  }
  if (out->ids.n && out->ids.n != out->n_devices)
    return jm_error_invalid("a mesh of %" PRId64 " devices names %u", out->n_devices, out->ids.n);
  return NULL;
}

/* The name and the optional factor of an axis reference, of either dialect. */
static jm_error *read_axis_ref(jm_vhlo *v, uint32_t index, const jm_wire_attr **name,
                               const jm_wire_attr **sub) {
  const jm_wire_attr *ref;
  JM_TRY(jm_bytecode_read_attr(v->b, index, &ref));
  const bool is_sdy = ref->dialect == JM_WIRE_SDY && ref->code == JM_WIRE_SDY_AXIS_REF;
  if (!is_sdy && (ref->dialect != JM_WIRE_VHLO || ref->code != JM_WIRE_VHLO_AXIS_REF))
    return jm_error_invalid("something else than an axis of a mesh");
  *name = ref;
  if (!is_sdy) JM_TRY(jm_bytecode_read_attr(v->b, ref->attrs[0], name));
  const uint32_t part = ref->attrs[is_sdy ? 0 : 1];
  *sub = NULL;
  if (part == JM_WIRE_NONE) return NULL;
  JM_TRY(jm_bytecode_read_attr(v->b, part, sub));
  if (((*sub)->dialect != JM_WIRE_VHLO || (*sub)->code != JM_WIRE_VHLO_SUB_AXIS) &&
      ((*sub)->dialect != JM_WIRE_SDY || (*sub)->code != JM_WIRE_SDY_SUB_AXIS))
    return jm_error_invalid("a part of an axis is not one");
  return NULL;
}

jm_error *jm_vhlo_mesh_axis(jm_vhlo *v, const jm_vhlo_mesh *in, uint32_t index, jm_vhlo_axis *out) {
  const jm_wire_attr *name, *sub;
  JM_TRY(read_axis_ref(v, index, &name, &sub));
  for (uint32_t i = 0; i < in->n; i++) {
    *out = in->axes[i];
    if (name->n_bytes != out->name_size ||
        (out->name_size && memcmp(name->bytes, out->name, out->name_size)))
      continue;
    if (!sub) return NULL;
    int64_t before = sub->ints[0], size = sub->ints[1];
    if (before < 1 || size < 1 || before > out->size || size > out->size / before ||
        out->size % (before * size))
      return jm_error_invalid("a part of an axis of %" PRId64 " has size %" PRId64
                              " after %" PRId64,
                              out->size, size, before);
    out->stride *= out->size / (before * size);
    out->size = size;
    return NULL;
  }
  return jm_error_invalid("an axis that the mesh does not have");
}

jm_error *jm_vhlo_mesh_groups(jm_vhlo *v, const jm_vhlo_mesh *in, const uint32_t *refs, uint32_t n,
                              jm_i64s *groups, int64_t *group_size) {
  jm_vhlo_axis parts[JM_VHLO_MAX_AXES];
  if (n > JM_VHLO_MAX_AXES) return jm_error_invalid("more axes than a mesh has");
  int64_t size = 1;
  for (uint32_t i = 0; i < n; i++) {
    JM_TRY(jm_vhlo_mesh_axis(v, in, refs[i], &parts[i]));
    if (parts[i].size > in->n_devices / size)
      return jm_error_invalid("replica groups name an axis twice");
    size *= parts[i].size;
  }
  int64_t *list = NULL;
  JM_TRY(jm_vhlo_charge(v, (uint64_t)in->n_devices / JM_VHLO_PER_ITEMS));
  JM_TRY(jm_vhlo_make_list(v, (uint32_t)in->n_devices, &list));
  uint32_t n_listed = 0;
  for (int64_t leader = 0; leader < in->n_devices; leader++) {
    bool leads = true;
    for (uint32_t k = 0; k < n; k++) leads &= leader / parts[k].stride % parts[k].size == 0;
    if (!leads) continue;
    for (int64_t member = 0; member < size; member++) {
      int64_t position = leader, rest = member;
      for (uint32_t k = n; k-- > 0; rest /= parts[k].size)
        position += rest % parts[k].size * parts[k].stride;
      if (n_listed == in->n_devices || position >= in->n_devices)
        return jm_error_invalid("replica groups name an axis twice");
      list[n_listed++] = in->ids.n ? in->ids.data[position] : position;
    }
  }
  *groups = (jm_i64s){list, n_listed};
  *group_size = size;
  return NULL;
}

static jm_error *groups_of_mesh(jm_vhlo *v, const jm_wire_attr *attr, jm_i64s *groups,
                                int64_t *group_size) {
  jm_vhlo_mesh in = {.n = 0};
  const jm_wire_attr *refs;
  JM_TRY(jm_vhlo_mesh_read(v, attr->attrs[0], &in));
  JM_TRY(jm_bytecode_read_attr(v->b, attr->attrs[1], &refs));
  if (refs->kind != JM_WIRE_ARRAY)
    return jm_error_invalid("the axes of replica groups are not a list");
  return jm_vhlo_mesh_groups(v, &in, refs->attrs, refs->n_attrs, groups, group_size);
}

jm_error *jm_vhlo_groups(jm_vhlo *v, uint32_t index, jm_i64s *groups, int64_t *group_size) {
  const jm_wire_attr *attr;
  const jm_wire_type *type;
  JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
  if (attr->dialect == JM_WIRE_VHLO && attr->code == JM_WIRE_VHLO_MESH_AXES)
    return groups_of_mesh(v, attr, groups, group_size);
  JM_TRY(jm_vhlo_list(v, index, groups));
  if (attr->kind != JM_WIRE_TENSOR) return jm_error_invalid("replica groups are not a tensor");
  JM_TRY(jm_bytecode_read_type(v->b, attr->type, &type));
  if (type->kind != JM_WIRE_T_TENSOR || type->n_ints != 2)
    return jm_error_invalid("replica groups are not a matrix");
  *group_size = type->ints[1];
  return NULL;
}
