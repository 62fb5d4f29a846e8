/* SPDX-License-Identifier: Apache-2.0
 * The table of custom calls. */
#include "engine/host/library/custom_call.h"

#include <string.h>

#include "engine/host/library/callback.h"
#include "engine/host/library/functions.h"
#include "engine/host/library/lapack_call.h"
#include "engine/host/library/linalg.h"
#include "engine/user_kernel.h"
#include "ffi/ffi.h"

static jm_error *invalid(const jm_module *m, const jm_op *op) {
  return jm_op_error(m, op, JM_INVALID_ARGUMENT,
                     "operands or results that this target doesn't have");
}

/* Annotations: as many results as operands, of the same types. */
static jm_error *check_identity(const jm_module *m, const jm_op *op) {
  if (op->n_operands != op->n_results) return invalid(m, op);
  for (uint32_t i = 0; i < op->n_results; i++)
    if (jm_op_operand_type(m, op, i) != jm_op_result_type(m, op, i)) return invalid(m, op);
  return NULL;
}

/* Between a whole array and one device's part of it: the same for one device. */
static jm_error *check_shard(const jm_module *m, const jm_op *op) {
  return m->n_partitions > 1
             ? jm_op_error(m, op, JM_UNIMPLEMENTED, "%u partitions", (unsigned)m->n_partitions)
             : check_identity(m, op);
}

static jm_error *check_sink(const jm_module *m, const jm_op *op) {
  return op->n_results ? invalid(m, op) : NULL;
}

/* Never reached: what a device can't run was refused, or expanded to its reference. */
static jm_error *run_user_kernel(const jm_call *call) {
  return jm_user_kernel_refuse(call->module, call->op, "host");
}

static const jm_custom_call calls[] = {
    {"Sharding", jm_library_identity, check_identity},
    {"xla.sdy.FuncResultSharding", jm_library_identity, check_identity},
    {"SPMDFullToShardShape", jm_library_identity, check_shard},
    {"SPMDShardToFullShape", jm_library_identity, check_shard},
    {"LayoutConstraint", jm_library_identity, check_identity},
    {"annotate_device_placement", jm_library_identity, check_identity},
    {"dce_sink", jm_library_token, check_sink},
    {"mps.callback", jm_library_callback, jm_library_callback_check},
    {"mps.kernel", run_user_kernel, jm_user_kernel_verify},
    {"Qr", jm_qr_run, jm_qr_check},
    {"ProductOfElementaryHouseholderReflectors", jm_householder_run, jm_householder_check},
    {"mps.eigh", jm_lapack_call_run, jm_lapack_call_check},
    {"mps.eig", jm_lapack_call_run, jm_lapack_call_check},
    {"mps.schur", jm_lapack_call_run, jm_lapack_call_check},
    {"mps.hessenberg", jm_lapack_call_run, jm_lapack_call_check},
    {"mps.tridiagonal", jm_lapack_call_run, jm_lapack_call_check},
    {"mps.tridiagonal_solve", jm_lapack_call_run, jm_lapack_call_check},
    {"mps.svd", jm_lapack_call_run, jm_lapack_call_check},
    {"mps.lu", jm_lapack_call_run, jm_lapack_call_check},
    {"mps.geqp3", jm_lapack_call_run, jm_lapack_call_check},
    {"mps.ormqr", jm_lapack_call_run, jm_lapack_call_check},
};

static jm_error *run_ffi(const jm_call *call) {
  return jm_ffi_run(call->module, call->op, call->in, call->out);
}

static const jm_custom_call ffi_call = {NULL, run_ffi, jm_ffi_check};

const jm_custom_call *jm_custom_call_find(jm_str target) {
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    if (strlen(calls[i].target) == target.size &&
        !memcmp(calls[i].target, target.bytes, target.size))
      return &calls[i];
  return target.size && jm_ffi_find(target.bytes) ? &ffi_call : NULL;
}

jm_error *jm_library_custom_call(const jm_call *call) {
  const jm_custom_call_attrs *attrs = call->op->attrs;
  const jm_custom_call *found = jm_custom_call_find(attrs->target);
  if (found) return found->run(call);
  return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "unknown target");
}
