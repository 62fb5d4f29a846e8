/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/cost.h"

#include "ir/slices.h"

/* Multiply-adds per result element of a product. */
static double product_depth(const jm_module *m, const jm_op *op) {
  const jm_type *lhs = jm_op_operand_type(m, op, 0), *rhs = jm_op_operand_type(m, op, 1);
  double depth = 1;
  if (op->code == JM_OP_dot_general) {
    const jm_dot_general_attrs *a = op->attrs;
    for (uint32_t i = 0; i < a->lhs_contract.n; i++)
      depth *= (double)lhs->dims[a->lhs_contract.data[i]];
  } else {
    const jm_convolution_attrs *a = op->attrs;
    depth = (double)rhs->count /
            (double)(rhs->dims[a->kernel_output_feature] ? rhs->dims[a->kernel_output_feature] : 1);
  }
  return depth;
}

static double op_flops(const jm_module *m, const jm_op *op) {
  double results = 0, operands = 0;
  for (uint32_t i = 0; i < op->n_results; i++)
    results += (double)jm_op_result_type(m, op, i)->count;
  for (uint32_t i = 0; i < op->n_operands; i++)
    operands += (double)jm_op_operand_type(m, op, i)->count;
  switch (op->code) {
    case JM_OP_dot_general:
    case JM_OP_convolution:
      return 2 * results * product_depth(m, op);
    case JM_OP_reduce:
    case JM_OP_reduce_window:
    case JM_OP_select_and_scatter:
    case JM_OP_scatter:
    case JM_OP_sort:
    case JM_OP_fft:
      return operands;
    default:
      return jm_op_facts[op->code].traits & JM_TRAIT_ELEMENTWISE ? results : 0;
  }
}

double jm_op_count_flops(const jm_module *m, const jm_op *op) {
  const bool is_sliced = op->code == JM_OP_sliced;
  if (op->code != JM_OP_fusion && !is_sliced) return op_flops(m, op);
  double flops = 0;
  const jm_region *region = jm_op_region(m, op, 0);
  for (uint32_t i = 0; i < region->n_ops; i++) { /* groups in slices, at most */
    const jm_op *inner = jm_module_op(m, region->ops[i]);
    flops += is_sliced ? jm_op_count_flops(m, inner) : op_flops(m, inner);
  }
  return is_sliced ? flops * (double)jm_slices_count(op) : flops;
}

jm_cost jm_cost_estimate(const jm_module *m) {
  jm_cost cost = {0};
  for (uint32_t r = 0; r < m->n_regions; r++) {
    const jm_region *region = jm_module_region(m, r);
    for (uint32_t i = 0; i < region->n_ops; i++) {
      const jm_op *op = jm_module_op(m, region->ops[i]);
      int64_t id;
      cost.has_loop |= op->code == JM_OP_while;
      cost.has_callback |= jm_op_callback_find(op, &id);
      cost.flops += op_flops(m, op);
      for (uint32_t k = 0; k < op->n_operands; k++)
        cost.bytes += (double)jm_type_bytes(jm_op_operand_type(m, op, k));
      for (uint32_t k = 0; k < op->n_results; k++)
        cost.bytes += (double)jm_type_bytes(jm_op_result_type(m, op, k));
    }
  }
  return cost;
}
