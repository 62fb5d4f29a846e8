/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ref/product.h"

#include "base/scratch.h"
#include "engine/ref/blas.h"

static bool is_wide(jm_dtype d) { return jm_dtype_real(d) == JM_DT_f64; }

bool jm_product_find_dtype(jm_dtype lhs, jm_dtype rhs, jm_dtype result, jm_dtype *out) {
  bool wide = is_wide(lhs) || is_wide(rhs) || is_wide(result);
  bool complex_in = jm_dtype_is_complex(lhs) || jm_dtype_is_complex(rhs);
  bool float_in = jm_dtype_is_float(lhs) || jm_dtype_is_float(rhs);
  if (jm_dtype_is_complex(result)) {
    *out = wide ? JM_DT_c128 : JM_DT_c64;
  } else if (jm_dtype_is_float(result)) {
    if (complex_in) return false;
    *out = wide ? JM_DT_f64 : JM_DT_f32;
  } else {
    if (complex_in || float_in) return false;
    *out = result;
  }
  return jm_gemm_supports(*out);
}

static jm_error *convert(const jm_tensor *tensor, jm_dtype dtype, const void **data, void **owned) {
  *data = tensor->data;
  if (tensor->type->dtype == dtype) return NULL;
  size_t count = (size_t)tensor->type->count;
  *data = *owned = jm_scratch_take(count * jm_dtype_bytes(dtype));
  if (!*owned) return jm_error_out_of_memory();
  return jm_ref_convert_run(tensor->type->dtype, dtype, tensor->data, *owned, count);
}

jm_error *jm_product_init(const jm_ref_call *call, jm_product *out) {
  *out = (jm_product){0};
  const jm_type *result = call->out[0].type;
  if (!jm_product_find_dtype(call->in[0].type->dtype, call->in[1].type->dtype, result->dtype,
                             &out->dtype))
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "products of these types");
  jm_error *error = convert(&call->in[0], out->dtype, &out->lhs, &out->owned[0]);
  if (!error) error = convert(&call->in[1], out->dtype, &out->rhs, &out->owned[1]);
  out->out = call->out[0].data;
  if (!error && result->dtype != out->dtype) {
    out->owned[2] = jm_scratch_take((size_t)result->count * jm_dtype_bytes(out->dtype));
    out->out = out->owned[2];
    if (!out->out) error = jm_error_out_of_memory();
  }
  if (error) jm_product_deinit(out);
  return error;
}

jm_error *jm_product_store(const jm_ref_call *call, const jm_product *product) {
  if (product->out == call->out[0].data) return NULL;
  return jm_ref_convert_run(product->dtype, call->out[0].type->dtype, product->out,
                            call->out[0].data, (size_t)call->out[0].type->count);
}

void jm_product_deinit(jm_product *product) {
  for (int i = 0; i < 3; i++) jm_scratch_give(product->owned[i]);
  *product = (jm_product){0};
}

jm_error *jm_product_check(const jm_module *module, const jm_op *op) {
  jm_dtype dtype;
  if (jm_product_find_dtype(jm_op_operand_type(module, op, 0)->dtype,
                            jm_op_operand_type(module, op, 1)->dtype,
                            jm_op_result_type(module, op, 0)->dtype, &dtype))
    return NULL;
  return jm_op_error(module, op, JM_UNIMPLEMENTED, "products of these types");
}
