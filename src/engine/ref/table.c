/* SPDX-License-Identifier: Apache-2.0
 * The oracle's dispatch, expanded from ops.def (a missing function is a link error), and the ops
 * that hand values through. */
#include <string.h>

#include "base/counters.h"
#include "engine/evaluate.h"
#include "engine/ref/functions.h"

#define jm_ref_CONTROL NULL /* run by jm_evaluate */
jm_call_fn *const jm_ref_fns[JM_N_OPS] = {
#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary) \
  jm_ref_##ref,
#include "ir/ops.def"
};

static jm_error *fold_op(const jm_call *call) { return jm_ref_fns[call->op->code](call); }

static jm_error *run_op(const jm_call *call) {
  jm_counter_add(JM_COUNTER_oracle_ops, 1);
  return fold_op(call);
}

jm_error *jm_ref_run(const jm_call *call) { return jm_evaluate_op(call, run_op); }

jm_error *jm_ref_evaluate(const jm_module *module, jm_region_id region, const jm_tensor *args,
                          const jm_tensor *results, const jm_context *context) {
  return jm_evaluate(module, region, args, results, context, run_op);
}

jm_error *jm_ref_fold(const jm_module *module, const jm_op *op, const jm_tensor *in,
                      const jm_tensor *out) {
  return jm_evaluate_op(&(jm_call){module, op, in, out, NULL}, fold_op);
}

jm_error *jm_ref_identity(const jm_call *call) {
  for (uint32_t i = 0; i < call->op->n_results; i++)
    memmove(call->out[i].data, call->in[i].data, jm_type_bytes(call->out[i].type));
  return NULL;
}

/* A token has no bytes: it stands for the order of ops. */
jm_error *jm_ref_token(const jm_call *call) {
  (void)call;
  return NULL;
}

/* A group, op by op: tests compare its kernels with this. */
jm_error *jm_ref_fusion(const jm_call *call) {
  return jm_ref_evaluate(call->module, call->op->first_region, call->in, call->out, call->context);
}

/* -- what has no oracle */

static jm_error *unimplemented(const jm_call *call) {
  return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "the oracle does not run it");
}

/* Of a program of one participant: the oracle has no peers. */
static bool is_alone(const jm_call *call) {
  return (uint64_t)call->module->n_replicas * call->module->n_partitions <= 1;
}

/* Collectives of one participant hand their operands through, but for a permutation that doesn't
 * name it, which gives zeros. */
jm_error *jm_ref_collective(const jm_call *call) {
  if (!is_alone(call)) return unimplemented(call);
  if (call->op->code != JM_OP_collective_permute) return jm_ref_identity(call);
  const jm_i64s pairs = ((const jm_collective_permute_attrs *)call->op->attrs)->source_target_pairs;
  for (uint32_t i = 0; i + 1 < pairs.n; i += 2)
    if (!pairs.data[i] && !pairs.data[i + 1]) return jm_ref_identity(call);
  memset(call->out[0].data, 0, jm_type_bytes(call->out[0].type));
  return NULL;
}

jm_error *jm_ref_device_id(const jm_call *call) {
  if (!is_alone(call)) return unimplemented(call);
  memset(call->out[0].data, 0, jm_type_bytes(call->out[0].type));
  return NULL;
}

jm_error *jm_ref_sharding(const jm_call *call) {
  return is_alone(call) ? jm_ref_identity(call) : unimplemented(call);
}

/* Annotations, which have as many results as operands, hand them through. */
jm_error *jm_ref_custom_call(const jm_call *call) {
  static const char *const annotations[] = {"Sharding",
                                            "xla.sdy.FuncResultSharding",
                                            "SPMDFullToShardShape",
                                            "SPMDShardToFullShape",
                                            "LayoutConstraint",
                                            "annotate_device_placement"};
  const jm_str target = ((const jm_custom_call_attrs *)call->op->attrs)->target;
  for (size_t i = 0; i < sizeof annotations / sizeof *annotations; i++)
    if (strlen(annotations[i]) == target.size &&
        !memcmp(annotations[i], target.bytes, target.size) &&
        call->op->n_operands == call->op->n_results)
      return jm_ref_identity(call);
  return unimplemented(call);
}

jm_error *jm_ref_cholesky(const jm_call *call) { return unimplemented(call); }
jm_error *jm_ref_triangular_solve(const jm_call *call) { return unimplemented(call); }
jm_error *jm_ref_rng(const jm_call *call) { return unimplemented(call); }
