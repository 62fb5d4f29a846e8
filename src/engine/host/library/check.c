/* SPDX-License-Identifier: Apache-2.0
 * Decides at compile time what the library can run: one rule per function of ops.def's
 * ref column. A function without a rule of its own takes every type that the verifier lets pass. */
#include "engine/group.h"
#include "engine/host/library/custom_call.h"
#include "engine/host/library/functions.h"
#include "engine/host/library/linalg.h"
#include "engine/host/library/product.h"

typedef jm_error *rule(const jm_module *module, const jm_op *op);

static jm_error *refuse(const jm_module *m, const jm_op *op, const char *what) {
  return jm_op_error(m, op, JM_UNIMPLEMENTED, "%s", what);
}

static jm_dtype operand_dtype(const jm_module *m, const jm_op *op, uint32_t i) {
  return jm_op_operand_type(m, op, i)->dtype;
}

/* Ids in groups are replicas or partitions; with both, their meaning depends on the op's channel.
 */
static jm_error *check_participants(const jm_module *m, const jm_op *op) {
  if (m->n_replicas > 1 && m->n_partitions > 1)
    return jm_op_error(m, op, JM_UNIMPLEMENTED, "%u replicas of %u partitions", m->n_replicas,
                       m->n_partitions);
  if (m->n_replicas > JM_MAX_PARTICIPANTS || m->n_partitions > JM_MAX_PARTICIPANTS)
    return jm_op_error(m, op, JM_UNIMPLEMENTED, "more than %d participants", JM_MAX_PARTICIPANTS);
  return NULL;
}

static bool is_alone(const jm_module *m) { return m->n_replicas == 1 && m->n_partitions == 1; }

static jm_error *check_elementwise(const jm_module *m, const jm_op *op) {
  return jm_elementwise_find(op->code, operand_dtype(m, op, 0))
             ? NULL
             : refuse(m, op, "no kernel for this element type");
}

static jm_error *check_convert(const jm_module *m, const jm_op *op) {
  char nothing = 0;
  jm_error *error = jm_convert_run(operand_dtype(m, op, 0), jm_op_result_type(m, op, 0)->dtype,
                                   &nothing, &nothing, 0);
  if (!error) return NULL;
  jm_error_destroy(error);
  return refuse(m, op, "no conversion between these element types");
}

static jm_error *check_compare(const jm_module *m, const jm_op *op) {
  jm_direction direction = ((const jm_compare_attrs *)op->attrs)->direction;
  return jm_dtype_is_complex(operand_dtype(m, op, 0)) && direction != JM_COMPARE_EQ &&
                 direction != JM_COMPARE_NE
             ? refuse(m, op, "no order of complex numbers")
             : NULL;
}

static jm_error *check_clamp(const jm_module *m, const jm_op *op) {
  jm_dtype dtype = operand_dtype(m, op, 1);
  return jm_elementwise_find(JM_OP_maximum, dtype) && jm_elementwise_find(JM_OP_minimum, dtype)
             ? NULL
             : refuse(m, op, "no order of this element type");
}

static jm_error *check_bitcast_convert(const jm_module *m, const jm_op *op) {
  jm_dtype from = operand_dtype(m, op, 0), to = jm_op_result_type(m, op, 0)->dtype;
  return from != to && (jm_dtype_is_complex(from) || jm_dtype_is_complex(to))
             ? refuse(m, op, "bits of a complex type")
             : NULL;
}

static jm_error *check_fft(const jm_module *m, const jm_op *op) {
  jm_dtype real = jm_dtype_real(operand_dtype(m, op, 0));
  return real == JM_DT_f32 || real == JM_DT_f64 ? NULL : refuse(m, op, "no transform of this type");
}

static jm_error *check_rng_bit_generator(const jm_module *m, const jm_op *op) {
  const jm_type *state = jm_op_operand_type(m, op, 0), *bits = jm_op_result_type(m, op, 1);
  bool threefry = ((const jm_rng_bit_generator_attrs *)op->attrs)->algorithm == JM_RNG_THREE_FRY;
  if (state->dtype != JM_DT_u64 || (state->count != 2 && (state->count != 3 || threefry)))
    return refuse(m, op, "a state that is neither u64[2] nor, for Philox, u64[3]");
  return jm_dtype_is_integer(bits->dtype) && jm_dtype_facts[bits->dtype].bits >= 8
             ? NULL
             : refuse(m, op, "random bits other than integers of 8 to 64 bits");
}

static jm_error *check_rng(const jm_module *m, const jm_op *op) {
  bool normal = ((const jm_rng_attrs *)op->attrs)->distribution == JM_DISTRIBUTION_NORMAL;
  jm_dtype dtype = jm_op_result_type(m, op, 0)->dtype;
  if (!is_alone(m)) return refuse(m, op, "random numbers that each device draws for itself");
  bool integer = jm_dtype_is_integer(dtype) || dtype == JM_DT_pred;
  return jm_dtype_is_float(dtype) || (!normal && integer)
             ? NULL
             : refuse(m, op, "this distribution of this type");
}

static jm_error *check_custom_call(const jm_module *m, const jm_op *op) {
  const jm_custom_call_attrs *attrs = op->attrs;
  const jm_custom_call *found = jm_custom_call_find(attrs->target);
  if (found) return found->check(m, op);
  return jm_op_error(m, op, JM_UNIMPLEMENTED, "custom call of the unknown target \"%.*s\"",
                     (int)attrs->target.size, attrs->target.bytes ? attrs->target.bytes : "");
}

static jm_error *check_collective(const jm_module *m, const jm_op *op) {
  if (!is_alone(m)) return check_participants(m, op);
  for (uint32_t i = 0; i < op->n_results; i++)
    if (jm_op_operand_type(m, op, i)->count != jm_op_result_type(m, op, i)->count)
      return refuse(m, op, "a group of more than the program's one participant");
  return NULL;
}

static rule *const rules[JM_N_OPS] = {
    [JM_OP_convert] = check_convert,
    [JM_OP_compare] = check_compare,
    [JM_OP_clamp] = check_clamp,
    [JM_OP_bitcast_convert] = check_bitcast_convert,
    [JM_OP_fft] = check_fft,
    [JM_OP_rng_bit_generator] = check_rng_bit_generator,
    [JM_OP_rng] = check_rng,
    [JM_OP_dot_general] = jm_product_check,
    [JM_OP_convolution] = jm_product_check,
    [JM_OP_cholesky] = jm_linalg_check,
    [JM_OP_triangular_solve] = jm_linalg_check,
    [JM_OP_custom_call] = check_custom_call,
    [JM_OP_all_gather] = check_collective,
    [JM_OP_all_reduce] = check_collective,
    [JM_OP_all_to_all] = check_collective,
    [JM_OP_collective_broadcast] = check_collective,
    [JM_OP_collective_permute] = check_collective,
    [JM_OP_reduce_scatter] = check_collective,
};

jm_error *jm_library_check(const jm_module *module, const jm_op *op) {
  if (jm_library_fns[op->code] == jm_elementwise_run) return check_elementwise(module, op);
  return rules[op->code] ? rules[op->code](module, op) : NULL;
}
