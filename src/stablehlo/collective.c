/* SPDX-License-Identifier: Apache-2.0
 * Rules of ops between participants. On one device they are identities. */
#include <string.h>

#include "stablehlo/reader.h"

/* Whether each result has its operand's type, as in an exchange of a device with itself. */
static jm_error *is_identity(jm_vhlo *v, const jm_wire_op *op, bool *out) {
  *out = jm_vhlo_one_device(v) && op->n_operands == op->n_results;
  for (uint32_t i = 0; *out && i < op->n_results; i++) {
    jm_value value = JM_NONE;
    const jm_type *type = NULL;
    JM_TRY(jm_vhlo_operand(v, op, i, &value));
    JM_TRY(jm_vhlo_result_type(v, op, i, &type));
    *out = type == jm_vhlo_typeof(v, value);
  }
  return NULL;
}

jm_error *jm_vhlo_define_zero(jm_vhlo *v, const jm_wire_op *op) {
  static const char zero[16];
  const jm_type *type = NULL;
  jm_value value = JM_NONE;
  JM_TRY(jm_vhlo_result_type(v, op, 0, &type));
  JM_TRY(jm_build_splat(v->m, v->region, type, zero, jm_vhlo_location(v, op), &value));
  jm_vhlo_define(v, op, 0, value);
  return NULL;
}

/* Only data that a device sends to itself arrives; otherwise the result is zeros. */
static jm_error *read_permute(jm_vhlo *v, const jm_wire_op *op) {
  jm_i64s pairs = {0};
  JM_TRY(jm_vhlo_i64s(v, op, "source_target_pairs", &pairs));
  for (uint32_t i = 0; i + 1 < pairs.n; i += 2)
    if (!pairs.data[i] && !pairs.data[i + 1]) return jm_vhlo_read_identity(v, op);
  return jm_vhlo_define_zero(v, op);
}

jm_error *jm_vhlo_read_collective(jm_vhlo *v, const jm_wire_op *op) {
  bool identity = false;
  JM_TRY(is_identity(v, op, &identity));
  if (!identity) return jm_vhlo_read_plain(v, op);
  if (jm_vhlo_find_row(v, op)->op == JM_OP_collective_permute && op->n_results == 1)
    return read_permute(v, op);
  return jm_vhlo_read_identity(v, op);
}

/* all_reduce with addition over replicas */
jm_error *jm_vhlo_read_cross_replica_sum(jm_vhlo *v, const jm_wire_op *op) {
  bool identity = false;
  JM_TRY(jm_vhlo_arity(op, 1, 1, 0));
  JM_TRY(is_identity(v, op, &identity));
  if (identity) return jm_vhlo_read_identity(v, op);
  jm_all_reduce_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  JM_TRY(jm_vhlo_fields(v, op, JM_OP_all_reduce, &attrs));
  jm_value operand = JM_NONE, args[2], sum = JM_NONE;
  const jm_type *type = NULL, *scalar = NULL;
  JM_TRY(jm_vhlo_operand(v, op, 0, &operand));
  JM_TRY(jm_vhlo_result_type(v, op, 0, &type));
  JM_TRY(jm_module_type(v->m, type->dtype, 0, NULL, &scalar));
  const jm_op_spec spec = {.code = JM_OP_all_reduce,
                           .operands = &operand,
                           .n_operands = 1,
                           .result_types = &type,
                           .n_results = 1,
                           .attrs = &attrs,
                           .n_regions = 1,
                           .loc = jm_vhlo_location(v, op)};
  jm_op_id id = JM_NONE;
  JM_TRY(jm_build_op(v->m, v->region, &spec, &id));
  jm_vhlo_define(v, op, 0, v->m->ops[id].first_result);
  jm_region_id region = v->m->ops[id].first_region;
  JM_TRY(jm_build_arg(v->m, region, scalar, &args[0]));
  JM_TRY(jm_build_arg(v->m, region, scalar, &args[1]));
  JM_TRY(jm_build_binary(v->m, region, JM_OP_add, args[0], args[1], scalar, spec.loc, &sum));
  return jm_build_results(v->m, region, &sum, 1);
}

/* partition_id, replica_id: 0 where there is one */
jm_error *jm_vhlo_read_device_id(jm_vhlo *v, const jm_wire_op *op) {
  jm_opcode code = (jm_opcode)jm_vhlo_find_row(v, op)->op;
  JM_TRY(jm_vhlo_arity(op, 0, 1, 0));
  uint32_t n = code == JM_OP_partition_id ? v->m->n_partitions : v->m->n_replicas;
  if (n > 1) return jm_vhlo_read_plain(v, op);
  return jm_vhlo_define_zero(v, op);
}
