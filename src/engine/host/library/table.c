/* SPDX-License-Identifier: Apache-2.0
 * The library's dispatch, expanded from ops.def: a missing function is a link error. */
#include "engine/evaluate.h"
#include "engine/host/library/functions.h"

#define jm_library_CONTROL NULL /* executors run while and case */
jm_call_fn *const jm_library_fns[JM_N_OPS] = {
#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary) \
  jm_library_##ref,
#include "ir/ops.def"
};

static const struct {
  jm_opcode code;
  bool (*supports)(const jm_module *module, const jm_op *op);
  jm_call_fn *run;
} rows[] = {
#define ROUTINE(op, supports, run) {JM_OP_##op, supports, run},
#include "engine/host/library/library.def"
};

jm_call_fn *jm_library_find(const jm_module *module, const jm_op *op) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].code == op->code && rows[i].supports(module, op)) return rows[i].run;
  return jm_library_fns[op->code];
}

static jm_error *run_op(const jm_call *call) {
  return jm_library_find(call->module, call->op)(call);
}

jm_error *jm_library_evaluate(const jm_module *module, jm_region_id region, const jm_tensor *args,
                              const jm_tensor *results, const jm_context *context) {
  return jm_evaluate(module, region, args, results, context, run_op);
}
