/* SPDX-License-Identifier: Apache-2.0
 * Unreduced axes of shardings: along them each device has a part of a sum. The program on whole
 * arrays computes with complete sums; an argument's parts are summed on entry, and a result is
 * divided into parts where it leaves. Where nothing lies between, the pass partition takes the
 * parts as they are. */
#include "stablehlo/reader.h"

jm_error *jm_vhlo_unreduced_read(jm_vhlo *v, uint32_t index, const jm_wire_attr *manual,
                                 jm_sharding_sums *out) {
  const jm_wire_attr *attr;
  *out = (jm_sharding_sums){.group_size = 1};
  JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
  if (attr->dialect != JM_WIRE_SDY ||
      (attr->code != JM_WIRE_SDY_UNREDUCED_1 && attr->code != JM_WIRE_SDY_UNREDUCED_2))
    return NULL;
  if (attr->code == JM_WIRE_SDY_UNREDUCED_2 && attr->ints[3])
    return jm_error_unimplemented("an unreduced sharding that is not of a sum");
  jm_vhlo_mesh mesh = {.n = 0};
  uint32_t refs[JM_VHLO_MAX_AXES], n = 0;
  JM_TRY(jm_vhlo_mesh_read(v, attr->attrs[0], &mesh));
  for (uint32_t i = 1 + (uint32_t)(attr->ints[0] + attr->ints[1]); i < attr->n_attrs; i++) {
    jm_vhlo_axis axis;
    bool counts = true;
    JM_TRY(jm_vhlo_mesh_axis(v, &mesh, attr->attrs[i], &axis));
    if (manual) JM_TRY(jm_vhlo_axis_listed(v, manual, &axis, &counts));
    if (counts && n == JM_VHLO_MAX_AXES) return jm_error_invalid("more axes than a mesh has");
    if (counts && axis.size > 1) refs[n++] = attr->attrs[i];
  }
  if (!n) return NULL;
  if (mesh.n_devices != v->m->n_partitions)
    return jm_error_unimplemented("a mesh of %lld devices in a program of %u partitions",
                                  (long long)mesh.n_devices, v->m->n_partitions);
  return jm_vhlo_mesh_groups(v, &mesh, refs, n, &out->groups, &out->group_size);
}

jm_error *jm_vhlo_unreduced_complete(jm_vhlo *v, const jm_wire_op *op, const jm_sharding_sums *sum,
                                     jm_value *value) {
  if (!sum->groups.n) return NULL;
  const jm_type *type = jm_vhlo_typeof(v, *value), *scalar;
  const jm_all_reduce_attrs attrs = {.replica_groups = sum->groups,
                                     .group_size = sum->group_size,
                                     .channel = 1,
                                     .use_global_device_ids = true};
  const jm_op_spec spec = {.code = JM_OP_all_reduce,
                           .operands = value,
                           .n_operands = 1,
                           .result_types = &type,
                           .n_results = 1,
                           .attrs = &attrs,
                           .n_regions = 1,
                           .loc = jm_vhlo_location(v, op)};
  jm_op_id id;
  jm_value args[2], result;
  JM_TRY(jm_module_type(v->m, type->dtype, 0, NULL, &scalar));
  JM_TRY(jm_build_op(v->m, v->region, &spec, &id));
  *value = v->m->ops[id].first_result;
  const jm_region_id region = v->m->ops[id].first_region;
  JM_TRY(jm_build_arg(v->m, region, scalar, &args[0]));
  JM_TRY(jm_build_arg(v->m, region, scalar, &args[1]));
  JM_TRY(jm_build_binary(v->m, region, JM_OP_add, args[0], args[1], scalar, spec.loc, &result));
  return jm_build_results(v->m, region, &result, 1);
}

jm_error *jm_vhlo_unreduced_divide(jm_vhlo *v, const jm_wire_op *op, const jm_sharding_sums *sum,
                                   jm_value *value) {
  if (!sum->groups.n) return NULL;
  const jm_unreduce_attrs attrs = {.replica_groups = sum->groups, .group_size = sum->group_size};
  const jm_value operand = *value;
  return jm_vhlo_emit(v, op, JM_OP_unreduce, &operand, 1, &attrs, jm_vhlo_typeof(v, operand),
                      value);
}
