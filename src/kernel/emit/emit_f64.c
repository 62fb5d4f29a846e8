/* SPDX-License-Identifier: Apache-2.0
 * Which ops of f32 and c64 compute in f64 inside: a GPU without it leaves them to its library. The
 * test of emission compares this with the instructions that each op becomes. */
#include "kernel/emit/emit.h"

/* Bits: of real operands, of complex ones. */
enum { REAL = 1, COMPLEX = 2 };
static const uint8_t needs[JM_N_OPS] = {
    [JM_OP_abs] = COMPLEX,
    [JM_OP_acos] = REAL,
    [JM_OP_acosh] = REAL,
    [JM_OP_asin] = REAL,
    [JM_OP_asinh] = REAL,
    [JM_OP_atan2] = REAL,
    [JM_OP_atanh] = REAL,
    [JM_OP_cbrt] = REAL,
    [JM_OP_cosh] = REAL,
    [JM_OP_cosine] = REAL | COMPLEX,
    [JM_OP_divide] = COMPLEX,
    [JM_OP_exponential] = COMPLEX,
    [JM_OP_exponential_minus_one] = COMPLEX,
    [JM_OP_log] = COMPLEX,
    [JM_OP_log_plus_one] = COMPLEX,
    [JM_OP_logistic] = COMPLEX,
    [JM_OP_power] = REAL,
    [JM_OP_rsqrt] = COMPLEX,
    [JM_OP_sign] = COMPLEX,
    [JM_OP_sine] = REAL | COMPLEX,
    [JM_OP_sinh] = REAL,
    [JM_OP_sqrt] = COMPLEX,
    [JM_OP_tan] = REAL | COMPLEX,
    [JM_OP_tanh] = COMPLEX,
};

static uint8_t kind_of(jm_dtype dtype) {
  return jm_dtype_is_complex(dtype) ? COMPLEX : jm_dtype_is_float(dtype) ? REAL : 0;
}

bool jm_emit_needs_f64(const jm_module *m, const jm_op *op) {
  if (op->n_operands && needs[op->code] & kind_of(jm_op_operand_type(m, op, 0)->dtype)) return true;
  for (uint32_t r = 0; r < op->n_regions; r++) {
    const jm_region *region = jm_op_region(m, op, r);
    for (uint32_t i = 0; i < region->n_ops; i++)
      if (jm_emit_needs_f64(m, jm_module_op(m, region->ops[i]))) return true;
  }
  return false;
}
